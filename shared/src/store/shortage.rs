//! The shortfall of the balance that was told last. It stays on record when it is over, so that nobody who looks again tells it twice.

use super::items::Stored;
use super::keys::{self, Key};
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::balance::Shortage;

impl Table {
    pub async fn shortage(&self) -> Result<Option<Shortage>, StoreError> {
        self.get(&keys::shortage()).await
    }

    /// False when somebody was faster, and tells of it.
    pub async fn note_shortage(&self, shortage: &Shortage, deadline: Deadline) -> Result<bool, StoreError> {
        match shortage.version {
            ..=1 => self.put_new(shortage, deadline).await,
            version => self.replace(shortage, version - 1, deadline).await,
        }
    }
}

impl Stored for Shortage {
    const KIND: &'static str = "shortage";
    fn key(&self) -> Key {
        keys::shortage()
    }
}
