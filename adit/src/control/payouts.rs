//! What operators say of payouts, spends and deposits.
//!
//! Invariant: what is out to be signed is not given back; each act is written with what it changes.

use super::desk::Desk;
use crate::config::AssetKind;
use crate::run::Counter;
use accounting::payout::{PayoutPart, PayoutState};
use accounting::{Amount, AssetId, PayoutId, RewardId};
use anyhow::{Context, anyhow, bail};
use compute::treasury::{self, Word};
use pool::Deposit;
use pool::books::{Books, OpenPayout};
use pool::door::Refused;
use pool::treasury::WalletSpend;
use serde_json::{Value, json};
use std::sync::Arc;
use store::Store;
use stratum::treasury::WalletConfig;
use stratum::treasury::offline::Outbox;

impl Desk<'_> {
    /// What an operator says of a payout that they send themselves.
    pub(super) async fn said(&self, payout: u64, word: Word, act: String) -> anyhow::Result<Value> {
        let by = self.by.to_owned();
        let mut external = Vec::new();
        for asset in &self.settings.assets {
            if matches!(asset.kind, AssetKind::External(_) | AssetKind::Ether(_)) {
                external.push(self.asset(&asset.config.name).await?);
            }
        }
        self.order(move |books, now| {
            let is_its = |asset: &&AssetId| {
                books.open_payouts(**asset).iter().any(|open| open.payout.id.0 == payout)
            };
            let Some(asset) = external.iter().find(is_its).copied() else {
                return Err(Refused::Rule(format!(
                    "no open payout {payout} is one that you send yourself; `adit payouts list` shows them"
                )));
            };
            treasury::say(books, asset, PayoutId(payout), word)?;
            books.act(&by, act, now);
            Ok(())
        })
        .await?;
        self.counters.iter().for_each(|counter| counter.look());
        Ok(json!({ "payout": payout, "noted": true }))
    }

    pub(super) async fn approve(&self, payout: u64) -> anyhow::Result<Value> {
        let by = self.by.to_owned();
        let missing = self
            .order(move |books, now| {
                let missing = books.approve_payout(PayoutId(payout), &by)?;
                books.act(&by, format!("approve payout {payout}"), now);
                Ok(missing)
            })
            .await?;
        self.counters.iter().for_each(|counter| counter.look());
        Ok(json!({ "approved": payout, "approvals_missing": missing }))
    }

    pub(super) async fn dry_run(&self, asset: &str) -> anyhow::Result<Value> {
        let id = self.asset(asset).await?;
        let plan = self.order(move |books, now| Ok(books.plan_payout(id, now))).await?;
        let due: Vec<Value> = plan
            .due
            .iter()
            .map(|due| json!({ "account": due.account.0, "amount": due.amount.to_string() }))
            .collect();
        let skipped: Vec<Value> = plan
            .skipped
            .iter()
            .map(|(account, skip)| json!({ "account": account.0, "reason": format!("{skip:?}") }))
            .collect();
        let blockers = match self.counters.iter().find(|counter| counter.name == asset) {
            Some(counter) => json!(counter.status.load().blockers),
            None => Value::Null,
        };
        Ok(
            json!({ "due": due, "skipped": skipped, "total": plan.total().to_string(), "blocked_by": blockers }),
        )
    }

    /// What is out to be signed may come back signed at any time: its debts are not given back while it is.
    pub(super) fn refuse_while_out(&self, payout: u64) -> anyhow::Result<()> {
        for asset in &self.settings.assets {
            let AssetKind::Coin(own) = &asset.kind else { continue };
            let WalletConfig::Watch { psbt_folder, .. } = &own.treasury.wallet else { continue };
            if let Some(file) = Outbox::open(psbt_folder)?.is_out(payout)? {
                let file = file.display();
                bail!(
                    "payout {payout} is out to be signed: make sure that nobody signs it, delete {file}, and cancel it then"
                );
            }
        }
        Ok(())
    }

    /// A spend that a wallet shows, and which.
    pub(super) fn shown_spend(
        &self,
        txid: &str,
    ) -> anyhow::Result<Option<(Arc<Counter>, WalletSpend)>> {
        let id: RewardId = txid.parse().map_err(|_| anyhow!("\"{txid}\" is no transaction id"))?;
        Ok(self.counters.iter().find_map(|counter| {
            let status = counter.status.load();
            let spends = &status.holdings.as_ref()?.spends;
            let found = spends.iter().find(|spend| spend.txid == id.0).cloned();
            found.map(|spend| (counter.clone(), spend))
        }))
    }

    pub(super) async fn forget_spend(&self, txid: &str) -> anyhow::Result<Value> {
        if self.shown_spend(txid)?.is_some() {
            bail!("the wallet shows {txid}: say what it was with --payout or --withdrawal");
        }
        let id: RewardId = txid.parse().context("it was read before")?;
        let by = self.by.to_owned();
        self.order(move |books, now| books.forget_spend(id.0, &by, now)).await?;
        self.counters.iter().for_each(|counter| counter.look());
        Ok(json!({ "forgotten": txid }))
    }

    pub(super) async fn match_spend(&self, txid: &str, as_payout: bool) -> anyhow::Result<Value> {
        let found = self.shown_spend(txid)?;
        let (counter, spend) = found.with_context(|| {
            format!("no wallet of this pool shows a spend {txid}; if it was replaced or left the chain for good, say --gone")
        })?;
        let asset = counter.id;
        if as_payout {
            // Matching gives up waiting payouts to the same people.
            let open = self.order(move |books, _| Ok(books.open_payouts(asset))).await?;
            for OpenPayout { payout, .. } in open {
                let paid =
                    |part: &PayoutPart| spend.outputs.iter().any(|(to, _)| *to == part.destination);
                if payout.state == PayoutState::Queued && payout.parts.iter().any(paid) {
                    self.refuse_while_out(payout.id.0)?;
                }
            }
        }
        let by = self.by.to_owned();
        self.order(move |books, now| books.match_spend(asset, &spend, as_payout, &by, now)).await?;
        counter.look();
        Ok(json!({ "matched": txid }))
    }

    pub(super) async fn deposit(
        &self,
        asset: &str,
        amount: &str,
        bankroll: bool,
        reference: String,
    ) -> anyhow::Result<Value> {
        let id = self.asset(asset).await?;
        let settings = self.settings.assets.iter().find(|known| known.config.name == asset);
        let decimals = settings.map_or(8, |settings| settings.config.decimals);
        let deposit =
            Deposit { amount: Amount::parse_decimal(amount, decimals)?, bankroll, reference };
        let by = self.by.to_owned();
        let order = move |books: &mut Books, store: &mut dyn Store, now| {
            books.deposit(id, deposit, store, &by, now)
        };
        self.pool.order(order).await?;
        Ok(json!({ "booked": amount }))
    }
}
