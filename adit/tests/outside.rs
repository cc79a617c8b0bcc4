//! `adit audit --from`: what a stranger can check with nothing but the pages and a node.

#![allow(clippy::unwrap_used, reason = "a story that fails has failed")]

mod common;

use common::http::{audit, liar};
use common::{Chain, Pool, somebody};
use pow::Algorithm;
use serde_json::Value;

const HASHES_PER_BLOCK: u64 = 256;

/// A pool that has found blocks, and paid for some of them.
async fn a_pool_that_paid(chain: &Chain) -> Pool {
    let mut setup = chain.setup();
    setup.pool.push_str("\nslice_age = \"1s\"");
    let mut pool = Pool::new(&setup).with_pages("");
    pool.start_with_pages();
    let miners = [1, 2].map(|n| pool.miner(&somebody(n).0, Algorithm::Sha256d, 40.0));
    pool.wait_for_rewards(4);
    for miner in miners {
        miner.stop().await;
    }
    chain.devnet.mine_to(&devnet::nobody(), 101);
    testkit::wait_for("a confirmed payout", || {
        chain.devnet.mine_to(&devnet::nobody(), 1);
        let payouts = pool.reader().payouts(10).unwrap();
        payouts.iter().any(|payout| payout.state.as_str() == "confirmed").then_some(())
    });
    pool
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_recomputes_every_split_and_finds_every_payout_on_the_chain() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_that_paid(&chain).await;
    let (ann, _) = somebody(1);
    let node = chain.devnet.address().to_string();
    let said = audit(pool.pages(), &["--address", &ann, "--node", &node, "--node-user", "u"]);
    assert!(said.contains("chain agrees") && said.contains("of them yours"), "{said}");
    assert!(!said.contains("0 of them seen on the chain"), "{said}");
    assert!(said.contains(" seen on the chain") && said.contains("PASS:"), "{said}");
    // Without a node it says what it could not do.
    let said = audit(pool.pages(), &[]);
    assert!(said.contains("nothing was compared with the chain"), "{said}");
    // One block is enough for who asks for one.
    let block = pool.reader().rewards(1).unwrap().remove(0).id.to_string();
    let said = audit(pool.pages(), &[&block]);
    assert!(said.contains("PASS: 1 blocks"), "{said}");
    // Who was never here has nothing to audit, and is told so.
    let said = audit(pool.pages(), &["--address", &somebody(9).0]);
    assert!(said.contains("never had a share accepted"), "{said}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_finds_every_lie_about_a_split() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = a_pool_that_paid(&chain).await;
    let (ann, _) = somebody(1);
    let node = chain.devnet.address().to_string();
    /// Changes a number, written as text or not, where a pointer says.
    fn raise(value: &mut Value, pointer: &str) {
        let number = value.pointer_mut(pointer).unwrap();
        *number = match &*number {
            Value::String(text) => (text.parse::<i128>().unwrap() + 1).to_string().into(),
            number => (number.as_u64().unwrap() + 1).into(),
        };
    }
    let lies: [(&str, &str, &str); 9] = [
        ("/audit", "/split/0/net", "should get"),
        ("/audit", "/split/0/fee", "do not sum"),
        ("/audit", "/window/rows/0/work", "should have work"),
        ("/audit", "/window/through", "the window should"),
        ("/audit", "/to_pool", ""),
        ("/audit", "/height", "the chain has this block at height"),
        ("/slices", "/rows/0/rows/0/work", "does not follow"),
        ("/credits", "/rows/0/net/units", "was credited"),
        ("/payouts", "/rows/0/sent/units", "to nobody at"),
    ];
    for (place, pointer, found) in lies {
        let lie = move |path: &str, body: String| {
            let path = path.split('?').next().unwrap_or_default();
            let is_list = |value: &Value| value["rows"].as_array().is_some_and(Vec::is_empty);
            match serde_json::from_str::<Value>(&body) {
                Ok(mut value) if path.ends_with(place) && !is_list(&value) => {
                    raise(&mut value, pointer);
                    value.to_string()
                }
                _ => body,
            }
        };
        let address = liar(pool.pages(), lie);
        let words = ["--address", &ann, "--node", &node, "--node-user", "u"];
        let said = audit(address, &words);
        assert!(said.contains("FAIL") && said.contains(found), "{place}{pointer}: {said}");
    }
    // What is no answer at all is an error, not a pass.
    for nonsense in ["{}", "[", ""] {
        let address = liar(pool.pages(), move |_, _| nonsense.to_owned());
        assert!(audit(address, &[]).contains("makes no sense"), "{nonsense}");
    }
    pool.stop();
}
