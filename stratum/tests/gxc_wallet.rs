//! GXC's one-step wallet against the node as it was seen: an intent is paid once, whatever becomes of requests and answers.

#![expect(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::ledger::Kind;
use accounting::payout::PayoutDepths;
use accounting::reward::Depths;
use accounting::{
    Amount, AssetId, BasisPoints, Identity, IdentityKind, PoolId, Scheme, UnixMs, Weight,
};
use devnet::gxc::ledger::COIN;
use devnet::gxc::{Break, GxcNode, Ledger, Net};
use pool::cashier::Cashier;
use pool::config::{FeePayer, SliceRule};
use pool::writer::{self, Writer};
use pool::{AssetConfig, BlockReport, Clock, PayoutRules, PoolConfig};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{Reader, Sqlite};
use stratum::treasury::gxc::GxcWallet;
use tempfile::TempDir;

const POOL: &str = "tGXC751e76e8199196d454941c45d1b3a323f1";
const ANN: &str = "tGXC0000000000000000000000000000000001";
const BOB: &str = "tGXC0000000000000000000000000000000002";
const HOUR: u64 = 3600 * 1000;

/// The system's, moved ahead when a test says so: the node lives in the same time.
#[derive(Clone, Default)]
struct TestClock(Arc<AtomicU64>);

impl Clock for TestClock {
    fn now(&self) -> UnixMs {
        UnixMs(pool::SystemClock.now().0 + self.0.load(Ordering::SeqCst))
    }
}

struct World {
    folder: TempDir,
    node: GxcNode,
    clock: TestClock,
    writer: Writer,
    cashier: Cashier<GxcWallet>,
}

fn writer_in(folder: &Path, clock: &TestClock) -> Writer {
    let asset = AssetConfig {
        name: "gxc".into(),
        network: "gxc/test".into(),
        decimals: 8,
        depths: Depths { mature: 7, orphan: 3, last_look: 300 },
        payouts: rules(),
        assets_elsewhere: Amount::ZERO,
        exchange: None,
    };
    let pool = PoolConfig {
        name: "main".into(),
        asset: "gxc".into(),
        scheme: Scheme::Prop,
        fee: accounting::fee::FeeRule {
            base: BasisPoints::new(500).unwrap(),
            ..Default::default()
        },
        part: None,
        slices: SliceRule::default(),
        knows_keys: false,
    };
    let store = Box::new(Sqlite::open(folder).unwrap());
    writer::start(store, vec![asset], vec![pool], clock.clone()).unwrap()
}

async fn cashier(
    writer: &Writer,
    folder: &Path,
    node: &GxcNode,
    clock: &TestClock,
) -> Cashier<GxcWallet> {
    let (pool, shared) = (writer.pool.clone(), Arc::new(clock.clone()));
    let address = node.address().to_string();
    let wallet = GxcWallet::open(&address, POOL.into(), "gxc", pool.clone(), shared.clone()).await;
    let folder = folder.to_path_buf();
    let fold_check = Arc::new(move || {
        let differences = Reader::open(&folder).and_then(|reader| reader.fold_differences());
        Ok(differences.unwrap().iter().map(|d| format!("{d:?}")).collect())
    });
    Cashier::new(pool, AssetId(1), rules(), wallet.unwrap(), fold_check, shared)
}

fn rules() -> PayoutRules {
    let most = Amount::from_units(1_000_000 * i128::from(COIN));
    PayoutRules {
        minimum: Amount::from_units(1000),
        dust: Amount::from_units(1),
        max_outputs: 1,
        fee_payer: FeePayer::Pool,
        max_per_run: most,
        max_per_day: most,
        max_per_account_per_day: most,
        approval_above: None,
        approvals: 2,
        payday: Default::default(),
        address_change_delay_ms: 0,
        depths: PayoutDepths { confirm: 2, abandon: 100, last_look: 50 },
        interval_ms: 0,
        bump_after_ms: None,
        hot_wallet_cap: None,
    }
}

impl World {
    /// A pool that found a block for Ann and Bob, matured; nothing is paid yet.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::new(Net::Test);
        ledger.wallet.insert(POOL.into());
        let node = GxcNode::start(ledger, "127.0.0.1:0".parse().unwrap()).unwrap();
        let clock = TestClock::default();
        let writer = writer_in(folder.path(), &clock);
        // Coins of the pool's own, for fees; and small ones, so that several can be sent at once.
        node.mine_to(POOL, 4);
        let cashier = cashier(&writer, folder.path(), &node, &clock).await;
        let world = World { folder, node, clock, writer, cashier };
        world.found(ANN).await;
        world.node.mine_to(BOB, 7);
        world
    }

    async fn found(&self, finder: &str) {
        self.node.mine_to(POOL, 1);
        let (height, hash) = self.node.chain(|l| (l.length() - 1, l.tip().hash.clone()));
        let report = BlockReport {
            budget: None,
            member: None,
            pool: PoolId(1),
            finder: Identity {
                kind: IdentityKind::Script,
                network: "gxc/test".into(),
                bytes: finder.as_bytes().to_vec(),
            },
            display: finder.into(),
            worker: "rig".into(),
            block: hash.parse().unwrap(),
            height,
            to_pool: Amount::from_units(50 * i128::from(COIN)),
            to_miners: Amount::ZERO,
            commitment: None,
            coinbase_fee: BasisPoints::default(),
            network_work: 16,
            scheme: Scheme::Prop,
            share: Some((Weight::new(1).unwrap(), None)),
            found_at: UnixMs(5),
        };
        self.writer.pool.found(report).await.unwrap();
        self.writer.pool.order(|_, _, _| Ok(())).await.unwrap();
    }

    /// A round; what goes wrong in it is told to the operator and is not the end.
    async fn round(&mut self) {
        if let Err(error) = self.cashier.round().await {
            eprintln!("{error}");
        }
    }

    fn waiting(&self) -> usize {
        self.node.chain(|ledger| ledger.waiting().len())
    }

    fn states(&self) -> Vec<&'static str> {
        let reader = Reader::open(self.folder.path()).unwrap();
        reader.payouts(100).unwrap().iter().map(|payout| payout.state.as_str()).collect()
    }

    fn paid(&self, to: &str) -> i64 {
        self.node.chain(|ledger| ledger.paid_to(to))
    }

    /// Mines and looks until all is quiet, and everything adds up.
    async fn settle(&mut self) {
        for _ in 0..6 {
            self.node.mine_to(BOB, 1);
            self.round().await;
        }
        let reader = Reader::open(self.folder.path()).unwrap();
        assert!(reader.fold_differences().unwrap().is_empty());
        assert!(reader.book().unwrap().unmatched_spends.is_empty());
    }

    async fn restart(self) -> Self {
        let World { folder, node, clock, writer, cashier: old } = self;
        drop(old);
        writer.pool.stop().await;
        writer.thread.join().unwrap().unwrap();
        let writer = writer_in(folder.path(), &clock);
        let cashier = cashier(&writer, folder.path(), &node, &clock).await;
        World { folder, node, clock, writer, cashier }
    }
}

/// Ann's part of her block: 5 % are the pool's.
const PART: i64 = 50 * COIN * 95 / 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_is_sent_once_mined_under_another_id_and_booked_with_the_fee_it_paid() {
    let mut world = World::new().await;
    world.round().await;
    assert_eq!((world.waiting(), world.states()), (1, vec!["signed"]));
    world.round().await;
    assert_eq!(world.states(), ["broadcast"], "it waits in the mempool");
    world.settle().await;
    assert_eq!(world.states(), ["confirmed"]);
    assert_eq!(world.paid(ANN), PART);
    let reader = Reader::open(world.folder.path()).unwrap();
    let fee = reader.balance(AssetId(1), Kind::NetworkFee).unwrap().posted().units();
    assert_eq!(fee.abs(), i128::from(COIN / 1000));
    let world = world.restart().await;
    assert_eq!(world.paid(ANN), PART);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_did_not_come_is_no_reason_to_send_again() {
    let mut world = World::new().await;
    world.node.break_at("sendtoaddress", Break::Answer);
    world.round().await;
    assert_eq!(world.waiting(), 1, "the node made it");
    for _ in 0..5 {
        world.round().await;
    }
    let mut world = world.restart().await;
    world.round().await;
    assert_eq!(world.waiting(), 1);
    world.settle().await;
    assert_eq!((world.states(), world.paid(ANN)), (vec!["confirmed"], PART));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_lost_is_sent_again_once_the_chain_has_excluded_it() {
    let mut world = World::new().await;
    world.node.break_at("sendtoaddress", Break::Request);
    world.round().await;
    world.node.mine_to(BOB, 10);
    for _ in 0..3 {
        world.round().await;
    }
    assert_eq!(world.waiting(), 0, "too early to know");
    world.clock.0.store(3 * HOUR, Ordering::SeqCst);
    world.round().await;
    assert_eq!(world.waiting(), 1);
    world.round().await;
    world.settle().await;
    assert_eq!((world.states(), world.paid(ANN)), (vec!["confirmed"], PART));
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_that_were_lost_with_a_backup_send_nothing_twice() {
    let mut world = World::new().await;
    world.round().await;
    assert_eq!(world.waiting(), 1);
    // The backup is of the moment between the signature and the attempt; it is restored much later.
    let order = world.writer.pool.order(|books, _, _| {
        for key in books.notes_of("treasury").into_keys() {
            books.note("treasury", key, None);
        }
        Ok(())
    });
    order.await.unwrap();
    world.clock.0.store(90 * 1000, Ordering::SeqCst);
    let mut world = world.restart().await;
    for _ in 0..3 {
        world.round().await;
    }
    assert_eq!(world.waiting(), 1, "nothing more was sent");
    world.settle().await;
    assert_eq!((world.states(), world.paid(ANN)), (vec!["confirmed"], PART));
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_payments_to_one_address_are_told_apart() {
    let mut world = World::new().await;
    world.round().await;
    world.settle().await;
    world.found(ANN).await;
    world.node.mine_to(BOB, 7);
    world.round().await;
    world.settle().await;
    assert_eq!(world.states(), ["confirmed", "confirmed"]);
    assert_eq!(world.paid(ANN), 2 * PART);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_of_the_node_keeps_the_debt_and_a_spend_nobody_ordered_stops_payouts() {
    let mut world = World::new().await;
    world.node.chain(|ledger| ledger.wallet.clear());
    world.round().await;
    world.round().await;
    assert_eq!((world.waiting(), world.states()), (0, vec!["signed"]));
    world.node.chain(|ledger| ledger.wallet.insert(POOL.into()));
    let now = world.clock.now().0 / 1000;
    world.node.chain(|ledger| ledger.send(BOB, COIN, POOL, now).unwrap());
    world.node.mine_to(BOB, 1);
    world.round().await;
    let book = Reader::open(world.folder.path()).unwrap().book().unwrap();
    assert_eq!(book.unmatched_spends.len(), 1);
    assert_eq!(world.paid(ANN), 0);
    assert_eq!(
        world.waiting(),
        2,
        "what was ordered before goes on: the spend, mined and still offered, and the payout"
    );
}
