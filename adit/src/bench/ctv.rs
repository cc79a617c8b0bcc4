//! `adit bench ctv`: how fast the qualified-block rule and payout trees are on this machine, as one JSON line.
//!
//! A chain of (by default) a million blocks of which every hundredth is the pool's, found by 216 miners in turn, its window full: the pool's
//! coinbases are planned first, then the whole chain is judged from nothing by a stranger, who must find every one qualified.

use anyhow::bail;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, CompactTarget, ScriptBuf, TxOut};
use covenant::rule::{Bootstrap, Halving, Small, Weights};
use covenant::shape::Shape;
use covenant::tree::FeeRule;
use covenant::window::LookBack;
use covenant::{Block, Chain, Enforced, Payee, Rule, TreeRule, Verdict};
use serde_json::json;
use std::time::Instant;

/// Every so many is the pool's.
const POOL_EVERY: u32 = 100;
/// Miners, and blocks in the window.
const MINERS: u32 = 216;
/// Payees of the large tree.
const PAYEES: u32 = 1000;
/// Times that the large tree is built; the median counts.
const TREES: usize = 51;

/// Runs the bench and prints its line.
///
/// # Errors
/// When a block of the pool does not qualify.
pub fn run(blocks: u32) -> anyhow::Result<()> {
    let rule = rule();
    let planned = planned(&rule, blocks)?;
    let began = Instant::now();
    let mut chain = Chain::new(rule);
    let (mut judging, mut qualified) = (0.0, 0u32);
    let plain = [TxOut { value: Amount::from_sat(312_500_000), script_pubkey: script(u32::MAX) }];
    for height in 0..blocks {
        let pool = (height % POOL_EVERY == 0)
            .then(|| planned.get((height / POOL_EVERY) as usize))
            .flatten();
        let outputs = pool.map_or(&plain[..], |outputs| &outputs[..]);
        let before = pool.map(|_| Instant::now());
        let verdict = chain.connect(&block(height, outputs))?;
        if let Some(before) = before {
            judging += before.elapsed().as_secs_f64();
        }
        qualified += u32::from(matches!(verdict, Verdict::Qualified(_)));
    }
    let whole = began.elapsed().as_secs_f64() * 1e3;
    let expected = blocks.div_ceil(POOL_EVERY);
    if qualified != expected {
        bail!("{qualified} blocks qualified, and {expected} should have");
    }
    println!(
        "{}",
        json!({
            "qualified_1m_ms": round(whole),
            "blocks": blocks,
            "judge_us": round(judging / f64::from(qualified) * 1e6),
            "payees": chain.claims().len(),
            "tree_1000_ms": round(tree_ms(&rule)?),
        })
    );
    Ok(())
}

fn round(value: f64) -> f64 {
    super::round(value, 3)
}

fn rule() -> Rule {
    Rule {
        start: 0,
        window: LookBack::Last { blocks: MINERS },
        weights: Weights::Equal,
        share_permille: 1000,
        bootstrap: Bootstrap::Finder,
        halving: Halving::Ignore,
        floor: 1000,
        small: Small::Others,
        tree: TreeRule {
            shape: Shape::Balanced { radix: 4 },
            fee: FeeRule { per_transaction: 0, per_vbyte: 1 },
            anchor: Some(240),
        },
    }
}

/// A P2TR script; nobody has its key.
fn script(number: u32) -> ScriptBuf {
    let mut key = [0x5a; 32];
    key[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
    ScriptBuf::from_bytes([&[0x51, 32][..], &key].concat())
}

fn hash(height: u32) -> BlockHash {
    let mut bytes = [1; 32];
    bytes[..4].copy_from_slice(&height.to_be_bytes());
    BlockHash::from_byte_array(bytes)
}

fn block(height: u32, outputs: &[TxOut]) -> Block<'_> {
    Block {
        height,
        hash: hash(height),
        previous: height.checked_sub(1).map_or_else(BlockHash::all_zeros, hash),
        time: 1_300_000_000 + height * 600,
        bits: CompactTarget::from_consensus(0x1d00_ffff),
        outputs,
    }
}

/// The coinbases of the pool's blocks, in order.
fn planned(rule: &Rule, blocks: u32) -> anyhow::Result<Vec<Vec<TxOut>>> {
    let enforced = Enforced::by([("ctv", true)])?;
    let mut chain = Chain::new(*rule);
    let mut planned = Vec::new();
    for height in 0..blocks {
        let mut outputs = Vec::new();
        if height % POOL_EVERY == 0 {
            let finder = script(height / POOL_EVERY % MINERS);
            let value = 312_500_000 + u64::from(height % 7_919);
            outputs = chain.coinbase(&enforced, value, &finder)?.outputs;
            planned.push(outputs.clone());
        }
        chain.connect(&block(height, &outputs))?;
    }
    Ok(planned)
}

/// The median time of building a tree for a thousand payees with unequal claims.
fn tree_ms(rule: &Rule) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..TREES {
        let payees: Vec<Payee> = (0..PAYEES)
            .map(|n| Payee { script: script(n), amount: u64::from(10_000 + n * 37) })
            .collect();
        let began = Instant::now();
        let tree = rule.tree.build(payees)?;
        std::hint::black_box(tree.output());
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok(times[TREES / 2])
}
