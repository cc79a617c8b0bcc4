-- What one miner earned and when, and everybody's sums, without looking at the rows.
CREATE INDEX earning_miner ON earning (miner, at_s, weight) WHERE revoked_at_s IS NULL;
