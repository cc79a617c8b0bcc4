//! A block template as the node gave it (BIP22, BIP23, BIP145), read into what jobs are made of.
//!
//! Invariant: read once, checked against itself, never changed. Rules marked `!` that we do not know make it unusable
//! (BIP9), because a block made without knowing them could be invalid.

use crate::dag;
use crate::ether::work::Work;
use crate::gxc::offer::Offer;
use covenant::Enforced;
use covenant::enforcement::NotEnforced;
use pow::{Target, sha256d};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;

/// Rules we know how to build blocks under, besides those without `!`.
const KNOWN_RULES: [&str; 5] = ["segwit", "mweb", "taproot", "csv", "signet"];
/// Most transactions in a template: far beyond what fits a block.
const TRANSACTIONS_MAX: usize = 200_000;

/// What a block can be built from.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Height of the block to build.
    pub height: u64,
    /// Hash of its parent, in the byte order in which SHA-256 gives it.
    pub prev_hash: [u8; 32],
    /// Version, with the bits that the node wants.
    pub version: u32,
    /// Version bits that a miner must not roll: the node requires them.
    pub required_version: u32,
    /// The network's target in compact form.
    pub bits: u32,
    /// The network's target.
    pub target: Target,
    /// Earliest header time.
    pub min_time: u32,
    /// The node's time.
    pub cur_time: u32,
    /// What the coinbase may pay: subsidy and fees.
    pub coinbase_value: u64,
    /// What of it are fees, as far as the template says.
    pub fees: u64,
    /// The transactions after the coinbase, serialised one after the other.
    pub transactions: Vec<u8>,
    /// Where each of them ends.
    pub transaction_ends: Vec<u32>,
    /// Hashes beside the coinbase's way to the merkle root.
    pub branches: Vec<[u8; 32]>,
    /// The commitment output's script, where segwit is active.
    pub witness_commitment: Option<Vec<u8>>,
    /// Litecoin's extension block, appended to the block.
    pub mweb: Option<Vec<u8>>,
    /// What to ask with for the next one.
    pub long_poll_id: Option<String>,
    /// Built from the tip's header alone, while the full template was not there yet.
    pub coinbase_only: bool,
    /// What a GXC node is handed instead of bytes.
    pub gxc: Option<Arc<Offer>>,
    /// Its node's word on whether BIP-119 is enforced there; asked for where blocks pay trees.
    pub enforced: Result<Enforced, NotEnforced>,
    /// What its epoch of Ethash is verified by.
    pub ethash: Option<dag::Kept>,
    /// The header itself, where a node makes it and gives everybody the same.
    pub work: Option<Arc<Work>>,
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// Not the JSON of a template.
    #[error("the template cannot be read: {0}")]
    Unreadable(String),
    /// A rule that must be known and is not.
    #[error(
        "the node builds under the rule \"{0}\", which this program does not know; blocks could be invalid"
    )]
    UnknownRule(String),
    /// A field contradicts another.
    #[error("the template contradicts itself: {0}")]
    Contradiction(&'static str),
}

#[derive(Deserialize)]
struct Raw<'a> {
    version: i64,
    #[serde(default, borrow)]
    rules: Vec<Cow<'a, str>>,
    #[serde(default)]
    vbrequired: u32,
    #[serde(borrow)]
    previousblockhash: Cow<'a, str>,
    #[serde(borrow)]
    transactions: Vec<RawTransaction<'a>>,
    coinbasevalue: u64,
    #[serde(default, borrow)]
    longpollid: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    target: Option<Cow<'a, str>>,
    #[serde(default)]
    mintime: Option<u32>,
    curtime: u32,
    #[serde(borrow)]
    bits: Cow<'a, str>,
    height: u64,
    #[serde(default, borrow)]
    default_witness_commitment: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    mweb: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawTransaction<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(default, borrow)]
    txid: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    hash: Option<Cow<'a, str>>,
    #[serde(default)]
    fee: Option<i64>,
}

impl Template {
    /// A block without transactions upon this parent, that claims nothing and asks for nothing: what every kind of node's work is
    /// filled in from.
    #[must_use]
    pub fn empty(height: u64, prev_hash: [u8; 32], bits: u32, target: Target, now_s: u32) -> Self {
        Template {
            height,
            prev_hash,
            version: 0,
            required_version: 0,
            bits,
            target,
            min_time: now_s,
            cur_time: now_s,
            coinbase_value: 0,
            fees: 0,
            transactions: Vec::new(),
            transaction_ends: Vec::new(),
            branches: Vec::new(),
            witness_commitment: None,
            mweb: None,
            long_poll_id: None,
            coinbase_only: false,
            gxc: None,
            enforced: Err(NotEnforced::Unknown),
            ethash: None,
            work: None,
        }
    }

    /// Reads the `result` of `getblocktemplate`.
    ///
    /// # Errors
    /// See [`BadTemplate`].
    pub fn read(json: &str) -> Result<Self, BadTemplate> {
        let raw: Raw<'_> =
            serde_json::from_str(json).map_err(|e| BadTemplate::Unreadable(e.to_string()))?;
        let forced = raw.rules.iter().filter_map(|rule| rule.strip_prefix('!'));
        if let Some(unknown) = forced.into_iter().find(|rule| !KNOWN_RULES.contains(rule)) {
            return Err(BadTemplate::UnknownRule(unknown.to_owned()));
        }
        if raw.transactions.len() > TRANSACTIONS_MAX {
            return Err(BadTemplate::Contradiction("more transactions than fit any block"));
        }
        let bits = u32::from_str_radix(&raw.bits, 16)
            .map_err(|_| BadTemplate::Contradiction("bits are not hex"))?;
        let target = Target::from_compact(bits)
            .map_err(|_| BadTemplate::Contradiction("bits are no target"))?;
        if raw.target.as_deref().is_some_and(|text| !is_target(text, target)) {
            return Err(BadTemplate::Contradiction("target and bits differ"));
        }
        // A node says whether segwit is active by its rules; some give a commitment before it is, which blocks must not
        // carry.
        let segwit = raw.rules.iter().any(|rule| rule.trim_start_matches('!') == "segwit");
        let commitment = raw.default_witness_commitment.as_deref().filter(|_| segwit);
        let Transactions { bytes: transactions, ends, leaves, fees } =
            read_transactions(&raw.transactions)?;
        let parent = hash_from_hex(&raw.previousblockhash)
            .ok_or(BadTemplate::Contradiction("bad parent hash"))?;
        Ok(Template {
            version: (raw.version & 0xffff_ffff) as u32,
            required_version: raw.vbrequired,
            min_time: raw.mintime.unwrap_or(raw.curtime),
            coinbase_value: raw.coinbasevalue,
            fees,
            transactions,
            transaction_ends: ends,
            branches: branches(&leaves),
            witness_commitment: commitment
                .map(|text| bytes_from_hex(text, "bad commitment"))
                .transpose()?,
            mweb: raw.mweb.as_deref().map(|text| bytes_from_hex(text, "bad mweb")).transpose()?,
            long_poll_id: raw.longpollid.map(Cow::into_owned),
            ..Template::empty(raw.height, parent, bits, target, raw.curtime)
        })
    }
}

#[derive(Default)]
struct Transactions {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    leaves: Vec<[u8; 32]>,
    fees: u64,
}

/// All transactions in one buffer, where each ends, their ids in hash order, and their fees.
fn read_transactions(raw: &[RawTransaction<'_>]) -> Result<Transactions, BadTemplate> {
    let mut all = Transactions::default();
    all.bytes.reserve(raw.iter().map(|tx| tx.data.len() / 2).sum());
    for tx in raw {
        push_hex(&mut all.bytes, &tx.data)
            .ok_or(BadTemplate::Contradiction("a transaction is not hex"))?;
        let end = u32::try_from(all.bytes.len())
            .map_err(|_| BadTemplate::Contradiction("more bytes than fit a block"))?;
        all.ends.push(end);
        let id = tx.txid.as_deref().or(tx.hash.as_deref()).and_then(hash_from_hex);
        all.leaves.push(id.ok_or(BadTemplate::Contradiction("a transaction has no id"))?);
        all.fees = all.fees.saturating_add(tx.fee.unwrap_or(0).max(0).unsigned_abs());
    }
    Ok(all)
}

/// The hashes that lead from the coinbase (the first leaf, unknown yet) to the root.
#[must_use]
pub fn branches(leaves_after_coinbase: &[[u8; 32]]) -> Vec<[u8; 32]> {
    let mut branches = Vec::new();
    // `level` is a level of the tree without its first node, which depends on the coinbase.
    let mut level = leaves_after_coinbase.to_vec();
    while !level.is_empty() {
        branches.push(level[0]);
        let rest = &level[1..];
        level = rest
            .chunks(2)
            .map(|pair| sha256d::merkle_parent(&pair[0], pair.get(1).unwrap_or(&pair[0])))
            .collect();
    }
    branches
}

fn is_target(text: &str, target: Target) -> bool {
    hash_from_hex(text).is_some_and(|bytes| target.value().to_le_bytes::<32>() == bytes)
}

/// 64 hex digits as explorers print hashes, to the byte order in which SHA-256 gives them.
#[must_use]
pub fn hash_from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = Vec::with_capacity(32);
    push_hex(&mut bytes, text)?;
    bytes.reverse();
    bytes.try_into().ok()
}

fn bytes_from_hex(text: &str, what: &'static str) -> Result<Vec<u8>, BadTemplate> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    push_hex(&mut bytes, text).ok_or(BadTemplate::Contradiction(what))?;
    Ok(bytes)
}

/// Appends the bytes of a hex text; `None` (and an unspecified tail) when it is not one.
#[must_use]
pub fn push_hex(out: &mut Vec<u8>, text: &str) -> Option<()> {
    /// Value of each hex digit; 0xff for everything else.
    const VALUES: [u8; 256] = {
        let mut values = [0xff; 256];
        let mut digit = 0;
        while digit < 16 {
            values[b"0123456789abcdef"[digit as usize] as usize] = digit;
            values[b"0123456789ABCDEF"[digit as usize] as usize] = digit;
            digit += 1;
        }
        values
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut invalid = !rest.is_empty();
    out.extend(pairs.iter().map(|[high, low]| {
        let (high, low) = (VALUES[usize::from(*high)], VALUES[usize::from(*low)]);
        invalid |= (high | low) > 0x0f;
        high << 4 | (low & 0x0f)
    }));
    if invalid { None } else { Some(()) }
}

/// Appends bytes as lower-case hex.
pub fn push_as_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
    }
}

/// Bytes as lower-case hex.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    push_as_hex(&mut text, bytes);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The root over all leaves, the plain way.
    fn root(mut level: Vec<[u8; 32]>) -> [u8; 32] {
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|p| sha256d::merkle_parent(&p[0], p.get(1).unwrap_or(&p[0])))
                .collect();
        }
        level[0]
    }

    #[test]
    fn branches_lead_to_the_root_for_any_number_of_transactions() {
        for count in 0..70usize {
            let leaves: Vec<[u8; 32]> =
                (0..count).map(|n| sha256d::sha256d(&n.to_le_bytes())).collect();
            let coinbase = [0xcb; 32];
            let by_branches = branches(&leaves)
                .iter()
                .fold(coinbase, |node, branch| sha256d::merkle_parent(&node, branch));
            assert_eq!(by_branches, root([vec![coinbase], leaves].concat()), "{count}");
        }
        assert_eq!(branches(&vec![[1; 32]; 3000]).len(), 12);
    }

    fn json(extra: &str) -> String {
        format!(
            r#"{{"version":536870912,"previousblockhash":"{prev}","transactions":[],"coinbasevalue":5000000000,
            "curtime":1700000000,"mintime":1699999000,"bits":"207fffff","height":7{extra}}}"#,
            prev = "00".repeat(31) + "01"
        )
    }

    #[test]
    fn a_minimal_template_reads() {
        let t = Template::read(&json("")).unwrap();
        assert_eq!((t.height, t.coinbase_value, t.min_time), (7, 5_000_000_000, 1_699_999_000));
        assert_eq!(t.prev_hash[0], 1);
        assert_eq!(t.witness_commitment, None);
    }

    #[test]
    fn a_commitment_counts_only_where_segwit_is_active() {
        let with = r#","default_witness_commitment":"6a24aa21a9ed","rules":["csv","!segwit"]"#;
        assert!(Template::read(&json(with)).unwrap().witness_commitment.is_some());
        let before = r#","default_witness_commitment":"6a24aa21a9ed","rules":[]"#;
        assert_eq!(Template::read(&json(before)).unwrap().witness_commitment, None);
    }

    #[test]
    fn unknown_forced_rules_and_contradictions_are_refused() {
        let unknown = Template::read(&json(r#","rules":["!segwit","!reduced_data"]"#));
        assert_eq!(unknown, Err(BadTemplate::UnknownRule("reduced_data".into())));
        assert!(
            Template::read(&json(r#","rules":["ctv"]"#)).is_ok(),
            "an optional rule may be unknown"
        );
        let lie = format!(r#","target":"{}""#, "00".repeat(32));
        assert!(matches!(Template::read(&json(&lie)), Err(BadTemplate::Contradiction(_))));
        let honest = format!(r#","target":"7fffff{}""#, "00".repeat(29));
        assert!(Template::read(&json(&honest)).is_ok());
        assert!(Template::read("{}").is_err());
        let bad_tx = json("").replace("[]", r#"[{"data":"0g","txid":"00"}]"#);
        assert!(matches!(Template::read(&bad_tx), Err(BadTemplate::Contradiction(_))));
    }

    #[test]
    fn hex_reads_and_prints() {
        let mut bytes = Vec::new();
        assert_eq!(push_hex(&mut bytes, "00fFa5"), Some(()));
        assert_eq!(bytes, [0, 0xff, 0xa5]);
        assert_eq!(to_hex(&bytes), "00ffa5");
        for bad in ["0", "0g", "é0"] {
            assert_eq!(push_hex(&mut Vec::new(), bad), None, "{bad}");
        }
    }
}
