//! An hour's budget among those who earned reputation in it, and a report that anybody can compute again.
//!
//! The fee comes first, nobody's owner gets more than the ceiling, what is left over is in the next budget. Money is divided in
//! `accounting` only. Invariant: the same earnings give the same bytes, whenever and wherever the epoch is closed.

use crate::key::{PublicKey, Signature, SigningKey};
use crate::merkle::{self, Hash};
use crate::reputation::Reputation;
use accounting::budget::Budget;
use accounting::reward::Reward;
use accounting::share::WeightSum;
use accounting::{AccountId, Amount, BasisPoints, Scheme};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The number of an epoch: whole epochs since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochNo(pub u64);

impl EpochNo {
    /// In which epoch something happened.
    #[must_use]
    pub const fn at(time_s: u64, length_s: u64) -> Self {
        EpochNo(time_s / length_s)
    }

    /// When it ends, in unix seconds.
    #[must_use]
    pub const fn ends_at_s(self, length_s: u64) -> u64 {
        (self.0 + 1) * length_s
    }
}

/// What was earned by one miner in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Who.
    pub miner: PublicKey,
    /// Their number in the ledger.
    pub account: AccountId,
    /// Whom they belong to; themselves, when no coldkey is known.
    pub owner: PublicKey,
    /// How much.
    pub reputation: Reputation,
}

/// How an epoch is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What is divided, the carry from the epoch before among it.
    pub budget: Amount,
    /// The pool's part.
    pub fee: BasisPoints,
    /// The most for one owner.
    pub cap: BasisPoints,
}

/// One miner's line of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The hotkey.
    pub miner: String,
    /// Their number in the ledger, by which ties are decided.
    pub account: u64,
    /// The coldkey that counts for the ceiling, or the hotkey itself.
    pub owner: String,
    /// In millionths.
    pub reputation: Reputation,
    /// In the smallest unit.
    pub amount: Amount,
}

/// How an epoch was paid, with everything that it was computed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which.
    pub epoch: EpochNo,
    /// What was divided.
    pub budget: Amount,
    /// Basis points of it for the pool.
    pub fee_bps: u16,
    /// That in units.
    pub fee: Amount,
    /// Basis points of it that one owner may get.
    pub cap_bps: u16,
    /// By hotkey, ascending.
    pub lines: Vec<Line>,
    /// What goes into the next budget.
    pub carry: Amount,
    /// The Merkle root over the lines.
    pub root: String,
}

/// How a report differs from what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// It is about something else.
    #[error("the reward divides no budget")]
    NoBudget,
    /// Somebody's reputation.
    #[error("the epoch's report gives account {0} another reputation than its work in the ledger")]
    Work(u64),
    /// Budget or fee.
    #[error("the epoch's report names another budget or fee than the ledger")]
    Terms,
    /// Somebody's part.
    #[error("the epoch's report gives account {0} another part than the ledger")]
    Part(u64),
    /// Somebody is missing, or too many are there.
    #[error("the epoch's report pays others than the ledger")]
    Length,
    /// It contradicts itself.
    #[error("the epoch's report does not follow from its own lines")]
    Lines,
    /// A line that nobody could prove.
    #[error("a line of the epoch's report is not under its root")]
    Proof,
}

/// Closes an epoch, by the ledger's own rule: so the report says what the ledger credits.
#[must_use]
pub fn close(epoch: EpochNo, terms: &Terms, tallies: &[Tally]) -> Report {
    let work: Vec<(AccountId, WeightSum)> =
        tallies.iter().map(|tally| (tally.account, tally.reputation.0.into())).collect();
    let divided = budget(terms, tallies).divide(terms.cap, &work);
    let parts: BTreeMap<AccountId, Amount> = divided.parts.into_iter().collect();
    let mut paid: Vec<(&Tally, Amount)> =
        tallies.iter().filter_map(|tally| Some((tally, *parts.get(&tally.account)?))).collect();
    paid.sort_unstable_by_key(|(tally, _)| tally.miner);
    let line = |(tally, amount): (&Tally, Amount)| Line {
        miner: tally.miner.to_string(),
        account: tally.account.0,
        owner: tally.owner.to_string(),
        reputation: tally.reputation,
        amount,
    };
    let lines: Vec<Line> = paid.into_iter().map(line).collect();
    let root = hex(&merkle::root(&leaves(&lines)));
    Report {
        epoch,
        budget: terms.budget,
        fee_bps: terms.fee.points(),
        fee: divided.fee,
        cap_bps: terms.cap.points(),
        lines,
        carry: divided.left,
        root,
    }
}

/// What the ledger is told to divide: the accounts of one owner belong together.
#[must_use]
pub fn budget(terms: &Terms, tallies: &[Tally]) -> Budget {
    let mut owners: BTreeMap<PublicKey, Vec<AccountId>> = BTreeMap::new();
    for tally in tallies {
        owners.entry(tally.owner).or_default().push(tally.account);
    }
    let owners = owners.into_values().filter(|accounts| accounts.len() > 1).collect();
    Budget { total: terms.budget, fee: terms.fee, owners }
}

/// Is every account one miner's?
fn are_apart(tallies: &[Tally]) -> bool {
    let accounts: BTreeSet<AccountId> = tallies.iter().map(|tally| tally.account).collect();
    accounts.len() == tallies.len()
}

fn leaves(lines: &[Line]) -> Vec<Hash> {
    lines.iter().map(Line::leaf).collect()
}

impl Line {
    /// Its leaf: the hash of its JSON, the fields in the report's order.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        merkle::leaf(&serde_json::to_vec(self).expect("a line is JSON"))
    }
}

impl Report {
    /// Its bytes: what is signed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a report is JSON")
    }

    /// The message that the pool signs: its own, so that it is good for nothing else.
    #[must_use]
    pub fn message(&self) -> String {
        format!("adit epoch report {}: {}", self.epoch.0, hex(&Sha256::digest(self.bytes())))
    }

    /// Signs it.
    #[must_use]
    pub fn signed(&self, pool: &SigningKey) -> Signature {
        pool.sign(self.message().as_bytes())
    }

    /// Computes it again from its own lines: is it what the rules give?
    #[must_use]
    pub fn recomputes(&self) -> bool {
        let fee = BasisPoints::new(self.fee_bps);
        let cap = BasisPoints::new(self.cap_bps);
        let tally = |line: &Line| {
            let (miner, owner) = (line.miner.parse().ok()?, line.owner.parse().ok()?);
            let (account, reputation) = (AccountId(line.account), line.reputation);
            Some(Tally { miner, account, owner, reputation })
        };
        let tallies: Option<Vec<Tally>> = self.lines.iter().map(tally).collect();
        match (fee, cap, tallies) {
            (Ok(fee), Ok(cap), Some(tallies))
                if self.budget >= Amount::ZERO && are_apart(&tallies) =>
            {
                close(self.epoch, &Terms { budget: self.budget, fee, cap }, &tallies) == *self
            }
            _ => false,
        }
    }

    /// Is this what the ledger booked?
    ///
    /// # Errors
    /// What differs.
    pub fn agrees_with(&self, reward: &Reward) -> Result<(), Disagreement> {
        let (Some(budget), Some(split)) = (&reward.budget, &reward.split) else {
            return Err(Disagreement::NoBudget);
        };
        if (budget.total, budget.fee.points()) != (self.budget, self.fee_bps) {
            return Err(Disagreement::Terms);
        }
        if !matches!(reward.scheme, Scheme::Budget { cap } if cap.points() == self.cap_bps) {
            return Err(Disagreement::Terms);
        }
        let Some(window) = &reward.window else { return Err(Disagreement::NoBudget) };
        let work: BTreeMap<u64, WeightSum> =
            window.rows.iter().map(|(account, work)| (account.0, *work)).collect();
        let invented = |line: &&Line| work.get(&line.account) != Some(&line.reputation.0.into());
        if let Some(line) = self.lines.iter().find(invented) {
            return Err(Disagreement::Work(line.account));
        }
        let mut said: Vec<(u64, Amount)> =
            self.lines.iter().map(|line| (line.account, line.amount)).collect();
        said.sort_unstable();
        let booked: Vec<(u64, Amount)> =
            split.rows.iter().map(|row| (row.account.0, row.net)).collect();
        let other = said.iter().zip(&booked).find(|(said, booked)| said != booked);
        match other {
            Some((said, _)) => Err(Disagreement::Part(said.0)),
            None if said.len() != booked.len() => Err(Disagreement::Length),
            None if self.fee != split.fees => Err(Disagreement::Terms),
            None => Ok(()),
        }
    }

    /// Does it follow from its own lines, and can each be proved under its root?
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), Disagreement> {
        if !self.recomputes() {
            return Err(Disagreement::Lines);
        }
        let leaves = leaves(&self.lines);
        let top = merkle::root(&leaves);
        for (place, leaf) in leaves.iter().enumerate() {
            let path = merkle::proof(&leaves, place).ok_or(Disagreement::Proof)?;
            if !merkle::is_proved(leaf, place, leaves.len(), &path, &top) || hex(&top) != self.root
            {
                return Err(Disagreement::Proof);
            }
        }
        Ok(())
    }

    /// A miner's line, its place, and the proof that it is under the root.
    #[must_use]
    pub fn proof(&self, miner: &PublicKey) -> Option<(usize, &Line, Vec<Hash>)> {
        let name = miner.to_string();
        let place = self.lines.iter().position(|line| line.miner == name)?;
        Some((place, self.lines.get(place)?, merkle::proof(&leaves(&self.lines), place)?))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(who: u8) -> PublicKey {
        PublicKey::from_bytes([who; 32])
    }

    fn tally(miner: u8, owner: u8, reputation: u64) -> Tally {
        let account = AccountId(miner.into());
        Tally { miner: key(miner), account, owner: key(owner), reputation: Reputation(reputation) }
    }

    fn terms(budget: i128) -> Terms {
        let bps = |points| BasisPoints::new(points).unwrap();
        Terms { budget: Amount::from_units(budget), fee: bps(500), cap: bps(500) }
    }

    #[test]
    fn many_hotkeys_of_one_owner_have_one_ceiling() {
        let mut tallies: Vec<Tally> = (1..=4).map(|miner| tally(miner, 99, 1_000_000)).collect();
        tallies.extend((10..60).map(|miner| tally(miner, miner, 100_000)));
        let report = close(EpochNo(7), &terms(1_000_000_000), &tallies);
        let of_owner: i128 = report.lines[..4].iter().map(|line| line.amount.units()).sum();
        assert_eq!(of_owner, 50_000_000);
        assert_eq!(report.lines[10].amount.units(), 18_000_000);
        assert_eq!(report.carry, Amount::ZERO);
    }

    #[test]
    fn a_report_recomputes_and_a_changed_one_does_not() {
        let tallies: Vec<Tally> =
            (1..=30).map(|who| tally(who, who, u64::from(who) * 333_333)).collect();
        let report = close(EpochNo(7), &terms(1_000_000_007), &tallies);
        let mut backwards = tallies;
        backwards.reverse();
        assert_eq!(close(EpochNo(7), &terms(1_000_000_007), &backwards).bytes(), report.bytes());
        assert!(report.recomputes());
        let read: Report = serde_json::from_slice(&report.bytes()).unwrap();
        assert_eq!(read, report);
        let mut greedy = report.clone();
        greedy.fee = greedy.fee.add(Amount::ONE);
        assert!(!greedy.recomputes());
        let mut moved = report.clone();
        moved.lines[3].amount = moved.lines[3].amount.add(Amount::ONE);
        moved.lines[4].amount = moved.lines[4].amount.sub(Amount::ONE);
        assert!(!moved.recomputes());
        let pool = SigningKey::from_seed(&[9; 32]);
        let signature = report.signed(&pool);
        assert!(pool.public().signed(report.message().as_bytes(), &signature));
        assert!(!pool.public().signed(moved.message().as_bytes(), &signature));
    }

    #[test]
    fn everybody_can_prove_their_line() {
        let tallies: Vec<Tally> = (1..=30).map(|who| tally(who, who, 5)).collect();
        let report = close(EpochNo(7), &terms(1000), &tallies);
        let top = merkle::root(&leaves(&report.lines));
        assert_eq!(hex(&top), report.root);
        for who in 1..=30 {
            let (place, line, path) = report.proof(&key(who)).unwrap();
            assert!(merkle::is_proved(&line.leaf(), place, 30, &path, &top));
        }
        assert_eq!(report.proof(&key(99)), None);
    }

    #[test]
    fn an_hour_in_which_nobody_earned_is_carried_whole() {
        let report = close(EpochNo(7), &terms(1000), &[]);
        assert_eq!((report.fee.units(), report.carry.units()), (0, 1000));
        assert!(report.recomputes());
    }
}
