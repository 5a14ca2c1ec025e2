//! The subcommand: its options, what is typed at a terminal, and the page at the end.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use bursar_core::clock::Clock;
use bursar_core::config::web_address;
use bursar_core::domain::values::address::EmailAddress;
use clap::{ArgGroup, Args};

use super::place::Kind;
use super::{Options, Place, rehearse};
use crate::aws::{Aws, Deployment, Login, NotLooked};
use crate::provider_check::MODEL;

/// Walks a student's way on your deployment, from the invitation to the statement, with an admin's
/// mailbox and at most five cents, in some ten minutes
#[derive(Args)]
#[command(group(ArgGroup::new("where").required(true).args(["stack", "machine"])))]
pub struct Arguments {
    /// The name of the deployment's stack
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    #[command(flatten)]
    login: Login,
    /// The origin of the pages of one machine
    #[arg(long, value_name = "ORIGIN", value_parser = web_address)]
    machine: Option<String>,
    /// The machine's port for monitors
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081", value_parser = web_address)]
    health: String,
    /// The address of an admin, whose mailbox you read
    #[arg(long, value_name = "ADDRESS", value_parser = |to: &str| EmailAddress::parse(to).map(|_| to.to_owned()))]
    to: String,
    /// A cheap model, on which a cent is spent
    #[arg(long, value_name = "SLUG", default_value = MODEL)]
    model: String,
    /// Type the value of the header `Cookie` of a browser, signed in as --to, where links are shut
    /// or a front stands before the pages
    #[arg(long)]
    session: bool,
    /// The day after: only tell the final reading
    #[arg(long)]
    finish: bool,
    /// Write the page into this file as well
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Where it is kept what a run made, for the next one
    #[arg(long, value_name = "FILE", default_value = "bursar-rehearsal.json")]
    state: PathBuf,
}

/// Fails with 1 if a step failed, and with 2 if nothing was begun.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let place = match (arguments.stack, arguments.machine) {
        (Some(stack), _) => {
            let aws = Aws {
                stack,
                login: arguments.login,
            };
            let deployment = Deployment::read(&aws)?;
            Place(Kind::Stack { aws, deployment })
        }
        (None, origin) => Place::machine(origin.unwrap_or_default(), arguments.health),
    };
    let options = Options {
        place,
        address: arguments.to,
        model: arguments.model,
        takes_session: arguments.session,
        is_next_day: arguments.finish,
        state: arguments.state,
        clock: Clock::system(),
        wait: Arc::new(|wait| Box::pin(tokio::time::sleep(wait))),
        prompt: Arc::new(|words| {
            let words = words.to_owned();
            Box::pin(async { tokio::task::spawn_blocking(move || typed(&words)).await? })
        }),
        progress: Arc::new(|step| eprintln!("rehearse: {} …", step.facts()[0])),
    };
    let report = rehearse(&options)
        .await
        .map_err(|error| NotLooked(format!("nothing was begun: {error:#}")))?;
    let page = report.to_string();
    write!(std::io::stdout().lock(), "{page}")?;
    if let Some(file) = arguments.markdown {
        std::fs::write(file, page)?;
    }
    Ok(if report.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn typed(words: &str) -> Result<String> {
    eprint!("{words} ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}
