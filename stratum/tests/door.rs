//! A whole door in memory: real sessions on real books, with the clock in the test's hand.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use accounting::payout::PayoutDepths;
use accounting::reward::Depths;
use accounting::{Amount, BasisPoints, PoolId, Scheme, UnixMs};
use devnet::{Devnet, Options, Params};
use miner::work::{Found, Job as Notify, Variation, submit_line, unhex};
use pool::config::{FeePayer, SliceRule};
use pool::writer::{self, Writer};
use pool::{AssetConfig, Clock, PayoutRules, PoolConfig};
use pow::{Algorithm, Difficulty, Target};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::{Reader, Sqlite};
use stratum::block::Blocks;
use stratum::coin::{Coin, Family, Network};
use stratum::difficulty::Policy;
use stratum::extranonce::Extranonces;
use stratum::hashing::Hashing;
use stratum::job::{JobMaker, JobRules, JobTerms, Pays};
use stratum::limits::Limits;
use stratum::server::{Beat, Door, Floor, Port, Stats, serve};
use stratum::template::{Template, to_hex};
use testkit::Rpc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time moves when a test says so.
#[derive(Clone)]
struct TestClock(Arc<AtomicU64>);

impl TestClock {
    fn advance_s(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMs {
        UnixMs(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    folder: tempfile::TempDir,
    _writer: Writer,
    clock: TestClock,
    maker: JobMaker,
    devnet: Devnet,
    door: Arc<Door>,
    port: Arc<Port>,
    floor: Floor,
    beat: watch::Sender<Beat>,
}

fn payouts() -> PayoutRules {
    PayoutRules {
        minimum: Amount::from_units(1),
        dust: Amount::from_units(1),
        max_outputs: 1,
        fee_payer: FeePayer::Pool,
        max_per_run: Amount::ZERO,
        max_per_day: Amount::ZERO,
        max_per_account_per_day: Amount::ZERO,
        approval_above: None,
        approvals: 2,
        payday: Default::default(),
        address_change_delay_ms: 0,
        depths: PayoutDepths { confirm: 1, abandon: 1, last_look: 2 },
        interval_ms: 1,
        bump_after_ms: None,
        hot_wallet_cap: None,
    }
}

impl World {
    /// A door on a chain whose blocks take so many hashes.
    async fn new(hashes_per_block: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let clock = TestClock(Arc::new(AtomicU64::new(u64::try_from(now).unwrap())));
        let asset = AssetConfig {
            name: "coin".into(),
            network: "bitcoin/regtest".into(),
            decimals: 8,
            depths: Depths { mature: 101, orphan: 6, last_look: 300 },
            payouts: payouts(),
            assets_elsewhere: Amount::ZERO,
            exchange: None,
        };
        let pool = PoolConfig {
            name: "main".into(),
            asset: "coin".into(),
            scheme: Scheme::Prop,
            fee: accounting::fee::FeeRule { base: BasisPoints::ZERO, ..Default::default() },
            part: None,
            knows_keys: false,
            slices: SliceRule::default(),
        };
        let store = Box::new(Sqlite::open(folder.path()).unwrap());
        let writer = writer::start(store, vec![asset], vec![pool], clock.clone()).unwrap();
        let options = Options {
            params: Params::with_hashes_per_block(hashes_per_block),
            listen: "127.0.0.1:0".parse().unwrap(),
            user: "u".into(),
            password: "p".into(),
            blocks: None,
        };
        let devnet = Devnet::start(options).await.unwrap();
        let rules = JobRules {
            hashing: Hashing::Header(Algorithm::Sha256d),
            boot: 1,
            tag: b"/t/".to_vec(),
            extranonce2_size: 8,
            pays: Pays::Pool { script: vec![0x51] },
            scheme: Scheme::Prop,
            free_nonces: Difficulty::nearest(1.0),
        };
        let maker = JobMaker::new(rules, clock.now());
        let coin = Coin::new(Family::Bitcoin, Network::Regtest).unwrap();
        let blocks = Blocks::new(
            folder.path().join("blocks"),
            vec![],
            writer.pool.clone(),
            coin.to_string(),
        );
        let door = Arc::new(Door {
            pool: writer.pool.clone(),
            pool_id: PoolId(1),
            coin,
            rules: maker.rules().clone(),
            jobs: maker.subscribe(),
            extranonces: Arc::new(Extranonces::default()),
            blocks,
            clock: Arc::new(clock.clone()),
            bans: Arc::default(),
            registered_only: None,
            paused: tokio::sync::watch::channel(None).0,
            heavy: None,
            stats: Stats::default(),
        });
        let easy = Difficulty::MIN;
        let policy = Policy { start: easy, min: easy, max: Difficulty::MAX, interval_s: 5.0 };
        let limits = Limits::default();
        let port = Arc::new(Port {
            name: "test".into(),
            policy,
            limits,
            tls: None,
            proxy_protocol: false,
        });
        let (floor, beat) = Floor::new(TaskTracker::new(), CancellationToken::new());
        let mut world =
            World { folder, _writer: writer, clock, maker, devnet, door, port, floor, beat };
        world.new_job();
        world
    }

    /// A job on the chain's tip.
    fn new_job(&mut self) {
        self.job_with(|_| {});
    }

    /// A job on the chain's tip, with something in its template changed.
    fn job_with(&mut self, change: impl FnOnce(&mut Template)) {
        let rpc = Rpc::new(self.devnet.address(), "u", "p");
        let request = json!([{ "rules": ["segwit"] }]);
        let text =
            tokio::task::block_in_place(|| rpc.expect("getblocktemplate", request)).to_string();
        let mut template = Template::read(&text).unwrap();
        change(&mut template);
        self.maker.publish(Arc::new(template), JobTerms::default(), self.clock.now());
    }

    /// Beats until this has happened: what beats bring about takes the connections a moment.
    async fn beat_until<T>(&self, happened: impl Future<Output = T>) -> T {
        let beating = async {
            loop {
                self.beat.send_modify(|_| {});
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            done = happened => done,
            () = beating => unreachable!("it beats for ever"),
        }
    }

    /// A new tip and a job on it.
    fn new_tip(&mut self) {
        tokio::task::block_in_place(|| self.devnet.mine_to(&devnet::nobody(), 1));
        self.new_job();
    }

    fn connect(&self) -> Client {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        self.floor.tasks.spawn(serve(
            theirs,
            std::net::Ipv4Addr::LOCALHOST.into(),
            self.door.clone(),
            self.port.clone(),
            self.floor.clone(),
        ));
        let (reader, writer) = tokio::io::split(ours);
        Client {
            lines: BufReader::new(reader),
            writer,
            id: 10,
            extranonce1: Vec::new(),
            difficulty: 0.0,
            job: None,
        }
    }

    /// Connected, subscribed and authorised, with work.
    async fn miner(&self, n: u8) -> Client {
        let mut client = self.connect();
        client.subscribe(None).await;
        client.authorize(n).await;
        client.work().await;
        client
    }

    fn shares(&self) -> usize {
        let reader = Reader::open(self.folder.path()).unwrap();
        let count = "SELECT count(*) FROM shares";
        reader.connection().query_row(count, [], |row| row.get::<_, i64>(0)).unwrap() as usize
    }

    fn blocks_found(&self) -> usize {
        Reader::open(self.folder.path()).unwrap().rewards(100).unwrap().len()
    }
}

fn address(n: u8) -> String {
    let script = bitcoin::ScriptBuf::from_bytes([&[0u8, 20][..], &[n; 20]].concat());
    devnet::address_of(&script)
}

struct Client {
    lines: BufReader<ReadHalf<DuplexStream>>,
    writer: WriteHalf<DuplexStream>,
    id: u64,
    extranonce1: Vec<u8>,
    difficulty: f64,
    job: Option<Notify>,
}

/// What a miner may find.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Share,
    Block,
    Neither,
}

impl Client {
    async fn send(&mut self, line: &str) {
        self.writer.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next line; notifications change what the miner knows. `None` when the pool closed.
    async fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        if self.lines.read_line(&mut line).await.unwrap() == 0 {
            return None;
        }
        let message: Value = serde_json::from_str(&line).unwrap();
        match message["method"].as_str() {
            Some("mining.set_difficulty") => {
                self.difficulty = message["params"][0].as_f64().unwrap()
            }
            Some("mining.set_extranonce") => {
                self.extranonce1 = unhex(message["params"][0].as_str().unwrap()).unwrap();
            }
            Some("mining.notify") => self.job = Some(Notify::read(&message["params"]).unwrap()),
            _ => {}
        }
        Some(message)
    }

    async fn reply(&mut self, id: &Value) -> Value {
        loop {
            let message = self.line().await.expect("the pool answers");
            if message["id"] == *id && message.get("method").is_none() {
                return message;
            }
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        let id = json!(self.id);
        self.send(&json!({ "id": id, "method": method, "params": params }).to_string()).await;
        self.reply(&id).await
    }

    async fn until(&mut self, method: &str) -> Value {
        loop {
            let message = self.line().await.expect("the pool says more");
            if message["method"] == method {
                return message;
            }
        }
    }

    async fn subscribe(&mut self, token: Option<&str>) -> String {
        let mut params = vec![json!("test")];
        params.extend(token.map(|token| json!(token)));
        let reply = self.ask("mining.subscribe", params.into()).await;
        self.extranonce1 = unhex(reply["result"][1].as_str().unwrap()).unwrap();
        reply["result"][0][0][1].as_str().unwrap().to_owned()
    }

    async fn authorize(&mut self, n: u8) -> Value {
        self.ask("mining.authorize", json!([format!("{}.rig", address(n)), "x"])).await
    }

    async fn work(&mut self) {
        if self.job.is_none() {
            self.until("mining.notify").await;
        }
    }

    /// A header of the job that is what is asked for, beginning at a nonce.
    fn find(&self, job: &Notify, kind: Kind, from: u32) -> Found {
        let target = Difficulty::nearest(self.difficulty).target(Algorithm::Sha256d);
        let network = Target::from_compact(job.bits).unwrap();
        let extranonce2 = vec![0u8; 8];
        for nonce in from.. {
            let variation = Variation {
                extranonce1: &self.extranonce1,
                extranonce2: &extranonce2,
                version: job.version,
                time: job.time,
                nonce,
            };
            let hash = pow::sha256d::header_hash(&job.header(&variation));
            let found = match (network.is_met_by(&hash), target.is_met_by(&hash)) {
                (true, _) => Kind::Block,
                (false, true) => Kind::Share,
                (false, false) => Kind::Neither,
            };
            if found == kind {
                let (job, time) = (job.id.clone(), job.time);
                return Found {
                    job,
                    extranonce2,
                    time,
                    nonce,
                    version_bits: None,
                    is_block: false,
                };
            }
        }
        unreachable!("there are enough nonces");
    }

    async fn submit(&mut self, n: u8, found: &Found) -> Value {
        self.id += 1;
        let line = submit_line(self.id, &format!("{}.rig", address(n)), found);
        self.send(&line).await;
        self.reply(&json!(self.id)).await
    }
}

fn code(reply: &Value) -> i64 {
    reply["error"][0].as_i64().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_the_handshake_is_served() {
    let world = World::new(1 << 40).await;
    let steps =
        ["configure", "subscribe", "authorize", "suggest_difficulty", "extranonce.subscribe"];
    let mut order = [0, 1, 2, 3, 4];
    let mut orders = Vec::new();
    permutations(&mut order, 0, &mut orders);
    assert_eq!(orders.len(), 120);
    for order in orders {
        let mut client = world.connect();
        // Everything at once, and the middle of it twice.
        for step in order.into_iter().chain([1, 2]) {
            let params = match step {
                0 => {
                    json!([["version-rolling", "no-such-thing"], { "version-rolling.mask": "1fffe000" }])
                }
                1 => json!(["test/1"]),
                2 => json!([format!("{}.a", address(1)), "x"]),
                3 => json!([0.000_000_004]),
                _ => json!([]),
            };
            let call = json!({ "id": step + 1, "method": format!("mining.{}", steps[step]), "params": params });
            client.send(&call.to_string()).await;
        }
        let mut answered = 0;
        while answered < 7 || client.job.is_none() {
            let message = client.line().await.expect("the connection stays");
            if message.get("method").is_none() {
                assert_eq!(message["error"], Value::Null, "{order:?}: {message}");
                answered += 1;
            }
            if message["id"] == 1 {
                let known = json!({ "no-such-thing": false, "version-rolling": true, "version-rolling.mask": "1fffe000" });
                assert_eq!(message["result"], known);
            }
        }
        assert!(client.difficulty > 0.0, "the difficulty is said before the job: {order:?}");
    }
}

fn permutations(order: &mut [usize; 5], from: usize, found: &mut Vec<[usize; 5]>) {
    if from == order.len() {
        found.push(*order);
        return;
    }
    for at in from..order.len() {
        order.swap(from, at);
        permutations(order, from + 1, found);
        order.swap(from, at);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_counts_before_and_after_authorising_and_only_once() {
    let world = World::new(1 << 40).await;
    let mut before = world.connect();
    before.ask("mining.suggest_difficulty", json!([0.5])).await;
    before.subscribe(None).await;
    before.authorize(1).await;
    before.work().await;
    assert_eq!(before.difficulty, 0.5);
    let mut after = world.miner(2).await;
    assert!(after.difficulty < 1e-6);
    after.ask("mining.suggest_difficulty", json!([0.25])).await;
    after.until("mining.notify").await;
    assert_eq!(after.difficulty, 0.25);
    // Nothing was asked, so nothing is answered: what comes first is the answer to the subscription.
    let mut silent = world.connect();
    silent.send(r#"{"id":null,"method":"mining.suggest_target","params":["00000000ffff0000000000000000000000000000000000000000000000000000"]}"#).await;
    silent.send(r#"{"id":"b","method":"mining.subscribe","params":[]}"#).await;
    assert_eq!(silent.line().await.unwrap()["id"], "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_sent_again_is_a_duplicate_even_after_a_reconnection_and_in_other_letters() {
    let world = World::new(1 << 40).await;
    let mut client = world.connect();
    let token = client.subscribe(None).await;
    client.authorize(1).await;
    client.work().await;
    let job = client.job.clone().unwrap();
    let share = client.find(&job, Kind::Share, 0);
    assert_eq!(client.submit(1, &share).await["result"], true);
    assert_eq!(code(&client.submit(1, &share).await), 22);
    let upper = submit_line(99, &format!("{}.rig", address(1)), &share)
        .replace(&format!("{:08x}", share.nonce), &format!("{:X}", share.nonce));
    client.send(&upper).await;
    assert_eq!(code(&client.reply(&json!(99)).await), 22);
    let prefix = client.extranonce1.clone();
    drop(client);
    // The pool may need a moment to see that the line is gone.
    let mut again = loop {
        let mut again = world.connect();
        again.subscribe(Some(&token)).await;
        if again.extranonce1 == prefix {
            break again;
        }
    };
    again.authorize(1).await;
    assert_eq!(code(&again.submit(1, &share).await), 22);
    again.difficulty = Difficulty::MIN.as_f64();
    let next = again.find(&job, Kind::Share, share.nonce + 1);
    assert_eq!(
        again.submit(1, &next).await["result"],
        true,
        "work of before is still worth something"
    );
    assert_eq!(world.shares(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_judged_at_the_difficulty_it_was_sent_with() {
    let mut world = World::new(1 << 40).await;
    let mut client = world.miner(1).await;
    let old = client.job.clone().unwrap();
    let easy = client.find(&old, Kind::Share, 0);
    client.ask("mining.suggest_difficulty", json!([0.001])).await;
    client.until("mining.notify").await;
    assert_eq!(client.difficulty, 0.001);
    let hard = client.job.clone().unwrap();
    assert_ne!(old.id, hard.id, "the same work at another difficulty is another job");
    assert_eq!(client.submit(1, &easy).await["result"], true, "sent before, at the easier one");
    let weak = client.find(&hard, Kind::Neither, 0);
    assert_eq!(code(&client.submit(1, &weak).await), 23, "the new one is enforced as printed");
    world.new_job();
    client.until("mining.notify").await;
    let weak = client.find(&client.job.clone().unwrap(), Kind::Neither, 0);
    assert_eq!(code(&client.submit(1, &weak).await), 23);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_share_is_refused_after_its_grace_and_is_still_a_block_if_it_solves() {
    let mut world = World::new(64).await;
    let mut client = world.miner(1).await;
    let old = client.job.clone().unwrap();
    world.new_tip();
    client.until("mining.notify").await;
    let late = client.find(&old, Kind::Share, 0);
    assert_eq!(client.submit(1, &late).await["result"], true, "it was on the way");
    world.clock.advance_s(10);
    let later = client.find(&old, Kind::Share, late.nonce + 1);
    assert_eq!(code(&client.submit(1, &later).await), 21);
    let block = client.find(&old, Kind::Block, 0);
    assert_eq!(code(&client.submit(1, &block).await), 21);
    testkit::wait_for("the block", || (world.blocks_found() == 1).then_some(()));
    // Work that was withdrawn altogether: the same.
    let current = client.job.clone().unwrap();
    world.maker.withdraw(world.clock.now());
    world.clock.advance_s(10);
    let block = client.find(&current, Kind::Block, 0);
    assert_eq!(code(&client.submit(1, &block).await), 21);
    testkit::wait_for("the block", || (world.blocks_found() == 2).then_some(()));
    // And only once, however often it is sent.
    for _ in 0..20 {
        client.submit(1, &block).await;
    }
    assert_eq!(world.blocks_found(), 2);
    let files = std::fs::read_dir(world.folder.path().join("blocks")).unwrap().count();
    assert_eq!(files, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_sent_before_the_user_is_named_is_taken() {
    let world = World::new(64).await;
    let mut client = world.connect();
    let token = client.subscribe(None).await;
    client.authorize(1).await;
    client.work().await;
    let (job, prefix) = (client.job.clone().unwrap(), client.extranonce1.clone());
    let block = client.find(&job, Kind::Block, 0);
    drop(client);
    let mut again = loop {
        let mut again = world.connect();
        again.subscribe(Some(&token)).await;
        if again.extranonce1 == prefix {
            break again;
        }
    };
    assert_eq!(code(&again.submit(1, &block).await), 24);
    testkit::wait_for("the block", || (world.blocks_found() == 1).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_before_the_old_connection_ended_gets_their_extranonce_set_and_loses_no_work()
 {
    let world = World::new(1 << 40).await;
    let mut old = world.connect();
    let token = old.subscribe(None).await;
    old.authorize(1).await;
    old.work().await;
    let job = old.job.clone().unwrap();
    let credited = old.find(&job, Kind::Share, 0);
    assert_eq!(old.submit(1, &credited).await["result"], true);
    let in_flight = old.find(&job, Kind::Share, credited.nonce + 1);
    // The old socket is still open when the miner is here again.
    let mut new = world.connect();
    new.ask("mining.extranonce.subscribe", json!([])).await;
    let replied = new.subscribe(Some(&token)).await;
    assert_ne!(replied, token);
    assert_ne!(new.extranonce1, old.extranonce1);
    new.authorize(1).await;
    new.work().await;
    let between = new.find(&new.job.clone().unwrap(), Kind::Share, 0);
    let told = world.beat_until(new.until("mining.set_extranonce")).await;
    assert_eq!(told["params"], json!([to_hex(&old.extranonce1), 8]));
    assert!(old.line().await.is_none(), "the old connection has ended");
    new.until("mining.notify").await;
    assert_eq!(new.submit(1, &in_flight).await["result"], true, "what was in flight counts");
    assert_eq!(
        code(&new.submit(1, &credited).await),
        22,
        "what was credited is not credited again"
    );
    let after = new.find(&new.job.clone().unwrap(), Kind::Share, 0);
    assert_eq!(new.submit(1, &after).await["result"], true, "the new job has the set extranonce");
    assert_eq!(
        new.submit(1, &between).await["result"],
        true,
        "and each job the one it was sent with"
    );
    assert_eq!(world.shares(), 4);
    // The miner may know its session by the reply, not by the prefix that it was moved to.
    let (prefix, last) = (old.extranonce1.clone(), between.clone());
    drop(new);
    let mut again = loop {
        let mut again = world.connect();
        again.subscribe(Some(&replied)).await;
        if again.extranonce1 == prefix {
            break again;
        }
    };
    again.authorize(1).await;
    assert_eq!(code(&again.submit(1, &last).await), 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_given_another_extranonce_loses_no_work_in_flight_either() {
    let world = World::new(1 << 40).await;
    let mut old = world.connect();
    let token = old.subscribe(None).await;
    old.authorize(1).await;
    old.work().await;
    let in_flight = old.find(&old.job.clone().unwrap(), Kind::Share, 0);
    let mut new = world.connect();
    new.subscribe(Some(&token)).await;
    let prefix = new.extranonce1.clone();
    new.authorize(1).await;
    new.work().await;
    world.beat_until(async { assert!(old.line().await.is_none()) }).await;
    let taken = async {
        while new.submit(1, &in_flight).await["result"] != true {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    world.beat_until(taken).await;
    let own = new.find(&new.job.clone().unwrap(), Kind::Share, 0);
    assert_eq!(new.submit(1, &own).await["result"], true);
    assert_eq!(new.extranonce1, prefix, "nothing was set");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_rolls_versions_is_told_when_the_bits_it_may_roll_change() {
    let mut world = World::new(1 << 40).await;
    let mut client = world.connect();
    let asked = json!([["version-rolling"], { "version-rolling.mask": "1fffe000" }]);
    let reply = client.ask("mining.configure", asked).await;
    assert_eq!(reply["result"]["version-rolling.mask"], "1fffe000");
    client.subscribe(None).await;
    client.authorize(1).await;
    client.work().await;
    world.job_with(|template| template.required_version = 1 << 23);
    let told = client.until("mining.set_version_mask").await;
    assert_eq!(told["params"], json!(["1f7fe000"]));
    client.until("mining.notify").await;
    world.job_with(|_| {});
    assert_eq!(client.until("mining.set_version_mask").await["params"], json!(["1fffe000"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lines_deep_json_bad_text_and_dawdlers_are_ended_and_nobody_else_is_touched() {
    let world = World::new(1 << 40).await;
    let mut good = world.miner(1).await;
    for hostile in [
        "x".repeat(64 * 1024 + 1),
        format!("{}1{}", "[".repeat(1000), "]".repeat(1000)),
        "\u{1}\u{2}{".into(),
    ] {
        let mut client = world.connect();
        client.send(&hostile).await;
        assert_eq!(client.line().await, None, "{}", &hostile[..20.min(hostile.len())]);
    }
    let mut client = world.connect();
    client.writer.write_all(b"\xff\xfe\xfd\n").await.unwrap();
    assert_eq!(client.line().await, None);
    // A byte now and then never becomes a miner.
    let mut slow = world.connect();
    assert_eq!(slow.ask("mining.ping", json!([])).await["result"], "pong");
    slow.writer.write_all(b"{\"id\"").await.unwrap();
    world.clock.advance_s(120);
    world.beat.send_modify(|_| {});
    assert_eq!(slow.line().await, None);
    let share = good.find(&good.job.clone().unwrap(), Kind::Share, 0);
    assert_eq!(good.submit(1, &share).await["result"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miner_is_kept_through_a_day_of_silence_and_let_go_after_it() {
    let mut world = World::new(1 << 40).await;
    let mut client = world.miner(1).await;
    for _ in 0..24 {
        world.clock.advance_s(3600);
        world.new_job();
        client.until("mining.notify").await;
        world.beat.send_modify(|_| {});
    }
    assert_eq!(client.ask("mining.ping", json!([])).await["result"], "pong");
    world.clock.advance_s(26 * 3600);
    world.beat.send_modify(|_| {});
    while client.line().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extranonce2_has_eight_bytes_and_no_other_number_is_taken() {
    let world = World::new(1 << 40).await;
    let mut client = world.connect();
    let reply = client.ask("mining.subscribe", json!(["NiceHash/1.0.0"])).await;
    assert_eq!(reply["result"][2], 8);
    client.authorize(1).await;
    client.work().await;
    let job = client.job.clone().unwrap();
    let mut share = client.find(&job, Kind::Share, 0);
    share.extranonce2 = vec![0; 9];
    assert_ne!(client.submit(1, &share).await["result"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_mistyped_worker_does_not_end_a_proxys_connection() {
    let world = World::new(1 << 40).await;
    let mut proxy = world.miner(1).await;
    for n in 0..50 {
        let reply = proxy.ask("mining.authorize", json!([format!("nonsense{n}.rig"), "x"])).await;
        assert_eq!(code(&reply), 24);
    }
    let long = "z".repeat(10_000);
    assert_eq!(code(&proxy.ask("mining.authorize", json!([long, "x"])).await), 24);
    let share = proxy.find(&proxy.job.clone().unwrap(), Kind::Share, 0);
    assert_eq!(proxy.submit(1, &share).await["result"], true);
    // Who never was authorised is let go.
    let mut stranger = world.connect();
    stranger.subscribe(None).await;
    for n in 0..10 {
        let call = json!({ "id": n, "method": "mining.authorize", "params": [format!("nonsense{n}"), "x"] });
        stranger.send(&call.to_string()).await;
    }
    while stranger.line().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_is_never_harder_than_a_block() {
    let mut world = World::new(1 << 20).await;
    let network = {
        let job = world.miner(9).await.job.unwrap();
        Target::from_compact(job.bits).unwrap()
    };
    let policy = Policy { start: Difficulty::nearest(1e6), ..world.port.policy };
    let limits = world.port.limits;
    world.port =
        Arc::new(Port { name: "hard".into(), policy, limits, tls: None, proxy_protocol: false });
    let client = world.miner(1).await;
    let target = Difficulty::nearest(client.difficulty).target(Algorithm::Sha256d);
    assert!(target.value() >= network.value());
    assert!(client.difficulty < 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_banned_is_cut_off_and_refused_and_others_mine_on() {
    let world = World::new(1 << 40).await;
    let (mut bad, mut good) = (world.connect(), world.connect());
    for (client, n) in [(&mut bad, 1), (&mut good, 2)] {
        client.subscribe(None).await;
        assert_eq!(client.authorize(n).await["result"], true);
        client.work().await;
    }
    let script = stratum::coin::address::script_of(&address(1), world.door.coin).unwrap();
    let banned = pool::bans::Banned::Account(accounting::Identity {
        kind: accounting::IdentityKind::Script,
        network: world.door.coin.to_string(),
        bytes: script.to_bytes(),
    });
    world.door.bans.rcu(|bans| bans.with(&banned, true));
    world.beat_until(async { assert!(bad.line().await.is_none()) }).await;
    let mut again = world.connect();
    again.subscribe(None).await;
    let refused = again.authorize(1).await;
    assert!(refused["error"].to_string().contains("banned"), "{refused}");
    let share = good.find(&good.job.clone().unwrap(), Kind::Share, 0);
    assert_eq!(good.submit(2, &share).await["result"], true);
    world.door.bans.rcu(|bans| bans.with(&banned, false));
    assert_eq!(again.authorize(1).await["result"], true);
}
