//! What a miner is owed, and how it is asked for: `/api/v1/rewards`, in the earlier generation's spelling, but signed by whose it
//! is: the original shows everybody's balance to everybody, and lets everybody withdraw it.
//!
//! Invariant: a withdrawal is debited in the ledger before its 200.

use super::caller::Signed;
use super::{Answered, Door, Refusal};
use crate::auth::Caller;
use crate::card::pending;
use crate::epoch::EpochNo;
use crate::key::PublicKey;
use crate::wire::bitsota::iso;
use accounting::ledger::Kind;
use accounting::payout::PayoutState;
use accounting::{AccountId, Amount};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pool::Refused;
use serde_json::{Value, json};
use std::sync::Arc;
use store::sqlite::{CreditSource, Cut};
use store::{Reader, StoreError};

/// Rows of a history.
const ROWS_MAX: u64 = 100;

/// What became of a withdrawal, in the miner's words.
const fn word_of(state: PayoutState) -> &'static str {
    match state {
        PayoutState::Queued => "requested",
        PayoutState::Signed | PayoutState::Broadcast => "sent",
        PayoutState::Confirmed => "confirmed",
        PayoutState::Abandoned => "refunded",
    }
}

/// `GET /rewards/balance/{hotkey}`, `GET /rewards/{hotkey}/balance`
pub(super) async fn balance(
    State(door): State<Arc<Door>>,
    Path(hotkey): Path<String>,
    asked: Signed,
) -> Answered {
    let caller = asked.about(&hotkey)?;
    let (account, estimate) = door.standing(caller.key).await?;
    let asset = door.settings.ledger.asset;
    let held = match account {
        None => None,
        Some(account) => {
            let kind = Kind::Account(account);
            Some(door.read(move |store| store.balance(asset, kind)).await?)
        }
    };
    let available = held.as_ref().map_or(Amount::ZERO, |held| held.available());
    let minimum = door.minimum().await?;
    Ok(Json(json!({
        "hotkey": caller.key.to_string(),
        "balance_rao": units(available),
        "pending_rao": units(estimate),
        "minimum_withdrawal_rao": units(minimum),
        "can_withdraw": available >= minimum,
    })))
}

/// `POST /rewards/withdraw/{hotkey}`, `POST /rewards/{hotkey}/withdraw`
pub(super) async fn withdraw(
    State(door): State<Arc<Door>>,
    Path(hotkey): Path<String>,
    asked: Signed,
) -> Answered {
    let caller = asked.about(&hotkey)?;
    let (account, _) = door.standing(caller.key).await?;
    let refused = |detail: String| Refusal::new(StatusCode::BAD_REQUEST, detail);
    let account = account.ok_or_else(|| refused("nothing was earned yet".into()))?;
    // The request is noted first: the same bytes ask for nothing twice, whatever happens meanwhile.
    door.office.step(Some(caller.seen), |_, _| Ok(((), vec![]))).await?;
    let asset = door.settings.ledger.asset;
    let paid = door
        .settings
        .ledger
        .pool
        .order(move |books, _, now| books.request_payout(asset, account, now))
        .await;
    let payout = paid.map_err(|error| match error {
        Refused::Rule(text) => refused(text),
        other => unavailable(other),
    })?;
    tracing::info!(hotkey = %caller.key, withdrawal = payout.id.0, amount = %payout.sent(), "a withdrawal was asked for");
    Ok(Json(json!({
        "status": word_of(payout.state),
        "withdrawal_id": payout.id.0,
        "amount_rao": units(payout.sent()),
    })))
}

/// `GET /rewards/history/{hotkey}`, `GET /rewards/{hotkey}/history`
pub(super) async fn history(
    State(door): State<Arc<Door>>,
    Path(hotkey): Path<String>,
    asked: Signed,
) -> Answered {
    let caller = asked.about(&hotkey)?;
    let (account, _) = door.standing(caller.key).await?;
    let Some(account) = account else {
        return Ok(Json(json!({ "rewards": [], "withdrawals": [] })));
    };
    let cut = || Cut { from: None, limit: ROWS_MAX };
    let (credits, payouts) = door
        .read(move |store| {
            Ok((store.block_credits(account, cut())?, store.payouts_of(account, cut())?))
        })
        .await?;
    let rewards: Vec<Value> = credits
        .iter()
        .filter_map(|credit| {
            let CreditSource::Block { height, state, .. } = &credit.source else { return None };
            Some(json!({
                "epoch": height,
                "amount_rao": units(credit.net),
                "state": state.as_str(),
                "at": iso(credit.at.0 / 1000),
            }))
        })
        .collect();
    let withdrawals: Vec<Value> = payouts
        .iter()
        .map(|paid| {
            json!({
                "withdrawal_id": paid.payout.id.0,
                "amount_rao": units(paid.sent),
                "status": word_of(paid.payout.state),
                "coldkey": coldkey_of(&paid.destination),
                "transaction": paid.payout.txid.map(|hash| format!("0x{}", crate::tables::write::hex(&hash.0))),
                "asked_at": iso(paid.payout.created_at.0 / 1000),
                "changed_at": iso(paid.payout.changed_at.0 / 1000),
            })
        })
        .collect();
    Ok(Json(json!({ "rewards": rewards, "withdrawals": withdrawals })))
}

/// Money fits a JSON number as far as clients read one: there are 2^64 RAO at most.
fn units(amount: Amount) -> Value {
    u64::try_from(amount.units()).map_or_else(|_| json!(amount.to_string()), Value::from)
}

fn coldkey_of(destination: &[u8]) -> Option<String> {
    let bytes: [u8; 32] = destination.try_into().ok()?;
    Some(PublicKey::from_bytes(bytes).to_string())
}

impl Signed {
    /// A request about a hotkey, of nobody but that hotkey.
    fn about(&self, hotkey: &str) -> Result<Caller, Refusal> {
        let named: PublicKey =
            hotkey.parse().map_err(|bad| Refusal::new(StatusCode::BAD_REQUEST, bad))?;
        if named != self.caller.key {
            let detail = "a hotkey's rewards are shown to who signs with that hotkey";
            return Err(Refusal::new(StatusCode::FORBIDDEN, detail));
        }
        Ok(self.caller)
    }
}

impl Door {
    /// A miner's number in the ledger, and what the open epoch would pay them if it ended now.
    async fn standing(&self, key: PublicKey) -> Result<(Option<AccountId>, Amount), Refusal> {
        let (now_s, budget) = (self.now_s(), self.settings.budget);
        let step = move |_: &mut crate::desk::Desk, tables: &crate::tables::Tables| {
            let epoch = EpochNo::at(now_s, budget.length_s);
            let estimate = pending(tables, &key, &budget, epoch)?;
            Ok(((tables.account_of(&key)?, estimate), vec![]))
        };
        Ok(self.office.step(None, step).await?)
    }

    async fn minimum(&self) -> Result<Amount, Refusal> {
        let asset = self.settings.ledger.asset;
        let order = self.settings.ledger.pool.order(move |books, _, _| Ok(books.minimum(asset)));
        order.await.map_err(unavailable)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = self.settings.ledger.store.clone();
        let read = tokio::task::spawn_blocking(move || read(&Reader::open(&store)?)).await;
        read.map_err(unavailable)?.map_err(unavailable)
    }
}

fn unavailable(error: impl std::fmt::Display) -> Refusal {
    Refusal::later(StatusCode::SERVICE_UNAVAILABLE, error, 5)
}
