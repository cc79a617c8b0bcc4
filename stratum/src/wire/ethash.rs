//! What Ethash miners send: NiceHash's `EthereumStratum/1.0.0`, the proxies' `eth_submitLogin` and `eth_getWork`, and plain
//! Stratum as ethminer speaks it.
//!
//! Invariant: as total and forgiving as [`super::v1`], which reads everything else; what a miner leaves out of a submission (time,
//! extranonce) is what its work had.

use super::v1::{self, Extranonce2, Id, Malformed, Request, Submission};
use serde_json::Value;

/// How a connection speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `mining.subscribe` alone: work with a target, nonces whole.
    #[default]
    Plain,
    /// `EthereumStratum/1.0.0`: a difficulty, and nonces that begin with the connection's extranonce.
    EthereumStratum,
    /// `eth_submitLogin`: work as nodes give it.
    Proxy,
}

/// The name by which `mining.subscribe` asks for it.
pub const ETHEREUM_STRATUM: &str = "EthereumStratum/1.0.0";
/// Digits of a whole nonce.
const NONCE_DIGITS: usize = 16;

/// Reads one line.
///
/// # Errors
/// As [`v1::parse`].
pub fn parse(line: &[u8]) -> Result<(Id, Request), Malformed> {
    let (id, request) = v1::parse(line)?;
    let (Request::Unknown(_) | Request::Submit(_) | Request::BadSubmit(_)) = request else {
        return Ok((id, request));
    };
    // It is an object: the first reader saw that.
    let Ok(raw) = serde_json::from_slice::<Value>(line) else { return Err(Malformed::NotAnObject) };
    let params = raw["params"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |at: usize| params.get(at).and_then(Value::as_str).unwrap_or_default();
    let request = match raw["method"].as_str().unwrap_or_default() {
        "mining.submit" => submission(text).map_or_else(Request::BadSubmit, Request::Submit),
        "eth_submitLogin" => {
            let user = match raw["worker"].as_str().filter(|worker| !worker.is_empty()) {
                Some(worker) if !text(0).contains('.') => format!("{}.{worker}", text(0)),
                _ => text(0).to_owned(),
            };
            Request::EthLogin { user, password: text(1).to_owned() }
        }
        "eth_getWork" => Request::EthGetWork,
        "eth_submitWork" => match (nonce(text(0)), header(text(1))) {
            (Some((nonce, NONCE_DIGITS)), Some(header)) => Request::EthSubmit { nonce, header },
            _ => Request::BadSubmit(
                "eth_submitWork takes a nonce of 8 bytes, a header's hash and a mix",
            ),
        },
        "eth_submitHashrate" => Request::Harmless,
        _ => request,
    };
    Ok((id, request))
}

/// User, job and nonce; what follows (header and mix) proves nothing.
fn submission<'a>(text: impl Fn(usize) -> &'a str) -> Result<Submission, &'static str> {
    let (nonce, digits) =
        nonce(text(2)).ok_or("submit takes a user, a job and a nonce in hex of at most 8 bytes")?;
    Ok(Submission {
        user: text(0).into(),
        job: v1::job_ref(text(1)),
        extranonce2: Extranonce2::ZERO,
        ntime: 0,
        nonce,
        version_bits: None,
        nonce_digits: digits,
    })
}

/// A nonce and its digits: fewer where the connection's extranonce comes before them.
fn nonce(text: &str) -> Option<(u64, usize)> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits.is_empty() || digits.len() > NONCE_DIGITS || !is_hex {
        return None;
    }
    Some((u64::from_str_radix(digits, 16).ok()?, digits.len()))
}

fn header(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(32);
    (digits.len() == 64).then_some(())?;
    crate::template::push_hex(&mut bytes, digits)?;
    bytes.try_into().ok()
}

/// The whole nonce of a submission: what a miner leaves out is its connection's prefix.
#[must_use]
pub fn whole_nonce(submission: &Submission, prefix: [u8; 2]) -> Option<u64> {
    match submission.nonce_digits {
        NONCE_DIGITS => Some(submission.nonce),
        12 => Some(u64::from(u16::from_be_bytes(prefix)) << 48 | submission.nonce),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Request {
        parse(line.as_bytes()).unwrap().1
    }

    #[test]
    fn every_dialects_submission_is_read() {
        let Request::Submit(short) =
            read(r#"{"id":4,"method":"mining.submit","params":["a.rig","1f","6a909d9bbc0f"]}"#)
        else {
            panic!("a submission")
        };
        assert_eq!((short.job.no, short.nonce), (0x1f, 0x6a90_9d9b_bc0f));
        assert_eq!(whole_nonce(&short, [8, 12]), Some(0x080c_6a90_9d9b_bc0f));
        let header = "ab".repeat(32);
        let long = format!(
            r#"{{"id":4,"method":"mining.submit","params":["a","1f","0x080c6a909d9bbc0f","0x{header}","0x{header}"],"worker":"rig"}}"#
        );
        let Request::Submit(long) = read(&long) else { panic!("a submission") };
        assert_eq!(whole_nonce(&long, [0, 0]), Some(0x080c_6a90_9d9b_bc0f));
        let work = format!(
            r#"{{"id":4,"jsonrpc":"2.0","method":"eth_submitWork","params":["0x080c6a909d9bbc0f","0x{header}","0x{header}"]}}"#
        );
        let Request::EthSubmit { nonce, header } = read(&work) else { panic!("work") };
        assert_eq!((nonce, header), (0x080c_6a90_9d9b_bc0f, [0xab; 32]));
    }

    #[test]
    fn a_login_names_its_worker_in_either_place() {
        for line in [
            r#"{"id":1,"method":"eth_submitLogin","params":["tGXC1.rig","x"]}"#,
            r#"{"id":1,"method":"eth_submitLogin","worker":"rig","params":["tGXC1","x"]}"#,
        ] {
            let expected = Request::EthLogin { user: "tGXC1.rig".into(), password: "x".into() };
            assert_eq!(read(line), expected);
        }
    }

    #[test]
    fn fuzz_the_ethash_dialects() {
        let header = "ab".repeat(32);
        let seeds = [
            r#"{"id":4,"method":"mining.submit","params":["a.rig","1f","6a909d9bbc0f"]}"#
                .to_owned(),
            r#"{"id":1,"method":"eth_submitLogin","worker":"rig","params":["tGXC1","x"]}"#.into(),
            format!(
                r#"{{"id":4,"method":"eth_submitWork","params":["0x080c6a909d9bbc0f","0x{header}","0x{header}"]}}"#
            ),
        ];
        let seeds: Vec<&[u8]> = seeds.iter().map(String::as_bytes).collect();
        testkit::fuzz::fuzz(&seeds, |bytes| drop(parse(bytes)));
    }
}
