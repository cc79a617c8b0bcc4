//! `adit status`: how a running pool is doing, as JSON.

use super::desk::Desk;
use crate::config::AssetKind;
use crate::run::{Counter, OpenDoor};
use farming::external::Exchange;
use pool::view::RewardView;
use serde_json::{Value, json};
use std::sync::Arc;

impl Desk<'_> {
    /// Payouts in other coins that nobody said are paid; none where there is nobody to make them.
    pub(super) fn waiting_elsewhere(&self, asset: &str) -> Option<usize> {
        let own = self.settings.assets.iter().find(|own| own.config.name == asset)?;
        let AssetKind::Chia(chia) = &own.kind else { return None };
        let exchange = Exchange::open(&chia.external.as_ref()?.folder);
        let waiting = exchange.and_then(|exchange| exchange.waiting());
        let waiting = waiting
            .inspect_err(|error| tracing::warn!(%error, "external payouts cannot be counted"));
        waiting.ok().map(|waiting| waiting.len())
    }

    pub(super) fn status(&self) -> Value {
        let view = self.pool.view();
        let counter = |counter: &Arc<Counter>| {
            let status = counter.status.load();
            let nodes: Vec<Value> = (counter.about.nodes)()
                .into_iter()
                .map(|node| json!({ "node": node.address, "height": node.height, "trouble": node.trouble }))
                .collect();
            json!({
                "asset": counter.name,
                "address": counter.address,
                "nodes": nodes,
                "wallet": status.holdings.as_ref().map(|held| json!({
                    "spendable": held.spendable.to_string(),
                    "immature": held.immature.to_string(),
                    "unconfirmed": held.unconfirmed.to_string(),
                })),
                "external_payouts_waiting": self.waiting_elsewhere(&counter.name),
                "payouts_blocked_by": status.blockers,
                "warnings": status.warnings,
                "trouble": status.trouble,
                "next_run_ms": status.next_run.0,
            })
        };
        let pool = |door: &OpenDoor| {
            let seen = view.pools.iter().find(|pool| pool.id == door.pool_id());
            let refused = door.rejected().into_iter().filter(|(_, count)| *count > 0);
            let refused: serde_json::Map<String, Value> =
                refused.map(|(label, count)| (label.to_owned(), count.into())).collect();
            json!({
                "pool": seen.map(|pool| &pool.name),
                "shares_accepted": door.accepted(),
                "shares_refused": refused,
                "accounts_in_window": seen.map(|pool| pool.accounts),
                "job": door.job(),
            })
        };
        let reward = |reward: &RewardView| {
            json!({
                "block": reward.id.to_string(),
                "height": reward.height,
                "amount": reward.amount.to_string(),
                "state": reward.state.as_str(),
            })
        };
        json!({
            "connections": self.connections,
            "pools": self.doors.iter().map(pool).collect::<Vec<_>>(),
            "rewards": view.rewards.iter().map(reward).collect::<Vec<_>>(),
            "store_failing": view.store_failing,
            "assets": self.counters.iter().map(counter).collect::<Vec<_>>(),
            "holds": view.holds.iter().map(|(scope, reason)| json!({ "scope": scope, "reason": reason })).collect::<Vec<_>>(),
            "unexplained_spends": view.unmatched_spends,
        })
    }
}
