//! `cargo xtask bench sync`: the product's sync beside a floor, in one session. This process plans and reports.
//! The stand-ins run in a second (`world`) and each sample in one of its own (`client`). So processor time and
//! memory are those of the sync alone.

mod changes;
mod client;
mod clock;
mod compare;
mod conduct;
mod counting;
mod figures;
mod floor;
mod paced;
mod plan;
mod process;
mod resume;
mod seed;
mod shapes;
mod world;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::plan::Plan;

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
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["as-world", setup] => runtime(true)?.block_on(world::serve(serde_json::from_str(setup)?)),
        // One thread, as in Lambda.
        ["as-product", payload, seconds, clock] => {
            let (payload, clock) = (serde_json::from_str(payload)?, serde_json::from_str(clock)?);
            runtime(false)?.block_on(client::measure_product(payload, seconds.parse()?, clock))
        }
        ["as-floor", keys, programmes, at_once] => {
            let at_once = serde_json::from_str(at_once)?;
            runtime(false)?.block_on(client::measure_floor(keys.parse()?, programmes.parse()?, at_once))
        }
        ["sync", ref options @ ..] => figures::run(&Plan::read(options)?),
        ["resume", ref options @ ..] => resume::run(&Plan::read(options)?),
        ["paced", ref options @ ..] => paced::run(options),
        ["changes"] => runtime(true)?.block_on(changes::run()),
        _ => bail!(
            "sync [--quick] [--keys N]… [--times N] [--shapes N] [--write], resume [--keys N], paced [--keys N] [--rate R] [--scale S], or changes"
        ),
    }
}

fn runtime(is_many: bool) -> Result<tokio::runtime::Runtime> {
    let mut builder = match is_many {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build().context("no runtime")
}
