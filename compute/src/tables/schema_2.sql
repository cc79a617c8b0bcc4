-- Votes that have decided nothing yet, in the order they came. What became of them is in verdict.
CREATE TABLE vote (
    algorithm INTEGER NOT NULL,
    voter BLOB NOT NULL,
    place INTEGER NOT NULL,
    score INTEGER,
    digest BLOB,
    PRIMARY KEY (algorithm, voter)
) WITHOUT ROWID;

-- What the relay was sent, or shall be.
CREATE TABLE forward (
    algorithm INTEGER PRIMARY KEY,
    score INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'accepted', 'duplicate', 'below', 'refused', 'superseded')),
    tries INTEGER NOT NULL,
    next_at_s INTEGER NOT NULL,
    changed_at_s INTEGER NOT NULL,
    said TEXT NOT NULL
);
CREATE INDEX forward_waiting ON forward (next_at_s) WHERE state = 'waiting';

-- How an author's algorithms fared.
CREATE INDEX algorithm_author ON algorithm (author, stage, score);

-- How many leases are under way, answered and expired, lately.
CREATE INDEX lease_issued ON lease (issued_at_s, state);
