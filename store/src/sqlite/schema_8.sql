-- From schema 7 to 8: a pool can be a member of a coordination-free one. What that has to do with a reward is kept with it; of a
-- payment that earlier blocks earned, `place` is the block of the chain that it stands and falls with now.
ALTER TABLE blocks_found ADD COLUMN member TEXT;
ALTER TABLE rewards ADD COLUMN member TEXT;
ALTER TABLE rewards ADD COLUMN place TEXT;
