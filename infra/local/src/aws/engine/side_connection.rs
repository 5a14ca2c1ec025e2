//! A second connection to the engine's database, for what the engine cannot be asked: it finds the end of
//! the stream, and deletes stream records. It never touches an item.
//!
//! This is safe: every write transaction of the engine begins IMMEDIATE, so either side waits in SQLite's
//! busy handler and none fails halfway. The engine caches no stream records.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

/// The time that the engine itself waits for a lock.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct SideConnection(Mutex<Option<Connection>>);

impl SideConnection {
    /// Opens the database that the engine has open under the same name.
    pub(super) fn open(name: &str) -> Result<SideConnection> {
        let connection = Connection::open(name)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "synchronous", "normal")?;
        // The engine looks up the last sequence number at each write, and keeps no index for it.
        connection.execute_batch(
            "CREATE INDEX IF NOT EXISTS bursar_stream_order
             ON _stream_records (table_name, CAST(sequence_number AS INTEGER))",
        )?;
        Ok(SideConnection(Mutex::new(Some(connection))))
    }

    /// The sequence number of the stream's last record, 0 if there never was one.
    pub(super) fn stream_end(&self, table: &str) -> Result<i64> {
        self.with(|connection| {
            let end =
                "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) FROM _stream_records WHERE table_name = ?";
            Ok(connection.prepare_cached(end)?.query_row([table], |row| row.get(0))?)
        })
    }

    /// Deletes the records before `position`. The one at it stays, since the engine numbers the next record
    /// after the last one.
    pub(super) fn trim(&self, table: &str, position: i64) -> Result<usize> {
        self.with(|connection| {
            let trim = "DELETE FROM _stream_records WHERE table_name = ? AND CAST(sequence_number AS INTEGER) < ?";
            Ok(connection.prepare_cached(trim)?.execute(params![table, position])?)
        })
    }

    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    fn with<T>(&self, run: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        run(self.lock().as_ref().context("the engine was stopped")?)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses a file that is not a valid SQLite database, without writing to it.
pub(super) fn check(path: &Path) -> Result<()> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Otherwise closing would checkpoint the log of a damaged file into it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(PATIENCE)?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    ensure!(found == "ok", "{found}");
    let streams = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = '_stream_records')";
    let ours: bool = connection.query_row(streams, [], |row| row.get(0))?;
    ensure!(ours, "it holds something else, or nothing");
    Ok(())
}
