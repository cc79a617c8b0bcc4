-- Questions to nodes, by key and day (since 1970).
CREATE TABLE node_calls (
  key    BLOB NOT NULL REFERENCES api_keys ON DELETE CASCADE,
  day    INTEGER NOT NULL,
  asset  TEXT NOT NULL,
  method TEXT NOT NULL,
  calls  INTEGER NOT NULL,
  PRIMARY KEY (key, day, asset, method)
) STRICT, WITHOUT ROWID;
