-- What the sidecar remembers. Times are unix seconds.

CREATE TABLE run (
    id TEXT PRIMARY KEY,
    no INTEGER NOT NULL,
    global_sota REAL,
    submissions INTEGER NOT NULL DEFAULT 0,
    updated_at_s REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE job (
    run TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'leased', 'completed', 'failed')),
    -- The first in the queue has the least; one that comes back is put before it.
    place INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    lease_expires_at_s REAL,
    created_at_s REAL NOT NULL,
    updated_at_s REAL NOT NULL,
    result TEXT,
    error TEXT,
    -- The order in which they were done.
    seq INTEGER,
    PRIMARY KEY (run, id)
) WITHOUT ROWID;
CREATE INDEX job_queue ON job (run, status, place);
CREATE INDEX job_done ON job (run, seq);

CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL,
    sort TEXT NOT NULL CHECK (sort IN ('log', 'candidate', 'population')),
    score REAL,
    body TEXT NOT NULL
);
CREATE INDEX event_sort ON event (run, sort, seq);
