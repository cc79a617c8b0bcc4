//! A small world with money in it, and everything that can be wrong with its next block.

#![allow(dead_code, reason = "each test file uses its part of it")]

use bitcoin::absolute::LockTime;
use bitcoin::block::Version;
use bitcoin::opcodes::all::OP_CHECKSIG;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Witness,
};
use devnet::check;
use devnet::purse::Purse;
use devnet::template::solve;
use devnet::{Chain, Params};

/// A chain on which the purse owns old and young coins.
pub struct World {
    pub chain: Chain,
    pub purse: Purse,
    pub now_s: u64,
    mined: u32,
}

impl World {
    /// So many blocks, a minute apart up to `now_s`, all paid to the purse.
    pub fn new(blocks: u32, now_s: u64) -> Self {
        let purse = Purse::new();
        let start = now_s - u64::from(blocks) * 60;
        let mut world =
            World { chain: Chain::new(Params::default()), purse, now_s: start, mined: 0 };
        for _ in 0..blocks {
            world.now_s += 60;
            world.mine();
        }
        world
    }

    /// Mines and connects a block.
    pub fn mine(&mut self) -> Block {
        let block = self.next();
        assert_eq!(self.chain.submit(block.clone(), self.now_s), devnet::chain::Submitted::NewTip);
        block
    }

    /// A good block on the tip.
    pub fn next(&mut self) -> Block {
        self.mined += 1;
        solve(self.chain.assemble(&self.purse.script(), self.mined, self.now_s))
    }

    /// The coinbase of the active chain at a height.
    pub fn coinbase(&self, height: u32) -> Transaction {
        let hash = self.chain.hash_at(height).unwrap();
        self.chain.entry(&hash).unwrap().block.txdata[0].clone()
    }

    /// The coinbase at a height, divided into parts.
    pub fn fan(&self, height: u32, parts: usize) -> Transaction {
        self.purse.fan_out(&self.coinbase(height), parts)
    }
}

/// Commits to the block's witnesses again.
fn commit(block: &mut Block) {
    let Some(at) = check::commitment_index(&block.txdata[0]) else { return };
    let commitment = check::witness_commitment(&block.txdata, &[0; 32]);
    let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed], commitment.as_slice()].concat();
    block.txdata[0].output[at].script_pubkey = ScriptBuf::from_bytes(script);
}

fn root(block: &mut Block) {
    if let Some(root) = block.compute_merkle_root() {
        block.header.merkle_root = root;
    }
}

/// One thing that is wrong with a block. In the order in which Core looks, as far as there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Nothing,
    MerkleRoot,
    TransactionTwice,
    TooLong,
    NoCoinbase,
    SecondCoinbase,
    NoOutputs,
    ValueNegative,
    ValueTooLarge,
    TotalTooLarge,
    InputTwice,
    ShortCoinbase,
    LongCoinbase,
    NullInput,
    LegacyOperations,
    UnknownParent,
    Bits,
    TimeTooOld,
    TimeTooNew,
    OldVersion,
    LockedUntilLater,
    WrongHeight,
    NonceSize,
    Commitment,
    UnexpectedWitness,
    TooHeavy,
    UnknownInput,
    SpentTwice,
    Immature,
    MoreOutThanIn,
    BadSignature,
    TooMuchReward,
}

pub const FAULTS: [Fault; 32] = [
    Fault::Nothing,
    Fault::MerkleRoot,
    Fault::TransactionTwice,
    Fault::TooLong,
    Fault::NoCoinbase,
    Fault::SecondCoinbase,
    Fault::NoOutputs,
    Fault::ValueNegative,
    Fault::ValueTooLarge,
    Fault::TotalTooLarge,
    Fault::InputTwice,
    Fault::ShortCoinbase,
    Fault::LongCoinbase,
    Fault::NullInput,
    Fault::LegacyOperations,
    Fault::UnknownParent,
    Fault::Bits,
    Fault::TimeTooOld,
    Fault::TimeTooNew,
    Fault::OldVersion,
    Fault::LockedUntilLater,
    Fault::WrongHeight,
    Fault::NonceSize,
    Fault::Commitment,
    Fault::UnexpectedWitness,
    Fault::TooHeavy,
    Fault::UnknownInput,
    Fault::SpentTwice,
    Fault::Immature,
    Fault::MoreOutThanIn,
    Fault::BadSignature,
    Fault::TooMuchReward,
];

impl Fault {
    /// What Core says of a block whose only fault this is.
    pub fn verdict(self) -> Option<&'static str> {
        Some(match self {
            Fault::Nothing => return None,
            Fault::MerkleRoot => "bad-txnmrklroot",
            Fault::TransactionTwice => "bad-txns-duplicate",
            Fault::TooLong => "bad-blk-length",
            Fault::NoCoinbase => "bad-cb-missing",
            Fault::SecondCoinbase => "bad-cb-multiple",
            Fault::NoOutputs => "bad-txns-vout-empty",
            Fault::ValueNegative => "bad-txns-vout-negative",
            Fault::ValueTooLarge => "bad-txns-vout-toolarge",
            Fault::TotalTooLarge => "bad-txns-txouttotal-toolarge",
            Fault::InputTwice => "bad-txns-inputs-duplicate",
            Fault::ShortCoinbase | Fault::LongCoinbase => "bad-cb-length",
            Fault::NullInput => "bad-txns-prevout-null",
            Fault::LegacyOperations => "bad-blk-sigops",
            Fault::UnknownParent => "prev-blk-not-found",
            Fault::Bits => "bad-diffbits",
            Fault::TimeTooOld => "time-too-old",
            Fault::TimeTooNew => "time-too-new",
            Fault::OldVersion => "bad-version(0x00000003)",
            Fault::LockedUntilLater => "bad-txns-nonfinal",
            Fault::WrongHeight => "bad-cb-height",
            Fault::NonceSize => "bad-witness-nonce-size",
            Fault::Commitment => "bad-witness-merkle-match",
            Fault::UnexpectedWitness => "unexpected-witness",
            Fault::TooHeavy => "bad-blk-weight",
            Fault::UnknownInput | Fault::SpentTwice => "bad-txns-inputs-missingorspent",
            Fault::Immature => "bad-txns-premature-spend-of-coinbase",
            Fault::MoreOutThanIn => "bad-txns-in-belowout",
            Fault::BadSignature => "mandatory-script-verify-flag-failed",
            Fault::TooMuchReward => "bad-cb-amount",
        })
    }

    /// Puts the fault into a good block, and makes everything that stands on it right again, work included.
    pub fn put_into(self, mut block: Block, world: &World) -> Block {
        self.change_body(&mut block, world);
        if !matches!(self, Fault::Commitment) {
            commit(&mut block);
        }
        root(&mut block);
        if self == Fault::TransactionTwice {
            repeat_the_end(&mut block);
        }
        self.change_header(&mut block, world);
        solve(block)
    }

    fn change_body(self, block: &mut Block, world: &World) {
        let spend = |vout: usize, outputs: Vec<TxOut>| {
            world.purse.spend(&world.coinbase(90), vout, outputs)
        };
        let coinbase = &mut block.txdata[0];
        match self {
            Fault::TooLong => coinbase.output.push(filler(1_000_000)),
            Fault::NoCoinbase => {
                block.txdata.remove(0);
                if block.txdata.is_empty() {
                    block.txdata.push(world.fan(1, 3));
                }
            }
            Fault::SecondCoinbase => {
                let mut second = coinbase.clone();
                second.output.truncate(1);
                block.txdata.push(second);
            }
            Fault::NoOutputs => block.txdata.push(world.purse.spend(&world.coinbase(2), 0, vec![])),
            Fault::ValueNegative => coinbase.output[0].value = Amount::from_sat(u64::MAX),
            Fault::ValueTooLarge => {
                coinbase.output[0].value = Amount::from_sat(2_100_000_000_000_001)
            }
            Fault::TotalTooLarge => {
                let most = TxOut { value: Amount::MAX_MONEY, script_pubkey: world.purse.script() };
                coinbase.output.insert(0, most);
            }
            Fault::InputTwice => {
                let mut tx = world.fan(2, 3);
                tx.input.push(tx.input[0].clone());
                block.txdata.push(tx);
            }
            Fault::ShortCoinbase => {
                coinbase.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51])
            }
            Fault::LongCoinbase => {
                let bytes = [coinbase.input[0].script_sig.as_bytes(), &[0; 98]].concat();
                coinbase.input[0].script_sig = ScriptBuf::from_bytes(bytes);
            }
            Fault::NullInput => {
                let mut tx = world.fan(2, 3);
                let mut null = tx.input[0].clone();
                null.previous_output = OutPoint::null();
                tx.input.push(null);
                block.txdata.push(tx);
            }
            Fault::LegacyOperations => {
                let checks =
                    (0..20_001).fold(Builder::new(), |script, _| script.push_opcode(OP_CHECKSIG));
                coinbase
                    .output
                    .push(TxOut { value: Amount::ZERO, script_pubkey: checks.into_script() });
            }
            Fault::LockedUntilLater => {
                let mut tx = world.fan(2, 3);
                tx.lock_time = LockTime::from_height(world.chain.height() + 1).unwrap();
                tx.input[0].sequence = Sequence::ZERO;
                world.purse.sign(&mut tx, 0, world.coinbase(2).output[0].value);
                block.txdata.push(tx);
            }
            Fault::WrongHeight => {
                let height = i64::from(world.chain.height());
                let script = Builder::new().push_int(height).push_slice([7; 4]).into_script();
                coinbase.input[0].script_sig = script;
            }
            Fault::NonceSize => coinbase.input[0].witness = Witness::from_slice(&[[0u8; 31]]),
            Fault::Commitment => {
                let Some(at) = check::commitment_index(coinbase) else { return };
                let mut bytes = coinbase.output[at].script_pubkey.to_bytes();
                bytes[37] ^= 1;
                coinbase.output[at].script_pubkey = ScriptBuf::from_bytes(bytes);
            }
            Fault::UnexpectedWitness => {
                let Some(at) = check::commitment_index(coinbase) else { return };
                coinbase.output.remove(at);
            }
            Fault::TooHeavy => {
                let mut tx = world.fan(2, 3);
                tx.input[0].witness.push(vec![0u8; 4_000_000]);
                block.txdata.push(tx);
            }
            Fault::UnknownInput => {
                let mut tx = world.fan(2, 3);
                tx.input[0].previous_output.vout = 7;
                block.txdata.push(tx);
            }
            Fault::SpentTwice => {
                block.txdata.push(world.fan(2, 3));
                block.txdata.push(world.fan(2, 4));
            }
            Fault::Immature => block.txdata.push(spend(0, vec![world.purse.output(1000)])),
            Fault::MoreOutThanIn => {
                let value = world.coinbase(2).output[0].value.to_sat();
                block.txdata.push(world.purse.spend(
                    &world.coinbase(2),
                    0,
                    vec![world.purse.output(value + 1)],
                ));
            }
            Fault::BadSignature => {
                let mut tx = world.fan(2, 3);
                tx.output[0].value -= Amount::ONE_SAT;
                block.txdata.push(tx);
            }
            Fault::TooMuchReward => {
                let value = coinbase.output[0].value.to_sat();
                coinbase.output[0].value = Amount::from_sat(value.wrapping_add(1));
            }
            Fault::TransactionTwice => {
                let mut height = 2;
                while block.txdata.len().is_power_of_two() {
                    block.txdata.push(world.fan(height, 3));
                    height += 1;
                }
            }
            Fault::Nothing
            | Fault::MerkleRoot
            | Fault::UnknownParent
            | Fault::Bits
            | Fault::TimeTooOld
            | Fault::TimeTooNew
            | Fault::OldVersion => {}
        }
    }

    fn change_header(self, block: &mut Block, world: &World) {
        let header = &mut block.header;
        match self {
            Fault::MerkleRoot => {
                let mut bytes = *AsRef::<[u8; 32]>::as_ref(&header.merkle_root);
                bytes[5] ^= 1;
                header.merkle_root = bitcoin::hashes::Hash::from_byte_array(bytes);
            }
            Fault::UnknownParent => {
                header.prev_blockhash = bitcoin::hashes::Hash::from_byte_array([9; 32])
            }
            Fault::Bits => header.bits = bitcoin::CompactTarget::from_consensus(0x207f_fffe),
            Fault::TimeTooOld => header.time = world.chain.median_time(&world.chain.tip()),
            Fault::TimeTooNew => header.time = u32::try_from(world.now_s).unwrap() + 3 * 3600,
            Fault::OldVersion => header.version = Version::from_consensus(3),
            _ => {}
        }
    }
}

/// CVE-2012-2459: the last transactions once more, so that the root stays the same; of a power of two it cannot be done.
fn repeat_the_end(block: &mut Block) {
    let count = block.txdata.len();
    let mut width = 1;
    while (count / width).is_multiple_of(2) {
        width *= 2;
    }
    let tail: Vec<Transaction> = block.txdata[count - width..].to_vec();
    block.txdata.extend(tail);
    let before = block.header.merkle_root;
    assert_eq!(block.compute_merkle_root(), Some(before));
}

/// An output that is only long.
fn filler(bytes: usize) -> TxOut {
    TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(vec![0x6a; bytes]) }
}

/// The hash of a block that nobody has.
pub fn nobody() -> BlockHash {
    bitcoin::hashes::Hash::from_byte_array([3; 32])
}
