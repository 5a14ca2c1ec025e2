//! The stored state of the stand-ins: small JSON documents by collection and id, on SQLite, written
//! through. It does not know their meaning, nor the table's database.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A handle to the state of all stand-ins. Clones share its database.
#[derive(Clone)]
pub struct StateFile(Arc<Mutex<Connection>>);

impl StateFile {
    /// Opens or creates the database at `path`. An acknowledged write survives a kill of the process.
    pub fn open(path: &Path) -> Result<StateFile> {
        let connection = Connection::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        StateFile::prepared(connection).with_context(|| {
            format!(
                "{} is damaged or is no database of Bursar: put a good copy in its place, or name another folder with --data",
                path.display()
            )
        })
    }

    /// State in memory, which ends with the process.
    pub fn in_memory() -> Result<StateFile> {
        StateFile::prepared(Connection::open_in_memory()?)
    }

    /// Every document of a collection, in the order of their ids.
    pub fn all<T: DeserializeOwned>(&self, collection: &str) -> Result<Vec<(String, T)>> {
        self.with(|db| {
            let mut statement = db.prepare_cached("SELECT id, body FROM kept WHERE collection = ? ORDER BY id")?;
            let rows = statement.query_map([collection], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
            rows.map(|row| {
                let (id, body) = row?;
                let body = serde_json::from_str(&body).with_context(|| format!("{collection}/{id} is damaged"))?;
                Ok((id, body))
            })
            .collect()
        })
    }

    /// One document, if it is there.
    pub fn get<T: DeserializeOwned>(&self, collection: &str, id: &str) -> Result<Option<T>> {
        self.with(|db| {
            let mut statement = db.prepare_cached("SELECT body FROM kept WHERE collection = ? AND id = ?")?;
            let mut rows = statement.query([collection, id])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let body = serde_json::from_str(&row.get::<_, String>(0)?);
            Ok(Some(body.with_context(|| format!("{collection}/{id} is damaged"))?))
        })
    }

    /// Writes a document, replacing one of the same id.
    pub fn put<T: Serialize>(&self, collection: &str, id: &str, document: &T) -> Result<()> {
        let body = serde_json::to_string(document)?;
        self.with(|db| {
            db.prepare_cached("INSERT OR REPLACE INTO kept (collection, id, body) VALUES (?, ?, ?)")?
                .execute(params![collection, id, body])?;
            Ok(())
        })
    }

    /// Removes a document; one that is not there is no error.
    pub fn remove(&self, collection: &str, id: &str) -> Result<()> {
        self.with(|db| {
            db.prepare_cached("DELETE FROM kept WHERE collection = ? AND id = ?")?.execute([collection, id])?;
            Ok(())
        })
    }

    fn prepared(connection: Connection) -> Result<StateFile> {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        ensure!(found == "ok", found);
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.execute(
            "CREATE TABLE IF NOT EXISTS kept (collection TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
             PRIMARY KEY (collection, id)) WITHOUT ROWID",
            [],
        )?;
        Ok(StateFile(Arc::new(Mutex::new(connection))))
    }

    fn with<T>(&self, run: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        run(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
