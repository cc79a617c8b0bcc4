//! The node that the measured pool asks: it knows what the bench made up, and stands still.

use super::farm::Farm;
use farming::coin::Coin;
use farming::hash::Bytes32;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pool::Clock;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Certificates that everybody may know: this node, this pool and their askers are one machine.
pub const AUTHORITY: &[u8] =
    include_bytes!("../../../../farming/tests/fixtures/node/private_ca.crt");
/// A certificate that it signed.
pub const CERTIFICATE: &[u8] = include_bytes!("../../../../farming/tests/fixtures/node/node.crt");
/// Its key.
pub const KEY: &[u8] = include_bytes!("../../../../farming/tests/fixtures/node/node.key");

/// The pool's own certificate: P-256, as those are that cost least, and are what most authorities give today.
const POOL_CERTIFICATE: &[u8] = include_bytes!("../../../tests/fixtures/pool.crt.pem");
const POOL_KEY: &[u8] = include_bytes!("../../../tests/fixtures/pool.key.pem");

/// The height that it stays at.
const HEIGHT: u32 = 100;

/// A running one.
pub struct FakeNode {
    address: String,
}

/// The pool's certificate as a root.
pub fn roots() -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(POOL_CERTIFICATE)?)?;
    Ok(roots)
}

/// Takes farmers' connections.
pub fn acceptor() -> anyhow::Result<TlsAcceptor> {
    accepting(POOL_CERTIFICATE, POOL_KEY)
}

fn accepting(certificate: &[u8], key: &[u8]) -> anyhow::Result<TlsAcceptor> {
    let chain = vec![CertificateDer::from_pem_slice(certificate)?];
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl FakeNode {
    /// Starts on a free port.
    pub async fn start(farm: Arc<Farm>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, acceptor) =
            (listener.local_addr()?.to_string(), accepting(CERTIFICATE, KEY)?);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (farm, acceptor) = (farm.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let answer =
                        hyper::service::service_fn(|request| respond(request, farm.clone()));
                    let http = hyper::server::conn::http1::Builder::new();
                    if let Err(error) = http.serve_connection(TokioIo::new(stream), answer).await {
                        tracing::debug!(%error, "a connection to the bench's node ended");
                    }
                });
            }
        });
        Ok(FakeNode { address })
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
    }
}

async fn respond(
    request: Request<Incoming>,
    farm: Arc<Farm>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let method = request.uri().path().trim_start_matches('/').to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let question: Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Response::new(Full::new(Bytes::from(answer(&farm, &method, &question).to_string()))))
}

fn hash(value: &Value) -> Bytes32 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn record(coin: &Coin, spent: u32) -> Value {
    json!({ "coin": coin, "confirmed_block_index": 7, "spent_block_index": spent, "coinbase": false })
}

fn answer(farm: &Farm, method: &str, question: &Value) -> Value {
    let named = |name: &Bytes32| {
        let launcher = farm.farmers.iter().find(|farmer| farmer.launcher.id() == *name);
        let tip = farm.farmers.iter().find(|farmer| farmer.tip.id() == *name);
        let launcher = launcher.map(|farmer| record(&farmer.launcher, 7));
        launcher.or_else(|| tip.map(|farmer| record(&farmer.tip, 0)))
    };
    let names = |list: &Value| -> Vec<Bytes32> {
        list.as_array().into_iter().flatten().map(hash).collect()
    };
    let no = || json!({ "success": false, "error": "Did not find sp in cache, or not found" });
    match method {
        "get_network_info" => json!({
            "success": true, "network_name": "testnet0",
            "genesis_challenge": farming::network::Network::simulator().genesis_challenge,
        }),
        "get_blockchain_state" => json!({ "success": true, "blockchain_state": {
            "peak": { "height": HEIGHT, "header_hash": Bytes32([1; 32]) },
            "sync": { "synced": true }, "difficulty": 1024, "sub_slot_iters": 1024,
        }}),
        "get_recent_signage_point_or_eos" => match farm.points.get(&hash(&question["sp_hash"])) {
            Some(challenge) => json!({
                "success": true, "reverted": false,
                "time_received": pool::SystemClock.now().0 as f64 / 1000.0,
                "signage_point": { "cc_vdf": { "challenge": challenge } },
            }),
            None => no(),
        },
        "get_coin_record_by_name" => match named(&hash(&question["name"])) {
            Some(record) => json!({ "success": true, "coin_record": record }),
            None => no(),
        },
        "get_coin_records_by_names" => {
            let found: Vec<Value> = names(&question["names"]).iter().filter_map(named).collect();
            json!({ "success": true, "coin_records": found })
        }
        "get_coin_records_by_parent_ids" => {
            let parents = names(&question["parent_ids"]);
            let children =
                farm.farmers.iter().filter(|farmer| parents.contains(&farmer.tip.parent));
            let found: Vec<Value> = children.map(|farmer| record(&farmer.tip, 0)).collect();
            json!({ "success": true, "coin_records": found })
        }
        "get_coin_records_by_puzzle_hashes" => json!({ "success": true, "coin_records": [] }),
        "get_puzzle_and_solution" => {
            let id = hash(&question["coin_id"]);
            match farm.farmers.iter().find(|farmer| farmer.launcher.id() == id) {
                Some(farmer) => json!({ "success": true, "coin_solution": {
                    "coin": farmer.launcher, "puzzle_reveal": "0x80",
                    "solution": farming::coin::Program(farmer.solution.clone()),
                }}),
                None => no(),
            }
        }
        _ => no(),
    }
}
