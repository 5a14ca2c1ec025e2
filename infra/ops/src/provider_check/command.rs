//! The subcommand: reads its options and the key, runs the check, and prints what it found.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use bursar_core::clock::Clock;
use bursar_core::config::{OPENROUTER, web_address};
use bursar_core::domain::values::key::PlaintextKey;
use clap::Args;
use tokio::signal::ctrl_c;
use tokio::sync::Notify;

use super::{Findings, LEFT, MODEL, Options, check, count_keys, in_flight, rate};
use crate::NotLooked;

/// Tries on a provider's account what Bursar assumes of it, with a key that it makes and deletes.
/// Costs at most a cent. Run one check at a time on an account: each takes away what another made.
#[derive(Args)]
pub struct Arguments {
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
    /// Only make so many keys at once, to see how fast it takes them, and take them away; spends
    /// nothing
    #[arg(long, value_name = "KEYS", num_args = 0..=1, default_missing_value = "30", conflicts_with = "count_keys",
          value_parser = clap::value_parser!(u16).range(1..=500))]
    rate: Option<u16>,
    /// Only find how many requests the account takes at once, up to 512; spends some cents at most
    #[arg(long, conflicts_with_all = ["count_keys", "rate"])]
    in_flight: bool,
}

fn read_key(file: &Path) -> Result<PlaintextKey> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| {
        format!("the management key cannot be read from {shown}: name a file that you may read")
    })?;
    if std::fs::metadata(file)?.permissions().mode() & 0o077 != 0 {
        eprintln!(
            "warning: other users of this machine have rights to {shown}; take them away: chmod 600 {shown}"
        );
    }
    PlaintextKey::new(text.trim_end_matches(['\r', '\n']).to_owned()).with_context(|| {
        format!(
            "{shown} does not hold a management key: the file must hold the key and nothing else"
        )
    })
}

/// Fails with 1 if the account will not do, and with 2 if nothing was begun.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let findings = findings(arguments)
        .await
        .map_err(|error| NotLooked(format!("{error:#}")))?;
    write!(std::io::stdout().lock(), "{findings}")?;
    Ok(if findings.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the check or the count until its end or an interrupt. Both take away what they made; a
/// second interrupt keeps them from that.
async fn findings(arguments: Arguments) -> Result<Findings> {
    let options = Options {
        management_key: Arc::new(read_key(&arguments.management_key_file)?),
        provider: arguments.provider,
        model: arguments.model,
        clock: Clock::system(),
        wait: Arc::new(|wait| Box::pin(tokio::time::sleep(wait))),
        progress: |what| eprintln!("provider-check: {what} …"),
    };
    let interrupted = Notify::new();
    let watch = async {
        ctrl_c().await?;
        eprintln!("provider-check: interrupted");
        interrupted.notify_one();
        ctrl_c().await
    };
    let work = async {
        if let Some(keys) = arguments.rate {
            rate(&options, interrupted.notified(), keys).await
        } else if arguments.count_keys {
            count_keys(&options, interrupted.notified()).await
        } else if arguments.in_flight {
            in_flight(&options, interrupted.notified()).await
        } else {
            check(&options, interrupted.notified()).await
        }
    };
    tokio::select! {
        outcome = work => outcome,
        _ = watch => anyhow::bail!("interrupted again, so something may be left. {LEFT}"),
    }
    .context("nothing was done")
}
