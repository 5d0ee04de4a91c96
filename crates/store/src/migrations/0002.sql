-- What each tenant has taken of the quotas that are counted for long. Months and days are counted from
-- January 1970, of UTC.
CREATE TABLE used (
    tenant INTEGER PRIMARY KEY REFERENCES tenants ON DELETE CASCADE,
    month INTEGER NOT NULL,
    cpu_us INTEGER NOT NULL,
    day INTEGER NOT NULL,
    log_bytes INTEGER NOT NULL
) STRICT;
