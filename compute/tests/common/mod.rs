//! A real ledger for the door, and how the door is set.

#![allow(dead_code, reason = "each test takes what it needs")]

pub mod http;

use accounting::fee::FeeRule;
use accounting::payout::PayoutDepths;
use accounting::reward::Depths;
use accounting::{Amount, AssetId, BasisPoints, PoolId, Scheme};
use compute::desk;
use compute::key::SigningKey;
use compute::server::{Ledger, Pace, Settings, Unwanted};
use compute::tables::epochs::Budget;
use pool::config::{FeePayer, Payday, SliceRule};
use pool::writer::{self, Writer};
use pool::{AssetConfig, PayoutRules, PoolConfig, SystemClock};
use std::path::Path;
use store::Sqlite;

/// Hundredths of a percent.
pub fn bps(points: u16) -> BasisPoints {
    BasisPoints::new(points).unwrap()
}

/// TAO, withdrawn when its owner asks.
pub fn asset() -> AssetConfig {
    let plenty = Amount::from_units(1_000_000_000_000);
    AssetConfig {
        name: "tao".into(),
        network: "bittensor/finney".into(),
        decimals: 9,
        depths: Depths { mature: 1, orphan: 6, last_look: 300 },
        payouts: PayoutRules {
            minimum: Amount::from_units(5_000_000),
            dust: Amount::from_units(500),
            max_outputs: 100,
            fee_payer: FeePayer::Pool,
            max_per_run: plenty,
            max_per_day: plenty,
            max_per_account_per_day: plenty,
            approval_above: Some(Amount::ZERO),
            approvals: 1,
            payday: Payday::Asked,
            address_change_delay_ms: 86_400_000,
            depths: PayoutDepths { confirm: 1, abandon: 1, last_look: 2 },
            interval_ms: 1000,
            bump_after_ms: None,
            hot_wallet_cap: None,
        },
        assets_elsewhere: Amount::ZERO,
        exchange: None,
    }
}

/// A pot that pays epochs.
pub fn pot() -> PoolConfig {
    PoolConfig {
        name: "compute".into(),
        asset: "tao".into(),
        scheme: Scheme::Budget { cap: bps(500) },
        fee: FeeRule { base: bps(500), ..FeeRule::default() },
        part: None,
        knows_keys: true,
        slices: SliceRule::default(),
    }
}

/// The writer of a ledger in a folder.
pub fn writer(folder: &Path) -> Writer {
    let store = Sqlite::open(folder).unwrap();
    writer::start(Box::new(store), vec![asset()], vec![pot()], SystemClock).unwrap()
}

/// How the door reaches it.
pub fn ledger(writer: &Writer, folder: &Path) -> Ledger {
    Ledger {
        pool: writer.pool.clone(),
        pot: PoolId(1),
        asset: AssetId(1),
        network: "bittensor/finney".into(),
        store: folder.to_owned(),
    }
}

/// A TAO an hour, fee and ceiling 5 %.
pub fn settings(ledger: Ledger) -> Settings {
    let amount = Amount::from_units(1_000_000_000);
    Settings {
        desk: desk::Settings::DEFAULT,
        budget: Budget { length_s: 3600, amount, fee: bps(500), cap: bps(500) },
        coldkey_delay_s: 86_400,
        monitor_token: None,
        proxies: Vec::new(),
        blacklist: [].into(),
        own: SigningKey::from_seed(&[9; 32]),
        founders: Vec::new(),
        ledger,
        unwanted: Unwanted::nobody(),
        pace: Pace::ANY,
        relay: None,
    }
}

/// Ends a ledger.
pub async fn end(writer: Writer) {
    writer.pool.stop().await;
    writer.thread.join().unwrap().unwrap();
}
