//! What GXC's own programs send otherwise than everybody: submissions of four parameters.
//!
//! Invariant: as total and forgiving as [`super::v1`], which reads everything else; a submission that can prove nothing is answered
//! with the reason.

use super::v1::{self, Extranonce2, Id, Malformed, Request, Submission};
use crate::gxc::legacy::Profile;
use serde_json::Value;

/// What is wrong with JxPoolMiner's work.
pub const JX_REASON: &str = "JxPoolMiner hashes a nonce and nothing of the job, so its work proves nothing; mine with gxc-miner-standalone on a \
     port with that profile, or with any Bitcoin miner on a sha256 port";

/// Reads one line, on a port with this profile.
///
/// # Errors
/// As [`v1::parse`].
pub fn parse(line: &[u8], profile: Option<Profile>) -> Result<(Id, Request), Malformed> {
    let (id, request) = v1::parse(line)?;
    let Request::BadSubmit(reason) = request else { return Ok((id, request)) };
    // It is an object: the first reader saw that.
    let Ok(raw) = serde_json::from_slice::<Value>(line) else { return Err(Malformed::NotAnObject) };
    let params = raw["params"].as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = params.iter().filter_map(Value::as_str).collect();
    let &[user, job, third, fourth] = texts.as_slice() else {
        return Ok((id, Request::BadSubmit(reason)));
    };
    let with = |extranonce2: &str, nonce: &str| {
        let nonce_digits = nonce.len();
        let submission = Submission {
            user: user.into(),
            job: v1::job_ref(job),
            extranonce2: match extranonce2 {
                "" => Extranonce2::ZERO,
                text => v1::extranonce2_from_hex(text).ok_or("extranonce2 is not hex")?,
            },
            // That of its work, which the connection knows.
            ntime: 0,
            nonce: v1::number_from_hex(nonce, 16).ok_or("nonce is not hex")?,
            version_bits: None,
            nonce_digits,
        };
        Ok(submission)
    };
    let read = match profile {
        // Worker, job, nonce, and the hash that it says it found.
        Some(Profile::Jx) => with("", third),
        Some(Profile::Guide) => with(third, fourth),
        _ if is_hash(fourth) => Err(JX_REASON),
        _ => Err(reason),
    };
    Ok((id, read.map_or_else(Request::BadSubmit, Request::Submit)))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, profile: Option<Profile>) -> Request {
        parse(line.as_bytes(), profile).unwrap().1
    }

    #[test]
    fn four_parameters_are_what_the_profile_says() {
        let guides =
            r#"{"id":3,"method":"mining.submit","params":["tGXC1","1f","00000000","0001b95a"]}"#;
        let Request::Submit(share) = read(guides, Some(Profile::Guide)) else { panic!("a share") };
        assert_eq!((share.job.no, share.nonce, share.ntime), (0x1f, 0x1b95a, 0));
        assert_eq!(share.extranonce2.as_slice(), [0; 4]);
        let hash = "ab".repeat(32);
        let jx = format!(
            r#"{{"id":3,"method":"mining.submit","params":["tGXC1:rig","1f","0001b95a","{hash}"]}}"#
        );
        let Request::Submit(share) = read(&jx, Some(Profile::Jx)) else { panic!("a share") };
        assert_eq!((&*share.user, share.nonce), ("tGXC1:rig", 0x1b95a));
        for profile in [None, Some(Profile::Standalone), Some(Profile::Suite)] {
            assert_eq!(read(&jx, profile), Request::BadSubmit(JX_REASON));
            let Request::BadSubmit(other) = read(guides, profile) else { panic!("no share") };
            assert_ne!(other, JX_REASON);
        }
    }

    #[test]
    fn five_parameters_are_everybodys() {
        let line = r#"{"id":3,"method":"mining.submit","params":["tGXC1","1f","00000001","6773dcf2","2a"]}"#;
        for profile in [None, Some(Profile::Guide), Some(Profile::Jx), Some(Profile::Pro)] {
            let Request::Submit(share) = read(line, profile) else { panic!("a share") };
            assert_eq!((share.ntime, share.nonce), (0x6773_dcf2, 0x2a));
        }
    }

    #[test]
    fn fuzz_submissions_of_four_parameters() {
        let hash = "ab".repeat(32);
        let seeds = [
            r#"{"id":3,"method":"mining.submit","params":["tGXC1","1f","00000000","0001b95a"]}"#
                .to_owned(),
            format!(r#"{{"id":3,"method":"mining.submit","params":["a:b","1","2a","{hash}"]}}"#),
        ];
        let seeds: Vec<&[u8]> = seeds.iter().map(String::as_bytes).collect();
        for profile in [None, Some(Profile::Guide), Some(Profile::Jx)] {
            testkit::fuzz::fuzz(&seeds, |bytes| drop(parse(bytes, profile)));
        }
    }
}
