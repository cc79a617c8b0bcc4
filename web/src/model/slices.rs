//! A pool's closed slices, as they are served to whoever wants to recompute windows and purchases.
//!
//! Invariant: what is served here is what was stored, and it reads back to the same values.

use super::Rows;
use super::audit::{Unreadable, amount, from_hex, hex, place};
use super::exact::{Units, Work};
use accounting::rate::Rate;
use accounting::slice::{Slice as SealedSlice, SliceRow, Tally};
use accounting::split::{Carry, SliceCredit};
use accounting::window::SourcedSlice;
use accounting::{AccountId, BasisPoints, PoolId, RateId, ShareSeq, SliceNo};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use store::sqlite::Cut;
use store::{Reader, StoreError};
use utoipa::ToSchema;

/// No slice has so many shares.
const SHARES_MAX: u64 = 1 << 40;

/// Shares of an account in a slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SharesOf {
    /// The account's number.
    pub account: u64,
    /// The rate at which they were bought; 0 where none are.
    pub rate: u64,
    /// Their work.
    pub work: Work,
    /// How many.
    pub shares: u64,
}

/// What a unit of work was worth: `value / network_work`, before the fee.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RateOf {
    /// The rate's number: the first eight bytes of a hash of what follows.
    pub rate: u64,
    /// Expected hashes of a block.
    pub network_work: Work,
    /// What a block was taken to bring, in smallest units.
    pub value: Units,
}

/// What an account was paid for its shares of a slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PaidOf {
    /// The account's number.
    pub account: u64,
    /// The fee's rate, in basis points.
    pub fee_bps: u16,
    /// What was credited, in smallest units.
    pub net: Units,
    /// What it was still owed from before, in 2^-64 smallest units.
    pub carry_before: String,
    /// What it is owed still.
    pub carry_after: String,
}

/// A closed slice of a pool's share log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Slice {
    /// Its number, from 1.
    pub no: u64,
    /// The first place in the log that it covers.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Hash over its contents and the hash of the slice before.
    pub hash: String,
    /// Ascending by account and rate.
    pub rows: Vec<SharesOf>,
    /// What was revoked of it by then; without rates.
    pub revoked: Vec<SharesOf>,
    /// The rates that its rows name.
    pub rates: Vec<RateOf>,
    /// What its shares were bought for; empty where a window pays.
    pub paid: Vec<PaidOf>,
}

/// A page of slices ends once they have so many rows: a slice can have one for every account.
const SLICE_ROWS: usize = 5000;

/// A pool's slices as they stood at a place of the log, newest first; a position is a slice's number.
///
/// # Errors
/// When they cannot be read.
pub fn slices(
    reader: &Reader,
    pool: PoolId,
    as_of: ShareSeq,
    cut: Cut,
) -> Result<Rows<Slice>, StoreError> {
    let (found, more) = reader.slices_before(pool, as_of, cut, SLICE_ROWS)?;
    let next = found.last().filter(|_| more).map(|last| last.slice.no.to_string());
    let mut rows: Vec<Slice> = found.into_iter().map(served_slice).collect();
    for slice in &mut rows {
        let named: BTreeSet<u64> =
            slice.rows.iter().map(|row| row.rate).filter(|rate| *rate != 0).collect();
        if named.is_empty() {
            continue;
        }
        for rate in named {
            if let Some(Rate { network_work, value }) = reader.rate(RateId(rate))? {
                let (network_work, value) = (Work(network_work), Units(value.units()));
                slice.rates.push(RateOf { rate, network_work, value });
            }
        }
        let credits = reader.slice_credits(pool, SliceNo(slice.no))?;
        slice.paid = credits.into_iter().map(served_credit).collect();
    }
    Ok(Rows { rows, next })
}

fn served_credit(of: SliceCredit) -> PaidOf {
    PaidOf {
        account: of.account.0,
        fee_bps: of.fee_bps.points(),
        net: Units(of.net.units()),
        carry_before: of.carry_before.0.to_string(),
        carry_after: of.carry_after.0.to_string(),
    }
}

fn served_slice(SourcedSlice { slice, revoked }: SourcedSlice) -> Slice {
    let shares = |account: AccountId, rate: RateId, tally: Tally| SharesOf {
        account: account.0,
        rate: rate.0,
        work: Work(tally.weight),
        shares: tally.shares,
    };
    Slice {
        no: slice.no.0,
        first: slice.first.0,
        last: slice.last.0,
        hash: hex(&slice.hash),
        rows: slice.rows.iter().map(|r| shares(r.account, r.rate, r.tally)).collect(),
        revoked: revoked.iter().map(|(who, tally)| shares(*who, RateId(0), *tally)).collect(),
        rates: Vec::new(),
        paid: Vec::new(),
    }
}

impl Slice {
    /// The slice, as the pool's own audit has it.
    ///
    /// # Errors
    /// When a number is none.
    pub fn sourced(&self, pool: PoolId) -> Result<SourcedSlice, Unreadable> {
        let row = |of: &SharesOf| {
            let (account, tally) = of.tally()?;
            Ok(SliceRow { account, rate: RateId(of.rate), tally })
        };
        let rows: Vec<SliceRow> = self.rows.iter().map(row).collect::<Result<_, _>>()?;
        if !rows.is_sorted_by(|a, b| (a.account, a.rate) < (b.account, b.rate)) {
            return Err(Unreadable("a slice whose rows are not in order"));
        }
        let mut total = Tally::default();
        rows.iter().for_each(|row| total.add(row.tally));
        let revoked: Vec<_> = self.revoked.iter().map(SharesOf::tally).collect::<Result<_, _>>()?;
        if !covers(&rows, &revoked) {
            return Err(Unreadable("more is revoked than there was"));
        }
        Ok(SourcedSlice {
            slice: SealedSlice {
                pool,
                no: SliceNo(place(self.no)?),
                first: ShareSeq(place(self.first)?),
                last: ShareSeq(place(self.last)?),
                rows,
                total,
                hash: from_hex(&self.hash)?,
            },
            revoked,
        })
    }

    /// The rates that its rows name, each checked against its number, which is made from its content.
    ///
    /// # Errors
    /// When a number is none, or does not belong to the rate.
    pub fn priced(&self) -> Result<Vec<(RateId, Rate)>, Unreadable> {
        let rate = |of: &RateOf| {
            let rate = Rate { network_work: of.network_work.0, value: amount(of.value) };
            match rate.id() == RateId(of.rate) {
                true => Ok((rate.id(), rate)),
                false => Err(Unreadable("a rate whose number is another's")),
            }
        };
        self.rates.iter().map(rate).collect()
    }

    /// What its shares were bought for, as the pool's own audit has it.
    ///
    /// # Errors
    /// When a number is none.
    pub fn credits(&self) -> Result<Vec<SliceCredit>, Unreadable> {
        let carry = |text: &str| text.parse().map(Carry).map_err(|_| Unreadable("a carry"));
        let credit = |of: &PaidOf| {
            Ok(SliceCredit {
                account: AccountId(of.account),
                fee_bps: BasisPoints::new(of.fee_bps).map_err(|_| Unreadable("a fee"))?,
                net: amount(of.net),
                carry_before: carry(&of.carry_before)?,
                carry_after: carry(&of.carry_after)?,
            })
        };
        self.paid.iter().map(credit).collect()
    }
}

impl SharesOf {
    fn tally(&self) -> Result<(AccountId, Tally), Unreadable> {
        let shares = Some(self.shares).filter(|shares| *shares < SHARES_MAX);
        let shares = shares.ok_or(Unreadable("a number of shares"))?;
        let tally = Tally { weight: self.work.0, shares };
        Ok((AccountId(self.account), tally))
    }
}

/// Is nothing revoked that is not in the rows?
fn covers(rows: &[SliceRow], revoked: &[(AccountId, Tally)]) -> bool {
    let mut left: BTreeMap<AccountId, Tally> = BTreeMap::new();
    rows.iter().for_each(|row| left.entry(row.account).or_default().add(row.tally));
    revoked.iter().all(|(account, tally)| {
        let Some(left) = left.get_mut(account) else { return false };
        let fits = tally.weight <= left.weight && tally.shares <= left.shares;
        if fits {
            left.subtract(*tally);
        }
        fits
    })
}
