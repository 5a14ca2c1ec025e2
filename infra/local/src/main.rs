//! `bursar`: the whole bundle for one person on one machine, and `bursar keys` beside it.

use std::process::ExitCode;

use bursar_local::command::{Command, Refused};
use clap::Parser;
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let command = Command::parse();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error.into()),
    };
    match runtime.block_on(command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &anyhow::Error) -> ExitCode {
    if let Some(Refused(lines)) = error.downcast_ref() {
        lines.iter().for_each(|line| eprintln!("bursar: {line}"));
        return ExitCode::from(2);
    }
    eprintln!("bursar: {error:#}");
    ExitCode::FAILURE
}
