//! The base of all other modules: the product's clock, stored documents, HTTP servers with their
//! guard, the names of the functions.

pub mod clock;
pub mod function;
pub(crate) mod guard;
pub mod serve;
pub mod state_file;
pub(crate) mod systemd;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Nothing is left half changed where a holder panics.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a file at its end, creating it for its owner alone if it is missing. A database gives its
/// mode to the files beside it.
pub fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// One of those that a number counts, for as long as it lives.
pub struct Counted(watch::Sender<usize>);

impl Counted {
    pub(crate) fn in_number(number: &watch::Sender<usize>) -> Counted {
        number.send_modify(|number| *number += 1);
        Counted(number.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|number| *number -= 1);
    }
}
