//! A notify and what can be made of it: headers to hash, and the submit that names one. Pure.

use pow::sha256d::{merkle_parent, sha256d};
use serde_json::Value;

/// A job as the pool described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name, given back with each share.
    pub id: String,
    /// Hash of the block before, as it stands in the header.
    pub prev_hash: [u8; 32],
    /// Coinbase before the extranonces.
    pub coinbase_before: Vec<u8>,
    /// Coinbase after them.
    pub coinbase_after: Vec<u8>,
    /// Merkle branch of the coinbase.
    pub branches: Vec<[u8; 32]>,
    /// Block version.
    pub version: u32,
    /// Compact target of the network.
    pub bits: u32,
    /// Time in the header, at first.
    pub time: u32,
    /// Everything before is worthless now.
    pub clean: bool,
}

/// What a miner may vary in one header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variation<'a> {
    /// The part of the coinbase that the pool chose for this connection.
    pub extranonce1: &'a [u8],
    /// The part that the miner chooses.
    pub extranonce2: &'a [u8],
    /// Version, rolled bits included.
    pub version: u32,
    /// Time.
    pub time: u32,
    /// Nonce.
    pub nonce: u32,
}

impl Job {
    /// Reads the parameters of `mining.notify`; `None` when something is missing or of another kind.
    #[must_use]
    pub fn read(params: &Value) -> Option<Self> {
        let text = |at: usize| params.get(at)?.as_str();
        let number = |at: usize| u32::from_str_radix(text(at)?, 16).ok();
        let mut prev_hash: [u8; 32] = unhex(text(1)?)?.try_into().ok()?;
        // On the wire each 32-bit word of the header's field is written backwards.
        prev_hash.as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse());
        let branch = |value: &Value| unhex(value.as_str()?)?.try_into().ok();
        Some(Job {
            id: text(0)?.to_owned(),
            prev_hash,
            coinbase_before: unhex(text(2)?)?,
            coinbase_after: unhex(text(3)?)?,
            branches: params.get(4)?.as_array()?.iter().map(branch).collect::<Option<_>>()?,
            version: number(5)?,
            bits: number(6)?,
            time: number(7)?,
            clean: params.get(8)?.as_bool()?,
        })
    }

    /// The header of one variation.
    #[must_use]
    pub fn header(&self, variation: &Variation<'_>) -> [u8; 80] {
        let parts = [
            &self.coinbase_before,
            variation.extranonce1,
            variation.extranonce2,
            &self.coinbase_after,
        ];
        let mut root = sha256d(&parts.concat());
        for branch in &self.branches {
            root = merkle_parent(&root, branch);
        }
        let mut header = [0; 80];
        header[..4].copy_from_slice(&variation.version.to_le_bytes());
        header[4..36].copy_from_slice(&self.prev_hash);
        header[36..68].copy_from_slice(&root);
        header[68..72].copy_from_slice(&variation.time.to_le_bytes());
        header[72..76].copy_from_slice(&self.bits.to_le_bytes());
        header[76..].copy_from_slice(&variation.nonce.to_le_bytes());
        header
    }
}

/// A header that met the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The job's name.
    pub job: String,
    /// The miner's part of the coinbase.
    pub extranonce2: Vec<u8>,
    /// Time in the header.
    pub time: u32,
    /// Nonce.
    pub nonce: u32,
    /// Rolled version bits, where rolling was agreed.
    pub version_bits: Option<u32>,
    /// It met the network's target too.
    pub is_block: bool,
}

/// The line that submits a share.
#[must_use]
pub fn submit_line(id: u64, user: &str, found: &Found) -> String {
    let mut params = vec![
        Value::from(user),
        Value::from(&*found.job),
        hex(&found.extranonce2).into(),
        format!("{:08x}", found.time).into(),
        format!("{:08x}", found.nonce).into(),
    ];
    params.extend(found.version_bits.map(|bits| Value::from(format!("{bits:08x}"))));
    serde_json::json!({ "id": id, "method": "mining.submit", "params": params }).to_string()
}

/// Bytes as hexadecimal text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// Hexadecimal text as bytes.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::consensus::serialize;
    use bitcoin::hashes::Hash;
    use bitcoin::{Block, Network, constants::genesis_block};
    use serde_json::json;

    /// A notify for a block whose coinbase is cut in two around eight bytes, as a pool would make it.
    fn notify_of(block: &Block, cut: usize, branches: &[[u8; 32]]) -> Value {
        let coinbase = serialize(&block.txdata[0]);
        let mut prev = block.header.prev_blockhash.to_byte_array();
        prev.as_chunks_mut::<4>().0.iter_mut().for_each(|word| word.reverse());
        let branches: Vec<String> = branches.iter().map(|branch| hex(branch)).collect();
        json!([
            "job 1",
            hex(&prev),
            hex(&coinbase[..cut]),
            hex(&coinbase[cut + 8..]),
            branches,
            format!("{:08x}", block.header.version.to_consensus()),
            format!("{:08x}", block.header.bits.to_consensus()),
            format!("{:08x}", block.header.time),
            true
        ])
    }

    #[test]
    fn bitcoins_first_block_is_rebuilt_from_a_notify() {
        let block = genesis_block(Network::Bitcoin);
        let coinbase = serialize(&block.txdata[0]);
        let job = Job::read(&notify_of(&block, 60, &[])).unwrap();
        let variation = Variation {
            extranonce1: &coinbase[60..64],
            extranonce2: &coinbase[64..68],
            version: job.version,
            time: job.time,
            nonce: block.header.nonce,
        };
        let header = job.header(&variation);
        assert_eq!(header.as_slice(), serialize(&block.header));
        let target = pow::Target::from_compact(job.bits).unwrap();
        assert!(target.is_met_by(&sha256d(&header)));
    }

    #[test]
    fn branches_are_applied_in_order() {
        let mut block = genesis_block(Network::Bitcoin);
        let mut other = block.txdata[0].clone();
        other.lock_time = bitcoin::absolute::LockTime::from_consensus(7);
        let mut third = other.clone();
        third.lock_time = bitcoin::absolute::LockTime::from_consensus(8);
        block.txdata.extend([other, third]);
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        let ids: Vec<[u8; 32]> =
            block.txdata.iter().map(|tx| tx.compute_txid().to_byte_array()).collect();
        let branches = [ids[1], merkle_parent(&ids[2], &ids[2])];
        let job = Job::read(&notify_of(&block, 60, &branches)).unwrap();
        let coinbase = serialize(&block.txdata[0]);
        let (extranonce1, extranonce2) = (&coinbase[60..64], &coinbase[64..68]);
        let nonce = block.header.nonce;
        let variation =
            Variation { extranonce1, extranonce2, version: job.version, time: job.time, nonce };
        assert_eq!(job.header(&variation).as_slice(), serialize(&block.header));
    }

    #[test]
    fn a_notify_that_is_not_one_is_not_read() {
        let block = genesis_block(Network::Bitcoin);
        let good = notify_of(&block, 60, &[]);
        assert!(Job::read(&good).is_some());
        for at in 0..9 {
            let mut bad = good.clone();
            bad[at] = json!(5.5);
            assert_eq!(Job::read(&bad), None, "{at}");
        }
        let mut short = good.clone();
        short[1] = json!("00");
        assert_eq!(Job::read(&short), None);
        assert_eq!(Job::read(&json!([])), None);
    }

    #[test]
    fn a_submit_has_six_fields_only_when_rolling_was_agreed() {
        let mut found = Found {
            job: "a".into(),
            extranonce2: vec![0, 1, 2, 3],
            time: 0x10,
            nonce: 0xabc,
            version_bits: None,
            is_block: false,
        };
        let line = submit_line(4, "me.rig", &found);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["params"], json!(["me.rig", "a", "00010203", "00000010", "00000abc"]));
        found.version_bits = Some(0x2000);
        let read: Value = serde_json::from_str(&submit_line(4, "me.rig", &found)).unwrap();
        assert_eq!(read["params"][5], "00002000");
    }
}
