-- A preview is an app that belongs to another one, is told what that is told, and goes at its time.
ALTER TABLE apps ADD COLUMN parent INTEGER REFERENCES apps (number);
ALTER TABLE apps ADD COLUMN expires_ms INTEGER;
CREATE INDEX apps_of_parent ON apps (parent) WHERE parent IS NOT NULL;
