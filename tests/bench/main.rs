//! `cargo xtask bench`: what a sync of so many keys, the console's answers over so many grants, a
//! roster of so many rows, a burst of claims, another cap of so many keys, and a pause of them
//! take: wall clock, processor, memory and calls. The stand-ins run in this process, and what is
//! measured in one of its own, so that processor time and memory are its alone.

#![expect(clippy::print_stdout, reason = "its figures are its output")]

mod claims;
mod client;
mod desk;
mod edits;
mod seed;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::client::Sample;
use crate::world::World;

/// Percentages of the keys whose use grows between two syncs.
const CHANGED: [usize; 3] = [0, 5, 100];
/// The provider's latencies in milliseconds, without its work.
const LATENCIES: [u64; 2] = [0, 80];
/// Keys of a programme.
const EACH: usize = 1_000;
const TIMES: usize = 5;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let count_or = |otherwise: usize| words.get(1).map_or(Ok(otherwise), |count| count.parse());
    match words[..] {
        ["as-product", "usage-sync"] => as_in_lambda(client::run_the_sync()),
        ["as-product", "console", cookie, path, takes, times] => {
            as_in_lambda(client::ask_the_console(cookie, path, takes, times.parse()?))
        }
        [
            "as-product",
            "console",
            "roster",
            cookie,
            csrf,
            programme,
            rows,
        ] => as_in_lambda(client::apply_a_roster(
            cookie,
            csrf,
            programme,
            rows.parse()?,
        )),
        ["as-product", "claim", programme, seconds, students] => {
            as_in_lambda(client::claim_at_once(programme, seconds.parse()?, students))
        }
        [
            "as-product",
            "console",
            "edits",
            cookie,
            csrf,
            programme,
            leaked,
        ] => as_in_lambda(client::edit_caps(cookie, csrf, programme, leaked)),
        [
            "as-product",
            "console",
            "pause",
            "all",
            cookie,
            csrf,
            programme,
        ] => as_in_lambda(client::pause_all(cookie, csrf, programme)),
        ["pause", ..] => on_threads(edits::pause(count_or(2_000)?)),
        ["edits", ..] => on_threads(edits::edits(count_or(5_000)?)),
        ["claims", ..] => on_threads(claims::claims(count_or(500)?)),
        ["roster", rows] => on_threads(desk::roster(rows)),
        ["sync", ref keys @ ..] => on_threads(sync(&sizes(keys, [1_000, 10_000, 50_000])?)),
        ["paced", keys, a_second] => on_threads(paced(keys.parse()?, a_second.parse()?)),
        ["desk", ref grants @ ..] => on_threads(desk::desk(&sizes(grants, [200, 5_000, 50_000])?)),
        _ => bail!(
            "sync [KEYS…], paced KEYS A_SECOND, desk [GRANTS…], roster ROWS, claims [COUNT], edits [COUNT], or pause [COUNT]"
        ),
    }
}

/// One thread, as in Lambda.
fn as_in_lambda(measured: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(measured)
}

fn on_threads(stand_ins: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(stand_ins)
}

fn sizes(given: &[&str], otherwise: [usize; 3]) -> Result<Vec<usize>> {
    if given.is_empty() {
        return Ok(otherwise.to_vec());
    }
    given
        .iter()
        .map(|size| size.parse().with_context(|| format!("{size} is no number")))
        .collect()
}

async fn sync(sizes: &[usize]) -> Result<()> {
    println!("| keys | changed | latency | wall, s | processor, s | peak, MiB | calls |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for keys in sizes {
        let mut world = synced(*keys).await?;
        for latency in LATENCIES {
            world.answer_after(latency);
            for changed in CHANGED {
                let mut samples = Vec::new();
                for _ in 0..TIMES {
                    samples.push(one(&mut world, changed, false).await?);
                }
                one(&mut world, changed, true).await?;
                let spread = |of: fn(&Sample) -> f64| told(samples.iter().map(of).collect());
                println!(
                    "| {keys} | {changed} % | {latency} ms | {} | {} | {} | {} |",
                    spread(|sample| sample.wall_ms / 1e3),
                    spread(|sample| sample.cpu_ms / 1e3),
                    spread(|sample| sample.peak_kib as f64 / 1024.0),
                    world.calls()
                );
            }
        }
    }
    Ok(())
}

/// A world in which all readings are current: the first run records whatever was seeded.
async fn synced(keys: usize) -> Result<World> {
    let world = World::of(keys, EACH).await?;
    for _ in 0..2 {
        complete(&world.product(false).await?)?;
    }
    Ok(world)
}

/// One run with a provider that gives no more than so many answers a second.
async fn paced(keys: usize, a_second: u32) -> Result<()> {
    let mut world = synced(keys).await?;
    world.answer_apart(Duration::from_secs(1) / a_second);
    let Sample {
        wall_ms,
        cpu_ms,
        peak_kib,
        ..
    } = one(&mut world, 5, false).await?;
    let (wall, cpu, peak) = (wall_ms / 1e3, cpu_ms / 1e3, peak_kib / 1024);
    println!(
        "{keys} keys, 5 % changed, {a_second} answers a second: {wall:.0} s, processor {cpu:.1} s, peak {peak} MiB"
    );
    Ok(())
}

/// One run after the use of so many keys has grown.
async fn one(world: &mut World, per_cent: usize, is_counted: bool) -> Result<Sample> {
    let changed = world.spend(per_cent)?;
    let sample = world.product(is_counted).await?;
    complete(&sample)?;
    ensure!(
        sample.answer["readings_recorded"] == changed,
        "not all of {changed} readings: {}",
        sample.answer
    );
    Ok(sample)
}

fn complete(sample: &Sample) -> Result<()> {
    ensure!(
        sample.answer["complete"] == true,
        "a run was not complete: {}",
        sample.answer
    );
    Ok(())
}

/// The median, with the least and the most.
fn told(mut numbers: Vec<f64>) -> String {
    numbers.sort_by(f64::total_cmp);
    let [first, .., last] = numbers[..] else {
        return numbers
            .first()
            .map_or_else(String::new, |one| format!("{one:.2}"));
    };
    format!("{:.2} ({first:.2}–{last:.2})", numbers[numbers.len() / 2])
}
