//! The released farmer, with a real node, wallet and harvester, farms to the real binary: the whole story.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use accounting::payout::PayoutState;
use common::{Pool, http};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use testkit::{Chia, Gate};

/// How long each part of the story may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// A master key; its coins are worth nothing.
const KEY: &str = "2a6b8c1f5d0e3947a8c2b6d4f0e19385712c4d6e8fa0b1c3d5e7f90123456789";
/// What the pool's coin of a block is worth, in mojo.
const REWARD: i128 = 1_750_000_000_000;
/// Where a crash leaves the next process something to finish.
const CRASHES: [&str; 5] =
    ["payout-before-reserve", "payout-reserved", "payout-signed", "payout-written", "payout-sent"];

/// A folder that stays when the story fails, so that one can see why.
struct Kept(tempfile::TempDir);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.disable_cleanup(std::thread::panicking());
    }
}

/// The certificate that the farmer is made to trust, and its key.
fn fixture(name: &str) -> PathBuf {
    testkit::checkout().join("adit/tests/fixtures").join(name)
}

/// A pool that reaches the node by two ways, as if there were two.
fn pool(devnet: &Chia, gates: &[Gate; 2]) -> Pool {
    let pool = Pool::of(|port| {
        let node = &devnet.node;
        let [first, second] = [&gates[0], &gates[1]].map(Gate::address);
        let authority = node.authority.display();
        let (certificate, key) = (node.certificate.display(), node.key.display());
        let listen = port.address();
        let (own_certificate, own_key) = (fixture("pool.crt.pem"), fixture("pool.key.pem"));
        let (own_certificate, own_key) = (own_certificate.display(), own_key.display());
        format!(
            r#"
data_dir = "store"
[log]
level = "debug"
[assets.coin]
coin = "chia"
network = "simulator"
look_every = "1s"
mature_after = 3
orphan_after = 6
wallet = {{ kind = "hot", key_file = "xch.key" }}
[[assets.coin.nodes]]
rpc = "{first}"
authority = "{authority}"
certificate = "{certificate}"
key = "{key}"
[[assets.coin.nodes]]
rpc = "{second}"
authority = "{authority}"
certificate = "{certificate}"
key = "{key}"
[assets.coin.payouts]
minimum = "0.001"
interval = "500ms"
confirm_after = 2
abandon_after = 20
[[pools]]
name = "main"
asset = "coin"
scheme = "pplns"
fee_percent = 1.0
[pools.farming]
listen = "{listen}"
tls_certificate = "{own_certificate}"
tls_key = "{own_key}"
# Every proof of these small plots is good enough for it, and no farm is too large.
min_difficulty = 1000000000
partials_per_day = 10000000
lock_height = 5
# Long enough for the pool to be killed before partials are looked at again.
confirm_after = "10s"
buried_after = 3
absorb_after = 1
absorb_every = "1s"
report_after = 1
look_every = "500ms"
"#
        )
    });
    write_key(&pool);
    pool.with_pages("")
}

fn write_key(pool: &Pool) {
    let path = pool.folder.path().join("xch.key");
    pool::private_file::create(&path, KEY).unwrap();
}

fn now_ms() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_millis()
}

struct Story {
    devnet: Chia,
    gates: [Gate; 2],
    pool: Pool,
    /// Where the farmer is paid.
    payout: String,
    /// Its balance there before it was ever paid.
    before: i128,
    _folder: Kept,
}

impl Story {
    fn begin() -> Self {
        let folder = Kept(tempfile::tempdir().unwrap());
        let devnet = Chia::start(folder.0.path());
        let node = devnet.node.rpc.parse().unwrap();
        let gates = [Gate::before(node), Gate::before(node)];
        let mut pool = pool(&devnet, &gates);
        let said = pool.says(&["check"], &[]);
        assert!(said.contains("in step"), "{said}");
        pool.start();
        Story { devnet, gates, pool, payout: String::new(), before: 0, _folder: folder }
    }

    /// The door's own database.
    fn door(&self) -> Connection {
        let db = Connection::open(self.pool.store().join("farming-1.sqlite")).unwrap();
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db
    }

    /// Asks the door's own database.
    fn count(&self, sql: &str) -> i64 {
        self.door().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Asks the books.
    fn booked(&self, sql: &str) -> i64 {
        self.pool.reader().connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn until(
        &mut self,
        what: &str,
        mut step: impl FnMut(&mut Chia),
        done: impl Fn(&mut Self) -> bool,
    ) {
        let since = Instant::now();
        while !done(self) {
            assert!(since.elapsed() < PATIENCE, "{what} took longer than {PATIENCE:?}");
            step(&mut self.devnet);
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn joins(&mut self) {
        let address = self.pool.status()["assets"][0]["address"].as_str().unwrap().to_owned();
        let (_, target) = farming::address::decode(&address).unwrap();
        let joined = self.devnet.run(&json!({
            "do": "join", "url": format!("https://{}", self.pool.port.address()), "authority": fixture("pool.crt.pem"),
            "target": target.to_string(), "lock": 5,
        }));
        self.payout = joined["payout"].as_str().unwrap().to_owned();
        self.before = self.held_by_farmer();
        self.until("registering", |_| {}, |story| story.count("SELECT count(*) FROM farmers") == 1);
    }

    fn held_by_farmer(&mut self) -> i128 {
        self.devnet.coins(&self.payout).iter().map(|amount| i128::from(*amount)).sum()
    }

    fn farms(&mut self) {
        self.until(
            "partials",
            |devnet| devnet.points(2),
            |story| story.count("SELECT count(*) FROM partials WHERE is_end = 0") >= 4,
        );
        self.until(
            "partials for the end of a sub-slot",
            |devnet| drop(devnet.run(&json!({"do": "end"}))),
            |story| story.count("SELECT count(*) FROM partials WHERE is_end = 1") >= 1,
        );
    }

    /// The pool dies between partials and their confirmation: nothing is lost, nothing is doubled.
    fn dies_between_partials_and_their_confirmation(&mut self) {
        self.devnet.points(3);
        self.pool.kill();
        let before = self.count("SELECT count(*) FROM partials");
        self.pool.start();
        self.until(
            "every partial recorded and settled",
            |_| {},
            |story| {
                story.count("SELECT count(*) FROM partials WHERE state = 0 OR seq IS NULL") == 0
            },
        );
        let kept = self.count("SELECT count(*) FROM partials");
        assert!(kept >= before);
        assert_eq!(self.booked("SELECT count(*) FROM shares"), kept);
        assert_eq!(self.booked("SELECT count(DISTINCT key) FROM shares"), kept);
    }

    /// One node after the other is gone: one is enough, and without any nothing is credited.
    fn outlives_its_nodes(&mut self) {
        let credited = "SELECT count(*) FROM partials";
        let refused = "SELECT coalesce(sum(count), 0) FROM refusals WHERE reason = 'not_synced'";
        self.gates[0].shut();
        let before = self.count(credited);
        self.until(
            "partials with one node",
            |devnet| devnet.points(1),
            |story| story.count(credited) > before,
        );
        self.gates[1].shut();
        self.until("refusals", |devnet| devnet.points(1), |story| story.count(refused) > 0);
        let is_gone = |node: &Value| node["trouble"].is_string();
        self.pool.wait("both nodes to be missed", |status| {
            status["assets"][0]["nodes"].as_array()?.iter().all(is_gone).then_some(())
        });
        let since = now_ms();
        self.devnet.points(2);
        // Whatever came from then on.
        let credited_since = format!("{credited} WHERE at > {since}");
        assert_eq!(self.count(&credited_since), 0, "nothing is credited that nobody can judge");
        let before = self.count(credited);
        self.gates[1].open();
        self.until(
            "partials with the other node",
            |devnet| devnet.points(1),
            |story| story.count(credited) > before,
        );
        let nodes = self.pool.status()["assets"][0]["nodes"].clone();
        assert!(nodes[0]["trouble"].is_string() && nodes[1]["trouble"].is_null(), "{nodes}");
        self.gates[0].open();
    }

    /// So many rewards were absorbed, matured and paid out, and the payouts are confirmed.
    fn until_all_is_paid(&mut self, rewards: i128) {
        self.until(
            "rewards matured and paid",
            |devnet| devnet.blocks(1),
            |story| {
                let ended = story.pool.process.as_mut().and_then(testkit::Process::ended);
                if ended.is_some() {
                    story.pool.crash_nowhere();
                    story.pool.start();
                }
                story.matured("main") == rewards && story.all_is_confirmed()
            },
        );
    }

    /// How many rewards of a pool are the pool's for good.
    fn matured(&self, pool: &str) -> i128 {
        let sql = "SELECT count(*) FROM rewards JOIN pools ON pools.id = rewards.pool WHERE state = 'matured' AND name = ";
        self.booked(&format!("{sql} '{pool}'")).into()
    }

    /// Nobody is owed more than the fees that are too small to matter, and no payout is under way.
    fn all_is_confirmed(&self) -> bool {
        let payouts = self.pool.reader().payouts(1000).unwrap();
        let paid: i128 =
            payouts.iter().flat_map(|payout| &payout.parts).map(|part| part.sent.units()).sum();
        let confirmed = payouts.iter().all(|payout| payout.state == PayoutState::Confirmed);
        // All but the pool's one percent, and whole what was farmed before the farmer joined.
        confirmed
            && paid
                == REWARD / 100 * 99 * self.matured("main") + REWARD * self.matured("main.refunds")
    }

    /// What the books say was paid is what the chain gave the farmer.
    fn was_paid_exactly_once(&mut self) {
        let payouts = self.pool.reader().payouts(1000).unwrap();
        let paid: i128 =
            payouts.iter().flat_map(|payout| &payout.parts).map(|part| part.sent.units()).sum();
        assert!(paid > 0);
        assert_eq!(self.held_by_farmer() - self.before, paid);
        let status: Value = self.pool.status();
        assert_eq!(status["assets"][0]["payouts_blocked_by"], json!([]));
        let said = self.pool.says(&["audit"], &[]);
        let seen = format!("{} confirmed ones are on the chain, 0 could not", payouts.len());
        assert!(said.contains("PASS:") && said.contains(&seen), "{said}");
        assert!(said.contains("chain agrees") && !said.contains("not compared"), "{said}");
    }

    /// Books that say that something else was paid do not pass.
    fn an_audit_sees_what_the_chain_does_not_have(&self) {
        let copy = self.pool.folder.path().join("copy.sqlite");
        let into = format!("VACUUM INTO '{}'", copy.display());
        self.pool.reader().connection().execute_batch(&into).unwrap();
        let nothing = json!([[vec![7; 32], 0]]).to_string();
        let changed = Connection::open(&copy)
            .unwrap()
            .execute("UPDATE payout_versions SET inputs = ? WHERE payout = 1", [nothing]);
        assert!(changed.unwrap() > 0);
        let said = self.pool.adit(&["audit"], &["--store", copy.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(!said.status.success(), "{text}");
        assert!(text.contains("payout 1  FAIL  the chain has no coin"), "{text}");
    }

    /// The pages tell of space and partials, not of hashes and shares.
    fn is_shown(&self) {
        let launcher: String = self
            .door()
            .query_row("SELECT lower(hex(launcher)) FROM farmers", [], |row| row.get(0))
            .unwrap();
        let get = |path: &str| {
            let answer = http::get(self.pool.pages(), path);
            assert_eq!(answer.status, 200, "{path}");
            answer.body
        };
        let account = testkit::wait_for("the farmer's harvester", || {
            let account = get(&format!("/api/v1/accounts/{launcher}"));
            let account: Value = serde_json::from_str(&account).unwrap();
            (account["workers"][0]["shares"].as_u64()? > 0).then_some(account)
        });
        assert_eq!(account["measure"]["of"], "space");
        assert!(account["workers"][0]["hashrate"].as_f64().unwrap() > 0.0, "{account}");
        let page = get(&format!("/miner/{launcher}"));
        for said in ["<dt>Space</dt>", "plots of size 32", "Accepted partials", "Harvesters"] {
            assert!(page.contains(said), "{said}: {page}");
        }
        assert!(!page.contains("H/s"), "{page}");
        for path in ["/", "/statistics", "/leaderboard", "/calculator", "/network"] {
            assert!(!get(path).contains("H/s"), "{path}");
        }
        assert!(get("/").contains("chia plotnft join -i WALLET_ID -u https:"));
    }

    /// A block that was won is taken back after its reward was absorbed and booked: the reward is nobody's.
    fn loses_a_block(&mut self) {
        let won = self.devnet.run(&json!({"do": "height"}))["height"].as_u64().unwrap();
        let booked = self.booked("SELECT count(*) FROM rewards");
        self.devnet.wins(1);
        // The next block makes the reward's coin, and the one after it makes the coin deep enough.
        self.devnet.blocks(2);
        let since = Instant::now();
        while self.devnet.run(&json!({"do": "mempool"}))["count"] == 0 {
            assert!(since.elapsed() < PATIENCE, "nothing was absorbed");
            std::thread::sleep(Duration::from_millis(200));
        }
        // Enough for the reward to be booked, and one too few for it to be mature.
        self.devnet.blocks(2);
        self.until(
            "the reward to be booked",
            |_| {},
            |story| story.booked("SELECT count(*) FROM rewards") > booked,
        );
        let orphans = "SELECT count(*) FROM rewards WHERE state = 'orphaned'";
        assert_eq!(self.booked(orphans), 0);
        self.devnet.run(&json!({"do": "fork", "height": won}));
        self.until(
            "the reward to be orphaned",
            |devnet| devnet.blocks(1),
            |story| story.booked(orphans) == 1,
        );
    }

    /// A signage point is taken back: what was credited for it is revoked.
    fn loses_a_signage_point(&mut self) {
        let credited = self.count("SELECT count(*) FROM partials");
        self.until(
            "another partial",
            |devnet| devnet.points(1),
            |story| story.count("SELECT count(*) FROM partials") > credited,
        );
        self.pool.kill();
        let point: String = self
            .door()
            .query_row(
                "SELECT lower(hex(point)) FROM partials WHERE state = 0 AND is_end = 0 ORDER BY at DESC LIMIT 1",
                [],
                |row| row.get(0),
            )
            .expect("a partial that was not confirmed before the pool was stopped");
        self.devnet.run(&json!({"do": "reorg", "point": point}));
        self.pool.start();
        self.until(
            "a revocation",
            |_| {},
            |story| story.booked("SELECT count(*) FROM revocations") >= 1,
        );
    }

    fn leaves(&mut self) {
        self.devnet.run(&json!({"do": "leave"}));
        self.devnet.blocks(8);
        let refused = "SELECT coalesce(sum(count), 0) FROM refusals WHERE reason = 'not_a_member'";
        self.until("refusals", |devnet| devnet.points(1), |story| story.count(refused) >= 1);
        let credited_since = format!("SELECT count(*) FROM partials WHERE at > {}", now_ms());
        self.devnet.points(3);
        let still = self.count(refused);
        self.until(
            "refusals as before",
            |devnet| devnet.points(1),
            |story| story.count(refused) > still,
        );
        assert_eq!(self.count(&credited_since), 0, "who has left is not credited");
    }
}

#[test]
fn the_released_farmer_farms_is_paid_and_leaves() {
    let mut story = Story::begin();
    story.joins();
    story.farms();
    story.dies_between_partials_and_their_confirmation();
    story.outlives_its_nodes();
    story.devnet.wins(2);
    story.until_all_is_paid(2);
    assert_eq!(story.matured("main.refunds"), 1, "what it farmed before it joined is its own");
    story.was_paid_exactly_once();
    story.an_audit_sees_what_the_chain_does_not_have();
    story.is_shown();
    for (paid, point) in (2..).zip(CRASHES) {
        story.pool.stop();
        story.pool.crash_at(point);
        story.pool.start();
        story.devnet.wins(1);
        story.until_all_is_paid(paid + 1);
        assert!(story.pool.log().contains(point), "it did not die at {point}");
    }
    story.loses_a_block();
    story.was_paid_exactly_once();
    story.loses_a_signage_point();
    story.leaves();
}

#[test]
fn a_demo_of_farming_says_what_is_missing() {
    let empty = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(common::ADIT)
        .args(["demo", "--kind", "farming", "--exit"])
        .env("ADIT_CACHE", empty.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("scripts/chia.sh"), "{said}");
}
