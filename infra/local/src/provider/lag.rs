//! What was used a while ago, for answers that lag behind. How far they lag is `quirks.rs`.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::key::Key;
use super::memory::Memory;
use super::money::Nano;
use super::quirks::{Differ, Quirks};
use super::windows::Usage;

/// Longer than any answer lags.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// What keys and the account had used before they used more.
#[derive(Default)]
pub(super) struct Past {
    keys: HashMap<usize, Replaced<Counters>>,
    /// What answers by hash said, of each key each time that it was more.
    told: HashMap<usize, Vec<(Timestamp, Nano)>>,
    account: Replaced<Nano>,
}

#[derive(Clone)]
struct Counters {
    credit: Usage,
    byok: Usage,
    last_used_at: Option<Timestamp>,
}

/// Values that are so no more, each with the instant until which it was. The oldest first.
#[derive(Clone)]
struct Replaced<T>(Vec<(Timestamp, T)>);

impl Memory {
    /// To be called before a key uses more, or less.
    pub(super) fn note_use(&mut self, place: usize, at: Timestamp) {
        self.note_spending(at);
        let Key { credit, byok, last_used_at, .. } = self.key(place).clone();
        self.past.keys.entry(place).or_default().push(at, Counters { credit, byok, last_used_at });
    }

    /// To be called before the account's money becomes less.
    pub(super) fn note_spending(&mut self, at: Timestamp) {
        let used = self.used();
        self.past.account.push(at, used);
    }

    /// The object of a key, as `GET` by its hash, `POST` and `PATCH` answer it.
    pub(super) fn object(&mut self, place: usize, now: Timestamp) -> Value {
        let lag = self.quirks.lag.key;
        let key = self.key_before(place, now, lag);
        let (object, used) = (key.object(now - lag, &self.quirks), key.spent(None, key.byok_in_limit, now));
        let told = self.past.told.entry(place).or_default();
        if told.last().is_none_or(|(_, before)| *before < used) {
            told.push((now, used));
        }
        object
    }

    pub(super) fn told(&self, place: usize) -> &[(Timestamp, Nano)] {
        self.past.told.get(&place).map_or(&[], Vec::as_slice)
    }

    /// The object of a key in a listing.
    pub(super) fn listed(&self, place: usize, now: Timestamp) -> Value {
        let (then, key) = (now - self.quirks.lag.listing, self.key_before(place, now, self.quirks.lag.listing));
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

    /// What the account has used, as `/credits` says it.
    pub(super) fn used_as_told(&self, now: Timestamp) -> Nano {
        self.past.account.before(now, self.quirks.lag.credits).copied().unwrap_or_else(|| self.used())
    }

    /// The key with the counters of so long ago. Everything else of it is never behind.
    fn key_before(&self, place: usize, now: Timestamp, lag: SignedDuration) -> Cow<'_, Key> {
        let key = Cow::Borrowed(self.key(place));
        let past = self.past.keys.get(&place).and_then(|past| past.before(now, lag));
        let Some(Counters { credit, byok, last_used_at }) = past else {
            return key;
        };
        let (credit, byok, last_used_at) = (credit.clone(), byok.clone(), *last_used_at);
        Cow::Owned(Key { credit, byok, last_used_at, ..key.into_owned() })
    }
}

impl<T> Replaced<T> {
    /// Notes that the value was so until `at`. What is entered later than it was is so from when the last one was.
    fn push(&mut self, at: Timestamp, value: T) {
        let at = self.0.last().map_or(at, |(last, _)| at.max(*last));
        self.0.retain(|(until, _)| *until > at - REMEMBERED);
        self.0.push((at, value));
    }

    /// The value so long ago, if it has been replaced since.
    fn before(&self, now: Timestamp, lag: SignedDuration) -> Option<&T> {
        let mut later = self.0.iter().filter(|(until, _)| lag.is_positive() && *until > now - lag);
        later.next().map(|(_, value)| value)
    }
}

impl<T> Default for Replaced<T> {
    fn default() -> Replaced<T> {
        Replaced(Vec::new())
    }
}
