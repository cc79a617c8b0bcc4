//! Money of the devnet's own: for transactions that fill templates, and for tests that spend.
//!
//! Invariant: what it makes is really signed; nothing in a template is there by privilege.

use bitcoin::hashes::Hash;
use bitcoin::key::{CompressedPublicKey, Secp256k1};
use bitcoin::secp256k1::{Message, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute};

/// A key that owns some of the devnet's coins.
#[derive(Debug)]
pub struct Purse {
    secp: Secp256k1<bitcoin::secp256k1::All>,
    key: SecretKey,
    public: CompressedPublicKey,
    script: ScriptBuf,
}

impl Default for Purse {
    fn default() -> Self {
        Purse::new()
    }
}

impl Purse {
    /// Always the same key: the money is worth nothing.
    #[must_use]
    pub fn new() -> Self {
        Purse::of([0x42; 32])
    }

    /// The purse of another key.
    ///
    /// # Panics
    /// When the number is no key: zero, or beyond the group's order.
    #[must_use]
    pub fn of(key: [u8; 32]) -> Self {
        let secp = Secp256k1::new();
        let key = SecretKey::from_slice(&key).expect("a number below the group order");
        let public = CompressedPublicKey(key.public_key(&secp));
        let script = ScriptBuf::new_p2wpkh(&public.wpubkey_hash());
        Purse { secp, key, public, script }
    }

    /// What the coins must pay to be the purse's.
    #[must_use]
    pub fn script(&self) -> ScriptBuf {
        self.script.clone()
    }

    /// Divides a coinbase's first output into equal parts.
    #[must_use]
    pub fn fan_out(&self, coinbase: &Transaction, parts: usize) -> Transaction {
        let value = coinbase.output[0].value.to_sat();
        let each = (value - 100_000) / parts as u64;
        self.spend(coinbase, 0, vec![self.output(each); parts])
    }

    /// Spends one part to the purse itself, for an ordinary fee.
    #[must_use]
    pub fn pass_on(&self, fan: &Transaction, vout: usize) -> Transaction {
        let value = fan.output[vout].value.to_sat();
        self.spend(fan, vout, vec![self.output(value - 300)])
    }

    /// An output to the purse, in satoshi.
    #[must_use]
    pub fn output(&self, value: u64) -> TxOut {
        TxOut { value: Amount::from_sat(value), script_pubkey: self.script.clone() }
    }

    /// A signed transaction that spends one output of another; the fee is what the outputs leave.
    ///
    /// # Panics
    /// When there is no such output.
    #[must_use]
    pub fn spend(&self, from: &Transaction, vout: usize, output: Vec<TxOut>) -> Transaction {
        let previous_output =
            OutPoint::new(from.compute_txid(), u32::try_from(vout).expect("outputs are few"));
        let input = TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let mut tx = Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![input],
            output,
        };
        self.sign(&mut tx, 0, from.output[vout].value);
        tx
    }

    /// Signs an input that spends so much of the purse's money.
    ///
    /// # Panics
    /// When there is no such input.
    pub fn sign(&self, tx: &mut Transaction, at: usize, value: Amount) {
        let kind = EcdsaSighashType::All;
        let sighash = SighashCache::new(&*tx).p2wpkh_signature_hash(at, &self.script, value, kind);
        let message = Message::from_digest(sighash.expect("the input is there").to_byte_array());
        let signature = bitcoin::ecdsa::Signature {
            signature: self.secp.sign_ecdsa(&message, &self.key),
            sighash_type: kind,
        };
        tx.input[at].witness = Witness::p2wpkh(&signature, &self.public.0);
    }
}
