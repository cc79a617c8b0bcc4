//! The conversation with the pool, line by line. Pure: lines in, actions out.
//!
//! Invariant: a new difficulty, extranonce or version mask counts from the next job on, as most firmware has it.

use crate::hash::Hash;
use crate::work::{Found, Job, submit_line, unhex};
use pow::{Difficulty, Target};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// What is said at the beginning.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// How we call ourselves.
    pub user_agent: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// Asks for this difficulty.
    pub suggest_difficulty: Option<f64>,
    /// Asks to roll version bits.
    pub version_rolling: bool,
    /// Asks to be told of new extranonces.
    pub extranonce_subscribe: bool,
}

/// Work for the threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The job.
    pub job: Job,
    /// The pool's part of the coinbase.
    pub extranonce1: Vec<u8>,
    /// Bytes of the miner's part.
    pub extranonce2_size: usize,
    /// What a share must meet.
    pub target: Target,
    /// What a block must meet.
    pub network: Target,
    /// Bits of the version that may be rolled; 0: none, and they are not sent.
    pub version_mask: u32,
    /// How headers are hashed.
    pub algorithm: Hash,
}

/// What to do after a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send this line.
    Send(String),
    /// Hash this now.
    Work(Arc<Work>),
    /// Connect again, to this port when one is named, after so many seconds.
    Reconnect(Option<u16>, u64),
    /// The pool said something for people.
    Show(String),
    /// A share was answered: accepted, or the reason.
    Answered(Result<(), String>),
    /// The pool accepts the user, or says why not.
    Authorized(Result<(), String>),
    /// The difficulty of the next shares.
    Difficulty(f64),
}

const CONFIGURE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const AUTHORIZE: u64 = 3;
const FIRST_SUBMIT: u64 = 100;
/// Submits that may be unanswered; the oldest are forgotten beyond it.
const PENDING_MAX: usize = 10_000;

/// One connection's conversation.
#[derive(Debug)]
pub struct Session {
    greeting: Greeting,
    algorithm: Hash,
    extranonce: Option<(Vec<u8>, usize)>,
    resume: Option<String>,
    difficulty: f64,
    version_mask: u32,
    waiting_job: Option<Job>,
    next_submit: u64,
    pending: HashMap<u64, bool>,
}

impl Session {
    /// A new conversation; `resume` is the session id of the connection before.
    #[must_use]
    pub fn new(greeting: Greeting, algorithm: Hash, resume: Option<String>) -> Self {
        Session {
            greeting,
            algorithm,
            extranonce: None,
            resume,
            difficulty: 1.0,
            version_mask: 0,
            waiting_job: None,
            next_submit: FIRST_SUBMIT,
            pending: HashMap::new(),
        }
    }

    /// The session id to come back with.
    #[must_use]
    pub fn resume(&self) -> Option<String> {
        self.resume.clone()
    }

    /// The lines to begin with.
    #[must_use]
    pub fn hello(&self) -> Vec<String> {
        let call = |id: u64, method: &str, params: Value| {
            json!({ "id": id, "method": method, "params": params }).to_string()
        };
        let greeting = &self.greeting;
        let mut lines = Vec::new();
        if greeting.version_rolling {
            let options =
                json!({ "version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": 2 });
            lines.push(call(CONFIGURE, "mining.configure", json!([["version-rolling"], options])));
        }
        let mut subscribe = vec![json!(greeting.user_agent)];
        subscribe.extend(self.resume.iter().map(|id| json!(id)));
        lines.push(call(SUBSCRIBE, "mining.subscribe", subscribe.into()));
        lines.push(call(AUTHORIZE, "mining.authorize", json!([greeting.user, greeting.password])));
        if let Some(difficulty) = greeting.suggest_difficulty {
            lines.push(call(4, "mining.suggest_difficulty", json!([difficulty])));
        }
        if greeting.extranonce_subscribe {
            lines.push(call(5, "mining.extranonce.subscribe", json!([])));
        }
        lines
    }

    /// The line that submits a share.
    #[must_use]
    pub fn submit(&mut self, found: &Found) -> String {
        let id = self.next_submit;
        self.next_submit += 1;
        if self.pending.len() >= PENDING_MAX {
            self.pending.clear();
        }
        self.pending.insert(id, found.is_block);
        submit_line(id, &self.greeting.user, found)
    }

    /// Takes a line of the pool; what cannot be read is passed over.
    pub fn take(&mut self, line: &str) -> Vec<Action> {
        let Ok(message) = serde_json::from_str::<Value>(line) else { return Vec::new() };
        match message.get("method").and_then(Value::as_str) {
            Some(method) => self.told(method, &message),
            None => self.answered(&message),
        }
    }

    fn told(&mut self, method: &str, message: &Value) -> Vec<Action> {
        let params = message.get("params").unwrap_or(&Value::Null);
        match method {
            "mining.notify" => {
                self.waiting_job = Job::read(params);
                self.next_work().into_iter().collect()
            }
            "mining.set_difficulty" => {
                let Some(difficulty) = params.get(0).and_then(Value::as_f64).filter(|d| *d > 0.0)
                else {
                    return Vec::new();
                };
                self.difficulty = difficulty;
                vec![Action::Difficulty(difficulty)]
            }
            "mining.set_extranonce" => {
                let first = params.get(0).and_then(Value::as_str).and_then(unhex);
                let size = params
                    .get(1)
                    .and_then(Value::as_u64)
                    .and_then(|size| usize::try_from(size).ok());
                if let (Some(first), Some(size)) = (first, size) {
                    self.extranonce = Some((first, size));
                }
                Vec::new()
            }
            "mining.set_version_mask" => {
                if let Some(mask) = params
                    .get(0)
                    .and_then(Value::as_str)
                    .and_then(|m| u32::from_str_radix(m, 16).ok())
                {
                    self.version_mask = mask;
                }
                Vec::new()
            }
            "client.reconnect" => {
                // Another host is not followed: whoever sits on the line could send us anywhere.
                let same_host = params.get(0).and_then(Value::as_str).is_none_or(str::is_empty);
                let number = |at: usize| match params.get(at) {
                    Some(Value::String(text)) => text.parse().ok(),
                    Some(value) => value.as_u64(),
                    None => None,
                };
                let port =
                    number(1).and_then(|port| u16::try_from(port).ok()).filter(|_| same_host);
                vec![Action::Reconnect(port, number(2).unwrap_or(0))]
            }
            "client.show_message" => {
                let text = params.get(0).and_then(Value::as_str).unwrap_or_default();
                vec![Action::Show(text.chars().filter(|c| !c.is_control()).take(500).collect())]
            }
            "client.get_version" => {
                vec![self.reply(message, self.greeting.user_agent.clone().into())]
            }
            "mining.ping" => vec![self.reply(message, "pong".into())],
            _ => Vec::new(),
        }
    }

    fn reply(&self, message: &Value, result: Value) -> Action {
        Action::Send(
            json!({ "id": message.get("id"), "result": result, "error": null }).to_string(),
        )
    }

    fn answered(&mut self, message: &Value) -> Vec<Action> {
        let result = message.get("result").unwrap_or(&Value::Null);
        match message.get("id").and_then(Value::as_u64) {
            Some(CONFIGURE) if result["version-rolling"] == true => {
                let mask = result["version-rolling.mask"]
                    .as_str()
                    .and_then(|m| u32::from_str_radix(m, 16).ok());
                self.version_mask = mask.unwrap_or(0);
                Vec::new()
            }
            Some(SUBSCRIBE) => self.subscribed(message),
            Some(AUTHORIZE) => vec![Action::Authorized(verdict(message))],
            Some(id) if self.pending.remove(&id).is_some() => {
                vec![Action::Answered(verdict(message))]
            }
            _ => Vec::new(),
        }
    }

    fn subscribed(&mut self, message: &Value) -> Vec<Action> {
        let result = &message["result"];
        let first = result.get(1).and_then(Value::as_str).and_then(unhex);
        let size =
            result.get(2).and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
        let (Some(first), Some(size)) = (first, size.filter(|size| (1..=32).contains(size))) else {
            // It may not know our old session: ask as a stranger.
            let had = self.resume.take();
            let ask = json!({ "id": SUBSCRIBE, "method": "mining.subscribe", "params": [] });
            return had.map(|_| Action::Send(ask.to_string())).into_iter().collect();
        };
        let named = |pair: &Value| pair.get(1).and_then(Value::as_str).map(str::to_owned);
        self.resume = result[0].as_array().and_then(|pairs| pairs.iter().find_map(named));
        self.extranonce = Some((first, size));
        self.next_work().into_iter().collect()
    }

    fn next_work(&mut self) -> Option<Action> {
        let (extranonce1, extranonce2_size) = self.extranonce.clone()?;
        let job = self.waiting_job.take()?;
        let network = Target::from_compact(job.bits).ok()?;
        let target = Difficulty::nearest(self.difficulty).target(self.algorithm.scale());
        let (version_mask, algorithm) = (self.version_mask, self.algorithm);
        let work =
            Work { job, extranonce1, extranonce2_size, target, network, version_mask, algorithm };
        Some(Action::Work(Arc::new(work)))
    }
}

/// Accepted, or why not: as an array, as an object, or as text, whatever the pool prefers.
fn verdict(message: &Value) -> Result<(), String> {
    if message["result"] == true && message["error"].is_null() {
        return Ok(());
    }
    let error = &message["error"];
    let code = error.get(0).or(error.get("code")).and_then(Value::as_i64);
    let text = error.get(1).or(error.get("message")).unwrap_or(error);
    let text = text.as_str().unwrap_or("refused without a reason");
    Err(code.map_or_else(|| text.to_owned(), |code| format!("{code} {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pow::Algorithm;

    fn session() -> Session {
        let greeting = Greeting {
            user_agent: "test/1".into(),
            user: "addr.rig".into(),
            password: "x".into(),
            suggest_difficulty: Some(0.5),
            version_rolling: true,
            extranonce_subscribe: true,
        };
        Session::new(greeting, Algorithm::Sha256d.into(), Some("old".into()))
    }

    fn notify(job: &str) -> String {
        let zero = "00".repeat(32);
        json!({ "id": null, "method": "mining.notify",
            "params": [job, zero, "aa", "bb", [], "20000000", "207fffff", "65000000", true] })
        .to_string()
    }

    const SUBSCRIBED: &str = r#"{"id":2,"result":[[["mining.set_difficulty","s1"],["mining.notify","s1"]],"0a0b",4],"error":null}"#;

    fn work(actions: &[Action]) -> Arc<Work> {
        match actions {
            [Action::Work(work)] => work.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_says_hello_in_an_order_that_pools_know() {
        let lines = session().hello();
        let methods: Vec<String> = lines
            .iter()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["method"].as_str().unwrap().to_owned()
            })
            .collect();
        let expected = [
            "mining.configure",
            "mining.subscribe",
            "mining.authorize",
            "mining.suggest_difficulty",
            "mining.extranonce.subscribe",
        ];
        assert_eq!(methods, expected);
        assert!(lines[1].contains(r#"["test/1","old"]"#));
    }

    #[test]
    fn difficulty_extranonce_and_mask_count_from_the_next_job() {
        let mut session = session();
        session.take(
            r#"{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"}}"#,
        );
        session.take(r#"{"id":null,"method":"mining.set_difficulty","params":[2]}"#);
        assert_eq!(
            session.take(&notify("early")),
            vec![],
            "without an extranonce there is nothing to hash"
        );
        let first = work(&session.take(SUBSCRIBED));
        assert_eq!(
            (&*first.job.id, first.version_mask, first.extranonce2_size),
            ("early", 0x1fff_e000, 4)
        );
        assert_eq!(first.target, Difficulty::nearest(2.0).target(Algorithm::Sha256d));
        let told = session.take(r#"{"id":null,"method":"mining.set_difficulty","params":[8.5]}"#);
        assert_eq!(told, vec![Action::Difficulty(8.5)]);
        session.take(r#"{"id":null,"method":"mining.set_extranonce","params":["ffee",6]}"#);
        session.take(r#"{"id":null,"method":"mining.set_version_mask","params":["00002000"]}"#);
        let second = work(&session.take(&notify("next")));
        assert_eq!((&second.extranonce1[..], second.extranonce2_size), (&[0xff, 0xee][..], 6));
        assert_eq!(second.version_mask, 0x2000);
        assert_eq!(second.target, Difficulty::nearest(8.5).target(Algorithm::Sha256d));
        assert_eq!(session.resume().as_deref(), Some("s1"));
    }

    #[test]
    fn answers_of_every_shape_are_understood() {
        let mut session = session();
        let found = Found {
            job: "a".into(),
            extranonce2: vec![0; 4],
            time: 0,
            nonce: 0,
            version_bits: None,
            is_block: false,
        };
        let answers = [
            (r#""result":true,"error":null"#, Ok(())),
            (
                r#""result":null,"error":[21,"Job not found",null]"#,
                Err("21 Job not found".to_owned()),
            ),
            (r#""result":false,"error":{"code":23,"message":"Low"}"#, Err("23 Low".to_owned())),
            (r#""result":null,"error":"no""#, Err("no".to_owned())),
            (r#""result":false"#, Err("refused without a reason".to_owned())),
        ];
        for (n, (answer, expected)) in answers.into_iter().enumerate() {
            assert!(session.submit(&found).contains(&format!("\"id\":{}", 100 + n)));
            let line = format!("{{\"id\":{},{answer}}}", 100 + n);
            assert_eq!(session.take(&line), vec![Action::Answered(expected)]);
            assert_eq!(session.take(&line), vec![], "an answer counts once");
        }
    }

    #[test]
    fn requests_of_the_pool_are_answered_and_another_host_is_not_followed() {
        let mut session = session();
        let version = session.take(r#"{"id":"x","method":"client.get_version","params":[]}"#);
        assert_eq!(
            version,
            vec![Action::Send(r#"{"error":null,"id":"x","result":"test/1"}"#.into())]
        );
        let pong = session.take(r#"{"id":9,"method":"mining.ping"}"#);
        assert_eq!(pong, vec![Action::Send(r#"{"error":null,"id":9,"result":"pong"}"#.into())]);
        for (params, action) in [
            (r#"["",4444,3]"#, Action::Reconnect(Some(4444), 3)),
            (r#"["","4445"]"#, Action::Reconnect(Some(4445), 0)),
            (r#"["elsewhere.example",4444,3]"#, Action::Reconnect(None, 3)),
            ("[]", Action::Reconnect(None, 0)),
        ] {
            let line =
                format!("{{\"id\":null,\"method\":\"client.reconnect\",\"params\":{params}}}");
            assert_eq!(session.take(&line), vec![action]);
        }
        for garbage in ["", "{", "[]", "null", "{\"method\":5}", "{\"id\":2,\"result\":5}"] {
            drop(session.take(garbage));
        }
    }

    #[test]
    fn a_pool_that_does_not_know_the_old_session_is_asked_as_a_stranger() {
        let mut session = session();
        let again = session.take(r#"{"id":2,"result":null,"error":[20,"no such session",null]}"#);
        assert_eq!(again.len(), 1);
        assert!(
            matches!(&again[0], Action::Send(line) if line.contains("mining.subscribe") && line.contains("[]"))
        );
    }
}
