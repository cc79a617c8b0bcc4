//! Block templates (BIP22, BIP23, BIP145) and whole blocks from them.
//!
//! Invariant: a block made from a template is accepted.

use crate::chain::Chain;
use crate::check;
use crate::mempool::Waiting;
use crate::params::MAX_BLOCK_WEIGHT;
use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Witness,
};

/// Weight kept free for the coinbase and the header.
const RESERVED_WEIGHT: usize = 8000;

impl Chain {
    /// The waiting transactions that fit a block, parents before children.
    #[must_use]
    pub fn selection(&self) -> Vec<&Waiting> {
        let mut weight = RESERVED_WEIGHT;
        let mut chosen = Vec::new();
        for waiting in self.mempool.iter() {
            let own = waiting.tx.weight().to_wu() as usize;
            if weight + own > MAX_BLOCK_WEIGHT {
                break;
            }
            weight += own;
            chosen.push(waiting);
        }
        chosen
    }

    /// Earliest time of the next block.
    #[must_use]
    pub fn min_time(&self) -> u32 {
        self.median_time(&self.tip()) + 1
    }

    /// A block on the tip that pays `script`, with everything but its work. `extra` makes its coinbase unique.
    #[must_use]
    pub fn assemble(&self, script: &ScriptBuf, extra: u32, now_s: u64) -> Block {
        let height = self.height() + 1;
        let selection = self.selection();
        let fees: u64 = selection.iter().map(|waiting| waiting.fee).sum();
        let mut txdata = vec![coinbase(height, extra, self.params.subsidy(height) + fees, script)];
        txdata.extend(selection.iter().map(|waiting| waiting.tx.clone()));
        let commitment = check::witness_commitment(&txdata, &[0; 32]);
        let commitment = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed], commitment.as_slice()].concat();
        txdata[0]
            .output
            .push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(commitment) });
        // Blocks may come faster than seconds pass; the median time must still move.
        let time = u32::try_from(now_s).unwrap_or(u32::MAX).max(self.min_time());
        let header = Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: self.tip(),
            merkle_root: TxMerkleNode::all_zeros(),
            time,
            bits: self.params.bits,
            nonce: 0,
        };
        let mut block = Block { header, txdata };
        block.header.merkle_root = block.compute_merkle_root().expect("there is a coinbase");
        block
    }
}

/// Tries nonces, and later times, until the header meets its target.
#[must_use]
pub fn solve(mut block: Block) -> Block {
    let target = pow::Target::from_be_bytes(block.header.target().to_be_bytes());
    loop {
        let bytes = serialize(&block.header);
        let (midstate, rest) = pow::sha256d::Midstate::of(&bytes);
        let mut tail: [u8; 16] = rest.try_into().expect("a header is 80 bytes");
        for nonce in 0..=u32::MAX {
            tail[12..].copy_from_slice(&nonce.to_le_bytes());
            if target.is_met_by(&midstate.finish_twice(&tail)) {
                block.header.nonce = nonce;
                return block;
            }
        }
        block.header.time += 1;
    }
}

fn coinbase(height: u32, extra: u32, value: u64, script: &ScriptBuf) -> Transaction {
    let script_sig =
        Builder::new().push_int(height.into()).push_slice(extra.to_le_bytes()).into_script();
    let input = TxIn {
        previous_output: OutPoint::null(),
        script_sig,
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[[0u8; 32]]),
    };
    let output = TxOut { value: Amount::from_sat(value), script_pubkey: script.clone() };
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![output],
    }
}
