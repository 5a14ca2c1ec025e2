//! `bursar-ops`: what an operator runs beside a deployment. Its exit codes: 0, all is well; 1,
//! something is not; 2, nothing was looked at, or the arguments are wrong.

use std::process::ExitCode;

use bursar_ops::{Command, NotLooked};
use clap::Parser;
use tokio::runtime::Runtime;

/// What an operator of Bursar runs beside a deployment
#[derive(Parser)]
#[command(name = "bursar-ops", version = bursar_ops::VERSION)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = Runtime::new()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(arguments.command.run()));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bursar-ops: {error:#}");
            if error.is::<NotLooked>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
