//! The released farmer, with a real node, wallet and harvester, farms to the real binary: the whole story.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use accounting::payout::PayoutState;
use common::{Pool, http};
use devnet::chia::{Chia, LOCK_HEIGHT, MIN_DIFFICULTY, POOL_KEY, Service};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::Gate;

/// How long each part of the story may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the pool's coin of a block is worth, in mojo.
const REWARD: i128 = 1_750_000_000_000;
/// The pool's own keys.
const OWN_WALLET: &str = "wallet = { kind = \"hot\", key_file = \"xch.key\" }";
/// Where a crash leaves the next process something to finish, in the order in which a payout comes by.
const CRASHES: [&str; 4] =
    ["payout-before-reserve", "payout-reserved", "payout-signed", "payout-written"];
/// Behind the last: what was written is sent at the next start and not here, so it takes another payout.
const CRASH_AFTER_SENDING: &str = "payout-sent";

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

/// A pool with two nodes, each behind a gate.
fn pool(devnet: &Chia, gates: &[Gate; 2]) -> Pool {
    let pool = Pool::of(|port| {
        let behind = |node: &Service, gate: &Gate| {
            Service { rpc: gate.address().to_string(), ..node.clone() }.to_toml()
        };
        let first = behind(&devnet.node, &gates[0]);
        let second = behind(&devnet.second, &gates[1]);
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
{OWN_WALLET}
[[assets.coin.nodes]]
{first}
[[assets.coin.nodes]]
{second}
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
min_difficulty = {MIN_DIFFICULTY}
# No farm is too large.
partials_per_day = 10000000
lock_height = {LOCK_HEIGHT}
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

/// Chia's Python, which ends with this process even if that is killed.
fn python() -> Command {
    let mut python = Command::new("setpriv");
    python.args(["--pdeathsig", "KILL", "--"]).arg(testkit::prepared("chia.sh"));
    python
}

fn write_key(pool: &Pool) {
    let path = pool.folder.path().join("xch.key");
    pool::private_file::create(&path, POOL_KEY).unwrap();
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
        let devnet = Chia::start(python(), folder.0.path()).unwrap();
        let gates =
            [&devnet.node, &devnet.second].map(|node| Gate::before(node.rpc.parse().unwrap()));
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

    /// Has Chia's software do something.
    fn ask(&mut self, command: &Value) -> Value {
        self.devnet.run(command).unwrap()
    }

    fn height(&mut self) -> u64 {
        self.ask(&json!({"do": "height"}))["height"].as_u64().unwrap()
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
        let url = format!("https://{}", self.pool.port.address());
        let joined = self.devnet.join(&url, &fixture("pool.crt.pem"), &target.to_string()).unwrap();
        self.payout = joined["payout"].as_str().unwrap().to_owned();
        self.before = self.held_by_farmer();
        self.until("registering", |_| {}, |story| story.count("SELECT count(*) FROM farmers") == 1);
    }

    fn held_by_farmer(&mut self) -> i128 {
        let held = self.ask(&json!({"do": "coins", "at": self.payout}));
        held["amounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|amount| i128::from(amount.as_u64().unwrap()))
            .sum()
    }

    fn farms(&mut self) {
        self.until(
            "partials",
            |devnet| devnet.points(2).unwrap(),
            |story| story.count("SELECT count(*) FROM partials WHERE is_end = 0") >= 4,
        );
        self.until(
            "partials for the end of a sub-slot",
            |devnet| drop(devnet.run(&json!({"do": "end"})).unwrap()),
            |story| story.count("SELECT count(*) FROM partials WHERE is_end = 1") >= 1,
        );
    }

    /// The pool dies between partials and their confirmation: nothing is lost, nothing is doubled.
    fn dies_between_partials_and_their_confirmation(&mut self) {
        self.devnet.points(3).unwrap();
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
            |devnet| devnet.points(1).unwrap(),
            |story| story.count(credited) > before,
        );
        self.gates[1].shut();
        self.until(
            "refusals",
            |devnet| devnet.points(1).unwrap(),
            |story| story.count(refused) > 0,
        );
        let is_gone = |node: &Value| node["trouble"].is_string();
        self.pool.wait("both nodes to be missed", |status| {
            status["assets"][0]["nodes"].as_array()?.iter().all(is_gone).then_some(())
        });
        let since = now_ms();
        self.devnet.points(2).unwrap();
        // Whatever came from then on.
        let credited_since = format!("{credited} WHERE at > {since}");
        assert_eq!(self.count(&credited_since), 0, "nothing is credited that nobody can judge");
        let before = self.count(credited);
        self.gates[1].open();
        self.until(
            "partials with the other node",
            |devnet| devnet.points(1).unwrap(),
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
            |devnet| devnet.blocks(1).unwrap(),
            |story| story.matured("main") == rewards && story.all_is_confirmed(),
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

    /// Somebody with nothing but the API, and a node of their own, finds the same on the chain.
    fn is_audited_from_outside(&self) {
        let url = format!("http://{}", self.pool.pages());
        let Service { rpc, authority, certificate, key } = &self.devnet.second;
        let [authority, certificate, key] =
            [authority, certificate, key].map(|file| file.to_str().unwrap());
        let files =
            ["--node-authority", authority, "--node-certificate", certificate, "--node-key", key];
        let named = ["--from", &url, "--address", &self.launcher(), "--node", rpc];
        let said = self.pool.adit(&["audit"], &[&named[..], &files].concat());
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
        let payouts = self.pool.reader().payouts(1000).unwrap().len();
        assert!(
            text.contains(&format!("{payouts} payouts, {payouts} of them seen on the chain")),
            "{text}"
        );
        let rewards = self.booked("SELECT count(*) FROM rewards");
        assert!(text.contains(&format!("PASS: {rewards} blocks")), "{text}");
        assert!(text.contains(&format!("{rewards} as the chain has them")), "{text}");
    }

    fn launcher(&self) -> String {
        let sql = "SELECT lower(hex(launcher)) FROM farmers";
        self.door().query_row(sql, [], |row| row.get(0)).unwrap()
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
        let launcher = self.launcher();
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

    /// A payout during which the pool dies at each of these steps, and goes on each time where it was.
    fn dies_during_a_payout(&mut self, steps: &[&str]) {
        let matured = self.matured("main");
        self.pool.stop();
        self.devnet.wins(1).unwrap();
        for point in steps {
            self.pool.crash_at(point);
            self.pool.launch();
            self.until(
                point,
                |devnet| devnet.blocks(1).unwrap(),
                |story| story.pool.process.as_mut().and_then(testkit::Process::ended).is_some(),
            );
            assert!(self.pool.log().contains(point), "it did not die at {point}");
        }
        self.pool.crash_nowhere();
        self.pool.start();
        self.until_all_is_paid(matured + 1);
    }

    /// From now on a wallet of Chia's own software signs for the same address.
    fn is_paid_by_chias_wallet(&mut self) {
        let matured = self.matured("main");
        let address = self.pool.status()["assets"][0]["address"].as_str().unwrap().to_owned();
        self.pool.stop();
        let Service { rpc, authority, certificate, key } = self.devnet.pool_wallet().unwrap();
        let service = format!(
            "rpc = {rpc:?}, authority = {authority:?}, certificate = {certificate:?}, key = {key:?}"
        );
        let wallet = format!(
            "wallet = {{ kind = \"node\", address = \"{address}\", service = {{ {service} }} }}"
        );
        let text = std::fs::read_to_string(self.pool.config()).unwrap();
        assert!(text.contains(OWN_WALLET));
        std::fs::write(self.pool.config(), text.replace(OWN_WALLET, &wallet)).unwrap();
        std::fs::remove_file(self.pool.folder.path().join("xch.key")).unwrap();
        let said = self.pool.says(&["check"], &[]);
        assert!(said.contains("Chia's software signs for it"), "{said}");
        self.pool.start();
        self.devnet.wins(1).unwrap();
        self.until_all_is_paid(matured + 1);
        self.was_paid_exactly_once();
    }

    /// A block is won, and its reward absorbed and booked; gives the heights of the block and of what absorbed its reward.
    fn wins_and_is_told(&mut self) -> (u64, u64) {
        let booked = self.booked("SELECT count(*) FROM rewards");
        self.devnet.wins(1).unwrap();
        let won = self.height();
        // The next block makes the reward's coin, and the one after it makes the coin deep enough.
        self.devnet.blocks(2).unwrap();
        let since = Instant::now();
        while self.ask(&json!({"do": "mempool"}))["count"] == 0 {
            assert!(since.elapsed() < PATIENCE, "nothing was absorbed");
            std::thread::sleep(Duration::from_millis(200));
        }
        let absorbed = self.height() + 1;
        // Enough for the reward to be booked, and one too few for it to be mature.
        self.devnet.blocks(2).unwrap();
        self.until(
            "the reward to be booked",
            |_| {},
            |story| story.booked("SELECT count(*) FROM rewards") > booked,
        );
        (won, absorbed)
    }

    /// The chain goes another way from the block of this height on.
    fn goes_back_before(&mut self, height: u64) {
        self.ask(&json!({"do": "fork", "height": height - 1}));
    }

    /// A block that was won is taken back after its reward was absorbed and booked: the reward is nobody's.
    fn loses_a_block(&mut self) {
        let orphans = "SELECT count(*) FROM rewards WHERE state = 'orphaned'";
        let (won, _) = self.wins_and_is_told();
        assert_eq!(self.booked(orphans), 0);
        self.goes_back_before(won);
        self.until(
            "the reward to be orphaned",
            |devnet| devnet.blocks(1).unwrap(),
            |story| story.booked(orphans) == 1,
        );
    }

    /// Only what absorbed a reward is taken back: it is absorbed again, and is one reward.
    fn loses_an_absorption(&mut self) {
        let matured = self.matured("main");
        let rewards = self.booked("SELECT count(*) FROM rewards");
        let (_, absorbed) = self.wins_and_is_told();
        self.goes_back_before(absorbed);
        self.until_all_is_paid(matured + 1);
        assert_eq!(self.booked("SELECT count(*) FROM rewards"), rewards + 1, "once");
        let newest =
            "SELECT height FROM rewards WHERE state = 'matured' ORDER BY height DESC LIMIT 1";
        assert_eq!(
            self.booked(newest),
            i64::try_from(absorbed).unwrap(),
            "it is the one that was told"
        );
    }

    /// A signage point is taken back: what was credited for it is revoked.
    fn loses_a_signage_point(&mut self) {
        let credited = self.count("SELECT count(*) FROM partials");
        self.until(
            "another partial",
            |devnet| devnet.points(1).unwrap(),
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
        self.ask(&json!({"do": "reorg", "point": point}));
        self.pool.start();
        self.until(
            "a revocation",
            |_| {},
            |story| story.booked("SELECT count(*) FROM revocations") >= 1,
        );
    }

    fn leaves(&mut self) {
        let credited = self.count("SELECT count(*) FROM partials");
        self.until(
            "a partial that counts",
            |devnet| devnet.points(1).unwrap(),
            |story| story.count("SELECT count(*) FROM partials") > credited,
        );
        self.ask(&json!({"do": "leave"}));
        self.devnet.blocks(8).unwrap();
        let refused = "SELECT coalesce(sum(count), 0) FROM refusals WHERE reason = 'not_a_member'";
        self.until(
            "refusals",
            |devnet| devnet.points(1).unwrap(),
            |story| story.count(refused) >= 1,
        );
        let credited_since = format!("SELECT count(*) FROM partials WHERE at > {}", now_ms());
        self.devnet.points(3).unwrap();
        let still = self.count(refused);
        self.until(
            "refusals as before",
            |devnet| devnet.points(1).unwrap(),
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
    story.devnet.wins(2).unwrap();
    story.until_all_is_paid(2);
    assert_eq!(story.matured("main.refunds"), 1, "what it farmed before it joined is its own");
    story.was_paid_exactly_once();
    story.is_audited_from_outside();
    story.an_audit_sees_what_the_chain_does_not_have();
    story.is_shown();
    story.dies_during_a_payout(&CRASHES);
    story.dies_during_a_payout(&[CRASH_AFTER_SENDING]);
    story.loses_an_absorption();
    // From here on a coin may come back that was orphaned: the next absorption spends the same plot NFT's coin, and makes the same.
    story.loses_a_block();
    story.is_paid_by_chias_wallet();
    story.loses_a_signage_point();
    story.leaves();
}

#[test]
fn the_demo_of_farming_ends_by_itself_with_everything_paid() {
    let folder = Kept(tempfile::tempdir().unwrap());
    // As an operator starts it: with the Python that the script installed.
    assert!(testkit::prepared("chia.sh").exists());
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", common::ADIT, "demo", "--kind", "farming", "--exit"])
        .args(["--blocks", "1", "--listen", "127.0.0.1:0", "--pages", "127.0.0.1:0", "--data"])
        .arg(folder.0.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    for said in ["pages: http://127.0.0.1:", "farmer 0x", " payouts confirmed"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    let holds = |key: &str| outcome[key].as_bool().unwrap();
    assert!(holds("books_balance") && holds("all_due_is_paid"), "{outcome}");
    let count = |key: &str| outcome[key].as_u64().unwrap();
    assert!(count("shares_accepted") > 0, "{outcome}");
    assert!(count("blocks_matured") >= 1 && count("splits_recomputed") >= 1, "{outcome}");
    assert!(count("payouts_confirmed") >= 1, "{outcome}");
    assert_eq!(count("payouts_made"), count("payouts_confirmed"), "{outcome}");
    assert_eq!(count("blocks_matured"), count("blocks_found"), "{outcome}");
}

#[test]
fn a_demo_of_farming_says_what_is_missing() {
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(common::ADIT)
        .args(["demo", "--kind", "farming", "--exit"])
        .env("ADIT_CACHE", empty.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("scripts/chia.sh"), "{said}");
}
