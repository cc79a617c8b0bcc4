//! Blocks of a pool that is a member of a coordination-free one: what their coinbases pay by its rule.
//!
//! Who is paid follows from the blocks before; the pool is the finder, and whatever the rule gives the finder at once is the pool's
//! income. Invariant: the outputs are `covenant`'s for the very block that the template is of, or there are none; nothing is made
//! from a template whose node did not say that its chain enforces BIP-119.

use crate::coinbase::Output;
use crate::template::Template;
use accounting::Amount;
use accounting::membership::MemberBlock;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Script};
use covenant::Rule;
use covenant::chain::Upcoming;
use std::sync::Arc;
use tokio::sync::watch;

/// A rule that a pool follows, and what its reader knows of the next block.
#[derive(Debug, Clone)]
pub struct Following {
    /// The rule.
    pub rule: Rule,
    /// The block after the last one that was read; none before one was.
    pub upcoming: watch::Receiver<Option<Arc<Upcoming>>>,
}

/// What a coinbase pays by a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// All of it: to other members, to the pool, and the marker that names the pool.
    pub outputs: Vec<Output>,
    /// What of it is the pool's at once.
    pub to_pool: Amount,
    /// What the ledger keeps with the block.
    pub member: MemberBlock,
}

/// Why there is no work by the rule now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unplanned {
    /// The chain.
    #[error(transparent)]
    NotEnforced(#[from] covenant::enforcement::NotEnforced),
    /// The reader.
    #[error(
        "the coordination-free pool's blocks are read up to another block than the work builds on: a coinbase by an older state would not qualify"
    )]
    Behind,
    /// The pool's own script.
    #[error(transparent)]
    Coinbase(#[from] covenant::coinbase::CoinbaseError),
}

impl Following {
    /// Waits until the reader is ready for this block, or ends.
    pub async fn ready_for(&self, template: &Template) {
        let mut upcoming = self.upcoming.clone();
        let is_ready = |known: &Option<Arc<Upcoming>>| {
            known.as_ref().is_some_and(|known| is_of(known, template))
        };
        if upcoming.wait_for(is_ready).await.is_err() {
            tracing::debug!("the reader of a coordination-free pool's blocks has ended");
        }
    }

    /// What a block made from this template pays; none before the rule's first block, which pays the pool alone.
    ///
    /// # Errors
    /// See [`Unplanned`].
    pub fn plan(&self, template: &Template, script: &[u8]) -> Result<Option<Planned>, Unplanned> {
        let enforced = template.enforced?;
        if template.height < u64::from(self.rule.start) {
            return Ok(None);
        }
        let upcoming = self.upcoming.borrow().clone();
        let upcoming =
            upcoming.filter(|upcoming| is_of(upcoming, template)).ok_or(Unplanned::Behind)?;
        let own = Script::from_bytes(script);
        let value = template.coinbase_value;
        let coinbase = upcoming.coinbase(&enforced, value, own)?;
        let to_pool: u64 = coinbase
            .outputs
            .iter()
            .filter(|output| *output.script_pubkey == *own)
            .map(|output| output.value.to_sat())
            .sum();
        let outputs = coinbase.outputs.into_iter().map(|output| Output {
            value: output.value.to_sat(),
            script: output.script_pubkey.into_bytes(),
        });
        Ok(Some(Planned {
            outputs: outputs.collect(),
            to_pool: Amount::from_units(to_pool.into()),
            member: MemberBlock {
                rule: serde_json::to_string(&self.rule).expect("numbers and names are JSON"),
                script: script.to_vec(),
                elsewhere: Amount::from_units(value.saturating_sub(to_pool).into()),
            },
        }))
    }

    /// For miners, as a sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        format!(
            "Blocks are shared with other pools and miners by the coordination-free rule {} (BIP-119), and what those pay for a block \
             later is its miners' too",
            self.rule.id()
        )
    }
}

fn is_of(upcoming: &Upcoming, template: &Template) -> bool {
    let parent = BlockHash::from_byte_array(template.prev_hash);
    upcoming.previous == parent && u64::from(upcoming.height) == template.height
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::job::tests::template;
    use bitcoin::{CompactTarget, ScriptBuf};
    use covenant::rule::{Bootstrap, Halving, Small, Weights};
    use covenant::shape::Shape;
    use covenant::tree::FeeRule;
    use covenant::window::LookBack;
    use covenant::{Block, Chain, Enforced, TreeRule, Verdict};

    fn rule() -> Rule {
        Rule {
            start: 699,
            window: LookBack::Last { blocks: 4 },
            weights: Weights::Sats,
            share_permille: 1000,
            bootstrap: Bootstrap::Finder,
            halving: Halving::Ignore,
            floor: 1000,
            small: Small::Others,
            tree: TreeRule {
                shape: Shape::Flat,
                fee: FeeRule { per_transaction: 400, per_vbyte: 0 },
                anchor: None,
            },
        }
    }

    pub(crate) fn script(miner: u8) -> ScriptBuf {
        ScriptBuf::from_bytes([&[0, 20][..], &[miner; 20]].concat())
    }

    fn enforced() -> Enforced {
        Enforced::by([("ctv", true)]).unwrap()
    }

    /// A chain up to the template's parent, which somebody else found by the rule.
    fn chain(template: &Template) -> Chain {
        let mut chain = Chain::new(rule());
        let mut previous = BlockHash::all_zeros();
        while u64::from(chain.next_height()) < template.height {
            let height = chain.next_height();
            let is_last = u64::from(height) + 1 == template.height;
            let hash = match is_last {
                true => BlockHash::from_byte_array(template.prev_hash),
                false => BlockHash::from_byte_array([u8::try_from(height % 251).unwrap(); 32]),
            };
            let outputs = match is_last {
                true => chain.coinbase(&enforced(), 5_000_000_000, &script(9)).unwrap().outputs,
                false => Vec::new(),
            };
            let bits = CompactTarget::from_consensus(0x1d00_ffff);
            let block =
                Block { height, hash, previous, time: height * 600, bits, outputs: &outputs };
            chain.connect(&block).unwrap();
            previous = hash;
        }
        chain
    }

    /// Follows a chain that ends before this template's block.
    pub(crate) fn following(template: &Template) -> (Following, Chain) {
        let chain = chain(template);
        let (_, upcoming) = watch::channel(chain.upcoming().map(Arc::new));
        (Following { rule: rule(), upcoming }, chain)
    }

    fn ready() -> Template {
        Template { enforced: Ok(enforced()), ..template() }
    }

    #[test]
    fn what_is_planned_qualifies_and_the_pools_part_is_what_it_is_paid_at_once() {
        let template = ready();
        let (following, mut chain) = following(&template);
        let planned = following.plan(&template, script(1).as_bytes()).unwrap().unwrap();
        // One of four slots is filled: a quarter is the other's, the rest the finder's.
        assert_eq!(planned.to_pool.units(), 3_750_000_000);
        assert_eq!(planned.member.elsewhere.units(), 1_250_000_000);
        let outputs: Vec<bitcoin::TxOut> = planned
            .outputs
            .iter()
            .map(|output| bitcoin::TxOut {
                value: bitcoin::Amount::from_sat(output.value),
                script_pubkey: ScriptBuf::from_bytes(output.script.clone()),
            })
            .collect();
        let block = Block {
            height: 700,
            hash: BlockHash::all_zeros(),
            previous: BlockHash::from_byte_array(template.prev_hash),
            time: 420_000,
            bits: CompactTarget::from_consensus(0x1d00_ffff),
            outputs: &outputs,
        };
        let Verdict::Qualified(found) = chain.connect(&block).unwrap() else {
            panic!("it qualifies");
        };
        assert_eq!(found.finder, script(1));
    }

    #[test]
    fn nothing_is_planned_by_an_older_state_or_without_a_nodes_word() {
        let template = ready();
        let (following, _) = following(&template);
        let own = script(1);
        for other in
            [Template { prev_hash: [7; 32], ..ready() }, Template { height: 701, ..ready() }]
        {
            assert_eq!(following.plan(&other, own.as_bytes()), Err(Unplanned::Behind));
        }
        let without = Template { enforced: Enforced::by([]), ..ready() };
        let refused = following.plan(&without, own.as_bytes());
        assert!(matches!(refused, Err(Unplanned::NotEnforced(_))), "{refused:?}");
        let early = Template { height: 698, ..ready() };
        assert_eq!(following.plan(&early, own.as_bytes()), Ok(None), "the rule begins later");
        assert!(matches!(following.plan(&template, &[0x51]), Err(Unplanned::Coinbase(_))));
    }
}
