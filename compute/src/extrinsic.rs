//! A withdrawal as a signed extrinsic of a Substrate chain: bytes for the operator to submit. The pool sends nothing itself.
//!
//! What the chain is like (its genesis, its versions, which number a call has) is said by the operator, who reads it from the chain: a
//! runtime upgrade may change all of it, and an extrinsic for another runtime is refused by the chain, not misread. It never expires, but
//! its nonce is used once: two extrinsics of one nonce cannot both count. Invariant: the payload that is signed is made here and
//! nowhere else.

use crate::key::{PublicKey, Signature, SigningKey};
use accounting::Amount;
use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};

/// The fourth version of extrinsics, signed.
const VERSION: u8 = 0x84;
/// `MultiAddress::Id`
const BY_ID: u8 = 0;
/// `MultiSignature::Sr25519`
const SR25519: u8 = 1;
/// Payloads longer than this are hashed before they are signed.
const SIGNED_MAX: usize = 256;

/// The chain, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// The hash of its first block: `chain_getBlockHash(0)`.
    pub genesis: [u8; 32],
    /// `state_getRuntimeVersion`: `specVersion`.
    pub spec_version: u32,
    /// `state_getRuntimeVersion`: `transactionVersion`.
    pub transaction_version: u32,
}

/// What is done, with the numbers of its pallet and call in the chain's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `Balances.transfer_keep_alive`: TAO from one coldkey to another.
    Transfer {
        /// Pallet and call.
        index: [u8; 2],
        /// The coldkey that is paid.
        to: PublicKey,
        /// RAO.
        amount: u64,
    },
    /// `SubtensorModule.transfer_stake`: alpha that stays staked with its hotkey.
    TransferStake {
        /// Pallet and call.
        index: [u8; 2],
        /// The coldkey that is paid.
        to: PublicKey,
        /// With whom it is staked.
        hotkey: PublicKey,
        /// The subnet.
        netuid: u16,
        /// Alpha's smallest unit.
        amount: u64,
    },
}

/// An extrinsic that lacks its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    signer: PublicKey,
    extra: Vec<u8>,
    call: Vec<u8>,
    payload: Vec<u8>,
}

/// A signature of something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not {0}'s signature of this payload")]
pub struct WrongSignature(PublicKey);

/// RAO of an amount, if it fits the chain.
#[must_use]
pub fn rao(amount: Amount) -> Option<u64> {
    u64::try_from(amount.units()).ok()
}

/// A number as SCALE's compact form has it: small ones in a byte.
fn compact(number: u64, into: &mut Vec<u8>) {
    let tagged = |tag: u64, bytes: usize| {
        (number << 2 | tag).to_le_bytes().into_iter().take(bytes).collect::<Vec<u8>>()
    };
    match number {
        0..0x40 => into.extend(tagged(0, 1)),
        0x40..0x4000 => into.extend(tagged(1, 2)),
        0x4000..0x4000_0000 => into.extend(tagged(2, 4)),
        _ => {
            let bytes = number.to_le_bytes();
            let length = bytes.len() - number.leading_zeros() as usize / 8;
            let over_four = u8::try_from(length - 4).expect("four to eight bytes");
            into.push(over_four << 2 | 3);
            into.extend_from_slice(&bytes[..length]);
        }
    }
}

impl Call {
    fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Call::Transfer { index, to, amount } => {
                bytes.extend_from_slice(index);
                bytes.push(BY_ID);
                bytes.extend_from_slice(to.bytes());
                compact(*amount, &mut bytes);
            }
            Call::TransferStake { index, to, hotkey, netuid, amount } => {
                bytes.extend_from_slice(index);
                bytes.extend_from_slice(to.bytes());
                bytes.extend_from_slice(hotkey.bytes());
                bytes.extend_from_slice(&netuid.to_le_bytes());
                bytes.extend_from_slice(&netuid.to_le_bytes());
                bytes.extend_from_slice(&amount.to_le_bytes());
            }
        }
        bytes
    }
}

impl Unsigned {
    /// An extrinsic of a signer, whose number of extrinsics so far is the nonce.
    #[must_use]
    pub fn new(chain: &Chain, call: &Call, signer: PublicKey, nonce: u32, tip: u64) -> Self {
        // Immortal; the nonce; the tip; no hash of the metadata.
        let mut extra = vec![0];
        compact(nonce.into(), &mut extra);
        compact(tip, &mut extra);
        extra.push(0);
        let call = call.encoded();
        let payload = [
            &*call,
            &extra,
            &chain.spec_version.to_le_bytes(),
            &chain.transaction_version.to_le_bytes(),
            &chain.genesis,
            // An immortal one was made at the first block.
            &chain.genesis,
            &[0],
        ]
        .concat();
        Unsigned { signer, extra, call, payload }
    }

    /// What is signed, wherever the key is.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        if self.payload.len() > SIGNED_MAX {
            hash(&self.payload).to_vec()
        } else {
            self.payload.clone()
        }
    }

    /// Signed by a key that is here.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        self.assembled(&key.sign(&self.payload()))
    }

    /// Signed elsewhere.
    ///
    /// # Errors
    /// When the signature is not the signer's, or of something else.
    pub fn with(&self, signature: &Signature) -> Result<Vec<u8>, WrongSignature> {
        match self.signer.signed(&self.payload(), signature) {
            true => Ok(self.assembled(signature)),
            false => Err(WrongSignature(self.signer)),
        }
    }

    fn assembled(&self, signature: &Signature) -> Vec<u8> {
        let mut body = vec![VERSION, BY_ID];
        body.extend_from_slice(self.signer.bytes());
        body.push(SR25519);
        body.extend_from_slice(signature.bytes());
        body.extend_from_slice(&self.extra);
        body.extend_from_slice(&self.call);
        let mut whole = Vec::with_capacity(body.len() + 2);
        compact(body.len() as u64, &mut whole);
        whole.extend_from_slice(&body);
        whole
    }
}

/// The hash of an extrinsic, by which the chain's explorers know it: what `adit payouts sent` is told.
#[must_use]
pub fn hash(extrinsic: &[u8]) -> [u8; 32] {
    Blake2b::<U32>::digest(extrinsic).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_numbers_are_those_of_the_standard() {
        // SCALE's own examples, and its bounds.
        let cases: [(u64, &[u8]); 9] = [
            (0, &[0x00]),
            (1, &[0x04]),
            (42, &[0xa8]),
            (69, &[0x15, 0x01]),
            (65_535, &[0xfe, 0xff, 0x03, 0x00]),
            (100_000_000_000_000, &[0x0b, 0x00, 0x40, 0x7a, 0x10, 0xf3, 0x5a]),
            (0x3fff_ffff, &[0xfe, 0xff, 0xff, 0xff]),
            (0x4000_0000, &[0x03, 0x00, 0x00, 0x00, 0x40]),
            (u64::MAX, &[0x13, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ];
        for (number, bytes) in cases {
            let mut written = Vec::new();
            compact(number, &mut written);
            assert_eq!(written, bytes, "{number}");
        }
    }

    #[test]
    fn a_signature_made_elsewhere_must_be_the_signers_over_this() {
        let (key, other) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let chain = Chain { genesis: [7; 32], spec_version: 300, transaction_version: 1 };
        let to = other.public();
        let call = Call::Transfer { index: [5, 3], to, amount: 5_000_000 };
        let unsigned = Unsigned::new(&chain, &call, key.public(), 0, 0);
        let signature = key.sign(&unsigned.payload());
        assert!(unsigned.with(&signature).is_ok());
        assert!(unsigned.with(&other.sign(&unsigned.payload())).is_err());
        let next = Unsigned::new(&chain, &call, key.public(), 1, 0);
        assert!(next.with(&signature).is_err(), "another nonce is another extrinsic");
    }
}
