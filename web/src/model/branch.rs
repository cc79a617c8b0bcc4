//! How one miner gets what a block's tree pays them, without anybody's help.

use super::Money;
use crate::outlook::Outlook;
use accounting::{AccountId, RewardId};
use bitcoin::consensus::encode::serialize_hex;
use covenant::committed;
use serde::{Deserialize, Serialize};
use store::{Reader, StoreError};
use utoipa::ToSchema;

/// The transactions that carry one account's part of a block to it (BIP-119). They need no signature: anybody can send them, once the
/// coinbase can be spent, in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Branch {
    /// The block.
    pub block: String,
    /// Its height.
    pub height: u64,
    /// `immature`, `matured` or `orphaned`.
    pub state: String,
    /// The account's number.
    pub account: u64,
    /// What arrives.
    pub amount: Money,
    /// Where, as an output script in hexadecimal.
    pub script: String,
    /// How the payees became a tree.
    #[schema(value_type = Object)]
    pub rule: serde_json::Value,
    /// What all transactions of the tree give to miners of later blocks.
    pub tree_cost: Money,
    /// The coinbase, whose first output the first transaction spends.
    pub coinbase: String,
    /// The transactions.
    pub transactions: Vec<BranchTransaction>,
    /// Their size in virtual bytes.
    pub vsize: u64,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BranchTransaction {
    /// Its id, as explorers print it.
    pub id: String,
    /// Its size in virtual bytes.
    pub vsize: usize,
    /// Its bytes in hexadecimal, as `sendrawtransaction` takes them.
    pub hex: String,
}

/// An account's branch of a block's tree; none where the block has no tree, or that does not pay it.
///
/// # Errors
/// When it cannot be read.
pub fn find(
    reader: &Reader,
    outlook: &Outlook,
    id: RewardId,
    account: AccountId,
) -> Result<Option<Branch>, StoreError> {
    let Some((reward, state)) = reader.reward(id)? else { return Ok(None) };
    let (Some(by_block), Some(split)) = (&reward.by_block, &reward.split) else { return Ok(None) };
    let Some(paid) = &by_block.tree else { return Ok(None) };
    let damaged =
        |error: committed::Unbuildable| StoreError::Damaged(format!("block {id}: {error}"));
    let found = committed::branch(paid, by_block, split, account).map_err(damaged)?;
    let mut payments = by_block.payments(split);
    let payment = payments.find(|(to, _)| to.account == account);
    let (Some(branch), Some((to, row))) = (found, payment) else { return Ok(None) };
    let decimals = outlook.asset(reward.asset).map_or(8, |asset| asset.decimals);
    let transactions = branch.transactions.iter().map(|transaction| BranchTransaction {
        id: transaction.compute_txid().to_string(),
        vsize: transaction.vsize(),
        hex: serialize_hex(transaction),
    });
    Ok(Some(Branch {
        block: reward.id.to_string(),
        height: reward.height,
        state: state.as_str().to_owned(),
        account: account.0,
        amount: Money::new(row.net, decimals),
        script: super::audit::hex(&to.script),
        rule: serde_json::from_str(&paid.rule).unwrap_or_default(),
        tree_cost: Money::new(paid.cost, decimals),
        coinbase: committed::root(paid).txid.to_string(),
        transactions: transactions.collect(),
        vsize: branch.vsize,
    }))
}
