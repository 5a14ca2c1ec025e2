//! Former usage, for answers that lag. The lag is set in `quirks`.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::key::Key;
use crate::provider::values::money::Nano;
use crate::provider::values::windows::Usage;

/// The time for which it is kept, longer than any lag.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// The usage of keys and of the account before each change.
#[derive(Default)]
pub(crate) struct Past {
    keys: HashMap<usize, Replaced<Counters>>,
    /// The usage that answers by hash reported of each key, each time that it had grown.
    told: HashMap<usize, Vec<(Timestamp, Nano)>>,
    account: Replaced<Nano>,
}

#[derive(Clone)]
struct Counters {
    credit: Usage,
    byok: Usage,
    last_used_at: Option<Timestamp>,
}

/// Former values, each with the instant at which it was replaced, oldest first.
#[derive(Clone)]
struct Replaced<T>(Vec<(Timestamp, T)>);

impl Past {
    /// Records the counters of a key before its usage changes.
    pub(crate) fn note_key(&mut self, key: &Key, at: Timestamp) {
        let Key { credit, byok, last_used_at, .. } = key.clone();
        self.keys.entry(key.place).or_default().push(at, Counters { credit, byok, last_used_at });
    }

    /// Records the account's usage before it grows.
    pub(crate) fn note_account(&mut self, used: Nano, at: Timestamp) {
        self.account.push(at, used);
    }

    /// Records the usage that an answer by hash reported of a key.
    pub(crate) fn note_told(&mut self, place: usize, now: Timestamp, used: Nano) {
        let told = self.told.entry(place).or_default();
        if told.last().is_none_or(|(_, before)| *before < used) {
            told.push((now, used));
        }
    }

    pub(crate) fn told(&self, place: usize) -> &[(Timestamp, Nano)] {
        self.told.get(&place).map_or(&[], Vec::as_slice)
    }

    /// The account's usage as of `lag` ago, if it has grown since.
    pub(crate) fn account_before(&self, now: Timestamp, lag: SignedDuration) -> Option<Nano> {
        self.account.before(now, lag).copied()
    }

    /// The key with its counters as of `lag` ago; its other fields never lag.
    pub(crate) fn key_before<'a>(&self, key: &'a Key, now: Timestamp, lag: SignedDuration) -> Cow<'a, Key> {
        let past = self.keys.get(&key.place).and_then(|past| past.before(now, lag));
        let Some(Counters { credit, byok, last_used_at }) = past.cloned() else {
            return Cow::Borrowed(key);
        };
        Cow::Owned(Key { credit, byok, last_used_at, ..key.clone() })
    }
}

impl<T> Replaced<T> {
    /// Records that the value held until `at`. An earlier time than the last one is moved up to that.
    fn push(&mut self, at: Timestamp, value: T) {
        let at = self.0.last().map_or(at, |(last, _)| at.max(*last));
        self.0.retain(|(until, _)| *until > at - REMEMBERED);
        self.0.push((at, value));
    }

    /// The value as of `lag` ago, if it has been replaced since.
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
