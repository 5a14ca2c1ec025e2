//! What was used a while ago, for answers that lag behind. How far they lag is `quirks.rs`.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::key::Key;
use crate::provider::values::money::Nano;
use crate::provider::values::windows::Usage;

/// Longer than any answer lags.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// What keys and the account had used before they used more.
#[derive(Default)]
pub(crate) struct Past {
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

impl Past {
    /// Notes the counters of a key before it uses more, or less.
    pub(crate) fn note_key(&mut self, key: &Key, at: Timestamp) {
        let Key { credit, byok, last_used_at, .. } = key.clone();
        self.keys.entry(key.place).or_default().push(at, Counters { credit, byok, last_used_at });
    }

    /// Notes what the account had used before it uses more.
    pub(crate) fn note_account(&mut self, used: Nano, at: Timestamp) {
        self.account.push(at, used);
    }

    /// Notes what an answer by its hash said of a key.
    pub(crate) fn note_told(&mut self, place: usize, now: Timestamp, used: Nano) {
        let told = self.told.entry(place).or_default();
        if told.last().is_none_or(|(_, before)| *before < used) {
            told.push((now, used));
        }
    }

    pub(crate) fn told(&self, place: usize) -> &[(Timestamp, Nano)] {
        self.told.get(&place).map_or(&[], Vec::as_slice)
    }

    /// What the account had used so long ago, if it has used more since.
    pub(crate) fn account_before(&self, now: Timestamp, lag: SignedDuration) -> Option<Nano> {
        self.account.before(now, lag).copied()
    }

    /// The key with the counters of so long ago. Everything else of it is never behind.
    pub(crate) fn key_before<'a>(&self, key: &'a Key, now: Timestamp, lag: SignedDuration) -> Cow<'a, Key> {
        let past = self.keys.get(&key.place).and_then(|past| past.before(now, lag));
        let Some(Counters { credit, byok, last_used_at }) = past.cloned() else {
            return Cow::Borrowed(key);
        };
        Cow::Owned(Key { credit, byok, last_used_at, ..key.clone() })
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
