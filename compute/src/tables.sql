-- What the compute door remembers. Times are unix seconds, scores billionths, reputation millionths.

CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE miner (
    key BLOB PRIMARY KEY,
    owner BLOB,
    neighbourhood INTEGER NOT NULL,
    in_a_row INTEGER NOT NULL,
    accurate INTEGER NOT NULL,
    inaccurate INTEGER NOT NULL,
    failed_checks INTEGER NOT NULL,
    lease INTEGER,
    squatted INTEGER NOT NULL,
    rests_until_s INTEGER NOT NULL,
    sentenced_until_s INTEGER NOT NULL,
    registered_at_s INTEGER NOT NULL,
    seen_at_s INTEGER NOT NULL,
    answered INTEGER NOT NULL,
    unchecked BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE algorithm (
    id INTEGER PRIMARY KEY,
    author BLOB,
    owner BLOB,
    neighbourhood INTEGER NOT NULL,
    text TEXT NOT NULL,
    fingerprint BLOB NOT NULL UNIQUE,
    made_at_s INTEGER NOT NULL,
    stage TEXT NOT NULL CHECK (stage IN ('open', 'checking', 'agreed')),
    round TEXT,
    score INTEGER,
    agreed_at_s INTEGER,
    verified INTEGER NOT NULL
);
CREATE INDEX algorithm_stage ON algorithm (stage, score);

-- The same predictions in other words are the same algorithm.
CREATE TABLE function (digest BLOB PRIMARY KEY, algorithm INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE lease (
    id INTEGER PRIMARY KEY,
    miner BLOB NOT NULL,
    issued_at_s INTEGER NOT NULL,
    deadline_s INTEGER NOT NULL,
    evaluate TEXT NOT NULL,
    seeds TEXT NOT NULL,
    evolve_budget INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'answered', 'expired')),
    answer BLOB
);
CREATE INDEX lease_state ON lease (state, id);

-- What became of each vote, shown to its voter once it is decided.
CREATE TABLE verdict (
    voter BLOB NOT NULL,
    algorithm INTEGER NOT NULL,
    score INTEGER,
    median INTEGER,
    evaluators INTEGER NOT NULL,
    accurate INTEGER NOT NULL,
    at_s INTEGER NOT NULL,
    PRIMARY KEY (voter, algorithm)
) WITHOUT ROWID;

-- What the ledger is told; told is its position there once the ledger has it.
CREATE TABLE earning (
    key BLOB PRIMARY KEY,
    miner BLOB NOT NULL,
    weight INTEGER NOT NULL,
    cause TEXT NOT NULL,
    algorithm INTEGER NOT NULL,
    at_s INTEGER NOT NULL,
    told INTEGER,
    revoked_at_s INTEGER,
    reason TEXT,
    revocation_told INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX earning_time ON earning (at_s);
CREATE INDEX earning_untold ON earning (at_s) WHERE told IS NULL OR (revoked_at_s IS NOT NULL AND revocation_told = 0);

-- Signatures that changed something and could be believed again.
CREATE TABLE seen (id BLOB PRIMARY KEY, signed_at_s INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE coldkey (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    miner BLOB NOT NULL,
    asked_at_s INTEGER NOT NULL,
    from_s INTEGER NOT NULL,
    coldkey BLOB NOT NULL,
    told INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX coldkey_miner ON coldkey (miner, no);

CREATE TABLE epoch (
    number INTEGER PRIMARY KEY,
    ends_at_s INTEGER NOT NULL,
    carry TEXT NOT NULL,
    report BLOB NOT NULL,
    signature BLOB NOT NULL
);

-- Miners' numbers in the ledger.
CREATE TABLE account (number INTEGER PRIMARY KEY, miner BLOB NOT NULL UNIQUE);
