-- What a platform keeps. Times are milliseconds since 1970; JSON is text.
CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL
) STRICT;
INSERT INTO clock VALUES (1, 0);

-- What tells whether a key is the one that everything was encrypted with.
CREATE TABLE seal (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE tenants (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL,
    quotas TEXT NOT NULL,
    accepts_grants INTEGER NOT NULL
) STRICT;

-- Without a tenant, a token is the operator's.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    tenant INTEGER REFERENCES tenants ON DELETE CASCADE,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    hash BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    used_ms INTEGER
) STRICT;
CREATE INDEX tokens_of_tenant ON tokens (tenant, id);

CREATE TABLE apps (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL REFERENCES tenants,
    name TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    activated_ms INTEGER,
    noted_generation INTEGER,
    noted_error TEXT,
    UNIQUE (tenant, name)
) STRICT;

-- Whose folders have yet to go.
CREATE TABLE removed_apps (
    number INTEGER PRIMARY KEY,
    removed_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE releases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE,
    digest TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    version TEXT NOT NULL,
    grants TEXT NOT NULL,
    prepared TEXT NOT NULL,
    manifest BLOB NOT NULL,
    UNIQUE (app, digest)
) STRICT;
CREATE INDEX releases_by_digest ON releases (digest);

CREATE TABLE release_blobs (
    release INTEGER NOT NULL REFERENCES releases ON DELETE CASCADE,
    digest TEXT NOT NULL,
    PRIMARY KEY (release, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX releases_of_blob ON release_blobs (digest);

-- What each tenant has sent; files are there once, whoever sent them.
CREATE TABLE blobs (
    tenant INTEGER NOT NULL REFERENCES tenants ON DELETE CASCADE,
    digest TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    touched_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX tenants_of_blob ON blobs (digest);

CREATE TABLE shares (
    app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE,
    release INTEGER NOT NULL REFERENCES releases,
    percent INTEGER NOT NULL CHECK (percent BETWEEN 1 AND 100),
    PRIMARY KEY (app, release)
) STRICT, WITHOUT ROWID;

-- Which release had most of the traffic, one after the other.
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE,
    release INTEGER NOT NULL REFERENCES releases ON DELETE CASCADE,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX history_of_app ON history (app, id);

-- A secret's value is encrypted.
CREATE TABLE settings (
    app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE,
    name TEXT NOT NULL,
    is_secret INTEGER NOT NULL,
    value BLOB NOT NULL,
    set_ms INTEGER NOT NULL,
    PRIMARY KEY (app, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE domains (
    name TEXT PRIMARY KEY,
    app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX domains_of_app ON domains (app, name);

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    token TEXT,
    token_name TEXT,
    source TEXT,
    tenant TEXT,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX audit_of_tenant ON audit (tenant, id);

-- What requests with idempotency keys were answered, encrypted.
CREATE TABLE answers (
    token TEXT NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL,
    answer BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (token, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_age ON answers (at_ms);
