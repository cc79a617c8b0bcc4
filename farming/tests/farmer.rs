//! The released farmer, with a real node, wallet and harvester, farms to this pool: the whole story.
//!
//! Not part of every test run until it was green twenty times running: `cargo nextest run -p farming --run-ignored only`.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use accounting::{AssetId, PoolId};
use common::devnet::{Devnet, Service};
use common::{asset, pot, settings};
use farming::difficulty::{Policy, Rule};
use farming::door::{Door, Settings};
use farming::farm;
use farming::hash::Bytes32;
use farming::network::Network;
use farming::node::Nodes;
use farming::server::Limits;
use farming::singleton::Terms;
use farming::tables::Tables;
use farming::wallet::WalletKey;
use farming::watch::Pace;
use pool::SystemClock;
use pool::writer;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::port::Port;
use testkit::process::Process;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const SEED: [u8; 32] = [5; 32];
/// The file that tells a pool's process what to do.
const ORDERS: &str = "ADIT_FARMING_ORDERS";

#[derive(Serialize, Deserialize)]
struct Orders {
    folder: PathBuf,
    port: u16,
    node: Service,
}

fn key() -> WalletKey {
    WalletKey::from_seed(&SEED, 0)
}

fn story_settings() -> Settings {
    let target = key().puzzle_hash();
    Settings {
        target,
        terms: Terms { targets: vec![target], lock_height: 5 },
        // Every proof of these small plots is good enough for it, and no farm is too large.
        policy: Policy { rule: Rule::Poisson, min: 1_000_000_000, per_day: 10_000_000 },
        // Long enough for the pool to be killed before partials are looked at again.
        confirm_after_ms: 10_000,
        buried: 3,
        report_depth: 1,
        ..settings()
    }
}

/// The pool's own process: this test does nothing unless the story below starts it with orders.
#[test]
fn a_pool_that_was_given_orders_runs_until_it_is_killed() {
    let Some(orders) = std::env::var_os(ORDERS) else { return };
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_ansi(false).init();
    let orders: Orders = serde_json::from_slice(&std::fs::read(orders).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = store::Sqlite::open(&orders.folder).unwrap();
        let writer =
            writer::start(Box::new(store), vec![asset()], vec![pot()], SystemClock).unwrap();
        let nodes = Arc::new(Nodes::new(Network::simulator(), vec![orders.node.client()]));
        let (tables, _thread) = Tables::open(&orders.folder).unwrap();
        let numbers = (AssetId(1), PoolId(1));
        let clock = Arc::new(SystemClock);
        let door = Door::open(writer.pool, numbers, story_settings(), nodes, tables, clock).await;
        let address: SocketAddr = ([127, 0, 0, 1], orders.port).into();
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let pace = Pace {
            look: Duration::from_millis(500),
            collect: Duration::from_secs(1),
            absorb_depth: 1,
        };
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        farm::start(
            Arc::new(door.unwrap()),
            listener,
            None,
            Limits::default(),
            pace,
            &tasks,
            &cancel,
        )
        .await
        .unwrap();
        cancel.cancelled().await;
    });
}

struct Story {
    devnet: Devnet,
    pool: Process,
    folder: PathBuf,
    orders: PathBuf,
}

/// A folder that stays when the story fails, so that one can see why.
struct Kept(tempfile::TempDir);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.disable_cleanup(std::thread::panicking());
    }
}

fn start_pool(folder: &Path, orders: &Path) -> Process {
    let program = std::env::current_exe().unwrap();
    let test = "a_pool_that_was_given_orders_runs_until_it_is_killed";
    let arguments = ["--exact", test, "--nocapture"].map(str::to_owned);
    let environment = [(ORDERS, orders.display().to_string())];
    Process::start(&program, &arguments, &environment, &folder.join("pool.log"))
}

impl Story {
    fn restart(&mut self) {
        self.pool = start_pool(&self.folder, &self.orders);
    }

    /// Asks the door's own database.
    fn count(&self, sql: &str) -> i64 {
        let file = self.folder.join(farming::tables::FILE_NAME);
        let db = rusqlite::Connection::open(file).unwrap();
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap_or(-1)
    }

    /// Asks the books.
    fn booked(&self, sql: &str) -> i64 {
        let reader = store::Reader::open(&self.folder).unwrap();
        reader.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn until(
        &mut self,
        what: &str,
        mut step: impl FnMut(&mut Devnet),
        done: impl Fn(&Self) -> bool,
    ) {
        let since = Instant::now();
        while !done(self) {
            assert!(
                since.elapsed() < Duration::from_secs(120),
                "{what}: see {}",
                self.folder.display()
            );
            step(&mut self.devnet);
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
#[ignore = "needs Python and 250 MB of Chia's own software, which scripts/chia.sh installs"]
fn the_released_farmer_farms_is_paid_and_leaves() {
    let folder = Kept(tempfile::tempdir().unwrap());
    let (work, data) = (folder.0.path().join("chia"), folder.0.path().join("pool"));
    std::fs::create_dir_all(&work).unwrap();
    std::fs::create_dir_all(&data).unwrap();
    let devnet = Devnet::start(&work);
    let port = Port::take();
    let orders = folder.0.path().join("orders.json");
    let given = Orders { folder: data.clone(), port: port.number(), node: devnet.node.clone() };
    std::fs::write(&orders, serde_json::to_vec(&given).unwrap()).unwrap();
    let pool = start_pool(&data, &orders);
    let mut story = Story { devnet, pool, folder: data, orders };

    // It registers.
    let url = format!("http://{}", port.address());
    let target = key().puzzle_hash();
    let joined = story
        .devnet
        .run(json!({"do": "join", "url": url, "target": target.to_string(), "lock": 5}));
    story.until(
        "the farmer registers",
        |_| {},
        |story| story.count("SELECT count(*) FROM farmers") == 1,
    );

    // It farms, for signage points and for the ends of sub-slots.
    story.until(
        "partials come",
        |devnet| devnet.points(2),
        |story| story.count("SELECT count(*) FROM partials WHERE is_end = 0") >= 4,
    );
    story.until(
        "partials for the end of a sub-slot come",
        |devnet| drop(devnet.run(json!({"do": "end"}))),
        |story| story.count("SELECT count(*) FROM partials WHERE is_end = 1") >= 1,
    );

    // The pool dies between partials and their confirmation: nothing is lost, nothing is doubled.
    story.devnet.points(3);
    story.pool.kill();
    let before = story.count("SELECT count(*) FROM partials");
    story.restart();
    story.until(
        "every partial is recorded and settled",
        |_| {},
        |story| story.count("SELECT count(*) FROM partials WHERE state = 0 OR seq IS NULL") == 0,
    );
    assert!(story.count("SELECT count(*) FROM partials") >= before);
    assert_eq!(
        story.booked("SELECT count(*) FROM shares"),
        story.count("SELECT count(*) FROM partials")
    );
    assert_eq!(
        story.booked("SELECT count(DISTINCT key) FROM shares"),
        story.booked("SELECT count(*) FROM shares")
    );

    // It wins blocks, whose rewards are absorbed and booked.
    story.devnet.run(json!({"do": "blocks", "count": 2, "to_pool": true}));
    story.until(
        "rewards are booked",
        |devnet| {
            devnet.blocks(1);
        },
        |story| story.count("SELECT count(*) FROM income WHERE state = 1") >= 2,
    );
    let rewards = story.devnet.coins(&target);
    assert!(
        rewards.len() >= 2 && rewards.iter().all(|amount| *amount == 1_750_000_000_000),
        "{rewards:?}"
    );
    assert_eq!(
        story.booked("SELECT count(*) FROM rewards"),
        story.count("SELECT count(*) FROM income")
    );

    // The pool's key pays the farmer, and the chain agrees.
    pay_the_farmer(&mut story, joined["payout"].as_str().unwrap().parse().unwrap());

    // A signage point is taken back: what was credited for it is revoked.
    let credited = story.count("SELECT count(*) FROM partials");
    story.until(
        "another partial comes",
        |devnet| devnet.points(1),
        |story| story.count("SELECT count(*) FROM partials") > credited,
    );
    story.pool.kill();
    let waiting = story.count("SELECT count(*) FROM partials WHERE state = 0");
    assert!(waiting > 0, "it was confirmed before the pool was stopped");
    story.devnet.run(json!({"do": "reorg", "depth": 2}));
    story.restart();
    story.until(
        "a partial is revoked",
        |_| {},
        |story| story.booked("SELECT count(*) FROM revocations") >= 1,
    );

    // It leaves, and credit stops.
    story.devnet.run(json!({"do": "leave"}));
    story.devnet.blocks(8);
    let refused = "SELECT coalesce(sum(count), 0) FROM refusals WHERE reason = 'not_a_member'";
    story.until(
        "who has left is refused",
        |devnet| devnet.points(1),
        |story| story.count(refused) >= 1,
    );
    let credited = story.booked("SELECT count(*) FROM shares");
    story.devnet.points(3);
    assert_eq!(story.booked("SELECT count(*) FROM shares"), credited);
}

fn pay_the_farmer(story: &mut Story, to: Bytes32) {
    let before: u64 = story.devnet.coins(&to).iter().sum();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let node = story.devnet.node.client();
    let pushed = runtime.block_on(async {
        let records = node.coins_at(&[key().puzzle_hash()], 0, false).await.unwrap();
        let coins: Vec<_> = records.iter().map(|record| record.coin).collect();
        let bundle = key().pay(&coins, &[(to, 123_456_789)], 1000, &Network::simulator()).unwrap();
        node.push(&bundle).await.unwrap()
    });
    assert_eq!(pushed, farming::node::Pushed::Taken);
    let arrived =
        |devnet: &mut Devnet| devnet.coins(&to).iter().sum::<u64>() == before + 123_456_789;
    for _ in 0..10 {
        story.devnet.blocks(1);
        if arrived(&mut story.devnet) {
            return;
        }
    }
    panic!("the payment did not confirm");
}
