//! A full node that is not there: it answers what a test put into it, over the real transport.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use farming::coin::SpendBundle;
use farming::hash::Bytes32;
use farming::node::Node;
use farming::node::rpc::{Endpoint, Rpc};

/// What the node would say.
#[derive(Clone)]
pub struct World {
    pub height: u32,
    pub is_synced: bool,
    /// Answers about signage points and ends of sub-slots, by their hash.
    pub points: HashMap<Bytes32, Value>,
    /// Seconds that its clock is ahead.
    pub ahead_s: u64,
    /// Coin records.
    pub coins: Vec<Value>,
    /// Spends, by the coin's name.
    pub spends: HashMap<Bytes32, Value>,
    /// Bundles that were pushed.
    pub pushed: Vec<Value>,
    /// What it thinks any bundle should pay.
    pub fee_mojo: u64,
    /// Is its mempool full?
    pub is_full: bool,
    /// Questions so far, by method.
    pub asked: HashMap<String, usize>,
    /// What it says whatever the truth is, by method.
    pub lies: HashMap<String, Value>,
}

/// A running one.
pub struct FakeNode {
    pub world: Arc<Mutex<World>>,
    address: String,
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/node").join(name)
}

impl FakeNode {
    /// Starts on a free port, for as long as the test's runtime lives.
    pub async fn start(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let world = Arc::new(Mutex::new(world));
        let (shared, acceptor) = (world.clone(), acceptor());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (world, acceptor) = (shared.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let answer = hyper::service::service_fn(|request: Request<Incoming>| {
                        let world = world.clone();
                        async move { Ok::<_, Infallible>(respond(request, &world).await) }
                    });
                    let served = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                    drop(served);
                });
            }
        });
        FakeNode { world, address }
    }

    /// A client of it.
    pub fn client(&self) -> Node {
        self.client_believing("private_ca.crt")
    }

    /// A client of it that believes whoever has a certificate of this authority.
    pub fn client_believing(&self, authority: &str) -> Node {
        let endpoint = Endpoint {
            address: self.address.clone(),
            authority: fixture(authority),
            certificate: fixture("node.crt"),
            key: fixture("node.key"),
        };
        Node::new(Rpc::new(endpoint).unwrap())
    }

    pub fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    pub fn asked(&self, method: &str) -> usize {
        self.world.lock().unwrap().asked.get(method).copied().unwrap_or(0)
    }
}

fn acceptor() -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixture("private_ca.crt")).unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_file(fixture("node.crt")).unwrap()],
            PrivateKeyDer::from_pem_file(fixture("node.key")).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn respond(request: Request<Incoming>, world: &Mutex<World>) -> Response<Full<Bytes>> {
    let method = request.uri().path().trim_start_matches('/').to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let question: Value = serde_json::from_slice(&body).unwrap();
    let mut world = world.lock().unwrap();
    *world.asked.entry(method.clone()).or_default() += 1;
    let lie = world.lies.get(&method).cloned();
    let answer = lie.unwrap_or_else(|| answer(&mut world, &method, &question));
    let clock = std::time::SystemTime::now() + std::time::Duration::from_secs(world.ahead_s);
    let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
    let date = httpdate::fmt_http_date(clock);
    response.headers_mut().insert("date", date.parse().unwrap());
    response
}

fn answer(world: &mut World, method: &str, question: &Value) -> Value {
    let hash = |value: &Value| -> Bytes32 { value.as_str().unwrap().parse().unwrap() };
    let id = |record: &Value| -> Bytes32 {
        serde_json::from_value::<farming::coin::Coin>(record["coin"].clone()).unwrap().id()
    };
    let no = |code: &str, text: &str| json!({"success": false, "error": text, "structuredError": {"code": code}});
    let among = |list: &Value, one: Bytes32| {
        list.as_array().unwrap().iter().any(|value| hash(value) == one)
    };
    let field = |record: &Value, name: &str| hash(&record["coin"][name]);
    let records = |kept: &dyn Fn(&Value) -> bool| {
        let kept: Vec<&Value> = world.coins.iter().filter(|record| kept(record)).collect();
        json!({"success": true, "coin_records": kept})
    };
    match method {
        "get_network_info" => json!({
            "success": true, "network_name": "testnet0",
            "genesis_challenge": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        }),
        "get_blockchain_state" => json!({"success": true, "blockchain_state": {
            "peak": {"height": world.height, "header_hash": Bytes32([world.height as u8; 32])},
            "sync": {"synced": world.is_synced}, "difficulty": 1024, "sub_slot_iters": 1024,
            "mempool_cost": if world.is_full { 10 } else { 0 }, "mempool_max_total_cost": 10,
        }}),
        "get_recent_signage_point_or_eos" => {
            let known = question.get("sp_hash").or(question.get("challenge_hash")).unwrap();
            let unknown = || no("SP_NOT_IN_CACHE", "Did not find sp in cache");
            world.points.get(&hash(known)).cloned().unwrap_or_else(unknown)
        }
        "get_coin_record_by_name" => {
            let wanted = hash(&question["name"]);
            match world.coins.iter().find(|record| id(record) == wanted) {
                Some(record) => json!({"success": true, "coin_record": record}),
                None => no("COIN_RECORD_NOT_FOUND", "Coin record not found"),
            }
        }
        "get_coin_records_by_names" => records(&|record| among(&question["names"], id(record))),
        "get_coin_records_by_parent_ids" => {
            records(&|record| among(&question["parent_ids"], field(record, "parent_coin_info")))
        }
        "get_coin_records_by_puzzle_hashes" => records(&|record| {
            among(&question["puzzle_hashes"], field(record, "puzzle_hash"))
                && (record["spent_block_index"] == 0 || question["include_spent_coins"] == true)
                && (question["start_height"].as_u64()..question["end_height"].as_u64())
                    .contains(&record["confirmed_block_index"].as_u64())
        }),
        "get_mempool_item_by_tx_id" => {
            let name = |bundle: &Value| -> Bytes32 {
                serde_json::from_value::<SpendBundle>(bundle.clone()).unwrap().id()
            };
            match world.pushed.iter().find(|bundle| name(bundle) == hash(&question["tx_id"])) {
                Some(_) => json!({"success": true, "mempool_item": {}}),
                None => no("TX_NOT_IN_MEMPOOL", "Tx id not in the mempool"),
            }
        }
        "get_fee_estimate" => json!({"success": true, "estimates": [world.fee_mojo]}),
        "get_puzzle_and_solution" => match world.spends.get(&hash(&question["coin_id"])) {
            Some(spend) => json!({"success": true, "coin_solution": spend}),
            None => no("COIN_NOT_SPENT", "Invalid height or coin not spent"),
        },
        "push_tx" => {
            world.pushed.push(question["spend_bundle"].clone());
            json!({"success": true, "status": "SUCCESS"})
        }
        other => no("UNKNOWN", other),
    }
}
