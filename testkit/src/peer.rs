//! A peer that does nothing: litecoind gives no templates to a miner without one, even on regtest.

use bitcoin::consensus::encode::{Decodable, serialize};
use bitcoin::p2p::message::{NetworkMessage, RawNetworkMessage};
use bitcoin::p2p::message_network::VersionMessage;
use bitcoin::p2p::{Address, Magic, ServiceFlags};
use std::io::{BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// A connection that is kept until dropped.
#[derive(Debug)]
pub struct IdlePeer(TcpStream);

impl IdlePeer {
    /// Connects, shakes hands, and answers pings from then on.
    ///
    /// # Errors
    /// When the node does not take the connection.
    pub fn connect(node: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(node)?;
        let mut writer = stream.try_clone()?;
        let reader = stream.try_clone()?;
        let nowhere = Address::new(&node, ServiceFlags::NONE);
        let version = VersionMessage::new(
            ServiceFlags::NETWORK,
            0,
            nowhere.clone(),
            nowhere,
            7,
            "/adit-testkit/".into(),
            0,
        );
        let version = VersionMessage { version: 70_015, ..version };
        send(&mut writer, NetworkMessage::Version(version))?;
        std::thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            while let Ok(message) =
                RawNetworkMessage::consensus_decode_from_finite_reader(&mut reader)
            {
                let reply = match message.payload() {
                    NetworkMessage::Version(_) => Some(NetworkMessage::Verack),
                    NetworkMessage::Ping(nonce) => Some(NetworkMessage::Pong(*nonce)),
                    _ => None,
                };
                if reply.is_some_and(|reply| send(&mut writer, reply).is_err()) {
                    return;
                }
            }
        });
        Ok(IdlePeer(stream))
    }
}

impl Drop for IdlePeer {
    fn drop(&mut self) {
        // It may be closed already.
        drop(self.0.shutdown(Shutdown::Both));
    }
}

fn send(stream: &mut TcpStream, message: NetworkMessage) -> std::io::Result<()> {
    stream.write_all(&serialize(&RawNetworkMessage::new(Magic::REGTEST, message)))
}
