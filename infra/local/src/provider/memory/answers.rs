//! Answers about keys and the account, with the lag that the quirks set.

use jiff::Timestamp;
use serde_json::Value;

use super::Memory;
use crate::provider::quirks::{Differ, Quirks};
use crate::provider::values::money::Nano;

impl Memory {
    /// The object of a key in the answers of `GET` by hash, `POST` and `PATCH`.
    pub(crate) fn object(&mut self, place: usize, now: Timestamp) -> Value {
        let lag = self.quirks.lag.key;
        let key = self.past.key_before(self.key(place), now, lag);
        let (object, used) = (key.object(now - lag, &self.quirks), key.spent(None, key.byok_in_limit, now));
        self.past.note_told(place, now, used);
        object
    }

    /// The object of a key in a listing.
    pub(crate) fn listed(&self, place: usize, now: Timestamp) -> Value {
        let lag = self.quirks.lag.listing;
        let (then, key) = (now - lag, self.past.key_before(self.key(place), now, lag));
        match self.quirks.listed_counters {
            None => key.object(then, &self.quirks),
            Some(Differ::Tail) => key.object(then, &Quirks { float_tails: true, ..self.quirks.clone() }),
            Some(Differ::Micro) => {
                let mut key = key.into_owned();
                key.credit = key.credit.off_by(Nano::micros(1));
                key.byok = key.byok.off_by(Nano::micros(1));
                key.object(then, &self.quirks)
            }
        }
    }

    /// The account's usage in the answer of `/credits`.
    pub(crate) fn used_as_told(&self, now: Timestamp) -> Nano {
        self.past.account_before(now, self.quirks.lag.credits).unwrap_or_else(|| self.used())
    }
}
