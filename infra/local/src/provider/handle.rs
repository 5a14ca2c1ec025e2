//! A handle to one account of the simulator: its memory, its clock, its quirks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use bursar_core::clock::Clock;
use jiff::Timestamp;

use super::memory::Memory;
use super::quirks::Quirks;
use crate::base::state_file::StateFile;

/// One account. Clones share it.
#[derive(Clone)]
pub struct Provider {
    memory: Arc<Mutex<Memory>>,
    clock: Clock,
    /// Further accounts at this address.
    others: Arc<Mutex<Vec<(Provider, Router)>>>,
}

impl Provider {
    /// The account with its stored state. A new one has a default workspace and credits of 1,000 dollars.
    /// The management key is valid from now on; of all keys only hashes are stored.
    pub fn new(kept: StateFile, clock: Clock, management_key: &str) -> Result<Provider> {
        let mut memory = Memory::open(kept, clock.now()).context("what the simulated provider kept cannot be read")?;
        memory.put_management_key(management_key)?;
        Ok(Provider { memory: Arc::new(Mutex::new(memory)), clock, others: Arc::default() })
    }

    /// A further account in memory, which is not reachable yet.
    pub(crate) fn another(&self, management_key: &str) -> Result<Provider> {
        Provider::new(StateFile::in_memory()?, self.clock.clone(), management_key)
    }

    /// Changes the behaviour that the provider's documentation leaves open.
    pub fn set_quirks(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut self.memory().quirks);
    }

    /// Whether a key of this hash belongs to the account.
    pub(crate) fn knows(&self, hash: &str) -> bool {
        let memory = self.memory();
        memory.management_key(hash).is_some() || memory.find(hash).is_ok()
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn others(&self) -> MutexGuard<'_, Vec<(Provider, Router)>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
