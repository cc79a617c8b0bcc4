-- Questions to the operator, and what was said about them.
CREATE TABLE tickets (
  id        INTEGER PRIMARY KEY,
  -- Hash of what its asker finds it by.
  secret    BLOB NOT NULL UNIQUE,
  -- The address it is about; empty without one.
  address   TEXT NOT NULL,
  -- Did its owner sign the question?
  is_proved INTEGER NOT NULL,
  subject   TEXT NOT NULL,
  asked_at  INTEGER NOT NULL,
  -- When the operator's turn began; null when it is the asker's, or nobody's any more.
  waits     INTEGER,
  is_closed INTEGER NOT NULL DEFAULT 0,
  last_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX tickets_waiting ON tickets (waits) WHERE waits IS NOT NULL;
CREATE TABLE ticket_lines (
  ticket INTEGER NOT NULL REFERENCES tickets ON DELETE CASCADE,
  no     INTEGER NOT NULL,
  at     INTEGER NOT NULL,
  -- The operator's name; null for whoever asked.
  by     TEXT,
  text   TEXT NOT NULL,
  PRIMARY KEY (ticket, no)
) STRICT, WITHOUT ROWID;
