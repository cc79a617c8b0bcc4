//! Every scheme from shares to confirmed payouts, with the real binary on an embedded chain, and audited after.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::{Chain, Pool, all_rest, somebody};
use pow::Algorithm;
use serde_json::Value;
use std::time::Duration;

/// Enough that several shares come before a block.
const HASHES_PER_BLOCK: u64 = 24;

/// What the chain holds for a script.
fn held(chain: &Chain, script: &bitcoin::Script) -> i128 {
    let of = |chain: &devnet::Chain| {
        let own = chain.coins().filter(|(_, coin)| coin.output.script_pubkey == *script);
        own.map(|(_, coin)| i128::from(coin.output.value.to_sat())).sum()
    };
    chain.devnet.look(of)
}

fn sent_by_the_books(pool: &Pool) -> i128 {
    let payouts = pool.reader().payouts(1000).unwrap();
    payouts.iter().flat_map(|payout| &payout.parts).map(|part| part.sent.units()).sum()
}

/// Two miners until some blocks are found; then until all of it is paid.
async fn mine_and_pay(chain: &Chain, pool: &Pool, blocks: usize) {
    let (ann, bob) = (somebody(1), somebody(2));
    let one = pool.miner(&format!("{}.rig", ann.0), Algorithm::Sha256d, 20.0);
    let two = pool.miner(&bob.0, Algorithm::Sha256d, 40.0);
    pool.wait_for_rewards(blocks);
    // Blocks may be found before the slower one has a share.
    testkit::wait_for("a share of each", || {
        (pool.reader().book().unwrap().last_account.0 >= 2).then_some(())
    });
    one.stop().await;
    two.stop().await;
    bury(chain, pool);
}

fn bury(chain: &Chain, pool: &Pool) {
    let nobody = devnet::nobody();
    chain.devnet.mine_to(&nobody, 101);
    pool.wait("maturity", |status| {
        let rewards = status["rewards"].as_array()?;
        rewards.iter().all(|reward| reward["state"] != "immature").then_some(())
    });
    testkit::wait_for("payouts", || {
        chain.devnet.mine_to(&nobody, 1);
        std::thread::sleep(Duration::from_millis(200));
        let payouts = pool.reader().payouts(1000).unwrap();
        let confirmed = payouts.iter().all(|payout| payout.state.as_str() == "confirmed");
        (confirmed && !payouts.is_empty()).then_some(())
    });
}

/// The whole path under a scheme that pays by blocks.
async fn by_blocks(scheme: &str) {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut setup = chain.setup();
    setup.pool = format!("fee_percent = 1.5\n{scheme}");
    let mut pool = Pool::new(&setup);
    pool.start();
    mine_and_pay(&chain, &pool, 3).await;
    let received = held(&chain, &somebody(1).1) + held(&chain, &somebody(2).1);
    assert_eq!(received, sent_by_the_books(&pool), "what is booked as sent is on the chain");
    pool.audit();
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn under_prop_a_share_becomes_a_confirmed_payout() {
    by_blocks("scheme = \"prop\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_pplns_by_number_of_shares_a_share_becomes_a_confirmed_payout() {
    by_blocks("scheme = \"pplns\"\nwindow_shares = 20").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_tides_a_share_becomes_a_confirmed_payout() {
    by_blocks("scheme = \"tides\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_recomputes_ten_sealed_blocks_with_the_chain() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = Pool::new(&chain.setup().scheme("pplns"));
    pool.start();
    mine_and_pay(&chain, &pool, 10).await;
    let said = pool.says(&["audit"], &[]);
    let sealed = said.lines().filter(|line| line.contains("  PASS  ")).count();
    assert!(sealed >= 10, "{said}");
    assert!(said.contains("matured, chain agrees"), "{said}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_finds_a_share_that_no_slice_counts() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = Pool::new(&chain.setup().scheme("pplns"));
    pool.start();
    mine_and_pay(&chain, &pool, 3).await;
    pool.stop();
    pool.audit();
    let rewards = pool.reader().rewards(1000).unwrap();
    let db = rusqlite::Connection::open(pool.store().join("adit.db")).unwrap();
    // Where a block stands in the log there is no share, and room for one: after the newest slice, and between two.
    let (newest, oldest) = (rewards.first().unwrap(), rewards.last().unwrap());
    for (reward, found) in [(newest, "the window should end with"), (oldest, "does not follow")] {
        let place = i64::try_from(reward.window_end.0).unwrap();
        let forgotten = "INSERT INTO shares SELECT ?1, pool, account, worker, weight, rate, found_at, randomblob(32)
             FROM shares ORDER BY seq LIMIT 1";
        assert_eq!(db.execute(forgotten, [place]).unwrap(), 1);
        let output = pool.adit(&["audit"], &["--offline"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success() && said.contains(found), "{found}: {said}");
        db.execute("DELETE FROM shares WHERE seq = ?1", [place]).unwrap();
    }
    pool.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_changed_its_rule_is_judged_by_the_rule_of_each_block() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = Pool::new(&chain.setup().scheme("pplns")).with_pages("");
    pool.start_with_pages();
    mine_and_pay(&chain, &pool, 2).await;
    pool.stop();
    let text = std::fs::read_to_string(pool.config()).unwrap();
    let text =
        text.replace("\"pplns\"", "\"prop\"").replace("fee_percent = 1.0", "fee_percent = 2.0");
    std::fs::write(pool.config(), text).unwrap();
    pool.start_with_pages();
    let before = pool.reader().rewards(1000).unwrap().len();
    mine_and_pay(&chain, &pool, before + 2).await;
    pool.audit();
    let said = common::http::audit(pool.pages(), &["--address", &somebody(1).0]);
    assert!(said.contains("PASS:"), "{said}");
    assert!(said.contains("log: PPLNS") && said.contains("log: PROP"), "{said}");
    pool.stop();
    // Nothing is changed by starting again, and what was promised cannot be told otherwise afterwards.
    pool.start_with_pages();
    let again = common::http::audit(pool.pages(), &["--address", &somebody(1).0]);
    assert_eq!(again.matches("promised after").count(), 2, "{again}");
    pool.stop();
    let db = rusqlite::Connection::open(pool.store().join("adit.db")).unwrap();
    let lie = "UPDATE notes SET value = CAST(replace(CAST(value AS TEXT), 'prop', 'tides') AS BLOB) WHERE key = 'rules/1'";
    assert_eq!(db.execute(lie, []).unwrap(), 1);
    let output = pool.adit(&["audit"], &["--offline"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && said.contains("but the pool's rule was"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_custodial_solo_a_block_becomes_its_finders_confirmed_payout() {
    by_blocks("scheme = \"solo\"\ncustodial = true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_solo_the_coinbase_pays_the_finder_and_the_pool_its_fee() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut setup = chain.setup().scheme("solo");
    setup.pool = setup.pool.replace("1.0", "2.0");
    let mut pool = Pool::new(&setup);
    pool.start();
    let (ann, script) = somebody(1);
    let miner = pool.miner(&ann, Algorithm::Sha256d, 40.0);
    pool.wait_for_rewards(3);
    miner.stop().await;
    chain.devnet.mine_to(&devnet::nobody(), 101);
    pool.wait("maturity", all_rest);
    let status = pool.status();
    let rewards = status["rewards"].as_array().unwrap();
    let blocks = rewards.iter().filter(|reward| reward["state"] == "matured").count() as i128;
    let subsidy = 50 * 100_000_000;
    assert_eq!(held(&chain, &script), blocks * subsidy * 98 / 100);
    assert!(pool.reader().payouts(10).unwrap().is_empty(), "the block itself has paid");
    pool.audit();
    pool.stop();
}

/// Shares are bought before any block is found; blocks refill what bought them.
async fn by_shares(scheme: &str) {
    let chain = Chain::with_hashes_per_block(1 << 20);
    let mut setup = chain.setup().scheme(scheme);
    setup.pool.push_str("\nslice_age = \"1s\"");
    let mut pool = Pool::new(&setup).with_pages("");
    pool.start();
    let (ann, script) = somebody(1);
    let status = pool.status();
    let wallet = status["assets"][0]["address"].as_str().unwrap();
    let address: bitcoin::Address<_> = wallet.parse().unwrap();
    chain.devnet.mine_to(&address.assume_checked().script_pubkey(), 1);
    chain.devnet.mine_to(&devnet::nobody(), 100);
    let deposit = ["coin", "50", "the-first-block"];
    let mut words = deposit.to_vec();
    words.push("--bankroll");
    pool.says(&["payouts", "deposit"], &words);
    let again = pool.adit(&["payouts", "deposit"], &words);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains("booked already"), "{said}");
    let miner = pool.miner(&ann, Algorithm::Sha256d, 4000.0);
    testkit::wait_for("payouts", || {
        chain.devnet.mine_to(&devnet::nobody(), 1);
        std::thread::sleep(Duration::from_millis(200));
        let payouts = pool.reader().payouts(1000).unwrap();
        payouts.iter().any(|payout| payout.state.as_str() == "confirmed").then_some(())
    });
    miner.stop().await;
    assert!(pool.reader().rewards(10).unwrap().is_empty(), "no block was needed");
    assert!(held(&chain, &script) > 0);
    let said = pool.says(&["audit"], &[]);
    assert!(said.contains("slices bought for") && said.contains("PASS:"), "{said}");
    // And so they do for whoever has nothing but the pages.
    let said = common::http::audit(pool.pages(), &["--address", &ann]);
    assert!(said.contains("slices bought for") && said.contains("PASS:"), "{said}");
    lies_about_shares(&pool, &ann);
    pool.stop();
    // A credit that does not follow from the shares and their rates is found.
    let db = rusqlite::Connection::open(pool.store().join("adit.db")).unwrap();
    let newest =
        "UPDATE slice_credits SET net = net + 1 WHERE no = (SELECT max(no) FROM slice_credits)";
    assert!(db.execute(newest, []).unwrap() > 0);
    let output = pool.adit(&["audit"], &["--offline"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && said.contains("should have been credited"), "{said}");
}

/// Whoever tells the miner of other purchases than there were is found out, and so is who forgets the newest.
fn lies_about_shares(pool: &Pool, address: &str) {
    let said_when = |lie: fn(&str, &mut Value)| {
        let told = move |path: &str, body: String| {
            let mut value: Value = serde_json::from_str(&body).unwrap();
            lie(path, &mut value);
            value.to_string()
        };
        let liar = common::http::liar(pool.pages(), told);
        common::http::audit(liar, &["--address", address])
    };
    fn cut_log(path: &str, value: &mut Value) {
        if path.contains("/slices") {
            let rows = value["rows"].as_array_mut().unwrap();
            rows.retain(|slice| slice["no"] == 1);
        }
    }
    let said = said_when(|path, value| {
        if path.contains("source=shares") {
            let net = value.pointer_mut("/rows/0/net/units").unwrap();
            *net = (net.as_i64().unwrap() + 1).into();
        }
    });
    assert!(said.contains("FAIL") && said.contains("which bought its shares for"), "{said}");
    // A log that ends before the shares that were paid for.
    let said = said_when(cut_log);
    assert!(said.contains("FAIL") && said.contains("does not follow"), "{said}");
    let said = said_when(|path, value| {
        cut_log(path, value);
        if path.contains("source=shares") {
            value["rows"].as_array_mut().unwrap().retain(|credit| credit["slice"] == 1);
        }
    });
    assert!(said.contains("FAIL") && said.contains("its balances are"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_pps_shares_are_paid_without_a_block_and_every_purchase_is_audited() {
    by_shares("pps").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_fpps_shares_are_paid_without_a_block_and_every_purchase_is_audited() {
    by_shares("fpps").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_that_share_their_blocks_pay_each_window_its_part_whichever_found_the_block() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut setup = chain.setup();
    setup.pool.push_str("\npart = 50");
    let mut pool = Pool::new(&setup).with_pages("");
    let ports = [testkit::Port::take(), testkit::Port::take()];
    let mut text = std::fs::read_to_string(pool.config()).unwrap();
    for (name, part, port) in [("second", 30, &ports[0]), ("third", 20, &ports[1])] {
        let (listen, easy) = (port.address(), common::EASY_PORT);
        text = format!(
            "[[pools]]\nname = \"{name}\"\nasset = \"coin\"\nscheme = \"pplns\"\nfee_percent = 1.0\npart = {part}\n\
             [[pools.ports]]\nlisten = \"{listen}\"\n{easy}\n{text}"
        );
    }
    // Top-level keys come before the tables.
    let text = format!("data_dir = \"store\"\n{}", text.replace("data_dir = \"store\"\n", ""));
    std::fs::write(pool.config(), text).unwrap();
    pool.start();
    // Ten times the hashrate is worth no more in another window; nobody mines in the third.
    let ann = pool.miner(&somebody(1).0, Algorithm::Sha256d, 10.0);
    ann.stats().wait_for(|stats| stats.accepted >= 3).await.unwrap();
    let mut elsewhere = std::mem::replace(&mut pool.port, ports.into_iter().next().unwrap());
    let bob = pool.miner(&somebody(2).0, Algorithm::Sha256d, 100.0);
    std::mem::swap(&mut pool.port, &mut elsewhere);
    bob.stats().wait_for(|stats| stats.accepted >= 3).await.unwrap();
    let before = pool.reader().rewards(1000).unwrap().len();
    pool.wait_for_rewards(before + 4);
    ann.stop().await;
    bob.stop().await;
    let reader = pool.reader();
    let main = reader.book().unwrap().pools["main"].id;
    let mut both = 0;
    for listed in reader.rewards(100).unwrap() {
        let (reward, _) = reader.reward(listed.id).unwrap().unwrap();
        let shared = reward.shared.as_ref().unwrap();
        assert_eq!(shared.beside.len(), 2);
        let rows = &reward.split.as_ref().unwrap().rows;
        let worked = |window: &accounting::window::WindowTable| !window.rows.is_empty();
        let others = shared.beside.iter().filter(|beside| worked(&beside.window)).count();
        if worked(reward.window.as_ref().unwrap()) && others == 1 {
            both += 1;
            let [first, second] = rows.as_slice() else { panic!("{rows:?}") };
            // The third's part is the finder's: 70 of 100 where the first found it, 50 where the second did.
            let whole = reward.to_pool.units();
            let found_by_first = reward.pool == main;
            let of_first = if found_by_first { 70 } else { 50 };
            let tolerance = 1;
            let expected = whole * of_first / 100;
            let is_near = |got: i128, want: i128| (got - want).abs() <= tolerance;
            assert!(
                is_near(first.gross.units(), expected)
                    && is_near(second.gross.units(), whole - expected)
                    || is_near(second.gross.units(), expected)
                        && is_near(first.gross.units(), whole - expected),
                "{reward:?}"
            );
        }
    }
    assert!(both > 0, "no block was found while both mined");
    pool.audit();
    let said = common::http::audit(pool.pages(), &["--address", &somebody(1).0]);
    assert!(said.contains("PASS:"), "{said}");
    pool.stop();
}
