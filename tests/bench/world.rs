//! The stand-ins: engine, provider and secrets, seeded with an account of a given number of keys.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use bursar_core::clock::{Clock, Moment};
use bursar_core::domain::sign_in::{Session, SignIn, SignInMethod};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{DeploymentId, PersonId};
use bursar_core::domain::values::token::SessionToken;
use bursar_core::store::items::to_item;
use bursar_core::store::{Meta, SHAPE};
use bursar_local::aws::{self, Services};
use bursar_local::base::lock;
use bursar_local::engine::{Engine, Lasts, Place};
use bursar_local::invoke::{Between, FunctionName};
use bursar_local::provider::{Nano, Provider};
use bursar_local::secrets_manager::SecretsManager;
use bursar_local::state_file::StateFile;
use bursar_tests::aws as clients;
use bursar_tests::faults::Gate;
use bursar_tests::stack::ADMIN;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Sample;
use crate::seed::{self, SeededKey};

const TABLE: &str = "bursar";
const SECRET: &str = "bursar/management-key";
const MANAGEMENT_KEY: &str =
    "sk-or-v1-00000000000000000000000000000000000000000000000000000000000bench";
const MORE: i64 = 1_500;
/// What measured processes are started by, a word a line: it holds them to a share of a processor.
const UNDER: &str = "BURSAR_BENCH_UNDER";

pub(crate) struct World {
    engine: Engine,
    provider: Provider,
    gate: Gate,
    units: Units,
    pub(crate) keys: Vec<SeededKey>,
    /// The cookie of an admin's session, and what its forms carry.
    pub(crate) cookie: String,
    pub(crate) csrf: String,
    pace: Arc<Pace>,
    in_flight: Arc<InFlight>,
    turn: usize,
    runs: AtomicU64,
    /// Where AWS and the provider are asked.
    origins: [String; 2],
    _folder: TempDir,
}

/// How the provider answers: after so long, and so long apart.
#[derive(Default)]
struct Pace {
    latency_ms: AtomicU64,
    apart_ms: AtomicU64,
    turn: tokio::sync::Mutex<()>,
}

impl Pace {
    async fn wait(&self) {
        let pause =
            |of: &AtomicU64| tokio::time::sleep(Duration::from_millis(of.load(Ordering::Relaxed)));
        if self.apart_ms.load(Ordering::Relaxed) > 0 {
            let _turn = self.turn.lock().await;
            pause(&self.apart_ms).await;
        }
        pause(&self.latency_ms).await;
    }
}

/// The items of transactions in flight, and how long each is.
#[derive(Default)]
struct InFlight {
    lasts_ms: AtomicU64,
    items: Mutex<HashSet<String>>,
}

/// What the calls so far consumed, while that is counted.
type Units = Arc<Mutex<Option<Consumed>>>;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Consumed {
    pub(crate) read_units: f64,
    pub(crate) write_units: f64,
}

impl World {
    /// A world with this number of keys, in programmes of so many.
    pub(crate) async fn of(keys: usize, each: usize) -> Result<World> {
        let (begun, folder, clock) = (Instant::now(), tempfile::tempdir()?, Clock::system());
        // A database in memory would be scanned in full with every write.
        let kept = StateFile::open(&folder.path().join("state.db"))?;
        // In memory there is room for a gigabyte.
        let place = if keys > 100_000 {
            Place::File(folder.path().join("table.db"), Lasts::Killed)
        } else {
            Place::Memory
        };
        let engine = Engine::start(&place, TABLE)?;
        let provider = Provider::new(kept.clone(), clock.clone(), MANAGEMENT_KEY)?;
        let secrets = SecretsManager::new(kept)?;
        secrets.put(SECRET, MANAGEMENT_KEY)?;
        let deployment = DeploymentId::random();
        let meta = Meta {
            shape: SHAPE,
            deployment: deployment.clone(),
            table: TABLE.to_owned(),
            born: clock.now(),
            account: None,
        };
        let pace = Arc::<Pace>::default();
        let waits = pace.clone();
        let late = middleware::from_fn(move |request: Request, next: Next| {
            let waits = waits.clone();
            async move {
                waits.wait().await;
                next.run(request).await
            }
        });
        let asked = provider.router().layer(late);
        let (gate, units, in_flight) = (
            Gate::default(),
            Units::default(),
            Arc::<InFlight>::default(),
        );
        let services = Services {
            table: engine
                .router()
                .layer(middleware::from_fn_with_state(units.clone(), weighed))
                .layer(middleware::from_fn_with_state(
                    in_flight.clone(),
                    refused_where_they_meet,
                )),
            mail: Router::new(),
            secrets: secrets.router(),
            secrets_of_others: secrets.router(),
            own_path: String::new(),
        };
        let origins = [
            clients::serve(gate.before(aws::router(services))).await,
            clients::serve(gate.before(asked)).await,
        ];
        let (token, admin) = (SessionToken::generate(), EmailAddress::parse(ADMIN)?);
        let sign_in = SignIn::none(admin.matched().clone()).record_vouching(clock.now());
        let person = Some(PersonId::random());
        let session = Session::new(
            token.hash(),
            &sign_in,
            SignInMethod::Link,
            person,
            clock.now(),
        );
        engine
            .fill(vec![
                to_item(&meta)?,
                to_item(&sign_in)?,
                to_item(&session)?,
            ])
            .await?;
        let keys_made =
            seed::fill(&engine, &provider, &deployment, (keys, each), clock.now()).await?;
        eprintln!(
            "bench: a world of {keys} keys was made in {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        Ok(World {
            engine,
            provider,
            gate,
            units,
            keys: keys_made,
            cookie: format!("bursar={}", token.reveal()),
            csrf: token.csrf().reveal().to_owned(),
            pace,
            in_flight,
            turn: 0,
            runs: AtomicU64::new(1),
            origins,
            _folder: folder,
        })
    }

    /// Delays each answer of the provider by this.
    pub(crate) fn answer_after(&self, milliseconds: u64) {
        self.pace.latency_ms.store(milliseconds, Ordering::Relaxed);
    }

    /// Has the provider give each answer so long after the one before.
    pub(crate) fn answer_apart(&self, apart: Duration) {
        self.pace.apart_ms.store(
            u64::try_from(apart.as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    /// Has each transaction be in flight for this, in which another at one of its items is refused.
    pub(crate) fn hold_transactions(&self, milliseconds: u64) {
        self.in_flight
            .lasts_ms
            .store(milliseconds, Ordering::Relaxed);
    }

    /// Puts so many signed-in students on the roster of a new programme; returns the file of their
    /// cookies and tokens.
    pub(crate) async fn invite(
        &self,
        programme: &str,
        count: usize,
        now: Moment,
    ) -> Result<PathBuf> {
        let (mut items, mut lines) = (seed::programme(programme, count, now)?, String::new());
        for number in 0..count {
            let token = SessionToken::generate();
            let sign_in = SignIn::none(seed::invited(&mut items, programme, number, now)?)
                .record_vouching(now);
            items.push(to_item(&Session::new(
                token.hash(),
                &sign_in,
                SignInMethod::Link,
                None,
                now,
            ))?);
            items.push(to_item(&sign_in)?);
            lines += &format!("bursar={} {}\n", token.reveal(), token.csrf().reveal());
        }
        self.engine.fill(items).await?;
        let file = self._folder.path().join("students");
        std::fs::write(&file, lines)?;
        Ok(file)
    }

    /// Increases the use of this percentage of keys, different ones each time; returns how many.
    pub(crate) fn spend(&mut self, per_cent: usize) -> Result<usize> {
        self.turn += 1;
        if per_cent == 0 {
            return Ok(0);
        }
        let one_in = (100 / per_cent.min(100)).max(1);
        let changed: Vec<&SeededKey> = self
            .keys
            .iter()
            .skip(self.turn % one_in)
            .step_by(one_in)
            .collect();
        for key in &changed {
            self.provider.spend(
                &key.hash,
                Nano::micros(MORE),
                Clock::system().now(),
                "a/model",
            )?;
        }
        Ok(changed.len())
    }

    /// The calls of the last run that was counted, by their names.
    pub(crate) fn calls(&self) -> String {
        let calls = self.gate.calls();
        let last = calls.iter().map(|recorded| recorded.instance).max();
        let mut counted = BTreeMap::<String, usize>::new();
        for recorded in calls
            .iter()
            .filter(|recorded| Some(recorded.instance) == last)
        {
            *counted.entry(recorded.name.to_string()).or_default() += 1;
        }
        counted
            .iter()
            .map(|(name, times)| format!("{name} {times}"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// What the last run consumed, where that was counted.
    pub(crate) fn consumed(&self) -> Consumed {
        lock(&self.units).unwrap_or_default()
    }

    /// One run of the sync in a process of its own. Where its calls are counted, it takes longer.
    pub(crate) async fn product(&self, is_counted: bool) -> Result<Sample> {
        self.as_product(FunctionName::UsageSync, &[], is_counted)
            .await
    }

    /// What a function in a process of its own says of its runs, which these words are for.
    pub(crate) async fn as_product<T: DeserializeOwned>(
        &self,
        function: FunctionName,
        words: &[&str],
        is_counted: bool,
    ) -> Result<T> {
        let [aws, provider] = &self.origins;
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        *lock(&self.units) = is_counted.then(Consumed::default);
        let urls = if is_counted {
            let of = |service: &str| format!("{aws}/bench/{function}/{run}/{service}");
            let provider = format!("{provider}/{function}/{run}/api/v1");
            [of("dynamodb"), provider, of("secretsmanager")]
        } else {
            [aws.clone(), format!("{provider}/api/v1"), aws.clone()]
        };
        let run = tokio::process::Command::new("/usr/bin/env")
            .args(std::env::var(UNDER).unwrap_or_default().lines())
            .arg(std::env::current_exe()?)
            .args(["as-product", function.as_str()])
            .args(words)
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
                ("BURSAR_ADMINS", ADMIN),
                ("BURSAR_MANAGEMENT_KEY_SECRET", SECRET),
                ("BURSAR_INSTITUTION", "Example University"),
            ])
            .stdin(Stdio::null())
            .output()
            .await?;
        let said = String::from_utf8_lossy(&run.stderr);
        ensure!(
            run.status.success(),
            "a run failed: {said}{}",
            String::from_utf8_lossy(&run.stdout)
        );
        // The records of the stream are discarded, since no function reads them here.
        self.engine.trim(self.engine.stream_end().await?).await?;
        serde_json::from_str(said.lines().last().unwrap_or_default())
            .with_context(|| format!("it said: {said}"))
    }
}

/// Has the table say what a call consumes, where that is counted.
async fn weighed(State(units): State<Units>, request: Request, next: Next) -> Response {
    if lock(&units).is_none() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let call = parts
        .headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .unwrap_or_default();
    let writes = ["Write", "Put", "Update", "Delete"]
        .iter()
        .any(|word| call.contains(word));
    let mut asked: Value =
        serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap_or_default())
            .unwrap_or_default();
    asked["ReturnConsumedCapacity"] = json!("TOTAL");
    let answer = next
        .run(Request::from_parts(parts, Body::from(asked.to_string())))
        .await;
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let consumed = &said["ConsumedCapacity"];
    let each = consumed
        .as_array()
        .map_or(std::slice::from_ref(consumed), Vec::as_slice);
    let consumed: f64 = each
        .iter()
        .filter_map(|table| table["CapacityUnits"].as_f64())
        .sum();
    if let Some(units) = &mut *lock(&units) {
        *(if writes {
            &mut units.write_units
        } else {
            &mut units.read_units
        }) += consumed;
    }
    Response::from_parts(parts, Body::from(body))
}

/// Refuses transactions that meet in flight at an item, as DynamoDB does.
async fn refused_where_they_meet(
    State(in_flight): State<Arc<InFlight>>,
    request: Request,
    next: Next,
) -> Response {
    let lasts = Duration::from_millis(in_flight.lasts_ms.load(Ordering::Relaxed));
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let again = Request::from_parts(parts, Body::from(body));
    let Some(writes) = asked["TransactItems"]
        .as_array()
        .filter(|_| !lasts.is_zero())
    else {
        return next.run(again).await;
    };
    let item = |write: &Value| {
        let of = write
            .as_object()
            .and_then(|write| write.values().next())
            .map(|of| [&of["Key"], &of["Item"]]);
        let key = of
            .and_then(|of| of.into_iter().find(|key| key.is_object()))
            .unwrap_or(&Value::Null);
        format!("{} {}", key["pk"], key["sk"])
    };
    let items: Vec<String> = writes.iter().map(item).collect();
    {
        let mut held = lock(&in_flight.items);
        if items.iter().any(|item| held.contains(item)) {
            let reasons: Vec<Value> = items
                .iter()
                .map(|item| json!({"Code": if held.contains(item) { "TransactionConflict" } else { "None" }}))
                .collect();
            let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
            let said = json!({"__type": kind, "Message": "Transaction cancelled", "CancellationReasons": reasons});
            let refused = Response::builder()
                .status(400)
                .header("content-type", "application/x-amz-json-1.0");
            return refused
                .body(Body::from(said.to_string()))
                .unwrap_or_default();
        }
        held.extend(items.iter().cloned());
    }
    tokio::time::sleep(lasts).await;
    let answer = next.run(again).await;
    lock(&in_flight.items).retain(|item| !items.contains(item));
    answer
}
