//! `cargo xtask bench paced`: a large account at a provider with a rate limit. Clock, waits and deadlines run
//! faster than the machine. Each scheduled invocation is a process of its own, until a run is complete. That run
//! must have seen every key.

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::FastClock;
use crate::compare::SECONDS;
use crate::conduct::{Calls, Conduct};
use crate::figures::grouped;
use crate::process::World;
use crate::seed::Layout;
use crate::world::{Do, Setup};

/// The accounts: keys, and the provider's calls a second.
const ACCOUNTS: [(usize, u32); 2] = [(250_000, 10), (50_000, 2)];
const LATENCY_MS: u64 = 80;
const TIMES_AS_FAST: u16 = 10;
/// The limit of invocations; a run that needs more makes no progress.
const MOST_INVOCATIONS: usize = 50;

/// The measurements of a run, over all its invocations.
#[derive(Default)]
struct Took {
    invocations: usize,
    /// Seconds of the world's clock, as is `whole`.
    longest: f64,
    whole: f64,
    peak_kib: u64,
    put_off: u64,
    at_once: Value,
}

pub(crate) fn run(options: &[&str]) -> Result<()> {
    let (accounts, by) = read(options)?;
    for (keys, rate) in accounts {
        let mut world = World::begin(Setup { keys, layout: Layout::Thousands, clock: FastClock::going(by) })?;
        world.tell::<Value>(&Do::Behave(Conduct {
            latency_ms: LATENCY_MS,
            calls_a_second: Some(rate),
            ..Conduct::default()
        }))?;
        // Two runs: a first sync, to which all is new, and one that finds what changed since.
        for per_cent in [0, 5] {
            let changed = world.spend(per_cent)?;
            let took = until_over(&mut world, changed, by)?;
            let Calls { asked, refused } = world.tell(&Do::Calls)?;
            eprintln!(
                "bench: {} keys at {rate} calls a second, {per_cent} % changed: complete after {} invocations of at most {:.0} s, {:.0} s in \
                 all, put off {} times; {asked} calls, of which {refused} were refused; in the end {} at once; peak memory {:.1} MiB \
                 (a world {by} times as fast)",
                grouped(keys),
                took.invocations,
                took.longest,
                took.whole,
                took.put_off,
                took.at_once,
                took.peak_kib as f64 / 1024.0
            );
            world.tell::<Value>(&Do::Trim)?;
        }
    }
    Ok(())
}

/// The accounts and the speed of the clock, from the command line.
fn read(options: &[&str]) -> Result<(Vec<(usize, u32)>, u16)> {
    let (mut keys, mut rate, mut by) = (None, None, TIMES_AS_FAST);
    for option in options.chunks(2) {
        match option {
            ["--keys", number] => keys = Some(number.parse()?),
            ["--rate", number] => rate = Some(number.parse()?),
            ["--scale", number] => by = number.parse()?,
            _ => bail!("there is no option {}", option.join(" ")),
        }
    }
    let (most_keys, its_rate) = ACCOUNTS[0];
    Ok(match (keys, rate) {
        (None, None) => (ACCOUNTS.to_vec(), by),
        _ => (vec![(keys.unwrap_or(most_keys), rate.unwrap_or(its_rate))], by),
    })
}

fn until_over(world: &mut World, changed: usize, by: u16) -> Result<Took> {
    let mut took = Took::default();
    while took.invocations < MOST_INVOCATIONS {
        let payload = if took.invocations == 0 { json!({}) } else { json!({"task": "resume"}) };
        let sample = world.product(&payload, SECONDS, false)?;
        let (answer, seconds) = (&sample.answer, sample.wall_ms / 1e3 * f64::from(by));
        took.invocations += 1;
        took.longest = took.longest.max(seconds);
        took.whole += seconds;
        took.peak_kib = took.peak_kib.max(sample.peak_kib);
        (took.put_off, took.at_once) = (answer["tries"].as_u64().unwrap_or_default(), answer["at_once"].clone());
        eprintln!(
            "bench: invocation {}: {seconds:.0} s, {} keys listed, {} recorded, {} at once, peak {:.1} MiB; {}",
            took.invocations,
            answer["keys_listed"],
            answer["readings_recorded"],
            answer["at_once"],
            sample.peak_kib as f64 / 1024.0,
            answer["problems"]
        );
        ensure!(seconds < SECONDS as f64, "an invocation went beyond its deadline");
        if answer["complete"] == true {
            ensure!(answer["keys_listed"] == world.keys, "not every key was listed: {answer}");
            ensure!(answer["readings_recorded"] == changed, "{changed} keys had changed: {answer}");
            ensure!(answer["problems"].as_array().is_some_and(Vec::is_empty), "there were problems: {answer}");
            return Ok(took);
        }
        let goes_on_at = answer["goes_on_at"].as_str().with_context(|| format!("it ended incomplete: {answer}"))?;
        world.pass_beyond(goes_on_at.parse::<Timestamp>()?)?;
    }
    bail!("no run was complete after {MOST_INVOCATIONS} invocations")
}
