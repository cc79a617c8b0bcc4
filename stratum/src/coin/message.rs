//! Messages signed by the owner of an address: the old 65-byte signatures (with BIP137's headers), and BIP322's simple
//! ones for witness programs; `personal_sign`'s (EIP-191) where addresses are Ethereum's.
//!
//! Invariant: a signature is for one message and one script; whatever cannot be read is no signature.

use super::{Coin, Family};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::{Hash, HashEngine, sha256, sha256d};
use bitcoin::key::{Secp256k1, TapTweak};
use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::Builder;
use bitcoin::secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use bitcoin::secp256k1::{Message, XOnlyPublicKey};
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, CompressedPublicKey, EcdsaSighashType, OutPoint, PublicKey, ScriptBuf, Sequence,
    TapSighashType, Transaction, TxIn, TxOut, Witness,
};

/// Longest signature read, as text.
const TEXT_MAX: usize = 2048;

/// Why a message is not signed by whom it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// Neither of the forms.
    #[error("this is no signature in base64, as wallets give it for a signed message")]
    Unreadable,
    /// Not as wallets of Ethereum's kind write it.
    #[error("this is no signature of 65 bytes in hexadecimal, as personal_sign gives it")]
    NoHex,
    /// Of another message or by another key.
    #[error("the signature is not of this message by this address")]
    Wrong,
    /// A kind of address whose owner cannot sign messages here.
    #[error(
        "messages of this kind of address cannot be checked; use a P2PKH, P2SH-P2WPKH, P2WPKH or P2TR address"
    )]
    Unsupported,
}

/// Was this message signed by the owner of this script?
///
/// # Errors
/// See [`BadSignature`].
pub fn verify(
    coin: Coin,
    script: &[u8],
    message: &str,
    signature: &str,
) -> Result<(), BadSignature> {
    let text = signature.trim();
    if text.len() > TEXT_MAX {
        return Err(BadSignature::Unreadable);
    }
    if coin.family() == Family::Ethash {
        return personal(script, message, text);
    }
    let script = ScriptBuf::from_bytes(script.to_vec());
    let bytes = BASE64.decode(text).map_err(|_| BadSignature::Unreadable)?;
    match <[u8; 65]>::try_from(bytes.as_slice()) {
        // A witness of 65 bytes is a P2TR signature with its count before it.
        Ok(compact) if coin.family() == Family::Gxc || !script.is_p2tr() => {
            recoverable(coin, &script, message, &compact)
        }
        _ => simple(&script, message, &bytes),
    }
}

/// The recoverable form: the key follows from the signature, and the script from the key.
fn recoverable(
    coin: Coin,
    script: &ScriptBuf,
    message: &str,
    bytes: &[u8; 65],
) -> Result<(), BadSignature> {
    let header = bytes[0];
    // 27–30 uncompressed, 31–34 compressed, 35–38 P2SH-P2WPKH, 39–42 P2WPKH (BIP137); many wallets write 31–34 for all.
    let (27..=42) = header else { return Err(BadSignature::Unreadable) };
    let id =
        RecoveryId::from_i32(i32::from((header - 27) % 4)).map_err(|_| BadSignature::Unreadable)?;
    let signature = RecoverableSignature::from_compact(&bytes[1..], id);
    let signature = signature.map_err(|_| BadSignature::Unreadable)?;
    let digest = Message::from_digest(old_digest(coin, message));
    let secp = Secp256k1::verification_only();
    let key = secp.recover_ecdsa(&digest, &signature).map_err(|_| BadSignature::Wrong)?;
    let key = PublicKey { compressed: header >= 31, inner: key };
    let is_own = if coin.family() == Family::Gxc {
        let own = crate::gxc::address::of_key(&key.inner.serialize(), coin.network());
        script.as_bytes() == own.as_bytes()
    } else if script.is_p2pkh() {
        *script == ScriptBuf::new_p2pkh(&key.pubkey_hash())
    } else if let Ok(compressed) = CompressedPublicKey::try_from(key) {
        let witness = ScriptBuf::new_p2wpkh(&compressed.wpubkey_hash());
        match script {
            own if own.is_p2wpkh() => *own == witness,
            own if own.is_p2sh() => *own == witness.to_p2sh(),
            _ => return Err(BadSignature::Unsupported),
        }
    } else {
        false
    };
    if is_own { Ok(()) } else { Err(BadSignature::Wrong) }
}

/// `personal_sign` (EIP-191): the address follows from the key, and the key from the signature.
fn personal(address: &[u8], message: &str, text: &str) -> Result<(), BadSignature> {
    let mut bytes = Vec::with_capacity(65);
    crate::template::push_hex(&mut bytes, text.trim_start_matches("0x"))
        .ok_or(BadSignature::NoHex)?;
    let ([v], compact) = (bytes.get(64..).unwrap_or_default(), bytes.get(..64).unwrap_or_default())
    else {
        return Err(BadSignature::NoHex);
    };
    let id = v.checked_sub(27).unwrap_or(*v);
    let id = RecoveryId::from_i32(id.into()).map_err(|_| BadSignature::NoHex)?;
    let signature = RecoverableSignature::from_compact(compact, id);
    let signature = signature.map_err(|_| BadSignature::NoHex)?;
    let length = message.len();
    let words = format!("\x19Ethereum Signed Message:\n{length}{message}");
    let digest = Message::from_digest(pow::ethash::keccak256(words.as_bytes()));
    let key = Secp256k1::verification_only().recover_ecdsa(&digest, &signature);
    let key = key.map_err(|_| BadSignature::Wrong)?;
    match crate::ether::address::of_key(&key.serialize_uncompressed()) == *address {
        true => Ok(()),
        false => Err(BadSignature::Wrong),
    }
}

/// The digest of the old form: each coin has its own first words.
fn old_digest(coin: Coin, message: &str) -> [u8; 32] {
    // GXC's own wallets sign no messages: its key in any tool that does is Bitcoin's.
    let magic: &[u8] = match coin.family() {
        Family::Bitcoin | Family::Gxc | Family::Ethash => b"\x18Bitcoin Signed Message:\n",
        Family::Litecoin => b"\x19Litecoin Signed Message:\n",
    };
    let mut engine = sha256d::Hash::engine();
    engine.input(magic);
    engine.input(&bitcoin::consensus::serialize(&message.to_owned()));
    sha256d::Hash::from_engine(engine).to_byte_array()
}

/// BIP322's simple form: the witness of a virtual transaction that commits to the message.
fn simple(script: &ScriptBuf, message: &str, bytes: &[u8]) -> Result<(), BadSignature> {
    let witness: Witness = deserialize(bytes).map_err(|_| BadSignature::Unreadable)?;
    let (spent, spending) = virtual_pair(script, message);
    let output = &spent.output[0];
    let mut cache = SighashCache::new(&spending);
    let secp = Secp256k1::verification_only();
    let parts: Vec<&[u8]> = witness.iter().collect();
    if script.is_p2wpkh() {
        let [signature, key] = parts.as_slice() else { return Err(BadSignature::Unreadable) };
        let key = CompressedPublicKey::from_slice(key).map_err(|_| BadSignature::Unreadable)?;
        if *script != ScriptBuf::new_p2wpkh(&key.wpubkey_hash()) {
            return Err(BadSignature::Wrong);
        }
        let signature = bitcoin::ecdsa::Signature::from_slice(signature);
        let signature = signature.map_err(|_| BadSignature::Unreadable)?;
        if signature.sighash_type != EcdsaSighashType::All {
            return Err(BadSignature::Wrong);
        }
        let digest = cache.p2wpkh_signature_hash(0, script, Amount::ZERO, signature.sighash_type);
        let digest = Message::from(digest.map_err(|_| BadSignature::Wrong)?);
        let valid = secp.verify_ecdsa(&digest, &signature.signature, &key.0);
        return valid.map_err(|_| BadSignature::Wrong);
    }
    if script.is_p2tr() {
        let [signature] = parts.as_slice() else { return Err(BadSignature::Unreadable) };
        let key = XOnlyPublicKey::from_slice(&script.as_bytes()[2..]);
        let key = key.map_err(|_| BadSignature::Wrong)?.dangerous_assume_tweaked();
        let signature = bitcoin::taproot::Signature::from_slice(signature);
        let signature = signature.map_err(|_| BadSignature::Unreadable)?;
        if !matches!(signature.sighash_type, TapSighashType::Default | TapSighashType::All) {
            return Err(BadSignature::Wrong);
        }
        let prevouts = [output.clone()];
        let digest = cache.taproot_key_spend_signature_hash(
            0,
            &Prevouts::All(&prevouts),
            signature.sighash_type,
        );
        let digest = Message::from(digest.map_err(|_| BadSignature::Wrong)?);
        let valid = secp.verify_schnorr(&signature.signature, &digest, &key.to_x_only_public_key());
        return valid.map_err(|_| BadSignature::Wrong);
    }
    Err(BadSignature::Unsupported)
}

/// BIP322's two virtual transactions: one that pays the script and names the message, one that spends it.
fn virtual_pair(script: &ScriptBuf, message: &str) -> (Transaction, Transaction) {
    let tag = sha256::Hash::hash(b"BIP0322-signed-message");
    let mut engine = sha256::Hash::engine();
    engine.input(tag.as_byte_array());
    engine.input(tag.as_byte_array());
    engine.input(message.as_bytes());
    let digest = sha256::Hash::from_engine(engine).to_byte_array();
    let spent = Transaction {
        version: Version::non_standard(0),
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: Builder::new().push_int(0).push_slice(digest).into_script(),
            sequence: Sequence::ZERO,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::ZERO, script_pubkey: script.clone() }],
    };
    let spending = Transaction {
        version: Version::non_standard(0),
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid: spent.compute_txid(), vout: 0 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ZERO,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey: Builder::new().push_opcode(OP_RETURN).into_script(),
        }],
    };
    (spent, spending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coin::Network;
    use crate::coin::address::script_of;
    use bitcoin::key::Keypair;
    use bitcoin::secp256k1::SecretKey;

    fn bitcoin() -> Coin {
        Coin::new(Family::Bitcoin, Network::Main).unwrap()
    }

    /// BIP322, "Test vectors": message hashing and simple signatures of a P2WPKH address.
    #[test]
    fn the_vectors_of_bip322_verify() {
        let script = script_of("bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l", bitcoin()).unwrap();
        let vectors = [
            (
                "",
                "AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
            ),
            (
                "Hello World",
                "AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBCPMVPwVIVJqO4XCsMvViHI=",
            ),
        ];
        for (message, signature) in vectors {
            assert_eq!(
                verify(bitcoin(), script.as_bytes(), message, signature),
                Ok(()),
                "{message}"
            );
            let other = verify(bitcoin(), script.as_bytes(), "Hello", signature);
            assert_eq!(other, Err(BadSignature::Wrong));
        }
    }

    #[test]
    fn the_old_form_is_taken_for_the_addresses_of_its_key_and_no_other() {
        let secp = Secp256k1::new();
        let secret = SecretKey::from_slice(&[7; 32]).unwrap();
        let key = CompressedPublicKey(secret.public_key(&secp));
        let sign = |coin: Coin, header: u8| {
            let digest = Message::from_digest(old_digest(coin, "hello"));
            let (id, bytes) = secp.sign_ecdsa_recoverable(&digest, &secret).serialize_compact();
            let mut all = vec![header + u8::try_from(id.to_i32()).unwrap()];
            all.extend_from_slice(&bytes);
            BASE64.encode(all)
        };
        let witness = ScriptBuf::new_p2wpkh(&key.wpubkey_hash());
        let legacy = ScriptBuf::new_p2pkh(&key.pubkey_hash());
        let nested = witness.to_p2sh();
        for (script, header) in [(&legacy, 31), (&witness, 31), (&witness, 39), (&nested, 35)] {
            let signature = sign(bitcoin(), header);
            assert_eq!(verify(bitcoin(), script.as_bytes(), "hello", &signature), Ok(()));
            let other = verify(bitcoin(), script.as_bytes(), "hullo", &signature);
            assert_eq!(other, Err(BadSignature::Wrong));
        }
        let litecoin = Coin::new(Family::Litecoin, Network::Main).unwrap();
        let signature = sign(litecoin, 31);
        assert_eq!(verify(litecoin, legacy.as_bytes(), "hello", &signature), Ok(()));
        let other_coin = verify(bitcoin(), legacy.as_bytes(), "hello", &signature);
        assert_eq!(other_coin, Err(BadSignature::Wrong));
    }

    #[test]
    fn a_taproot_address_signs_by_bip322() {
        let secp = Secp256k1::new();
        let pair = Keypair::from_secret_key(&secp, &SecretKey::from_slice(&[9; 32]).unwrap());
        let tweaked = pair.tap_tweak(&secp, None);
        let (key, _) = tweaked.to_keypair().x_only_public_key();
        let script = ScriptBuf::new_p2tr_tweaked(key.dangerous_assume_tweaked());
        let (spent, spending) = virtual_pair(&script, "hello");
        let digest = SighashCache::new(&spending)
            .taproot_key_spend_signature_hash(
                0,
                &Prevouts::All(&spent.output),
                TapSighashType::Default,
            )
            .unwrap();
        let signed = secp.sign_schnorr_no_aux_rand(&Message::from(digest), &tweaked.to_keypair());
        let witness = Witness::from_slice(&[signed.as_ref().to_vec()]);
        let text = BASE64.encode(bitcoin::consensus::serialize(&witness));
        assert_eq!(verify(bitcoin(), script.as_bytes(), "hello", &text), Ok(()));
        let other = verify(bitcoin(), script.as_bytes(), "hullo", &text);
        assert_eq!(other, Err(BadSignature::Wrong));
        for nonsense in ["", "AAAA", "not base64 at all"] {
            assert!(verify(bitcoin(), script.as_bytes(), "hello", nonsense).is_err());
        }
    }

    #[test]
    fn an_address_of_ethereums_kind_signs_as_personal_sign_does() {
        let chain = Coin::new(Family::Ethash, crate::coin::Network::Chain(61)).unwrap();
        let secp = Secp256k1::new();
        let secret = SecretKey::from_slice(&[9; 32]).unwrap();
        let own = secret.public_key(&secp).serialize_uncompressed();
        let own = crate::ether::address::of_key(&own);
        let digest = pow::ethash::keccak256(b"\x19Ethereum Signed Message:\n5hello");
        let signed = secp.sign_ecdsa_recoverable(&Message::from_digest(digest), &secret);
        let (id, compact) = signed.serialize_compact();
        let hex = crate::template::to_hex(&compact);
        for v in [id.to_i32(), id.to_i32() + 27] {
            let text = format!("0x{hex}{v:02x}");
            assert_eq!(verify(chain, &own, "hello", &text), Ok(()));
            assert_eq!(verify(chain, &own, "hullo", &text), Err(BadSignature::Wrong));
            assert_eq!(verify(chain, &[1; 20], "hello", &text), Err(BadSignature::Wrong));
        }
        for nonsense in ["", "0x", "AAAA", &format!("0x{hex}"), &format!("0x{hex}0000")] {
            assert_eq!(verify(chain, &own, "hello", nonsense), Err(BadSignature::NoHex));
        }
    }
}
