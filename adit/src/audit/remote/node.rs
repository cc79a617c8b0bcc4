//! The auditor's own node: of the bitcoind family, or Chia's.
//!
//! Invariant: a node that does not answer says nothing.

use crate::audit::chain::{self, Chain, Depths};
use crate::audit::chia::{Booked, ChiaChain};
use crate::cli::audit::AuditArgs;
use accounting::RewardId;
use accounting::membership::Place;
use accounting::reward::{Reward, RewardState};
use farming::node::rpc::Endpoint as ChiaEndpoint;
use stratum::rpc::Endpoint;
use tokio::runtime::Runtime;

/// Whom the auditor believes about the chain.
pub enum OwnNode {
    /// Speaks JSON-RPC as bitcoind does.
    Coin(Endpoint),
    /// Speaks the RPC of Chia's full node.
    Chia(Box<ChiaChain>),
}

impl OwnNode {
    /// The node that the command names, if it names one.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn of(args: &AuditArgs, runtime: &Runtime) -> anyhow::Result<Option<Self>> {
        let Some(address) = args.node.clone() else { return Ok(None) };
        let files = (&args.node_authority, &args.node_certificate, &args.node_key);
        if let (Some(authority), Some(certificate), Some(key)) = files {
            let endpoint = ChiaEndpoint {
                address,
                authority: authority.clone(),
                certificate: certificate.clone(),
                key: key.clone(),
            };
            let chain = runtime.block_on(ChiaChain::behind(endpoint))?;
            return Ok(Some(OwnNode::Chia(Box::new(chain))));
        }
        let auth = crate::node::auth(args.node_cookie.as_ref(), args.node_user.as_ref())?;
        Ok(Some(OwnNode::Coin(Endpoint { address, path: String::new(), auth })))
    }

    /// Does a reward stand where its state says, and is it what was booked?
    /// `place` is where the pool says that a payment is.
    pub async fn reward(
        &self,
        (reward, booked): (&Reward, Booked),
        state: RewardState,
        place: Option<Place>,
        depths: Depths,
    ) -> Chain {
        match self {
            OwnNode::Coin(node) => {
                chain::compare(std::slice::from_ref(node), reward, state, place, depths).await
            }
            OwnNode::Chia(chia) => chia.reward(reward, booked, state, depths).await,
        }
    }

    /// Did a transaction pay so much to this output script, or what stands for one?
    pub async fn sent(&self, transaction: &str, script: &str, amount: i128) -> Chain {
        match self {
            OwnNode::Coin(node) => chain::sent(node, transaction, script, amount).await,
            OwnNode::Chia(chia) => match (transaction.parse::<RewardId>(), script.parse()) {
                (Ok(name), Ok(place)) => chia.sent(name.0, &place, amount).await,
                (Ok(_), Err(_)) => Chain::Silent, // Paid in another coin, and so elsewhere.
                (Err(_), _) => Chain::Differs(format!("{transaction} is no payment's name")),
            },
        }
    }

    /// The output script of an address, where the address itself is paid.
    pub async fn script_of(&self, address: &str) -> Option<String> {
        match self {
            OwnNode::Coin(node) => chain::script_of(node, address).await,
            // An account is a plot NFT; its owner names who is paid.
            OwnNode::Chia(_) => None,
        }
    }
}
