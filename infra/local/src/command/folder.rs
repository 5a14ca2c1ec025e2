//! The data folder: accessible to its owner only, known by a marker, locked while a bundle runs in it.
//! Initial content can be built aside and moved into place when complete. The files' content is left to the
//! engine and the stand-ins.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file that identifies the folder as ours, and carries the lock.
const MARKER: &str = "bursar-folder";
const MARKER_TEXT: &str =
    "The data folder of a local Bursar. To begin anew, stop Bursar and delete the whole folder.\n";
/// The folder for initial content. It is beside the marker, so that one lock guards both and a mounted
/// folder works too.
const ASIDE: &str = "unfinished";
/// The file that marks the initial content as complete.
const WHOLE: &str = "whole";

/// A data folder that only this process has open. The lock ends with the value, or with the process.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    _lock: File,
}

/// The paths of the two kinds of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The table's database, which may not exist yet.
    pub table: PathBuf,
    /// The folder of the stand-ins' state, which exists.
    pub stand_ins: PathBuf,
}

/// The reason why a folder cannot be used, as one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("{0} holds files that Bursar did not make: name another folder with --data; nothing in it was touched")]
    Foreign(String),
    #[error("{0} is in use by another bursar: stop that one, or name another folder with --data")]
    InUse(String),
    #[error("{0} cannot be used as the data folder ({1}): make it writable, or name another folder with --data")]
    Unusable(String, io::Error),
}

impl Folder {
    /// Opens `dir`, creating it if it is missing. Complete initial content is moved into place; incomplete
    /// content is removed.
    pub fn open(dir: &Path) -> Result<Folder, FolderError> {
        let unusable = |error| FolderError::Unusable(dir.display().to_string(), error);
        let marker = dir.join(MARKER);
        if !marker.is_file() && !is_missing_or_empty(dir).map_err(unusable)? {
            return Err(FolderError::Foreign(dir.display().to_string()));
        }
        make(dir).map_err(unusable)?;
        let lock = OpenOptions::new().create(true).append(true).open(&marker).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::InUse(dir.display().to_string())),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        Folder::settled(dir, lock).map_err(unusable)
    }

    /// Whether the folder has never held any state.
    pub fn is_new(&self) -> bool {
        !self.files_at(&self.root).table.exists()
    }

    pub fn files(&self) -> Files {
        self.files_at(&self.root)
    }

    /// A folder for initial content that must appear as a whole or not at all. Remains of an earlier try
    /// are removed.
    pub fn aside(&self) -> Result<Unfinished<'_>, FolderError> {
        if !self.is_new() {
            return Err(self.unusable(io::ErrorKind::AlreadyExists.into()));
        }
        let root = self.root.join(ASIDE);
        let made = remove_if_there(&root).and_then(|()| make(&self.files_at(&root).stand_ins));
        made.map_err(|error| self.unusable(error))?;
        Ok(Unfinished { folder: self, root })
    }

    fn settled(dir: &Path, lock: File) -> io::Result<Folder> {
        if lock.metadata()?.len() == 0 {
            fs::write(dir.join(MARKER), MARKER_TEXT)?;
        }
        let folder = Folder { root: dir.canonicalize()?, _lock: lock };
        let aside = folder.root.join(ASIDE);
        if aside.join(WHOLE).exists() {
            folder.take_over(&aside)?;
        } else {
            remove_if_there(&aside)?;
        }
        make(&folder.files().stand_ins)?;
        Ok(folder)
    }

    /// Moves the initial content into place. The mark of completeness is moved last, so that a kill in
    /// between can be repaired.
    fn take_over(&self, aside: &Path) -> io::Result<()> {
        for entry in fs::read_dir(aside)? {
            let entry = entry?;
            if entry.file_name() != WHOLE {
                let place = self.root.join(entry.file_name());
                if place.is_dir() {
                    remove_if_there(&place)?;
                }
                fs::rename(entry.path(), place)?;
            }
        }
        remove_if_there(aside)
    }

    fn files_at(&self, root: &Path) -> Files {
        Files { table: root.join("table.db"), stand_ins: root.join("stand-ins") }
    }

    fn unusable(&self, error: io::Error) -> FolderError {
        FolderError::Unusable(self.root.display().to_string(), error)
    }
}

/// Initial content in progress. If it is dropped unfinished, the next start removes it.
#[derive(Debug)]
pub struct Unfinished<'a> {
    folder: &'a Folder,
    root: PathBuf,
}

impl Unfinished<'_> {
    pub fn files(&self) -> Files {
        self.folder.files_at(&self.root)
    }

    /// Moves the content into place. Its databases must be closed, since they know their files by name.
    pub fn finish(self) -> Result<(), FolderError> {
        let finished = fs::write(self.root.join(WHOLE), "").and_then(|()| self.folder.take_over(&self.root));
        finished.map_err(|error| self.folder.unusable(error))
    }
}

fn is_missing_or_empty(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Creates a folder that only its owner may enter; an existing one is closed to others.
fn make(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        made => made?,
    }
    #[cfg(unix)]
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

fn remove_if_there(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_missing_folder_is_made_for_its_owner_alone_and_an_empty_one_is_closed_to_others() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let missing = place.path().join("a/b");
        assert_eq!((mode(&Folder::open(&missing).unwrap().files().stand_ins), mode(&missing)), (0o700, 0o700));
        fs::remove_dir_all(place.path().join("a")).unwrap();
        Folder::open(place.path()).unwrap();
        assert_eq!(mode(place.path()), 0o700);
    }

    #[test]
    fn what_is_built_aside_appears_only_when_it_is_whole_also_after_a_kill_while_it_was_moved() {
        let place = tempfile::tempdir().unwrap();
        let open = || Folder::open(place.path()).unwrap();
        let folder = open();
        fs::write(folder.aside().unwrap().files().table, "unfinished").unwrap();
        drop(folder);
        let folder = open();
        assert!(folder.is_new() && !place.path().join(ASIDE).exists(), "an unfinished one is removed");

        let aside = folder.aside().unwrap();
        fs::write(aside.files().stand_ins.join("state.db"), "state").unwrap();
        fs::write(aside.root.join(WHOLE), "").unwrap();
        fs::write(folder.files().table, "already moved").unwrap();
        drop(folder);
        let files = open().files();
        assert_eq!(fs::read_to_string(files.table).unwrap(), "already moved");
        assert_eq!(fs::read_to_string(files.stand_ins.join("state.db")).unwrap(), "state");
    }
}
