//! The table on one machine: the embedded engine, on a file or in memory, called in this process. It creates
//! the table and refuses a different one. Delivering the stream is left to the pump.

mod fill;
mod side_connection;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail, ensure};
use axum::Router;
use dynoxide::actions::{
    create_table::CreateTableRequest, describe_table::DescribeTableRequest,
    describe_time_to_live::DescribeTimeToLiveRequest, get_records::GetRecordsRequest,
    get_shard_iterator::GetShardIteratorRequest, update_time_to_live::UpdateTimeToLiveRequest,
};
use dynoxide::{Database, DynoxideError, streams};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use self::side_connection::SideConnection;
use crate::aws::wiring::{TTL, create_table};

/// The storage of the table.
#[derive(Debug, Clone)]
pub enum Place {
    Memory,
    File(PathBuf),
}

/// A running engine with its table. Clones share it.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    table: String,
    stream: String,
    database: Mutex<Option<Database>>,
    beside: SideConnection,
    changes: watch::Sender<()>,
}

/// A position in the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(i64);

impl Position {
    /// The position before the first record.
    pub const START: Position = Position(0);
    /// The number that the engine adds to its sequence numbers, so that they are as long as DynamoDB's.
    const ADDED: i128 = 100_000_000_000_000_000_000;

    /// The position behind a record's sequence number.
    pub fn of(sequence_number: &str) -> Option<Position> {
        let stored = sequence_number.parse::<i128>().ok()?.checked_sub(Position::ADDED)?;
        i64::try_from(stored).ok().map(Position)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Position::ADDED + i128::from(self.0))
    }
}

impl Engine {
    /// Opens or creates the table. This blocks.
    pub fn start(place: &Place, table: &str) -> Result<Engine> {
        let (name, database) = match place {
            Place::File(path) => {
                let name = path
                    .to_str()
                    .context("the path of the data folder is not in UTF-8: name another one with --data")?;
                (name.to_owned(), open_file(path, table)?)
            }
            Place::Memory => {
                let name = name_in_memory();
                let database = Database::new(&name)?;
                create(&database, &create_table(table), TTL)?;
                (name, database)
            }
        };
        let stream = check_schema(&database, table).with_context(|| match place {
            Place::File(path) => format!(
                "{} was made by another version of Bursar: name another folder with --data, or go back to that version",
                path.display()
            ),
            Place::Memory => "the engine did not make the table as asked".to_owned(),
        })?;
        Ok(Engine(Arc::new(Inner {
            table: table.to_owned(),
            stream,
            beside: SideConnection::open(&name)?,
            database: Mutex::new(Some(database)),
            changes: watch::channel(()).0,
        })))
    }

    /// The table's calls over HTTP.
    pub fn router(&self) -> Router {
        wire::router(self.clone())
    }

    fn database(&self) -> Result<Database> {
        lock(&self.0.database).clone().context("the engine was stopped")
    }

    fn written(&self) {
        self.0.changes.send_replace(());
    }

    /// A receiver that is notified of every write, by any client.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// The records after `position`, oldest first, in the shape that Lambda delivers, without the event
    /// source.
    pub async fn records_after(&self, position: Position, limit: usize) -> Result<Vec<Value>> {
        self.run(move |engine, database| {
            let from_start = position == Position::START;
            let iterator = database.get_shard_iterator(GetShardIteratorRequest {
                stream_arn: streams::stream_arn(&engine.table, &engine.stream),
                shard_id: streams::shard_id(&engine.table),
                shard_iterator_type: if from_start { "TRIM_HORIZON" } else { "AFTER_SEQUENCE_NUMBER" }.to_owned(),
                sequence_number: (!from_start).then(|| position.to_string()),
            })?;
            let records = database.get_records(GetRecordsRequest {
                shard_iterator: iterator.shard_iterator.context("the engine gave no iterator")?,
                limit: Some(limit),
            })?;
            records.records.iter().map(|record| Ok(serde_json::to_value(record)?)).collect()
        })
        .await
    }

    /// The position of the newest record.
    pub async fn stream_end(&self) -> Result<Position> {
        self.run(|engine, _| engine.beside.stream_end(&engine.table).map(Position)).await
    }

    /// Deletes the records before `position`, which every reader has passed.
    pub async fn trim(&self, position: Position) -> Result<usize> {
        self.run(move |engine, _| engine.beside.trim(&engine.table, position.0)).await
    }

    /// Deletes items that have expired by real time, and returns their number. While the product's clock is
    /// behind real time nothing is deleted, since by that clock they have not expired.
    pub async fn sweep(&self, now: Timestamp) -> Result<usize> {
        if now + SignedDuration::from_secs(1) < Timestamp::now() {
            return Ok(0);
        }
        self.run(|engine, database| {
            let swept = database.sweep_ttl()?;
            if swept > 0 {
                engine.changes.send_replace(());
            }
            Ok(swept)
        })
        .await
    }

    /// Closes the database.
    pub async fn stop(&self) -> Result<()> {
        let engine = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || {
            engine.beside.close();
            lock(&engine.database).take();
        })
        .await?;
        Ok(())
    }

    /// Runs a blocking call to the engine off the caller's thread.
    async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Inner, &Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = self.clone();
        tokio::task::spawn_blocking(move || {
            let database = engine.database()?;
            task(&engine.0, &database)
        })
        .await?
    }
}

fn open_file(path: &Path, table: &str) -> Result<Database> {
    if !path.exists() {
        make_file(path, table)?;
    }
    let unusable = |why: &dyn fmt::Display| {
        anyhow!(
            "{} is damaged or is no database of Bursar ({why}): put a good copy in its place, or name another folder \
             with --data; nothing in it was changed",
            path.display()
        )
    };
    side_connection::check(path).map_err(|error| unusable(&error))?;
    let database = Database::new(&path.to_string_lossy()).map_err(|error| unusable(&error))?;
    database.disable_bulk_loading()?;
    Ok(database)
}

/// Creates the database aside and moves it into place when it is complete, since the engine creates
/// a table in several steps.
fn make_file(path: &Path, table: &str) -> Result<()> {
    let log = PathBuf::from(format!("{}-wal", path.display()));
    ensure!(
        fs::metadata(&log).map_or(0, |log| log.len()) == 0,
        "{} is missing but its log {} is there: put it back, or name another folder with --data",
        path.display(),
        log.display()
    );
    let make = || {
        let aside = tempfile::tempdir_in(path.parent().unwrap_or(Path::new(".")))?;
        let unfinished = aside.path().join("table.db");
        let database = Database::new(&unfinished.to_string_lossy())?;
        create(&database, &create_table(table), TTL)?;
        drop(database);
        fs::File::open(&unfinished)?.sync_all()?;
        anyhow::Ok(fs::rename(&unfinished, path)?)
    };
    make().with_context(|| format!("cannot make {}", path.display()))
}

/// A name under which only this process can open one in-memory database several times.
fn name_in_memory() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("file:/bursar-{}?vfs=memdb", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn create(database: &Database, request: &Value, ttl: &str) -> Result<()> {
    database.create_table(CreateTableRequest::deserialize(request)?)?;
    let time_to_live = json!({
        "TableName": request["TableName"],
        "TimeToLiveSpecification": {"AttributeName": ttl, "Enabled": true},
    });
    database.update_time_to_live(UpdateTimeToLiveRequest::deserialize(time_to_live)?)?;
    Ok(())
}

/// Compares the table with the one that is made today, and returns its stream's label.
fn check_schema(database: &Database, table: &str) -> Result<String> {
    let asked = DescribeTableRequest { table_name: table.to_owned() };
    let description = match database.describe_table(asked) {
        Ok(answer) => answer.table,
        Err(DynoxideError::ResourceNotFoundException(_)) => bail!("it holds no table {table}"),
        Err(error) => return Err(error.into()),
    };
    let time_to_live = database.describe_time_to_live(DescribeTimeToLiveRequest { table_name: table.to_owned() })?;
    let (found, wanted) = (serde_json::to_value(&description)?, create_table(table));
    let attributes = |of: &Value| {
        let list = of["AttributeDefinitions"].as_array().into_iter().flatten();
        list.map(|attribute| format!("{} {}", attribute["AttributeName"], attribute["AttributeType"]))
            .collect::<BTreeSet<_>>()
    };
    let indexes = |of: &Value| {
        let list = of["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        list.map(|index| json!([index["IndexName"], index["KeySchema"], index["Projection"]])).collect::<Value>()
    };
    let parts = [
        ("attributes", attributes(&found) == attributes(&wanted)),
        ("keys", found["KeySchema"] == wanted["KeySchema"]),
        ("indexes", indexes(&found) == indexes(&wanted)),
        ("time to live", time_to_live.time_to_live_description.attribute_name.as_deref() == Some(TTL)),
        ("stream", found["StreamSpecification"] == wanted["StreamSpecification"]),
    ];
    if let Some((part, _)) = parts.iter().find(|(_, same)| !same) {
        bail!("the table {table} in it has other {part}");
    }
    description.latest_stream_label.context("its stream has no label")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
