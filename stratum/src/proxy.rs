//! The PROXY protocol, versions 1 and 2: who is behind a load balancer.
//!
//! Invariant: read only on ports configured for it, since anybody can write such a header; total, and bounded before it is
//! parsed.

use ppp::HeaderResult;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header we wait for: version 1 has at most 107 bytes, version 2 rarely more than its addresses.
pub const HEADER_MAX: usize = 536;
/// The longest header of version 1, its end included.
const V1_MAX: usize = 107;

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// More bytes are needed.
    Incomplete,
    /// A header of so many bytes, naming this client (`None`: a health check of the proxy itself).
    Complete {
        /// The client behind the proxy.
        client: Option<IpAddr>,
        /// Bytes that belong to the header.
        length: usize,
    },
    /// Not a header.
    Invalid,
}

/// Reads the header at the beginning of `bytes`.
#[must_use]
pub fn read(bytes: &[u8]) -> Header {
    match whole_length(bytes) {
        Length::Unknown => Header::Incomplete,
        Length::Known(length) if bytes.len() < length => Header::Incomplete,
        Length::Known(length) => parse(&bytes[..length]),
        Length::NoHeader => Header::Invalid,
    }
}

enum Length {
    Unknown,
    Known(usize),
    NoHeader,
}

/// How long the header says it is, before it is parsed.
fn whole_length(bytes: &[u8]) -> Length {
    const V1: &[u8] = b"PROXY";
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    let begins = |prefix: &[u8]| {
        let common = bytes.len().min(prefix.len());
        bytes[..common] == prefix[..common]
    };
    if begins(V1) {
        return match bytes.windows(2).position(|pair| pair == b"\r\n") {
            Some(at) => Length::Known(at + 2),
            None if bytes.len() < V1_MAX => Length::Unknown,
            None => Length::NoHeader,
        };
    }
    if begins(V2) {
        return match bytes {
            [_, _, _, _, _, _, _, _, _, _, _, _, _, _, high, low, ..] => {
                let length = 16 + usize::from(u16::from_be_bytes([*high, *low]));
                if length <= HEADER_MAX { Length::Known(length) } else { Length::NoHeader }
            }
            _ => Length::Unknown,
        };
    }
    Length::NoHeader
}

fn parse(bytes: &[u8]) -> Header {
    let result = HeaderResult::parse(bytes);
    match result {
        HeaderResult::V1(Ok(header)) => {
            let client = match header.addresses {
                ppp::v1::Addresses::Tcp4(a) => Some(IpAddr::V4(a.source_address)),
                ppp::v1::Addresses::Tcp6(a) => Some(IpAddr::V6(a.source_address)),
                ppp::v1::Addresses::Unknown => None,
            };
            Header::Complete { client, length: header.header.len() }
        }
        HeaderResult::V2(Ok(header)) => {
            let client = match (header.command, header.addresses) {
                (ppp::v2::Command::Local, _) => None,
                (_, ppp::v2::Addresses::IPv4(a)) => Some(IpAddr::V4(a.source_address)),
                (_, ppp::v2::Addresses::IPv6(a)) => Some(IpAddr::V6(a.source_address)),
                _ => None,
            };
            Header::Complete { client, length: header.header.len() }
        }
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Header::Invalid,
    }
}

/// Reads a header from a socket, byte by byte so that nothing behind it is taken. `None` when there is no valid one.
pub async fn read_from<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Option<IpAddr>> {
    let mut bytes = Vec::with_capacity(64);
    while bytes.len() < HEADER_MAX {
        bytes.push(stream.read_u8().await.ok()?);
        match read(&bytes) {
            Header::Incomplete => {}
            Header::Complete { client, .. } => return Some(client),
            Header::Invalid => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend_from_slice(&[0x20 | command, family]);
        bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[tokio::test]
    async fn both_versions_name_the_client_and_leave_the_rest() {
        let cases: Vec<(Vec<u8>, Option<&str>)> = vec![
            (b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 3333\r\n".to_vec(), Some("203.0.113.7")),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 3333\r\n".to_vec(), Some("2001:db8::7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2(1, 0x11, &[203, 0, 113, 9, 192, 0, 2, 1, 0, 1, 0, 2]), Some("203.0.113.9")),
            (v2(0, 0x00, &[]), None),
        ];
        for (header, client) in cases {
            let whole = [header.as_slice(), b"{\"id\":1}\n"].concat();
            let mut stream = whole.as_slice();
            let found = read_from(&mut stream).await.unwrap();
            assert_eq!(found, client.map(|text| text.parse().unwrap()));
            assert_eq!(stream, b"{\"id\":1}\n");
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        for bytes in [
            &b"{\"id\":1,\"method\":\"mining.subscribe\"}\n"[..],
            b"PROXY TCP4 x y 1 2\r\n",
            b"",
            b"PROXY",
            &[0x41; 2000],
        ] {
            let mut stream = bytes;
            assert_eq!(read_from(&mut stream).await, None);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let header = read(&bytes);
            if let Header::Complete { length, .. } = header {
                proptest::prop_assert!(length <= bytes.len());
            }
        }
    }
}
