//! Commands, carried out: which order each is, and whom it is given to.
//!
//! Invariant: every act is written by the writer before it is answered.

use super::NOTES;
use crate::config::Settings;
use crate::run::{Counter, OpenDoor};
use accounting::{AssetId, PayoutId, ShareSeq};
use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use compute::treasury::{self, Word, read_hash};
use pool::Pool;
use pool::bans::Bans;
use pool::books::Books;
use pool::command::Command;
use pool::door::Answer;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a command works on.
pub(super) struct Desk<'a> {
    pub pool: &'a Pool,
    pub settings: &'a Settings,
    /// Empty when the pool does not run.
    pub counters: &'a [Arc<Counter>],
    pub doors: &'a [OpenDoor],
    pub connections: usize,
    /// Who is not wanted, of a running pool.
    pub bans: Option<&'a ArcSwap<Bans>>,
    /// Who gives the command.
    pub by: &'a str,
}

impl Desk<'_> {
    pub(super) async fn execute(&self, command: Command) -> anyhow::Result<Value> {
        match command {
            Command::Status => Ok(self.status()),
            Command::Knock { asset } => self.knock(asset.as_deref()),
            Command::DryRun { asset } => self.dry_run(&asset).await,
            Command::PayNow { asset } => {
                let counter = self.counter(&asset)?;
                self.acted(format!("pay {asset} now")).await?;
                counter.run_now();
                Ok(json!({ "looking": asset }))
            }
            Command::Hold { scope, reason } => {
                let scope = self.scope(&scope).await?;
                let (done, by) = (scope.clone(), self.by.to_owned());
                self.order(move |books, now| {
                    books.act(&by, format!("hold {scope}: {reason}"), now);
                    books.hold(scope, reason, now);
                    Ok(())
                })
                .await?;
                Ok(json!({ "held": done }))
            }
            Command::Release { scope } => {
                let scope = self.scope(&scope).await?;
                let (done, by) = (scope.clone(), self.by.to_owned());
                self.order(move |books, now| {
                    books.release(&scope)?;
                    books.act(&by, format!("release {scope}"), now);
                    Ok(())
                })
                .await?;
                self.counters.iter().for_each(|counter| counter.look());
                Ok(json!({ "released": done }))
            }
            Command::Cancel { payout } => {
                self.refuse_while_out(payout)?;
                let by = self.by.to_owned();
                self.order(move |books, now| {
                    treasury::may_be_cancelled(books, PayoutId(payout))?;
                    books.cancel_payout(PayoutId(payout), now)?;
                    books.act(&by, format!("cancel payout {payout}"), now);
                    Ok(())
                })
                .await?;
                Ok(json!({ "cancelled": payout }))
            }
            Command::Match { txid, payout } => self.match_spend(&txid, payout).await,
            Command::Forget { txid } => self.forget_spend(&txid).await,
            Command::Deposit { asset, amount, bankroll, reference } => {
                self.deposit(&asset, &amount, bankroll, reference).await
            }
            Command::Address { account, to } => self.address(&account, &to).await,
            Command::Account { account, minimum, member } => {
                self.account_settings(&account, minimum, member).await
            }
            Command::Approve { payout } => self.approve(payout).await,
            Command::Sent { payout, transaction } => {
                let hash = read_hash(&transaction).map_err(|text| anyhow!(text))?;
                self.said(
                    payout,
                    Word::Sent(hash),
                    format!("payout {payout} is sent by {transaction}"),
                )
                .await
            }
            Command::Confirmed { payout } => {
                self.said(payout, Word::Confirmed, format!("payout {payout} is confirmed")).await
            }
            Command::Failed { payout } => {
                self.said(payout, Word::Failed, format!("payout {payout} failed")).await
            }
            Command::Ban { who, reason } => self.ban(&who, Some(reason)).await,
            Command::Unban { who } => self.ban(&who, None).await,
            Command::Unregister { who } => self.unregister(&who).await,
            Command::Pause { pool, reason } => self.pause(&pool, Some(reason)).await,
            Command::Resume { pool } => self.pause(&pool, None).await,
            Command::Revoke { share, reason } => {
                self.acted(format!("revoke share {share}: {reason}")).await?;
                self.pool.revoke(ShareSeq(share), reason).await?;
                Ok(json!({ "revoked": share }))
            }
        }
    }

    /// Writes an act down that no order of its own carries out: before it is done.
    pub(super) async fn acted(&self, what: String) -> anyhow::Result<()> {
        let by = self.by.to_owned();
        self.order(move |books, now| {
            books.act(&by, what, now);
            Ok(())
        })
        .await
    }

    /// An order that only needs the books and the time.
    pub(super) async fn order<T: Send + 'static>(
        &self,
        order: impl FnOnce(&mut Books, accounting::UnixMs) -> Answer<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        Ok(self.pool.order(move |books, _, now| order(books, now)).await?)
    }

    /// Stops handing out a pool's work, or goes on.
    pub(super) async fn pause(&self, name: &str, reason: Option<String>) -> anyhow::Result<Value> {
        let view = self.pool.view();
        let known = view.pools.iter().find(|pool| pool.name == name);
        let id = known.with_context(|| format!("there is no pool \"{name}\""))?.id;
        let (key, by) = (format!("pause/{name}"), self.by.to_owned());
        let (value, said) = match &reason {
            Some(reason) => (Some(reason.clone().into_bytes()), format!("pause {name}: {reason}")),
            None => (None, format!("resume {name}")),
        };
        self.order(move |books, now| {
            books.note(NOTES, key, value);
            books.act(&by, said, now);
            Ok(())
        })
        .await?;
        for door in self.doors.iter().filter(|door| door.pool_id() == id) {
            door.pause(reason.clone());
        }
        Ok(json!({ "pool": name, "paused": reason.is_some() }))
    }

    pub(super) fn knock(&self, asset: Option<&str>) -> anyhow::Result<Value> {
        match asset {
            Some(asset) => self.counter(asset)?.knock(),
            None => self.counters.iter().for_each(|counter| counter.knock()),
        }
        Ok(json!({}))
    }

    pub(super) fn counter(&self, asset: &str) -> anyhow::Result<&Arc<Counter>> {
        let found = self.counters.iter().find(|counter| counter.name == asset);
        found.with_context(|| {
            format!("no asset \"{asset}\" in this pool; there is {}", self.asset_names())
        })
    }

    pub(super) fn asset_names(&self) -> String {
        let names: Vec<&str> =
            self.settings.assets.iter().map(|asset| &*asset.config.name).collect();
        names.join(", ")
    }

    pub(super) async fn asset(&self, name: &str) -> anyhow::Result<AssetId> {
        let wanted = name.to_owned();
        let found = self.order(move |books, _| Ok(books.asset_named(&wanted))).await?;
        found.with_context(|| format!("no asset \"{name}\"; there is {}", self.asset_names()))
    }
}
