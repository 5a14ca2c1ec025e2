//! `cargo xtask bench resume`: a very large account with a deadline of a few seconds for each invocation. Each
//! resumes where the last stopped, in a process of its own, until a run is complete. That run must have seen
//! every key.

use anyhow::{Result, bail, ensure};
use serde_json::json;

use crate::plan::Plan;
use crate::process::World;

const KEYS: usize = 250_000;
const SECONDS: u64 = 5;
/// The limit of invocations; a run that needs more makes no progress.
const MOST_RUNS: usize = 200;

pub(crate) fn run(plan: &Plan) -> Result<()> {
    let keys = plan.keys.first().copied().filter(|_| plan.keys.len() == 1).unwrap_or(KEYS);
    let mut world = World::of(keys)?;
    // Two runs: a first sync, to which all is new, and one that finds what changed since.
    for changed in [0, 5] {
        let changed = world.spend(changed)?;
        let (runs, longest, peak) = until_over(&world, changed)?;
        eprintln!(
            "bench: {keys} keys, {changed} changed: complete after {runs} runs of at most {longest:.2} s under a deadline of \
             {SECONDS} s; peak memory {:.1} MiB",
            peak as f64 / 1024.0
        );
    }
    Ok(())
}

fn until_over(world: &World, changed: usize) -> Result<(usize, f64, u64)> {
    let (mut longest, mut peak) = (0.0_f64, 0);
    for run in 1..=MOST_RUNS {
        let payload = if run == 1 { json!({}) } else { json!({"task": "resume"}) };
        let sample = world.product(&payload, SECONDS, false)?;
        let answer = &sample.answer;
        longest = longest.max(sample.wall_ms / 1e3);
        peak = peak.max(sample.peak_kib);
        eprintln!(
            "bench: run {run}: {:.2} s, {} keys listed, {} recorded, peak {:.1} MiB",
            sample.wall_ms / 1e3,
            answer["keys_listed"],
            answer["readings_recorded"],
            sample.peak_kib as f64 / 1024.0
        );
        ensure!(sample.wall_ms < SECONDS as f64 * 1e3, "a run went beyond its deadline");
        if answer["complete"] == true {
            ensure!(answer["keys_listed"] == world.keys, "not every key was listed: {answer}");
            ensure!(answer["readings_recorded"] == changed, "{changed} keys had changed: {answer}");
            ensure!(answer["problems"].as_array().is_some_and(Vec::is_empty), "there were problems: {answer}");
            return Ok((run, longest, peak));
        }
        let goes_on = answer["problems"].to_string().contains("goes on");
        ensure!(goes_on, "a run ended without being complete: {answer}");
    }
    bail!("no run was complete after {MOST_RUNS}")
}
