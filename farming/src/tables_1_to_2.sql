-- Schema 1 kept since when a farmer is here with the farmer, and absorptions that nobody read.
ALTER TABLE tips ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE tips SET since = (SELECT member_since FROM farmers WHERE farmers.launcher = tips.launcher);
ALTER TABLE farmers DROP COLUMN member_since;
DROP TABLE bundles;
