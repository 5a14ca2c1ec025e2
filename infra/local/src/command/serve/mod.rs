//! `bursar serve`: the functions for real people on one machine. Table, secrets and the way to the
//! mail server are in this process, and none of them has a port; nothing here moves the clock or
//! shows a mail.

mod check;
mod health;
mod problems;
mod settings;

use std::io::{Write, stderr, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::Router;
use bursar_core::aws::AwsAccess;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::start::keep_panics_quiet;
use bursar_core::store::{RunLease, Table};
use clap::Args;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::health::{Health, PATIENCE};
use self::problems::Lines;
use self::settings::Settings;
pub(super) use self::settings::management_key_in;
use crate::aws::engine::{Engine, Lasts, Place};
use crate::aws::gateway::{self, Hosts};
use crate::aws::invoke::Invoke;
use crate::aws::invoke::in_process::{self, InProcess};
use crate::aws::invoke::logs::Logs;
use crate::aws::pump::Pump;
use crate::aws::schedules::{Schedules, SyncEvery};
use crate::aws::secrets_manager::SecretsManager;
use crate::aws::ses::outgoing::Outgoing;
use crate::aws::{self, Services, here, tidy};
use crate::base::clock::StackClock;
use crate::base::state_file::StateFile;
use crate::base::{lock, systemd};
use crate::command::Refused;
use crate::command::arguments::{log_problems, stopped};
use crate::command::folder::{Folder, Kind};
use crate::command::servers::{Servers, origin_of};
use crate::command::stack::{REGION, SECRET, SIGN_ON_SECRET, TABLE, open_state};

#[derive(Args)]
pub(super) struct Serve {
    /// The file with the settings; bursar.toml of this folder, if it is there
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say all that is wrong, try provider, SMTP server and folder, and end; nothing is made and no
    /// mail is sent
    #[arg(long)]
    check: bool,
}

/// What is printed once it answers.
#[derive(Serialize)]
struct Ready {
    web: String,
    health: String,
}

impl Serve {
    pub(super) async fn run(self) -> Result<()> {
        let nowhere = AwsAccess::under(here::BASE, REGION, here::client(Router::new()));
        let settings = Settings::read(self.config.as_deref(), nowhere)?;
        if self.check {
            check::all(&settings).await?;
            return Ok(writeln!(stdout(), "all is right")?);
        }
        let folder =
            Folder::open(&settings.folder, Kind::Serve).map_err(|error| refused(&error))?;
        let web = listen("listen", settings.listen).await?;
        let health = listen("health", settings.health).await?;
        let ready = Ready {
            web: origin_of(&web)?,
            health: origin_of(&health)?,
        };
        log_problems(stderr)?;
        keep_panics_quiet();
        let stopped = stopped()?;
        let served = Served::start(settings, &folder, web, health)
            .await
            .map_err(|error| refused(&error))?;
        let mut out = stdout();
        writeln!(out, "ready {}", serde_json::to_string(&ready)?)?;
        out.flush()?;
        systemd::say("READY=1");
        stopped.await;
        served.stop().await
    }
}

/// The parts of a running one that are stopped, in that order: producers of work first.
struct Served {
    servers: Servers,
    schedules: Schedules,
    pump: Pump,
    watch: JoinHandle<()>,
    tidy: JoinHandle<()>,
    engine: Engine,
}

impl Served {
    async fn start(
        settings: Settings,
        folder: &Folder,
        web: TcpListener,
        health_at: TcpListener,
    ) -> Result<Served> {
        let files = folder.files();
        let kept = open_state(&files)?;
        let clock = StackClock::open(kept.clone())?;
        let place = Place::File(files.table, Lasts::PowerCut);
        let engine = tokio::task::spawn_blocking(move || Engine::start(&place, TABLE)).await??;
        let outgoing = Outgoing::new(settings.relay, settings.mail_rate, clock.as_clock());
        // The key is in its file alone.
        let secrets = SecretsManager::new(StateFile::in_memory()?)?;
        secrets.put(SECRET, &settings.management_key)?;
        if let Some(secret) = &settings.sign_on_secret {
            secrets.put(SIGN_ON_SECRET, secret)?;
        }
        let http = here::client(aws::router(Services {
            table: engine.router(),
            mail: outgoing.router(),
            secrets: secrets.router(),
            secrets_of_others: secrets.router(),
            own_path: String::new(),
        }));
        let config = Config {
            aws: AwsAccess::under(here::BASE, REGION, http.clone()),
            ..settings.config
        };
        let lines = Arc::<Mutex<Lines>>::default();
        let noted = lines.clone();
        let noting = clock.clone();
        let functions = in_process::Settings {
            config: config.clone(),
            http,
            region: REGION.to_owned(),
            aws: here::BASE.to_owned(),
            provider: None,
            between: None,
            // To where the service's log goes, which is nobody's file here.
            logs: Logs::new(0, move |line| {
                let _ = writeln!(stderr(), "{} {}", line.function, line.text.trim_end());
                problems::note(&mut lock(&noted), &line.text, noting.now());
            }),
        };
        let invoke: Arc<dyn Invoke> = Arc::new(InProcess::new(functions, clock.as_clock()));
        outgoing.report_to(invoke.clone());
        let table = Table::new(&config);
        end_leases(&table).await?;
        let sync_every = SyncEvery::DayAt(settings.sync_at);
        let schedules = Schedules::new(sync_every, invoke.clone(), kept.clone(), clock.clone())?;
        let pump = Pump::start(engine.clone(), invoke.clone(), kept.clone(), clock.clone()).await?;
        let mut servers = Servers::default();
        servers.run_pages(
            web,
            gateway::router(&config, Hosts::Origins, invoke.clone())?,
        );
        let health = Health {
            table: table.clone(),
            clock: clock.clone(),
            schedules: schedules.clone(),
            dead_letters: pump.dead_letters().clone(),
            lines,
        };
        let watch = tokio::spawn(health.clone().tell_admins());
        // Elsewhere than on loopback it has as many names as the machine, and whoever asks needs
        // the secret.
        if health_at.local_addr()?.ip().is_loopback() {
            servers.run(health_at, health::router(health, None))?;
        } else {
            servers.run_pages(health_at, health::router(health, config.front_secret));
        }
        schedules.start();
        // A copy takes no claim before a sync has recovered it.
        if table.is_copy(&table.meta(clock.now()).await?) {
            schedules.begin_sync()?;
        }
        let tidy = tokio::spawn(tidy::as_time_passes(
            table,
            engine.clone(),
            pump.clone(),
            clock.clone(),
            kept.clone(),
        ));
        Ok(Served {
            servers,
            schedules,
            pump,
            watch,
            tidy,
            engine,
        })
    }

    async fn stop(self) -> Result<()> {
        self.servers.stop().await;
        self.schedules.stop().await;
        self.pump.stop().await;
        self.watch.abort();
        self.tidy.abort();
        self.engine.stop().await
    }
}

/// Ends what a process that died was about. That no other is about it the folder's lock says.
async fn end_leases(table: &Table) -> Result<()> {
    for name in ["sync", "work"] {
        if let Some(lease) = table.get(RunLease::key_of(name)).await? {
            table
                .release_lease(&lease, Deadline::after(PATIENCE))
                .await?;
        }
    }
    Ok(())
}

async fn listen(setting: &str, place: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(place).await;
    listener.map_err(|error| {
        Refused(vec![format!(
            "{setting} is {place}, which cannot be opened: {error}"
        )])
        .into()
    })
}

/// What keeps it from starting, as what its settings do.
fn refused(error: &anyhow::Error) -> anyhow::Error {
    Refused(vec![format!("{error:#}")]).into()
}
