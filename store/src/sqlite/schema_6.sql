-- From schema 5 to 6: an epoch's budget is income too; what it divided is kept with it.
ALTER TABLE blocks_found ADD COLUMN budget TEXT;
ALTER TABLE rewards ADD COLUMN budget TEXT;
