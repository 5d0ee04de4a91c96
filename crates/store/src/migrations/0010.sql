-- The time up to which it is certain that time has passed: a clock that is set forward moves it by a day at most
-- each time that garbage is collected.
ALTER TABLE clock ADD COLUMN passed_ms INTEGER NOT NULL DEFAULT 0;
