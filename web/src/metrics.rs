//! Counters for Prometheus, and whether the pool is well, for those who watch over it.
//!
//! Invariant: no label of an address or a machine, so that their number stays small; every name is in [`NAMES`].

use crate::leased::Leased;
use crate::model::activity::Activity;
use crate::server::Way;
use crate::site::Site;
use ::pool::observe::{BOUNDS_NS, Times};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// Every metric there is, as it is scraped.
pub const NAMES: [&str; 51] = [
    "stratum_shares_total",
    "stratum_clients_connected",
    "stratum_jobs_sent_total",
    "stratum_difficulty_adjustments_total",
    "share_validation_duration_seconds",
    "share_ack_duration_seconds",
    "job_broadcast_duration_seconds",
    "template_age_seconds",
    "last_job_broadcast_height",
    "network_difficulty",
    "pool_hashrate_hps",
    "pool_workers",
    "pool_miners",
    "pool_effort_ratio",
    "pool_blocks_found_total",
    "pool_blocks_orphaned_total",
    "pool_blocks_immature",
    "pool_seconds_per_block",
    "pool_acceptance_ratio",
    "pool_blocks_in_24h",
    "pool_seconds_between_blocks",
    "payouts_in_24h",
    "payouts_seconds_between",
    "pool_blocks_unbookable",
    "leased_active",
    "leased_issued_15m",
    "leased_completed_15m",
    "leased_expired_15m",
    "leased_open_algorithms",
    "leased_awaiting_own_result",
    "leased_oldest_open_seconds",
    "leased_best_score",
    "leased_epoch_end_timestamp_seconds",
    "wal_pending",
    "store_ok",
    "node_healthy",
    "payouts_open",
    "payouts_blocked",
    "payout_in_flight_base_units",
    "ledger_fold_ok",
    "ledger_balances",
    "owed_base_units",
    "commission_base_units",
    "bankroll_base_units",
    "lost_base_units",
    "wallet_spendable_base_units",
    "spends_unexplained",
    "notices_waiting",
    "web_machines_known",
    "backup_last_timestamp_seconds",
    "process_uptime_seconds",
];

/// The routes for those who watch.
pub fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
}

/// For this machine and for those who are named: it tells of nodes and wallets.
async fn metrics(State(site): State<Arc<Site>>, way: Way) -> Response {
    if !way.is_local && !site.settings.scrapers.contains(&way.client) {
        let text = "list this address in web.scrapers, or ask from the pool's own machine\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(site)));
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Ready is who takes shares: every pool has work, and the store writes.
async fn ready(State(site): State<Arc<Site>>) -> Response {
    let (outlook, view) = (site.outlook.load(), site.pool.view());
    let mut reasons = Vec::new();
    if let Some(error) = &view.store_failing {
        reasons.push(format!("the store: {error}"));
    }
    if outlook.pools.len() < view.pools.len() {
        reasons.push("some pools are not open yet".to_owned());
    }
    for asset in outlook.assets.iter().filter(|asset| asset.has_chain() && asset.next.is_none()) {
        reasons.push(format!("{}: no node gives work", asset.name));
    }
    match reasons.is_empty() {
        true => "ready\n".into_response(),
        false => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n"))).into_response()
        }
    }
}

/// All of it, read from the snapshots when it is asked for.
struct Scrape(Arc<Site>);

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

/// A number of a pool of leased compute, where there is one.
type OfLeased = fn(&Leased) -> Option<f64>;
type Labels<'a> = &'a [(&'a str, &'a str)];
/// Exemplars have none.
type NoLabels = [(&'static str, &'static str); 0];

/// One family: its name without `_total`, its help, and its samples.
struct Family<'e, 'a> {
    encoder: &'e mut DescriptorEncoder<'a>,
}

impl Family<'_, '_> {
    fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'l str, &'l str)>, f64)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            labelled(&mut metric, &labels, |mut metric| metric.encode_gauge(&value))?;
        }
        Ok(())
    }

    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'l str, &'l str)>, u64)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            labelled(&mut metric, &labels, |mut metric| {
                metric.encode_counter::<NoLabels, _, u64>(&value, None)
            })?;
        }
        Ok(())
    }

    fn histograms<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<(&'l str, &'l str)>, &'l Times)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, times) in samples {
            let bounds = BOUNDS_NS.iter().map(|ns| *ns as f64 / 1e9).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(times.counts.iter().copied()).collect();
            let count = times.counts.iter().sum();
            labelled(&mut metric, &labels, |mut metric| {
                metric.encode_histogram::<NoLabels>(
                    times.sum_ns as f64 / 1e9,
                    count,
                    &buckets,
                    None,
                )
            })?;
        }
        Ok(())
    }
}

fn labelled(
    metric: &mut MetricEncoder<'_>,
    labels: Labels<'_>,
    encode: impl FnOnce(MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    encode(metric.encode_family(&labels.to_vec())?)
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Family { encoder: &mut encoder };
        self.stratum(&mut to)?;
        self.networks(&mut to)?;
        self.pools(&mut to)?;
        self.leased(&mut to)?;
        self.money(&mut to)?;
        self.process(&mut to)
    }
}

impl Scrape {
    fn stratum(&self, to: &mut Family<'_, '_>) -> fmt::Result {
        let outlook = self.0.outlook.load();
        let shares = outlook.pools.iter().flat_map(|pool| {
            let accepted =
                (vec![("pool", pool.name.as_str()), ("status", "accepted")], pool.accepted);
            let refused = pool.rejected.iter().map(|(reason, count)| {
                (vec![("pool", pool.name.as_str()), ("status", *reason)], *count)
            });
            std::iter::once(accepted).chain(refused)
        });
        to.counters("stratum_shares", "Shares by verdict", shares)?;
        let connected = [(vec![("protocol", "stratum_v1")], outlook.connections as f64)];
        to.gauges("stratum_clients_connected", "Open connections of miners", connected)?;
        let named = |count: fn(&crate::outlook::PoolOutlook) -> u64| {
            outlook.pools.iter().map(move |pool| (vec![("pool", pool.name.as_str())], count(pool)))
        };
        to.counters("stratum_jobs_sent", "Jobs sent to connections", named(|pool| pool.jobs_sent))?;
        to.counters(
            "stratum_difficulty_adjustments",
            "Difficulties sent to connections",
            named(|pool| pool.difficulty_changes),
        )?;
        let timed = |times: fn(&crate::outlook::PoolOutlook) -> &Times| {
            outlook.pools.iter().map(move |pool| (vec![("pool", pool.name.as_str())], times(pool)))
        };
        to.histograms(
            "share_validation_duration_seconds",
            "Time to verify a share, of one in sixteen",
            timed(|pool| &pool.validation),
        )?;
        to.histograms(
            "share_ack_duration_seconds",
            "Time from a share's verdict until it is durable and answered",
            timed(|pool| &pool.ack),
        )?;
        to.histograms(
            "job_broadcast_duration_seconds",
            "Time from a job's making to a connection's buffer, to the millisecond",
            timed(|pool| &pool.broadcast),
        )
    }

    fn networks(&self, to: &mut Family<'_, '_>) -> fmt::Result {
        let (outlook, now) = (self.0.outlook.load(), self.0.now());
        let with_next = || outlook.assets.iter().filter_map(|asset| Some((asset, asset.next?)));
        let age = with_next().map(|(asset, next)| {
            (vec![("asset", asset.name.as_str())], now.0.saturating_sub(next.at.0) as f64 / 1000.0)
        });
        to.gauges(
            "template_age_seconds",
            "Age of the newest block template by the node's clock",
            age,
        )?;
        let height = with_next()
            .map(|(asset, next)| (vec![("asset", asset.name.as_str())], next.height as f64));
        to.gauges("last_job_broadcast_height", "Height of the block being worked on", height)?;
        let difficulty = outlook
            .assets
            .iter()
            .filter_map(|asset| Some((vec![("asset", asset.name.as_str())], asset.difficulty()?)));
        to.gauges("network_difficulty", "The network's difficulty", difficulty)?;
        let nodes = outlook.assets.iter().flat_map(|asset| {
            asset.nodes.iter().map(|node| {
                let labels = vec![("asset", asset.name.as_str()), ("url", node.address.as_str())];
                (labels, f64::from(node.trouble.is_none()))
            })
        });
        to.gauges("node_healthy", "1 while a node answers and is believed", nodes)
    }

    fn pools(&self, to: &mut Family<'_, '_>) -> fmt::Result {
        let (outlook, view) = (self.0.outlook.load(), self.0.pool.view());
        let pools = crate::model::pools::all(&outlook, &view, &self.0.history);
        let named = |value: fn(&crate::model::pools::Pool) -> Option<f64>| {
            pools
                .iter()
                .filter_map(move |pool| Some((vec![("pool", pool.name.as_str())], value(pool)?)))
        };
        to.gauges(
            "pool_hashrate_hps",
            "Hashes a second over a quarter of an hour",
            named(|p| Some(p.hashrate)),
        )?;
        to.gauges(
            "pool_workers",
            "Machines with a share in ten minutes",
            named(|p| Some(p.workers.into())),
        )?;
        to.gauges(
            "pool_miners",
            "Accounts with a share in ten minutes",
            named(|p| Some(p.miners.into())),
        )?;
        to.gauges(
            "pool_effort_ratio",
            "Work since the last block by the work a block needs",
            named(|p| Some(p.effort)),
        )?;
        to.gauges(
            "pool_seconds_per_block",
            "Expected time to a block",
            named(|p| p.seconds_per_block),
        )?;
        to.gauges(
            "pool_acceptance_ratio",
            "Accepted shares by all shares",
            named(|p| p.acceptance),
        )?;
        let activity = self.0.activity.load();
        let counted = |value: fn(&Activity) -> Option<f64>| {
            activity
                .iter()
                .filter_map(move |of| Some((vec![("pool", of.pool.as_str())], value(of)?)))
        };
        to.gauges(
            "pool_blocks_in_24h",
            "Blocks booked in the last 24 hours",
            counted(|of| Some(of.blocks.in_24h as f64)),
        )?;
        to.gauges(
            "pool_seconds_between_blocks",
            "Mean time between blocks of the last 30 days",
            counted(|of| of.blocks.mean_seconds_between),
        )?;
        to.gauges(
            "payouts_in_24h",
            "Payouts of the pool's asset made in the last 24 hours",
            counted(|of| Some(of.payouts.in_24h as f64)),
        )?;
        to.gauges(
            "payouts_seconds_between",
            "Mean time between its payouts of the last 30 days",
            counted(|of| of.payouts.mean_seconds_between),
        )?;
        let counted = |count: fn(&::pool::view::PoolView) -> u64| {
            view.pools.iter().map(move |pool| (vec![("pool", pool.name.as_str())], count(pool)))
        };
        to.counters(
            "pool_blocks_found",
            "Blocks found, whatever became of them",
            counted(|p| p.blocks.found),
        )?;
        to.counters(
            "pool_blocks_orphaned",
            "Blocks that left the chain",
            counted(|p| p.blocks.orphaned),
        )?;
        let immature =
            view.pools.iter().map(|p| (vec![("pool", p.name.as_str())], p.blocks.immature as f64));
        to.gauges("pool_blocks_immature", "Blocks that are not deep enough", immature)?;
        let unbookable = outlook
            .pools
            .iter()
            .map(|p| (vec![("pool", p.name.as_str())], p.blocks_unbooked as f64));
        to.gauges(
            "pool_blocks_unbookable",
            "Found blocks that are not in the books yet",
            unbookable,
        )
    }

    /// What is on its way through pools of leased compute, and what is stuck.
    fn leased(&self, to: &mut Family<'_, '_>) -> fmt::Result {
        let outlook = self.0.outlook.load();
        let named = |value: OfLeased| {
            outlook.pools.iter().filter_map(move |pool| {
                let value = value(pool.leased.as_ref()?)?;
                Some((vec![("pool", pool.name.as_str())], value))
            })
        };
        let gauges: [(&str, &str, OfLeased); 9] = [
            ("leased_active", "Leases in somebody's hands", |l| {
                Some(l.looked.active_leases as f64)
            }),
            ("leased_issued_15m", "Leases handed out in a quarter of an hour", |l| {
                Some(l.looked.pipeline.issued as f64)
            }),
            ("leased_completed_15m", "Those of them that were answered", |l| {
                Some(l.looked.pipeline.completed as f64)
            }),
            ("leased_expired_15m", "Those of them that were not answered in time", |l| {
                Some(l.looked.pipeline.expired as f64)
            }),
            ("leased_open_algorithms", "Algorithms that are not decided", |l| {
                Some(l.looked.open_algorithms as f64)
            }),
            ("leased_awaiting_own_result", "Those of them that the pool must evaluate", |l| {
                Some(l.looked.awaiting_own_result as f64)
            }),
            ("leased_oldest_open_seconds", "How long the oldest of them waits", |l| {
                l.looked.oldest_open_s.map(|s| s as f64)
            }),
            ("leased_best_score", "What the best algorithm is worth", |l| l.looked.best_score),
            ("leased_epoch_end_timestamp_seconds", "When the open epoch ends", |l| {
                Some(l.epoch.ends_at.0 as f64 / 1000.0)
            }),
        ];
        gauges.into_iter().try_for_each(|(name, help, value)| to.gauges(name, help, named(value)))
    }

    fn money(&self, to: &mut Family<'_, '_>) -> fmt::Result {
        let (outlook, view) = (self.0.outlook.load(), self.0.pool.view());
        let assets = |value: fn(&::pool::view::AssetView) -> f64| {
            view.assets
                .iter()
                .map(move |asset| (vec![("asset", asset.name.as_str())], value(asset)))
        };
        let units = |amount: accounting::Amount| amount.units() as f64;
        to.gauges(
            "payout_in_flight_base_units",
            "In payouts that are not confirmed deep enough",
            assets(|a| a.in_flight.units() as f64),
        )?;
        to.gauges("owed_base_units", "Owed to miners", assets(|a| a.owed.units() as f64))?;
        to.gauges(
            "commission_base_units",
            "Fees earned and kept",
            assets(|a| a.fees.units() as f64),
        )?;
        to.gauges(
            "bankroll_base_units",
            "What carries the risk of buying shares",
            assets(|a| a.bankroll.units() as f64),
        )?;
        to.gauges("lost_base_units", "What was lost", assets(|a| a.loss.units() as f64))?;
        to.gauges(
            "ledger_balances",
            "1 while debits equal credits",
            assets(|a| f64::from(a.balances_to_zero)),
        )?;
        let spendable = outlook.assets.iter().filter_map(|asset| {
            Some((vec![("asset", asset.name.as_str())], units(asset.wallet?.spendable)))
        });
        to.gauges("wallet_spendable_base_units", "What the wallet can spend now", spendable)?;
        let folds = outlook
            .assets
            .iter()
            .map(|asset| (vec![("asset", asset.name.as_str())], f64::from(asset.folds)));
        to.gauges(
            "ledger_fold_ok",
            "1 while balances follow from the transfers, at the last look",
            folds,
        )?;
        let blocked = outlook.assets.iter().map(|asset| {
            (vec![("asset", asset.name.as_str())], f64::from(!asset.blockers.is_empty()))
        });
        to.gauges("payouts_blocked", "1 while something stops payouts", blocked)?;
        to.gauges(
            "payouts_open",
            "Payouts that may still change",
            [(vec![], view.payouts.len() as f64)],
        )?;
        let spends = [(vec![], view.unmatched_spends as f64)];
        to.gauges("spends_unexplained", "Spends of the wallet that the books do not know", spends)
    }

    fn process(&self, to: &mut Family<'_, '_>) -> fmt::Result {
        let (outlook, view) = (self.0.outlook.load(), self.0.pool.view());
        to.gauges(
            "wal_pending",
            "Commands that wait for the writer",
            [(vec![], self.0.pool.waiting() as f64)],
        )?;
        let ok = f64::from(view.store_failing.is_none());
        to.gauges("store_ok", "1 while the store takes writes", [(vec![], ok)])?;
        let waiting = self.0.notices_waiting() as f64;
        to.gauges("notices_waiting", "Notices that were not taken yet", [(vec![], waiting)])?;
        let known = self.0.history.shown().machine_count() as f64;
        to.gauges("web_machines_known", "Machines with a share in seven days", [(vec![], known)])?;
        let up = self.0.now().0.saturating_sub(outlook.started_at.0) as f64 / 1000.0;
        let backup = outlook.backups.as_ref().map(|backups| (vec![], backups.last_s()));
        to.gauges(
            "backup_last_timestamp_seconds",
            "When the last scheduled backup was written and read back; 0 before the first",
            backup,
        )?;
        to.gauges("process_uptime_seconds", "Since the process started", [(vec![], up)])
    }
}
