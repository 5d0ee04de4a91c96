-- What each tenant's releases take of the disk as they are laid out; a folder is there once, whoever
-- has it. It counts until the folder is collected.
CREATE TABLE laid_out (
    tenant INTEGER NOT NULL REFERENCES tenants ON DELETE CASCADE,
    digest TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    touched_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;
