//! One asset's counter: watches income and makes payouts, as often as there is something to see.

use super::Start;
use accounting::AssetId;
use anyhow::Context;
use arc_swap::ArcSwap;
use pool::Clock;
use pool::cashier::{Cashier, CashierStatus, FoldCheck};
use pool::treasury::Treasury;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::Reader;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use web::measure::Measure;
use web::outlook::{Addresses, NextBlock, NodeOutlook};

/// What there is to say of an asset's network.
pub struct About {
    /// The coin, such as `Bitcoin`.
    pub coin: String,
    /// Its unit, such as `BTC`.
    pub symbol: &'static str,
    /// Seconds between blocks, by the chain's rule.
    pub block_interval_s: f64,
    /// Expected hashes of difficulty 1.
    pub difficulty_one: f64,
    /// What its work is told to people as, now.
    pub measure: Box<dyn Fn() -> Measure + Send + Sync>,
    /// Its addresses.
    pub addresses: Addresses,
    /// Its nodes, now.
    pub nodes: Box<dyn Fn() -> Vec<NodeOutlook> + Send + Sync>,
    /// The block being worked on, now.
    pub next: Box<dyn Fn() -> Option<NextBlock> + Send + Sync>,
}

/// One asset, as people and commands see it.
pub struct Counter {
    /// Its number.
    pub id: AssetId,
    /// Its name.
    pub name: String,
    /// Where its coinbases pay, and coins can be put.
    pub address: String,
    /// What the cashier last saw.
    pub status: Arc<ArcSwap<CashierStatus>>,
    /// Its network.
    pub about: About,
    knock: watch::Sender<u64>,
    wake: Notify,
    run_now: std::sync::atomic::AtomicBool,
}

impl Counter {
    /// Looks at income and payouts now.
    pub fn look(&self) {
        self.wake.notify_one();
    }

    /// Makes a payout run now, whatever the schedule says.
    pub fn run_now(&self) {
        self.run_now.store(true, std::sync::atomic::Ordering::Release);
        self.look();
    }

    /// There may be a new block (`blocknotify`).
    pub fn knock(&self) {
        self.knock.send_modify(|count| *count += 1);
    }
}

/// Says which balances of the store in this folder do not follow from the transfers.
pub fn fold_check(folder: &Path) -> FoldCheck {
    let folder = folder.to_owned();
    Arc::new(move || {
        let reader = Reader::open(&folder).map_err(|error| error.to_string())?;
        let differences = reader.fold_differences().map_err(|error| error.to_string())?;
        let tell = |d: &store::sqlite::FoldDifference| {
            format!(
                "{} of asset {}: kept {:?}, recomputed {:?}",
                d.kind, d.asset, d.cached, d.folded
            )
        };
        Ok(differences.iter().map(tell).collect())
    })
}

/// Starts the cashier.
pub(super) async fn open(
    Start { asset, pool, folder, live, .. }: &Start,
    treasury: impl Treasury + Sync,
    address: String,
    about: About,
    knock: watch::Sender<u64>,
) -> anyhow::Result<Arc<Counter>> {
    let name = asset.config.name.clone();
    let wanted = name.clone();
    let id = pool.order(move |books, _, _| Ok(books.asset_named(&wanted))).await?;
    let id = id.with_context(|| format!("asset \"{name}\" has no number; this is a bug"))?;
    let check = fold_check(folder);
    let clock: Arc<dyn Clock> = Arc::new(pool::SystemClock);
    let cashier =
        Cashier::new(pool.clone(), id, asset.config.payouts.clone(), treasury, check, clock);
    let counter = Arc::new(Counter {
        id,
        name,
        address,
        status: cashier.status(),
        about,
        knock,
        wake: Notify::new(),
        run_now: std::sync::atomic::AtomicBool::new(false),
    });
    let looking =
        keep_looking(cashier, counter.clone(), asset.look_every, live.floor.cancel.clone());
    live.spawn(format!("the cashier of {}", asset.config.name), looking);
    Ok(counter)
}

async fn keep_looking(
    mut cashier: Cashier<impl Treasury + Sync>,
    counter: Arc<Counter>,
    every: Duration,
    cancel: CancellationToken,
) {
    loop {
        if counter.run_now.swap(false, std::sync::atomic::Ordering::AcqRel) {
            cashier.run_now();
        }
        if let Err(refused) = cashier.round().await {
            tracing::warn!(asset = counter.name, "income and payouts wait: {refused}");
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(every) => {}
            () = counter.wake.notified() => {}
        }
    }
}
