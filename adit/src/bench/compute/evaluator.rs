//! Instructions of programs on rows of 16 features, and the same programs under numpy.

use super::cpu;
use anyhow::{Context, bail};
use compute::data::demo;
use compute::dsl::{Limits, Program, lenient};
use compute::evaluate::Prepared;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The programs: what evolution finds on rows of 16 features, from a line fitted step by step to a layer that learns.
const PROGRAMS: [(&str, &str); 4] = [
    (
        "line",
        "# setup\ns2 = 0.02\n# predict\ns0 = dot(v0, v1)\n# learn\ns3 = s1 - s0\ns3 = s3 * s2\nv2 = v0 * s3\nv1 = v1 + v2\n",
    ),
    (
        "layer",
        "# setup\nm0 = gaussian(0.0, 0.1)\ns2 = 0.02\n# predict\nv2 = matmul(m0, v0)\nv3 = heaviside(v2)\nv2 = v2 * v3\ns0 = dot(v2, v1)\n\
         # learn\ns3 = s1 - s0\ns3 = s3 * s2\nv4 = v2 * s3\nv1 = v1 + v4\nm1 = outer(v4, v0)\nm0 = m0 + m1\n",
    ),
    (
        "statistics",
        "# setup\ns2 = 0.02\n# predict\ns3 = norm(v0)\ns4 = mean(v0)\ns5 = std(v0)\ns3 = s3 - s4\ns3 = s3 * s6\ns0 = s3 + s5\n\
         # learn\ns7 = s1 - s0\ns7 = s7 * s2\ns6 = s6 + s7\n",
    ),
    (
        "mask",
        "# setup\ns2 = 0.02\n# predict\nv2 = abs(v0)\nv3 = heaviside(v2)\nv3 = v3 * v1\ns0 = dot(v0, v3)\n\
         # learn\ns3 = s1 - s0\ns3 = s3 * s2\nv4 = v0 * s3\nv1 = v1 + v4\n",
    ),
];

/// Instructions a second of one core.
pub struct Rates {
    /// Of all programs, each run equally often.
    pub all: f64,
    each: Vec<(&'static str, f64)>,
}

impl Rates {
    /// Of each program.
    pub fn by_program(&self) -> Value {
        let each = self.each.iter().map(|(name, rate)| ((*name).to_owned(), json!(rate.round())));
        Value::Object(each.collect::<Map<_, _>>())
    }
}

fn programs() -> anyhow::Result<Vec<(&'static str, Program)>> {
    let read = |(name, text)| Ok((name, lenient::read(text, 16, &Limits::POOL)?.program));
    PROGRAMS.into_iter().map(read).collect()
}

/// Runs every program in turn for so long.
///
/// # Errors
/// When the kernel does not say the processor time.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
pub fn measure(span: Duration) -> anyhow::Result<Rates> {
    let (set, programs) = (Prepared::new(&demo::classes()), programs()?);
    let mut spent = vec![Duration::ZERO; programs.len()];
    let mut rounds = 0u64;
    while spent.iter().sum::<Duration>() < span {
        for ((_, program), spent) in programs.iter().zip(&mut spent) {
            let began = cpu::of_this_thread()?;
            set.evaluate(program)?;
            *spent += cpu::of_this_thread()? - began;
        }
        rounds += 1;
    }
    let counts: Vec<u64> =
        programs.iter().map(|(_, program)| set.instructions(program) * rounds).collect();
    let each = programs.iter().zip(&counts).zip(&spent);
    let each = each.map(|(((name, _), count), spent)| (*name, *count as f64 / spent.as_secs_f64()));
    let all = counts.iter().sum::<u64>() as f64 / spent.iter().sum::<Duration>().as_secs_f64();
    Ok(Rates { all, each: each.collect() })
}

/// The same programs, one numpy call an instruction and row, as the original's engine runs them; nothing where no Python was
/// named.
///
/// # Errors
/// When that Python has no numpy.
pub fn numpy(python: Option<&Path>) -> anyhow::Result<Option<f64>> {
    let Some(python) = python else { return Ok(None) };
    let programs: Vec<&str> = PROGRAMS.iter().map(|(_, text)| *text).collect();
    let output = Command::new(python)
        .args(["-c", include_str!("yardstick.py"), &json!(programs).to_string()])
        .output()
        .with_context(|| python.display().to_string())?;
    if !output.status.success() {
        bail!("{}: {}", python.display(), String::from_utf8_lossy(&output.stderr));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(Some(said.trim().parse().with_context(|| said.into_owned())?))
}
