//! Programs as the original reads, writes and names them (`dsl.json`), and as our strict reader refuses them.

#![allow(clippy::unwrap_used, reason = "a test that finds an error has failed")]

use compute::dsl::{BadProgram, Limits, Phase, Program, lenient, strict};
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use serde_json::Value;
use testkit::fuzz::fuzz;

fn programs() -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("fixtures/dsl.json")).unwrap();
    all["programs"].as_array().unwrap().clone()
}

fn lenient(text: &str) -> Program {
    lenient::read(text, 4, &Limits::POOL).unwrap().program
}

#[test]
fn every_recorded_program_reads_writes_and_is_named_as_by_the_original() {
    for wanted in programs() {
        let name = wanted["name"].as_str().unwrap();
        let program = lenient(wanted["dsl"].as_str().unwrap());
        for phase in Phase::ALL {
            let size = wanted["phase_sizes"][phase.name()].as_u64().unwrap();
            assert_eq!(program.phase(phase).len() as u64, size, "{name}");
        }
        for (found, key) in [
            (program.shape.scalars, "scalar_count"),
            (program.shape.vectors, "vector_count"),
            (program.shape.matrices, "matrix_count"),
            (program.shape.dim, "vector_dim"),
        ] {
            assert_eq!(u64::from(found), wanted[key].as_u64().unwrap(), "{name} {key}");
        }
        assert_eq!(program.fingerprint().to_string(), wanted["fingerprint_sha1"], "{name}");
        assert_eq!(program.text(), wanted["canonical"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn what_is_dropped_is_told() {
    let text = "# predict\ns1 = norm(v0)\ns0 = s1 * 0.5\nthis is not code\n";
    let reading = lenient::read(text, 4, &Limits::POOL).unwrap();
    assert_eq!(reading.dropped, [3, 4]);
}

#[test]
fn a_memory_bomb_is_refused_before_it_is_made() {
    for meta in [
        "matrix_count=5000 vector_dim=64",
        "vector_dim=99999999999",
        "scalar_count=18446744073709551615",
        "vector_count=33",
    ] {
        let refused = lenient::read(&format!("# meta: {meta}"), 4, &Limits::POOL);
        assert!(matches!(refused, Err(BadProgram::Large { .. })), "{meta}");
    }
    let long = "s0 = s1\n".repeat(257);
    assert!(matches!(
        lenient::read(&long, 4, &Limits::POOL),
        Err(BadProgram::Large { what: "instructions in a phase", asked: 257, allowed: 256 })
    ));
    let huge = " ".repeat(70_000);
    assert_eq!(lenient::read(&huge, 4, &Limits::POOL), Err(BadProgram::Text(70_000)));
    let small = lenient::read("# meta: scalar_count=1", 4, &Limits::POOL);
    assert_eq!(small, Err(BadProgram::Small));
}

#[test]
fn the_strict_reader_names_the_line() {
    for (text, line) in [
        ("s0 = s1", 1),
        ("# predict\ns0 = s1 * 0.5", 2),
        ("# predict\n\nnonsense", 3),
        ("# predict\n# learning rate\ns0 = s1", 2),
        ("# predict\ns0 = s19 + s25", 2),
        ("# predict\ns0 = v0 + v1", 2),
        ("# predict\ns0 = s1 + s2 + s3", 2),
        ("# predict\nADD s1 s2 -> s0", 2),
        ("# predict\ns0 = 1e999", 2),
        ("# predict\nv1[99] = 1.0", 2),
        ("# predict\nm9 = outer(v0, v0)", 2),
        ("training:\ns0 = s1", 1),
        ("# meta: scalar_count=x\n# predict", 1),
        ("# setup\n# meta: vector_dim=8\ns2 = 0.5", 3),
    ] {
        match strict::read(text, 4, &Limits::POOL) {
            Err(BadProgram::Line { line: found, .. }) => assert_eq!(found, line, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn what_both_readers_accept_is_one_program() {
    let accepted = programs().into_iter().filter(|wanted| {
        let text = wanted["dsl"].as_str().unwrap();
        let strictly = strict::read(text, 4, &Limits::POOL);
        strictly.is_ok_and(|program| program == lenient(text))
    });
    // The others drop lines, alias registers, switch phases by comments or never run.
    let names: Vec<String> =
        accepted.map(|wanted| wanted["name"].as_str().unwrap().to_owned()).collect();
    let clean = [
        "empty",
        "dot_const",
        "sgd_linear",
        "label_cleared",
        "matrix",
        "unary",
        "div_zero",
        "copy_norms",
        "broadcast",
        "sci",
        "inline_comment",
        "nan_inf",
    ];
    assert_eq!(names, clean);
}

#[test]
fn comments_and_dead_lines_make_no_new_program() {
    let program = lenient("# predict\ns0 = dot(v0, v1)\n");
    let dressed = lenient(
        "# hello\n# predict\n\ns0 = v0 + v1\ns7 = 0.5\ns8 = s7 * s7\ns0 = s0\ns0 = dot(v0, v1)  # best\nADD a b -> s0\n",
    );
    assert_ne!(program.fingerprint(), dressed.fingerprint());
    assert_eq!(program.normal().fingerprint(), dressed.normal().fingerprint());
    assert!(program.reads_data());
    assert!(!lenient("# predict\ns0 = 0.7\ns3 = norm(v0)\n").reads_data());
}

#[test]
fn fuzz_the_dsl() {
    let all = programs();
    let seeds: Vec<&[u8]> =
        all.iter().map(|program| program["dsl"].as_str().unwrap().as_bytes()).collect();
    fuzz(&seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(reading) = lenient::read(&text, 4, &Limits::POOL) else {
            assert!(strict::read(&text, 4, &Limits::POOL).is_err());
            return;
        };
        if let Ok(strictly) = strict::read(&text, 4, &Limits::POOL) {
            assert_eq!(strictly, reading.program);
            assert!(reading.dropped.is_empty());
            // Strictly read, it is written so that it is strictly read again.
            assert_eq!(strict::read(&strictly.text(), 4, &Limits::POOL), Ok(strictly));
        }
        let normal = reading.program.normal();
        assert_eq!(normal.normal(), normal);
        assert_eq!(lenient(&normal.text()), normal, "{text}");
    });
}

fn line() -> impl Strategy<Value = String> {
    let register = || {
        (prop::sample::select(vec!["s", "v", "m"]), 0u8..40)
            .prop_map(|(kind, index)| format!("{kind}{index}"))
    };
    let unary = prop::sample::select(vec!["exp", "norm", "std", "heaviside", "abs"]);
    let two = prop::sample::select(vec!["dot", "outer", "matmul"]);
    prop_oneof![
        (register(), register(), prop::sample::select(vec!["+", "-", "*", "/"]), register())
            .prop_map(|(d, a, op, b)| format!("{d} = {a} {op} {b}")),
        (register(), unary, register()).prop_map(|(d, f, a)| format!("{d} = {f}({a})")),
        (register(), two, register(), register())
            .prop_map(|(d, f, a, b)| format!("{d} = {f}({a}, {b})")),
        (register(), any::<f32>()).prop_map(|(d, x)| format!("{d} = {x:e}")),
        prop::sample::select(vec!["# setup", "# predict", "# learn"]).prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn canonical_text_of_what_runs_reads_as_itself(lines in prop::collection::vec(line(), 0..40)) {
        let normal = lenient(&lines.join("\n")).normal();
        let again = lenient(&normal.text());
        prop_assert_eq!(again.fingerprint(), normal.fingerprint());
        prop_assert_eq!(again, normal);
    }
}
