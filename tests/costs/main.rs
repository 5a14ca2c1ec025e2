//! `cargo xtask costs`: counts on the local stack what AWS would bill, and writes what a month of each sample costs to
//! `infra/COSTS.md`.

mod bill;
mod counted;
mod month;
mod world;

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use bursar_tests::costs::{Prices, Sample, grouped, header, samples};
use bursar_tests::documented::root;

use crate::bill::{Charge, bill};
use crate::counted::{Counts, NAMES};
use crate::month::Acts;

/// The numbers of students with whom everything is counted: two for a line, and one between that must lie on it.
const SIZES: [usize; 3] = [100, 200, 400];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("costs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (prices, samples) = (Prices::read()?, samples()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let mut counted = Vec::new();
    for students in SIZES {
        eprintln!("costs: counting with {students} students");
        counted.push(runtime.block_on(world::count(students, &prices))?);
    }
    let acts = Acts::of(&counted)?;
    let text = document(&samples, &prices, &acts)?;
    std::fs::write(root().join("infra/COSTS.md"), &text)?;
    for line in text.lines().filter(|line| line.starts_with("| **")) {
        eprintln!("costs: {line}");
    }
    Ok(())
}

fn document(samples: &[Sample], prices: &Prices, acts: &Acts) -> Result<String> {
    let mut out = header(samples, prices);
    let months: Vec<Vec<(&str, Counts)>> = samples.iter().map(|sample| acts.month(sample)).collect();
    let sum = |parts: &[(&str, Counts)]| parts.iter().fold(Counts::default(), |sum, (_, part)| sum + *part);
    let bills = samples.iter().zip(&months).map(|(sample, parts)| bill(sample, sum(parts), prices));
    let bills: Vec<Vec<Charge>> = bills.collect::<Result<_>>()?;

    write!(out, "\n## The bill\n\n| | price |")?;
    for sample in samples {
        write!(out, " quantity, {} | $ |", sample.name)?;
    }
    writeln!(out, "\n| --- | ---: |{}", " ---: | ---: |".repeat(samples.len()))?;
    for (place, line) in bills[0].iter().enumerate() {
        write!(out, "| {} | {} |", line.what, prices.of(line.what)?)?;
        for bill in &bills {
            write!(out, " {:.3} | {:.2} |", bill[place].quantity, bill[place].dollars)?;
        }
        writeln!(out)?;
    }
    let totals: Vec<f64> = bills.iter().map(|bill| bill.iter().map(|line| line.dollars).sum()).collect();
    write!(out, "| **the month** | |")?;
    totals.iter().try_for_each(|total| write!(out, " | **{total:.2}** |"))?;
    writeln!(out)?;
    let nobody = acts.month_of_nobody();
    let of_nobody: f64 = bill(&samples[0], nobody, prices)?.iter().map(|line| line.dollars).sum();
    writeln!(
        out,
        "\nA month in which nobody uses it, with its schedules, nights and alarms, costs **{of_nobody:.2}**."
    )?;

    writeln!(out, "\n## Where it comes from\n")?;
    table(&mut out, "", &samples.iter().map(|sample| sample.name.as_str()).collect::<Vec<_>>(), |out| {
        for (place, (part, _)) in months[0].iter().enumerate() {
            write!(out, "| {part} |")?;
            for month in &months {
                let counts = month[place].1;
                write!(
                    out,
                    " {} writes, {} reads, {} invocations |",
                    grouped(counts.writes()),
                    grouped(counts.reads()),
                    grouped(counts.invocations())
                )?;
            }
            writeln!(out)?;
        }
        Ok(())
    })?;

    writeln!(out, "\n## What was counted\n")?;
    let sizes: Vec<String> = SIZES.iter().map(ToString::to_string).collect();
    writeln!(
        out,
        "On the local stack with {} students. What grows with students is given as what it costs by itself and for each;\n\
         the middle size lies within a tenth of the line through the others, or nothing is written.\n",
        sizes.join(", ")
    )?;
    let rows = [
        ("a day of schedules that find nothing", acts.idle_day),
        ("a claim, from the start page to the key", acts.claim),
        ("a student's look", acts.look),
        ("an alert to one person", acts.alert),
        ("the news that a mail was delivered", acts.delivered),
        ("a roster, by itself", acts.import.base),
        ("a roster, for each student", acts.import.of_each),
        ("a look of staff, by itself", acts.staff.base),
        ("a look of staff, for each student", acts.staff.of_each),
        ("a night in which no key was used, by itself", acts.quiet_night.base),
        ("a night in which no key was used, for each key", acts.quiet_night.of_each),
        ("a night in which all were used, by itself", acts.busy_night.base),
        ("a night in which all were used, for each key", acts.busy_night.of_each),
        ("the digests of a programme, by themselves", acts.digest.base),
        ("the digests of a programme, for each student", acts.digest.of_each),
    ];
    table(&mut out, "", &NAMES, |out| {
        for (what, counts) in rows {
            write!(out, "| {what} |")?;
            counts
                .0
                .iter()
                .try_for_each(|count| write!(out, " {:.3} |", if count.abs() < 0.0005 { 0.0 } else { *count }))?;
            writeln!(out)?;
        }
        Ok(())
    })?;
    out += BESIDE;
    Ok(out)
}

fn table(out: &mut String, first: &str, names: &[&str], rows: impl FnOnce(&mut String) -> Result<()>) -> Result<()> {
    writeln!(out, "| {first} | {} |", names.join(" | "))?;
    writeln!(out, "| --- |{}", " ---: |".repeat(names.len()))?;
    rows(out)
}

/// What the bill does not say by itself.
const BESIDE: &str = "
## How it was computed, and what is beside it

- The month is the busiest of a term. In others no roster and no claim is in it, and without students there remain the schedules,
  the alarms, the metrics, the key and the secret.
- Units of the table are what the local engine bills, indexes and transactions included. A refused write counts as if it were done.
- Seconds are not measured: each call is taken to wait for the one before it, as long as `infra/prices.json` assumes, which is more
  than is billed. A night's cost beside its keys is taken once for each programme, which is more too.
- The table's size is what claims of the month put there. What is kept from earlier terms comes on top, by the same price for a GB.
- Nothing is charged for schedules, for what functions read of the table's stream, for the queue while it is empty, or for a NAT
  gateway: no function is in a private network.
- The free tier is not taken off. It covers the first million invocations, 25 GB of the table, ten alarms, ten metrics and 5 GB of
  logs of an account, if nothing else uses them.
- What leaves AWS is not counted: pages are some 30 KB each, and the first 100 GB of a month are free.
- A new account may send 200 mails a day until AWS lifts that; the price is the same.
- The money that students spend at the provider is the programmes' own, and in none of these figures.
";
