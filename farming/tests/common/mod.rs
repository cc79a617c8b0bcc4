//! A farming pool on a real store, with a node that says what a test wants, and a real farmer's captured requests.

#![allow(dead_code, reason = "each test uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

pub mod nft;
pub mod node;

use accounting::fee::FeeRule;
use accounting::payout::PayoutDepths;
use accounting::reward::Depths;
use accounting::scheme::PplnsWindow;
use accounting::{Amount, AssetId, BasisPoints, PoolId, Scheme, UnixMs};
use arc_swap::ArcSwap;
use farming::difficulty::{Policy, Rule};
use farming::door::{Door, Numbers, Opening, Settings, ledger_network};
use farming::hash::Bytes32;
use farming::network::Network;
use farming::node::Nodes;
use farming::singleton::Terms;
use farming::tables::Tables;
use farming::token::TokenTimeout;
use farming::wallet::Wallet;
use farming::wallet::signer::Signer;
use node::{FakeNode, World};
use pool::bans::{Banned, Bans};
use pool::config::{FeePayer, SliceRule};
use pool::writer::{self, Writer};
use pool::{AssetConfig, Clock, PayoutRules, PoolConfig};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use store::Sqlite;

/// The door's file.
pub const TABLES: &str = "farming.sqlite";
/// When the requests were captured.
pub const CAPTURED: u64 = 1_795_220_033_000;
/// The confirmation delay of these pools.
pub const CONFIRM_MS: u64 = 300_000;

#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMs {
        UnixMs(CAPTURED + self.0.load(Ordering::SeqCst))
    }
}

pub fn vectors() -> &'static Value {
    static VECTORS: OnceLock<Value> = OnceLock::new();
    VECTORS.get_or_init(|| serde_json::from_str(include_str!("../fixtures/chia.json")).unwrap())
}

pub fn launcher() -> Bytes32 {
    vectors()["login"]["launcher_id"].as_str().unwrap().parse().unwrap()
}

/// The captured requests of a method and path.
pub fn captured(method: &str, path: &str) -> Vec<&'static Value> {
    let all = vectors()["captured_v1"]["requests"].as_array().unwrap().iter();
    all.filter(|request| {
        let full = request["path_qs"].as_str().unwrap();
        request["method"] == method && full.split('?').next() == Some(path)
    })
    .collect()
}

/// Captured partials whose signage points the node knows, each proof once: with the simulator's small discriminant, points come
/// back, and the farmer finds the same proof again.
pub fn partials() -> Vec<&'static str> {
    let mut seen = std::collections::HashSet::new();
    let all = vectors()["partials_with_context"].as_array().unwrap().iter();
    all.filter(|case| seen.insert((&case["plot_id"], &case["quality_string"])))
        .map(|case| case["body"].as_str().unwrap())
        .collect()
}

/// When a captured partial was made, by its token.
pub fn made_at(body: &str) -> UnixMs {
    let body: Value = serde_json::from_str(body).unwrap();
    let token = body["payload"]["authentication_token"].as_u64().unwrap();
    if token == CAPTURED / 300_000 { UnixMs(CAPTURED) } else { UnixMs(token * 300_000 + 1000) }
}

fn coin_id(record: &Value) -> Bytes32 {
    serde_json::from_value::<farming::coin::Coin>(record["coin"].clone()).unwrap().id()
}

/// The chain when the requests were captured, its plot NFT followed by so many of its later spends.
pub fn world(spends: usize) -> World {
    let mut points = HashMap::new();
    for case in vectors()["partials_with_context"].as_array().unwrap() {
        let body: Value = serde_json::from_str(case["body"].as_str().unwrap()).unwrap();
        let hash: Bytes32 = body["payload"]["sp_hash"].as_str().unwrap().parse().unwrap();
        let mut answer = case["full_node_response"].clone();
        // As if they had appeared just before the partials were made.
        let made_s = made_at(case["body"].as_str().unwrap()).0 as f64 / 1000.0;
        answer["time_received"] = serde_json::json!(made_s - 2.0);
        points.insert(hash, answer);
    }
    let lineage = vectors()["singleton"]["lineage"].as_array().unwrap();
    let mut coins = Vec::new();
    let mut spent = HashMap::new();
    for (index, step) in lineage.iter().enumerate().take(spends + 2) {
        let mut record = step["coin_record"].clone();
        if index == spends + 1 {
            record["spent_block_index"] = 0.into();
        } else {
            spent.insert(coin_id(&record), step["spend"].clone());
        }
        coins.push(record);
    }
    World {
        height: 30 + spends as u32 * 5,
        is_synced: true,
        points,
        ahead_s: 0,
        coins,
        spends: spent,
        pushed: Vec::new(),
        fee_mojo: 0,
        is_full: false,
        asked: HashMap::new(),
        lies: HashMap::new(),
    }
}

pub fn asset() -> AssetConfig {
    AssetConfig {
        name: "xch".into(),
        network: ledger_network(&Network::simulator()),
        decimals: 12,
        depths: Depths { mature: 6, orphan: 6, last_look: 300 },
        payouts: PayoutRules {
            minimum: Amount::from_units(1),
            dust: Amount::from_units(1),
            max_outputs: 100,
            fee_payer: FeePayer::Pool,
            max_per_run: Amount::from_units(i128::from(i64::MAX)),
            max_per_day: Amount::from_units(i128::from(i64::MAX)),
            max_per_account_per_day: Amount::from_units(i128::from(i64::MAX)),
            approval_above: None,
            approvals: 2,
            payday: Default::default(),
            address_change_delay_ms: 0,
            depths: PayoutDepths { confirm: 3, abandon: 100, last_look: 200 },
            interval_ms: 1000,
            bump_after_ms: None,
            hot_wallet_cap: None,
        },
        assets_elsewhere: Amount::ZERO,
        exchange: None,
    }
}

/// The pot of rewards that are a farmer's own.
pub fn refunds() -> PoolConfig {
    PoolConfig {
        name: "farm.refunds".into(),
        scheme: farming::chores::REFUNDED,
        fee: FeeRule::default(),
        ..pot()
    }
}

pub const NUMBERS: Numbers = Numbers { asset: AssetId(1), pool: PoolId(1), refunds: PoolId(2) };

/// The keys of these pools; the captured farmers' rewards go elsewhere.
pub fn wallet() -> Arc<Wallet> {
    Arc::new(Wallet::new(&chia_bls::SecretKey::from_seed(&[5; 32]), &[]))
}

pub fn pot() -> PoolConfig {
    PoolConfig {
        name: "farm".into(),
        asset: "xch".into(),
        scheme: PPLNS,
        fee: FeeRule { base: BasisPoints::new(100).unwrap(), ..FeeRule::default() },
        part: None,
        knows_keys: true,
        slices: SliceRule { least_shares: 1, ..SliceRule::default() },
    }
}

pub const PPLNS: Scheme = Scheme::Pplns(PplnsWindow::Work { millifactor: 2000 });

pub fn settings() -> Settings {
    let target = Bytes32([0x22; 32]);
    Settings {
        name: "A pool".into(),
        description: "for <tests>".into(),
        logo_url: "http://127.0.0.1/logo.svg".into(),
        welcome: "welcome".into(),
        fee: BasisPoints::new(100).unwrap(),
        scheme: PPLNS,
        target,
        terms: Terms { targets: vec![target], lock_height: 5 },
        timeout: TokenTimeout::minutes(5).unwrap(),
        policy: Policy { rule: Rule::Poisson, min: 1_000, per_day: 300 },
        time_limit_ms: 25_000,
        confirm_after_ms: CONFIRM_MS,
        buried: 32,
        report_depth: 3,
        pays_externally: false,
        absorb_fee_most: 0,
    }
}

/// A pool that runs.
pub struct Running {
    pub door: Arc<Door>,
    pub clock: TestClock,
    writer: Writer,
    tables: JoinHandle<()>,
}

impl Running {
    pub async fn start(folder: &Path, nodes: &[&FakeNode], clock: TestClock) -> Self {
        Self::with(folder, nodes, clock, settings()).await
    }

    pub async fn with(
        folder: &Path,
        nodes: &[&FakeNode],
        clock: TestClock,
        settings: Settings,
    ) -> Self {
        let store = Sqlite::open(folder).unwrap();
        let writer =
            writer::start(Box::new(store), vec![asset()], vec![pot(), refunds()], clock.clone());
        let writer = writer.unwrap();
        let clients = nodes.iter().map(|node| node.client()).collect();
        let nodes = Arc::new(Nodes::new(Network::simulator(), clients));
        nodes.refresh().await;
        let (tables, thread) = Tables::open(&folder.join(TABLES)).unwrap();
        let bans = writer.pool.order(|books, _, _| Ok(books.notes_of(Banned::DOOR))).await;
        let door = Door::open(Opening {
            pool: writer.pool.clone(),
            numbers: NUMBERS,
            settings,
            nodes,
            signer: Signer::Own(wallet()),
            tables,
            folder: folder.to_owned(),
            clock: Arc::new(clock.clone()),
            paused: None,
            bans: Arc::new(ArcSwap::from_pointee(Bans::of(bans.unwrap().keys()))),
        });
        Running { door: Arc::new(door.await.unwrap()), clock, writer, tables: thread }
    }

    /// Ends it in order; what was not answered is lost, as in a crash.
    pub async fn stop(self) {
        drop(self.door);
        self.tables.join().unwrap();
        self.writer.pool.stop().await;
        self.writer.thread.join().unwrap().unwrap();
    }
}

/// What the books say.
pub fn shares(folder: &Path) -> Vec<(u64, u64)> {
    let reader = store::Reader::open(folder).unwrap();
    let db = reader.connection();
    let mut statement = db.prepare("SELECT seq, weight FROM shares ORDER BY seq").unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)));
    rows.unwrap().map(Result::unwrap).collect()
}
