//! The whole data set: what saves making rows, for whoever has the memory.

use super::{Cache, Epoch, Page, Pages};
use std::io::{self, Read, Write};

/// Pages made at once.
const BATCH: usize = 4;
/// What a file of it begins with.
const MAGIC: [u8; 8] = *b"adit dag";

/// What is wrong with a kept data set.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// It cannot be read.
    #[error("the kept data set cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is another's.
    #[error("the kept data set is of another epoch or another program")]
    Foreign,
    /// It was damaged.
    #[error("the kept data set is damaged: page {0} is not what the cache makes")]
    Damaged(u32),
}

/// An epoch's data set in memory.
pub struct Dataset {
    epoch: Epoch,
    pages: Vec<Page>,
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataset").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Dataset {
    /// Makes it, on so many threads: minutes. `progress` is told how much is done, from 0 to 1; when it says `false`, the
    /// work is given up.
    #[must_use]
    pub fn build(
        cache: &Cache,
        threads: usize,
        progress: impl Fn(f64) -> bool + Sync,
    ) -> Option<Self> {
        let count = cache.count() as usize;
        let mut pages: Vec<Page> = vec![[0; 32]; count];
        let part = count.div_ceil(threads.max(1)).next_multiple_of(BATCH);
        let progress = &progress;
        let whole = std::thread::scope(|scope| {
            let parts: Vec<_> = pages
                .chunks_mut(part)
                .enumerate()
                .map(|(n, chunk)| {
                    scope
                        .spawn(move || fill(cache, chunk, n * part, |done| n > 0 || progress(done)))
                })
                .collect();
            parts.into_iter().all(|part| part.join().unwrap_or(false))
        });
        (whole && progress(1.0)).then(|| Dataset { epoch: cache.epoch(), pages })
    }

    /// Which epoch's.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Writes it, to be read again by [`Dataset::read`].
    ///
    /// # Errors
    /// As the writer says.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&MAGIC)?;
        to.write_all(&self.epoch.number().to_le_bytes())?;
        let mut bytes = Vec::with_capacity(128 << 13);
        for pages in self.pages.chunks(1 << 13) {
            bytes.clear();
            bytes.extend(pages.iter().flatten().flat_map(|word| word.to_le_bytes()));
            to.write_all(&bytes)?;
        }
        to.flush()
    }

    /// Reads what was written. Pages spread over all of it are made again from the cache and compared: a file that was cut or
    /// changed as a whole is found out, a flipped bit need not be (a share judged wrongly by it is one in millions).
    ///
    /// # Errors
    /// When it cannot be read, or is none of this epoch's.
    pub fn read(cache: &Cache, from: &mut impl Read) -> Result<Self, DatasetError> {
        let (mut magic, mut number) = ([0; 8], [0; 4]);
        from.read_exact(&mut magic)?;
        from.read_exact(&mut number)?;
        if magic != MAGIC || u32::from_le_bytes(number) != cache.epoch().number() {
            return Err(DatasetError::Foreign);
        }
        let mut pages: Vec<Page> = vec![[0; 32]; cache.count() as usize];
        let mut bytes = vec![0; 128 << 13];
        for chunk in pages.chunks_mut(1 << 13) {
            let bytes = &mut bytes[..chunk.len() * 128];
            from.read_exact(bytes)?;
            let words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
            chunk.iter_mut().flatten().zip(words).for_each(|(to, word)| *to = word);
        }
        let step = (cache.count() / PROBES).max(1);
        for at in (0..cache.count()).step_by(step as usize) {
            if pages[at as usize] != cache.page(at) {
                return Err(DatasetError::Damaged(at));
            }
        }
        Ok(Dataset { epoch: cache.epoch(), pages })
    }
}

/// Pages of a kept data set that are made again.
const PROBES: u32 = 500;

/// Makes the pages of a part that begins with page `first`; gives whether it went through.
fn fill(cache: &Cache, part: &mut [Page], first: usize, progress: impl Fn(f64) -> bool) -> bool {
    let total = part.len();
    for (n, batch) in part.chunks_mut(BATCH).enumerate() {
        if n.is_multiple_of(4096) && !progress((n * BATCH) as f64 / total as f64) {
            return false;
        }
        let at = u32::try_from(first + n * BATCH).unwrap_or(u32::MAX);
        match batch.len() {
            BATCH => {
                let rows = cache.rows::<{ 2 * BATCH }>(at * 2);
                for (page, rows) in batch.iter_mut().zip(rows.as_chunks::<2>().0) {
                    page[..16].copy_from_slice(&rows[0]);
                    page[16..].copy_from_slice(&rows[1]);
                }
            }
            _ => batch.iter_mut().zip(at..).for_each(|(page, at)| *page = cache.page(at)),
        }
    }
    true
}

impl Pages for Dataset {
    fn count(&self) -> u32 {
        u32::try_from(self.pages.len()).unwrap_or(u32::MAX)
    }

    fn page(&self, index: u32) -> Page {
        self.pages[index as usize]
    }
}
