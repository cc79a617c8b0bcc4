//! A listening port: its socket, its certificate, its rules.

use super::Live;
use crate::config::PortSettings;
use accounting::PoolId;
use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use stratum::difficulty::Policy;
use stratum::server::{self, Door, Port};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A port that listens.
#[derive(Debug, Clone)]
pub struct OpenPort {
    /// Whose.
    pub pool: PoolId,
    /// Where, with the number that was taken where port 0 was asked for.
    pub address: SocketAddr,
    /// Does it take TLS as well?
    pub tls: bool,
    /// Its difficulties.
    pub policy: Policy,
}

/// Listens.
///
/// # Errors
/// When the address is taken or not ours, or the certificate cannot be used.
pub fn open(settings: &PortSettings, door: &Arc<Door>, live: &Live) -> anyhow::Result<OpenPort> {
    let acceptor = match &settings.tls {
        Some((certificate, key)) => Some(self::acceptor(certificate, key)?),
        None => None,
    };
    let listener = server::bind(settings.listen).with_context(|| {
        format!(
            "cannot listen on {}: is another program there (`ss -ltnp`), or is the port below 1024 and this no root?",
            settings.listen
        )
    })?;
    let address = listener.local_addr()?;
    let port = Port {
        name: address.to_string(),
        policy: settings.policy,
        limits: settings.limits,
        tls: acceptor.clone(),
        proxy_protocol: settings.proxy_protocol,
    };
    tracing::info!(%address, pool = door.pool_id.0, "listening");
    let listening = server::listen(listener, door.clone(), Arc::new(port), live.floor.clone());
    live.spawn(format!("port {address}"), listening);
    Ok(OpenPort { pool: door.pool_id, address, tls: acceptor.is_some(), policy: settings.policy })
}

/// A certificate chain and its key, as PEM files.
///
/// # Errors
/// When they cannot be read or do not belong together.
pub fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let read = || format!("TLS certificate {}", certificate.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .with_context(read)?
        .collect::<Result<_, _>>()
        .with_context(read)?;
    if chain.is_empty() {
        bail!("{} holds no certificate", certificate.display());
    }
    let private =
        PrivateKeyDer::from_pem_file(key).with_context(|| format!("TLS key {}", key.display()))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private);
    let config =
        config.with_context(|| format!("{} and {}", certificate.display(), key.display()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
