//! Double entry: every movement of money is a transfer from one account to another, in linked sets that are pending,
//! posted or voided.
//!
//! Invariants, kept on every step: debits equal credits; nothing with a limit is overdrawn; a set is resolved at most
//! once; a key is never reused with other content (the same content again is no movement at all).

use crate::Amount;
use crate::id::{AccountId, AssetId, PayoutId, PoolId, RewardId, SliceNo};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// One side of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// What the pool holds on chain.
    Wallet,
    /// What is owed to an account.
    Account(AccountId),
    /// What the pool has earned.
    Fees,
    /// What carries the luck of PPS and FPPS.
    Bankroll,
    /// Transaction fees the pool has paid.
    NetworkFee,
    /// What was credited and paid, and then turned out not to exist.
    Loss,
    /// What blocks paid an account by their own coinbase.
    PaidByBlock(AccountId),
    /// Where [`Kind::PaidByBlock`] came from.
    BlockIncome,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Wallet => f.write_str("wallet"),
            Kind::Account(id) => write!(f, "account/{id}"),
            Kind::Fees => f.write_str("fees"),
            Kind::Bankroll => f.write_str("bankroll"),
            Kind::NetworkFee => f.write_str("network_fee"),
            Kind::Loss => f.write_str("loss"),
            Kind::PaidByBlock(id) => write!(f, "paid_by_block/{id}"),
            Kind::BlockIncome => f.write_str("block_income"),
        }
    }
}

/// Stored text that names no ledger account, set or state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a name the ledger writes")]
pub struct UnknownName(pub String);

impl FromStr for Kind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let unknown = || UnknownName(text.to_owned());
        let account = |id: &str| id.parse().map(AccountId).map_err(|_| unknown());
        match (text, text.split_once('/')) {
            ("wallet", _) => Ok(Kind::Wallet),
            ("fees", _) => Ok(Kind::Fees),
            ("bankroll", _) => Ok(Kind::Bankroll),
            ("network_fee", _) => Ok(Kind::NetworkFee),
            ("loss", _) => Ok(Kind::Loss),
            ("block_income", _) => Ok(Kind::BlockIncome),
            (_, Some(("account", id))) => account(id).map(Kind::Account),
            (_, Some(("paid_by_block", id))) => account(id).map(Kind::PaidByBlock),
            _ => Err(unknown()),
        }
    }
}

/// A movement of money from `debit` to `credit`.
///
/// Debiting the wallet means that coins came in; debiting an account means that less is owed to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// The debited side.
    pub debit: Kind,
    /// The credited side.
    pub credit: Kind,
    /// How much; positive.
    pub amount: Amount,
}

/// Names a set: its key for idempotence.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SetKey {
    /// The credits of a reward; a new generation each time the block comes back into the chain.
    Reward {
        /// Which reward.
        id: RewardId,
        /// Which time.
        generation: u32,
    },
    /// Taking back a reward that was posted and then left the chain.
    Reversal {
        /// Which reward.
        id: RewardId,
        /// The generation taken back.
        generation: u32,
    },
    /// A slice bought under PPS or FPPS.
    Slice {
        /// The pool.
        pool: PoolId,
        /// The slice.
        no: SliceNo,
    },
    /// The debits of a payout; a new round for every version signed and every return to the chain.
    Payout {
        /// Which payout.
        id: PayoutId,
        /// Which round.
        round: u32,
    },
    /// Giving back what a payout debited that had been posted and can never confirm again.
    PayoutReturn {
        /// Which payout.
        id: PayoutId,
        /// Which round is given back.
        round: u32,
    },
    /// A payout that confirmed when its debits were no longer reserved: a fact, booked whatever the wallet says.
    PayoutLate {
        /// Which payout.
        id: PayoutId,
        /// Which round.
        round: u32,
    },
    /// Something the operator did by hand, by its number in the log of acts.
    Act(u64),
    /// Coins that were put into the wallet, by what the operator calls them (their transaction, say).
    Deposit(String),
}

impl fmt::Display for SetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetKey::Reward { id, generation } => write!(f, "reward/{id}/{generation}"),
            SetKey::Reversal { id, generation } => write!(f, "reversal/{id}/{generation}"),
            SetKey::Slice { pool, no } => write!(f, "slice/{pool}/{no}"),
            SetKey::Payout { id, round } => write!(f, "payout/{id}/{round}"),
            SetKey::PayoutReturn { id, round } => write!(f, "payout_return/{id}/{round}"),
            SetKey::PayoutLate { id, round } => write!(f, "payout_late/{id}/{round}"),
            SetKey::Act(number) => write!(f, "act/{number}"),
            SetKey::Deposit(reference) => write!(f, "deposit/{reference}"),
        }
    }
}

impl FromStr for SetKey {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let parse = || {
            let mut parts = text.split('/');
            let (kind, first, second) = (parts.next()?, parts.next()?, parts.next());
            let key = match (kind, second) {
                ("reward", Some(g)) => {
                    SetKey::Reward { id: first.parse().ok()?, generation: g.parse().ok()? }
                }
                ("reversal", Some(g)) => {
                    SetKey::Reversal { id: first.parse().ok()?, generation: g.parse().ok()? }
                }
                ("slice", Some(no)) => SetKey::Slice {
                    pool: PoolId(first.parse().ok()?),
                    no: SliceNo(no.parse().ok()?),
                },
                ("payout", Some(r)) => {
                    SetKey::Payout { id: PayoutId(first.parse().ok()?), round: r.parse().ok()? }
                }
                ("payout_return", Some(r)) => SetKey::PayoutReturn {
                    id: PayoutId(first.parse().ok()?),
                    round: r.parse().ok()?,
                },
                ("payout_late", Some(r)) => {
                    SetKey::PayoutLate { id: PayoutId(first.parse().ok()?), round: r.parse().ok()? }
                }
                ("act", None) => SetKey::Act(first.parse().ok()?),
                ("deposit", None) => SetKey::Deposit(first.to_owned()),
                _ => return None,
            };
            parts.next().is_none().then_some(key)
        };
        parse().ok_or_else(|| UnknownName(text.to_owned()))
    }
}

/// Transfers that happen together or not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferSet {
    /// Its name.
    pub key: SetKey,
    /// The money that moves.
    pub asset: AssetId,
    /// The movements; none empty.
    pub transfers: Vec<Transfer>,
}

impl TransferSet {
    /// Names the contents, so that a key is never reused for others.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(format!("adit set 1\n{}\n{}\n", self.key, self.asset));
        for Transfer { debit, credit, amount } in &self.transfers {
            hasher.update(format!("{debit} {credit} {amount}\n"));
        }
        hasher.finalize().into()
    }

    /// The same movements backwards, under another name.
    #[must_use]
    pub fn inverse(&self, key: SetKey) -> TransferSet {
        let back = |t: &Transfer| Transfer { debit: t.credit, credit: t.debit, amount: t.amount };
        TransferSet { key, asset: self.asset, transfers: self.transfers.iter().map(back).collect() }
    }
}

/// Where a set stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetState {
    /// Reserved: it may still be voided.
    Pending,
    /// Done.
    Posted,
    /// Never happened.
    Voided,
}

impl SetState {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SetState::Pending => "pending",
            SetState::Posted => "posted",
            SetState::Voided => "voided",
        }
    }
}

impl FromStr for SetState {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [SetState::Pending, SetState::Posted, SetState::Voided]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned()))
    }
}

/// One step of the ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Posting {
    /// Reserve a set.
    Pend(TransferSet),
    /// Enter a set at once.
    Enter(TransferSet),
    /// A pending set happened.
    Post(SetKey),
    /// A pending set did not happen.
    Void(SetKey),
}

/// The four running sums of a ledger account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Balance {
    /// Debits reserved.
    pub debits_pending: Amount,
    /// Debits done.
    pub debits_posted: Amount,
    /// Credits reserved.
    pub credits_pending: Amount,
    /// Credits done.
    pub credits_posted: Amount,
}

impl Balance {
    /// What is owed and may be taken out now: posted credits less posted and reserved debits.
    #[must_use]
    pub fn available(&self) -> Amount {
        self.credits_posted.sub(self.debits_posted).sub(self.debits_pending)
    }

    /// Posted credits less posted debits; for the wallet and other debit accounts the sign is the other way round.
    #[must_use]
    pub fn posted(&self) -> Amount {
        self.credits_posted.sub(self.debits_posted)
    }

    /// What a wallet holds and has not reserved: posted debits less posted and reserved credits.
    #[must_use]
    pub fn uncommitted(&self) -> Amount {
        self.debits_posted.sub(self.credits_posted).sub(self.credits_pending)
    }
}

/// Why the ledger did not take a step. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A set without transfers, or a transfer of nothing, of less, or from an account to itself.
    #[error("set {0} has an empty, negative or circular transfer")]
    Malformed(SetKey),
    /// The key names another set.
    #[error("set {0} exists with other content")]
    KeyReused(SetKey),
    /// The set was never reserved.
    #[error("set {0} does not exist")]
    Unknown(SetKey),
    /// Posting what was voided, or the other way round.
    #[error("set {0} is {1:?} already")]
    AlreadyResolved(SetKey, SetState),
    /// More would be taken out than is there.
    #[error("set {set}: {kind} would be overdrawn by {missing}")]
    Overdrawn {
        /// The set.
        set: SetKey,
        /// The account.
        kind: Kind,
        /// By how much.
        missing: Amount,
    },
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// It changed balances.
    Now,
    /// It had been done before.
    Before,
}

#[derive(Clone, Debug)]
struct Known {
    state: SetState,
    hash: [u8; 32],
    /// Kept while pending only.
    set: Option<TransferSet>,
}

/// All balances, and every set's name and state.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    balances: HashMap<(AssetId, Kind), Balance>,
    sets: HashMap<SetKey, Known>,
}

#[derive(Clone, Copy)]
enum Column {
    Pending,
    Posted,
}

/// A set as it was stored: its name, where it stands, its content's hash, and the content itself while pending.
#[derive(Clone, Debug)]
pub struct StoredSet {
    /// Its name.
    pub key: SetKey,
    /// Where it stands.
    pub state: SetState,
    /// [`TransferSet::hash`].
    pub hash: [u8; 32],
    /// Its movements, needed only while they can still be voided.
    pub pending: Option<TransferSet>,
}

impl Ledger {
    /// The ledger as it was stored.
    #[must_use]
    pub fn restore(
        balances: impl IntoIterator<Item = (AssetId, Kind, Balance)>,
        sets: impl IntoIterator<Item = StoredSet>,
    ) -> Ledger {
        let balances =
            balances.into_iter().map(|(asset, kind, balance)| ((asset, kind), balance)).collect();
        let known = |s: StoredSet| (s.key, Known { state: s.state, hash: s.hash, set: s.pending });
        Ledger { balances, sets: sets.into_iter().map(known).collect() }
    }

    /// Takes one step.
    ///
    /// # Errors
    /// See [`Refusal`]; the ledger is unchanged then.
    pub fn apply(&mut self, posting: &Posting) -> Result<Applied, Refusal> {
        match posting {
            Posting::Pend(set) => self.open(set, Column::Pending),
            Posting::Enter(set) => self.open(set, Column::Posted),
            Posting::Post(key) => self.resolve(key, SetState::Posted),
            Posting::Void(key) => self.resolve(key, SetState::Voided),
        }
    }

    /// The balance of one ledger account.
    #[must_use]
    pub fn balance(&self, asset: AssetId, kind: Kind) -> Balance {
        self.balances.get(&(asset, kind)).copied().unwrap_or_default()
    }

    /// Every ledger account that ever moved, in no order.
    pub fn balances(&self) -> impl Iterator<Item = (AssetId, Kind, Balance)> + '_ {
        self.balances.iter().map(|(&(asset, kind), &balance)| (asset, kind, balance))
    }

    /// A set that is still pending.
    #[must_use]
    pub fn pending(&self, key: &SetKey) -> Option<&TransferSet> {
        self.sets.get(key).and_then(|known| known.set.as_ref())
    }

    /// The state of a set, if it was ever heard of.
    #[must_use]
    pub fn state(&self, key: &SetKey) -> Option<SetState> {
        self.sets.get(key).map(|known| known.state)
    }

    /// What is owed to all accounts of an asset: posted credits less posted debits (reserved payouts are still owed).
    #[must_use]
    pub fn liabilities(&self, asset: AssetId) -> Amount {
        let owed =
            self.balances().filter(|(a, kind, _)| *a == asset && matches!(kind, Kind::Account(_)));
        owed.map(|(_, _, balance)| balance.posted()).sum()
    }

    /// Do debits equal credits in every asset, pending and posted?
    #[must_use]
    pub fn balances_to_zero(&self) -> bool {
        let mut sums: HashMap<AssetId, (Amount, Amount)> = HashMap::new();
        for (asset, _, balance) in self.balances() {
            let (pending, posted) = sums.entry(asset).or_default();
            *pending = pending.add(balance.debits_pending).sub(balance.credits_pending);
            *posted = posted.add(balance.debits_posted).sub(balance.credits_posted);
        }
        sums.values().all(|(pending, posted)| pending.is_zero() && posted.is_zero())
    }

    fn open(&mut self, set: &TransferSet, column: Column) -> Result<Applied, Refusal> {
        let malformed = |t: &Transfer| !t.amount.is_positive() || t.debit == t.credit;
        if set.transfers.is_empty() || set.transfers.iter().any(malformed) {
            return Err(Refusal::Malformed(set.key.clone()));
        }
        let hash = set.hash();
        if let Some(known) = self.sets.get(&set.key) {
            return if known.hash == hash {
                Ok(Applied::Before)
            } else {
                Err(Refusal::KeyReused(set.key.clone()))
            };
        }
        self.refuse_overdraft(set, column)?;
        // From here it must succeed.
        self.move_all(set, column, Amount::add);
        let (state, kept) = match column {
            Column::Pending => (SetState::Pending, Some(set.clone())),
            Column::Posted => (SetState::Posted, None),
        };
        self.sets.insert(set.key.clone(), Known { state, hash, set: kept });
        Ok(Applied::Now)
    }

    fn resolve(&mut self, key: &SetKey, to: SetState) -> Result<Applied, Refusal> {
        let known = self.sets.get_mut(key).ok_or_else(|| Refusal::Unknown(key.clone()))?;
        if known.state == to {
            return Ok(Applied::Before);
        }
        let Some(set) = known.set.take() else {
            return Err(Refusal::AlreadyResolved(key.clone(), known.state));
        };
        known.state = to;
        self.move_all(&set, Column::Pending, Amount::sub);
        if to == SetState::Posted {
            self.move_all(&set, Column::Posted, Amount::add);
        }
        Ok(Applied::Now)
    }

    /// Accounts, fees and the bankroll never go below zero; the wallet not by a payout (a reversal may say that coins
    /// are gone which were paid out already: that is what `loss` and the coverage check are for).
    fn refuse_overdraft(&self, set: &TransferSet, column: Column) -> Result<(), Refusal> {
        let mut change: HashMap<Kind, Amount> = HashMap::new();
        for transfer in &set.transfers {
            let debit = change.entry(transfer.debit).or_default();
            *debit = debit.sub(transfer.amount);
            if matches!(column, Column::Posted) {
                let credit = change.entry(transfer.credit).or_default();
                *credit = credit.add(transfer.amount);
            }
        }
        for (kind, change) in change {
            let after = self.balance(set.asset, kind).available().add(change);
            // What was accepted must be paid: shares that turn out dearer than the bankroll leave it in debt.
            let is_bought = matches!(set.key, SetKey::Slice { .. });
            let has_limit = match kind {
                Kind::Account(_) | Kind::Fees => true,
                Kind::Bankroll => !is_bought,
                _ => false,
            };
            if has_limit && after < Amount::ZERO && change < Amount::ZERO {
                let missing = Amount::ZERO.sub(after);
                return Err(Refusal::Overdrawn { set: set.key.clone(), kind, missing });
            }
        }
        let from_wallet: Amount =
            set.transfers.iter().filter(|t| t.credit == Kind::Wallet).map(|t| t.amount).sum();
        let left = self.balance(set.asset, Kind::Wallet).uncommitted().sub(from_wallet);
        if matches!(set.key, SetKey::Payout { .. }) && left < Amount::ZERO {
            let missing = Amount::ZERO.sub(left);
            return Err(Refusal::Overdrawn { set: set.key.clone(), kind: Kind::Wallet, missing });
        }
        Ok(())
    }

    fn move_all(&mut self, set: &TransferSet, column: Column, by: fn(Amount, Amount) -> Amount) {
        for transfer in &set.transfers {
            let debited = self.balances.entry((set.asset, transfer.debit)).or_default();
            let debits = match column {
                Column::Pending => &mut debited.debits_pending,
                Column::Posted => &mut debited.debits_posted,
            };
            *debits = by(*debits, transfer.amount);
            let credited = self.balances.entry((set.asset, transfer.credit)).or_default();
            let credits = match column {
                Column::Pending => &mut credited.credits_pending,
                Column::Posted => &mut credited.credits_posted,
            };
            *credits = by(*credits, transfer.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BTC: AssetId = AssetId(1);
    const ALICE: Kind = Kind::Account(AccountId(1));

    fn set(key: u64, transfers: &[(Kind, Kind, i128)]) -> TransferSet {
        let transfers = transfers
            .iter()
            .map(|&(debit, credit, n)| Transfer { debit, credit, amount: Amount::from_units(n) })
            .collect();
        TransferSet { key: SetKey::Act(key), asset: BTC, transfers }
    }

    fn available(ledger: &Ledger) -> i128 {
        ledger.balance(BTC, ALICE).available().units()
    }

    #[test]
    fn pending_credit_is_not_available_until_posted() {
        let mut ledger = Ledger::default();
        ledger.apply(&Posting::Pend(set(1, &[(Kind::Wallet, ALICE, 50)]))).unwrap();
        assert_eq!(available(&ledger), 0);
        ledger.apply(&Posting::Post(SetKey::Act(1))).unwrap();
        assert_eq!(available(&ledger), 50);
        assert_eq!(ledger.liabilities(BTC).units(), 50);
    }

    #[test]
    fn a_reserved_debit_is_not_available_and_comes_back_when_voided() {
        let mut ledger = Ledger::default();
        ledger.apply(&Posting::Enter(set(1, &[(Kind::Wallet, ALICE, 50)]))).unwrap();
        ledger.apply(&Posting::Pend(set(2, &[(ALICE, Kind::Wallet, 30)]))).unwrap();
        assert_eq!(available(&ledger), 20);
        assert_eq!(ledger.liabilities(BTC).units(), 50, "what is in flight is still owed");
        ledger.apply(&Posting::Void(SetKey::Act(2))).unwrap();
        assert_eq!(available(&ledger), 50);
    }

    #[test]
    fn nobody_is_overdrawn_even_by_a_pending_debit() {
        let mut ledger = Ledger::default();
        ledger.apply(&Posting::Enter(set(1, &[(Kind::Wallet, ALICE, 50)]))).unwrap();
        ledger.apply(&Posting::Pend(set(2, &[(ALICE, Kind::Wallet, 30)]))).unwrap();
        let refused =
            ledger.apply(&Posting::Pend(set(3, &[(ALICE, Kind::Wallet, 21)]))).unwrap_err();
        assert_eq!(
            refused,
            Refusal::Overdrawn { set: SetKey::Act(3), kind: ALICE, missing: Amount::ONE }
        );
        assert_eq!(available(&ledger), 20, "a refusal changes nothing");
        assert_eq!(ledger.state(&SetKey::Act(3)), None);
    }

    #[test]
    fn shares_that_were_bought_are_paid_even_where_the_bankroll_falls_into_debt() {
        let mut ledger = Ledger::default();
        let mut bought = set(0, &[(Kind::Bankroll, ALICE, 7)]);
        bought.key = SetKey::Slice { pool: crate::PoolId(1), no: crate::SliceNo(1) };
        assert_eq!(ledger.apply(&Posting::Enter(bought)), Ok(Applied::Now));
        let other = set(1, &[(Kind::Bankroll, ALICE, 1)]);
        assert!(matches!(ledger.apply(&Posting::Enter(other)), Err(Refusal::Overdrawn { .. })));
    }

    #[test]
    fn a_payout_never_takes_more_than_the_wallet_holds() {
        let mut ledger = Ledger::default();
        ledger
            .apply(&Posting::Enter(set(
                1,
                &[(Kind::Wallet, Kind::Bankroll, 10), (Kind::Bankroll, ALICE, 10)],
            )))
            .unwrap();
        ledger.apply(&Posting::Enter(set(2, &[(Kind::Loss, Kind::Wallet, 4)]))).unwrap();
        let mut payout = set(0, &[(ALICE, Kind::Wallet, 7)]);
        payout.key = SetKey::Payout { id: PayoutId(1), round: 0 };
        let refused = ledger.apply(&Posting::Pend(payout)).unwrap_err();
        assert!(matches!(refused, Refusal::Overdrawn { kind: Kind::Wallet, .. }), "{refused}");
    }

    #[test]
    fn the_same_step_twice_moves_money_once_and_other_content_is_refused() {
        let mut ledger = Ledger::default();
        let first = Posting::Enter(set(1, &[(Kind::Wallet, ALICE, 50)]));
        assert_eq!(ledger.apply(&first), Ok(Applied::Now));
        assert_eq!(ledger.apply(&first), Ok(Applied::Before));
        assert_eq!(available(&ledger), 50);
        let other = Posting::Enter(set(1, &[(Kind::Wallet, ALICE, 51)]));
        assert_eq!(ledger.apply(&other), Err(Refusal::KeyReused(SetKey::Act(1))));
    }

    #[test]
    fn a_set_is_resolved_at_most_once() {
        let mut ledger = Ledger::default();
        ledger.apply(&Posting::Pend(set(1, &[(Kind::Wallet, ALICE, 50)]))).unwrap();
        assert_eq!(ledger.apply(&Posting::Void(SetKey::Act(1))), Ok(Applied::Now));
        assert_eq!(ledger.apply(&Posting::Void(SetKey::Act(1))), Ok(Applied::Before));
        let late = ledger.apply(&Posting::Post(SetKey::Act(1)));
        assert_eq!(late, Err(Refusal::AlreadyResolved(SetKey::Act(1), SetState::Voided)));
        assert_eq!(
            ledger.apply(&Posting::Post(SetKey::Act(9))),
            Err(Refusal::Unknown(SetKey::Act(9)))
        );
    }

    #[test]
    fn malformed_sets_are_refused() {
        let mut ledger = Ledger::default();
        for transfers in [
            vec![],
            vec![(Kind::Wallet, ALICE, 0)],
            vec![(Kind::Wallet, ALICE, -1)],
            vec![(ALICE, ALICE, 1)],
        ] {
            let refused = ledger.apply(&Posting::Enter(set(1, &transfers)));
            assert_eq!(refused, Err(Refusal::Malformed(SetKey::Act(1))));
        }
    }

    #[test]
    fn names_read_back() {
        let id = RewardId([7; 32]);
        let (pool, no, payout) = (PoolId(3), SliceNo(4), PayoutId(5));
        let keys = [
            SetKey::Reward { id, generation: 2 },
            SetKey::Reversal { id, generation: 1 },
            SetKey::Slice { pool, no },
            SetKey::Payout { id: payout, round: 6 },
            SetKey::PayoutReturn { id: payout, round: 6 },
            SetKey::PayoutLate { id: payout, round: 6 },
            SetKey::Act(9),
        ];
        for key in keys {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        let one = AccountId(1);
        for kind in [
            Kind::Wallet,
            ALICE,
            Kind::Fees,
            Kind::Bankroll,
            Kind::NetworkFee,
            Kind::Loss,
            Kind::PaidByBlock(one),
            Kind::BlockIncome,
        ] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for bad in ["", "wallet/1", "account/", "account/x", "act/1/2", "reward/00/1", "payout/1"] {
            assert!(
                bad.parse::<SetKey>().is_err() && bad.parse::<Kind>().is_err() || bad == "wallet/1",
                "{bad}"
            );
        }
    }
}
