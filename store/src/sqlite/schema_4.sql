-- From schema 3 to 4: pools whose proofs are recognised for ever.
CREATE TABLE share_keys (
  pool INTEGER NOT NULL,
  key  BLOB NOT NULL,
  seq  INTEGER NOT NULL,
  PRIMARY KEY (pool, key)
) STRICT, WITHOUT ROWID;
