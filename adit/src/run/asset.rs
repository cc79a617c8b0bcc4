//! One asset's counter: watches income and makes payouts, as often as there is something to see.

use super::Live;
use crate::config::AssetSettings;
use accounting::AssetId;
use anyhow::{Context, bail};
use arc_swap::ArcSwap;
use pool::cashier::{Cashier, CashierStatus, FoldCheck};
use pool::treasury::TreasuryError;
use pool::{Clock, Pool};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::Reader;
use stratum::coin::address::address_of;
use stratum::source::{Offer, Source};
use stratum::treasury::CoinTreasury;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// How long to wait before a wallet that cannot be reached is tried again.
const PAUSE: Duration = Duration::from_secs(2);

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
    /// Its nodes.
    pub source: Source,
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
        self.source.knock.send_modify(|count| *count += 1);
    }
}

/// Opens the wallet; waits for the node as long as it takes.
pub async fn open_treasury(
    asset: &AssetSettings,
    pool: &Pool,
    clock: &Arc<dyn Clock>,
    cancel: &CancellationToken,
) -> anyhow::Result<CoinTreasury> {
    let mut told = String::new();
    loop {
        match CoinTreasury::open(asset.treasury.clone(), pool.clone(), clock.clone()).await {
            Ok(treasury) => return Ok(treasury),
            Err(TreasuryError::Unreachable(text)) => {
                if told != text {
                    tracing::error!(
                        asset = asset.config.name,
                        "the wallet waits for its node: {text}"
                    );
                    told = text;
                }
            }
            Err(error) => bail!("asset {}: {error}", asset.config.name),
        }
        tokio::select! {
            () = cancel.cancelled() => bail!("stopped while waiting for the node of asset {}", asset.config.name),
            () = tokio::time::sleep(PAUSE) => {}
        }
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
pub async fn open(
    asset: &AssetSettings,
    treasury: CoinTreasury,
    source: Source,
    pool: &Pool,
    folder: &Path,
    live: &Live,
) -> anyhow::Result<Arc<Counter>> {
    let name = asset.config.name.clone();
    let wanted = name.clone();
    let id = pool.order(move |books, _, _| Ok(books.asset_named(&wanted))).await?;
    let id = id.with_context(|| format!("asset \"{name}\" has no number; this is a bug"))?;
    let check = fold_check(folder);
    let clock: Arc<dyn Clock> = Arc::new(pool::SystemClock);
    let script = treasury.script();
    let address =
        address_of(script.as_bytes(), asset.coin).unwrap_or_else(|| script.to_hex_string());
    let cashier =
        Cashier::new(pool.clone(), id, asset.config.payouts.clone(), treasury, check, clock);
    let offers = source.offers.clone();
    let counter = Arc::new(Counter {
        id,
        name,
        address,
        status: cashier.status(),
        source,
        wake: Notify::new(),
        run_now: std::sync::atomic::AtomicBool::new(false),
    });
    let looking =
        keep_looking(cashier, counter.clone(), offers, asset.look_every, live.floor.cancel.clone());
    live.spawn(format!("the cashier of {}", asset.config.name), looking);
    Ok(counter)
}

async fn keep_looking(
    mut cashier: Cashier<CoinTreasury>,
    counter: Arc<Counter>,
    mut offers: watch::Receiver<Offer>,
    every: Duration,
    cancel: CancellationToken,
) {
    let mut tip = None;
    loop {
        if counter.run_now.swap(false, std::sync::atomic::Ordering::AcqRel) {
            cashier.run_now();
        }
        if let Err(refused) = cashier.round().await {
            tracing::warn!(asset = counter.name, "income and payouts wait: {refused}");
        }
        let later = tokio::time::sleep(every);
        tokio::pin!(later);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = &mut later => break,
                () = counter.wake.notified() => break,
                changed = offers.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let Offer::Template(template) = offers.borrow_and_update().clone() else { continue };
                    if tip.replace(template.prev_hash) != Some(template.prev_hash) {
                        break;
                    }
                }
            }
        }
    }
}
