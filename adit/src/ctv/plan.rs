//! `adit ctv plan`: the coinbase outputs of the next block.
//!
//! Invariant: what is printed was judged by the verifier that everybody else uses, and qualified.

use super::follower::Follower;
use super::{script_of, shown};
use crate::cli::ctv::PlanArgs;
use anyhow::{Context, bail};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, CompactTarget};
use covenant::coinbase::Coinbase;
use covenant::tree::Tree;
use covenant::{Block, Verdict};
use serde_json::{Value, json};

pub async fn plan(args: &PlanArgs) -> anyhow::Result<()> {
    let mut follower = Follower::open(&args.chain).await?;
    // First of all: on a chain that does not enforce it there is nothing to plan.
    let enforced = follower.enforced().await?;
    follower.catch_up(|_, _| {}).await?;
    let value = match args.value {
        Some(value) => value,
        None => template_value(&mut follower).await?,
    };
    let payout = script_of(&args.payout, follower.network)?;
    let chain = &follower.chain;
    if chain.next_height() < follower.rule().start {
        bail!(
            "the rule begins at height {}, and the next block is {}",
            follower.rule().start,
            chain.next_height()
        );
    }
    let coinbase = chain.coinbase(&enforced, value, &payout)?;
    check(&follower, &coinbase)?;
    println!("{}", serde_json::to_string_pretty(&told(&follower, value, &coinbase))?);
    Ok(())
}

async fn template_value(follower: &mut Follower) -> anyhow::Result<u64> {
    let rules = json!([{ "rules": ["segwit"] }]);
    let template = follower.call("getblocktemplate", rules).await;
    let template = template.context("the node gives no template; name the block's --value")?;
    template["coinbasevalue"].as_u64().context("a template has a coinbasevalue")
}

/// What others will say of it.
fn check(follower: &Follower, coinbase: &Coinbase) -> anyhow::Result<()> {
    let block = Block {
        height: follower.chain.next_height(),
        hash: BlockHash::all_zeros(),
        previous: follower.chain.tip().unwrap_or_else(BlockHash::all_zeros),
        time: 0,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        outputs: &coinbase.outputs,
    };
    match follower.chain.judge(&block) {
        Verdict::Qualified(_) => Ok(()),
        verdict => bail!(
            "the planned coinbase would not qualify, which is a fault of this program: {verdict:?}"
        ),
    }
}

fn told(follower: &Follower, value: u64, coinbase: &Coinbase) -> Value {
    let outputs: Vec<Value> = coinbase
        .outputs
        .iter()
        .map(|o| json!({ "value": o.value.to_sat(), "script": o.script_pubkey.to_hex_string() }))
        .collect();
    json!({
        "rule": follower.rule().id().to_string(),
        "height": follower.chain.next_height(),
        "previous": follower.chain.tip().map(|tip| tip.to_string()),
        "value": value,
        "window": follower.chain.window().len(),
        "outputs": outputs,
        "tree": coinbase.tree.as_ref().map(|tree| tree_told(follower, tree)),
        "locked_until": coinbase.forward.as_ref().map(|forward| forward.height),
    })
}

fn tree_told(follower: &Follower, tree: &Tree) -> Value {
    let payees: Vec<Value> = tree
        .payees()
        .iter()
        .enumerate()
        .map(|(at, payee)| {
            json!({
                "to": shown(&payee.script, follower.network),
                "amount": payee.amount,
                "exit_vsize": tree.exit_vsize(at),
            })
        })
        .collect();
    let cost = tree.cost();
    json!({
        "transactions": cost.transactions,
        "vsize": cost.vsize,
        "fees": cost.fees,
        "anchors": cost.anchors,
        "payees": payees,
    })
}
