//! The life of a payout: queued, signed, broadcast, confirmed or abandoned.
//!
//! Invariant: the same debts are never in two transactions that could both confirm. Every version of a payout spends a
//! common input; it is abandoned only when an input is provably spent by something else, deep in the chain.

use crate::Amount;
use crate::id::{AccountId, AssetId, PayoutId, UnixMs};
use crate::ledger::{Kind, SetKey, Transfer, TransferSet};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// One account's part of a payout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PayoutPart {
    /// Whose debt is paid.
    pub account: AccountId,
    /// Where to: output script, puzzle hash or public key, as its kind of money writes it.
    pub destination: Vec<u8>,
    /// What their balance is debited.
    pub debit: Amount,
    /// What arrives: the debit less their part of the transaction fee, if the rule says that miners pay it.
    pub sent: Amount,
}

/// One signed form of a payout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PayoutVersion {
    /// Its transaction id, in the byte order in which SHA-256 gives it.
    pub txid: [u8; 32],
    /// The bytes that are broadcast, the same each time.
    pub raw: Vec<u8>,
    /// The transaction fee it pays.
    pub fee: Amount,
    /// The coins it spends: transaction id and output number.
    pub inputs: Vec<([u8; 32], u32)>,
    /// When it was signed.
    pub signed_at: UnixMs,
}

/// A batch of debts on their way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payout {
    /// Its number.
    pub id: PayoutId,
    /// In which money.
    pub asset: AssetId,
    /// Who gets what; fixed for all versions.
    pub parts: Vec<PayoutPart>,
    /// Signed forms, oldest first.
    pub versions: Vec<PayoutVersion>,
    /// Where it stands.
    pub state: PayoutState,
    /// Ledger sets made so far; the last is the one in force.
    pub round: u32,
    /// When it was made.
    pub created_at: UnixMs,
}

/// Where a payout stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayoutState {
    /// Debts chosen and reserved, nothing signed (an offline signer may take its time).
    Queued,
    /// Signed and written; not yet known to have reached a node.
    Signed,
    /// A node has it.
    Broadcast,
    /// Buried deep enough; posted.
    Confirmed,
    /// Can never confirm; the debts are owed again.
    Abandoned,
}

impl PayoutState {
    /// All of them.
    pub const ALL: [PayoutState; 5] = [
        PayoutState::Queued,
        PayoutState::Signed,
        PayoutState::Broadcast,
        PayoutState::Confirmed,
        PayoutState::Abandoned,
    ];

    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            PayoutState::Queued => "queued",
            PayoutState::Signed => "signed",
            PayoutState::Broadcast => "broadcast",
            PayoutState::Confirmed => "confirmed",
            PayoutState::Abandoned => "abandoned",
        }
    }
}

impl FromStr for PayoutState {
    type Err = crate::ledger::UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| crate::ledger::UnknownName(text.to_owned()))
    }
}

/// What the network says about a payout's versions and their inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// This version (by position) is in the chain, so deep.
    InChain {
        /// Position in [`Payout::versions`].
        version: usize,
        /// 1 at the tip.
        confirmations: u32,
    },
    /// A node holds a version in its mempool.
    InMempool,
    /// No node knows it, and its inputs are unspent: broadcast (again).
    Absent,
    /// An input of every version is spent by another transaction, or its coinbase left the chain, so deep.
    Impossible {
        /// Confirmations of what makes it impossible.
        confirmations: u32,
    },
    /// Nobody can say.
    Unknown,
}

/// What to do about a payout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PayoutStep {
    /// Send the same bytes (the newest version's) to every node.
    Broadcast,
    /// Note that a node has it.
    Seen,
    /// Post the debits of this version.
    Confirm {
        /// Position in [`Payout::versions`].
        version: usize,
    },
    /// It left the chain again: reserve the debits anew and broadcast.
    Reopen,
    /// Give the debits back.
    Abandon,
    /// Stop looking.
    Close,
}

/// How deep is deep enough for a payout, in confirmations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PayoutDepths {
    /// Posted from here on (and still watched).
    pub confirm: u32,
    /// What makes it impossible must be so deep.
    pub abandon: u32,
    /// Beyond this nothing is looked at again.
    pub last_look: u32,
}

/// The step that a fate asks for, if any.
#[must_use]
pub fn next_step(state: PayoutState, fate: Fate, depths: &PayoutDepths) -> Option<PayoutStep> {
    use PayoutState::{Abandoned, Broadcast, Confirmed, Queued, Signed};
    match (state, fate) {
        (Queued, _) | (_, Fate::Unknown) => None,
        (Signed | Broadcast | Abandoned, Fate::InChain { version, confirmations })
            if confirmations >= depths.confirm =>
        {
            Some(PayoutStep::Confirm { version })
        }
        (Signed, Fate::InChain { .. } | Fate::InMempool) => Some(PayoutStep::Seen),
        (Signed | Broadcast, Fate::Absent) => Some(PayoutStep::Broadcast),
        (Signed | Broadcast | Confirmed, Fate::Impossible { confirmations })
            if confirmations >= depths.abandon =>
        {
            Some(PayoutStep::Abandon)
        }
        (Confirmed, Fate::InChain { confirmations, .. }) if confirmations >= depths.last_look => {
            Some(PayoutStep::Close)
        }
        (Abandoned, Fate::Impossible { confirmations }) if confirmations >= depths.last_look => {
            Some(PayoutStep::Close)
        }
        (Confirmed, Fate::Absent | Fate::InMempool) => Some(PayoutStep::Reopen),
        _ => None,
    }
}

impl Payout {
    /// The debits of one version, under the round's key: accounts pay what was fixed; what the transaction fee exceeds
    /// their part of it, the pool pays.
    ///
    /// # Panics
    /// When a version pays less fee than was taken from the miners for it.
    #[must_use]
    pub fn debits(&self, fee: Amount, round: u32) -> TransferSet {
        let mut transfers: Vec<Transfer> = self
            .parts
            .iter()
            .map(|part| Transfer {
                debit: Kind::Account(part.account),
                credit: Kind::Wallet,
                amount: part.debit,
            })
            .collect();
        let from_pool = fee.sub(self.fee_from_parts());
        assert!(
            from_pool >= Amount::ZERO,
            "miners are never charged more than the transaction pays"
        );
        if from_pool.is_positive() {
            transfers.push(Transfer {
                debit: Kind::NetworkFee,
                credit: Kind::Wallet,
                amount: from_pool,
            });
        }
        TransferSet { key: SetKey::Payout { id: self.id, round }, asset: self.asset, transfers }
    }

    /// What the miners' parts were charged for the transaction fee.
    #[must_use]
    pub fn fee_from_parts(&self) -> Amount {
        self.parts.iter().map(|part| part.debit.sub(part.sent)).sum()
    }

    /// The sum of what arrives.
    #[must_use]
    pub fn sent(&self) -> Amount {
        self.parts.iter().map(|part| part.sent).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTHS: PayoutDepths = PayoutDepths { confirm: 6, abandon: 100, last_look: 200 };

    #[test]
    fn nothing_is_given_back_on_a_time_out_or_while_it_could_still_confirm() {
        for state in PayoutState::ALL {
            assert_eq!(next_step(state, Fate::Unknown, &DEPTHS), None);
            let shallow = next_step(state, Fate::Impossible { confirmations: 99 }, &DEPTHS);
            assert_ne!(shallow, Some(PayoutStep::Abandon), "{state:?}");
        }
    }

    #[test]
    fn a_payout_that_left_the_chain_is_broadcast_again() {
        assert_eq!(
            next_step(PayoutState::Confirmed, Fate::Absent, &DEPTHS),
            Some(PayoutStep::Reopen)
        );
        assert_eq!(
            next_step(PayoutState::Broadcast, Fate::Absent, &DEPTHS),
            Some(PayoutStep::Broadcast)
        );
        assert_eq!(
            next_step(PayoutState::Signed, Fate::Absent, &DEPTHS),
            Some(PayoutStep::Broadcast)
        );
    }

    #[test]
    fn even_an_abandoned_payout_that_confirms_after_all_is_booked() {
        let fate = Fate::InChain { version: 0, confirmations: 6 };
        assert_eq!(
            next_step(PayoutState::Abandoned, fate, &DEPTHS),
            Some(PayoutStep::Confirm { version: 0 })
        );
    }

    #[test]
    fn a_fee_bump_is_paid_by_the_pool_and_the_debts_stay_the_same() {
        let part = |account, debit, sent| PayoutPart {
            account: AccountId(account),
            destination: vec![],
            debit: Amount::from_units(debit),
            sent: Amount::from_units(sent),
        };
        let payout = Payout {
            id: PayoutId(1),
            asset: AssetId(1),
            parts: vec![part(1, 100, 95), part(2, 50, 45)],
            versions: vec![],
            state: PayoutState::Signed,
            round: 0,
            created_at: UnixMs(0),
        };
        let total =
            |set: &TransferSet| set.transfers.iter().map(|t| t.amount).sum::<Amount>().units();
        assert_eq!(total(&payout.debits(Amount::from_units(10), 0)), 150);
        let bumped = payout.debits(Amount::from_units(25), 1);
        assert_eq!(total(&bumped), 165);
        let network_fee = bumped.transfers.iter().find(|t| t.debit == Kind::NetworkFee).unwrap();
        assert_eq!(network_fee.amount.units(), 15);
    }
}
