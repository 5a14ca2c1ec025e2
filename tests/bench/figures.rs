//! The figures: product and floor in turn, medians with their spread, and the table of them in BENCHMARKS.md.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::client::Sample;
use crate::counting::Counted;
use crate::plan::Plan;
use crate::process::World;
use crate::seed::IN_A_PROGRAMME;
use crate::world::Do;

const FILE: &str = "BENCHMARKS.md";
const BEGIN: &str = "<!-- written by `cargo xtask bench sync` -->";
const END: &str = "<!-- end of what it wrote -->";
/// As long as an invocation may take.
const SECONDS: u64 = 900;

pub(crate) fn run(plan: &Plan) -> Result<()> {
    let (mut times, mut counts, mut peaks) = (String::new(), String::new(), String::new());
    for keys in &plan.keys {
        let mut world = World::of(*keys)?;
        settle(&mut world)?;
        for changed in &plan.changed {
            let row = count(&mut world, *changed)?;
            eprintln!("{row}");
            writeln!(counts, "{row}")?;
        }
        for latency in &plan.latencies {
            world.tell::<Value>(&Do::Latency(*latency))?;
            for changed in &plan.changed {
                let row = compare(&mut world, *changed, *latency, plan.times)?;
                eprintln!("{row}");
                writeln!(times, "{row}")?;
            }
        }
    }
    for keys in &plan.peaks {
        let row = peak(*keys, plan.times.min(3))?;
        eprintln!("{row}");
        writeln!(peaks, "{row}")?;
    }
    let section = section(plan, &times, &counts, &peaks)?;
    eprintln!("\n{section}");
    if plan.writes { put(&section) } else { Ok(()) }
}

/// Runs that nobody measures, until nothing is news: the first says what there was before.
fn settle(world: &mut World) -> Result<()> {
    for _ in 0..2 {
        complete(&world.product(&json!({}), SECONDS, false)?)?;
    }
    world.tell::<Value>(&Do::Trim).map(drop)
}

fn complete(sample: &Sample) -> Result<()> {
    ensure!(sample.answer["complete"] == true, "a run was not complete: {}", sample.answer);
    Ok(())
}

/// Product and floor in turn.
fn compare(world: &mut World, per_cent: u32, latency: u64, times: usize) -> Result<String> {
    let (mut product, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let changed = world.spend(per_cent)?;
        // The floor writes back what it read, so to the product the same is news after it.
        let sample = world.floor(world.keys.div_ceil(IN_A_PROGRAMME))?;
        ensure!(sample.answer["written"] == changed, "the floor wrote {} of {changed}", sample.answer["written"]);
        floor.push(sample);
        let sample = world.product(&json!({}), SECONDS, false)?;
        complete(&sample)?;
        let recorded = &sample.answer["readings_recorded"];
        ensure!(*recorded == changed, "{recorded} readings of {changed} were recorded");
        product.push(sample);
        world.tell::<Value>(&Do::Trim)?;
    }
    let wall = |samples: &[Sample]| Spread::of(samples.iter().map(|sample| sample.wall_ms / 1e3));
    let cpu = |samples: &[Sample]| Spread::of(samples.iter().map(|sample| sample.cpu_ms / 1e3));
    let peak = Spread::of(product.iter().map(|sample| sample.peak_kib as f64 / 1024.0));
    let (wall, cpu) = ([wall(&product), wall(&floor)], [cpu(&product), cpu(&floor)]);
    let wall_aim = match (world.keys, per_cent, latency) {
        (50_000, 5, 80) => "≤ 1.10",
        (50_000, 5, 0) => "≤ 1.6",
        _ => "",
    };
    let cpu_aim = if (world.keys, per_cent) == (50_000, 5) { "≤ 2.0" } else { "" };
    Ok(format!(
        "| {} | {per_cent} % | {latency} ms | {} | {} | **{:.2}** | {wall_aim} | {} | {} | **{:.2}** | {cpu_aim} | {:.1} |",
        grouped(world.keys),
        wall[0].told(),
        wall[1].told(),
        wall[0].median / wall[1].median,
        cpu[0].told(),
        cpu[1].told(),
        cpu[0].median / cpu[1].median,
        peak.median,
    ))
}

/// What one run reads and writes.
fn count(world: &mut World, per_cent: u32) -> Result<String> {
    let changed = world.spend(per_cent)?;
    world.tell::<Counted>(&Do::Count)?;
    complete(&world.product(&json!({}), SECONDS, true)?)?;
    let mut counted: Counted = world.tell(&Do::Count)?;
    world.tell::<Value>(&Do::Trim)?;
    let units = counted.write_units.remove("reading").unwrap_or_default();
    let refused = counted.refused.remove("reading").unwrap_or_default();
    let each = if changed == 0 { "–".to_owned() } else { format!("{:.3}", units / changed as f64) };
    let unchanged = if changed == 0 { format!("{units}") } else { "–".to_owned() };
    let totals: f64 = counted.write_units.values().sum();
    let kinds: Vec<String> = counted.write_units.iter().map(|(kind, units)| format!("{kind} {units}")).collect();
    Ok(format!(
        "| {} | {per_cent} % | {} | {each} | {unchanged} | {totals} ({}) | {refused} | {:.3} | {} |",
        grouped(world.keys),
        grouped(changed),
        kinds.join(", "),
        counted.readings_read as f64 / world.keys as f64,
        grouped(counted.reading_queries),
    ))
}

fn peak(keys: usize, times: usize) -> Result<String> {
    let mut world = World::of(keys)?;
    let mut samples = Vec::new();
    for _ in 0..times {
        world.spend(5)?;
        let sample = world.product(&json!({}), SECONDS, false)?;
        complete(&sample)?;
        samples.push(sample);
        world.tell::<Value>(&Do::Trim)?;
    }
    let mebibytes = |kib: fn(&Sample) -> u64| Spread::of(samples.iter().map(|sample| kib(sample) as f64 / 1024.0));
    let (peak, before) = (mebibytes(|sample| sample.peak_kib), mebibytes(|sample| sample.before_kib));
    let aim = if keys <= 50_000 { "< 32 MiB" } else { "< 64 MiB" };
    Ok(format!("| {} | {} MiB | {aim} | {} MiB |", grouped(keys), peak.told(), before.told()))
}

/// The median of some numbers, and the least and the most of them.
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub(crate) fn of(numbers: impl Iterator<Item = f64>) -> Spread {
        let mut numbers: Vec<f64> = numbers.collect();
        numbers.sort_by(f64::total_cmp);
        let at = |place: usize| numbers.get(place).copied().unwrap_or(f64::NAN);
        Spread { median: at(numbers.len() / 2), least: at(0), most: at(numbers.len().saturating_sub(1)) }
    }

    pub(crate) fn told(&self) -> String {
        format!("{:.2} ({:.2}–{:.2})", self.median, self.least, self.most)
    }
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let of_three: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|part| str::from_utf8(part).ok()).collect();
    of_three.join(",")
}

fn section(plan: &Plan, times: &str, counts: &str, peaks: &str) -> Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (cpus, memory, load) = (read("/proc/cpuinfo"), read("/proc/meminfo"), read("/proc/loadavg"));
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let load: Vec<&str> = load.split(' ').take(3).collect();
    let mut text = String::new();
    writeln!(
        text,
        "Measured on {} on {model}, {cores} cores, {} GiB, load {} when it ended; built by the profile `bench` (optimised, \
         without optimisation across crates). Each sample is a process of its own, with one thread as in Lambda; the stand-ins \
         run in another on the same machine. Medians of {}, with the least and the most; product and floor in turn. Of each key \
         there is a reading with 30 days; a programme has {} grants. The floor: the same pages with 16 in flight, the same \
         queries with 16 in flight, what changed written with 16 in flight, one after the other, and nothing else.",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        memory.unwrap_or_default() / 1_048_576,
        load.join(", "),
        plan.times,
        grouped(IN_A_PROGRAMME),
    )?;
    writeln!(
        text,
        "\n| keys | changed | provider | wall: product, s | floor, s | ratio | aim | processor: product, s | floor, s | ratio | \
         aim | peak, MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n{times}"
    )?;
    writeln!(
        text,
        "What one run of the product writes and reads, in base-table write units as the engine counts them (aim: at most 1.05 for \
         a changed reading, none for an unchanged one; each stored reading read once):\n\n\
         | keys | changed | readings | units for each | for unchanged | other writes | refused | reads of each | queries |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n{counts}"
    )?;
    if !peaks.is_empty() {
        writeln!(
            text,
            "Peak memory of the process (VmHWM), 5 % changed, first run on:\n\n| keys | peak | aim | before the run |\n\
             | --- | --- | --- | --- |\n{peaks}"
        )?;
    }
    Ok(text)
}

/// Replaces what an earlier run wrote.
fn put(section: &str) -> Result<()> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FILE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("{FILE} cannot be read"))?;
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("{FILE} has no place for the figures"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{FILE} has no end of the figures"))?;
    std::fs::write(&path, format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", section.trim()))?;
    Ok(())
}
