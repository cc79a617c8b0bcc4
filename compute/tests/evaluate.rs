//! Predictions and scores of the recorded programs, and that nothing but program and set decides them.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use compute::data::{DataSet, Metric, Rows, Task, demo};
use compute::dsl::{Limits, Program, lenient};
use compute::evaluate::{Prepared, Unfit};
use compute::numpy::Rng;
use compute::score::Score;
use compute::self_test;
use proptest::prelude::{prop, prop_assert_eq, proptest};
use serde_json::Value;

fn recorded() -> Value {
    serde_json::from_str(include_str!("fixtures/dsl.json")).unwrap()
}

fn program(text: &str, input_dim: u16) -> Program {
    lenient::read(text, input_dim, &Limits::POOL).unwrap().program
}

fn rows(all: &Value, side: &str) -> Rows {
    let floats = |list: &Value| -> Vec<f32> {
        list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
    };
    let features = all[format!("{side}_X")].as_array().unwrap().iter().flat_map(floats).collect();
    Rows { features, labels: floats(&all[format!("{side}_y")]) }
}

fn set_of(tasks: Vec<Task>, input_dim: u16, metric: Metric) -> DataSet {
    DataSet { name: "test".into(), metric, input_dim, epochs: 1, tasks }
}

fn recorded_set(all: &Value) -> DataSet {
    let task = Task { id: 0, seed: 0, train: rows(all, "train"), valid: rows(all, "val") };
    set_of(vec![task], 4, Metric::Accuracy)
}

/// How far a prediction may be from the recorded one: those were made with AVX-512, whose sums numpy's BLAS takes in another
/// order, and with numpy's own approximations of sine and the like.
const BOUND: f32 = 1e-6;

#[test]
fn every_recorded_program_scores_exactly_and_predicts_within_a_millionth() {
    let all = recorded();
    let prepared = Prepared::new(&recorded_set(&all));
    for wanted in all["programs"].as_array().unwrap() {
        let name = wanted["name"].as_str().unwrap();
        let own = program(wanted["dsl"].as_str().unwrap(), 4);
        let found = prepared.evaluate(&own).unwrap();
        let score: f64 = wanted["score"].as_str().unwrap().parse().unwrap();
        assert_eq!(found.per_task, [score], "{name}");
        assert_eq!(prepared.evaluate(&own.normal()).unwrap(), found, "{name}, normalised");
        let predictions = &prepared.predictions(&own).unwrap()[0];
        let recorded = wanted["predictions"].as_array().unwrap();
        assert_eq!(predictions.len(), recorded.len());
        for (found, wanted) in predictions.iter().zip(recorded) {
            let wanted: f32 = wanted.as_str().unwrap().parse().unwrap();
            let near = (found - wanted).abs() <= BOUND * wanted.abs();
            assert!(near || (found.is_nan() && wanted.is_nan()), "{name}: {found} {wanted}");
        }
    }
}

#[test]
fn sums_over_sixteen_features_are_numpys_to_the_bit() {
    let wanted: Value =
        serde_json::from_str(include_str!("fixtures/numpy_reductions.json")).unwrap();
    let mut rng = Rng::new(7);
    let features: Vec<f32> = (0..16_000).map(|_| rng.normal_f32()).collect();
    let weights: String = features[..16]
        .iter()
        .enumerate()
        .map(|(at, weight)| format!("v1[{at}] = {weight:e}\n"))
        .collect();
    let valid = Rows { features, labels: vec![0.0; 1000] };
    let task = Task { id: 0, seed: 0, train: Rows::default(), valid };
    let prepared = Prepared::new(&set_of(vec![task], 16, Metric::Accuracy));
    for (call, digest) in wanted.as_object().unwrap() {
        let own = program(&format!("# setup\n{weights}# predict\ns0 = {call}\n"), 16);
        assert_eq!(hex(&prepared.evaluate(&own).unwrap().digest), *digest, "{call}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const SGD: &str = "# setup\ns2 = 0.1\n# predict\ns0 = dot(v0, v1)\n# learn\ns3 = s1 - s0\ns3 = s3 * s2\nv2 = v0 * s3\nv1 = v1 + v2\n";

#[test]
fn a_line_is_learnt_nearly_exactly() {
    let prepared = Prepared::new(&demo::lines());
    // With a step of 0.02: with 0.1 and sixteen features of variance one it overshoots.
    let learnt = prepared.evaluate(&program(&SGD.replace("0.1", "0.02"), 16)).unwrap();
    assert!(learnt.per_task.iter().all(|score| *score > 0.999), "{:?}", learnt.per_task);
    let nothing = prepared.evaluate(&program("", 16)).unwrap();
    assert!(nothing.per_task.iter().all(|score| *score < 0.25));
}

#[test]
fn a_program_that_gives_no_number_has_no_score() {
    let prepared = Prepared::new(&demo::lines());
    let text = "# predict\ns2 = 1e30\ns2 = s2 * s2\ns0 = s2 - s2\n";
    assert_eq!(prepared.evaluate(&program(text, 16)).unwrap().score, Score::Invalid);
    // Of classes it says "the first", as in the original.
    let classes = Prepared::new(&demo::classes());
    assert!(classes.evaluate(&program(text, 16)).unwrap().score > Score::Invalid);
}

#[test]
fn what_does_not_fit_is_refused_before_it_runs() {
    let prepared = Prepared::new(&demo::classes());
    assert_eq!(prepared.evaluate(&program("", 4)), Err(Unfit::InputDim { program: 4, set: 16 }));
    let mut set = demo::classes();
    set.epochs = 200;
    let dear = format!("# meta: vector_dim=64\n# predict\n{}", "m1 = m1 * m2\n".repeat(200));
    assert!(matches!(Prepared::new(&set).evaluate(&program(&dear, 16)), Err(Unfit::Dear { .. })));
}

#[test]
fn the_work_stops_between_groups_when_told_to() {
    let prepared = Prepared::new(&demo::classes());
    let mut asked = 0;
    let stopped = prepared.evaluate_while(&program(SGD, 16), || {
        asked += 1;
        if asked > 1 {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    });
    assert_eq!(stopped, Ok(None));
    assert_eq!(asked, 2);
}

#[test]
fn every_instruction_gives_the_same_bits_everywhere() {
    assert_eq!(self_test::program().len(), 30);
    assert_eq!(self_test::run(), Ok(()));
}

proptest! {
    #[test]
    fn a_tasks_score_does_not_depend_on_its_neighbours(
        order in prop::sample::subsequence((0..16usize).collect::<Vec<_>>(), 1..16)
    ) {
        let whole = demo::classes();
        let own = self_test::program();
        let all = Prepared::new(&whole).evaluate(&own).unwrap();
        let mut tasks: Vec<Task> = order.iter().map(|at| whole.tasks[*at].clone()).collect();
        // Tasks of other lengths go into other groups.
        tasks[0].valid.labels.truncate(100);
        tasks[0].valid.features.truncate(1600);
        let part = Prepared::new(&set_of(tasks, 16, Metric::Accuracy)).evaluate(&own).unwrap();
        for (at, place) in order.iter().enumerate().skip(1) {
            prop_assert_eq!(part.per_task[at], all.per_task[*place]);
        }
    }
}
