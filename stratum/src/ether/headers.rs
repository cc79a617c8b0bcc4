//! Headers that a pool has handed out, kept on disk: one that was out before and whose shares are not in memory any more is not handed out
//! again, because what was credited for it is not known then.
//!
//! Invariant: a header is on disk before any miner has it.

use accounting::PoolId;
use pool::Pool;
use pool::door::Answer;
use std::collections::VecDeque;

/// Whose notes they are.
const NOTES: &str = "ethash headers";
/// So many are remembered: a node does not give work again that is older.
const REMEMBERED: usize = 256;

/// What a pool has handed out lately.
pub struct Headers {
    pool: Pool,
    of: PoolId,
    list: VecDeque<[u8; 32]>,
}

impl Headers {
    /// Those of a pool.
    ///
    /// # Errors
    /// When the pool is stopping.
    pub async fn open(pool: Pool, of: PoolId) -> Answer<Self> {
        let key = of.0.to_string();
        let noted = pool.order(move |books, _, _| Ok(books.notes_of(NOTES).remove(&key))).await?;
        let noted = noted.unwrap_or_default();
        let list = noted.as_chunks::<32>().0.iter().copied().collect();
        Ok(Headers { pool, of, list })
    }

    /// Was it handed out before?
    #[must_use]
    pub fn know(&self, header: &[u8; 32]) -> bool {
        self.list.contains(header)
    }

    /// Notes it, durably.
    ///
    /// # Errors
    /// When it cannot be written: then it must not be handed out.
    pub async fn note(&mut self, header: [u8; 32]) -> Answer<()> {
        self.list.push_back(header);
        while self.list.len() > REMEMBERED {
            self.list.pop_front();
        }
        let (key, bytes) = (self.of.0.to_string(), self.list.iter().flatten().copied().collect());
        self.pool
            .order(move |books, _, _| {
                books.note(NOTES, key, Some(bytes));
                Ok(())
            })
            .await
    }
}
