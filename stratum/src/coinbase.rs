//! The coinbase transaction, cut open where miners put their extranonce.
//!
//! Invariant: no two jobs ever have the same coinbase. Its script carries the number of the program's start, the job's
//! number and the variant, so that a header is a proof for exactly one job at exactly one difficulty; BIP34 puts the
//! height first; the witness commitment is the last output.

use crate::wire::v1::JobRef;
use bitcoin::script::Builder;

/// Longest coinbase script allowed by consensus.
const SCRIPT_MAX: usize = 100;
/// Bytes of the uniqueness mark: start, job, variant.
const MARK_SIZE: usize = 9;
/// Longest tag that always fits: script limit less height (at most 6), mark and its push, tag's push, extranonces.
pub const TAG_MAX: usize = 40;

/// One output of a coinbase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Amount in smallest units.
    pub value: u64,
    /// Output script.
    pub script: Vec<u8>,
}

/// What a coinbase is made of, except its outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoinbaseInput {
    /// Height of the block (BIP34).
    pub height: u64,
    /// Number of the program's start, from the store.
    pub boot: u32,
    /// The job and the variant.
    pub job: JobRef,
    /// Text that names the pool in the block, such as `/Adit/`.
    pub tag: Vec<u8>,
    /// Bytes of extranonce1 and extranonce2 together.
    pub extranonce_size: usize,
}

impl CoinbaseInput {
    /// Everything before the extranonce, in the serialisation without witness.
    ///
    /// # Panics
    /// When tag and extranonce do not fit the script; both are checked at start.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let script = self.script_head();
        let script_len = script.len() + self.extranonce_size;
        assert!(
            script_len <= SCRIPT_MAX,
            "a coinbase script has at most {SCRIPT_MAX} bytes, not {script_len}"
        );
        let mut head = Vec::with_capacity(42 + script.len());
        head.extend_from_slice(&2u32.to_le_bytes());
        head.push(1);
        head.extend_from_slice(&[0; 32]);
        head.extend_from_slice(&u32::MAX.to_le_bytes());
        head.push(u8::try_from(script_len).expect("at most 100"));
        head.extend_from_slice(&script);
        head
    }

    fn script_head(&self) -> Vec<u8> {
        let height = i64::try_from(self.height).expect("heights stay below 2^63");
        let mut script = Builder::new().push_int(height).into_bytes();
        // Heights 1 to 16 become one-byte opcodes, which BIP34 wants as a push of one byte, and Core as the opcode itself;
        // Core compares with `CScript() << nHeight`, so the opcode it is.
        script.push(u8::try_from(MARK_SIZE).expect("nine"));
        script.extend_from_slice(&self.boot.to_be_bytes());
        script.extend_from_slice(&self.job.no.to_be_bytes());
        script.push(self.job.variant);
        script.push(u8::try_from(self.tag.len()).expect("a tag has at most 40 bytes"));
        script.extend_from_slice(&self.tag);
        script
    }
}

/// Everything after the extranonce: sequence, outputs, lock time.
#[must_use]
pub fn tail(outputs: &[Output]) -> Vec<u8> {
    let mut tail = Vec::with_capacity(
        16 + outputs.iter().map(|output| output.script.len() + 11).sum::<usize>(),
    );
    tail.extend_from_slice(&u32::MAX.to_le_bytes());
    push_compact_size(&mut tail, outputs.len());
    for output in outputs {
        tail.extend_from_slice(&output.value.to_le_bytes());
        push_compact_size(&mut tail, output.script.len());
        tail.extend_from_slice(&output.script);
    }
    tail.extend_from_slice(&0u32.to_le_bytes());
    tail
}

/// The whole coinbase with its witness (the reserved value of BIP141, 32 zero bytes), as it stands in a block.
#[must_use]
pub fn with_witness(without: &[u8]) -> Vec<u8> {
    let (version, rest) = without.split_at(4);
    let (body, lock_time) = rest.split_at(rest.len() - 4);
    let mut whole = Vec::with_capacity(without.len() + 36);
    whole.extend_from_slice(version);
    whole.extend_from_slice(&[0, 1]);
    whole.extend_from_slice(body);
    whole.extend_from_slice(&[1, 32]);
    whole.extend_from_slice(&[0; 32]);
    whole.extend_from_slice(lock_time);
    whole
}

/// Bitcoin's variable-length integer.
pub fn push_compact_size(out: &mut Vec<u8>, size: usize) {
    match size {
        0..=0xfc => out.push(size as u8),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend_from_slice(&(size as u16).to_le_bytes());
        }
        _ => {
            out.push(0xfe);
            out.extend_from_slice(&(size as u32).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::Transaction;
    use bitcoin::consensus::deserialize;

    fn input(height: u64) -> CoinbaseInput {
        CoinbaseInput {
            height,
            boot: 7,
            job: JobRef { no: 9, variant: 1 },
            tag: b"/Adit/".to_vec(),
            extranonce_size: 12,
        }
    }

    #[test]
    fn both_serialisations_are_the_same_transaction() {
        let outputs = [
            Output { value: 5_000_000_000, script: vec![0x51] },
            Output { value: 0, script: vec![0x6a; 300] },
        ];
        for height in [1, 16, 17, 127, 128, 32_767, 32_768, 840_000, 8_388_608] {
            let mut bytes = input(height).head();
            bytes.extend_from_slice(&[0xee; 12]);
            bytes.extend_from_slice(&tail(&outputs));
            let plain: Transaction = deserialize(&bytes).unwrap();
            let witnessed: Transaction = deserialize(&with_witness(&bytes)).unwrap();
            assert_eq!(plain.compute_txid(), witnessed.compute_txid());
            assert!(plain.is_coinbase());
            assert_eq!(plain.output.len(), 2);
            assert_eq!(plain.output[0].value.to_sat(), 5_000_000_000);
            assert_eq!(witnessed.input[0].witness.to_vec(), vec![vec![0u8; 32]]);
            let script = plain.input[0].script_sig.as_bytes();
            assert!(script.len() >= 2 && script.len() <= 100);
            let height_push = bitcoin::script::Builder::new().push_int(height as i64).into_bytes();
            assert!(script.starts_with(&height_push));
        }
    }

    #[test]
    fn every_job_and_variant_has_a_coinbase_of_its_own() {
        let mut heads = std::collections::HashSet::new();
        for boot in 0..3 {
            for no in 0..3 {
                for variant in 0..3 {
                    let job = JobRef { no, variant };
                    assert!(heads.insert(CoinbaseInput { boot, job, ..input(5) }.head()));
                }
            }
        }
    }

    #[test]
    fn the_longest_tag_fits_with_the_longest_extranonces() {
        let input = CoinbaseInput {
            tag: vec![b'x'; TAG_MAX],
            extranonce_size: 4 + 16,
            ..input(u64::from(u32::MAX))
        };
        assert!(!input.head().is_empty());
    }
}
