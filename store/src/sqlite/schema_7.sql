-- From schema 6 to 7: a block can pay miners itself; what its work committed to is kept with it, and by whom each part was paid.
ALTER TABLE blocks_found ADD COLUMN commitment TEXT;
ALTER TABLE rewards ADD COLUMN by_block TEXT;
ALTER TABLE split_rows ADD COLUMN paid_by INTEGER NOT NULL DEFAULT 0;
UPDATE split_rows SET paid_by = 1 WHERE block IN (SELECT block FROM rewards WHERE to_finder <> 0);
DROP INDEX split_rows_by_account;
CREATE INDEX split_rows_by_account ON split_rows (account, window_end, block, fee_bps, net, paid_by);
