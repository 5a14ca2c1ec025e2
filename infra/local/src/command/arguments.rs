//! The command line. Its options and a provider's key are checked before anything is created.

use std::fs::File;
use std::io::{Write, stderr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bursar_core::aws::AwsAccess;
use bursar_core::clock::{Clock, Moment};
use bursar_core::config::web_address;
use bursar_core::deadline::Deadline;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::provider::Provider;
use bursar_core::secrets::ManagementKey;
use bursar_core::start::keep_panics_quiet;
use bursar_core::store::Table;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::aws::invoke::logs::Logs;
use crate::aws::schedules::SyncEvery;
use crate::aws::ses::Relay;
use crate::command::Refused;
use crate::command::copies;
use crate::command::demo;
use crate::command::folder::{Folder, Kind};
use crate::command::keys::{self, Show};
use crate::command::serve::{Serve, management_key_in};
use crate::command::stack::{Options, ProviderAt, Ready, Stack, listen, origin_of};

/// The whole of Bursar on this machine, with simulated AWS and, unless another is named, a
/// simulated provider.
#[derive(Parser)]
#[command(name = "bursar", version = env!("BURSAR_VERSION"), args_conflicts_with_subcommands = true)]
pub struct Command {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    demonstration: Demonstration,
}

#[derive(Subcommand)]
enum Other {
    /// Run it for real people, on this machine: settings come from bursar.toml or the environment
    Serve(Serve),
    /// List every key of the account; nothing is changed
    Keys(Keys),
    /// Copy a data folder, also while Bursar runs in it; copies of 35 days ago are removed
    Backup(Copies),
    /// Make a new data folder from a copy, which knows that it is one
    Restore(Copies),
}

#[derive(Args)]
struct Copies {
    /// Where the copies are, each in a folder of its own; `restore` takes the newest, or the one
    /// that is named
    #[arg(value_name = "FOLDER")]
    copies: PathBuf,
    /// The data folder; for `restore` a new or an empty one
    #[arg(long = "data", value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Args)]
struct Demonstration {
    /// The port of the web pages; 0 picks a free one
    #[arg(long, default_value_t = 8080, value_name = "N")]
    port: u16,
    /// The port of the inbox, which shows every mail and says who may sign in; 0 picks a free one
    #[arg(long, default_value_t = 0, value_name = "N")]
    inbox_port: u16,
    /// Where everything is kept between runs
    #[arg(long, default_value = ".bursar", value_name = "DIR")]
    data: PathBuf,
    /// Start without demonstration data; then at least one --admin is needed
    #[arg(long, requires = "admin")]
    empty: bool,
    /// An admin's address; may be given several times
    #[arg(long, value_name = "ADDRESS", value_parser = EmailAddress::parse)]
    admin: Vec<EmailAddress>,
    #[command(flatten)]
    account: Account,
    /// Let the simulated provider do what the real one does to some accounts only
    #[arg(long, value_name = "QUIRK", conflicts_with = "provider")]
    provider_quirk: Option<ProviderQuirk>,
    /// Relay each accepted mail to a real mail server as well
    #[arg(long, value_name = "smtp://HOST:PORT", value_parser = |url: &str| Relay::new(url, None, None))]
    smtp: Option<Relay>,
    /// How long after a sync the next one runs by itself; 0 means never
    #[arg(long, default_value = "24h", value_name = "DURATION", value_parser = sync_every)]
    sync_every: SyncEvery,
    /// Show the log here instead of keeping it in the file DIR/log
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProviderQuirk {
    /// It refuses what could cost too much beside the requests that are running
    InFlight,
}

#[derive(Args)]
struct Keys {
    /// Where the demonstration runs whose keys are listed, unless a provider is named
    #[arg(long, default_value = ".bursar", value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    account: Account,
    /// The table of a deployment, whose owners of keys are shown as well; the AWS SDK's environment
    /// says where
    #[arg(long, value_name = "NAME", requires = "provider")]
    table: Option<String>,
    #[command(flatten)]
    show: Show,
}

#[derive(Args)]
struct Account {
    /// A real provider: the address of its API
    #[arg(long, value_name = "URL", requires = "management_key_file", value_parser = web_address)]
    provider: Option<String>,
    /// The file that holds its management key
    #[arg(long, value_name = "FILE", requires = "provider")]
    management_key_file: Option<String>,
}

pub(super) const CHECK: Duration = Duration::from_secs(7);
const LATEST: usize = 10_000;

impl Command {
    pub async fn run(self) -> Result<()> {
        match self.other {
            Some(Other::Keys(keys)) => keys.run().await,
            Some(Other::Backup(Copies { copies, folder })) => {
                say(copies::backup(&folder, &copies, Moment::now()))
            }
            Some(Other::Restore(Copies { copies, folder })) => {
                say(copies::restore(&copies, &folder).await)
            }
            Some(Other::Serve(serve)) => serve.run().await,
            None => self.demonstration.run().await,
        }
    }
}

impl Demonstration {
    async fn run(self) -> Result<()> {
        let provider = self.account.read()?;
        if let ProviderAt::Elsewhere {
            url,
            management_key,
        } = &provider
        {
            // Before anything is created.
            let provider = Provider::with_key(url, ManagementKey::parse(management_key)?);
            provider.check_management_key(Deadline::after(CHECK)).await.map_err(|error| {
                anyhow!("the provider at {url} cannot be used: {error}; check --provider and --management-key-file")
            })?;
        }
        // The ports are taken before anything is created, so that a used port leaves nothing
        // behind.
        let web = take_port("--port", self.port).await?;
        let inbox = take_port("--inbox-port", self.inbox_port).await?;
        let folder = Folder::open(&self.data, Kind::Demonstration)?;
        let log = if self.verbose {
            File::from(stderr().as_fd().try_clone_to_owned()?)
        } else {
            folder.open_log()?
        };
        let log = Arc::new(log);
        log_problems(log.clone())?;
        keep_panics_quiet();
        let admins = if self.admin.is_empty() {
            vec![EmailAddress::parse("admin@example.edu")?]
        } else {
            self.admin
        };
        let mut stopped = pin!(stopped()?);
        // A real account gets no demonstration.
        if !self.empty && folder.is_new() && matches!(provider, ProviderAt::BuiltIn) {
            let origin = origin_of(&web)?;
            let clock = Clock::system();
            let say = |how_far| eprint!("\rbuilding the demonstration: {how_far} ");
            let built = tokio::select! {
                built = demo::build(&folder, &origin, &admins, &clock, say) => built,
                () = &mut stopped => return Ok(()),
            };
            eprintln!();
            built.context("the demonstration could not be built; the next start begins again")?;
        }
        let start = Stack::start(Options {
            files: Some(folder.files()),
            provider,
            smtp: self.smtp,
            sync_every: self.sync_every,
            inbox: Some(inbox),
            // Each invocation's lines, among the bundle's own.
            logs: Logs::new(LATEST, move |line| {
                let line = format!("{} {}\n", line.function, line.text.trim_end());
                let _ = (&*log).write_all(line.as_bytes());
            }),
            ..Options::new(web, admins)
        });
        let stack = tokio::select! {
            started = start => started?,
            () = &mut stopped => return Ok(()),
        };
        if let Some((provider, ProviderQuirk::InFlight)) =
            stack.provider.as_ref().zip(self.provider_quirk)
        {
            provider.set_quirks(|quirks| quirks.in_flight_budget = true);
        }
        let mut out = std::io::stdout();
        writeln!(out, "ready {}", serde_json::to_string(&stack.ready)?)?;
        out.flush()?;
        let log = if self.verbose {
            String::new()
        } else {
            format!(" The log is {}.", folder.log.display())
        };
        // The addresses come last, where a person looks for them.
        let Ready { web, inbox, .. } = &stack.ready;
        eprintln!(
            "\nCtrl-C stops.{log}\nPages: {web}\nInbox: {inbox} (every mail, and who may sign in)"
        );
        stopped.await;
        eprintln!("bursar: stopping");
        stack.stop().await
    }
}

impl Keys {
    async fn run(self) -> Result<()> {
        let account = match self.account.read()? {
            ProviderAt::BuiltIn => keys::of_running_demonstration(&self.data).await?,
            ProviderAt::Elsewhere {
                url: base,
                management_key,
            } => {
                let table = match &self.table {
                    Some(name) => Some(Table::named(name, &AwsAccess::from_environment().await)),
                    None => None,
                };
                keys::Account {
                    base,
                    management_key,
                    clock: Clock::system(),
                    table,
                }
            }
        };
        keys::run(account, &self.show, &mut std::io::stdout().lock()).await
    }
}

impl Account {
    fn read(&self) -> Result<ProviderAt> {
        let (Some(url), Some(file)) = (&self.provider, &self.management_key_file) else {
            return Ok(ProviderAt::BuiltIn);
        };
        let management_key =
            management_key_in(file).map_err(|why| anyhow!("--management-key-file {why}"))?;
        Ok(ProviderAt::Elsewhere {
            url: url.clone(),
            management_key,
        })
    }
}

/// Ready when somebody or something ends this process.
pub(super) fn stopped() -> Result<impl Future<Output = ()>> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
    })
}

/// Names the copy that was made or put back.
fn say(copy: Result<PathBuf>) -> Result<()> {
    let copy = copy.map_err(|error| Refused(vec![format!("{error:#}")]))?;
    Ok(writeln!(std::io::stdout(), "{}", copy.display())?)
}

async fn take_port(option: &str, port: u16) -> Result<TcpListener> {
    listen(port).await.with_context(|| {
        format!(
            "port {port} cannot be opened, perhaps since it is in use: name another with {option} (0 picks a free one)"
        )
    })
}

/// Writes warnings and errors of the bundle itself to the log. The engine's warnings about failed
/// conditions are left out, since those are normal here.
pub(super) fn log_problems(log: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) -> Result<()> {
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("dynoxide", LevelFilter::ERROR);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(log)
        .with_filter(targets);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines))?;
    Ok(())
}

fn sync_every(text: &str) -> Result<SyncEvery, &'static str> {
    match text.parse::<SignedDuration>() {
        _ if text == "0" => Ok(SyncEvery::Never),
        Ok(every) if every >= SignedDuration::from_secs(1) => Ok(SyncEvery::Every(every)),
        _ => Err("write a duration like 24h or 30m, or 0 for never"),
    }
}
