//! The stand-ins: engine, provider and secrets, seeded with an account of a given number of keys.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use bursar_core::clock::Clock;
use bursar_core::domain::values::id::DeploymentId;
use bursar_core::store::Meta;
use bursar_core::store::items::to_item;
use bursar_local::aws::{self, Services};
use bursar_local::engine::{Engine, Place};
use bursar_local::invoke::{Between, FunctionName};
use bursar_local::provider::{Nano, Provider};
use bursar_local::secrets_manager::SecretsManager;
use bursar_local::state_file::StateFile;
use bursar_tests::aws as clients;
use bursar_tests::faults::Gate;
use tempfile::TempDir;

use crate::client::Sample;
use crate::seed;

const TABLE: &str = "bursar";
const SECRET: &str = "bursar/management-key";
const MANAGEMENT_KEY: &str = "sk-or-v1-00000000000000000000000000000000000000000000000000000000000bench";
const MORE: i64 = 1_500;

pub(crate) struct World {
    engine: Engine,
    provider: Provider,
    gate: Gate,
    hashes: Vec<String>,
    latency_ms: Arc<AtomicU64>,
    turn: usize,
    runs: AtomicU64,
    /// Where AWS and the provider are asked.
    origins: [String; 2],
    _folder: TempDir,
}

impl World {
    /// A world with this number of keys.
    pub(crate) async fn of(keys: usize) -> Result<World> {
        let (begun, folder, clock) = (Instant::now(), tempfile::tempdir()?, Clock::system());
        // A database in memory would be scanned in full with every write.
        let kept = StateFile::open(&folder.path().join("state.db"))?;
        let engine = Engine::start(&Place::Memory, TABLE)?;
        let provider = Provider::new(kept.clone(), clock.clone(), MANAGEMENT_KEY)?;
        let secrets = SecretsManager::new(kept)?;
        secrets.put(SECRET, MANAGEMENT_KEY)?;
        let deployment = DeploymentId::random();
        let meta = Meta { deployment: deployment.clone(), table: TABLE.to_owned(), born: clock.now(), account: None };
        let latency_ms = Arc::<AtomicU64>::default();
        let waits = latency_ms.clone();
        let late = middleware::from_fn(move |request: Request, next: Next| {
            let wait = Duration::from_millis(waits.load(Ordering::Relaxed));
            async move {
                tokio::time::sleep(wait).await;
                next.run(request).await
            }
        });
        let asked = provider.router().layer(late);
        let gate = Gate::default();
        let services = Services {
            table: engine.router(),
            mail: Router::new(),
            secrets: secrets.router(),
            secrets_of_others: secrets.router(),
            own: String::new(),
        };
        let origins =
            [clients::serve(gate.before(aws::router(services))).await, clients::serve(gate.before(asked)).await];
        engine.fill(vec![to_item(&meta)?]).await?;
        let hashes = seed::fill(&engine, &provider, &deployment, keys, clock.now()).await?;
        eprintln!("bench: a world of {keys} keys was made in {:.1} s", begun.elapsed().as_secs_f64());
        Ok(World {
            engine,
            provider,
            gate,
            hashes,
            latency_ms,
            turn: 0,
            runs: AtomicU64::new(1),
            origins,
            _folder: folder,
        })
    }

    /// Delays each answer of the provider by this.
    pub(crate) fn answer_after(&self, milliseconds: u64) {
        self.latency_ms.store(milliseconds, Ordering::Relaxed);
    }

    /// Increases the use of this percentage of keys, different ones each time; returns how many.
    pub(crate) fn spend(&mut self, per_cent: usize) -> Result<usize> {
        self.turn += 1;
        if per_cent == 0 {
            return Ok(0);
        }
        let one_in = (100 / per_cent.min(100)).max(1);
        let changed: Vec<&String> = self.hashes.iter().skip(self.turn % one_in).step_by(one_in).collect();
        for hash in &changed {
            self.provider.spend(hash, Nano::micros(MORE), Clock::system().now(), "a/model")?;
        }
        Ok(changed.len())
    }

    /// The calls of the last run that was counted, by their names.
    pub(crate) fn calls(&self) -> String {
        let calls = self.gate.calls();
        let last = calls.iter().map(|recorded| recorded.instance).max();
        let mut counted = BTreeMap::<String, usize>::new();
        for recorded in calls.iter().filter(|recorded| Some(recorded.instance) == last) {
            *counted.entry(recorded.name.to_string()).or_default() += 1;
        }
        counted.iter().map(|(name, times)| format!("{name} {times}")).collect::<Vec<_>>().join(", ")
    }

    /// One run of the sync in a process of its own. Where its calls are counted, it takes longer.
    pub(crate) async fn product(&self, is_counted: bool) -> Result<Sample> {
        let [aws, provider] = &self.origins;
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let urls = if is_counted {
            let of = |service: &str| format!("{aws}/bench/{}/{run}/{service}", FunctionName::UsageSync);
            let provider = format!("{provider}/{}/{run}/api/v1", FunctionName::UsageSync);
            [of("dynamodb"), provider, of("secretsmanager")]
        } else {
            [aws.clone(), format!("{provider}/api/v1"), aws.clone()]
        };
        let run = tokio::process::Command::new(std::env::current_exe()?)
            .arg("as-product")
            .env_clear()
            .envs([
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "local"),
                ("AWS_SECRET_ACCESS_KEY", "local"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
                ("AWS_CONFIG_FILE", "/dev/null"),
                ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
                ("AWS_ENDPOINT_URL_DYNAMODB", &urls[0]),
                ("OPENROUTER_BASE_URL", &urls[1]),
                ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &urls[2]),
                ("BURSAR_TABLE", TABLE),
                ("BURSAR_ORIGIN", "http://127.0.0.1:1"),
                ("BURSAR_MAIL_FROM", "bursar@example.edu"),
                ("BURSAR_ADMINS", "admin@example.edu"),
                ("BURSAR_MANAGEMENT_KEY_SECRET", SECRET),
                ("BURSAR_INSTITUTION", "Example University"),
            ])
            .stdin(Stdio::null())
            .output()
            .await?;
        let said = String::from_utf8_lossy(&run.stderr);
        ensure!(run.status.success(), "a sync failed: {said}{}", String::from_utf8_lossy(&run.stdout));
        // The records of the stream are discarded, since no function reads them here.
        self.engine.trim(self.engine.stream_end().await?).await?;
        serde_json::from_str(said.lines().last().unwrap_or_default()).with_context(|| format!("it said: {said}"))
    }
}
