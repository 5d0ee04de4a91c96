-- Releases whose code was missing where they are served. One that is settled has been made, or could not be:
-- then it has an error, and the number of times in a row.
CREATE TABLE wanted (
    release INTEGER PRIMARY KEY REFERENCES releases ON DELETE CASCADE,
    asked_ms INTEGER NOT NULL,
    settled_ms INTEGER,
    error TEXT,
    failures INTEGER NOT NULL
) STRICT;
