-- What apps used. Times are seconds since 1970.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    app TEXT NOT NULL,
    release TEXT NOT NULL,
    component TEXT NOT NULL,
    -- When the latest of its buckets began.
    seen INTEGER NOT NULL,
    UNIQUE (tenant, app, release, component)
) STRICT;

CREATE TABLE usage (
    tenant INTEGER NOT NULL,
    -- How long the bucket is, in seconds, and when it begins.
    step INTEGER NOT NULL,
    at INTEGER NOT NULL,
    series INTEGER NOT NULL,
    unanswered INTEGER NOT NULL,
    status_2xx INTEGER NOT NULL,
    status_3xx INTEGER NOT NULL,
    status_4xx INTEGER NOT NULL,
    status_5xx INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    events INTEGER NOT NULL,
    events_failed INTEGER NOT NULL,
    cold_starts INTEGER NOT NULL,
    cpu_ns INTEGER NOT NULL,
    memory_peak_bytes INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    longest_us INTEGER NOT NULL,
    durations BLOB NOT NULL,
    PRIMARY KEY (tenant, step, at, series)
) STRICT, WITHOUT ROWID;
