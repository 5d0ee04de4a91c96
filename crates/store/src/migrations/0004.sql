-- What came of a release that came to have most of the traffic: 0 if nobody knows yet, 1 if it was served,
-- 2 if it was not or did not do, so that no rollback goes to it.
ALTER TABLE history ADD COLUMN outcome INTEGER NOT NULL DEFAULT 1;
-- A path by which the node looks whether a release is healthy before it has any traffic.
ALTER TABLE releases ADD COLUMN health_path TEXT;
