//! Independent checks: a failure of one is named at the end, and does not block others.

use std::fmt::Display;

use anyhow::{Result, ensure};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::{StoreError, Table};

#[derive(Default)]
pub(crate) struct ScanFailures {
    pub(crate) failed: Vec<String>,
}

/// The programmes, as far as they can be read.
pub(crate) struct Programmes {
    pub(crate) read: Vec<Programme>,
    pub(crate) unreadable: Vec<ProgrammeId>,
}

impl ScanFailures {
    /// The result of a check; the default if it failed.
    pub(crate) fn take<T: Default>(
        &mut self,
        what: impl Display,
        outcome: Result<T, impl Into<anyhow::Error>>,
    ) -> T {
        outcome.unwrap_or_else(|error| {
            tracing::warn!(%what, error = format!("{:#}", error.into()), "a look failed");
            self.failed.push(what.to_string());
            T::default()
        })
    }
}

impl Programmes {
    pub(crate) async fn load(table: &Table) -> Result<Programmes, StoreError> {
        let (read, unreadable) = table.readable_programmes().await?;
        Ok(Programmes { read, unreadable })
    }

    /// All programmes, or an error if one cannot be read, since a sum over the rest would be wrong.
    pub(crate) fn all(&self) -> Result<&[Programme]> {
        ensure!(self.unreadable.is_empty(), "a programme cannot be read");
        Ok(&self.read)
    }
}
