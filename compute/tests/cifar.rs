//! The original's tasks: which they are, exactly, and what is in them.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use compute::data::cifar::{BadPictures, PIXELS, Pictures, Recipe, class_pair, draw};
use compute::data::{executor_seed, read, write};
use compute::numpy::Rng;
use serde_json::Value;

#[test]
fn the_128_tasks_are_the_originals() {
    let all: Value = serde_json::from_str(include_str!("fixtures/dsl.json")).unwrap();
    let suite = &all["cifar_suite"];
    let ids: Vec<u64> = Recipe::ORIGINAL.task_ids().into_iter().map(u64::from).collect();
    assert_eq!(suite["task_ids"], serde_json::json!(ids));
    assert_eq!(suite["suite_seed"], Recipe::ORIGINAL.suite_seed());
    let first = &suite["first"];
    let number = |name: &str| first[name].as_u64().unwrap();
    assert_eq!(first["class_pair"], serde_json::json!(class_pair(2329)));
    let seed = executor_seed(
        Recipe::ORIGINAL.suite_seed(),
        2329,
        number("projection_seed"),
        number("split_seed"),
    );
    assert_eq!(seed, number("eval_seed"));
}

fn random_pictures() -> Pictures {
    let mut rng = Rng::new(3);
    let pixels = (0..120 * PIXELS).map(|_| rng.up_to(255) as u8).collect();
    Pictures { pixels, classes: (0..120u8).map(|at| at % 10).collect() }
}

#[test]
fn rows_labels_and_order_are_numpys_and_features_differ_by_rounding_only() {
    let wanted: Value = serde_json::from_str(include_str!("fixtures/cifar_tasks.json")).unwrap();
    let recipe = Recipe { rows: 20, ..Recipe::ORIGINAL };
    let set = draw(&random_pictures(), &recipe).unwrap();
    assert_eq!(set.tasks.len(), 128);
    for (task, wanted) in set.tasks.iter().zip(wanted.as_array().unwrap()) {
        assert_eq!(task.id, wanted["id"]);
        assert_eq!(serde_json::json!(class_pair(task.id)), wanted["pair"]);
        let labels: Vec<u8> =
            task.train.labels.iter().chain(&task.valid.labels).map(|label| *label as u8).collect();
        assert_eq!(serde_json::json!(labels), wanted["labels"]);
        let features = task.train.features.iter().chain(&task.valid.features);
        let recorded = wanted["features"].as_array().unwrap().iter();
        let recorded: Vec<f64> =
            recorded.flat_map(|row| row.as_array().unwrap()).map(|x| x.as_f64().unwrap()).collect();
        assert_eq!(features.clone().count(), recorded.len());
        for (found, wanted) in features.zip(recorded) {
            assert!((f64::from(*found) - wanted).abs() < 1e-6, "{found} {wanted}");
        }
    }
    assert_eq!(read(&write(&set)), Ok(set));
}

#[test]
fn too_few_pictures_are_told() {
    let refused = draw(&random_pictures(), &Recipe::ORIGINAL);
    assert_eq!(refused.unwrap_err(), BadPictures::Few(2, 9, 24, 2000));
}
