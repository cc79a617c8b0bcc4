//! Payouts and who they paid.

use super::{Iso, Money, Rows, masked, one_more};
use crate::outlook::Outlook;
use accounting::{AccountId, AssetId, PayoutId};
use serde::{Deserialize, Serialize};
use store::sqlite::{Cut, PartRow, PayoutSummary};
use store::{Reader, StoreError};
use utoipa::ToSchema;

/// A payout, in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Payout {
    /// Its number.
    pub id: u64,
    /// Its money.
    pub asset: String,
    /// `queued`, `signed`, `broadcast`, `confirmed` or `abandoned`.
    pub state: String,
    /// Its newest transaction, as explorers print it; null until it is signed.
    pub transaction: Option<String>,
    /// How many are paid.
    pub recipients: u64,
    /// What arrives.
    pub sent: Money,
    /// What the transaction pays the network.
    pub network_fee: Money,
    /// When it was made.
    pub made_at: Iso,
    /// When it last moved.
    pub changed_at: Iso,
}

/// One recipient of a payout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recipient {
    /// The account's number.
    pub account: u64,
    /// The address, masked unless its owner made it public.
    pub address: String,
    /// What its balance was debited.
    pub debited: Money,
    /// What arrives.
    pub sent: Money,
}

/// Payouts, newest first.
///
/// # Errors
/// When they cannot be read.
pub fn list(reader: &Reader, outlook: &Outlook, cut: Cut) -> Result<Rows<Payout>, StoreError> {
    let found = reader.payout_summaries(one_more(cut))?;
    Ok(Rows::of(found, cut, |row| row.id.0, |row| payout(row, outlook)))
}

/// One payout.
///
/// # Errors
/// When it cannot be read.
pub fn find(reader: &Reader, outlook: &Outlook, id: u64) -> Result<Option<Payout>, StoreError> {
    Ok(reader.payout_summary(PayoutId(id))?.map(|row| payout(row, outlook)))
}

/// The recipients of a payout, by account.
///
/// # Errors
/// When they cannot be read.
pub fn recipients(
    reader: &Reader,
    outlook: &Outlook,
    id: u64,
    cut: Cut,
    is_public: impl Fn(AccountId) -> bool,
) -> Result<Option<Rows<Recipient>>, StoreError> {
    let Some(summary) = reader.payout_summary(PayoutId(id))? else { return Ok(None) };
    let decimals = decimals_of(outlook, summary.asset);
    let found = reader.payout_parts(PayoutId(id), one_more(cut))?;
    let recipient = |part: PartRow| Recipient {
        account: part.account.0,
        address: if is_public(part.account) { part.address } else { masked(&part.address) },
        debited: Money::new(part.debit, decimals),
        sent: Money::new(part.sent, decimals),
    };
    Ok(Some(Rows::of(found, cut, |part| part.account.0, recipient)))
}

pub(super) fn payout(row: PayoutSummary, outlook: &Outlook) -> Payout {
    let decimals = decimals_of(outlook, row.asset);
    let asset = outlook.asset(row.asset);
    Payout {
        id: row.id.0,
        asset: asset.map_or_else(|| row.asset.to_string(), |asset| asset.symbol.clone()),
        state: row.state.as_str().to_owned(),
        transaction: row.txid.map(|txid| txid.to_string()),
        recipients: row.recipients,
        sent: Money::new(row.sent, decimals),
        network_fee: Money::new(row.fee, decimals),
        made_at: Iso(row.created_at),
        changed_at: Iso(row.changed_at),
    }
}

fn decimals_of(outlook: &Outlook, asset: AssetId) -> u8 {
    outlook.asset(asset).map_or(8, |asset| asset.decimals)
}
