//! Jobs: what miners are handed, rendered once for everybody.
//!
//! Invariant: a job never changes. Its number is never reused while anybody could hold it, its coinbase belongs to it
//! alone, and a job stays long enough to rebuild any header that a miner could still send.

use crate::block::Solved;
use crate::by_block::{self, Committed};
use crate::coinbase::{self, CoinbaseInput, Output};
use crate::ether::claims::Claims;
use crate::gxc;
use crate::hashing::Hashing;
use crate::member::{Following, Planned};
use crate::template::{Template, push_as_hex, to_hex};
use crate::verify::Verified;
use crate::wire::v1::{JobRef, Submission};
use accounting::commitment::Commitment;
use accounting::membership::Membership;
use accounting::rate::Rate;
use accounting::split::fee_of;
use accounting::{Amount, BasisPoints, Scheme, UnixMs};
use bytes::Bytes;
use pow::Difficulty;
use pow::sha256d::Midstate;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use tokio::sync::watch;

/// Jobs kept, the newest included; at one job in 30 s these are ten minutes.
pub const JOBS_MAX: usize = 20;
/// Bits that miners may roll in the version (BIP320).
pub const VERSION_MASK: u32 = 0x1fff_e000;
/// Bytes of extranonce1.
pub const EXTRANONCE1_SIZE: usize = 4;

/// Who the coinbase pays.
#[derive(Debug, Clone)]
pub enum Pays {
    /// The pool's wallet, all of it.
    Pool {
        /// Its script.
        script: Vec<u8>,
    },
    /// Whoever finds the block, less the fee.
    Finder {
        /// Where the fee goes.
        fee_script: Vec<u8>,
        /// How much it is.
        fee: BasisPoints,
    },
    /// The window's miners, as far as a block can; the pool's wallet what is left.
    Window {
        /// The wallet's script.
        script: Vec<u8>,
        /// How far.
        rules: by_block::Rules,
    },
    /// The members of a coordination-free pool, of which this is one.
    Member {
        /// The wallet's script.
        script: Vec<u8>,
        /// By which rule.
        following: Following,
    },
}

impl Pays {
    /// The pool's own script.
    #[must_use]
    pub fn pool_script(&self) -> &[u8] {
        match self {
            Pays::Pool { script } | Pays::Window { script, .. } | Pays::Member { script, .. } => {
                script
            }
            Pays::Finder { fee_script, .. } => fee_script,
        }
    }
}

/// What a pool's jobs have in common.
#[derive(Debug, Clone)]
pub struct JobRules {
    /// How its work is hashed.
    pub hashing: Hashing,
    /// Number of this start of the program.
    pub boot: u32,
    /// The pool's mark in its blocks.
    pub tag: Vec<u8>,
    /// Bytes of extranonce2.
    pub extranonce2_size: usize,
    /// Who is paid.
    pub pays: Pays,
    /// The scheme in force.
    pub scheme: Scheme,
    /// Where a node gives everybody the same header: the one difficulty of all who choose their nonces freely.
    pub free_nonces: Difficulty,
}

/// What a job is paid by, where that was decided when it was made.
#[derive(Debug, Clone, Default)]
pub struct JobTerms {
    /// The rate that its shares are bought at.
    pub rate: Option<Rate>,
    /// What its block pays miners itself.
    pub committed: Option<Arc<Committed>>,
    /// What its block pays by a coordination-free pool's rule.
    pub planned: Option<Arc<Planned>>,
}

/// Work handed out.
#[derive(Debug)]
pub struct Job {
    /// Its number.
    pub no: u32,
    /// Which tip it builds on: counted up when the parent changes.
    pub tip: u64,
    /// What it was made from.
    pub template: Arc<Template>,
    /// What all jobs of the pool have in common.
    pub rules: Arc<JobRules>,
    /// Header version, rolled bits cleared.
    pub version: u32,
    /// Bits that may be rolled in it.
    pub version_mask: u32,
    /// The rate its shares are bought at, under PPS and FPPS.
    pub rate: Option<Rate>,
    /// What it pays miners itself, where it pays a window.
    pub committed: Option<Arc<Committed>>,
    /// What it pays by a coordination-free pool's rule.
    pub planned: Option<Arc<Planned>>,
    /// When it was made.
    pub made_at: UnixMs,
    /// No share of it is harder than this: a block is always a share, as far as difficulties go down.
    pub hardest: Difficulty,
    /// Where all have the same header: the shares that were taken for it, whichever of its jobs they are of.
    claims: Option<Arc<Claims>>,
    midstate: Midstate,
    head_rest: Vec<u8>,
    /// The coinbase's end, where it is the same for everybody.
    shared_tail: Option<Arc<[u8]>>,
    /// `","prevhash","` and `",[branches],"version","bits","ntime",`.
    prev_hash_part: String,
    end_part: String,
    /// The whole line for everybody, with `clean_jobs` false and true.
    shared_lines: Option<[Bytes; 2]>,
}

impl Job {
    /// Makes a job from a template.
    #[must_use]
    pub fn new(
        no: u32,
        tip: u64,
        template: Arc<Template>,
        rules: Arc<JobRules>,
        terms: JobTerms,
        made_at: UnixMs,
    ) -> Self {
        let version_mask = VERSION_MASK & !template.required_version;
        let version = template.version & !version_mask;
        let mut job = Job {
            no,
            tip,
            version,
            version_mask,
            rate: terms.rate,
            committed: terms.committed,
            planned: terms.planned,
            made_at,
            hardest: Difficulty::not_harder_than(template.target, rules.hashing.scale()),
            claims: template.work.as_ref().map(|_| Arc::default()),
            midstate: Midstate::of(&[]).0,
            head_rest: Vec::new(),
            shared_tail: None,
            prev_hash_part: prev_hash_part(&template.prev_hash),
            end_part: end_part(&template, version),
            shared_lines: None,
            template,
            rules,
        };
        let head = job.head(0);
        let (midstate, rest) = Midstate::of(&head);
        job.midstate = midstate;
        job.head_rest = rest.to_vec();
        if !matches!(job.rules.pays, Pays::Finder { .. }) {
            let tail: Arc<[u8]> = job.tail_for(&[]).into();
            let render = |clean| Bytes::from(job.render(0, &tail, clean));
            job.shared_lines = Some([render(false), render(true)]);
            job.shared_tail = Some(tail);
        }
        job
    }

    /// The header that a node gave for it, where nodes make headers.
    #[must_use]
    pub fn header(&self) -> Option<&[u8; 32]> {
        self.template.work.as_ref().map(|work| &work.header)
    }

    /// Takes a share of a header that all have, unless somebody took it; where each connection has its own header nobody else could.
    #[must_use]
    pub fn claim(&self, key: &[u8; 32]) -> bool {
        self.claims.as_ref().is_none_or(|claims| claims.claim(key))
    }

    /// A share that was taken and did not count may be sent again.
    pub fn release(&self, key: &[u8; 32]) {
        if let Some(claims) = &self.claims {
            claims.release(key);
        }
    }

    /// The end of the coinbase for this finder: shared where the pool is paid.
    #[must_use]
    pub fn tail(&self, finder_script: &[u8]) -> Arc<[u8]> {
        self.shared_tail.clone().unwrap_or_else(|| self.tail_for(finder_script).into())
    }

    fn tail_for(&self, finder_script: &[u8]) -> Vec<u8> {
        coinbase::tail(&self.outputs(finder_script))
    }

    /// What the coinbase pays to the pool and to miners; what a tree takes, or other members get, is neither's.
    #[must_use]
    pub fn payments(&self) -> (Amount, Amount) {
        let value = Amount::from_units(self.template.coinbase_value.into());
        if let Some(planned) = &self.planned {
            return (planned.to_pool, Amount::ZERO);
        }
        match &self.rules.pays {
            Pays::Window { .. } | Pays::Member { .. } | Pays::Pool { .. } => {
                match &self.committed {
                    Some(committed) => {
                        (committed.commitment.to_pool(), committed.commitment.to_miners())
                    }
                    None => (value, Amount::ZERO),
                }
            }
            Pays::Finder { fee, .. } => {
                let fee = fee_of(value, *fee);
                (fee, value.sub(fee))
            }
        }
    }

    /// What this coinbase committed to.
    #[must_use]
    pub fn commitment(&self, coinbase: &[u8]) -> Option<Commitment> {
        let mut commitment = self.committed.as_ref()?.commitment.clone();
        if let Some(tree) = &mut commitment.by_block.tree {
            tree.coinbase = pow::sha256d::sha256d(coinbase);
        }
        Some(commitment)
    }

    /// What a coordination-free pool has to do with it.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        self.planned.as_ref().map(|planned| Membership::Block(planned.member.clone()))
    }

    /// The fee that the coinbase withholds from a finder it pays.
    #[must_use]
    pub fn coinbase_fee(&self) -> BasisPoints {
        match self.rules.pays {
            Pays::Pool { .. } | Pays::Window { .. } | Pays::Member { .. } => BasisPoints::ZERO,
            Pays::Finder { fee, .. } => fee,
        }
    }

    /// The coinbase's outputs for this finder.
    #[must_use]
    pub fn outputs(&self, finder_script: &[u8]) -> Vec<Output> {
        let (to_pool, to_miners) = self.payments();
        let mut outputs = Vec::with_capacity(3);
        let to_finder = match &self.committed {
            Some(committed) => {
                outputs.extend(committed.outputs.iter().cloned());
                Amount::ZERO
            }
            None => to_miners,
        };
        if let Some(planned) = &self.planned {
            outputs.extend(planned.outputs.iter().cloned());
            outputs.extend(self.commitment_output());
            return outputs;
        }
        let pool_script = self.rules.pays.pool_script();
        for (amount, script) in [(to_finder, finder_script), (to_pool, pool_script)] {
            if let Some(value) = amount.as_u64().filter(|value| *value > 0) {
                outputs.push(Output { value, script: script.to_vec() });
            }
        }
        outputs.extend(self.commitment_output());
        outputs
    }

    /// The witness commitment, which is always the last.
    fn commitment_output(&self) -> Option<Output> {
        let script = self.template.witness_commitment.clone()?;
        Some(Output { value: 0, script })
    }

    /// Everything of the coinbase before the extranonce.
    #[must_use]
    pub fn head(&self, variant: u8) -> Vec<u8> {
        CoinbaseInput {
            height: self.template.height,
            boot: self.rules.boot,
            job: JobRef { no: self.no, variant },
            tag: self.rules.tag.clone(),
            extranonce_size: EXTRANONCE1_SIZE + self.rules.extranonce2_size,
        }
        .head()
    }

    /// Hash of the coinbase with these extranonces.
    #[must_use]
    pub fn coinbase_hash(
        &self,
        variant: u8,
        extranonce1: [u8; 4],
        extranonce2: &[u8],
        tail: &[u8],
    ) -> [u8; 32] {
        let head;
        let (midstate, rest) = match variant {
            0 => (self.midstate.clone(), self.head_rest.as_slice()),
            _ => {
                head = self.head(variant);
                Midstate::of(&head)
            }
        };
        /// Coinbases up to this size are put together on the stack.
        const USUAL: usize = 512;
        let size = rest.len() + extranonce1.len() + extranonce2.len() + tail.len();
        if size <= USUAL {
            let mut buffer = [0u8; USUAL];
            let mut at = 0;
            for part in [rest, extranonce1.as_slice(), extranonce2, tail] {
                buffer[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            return midstate.finish_twice(&buffer[..size]);
        }
        midstate.finish_twice(&[rest, extranonce1.as_slice(), extranonce2, tail].concat())
    }

    /// The whole coinbase (without witness) with these extranonces.
    #[must_use]
    pub fn coinbase(
        &self,
        variant: u8,
        extranonce1: [u8; 4],
        extranonce2: &[u8],
        tail: &[u8],
    ) -> Vec<u8> {
        [self.head(variant).as_slice(), extranonce1.as_slice(), extranonce2, tail].concat()
    }

    /// The `mining.notify` line: shared by everybody where possible.
    #[must_use]
    pub fn notify(&self, variant: u8, tail: &[u8], clean: bool) -> Bytes {
        match &self.shared_lines {
            Some(lines) if variant == 0 => lines[usize::from(clean)].clone(),
            _ => Bytes::from(self.render(variant, tail, clean)),
        }
    }

    fn render(&self, variant: u8, tail: &[u8], clean: bool) -> String {
        let head = self.head(variant);
        let mut line =
            String::with_capacity(160 + 2 * (head.len() + tail.len()) + self.end_part.len());
        line.push_str("{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"");
        JobRef { no: self.no, variant }.write(&mut line);
        line.push_str(&self.prev_hash_part);
        push_as_hex(&mut line, &head);
        line.push_str("\",\"");
        push_as_hex(&mut line, tail);
        line.push_str(&self.end_part);
        line.push_str(if clean { "true]}\n" } else { "false]}\n" });
        line
    }

    /// The solved block, as its node is handed it.
    #[must_use]
    pub fn solved(&self, submission: &Submission, verified: &Verified, coinbase: &[u8]) -> Solved {
        let Some(offer) = &self.template.gxc else {
            return Solved::Bytes(self.block(&verified.header, coinbase));
        };
        let mut digest = verified.block;
        digest.reverse();
        let consensus = self.rules.hashing.consensus();
        Solved::Gxc(gxc::block::submission(
            offer,
            &digest,
            submission.ntime,
            submission.nonce,
            consensus,
        ))
    }

    /// The whole block, as `submitblock` wants it.
    #[must_use]
    pub fn block(&self, header: &[u8; 80], coinbase: &[u8]) -> Vec<u8> {
        let template = &self.template;
        let mut block = Vec::with_capacity(100 + coinbase.len() + template.transactions.len());
        block.extend_from_slice(header);
        coinbase::push_compact_size(&mut block, template.transaction_ends.len() + 1);
        match template.witness_commitment {
            Some(_) => block.extend_from_slice(&coinbase::with_witness(coinbase)),
            None => block.extend_from_slice(coinbase),
        }
        block.extend_from_slice(&template.transactions);
        if let Some(mweb) = &template.mweb {
            block.push(1);
            block.extend_from_slice(mweb);
        }
        block
    }
}

/// `","prevhash","`: the 32-bit words of the displayed hash in reverse order, which is each 4 bytes of the hash swapped.
fn prev_hash_part(hash: &[u8; 32]) -> String {
    let mut part = String::from("\",\"");
    push_as_hex(&mut part, &prev_hash_words(hash));
    part.push_str("\",\"");
    part
}

/// A hash as `mining.notify` has it.
#[must_use]
pub fn prev_hash_words(hash: &[u8; 32]) -> [u8; 32] {
    let mut words = *hash;
    for word in words.as_chunks_mut::<4>().0 {
        word.reverse();
    }
    words
}

fn end_part(template: &Template, version: u32) -> String {
    let branches: Vec<String> =
        template.branches.iter().map(|branch| format!("\"{}\"", to_hex(branch))).collect();
    let mut part = String::with_capacity(64 + branches.len() * 67);
    let (branches, bits, time) = (branches.join(","), template.bits, template.cur_time);
    write!(part, "\",[{branches}],\"{version:08x}\",\"{bits:08x}\",\"{time:08x}\",")
        .expect("strings take writes");
    part
}

/// The jobs that count now, oldest first, with consecutive numbers.
#[derive(Debug, Clone, Default)]
pub struct Jobs {
    list: VecDeque<Arc<Job>>,
    /// When the newest tip appeared, or the work was withdrawn.
    pub tip_since: UnixMs,
    /// No node can be believed now: nothing is handed out, and what was counts as stale. A solved block is still taken.
    withdrawn: bool,
}

impl Jobs {
    /// The newest job; `None` while the pool has no work to give.
    #[must_use]
    pub fn latest(&self) -> Option<&Arc<Job>> {
        self.list.back().filter(|_| !self.withdrawn)
    }

    /// A job by its number.
    #[must_use]
    pub fn find(&self, no: u32) -> Option<&Arc<Job>> {
        let first = self.list.front()?.no;
        self.list.get(usize::try_from(no.checked_sub(first)?).ok()?)
    }

    /// A job with this header, which a node gave.
    #[must_use]
    pub fn of_header(&self, header: &[u8; 32]) -> Option<&Arc<Job>> {
        self.list.iter().find(|job| job.header() == Some(header))
    }

    /// The oldest number still here: what is older is forgotten.
    #[must_use]
    pub fn oldest_no(&self) -> u32 {
        self.list.front().map_or(u32::MAX, |job| job.no)
    }

    /// Does this job build on the newest tip?
    #[must_use]
    pub fn is_current(&self, job: &Job) -> bool {
        self.latest().is_some_and(|latest| latest.template.prev_hash == job.template.prev_hash)
    }
}

/// Makes a pool's jobs and hands them to its connections.
pub struct JobMaker {
    rules: Arc<JobRules>,
    next_no: u32,
    tip: u64,
    jobs: watch::Sender<Arc<Jobs>>,
}

impl JobMaker {
    /// A maker whose numbers begin where no earlier start of the program could have been: at the time in seconds, since a
    /// pool makes fewer than one job a second.
    #[must_use]
    pub fn new(rules: JobRules, now: UnixMs) -> Self {
        let next_no = ((now.0 / 1000) & u64::from(u32::MAX)) as u32;
        let (jobs, _) = watch::channel(Arc::new(Jobs::default()));
        JobMaker { rules: Arc::new(rules), next_no: next_no.max(1), tip: 0, jobs }
    }

    /// Where connections learn of new jobs.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Jobs>> {
        self.jobs.subscribe()
    }

    /// What all jobs have in common.
    #[must_use]
    pub fn rules(&self) -> &Arc<JobRules> {
        &self.rules
    }

    /// Makes the next job. The old ones stay valid until this one has been published.
    pub fn publish(&mut self, template: Arc<Template>, terms: JobTerms, now: UnixMs) -> Arc<Job> {
        let mut jobs = Jobs::clone(&self.jobs.borrow());
        jobs.withdrawn = false;
        let same_tip =
            jobs.latest().is_some_and(|latest| latest.template.prev_hash == template.prev_hash);
        if !same_tip {
            self.tip += 1;
            jobs.tip_since = now;
        }
        let mut job = Job::new(self.next_no, self.tip, template, self.rules.clone(), terms, now);
        // The same header is the same work: what was credited for it counts, whatever it is called.
        let same = job.header().and_then(|header| jobs.of_header(header));
        if let Some(claims) = same.and_then(|same| same.claims.clone()) {
            job.claims = Some(claims);
        }
        let job = Arc::new(job);
        self.next_no = self.next_no.checked_add(1).unwrap_or(1);
        if self.next_no == 1 {
            jobs.list.clear();
        }
        jobs.list.push_back(job.clone());
        while jobs.list.len() > JOBS_MAX {
            jobs.list.pop_front();
        }
        self.jobs.send_replace(Arc::new(jobs));
        job
    }

    /// Is work with this header still known?
    #[must_use]
    pub fn knows(&self, header: &[u8; 32]) -> bool {
        self.jobs.borrow().of_header(header).is_some()
    }

    /// Takes all work back: the node is on another chain, or syncing. What miners go on hashing is stale, but a header
    /// that solves is still a block.
    pub fn withdraw(&mut self, now: UnixMs) {
        let before = Jobs::clone(&self.jobs.borrow());
        self.jobs.send_replace(Arc::new(Jobs { withdrawn: true, tip_since: now, ..before }));
        self.tip += 1;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ether::work::Work;
    use crate::template::hash_from_hex;
    use accounting::scheme::Scheme;
    use pow::Algorithm;

    pub(crate) fn template() -> Template {
        let json = format!(
            r#"{{"version":536870912,"previousblockhash":"{}","transactions":[],"coinbasevalue":5000000000,
            "curtime":1700000000,"mintime":1699999000,"bits":"1d00ffff","height":700}}"#,
            "000000000000000000024bead8df69990852c202db0e0097c1a12ea637d7e96d"
        );
        Template::read(&json).unwrap()
    }

    pub(crate) fn rules(pays: Pays) -> JobRules {
        JobRules {
            hashing: Hashing::Header(Algorithm::Sha256d),
            boot: 3,
            tag: b"/Adit/".to_vec(),
            extranonce2_size: 8,
            pays,
            scheme: Scheme::Tides,
            free_nonces: Difficulty::nearest(1.0),
        }
    }

    pub(crate) fn pool_pays() -> Pays {
        Pays::Pool { script: vec![0x51, 0x20, 9] }
    }

    #[test]
    fn notify_is_what_miners_expect() {
        let mut maker = JobMaker::new(rules(pool_pays()), UnixMs(1_700_000_000_000));
        let job = maker.publish(Arc::new(template()), JobTerms::default(), UnixMs(0));
        let line = job.notify(0, &job.tail(&[]), true);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let params = value["params"].as_array().unwrap();
        assert_eq!(value["id"], serde_json::Value::Null);
        assert_eq!(params.len(), 9);
        assert_eq!(params[0], format!("{:x}", 1_700_000_000));
        assert_eq!(params[1], "37d7e96dc1a12ea6db0e00970852c202d8df699900024bea0000000000000000");
        assert_eq!(
            &params[5..],
            [serde_json::json!("20000000"), "1d00ffff".into(), "6553f100".into(), true.into()]
        );
        assert!(line.ends_with(b"true]}\n"));
        assert!(job.notify(0, &job.tail(&[]), false).ends_with(b"false]}\n"));
    }

    #[test]
    fn the_midstate_path_and_the_plain_path_hash_the_same_coinbase() {
        let job = Job::new(
            5,
            1,
            Arc::new(template()),
            Arc::new(rules(pool_pays())),
            JobTerms::default(),
            UnixMs(0),
        );
        let tail = job.tail(&[]);
        for variant in [0, 1, 255] {
            let whole = job.coinbase(variant, [1, 2, 3, 4], &[9; 8], &tail);
            assert_eq!(
                job.coinbase_hash(variant, [1, 2, 3, 4], &[9; 8], &tail),
                pow::sha256d::sha256d(&whole)
            );
        }
        let long = vec![7; 3000];
        let whole = job.coinbase(0, [1, 2, 3, 4], &[9; 8], &long);
        assert_eq!(
            job.coinbase_hash(0, [1, 2, 3, 4], &[9; 8], &long),
            pow::sha256d::sha256d(&whole)
        );
    }

    #[test]
    fn a_solo_coinbase_pays_its_finder_and_the_fee_and_sums_to_the_template() {
        let fee = BasisPoints::new(150).unwrap();
        let pays = Pays::Finder { fee_script: vec![1], fee };
        let job = Job::new(
            5,
            1,
            Arc::new(template()),
            Arc::new(rules(pays)),
            JobTerms::default(),
            UnixMs(0),
        );
        let outputs = job.outputs(&[2, 2]);
        let summary: Vec<_> = outputs.iter().map(|o| (o.value, o.script.clone())).collect();
        assert_eq!(summary, [(4_925_000_000, vec![2, 2]), (75_000_000, vec![1])]);
        assert_ne!(job.tail(&[2, 2]), job.tail(&[3, 3]), "everybody has their own");
    }

    #[test]
    fn job_ids_are_unique_over_ten_million_jobs_and_restarts() {
        let mut maker = JobMaker::new(rules(pool_pays()), UnixMs(1_700_000_000_000));
        let first = maker.publish(Arc::new(template()), JobTerms::default(), UnixMs(0)).no;
        maker.next_no += 9_999_999;
        let last = maker.publish(Arc::new(template()), JobTerms::default(), UnixMs(0)).no;
        assert_eq!(last - first, 10_000_000, "numbers only count up");
        let later = JobMaker::new(rules(pool_pays()), UnixMs(1_700_000_060_000));
        assert!(
            later.next_no > first + 1,
            "a minute later another start begins behind all jobs of a minute"
        );
    }

    #[test]
    fn only_a_new_parent_is_a_new_tip_and_old_jobs_stay_findable() {
        let mut maker = JobMaker::new(rules(pool_pays()), UnixMs(1_000));
        let jobs = maker.subscribe();
        let one = maker.publish(Arc::new(template()), JobTerms::default(), UnixMs(10));
        let two = maker.publish(Arc::new(template()), JobTerms::default(), UnixMs(20));
        assert_eq!((one.tip, two.tip), (1, 1));
        let mut moved = template();
        moved.prev_hash = hash_from_hex(&"11".repeat(32)).unwrap();
        let three = maker.publish(Arc::new(moved), JobTerms::default(), UnixMs(30));
        assert_eq!(three.tip, 2);
        let now = jobs.borrow().clone();
        assert!(now.find(one.no).is_some() && !now.is_current(&one) && now.is_current(&three));
        assert_eq!(now.tip_since, UnixMs(30));
        assert!(now.find(three.no + 1).is_none() && now.find(0).is_none());
        for _ in 0..JOBS_MAX {
            maker.publish(Arc::new(template()), JobTerms::default(), UnixMs(40));
        }
        assert!(jobs.borrow().find(one.no).is_none(), "forgotten after {JOBS_MAX} more");
    }

    #[test]
    fn a_required_version_bit_stays_and_leaves_the_mask_and_rolled_bits_are_cleared() {
        let mut t = template();
        t.version = 0x2080_e000;
        t.required_version = 0x0080_0000;
        let job = Job::new(
            5,
            1,
            Arc::new(t),
            Arc::new(rules(pool_pays())),
            JobTerms::default(),
            UnixMs(0),
        );
        assert_eq!(job.version, 0x2080_0000);
        assert_eq!(job.version_mask, VERSION_MASK & !0x0080_0000);
    }

    #[test]
    fn the_same_header_is_the_same_work_whatever_it_is_called() {
        let given = |header: u8| {
            let work = Work {
                header: [header; 32],
                seed: [0; 32],
                boundary: template().target,
                height: 700,
            };
            Arc::new(work.template([1; 32], 1_700_000_000))
        };
        let mut maker = JobMaker::new(rules(pool_pays()), UnixMs(1_000));
        let one = maker.publish(given(1), JobTerms::default(), UnixMs(10));
        let other = maker.publish(given(2), JobTerms::default(), UnixMs(20));
        let again = maker.publish(given(1), JobTerms::default(), UnixMs(30));
        assert!(one.claim(&[7; 32]) && !again.claim(&[7; 32]) && other.claim(&[7; 32]));
        again.release(&[7; 32]);
        assert!(one.claim(&[7; 32]));
        for _ in 0..JOBS_MAX {
            maker.publish(given(3), JobTerms::default(), UnixMs(40));
        }
        assert!(maker.knows(&[3; 32]) && !maker.knows(&[1; 32]), "forgotten with its jobs");
    }
}
