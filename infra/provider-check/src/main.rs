//! The command `provider-check`: reads its options and the key, runs the check, and prints what it found.

#![recursion_limit = "256"]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use bursar_core::clock::Clock;
use bursar_core::config::{OPENROUTER, web_address};
use bursar_core::domain::values::key::PlaintextKey;
use clap::Parser;
use provider_check::{LEFT, MODEL, Options};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// Tries on a provider's account what Bursar assumes of it, with a key that it makes and deletes. Costs at
/// most a cent. Run one check at a time on an account: each takes away what another made.
#[derive(Parser)]
#[command(name = "provider-check")]
struct Arguments {
    /// The file that holds the account's management key
    #[arg(long, value_name = "FILE")]
    management_key_file: PathBuf,
    /// The provider: the address of its API
    #[arg(long, value_name = "URL", default_value = OPENROUTER, value_parser = web_address)]
    provider: String,
    /// A cheap model, on which the check spends
    #[arg(long, value_name = "SLUG", default_value = MODEL)]
    model: String,
    /// Only count how many keys the account takes, up to 50, and take them away; spends nothing
    #[arg(long)]
    count_keys: bool,
}

/// The exit codes: the account will do, it will not, nothing was begun.
const WELL: u8 = 0;
const NOT_WELL: u8 = 1;
const BAD_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let code = options(&arguments).and_then(|options| {
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(run(&options, arguments.count_keys))
    });
    ExitCode::from(code.unwrap_or_else(|error| {
        eprintln!("provider-check: {error:#}");
        BAD_USAGE
    }))
}

fn options(arguments: &Arguments) -> Result<Options> {
    Ok(Options {
        provider: arguments.provider.clone(),
        management_key: Arc::new(read_key(&arguments.management_key_file)?),
        model: arguments.model.clone(),
        clock: Clock::system(),
        wait: Arc::new(|wait| Box::pin(tokio::time::sleep(wait))),
        progress: |what| eprintln!("provider-check: {what} …"),
    })
}

fn read_key(file: &Path) -> Result<PlaintextKey> {
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the management key cannot be read from {shown}: name a file that you may read"))?;
    if std::fs::metadata(file)?.permissions().mode() & 0o077 != 0 {
        eprintln!("warning: other users of this machine have rights to {shown}; take them away: chmod 600 {shown}");
    }
    PlaintextKey::new(text.trim_end_matches(['\r', '\n']).to_owned())
        .with_context(|| format!("{shown} does not hold a management key: the file must hold the key and nothing else"))
}

/// Runs the check or the count until its end or an interrupt. Both take away what they made; a second interrupt
/// keeps them from that.
async fn run(options: &Options, count_keys: bool) -> Result<u8> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals = kinds.into_iter().map(signal).collect::<std::io::Result<Vec<_>>>()?;
    let interrupted = Notify::new();
    let work = async {
        let interrupt = interrupted.notified();
        match count_keys {
            true => provider_check::count_keys(options, interrupt).await,
            false => provider_check::check(options, interrupt).await,
        }
    };
    let watch = async {
        any_of(&mut signals).await;
        eprintln!("provider-check: interrupted");
        interrupted.notify_one();
        any_of(&mut signals).await;
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = watch => anyhow::bail!("interrupted again, so something may be left. {LEFT}"),
    };
    let found = ended.context("nothing was done")?;
    write!(std::io::stdout().lock(), "{found}")?;
    Ok(if found.is_well() { WELL } else { NOT_WELL })
}

async fn any_of(signals: &mut [Signal]) {
    futures_util::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
}
