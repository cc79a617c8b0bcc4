//! What the engines pay is what the pool's own rules pay: the look-back engine against a chain of real coinbases and trees, and
//! every run the same on any number of threads.

#![allow(clippy::unwrap_used, reason = "a run that fails has failed")]

use covenant::rule::{Bootstrap, Halving, Small, Weights};
use covenant::shape::Shape;
use covenant::tree::{FeeRule, TreeRule};
use covenant::window::{LookBack, Place, Slot};
use covenant::{Rule, claims};
use proptest::prelude::*;
use simulator::blocks::{Conduct, Setting, run};
use simulator::random::Dice;
use simulator::report;
use simulator::scenario::Scenario;
use simulator::world::Rewards;
use std::collections::HashMap;

fn rule() -> Rule {
    Rule {
        start: 0,
        window: LookBack::Last { blocks: 20 },
        weights: Weights::Equal,
        share_permille: 1000,
        bootstrap: Bootstrap::Finder,
        halving: Halving::Ignore,
        floor: 546,
        small: Small::Others,
        tree: TreeRule {
            shape: Shape::Balanced { radix: 4 },
            fee: FeeRule::default(),
            anchor: None,
        },
    }
}

fn rules() -> impl Strategy<Value = Rule> {
    let window = prop_oneof![
        (1u32..40).prop_map(|blocks| LookBack::Last { blocks }),
        (1_000u32..40_000).prop_map(|seconds| LookBack::Age { seconds }),
        (1_000u32..9_000)
            .prop_map(|s| LookBack::Between { from_seconds: s, to_seconds: s + 9_000 }),
    ];
    let weights = prop_oneof![
        Just(Weights::Equal),
        (500_000u32..1_000_000).prop_map(|keep_ppm| Weights::Ewma { keep_ppm }),
        Just(Weights::Sats),
        Just(Weights::Work),
    ];
    let bootstrap = prop_oneof![Just(Bootstrap::Finder), Just(Bootstrap::Split)];
    let halving = prop_oneof![Just(Halving::Ignore), Just(Halving::Restart { interval: 60 })];
    (window, weights, bootstrap, halving, 1u16..=1000).prop_map(
        |(window, weights, bootstrap, halving, share_permille)| Rule {
            window,
            weights,
            bootstrap,
            halving,
            share_permille,
            ..rule()
        },
    )
}

/// The same chance as the engine's, each block paid by a tree of scripts: what each miner gets.
fn paid_by_trees(setting: &Setting, mut dice: Dice) -> Vec<f64> {
    let scripts: Vec<bitcoin::ScriptBuf> = (0..setting.hashrates.len() as u8)
        .map(|n| bitcoin::ScriptBuf::from_bytes([&[0, 20][..], &[n + 1; 20]].concat()))
        .collect();
    let mut weights = setting.hashrates.clone();
    weights.push((1.0 - weights.iter().sum::<f64>()).max(0.0));
    let urn = simulator::random::Urn::new(weights);
    let mut paid = vec![0.0; scripts.len()];
    let (mut slots, mut times): (Vec<Slot>, Vec<f64>) = (Vec::new(), vec![0.0; 11]);
    for height in 0..setting.blocks as u32 {
        let place = Place { height, time: times[times.len() - 6] as u32 };
        times.push(times.last().unwrap() + 600.0 * dice.exponential());
        let finder = urn.draw(&mut dice);
        if finder >= scripts.len() {
            continue;
        }
        let worth = setting.rewards.draw(height.into(), &mut dice);
        let window = setting.rule.window.of(&slots, place, setting.rule.since(height));
        let parts = setting.rule.parts(worth, window.len());
        let list = claims::of_window(&setting.rule, window, |payee| &scripts[payee as usize]);
        let tree = claims::share(&setting.rule, parts.shared, &list, &scripts[finder]);
        let by_script: HashMap<_, _> = scripts.iter().zip(0..).collect();
        for payee in tree.iter().flat_map(|tree| tree.payees()) {
            let miner: usize = by_script[&payee.script];
            paid[miner] += payee.amount as f64;
        }
        let shared = tree.as_ref().map_or(0, |tree| tree.root().value);
        paid[finder] += (worth - shared) as f64;
        let work = 1_000_000_000_000;
        let sats = parts.shared + parts.kept_for_empty_slots;
        slots.push(Slot { place, payee: finder as u32, sats, work });
    }
    paid
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_engine_pays_what_a_chain_of_trees_pays(rule in rules(), seed in any::<u64>(), cv in 0.0f64..1.0) {
        let mut setting = Setting::plain(vec![0.3, 0.2, 0.1, 0.1], rule, 300);
        setting.warm_up = 0;
        setting.rewards = Rewards { subsidy: 1.0, fees: 0.5, fees_cv: cv, halving: 60 };
        let run = run(&setting, &[10], &mut Dice::stream(seed, 1));
        let trees = paid_by_trees(&setting, Dice::stream(seed, 1));
        // A satoshi a payment for rounding, and nobody is below the floor of so rich blocks but a few.
        for (ours, theirs) in run.incomes.iter().zip(&trees) {
            prop_assert!((ours - theirs).abs() < 300.0 * 2.0 + 546.0 * 30.0, "{ours} {theirs}");
        }
        prop_assert!(run.balance().abs() < 1.0, "all that is found is paid: {}", run.balance());
        for (miner, income) in run.incomes.iter().enumerate() {
            let singles = run.pooled.moments(0)[miner];
            prop_assert!((singles.sum - income).abs() < 1.0, "buckets of ten blocks hold all of it");
        }
    }
}

#[test]
fn who_stays_alone_earns_what_they_find_and_nobody_else_pays_them() {
    let mut setting = Setting::plain(vec![0.3, 0.3], rule(), 5_000);
    setting.conduct = vec![Conduct::Alone, Conduct::Follows];
    let run = run(&setting, &[], &mut Dice::stream(7, 7));
    assert_eq!(run.incomes[0], run.found[0]);
}

const SCENARIO: &str = r#"
seed = 5
repeats = 6
blocks = 4320
shares_per_block = 10000
stale_seconds = 3
miners = { count = 20, share = 0.3, hashrates = { law = "pareto", alpha = 1.5 } }
rewards = { subsidy = 3.125, fees = 0.2, fees_cv = 0.5 }
adversaries = [{ kind = "hopper" }, { kind = "withholder", hashrate = 0.2, pool = 0.4, sent = 0.05 }]

[[policies]]
name = "solo"
policy = { kind = "solo" }
[[policies]]
name = "prop"
policy = { kind = "prop" }
[[policies]]
name = "pplns"
fee_percent = 1
policy = { kind = "pplns", window = 2 }
[[policies]]
name = "full"
policy = { kind = "full", blocks = 2016 }
[[policies]]
name = "geometric"
policy = { kind = "geometric", c = 0.3 }
[[policies]]
name = "fpps"
fee_percent = 3
policy = { kind = "fpps" }
[[policies]]
name = "ctv"
[policies.policy]
kind = "ctv"
[policies.policy.rule]
start = 0
window = { kind = "last", blocks = 100 }
weights = { kind = "sats" }
share_permille = 1000
bootstrap = { kind = "finder" }
halving = { kind = "ignore" }
floor = 1000
small = "others"
tree = { shape = { kind = "balanced", radix = 4 }, fee = { per_vbyte = 1 } }
"#;

#[test]
fn a_scenario_gives_the_same_report_on_any_number_of_threads() {
    let scenario: Scenario = toml::from_str(SCENARIO).unwrap();
    scenario.check().unwrap();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let report = pool.install(|| report::run(&scenario, None, &simulator::silent));
        serde_json::to_string(&report).unwrap()
    };
    let one = on(1);
    assert_eq!(one, on(3));
    let found = report::run(&scenario, None, &simulator::silent);
    for row in &found.rows {
        // Pareto miners are few and large: means come near, whatever the policy.
        let fee = match row.policy.as_str() {
            "pplns" => 0.99,
            "fpps" => 0.97 / scenario.stale().mul_add(-1.0, 1.0),
            "geometric" => 0.7,
            _ => 1.0,
        };
        let fair = fee * (1.0 - scenario.stale());
        let off = (row.mean.mean - fair).abs();
        assert!(off < 5.0 * row.mean.error + 0.06, "{row:?}");
        assert!(row.deviation.mean.is_finite() && row.to_solo.mean >= 0.0, "{row:?}");
    }
    let steady = |policy: &str| {
        found.rows.iter().find(|r| r.policy == policy && r.blocks == 144).unwrap().to_solo.mean
    };
    assert!(steady("fpps") < steady("pplns") && steady("pplns") < steady("ctv"));
    assert!(steady("ctv") < steady("solo"));
    assert!(found.to_csv().lines().count() == found.rows.len() + 1);
}

#[test]
fn a_scenario_that_cannot_be_is_refused_with_what_would_be_right() {
    let refused = |from: &str, to: &str, says: &str| {
        let text = SCENARIO.replacen(from, to, 1);
        assert_ne!(text, SCENARIO);
        let error = match toml::from_str::<Scenario>(&text) {
            Ok(scenario) => scenario.check().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(says), "{error}");
    };
    refused("share = 0.3", "share = 1.3", "at most 1");
    refused("repeats = 6", "repeats = 0", "repeats is 1");
    refused("window = 2", "window = 0", "0.001");
    refused("c = 0.3", "c = 1.3", "between 0 and 1");
    refused("floor = 1000", "floor = 5", "at least 546");
    refused("sent = 0.05", "sent = 0.5", "at most hashrate");
    refused("count = 20", "counts = 20", "unknown field");
    refused("fee_percent = 3", "fee_percent = 101", "0 to 100");
}
