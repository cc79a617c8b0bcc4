//! The BitSota pool's messages: its clients' requests of all generations, and answers in the shapes they parse.
//!
//! Fields that are not known are ignored, as newer clients send more. Invariant: as in [`crate::wire`].

use crate::desk::{Answer, Evaluated, ItemVerdict, Receipt, Reject};
use crate::lease::{Lease, LeaseId, Wish};
use crate::score::Score;
use crate::tables::load::unhex;
use crate::task::{Algorithm, AlgorithmId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Bytes of a body at most.
pub const BODY_MAX: usize = 1 << 20;
/// Scores in a body at most.
pub const EVALUATIONS_MAX: usize = 256;
/// New algorithms in a body at most.
pub const EVOLUTIONS_MAX: usize = 16;

/// A body that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Not JSON, or not of this form.
    #[error("the body cannot be read: {0}")]
    Form(String),
    /// Too many items.
    #[error("the body has {0} {1}, and may have {2}")]
    Long(usize, &'static str, usize),
    /// A word that means nothing here.
    #[error("task_type is \"evolve\" or \"evaluate\", not \"{0}\"")]
    TaskType(String),
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BadBody> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| BadBody::Form(error.to_string()))
}

#[derive(Deserialize)]
struct RequestBody {
    task_type: Option<String>,
}

/// `POST /tasks/request`
///
/// # Errors
/// See [`BadBody`].
pub fn read_request(body: &[u8], batch: usize) -> Result<Wish, BadBody> {
    match read::<RequestBody>(body)?.task_type.as_deref() {
        None => Ok(Wish::Any),
        Some("evolve") => Ok(Wish::Evolve),
        Some("evaluate") => Ok(Wish::Evaluate { batch }),
        Some(other) => Err(BadBody::TaskType(other.chars().take(40).collect())),
    }
}

/// What a lease is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseWish {
    /// How much of what.
    pub wish: Wish,
    /// The data set's name, if the client says it.
    pub set: Option<String>,
    /// The hash of the client's copy, if it says it (our worker does).
    pub set_hash: Option<String>,
}

#[derive(Deserialize)]
struct LeaseBody {
    task_type: Option<String>,
    data_hash: Option<String>,
    eval_batch_size: Option<usize>,
    seed_batch_size: Option<usize>,
}

/// `POST /tasks/lease`
///
/// # Errors
/// See [`BadBody`].
pub fn read_lease(body: &[u8], batch: usize, seeds: usize) -> Result<LeaseWish, BadBody> {
    let body: LeaseBody = read(body)?;
    let batch = body.eval_batch_size.unwrap_or(batch);
    let seeds = body.seed_batch_size.unwrap_or(seeds);
    let wish = Wish::Mixed { batch, seeds };
    Ok(LeaseWish { wish, set: body.task_type, set_hash: body.data_hash })
}

/// A number, or a number in quotes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    fn read(&self) -> Option<AlgorithmId> {
        match self {
            Id::Number(number) => Some(AlgorithmId(*number)),
            Id::Text(text) => text.parse().ok().map(AlgorithmId),
        }
    }
}

#[derive(Deserialize)]
struct EvaluationBody {
    algorithm_id: Id,
    score: Option<f64>,
    status: Option<String>,
    digest: Option<String>,
}

#[derive(Deserialize)]
struct EvolutionBody {
    algorithm_dsl: String,
}

#[derive(Deserialize)]
struct SubmitBody {
    #[serde(default)]
    evaluations: Vec<EvaluationBody>,
    #[serde(default)]
    evolutions: Vec<EvolutionBody>,
    evolved_function: Option<String>,
}

/// An answer, and what of it could not be read: the algorithm and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Submitted {
    /// What could be read.
    pub answer: Answer,
    /// What could not.
    pub unreadable: Vec<(Option<AlgorithmId>, &'static str)>,
}

/// `POST /tasks/{id}/submit_evaluation`, `…/submit_evolution` and `…/submit_lease`: a bundle has both, the others one of them.
///
/// # Errors
/// See [`BadBody`].
pub fn read_submit(body: &[u8]) -> Result<Submitted, BadBody> {
    let parsed: SubmitBody = read(body)?;
    let (scores, programs) = (parsed.evaluations.len(), parsed.evolutions.len());
    if scores > EVALUATIONS_MAX {
        return Err(BadBody::Long(scores, "evaluations", EVALUATIONS_MAX));
    }
    if programs > EVOLUTIONS_MAX {
        return Err(BadBody::Long(programs, "evolutions", EVOLUTIONS_MAX));
    }
    let mut submitted = Submitted::default();
    for item in &parsed.evaluations {
        match evaluated(item) {
            Ok(evaluated) => submitted.answer.evaluated.push(evaluated),
            Err(why) => submitted.unreadable.push((item.algorithm_id.read(), why)),
        }
    }
    let bundle = parsed.evolutions.into_iter().map(|item| item.algorithm_dsl);
    submitted.answer.evolved = parsed.evolved_function.into_iter().chain(bundle).collect();
    submitted.answer.hash = Sha256::digest(body).into();
    Ok(submitted)
}

fn evaluated(item: &EvaluationBody) -> Result<Evaluated, &'static str> {
    let algorithm = item.algorithm_id.read().ok_or("algorithm_id is not a number")?;
    let score = match (item.score, item.status.as_deref()) {
        // A program without a usable number, which the original's client cannot say.
        (_, Some("invalid")) => Score::Invalid,
        (Some(score), _) => Score::read(score).map_err(|_| "a score is a number from 0 to 1")?,
        (None, _) => return Err("send a score from 0 to 1, or \"status\":\"invalid\""),
    };
    let digest = match &item.digest {
        Some(text) => Some(unhex(text).ok_or("a digest is 64 hexadecimal digits")?),
        None => None,
    };
    Ok(Evaluated { algorithm, score, digest })
}

/// The number in a lease's name: `b12`, `l12` or `12`.
#[must_use]
pub fn read_lease_id(text: &str) -> Option<LeaseId> {
    let digits = text.strip_prefix(['b', 'l']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(LeaseId)).flatten()
}

/// An algorithm as clients parse it.
#[derive(Debug, Serialize)]
pub struct AlgorithmBody {
    id: u64,
    algorithm_dsl: String,
    input_dim: u16,
    task_type: String,
}

/// What every algorithm of an answer shares.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The data set's name.
    pub set: &'a str,
    /// Its hash.
    pub set_hash: &'a str,
    /// Features of a row.
    pub input_dim: u16,
}

impl AlgorithmBody {
    /// Of an algorithm.
    #[must_use]
    pub fn new(algorithm: &Algorithm, about: &About<'_>) -> Self {
        AlgorithmBody {
            id: algorithm.id.0,
            algorithm_dsl: algorithm.text.to_string(),
            input_dim: about.input_dim,
            task_type: about.set.to_owned(),
        }
    }
}

/// The answer to `POST /tasks/request`.
#[derive(Debug, Serialize)]
pub struct BatchBody {
    batch_id: String,
    task_type: &'static str,
    algorithms: Vec<AlgorithmBody>,
    timeout_at: String,
    data_hash: String,
    evolve_budget: usize,
}

impl BatchBody {
    /// Of a lease of one kind.
    #[must_use]
    pub fn new(lease: &Lease, algorithms: Vec<AlgorithmBody>, about: &About<'_>) -> Self {
        BatchBody {
            batch_id: format!("b{}", lease.id.0),
            task_type: if lease.evaluate.is_empty() { "evolve" } else { "evaluate" },
            algorithms,
            timeout_at: iso(lease.deadline_s),
            data_hash: about.set_hash.to_owned(),
            evolve_budget: lease.evolve_budget,
        }
    }
}

/// The answer to `POST /tasks/lease`.
#[derive(Debug, Serialize)]
pub struct LeaseAnswer {
    lease_id: String,
    window_number: u64,
    timeout_at: String,
    evolve_budget: usize,
    evaluate_algorithms: Vec<AlgorithmBody>,
    seed_algorithms: Vec<AlgorithmBody>,
    gossip: serde_json::Value,
    data_hash: String,
}

impl LeaseAnswer {
    /// Of a lease of both kinds.
    #[must_use]
    pub fn new(
        lease: &Lease,
        window_number: u64,
        evaluate: Vec<AlgorithmBody>,
        seeds: Vec<AlgorithmBody>,
        about: &About<'_>,
    ) -> Self {
        LeaseAnswer {
            lease_id: format!("l{}", lease.id.0),
            window_number,
            timeout_at: iso(lease.deadline_s),
            evolve_budget: lease.evolve_budget,
            evaluate_algorithms: evaluate,
            seed_algorithms: seeds,
            gossip: serde_json::json!({}),
            data_hash: about.set_hash.to_owned(),
        }
    }
}

/// The answer to a submission: item by item.
#[must_use]
pub fn receipt(receipt: &Receipt, unreadable: &[(Option<AlgorithmId>, &str)]) -> serde_json::Value {
    let word = |verdict: &ItemVerdict| match verdict {
        ItemVerdict::Taken => ("accepted", None),
        ItemVerdict::NotAsked => ("ignored", Some("this lease did not ask for it".to_owned())),
        ItemVerdict::Duplicate => ("duplicate", Some("the pool has it already".to_owned())),
        ItemVerdict::Unusable(why) => ("invalid", Some(why.clone())),
    };
    let item = |id: Option<AlgorithmId>, (status, detail): (&str, Option<String>)| serde_json::json!({"algorithm_id": id.map(|id| id.0), "status": status, "detail": detail});
    let evaluated = receipt.evaluated.iter().map(|(id, verdict)| item(Some(*id), word(verdict)));
    let broken = unreadable.iter().map(|(id, why)| item(*id, ("invalid", Some((*why).to_owned()))));
    let evolved = receipt.evolved.iter().map(|(id, verdict)| item(*id, word(verdict)));
    serde_json::json!({
        "status": "success",
        "repeated": receipt.is_repeated,
        "evaluations": evaluated.chain(broken).collect::<Vec<_>>(),
        "evolutions": evolved.collect::<Vec<_>>(),
    })
}

/// The HTTP status of a refusal, and when to come again.
#[must_use]
pub const fn status_of(reject: &Reject) -> (u16, Option<u64>) {
    match reject {
        Reject::ActiveTask => (400, None),
        Reject::NoTasks { retry_after_s } => (404, Some(*retry_after_s)),
        Reject::Resting { retry_after_s, .. } => (429, Some(*retry_after_s)),
        Reject::OwnerBusy(_) => (429, Some(60)),
        Reject::NotFound => (404, None),
        Reject::Answered => (409, None),
        Reject::Full => (503, Some(3600)),
    }
}

/// A time as the clients parse it.
#[must_use]
pub fn iso(time_s: u64) -> String {
    let seconds = i64::try_from(time_s).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}
