//! BIP-119's hash of a transaction, and the script that only such a transaction can spend.
//!
//! Invariant: byte for byte the BIP's `DefaultCheckTemplateVerifyHash`; checked against its 400 vectors and against another
//! implementation (`tests/vectors.rs`).

use bitcoin::{Script, ScriptBuf, Transaction, TxOut};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::LazyLock;

/// `OP_CHECKTEMPLATEVERIFY`, which was `OP_NOP4`.
pub const OP_CHECKTEMPLATEVERIFY: u8 = 0xb3;
/// Bytes of the bare script: a push of 32 bytes and the opcode.
pub const SCRIPT_SIZE: usize = 34;
/// The sequence of every input in a payout tree: final enough for lock times, and open to replacement.
pub const SEQUENCE: u32 = 0xffff_fffd;
/// The version of every transaction in a payout tree.
pub const VERSION: i32 = 2;

/// The hash that a transaction must have at one input to spend an output.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateHash(pub [u8; 32]);

impl fmt::Debug for TemplateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TemplateHash {
    /// In the order in which it stands in scripts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl TemplateHash {
    /// The hash of a transaction at one of its inputs. An index beyond the inputs has a hash too, which nothing can spend.
    #[must_use]
    pub fn of(transaction: &Transaction, input: u32) -> Self {
        let mut sequences = Sha256::new();
        for input in &transaction.input {
            sequences.update(input.sequence.to_consensus_u32().to_le_bytes());
        }
        let mut outputs = Outputs::default();
        for output in &transaction.output {
            outputs.push(output.value.to_sat(), output.script_pubkey.as_bytes());
        }
        hash(&Parts {
            version: transaction.version.0,
            lock_time: transaction.lock_time.to_consensus_u32(),
            script_sigs: script_sigs(transaction),
            inputs: count(transaction.input.len()),
            sequences: sequences.finalize().into(),
            outputs: count(transaction.output.len()),
            outputs_hash: outputs.finish(),
            input,
        })
    }

    /// The output script that only a transaction with this hash can spend, where BIP-119 is enforced. Elsewhere anybody can.
    #[must_use]
    pub fn script(&self) -> ScriptBuf {
        ScriptBuf::from_bytes(self.script_bytes().to_vec())
    }

    /// The same, where it is only hashed.
    #[must_use]
    pub fn script_bytes(&self) -> [u8; SCRIPT_SIZE] {
        let mut bytes = [0; SCRIPT_SIZE];
        let (head, rest) = bytes.split_at_mut(1);
        let (hash, tail) = rest.split_at_mut(32);
        head.copy_from_slice(&[32]);
        hash.copy_from_slice(&self.0);
        tail.copy_from_slice(&[OP_CHECKTEMPLATEVERIFY]);
        bytes
    }

    /// The hash in such a script.
    #[must_use]
    pub fn from_script(script: &Script) -> Option<Self> {
        match script.as_bytes() {
            [32, hash @ .., OP_CHECKTEMPLATEVERIFY] => hash.try_into().ok().map(TemplateHash),
            _ => None,
        }
    }
}

/// Builds the template of a transaction with one input and an empty scriptSig, output by output: every transaction of a payout
/// tree is such.
#[derive(Default)]
pub(crate) struct OneInput {
    outputs: Outputs,
    count: u32,
}

impl OneInput {
    /// The next output.
    pub(crate) fn push(&mut self, value: u64, script: &[u8]) {
        self.outputs.push(value, script);
        self.count += 1;
    }

    /// The template of what was pushed.
    pub(crate) fn finish(self, lock_time: u32) -> TemplateHash {
        static SEQUENCES: LazyLock<[u8; 32]> =
            LazyLock::new(|| Sha256::digest(SEQUENCE.to_le_bytes()).into());
        hash(&Parts {
            version: VERSION,
            lock_time,
            script_sigs: None,
            inputs: 1,
            sequences: *SEQUENCES,
            outputs: self.count,
            outputs_hash: self.outputs.finish(),
            input: 0,
        })
    }
}

/// A payment to one output that cannot be made before a height: a template whose lock time is that height.
#[must_use]
pub fn locked_until(height: u32, output: &TxOut) -> TemplateHash {
    let mut template = OneInput::default();
    template.push(output.value.to_sat(), output.script_pubkey.as_bytes());
    template.finish(height)
}

struct Parts {
    version: i32,
    lock_time: u32,
    script_sigs: Option<[u8; 32]>,
    inputs: u32,
    sequences: [u8; 32],
    outputs: u32,
    outputs_hash: [u8; 32],
    input: u32,
}

fn hash(parts: &Parts) -> TemplateHash {
    let mut hasher = Sha256::new();
    hasher.update(parts.version.to_le_bytes());
    hasher.update(parts.lock_time.to_le_bytes());
    if let Some(script_sigs) = parts.script_sigs {
        hasher.update(script_sigs);
    }
    hasher.update(parts.inputs.to_le_bytes());
    hasher.update(parts.sequences);
    hasher.update(parts.outputs.to_le_bytes());
    hasher.update(parts.outputs_hash);
    hasher.update(parts.input.to_le_bytes());
    TemplateHash(hasher.finalize().into())
}

/// Outputs as they are serialised, hashed as they come.
#[derive(Default)]
struct Outputs(Sha256);

impl Outputs {
    fn push(&mut self, value: u64, script: &[u8]) {
        self.0.update(value.to_le_bytes());
        push_with_size(&mut self.0, script);
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The hash of all scriptSigs; none where all are empty, as the BIP has it.
fn script_sigs(transaction: &Transaction) -> Option<[u8; 32]> {
    if transaction.input.iter().all(|input| input.script_sig.is_empty()) {
        return None;
    }
    let mut hasher = Sha256::new();
    for input in &transaction.input {
        push_with_size(&mut hasher, input.script_sig.as_bytes());
    }
    Some(hasher.finalize().into())
}

/// Bitcoin's variable-length integer, then the bytes.
fn push_with_size(hasher: &mut Sha256, bytes: &[u8]) {
    let [a, b, c, d, ..] = bytes.len().to_le_bytes();
    match bytes.len() {
        0..=0xfc => hasher.update([a]),
        0xfd..=0xffff => hasher.update([0xfd, a, b]),
        _ => hasher.update([0xfe, a, b, c, d]),
    }
    hasher.update(bytes);
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("a transaction has fewer than 2^32 inputs and outputs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::Amount;

    #[test]
    fn the_script_is_34_bytes_and_gives_its_hash_back() {
        let hash = TemplateHash([7; 32]);
        let script = hash.script();
        assert_eq!(script.len(), SCRIPT_SIZE);
        assert_eq!(TemplateHash::from_script(&script), Some(hash));
        for bytes in
            [&[][..], &[0x51], &script.as_bytes()[1..], &[script.as_bytes(), &[0]].concat()]
        {
            assert_eq!(TemplateHash::from_script(Script::from_bytes(bytes)), None);
        }
    }

    #[test]
    fn a_payment_locked_to_another_height_has_another_hash() {
        let output = TxOut { value: Amount::from_sat(1000), script_pubkey: ScriptBuf::new() };
        assert_ne!(locked_until(1, &output), locked_until(2, &output));
    }
}
