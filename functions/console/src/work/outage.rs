//! Whether the provider is worth asking on in a round of work: after a few calls in a row without an answer it is left
//! alone until the next round, since each of them costs seconds.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use bursar_core::domain::mail::alarm::Cause;
use bursar_core::orders::NotCarriedOut;

/// After so many calls in a row that came to nothing, no more are made.
const FAILED_IN_A_ROW: u32 = 8;

/// What a round has learned about the provider.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    failed: AtomicU32,
    /// What the admins are to be told of it.
    pub(super) alarm: OnceLock<Cause>,
}

impl Outage {
    pub(super) fn is_seen(&self) -> bool {
        self.failed.load(Ordering::Relaxed) >= FAILED_IN_A_ROW
    }

    /// Notes what became of a grant's orders. What the provider answered about one key says that it answers.
    pub(super) fn note(&self, sent: &Result<u32, NotCarriedOut>) {
        if let Err(NotCarriedOut::Provider(error)) = sent
            && let Some(cause) = error.refusal()
        {
            self.alarm.get_or_init(|| cause);
        }
        match sent {
            Err(NotCarriedOut::Provider(error)) if error.may_pass() || error.is_of_the_key() => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            Ok(1..) | Err(NotCarriedOut::Provider(_) | NotCarriedOut::NotFound) => {
                self.failed.store(0, Ordering::Relaxed);
            }
            Ok(0) | Err(_) => {}
        }
    }
}
