//! What an operator may ask of a pool, by whichever door it comes: the command line, the socket, or the pages.
//!
//! Invariant: plain data; carrying it out is the writer's, through orders.

use serde::{Deserialize, Serialize};

/// A command and who gives it, as it is sent to a running pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// Who is written into the log of acts.
    pub by: String,
    /// What.
    pub command: Command,
}

/// An order or a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// How is it doing?
    Status,
    /// There may be a new block.
    Knock {
        /// Of one asset, or of all.
        asset: Option<String>,
    },
    /// Who would be paid now?
    DryRun {
        /// The asset.
        asset: String,
    },
    /// Pay whoever is due, now.
    PayNow {
        /// The asset.
        asset: String,
    },
    /// Stop payouts.
    Hold {
        /// `all`, an asset, or an address.
        scope: String,
        /// Why.
        reason: String,
    },
    /// Let payouts go on.
    Release {
        /// `all`, an asset, or an address.
        scope: String,
    },
    /// Give the debts of an unsigned payout back.
    Cancel {
        /// Its number.
        payout: u64,
    },
    /// Say what a spend was.
    Match {
        /// Its transaction.
        txid: String,
        /// It paid debts; otherwise the operator's own.
        payout: bool,
    },
    /// A spend the books did not know never happened.
    Forget {
        /// Its transaction.
        txid: String,
    },
    /// Book coins that were put into the wallet.
    Deposit {
        /// The asset.
        asset: String,
        /// How much, in whole coins.
        amount: String,
        /// For buying shares (PPS, FPPS); otherwise the pool's own.
        bankroll: bool,
        /// The transaction that brought them: it is booked once.
        reference: String,
    },
    /// Pay an account to another address.
    Address {
        /// The account's own address.
        account: String,
        /// Where to.
        to: String,
    },
    /// An account's own payout minimum and membership.
    Account {
        /// Its address.
        account: String,
        /// In whole coins; none for the pool's.
        minimum: Option<String>,
        /// Pays the members' fee.
        member: bool,
    },
    /// One operator's yes to a payout that needs several.
    Approve {
        /// Its number.
        payout: u64,
    },
    /// Which transaction pays a payout that an operator sends.
    Sent {
        /// Its number.
        payout: u64,
        /// The hash, as it is shown.
        transaction: String,
    },
    /// That transaction is final.
    Confirmed {
        /// The payout's number.
        payout: u64,
    },
    /// That transaction failed, or will never be: the debts are owed again.
    Failed {
        /// The payout's number.
        payout: u64,
    },
    /// No connection from an internet address, or none of an account, is taken any more.
    Ban {
        /// An internet address, or a miner's.
        who: String,
        /// Why.
        reason: String,
    },
    /// Take a registration back.
    Unregister {
        /// The address.
        who: String,
    },
    /// Takes a ban back.
    Unban {
        /// As it was given.
        who: String,
    },
    /// A pool hands out no work until it is resumed; what was found is still taken.
    Pause {
        /// Its name.
        pool: String,
        /// Why.
        reason: String,
    },
    /// A pool goes on.
    Resume {
        /// Its name.
        pool: String,
    },
    /// An accepted share no longer counts.
    Revoke {
        /// Its position in the log.
        share: u64,
        /// Why.
        reason: String,
    },
}
