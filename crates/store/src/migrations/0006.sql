-- Which process a tenant's guests run in.
ALTER TABLE tenants ADD COLUMN isolation TEXT NOT NULL DEFAULT 'shared'
    CHECK (isolation IN ('shared', 'own-process'));
