-- Schema 2; what came after it is in db/. Times are milliseconds since 1970 unless they say otherwise.

-- Work and shares by time: steps of 60, 600 and 3600 seconds; account 0 is the whole pool.
CREATE TABLE series (
  pool     INTEGER NOT NULL,
  account  INTEGER NOT NULL,
  step     INTEGER NOT NULL,
  at_s     INTEGER NOT NULL,
  work     REAL NOT NULL,
  shares   INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  workers  INTEGER NOT NULL,
  PRIMARY KEY (pool, account, step, at_s)
) STRICT, WITHOUT ROWID;
CREATE INDEX series_by_age ON series (step, at_s);

-- What machines did up to the last time this was written.
CREATE TABLE machines (
  pool       INTEGER NOT NULL,
  account    INTEGER NOT NULL,
  worker     INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  network    TEXT NOT NULL,
  bytes      BLOB NOT NULL,
  display    TEXT NOT NULL,
  name       TEXT NOT NULL,
  agent      TEXT NOT NULL,
  shares     INTEGER NOT NULL,
  work       REAL NOT NULL,
  rejected   TEXT NOT NULL,
  best       REAL NOT NULL,
  best_at    INTEGER NOT NULL,
  last_share INTEGER NOT NULL,
  asked      REAL NOT NULL,
  since      INTEGER NOT NULL,
  rates      TEXT NOT NULL,
  noted_at   INTEGER NOT NULL,
  PRIMARY KEY (pool, account, worker)
) STRICT, WITHOUT ROWID;

-- What owners of addresses said about themselves, each proved by a signature.
CREATE TABLE profiles (
  kind      TEXT NOT NULL,
  network   TEXT NOT NULL,
  bytes     BLOB NOT NULL,
  display   TEXT NOT NULL,
  name      TEXT,
  email     TEXT,
  is_public INTEGER NOT NULL,
  notices   TEXT NOT NULL,
  said_at   INTEGER NOT NULL,
  unconfirmed TEXT,
  PRIMARY KEY (kind, network, bytes)
) STRICT, WITHOUT ROWID;

-- Who may operate, by the hash of a token that was shown once.
CREATE TABLE operators (name TEXT PRIMARY KEY, token BLOB NOT NULL UNIQUE, made_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (
  secret     BLOB PRIMARY KEY,
  operator   TEXT NOT NULL REFERENCES operators ON DELETE CASCADE,
  csrf       TEXT NOT NULL,
  made_at    INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Keys of programs, by their hash.
CREATE TABLE api_keys (
  key        BLOB PRIMARY KEY,
  label      TEXT NOT NULL UNIQUE,
  tier       TEXT NOT NULL,
  per_minute INTEGER NOT NULL,
  per_day    INTEGER NOT NULL,
  made_at    INTEGER NOT NULL,
  day        INTEGER NOT NULL DEFAULT 0,
  used       INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Notices on their way: kept until the channel has taken them or the time is over.
CREATE TABLE outbox (
  id       INTEGER PRIMARY KEY,
  once     TEXT NOT NULL UNIQUE,
  channel  TEXT NOT NULL,
  subject  TEXT NOT NULL,
  body     TEXT NOT NULL,
  made_at  INTEGER NOT NULL,
  due_at   INTEGER NOT NULL,
  tries    INTEGER NOT NULL,
  done_at  INTEGER,
  trouble  TEXT
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at) WHERE done_at IS NULL;
