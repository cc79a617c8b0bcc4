//! The numbers that name things, each its own type so that none is taken for another.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// One kind of money: a chain's coin. Balances of different assets never meet.
    AssetId(u16)
}
number! {
    /// One pot: asset, kind of work, scheme and fee policy. Every share has exactly one.
    PoolId(u32)
}
number! {
    /// Whom money is owed to. Opaque; identities map to it.
    AccountId(u64)
}
number! {
    /// One machine or program of an account, by the name it gave itself.
    WorkerId(u64)
}
number! {
    /// Position in the log of facts, given by the one writer: the only order there is.
    ShareSeq(u64)
}
number! {
    /// Number of a closed slice within its pool, from 1.
    SliceNo(u64)
}
number! {
    /// Names a pay-per-share rate by its content; 0 is "no rate".
    RateId(u64)
}
number! {
    /// Number of a payout transaction (in all its versions).
    PayoutId(u64)
}
number! {
    /// Milliseconds since 1970, for people and time-outs; never an ordering key.
    UnixMs(u64)
}

/// A reward is named by the 32-byte hash of the block that carries it, or of the transaction that does (in the byte order in which
/// SHA-256 gives it).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RewardId(pub [u8; 32]);

impl fmt::Display for RewardId {
    /// As block explorers print block hashes: reversed, hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RewardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for RewardId {
    type Err = BadRewardId;

    fn from_str(text: &str) -> Result<Self, BadRewardId> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(BadRewardId);
        }
        let mut hash = [0u8; 32];
        for (byte, pair) in hash.iter_mut().rev().zip(pairs) {
            let digits = std::str::from_utf8(pair).map_err(|_| BadRewardId)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| BadRewardId)?;
        }
        Ok(RewardId(hash))
    }
}

impl Serialize for RewardId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RewardId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that is not a block hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a block hash has 64 hexadecimal digits")]
pub struct BadRewardId;

impl ShareSeq {
    /// The position after this one.
    #[must_use]
    pub fn next(self) -> ShareSeq {
        ShareSeq(self.0.checked_add(1).expect("2^64 log positions are never reached"))
    }
}

impl SliceNo {
    /// The slice after this one.
    #[must_use]
    pub fn next(self) -> SliceNo {
        SliceNo(self.0.checked_add(1).expect("2^64 slices are never reached"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reward_id_prints_like_an_explorer_and_reads_back() {
        let id = RewardId(std::array::from_fn(|i| u8::try_from(i).unwrap()));
        let text = id.to_string();
        assert!(text.starts_with("1f1e1d") && text.ends_with("020100"));
        assert_eq!(text.parse::<RewardId>(), Ok(id));
        assert_eq!(serde_json::to_value(id).unwrap(), text.as_str());
        assert_eq!(serde_json::from_value::<RewardId>(text.as_str().into()).unwrap(), id);
        for bad in [
            "",
            "00",
            &text[1..],
            &format!("{text}0"),
            &text.replace('0', "x"),
            &text.replacen('1', "+", 1),
        ] {
            let parsed = bad.parse::<RewardId>();
            assert!(parsed.is_err() || bad.starts_with('+'), "{bad}: {parsed:?}");
        }
    }
}
