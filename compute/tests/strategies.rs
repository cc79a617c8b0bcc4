//! Whether cheating pays: strategies against the original's rules and against ours, a day of a hundred miners.
//!
//! `cargo test -p compute --test strategies -- --nocapture` prints the tables of docs/compute.md.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use compute::desk::{Answer, Change, Desk, Evaluated, Settings};
use compute::dsl::{Limits, lenient};
use compute::evaluate::Evaluation;
use compute::fact::Fact;
use compute::key::PublicKey;
use compute::lease::{Lease, LeaseId, Wish};
use compute::numpy::Rng;
use compute::quorum::{Defences, Rules};
use compute::score::Score;
use compute::task::AlgorithmId;
use std::collections::{BTreeMap, HashMap, HashSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Strategy {
    /// Computes with our evaluator.
    Honest,
    /// Computes with the original's: a last bit off, no digest.
    Foreign,
    /// Computes nothing and says one half.
    Lazy,
    /// Says one half, with digests out of thin air.
    Forger,
    /// Praises the friends' algorithms and is honest otherwise.
    Colluding,
    /// Takes leases and never answers.
    Squatting,
}
use Strategy::{Colluding, Foreign, Forger, Honest, Lazy, Squatting};

const MINUTE: u64 = 60;
/// A day, and how long an honest answer takes.
const MINUTES: u64 = 24 * 60;
const WORK_MINUTES: u64 = 4;

struct World {
    desk: Desk,
    rng: Rng,
    kinds: Vec<Strategy>,
    /// When each is ready with what they have in hand.
    busy: Vec<Option<(u64, Lease)>>,
    author: HashMap<AlgorithmId, usize>,
    earned: BTreeMap<[u8; 32], (PublicKey, u64)>,
    programs: u32,
    own: u64,
    asked: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Result {
    /// Reputation a key and hour.
    hourly: f64,
    /// What a key gets of the epoch's budget, as a part of what it would get if all keys got the same.
    part: f64,
}

#[derive(Debug)]
struct Day {
    by: BTreeMap<Strategy, Result>,
    decided: u64,
    /// Evaluations asked of miners for each algorithm decided.
    replicas: f64,
    /// The pool's own evaluations for each algorithm decided.
    own: f64,
}

fn key(at: usize) -> PublicKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&(at as u64).to_be_bytes());
    PublicKey::from_bytes(bytes)
}

/// What an algorithm is really worth: mostly chance, as with real ones.
fn truth(id: AlgorithmId) -> Evaluation {
    let mut rng = Rng::new(id.0 + 1_000_000);
    let score = if rng.random_f64() < 0.7 { 0.5 } else { 0.5 + 0.45 * rng.random_f64() };
    let mut digest = [1; 32];
    digest[..8].copy_from_slice(&id.0.to_be_bytes());
    Evaluation { score: Score::computed(score), per_task: Vec::new(), digest }
}

impl World {
    fn new(rules: Rules, crowd: &[(Strategy, usize)]) -> Self {
        let settings = Settings { rules, batch: 4, ..Settings::DEFAULT };
        let kinds: Vec<Strategy> =
            crowd.iter().flat_map(|(kind, count)| vec![*kind; *count]).collect();
        let mut world = World {
            desk: Desk::new(settings, 5),
            rng: Rng::new(6),
            busy: vec![None; kinds.len()],
            kinds,
            author: HashMap::new(),
            earned: BTreeMap::new(),
            programs: 0,
            own: 0,
            asked: 0,
        };
        for _ in 0..2 {
            let text = world.program();
            let program = lenient::read(&text, 16, &Limits::POOL).unwrap().program;
            world.desk.found(&program, 0);
        }
        world.pool_works(0);
        world
    }

    fn program(&mut self) -> String {
        self.programs += 1;
        format!("# predict\ns2 = {}.0\nv1 = v0 * s2\ns0 = norm(v1)\n", self.programs)
    }

    fn note(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Fact(Fact::Earned(earning)) => {
                    self.earned.insert(earning.key, (earning.miner, earning.weight.0));
                }
                Change::Fact(Fact::Revoked { key, .. }) => drop(self.earned.remove(&key)),
                _ => {}
            }
        }
    }

    fn pool_works(&mut self, now_s: u64) {
        let wanted: Vec<AlgorithmId> = self.desk.wanted().map(|wanted| wanted.id).collect();
        for id in wanted {
            self.own += 1;
            let changes = self.desk.own_result(id, &truth(id), None, now_s);
            self.note(changes);
        }
    }

    fn says(&mut self, at: usize, id: AlgorithmId) -> Evaluated {
        let real = truth(id);
        let number = real.score.to_f64().unwrap();
        let honest = Evaluated { algorithm: id, score: real.score, digest: Some(real.digest) };
        let of =
            |score: f64, digest| Evaluated { algorithm: id, score: Score::computed(score), digest };
        match self.kinds[at] {
            Honest => honest,
            Foreign => of((number + 1e-4 * (self.rng.random_f64() - 0.5)).min(1.0), None),
            Lazy | Squatting => of(0.5, None),
            Forger => of(0.5, Some([at as u8; 32])),
            Colluding => match self.author.get(&id) {
                Some(author) if self.kinds[*author] == Colluding => of(0.99, None),
                _ => of(number, None),
            },
        }
    }

    fn minute(&mut self, minute: u64) {
        let now_s = minute * MINUTE;
        let changes = self.desk.expire(now_s);
        self.note(changes);
        for at in 0..self.kinds.len() {
            self.answers(at, minute);
            if self.busy[at].is_none() {
                let wish = Wish::Mixed { batch: 4, seeds: 2 };
                if let Ok((lease, changes)) = self.desk.request(key(at), at as u64 + 1, wish, now_s)
                {
                    self.asked += lease.evaluate.len() as u64;
                    self.note(changes);
                    let works = if self.kinds[at] == Squatting { u64::MAX } else { WORK_MINUTES };
                    self.busy[at] = Some((minute.saturating_add(works), lease));
                }
            }
        }
        self.pool_works(now_s);
    }

    fn answers(&mut self, at: usize, minute: u64) {
        let Some((ready, lease)) = self.busy[at].clone() else { return };
        if minute * MINUTE >= lease.deadline_s {
            self.busy[at] = None;
            return;
        }
        if minute < ready {
            return;
        }
        self.busy[at] = None;
        let evaluated = lease.evaluate.iter().map(|id| self.says(at, *id)).collect();
        // Everybody brings a program now and then; a good one is rare.
        let brings = self.rng.random_f64() < 0.3;
        let evolved = if brings { vec![self.program()] } else { Vec::new() };
        let LeaseId(hash) = lease.id;
        let mut sent = Answer { evaluated, evolved, hash: [0; 32] };
        sent.hash[..8].copy_from_slice(&hash.to_be_bytes());
        let (receipt, changes) =
            self.desk.submit(key(at), lease.id, &sent, minute * MINUTE, |_| false).unwrap();
        for (id, _) in receipt.evolved {
            id.map(|id| self.author.insert(id, at));
        }
        self.note(changes);
    }
}

fn day(rules: Rules, crowd: &[(Strategy, usize)]) -> Day {
    let mut world = World::new(rules, crowd);
    for minute in 1..=MINUTES {
        world.minute(minute);
    }
    let mut by = BTreeMap::new();
    for kind in world.kinds.iter().copied().collect::<HashSet<_>>() {
        let keys: HashSet<PublicKey> =
            (0..world.kinds.len()).filter(|at| world.kinds[*at] == kind).map(key).collect();
        let total: u64 =
            world.earned.values().filter(|(who, _)| keys.contains(who)).map(|(_, w)| w).sum();
        let each = total as f64 / keys.len() as f64;
        let all: u64 = world.earned.values().map(|(_, weight)| weight).sum();
        let part = each / (all as f64 / world.kinds.len() as f64);
        by.insert(kind, Result { hourly: each / 1e6 / (MINUTES / 60) as f64, part });
    }
    let decided = world.author.len() as u64 - world.desk.open() as u64;
    let of = |count: u64| count as f64 / decided as f64;
    Day { by, decided, replicas: of(world.asked), own: of(world.own) }
}

fn show(title: &str, day: &Day) {
    println!(
        "{title}: {} decided, {:.2} evaluations and {:.2} of the pool's own for each",
        day.decided, day.replicas, day.own
    );
    for (kind, result) in &day.by {
        println!(
            "    {kind:?}: {:.2} reputation a key and hour, {:.0} % of an equal part",
            result.hourly,
            100.0 * result.part
        );
    }
}

#[test]
fn guessing_one_half_pays_under_the_originals_rules_and_not_under_ours() {
    for cheat in [Lazy, Forger] {
        let crowd = [(Honest, 40), (Foreign, 40), (cheat, 20)];
        let (before, after) = (day(Rules::ORIGINAL, &crowd), day(Rules::DEFENDED, &crowd));
        show(&format!("original, {cheat:?} 20 %"), &before);
        show(&format!("defended, {cheat:?} 20 %"), &after);
        let of = |day: &Day, kind| day.by[&kind].part;
        assert!(of(&before, cheat) > 0.5 * of(&before, Honest));
        assert!(of(&after, cheat) < 0.1 * of(&after, Honest));
        assert!(of(&after, Honest) > of(&before, Honest));
        assert!(of(&after, Foreign) > 0.8 * of(&after, Honest));
    }
}

#[test]
fn praising_friends_pays_under_the_originals_rules_and_not_under_ours() {
    let crowd = [(Honest, 60), (Colluding, 40)];
    let (before, after) = (day(Rules::ORIGINAL, &crowd), day(Rules::DEFENDED, &crowd));
    show("original, colluding 40 %", &before);
    show("defended, colluding 40 %", &after);
    let of = |day: &Day, kind| day.by[&kind].part;
    assert!(of(&before, Colluding) > of(&before, Honest));
    assert!(of(&after, Colluding) < 0.5 * of(&after, Honest));
}

#[test]
fn squatters_earn_nothing_and_hold_up_little() {
    let alone = day(Rules::DEFENDED, &[(Honest, 50)]);
    let beset = day(Rules::DEFENDED, &[(Honest, 50), (Squatting, 50)]);
    show("defended, honest alone", &alone);
    show("defended, squatting 50 %", &beset);
    assert_eq!(beset.by[&Squatting].hourly, 0.0);
    assert!(beset.by[&Honest].hourly > 0.8 * alone.by[&Honest].hourly);
}

#[test]
fn many_lazy_keys_earn_no_more_than_one() {
    let crowd = [(Honest, 50), (Lazy, 150)];
    let (before, after) = (day(Rules::ORIGINAL, &crowd), day(Rules::DEFENDED, &crowd));
    show("original, 75 % lazy keys", &before);
    show("defended, 75 % lazy keys", &after);
    let of = |day: &Day, kind| day.by[&kind].part;
    assert!(of(&after, Lazy) < 0.1 * of(&after, Honest));
}

#[test]
fn what_each_defence_costs_is_shown() {
    let crowd = [(Honest, 40), (Foreign, 40), (Lazy, 10), (Colluding, 10)];
    let all = Defences::ALL;
    for (name, defences) in [
        ("none", Defences::NONE),
        ("all", all),
        ("all but digests", Defences { digests: false, ..all }),
        ("all but checks", Defences { checks_per_thousand: 0, ..all }),
        ("all but sentences", Defences { sentence_s: 0, ..all }),
        ("all but verified winners", Defences { verify_winners: false, ..all }),
        ("all but more votes", Defences { votes_max: 3, ..all }),
        ("all but trust", Defences { trusted_after: 0, ..all }),
        ("all but probation", Defences { probation: 0, ..all }),
    ] {
        let day = day(Rules { defences, ..Rules::ORIGINAL }, &crowd);
        show(name, &day);
        assert!(day.decided > 0);
    }
}
