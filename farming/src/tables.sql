-- Schema 2. Times are milliseconds since 1970; amounts are mojo; nothing here is money: what is owed is in the pool's books.

-- Who farms here.
CREATE TABLE farmers (
  launcher           BLOB PRIMARY KEY,
  contract_hash      BLOB NOT NULL UNIQUE,
  delay_s            INTEGER NOT NULL,
  delay_puzzle_hash  BLOB NOT NULL,
  authentication_key BLOB NOT NULL,
  instructions       TEXT NOT NULL,
  paid_to            TEXT, -- what the books were told last
  joined_at          INTEGER NOT NULL,
  next_difficulty    INTEGER NOT NULL,
  is_wished          INTEGER NOT NULL,
  wished_at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The difficulties a farmer was told: what its proofs are judged by.
CREATE TABLE told (
  launcher   BLOB NOT NULL REFERENCES farmers ON DELETE CASCADE,
  told_at    INTEGER NOT NULL,
  difficulty INTEGER NOT NULL,
  PRIMARY KEY (launcher, told_at)
) STRICT, WITHOUT ROWID;

-- Each plot NFT's coin, deep in the chain (0) and at its tip (1), with what is needed to spend it.
CREATE TABLE tips (
  launcher     BLOB NOT NULL REFERENCES farmers ON DELETE CASCADE,
  view         INTEGER NOT NULL,
  parent       BLOB NOT NULL,
  puzzle_hash  BLOB NOT NULL,
  amount       INTEGER NOT NULL,
  height       INTEGER NOT NULL,
  state        BLOB NOT NULL,
  proof_parent BLOB NOT NULL,
  proof_inner  BLOB,
  proof_amount INTEGER NOT NULL,
  since        INTEGER NOT NULL, -- the height from which it farms to where it farms then
  PRIMARY KEY (launcher, view)
) STRICT, WITHOUT ROWID;

-- Proofs that were believed. state: 0 waits to be looked at again, 1 stands, 2 to be revoked, 3 revoked.
CREATE TABLE partials (
  key        BLOB PRIMARY KEY,
  launcher   BLOB NOT NULL,
  point      BLOB NOT NULL,
  is_end     INTEGER NOT NULL,
  difficulty INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  harvester  BLOB NOT NULL,
  seq        INTEGER,
  state      INTEGER NOT NULL DEFAULT 0,
  reason     TEXT,
  due_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX partials_due ON partials (due_at) WHERE state = 0;
CREATE INDEX partials_of_farmer ON partials (launcher, at);
CREATE INDEX partials_to_revoke ON partials (at) WHERE state = 2;
CREATE INDEX partials_unrecorded ON partials (at) WHERE seq IS NULL;

-- Refusals of known farmers, counted by the hour.
CREATE TABLE refusals (
  launcher BLOB NOT NULL,
  hour     INTEGER NOT NULL,
  reason   TEXT NOT NULL,
  count    INTEGER NOT NULL,
  PRIMARY KEY (launcher, hour, reason)
) STRICT, WITHOUT ROWID;

-- Rewards that arrived at the pool's address. is_own: farmed before joining, so the farmer's own. state: 0 to be reported to the pool, 1 reported.
CREATE TABLE income (
  coin          BLOB PRIMARY KEY,
  launcher      BLOB NOT NULL,
  amount        INTEGER NOT NULL,
  reward_height INTEGER NOT NULL,
  height        INTEGER NOT NULL,
  is_own        INTEGER NOT NULL,
  state         INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
