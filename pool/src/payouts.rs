//! Debts on their way out: who is due, what stops payouts, and what each observation does to a payout.
//!
//! Invariant: a debt is in at most one payout that could still confirm. Debts are reserved before anything is signed; a
//! signed version is on disk before it is sent; a debt comes back only when its payout can never confirm.

use crate::books::{Books, OpenPayout};
use crate::config::{FeePayer, Payday, PayoutRules};
use crate::door::Refused;
use crate::treasury::Holdings;
use accounting::ledger::{Kind, Posting, SetKey, SetState, Transfer, TransferSet};
use accounting::payout::{
    Fate, Payout, PayoutPart, PayoutState, PayoutStep, PayoutVersion, next_step,
};
use accounting::split::divide_fee;
use accounting::{AccountId, Amount, AssetId, PayoutId, UnixMs};
use std::collections::HashMap;
use store::book::RecentDebit;
use store::{Change, Store};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Who would be paid now, and why others are not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Account, destination and amount, the largest debt first.
    pub due: Vec<Due>,
    /// Accounts left out, with the reason.
    pub skipped: Vec<(AccountId, Skip)>,
}

/// One debt that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub account: AccountId,
    /// Where to.
    pub destination: Vec<u8>,
    /// How much is owed and available.
    pub amount: Amount,
}

/// Why a debt is not paid now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Less than the minimum.
    BelowMinimum,
    /// Held by the operator.
    Held,
    /// It never said where to.
    NoDestination,
    /// The account got its limit of today.
    AccountLimit,
    /// The run reached its limit.
    RunLimit,
    /// The day reached its limit.
    DayLimit,
    /// The transaction is full; next time.
    Full,
}

impl Plan {
    /// The sum of what is due.
    #[must_use]
    pub fn total(&self) -> Amount {
        self.due.iter().map(|due| due.amount).sum()
    }
}

/// Whose holds stop a payout of this asset, to this account.
pub fn hold_scopes(asset: AssetId, account: Option<AccountId>) -> impl Iterator<Item = String> {
    let own = account.map(|account| format!("account/{account}"));
    ["all".to_owned(), format!("asset/{asset}")].into_iter().chain(own)
}

/// There is too little to be withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("below minimum withdrawal: {available} of {minimum} smallest units")]
pub struct BelowMinimum {
    /// What there is.
    pub available: Amount,
    /// What there must be.
    pub minimum: Amount,
}

impl Books {
    /// Which hold stops a payout to these accounts, if any: an operator's word counts from the moment it is given.
    #[must_use]
    pub fn hold_on(&self, asset: AssetId, accounts: &[AccountId]) -> Option<String> {
        let accounts = accounts.iter().map(|account| format!("account/{account}"));
        let mut scopes = hold_scopes(asset, None).chain(accounts);
        scopes.find(|scope| self.holds.contains_key(scope))
    }

    /// The hold that keeps a payout from being signed.
    #[must_use]
    pub fn hold_on_payout(&self, id: PayoutId) -> Option<String> {
        let payout = &self.payouts.get(&id)?.payout;
        let accounts: Vec<AccountId> = payout.parts.iter().map(|part| part.account).collect();
        self.hold_on(payout.asset, &accounts).filter(|_| payout.state == PayoutState::Queued)
    }

    /// Everything that stops payouts of an asset now, in words; empty when nothing does.
    #[must_use]
    pub fn payout_blockers(
        &self,
        asset: AssetId,
        holdings: &Holdings,
        fold_differences: &[String],
    ) -> Vec<String> {
        let mut blockers: Vec<String> = fold_differences
            .iter()
            .map(|difference| format!("the books do not fold: {difference}"))
            .collect();
        for scope in hold_scopes(asset, None) {
            if let Some(reason) = self.holds.get(&scope) {
                blockers.push(format!("payouts are held ({scope}): {reason}. Release with `adit payouts release {scope}`"));
            }
        }
        for ((_, txid), detail) in self.unmatched_spends.iter().filter(|((a, _), _)| *a == asset) {
            let txid = accounting::RewardId(*txid);
            blockers.push(format!(
                "transaction {txid} spends the wallet's coins and the books do not know it ({detail}). \
                 Say what it was with `adit payouts match {txid}`"
            ));
        }
        let owed = self.ledger.liabilities(asset);
        let backed = self.backing(asset, holdings);
        if backed < owed {
            let missing = owed.sub(backed);
            blockers.push(format!(
                "the wallet cannot cover what is owed: {backed} of {owed} smallest units, {missing} missing. Send coins to \
                 the wallet, or declare assets_elsewhere"
            ));
        }
        blockers
    }

    /// What backs the debts: coins in the wallet, coins on their way in payouts not yet posted, and what is declared.
    #[must_use]
    pub fn backing(&self, asset: AssetId, holdings: &Holdings) -> Amount {
        let elsewhere =
            self.assets.get(&asset).map_or(Amount::ZERO, |config| config.assets_elsewhere);
        let under_way = holdings
            .spends
            .iter()
            .filter(|spend| self.is_under_way(&spend.txid))
            .map(|spend| spend.out)
            .sum();
        holdings.spendable.add(holdings.unconfirmed).add(elsewhere).add(under_way)
    }

    /// Does this transaction pay debts that are still in the books?
    fn is_under_way(&self, txid: &[u8; 32]) -> bool {
        let Some(id) = self.payout_txids.get(txid) else { return false };
        let Some(open) = self.payouts.get(id) else { return false };
        self.ledger.state(&SetKey::Payout { id: *id, round: open.payout.round })
            == Some(SetState::Pending)
    }

    /// Who is due now under the rules: the largest debts first, up to the limits.
    #[must_use]
    pub fn plan_payout(&self, asset: AssetId, now: UnixMs) -> Plan {
        let Some(config) = self.assets.get(&asset) else { return Plan::default() };
        let rules = &config.payouts;
        if rules.payday == Payday::Asked {
            return Plan::default();
        }
        let mut owed: Vec<(AccountId, Amount)> = self
            .ledger
            .balances()
            .filter_map(|(a, kind, balance)| match kind {
                Kind::Account(account) if a == asset && balance.available().is_positive() => {
                    Some((account, balance.available()))
                }
                _ => None,
            })
            .collect();
        owed.sort_unstable_by_key(|(account, amount)| (std::cmp::Reverse(*amount), *account));
        let mut today = self.paid_today(asset, now);
        let mut plan = Plan::default();
        for (account, available) in owed {
            let destination = self.destination_of(account, now).ok_or(Skip::NoDestination);
            let due = self.due(account, available, rules, &plan, &today);
            match due.and_then(|amount| Ok((amount, destination?))) {
                Ok((amount, destination)) => {
                    plan.due.push(Due { account, destination, amount });
                    today.count(account, amount);
                }
                Err(skip) => plan.skipped.push((account, skip)),
            }
        }
        plan
    }

    fn due(
        &self,
        account: AccountId,
        available: Amount,
        rules: &PayoutRules,
        plan: &Plan,
        today: &Today,
    ) -> Result<Amount, Skip> {
        let own = self.settings.get(&account).and_then(|settings| settings.minimum);
        let minimum = own.unwrap_or(rules.minimum).max(rules.dust);
        if available < minimum {
            return Err(Skip::BelowMinimum);
        }
        if self.holds.contains_key(&format!("account/{account}")) {
            return Err(Skip::Held);
        }
        if plan.due.len() >= rules.max_outputs {
            return Err(Skip::Full);
        }
        let room = |limit: Amount, used: Amount, skip: Skip| {
            let left = limit.sub(used);
            if left < minimum { Err(skip) } else { Ok(left) }
        };
        let of_account = today.by_account.get(&account).copied().unwrap_or_default();
        let left = [
            room(rules.max_per_account_per_day, of_account, Skip::AccountLimit)?,
            room(rules.max_per_run, plan.total(), Skip::RunLimit)?,
            room(rules.max_per_day, today.total, Skip::DayLimit)?,
        ];
        Ok(left.into_iter().fold(available, Amount::min))
    }

    fn paid_today(&self, asset: AssetId, now: UnixMs) -> Today {
        let mut today = Today::default();
        let since = now.0.saturating_sub(DAY_MS);
        for debit in
            self.recent_debits.iter().filter(|debit| debit.asset == asset && debit.at.0 > since)
        {
            today.count(debit.account, debit.amount);
        }
        today
    }

    /// Where an account wants its money now: the newest destination in effect, or its own script; `None` where it has
    /// neither.
    #[must_use]
    pub fn destination_of(&self, account: AccountId, now: UnixMs) -> Option<Vec<u8>> {
        let mut chosen = self.destinations.get(&account).into_iter().flatten();
        let newest = chosen.rfind(|destination| destination.effective_from <= now);
        match newest {
            Some(destination) => Some(destination.destination.clone()),
            None => self.homes.get(&account).cloned().flatten(),
        }
    }

    /// Reserves the planned debts as a new payout. `fee` is what the transaction is expected to pay.
    ///
    /// # Errors
    /// When the plan is empty or no longer fits the balances, or a part would not survive its fee.
    pub fn reserve_payout(
        &mut self,
        asset: AssetId,
        plan: &Plan,
        fee: Amount,
        now: UnixMs,
    ) -> Result<Payout, Refused> {
        let Some(config) = self.assets.get(&asset) else {
            return Err(Refused::Rule(format!("asset {asset} is not configured")));
        };
        if plan.due.is_empty() {
            return Err(Refused::Rule("nobody is due".into()));
        }
        let accounts: Vec<AccountId> = plan.due.iter().map(|due| due.account).collect();
        if let Some(scope) = self.hold_on(asset, &accounts) {
            return Err(Refused::Rule(format!("payouts were held meanwhile ({scope})")));
        }
        let debits: Vec<Amount> = plan.due.iter().map(|due| due.amount).collect();
        let shares = match config.payouts.fee_payer {
            FeePayer::Pool => vec![Amount::ZERO; debits.len()],
            FeePayer::Miners => divide_fee(fee, &debits),
        };
        let parts: Vec<PayoutPart> = plan
            .due
            .iter()
            .zip(shares)
            .map(|(due, share)| PayoutPart {
                account: due.account,
                destination: due.destination.clone(),
                debit: due.amount,
                sent: due.amount.sub(share),
            })
            .collect();
        if let Some(small) = parts.iter().find(|part| part.sent < config.payouts.dust) {
            let text = format!(
                "account {} would get {} after its part of the fee: raise the minimum",
                small.account, small.sent
            );
            return Err(Refused::Rule(text));
        }
        let id = PayoutId(self.last_payout.0 + 1);
        let payout = Payout {
            id,
            asset,
            parts,
            versions: Vec::new(),
            state: PayoutState::Queued,
            round: 0,
            created_at: now,
        };
        let debits = payout.debits(payout.fee_from_parts(), 0);
        self.post(Posting::Pend(debits), now)
            .map_err(|refusal| Refused::Rule(refusal.to_string()))?;
        // From here it must succeed.
        self.last_payout = id;
        for part in &payout.parts {
            self.recent_debits.push_back(RecentDebit {
                asset,
                account: part.account,
                amount: part.debit,
                at: now,
            });
        }
        self.forget_old_debits(now);
        self.push(Change::Payout(Box::new(payout.clone())));
        self.payouts.insert(id, OpenPayout { payout: payout.clone(), confirmed_version: None });
        Ok(payout)
    }

    /// What the wallet of the books holds: what was booked into it and not out of it.
    #[must_use]
    pub fn wallet(&self, asset: AssetId) -> Amount {
        Amount::ZERO.sub(self.ledger.balance(asset, Kind::Wallet).posted())
    }

    /// Least amount that is paid, unless an account set its own.
    #[must_use]
    pub fn minimum(&self, asset: AssetId) -> Amount {
        let rules = self.assets.get(&asset).map(|config| &config.payouts);
        rules.map_or(Amount::ZERO, |rules| rules.minimum.max(rules.dust))
    }

    /// A payout of one account, because its owner asks for it: all that it may have now. Debited at once; it goes on as every
    /// other does.
    ///
    /// # Errors
    /// Why it is not paid now; the text is for its owner.
    pub fn request_payout(
        &mut self,
        asset: AssetId,
        account: AccountId,
        now: UnixMs,
    ) -> Result<Payout, Refused> {
        let rule = |text: String| Refused::Rule(text);
        let Some(config) = self.assets.get(&asset) else {
            return Err(rule(format!("asset {asset} is not configured")));
        };
        let waits = |open: &&OpenPayout| {
            let is_theirs = open.payout.parts.iter().any(|part| part.account == account);
            let is_over =
                matches!(open.payout.state, PayoutState::Confirmed | PayoutState::Abandoned);
            open.payout.asset == asset && is_theirs && !is_over
        };
        if let Some(open) = self.payouts.values().find(waits) {
            let (id, state) = (open.payout.id, open.payout.state.as_str());
            return Err(rule(format!("withdrawal {id} is under way ({state}): wait for its end")));
        }
        let destination = self.destination_of(account, now).ok_or_else(|| {
            rule("no coldkey is named to be paid, or it does not count yet".into())
        })?;
        let available = self.ledger.balance(asset, Kind::Account(account)).available();
        let today = self.paid_today(asset, now);
        let minimum = config.payouts.minimum.max(config.payouts.dust);
        let due = self.due(account, available, &config.payouts, &Plan::default(), &today);
        let amount = due.map_err(|skip| {
            rule(match skip {
                Skip::BelowMinimum => BelowMinimum { available, minimum }.to_string(),
                Skip::Held => "withdrawals of this account are held: ask the operator".into(),
                Skip::AccountLimit | Skip::RunLimit | Skip::DayLimit => {
                    "today's limit of withdrawals is reached: ask again tomorrow".into()
                }
                Skip::NoDestination | Skip::Full => "it cannot be paid now".into(),
            })
        })?;
        let plan = Plan { due: vec![Due { account, destination, amount }], skipped: Vec::new() };
        self.reserve_payout(asset, &plan, Amount::ZERO, now)
    }

    fn forget_old_debits(&mut self, now: UnixMs) {
        let since = now.0.saturating_sub(DAY_MS);
        while self.recent_debits.front().is_some_and(|debit| debit.at.0 <= since) {
            self.recent_debits.pop_front();
        }
    }

    /// A payout was signed: its bytes and its fee go to disk before anything is sent. A further version must spend an
    /// input of every version before it.
    ///
    /// # Errors
    /// When the payout is in no state to be signed, the version could confirm beside another, or its fee is not covered.
    pub fn payout_signed(
        &mut self,
        id: PayoutId,
        version: PayoutVersion,
        now: UnixMs,
    ) -> Result<(), Refused> {
        if let Some(scope) = self.hold_on_payout(id) {
            return Err(Refused::Rule(format!(
                "payout {id} was held while it was being signed ({scope}); the signature is thrown away"
            )));
        }
        self.take_version(id, version, now)
    }

    /// As [`Books::payout_signed`], of a version that is out already: no hold undoes that.
    pub(crate) fn take_version(
        &mut self,
        id: PayoutId,
        version: PayoutVersion,
        now: UnixMs,
    ) -> Result<(), Refused> {
        let Some(open) = self.payouts.get(&id).cloned() else { return Err(unknown(id)) };
        let OpenPayout { mut payout, confirmed_version } = open;
        if payout.versions.iter().any(|known| known.txid == version.txid) {
            return Ok(());
        }
        if !matches!(
            payout.state,
            PayoutState::Queued | PayoutState::Signed | PayoutState::Broadcast
        ) {
            return Err(Refused::Rule(format!(
                "payout {id} is {}: it is not signed again",
                payout.state.as_str()
            )));
        }
        let shares_input =
            |known: &PayoutVersion| known.inputs.iter().any(|input| version.inputs.contains(input));
        if !payout.versions.iter().all(shares_input) {
            return Err(Refused::Rule(format!(
                "the new version of payout {id} shares no input with an older one: both could confirm"
            )));
        }
        if version.fee < payout.fee_from_parts() {
            return Err(Refused::Rule(format!(
                "payout {id} was signed with less fee than its parts were charged for it"
            )));
        }
        if !matches!(self.round_in_force(&payout), Some((_, SetState::Pending))) {
            return Err(Refused::Rule(format!(
                "payout {id} is booked as paid; it is sent again, and never signed again"
            )));
        }
        let round = payout.round + 1;
        let next = payout.debits(version.fee, round);
        self.check_payout_fits(&payout, &next)?;
        // From here it must succeed.
        self.must_post(Posting::Void(SetKey::Payout { id, round: payout.round }), now);
        self.must_post(Posting::Pend(next), now);
        payout.round = round;
        if payout.state == PayoutState::Queued {
            payout.state = PayoutState::Signed;
        }
        let n = u32::try_from(payout.versions.len()).unwrap_or(u32::MAX);
        self.payout_txids.insert(version.txid, id);
        self.push(Change::PayoutVersion { id, n, version: Box::new(version.clone()) });
        payout.versions.push(version);
        self.keep_payout(OpenPayout { payout, confirmed_version }, false, now);
        Ok(())
    }

    /// Would the wallet of the books still cover this round instead of the one before?
    fn check_payout_fits(&self, payout: &Payout, next: &TransferSet) -> Result<(), Refused> {
        let before = SetKey::Payout { id: payout.id, round: payout.round };
        let reserved: Amount = self
            .ledger
            .pending(&before)
            .into_iter()
            .flat_map(|set| &set.transfers)
            .map(|t| t.amount)
            .sum();
        let wanted: Amount = next.transfers.iter().map(|t| t.amount).sum();
        let left =
            self.ledger.balance(payout.asset, Kind::Wallet).uncommitted().add(reserved).sub(wanted);
        if left < Amount::ZERO {
            let missing = Amount::ZERO.sub(left);
            return Err(Refused::Rule(format!(
                "the books' wallet lacks {missing} smallest units for payout {}'s fee: the pool has not earned it. Let miners pay \
                 the fee (fee_payer = \"miners\") or book a deposit with `adit payouts deposit`",
                payout.id
            )));
        }
        Ok(())
    }

    /// What the network says about a payout; moves it if that asks for it. Gives the step, which the cashier completes.
    ///
    /// # Errors
    /// When the payout is unknown, or the store cannot be read (then nothing moved).
    pub fn payout_fated(
        &mut self,
        store: &mut dyn Store,
        id: PayoutId,
        fate: Fate,
        now: UnixMs,
    ) -> Result<Option<PayoutStep>, Refused> {
        let Some(open) = self.payouts.get(&id).cloned() else { return Err(unknown(id)) };
        let OpenPayout { mut payout, mut confirmed_version } = open;
        let Some(asset) = self.assets.get(&payout.asset) else { return Ok(None) };
        let Some(step) = next_step(payout.state, fate, &asset.payouts.depths) else {
            return Ok(None);
        };
        let mut closed = false;
        match step {
            PayoutStep::Broadcast => return Ok(Some(step)),
            PayoutStep::Seen | PayoutStep::Reopen => payout.state = PayoutState::Broadcast,
            PayoutStep::Confirm { version } => {
                self.confirm(store, &mut payout, version, confirmed_version, now)?;
                payout.state = PayoutState::Confirmed;
                confirmed_version = u32::try_from(version).ok();
            }
            PayoutStep::Abandon => {
                match self.round_in_force(&payout) {
                    Some((key, SetState::Pending)) => self.must_post(Posting::Void(key), now),
                    Some((key, SetState::Posted)) => {
                        self.return_posted(store, &mut payout, &key, now)?
                    }
                    Some((_, SetState::Voided)) | None => {}
                }
                payout.state = PayoutState::Abandoned;
                confirmed_version = None;
            }
            PayoutStep::Close => closed = true,
        }
        self.keep_payout(OpenPayout { payout, confirmed_version }, closed, now);
        Ok(Some(step))
    }

    /// Posts the debits of the version that confirmed: the reserved set when it is the newest, another when it is not.
    fn confirm(
        &mut self,
        store: &mut dyn Store,
        payout: &mut Payout,
        version: usize,
        booked: Option<u32>,
        now: UnixMs,
    ) -> Result<(), Refused> {
        let newest = version + 1 == payout.versions.len();
        match self.round_in_force(payout) {
            Some((key, SetState::Pending)) if newest => {
                self.must_post(Posting::Post(key), now);
                return Ok(());
            }
            Some((key, SetState::Pending)) => self.must_post(Posting::Void(key), now),
            // It came back after a reorganisation: booked already.
            Some((_, SetState::Posted)) if booked == u32::try_from(version).ok() => return Ok(()),
            Some((key, SetState::Posted)) => self.return_posted(store, payout, &key, now)?,
            Some((_, SetState::Voided)) | None => {}
        }
        payout.round += 1;
        let fee = payout.versions.get(version).map_or(Amount::ZERO, |v| v.fee);
        let debits = self.debits_or_loss(payout, fee);
        self.must_post(Posting::Enter(debits), now);
        Ok(())
    }

    /// The newest ledger set of a payout, under either of its names.
    fn round_in_force(&self, payout: &Payout) -> Option<(SetKey, SetState)> {
        let (id, round) = (payout.id, payout.round);
        let names = [SetKey::Payout { id, round }, SetKey::PayoutLate { id, round }];
        names.into_iter().find_map(|key| self.ledger.state(&key).map(|state| (key, state)))
    }

    fn return_posted(
        &mut self,
        store: &mut dyn Store,
        payout: &mut Payout,
        key: &SetKey,
        now: UnixMs,
    ) -> Result<(), Refused> {
        let posted = store.set(key).map_err(|_| Refused::StoreFailing)?;
        if let Some(posted) = posted {
            let back = posted.inverse(SetKey::PayoutReturn { id: payout.id, round: payout.round });
            self.must_post(Posting::Enter(back), now);
        }
        // The next set gets a round of its own, so that this one is never taken back twice.
        payout.round += 1;
        Ok(())
    }

    /// A version that confirmed when its debits were not the reserved ones. A confirmed spend is a fact: what its accounts
    /// no longer have, the pool has lost.
    fn debits_or_loss(&self, payout: &Payout, fee: Amount) -> TransferSet {
        let set = payout.debits(fee, payout.round);
        let mut transfers = Vec::with_capacity(set.transfers.len());
        for t in &set.transfers {
            let there = match t.debit {
                Kind::Account(_) => self
                    .ledger
                    .balance(set.asset, t.debit)
                    .available()
                    .max(Amount::ZERO)
                    .min(t.amount),
                _ => t.amount,
            };
            for (debit, amount) in [(t.debit, there), (Kind::Loss, t.amount.sub(there))] {
                if amount.is_positive() {
                    transfers.push(Transfer { debit, credit: t.credit, amount });
                }
            }
        }
        TransferSet {
            key: SetKey::PayoutLate { id: payout.id, round: payout.round },
            asset: set.asset,
            transfers,
        }
    }

    /// How many operators must still say yes before this payout is signed. What was signed once was approved.
    #[must_use]
    pub fn approvals_missing(&self, id: PayoutId) -> usize {
        let Some(open) = self.payouts.get(&id) else { return 0 };
        let rules = self.assets.get(&open.payout.asset).map(|asset| &asset.payouts);
        let limit = rules.and_then(|rules| rules.approval_above);
        let is_large = limit.is_some_and(|limit| open.payout.sent() > limit);
        if !is_large || open.payout.state != PayoutState::Queued {
            return 0;
        }
        let prefix = format!("{}/", approval_key(id));
        let given = self.notes.range((Books::DOOR.to_owned(), prefix.clone())..);
        let given =
            given.take_while(|((door, key), _)| door == Books::DOOR && key.starts_with(&prefix));
        rules.map_or(0, |rules| rules.approvals).saturating_sub(given.count())
    }

    /// One operator's yes; gives how many are still missing.
    ///
    /// # Errors
    /// When the payout is not waiting for any.
    pub fn approve_payout(&mut self, id: PayoutId, who: &str) -> Result<usize, Refused> {
        if self.approvals_missing(id) == 0 {
            return Err(Refused::Rule(format!("payout {id} waits for nobody's approval")));
        }
        let key = format!("{}/{who}", approval_key(id));
        if self.notes.contains_key(&(Books::DOOR.to_owned(), key.clone())) {
            return Err(Refused::Rule(format!(
                "{who} has approved payout {id} already; another operator must"
            )));
        }
        self.note(Books::DOOR, key, Some(Vec::new()));
        Ok(self.approvals_missing(id))
    }

    /// Takes back a payout that was never signed.
    ///
    /// # Errors
    /// When it was signed: then only the chain can end it.
    pub fn cancel_payout(&mut self, id: PayoutId, now: UnixMs) -> Result<(), Refused> {
        let Some(open) = self.payouts.get(&id).cloned() else { return Err(unknown(id)) };
        if open.payout.state != PayoutState::Queued {
            return Err(Refused::Rule(format!(
                "payout {id} was signed: only the chain can end it now"
            )));
        }
        self.must_post(Posting::Void(SetKey::Payout { id, round: open.payout.round }), now);
        let payout = Payout { state: PayoutState::Abandoned, ..open.payout };
        self.keep_payout(OpenPayout { payout, confirmed_version: None }, true, now);
        Ok(())
    }

    fn keep_payout(&mut self, open: OpenPayout, closed: bool, at: UnixMs) {
        let OpenPayout { payout: Payout { id, state, round, .. }, confirmed_version } = open;
        self.push(Change::PayoutState { id, state, round, confirmed_version, closed, at });
        if closed {
            self.payouts.remove(&id);
        } else {
            self.payouts.insert(id, open);
        }
    }

    /// Payouts of an asset that may still change, oldest first.
    #[must_use]
    pub fn open_payouts(&self, asset: AssetId) -> Vec<OpenPayout> {
        self.payouts.values().filter(|open| open.payout.asset == asset).cloned().collect()
    }

    /// Stops payouts in a scope: `all`, `asset/<id>` or `account/<id>`.
    pub fn hold(&mut self, scope: String, reason: String, at: UnixMs) {
        tracing::warn!(scope, reason, "payouts are held");
        self.holds.insert(scope.clone(), reason.clone());
        self.push(Change::Hold { scope, reason, at });
    }

    /// Lets payouts in a scope go on.
    ///
    /// # Errors
    /// When the scope is not held.
    pub fn release(&mut self, scope: &str) -> Result<(), Refused> {
        if self.holds.remove(scope).is_none() {
            return Err(Refused::Rule(format!(
                "\"{scope}\" is not held; `adit payouts list` shows what is"
            )));
        }
        self.push(Change::Release { scope: scope.to_owned() });
        Ok(())
    }

    /// Sets where an account wants its money, from `effective_from` on.
    ///
    /// # Errors
    /// When the account is unknown.
    pub fn set_destination(
        &mut self,
        account: AccountId,
        destination: Vec<u8>,
        display: String,
        asset: AssetId,
        now: UnixMs,
    ) -> Result<UnixMs, Refused> {
        if !self.homes.contains_key(&account) {
            return Err(Refused::Rule(format!("account {account} is unknown")));
        }
        let rules = self.assets.get(&asset).map(|config| &config.payouts);
        let known = self.destinations.get(&account).is_some_and(|list| !list.is_empty());
        // Who has no place yet does not change one: nothing could be taken from anybody.
        let is_first = !known && self.homes.get(&account).is_none_or(Option::is_none);
        let delay = rules.filter(|_| !is_first).map_or(0, |rules| rules.address_change_delay_ms);
        let effective_from = UnixMs(now.0.saturating_add(delay));
        self.name_destination(account, destination, display, effective_from);
        Ok(effective_from)
    }

    /// Sets where an account wants its money, from a moment that the door has decided. The same again is nothing new.
    pub fn name_destination(
        &mut self,
        account: AccountId,
        destination: Vec<u8>,
        display: String,
        effective_from: UnixMs,
    ) {
        let list = self.destinations.entry(account).or_default();
        let is_last = |known: &store::book::StoredDestination| {
            known.destination == destination && known.effective_from == effective_from
        };
        if list.last().is_some_and(is_last) {
            return;
        }
        list.push(store::book::StoredDestination {
            destination: destination.clone(),
            effective_from,
        });
        let no = u32::try_from(list.len()).unwrap_or(u32::MAX);
        self.push(Change::Destination { account, no, destination, display, effective_from });
    }

    /// Does an account pay the members' fee?
    #[must_use]
    pub fn is_member(&self, account: AccountId) -> bool {
        self.settings.get(&account).is_some_and(|settings| settings.member)
    }

    /// Sets an account's own payout minimum and membership.
    pub fn set_settings(&mut self, account: AccountId, minimum: Option<Amount>, member: bool) {
        self.settings.insert(account, store::book::StoredSettings { minimum, member });
        self.push(Change::Settings { account, minimum, member });
    }
}

fn approval_key(id: PayoutId) -> String {
    format!("approved/{id}")
}

#[derive(Default)]
struct Today {
    total: Amount,
    by_account: HashMap<AccountId, Amount>,
}

impl Today {
    fn count(&mut self, account: AccountId, amount: Amount) {
        self.total = self.total.add(amount);
        let own = self.by_account.entry(account).or_default();
        *own = own.add(amount);
    }
}

fn unknown(id: PayoutId) -> Refused {
    Refused::Rule(format!("no open payout {id} is known"))
}
