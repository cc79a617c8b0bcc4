//! Money that moved without the books: spends of the wallet that they do not know, and coins put into it by hand.
//!
//! Invariant: a transaction is booked once, as a payout's version or as what somebody says it was; until then payouts stop.

use crate::books::{Books, OpenPayout};
use crate::door::Refused;
use crate::treasury::WalletSpend;
use accounting::ledger::{Kind, Posting, SetKey, Transfer, TransferSet};
use accounting::payout::{Payout, PayoutPart, PayoutState, PayoutVersion};
use accounting::{AccountId, Amount, AssetId, PayoutId, UnixMs};
use std::collections::{BTreeMap, HashMap};
use store::{Change, Store};

/// Coins the operator put into the wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// How much.
    pub amount: Amount,
    /// For buying shares; otherwise the pool's own.
    pub bankroll: bool,
    /// The transaction that brought them, or another name: it is booked once.
    pub reference: String,
}

/// What goes to each place in all.
fn by_place<'a>(outputs: impl Iterator<Item = (&'a [u8], Amount)>) -> BTreeMap<&'a [u8], Amount> {
    let mut sums: BTreeMap<&[u8], Amount> = BTreeMap::new();
    for (place, amount) in outputs {
        let sum = sums.entry(place).or_default();
        *sum = sum.add(amount);
    }
    sums
}

impl Books {
    /// Notes every spend of the wallet that the books do not know; payouts stop until somebody explains it. One that pays just
    /// what an open payout pays is that payout, signed after the moment these books were restored to.
    pub fn note_spends(&mut self, asset: AssetId, spends: &[WalletSpend], now: UnixMs) -> usize {
        let mut found = 0;
        for spend in spends {
            let key = (asset, spend.txid);
            if self.payout_txids.contains_key(&spend.txid) || self.matched_spends.contains(&key) {
                continue;
            }
            let waits = self.unmatched_spends.contains_key(&key);
            if self.adopt(asset, spend, now) {
                if self.unmatched_spends.remove(&key).is_some() {
                    self.push(Change::SpendGone { asset, txid: spend.txid });
                }
            } else if !waits {
                let detail = format!(
                    "{} smallest units left the wallet, {} outputs to others",
                    spend.out,
                    spend.outputs.len()
                );
                self.unmatched_spends.insert(key, detail.clone());
                self.push(Change::Spend { asset, txid: spend.txid, detail, at: now });
                found += 1;
            }
        }
        found
    }

    fn adopt(&mut self, asset: AssetId, spend: &WalletSpend, now: UnixMs) -> bool {
        let exchange = self.assets.get(&asset).and_then(|config| config.exchange.as_ref());
        // Several parts may go to one place, in one output or in several.
        let paid =
            by_place(spend.outputs.iter().map(|(place, amount)| (place.as_slice(), *amount)));
        let is_it = |open: &&OpenPayout| {
            let due = open.payout.parts.iter().map(|part| {
                let to = part.destination.as_slice();
                (exchange.map_or(to, |exchange| exchange.place_of(to)), part.sent)
            });
            open.payout.asset == asset && by_place(due) == paid
        };
        let mut candidates: Vec<&OpenPayout> = self.payouts.values().filter(is_it).collect();
        // One that was signed says by its coins whether it is the one.
        candidates.sort_by_key(|open| open.payout.versions.is_empty());
        let candidates: Vec<PayoutId> = candidates.iter().map(|open| open.payout.id).collect();
        let version = PayoutVersion {
            txid: spend.txid,
            raw: spend.raw.clone(),
            fee: spend.fee,
            inputs: spend.inputs.clone(),
            signed_at: now,
        };
        for id in candidates {
            match self.take_version(id, version.clone(), now) {
                Ok(()) => {
                    let txid = accounting::RewardId(spend.txid);
                    tracing::warn!(payout = id.0, %txid, "a transaction the books did not know is this payout");
                    return true;
                }
                Err(refused) => {
                    tracing::debug!(payout = id.0, %refused, "a transaction pays what this payout pays");
                }
            }
        }
        false
    }

    /// Says that a spend the books did not know never happened: it was replaced, or left the chain for good.
    ///
    /// # Errors
    /// When no such spend is waiting.
    pub fn forget_spend(&mut self, txid: [u8; 32], who: &str, now: UnixMs) -> Result<(), Refused> {
        let waits = self.unmatched_spends.keys().find(|(_, known)| *known == txid).copied();
        let shown = accounting::RewardId(txid);
        let Some(key @ (asset, _)) = waits else {
            return Err(Refused::Rule(format!("no unexplained spend {shown} is waiting")));
        };
        self.unmatched_spends.remove(&key);
        self.act(who, format!("spend {shown} never happened"), now);
        self.push(Change::SpendGone { asset, txid });
        Ok(())
    }

    /// Says what a spend was that the books did not know: to whom it paid debts, the rest being the operator's own.
    ///
    /// # Errors
    /// When the spend is not one of those waiting.
    pub fn match_spend(
        &mut self,
        asset: AssetId,
        spend: &WalletSpend,
        as_payout: bool,
        who: &str,
        now: UnixMs,
    ) -> Result<(), Refused> {
        let waits = self.unmatched_spends.contains_key(&(asset, spend.txid));
        if waits && spend.confirmations == 0 {
            let text =
                "this spend is not confirmed yet: wait for its block, it may still be replaced";
            return Err(Refused::Rule(text.into()));
        }
        if self.unmatched_spends.remove(&(asset, spend.txid)).is_none() {
            let txid = accounting::RewardId(spend.txid);
            return Err(Refused::Rule(format!("no unexplained spend {txid} is waiting")));
        }
        let mut given_back =
            if as_payout { self.give_back_queued(asset, spend, now) } else { Vec::new() };
        let mut fee = spend.fee;
        let mut transfers: Vec<Transfer> = Vec::new();
        let mut take = |debit: Kind, amount: Amount| {
            if amount.is_positive() {
                transfers.push(Transfer { debit, credit: Kind::Wallet, amount });
            }
        };
        let mut taken: HashMap<AccountId, Amount> = HashMap::new();
        let mut withdrawn = Amount::ZERO;
        for (destination, amount) in &spend.outputs {
            let paid = if as_payout { self.account_at(asset, destination) } else { None };
            let Some(account) = paid else {
                withdrawn = withdrawn.add(*amount);
                continue;
            };
            // The part of a payout that waited for just this was charged for the network's fee as well.
            let same = |part: &PayoutPart| part.destination == *destination && part.sent == *amount;
            let part = given_back.iter().position(same).map(|at| given_back.swap_remove(at));
            let charged = part.map_or(Amount::ZERO, |part| part.debit.sub(part.sent)).min(fee);
            fee = fee.sub(charged);
            let owed = amount.add(charged);
            let before = taken.entry(account).or_default();
            let there = self.ledger.balance(asset, Kind::Account(account)).available().sub(*before);
            let there = there.max(Amount::ZERO).min(owed);
            *before = before.add(there);
            take(Kind::Account(account), there);
            take(Kind::Loss, owed.sub(there));
        }
        let earned =
            self.ledger.balance(asset, Kind::Fees).available().max(Amount::ZERO).min(withdrawn);
        take(Kind::Fees, earned);
        take(Kind::Loss, withdrawn.sub(earned));
        take(Kind::NetworkFee, fee);
        let matched = if as_payout { "payout" } else { "withdrawal" };
        let act = self.act(
            who,
            format!("matched spend {} as {matched}", accounting::RewardId(spend.txid)),
            now,
        );
        if !transfers.is_empty() {
            self.must_post(
                Posting::Enter(TransferSet { key: SetKey::Act(act), asset, transfers }),
                now,
            );
        }
        self.matched_spends.insert((asset, spend.txid));
        self.push(Change::SpendMatched { asset, txid: spend.txid, matched: matched.to_owned() });
        Ok(())
    }

    /// Payouts that are not signed and would pay what this spend paid are given up: their debts are free to be booked. Gives
    /// their parts.
    fn give_back_queued(
        &mut self,
        asset: AssetId,
        spend: &WalletSpend,
        now: UnixMs,
    ) -> Vec<PayoutPart> {
        let pays = |open: &&OpenPayout| {
            let paid =
                |part: &PayoutPart| spend.outputs.iter().any(|(to, _)| *to == part.destination);
            open.payout.asset == asset
                && open.payout.state == PayoutState::Queued
                && open.payout.parts.iter().any(paid)
        };
        let waiting: Vec<Payout> =
            self.payouts.values().filter(pays).map(|open| open.payout.clone()).collect();
        for payout in &waiting {
            if let Err(refused) = self.cancel_payout(payout.id, now) {
                tracing::error!(payout = payout.id.0, %refused, "a waiting payout could not be given up");
            }
        }
        waiting.into_iter().flat_map(|payout| payout.parts).collect()
    }

    /// The account of this asset's network that is, or ever was, paid at a destination.
    fn account_at(&self, asset: AssetId, destination: &[u8]) -> Option<AccountId> {
        let network = self.assets.get(&asset).map(|config| config.network.as_str());
        let own = |(who, account): (&accounting::Identity, &AccountId)| {
            (Some(who.network.as_str()) == network && who.bytes == destination).then_some(*account)
        };
        let chosen = |(account, list): (&AccountId, &Vec<store::book::StoredDestination>)| {
            list.iter().any(|chosen| chosen.destination == destination).then_some(*account)
        };
        self.destinations.iter().find_map(chosen).or_else(|| self.identities.iter().find_map(own))
    }

    /// Books coins the operator put into the wallet: as the pool's own, or as bankroll for paying per share.
    ///
    /// # Errors
    /// When the amount is not positive, the name is none, or something is booked under it already.
    pub fn deposit(
        &mut self,
        asset: AssetId,
        deposit: Deposit,
        store: &mut dyn Store,
        who: &str,
        now: UnixMs,
    ) -> Result<(), Refused> {
        let Deposit { amount, bankroll, reference } = deposit;
        if !amount.is_positive() {
            return Err(Refused::Rule("a deposit is more than nothing".into()));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ":._-".contains(c);
        if reference.is_empty() || reference.len() > 100 || !reference.chars().all(is_plain) {
            return Err(Refused::Rule(
                "a deposit is named by its transaction, or another name of letters, digits and :._-".into(),
            ));
        }
        let key = SetKey::Deposit(format!("{asset}:{}", reference.to_lowercase()));
        if store.set(&key).map_err(|_| Refused::StoreFailing)?.is_some() {
            return Err(Refused::Rule(format!(
                "{key} is booked already; nothing was booked again"
            )));
        }
        let credit = if bankroll { Kind::Bankroll } else { Kind::Fees };
        self.act(who, format!("{key} of {amount} of asset {asset} to {credit}"), now);
        let transfers = vec![Transfer { debit: Kind::Wallet, credit, amount }];
        self.must_post(Posting::Enter(TransferSet { key, asset, transfers }), now);
        Ok(())
    }
}
