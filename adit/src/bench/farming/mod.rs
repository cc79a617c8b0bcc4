//! `adit bench farming`: what a Chia pool does on this machine, as one JSON line.
//!
//! The pool is a process of its own that speaks HTTPS and asks a node over mutual TLS; its processor time is what the kernel
//! counted for its threads. Plots are made in memory and partials signed in advance, each with a proof of its own. Every accepted
//! partial was written and synced by the door and by the pool's log first, as always. The node is only there to be asked: it knows the
//! launchers and the signage points that the bench made up.
//!
//! Invariant: nothing is estimated; a partial or a question that is not answered as it should ends the bench with an error.

mod farm;
mod load;
mod node;
mod serve;

use super::cpu::Counting;
use crate::cli::bench::FarmingBenchArgs;
use anyhow::Context;
use farm::Farm;
use load::Outcome;
use node::FakeNode;
use serde_json::json;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Requests at once.
const ASKERS: usize = 32;
/// How long the pool's process may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Runs the bench and prints its line; or, if asked to, is the pool that is measured.
///
/// # Errors
/// When the pool does not start, or refuses what is right.
pub fn run(args: &FarmingBenchArgs) -> anyhow::Result<()> {
    if let Some(orders) = &args.serve {
        return serve::run(orders);
    }
    eprintln!("making plots, and signing {} partials", args.partials);
    let farm = Arc::new(Farm::make(args.partials)?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let node = runtime.block_on(FakeNode::start(farm.clone()))?;
    let pool = MeasuredPool::start(&node, &runtime)?;
    runtime.block_on(load::register(&farm, pool.port))?;

    let partials = pool.measured(&runtime, load::partials(&farm, pool.port, ASKERS))?;
    let span = Duration::from_secs(args.seconds.max(1));
    let polls = pool.measured(&runtime, load::polls(&farm, pool.port, ASKERS, span))?;
    println!(
        "{}",
        json!({
            "partials_per_s": round(partials.done.per_s()),
            "partials_per_s_per_core": round(partials.per_s_per_core()),
            "cpu_ms_per_partial": round(1000.0 / partials.per_s_per_core()),
            "partial_p99_ms": partials.done.p99_ms,
            "polls_per_s": round(polls.done.per_s()),
            "polls_per_s_per_core": round(polls.per_s_per_core()),
            "partials": partials.done.count,
            "polls": polls.done.count,
        })
    );
    Ok(())
}

/// Two digits are enough for people, and all that repeats.
fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// A load, and what it cost the pool.
struct Measured {
    done: Outcome,
    cpu: Duration,
}

impl Measured {
    fn per_s_per_core(&self) -> f64 {
        self.done.count as f64 / self.cpu.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// The pool's process.
struct MeasuredPool {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl MeasuredPool {
    fn start(node: &FakeNode, runtime: &Runtime) -> anyhow::Result<Self> {
        let folder =
            std::env::temp_dir().join(format!("adit-bench-farming-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let orders = folder.join("orders.json");
        let text = json!({ "folder": folder, "port": port, "node": node.address() });
        std::fs::write(&orders, text.to_string())?;
        let child = Command::new(std::env::current_exe()?)
            .args(["bench", "farming", "--serve"])
            .arg(&orders)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let pool = MeasuredPool { child, folder, port };
        let since = Instant::now();
        while runtime.block_on(load::is_up(port)).is_err() {
            anyhow::ensure!(since.elapsed() < START_LIMIT, "the pool does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(pool)
    }

    fn measured(
        &self,
        runtime: &Runtime,
        load: impl Future<Output = anyhow::Result<Outcome>>,
    ) -> anyhow::Result<Measured> {
        let counting = Counting::start(self.child.id())?;
        let done = runtime.block_on(load).context("the load")?;
        Ok(Measured { done, cpu: counting.stop()?.pool })
    }
}

impl Drop for MeasuredPool {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::error!(%error, "the bench's folder stays");
        }
    }
}
