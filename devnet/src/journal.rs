//! Blocks on disk, so that a devnet is the same after a restart: appended as they come, replayed at start.
//!
//! Invariant: a torn end is cut off and ignored; everything before it is the chain.

use bitcoin::Block;
use bitcoin::consensus::{deserialize, serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Larger than any block.
const BLOCK_MAX: usize = 8 << 20;

/// The file of blocks.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// Opens or creates the file; gives the blocks in it.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn open(path: &Path) -> std::io::Result<(Self, Vec<Block>)> {
        let mut file =
            File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (blocks, good) = read_blocks(&bytes);
        file.set_len(good as u64)?;
        file.seek(SeekFrom::End(0))?;
        Ok((Journal(file), blocks))
    }

    /// Appends a block.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, block: &Block) -> std::io::Result<()> {
        let bytes = serialize(block);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.write_all(&[length.to_le_bytes().as_slice(), &bytes].concat())
    }
}

fn read_blocks(bytes: &[u8]) -> (Vec<Block>, usize) {
    let (mut blocks, mut at) = (Vec::new(), 0);
    while let Some(length) = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        let length = u32::from_le_bytes(*length) as usize;
        let body = bytes.get(at + 4..at + 4 + length.min(BLOCK_MAX));
        let Some(block) =
            body.filter(|body| body.len() == length).and_then(|body| deserialize(body).ok())
        else {
            break;
        };
        blocks.push(block);
        at += 4 + length;
    }
    (blocks, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    #[test]
    fn blocks_come_back_and_a_torn_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blocks");
        let block = Params::default().genesis();
        let (mut journal, found) = Journal::open(&path).unwrap();
        assert!(found.is_empty());
        journal.append(&block).unwrap();
        journal.append(&block).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in [1, 5, whole.len() / 2 - 1] {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (mut journal, found) = Journal::open(&path).unwrap();
            assert_eq!(found, vec![block.clone()]);
            journal.append(&block).unwrap();
            drop(journal);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }
}
