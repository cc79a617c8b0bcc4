-- From schema 4 to 5: the terms on which pools share a block are those of the moment it was found.
ALTER TABLE blocks_found ADD COLUMN shared TEXT;
