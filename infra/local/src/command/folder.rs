//! The data folder: accessible to its owner only, and locked while a bundle runs in it. The files'
//! content is left to the engine and the stand-ins.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail, ensure};
use bursar_core::store::SHAPE;
use tempfile::NamedTempFile;

use crate::base::private_file;

/// The file with the number of the folder's shape, its kind, and the version that wrote it last.
pub(super) const SHAPE_FILE: &str = "shape";
/// Where a restore makes the table.
pub(super) const RESTORING: &str = "restoring";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a folder is for. Neither opens the other's: one shows every mail to whoever asks, the other
/// has real people's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Demonstration,
    Serve,
}

impl Kind {
    const ALL: [Kind; 2] = [Kind::Demonstration, Kind::Serve];

    fn as_str(self) -> &'static str {
        match self {
            Kind::Demonstration => "demonstration",
            Kind::Serve => "serve",
        }
    }

    /// How another folder is named.
    fn setting(self) -> &'static str {
        match self {
            Kind::Demonstration => "with --data",
            Kind::Serve => "in the setting data",
        }
    }
}

/// A data folder that only this process has open. The lock ends with the value, or with the
/// process.
#[derive(Debug)]
pub struct Folder {
    files: Files,
    pub log: PathBuf,
    /// The file that is there while the first content is not complete.
    unfinished: PathBuf,
    _lock: File,
}

#[derive(Debug, Clone)]
pub struct Files {
    /// The table's database, which may not exist yet.
    pub table: PathBuf,
    /// The folder of the stand-ins' state, which exists.
    pub stand_ins: PathBuf,
}

impl Files {
    pub(super) fn within(dir: &Path) -> Files {
        Files {
            table: dir.join("table.db"),
            stand_ins: dir.join("stand-ins"),
        }
    }

    pub(super) fn state(&self) -> PathBuf {
        self.stand_ins.join("state.db")
    }
}

impl Folder {
    /// Opens `dir`, creating it if it is missing. Content that was never completed is removed.
    pub fn open(dir: &Path, kind: Kind) -> Result<Folder> {
        let unusable = |error: io::Error| unusable(dir, kind, &error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(unusable)?;
        let Some(lock) = locked(dir).map_err(unusable)? else {
            let shown = dir.display();
            bail!(
                "{shown} is in use by another bursar: stop that one, or name another folder {}",
                kind.setting()
            )
        };
        let folder = Folder::at(dir, lock);
        folder.is_usable(dir, kind)?;
        folder.prepare(dir).map_err(unusable)?;
        note_shape(dir, kind).map_err(unusable)?;
        Ok(folder)
    }

    /// Says what stands against opening `dir`, and touches nothing. Of a folder in use, nothing
    /// does.
    pub fn check(dir: &Path, kind: Kind) -> Result<()> {
        if !dir.exists() {
            return Ok(());
        }
        match locked(dir).map_err(|error| unusable(dir, kind, &error))? {
            Some(lock) => Folder::at(dir, lock).is_usable(dir, kind),
            None => Ok(()),
        }
    }

    fn at(dir: &Path, lock: File) -> Folder {
        Folder {
            files: Files::within(dir),
            log: dir.join("log"),
            unfinished: dir.join("bursar-unfinished"),
            _lock: lock,
        }
    }

    /// Refuses what is not Bursar's, of the other kind, or stored otherwise.
    fn is_usable(&self, dir: &Path, kind: Kind) -> Result<()> {
        let shown = dir.display();
        let setting = kind.setting();
        let mut files = fs::read_dir(dir).map_err(|error| unusable(dir, kind, &error))?;
        ensure!(
            !dir.join(RESTORING).exists(),
            "a `bursar restore` into {shown} was cut off: remove that folder, and restore again"
        );
        ensure!(
            self.files.stand_ins.is_dir() || self.unfinished.is_file() || files.next().is_none(),
            "{shown} holds files that Bursar did not make: name another folder {setting}; nothing in it was touched"
        );
        if self.is_new() || self.unfinished.exists() {
            return Ok(());
        }
        let made_for = read_shape(dir)?;
        ensure!(
            made_for == kind,
            "{shown} is a folder of another kind ({}): name another one {setting}; nothing in it was touched",
            made_for.as_str()
        );
        Ok(())
    }

    pub fn is_new(&self) -> bool {
        !self.files.table.exists()
    }

    pub fn files(&self) -> Files {
        self.files.clone()
    }

    /// Opens the log, which goes on where the last run left it.
    pub fn open_log(&self) -> io::Result<File> {
        private_file(&self.log)
    }

    /// Begins content that counts as a whole or not at all: without `finish`, the next start
    /// removes it.
    pub fn begin(&self) -> io::Result<()> {
        private_file(&self.unfinished).map(drop)
    }

    pub fn finish(&self) -> io::Result<()> {
        fs::remove_file(&self.unfinished)
    }

    fn prepare(&self, dir: &Path) -> io::Result<()> {
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
        if self.unfinished.exists() {
            for dir_entry in fs::read_dir(dir)? {
                let path = dir_entry?.path();
                if path == self.files.stand_ins {
                    fs::remove_dir_all(path)?;
                } else if path
                    .to_string_lossy()
                    .starts_with(&*self.files.table.to_string_lossy())
                {
                    fs::remove_file(path)?;
                }
            }
            self.finish()?;
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.files.stand_ins)
    }
}

fn unusable(dir: &Path, kind: Kind, error: &io::Error) -> anyhow::Error {
    let shown = dir.display();
    let setting = kind.setting();
    anyhow!(
        "{shown} cannot be used as the data folder ({error}): make it writable, or name another folder {setting}"
    )
}

/// The lock on the folder, unless another process has it.
fn locked(dir: &Path) -> io::Result<Option<File>> {
    let lock = File::open(dir)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The kind of a folder or of a copy. One of a newer or an older shape is refused.
pub(super) fn read_shape(dir: &Path) -> Result<Kind> {
    let shown = dir.display();
    let shape = fs::read_to_string(dir.join(SHAPE_FILE)).map_err(|_| {
        anyhow!(
            "{shown} is no folder that Bursar made: name another one; nothing in it was touched"
        )
    })?;
    let mut words = shape.split_whitespace();
    let number = words
        .next()
        .and_then(|number| number.parse::<u32>().ok())
        .unwrap_or_default();
    let made_for = words.next().unwrap_or_default();
    let version = words.next().unwrap_or("unknown");
    ensure!(
        number <= SHAPE,
        "{shown} was written by Bursar {version}, which is newer than this one, {VERSION}: go back to that version; nothing in it was touched"
    );
    match Kind::ALL.into_iter().find(|kind| kind.as_str() == made_for) {
        Some(kind) if number == SHAPE => Ok(kind),
        Some(_) | None => bail!(
            "{shown} was written by an older Bursar, whose folders {VERSION} does not read: begin with a new folder; nothing in it was touched"
        ),
    }
}

/// Notes that this version is the last that wrote in the folder. A start that is killed leaves the
/// note before or this one.
fn note_shape(dir: &Path, kind: Kind) -> io::Result<()> {
    let shape = format!("{SHAPE} {} {VERSION}\n", kind.as_str());
    if fs::read_to_string(dir.join(SHAPE_FILE)).is_ok_and(|noted| noted == shape) {
        return Ok(());
    }
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(shape.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(dir.join(SHAPE_FILE))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder is open to its owner alone, and what was never completed is removed.
    #[test]
    fn a_folder_is_its_owners_alone() {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let folder = Folder::open(place.path(), Kind::Demonstration).unwrap();
        assert_eq!(
            (mode(place.path()), mode(&folder.files().stand_ins)),
            (0o700, 0o700)
        );

        folder.begin().unwrap();
        fs::write(folder.files().table, "half").unwrap();
        drop(folder);
        let folder = Folder::open(place.path(), Kind::Demonstration).unwrap();
        assert!(folder.is_new());
        folder.begin().unwrap();
        fs::write(folder.files().table, "whole").unwrap();
        folder.finish().unwrap();
        drop(folder);
        assert!(
            !Folder::open(place.path(), Kind::Demonstration)
                .unwrap()
                .is_new()
        );

        for (shape, kind, why) in [
            (
                "9 demonstration 0.1.0",
                Kind::Demonstration,
                "was written by an older Bursar",
            ),
            ("", Kind::Serve, "was written by an older Bursar"),
            (
                "1000 cluster 7.8.9",
                Kind::Serve,
                "was written by Bursar 7.8.9, which is newer",
            ),
            (
                "1000 serve 7.8.9",
                Kind::Serve,
                "was written by Bursar 7.8.9, which is newer",
            ),
            (
                &format!("{SHAPE} serve 0.1.0"),
                Kind::Demonstration,
                "of another kind (serve)",
            ),
            (
                &format!("{SHAPE} demonstration 0.1.0"),
                Kind::Serve,
                "of another kind (demonstration)",
            ),
        ] {
            fs::write(place.path().join("shape"), shape).unwrap();
            for refused in [
                Folder::open(place.path(), kind).map(drop),
                Folder::check(place.path(), kind),
            ] {
                let refused = refused.unwrap_err().to_string();
                assert!(refused.contains(why), "{refused}");
            }
            assert_eq!(
                fs::read_to_string(place.path().join("shape")).unwrap(),
                shape
            );
        }
        // What a restore left halfway is no folder to begin in, whose table is not there yet.
        fs::create_dir(place.path().join(RESTORING)).unwrap();
        fs::remove_file(place.path().join("table.db")).unwrap();
        let refused = Folder::open(place.path(), Kind::Serve)
            .map(drop)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("was cut off"), "{refused}");
        fs::remove_dir(place.path().join(RESTORING)).unwrap();
        // What another version wrote in the same shape is this version's from then on.
        fs::write(place.path().join("shape"), format!("{SHAPE} serve 0.0.9")).unwrap();
        Folder::open(place.path(), Kind::Serve).unwrap();
        let noted = fs::read_to_string(place.path().join("shape")).unwrap();
        assert_eq!(noted, format!("{SHAPE} serve {VERSION}\n"));
    }
}
