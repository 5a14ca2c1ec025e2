//! `backup` makes a dated copy of a data folder, also while a bundle runs in it. `restore` makes a
//! new data folder from one, or from a folder that something else has put back. No bundle starts in
//! a copy itself, since only a restored one knows that it is one.

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bursar_core::clock::Moment;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::BACKUP_DAYS;
use jiff::ToSpan;
use jiff::civil::Date;
use rusqlite::{Connection, OpenFlags};

use crate::aws::engine::{Engine, Lasts, Place};
use crate::aws::{dead_letters, pump, schedules};
use crate::base::private_file;
use crate::base::state_file::StateFile;
use crate::command::folder::{Files, Folder, Kind, RESTORING, SHAPE_FILE, read_shape};
use crate::command::stack::TABLE;

/// The name of a copy. By name the newest is the last.
const DATED: &str = "bursar-%Y%m%dT%H%M%SZ";
const TABLE_FILE: &str = "table.db";
const STATE_FILE: &str = "state.db";

/// Copies the data folder `folder` into a new one within `copies`, and removes those that are too
/// old.
pub fn backup(folder: &Path, copies: &Path, now: Moment) -> Result<PathBuf> {
    read_shape(folder)?;
    let files = Files::within(folder);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(copies)
        .with_context(|| copies.display().to_string())?;
    let name = now.strftime(DATED).to_string();
    let copy = copies.join(&name);
    let only_ours = Permissions::from_mode(0o700);
    let unfinished = tempfile::Builder::new()
        .prefix(&format!("{name}."))
        .permissions(only_ours)
        .tempdir_in(copies)?;
    // The table first, as the provider is always ahead of it: the built-in one is in the other.
    copy_database(&files.table, &unfinished.path().join(TABLE_FILE))?;
    copy_database(&files.state(), &unfinished.path().join(STATE_FILE))?;
    fs::copy(folder.join(SHAPE_FILE), unfinished.path().join(SHAPE_FILE))?;
    fs::rename(unfinished.path(), &copy)?;
    remove_old(copies, utc_date(now))
        .context("the copy is made, but older ones could not be removed")?;
    Ok(copy)
}

/// Makes the data folder `folder` from a copy, or from the newest within `copies`.
pub async fn restore(copies: &Path, folder: &Path) -> Result<PathBuf> {
    let copy = newest(copies)?;
    let kind = read_shape(&copy)?;
    ensure!(
        fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none()),
        "{} is not empty: name a new or an empty folder with --data; nothing in it was touched",
        folder.display()
    );
    let restored = fill(folder, kind, &copy).await;
    if restored.is_err() {
        // It was empty before, and the next try is to find it so. Where its parent is somebody
        // else's, it stays, and is empty.
        let _ = fs::remove_dir_all(folder);
    }
    restored?;
    Ok(copy)
}

/// Fills an empty data folder from a copy.
async fn fill(folder: &Path, kind: Kind, copy: &Path) -> Result<()> {
    let locked = Folder::open(folder, kind)?;
    let files = locked.files();
    // No bundle starts in the folder while this is there.
    let aside = folder.join(RESTORING);
    DirBuilder::new().mode(0o700).create(&aside)?;
    let state = Some(copy.join(STATE_FILE)).filter(|state| state.exists());
    copy_database(
        &state.unwrap_or(Files::within(copy).state()),
        &files.state(),
    )?;
    let kept = StateFile::open(&files.state())?;
    for collection in [
        schedules::COLLECTION,
        pump::COLLECTION,
        dead_letters::COLLECTION,
    ] {
        kept.clear(collection)?;
    }
    let table = aside.join(TABLE_FILE);
    copy_database(&copy.join(TABLE_FILE), &table)?;
    let engine = Engine::start(&Place::File(table.clone(), Lasts::PowerCut), TABLE)?;
    let name = copy.file_name().unwrap_or_default().display();
    engine
        .become_copy(&format!("{TABLE}, as it is in {name}"))
        .await?;
    engine.stop().await?;
    fs::rename(&table, &files.table)?;
    Ok(fs::remove_dir_all(&aside)?)
}

/// Copies a database as it is at one moment, without what was deleted from it.
fn copy_database(database: &Path, copy: &Path) -> Result<()> {
    let make = || {
        let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        private_file(copy)?;
        connection.execute(
            "VACUUM INTO ?",
            [copy.to_str().context("its path is not in UTF-8")?],
        )?;
        anyhow::Ok(File::open(copy)?.sync_all()?)
    };
    make().with_context(|| {
        format!(
            "{} cannot be copied to {}",
            database.display(),
            copy.display()
        )
    })
}

/// Removes the copies whose last day has come, and what is left of any that was cut off.
fn remove_old(copies: &Path, today: Date) -> Result<()> {
    let last = today.saturating_sub(i64::from(BACKUP_DAYS).days());
    for (copy, _) in dated(copies)?
        .into_iter()
        .filter(|(_, made_on)| *made_on <= last)
    {
        fs::remove_dir_all(copy)?;
    }
    Ok(())
}

/// The copy itself, or the newest of those in a folder.
fn newest(copies: &Path) -> Result<PathBuf> {
    if copies.join(SHAPE_FILE).is_file() {
        return Ok(copies.to_owned());
    }
    let whole = dated(copies)?
        .into_iter()
        .map(|(copy, _)| copy)
        .filter(|copy| copy.extension().is_none());
    whole.max().with_context(|| {
        format!(
            "{} holds no copy that `bursar backup` made",
            copies.display()
        )
    })
}

/// The copies in a folder and their days, also of those that were cut off.
fn dated(copies: &Path) -> Result<Vec<(PathBuf, Date)>> {
    let mut dated = Vec::new();
    for entry in fs::read_dir(copies).with_context(|| copies.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if let Ok(made_on) = Date::strptime(DATED, name)
            && path.symlink_metadata()?.is_dir()
        {
            dated.push((path, made_on));
        }
    }
    Ok(dated)
}
