//! `adit ctv claims`: what an address is owed, when it can be had, and what getting it out costs.

use super::follower::Follower;
use super::script_of;
use crate::cli::ctv::ClaimsArgs;
use anyhow::bail;
use serde_json::{Value, json};

pub async fn claims(args: &ClaimsArgs) -> anyhow::Result<()> {
    if !(args.feerate.is_finite() && args.feerate >= 0.0) {
        bail!("--feerate is a number of satoshis, at least 0");
    }
    let mut follower = Follower::open(&args.chain).await?;
    follower.catch_up(|_, _| {}).await?;
    let script = script_of(&args.address, follower.network)?;
    let mut payments = Vec::new();
    for (height, found) in &follower.found {
        let Some(tree) = &found.qualified.tree else { continue };
        let Some(payee) = tree.payees().iter().position(|payee| payee.script == script) else {
            continue;
        };
        let vsize = tree.exit_vsize(payee);
        // What the tree's own transactions pay is paid; the rest comes from outside, by an anchor's child.
        let endowed: u64 = tree.path(payee).iter().map(|at| fee_of(tree, *at)).sum();
        let expected = vsize as f64 * args.feerate;
        payments.push(json!({
            "height": height,
            "block": found.hash.to_string(),
            "amount": tree.payees()[payee].amount,
            "mature": follower.is_mature(*height),
            "matures_at": height + super::follower::MATURITY,
            "transactions": tree.path(payee).len(),
            "exit_vsize": vsize,
            "fee_in_tree": endowed,
            "fee_missing": (expected - endowed as f64).max(0.0).ceil() as u64,
        }));
    }
    let answer = json!({
        "rule": follower.rule().id().to_string(),
        "next_height": follower.chain.next_height(),
        "payments": payments,
        "window": window_of(&follower, &script),
    });
    println!("{}", serde_json::to_string_pretty(&answer)?);
    Ok(())
}

/// What the transaction at this place pays to be mined.
fn fee_of(tree: &covenant::Tree, at: usize) -> u64 {
    let fee = tree.rule().fee;
    let vsize = tree.nodes().get(at).map_or(0, |node| node.vsize);
    u64::from(fee.per_transaction) + vsize * u64::from(fee.per_vbyte)
}

/// What later blocks will pay it.
fn window_of(follower: &Follower, script: &bitcoin::Script) -> Value {
    let chain = &follower.chain;
    let claims = chain.claims();
    let total: u128 = claims.iter().map(|claim| claim.weight).sum();
    let own = claims.iter().find(|claim| claim.script == script).map_or(0, |claim| claim.weight);
    let window = chain.window();
    let mine = |payee: u32| chain.script(payee) == script;
    let slots = window.iter().filter(|slot| mine(slot.payee)).count();
    // How many more blocks will pay each slot, while the window counts blocks.
    let left = follower.rule().window.full().map(|full| {
        let ages = (1u64..).zip(window.iter().rev());
        let still = ages.filter(|(_, slot)| mine(slot.payee));
        still.map(|(age, _)| u64::from(full).saturating_sub(age - 1)).sum::<u64>()
    });
    json!({
        "blocks": window.len(),
        "own_blocks": slots,
        "part_of_next_ppm": accounting::split::part_of(1_000_000, own, total.max(1)) as u64,
        "payments_to_come": left,
        "of_rewards_divided_by": follower.rule().window.full(),
    })
}
