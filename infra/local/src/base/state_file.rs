//! The stored state of the stand-ins: small JSON documents by collection and id, on SQLite, written
//! through. It does not know their meaning, nor the table's database.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use rusqlite::{CachedStatement, Connection, Params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::{lock, private_file};

/// A handle to the state of all stand-ins. Clones share its database.
#[derive(Clone)]
pub struct StateFile(Arc<Mutex<Connection>>);

impl StateFile {
    /// Opens or creates the database at `path`. An acknowledged write survives a kill of the
    /// process.
    pub fn open(path: &Path) -> Result<StateFile> {
        let prepared = || {
            private_file(path)?;
            StateFile::prepared(Connection::open(path)?)
        };
        prepared().with_context(|| {
            let path = path.display();
            format!("{path} is damaged or is no database of Bursar: put a good copy in its place, or name another data folder")
        })
    }

    pub fn in_memory() -> Result<StateFile> {
        StateFile::prepared(Connection::open_in_memory()?)
    }

    /// Every document of a collection, in the order of their ids.
    pub fn list<T: DeserializeOwned>(&self, collection: &str) -> Result<Vec<(String, T)>> {
        self.documents(
            "SELECT id, body FROM kept WHERE collection = ? ORDER BY id",
            [collection],
        )
    }

    pub fn get<T: DeserializeOwned>(&self, collection: &str, id: &str) -> Result<Option<T>> {
        let rows = self.documents(
            "SELECT id, body FROM kept WHERE collection = ? AND id = ?",
            [collection, id],
        )?;
        Ok(rows.into_iter().next().map(|(_, document)| document))
    }

    /// Writes a document, replacing one of the same id.
    pub fn put<T: Serialize>(&self, collection: &str, id: &str, document: &T) -> Result<()> {
        let body = serde_json::to_string(document)?;
        self.run(
            "INSERT OR REPLACE INTO kept (collection, id, body) VALUES (?, ?, ?)",
            |put| put.execute([collection, id, &body]),
        )?;
        Ok(())
    }

    /// Removes a document; one that is not there is no error.
    pub fn remove(&self, collection: &str, id: &str) -> Result<()> {
        self.run(
            "DELETE FROM kept WHERE collection = ? AND id = ?",
            |remove| remove.execute([collection, id]),
        )?;
        Ok(())
    }

    /// Removes every document of a collection.
    pub fn clear(&self, collection: &str) -> Result<()> {
        self.run("DELETE FROM kept WHERE collection = ?", |clear| {
            clear.execute([collection])
        })?;
        Ok(())
    }

    fn prepared(connection: Connection) -> Result<StateFile> {
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.execute(
            "CREATE TABLE IF NOT EXISTS kept (collection TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
             PRIMARY KEY (collection, id)) WITHOUT ROWID",
            [],
        )?;
        Ok(StateFile(Arc::new(Mutex::new(connection))))
    }

    fn documents<T: DeserializeOwned>(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<Vec<(String, T)>> {
        let rows: Vec<(String, String)> = self.run(sql, |select| {
            select
                .query_map(params, |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })?;
        let read = |(id, body): (String, String)| {
            let document = serde_json::from_str(&body)
                .with_context(|| format!("the document {id} is damaged"))?;
            Ok((id, document))
        };
        rows.into_iter().map(read).collect()
    }

    fn run<T>(
        &self,
        sql: &str,
        run: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let connection = lock(&self.0);
        Ok(run(&mut connection.prepare_cached(sql)?)?)
    }
}
