-- Amounts are whole numbers of an asset's smallest unit; numbers beyond 63 bits are decimal text (columns of
-- type ANY). Times are milliseconds since 1970. Views below give human units.

-- The log of facts: one sequence over shares, blocks and revocations.
CREATE TABLE shares (
  seq      INTEGER PRIMARY KEY,
  pool     INTEGER NOT NULL,
  account  INTEGER NOT NULL,
  worker   INTEGER NOT NULL,
  weight   INTEGER NOT NULL,
  rate     INTEGER NOT NULL,
  found_at INTEGER NOT NULL,
  key      BLOB NOT NULL
) STRICT;

CREATE TABLE blocks_found (
  seq          INTEGER PRIMARY KEY,
  pool         INTEGER NOT NULL,
  account      INTEGER NOT NULL,
  worker       INTEGER NOT NULL,
  block        TEXT NOT NULL UNIQUE,
  height       INTEGER NOT NULL,
  to_pool      ANY NOT NULL,
  to_finder    ANY NOT NULL,
  coinbase_fee INTEGER NOT NULL,
  network_work ANY NOT NULL,
  scheme       TEXT NOT NULL,
  found_at     INTEGER NOT NULL,
  -- The terms on which the pools of a union share it.
  shared       TEXT,
  -- What an epoch divided, where it is one's budget.
  budget       TEXT,
  -- The split that its work committed to, where the block pays miners itself.
  commitment   TEXT,
  -- What a coordination-free pool has to do with it.
  member       TEXT
) STRICT;

CREATE TABLE revocations (
  seq    INTEGER PRIMARY KEY,
  share  INTEGER NOT NULL UNIQUE,
  reason TEXT NOT NULL
) STRICT;

-- The book.
CREATE TABLE assets (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, decimals INTEGER NOT NULL) STRICT;
CREATE TABLE pools (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, asset INTEGER NOT NULL REFERENCES assets) STRICT;

CREATE TABLE accounts (id INTEGER PRIMARY KEY, created_at INTEGER NOT NULL) STRICT;
CREATE TABLE identities (
  kind    TEXT NOT NULL,
  network TEXT NOT NULL,
  bytes   BLOB NOT NULL,
  display TEXT NOT NULL,
  account INTEGER NOT NULL REFERENCES accounts,
  PRIMARY KEY (kind, network, bytes)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_of_account ON identities (account);
CREATE TABLE workers (
  id         INTEGER PRIMARY KEY,
  account    INTEGER NOT NULL REFERENCES accounts,
  name       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (account, name)
) STRICT;

CREATE TABLE rates (id INTEGER PRIMARY KEY, network_work ANY NOT NULL, value ANY NOT NULL) STRICT;

CREATE TABLE slices (
  pool      INTEGER NOT NULL,
  no        INTEGER NOT NULL,
  first     INTEGER NOT NULL,
  last      INTEGER NOT NULL,
  weight    ANY NOT NULL,
  shares    INTEGER NOT NULL,
  hash      BLOB NOT NULL,
  closed_at INTEGER NOT NULL,
  PRIMARY KEY (pool, no)
) STRICT, WITHOUT ROWID;
CREATE INDEX slices_by_last ON slices (pool, last);
CREATE TABLE slice_rows (
  pool    INTEGER NOT NULL,
  no      INTEGER NOT NULL,
  account INTEGER NOT NULL,
  rate    INTEGER NOT NULL,
  weight  ANY NOT NULL,
  shares  INTEGER NOT NULL,
  PRIMARY KEY (pool, no, account, rate)
) STRICT, WITHOUT ROWID;
CREATE TABLE slice_revocations (
  pool    INTEGER NOT NULL,
  no      INTEGER NOT NULL,
  seq     INTEGER NOT NULL,
  account INTEGER NOT NULL,
  weight  ANY NOT NULL,
  PRIMARY KEY (pool, no, seq)
) STRICT, WITHOUT ROWID;
-- What a closed slice was paid under PPS or FPPS.
CREATE TABLE slice_credits (
  pool         INTEGER NOT NULL,
  no           INTEGER NOT NULL,
  account      INTEGER NOT NULL,
  fee_bps      INTEGER NOT NULL,
  net          ANY NOT NULL,
  carry_before ANY NOT NULL,
  carry_after  ANY NOT NULL,
  PRIMARY KEY (pool, no, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX slice_credits_of_account ON slice_credits (account);

CREATE TABLE rewards (
  block         TEXT PRIMARY KEY,
  pool          INTEGER NOT NULL,
  asset         INTEGER NOT NULL,
  height        INTEGER NOT NULL,
  finder        INTEGER NOT NULL,
  to_pool       ANY NOT NULL,
  to_finder     ANY NOT NULL,
  window_end    INTEGER NOT NULL,
  as_of         INTEGER NOT NULL,
  scheme        TEXT NOT NULL,
  network_work  ANY NOT NULL,
  window_from   INTEGER,
  window_through INTEGER,
  oldest_part   ANY,
  oldest_whole  ANY,
  window_hash   BLOB,
  fees          ANY,
  state         TEXT NOT NULL,
  generation    INTEGER NOT NULL,
  force_key     TEXT NOT NULL,
  closed        INTEGER NOT NULL,
  created_at    INTEGER NOT NULL,
  changed_at    INTEGER NOT NULL,
  -- Work of the pool since its block before, and rows of the split: what lists show.
  round_work    ANY NOT NULL,
  accounts      INTEGER NOT NULL,
  -- What was divided, where it is an epoch's budget.
  budget        TEXT,
  -- Whom the block pays itself, where its work committed to the split.
  by_block      TEXT,
  -- What a coordination-free pool has to do with it; and the block that a payment stands and falls with now.
  member        TEXT,
  place         TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX rewards_by_pool ON rewards (pool, window_end);
CREATE INDEX rewards_by_time ON rewards (window_end);
CREATE INDEX rewards_by_height ON rewards (height);
CREATE INDEX rewards_by_finder ON rewards (finder, window_end);
CREATE INDEX rewards_open ON rewards (closed) WHERE closed = 0;
CREATE TABLE split_rows (
  block   TEXT NOT NULL,
  account INTEGER NOT NULL,
  in_window INTEGER NOT NULL,
  weight  ANY NOT NULL,
  gross   ANY NOT NULL,
  fee_bps INTEGER NOT NULL,
  fee     ANY NOT NULL,
  net     ANY NOT NULL,
  -- The reward's, so that an account's credits are read from the newest on, and all a list shows of them is in the index.
  window_end INTEGER NOT NULL DEFAULT 0,
  -- By the pool (0), by an output of the block (1), by its tree (2).
  paid_by INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (block, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX split_rows_by_account ON split_rows (account, window_end, block, fee_bps, net, paid_by);

-- Pools that share a reward: schema_3.sql. Keys of shares: schema_4.sql.

-- Double entry.
CREATE TABLE sets (
  id         INTEGER PRIMARY KEY,
  key        TEXT NOT NULL UNIQUE,
  asset      INTEGER NOT NULL,
  state      TEXT NOT NULL,
  hash       BLOB NOT NULL,
  made_at    INTEGER NOT NULL,
  resolved_at INTEGER
) STRICT;
CREATE INDEX sets_pending ON sets (state) WHERE state = 'pending';
CREATE TABLE transfers (
  set_id INTEGER NOT NULL REFERENCES sets,
  n      INTEGER NOT NULL,
  debit  TEXT NOT NULL,
  credit TEXT NOT NULL,
  amount ANY NOT NULL,
  PRIMARY KEY (set_id, n)
) STRICT, WITHOUT ROWID;
-- A cache of the fold over sets and transfers; checked against it.
CREATE TABLE balances (
  asset           INTEGER NOT NULL,
  kind            TEXT NOT NULL,
  debits_pending  ANY NOT NULL,
  debits_posted   ANY NOT NULL,
  credits_pending ANY NOT NULL,
  credits_posted  ANY NOT NULL,
  PRIMARY KEY (asset, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE payouts (
  id         INTEGER PRIMARY KEY,
  asset      INTEGER NOT NULL,
  state      TEXT NOT NULL,
  round      INTEGER NOT NULL,
  confirmed_version INTEGER,
  closed     INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  recipients INTEGER NOT NULL,
  sent       ANY NOT NULL
) STRICT;
CREATE INDEX payouts_open ON payouts (closed) WHERE closed = 0;
CREATE TABLE payout_parts (
  payout      INTEGER NOT NULL REFERENCES payouts,
  account     INTEGER NOT NULL,
  destination BLOB NOT NULL,
  debit       ANY NOT NULL,
  sent        ANY NOT NULL,
  PRIMARY KEY (payout, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX payout_parts_of_account ON payout_parts (account);
CREATE TABLE payout_versions (
  payout    INTEGER NOT NULL REFERENCES payouts,
  n         INTEGER NOT NULL,
  txid      BLOB NOT NULL UNIQUE,
  raw       BLOB NOT NULL,
  fee       ANY NOT NULL,
  inputs    TEXT NOT NULL,
  signed_at INTEGER NOT NULL,
  PRIMARY KEY (payout, n)
) STRICT, WITHOUT ROWID;

-- What lists show: behind the bytes, it would take reading them.
CREATE INDEX payout_versions_shown ON payout_versions (payout, n, txid, fee);

-- Where an account wants its money, and since when; without a row, its own identity.
CREATE TABLE destinations (
  account        INTEGER NOT NULL REFERENCES accounts,
  no             INTEGER NOT NULL,
  destination    BLOB NOT NULL,
  display        TEXT NOT NULL,
  effective_from INTEGER NOT NULL,
  PRIMARY KEY (account, no)
) STRICT, WITHOUT ROWID;
CREATE TABLE settings (
  account INTEGER PRIMARY KEY REFERENCES accounts,
  minimum ANY,
  member  INTEGER NOT NULL
) STRICT;
CREATE TABLE holds (scope TEXT PRIMARY KEY, reason TEXT NOT NULL, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- Coins of the pool's wallet that something spent which the books do not know, until somebody says what it was.
CREATE TABLE spends (
  asset    INTEGER NOT NULL,
  txid     BLOB NOT NULL,
  detail   TEXT NOT NULL,
  found_at INTEGER NOT NULL,
  matched  TEXT,
  PRIMARY KEY (asset, txid)
) STRICT, WITHOUT ROWID;
-- What operators did.
CREATE TABLE acts (no INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL) STRICT;
-- Small things that a door must find again after a restart, under its own name.
CREATE TABLE notes (door TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (door, key)) STRICT, WITHOUT ROWID;
-- One row.
CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), watermark INTEGER NOT NULL, boots INTEGER NOT NULL) STRICT;
INSERT INTO state VALUES (1, 0, 0);

-- For people. Amounts in whole coins are approximate (floating point); the tables are exact.
CREATE VIEW v_accounts AS
  SELECT i.account, i.display AS address, i.network, datetime(a.created_at / 1000, 'unixepoch') AS since
  FROM identities i JOIN accounts a ON a.id = i.account;
CREATE VIEW v_balances AS
  SELECT s.name AS asset, b.kind,
    (b.credits_posted - b.debits_posted - b.debits_pending) / CAST('1e' || s.decimals AS REAL) AS available,
    b.credits_pending / CAST('1e' || s.decimals AS REAL) AS immature,
    b.debits_pending / CAST('1e' || s.decimals AS REAL) AS in_flight,
    b.debits_posted / CAST('1e' || s.decimals AS REAL) AS debited
  FROM balances b JOIN assets s ON s.id = b.asset;
CREATE VIEW v_rewards AS
  SELECT p.name AS pool, r.block, r.height, r.to_pool / CAST('1e' || s.decimals AS REAL) AS to_pool,
    r.to_finder / CAST('1e' || s.decimals AS REAL) AS to_finder, r.state, r.scheme, datetime(r.created_at / 1000, 'unixepoch') AS found
  FROM rewards r JOIN pools p ON p.id = r.pool JOIN assets s ON s.id = r.asset;
CREATE VIEW v_payouts AS
  SELECT p.id, s.name AS asset, p.state, count(*) AS recipients, sum(t.sent) / CAST('1e' || s.decimals AS REAL) AS sent,
    (SELECT lower(hex(txid)) FROM payout_versions v WHERE v.payout = p.id ORDER BY n DESC LIMIT 1) AS txid_internal,
    datetime(p.created_at / 1000, 'unixepoch') AS made
  FROM payouts p JOIN assets s ON s.id = p.asset JOIN payout_parts t ON t.payout = p.id GROUP BY p.id;
CREATE VIEW v_work_per_hour AS
  SELECT p.name AS pool, s.account, datetime(s.found_at / 3600000 * 3600, 'unixepoch') AS hour,
    count(*) AS shares, sum(s.weight) / 3600.0 AS hashes_per_s
  FROM shares s JOIN pools p ON p.id = s.pool GROUP BY 1, 2, 3;
