//! The assembled bundle: engine, stand-ins, functions, pump, schedules and the web origin. `bursar`
//! runs one for a person, a test as many as it likes.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use aws_smithy_http_client::Builder as HttpClients;
use axum::Router;
use bursar_core::aws::AwsAccess;
use bursar_core::clock::Moment;
use bursar_core::config::{Config, FrontSecret, OpenIdProvider, SignOn, SignOnRequired};
use bursar_core::deadline::Waits;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::Table;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::aws::engine::{Engine, Lasts, Place};
use crate::aws::gateway::{self, Hosts};
use crate::aws::inbox;
use crate::aws::invoke::in_process::{InProcess, Settings};
use crate::aws::invoke::logs::Logs;
use crate::aws::invoke::{Between, Invoke};
use crate::aws::pump::Pump;
use crate::aws::schedules::{Schedules, SyncEvery};
use crate::aws::secrets_manager::SecretsManager;
use crate::aws::ses::{Relay, Ses};
use crate::aws::{self, Services};
use crate::base::clock::StackClock;
use crate::base::function::FunctionName;
use crate::base::state_file::StateFile;
use crate::command::control::{self, Control};
use crate::command::folder::Files;
use crate::command::settle::Settle;
use crate::provider::{Provider, fresh_key};
use crate::sign_on::{CLIENT_ID, CLIENT_SECRET, PERSON_CLAIM, SignOnProvider};

pub use crate::command::servers::{listen, origin_of};

use crate::command::servers::Servers;

pub(super) const TABLE: &str = "bursar";
pub(super) const REGION: &str = "eu-central-1";
pub(super) const SECRET: &str = "bursar/management-key";
pub(super) const SIGN_ON_SECRET: &str = "bursar/sign-on";
/// The stored document with the running stack's addresses, for `bursar keys`.
pub const READY: (&str, &str) = ("stack", "ready");

pub struct Options {
    pub files: Option<Files>,
    pub web: TcpListener,
    /// Where the inbox is served; without one, at a free port.
    pub inbox: Option<TcpListener>,
    /// The origin in links and origin checks, if it differs from where the pages are served.
    pub origin: Option<String>,
    /// The past instant at which the clock of a new stack is stopped.
    pub begins_at: Option<Moment>,
    pub admins: Vec<EmailAddress>,
    pub provider: ProviderAt,
    /// Where pages say that keys are spent, if that is not the provider.
    pub spend_at: Option<String>,
    pub smtp: Option<Relay>,
    /// How people sign in besides by a link, and whom a link does not sign in.
    pub sign_on: Option<(SignOnBy, SignOnRequired)>,
    /// The configuration set of mails; without one nothing reports on them by itself.
    pub mail_events: Option<String>,
    pub sync_every: SyncEvery,
    /// What stands between the functions and what they call.
    pub between: Option<Arc<dyn Between>>,
    pub logs: Logs,
    /// The share of each wait that the functions really wait.
    pub waits: Waits,
}

impl Options {
    /// A stack in memory with the built-in provider, at the present time, in which no sync runs by
    /// itself.
    pub fn new(web: TcpListener, admins: Vec<EmailAddress>) -> Options {
        Options {
            files: None,
            web,
            inbox: None,
            origin: None,
            begins_at: None,
            admins,
            provider: ProviderAt::BuiltIn,
            spend_at: None,
            smtp: None,
            sign_on: None,
            mail_events: None,
            sync_every: SyncEvery::Never,
            between: None,
            logs: Logs::new(usize::MAX, |_| ()),
            waits: Waits::WHOLE,
        }
    }
}

pub enum SignOnBy {
    /// The stand-in of a campus' provider.
    Provider,
    /// Another provider, with the stand-in's client.
    Elsewhere { issuer: String },
    /// A front with this secret, which the stack does not have.
    Front(FrontSecret),
}

pub enum ProviderAt {
    /// The simulator, with a management key of its own.
    BuiltIn,
    Elsewhere {
        url: String,
        management_key: String,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    pub web: String,
    pub inbox: String,
    pub provider: String,
    pub dynamodb: String,
    pub ses: String,
    pub secretsmanager: String,
    pub table: String,
    pub region: String,
    pub secret: String,
    pub deployment: String,
}

/// A running stack. A test uses its parts; a person uses what `ready` names.
pub struct Stack {
    pub ready: Ready,
    pub config: Config,
    pub clock: StackClock,
    pub engine: Engine,
    pub ses: Ses,
    pub secrets: SecretsManager,
    /// The simulator; `None` with a real provider.
    pub provider: Option<Provider>,
    pub sign_on: Option<SignOnProvider>,
    pub invoke: Arc<dyn Invoke>,
    pub logs: Logs,
    pub pump: Pump,
    pub schedules: Schedules,
    pub settle: Settle,
    /// The address at which the pages are served, which may differ from their origin.
    pub served_at: String,
    servers: Servers,
}

impl Stack {
    pub async fn start(options: Options) -> Result<Stack> {
        let kept = match &options.files {
            Some(files) => open_state(files)?,
            None => StateFile::in_memory()?,
        };
        let clock = StackClock::open(kept.clone())?;
        if let Some(instant) = options.begins_at {
            clock.begin_at(instant)?;
        }
        let place = options.files.as_ref().map_or(Place::Memory, |files| {
            Place::File(files.table.clone(), Lasts::Killed)
        });
        let engine = tokio::task::spawn_blocking(move || Engine::start(&place, TABLE)).await??;
        let mut servers = Servers::default();

        let ses = Ses::new(kept.clone(), clock.as_clock())?;
        if let Some(relay) = options.smtp {
            ses.set_relay(relay);
        }
        // The key of a real account is not stored.
        let own_account = matches!(options.provider, ProviderAt::BuiltIn);
        let secrets = SecretsManager::new(if own_account {
            kept.clone()
        } else {
            StateFile::in_memory()?
        })?;
        let before = |service: Router| match &options.between {
            Some(between) => between.before(service),
            None => service,
        };
        let (provider, provider_origin, provider_url) = match options.provider {
            ProviderAt::BuiltIn => {
                let key = secrets.current(SECRET).unwrap_or_else(fresh_key);
                secrets.put(SECRET, &key)?;
                let provider = Provider::new(kept.clone(), clock.as_clock(), &key)?;
                let origin = servers.run(listen(0).await?, before(provider.router()))?;
                let url = format!("{origin}/api/v1");
                (Some(provider), Some(origin), url)
            }
            ProviderAt::Elsewhere {
                url,
                management_key,
            } => {
                secrets.put(SECRET, &management_key)?;
                (None, None, url)
            }
        };
        let own_path = uuid::Uuid::new_v4().simple().to_string();
        let aws = servers.run(
            listen(0).await?,
            before(aws::router(Services {
                table: engine.router(),
                mail: ses.router(),
                secrets: secrets.router(),
                // The key of a real account is handed to the functions only.
                secrets_of_others: if own_account {
                    secrets.router()
                } else {
                    secrets.router_without_values()
                },
                own_path: own_path.clone(),
            })),
        )?;

        let served_at = origin_of(&options.web)?;
        let web_origin = options.origin.unwrap_or_else(|| served_at.clone());
        let own_endpoint = format!("{aws}/{own_path}");
        let mut config = configuration(&web_origin, options.admins, &provider_url, &own_endpoint)?;
        config.mail_events = options.mail_events;
        config.waits = options.waits;
        config.spend_at = options.spend_at.unwrap_or(config.spend_at);
        if own_account {
            config.calls_a_second = None;
        }
        let mut sign_on = None;
        if let Some((by, required)) = options.sign_on {
            config.sign_on_required = required;
            let issuer = match by {
                SignOnBy::Front(front) => {
                    config.front_secret = Some(front);
                    None
                }
                SignOnBy::Provider => {
                    let listener = listen(0).await?;
                    let issuer = origin_of(&listener)?;
                    let provider = SignOnProvider::new(&issuer, clock.as_clock());
                    servers.run(listener, provider.router())?;
                    sign_on = Some(provider);
                    Some(issuer)
                }
                SignOnBy::Elsewhere { issuer } => Some(issuer),
            };
            secrets.put(SIGN_ON_SECRET, CLIENT_SECRET)?;
            config.sign_on = Some(issuer.map_or(SignOn::Front, |issuer| {
                SignOn::Provider(OpenIdProvider {
                    issuer,
                    client_id: CLIENT_ID.to_owned(),
                    secret: SIGN_ON_SECRET.to_owned(),
                    person_claim: Some(PERSON_CLAIM.to_owned()),
                })
            }));
        }
        let settings = Settings {
            config: config.clone(),
            http: HttpClients::new().build_http(),
            region: REGION.to_owned(),
            aws: own_endpoint,
            provider: provider_origin,
            between: options.between,
            logs: options.logs.clone(),
        };
        let invoke: Arc<dyn Invoke> = Arc::new(InProcess::new(settings, clock.as_clock()));

        let schedules = Schedules::new(
            options.sync_every,
            invoke.clone(),
            kept.clone(),
            clock.clone(),
        )?;
        let pump = Pump::start(engine.clone(), invoke.clone(), kept.clone(), clock.clone()).await?;
        let settle = Settle::new(pump.clone(), schedules.clone());
        let control = Control {
            invoke: invoke.clone(),
            clock: clock.clone(),
            schedules: schedules.clone(),
            settle: settle.clone(),
        };
        let table = Table::new(&config);
        let inbox = inbox::router(
            ses.clone(),
            invoke.clone(),
            table.clone(),
            web_origin.clone(),
        );
        let inbox_at = match options.inbox {
            Some(listener) => listener,
            None => listen(0).await?,
        };
        let inbox_origin = servers.run(inbox_at, inbox.merge(control::router(control)))?;

        let meta = table.meta(clock.now().max(Moment::UNIX_EPOCH)).await?;
        let ready = Ready {
            web: web_origin,
            inbox: inbox_origin,
            provider: provider_url,
            dynamodb: aws.clone(),
            ses: aws.clone(),
            secretsmanager: aws,
            table: TABLE.to_owned(),
            region: REGION.to_owned(),
            secret: SECRET.to_owned(),
            deployment: meta.deployment.to_string(),
        };
        kept.put(READY.0, READY.1, &ready)?;
        servers.run_pages(
            options.web,
            gateway::router(&config, Hosts::OfThisMachine, invoke.clone())?,
        );
        schedules.start();
        if table.is_copy(&meta) {
            schedules.begin_sync()?;
        }
        let logs = options.logs;
        Ok(Stack {
            ready,
            config,
            clock,
            engine,
            ses,
            secrets,
            provider,
            sign_on,
            invoke,
            logs,
            pump,
            schedules,
            settle,
            served_at,
            servers,
        })
    }

    /// Stops every part, producers of work first.
    pub async fn stop(self) -> Result<()> {
        self.servers.stop().await;
        self.schedules.stop().await;
        self.pump.stop().await;
        self.engine.stop().await
    }
}

/// The stand-ins' state. It is created before the table and marked after the first start. If only
/// one of the two exists, data was lost, and the start is refused.
pub(super) fn open_state(files: &Files) -> Result<StateFile> {
    let state = files.state();
    let table = files.table.exists();
    let kept = std::fs::metadata(&state).is_ok_and(|file| file.len() > 0);
    let lost = |there: &Path, missing: &Path| {
        let there = there.display();
        let missing = missing.display();
        format!(
            "{there} is there but {missing} is missing or empty: put it back, or name another data folder"
        )
    };
    ensure!(kept || !table, lost(&files.table, &state));
    let kept = StateFile::open(&state)?;
    ensure!(
        table || kept.get::<Ready>(READY.0, READY.1)?.is_none(),
        lost(&state, &files.table)
    );
    Ok(kept)
}

/// The configuration of the deployment. Its own calls to AWS come as those of an instance of the
/// sync.
fn configuration(
    origin: &str,
    admins: Vec<EmailAddress>,
    provider: &str,
    own: &str,
) -> Result<Config> {
    let variable = |name: &str| {
        let value = match name {
            "BURSAR_TABLE" => TABLE,
            "BURSAR_ORIGIN" => origin,
            "BURSAR_MAIL_FROM" | "BURSAR_ADMINS" => "bursar@example.edu",
            "BURSAR_MANAGEMENT_KEY_SECRET" => SECRET,
            "BURSAR_INSTITUTION" => "Example University",
            "BURSAR_SUPPORT" => "bursar-help@example.edu",
            "OPENROUTER_BASE_URL" => provider,
            _ => return None,
        };
        Some(value.to_owned())
    };
    let path = format!("{own}/{}/0", FunctionName::UsageSync);
    let aws = AwsAccess::under(&path, REGION, HttpClients::new().build_http());
    Ok(Config {
        admins,
        ..Config::read(variable, aws)?
    })
}
