-- From schema 1 to 2: an account's credits are read from the newest on, however many there are.
ALTER TABLE split_rows ADD COLUMN window_end INTEGER NOT NULL DEFAULT 0;
UPDATE split_rows SET window_end = (SELECT window_end FROM rewards r WHERE r.block = split_rows.block);
DROP INDEX split_rows_of_account;
CREATE INDEX split_rows_by_account ON split_rows (account, window_end, block, fee_bps, net);
CREATE INDEX slices_by_last ON slices (pool, last);
CREATE INDEX payout_versions_shown ON payout_versions (payout, n, txid, fee);
