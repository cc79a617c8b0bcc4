//! Stratum V1: one line of JSON to one [`Request`], and our answers to lines.
//!
//! Invariant: total and forgiving. Whatever bytes come in, a request or a refusal comes out, in time linear in the line;
//! every spelling that real firmware uses means what its author meant.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Longest line accepted, in bytes.
pub const LINE_MAX: usize = 16 * 1024;
/// Longest request id echoed, in bytes.
const ID_MAX: usize = 64;
/// Deepest nesting of arrays and objects accepted.
const DEPTH_MAX: u32 = 16;
/// Largest extranonce2, in bytes.
pub const EXTRANONCE2_MAX: usize = 16;

/// A request's id, echoed as it was written: a number, a string or null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// The usual case.
    Number(u64),
    /// Anything else, as JSON text.
    Text(Box<str>),
}

impl Id {
    /// Was no id given?
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Id::Text(text) if **text == *"null")
    }
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// BIP310 `mining.configure`.
    Configure(Configure),
    /// `mining.subscribe`.
    Subscribe {
        /// What the client calls itself.
        user_agent: String,
        /// A subscription it had before and wants again.
        resume: Option<String>,
    },
    /// `mining.authorize`.
    Authorize {
        /// `address[.worker]`.
        user: String,
        /// Options such as `d=1000`.
        password: String,
    },
    /// `mining.suggest_difficulty`, or `mining.suggest_target` turned into one.
    SuggestDifficulty(f64),
    /// `mining.suggest_target`: big-endian hex.
    SuggestTarget([u8; 32]),
    /// `mining.extranonce.subscribe`.
    ExtranonceSubscribe,
    /// `mining.get_transactions` of a job.
    GetTransactions {
        /// The job's id.
        job: String,
    },
    /// `mining.submit`.
    Submit(Submission),
    /// `mining.submit` whose fields cannot be read.
    BadSubmit(&'static str),
    /// `eth_submitLogin`.
    EthLogin {
        /// `address[.worker]`.
        user: String,
        /// Options such as `d=1000`.
        password: String,
    },
    /// `eth_getWork`.
    EthGetWork,
    /// `eth_submitWork`.
    EthSubmit {
        /// The whole nonce.
        nonce: u64,
        /// The hash of the header it was found for.
        header: [u8; 32],
    },
    /// `mining.ping`.
    Ping,
    /// A request that is answered `true` and has no effect (`mining.capabilities`, `mining.multi_version` …).
    Harmless,
    /// An answer to something we asked, or a pong.
    Answer,
    /// A method nobody knows.
    Unknown(String),
}

/// The extensions of `mining.configure`, in the order asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Configure {
    /// Extension names.
    pub extensions: Vec<String>,
    /// `version-rolling.mask`.
    pub version_mask: Option<u32>,
    /// `minimum-difficulty.value`.
    pub minimum_difficulty: Option<f64>,
}

/// A share as submitted: read, not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The user name it was sent under.
    pub user: Box<str>,
    /// Which job.
    pub job: JobRef,
    /// Extranonce2 and its length.
    pub extranonce2: Extranonce2,
    /// Header time.
    pub ntime: u32,
    /// The nonce: 32 bits in a header, 64 beside one.
    pub nonce: u64,
    /// Rolled version bits (BIP310), when there is a sixth field.
    pub version_bits: Option<u32>,
    /// Ethash: digits of the nonce that the miner chose; see [`super::ethash::whole_nonce`].
    pub nonce_digits: usize,
}

/// A job id as we write it: the job's number, and which variant of it this connection was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobRef {
    /// The job's number.
    pub no: u32,
    /// 0, or the count of this connection's difficulty changes within the job.
    pub variant: u8,
}

/// Up to [`EXTRANONCE2_MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extranonce2 {
    bytes: [u8; EXTRANONCE2_MAX],
    len: u8,
}

impl Extranonce2 {
    /// None chosen: zeros, whatever its size.
    pub const ZERO: Extranonce2 = Extranonce2 { bytes: [0; EXTRANONCE2_MAX], len: 0 };

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Why a line is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Nested too deep.
    #[error("nested too deep")]
    TooDeep,
    /// The id is neither number, string nor null, or too long.
    #[error("the id is no number, string or null")]
    BadId,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// Reads one line (without its end).
///
/// # Errors
/// When it is no request at all; then there is no id to answer to.
pub fn parse(line: &[u8]) -> Result<(Id, Request), Malformed> {
    if depth(line) > DEPTH_MAX {
        return Err(Malformed::TooDeep);
    }
    // serde reads a struct from an array too; a request is an object.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(Malformed::NotAnObject);
    }
    let raw: Raw<'_> = serde_json::from_slice(line).map_err(|_| Malformed::NotAnObject)?;
    let id = Id::read(raw.id.map(RawValue::get))?;
    let Some(method) = raw.method else { return Ok((id, Request::Answer)) };
    let params = Params(raw.params.map_or("[]", RawValue::get));
    Ok((id, request(&method, params)))
}

fn request(method: &str, params: Params<'_>) -> Request {
    match method {
        "mining.submit" => match params.submission() {
            Ok(submission) => Request::Submit(submission),
            Err(reason) => Request::BadSubmit(reason),
        },
        "mining.subscribe" => {
            let mut texts = params.texts();
            let user_agent = texts.next().unwrap_or_default();
            Request::Subscribe { user_agent, resume: texts.next().filter(|text| !text.is_empty()) }
        }
        "mining.authorize" => {
            let mut texts = params.texts();
            let (user, password) =
                (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
            Request::Authorize { user, password }
        }
        "mining.configure" => Request::Configure(params.configure()),
        "mining.suggest_difficulty" => match params.number() {
            Some(difficulty) => Request::SuggestDifficulty(difficulty),
            None => Request::Harmless,
        },
        "mining.suggest_target" => match params.texts().next().as_deref().and_then(target_from_hex)
        {
            Some(target) => Request::SuggestTarget(target),
            None => Request::Harmless,
        },
        "mining.extranonce.subscribe" => Request::ExtranonceSubscribe,
        "mining.get_transactions" => {
            Request::GetTransactions { job: params.texts().next().unwrap_or_default() }
        }
        "mining.ping" => Request::Ping,
        "mining.capabilities"
        | "mining.multi_version"
        | "mining.set_goal"
        | "mining.suggest_version_mask" => Request::Harmless,
        "pong" | "mining.pong" | "client.show_message" | "client.get_version" => Request::Answer,
        other => Request::Unknown(other.chars().take(64).collect()),
    }
}

/// Deepest nesting, strings skipped; stops counting a little beyond the limit.
fn depth(line: &[u8]) -> u32 {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0u32, 0u32, false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
                if deepest > DEPTH_MAX {
                    return deepest;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl Id {
    fn read(text: Option<&str>) -> Result<Self, Malformed> {
        let text = text.unwrap_or("null");
        if let Ok(number) = text.parse::<u64>()
            && !text.starts_with('+')
        {
            return Ok(Id::Number(number));
        }
        let is_container = text.starts_with(['[', '{']);
        if is_container || text.len() > ID_MAX {
            Err(Malformed::BadId)
        } else {
            Ok(Id::Text(text.into()))
        }
    }

    /// Appends it as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Id::Number(number) => {
                let mut buffer = [0u8; 20];
                out.extend_from_slice(decimal(*number, &mut buffer));
            }
            Id::Text(text) => out.extend_from_slice(text.as_bytes()),
        }
    }
}

fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            return &buffer[at..];
        }
    }
}

/// The parameters of a request, as JSON text: an array, or whatever the client thought one was.
#[derive(Clone, Copy)]
struct Params<'a>(&'a str);

impl<'a> Params<'a> {
    /// The elements, leniently: a value that is no array is its own only element.
    fn values(self) -> Vec<serde_json::Value> {
        match serde_json::from_str(self.0) {
            Ok(serde_json::Value::Array(values)) => values,
            Ok(serde_json::Value::Null) | Err(_) => Vec::new(),
            Ok(other) => vec![other],
        }
    }

    /// The elements as texts; numbers are written out, null and containers are empty.
    fn texts(self) -> impl Iterator<Item = String> {
        self.values().into_iter().map(|value| match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => String::new(),
        })
    }

    /// A number in any spelling seen: `[512]`, `["512"]`, `[0.5]`, `512`, `{"difficulty": 512}`, `[{"difficulty": 512}]`.
    fn number(self) -> Option<f64> {
        let number = self.values().first().and_then(number_in)?;
        (number.is_finite() && number > 0.0).then_some(number)
    }

    fn configure(self) -> Configure {
        let values = self.values();
        let names =
            values.first().and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
        let extensions = names
            .iter()
            .filter_map(serde_json::Value::as_str)
            .take(16)
            .map(str::to_owned)
            .collect();
        let option = |name: &str| values.get(1).and_then(|options| options.get(name));
        let mask = option("version-rolling.mask").and_then(serde_json::Value::as_str);
        let version_mask =
            mask.and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
        let minimum_difficulty = option("minimum-difficulty.value").and_then(number_in);
        Configure { extensions, version_mask, minimum_difficulty }
    }

    /// Five or six texts: user, job, extranonce2, ntime, nonce, version bits.
    fn submission(self) -> Result<Submission, &'static str> {
        let fields: Fields<'a> =
            serde_json::from_str(self.0).map_err(|_| "submit takes five or six strings")?;
        let Fields(user, job, extranonce2, ntime, nonce, version_bits) = fields;
        Ok(Submission {
            job: job_ref(&job),
            extranonce2: extranonce2_from_hex(&extranonce2).ok_or("extranonce2 is not hex")?,
            ntime: word_from_hex(&ntime).ok_or("ntime is not hex of 4 bytes")?,
            nonce: number_from_hex(&nonce, 16)
                .ok_or("nonce is not hex of 4 bytes (8 with ethash and gxhash)")?,
            version_bits: version_bits
                .as_deref()
                .map(|text| word_from_hex(text).ok_or("version bits are not hex of 4 bytes"))
                .transpose()?,
            user: user.into(),
            nonce_digits: nonce.len(),
        })
    }
}

struct Fields<'a>(
    Cow<'a, str>,
    Cow<'a, str>,
    Cow<'a, str>,
    Cow<'a, str>,
    Cow<'a, str>,
    Option<Cow<'a, str>>,
);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("five or six strings")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Self::Value, A::Error> {
                let mut field = |at| {
                    let text: Option<Str<'de>> = seq.next_element()?;
                    text.map(|Str(text)| text)
                        .ok_or_else(|| serde::de::Error::invalid_length(at, &"five or six strings"))
                };
                let (user, job, extranonce2) = (field(0)?, field(1)?, field(2)?);
                let (ntime, nonce) = (field(3)?, field(4)?);
                let version_bits =
                    seq.next_element::<Option<Str<'de>>>()?.flatten().map(|Str(text)| text);
                while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Fields(user, job, extranonce2, ntime, nonce, version_bits))
            }
        }
        deserializer.deserialize_seq(Visitor)
    }
}

/// A string borrowed from the line where it has no escapes.
struct Str<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Str<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Str(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

fn number_in(value: &serde_json::Value) -> Option<f64> {
    match value {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        serde_json::Value::Array(inner) => inner.first().and_then(number_in),
        serde_json::Value::Object(fields) => {
            fields.get("difficulty").or_else(|| fields.get("value")).and_then(number_in)
        }
        _ => None,
    }
}

/// Our own job ids; anything else names a job that never was.
pub(super) fn job_ref(text: &str) -> JobRef {
    let (no, variant) = text.split_once('.').unwrap_or((text, "0"));
    match (u32::from_str_radix(no, 16), u8::from_str_radix(variant, 16)) {
        (Ok(no), Ok(variant)) if !text.starts_with('+') && !variant_has_sign(text) => {
            JobRef { no, variant }
        }
        _ => JobRef { no: 0, variant: 0 },
    }
}

fn variant_has_sign(text: &str) -> bool {
    text.contains(".+")
}

impl JobRef {
    /// As it is written in `mining.notify`.
    pub fn write(self, out: &mut String) {
        let written = if self.variant == 0 {
            write!(out, "{:x}", self.no)
        } else {
            write!(out, "{:x}.{:x}", self.no, self.variant)
        };
        written.expect("writing to a string does not fail");
    }
}

fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// A 32-bit word of one to eight hex digits, big-endian, padded on the left (NerdMiner does not pad), `0x` allowed.
fn word_from_hex(text: &str) -> Option<u32> {
    u32::try_from(number_from_hex(text, 8)?).ok()
}

/// The same of at most so many digits.
pub(super) fn number_from_hex(text: &str, digits_max: usize) -> Option<u64> {
    let digits =
        text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text).as_bytes();
    if digits.is_empty() || digits.len() > digits_max {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| Some(number << 4 | u64::from(nibble(*digit)?)))
}

/// Hex of at most [`EXTRANONCE2_MAX`] bytes; an odd number of digits is padded on the left.
pub(super) fn extranonce2_from_hex(text: &str) -> Option<Extranonce2> {
    let digits =
        text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text).as_bytes();
    if digits.is_empty() || digits.len() > 2 * EXTRANONCE2_MAX {
        return None;
    }
    let mut bytes = [0u8; EXTRANONCE2_MAX];
    let len = digits.len().div_ceil(2);
    let odd = digits.len() % 2;
    for (at, digit) in digits.iter().enumerate() {
        let place = at + odd;
        bytes[place / 2] = bytes[place / 2] << 4 | nibble(*digit)?;
    }
    Some(Extranonce2 { bytes, len: u8::try_from(len).ok()? })
}

fn target_from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0u8; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

impl Extranonce2 {
    /// The same number in exactly `size` bytes: padded on the left; `None` when it is longer.
    #[must_use]
    pub fn sized(&self, size: usize) -> Option<Extranonce2> {
        let own = self.as_slice();
        let missing = size.checked_sub(own.len())?;
        let mut bytes = [0u8; EXTRANONCE2_MAX];
        bytes.get_mut(missing..size)?.copy_from_slice(own);
        Some(Extranonce2 { bytes, len: u8::try_from(size).ok()? })
    }
}

/// Appends `{"id":…,"result":true,"error":null}`.
pub fn write_true(id: &Id, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    id.write(out);
    out.extend_from_slice(b",\"result\":true,\"error\":null}\n");
}

/// Appends a reply whose result is JSON text.
pub fn write_result(id: &Id, result: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    id.write(out);
    out.extend_from_slice(b",\"result\":");
    out.extend_from_slice(result.as_bytes());
    out.extend_from_slice(b",\"error\":null}\n");
}

/// Appends an error reply: code, message and null, as an array (some clients read nothing else). `result` is `null`, or
/// `false` for the clients that ask a yes-or-no question.
pub fn write_error(id: &Id, result: &str, code: u8, message: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":");
    id.write(out);
    let rest = format!(
        ",\"result\":{result},\"error\":[{code},{},null]}}\n",
        serde_json::Value::from(message)
    );
    out.extend_from_slice(rest.as_bytes());
}

/// Appends a notification.
pub fn write_notification(method: &str, params: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":null,\"method\":\"");
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\",\"params\":");
    out.extend_from_slice(params.as_bytes());
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &str) -> (Id, Request) {
        parse(line.as_bytes()).unwrap()
    }

    fn submit(params: &str) -> Request {
        ask(&format!(r#"{{"id":4,"method":"mining.submit","params":{params}}}"#)).1
    }

    #[test]
    fn ids_are_echoed_as_they_were_written() {
        for id in [
            "1",
            "0",
            "18446744073709551615",
            "18446744073709551616",
            "-1",
            "1.5",
            "1e3",
            "\"txlist\"",
            "null",
            "true",
        ] {
            let line = format!(r#"{{"id":{id},"method":"mining.ping","params":[]}}"#);
            let mut out = Vec::new();
            ask(&line).0.write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), id);
        }
        assert_eq!(ask(r#"{"method":"mining.ping"}"#).0, Id::Text("null".into()));
        assert_eq!(parse(br#"{"id":[1],"method":"mining.ping"}"#), Err(Malformed::BadId));
    }

    #[test]
    fn submits_have_five_or_six_fields_and_unpadded_hex() {
        let Request::Submit(five) =
            submit(r#"["addr.rig","1a","0000000000000001","665f1a2b","1f"]"#)
        else {
            panic!()
        };
        assert_eq!(
            (five.job, five.ntime, five.nonce),
            (JobRef { no: 0x1a, variant: 0 }, 0x665f_1a2b, 0x1f)
        );
        assert_eq!(five.extranonce2.as_slice(), [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(five.version_bits, None);
        let Request::Submit(six) =
            submit(r#"["a","1a.3","ABC","0x665F1A2B","0000001f","1fffe000"]"#)
        else {
            panic!()
        };
        assert_eq!(six.job, JobRef { no: 0x1a, variant: 3 });
        assert_eq!(six.extranonce2.as_slice(), [0x0a, 0xbc]);
        assert_eq!((six.ntime, six.version_bits), (0x665f_1a2b, Some(0x1fff_e000)));
        let Request::Submit(null) = submit(r#"["a","1","00","00","00",null]"#) else { panic!() };
        assert_eq!(null.version_bits, None);
    }

    #[test]
    fn unreadable_submits_say_which_field() {
        for (params, word) in [
            (r#"["a","1","00","00"]"#, "five or six"),
            (r#"{"a":1}"#, "five or six"),
            (r#"["a","1","zz","00","00"]"#, "extranonce2"),
            (r#"["a","1","","00","00"]"#, "extranonce2"),
            (r#"["a","1","00","123456789","00"]"#, "ntime"),
            (r#"["a","1","00","00","0x"]"#, "nonce"),
            (r#"["a","1","00","00","00","xyz"]"#, "version"),
        ] {
            let Request::BadSubmit(reason) = submit(params) else { panic!("{params}") };
            assert!(reason.contains(word), "{params}: {reason}");
        }
    }

    #[test]
    fn foreign_job_ids_name_no_job() {
        for job in
            ["", "xyz", "-1", "+1", "1.", "1.+2", "1.100", "100000000", "1.2.3", "deadbeefcafe"]
        {
            let Request::Submit(s) = submit(&format!(r#"["a","{job}","00","00","00"]"#)) else {
                panic!()
            };
            assert_eq!(s.job, JobRef { no: 0, variant: 0 }, "{job}");
        }
    }

    #[test]
    fn suggest_difficulty_is_read_in_every_spelling() {
        for params in [
            "[512]",
            "[\"512\"]",
            "[512.0]",
            "512",
            "{\"difficulty\":512}",
            "[{\"difficulty\":\"512\"}]",
            "[[512]]",
        ] {
            let line =
                format!(r#"{{"id":null,"method":"mining.suggest_difficulty","params":{params}}}"#);
            assert_eq!(ask(&line).1, Request::SuggestDifficulty(512.0), "{params}");
        }
        for params in ["[]", "[\"x\"]", "[0]", "[-4]", "null", "[1e999]"] {
            let line =
                format!(r#"{{"id":null,"method":"mining.suggest_difficulty","params":{params}}}"#);
            assert!(
                parse(line.as_bytes()).map(|(_, r)| r == Request::Harmless).unwrap_or(true),
                "{params}"
            );
        }
    }

    #[test]
    fn configure_lists_extensions_and_reads_masks_with_and_without_count() {
        let line = r#"{"id":1,"method":"mining.configure","params":[["version-rolling","minimum-difficulty","x"],
            {"version-rolling.mask":"ffffffff","minimum-difficulty.value":0.5}]}"#;
        let Request::Configure(c) = ask(line).1 else { panic!() };
        assert_eq!(c.extensions, ["version-rolling", "minimum-difficulty", "x"]);
        assert_eq!((c.version_mask, c.minimum_difficulty), (Some(u32::MAX), Some(0.5)));
        assert_eq!(
            ask(r#"{"id":1,"method":"mining.configure","params":[]}"#).1,
            Request::Configure(Configure::default())
        );
    }

    #[test]
    fn garbage_is_refused_without_a_stack_overflow() {
        let deep = "[".repeat(1000);
        for line in ["", "{", "[]", "1", "null", "\"x\"", "{\"id\":}", deep.as_str(), "\u{0}"] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
        assert_eq!(
            parse(format!("{{\"id\":1,\"method\":\"m\",\"params\":{deep}").as_bytes()),
            Err(Malformed::TooDeep)
        );
        assert!(parse(b"{\"id\":1,\"method\":\"\xff\xfe\"}").is_err(), "invalid UTF-8");
        let brackets_in_text =
            format!(r#"{{"id":1,"method":"mining.authorize","params":["{deep}\"["]}}"#);
        assert!(
            matches!(ask(&brackets_in_text).1, Request::Authorize { .. }),
            "brackets in a string do not nest"
        );
    }

    #[test]
    fn subscribe_takes_anything_or_nothing() {
        for (params, agent, resume) in [
            ("[]", "", None),
            ("null", "", None),
            (r#"["bitaxe/BM1370/v2.4"]"#, "bitaxe/BM1370/v2.4", None),
            (r#"["cgminer/4.11", "abcd"]"#, "cgminer/4.11", Some("abcd")),
            (r#"["NiceHash/1.0.0", null, "host", 3333]"#, "NiceHash/1.0.0", None),
        ] {
            let line = format!(r#"{{"id":1,"method":"mining.subscribe","params":{params}}}"#);
            let expected =
                Request::Subscribe { user_agent: agent.into(), resume: resume.map(str::to_owned) };
            assert_eq!(ask(&line).1, expected, "{params}");
        }
    }

    #[test]
    fn replies_are_single_lines_of_json() {
        let mut out = Vec::new();
        write_true(&Id::Number(0), &mut out);
        write_result(&Id::Text("\"a\"".into()), "[1]", &mut out);
        write_error(&Id::Number(7), "null", 23, "low \"difficulty\"", &mut out);
        write_notification("mining.set_difficulty", "[0.5]", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 4);
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        assert!(text.starts_with("{\"id\":0,\"result\":true,\"error\":null}\n"));
    }

    #[test]
    fn extranonce2_is_padded_to_its_size_and_never_cut() {
        let two = extranonce2_from_hex("0102").unwrap();
        assert_eq!(two.sized(4).unwrap().as_slice(), [0, 0, 1, 2]);
        assert_eq!(two.sized(1), None);
        assert_eq!(two.sized(17), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(line: Vec<u8>) {
            let parsed = parse(&line);
            proptest::prop_assert!(parsed.is_ok() || parsed.is_err());
        }

        #[test]
        fn job_ids_read_back(no: u32, variant: u8) {
            let mut text = String::new();
            let job = JobRef { no, variant };
            job.write(&mut text);
            proptest::prop_assert_eq!(job_ref(&text), job);
            proptest::prop_assert!(text.len() <= 16);
        }
    }
}
