-- Certificates of hosts, uploaded by their tenants or had from an ACME server; keys are encrypted.
CREATE TABLE certificates (
    host TEXT PRIMARY KEY,
    app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE,
    chain TEXT NOT NULL,
    key BLOB NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('upload', 'acme')),
    begins_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_of_app ON certificates (app);

-- What an ACME server asks hosts for, while it does; the node says when it would answer.
CREATE TABLE acme_challenges (
    token TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    answer TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    is_served INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- An account at each ACME server, with its key; encrypted.
CREATE TABLE acme_accounts (
    directory TEXT PRIMARY KEY,
    account BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What was ordered, by which orders are bounded; with what failed, when it is tried again.
CREATE TABLE acme_orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    host TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    error TEXT,
    again_ms INTEGER
) STRICT;
CREATE INDEX acme_orders_of_host ON acme_orders (host, id);
CREATE INDEX acme_orders_by_time ON acme_orders (at_ms);
