//! The data folder: accessible to its owner only, and locked while a bundle runs in it. The files' content is left
//! to the engine and the stand-ins.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail, ensure};

use crate::base::private_file;

/// The number of the shape in which this build stores things. Whoever changes that shape raises it: nothing is migrated.
const SHAPE: &str = "8";

/// A data folder that only this process has open. The lock ends with the value, or with the process.
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

impl Folder {
    /// Opens `dir`, creating it if it is missing. Content that was never completed is removed.
    pub fn open(dir: &Path) -> Result<Folder> {
        let shown = dir.display();
        let unusable = |error: io::Error| {
            anyhow!(
                "{shown} cannot be used as the data folder ({error}): make it writable, or name another folder with --data"
            )
        };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
        let lock = File::open(dir).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("{shown} is in use by another bursar: stop that one, or name another folder with --data")
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        let files = Files { table: dir.join("table.db"), stand_ins: dir.join("stand-ins") };
        let unfinished = dir.join("bursar-unfinished");
        ensure!(
            files.stand_ins.is_dir() || unfinished.is_file() || fs::read_dir(dir).map_err(unusable)?.next().is_none(),
            "{shown} holds files that Bursar did not make: name another folder with --data; nothing in it was touched"
        );
        let folder = Folder { files, log: dir.join("log"), unfinished, _lock: lock };
        folder.prepare(dir).map_err(unusable)?;
        let shape = dir.join("shape");
        if folder.is_new() {
            private_file(&shape).and_then(|_| fs::write(&shape, SHAPE)).map_err(unusable)?;
        }
        ensure!(
            fs::read_to_string(&shape).is_ok_and(|shape| shape == SHAPE),
            "{shown} was made by another version of Bursar, which stores things otherwise: delete that folder, or name another one with \
             --data; nothing in it was touched"
        );
        Ok(folder)
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

    /// Begins content that counts as a whole or not at all: without `finish`, the next start removes it.
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
                } else if path.to_string_lossy().starts_with(&*self.files.table.to_string_lossy()) {
                    fs::remove_file(path)?;
                }
            }
            self.finish()?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.files.stand_ins)
    }
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
        let folder = Folder::open(place.path()).unwrap();
        assert_eq!((mode(place.path()), mode(&folder.files().stand_ins)), (0o700, 0o700));

        folder.begin().unwrap();
        fs::write(folder.files().table, "half").unwrap();
        drop(folder);
        let folder = Folder::open(place.path()).unwrap();
        assert!(folder.is_new());
        folder.begin().unwrap();
        fs::write(folder.files().table, "whole").unwrap();
        folder.finish().unwrap();
        drop(folder);
        assert!(!Folder::open(place.path()).unwrap().is_new());

        fs::write(place.path().join("shape"), "1").unwrap();
        let refused = Folder::open(place.path()).unwrap_err().to_string();
        assert!(refused.contains("was made by another version of Bursar"), "{refused}");
    }
}
