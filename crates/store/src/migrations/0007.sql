-- Which domains a tenant's apps may have. Those that they have stay.
ALTER TABLE tenants ADD COLUMN domains TEXT NOT NULL DEFAULT '[]';
-- What a tenant's apps keep, as the node measured it last.
ALTER TABLE used ADD COLUMN state_bytes INTEGER NOT NULL DEFAULT 0;
