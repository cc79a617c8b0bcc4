//! Blocks that are mined by hand, and random chains of them.

#![allow(dead_code, reason = "each test uses its own part")]
#![allow(clippy::unwrap_used, reason = "a chain that cannot be read has failed")]

use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, CompactTarget, ScriptBuf, TxOut};
use covenant::rule::{Bootstrap, Halving, Small, Weights};
use covenant::shape::Shape;
use covenant::tree::FeeRule;
use covenant::window::LookBack;
use covenant::{Block, Chain, Enforced, Rule, TreeRule, Verdict};
use proptest::prelude::*;

pub const BITS: u32 = 0x1d00_ffff;

pub fn enforced() -> Enforced {
    Enforced::by([("ctv", true)]).unwrap()
}

pub fn script(miner: u8) -> ScriptBuf {
    ScriptBuf::from_bytes([&[0, 20][..], &[miner; 20]].concat())
}

pub fn rule() -> Rule {
    Rule {
        start: 0,
        window: LookBack::Last { blocks: 8 },
        weights: Weights::Equal,
        share_permille: 1000,
        bootstrap: Bootstrap::Finder,
        halving: Halving::Ignore,
        floor: 1000,
        small: Small::Others,
        tree: TreeRule {
            shape: Shape::Balanced { radix: 4 },
            fee: FeeRule { per_transaction: 400, per_vbyte: 0 },
            anchor: None,
        },
    }
}

/// A block as it was mined.
#[derive(Clone)]
pub struct Mined {
    pub height: u32,
    pub hash: BlockHash,
    pub previous: BlockHash,
    pub time: u32,
    pub outputs: Vec<TxOut>,
}

impl Mined {
    pub fn block(&self) -> Block<'_> {
        Block {
            height: self.height,
            hash: self.hash,
            previous: self.previous,
            time: self.time,
            bits: CompactTarget::from_consensus(BITS),
            outputs: &self.outputs,
        }
    }
}

pub fn pays(value: u64, script: ScriptBuf) -> TxOut {
    TxOut { value: Amount::from_sat(value), script_pubkey: script }
}

/// The next block with these outputs; `salt` tells forks apart.
pub fn mined(chain: &Chain, salt: u8, outputs: Vec<TxOut>) -> Mined {
    let height = chain.next_height();
    let mut hash = [salt; 32];
    hash[..4].copy_from_slice(&height.to_be_bytes());
    Mined {
        height,
        hash: BlockHash::from_byte_array(hash),
        previous: chain.tip().unwrap_or_else(BlockHash::all_zeros),
        time: 1_700_000_000 + height * 600 + u32::from(salt % 7) * 50,
        outputs,
    }
}

pub fn honest(chain: &Chain, miner: u8, value: u64) -> Mined {
    let planned = chain.coinbase(&enforced(), value, &script(miner)).unwrap();
    let sum: u64 = planned.outputs.iter().map(|output| output.value.to_sat()).sum();
    assert_eq!(sum, value, "a coinbase pays out the block's whole value");
    mined(chain, miner, planned.outputs)
}

pub fn connect(chain: &mut Chain, block: &Mined) -> Verdict {
    chain.connect(&block.block()).unwrap()
}

pub fn is_qualified(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Qualified(_))
}

pub fn rules() -> impl Strategy<Value = Rule> {
    let window = prop_oneof![
        (1u32..12).prop_map(|blocks| LookBack::Last { blocks }),
        (600u32..9000).prop_map(|seconds| LookBack::Age { seconds }),
        (600u32..3000).prop_map(|s| LookBack::Between { from_seconds: s, to_seconds: s + 3000 }),
    ];
    let weights = prop_oneof![
        Just(Weights::Equal),
        (500_000u32..1_000_000).prop_map(|keep_ppm| Weights::Ewma { keep_ppm }),
        Just(Weights::Sats),
        Just(Weights::Work),
    ];
    let bootstrap = prop_oneof![
        Just(Bootstrap::Finder),
        Just(Bootstrap::Split),
        Just(Bootstrap::Forward { blocks: 20 }),
    ];
    let halving = prop_oneof![Just(Halving::Ignore), Just(Halving::Restart { interval: 15 })];
    let shape = prop_oneof![
        Just(Shape::Flat),
        Just(Shape::Balanced { radix: 4 }),
        Just(Shape::Weighted { radix: 3 })
    ];
    let small = prop_oneof![Just(Small::Others), Just(Small::Finder)];
    (window, weights, bootstrap, halving, shape, small, 1u16..=1000, 546u32..20_000).prop_map(
        |(window, weights, bootstrap, halving, shape, small, share_permille, floor)| Rule {
            window,
            weights,
            bootstrap,
            halving,
            floor,
            small,
            share_permille,
            tree: TreeRule { shape, ..rule().tree },
            ..rule()
        },
    )
}

/// Who finds a block, what it is worth, and what they do with it: share it, keep it, or lie.
pub fn deeds(count: usize) -> impl Strategy<Value = Vec<(u8, u64, u8)>> {
    prop::collection::vec((0u8..12, 2_000u64..2_000_000, 0u8..8), count)
}

pub fn play(chain: &mut Chain, (miner, value, deed): (u8, u64, u8), salt: u8) -> (Mined, Verdict) {
    let mut block = honest(chain, miner, value);
    match deed {
        6 => block.outputs = vec![pays(value, script(miner))],
        7 => block.outputs[0].value += Amount::from_sat(1),
        _ => {}
    }
    let block = mined(chain, miner.wrapping_mul(16) ^ salt, block.outputs);
    let verdict = connect(chain, &block);
    match deed {
        6 => assert_eq!(verdict, Verdict::NoMarker),
        7 => {}
        _ => assert!(is_qualified(&verdict), "an honest block qualifies: {verdict:?}"),
    }
    (block, verdict)
}
