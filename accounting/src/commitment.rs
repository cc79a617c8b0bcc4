//! Blocks that pay miners themselves: the split is decided when the work is handed out, and stands in the coinbase.
//!
//! Invariant: a commitment is a fact of the chain, so it is never computed again by who made it: the log keeps the window and the
//! split as they were handed out, and an auditor recomputes both. Each account is paid its part by the block or credited it, never
//! both.

use crate::Amount;
use crate::id::{AccountId, ShareSeq};
use crate::split::{Split, SplitRow};
use crate::window::WindowTable;
use serde::{Deserialize, Serialize};

/// What a block's work committed to when it was handed out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Commitment {
    /// The log position then: revocations up to here counted.
    pub as_of: ShareSeq,
    /// The window then, ending with the last slice that was closed.
    pub window: WindowTable,
    /// What was divided by it: everything but what the tree takes.
    pub split: Split,
    /// What of it the block pays itself.
    pub by_block: ByBlock,
}

/// Which parts of a split the block pays itself; the others are credited, from what it pays the pool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ByBlock {
    /// Who is paid, ascending by account: each their part of the split, to the unit.
    pub paid: Vec<PaidByBlock>,
    /// How, where not by an output of the coinbase for each.
    pub tree: Option<PaidByTree>,
}

/// By whom an account gets its part of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaidBy {
    /// The pool, which owes it.
    Pool,
    /// An output of the block's coinbase.
    Output,
    /// A tree that an output of the coinbase pays.
    Tree,
}

/// An account that a block pays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PaidByBlock {
    /// Who.
    pub account: AccountId,
    /// Their output script, in hexadecimal digits.
    #[serde(with = "hex_bytes")]
    pub script: Vec<u8>,
}

/// One output of the coinbase that a tree of transactions hands on to everybody (BIP-119).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PaidByTree {
    /// How payees become a tree, as the crate `covenant` writes it. The payees are those of [`ByBlock::paid`], in that order.
    pub rule: String,
    /// What the tree's own transactions give to whoever mines them, anchors included: taken off before the split.
    pub cost: Amount,
    /// The coinbase's id, in the byte order in which SHA-256 gives it; its first output pays the tree.
    #[serde(with = "hex_32")]
    pub coinbase: [u8; 32],
}

impl Commitment {
    /// What the coinbase pays to miners, the tree's own cost left out.
    #[must_use]
    pub fn to_miners(&self) -> Amount {
        self.by_block.payments(&self.split).map(|(_, row)| row.net).sum()
    }

    /// What the coinbase pays to the pool: its fee, and whatever is credited.
    #[must_use]
    pub fn to_pool(&self) -> Amount {
        self.split.amount.sub(self.to_miners())
    }
}

impl ByBlock {
    /// Is this account paid by the block?
    #[must_use]
    pub fn pays(&self, account: AccountId) -> bool {
        self.paid.binary_search_by_key(&account, |paid| paid.account).is_ok()
    }

    /// Who is paid by the block, each with their row of the split.
    pub fn payments<'a>(
        &'a self,
        split: &'a Split,
    ) -> impl Iterator<Item = (&'a PaidByBlock, &'a SplitRow)> {
        let mut rows = split.rows.iter();
        self.paid.iter().filter_map(move |paid| {
            let row = rows.find(|row| row.account == paid.account)?;
            Some((paid, row))
        })
    }

    /// Is everybody who is paid named once, in order, and in the split?
    #[must_use]
    pub fn is_sound(&self, split: &Split) -> bool {
        self.paid.is_sorted_by(|a, b| a.account < b.account)
            && self.payments(split).count() == self.paid.len()
    }
}

pub(crate) mod hex_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        to.serialize_str(&text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        read(&text).ok_or_else(|| serde::de::Error::custom("these are no hexadecimal digits"))
    }

    fn read(text: &str) -> Option<Vec<u8>> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        let byte = |pair: &[u8; 2]| {
            let text = std::str::from_utf8(pair).ok().filter(|text| !text.starts_with('+'))?;
            u8::from_str_radix(text, 16).ok()
        };
        pairs.iter().map(byte).collect()
    }
}

mod hex_32 {
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        super::hex_bytes::serialize(bytes, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let bytes = super::hex_bytes::deserialize(from)?;
        bytes.try_into().map_err(|_| serde::de::Error::custom("a hash has 64 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fee::BasisPoints;
    use crate::id::SliceNo;
    use crate::split::split;

    fn commitment(paid: &[u64]) -> Commitment {
        let rows = vec![(AccountId(1), 6), (AccountId(2), 3), (AccountId(3), 1)];
        let fee = BasisPoints::new(100).unwrap();
        Commitment {
            as_of: ShareSeq(9),
            split: split(Amount::from_units(1000), &rows, |_| fee),
            window: WindowTable {
                from: SliceNo(1),
                through: SliceNo(2),
                oldest_part: (1, 1),
                rows,
            },
            by_block: ByBlock {
                paid: paid
                    .iter()
                    .map(|account| PaidByBlock { account: AccountId(*account), script: vec![0x51] })
                    .collect(),
                tree: None,
            },
        }
    }

    #[test]
    fn what_is_not_paid_by_the_block_is_in_the_pools_output() {
        let some = commitment(&[1, 3]);
        assert_eq!(some.to_miners().units(), 594 + 99);
        assert_eq!(some.to_pool().units(), 10 + 297, "the fee, and what is credited");
        assert_eq!(commitment(&[]).to_pool().units(), 1000);
        assert!(some.by_block.pays(AccountId(3)) && !some.by_block.pays(AccountId(2)));
    }

    #[test]
    fn a_payment_to_nobody_in_the_split_or_to_somebody_twice_is_unsound() {
        for (paid, sound) in
            [(&[1, 3][..], true), (&[], true), (&[3, 1], false), (&[1, 1], false), (&[4], false)]
        {
            let commitment = commitment(paid);
            assert_eq!(commitment.by_block.is_sound(&commitment.split), sound, "{paid:?}");
        }
    }

    #[test]
    fn it_reads_back_from_what_the_log_keeps() {
        let mut kept = commitment(&[1, 3]);
        // A window's weights are 128 bits wide, and hashes of years are more than 64.
        kept.window.rows[0].1 = u128::MAX;
        kept.window.oldest_part = (u128::MAX - 1, u128::MAX);
        kept.by_block.tree = Some(PaidByTree {
            rule: "{}".into(),
            cost: Amount::from_units(7),
            coinbase: [0xab; 32],
        });
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Commitment>(&text).unwrap(), kept);
        assert!(serde_json::from_str::<Commitment>(&text.replace("\"51\"", "\"5g\"")).is_err());
    }
}
