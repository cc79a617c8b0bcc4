//! What work that is handed out now would be paid by: for blocks that pay miners themselves.
//!
//! Invariant: only closed slices count, so that a basis can be recomputed from what is published; who is held, or has nowhere to be
//! paid, is in the split like everybody, and is credited.

use crate::books::{Books, StoredSlices};
use crate::door::Refused;
use accounting::volume::Volumes;
use accounting::window::WindowTable;
use accounting::{BasisPoints, PoolId, ShareSeq, UnixMs};
use store::Store;

/// A pool's window and terms at one place of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// That place.
    pub as_of: ShareSeq,
    /// The window that ends with the newest closed slice; never empty.
    pub window: WindowTable,
    /// What each account of the window would pay, and where it is paid, in the window's order.
    pub standing: Vec<(BasisPoints, Option<Vec<u8>>)>,
}

impl Books {
    /// What a block of this network work would pay, if its work were handed out now; none where the scheme pays no window, or nobody
    /// has work in it.
    ///
    /// # Errors
    /// When there is no such pool, or older slices cannot be read.
    pub fn basis(
        &mut self,
        store: &mut dyn Store,
        id: PoolId,
        network_work: u128,
        now: UnixMs,
    ) -> Result<Option<Basis>, Refused> {
        let as_of = self.folded();
        let pool = self.pools.get_mut(&id);
        let pool = pool.ok_or_else(|| Refused::Rule(format!("there is no pool {id}")))?;
        let Some(length) = pool.config.scheme.window_length(network_work) else { return Ok(None) };
        let mut source = StoredSlices { store, pool: id, as_of };
        let fitted = pool.window.fit(length, pool.last_slice, &mut source);
        fitted.map_err(|_| Refused::StoreFailing)?;
        let window = pool.window.table(length);
        if window.rows.is_empty() {
            return Ok(None);
        }
        let (rule, asset) = (pool.config.fee.clone(), pool.asset);
        let (count, volumes) = (window.rows.len() as u64, Volumes::of([window.rows.as_slice()]));
        let may_be_held = !self.holds.is_empty();
        let standing = window.rows.iter().map(|(account, _)| {
            let held = may_be_held && self.hold_on(asset, &[*account]).is_some();
            let to = self.destination_of(*account, now).filter(|_| !held);
            (self.fee_of(&rule, count, &volumes, *account), to)
        });
        let standing = standing.collect();
        Ok(Some(Basis { as_of, window, standing }))
    }
}
