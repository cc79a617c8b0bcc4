//! Payouts that an operator sends: the pool has no node of this chain, so it writes down who gets what, and the operator says what
//! became of it.
//!
//! A payout waits until its operator names the transaction that pays it, and is over when the operator says that it was confirmed,
//! or that it failed. What was said is a note in the books, given with an order like every other act.
//!
//! Invariant: nothing is paid or given back because nobody said anything; what was said first about a payout stands.

use accounting::payout::{Fate, PayoutVersion};
use accounting::reward::Sighting;
use accounting::{Amount, AssetId, PayoutId, RewardId, UnixMs};
use pool::books::Books;
use pool::door::Answer;
use pool::treasury::{Holdings, PayoutOrder, Signing, Treasury, TreasuryError};
use pool::{Clock, Pool, Refused};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whose notes the operators' words are.
const NOTES: &str = "external";
/// How many are kept: of those whose payout is over, the oldest go first. A transaction that paid one of the payouts that are
/// remembered cannot be named for another.
const NOTES_MAX: usize = 20_000;

/// The treasury of an asset whose coins the pool does not see.
pub struct External {
    pool: Pool,
    asset: AssetId,
    clock: Arc<dyn Clock>,
}

/// What an operator says of a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It is paid by this transaction.
    Sent([u8; 32]),
    /// That transaction is final.
    Confirmed,
    /// That transaction failed, or will never be: the debts are owed again.
    Failed,
}

/// The hash of a transaction as it is shown: 64 hexadecimal digits, with or without `0x`.
///
/// # Errors
/// What it should look like.
pub fn read_hash(text: &str) -> Result<[u8; 32], String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let wrong = || format!("\"{text}\" is no transaction hash of 64 hexadecimal digits");
    if digits.len() != 64 || !digits.is_ascii() {
        return Err(wrong());
    }
    let mut hash = [0; 32];
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        let pair = digits.get(at..at + 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}

/// Notes what an operator says of a payout.
///
/// # Errors
/// When it does not fit what is known of it.
pub fn say(books: &mut Books, asset: AssetId, id: PayoutId, word: Word) -> Answer<()> {
    let rule = |text: String| Err(Refused::Rule(text));
    let Some(open) = books.open_payouts(asset).into_iter().find(|open| open.payout.id == id) else {
        return rule(format!("no open payout {id} of this asset is known"));
    };
    let said = books.notes_of(NOTES);
    let (sent, ended) = (said.get(&key("sent", id)), end_of(&said, id));
    let (name, value) = match word {
        Word::Sent(_) if books.approvals_missing(id) > 0 => {
            return rule(format!("payout {id} is not approved yet: `adit payouts approve {id}`"));
        }
        Word::Sent(_) if books.hold_on_payout(id).is_some() => {
            return rule(format!("payout {id} is held: do not send it"));
        }
        Word::Sent(hash) if is_of_another(&said, id, hash) => {
            return rule("another payout was paid by this transaction: one pays one".into());
        }
        Word::Sent(hash) if sent.is_none_or(|known| *known == hash) => ("sent", hash.to_vec()),
        Word::Sent(_) => {
            return rule(format!(
                "payout {id} was sent already by another transaction: if that one can never be, say `failed` of it"
            ));
        }
        Word::Confirmed | Word::Failed if sent.is_none() => {
            return rule(format!(
                "payout {id} ({}) was not sent: name its transaction first with `adit payouts sent`, or cancel it",
                open.payout.state.as_str()
            ));
        }
        Word::Confirmed | Word::Failed if ended.is_some_and(|known| known != word) => {
            return rule(format!("of payout {id} the opposite was said already"));
        }
        Word::Confirmed => ("confirmed", Vec::new()),
        Word::Failed => ("failed", Vec::new()),
    };
    books.note(NOTES, key(name, id), Some(value));
    let open: BTreeSet<PayoutId> =
        books.open_payouts(asset).into_iter().map(|open| open.payout.id).collect();
    for old in forgotten(&books.notes_of(NOTES), &open) {
        books.note(NOTES, old, None);
    }
    Ok(())
}

/// Notes of the oldest payouts that are over, as far as there are too many: the payout itself has its transaction.
fn forgotten(said: &BTreeMap<String, Vec<u8>>, open: &BTreeSet<PayoutId>) -> Vec<String> {
    let number = |name: &String| name.split_once('/')?.1.parse().ok().map(PayoutId);
    let mut over: Vec<(PayoutId, &String)> = said
        .keys()
        .filter_map(|name| Some((number(name)?, name)))
        .filter(|(id, _)| !open.contains(id) && end_of(said, *id).is_some())
        .collect();
    over.sort_unstable();
    let surplus = said.len().saturating_sub(NOTES_MAX);
    over.into_iter().take(surplus).map(|(_, name)| name.clone()).collect()
}

/// Nobody has said that this payout is sent.
///
/// # Errors
/// When somebody has: then only its end can be told.
pub fn may_be_cancelled(books: &Books, id: PayoutId) -> Answer<()> {
    match books.notes_of(NOTES).contains_key(&key("sent", id)) {
        false => Ok(()),
        true => Err(Refused::Rule(format!(
            "payout {id} was sent: say `confirmed` or `failed` of it instead"
        ))),
    }
}

fn key(what: &str, id: PayoutId) -> String {
    format!("{what}/{id}")
}

fn is_of_another(said: &BTreeMap<String, Vec<u8>>, id: PayoutId, hash: [u8; 32]) -> bool {
    let own = key("sent", id);
    said.iter().any(|(name, value)| name.starts_with("sent/") && *name != own && *value == hash)
}

fn end_of(said: &BTreeMap<String, Vec<u8>>, id: PayoutId) -> Option<Word> {
    let ends = [("confirmed", Word::Confirmed), ("failed", Word::Failed)];
    ends.into_iter().find(|(name, _)| said.contains_key(&key(name, id))).map(|(_, word)| word)
}

impl External {
    /// For an asset of this ledger.
    #[must_use]
    pub fn new(pool: Pool, asset: AssetId, clock: Arc<dyn Clock>) -> Self {
        External { pool, asset, clock }
    }

    /// The transaction that an operator named.
    async fn sent(&self, id: PayoutId) -> Result<Option<[u8; 32]>, TreasuryError> {
        let noted = self
            .pool
            .order(move |books, _, _| Ok(books.notes_of(NOTES).get(&key("sent", id)).cloned()))
            .await
            .map_err(unreachable)?;
        Ok(noted.and_then(|hash| hash.try_into().ok()))
    }
}

fn unreachable(refused: Refused) -> TreasuryError {
    TreasuryError::Unreachable(refused.to_string())
}

impl Treasury for External {
    /// What the books say there must be: nobody else can tell the pool.
    async fn refresh(&mut self) -> Result<Holdings, TreasuryError> {
        let asset = self.asset;
        let held = self.pool.order(move |books, _, _| Ok(books.wallet(asset))).await;
        let spendable = held.map_err(unreachable)?;
        Ok(Holdings { spendable, ..Holdings::default() })
    }

    /// An epoch is over for good when it is closed.
    async fn sightings(&mut self, blocks: &[(RewardId, u64)]) -> Vec<Sighting> {
        vec![Sighting::InChain(u32::MAX); blocks.len()]
    }

    /// Who sends pays the network, outside of these books.
    async fn estimate_fee(&mut self, _outputs: usize) -> Result<Amount, TreasuryError> {
        Ok(Amount::ZERO)
    }

    async fn sign(&mut self, order: &PayoutOrder) -> Result<Signing, TreasuryError> {
        let Some(txid) = self.sent(PayoutId(order.id)).await? else { return Ok(Signing::Waiting) };
        let signed_at: UnixMs = self.clock.now();
        // One transaction a payout: its own number stands for the coins that only it spends.
        let mut coin = [0; 32];
        coin[..8].copy_from_slice(&order.id.to_be_bytes());
        let version = PayoutVersion {
            txid,
            raw: Vec::new(),
            fee: order.fee,
            inputs: vec![(coin, 0)],
            signed_at,
        };
        Ok(Signing::Signed(version))
    }

    /// The operator has sent it.
    async fn broadcast(&mut self, _version: &PayoutVersion) -> Result<(), TreasuryError> {
        Ok(())
    }

    async fn fate(&mut self, versions: &[PayoutVersion]) -> Fate {
        let Some(version) = versions.first() else { return Fate::Unknown };
        let Some((coin, _)) = version.inputs.first() else { return Fate::Unknown };
        let number = coin.iter().take(8).fold(0, |id: u64, byte| id << 8 | u64::from(*byte));
        let id = PayoutId(number);
        let said = self.pool.order(move |books, _, _| Ok(end_of(&books.notes_of(NOTES), id))).await;
        match said {
            Ok(Some(Word::Confirmed)) => Fate::InChain { version: 0, confirmations: u32::MAX },
            Ok(Some(Word::Failed)) => Fate::Impossible { confirmations: u32::MAX },
            // On its way, as far as anybody said.
            Ok(_) => Fate::InMempool,
            Err(_) => Fate::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_notes_those_of_the_oldest_payouts_that_are_over_go() {
        let note = |id: u64| [(format!("sent/{id}"), vec![1]), (format!("confirmed/{id}"), vec![])];
        let said: BTreeMap<_, _> = (1..=NOTES_MAX as u64 / 2 + 2).flat_map(note).collect();
        let open = [PayoutId(1)].into();
        let gone = forgotten(&said, &open);
        let expected = ["confirmed/2", "sent/2", "confirmed/3", "sent/3"];
        assert_eq!(gone, expected, "the first is not over yet");
        let few: BTreeMap<_, _> = (1..=3).flat_map(note).collect();
        assert!(forgotten(&few, &open).is_empty());
    }

    #[test]
    fn a_hash_is_read_as_it_is_shown_and_nothing_else() {
        let shown = "0x".to_owned() + &"ab".repeat(32);
        assert_eq!(read_hash(&shown), Ok([0xab; 32]));
        assert_eq!(read_hash(&"AB".repeat(32)), Ok([0xab; 32]));
        for wrong in ["", "0x", "abc", &"zz".repeat(32), &"ab".repeat(33), &"é".repeat(32)] {
            assert!(read_hash(wrong).is_err(), "{wrong}");
        }
    }
}
