//! `adit sim`: runs the simulator and shows what it says.
//!
//! Invariant: numbers go to standard output and to the files that were asked for; the bar goes to standard error.

mod png;

use crate::cli::sim::{ArticleArgs, CommonArgs, CompareArgs, RunArgs, SimCommand, ValidateArgs};
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use simulator::article::{Article, experiment};
use simulator::compare::{self, Question};
use simulator::picture::Picture;
use simulator::recorder::Estimate;
use simulator::report::{self, Report};
use simulator::scenario::Scenario;
use simulator::validate::validate;
use std::path::{Path, PathBuf};

/// Carries a command out; false when what was simulated cannot be believed.
///
/// # Errors
/// When a file cannot be read or written, or the scenario is none.
pub fn run(command: &SimCommand) -> anyhow::Result<bool> {
    match command {
        SimCommand::Run(args) => scenario(args).map(|()| true),
        SimCommand::Article(args) => article(args).map(|()| true),
        SimCommand::Compare(args) => compared(args).map(|()| true),
        SimCommand::Validate(args) => validated(args),
    }
}

/// Does the work on so many threads, with a bar.
fn with_bar<T: Send>(
    common: &CommonArgs,
    work: impl FnOnce(simulator::Progress<'_>) -> T + Send,
) -> anyhow::Result<T> {
    let bar = if common.quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {pos}/{len}  {elapsed} of about {duration}",
    )?);
    let show = |done: u64, of: u64| {
        bar.set_length(of);
        // Repeats may end out of order; the bar only goes forward.
        if done > bar.position() {
            bar.set_position(done);
        }
    };
    let threads = common.threads.unwrap_or(0);
    if threads > 1024 {
        bail!("--threads is at most 1024");
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let found = pool.install(|| work(&show));
    bar.finish_and_clear();
    Ok(found)
}

fn scenario(args: &RunArgs) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.scenario)
        .with_context(|| format!("reading {}", args.scenario.display()))?;
    let scenario: Scenario = toml::from_str(&text).context("the scenario")?;
    scenario.check()?;
    let found = with_bar(&args.common, |progress| report::run(&scenario, None, progress))?;
    show(&found);
    if let Some(path) = &args.csv {
        write(path, found.to_csv())?;
    }
    if let Some(path) = &args.json {
        write(path, serde_json::to_string_pretty(&found)?)?;
    }
    if args.svg.is_some() || args.png.is_some() {
        let subtitle = format!(
            "{} × {} blocks, {:.1} % of the network, seed {}",
            scenario.repeats,
            scenario.blocks,
            scenario.miners.share * 100.0,
            scenario.seed
        );
        let drawn = compare::picture("How steady income is".into(), subtitle, &found.rows);
        draw(&drawn, args.svg.as_deref(), args.png.as_deref())?;
    }
    Ok(())
}

fn write(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    std::fs::write(path, content).with_context(|| format!("writing {}", path.display()))
}

/// Draws a picture into the files that were asked for.
fn draw(picture: &Picture, svg: Option<&Path>, png: Option<&Path>) -> anyhow::Result<()> {
    let drawn = picture.to_svg();
    if let Some(path) = svg {
        write(path, &drawn)?;
    }
    png.map_or(Ok(()), |path| write(path, png::of(&drawn)?))
}

fn with_error(value: Estimate, scale: f64, decimals: usize) -> String {
    format!("{:.decimals$} ± {:.decimals$}", value.mean * scale, value.error * scale)
}

fn show(report: &Report) {
    println!(
        "{:<20} {:>8} {:>18} {:>20} {:>20} {:>18}",
        "policy", "blocks", "income %", "deviation %", "variance to solo", "no income %"
    );
    for row in &report.rows {
        println!(
            "{:<20} {:>8} {:>18} {:>20} {:>20} {:>18}",
            row.policy,
            row.blocks,
            with_error(row.mean, 100.0, 2),
            with_error(row.deviation, 100.0, 2),
            with_error(row.to_solo, 1.0, 5),
            row.none.map_or("-".into(), |none| with_error(none, 100.0, 2)),
        );
    }
    println!();
    for whole in &report.whole {
        println!(
            "{:<20} deepest fall {} days of fair income, Gini of income for equal work {}",
            whole.policy,
            with_error(whole.drawdown_days, 1.0, 1),
            with_error(whole.gini, 1.0, 4),
        );
    }
    for gain in &report.gains {
        println!(
            "{}: {}, theory {:.6}",
            gain.adversary,
            with_error(gain.measured, 1.0, 6),
            gain.theory
        );
    }
}

fn article(args: &ArticleArgs) -> anyhow::Result<()> {
    let found = with_bar(&args.common, |progress| experiment(args.seed, args.repeats, progress))?;
    say_article(&found);
    let into = |folder: &Option<PathBuf>, name| folder.as_ref().map(|folder| folder.join(name));
    if args.svg.is_some() || args.png.is_some() {
        for (name, picture) in
            [("article", Article::scatter(args.seed)), ("corrected", found.picture())]
        {
            let svg = into(&args.svg, format!("{name}.svg"));
            draw(&picture, svg.as_deref(), into(&args.png, format!("{name}.png")).as_deref())?;
        }
    }
    Ok(())
}

fn say_article(found: &Article) {
    let (sharing, alone) = found.published;
    println!("as the article defines it (a block's deviation, over all places, over 70):");
    println!(
        "  sharing {}   not sharing {}",
        with_error(sharing, 1.0, 6),
        with_error(alone, 1.0, 6)
    );
    println!("corrected: variance of income, solo = 1");
    println!("  {:>8} {:>22} {:>22} {:>10}", "blocks", "sharing", "not sharing", "theory");
    for row in &found.corrected {
        println!(
            "  {:>8} {:>22} {:>22} {:>10.5}",
            row.blocks,
            with_error(row.sharing, 1.0, 5),
            with_error(row.alone, 1.0, 5),
            row.theory
        );
    }
    println!("\n{}", found.in_words());
}

fn compared(args: &CompareArgs) -> anyhow::Result<()> {
    if !(args.hashrate > 0.0 && args.hashrate < args.pool && args.pool <= 1.0) {
        bail!("--hashrate and --pool are parts of the network: 0 < hashrate < pool ≤ 1");
    }
    let question = Question {
        seed: args.seed,
        hashrate: args.hashrate,
        pool: args.pool,
        repeats: args.repeats,
    };
    let found = with_bar(&args.common, |progress| compare::compare(&question, progress))??;
    print!("{}", compare::table(&found));
    println!(
        "fees and trust are stated, everything else is simulated: {} years each",
        args.repeats
    );
    if args.svg.is_some() || args.png.is_some() {
        let subtitle = format!(
            "a miner of {} % of the network, in a pool of {} %, {} years",
            args.hashrate * 100.0,
            args.pool * 100.0,
            args.repeats
        );
        let title = "How steady one miner's income is".into();
        let drawn = compare::picture(title, subtitle, &found.rows);
        draw(&drawn, args.svg.as_deref(), args.png.as_deref())?;
    }
    Ok(())
}

fn validated(args: &ValidateArgs) -> anyhow::Result<bool> {
    let found = with_bar(&args.common, |progress| validate(args.seed, progress))?;
    println!("{:>7} {:>14} {:>14} {:>10}", "z", "theory", "measured", "error");
    for check in &found.checks {
        let said = if check.stands() { "" } else { "  WRONG" };
        println!(
            "{:>7.2} {:>14.7} {:>14.7} {:>10.1e}  {}{said}",
            check.z, check.theory, check.measured, check.error, check.name
        );
    }
    let (sum, count) = found.chi_squared;
    println!("all together: chi-squared {sum:.1} of {count} values with chance");
    println!("{}", if found.stands { "PASS" } else { "FAIL" });
    Ok(found.stands)
}
