//! The process of the stand-ins: engine, provider and secrets, seeded with an account of a given number of keys.
//! It takes one command a line on standard input and answers each with one line of JSON.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::{Router, middleware};
use bursar_core::clock::Clock;
use bursar_core::domain::values::id::DeploymentId;
use bursar_core::store::Meta;
use bursar_core::store::items::to_item;
use bursar_local::engine::{Engine, Place};
use bursar_local::provider::{Nano, Provider};
use bursar_local::secrets_manager::SecretsManager;
use bursar_local::serve::serve as serve_on;
use bursar_local::stack::{listen, origin_of};
use bursar_local::state_file::StateFile;
use bursar_local::template::Template;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::clock::FastClock;
use crate::conduct::{self, Conduct, Door};
use crate::counting::Counting;
use crate::seed::{self, Layout};

pub(crate) const TABLE: &str = "bursar";
pub(crate) const SECRET: &str = "bursar/management-key";
pub(crate) const MANAGEMENT_KEY: &str = "sk-or-v1-00000000000000000000000000000000000000000000000000000000000bench";
const MORE: i64 = 1_500;

/// The configuration that a world is started with.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) keys: usize,
    pub(crate) layout: Layout,
    pub(crate) clock: FastClock,
}

/// A command to the world.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Do {
    /// Increases the use of this percentage of keys; `turn` selects which.
    Spend { per_cent: u32, turn: usize },
    /// Sets how the provider behaves from now on.
    Behave(Conduct),
    /// Returns the number of calls to the provider since the last `Calls`.
    Calls,
    /// Sets the clock.
    Clock(FastClock),
    /// Returns what the counting proxy has seen since the last `Count`.
    Count,
    /// Discards the records of the stream, which no function reads here.
    Trim,
}

/// The addresses of the stand-ins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reached {
    pub(crate) dynamodb: String,
    /// The address of the engine behind the proxy that counts.
    pub(crate) counting: String,
    pub(crate) secretsmanager: String,
    pub(crate) provider: String,
    pub(crate) seeded_ms: u64,
}

pub(crate) async fn serve(setup: Setup) -> Result<()> {
    let (begun, folder) = (std::time::Instant::now(), tempfile::tempdir()?);
    let course = Arc::new(Mutex::new(setup.clock));
    let clock = {
        let course = Arc::clone(&course);
        Clock::reading(move || course.lock().unwrap_or_else(PoisonError::into_inner).now())
    };
    // A database in memory would be scanned in full with every write.
    let kept = StateFile::open(&folder.path().join("state.db"))?;
    let schema = Template::bundled()?.table;
    let engine = tokio::task::spawn_blocking(move || Engine::start(&Place::Memory, TABLE, &schema)).await??;
    let provider = Provider::new(kept.clone(), clock.clone(), MANAGEMENT_KEY)?;
    let secrets = SecretsManager::new(kept)?;
    secrets.put(SECRET, MANAGEMENT_KEY)?;
    let deployment = DeploymentId::random();
    let meta = Meta { deployment: deployment.clone(), table: TABLE.to_owned(), born: clock.now(), account: None };
    engine.fill(vec![to_item(&meta)?]).await?;
    let hashes = seed::fill(&engine, &provider, &deployment, &setup.layout.programmes(setup.keys), clock.now()).await?;

    let door = Door::before(&provider, setup.clock.by);
    let with_a_door = middleware::from_fn_with_state(door.clone(), conduct::pass);
    let counting = Counting::of(engine.origin())?;
    let reached = Reached {
        dynamodb: engine.origin().to_owned(),
        counting: start(counting.router()).await?,
        secretsmanager: start(secrets.router()).await?,
        provider: format!("{}/api/v1", start(provider.router().layer(with_a_door)).await?),
        seeded_ms: u64::try_from(begun.elapsed().as_millis())?,
    };
    tell(&serde_json::to_value(&reached)?);

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match serde_json::from_str(&line).context("the world is told nonsense")? {
            Do::Spend { per_cent, turn } => spend(&provider, &clock, &hashes, per_cent, turn)?,
            Do::Behave(conduct) => {
                door.behave(conduct);
                json!({})
            }
            Do::Calls => serde_json::to_value(door.take_calls())?,
            Do::Clock(later) => {
                *course.lock().unwrap_or_else(PoisonError::into_inner) = later;
                json!({})
            }
            Do::Count => serde_json::to_value(counting.take())?,
            Do::Trim => {
                engine.trim(engine.stream_end().await?).await?;
                json!({})
            }
        };
        tell(&answer);
    }
    Ok(())
}

fn tell(answer: &Value) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // A reader that has closed the pipe has ended; that is no error of the world.
    let _ = writeln!(out, "{answer}");
    let _ = out.flush();
}

async fn start(router: Router) -> Result<String> {
    let listener = listen(0).await?;
    let origin = origin_of(&listener)?;
    tokio::spawn(serve_on(listener, router, std::future::pending()));
    Ok(origin)
}

fn spend(provider: &Provider, clock: &Clock, hashes: &[String], per_cent: u32, turn: usize) -> Result<Value> {
    let (now, mut changed) = (clock.now(), 0);
    if per_cent > 0 {
        let one_in = usize::try_from(100 / per_cent.min(100))?.max(1);
        for hash in hashes.iter().skip(turn % one_in).step_by(one_in) {
            provider.spend(hash, Nano::micros(MORE), now, "a/model")?;
            changed += 1;
        }
    }
    Ok(json!({ "changed": changed }))
}
