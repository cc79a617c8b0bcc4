//! `adit audit --from`: what a stranger can check with nothing but the pages and a node.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::http::{audit, get, liar};
use common::{Chain, Pool, somebody};
use pow::Algorithm;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const HASHES_PER_BLOCK: u64 = 256;
/// The payouts' minimum in base units, as `common::QUICK_PAYOUTS` has it.
const MINIMUM: i64 = 100_000;

/// A pool that has found blocks and paid for all of them: nothing of it moves any more.
async fn a_pool_that_paid(chain: &Chain, scheme: &str) -> Pool {
    let mut setup = chain.setup().scheme(scheme);
    setup.pool.push_str("\nslice_age = \"1s\"");
    let mut pool = Pool::new(&setup).with_pages("");
    pool.start_with_pages();
    let miners = [1, 2].map(|n| pool.miner(&somebody(n).0, Algorithm::Sha256d, 40.0));
    pool.wait_for_rewards(4);
    let balances = |pool: &Pool| {
        [1, 2].map(|n| {
            let page = get(pool.pages(), &format!("/api/v1/accounts/{}", somebody(n).0));
            let account: Value = serde_json::from_str(&page.body).unwrap_or_default();
            ["immature", "in_flight", "paid", "available"]
                .map(|of| account["balance"][of]["units"].as_i64().unwrap_or(0))
        })
    };
    testkit::wait_for("a part for both", || {
        balances(&pool).iter().all(|of| of.iter().sum::<i64>() > 0).then_some(())
    });
    for miner in miners {
        miner.stop().await;
    }
    chain.devnet.mine_to(&devnet::nobody(), 110);
    testkit::wait_for("all to be paid", || {
        chain.devnet.mine_to(&devnet::nobody(), 1);
        let is_at_rest = |[immature, in_flight, paid, available]: &[i64; 4]| {
            *immature == 0 && *in_flight == 0 && *paid > 0 && *available < MINIMUM
        };
        balances(&pool).iter().all(is_at_rest).then_some(())
    });
    pool
}

/// The words of an audit by this account's owner, who has this chain.
struct Owner {
    address: String,
    node: String,
}

impl Owner {
    fn on(chain: &Chain) -> Self {
        Owner { address: somebody(1).0, node: chain.devnet.address().to_string() }
    }

    fn words(&self) -> [&str; 6] {
        ["--address", &self.address, "--node", &self.node, "--node-user", "u"]
    }

    /// The audit must find this lie, and say so in these words.
    fn finds(&self, pool: &Pool, found: &str, lie: impl Fn(&str, &mut Value) + Send + 'static) {
        let told = move |path: &str, body: String| match serde_json::from_str::<Value>(&body) {
            Ok(mut value) => {
                lie(path, &mut value);
                value.to_string()
            }
            Err(_) => body,
        };
        let said = audit(liar(pool.pages(), told), &self.words());
        assert!(said.contains("FAIL") && said.contains(found), "\"{found}\": {said}");
    }

    /// The same, of a number that is one too many wherever it is told.
    fn finds_one_more(&self, pool: &Pool, place: &'static str, at: &'static str, found: &str) {
        self.finds(pool, found, move |path, value| {
            if is(path, place) {
                raise(value, at, 1);
            }
        });
    }
}

/// Is this the path of a place, whatever is asked about it?
fn is(path: &str, place: &str) -> bool {
    path.split('?').next().unwrap_or_default().ends_with(place)
}

/// Adds to a number, written as text or not, where a pointer says and there is one.
fn raise(value: &mut Value, pointer: &str, by: i128) {
    let Some(number) = value.pointer_mut(pointer) else { return };
    *number = match &*number {
        Value::String(text) => (text.parse::<i128>().unwrap() + by).to_string().into(),
        number => i64::try_from(i128::from(number.as_i64().unwrap()) + by).unwrap().into(),
    };
}

/// Everything to the finder, at the fee of the rule: a split that sums.
fn all_to_the_finder(record: &mut Value) {
    let amount: i128 = record["to_pool"].as_str().unwrap().parse().unwrap();
    let fee = amount / 100;
    record["split"] = json!([{
        "account": record["finder"], "work": "1", "fee_bps": 100,
        "fee": fee.to_string(), "net": (amount - fee).to_string(),
    }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_recomputes_every_split_and_finds_every_payout_on_the_chain() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_that_paid(&chain, "pplns").await;
    let owner = Owner::on(&chain);
    let said = audit(pool.pages(), &owner.words());
    assert!(said.contains("chain agrees") && said.contains("of them yours"), "{said}");
    assert!(!said.contains(", 0 of them seen on the chain"), "{said}");
    assert!(said.contains(" seen on the chain") && said.contains("PASS:"), "{said}");
    // Without a node it says what it could not do.
    let said = audit(pool.pages(), &[]);
    assert!(said.contains("nothing was compared with the chain"), "{said}");
    // One block is enough for who asks for one.
    let block = pool.reader().rewards(1).unwrap().remove(0).id.to_string();
    let said = audit(pool.pages(), &[&block]);
    assert!(said.contains("PASS: 1 blocks"), "{said}");
    // Who was never here has nothing to audit, and is told so; nor has who asks for another coin.
    let said = audit(pool.pages(), &["--address", &somebody(9).0]);
    assert!(said.contains("never had a share accepted"), "{said}");
    let said = audit(pool.pages(), &["--asset", "gold"]);
    assert!(said.contains("it mines coin"), "{said}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_finds_every_lie_about_a_split_and_a_balance() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_that_paid(&chain, "pplns").await;
    let owner = Owner::on(&chain);
    for (place, pointer, found) in [
        ("/audit", "/split/0/net", "should get"),
        ("/audit", "/split/0/fee", "do not sum"),
        ("/audit", "/window/rows/0/work", "should have work"),
        ("/audit", "/window/through", "the window should"),
        ("/audit", "/to_pool", ""),
        ("/audit", "/height", "the chain has this block at height"),
        ("/slices", "/rows/0/rows/0/work", "does not follow"),
        ("/credits", "/rows/0/net/units", "was credited"),
        ("/payouts", "/rows/0/sent/units", "to nobody at"),
        ("/payouts", "/rows/0/debited/units", "payouts sum to"),
    ] {
        owner.finds_one_more(&pool, place, pointer, found);
    }
    let own_page = format!("/accounts/{}", owner.address);
    for (pointer, taken, found) in [
        ("/balance/paid/units", Some("/balance/available/units"), "are said to be paid"),
        ("/balance/available/units", None, "its balances are"),
        ("/balance/immature/units", Some("/balance/available/units"), "are immature"),
    ] {
        let page = own_page.clone();
        owner.finds(&pool, found, move |path, value| {
            if is(path, &page) {
                raise(value, pointer, 1000);
                taken.iter().for_each(|taken| raise(value, taken, -1000));
            }
        });
    }
    owner.finds(&pool, "its credit for block", |path, value| {
        if is(path, "/credits") && value["rows"].as_array().is_some_and(|rows| !rows.is_empty()) {
            value["rows"][0]["state"] = "orphaned".into();
        }
    });
    // What is no answer at all is an error, not a pass.
    for nonsense in ["{}", "[", ""] {
        let address = liar(pool.pages(), move |_, _| nonsense.to_owned());
        assert!(audit(address, &[]).contains("makes no sense"), "{nonsense}");
    }
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_finds_every_lie_about_the_rule_and_the_log() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_that_paid(&chain, "prop").await;
    let owner = Owner::on(&chain);
    let said = audit(pool.pages(), &owner.words());
    assert!(said.contains("PASS:") && said.contains("promised after place 0"), "{said}");
    let of_record = |found: &str, lie: fn(&mut Value)| {
        owner.finds(&pool, found, move |path, value| {
            if is(path, "/audit") {
                lie(value);
            }
        });
    };
    of_record("the window should run", |record| {
        let through = record["window"]["through"].clone();
        record["window"] = json!({
            "from": through, "through": through, "oldest_part": "0", "oldest_whole": "0",
            "hash": record["window"]["hash"], "rows": [],
        });
        all_to_the_finder(record);
    });
    of_record("but the pool's rule was", |record| {
        record["scheme"] = json!({ "scheme": "solo", "custodial": true });
        record["window"] = Value::Null;
        all_to_the_finder(record);
    });
    of_record("its header asks for", |record| raise(record, "/network_work", 1));
    of_record("pool 77 has another part", |record| {
        let window = record["window"].clone();
        record["part"] = 50.into();
        record["beside"] = json!([{
            "pool": 77, "part": 50, "scheme": record["scheme"],
            "network_work": record["network_work"], "window": window,
        }]);
    });
    of_record("pool 1 has another part", |record| record["part"] = 50.into());
    of_record("which is none of the pool's rule", |record| {
        for row in record["split"].as_array_mut().unwrap() {
            row["fee_bps"] = 9900.into();
        }
    });
    of_record("is no amount", |record| record["to_pool"] = "-5".into());
    of_record("the pool calls it orphaned", |record| record["state"] = "orphaned".into());
    of_record("still calls it immature", |record| record["state"] = "immature".into());
    owner.finds(&pool, "the window should run", |path, value| {
        if is(path, "/blocks") {
            value["rows"].as_array_mut().unwrap().remove(1);
        }
    });
    owner.finds(&pool, "is missing, though", |path, value| {
        if is(path, "/slices") {
            value["rows"].as_array_mut().unwrap().retain(|slice| slice["no"] != 2);
        }
    });
    owner.finds(&pool, "is served in two ways", |path, value| {
        if is(path, "/slices") && path.contains("as_of=") && !path.contains("9007199254740991") {
            for slice in value["rows"].as_array_mut().unwrap() {
                slice["revoked"] = json!([slice["rows"][0].clone()]);
            }
        }
    });
    owner.finds(&pool, "advertises", |path, value| {
        if is(path, "/pools") {
            value[0]["rules"][0]["rule"]["scheme"] = json!({ "scheme": "tides" });
        }
    });
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_whose_blocks_the_auditors_chain_does_not_have_fails() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_that_paid(&chain, "pplns").await;
    let other = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let owner = Owner::on(&other);
    let said = audit(pool.pages(), &owner.words());
    assert!(said.contains("FAIL") && said.contains("the chain ends at height"), "{said}");
    other.devnet.mine_to(&devnet::nobody(), 300);
    let said = audit(pool.pages(), &owner.words());
    assert!(said.contains("FAIL") && said.contains("another block stands at its height"), "{said}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_was_taken_away_is_told_to_whoever_lost_it() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_that_paid(&chain, "tides").await;
    let rewards = pool.reader().rewards(1000).unwrap();
    let (first, last) = (rewards.last().unwrap().window_end, rewards[0].window_end);
    let shares = pool.reader().shares(first, last).unwrap();
    let (seq, share) = shares.last().unwrap();
    let own = pool.reader().display(share.account).unwrap().unwrap();
    pool.says(&["revoke"], &[&seq.to_string(), "--reason", "a test"]);
    let miner = pool.miner(&own, Algorithm::Sha256d, 200.0);
    pool.wait_for_rewards(rewards.len() + 1);
    miner.stop().await;
    let said = audit(pool.pages(), &["--address", &own]);
    assert!(said.contains("PASS:"), "{said}");
    let told = format!(
        "1 shares of work {0} were revoked (of them 1 shares of yours of work {0})",
        share.weight.get()
    );
    assert!(said.contains(&told), "{told}: {said}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_was_rewritten_between_two_audits_is_found() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seen").display().to_string();
    let mut pool = a_pool_that_paid(&chain, "pplns").await;
    for _ in 0..2 {
        let said = audit(pool.pages(), &["--since", &file]);
        assert!(said.contains("newest slice") && said.contains("PASS:"), "{said}");
    }
    // The same pool with another past: what it says now is sound by itself.
    let mut anew = a_pool_that_paid(&chain, "pplns").await;
    assert!(audit(anew.pages(), &[]).contains("PASS:"));
    let seen = std::fs::read_to_string(&file).unwrap();
    let said = audit(anew.pages(), &["--since", &file]);
    assert!(said.contains("FAIL  history was rewritten: slice"), "{said}");
    assert!(said.contains("was audited before and is gone"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), seen, "evidence is kept");
    anew.stop();
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_goes_on_mining_passes() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_that_paid(&chain, "prop").await;
    let owner = Owner::on(&chain);
    let miners = [1, 2].map(|n| pool.miner(&somebody(n).0, Algorithm::Sha256d, 200.0));
    let before = pool.reader().rewards(1000).unwrap().len();
    pool.wait_for_rewards(before + 1);
    // All the while the pool finds blocks, and others bury them.
    let done = AtomicBool::new(false);
    let others = || {
        while !done.load(Ordering::Relaxed) {
            chain.devnet.mine_to(&devnet::nobody(), 1);
            std::thread::sleep(Duration::from_millis(250));
        }
    };
    let said: Vec<String> = std::thread::scope(|scope| {
        scope.spawn(others);
        let mut said = Vec::new();
        while said.len() < 3 || pool.reader().rewards(1000).unwrap().len() < before + 6 {
            said.push(audit(pool.pages(), &owner.words()));
        }
        done.store(true, Ordering::Relaxed);
        said
    });
    for said in said {
        assert!(said.contains("PASS:"), "{said}");
    }
    for miner in miners {
        miner.stop().await;
    }
    pool.stop();
}
