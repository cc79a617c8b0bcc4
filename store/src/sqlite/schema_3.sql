-- From schema 2 to 3: pools of one coin can share their blocks.
-- Pools that share a reward with the one that found the block, each with its frozen window.
CREATE TABLE beside (
  block          TEXT NOT NULL REFERENCES rewards,
  pool           INTEGER NOT NULL,
  own_part       INTEGER NOT NULL,
  part           INTEGER NOT NULL,
  scheme         TEXT NOT NULL,
  network_work   ANY NOT NULL,
  window_from    INTEGER NOT NULL,
  window_through INTEGER NOT NULL,
  oldest_part    ANY NOT NULL,
  oldest_whole   ANY NOT NULL,
  window_hash    BLOB NOT NULL,
  PRIMARY KEY (block, pool)
) STRICT, WITHOUT ROWID;
CREATE TABLE beside_rows (
  block   TEXT NOT NULL,
  pool    INTEGER NOT NULL,
  account INTEGER NOT NULL,
  weight  ANY NOT NULL,
  PRIMARY KEY (block, pool, account)
) STRICT, WITHOUT ROWID;
