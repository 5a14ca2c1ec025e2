//! The figures of `bench sync`: one table after another, and the section of BENCHMARKS.md that they make.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::clock::FastClock;
use crate::compare::{SECONDS, Spread, compare, cpu, ensure_complete, peak, settle, wall};
use crate::conduct::Conduct;
use crate::counting::Counted;
use crate::floor::AtOnce;
use crate::plan::Plan;
use crate::process::World;
use crate::seed::{IN_A_PROGRAMME, Layout};
use crate::shapes;
use crate::world::{Do, Setup};

const FILE: &str = "BENCHMARKS.md";
const BEGIN: &str = "<!-- written by `cargo xtask bench sync` -->";
const END: &str = "<!-- end of what it wrote -->";

pub(crate) fn run(plan: &Plan) -> Result<()> {
    let (mut walls, mut counts, mut peaks) = (String::new(), String::new(), String::new());
    for keys in &plan.keys {
        let mut world = World::of(*keys)?;
        settle(&mut world)?;
        for changed in &plan.changed {
            let row = count(&mut world, *changed)?;
            eprintln!("{row}");
            writeln!(counts, "{row}")?;
        }
        for latency in &plan.latencies {
            let conduct = Conduct { latency_ms: *latency, ..Conduct::default() };
            world.tell::<Value>(&Do::Behave(conduct))?;
            for changed in &plan.changed {
                let row = times(&mut world, *changed, *latency, plan.times)?;
                eprintln!("{row}");
                writeln!(walls, "{row}")?;
            }
        }
    }
    let shapes = plan.shapes.map(|keys| shapes::measure(keys, plan.times)).transpose()?;
    for (keys, layout) in &plan.peaks {
        let row = memory(*keys, *layout, plan.times.min(3))?;
        eprintln!("{row}");
        writeln!(peaks, "{row}")?;
    }
    let section = section(plan, &walls, &counts, shapes.as_deref(), &peaks)?;
    eprintln!("\n{section}");
    if plan.writes { put(&section) } else { Ok(()) }
}

/// One row of the table of times.
fn times(world: &mut World, per_cent: u32, latency: u64, times: usize) -> Result<String> {
    let compared = compare(world, per_cent, times, AtOnce::Paced)?;
    ensure!(compared.complete() == times, "a run was not complete: {}", compared.product[0].answer);
    let (product, floor) = (&compared.product, &compared.floor);
    let (wall, cpu) = ([wall(product), wall(floor)], [cpu(product), cpu(floor)]);
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
        peak(product).median,
    ))
}

/// The reads and writes of one run.
fn count(world: &mut World, per_cent: u32) -> Result<String> {
    let changed = world.spend(per_cent)?;
    world.tell::<Counted>(&Do::Count)?;
    ensure_complete(&world.product(&json!({}), SECONDS, true)?)?;
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

/// One row of the table of memory.
fn memory(keys: usize, layout: Layout, times: usize) -> Result<String> {
    let mut world = World::begin(Setup { keys, layout, clock: FastClock::going(1) })?;
    let mut samples = Vec::new();
    for _ in 0..times {
        world.spend(5)?;
        let sample = world.product(&json!({}), SECONDS, false)?;
        ensure_complete(&sample)?;
        samples.push(sample);
        world.tell::<Value>(&Do::Trim)?;
    }
    let before = Spread::of(samples.iter().map(|sample| sample.before_kib as f64 / 1024.0));
    let (programmes, aim) = match (layout, keys) {
        (Layout::Thousands, 50_000) => ("of 1,000", "< 32 MiB"),
        (Layout::Thousands, 250_000) => ("of 1,000", "< 64 MiB"),
        (Layout::Thousands, _) => ("of 1,000", ""),
        (Layout::One, _) => ("one", ""),
        (Layout::OneBesideFifty, _) => ("one of half the keys beside fifty", ""),
    };
    Ok(format!("| {} | {programmes} | {} MiB | {aim} | {} MiB |", grouped(keys), peak(&samples).told(), before.told()))
}

pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let of_three: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|part| str::from_utf8(part).ok()).collect();
    of_three.join(",")
}

fn section(plan: &Plan, walls: &str, counts: &str, shapes: Option<&str>, peaks: &str) -> Result<String> {
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
         there is a reading with 30 days; a programme has {} grants. The floor: the same pages, four in flight at first \
         and one more after each fifty answers up to twelve, which is the product's pace; the same queries with 16 in flight; what \
         changed written with 16 in flight; one after the other, and nothing else.",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        memory.unwrap_or_default() / 1_048_576,
        load.join(", "),
        plan.times,
        grouped(IN_A_PROGRAMME),
    )?;
    writeln!(
        text,
        "\n| keys | changed | provider | wall: product, s | floor, s | ratio | aim | processor: product, s | floor, s | ratio | \
         aim | peak, MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n{walls}"
    )?;
    writeln!(
        text,
        "What one run of the product writes and reads, in base-table write units as the engine counts them (aim: at most 1.05 for \
         a changed reading, none for an unchanged one; each stored reading read once):\n\n\
         | keys | changed | readings | units for each | for unchanged | other writes | refused | reads of each | queries |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n{counts}"
    )?;
    if let Some(shapes) = shapes {
        writeln!(text, "{shapes}")?;
    }
    if !peaks.is_empty() {
        writeln!(
            text,
            "Peak memory of the process (VmHWM), 5 % changed, first run on:\n\n| keys | programmes | peak | aim | before the run |\n\
             | --- | --- | --- | --- | --- |\n{peaks}"
        )?;
    }
    Ok(text)
}

/// Replaces the section that an earlier run wrote.
fn put(section: &str) -> Result<()> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FILE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("{FILE} cannot be read"))?;
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("{FILE} has no place for the figures"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{FILE} has no end of the figures"))?;
    std::fs::write(&path, format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", section.trim()))?;
    Ok(())
}
