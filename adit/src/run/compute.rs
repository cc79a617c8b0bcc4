//! Leased compute and its money, on their way up.

pub mod shown;

use super::counter::{self, About};
use super::door::OpenDoor;
use super::{Live, Start, acceptor, pool_number};
use crate::config::compute::{ComputeSettings, ExternalSettings};
use crate::config::{PoolKind, PoolSettings};
use crate::{control, data};
use ::compute::client::key;
use ::compute::data::demo;
use ::compute::evaluate::Prepared;
use ::compute::evolve::founders;
use ::compute::key::{PublicKey, Signature, SigningKey};
use ::compute::relay::Relay;
use ::compute::server::{Door, Ledger, Opened, Settings, Unwanted};
use ::compute::treasury::External;
use accounting::{AssetId, Identity};
use anyhow::Context;
use pool::{Clock, SystemClock};
use shown::Shown;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use web::measure::Measure;
use web::outlook::{Addresses, Parsed};

/// Millionths of a reputation: what a share's weight counts.
const ONE: f64 = 1_000_000.0;
/// Seconds between Bittensor's blocks.
const BLOCK_S: f64 = 12.0;

/// Opens the asset's counter and its pools' doors.
pub(super) async fn start(start: Start, own: ExternalSettings) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let name = start.asset.config.name.clone();
    let wanted = name.clone();
    let asset = start.pool.order(move |books, _, _| Ok(books.asset_named(&wanted))).await?;
    let asset = asset.with_context(|| format!("asset \"{name}\" has no number; this is a bug"))?;
    let treasury = External::new(start.pool.clone(), asset, clock);
    let (knock, _) = watch::channel(0);
    let about = about(&own);
    let counter = counter::open(&start, treasury, String::new(), about, knock).await?;
    start.live.counters.write().unwrap_or_else(PoisonError::into_inner).push(counter);
    for (settings, _) in &start.pools {
        let PoolKind::Compute(door) = &settings.kind else { continue };
        open(&start, &own, asset, settings, door).await?;
    }
    Ok(())
}

/// Opens a door's tables and listens.
async fn open(
    start: &Start,
    own: &ExternalSettings,
    asset: AssetId,
    settings: &PoolSettings,
    door: &ComputeSettings,
) -> anyhow::Result<()> {
    let (live, name) = (&start.live, &settings.config.name);
    let pot = pool_number(&start.pool, name).await?;
    let (ledger, folder) = (
        Ledger {
            pool: start.pool.clone(),
            pot,
            asset,
            network: own.network.clone(),
            store: start.folder.clone(),
        },
        start.folder.clone(),
    );
    let signer = signer(&door.key_file)?;
    let set = prepared(door.set.as_deref())?;
    let mut fresh = [0; 8];
    getrandom::fill(&mut fresh).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let unwanted = unwanted(live, &own.network);
    let settings = door_settings(door, signer, set.input_dim(), ledger, unwanted)?;
    let opened =
        Door::open(&folder, settings, set, Arc::new(SystemClock), u64::from_be_bytes(fresh))?;
    let Opened { door: opened, running } = opened;
    opened.pause(control::pause_of(&start.pool, name).await?);
    let axon = serve(live, &opened, door).await?;
    let shown = Arc::new(Shown::new(own.network.clone(), door.tls.is_some(), axon));
    let watching = shown.clone().watch(opened.clone(), live.floor.cancel.clone());
    live.spawn(format!("the looks of {name}"), watching);
    let open = OpenDoor::Compute { pool: pot, door: opened, shown };
    live.doors.write().unwrap_or_else(PoisonError::into_inner).push(open);
    live.desks.lock().unwrap_or_else(PoisonError::into_inner).push(running);
    Ok(())
}

/// Gives where its neurons' door is, if it has one.
async fn serve(
    live: &Arc<Live>,
    opened: &Arc<Door>,
    door: &ComputeSettings,
) -> anyhow::Result<Option<SocketAddr>> {
    let tls = match &door.tls {
        Some((certificate, key)) => Some(acceptor(certificate, key)?),
        None => None,
    };
    let cancel = live.floor.cancel.clone();
    let (listener, address) = bind(door.listen).await?;
    opened.listens_at(address);
    tracing::info!(%address, tls = tls.is_some(), "leased compute");
    let serving = opened.clone().serve(listener, tls, cancel.clone());
    live.spawn(format!("compute at {address}"), serving);
    let Some(axon) = door.axon else { return Ok(None) };
    let (listener, address) = bind(axon).await?;
    tracing::info!(%address, "neurons");
    live.spawn(format!("the axon at {address}"), opened.clone().serve_axon(listener, cancel));
    Ok(Some(address))
}

async fn bind(wanted: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(wanted).await.with_context(|| {
        format!("cannot listen on {wanted}: is another program there (`ss -ltnp`)?")
    })?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The pool's own hotkey; made if it is not there.
fn signer(file: &Path) -> anyhow::Result<SigningKey> {
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let (signer, is_new) = key::open(file, fresh)?;
    if is_new {
        tracing::info!(file = %file.display(), public = %signer.public(), "a new key of the pool: back it up, reports are signed by it");
    }
    Ok(signer)
}

/// The tasks of a file, or the demo's.
///
/// # Errors
/// When the file is none.
pub fn prepared(set: Option<&Path>) -> anyhow::Result<Prepared> {
    let set = match set {
        Some(file) => data::open(file)?,
        None => demo::classes(),
    };
    Ok(Prepared::new(&set))
}

fn door_settings(
    door: &ComputeSettings,
    signer: SigningKey,
    input_dim: u16,
    ledger: Ledger,
    unwanted: Unwanted,
) -> anyhow::Result<Settings> {
    let relay = door.relay.as_ref().map(|relay| Relay::new(relay, signer.clone())).transpose()?;
    Ok(Settings {
        desk: ::compute::desk::Settings { input_dim, ..door.desk },
        budget: door.budget,
        coldkey_delay_s: door.coldkey_delay.as_secs(),
        monitor_token: door.monitor_token.clone(),
        proxies: door.proxies.clone(),
        blacklist: door.blacklist.clone(),
        own: signer,
        founders: founders(input_dim),
        ledger,
        unwanted,
        pace: door.pace,
        relay,
    })
}

/// Who is banned, as it is known at each request.
fn unwanted(live: &Arc<Live>, network: &str) -> Unwanted {
    let (live, network) = (live.clone(), network.to_owned());
    Unwanted::by(move |address, key| {
        let bans = live.bans.load();
        let host = address.is_some_and(|address| bans.has_host(address));
        host || key.is_some_and(|key| bans.has_account(&identity(key, &network)))
    })
}

fn identity(key: &PublicKey, network: &str) -> Identity {
    let kind = accounting::IdentityKind::PublicKey;
    Identity { kind, network: network.to_owned(), bytes: key.bytes().to_vec() }
}

fn about(own: &ExternalSettings) -> About {
    About {
        coin: "Bittensor".into(),
        symbol: own.symbol,
        block_interval_s: BLOCK_S,
        difficulty_one: ONE,
        measure: Box::new(|| Measure::Reputation),
        addresses: addresses(own.clone()),
        nodes: Box::new(Vec::new),
        next: Box::new(|| None),
    }
}

fn addresses(own: ExternalSettings) -> Addresses {
    let parse = move |text: &str| {
        let identity = own.identity_of(text).map_err(|error| error.to_string())?;
        Ok(Parsed { identity, display: text.to_owned() })
    };
    let prove = |who: &Identity, message: &str, signature: &str| {
        let key: [u8; 32] = who.bytes.as_slice().try_into().map_err(|_| "no hotkey".to_owned())?;
        let signature: Signature = signature.parse().map_err(|bad| format!("{bad}"))?;
        match PublicKey::from_bytes(key).signed(message.as_bytes(), &signature) {
            true => Ok(()),
            false => Err("the signature is not this hotkey's over this message".to_owned()),
        }
    };
    Addresses::new(parse, prove)
}
