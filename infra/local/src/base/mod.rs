//! The base of all other modules: the product's clock, stored documents, HTTP servers with their guard, the
//! names of the functions.

pub mod clock;
pub mod function;
pub(crate) mod guard;
pub mod serve;
pub mod state_file;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nothing is left half changed where a holder panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
