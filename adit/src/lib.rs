//! `adit`: a mining-pool server. This crate is wiring: the command line, the configuration, and who is told what. Of it only
//! [`OwnPool`] is for other programs.
//!
//! Reading order: `cli`, `config`, `run` (the pool put together), `control` (how commands reach it), then one file a
//! command.

mod audit;
mod backup;
mod bench;
mod check;
mod cli;
mod config;
mod control;
mod ctv;
mod data;
mod demo;
mod desk;
mod init;
mod mine;
mod node;
mod own;
mod payouts;
mod run;
mod sim;
mod worker;

pub use own::{Hash, OwnPool};

use clap::Parser;
use cli::bench::BenchCommand;
use cli::{BanArgs, Cli, Command, PauseArgs, ResumeArgs, UnbanArgs};
use config::Settings;
use config::file::Level;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

/// Something is not as it should be; the text before says what.
const NOT_GOOD: u8 = 1;
/// The command itself failed.
const FAILED: u8 = 2;

/// The program: does what its command line says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if !matches!(cli.command, Command::Run(_) | Command::Demo(_) | Command::Devnet(_)) {
        // Whoever reads our answer may close the pipe; a pool is not ended by that.
        sigpipe::reset();
    }
    match carry_out(cli.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(NOT_GOOD),
        Err(error) => {
            eprintln!("adit: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

/// Carries a command out; false when it found something wrong.
fn carry_out(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Run(args) => {
            let settings = config::load(&args.config)?;
            log_from(settings.level);
            runtime()?.block_on(serve(settings)).map(|()| true)
        }
        Command::Demo(args) => {
            log_from(Level::Error);
            runtime()?.block_on(demo::run(args))
        }
        Command::Miner(args) => {
            log_from(Level::Warn);
            runtime()?.block_on(mine::mine(args)).map(|()| true)
        }
        Command::Devnet(args) => {
            log_from(Level::Info);
            runtime()?.block_on(mine::devnet(args)).map(|()| true)
        }
        Command::Bench(BenchCommand::Stratum(args)) => {
            log_from(Level::Error);
            bench::stratum(&args).map(|()| true)
        }
        Command::Worker(args) => {
            log_from(Level::Warn);
            runtime()?.block_on(worker::run(args)).map(|()| true)
        }
        Command::Sidecar(args) => {
            log_from(Level::Warn);
            runtime()?.block_on(worker::sidecar::serve(args)).map(|()| true)
        }
        Command::Driver(args) => {
            log_from(Level::Warn);
            runtime()?.block_on(worker::sidecar::drive(args)).map(|()| true)
        }
        Command::Data(command) => data::run(&command).map(|()| true),
        Command::Bench(BenchCommand::Compute(args)) => {
            log_from(Level::Error);
            bench::compute::run(&args).map(|()| true)
        }
        Command::Bench(BenchCommand::Web(args)) => {
            log_from(Level::Error);
            bench::web::run(&args).map(|()| true)
        }
        Command::Bench(BenchCommand::Ctv(args)) => bench::ctv::run(args.blocks).map(|()| true),
        Command::Bench(BenchCommand::Sim(args)) => bench::sim::run(args.years).map(|()| true),
        Command::Ctv(command) => {
            log_from(Level::Warn);
            runtime()?.block_on(ctv::run(command))
        }
        Command::Sim(command) => sim::run(&command),
        Command::Bench(BenchCommand::Farming(args)) => {
            log_from(Level::Error);
            bench::farming::run(&args).map(|()| true)
        }
        Command::Init(args) => init::run(&args).map(|()| true),
        Command::Check(args) => check::run(&args.config),
        Command::Audit(args) => audit::run(&args),
        Command::Payouts(command) => payouts::run(command).map(|()| true),
        Command::Status(args) => order(&args.config, control::Command::Status),
        Command::Knock(args) => {
            order(&args.config.config, control::Command::Knock { asset: args.asset })
        }
        Command::Revoke(args) => order(
            &args.config.config,
            control::Command::Revoke { share: args.share, reason: args.reason },
        ),
        Command::Ban(BanArgs { config, who, reason }) => {
            order(&config.config, control::Command::Ban { who, reason })
        }
        Command::Unban(UnbanArgs { config, who }) => {
            order(&config.config, control::Command::Unban { who })
        }
        Command::Pause(PauseArgs { config, pool, reason }) => {
            order(&config.config, control::Command::Pause { pool, reason })
        }
        Command::Resume(ResumeArgs { config, pool }) => {
            order(&config.config, control::Command::Resume { pool })
        }
        Command::Web(command) => desk::run(command).map(|()| true),
        Command::Backup(args) => {
            backup::backup(&config::load(&args.config.config)?, &args.file).map(|()| true)
        }
        Command::Restore(args) => {
            backup::restore(&config::load(&args.config.config)?, &args.file).map(|()| true)
        }
    }
}

fn order(config: &Path, command: control::Command) -> anyhow::Result<bool> {
    payouts::order(config, &command).map(|()| true)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Log lines go to standard error, from this level on.
fn log_from(level: Level) {
    let filter = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // A log on a full disk must not stop the pool: saying so on standard error would panic.
    // A program that has a log of its own keeps it.
    lines.log_internal_errors(false).try_init().ok();
}

/// The pool, until somebody stops it.
async fn serve(settings: Settings) -> anyhow::Result<()> {
    serve_until(settings, CancellationToken::new()).await
}

/// The pool, until this token or a signal stops it.
async fn serve_until(settings: Settings, cancel: CancellationToken) -> anyhow::Result<()> {
    let stop = cancel.clone();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stop.cancelled() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
    });
    let running = run::start(settings, cancel).await?;
    let ended = running.until_stopped().await;
    running.stop().await?;
    ended
}
