//! The simulator's commands: what they print, write and refuse.

#![allow(clippy::unwrap_used, reason = "a command that fails has failed")]

use serde_json::Value;
use std::process::{Command, Output};

/// How every PNG begins.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

const SCENARIO: &str = r#"
seed = 3
repeats = 4
blocks = 1500
shares_per_block = 10000
miners = { count = 10, share = 0.5, hashrates = { law = "equal" } }

[[policies]]
name = "solo & <alone>"
policy = { kind = "solo" }
[[policies]]
name = "tides"
fee_percent = 2
policy = { kind = "tides" }
"#;

fn adit(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_adit")).args(words).output().unwrap()
}

fn says(words: &[&str]) -> String {
    let output = adit(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_scenario_is_run_and_written_the_same_on_one_thread_and_on_two() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("scenario.toml"), SCENARIO).unwrap();
    let run = |threads: &str| {
        let (csv, json) = (path("out.csv"), path("out.json"));
        let (svg, png) = (path("out.svg"), path("out.png"));
        let said = says(&[
            "sim",
            "run",
            &path("scenario.toml"),
            "--threads",
            threads,
            "--quiet",
            "--csv",
            &csv,
            "--json",
            &json,
            "--svg",
            &svg,
            "--png",
            &png,
        ]);
        assert!(std::fs::read(png).unwrap().starts_with(PNG));
        [said]
            .into_iter()
            .chain([csv, json, svg].map(|file| std::fs::read_to_string(file).unwrap()))
            .collect::<Vec<_>>()
    };
    let one = run("1");
    assert_eq!(one, run("2"));
    // A block, ten, a day and a week for each of two policies.
    assert_eq!(one[1].lines().count(), 1 + 2 * 4);
    let report: Value = serde_json::from_str(&one[2]).unwrap();
    let deviation = |row: usize| report["rows"][row]["deviation"]["mean"].as_f64().unwrap();
    assert!(deviation(6) < deviation(2), "a day under TIDES varies less than alone");
    assert!(one[3].starts_with("<svg") && one[3].contains("solo &amp; &lt;alone&gt;"));

    std::fs::write(path("scenario.toml"), SCENARIO.replace("share = 0.5", "share = 2")).unwrap();
    let refused = adit(&["sim", "run", &path("scenario.toml")]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("at most 1"));
}

#[test]
fn the_article_is_repeated_as_it_stands_and_as_it_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().display().to_string();
    let said = says(&["sim", "article", "--repeats", "4", "--quiet", "--svg", &svg, "--png", &svg]);
    assert!(said.contains("as the article defines it") && said.contains("corrected"));
    assert!(said.contains("What holds") && said.contains("What does not"));
    for name in ["article.svg", "corrected.svg"] {
        let picture = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
        let picture = folder.path().join(name).with_extension("png");
        assert!(std::fs::read(picture).unwrap().starts_with(PNG));
    }
}

#[test]
fn all_schemes_are_set_beside_each_other_for_one_miner() {
    let said = says(&["sim", "compare", "--repeats", "2", "--quiet", "--hashrate", "0.01"]);
    for scheme in ["solo", "look-back 216", "full proportional", "PROP", "PPLNS 2", "TIDES", "FPPS"]
    {
        assert!(said.lines().any(|line| line.starts_with(scheme)), "{said}");
    }
    let refused = adit(&["sim", "compare", "--hashrate", "0.5", "--pool", "0.2"]);
    assert!(!refused.status.success());
}
