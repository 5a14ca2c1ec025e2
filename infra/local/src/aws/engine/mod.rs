//! The table on one machine: the embedded engine, on a file or in memory, called in this process.
//! It creates the table and refuses a different one. Delivering the stream is left to the pump.

mod fill;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use bursar_core::schema::ItemKey;
use bursar_core::store::Meta;
use dynoxide::actions::{
    create_table::CreateTableRequest, describe_table::DescribeTableRequest,
    describe_time_to_live::DescribeTimeToLiveRequest, get_records::GetRecordsRequest,
    get_shard_iterator::GetShardIteratorRequest, update_item::UpdateItemRequest,
    update_time_to_live::UpdateTimeToLiveRequest,
};
use dynoxide::{Database, streams};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::aws::wiring::{TTL, create_table};
use crate::base::lock;

/// The storage of the table.
#[derive(Debug, Clone)]
pub enum Place {
    Memory,
    File(PathBuf, Lasts),
}

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// A kill of the process.
    Killed,
    /// A power cut too.
    PowerCut,
}

/// A running engine with its table. Clones share it.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    table: String,
    /// The label of its stream.
    stream: String,
    /// `None` once the engine was stopped.
    open: Mutex<Option<Open>>,
    changes: watch::Sender<()>,
}

#[derive(Clone)]
struct Open {
    database: Database,
    /// A second connection to the same database, for what the engine cannot be asked of the stream.
    /// It never touches an item, and each side waits for the other: every write transaction of the
    /// engine begins IMMEDIATE, and it caches no stream records.
    beside: Arc<Mutex<Connection>>,
}

/// The time that the engine itself waits for a lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// A position in the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(i64);

impl Position {
    /// The position before the first record.
    pub const START: Position = Position(0);
    /// The number that the engine adds to its sequence numbers, so that they are as long as
    /// DynamoDB's.
    const ADDED: i128 = 100_000_000_000_000_000_000;

    /// The position behind a record's sequence number.
    pub fn parse(sequence_number: &str) -> Option<Position> {
        let stored = sequence_number
            .parse::<i128>()
            .ok()?
            .checked_sub(Position::ADDED)?;
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
            Place::File(path, lasts) => {
                let name = path
                    .to_str()
                    .context("the path of the data folder is not in UTF-8: name another one")?;
                (name.to_owned(), open_file(path, table, *lasts)?)
            }
            Place::Memory => {
                // Only this process can open a database of such a name, and it can do so several
                // times.
                static NEXT: AtomicU64 = AtomicU64::new(0);
                let name = format!(
                    "file:/bursar-{}?vfs=memdb",
                    NEXT.fetch_add(1, Ordering::Relaxed)
                );
                let database = Database::new(&name)?;
                create(&database, &create_table(table), TTL)?;
                (name, database)
            }
        };
        let stream = check_schema(&database, table).with_context(|| {
            format!(
                "{name} was made by another version of Bursar: name another data folder, or go back to that version"
            )
        })?;
        let beside = Connection::open(&name)?;
        beside.busy_timeout(PATIENCE)?;
        beside.pragma_update(None, "synchronous", "normal")?;
        // The engine looks up the last sequence number at each write, and keeps no index for it.
        beside.execute_batch(
            "CREATE INDEX IF NOT EXISTS bursar_stream_order
             ON _stream_records (table_name, CAST(sequence_number AS INTEGER))",
        )?;
        let open = Open {
            database,
            beside: Arc::new(Mutex::new(beside)),
        };
        let table = table.to_owned();
        let changes = watch::channel(()).0;
        Ok(Engine(Arc::new(Inner {
            table,
            stream,
            open: Mutex::new(Some(open)),
            changes,
        })))
    }

    /// The table's calls over HTTP.
    pub fn router(&self) -> Router {
        wire::router(self.clone())
    }

    /// A receiver that is notified of every write, by any client.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// The records after `position`, oldest first, in the shape that Lambda delivers, without the
    /// event source.
    pub async fn records_after(&self, position: Position, limit: usize) -> Result<Vec<Value>> {
        self.run(move |engine, Open { database, .. }| {
            let from_start = position == Position::START;
            let iterator = database.get_shard_iterator(GetShardIteratorRequest {
                stream_arn: streams::stream_arn(&engine.table, &engine.stream),
                shard_id: streams::shard_id(&engine.table),
                shard_iterator_type: if from_start {
                    "TRIM_HORIZON"
                } else {
                    "AFTER_SEQUENCE_NUMBER"
                }
                .to_owned(),
                sequence_number: (!from_start).then(|| position.to_string()),
            })?;
            let records = database.get_records(GetRecordsRequest {
                shard_iterator: iterator
                    .shard_iterator
                    .context("the engine gave no iterator")?,
                limit: Some(limit),
            })?;
            records
                .records
                .iter()
                .map(|record| Ok(serde_json::to_value(record)?))
                .collect()
        })
        .await
    }

    /// The position of the newest record, the start if there never was one.
    pub async fn stream_end(&self) -> Result<Position> {
        const END: &str = "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) FROM _stream_records WHERE table_name = ?";
        self.run(|engine, open| {
            let beside = lock(&open.beside);
            Ok(Position(
                beside
                    .prepare_cached(END)?
                    .query_row([&engine.table], |row| row.get(0))?,
            ))
        })
        .await
    }

    /// Deletes the records before `position`, which every reader has passed. The one at it stays,
    /// since the engine numbers the next record after the last one, but says nothing any more.
    pub async fn trim(&self, position: Position) -> Result<usize> {
        const TRIM: &str = "DELETE FROM _stream_records WHERE table_name = ? AND CAST(sequence_number AS INTEGER) < ?";
        const EMPTY: &str =
            "UPDATE _stream_records SET keys_json = '{}', new_image = NULL, old_image = NULL
             WHERE table_name = ? AND CAST(sequence_number AS INTEGER) = ? AND keys_json <> '{}'";
        self.run(move |engine, open| {
            let beside = lock(&open.beside);
            beside
                .prepare_cached(EMPTY)?
                .execute(params![engine.table, position.0])?;
            Ok(beside
                .prepare_cached(TRIM)?
                .execute(params![engine.table, position.0])?)
        })
        .await
    }

    /// Deletes the items that have expired.
    pub async fn sweep(&self) -> Result<usize> {
        self.run(|_, open| Ok(open.database.sweep_ttl()?)).await
    }

    /// Writes the database anew without what was deleted, of which SQLite's own overwriting leaves
    /// copies in half-filled pages, and empties the write-ahead log. Calls wait meanwhile.
    pub async fn rewrite(&self) -> Result<()> {
        self.run(|_, open| {
            open.database.vacuum()?;
            Ok(lock(&open.beside).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
        })
        .await
    }

    /// Makes the table a copy: its deployment's item names another, and its stream begins anew.
    pub async fn become_copy(&self, original: &str) -> Result<()> {
        let ItemKey { pk, sk } = Meta::key_of().item_key;
        let update = json!({
            "TableName": self.0.table,
            "Key": {"pk": {"S": pk}, "sk": {"S": sk}},
            "UpdateExpression": "SET #table = :table",
            "ConditionExpression": "attribute_exists(pk)",
            "ExpressionAttributeNames": {"#table": "table"},
            "ExpressionAttributeValues": {":table": {"S": original}},
        });
        self.run(move |_, Open { database, .. }| {
            database.update_item(UpdateItemRequest::deserialize(update)?)?;
            Ok(())
        })
        .await?;
        self.trim(self.stream_end().await?).await.map(drop)
    }

    /// Closes the database.
    pub async fn stop(&self) -> Result<()> {
        let open = lock(&self.0.open).take();
        Ok(tokio::task::spawn_blocking(move || drop(open)).await?)
    }

    /// Runs a blocking call to the engine off the caller's thread.
    async fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Inner, &Open) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = self.clone();
        tokio::task::spawn_blocking(move || {
            let open = lock(&engine.0.open)
                .clone()
                .context("the engine was stopped")?;
            task(&engine.0, &open)
        })
        .await?
    }
}

fn open_file(path: &Path, table: &str, lasts: Lasts) -> Result<Database> {
    if !path.exists() {
        make_file(path, table)?;
    }
    let database = Database::new(&path.to_string_lossy()).with_context(|| {
        let path = path.display();
        format!(
            "{path} is damaged or is no database of Bursar: put a good copy in its place, or name another data folder"
        )
    })?;
    // It opens with `synchronous = full`, which this is the only call to lower.
    if lasts == Lasts::Killed {
        database.disable_bulk_loading()?;
    }
    Ok(database)
}

/// Creates the database aside and moves it into place when it is complete, since the engine creates
/// a table in several steps.
fn make_file(path: &Path, table: &str) -> Result<()> {
    let log = PathBuf::from(format!("{}-wal", path.display()));
    ensure!(
        fs::metadata(&log).map_or(0, |log| log.len()) == 0,
        "{} is missing but its log {} is there: put it back, or name another data folder",
        path.display(),
        log.display()
    );
    let make = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        let aside = tempfile::tempdir_in(folder)?;
        let unfinished = aside.path().join("table.db");
        let database = Database::new(&unfinished.to_string_lossy())?;
        create(&database, &create_table(table), TTL)?;
        drop(database);
        fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
        fs::File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, path)?;
        anyhow::Ok(fs::File::open(folder)?.sync_all()?)
    };
    make().with_context(|| format!("cannot make {}", path.display()))
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
    let described = database
        .describe_table(DescribeTableRequest {
            table_name: table.to_owned(),
        })?
        .table;
    let time_to_live = database.describe_time_to_live(DescribeTimeToLiveRequest {
        table_name: table.to_owned(),
    })?;
    let shape = |description: &Value, ttl: Option<&str>| {
        let index =
            |index: &Value| json!([index["IndexName"], index["KeySchema"], index["Projection"]]);
        let indexes: Vec<Value> = description["GlobalSecondaryIndexes"]
            .as_array()
            .into_iter()
            .flatten()
            .map(index)
            .collect();
        json!([
            description["AttributeDefinitions"],
            description["KeySchema"],
            description["StreamSpecification"],
            indexes,
            ttl
        ])
    };
    let ttl = time_to_live.time_to_live_description.attribute_name;
    let actual = shape(&serde_json::to_value(&described)?, ttl.as_deref());
    let expected = shape(&create_table(table), Some(TTL));
    ensure!(
        actual == expected,
        "its table is {actual}, and not {expected}"
    );
    described
        .latest_stream_label
        .context("its stream has no label")
}
