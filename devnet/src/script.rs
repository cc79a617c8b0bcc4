//! Is a spend signed by who may spend it? The kinds that pool wallets make, and no others.
//!
//! Invariant: a spend whose script this file does not know is refused, never waved through.

use crate::chain::Coin;
use crate::check::{Reason, refuse};
use bitcoin::hashes::Hash;
use bitcoin::key::TapTweak;
use bitcoin::secp256k1::{Message, Secp256k1, VerifyOnly, XOnlyPublicKey};
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::{OutPoint, Script, ScriptBuf, Transaction, TxOut, ecdsa, taproot};
use std::sync::LazyLock;

static SECP: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// What a bad signature is called, as Core prefixes every script failure.
pub const SCRIPT_FAILED: &str = "mandatory-script-verify-flag-failed";
/// A script of a kind that is not judged here.
pub const UNKNOWN_SCRIPT: &str = "devnet-cannot-judge-script";

/// Checks every input of a transaction against the outputs it spends, in order.
///
/// # Errors
/// [`SCRIPT_FAILED`] or [`UNKNOWN_SCRIPT`].
pub fn check_spends(tx: &Transaction, spent: &[TxOut]) -> Result<(), Reason> {
    let mut cache = SighashCache::new(tx);
    (0..tx.input.len()).try_for_each(|at| check_spend(&mut cache, tx, spent, at))
}

/// What a transaction adds to the block's cost of signature operations (BIP141), given the coins it spends.
#[must_use]
pub fn operations_cost(tx: &Transaction, spent: &[(OutPoint, Coin)]) -> usize {
    let output = |outpoint: &OutPoint| {
        spent.iter().find(|(own, _)| own == outpoint).map(|(_, coin)| coin.output.clone())
    };
    tx.total_sigop_cost(output)
}

fn check_spend(
    cache: &mut SighashCache<&Transaction>,
    tx: &Transaction,
    spent: &[TxOut],
    at: usize,
) -> Result<(), Reason> {
    let script = &spent[at].script_pubkey;
    let input = &tx.input[at];
    if script.is_p2wpkh() {
        return segwit_v0(cache, spent, at, script);
    }
    if script.is_p2tr() {
        return taproot_key(cache, spent, at, script);
    }
    if script.is_p2pkh() {
        return legacy(cache, tx, at, script);
    }
    if script.is_p2sh() {
        let pushed: Vec<&[u8]> = pushes(&input.script_sig).unwrap_or_default();
        let [redeem] = pushed.as_slice() else { return refuse(UNKNOWN_SCRIPT) };
        let redeem = ScriptBuf::from_bytes(redeem.to_vec());
        if redeem.is_p2wpkh() && redeem.to_p2sh() == *script {
            return segwit_v0(cache, spent, at, &redeem);
        }
    }
    refuse(UNKNOWN_SCRIPT)
}

fn segwit_v0(
    cache: &mut SighashCache<&Transaction>,
    spent: &[TxOut],
    at: usize,
    program: &Script,
) -> Result<(), Reason> {
    let witness = cache.transaction().input[at].witness.to_vec();
    let [signature, key] = witness.as_slice() else { return refuse(SCRIPT_FAILED) };
    let signature =
        ecdsa::Signature::from_slice(signature).map_err(|_| Reason::new(SCRIPT_FAILED))?;
    let sighash = cache
        .p2wpkh_signature_hash(at, program, spent[at].value, signature.sighash_type)
        .map_err(|_| Reason::new(SCRIPT_FAILED))?;
    let key = bitcoin::PublicKey::from_slice(key).map_err(|_| Reason::new(SCRIPT_FAILED))?;
    let owner = key.wpubkey_hash().map_err(|_| Reason::new(SCRIPT_FAILED))?;
    if ScriptBuf::new_p2wpkh(&owner).as_script() != program {
        return refuse(SCRIPT_FAILED);
    }
    let message = Message::from_digest(sighash.to_byte_array());
    SECP.verify_ecdsa(&message, &signature.signature, &key.inner)
        .map_err(|_| Reason::new(SCRIPT_FAILED))
}

fn legacy(
    cache: &SighashCache<&Transaction>,
    tx: &Transaction,
    at: usize,
    script: &Script,
) -> Result<(), Reason> {
    let pushed = pushes(&tx.input[at].script_sig).ok_or(Reason::new(SCRIPT_FAILED))?;
    let [signature, key] = pushed.as_slice() else { return refuse(SCRIPT_FAILED) };
    let signature =
        ecdsa::Signature::from_slice(signature).map_err(|_| Reason::new(SCRIPT_FAILED))?;
    let kind: EcdsaSighashType = signature.sighash_type;
    let sighash = cache
        .legacy_signature_hash(at, script, kind.to_u32())
        .map_err(|_| Reason::new(SCRIPT_FAILED))?;
    let key = bitcoin::PublicKey::from_slice(key).map_err(|_| Reason::new(SCRIPT_FAILED))?;
    if ScriptBuf::new_p2pkh(&key.pubkey_hash()).as_script() != script {
        return refuse(SCRIPT_FAILED);
    }
    let message = Message::from_digest(sighash.to_byte_array());
    SECP.verify_ecdsa(&message, &signature.signature, &key.inner)
        .map_err(|_| Reason::new(SCRIPT_FAILED))
}

fn taproot_key(
    cache: &mut SighashCache<&Transaction>,
    spent: &[TxOut],
    at: usize,
    script: &Script,
) -> Result<(), Reason> {
    let witness = cache.transaction().input[at].witness.to_vec();
    let [signature] = witness.as_slice() else { return refuse(UNKNOWN_SCRIPT) };
    let signature =
        taproot::Signature::from_slice(signature).map_err(|_| Reason::new(SCRIPT_FAILED))?;
    let kind: TapSighashType = signature.sighash_type;
    let prevouts = Prevouts::All(spent);
    let sighash = cache
        .taproot_key_spend_signature_hash(at, &prevouts, kind)
        .map_err(|_| Reason::new(SCRIPT_FAILED))?;
    let key = XOnlyPublicKey::from_slice(&script.as_bytes()[2..34])
        .map_err(|_| Reason::new(SCRIPT_FAILED))?;
    let key = key.dangerous_assume_tweaked().to_x_only_public_key();
    let message = Message::from_digest(sighash.to_byte_array());
    SECP.verify_schnorr(&signature.signature, &message, &key)
        .map_err(|_| Reason::new(SCRIPT_FAILED))
}

/// The pushes of a script that only pushes.
fn pushes(script: &Script) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    for instruction in script.instructions() {
        let Ok(bitcoin::script::Instruction::PushBytes(bytes)) = instruction else { return None };
        found.push(bytes.as_bytes());
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::absolute::LockTime;
    use bitcoin::key::Keypair;
    use bitcoin::script::Builder;
    use bitcoin::secp256k1::{All, SecretKey};
    use bitcoin::{Amount, CompressedPublicKey, PublicKey, Sequence, TxIn, Witness};

    struct Owner {
        secp: Secp256k1<All>,
        secret: SecretKey,
        public: PublicKey,
    }

    impl Owner {
        fn new() -> Self {
            let secp = Secp256k1::new();
            let secret = SecretKey::from_slice(&[7; 32]).unwrap();
            let public = PublicKey::new(secret.public_key(&secp));
            Owner { secp, secret, public }
        }

        fn ecdsa(&self, sighash: [u8; 32]) -> Vec<u8> {
            let signature = self.secp.sign_ecdsa(&Message::from_digest(sighash), &self.secret);
            ecdsa::Signature { signature, sighash_type: EcdsaSighashType::All }.to_vec()
        }

        fn wpkh(&self) -> ScriptBuf {
            ScriptBuf::new_p2wpkh(&CompressedPublicKey(self.public.inner).wpubkey_hash())
        }

        /// One input, signed for the kind of script it spends.
        fn spend(&self, script: &Script) -> (Transaction, Vec<TxOut>) {
            let spent =
                vec![TxOut { value: Amount::from_sat(5000), script_pubkey: script.to_owned() }];
            let input = TxIn { sequence: Sequence::MAX, ..TxIn::default() };
            let output = vec![TxOut { value: Amount::from_sat(4000), script_pubkey: self.wpkh() }];
            let version = bitcoin::transaction::Version::TWO;
            let mut tx =
                Transaction { version, lock_time: LockTime::ZERO, input: vec![input], output };
            let mut cache = SighashCache::new(tx.clone());
            let kind = EcdsaSighashType::All;
            if script.is_p2pkh() {
                let hash = cache.legacy_signature_hash(0, script, kind.to_u32()).unwrap();
                let signature =
                    bitcoin::script::PushBytesBuf::try_from(self.ecdsa(hash.to_byte_array()))
                        .unwrap();
                tx.input[0].script_sig =
                    Builder::new().push_slice(signature).push_key(&self.public).into_script();
            } else if script.is_p2tr() {
                let all = Prevouts::All(&spent);
                let hash = cache
                    .taproot_key_spend_signature_hash(0, &all, TapSighashType::Default)
                    .unwrap();
                let pair =
                    Keypair::from_secret_key(&self.secp, &self.secret).tap_tweak(&self.secp, None);
                let message = Message::from_digest(hash.to_byte_array());
                let signature = self.secp.sign_schnorr_no_aux_rand(&message, &pair.to_keypair());
                let signature =
                    taproot::Signature { signature, sighash_type: TapSighashType::Default };
                tx.input[0].witness = Witness::p2tr_key_spend(&signature);
            } else {
                let hash =
                    cache.p2wpkh_signature_hash(0, &self.wpkh(), spent[0].value, kind).unwrap();
                let signature = self.ecdsa(hash.to_byte_array());
                tx.input[0].witness = Witness::from_slice(&[signature, self.public.to_bytes()]);
                if script.is_p2sh() {
                    let redeem =
                        bitcoin::script::PushBytesBuf::try_from(self.wpkh().to_bytes()).unwrap();
                    tx.input[0].script_sig = Builder::new().push_slice(redeem).into_script();
                }
            }
            (tx, spent)
        }
    }

    #[test]
    fn a_signature_of_the_owner_opens_each_kind_and_of_anything_else_none() {
        let owner = Owner::new();
        let (internal, _) = owner.public.inner.x_only_public_key();
        let kinds = [
            ScriptBuf::new_p2pkh(&owner.public.pubkey_hash()),
            owner.wpkh(),
            owner.wpkh().to_p2sh(),
            ScriptBuf::new_p2tr(&owner.secp, internal, None),
        ];
        for script in kinds {
            let (tx, spent) = owner.spend(&script);
            assert_eq!(check_spends(&tx, &spent), Ok(()), "{script}");
            let mut changed = tx.clone();
            changed.output[0].value += Amount::ONE_SAT;
            assert_eq!(check_spends(&changed, &spent), refuse(SCRIPT_FAILED), "{script}");
            let mut unsigned = tx.clone();
            unsigned.input[0].witness = Witness::new();
            unsigned.input[0].script_sig = ScriptBuf::new();
            assert!(check_spends(&unsigned, &spent).is_err(), "{script}");
        }
    }

    #[test]
    fn a_kind_that_is_not_known_is_refused() {
        let owner = Owner::new();
        let (tx, _) = owner.spend(&owner.wpkh());
        let anyone = vec![TxOut {
            value: Amount::ONE_SAT,
            script_pubkey: ScriptBuf::from_bytes(vec![0x51]),
        }];
        assert_eq!(check_spends(&tx, &anyone), refuse(UNKNOWN_SCRIPT));
    }
}
