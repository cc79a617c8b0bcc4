//! A submission against its job: pure, and the network's target first.
//!
//! Invariant: one function gives one answer, a weight or a refusal, and beside it whether the header solves the block.
//! Everything downstream takes only that answer.

pub mod legacy;

use crate::hashing::{Hash, Hashing, Preimage};
use crate::job::{Job, Jobs};
use crate::reject::Reject;
use crate::wire::v1::{Extranonce2, Submission};
use accounting::{UnixMs, Weight};
use hashbrown::HashSet;
use pow::Target;
use pow::target::hashes_until;
use std::collections::VecDeque;

/// A header's time may run ahead of ours by this much (consensus allows two hours).
const TIME_AHEAD_S: u64 = 7200;
/// After a new block, shares for the old one are taken for this long: they were on the way.
pub const GRACE_MS: u64 = 3000;

/// What a connection was given with a job: the work is committed to by the job's variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// The target printed to the miner.
    pub target: Target,
    /// What a share at it counts.
    pub weight: Weight,
    /// The connection's extranonce prefix at that time.
    pub extranonce1: [u8; 4],
}

/// What the verifier needs to know of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// Its extranonce prefix now, for jobs it was never sent.
    pub extranonce1: [u8; 4],
    /// The end of the coinbase it was sent.
    pub tail: &'a [u8],
    /// What it was given with this job; `None` when it was never sent it.
    pub assignment: Option<Assignment>,
    /// Bits it may roll.
    pub version_mask: u32,
    /// Is the user name authorised on this connection?
    pub is_authorized: bool,
    /// Now.
    pub now: UnixMs,
}

/// The outcome of a submission whose header could be built.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The 80 bytes.
    pub header: [u8; 80],
    /// What names the work: the header's double SHA-256 where nothing heavier is hashed; the share's key.
    pub key: [u8; 32],
    /// The block's hash, if it solves.
    pub block: [u8; 32],
    /// Expected hashes until one is as small: how lucky it was.
    pub hashes: f64,
    /// Ethash: what the data set was mixed to; zeros elsewhere.
    pub mix: [u8; 32],
    /// Does it meet the network's target?
    pub solves: bool,
    /// Its weight, or why it is refused.
    pub verdict: Result<Weight, Reject>,
}

/// Builds the header and judges it: first against the network's target, then down the ladder. A share that passes is
/// remembered in `seen`.
///
/// # Errors
/// When no header can be built: the extranonce2 or the nonce has the wrong size.
pub fn verify(
    submission: &Submission,
    job: &Job,
    jobs: &Jobs,
    given: &Given<'_>,
    seen: &mut Seen,
) -> Result<Verified, Reject> {
    let Version { rolled, masked, outside } = Version::of(submission, job, given);
    let judged = match job.rules.hashing {
        Hashing::Legacy(own) => legacy::judge(own, submission, job, masked, given)?,
        _ => {
            let root = root(submission, job, given)?;
            let nonce = u32::try_from(submission.nonce).map_err(|_| Reject::Malformed)?;
            let judged = judge(job, masked, &root, submission.ntime, nonce);
            if outside && !judged.solves {
                // The miner hashed some version of its own; if that one solves, the block is worth trying.
                let own = judge(job, job.version ^ rolled, &root, submission.ntime, nonce);
                if own.solves { own } else { judged }
            } else {
                judged
            }
        }
    };
    let Judged { header, hash, pow_hash, solves } = judged;
    let ladder = Ladder { submission, job, jobs, given, key: hash, outside };
    let verdict = ladder.climb(seen).and_then(|assignment| assignment.judge(&pow_hash));
    if verdict.is_ok() {
        // From here it must succeed.
        seen.remember(job.no, &hash);
    }
    let hashes = hashes_until(&pow_hash);
    Ok(Verified { header, key: hash, block: hash, hashes, mix: [0; 32], solves, verdict })
}

/// A submission that passed all that costs little, and whose hash is still to be computed.
#[derive(Debug, Clone, Copy)]
pub struct Prepared {
    /// What is hashed.
    pub preimage: Preimage,
    /// What names it.
    pub key: [u8; 32],
    assignment: Assignment,
}

/// The ladder without its last rung, for hashes that are computed elsewhere. What passes is remembered in `seen`, so that it
/// is not hashed twice.
///
/// # Errors
/// The first rung that does not hold.
pub fn prepare(
    submission: &Submission,
    job: &Job,
    jobs: &Jobs,
    given: &Given<'_>,
    seen: &mut Seen,
) -> Result<Prepared, Reject> {
    let template = &job.template;
    let Version { masked, outside, .. } = Version::of(submission, job, given);
    let work = template.work.as_ref().map(|work| work.header);
    let header = match &work {
        Some(digest) => in_place_of_a_header(digest),
        None => header(job, masked, &root(submission, job, given)?, submission.ntime, 0),
    };
    let preimage = Preimage {
        header,
        nonce: submission.nonce,
        previous: template.prev_hash,
        height: template.height,
        work,
    };
    let key = preimage.key();
    let ladder = Ladder { submission, job, jobs, given, key, outside };
    let assignment = ladder.climb(seen)?;
    if !job.claim(&key) {
        return Err(Reject::Duplicate);
    }
    seen.remember(job.no, &key);
    Ok(Prepared { preimage, key, assignment })
}

impl Prepared {
    /// Would this hash be a share?
    #[must_use]
    pub fn is_met_by(&self, hash: &[u8; 32]) -> bool {
        self.assignment.target.is_met_by(hash)
    }

    /// The last rung, once the hash is there. What falls is forgotten again.
    pub fn judge(&self, job: &Job, Hash { value: hash, mix }: Hash, seen: &mut Seen) -> Verified {
        let verdict = self.assignment.judge(&hash);
        if verdict.is_err() {
            seen.forget(job.no, &self.key);
            job.release(&self.key);
        }
        Verified {
            header: self.preimage.header,
            key: self.key,
            block: hash,
            hashes: hashes_until(&hash),
            mix,
            solves: job.template.target.is_met_by(&hash),
            verdict,
        }
    }
}

/// The merkle root of a submission's work.
fn root(submission: &Submission, job: &Job, given: &Given<'_>) -> Result<[u8; 32], Reject> {
    let extranonce2 =
        submission.extranonce2.sized(job.rules.extranonce2_size).ok_or(Reject::Malformed)?;
    Ok(root_of(job, submission.job.variant, given.worked_with(), &extranonce2, given.tail))
}

/// The merkle root that the coinbase and the branches lead to.
fn root_of(
    job: &Job,
    variant: u8,
    extranonce1: [u8; 4],
    extranonce2: &Extranonce2,
    tail: &[u8],
) -> [u8; 32] {
    let mut node = job.coinbase_hash(variant, extranonce1, extranonce2.as_slice(), tail);
    for branch in &job.template.branches {
        node = pow::sha256d::merkle_parent(&node, branch);
    }
    node
}

/// What an Ethash miner is given of the header of a connection's work.
#[must_use]
pub fn header_digest(job: &Job, variant: u8, extranonce1: [u8; 4], tail: &[u8]) -> [u8; 32] {
    if let Some(work) = &job.template.work {
        return work.header;
    }
    let none = Extranonce2::ZERO.sized(job.rules.extranonce2_size).unwrap_or(Extranonce2::ZERO);
    let root = root_of(job, variant, extranonce1, &none, tail);
    pow::sha256d::header_hash(&header(job, job.version, &root, job.template.cur_time, 0))
}

/// A header that a node keeps to itself has no bytes to name work by: its digest stands for them.
fn in_place_of_a_header(digest: &[u8; 32]) -> [u8; 80] {
    let mut header = [0; 80];
    header[..32].copy_from_slice(digest);
    header
}

/// The version as it was rolled.
struct Version {
    rolled: u32,
    masked: u32,
    /// Are bits rolled that must not be?
    outside: bool,
}

impl Version {
    fn of(submission: &Submission, job: &Job, given: &Given<'_>) -> Self {
        let mask = given.version_mask & job.version_mask;
        let rolled = submission.version_bits.unwrap_or(0);
        Version {
            rolled,
            masked: (job.version & !mask) | (rolled & mask),
            outside: rolled & !mask != 0 && rolled & !mask != job.version & !mask,
        }
    }
}

struct Judged {
    header: [u8; 80],
    hash: [u8; 32],
    pow_hash: [u8; 32],
    solves: bool,
}

fn header(job: &Job, version: u32, root: &[u8; 32], ntime: u32, nonce: u32) -> [u8; 80] {
    let mut header = [0u8; 80];
    header[..4].copy_from_slice(&version.to_le_bytes());
    header[4..36].copy_from_slice(&job.template.prev_hash);
    header[36..68].copy_from_slice(root);
    header[68..72].copy_from_slice(&ntime.to_le_bytes());
    header[72..76].copy_from_slice(&job.template.bits.to_le_bytes());
    header[76..].copy_from_slice(&nonce.to_le_bytes());
    header
}

fn judge(job: &Job, version: u32, root: &[u8; 32], ntime: u32, nonce: u32) -> Judged {
    let header = header(job, version, root, ntime, nonce);
    let hash = pow::sha256d::header_hash(&header);
    let pow_hash = match job.rules.hashing {
        Hashing::Header(pow::Algorithm::Scrypt) => pow::scrypt::header_hash(&header),
        _ => hash,
    };
    Judged { header, hash, pow_hash, solves: job.template.target.is_met_by(&pow_hash) }
}

struct Ladder<'a> {
    submission: &'a Submission,
    job: &'a Job,
    jobs: &'a Jobs,
    given: &'a Given<'a>,
    key: [u8; 32],
    outside: bool,
}

impl Ladder<'_> {
    /// One check a rung, in this order.
    fn climb(&self, seen: &Seen) -> Result<Assignment, Reject> {
        let given = self.given;
        if !given.is_authorized {
            return Err(Reject::Unauthorized);
        }
        let assignment = given.assignment.ok_or(Reject::UnknownJob)?;
        if seen.contains(self.job.no, &self.key) {
            return Err(Reject::Duplicate);
        }
        if self.is_stale() {
            return Err(Reject::Stale);
        }
        if !self.is_time_plausible() {
            return Err(Reject::BadTime);
        }
        if self.outside {
            return Err(Reject::BadVersion);
        }
        Ok(assignment)
    }

    fn is_stale(&self) -> bool {
        let since_tip = self.given.now.0.saturating_sub(self.jobs.tip_since.0);
        !self.jobs.is_current(self.job) && since_tip > GRACE_MS
    }

    fn is_time_plausible(&self) -> bool {
        let ahead = self.given.now.0 / 1000 + TIME_AHEAD_S;
        let ahead = ahead.max(u64::from(self.job.template.cur_time));
        self.submission.ntime >= self.job.template.min_time
            && u64::from(self.submission.ntime) <= ahead
    }
}

impl Assignment {
    /// The last rung.
    fn judge(&self, pow_hash: &[u8; 32]) -> Result<Weight, Reject> {
        if self.target.is_met_by(pow_hash) { Ok(self.weight) } else { Err(Reject::LowDifficulty) }
    }
}

/// The headers a connection was credited for, by job: bounded by the life of the jobs, since no header belongs to two.
#[derive(Debug, Default)]
pub struct Seen {
    by_job: VecDeque<(u32, HashSet<u128>)>,
}

impl Given<'_> {
    /// The prefix a job was worked on with.
    #[must_use]
    pub fn worked_with(&self) -> [u8; 4] {
        self.assignment.map_or(self.extranonce1, |assignment| assignment.extranonce1)
    }
}

impl Seen {
    /// Was nothing credited yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_job.is_empty()
    }

    /// Takes over what another connection was credited for.
    pub fn absorb(&mut self, other: Seen) {
        for (job, hashes) in other.by_job {
            match self.by_job.iter_mut().find(|(no, _)| *no == job) {
                Some((_, own)) => own.extend(hashes),
                None => self.by_job.push_back((job, hashes)),
            }
        }
    }

    fn contains(&self, job: u32, hash: &[u8; 32]) -> bool {
        self.by_job.iter().any(|(no, hashes)| *no == job && hashes.contains(&short(hash)))
    }

    fn remember(&mut self, job: u32, hash: &[u8; 32]) {
        if let Some((_, hashes)) = self.by_job.iter_mut().find(|(no, _)| *no == job) {
            hashes.insert(short(hash));
            return;
        }
        self.by_job.push_back((job, HashSet::from_iter([short(hash)])));
    }

    /// A share that was not recorded after all may be sent again.
    pub fn forget(&mut self, job: u32, hash: &[u8; 32]) {
        if let Some((_, hashes)) = self.by_job.iter_mut().find(|(no, _)| *no == job) {
            hashes.remove(&short(hash));
        }
    }

    /// Drops what belongs to jobs that are forgotten themselves.
    pub fn drop_before(&mut self, oldest_job: u32) {
        self.by_job.retain(|(no, _)| *no >= oldest_job);
        if self.by_job.is_empty() {
            self.by_job = VecDeque::new();
        }
    }
}

/// Half the hash names it well enough: a collision costs 2^64 hashes and only hurts who made it.
pub(crate) fn short(hash: &[u8; 32]) -> u128 {
    let (low, _) = hash.as_chunks::<16>();
    u128::from_le_bytes(low[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::{pool_pays, rules, template};
    use crate::job::{JobMaker, JobTerms, VERSION_MASK};
    use crate::template::Template;
    use crate::wire::v1::{Request, parse};
    use pow::{Algorithm, Difficulty};
    use std::sync::Arc;

    const NOW: UnixMs = UnixMs(1_700_000_000_000);

    struct Bench {
        maker: JobMaker,
        job: Arc<Job>,
        jobs: Arc<Jobs>,
        seen: Seen,
    }

    /// A job at network difficulty 1, so that nothing here solves it by accident.
    fn bench(change: impl FnOnce(&mut Template)) -> Bench {
        let mut template = template();
        change(&mut template);
        let mut maker = JobMaker::new(rules(pool_pays()), NOW);
        let job = maker.publish(Arc::new(template), JobTerms::default(), NOW);
        let jobs = maker.subscribe().borrow().clone();
        Bench { maker, job, jobs, seen: Seen::default() }
    }

    fn submission(job: u32, en2: u64, ntime: u32, nonce: u32, bits: Option<u32>) -> Submission {
        let bits = bits.map(|bits| format!(",\"{bits:08x}\"")).unwrap_or_default();
        let line = format!(
            r#"{{"id":1,"method":"mining.submit","params":["a","{job:x}","{en2:016x}","{ntime:08x}","{nonce:08x}"{bits}]}}"#
        );
        let Ok((_, Request::Submit(submission))) = parse(line.as_bytes()) else { panic!("{line}") };
        submission
    }

    fn given(tail: &[u8], difficulty: f64) -> Given<'_> {
        let target = Difficulty::nearest(difficulty).target(Algorithm::Sha256d);
        let weight = Weight::new(target.work().as_u64().unwrap()).unwrap();
        Given {
            extranonce1: [0, 0, 0, 1],
            tail,
            assignment: Some(Assignment { target, weight, extranonce1: [0, 0, 0, 1] }),
            version_mask: VERSION_MASK,
            is_authorized: true,
            now: NOW,
        }
    }

    impl Bench {
        fn send(&mut self, submission: &Submission, given: &Given<'_>) -> Verified {
            verify(submission, &self.job, &self.jobs, given, &mut self.seen).unwrap()
        }

        /// The first nonce that meets this difficulty.
        fn solve(&mut self, difficulty: f64) -> Submission {
            let tail = self.job.tail(&[]);
            let target = Difficulty::nearest(difficulty).target(Algorithm::Sha256d);
            let mut nonce = 0;
            loop {
                let s = submission(self.job.no, 7, 1_700_000_000, nonce, None);
                let mut refused = given(&tail, 1e9);
                refused.is_authorized = false;
                if target.is_met_by(&self.send(&s, &refused).key) {
                    return s;
                }
                nonce += 1;
            }
        }
    }

    #[test]
    fn a_share_counts_the_weight_its_job_was_sent_with() {
        let mut bench = bench(|_| {});
        let tail = bench.job.tail(&[]);
        let share = bench.solve(1e-7);
        let verified = bench.send(&share, &given(&tail, 1e-7));
        assert_eq!(verified.verdict.map(Weight::get), Ok(429));
        assert!(!verified.solves);
    }

    #[test]
    fn the_ladder_refuses_in_its_documented_order() {
        let mut bench = bench(|_| {});
        let tail = bench.job.tail(&[]);
        let share = bench.solve(1e-8);
        let easy = given(&tail, 1e-8);
        assert_eq!(
            bench.send(&share, &Given { is_authorized: false, ..easy }).verdict,
            Err(Reject::Unauthorized)
        );
        assert_eq!(
            bench.send(&share, &Given { assignment: None, ..easy }).verdict,
            Err(Reject::UnknownJob)
        );
        assert_eq!(bench.send(&share, &given(&tail, 1000.0)).verdict, Err(Reject::LowDifficulty));
        assert!(bench.send(&share, &easy).verdict.is_ok());
        assert_eq!(bench.send(&share, &easy).verdict, Err(Reject::Duplicate));
        for ntime in [1_699_998_999, 1_700_007_201] {
            let s = submission(bench.job.no, 7, ntime, 0, None);
            assert_eq!(bench.send(&s, &easy).verdict, Err(Reject::BadTime), "{ntime}");
        }
        let s = submission(bench.job.no, 7, 1_700_000_000, 0, Some(1));
        assert_eq!(bench.send(&s, &easy).verdict, Err(Reject::BadVersion));
    }

    #[test]
    fn a_stale_share_is_taken_during_the_grace_and_refused_after() {
        let mut bench = bench(|_| {});
        let tail = bench.job.tail(&[]);
        let share = bench.solve(1e-8);
        let mut next = template();
        next.prev_hash = [9; 32];
        bench.maker.publish(Arc::new(next), JobTerms::default(), NOW);
        bench.jobs = bench.maker.subscribe().borrow().clone();
        let late = Given { now: UnixMs(NOW.0 + GRACE_MS + 1), ..given(&tail, 1e-8) };
        assert_eq!(bench.send(&share, &late).verdict, Err(Reject::Stale));
        assert!(bench.send(&share, &given(&tail, 1e-8)).verdict.is_ok());
    }

    #[test]
    fn a_header_that_solves_the_network_is_a_block_whatever_else_is_wrong() {
        let mut bench = bench(|t| {
            t.bits = 0x207f_ffff;
            t.target = Target::from_compact(t.bits).unwrap();
        });
        let tail = bench.job.tail(&[]);
        let share = bench.solve(2e-10);
        let solving = (0..200)
            .map(|nonce| submission(bench.job.no, 7, 1_700_000_000, nonce, None))
            .find(|s| {
                verify(s, &bench.job, &bench.jobs, &given(&tail, 1e9), &mut Seen::default())
                    .unwrap()
                    .solves
            })
            .unwrap_or(share);
        let hard = given(&tail, 1e9);
        let unknown = Given { assignment: None, is_authorized: false, ..hard };
        let stale = Given { now: UnixMs(NOW.0 + 100_000_000), ..hard };
        for (given, reject) in [
            (hard, Reject::LowDifficulty),
            (unknown, Reject::Unauthorized),
            (stale, Reject::LowDifficulty),
        ] {
            let verified = bench.send(&solving, &given);
            assert!(verified.solves);
            assert_eq!(verified.verdict, Err(reject));
        }
        let too_late = submission(bench.job.no, 7, 1_799_999_999, 3, None);
        let verified = bench.send(&too_late, &given(&tail, 1e-9));
        assert!(verified.verdict.is_err());
    }

    #[test]
    fn duplicates_are_found_across_case_padding_and_leading_zeros() {
        let mut bench = bench(|_| {});
        let tail = bench.job.tail(&[]);
        let Submission { nonce, .. } = bench.solve(1e-8);
        let no = bench.job.no;
        let lines = [
            format!(r#"["a","{no:x}","0000000000000007","6553f100","{nonce:08x}"]"#),
            format!(r#"["a","{no:X}","7","6553F100","{nonce:x}"]"#),
            format!(r#"["a","0{no:x}","0x07","0x6553f100","{nonce:X}"]"#),
            format!(r#"["other","{no:x}","007","6553f100","0x{nonce:x}","00000000"]"#),
        ];
        for (at, params) in lines.iter().enumerate() {
            let line = format!(r#"{{"id":1,"method":"mining.submit","params":{params}}}"#);
            let Ok((_, Request::Submit(s))) = parse(line.as_bytes()) else { panic!("{line}") };
            let expected = if at == 0 { Ok(42) } else { Err(Reject::Duplicate) };
            assert_eq!(
                bench.send(&s, &given(&tail, 1e-8)).verdict.map(Weight::get),
                expected,
                "{params}"
            );
        }
    }

    #[test]
    fn an_extranonce2_longer_than_its_size_is_malformed() {
        let mut bench = bench(|_| {});
        let line = format!(
            r#"{{"id":1,"method":"mining.submit","params":["a","{:x}","000000000000000007","6553f100","1"]}}"#,
            bench.job.no
        );
        let Ok((_, Request::Submit(s))) = parse(line.as_bytes()) else { panic!() };
        let tail = bench.job.tail(&[]);
        let verified = verify(&s, &bench.job, &bench.jobs, &given(&tail, 1e-9), &mut bench.seen);
        assert_eq!(verified, Err(Reject::Malformed));
    }

    #[test]
    fn a_job_sent_at_the_old_difficulty_is_judged_at_the_old_difficulty() {
        let mut bench = bench(|_| {});
        let tail = bench.job.tail(&[]);
        let share = bench.solve(1e-8);
        // The connection's difficulty is higher by now; what it was given with this job is not.
        assert_eq!(bench.send(&share, &given(&tail, 1e-8)).verdict.map(Weight::get), Ok(42));
    }

    #[test]
    fn memory_for_duplicates_lives_as_long_as_its_job() {
        let mut seen = Seen::default();
        for job in 1..=50u32 {
            seen.remember(job, &[job as u8; 32]);
            seen.drop_before(job.saturating_sub(19));
        }
        assert_eq!(seen.by_job.len(), 20);
        assert!(seen.contains(50, &[50; 32]) && !seen.contains(30, &[30; 32]));
        seen.forget(50, &[50; 32]);
        assert!(!seen.contains(50, &[50; 32]));
    }

    proptest::proptest! {
        /// BIP310 masks, AxeOS sends rolled XOR version, ckpool ORs: with the rolled bits cleared in the job's version all
        /// three are the same header.
        #[test]
        fn the_three_version_formulas_agree(template_version: u32, rolled: u32) {
            let mut t = template();
            t.version = template_version;
            let job = Job::new(1, 1, Arc::new(t), Arc::new(rules(pool_pays())), JobTerms::default(), NOW);
            let bits = rolled & VERSION_MASK;
            let masked = (job.version & !VERSION_MASK) | bits;
            proptest::prop_assert_eq!(masked, job.version ^ bits);
            proptest::prop_assert_eq!(masked, job.version | bits);
        }
    }
}
