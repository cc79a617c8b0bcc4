//! A pool's whole log of slices, from the first to the newest, and what it paid for those it bought at once.
//!
//! Invariant: read once, in order, whatever the pool closes meanwhile; each slice is linked to all before it, so that the newest
//! one's hash names them all.

use super::served::{Seen, Served};
use accounting::audit::{Difference, check_purchase, check_slice_fees};
use accounting::rate::Rate;
use accounting::rule::RuleSince;
use accounting::split::Carry;
use accounting::{AccountId, Amount, PoolId, RateId, ShareSeq, SliceNo};
use std::collections::BTreeMap;
use tokio::runtime::Runtime;
use web::remote::Remote;

/// Beyond every place in a log.
const LATEST: ShareSeq = ShareSeq((1 << 53) - 1);

/// How far a pool's log was read, and what came of it.
pub struct Log {
    pool: PoolId,
    carries: BTreeMap<AccountId, Carry>,
    rates: BTreeMap<RateId, Rate>,
    /// The newest slice that was read, and its hash.
    pub newest: (SliceNo, [u8; 32]),
    /// Slices that were bought.
    pub bought: u64,
    /// For so much.
    pub paid: Amount,
    /// What one account was paid, by slice.
    pub own: BTreeMap<SliceNo, Amount>,
}

impl Log {
    /// Nothing read yet.
    pub fn of(pool: PoolId) -> Self {
        Log {
            pool,
            carries: BTreeMap::new(),
            rates: BTreeMap::new(),
            newest: (SliceNo(0), [0; 32]),
            bought: 0,
            paid: Amount::ZERO,
            own: BTreeMap::new(),
        }
    }

    /// Reads on, through a slice.
    ///
    /// # Errors
    /// The outer error is the pool's, the inner one the first difference.
    pub fn read(
        &mut self,
        from: (&Remote, &Runtime),
        seen: &mut Seen,
        through: SliceNo,
        rules: &[RuleSince],
        own: Option<AccountId>,
    ) -> anyhow::Result<Result<(), Difference>> {
        let mut slices = Served::of(from, seen, self.pool, LATEST);
        while self.newest.0 < through {
            let no = self.newest.0.next();
            let Some(served) = slices.served(no)? else { return Ok(Err(Difference::Slice(no))) };
            let slice = served.sourced(self.pool)?.slice;
            self.rates.extend(served.priced()?);
            let credits = served.credits()?;
            let checked = slices.linked(no)?;
            let checked = checked.and_then(|()| {
                check_purchase(&slice, &self.rates, &mut self.carries, &credits)?;
                check_slice_fees(&slice, rules, &credits)
            });
            if checked.is_err() {
                return Ok(checked);
            }
            let of_own = credits.iter().find(|credit| Some(credit.account) == own);
            self.own.extend(of_own.map(|credit| (no, credit.net)));
            self.bought += u64::from(!credits.is_empty());
            self.paid = self.paid.add(credits.iter().map(|credit| credit.net).sum());
            self.newest = (no, slice.hash);
            slices.forget_before(no);
        }
        Ok(Ok(()))
    }
}
