//! The pool that is measured: a door, a pot and a ledger in a process of their own.

use super::farm::{LOCK_HEIGHT, TARGET, TOKEN_MINUTES};
use super::node::{AUTHORITY, CERTIFICATE, KEY, acceptor};
use accounting::fee::FeeRule;
use accounting::payout::PayoutDepths;
use accounting::reward::Depths;
use accounting::scheme::PplnsWindow;
use accounting::{Amount, AssetId, BasisPoints, PoolId, Scheme};
use anyhow::Context;
use chia_bls::SecretKey;
use farming::chores::REFUNDED;
use farming::difficulty::{Policy, Rule};
use farming::door::{Door, Numbers, Opening, Settings, ledger_network};
use farming::network::Network;
use farming::node::rpc::{Endpoint, Rpc};
use farming::node::{Node, Nodes};
use farming::server::Limits;
use farming::singleton::Terms;
use farming::tables::Tables;
use farming::token::TokenTimeout;
use farming::wallet::Wallet;
use farming::wallet::signer::Signer;
use farming::watch::Pace;
use pool::config::{FeePayer, SliceRule};
use pool::{AssetConfig, PayoutRules, PoolConfig, SystemClock, writer};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Deserialize)]
struct Orders {
    folder: PathBuf,
    port: u16,
    node: String,
}

/// The door's file.
const TABLES: &str = "farming.sqlite";
const SCHEME: Scheme = Scheme::Pplns(PplnsWindow::Work { millifactor: 2000 });

/// Serves until killed.
pub fn run(orders: &Path) -> anyhow::Result<()> {
    let orders: Orders = serde_json::from_slice(&std::fs::read(orders)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(orders))
}

async fn serve(orders: Orders) -> anyhow::Result<()> {
    let store = store::Sqlite::open(&orders.folder)?;
    let writer = writer::start(Box::new(store), vec![asset()], vec![pot(), refunds()], SystemClock)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let node = Node::new(Rpc::new(endpoint(&orders)?)?);
    let nodes = Arc::new(Nodes::new(Network::simulator(), vec![node]));
    let (tables, _thread) = Tables::open(&orders.folder.join(TABLES))?;
    let door = Door::open(Opening {
        pool: writer.pool,
        numbers: Numbers { asset: AssetId(1), pool: PoolId(1), refunds: PoolId(2) },
        settings: settings()?,
        nodes,
        signer: Signer::Own(Arc::new(Wallet::new(&SecretKey::from_seed(&[1; 32]), &[]))),
        tables,
        folder: orders.folder.clone(),
        clock: Arc::new(SystemClock),
        paused: None,
        bans: Arc::default(),
    })
    .await?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", orders.port)).await?;
    // What is measured is the work, not the limits.
    let all = (u32::MAX, u32::MAX);
    let limits = Limits { per_address: all, per_farmer: all, ..Limits::default() };
    let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
    let tls = Some(acceptor()?);
    let door = Arc::new(door);
    farming::farm::start(door, listener, tls, limits, Pace::default(), &tasks, &cancel).await?;
    cancel.cancelled().await;
    Ok(())
}

fn endpoint(orders: &Orders) -> anyhow::Result<Endpoint> {
    let file = |name: &str, bytes: &[u8]| {
        let path = orders.folder.join(name);
        std::fs::write(&path, bytes).map(|()| path)
    };
    Ok(Endpoint {
        address: orders.node.clone(),
        authority: file("ca.crt", AUTHORITY)?,
        certificate: file("node.crt", CERTIFICATE)?,
        key: file("node.key", KEY)?,
    })
}

fn settings() -> anyhow::Result<Settings> {
    Ok(Settings {
        name: "bench".to_owned(),
        description: String::new(),
        logo_url: String::new(),
        welcome: "welcome".to_owned(),
        fee: BasisPoints::ZERO,
        scheme: SCHEME,
        target: TARGET,
        terms: Terms { targets: vec![TARGET], lock_height: LOCK_HEIGHT },
        timeout: TokenTimeout::minutes(TOKEN_MINUTES).context("a token of some minutes")?,
        // So many a day that no farm is too large for it.
        policy: Policy { rule: Rule::Poisson, min: 1, per_day: u32::MAX },
        time_limit_ms: 25_000,
        confirm_after_ms: 300_000,
        buried: 32,
        report_depth: 6,
        pays_externally: false,
        absorb_fee_most: 0,
    })
}

fn refunds() -> PoolConfig {
    PoolConfig { name: "farm.refunds".to_owned(), scheme: REFUNDED, ..pot() }
}

fn pot() -> PoolConfig {
    PoolConfig {
        name: "farm".to_owned(),
        asset: "xch".to_owned(),
        scheme: SCHEME,
        fee: FeeRule::default(),
        part: None,
        slices: SliceRule::default(),
        knows_keys: true,
    }
}

fn asset() -> AssetConfig {
    let all = Amount::from_units(i128::from(i64::MAX));
    AssetConfig {
        name: "xch".to_owned(),
        network: ledger_network(&Network::simulator()),
        decimals: 12,
        depths: Depths { mature: 32, orphan: 32, last_look: 300 },
        payouts: PayoutRules {
            minimum: all,
            dust: Amount::from_units(1),
            max_outputs: 400,
            fee_payer: FeePayer::Pool,
            max_per_run: all,
            max_per_day: all,
            max_per_account_per_day: all,
            approval_above: None,
            approvals: 2,
            payday: Default::default(),
            address_change_delay_ms: 0,
            depths: PayoutDepths { confirm: 32, abandon: 100, last_look: 200 },
            interval_ms: 3_600_000,
            bump_after_ms: None,
            hot_wallet_cap: None,
        },
        assets_elsewhere: Amount::ZERO,
        exchange: None,
    }
}
