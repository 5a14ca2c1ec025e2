//! Where a case runs: an engine with a fault layer, which cases share one after the other, each with a table of
//! its own. Many lanes run at once, since most of a case is the wait for the SDK's next retry.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    PutRequest, ScalarAttributeType, WriteRequest,
};
use axum::Router;
use axum::body::Bytes;
use bursar_core::aws::AwsAccess;
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::store::Table;
use bursar_core::store::items::{Item, Stored};
use bursar_local::engine::{Engine, Place};
use bursar_local::gate::{Gate, Instance, Keep, Recorded, Upstreams};
use bursar_local::invoke::FunctionName;
use bursar_local::template::{TableSchema, Template};
use bursar_tests::aws;
use bursar_tests::invariants::{REGION, RawTable, Watch};
use http::HeaderMap;
use http::header::HOST;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::act::{Act, Ended, TABLE};
use super::judge::Ran;
use super::world::World;

/// An engine with a fault layer before it.
pub(super) struct Lane {
    pub(super) gate: Gate,
    raw: Client,
    http: SharedHttpClient,
    schema: TableSchema,
    /// The lane's own engine; absent if the engine under test is an external one.
    _engine: Option<Engine>,
}

/// A table in a lane, read after each step.
pub(super) struct Case<'l> {
    pub(super) lane: &'l Lane,
    raw: RawTable,
    watch: Watch,
    now: Arc<Mutex<Timestamp>>,
    /// The table as last seen.
    pub(super) world: World,
}

/// One instance of a function, whose calls the fault layer knows from all others.
pub(super) struct Actor {
    instance: Instance,
    table: Table,
}

/// Runs each case in one of `lanes` lanes, and ends the test with the failures of all.
pub(super) async fn each<T, C, F>(lanes: usize, cases: C, run: impl Fn(Arc<Lane>, T) -> F + Clone + Send + 'static)
where
    T: Send + 'static,
    C: IntoIterator<Item = T, IntoIter: Send + 'static>,
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let queue = Arc::new(Mutex::new(cases.into_iter()));
    let mut running = JoinSet::new();
    for _ in 0..lanes {
        // No lane is opened without a case for it.
        let Some(first) = queue.lock().unwrap().next() else { break };
        let (queue, run) = (queue.clone(), run.clone());
        running.spawn(async move {
            let lane = Arc::new(Lane::open().await);
            let (mut next, mut ended) = (Some(first), Vec::new());
            while let Some(case) = next {
                ended.push(run(lane.clone(), case).await);
                next = queue.lock().unwrap().next();
            }
            ended
        });
    }
    let ended = running.join_all().await.concat();
    let wrong: Vec<&String> = ended.iter().filter_map(|ended| ended.as_ref().err()).collect();
    let shown: Vec<&str> = wrong.iter().take(5).map(|why| why.as_str()).collect();
    assert!(wrong.is_empty(), "{} of {} cases went wrong:\n{}", wrong.len(), ended.len(), shown.join("\n"));
}

/// The calls of an engine elsewhere.
fn passing_on_to(endpoint: &str) -> Router {
    let (client, endpoint) = (aws::http(), endpoint.to_owned());
    Router::new().fallback(async move |mut headers: HeaderMap, body: Bytes| {
        headers.remove(HOST);
        let answer = client.post(&endpoint).headers(headers).body(body).send().await.unwrap();
        (answer.status(), answer.headers().clone(), answer.bytes().await.unwrap())
    })
}

impl Lane {
    pub(super) async fn open() -> Lane {
        let engine = Engine::start(&Place::Memory, TABLE, &Template::bundled().unwrap().table).unwrap();
        let (raw, router) = (aws::serve(engine.router().unwrap()).await, engine.router().unwrap());
        Lane::before(&raw, router, Some(engine)).await
    }

    /// A lane to the engine under test: the embedded one, or the one that `cargo xtask long second-engine` starts.
    pub(super) async fn under_test() -> Lane {
        match std::env::var("BURSAR_TEST_DYNAMODB") {
            Ok(endpoint) => Lane::before(&endpoint, passing_on_to(&endpoint), None).await,
            Err(_) => Lane::open().await,
        }
    }

    async fn before(origin: &str, dynamodb: Router, engine: Option<Engine>) -> Lane {
        let to = Upstreams { dynamodb, ses: Router::new(), secretsmanager: Router::new(), provider: None };
        Lane {
            gate: Gate::open(to, Keep::Last(200), Clock::system()).await.unwrap(),
            raw: RawTable::at(origin, TABLE).client().clone(),
            http: aws_smithy_http_client::Builder::new().build_http(),
            schema: Template::bundled().unwrap().table.clone(),
            _engine: engine,
        }
    }

    /// A new table with the items of this world.
    pub(super) async fn case(&self, (world, now): &(World, Timestamp)) -> Case<'_> {
        // An engine may outlive a test process, so the name contains the process id.
        let name = format!("bursar-{}-case-{}", std::process::id(), next());
        create(&self.raw, &name, &self.schema).await;
        let raw = RawTable::of(self.raw.clone(), &name);
        let (items, now) = (world.items(), Arc::new(Mutex::new(*now)));
        fill(&raw, &items).await;
        let clock = now.clone();
        let watch = Watch::over(raw.clone(), Clock::reading(move || *clock.lock().unwrap())).having_written(&items);
        Case { lane: self, raw, watch, now, world: world.clone() }
    }
}

impl Case<'_> {
    /// A new instance of a function.
    pub(super) fn actor(&self) -> Actor {
        let instance = self.lane.gate.instance(FunctionName::Claim);
        // A second engine keeps tables by region, so the region is always the same.
        let aws = AwsAccess::under(&instance.base(), REGION, self.lane.http.clone());
        let variable = |name: &str| {
            let value = match name {
                "BURSAR_TABLE" => self.raw.name(),
                "BURSAR_ORIGIN" => "https://bursar.uni.edu",
                "BURSAR_MAIL_FROM" | "BURSAR_ADMINS" => "bursar@uni.edu",
                "BURSAR_MANAGEMENT_KEY_SECRET" => "management-key",
                "BURSAR_INSTITUTION" => "University of Example",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let config = Config::read(variable, aws).unwrap();
        Actor { instance, table: Table::new(&config) }
    }

    /// Puts an item past the fault layer.
    pub(super) async fn keep<T: Stored>(&self, value: &T) {
        self.raw.keep(value).await.unwrap();
    }

    pub(super) fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    pub(super) fn set_now(&self, now: Timestamp) {
        *self.now.lock().unwrap() = now;
    }

    /// The table as it is now. Every invariant must hold.
    pub(super) async fn look(&mut self) -> Result<World, String> {
        let violations = self.watch.violations(false).await.map_err(|error| format!("{error:#}"))?;
        let mut world = World::of(self.watch.seen().unwrap());
        if let Some(meta) = world.meta.as_mut().filter(|meta| meta.table == self.raw.name()) {
            TABLE.clone_into(&mut meta.table);
        }
        self.world = world.clone();
        if violations.is_empty() {
            return Ok(world);
        }
        let violations: Vec<String> = violations.iter().map(|violation| format!("    {violation}")).collect();
        Err(world.plainly(&violations.join("\n")))
    }

    /// Runs an act, reads the table, and judges the outcome.
    pub(super) async fn step(
        &mut self,
        actor: &mut Actor,
        act: &Act,
        deadline: Deadline,
        faulted: bool,
    ) -> Result<Ended, String> {
        let (before, now) = (self.world.clone(), self.now());
        let ended = actor.run(act, now, deadline).await;
        let after = self.look().await?;
        let calls = actor.calls(self.lane);
        Ran { act, now, ended: &ended, calls: &calls, faulted }.judge(&before, &after, &[&before])?;
        Ok(ended)
    }
}

impl Actor {
    /// The store, for calls that are no acts.
    pub(super) fn store(&self) -> &Table {
        &self.table
    }

    pub(super) fn number(&self) -> u32 {
        self.instance.number()
    }

    pub(super) async fn run(&mut self, act: &Act, now: Timestamp, deadline: Deadline) -> Ended {
        // In a debug build the SDK's futures are too large for a test's stack.
        let work = Box::pin(act.run(&self.table, now, deadline));
        self.instance.run(work).await.unwrap_or(Ended::Killed)
    }

    /// Whether it closed a connection without an answer, as on a machine that is too slow.
    pub(super) fn hung_up(&self, lane: &Lane) -> bool {
        self.calls(lane).iter().any(|recorded| recorded.verdict.is_none())
    }

    /// Its calls so far, as far as the lane still has them.
    pub(super) fn calls(&self, lane: &Lane) -> Vec<Recorded> {
        let of_it = |recorded: &Recorded| recorded.call.instance == self.number();
        lane.gate.calls().into_iter().filter(of_it).collect()
    }
}

/// A deadline as long as a function has.
pub(super) fn plenty() -> Deadline {
    Deadline::after(Duration::from_secs(28))
}

/// A deadline so short that nothing is retried once the SDK has given up.
pub(super) fn little() -> Deadline {
    Deadline::after(Duration::from_secs(8))
}

/// A number that is unique in this process.
fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn fill(table: &RawTable, items: &[Item]) {
    for some in items.chunks(25) {
        let puts = some.iter().map(|item| {
            let put = PutRequest::builder().set_item(Some(item.clone())).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        let batch = table.client().batch_write_item().request_items(table.name(), puts.collect());
        batch.send().await.unwrap();
    }
}

/// Creates the template's table under another name.
async fn create(client: &Client, name: &str, schema: &TableSchema) {
    let part = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let keys = |keys: &bursar_local::template::Keys| {
        let range = keys.range.iter().map(|range| part(range, KeyType::Range));
        std::iter::once(part(&keys.hash, KeyType::Hash)).chain(range).collect::<Vec<_>>()
    };
    let attributes = schema.attributes.iter().map(|(name, kind)| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute.attribute_type(ScalarAttributeType::from(kind.as_str())).build().unwrap()
    });
    let indexes = schema.indexes.iter().map(|(name, index)| {
        let kind = ProjectionType::from(index.projection.as_str());
        let projection = Projection::builder().projection_type(kind).build();
        let index = GlobalSecondaryIndex::builder().index_name(name).set_key_schema(Some(keys(&index.keys)));
        index.projection(projection).build().unwrap()
    });
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes.collect()))
        .set_key_schema(Some(keys(&schema.keys)))
        .set_global_secondary_indexes(Some(indexes.collect()))
        .send()
        .await
        .unwrap();
}
