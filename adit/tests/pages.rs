//! The pages as people use them, in a real browser, on a real pool.

mod common;

use common::browser::Browser;
use common::{Chain, somebody};
use pow::Algorithm;

/// So that a slow miner finds a block within a second.
const HASHES_PER_BLOCK: u64 = 256;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_finds_out_how_to_connect() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = chain.pool_with_pages("miners_host = \"pool.example\"");
    let browser = Browser::open(pool.pages()).await;
    browser.go("/").await;
    let url = format!("stratum+tcp://pool.example:{}", pool.port.number());
    let page = browser.until_it_says(&url).await;
    for words in
        ["PPLNS", "Fee 1", "your Bitcoin address, a dot, and a name", "sha256d", "Next payout run"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    browser.click("summary").await;
    browser.until_it_says(&format!("adit miner --pool pool.example:{}", pool.port.number())).await;
    for path in [
        "/help",
        "/faq",
        "/terms",
        "/privacy",
        "/statistics",
        "/network",
        "/calculator?hashrate=1",
        "/api-docs",
    ] {
        browser.go(path).await;
        let text = browser.text().await;
        assert!(text.len() > 300 && !text.contains("broken"), "{path}: {text}");
    }
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_page_counts_up_while_it_is_open_and_shows_the_payout_when_it_comes() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = chain.pool_with_pages("");
    let (ann, _) = somebody(1);
    let browser = Browser::open(pool.pages()).await;
    browser.go(&format!("/miner/{ann}")).await;
    browser.until_it_says("No share of this address has been accepted yet").await;
    let miner = pool.miner(&format!("{ann}.rig7"), Algorithm::Sha256d, 40.0);
    // The page is not loaded again: what changes is sent to it.
    let shares = "[data-k=shares]";
    let start = std::time::Instant::now();
    while browser.text_of(shares).await == "0" {
        assert!(start.elapsed().as_secs() < 60, "the page stands still");
    }
    pool.wait_for_rewards(2);
    miner.stop().await;
    chain.devnet.mine_to(&devnet::nobody(), 101);
    browser.go(&format!("/miner/{ann}")).await;
    browser.until_it_says("rig7").await;
    browser.until_it_says("matured").await;
    testkit::wait_for("a confirmed payout", || {
        chain.devnet.mine_to(&devnet::nobody(), 1);
        let payouts = pool.reader().payouts(10).unwrap();
        payouts.iter().any(|payout| payout.state.as_str() == "confirmed").then_some(())
    });
    browser.until_it_says("confirmed").await;
    browser.click("a[href='/payout/1']").await;
    browser.until_it_says("Recipients").await;
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn search_finds_addresses_blocks_and_heights_and_explains_a_wrong_address() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = chain.pool_with_pages("");
    let (ann, _) = somebody(1);
    let miner = pool.miner(&ann, Algorithm::Sha256d, 40.0);
    pool.wait_for_rewards(1);
    miner.stop().await;
    let block = pool.reader().rewards(1).unwrap().remove(0);
    let browser = Browser::open(pool.pages()).await;
    let look_up = async |words: &str| {
        browser.go("/search").await;
        browser.fill("#q", words).await;
        browser.click("form.big button").await;
    };
    look_up(&ann).await;
    browser.until_it_says("Mining here since").await;
    look_up(&block.id.to_string()).await;
    browser.until_it_says("The exact split").await;
    look_up(&block.height.to_string()).await;
    assert!(browser.until_it_says(&block.id.to_string()).await.contains("Effort"));
    let wrong = format!("{}q", &ann[..ann.len() - 1]);
    look_up(&wrong).await;
    browser.until_it_says("Nothing here is called").await;
    browser.go(&format!("/miner/{wrong}")).await;
    let page = browser.until_it_says("cannot be looked up").await;
    assert!(page.contains("bitcoin/regtest"), "{page}");
    pool.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_holds_payouts_and_releases_them() {
    let chain = Chain::with_hashes_per_block(HASHES_PER_BLOCK);
    let mut pool = chain.pool_with_pages("");
    let token = pool.says(&["web", "add-operator"], &["ann"]);
    let browser = Browser::open(pool.pages()).await;
    browser.go("/operator").await;
    browser.fill("input[name=token]", "not the token").await;
    browser.click("form.tall button").await;
    browser.until_it_says("That is no operator's token").await;
    browser.fill("input[name=token]", token.trim()).await;
    browser.click("form.tall button").await;
    browser.until_it_says("What operators did").await;
    browser.fill("#hold input[name=scope]", "all").await;
    browser.fill("#hold input[name=reason]", "looking <b>into</b> it").await;
    browser.click("#hold button").await;
    browser.until_it_says("Done.").await;
    assert!(pool.says(&["payouts", "list"], &[]).contains("held: all (looking <b>into</b> it)"));
    let page = browser.text().await;
    assert!(page.contains("ann") && page.contains("hold all: looking <b>into</b> it"), "{page}");
    let (miner_address, _) = somebody(1);
    let miner = pool.miner(&miner_address, Algorithm::Sha256d, 40.0);
    pool.wait_for_rewards(1);
    miner.stop().await;
    chain.devnet.mine_to(&devnet::nobody(), 101);
    pool.wait("maturity", common::all_rest);
    assert!(pool.reader().payouts(10).unwrap().is_empty(), "held");
    browser.go("/operator").await;
    browser.click("input[value=release-scope] ~ button").await;
    browser.until_it_says("Done.").await;
    testkit::wait_for("a payout", || pool.reader().payouts(1).unwrap().pop());
    browser.go("/operator").await;
    browser.click("form[action='/operator/logout'] button").await;
    browser.until_it_says("Tokens are made with").await;
    pool.stop();
}
