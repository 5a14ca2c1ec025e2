//! What the provider may hold of one value: what it confirmed last, and what was sent since and may
//! still take effect.
//!
//! A value is noted before it is sent, and the note stays until an answer or a listing shows what
//! came of it. A call without an answer, or with an error for an answer, may take effect late, but
//! not after [`LATE`]. So an answer ends the notes of other values that are older than that, and
//! confirms its own value only when none of another is left. Two calls with the same value have one
//! note, from the first to the last: an answer to one of them does not end it, since the other may
//! still be under way.
//!
//! Nothing here is a key's or a guardrail's: it is the same rule for each value that the provider
//! is told.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// For so long a call without an answer may take effect after it was noted: a minute until the
/// provider does it, ten seconds for the call itself, and ten to spare.
pub const LATE: SignedDuration = SignedDuration::from_secs(80);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held<T> {
    confirmed: Option<Confirmed<T>>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    in_doubt: Vec<Note<T>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Confirmed<T> {
    value: T,
    /// When the answer came.
    answered_at: Moment,
    /// Whether somebody else may have changed it since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_doubted: bool,
}

/// That a value was sent, once or several times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note<T> {
    value: T,
    first: Moment,
    last: Moment,
}

impl<T> Default for Held<T> {
    fn default() -> Held<T> {
        Held {
            confirmed: None,
            in_doubt: Vec::new(),
        }
    }
}

impl<T: Clone + PartialEq> Held<T> {
    /// What was confirmed at once, by the call that made it.
    pub fn confirmed(value: T, answered_at: Moment) -> Held<T> {
        Held {
            confirmed: Some(Confirmed {
                value,
                answered_at,
                is_doubted: false,
            }),
            in_doubt: Vec::new(),
        }
    }

    /// Notes that a value is sent now. Returns the instant by which the call knows its own note.
    pub fn note(&mut self, value: &T, now: Moment) -> Moment {
        match self.in_doubt.iter_mut().find(|note| note.value == *value) {
            // Two notes of one instant are two notes.
            Some(note) => {
                note.last = now
                    .max(note.first + SignedDuration::from_millis(1))
                    .max(note.last);
            }
            None => self.in_doubt.push(Note {
                value: value.clone(),
                first: now,
                last: now,
            }),
        }
        now
    }

    /// Takes in that the provider says a value: in the answer to the call that was noted then, or
    /// in a listing. It was asked at `asked_at`, and the answer came at `now`. A call whose note is
    /// gone says nothing.
    pub fn take_in(&mut self, value: &T, asked_at: Moment, noted_at: Option<Moment>, now: Moment) {
        self.in_doubt
            .retain(|note| note.value == *value || note.may_come_after(asked_at));
        let is_noted = noted_at.is_none_or(|noted_at| {
            self.in_doubt
                .iter()
                .any(|note| note.value == *value && note.holds(noted_at))
        });
        let is_older = self
            .confirmed
            .as_ref()
            .is_some_and(|confirmed| asked_at < confirmed.answered_at);
        if self.differs(value) || is_older || !is_noted {
            return;
        }
        // That nothing changed is no news.
        let confirmed = self
            .confirmed
            .take()
            .filter(|confirmed| confirmed.value == *value && noted_at.is_none());
        let answered_at = confirmed.map_or(now, |confirmed| confirmed.answered_at);
        self.confirmed = Some(Confirmed {
            value: value.clone(),
            answered_at,
            is_doubted: false,
        });
        self.in_doubt.retain(|note| {
            note.may_come_after(asked_at) && noted_at.is_none_or(|noted_at| !note.is_only(noted_at))
        });
    }

    /// Doubts what was confirmed, since somebody else may have changed it.
    pub fn doubt(&mut self) {
        if let Some(confirmed) = &mut self.confirmed {
            confirmed.is_doubted = true;
        }
    }

    /// Whether the provider holds this value for certain.
    pub fn is(&self, value: &T) -> bool {
        self.confirmed
            .as_ref()
            .is_some_and(|confirmed| confirmed.value == *value && !confirmed.is_doubted)
            && !self.differs(value)
    }

    /// Whether another value than this was sent and may still take effect.
    fn differs(&self, value: &T) -> bool {
        self.in_doubt.iter().any(|note| note.value != *value)
    }

    /// The value that was confirmed last, though it may be doubted.
    pub fn known(&self) -> Option<&T> {
        self.confirmed.as_ref().map(|confirmed| &confirmed.value)
    }

    /// Since when the provider holds this value for certain.
    pub fn since(&self, value: &T) -> Option<Moment> {
        self.confirmed
            .as_ref()
            .filter(|_| self.is(value))
            .map(|confirmed| confirmed.answered_at)
    }

    /// When this value was sent last, if that may still take effect.
    pub fn sent(&self, value: &T) -> Option<Moment> {
        self.in_doubt
            .iter()
            .find(|note| note.value == *value)
            .map(|note| note.last)
    }

    /// The values that the provider may hold.
    pub fn possible(&self) -> impl Iterator<Item = &T> {
        self.known()
            .into_iter()
            .chain(self.in_doubt.iter().map(|note| &note.value))
    }

    pub fn may_be(&self, value: &T) -> bool {
        self.possible().any(|possible| possible == value)
    }

    /// Whether what was asked for then shows another hand where it is no value that was sent: no
    /// call may come any more, and the last answer is long past.
    pub fn is_quiet(&self, asked_at: Moment) -> bool {
        let may_come = self
            .in_doubt
            .iter()
            .any(|note| note.may_come_after(asked_at));
        !may_come
            && self
                .confirmed
                .as_ref()
                .is_some_and(|confirmed| asked_at >= confirmed.answered_at + LATE)
    }

    pub fn is_doubted(&self) -> bool {
        self.confirmed
            .as_ref()
            .is_some_and(|confirmed| confirmed.is_doubted)
    }

    /// Whether the provider may hold another value than it confirmed.
    pub fn is_in_doubt(&self) -> bool {
        self.is_doubted()
            || self
                .in_doubt
                .iter()
                .any(|note| Some(&note.value) != self.known())
    }

    /// Whether nothing was sent that would change what was confirmed.
    pub fn is_settled(&self) -> bool {
        self.known().is_some_and(|value| !self.differs(value))
    }

    /// When a value is to be sent; `None` if the provider holds it for certain. Where another that
    /// was sent before may come after it, it is sent again once that is past.
    pub fn due(&self, value: &T) -> Option<Moment> {
        if self.is(value) {
            return None;
        }
        let other_sent = self
            .in_doubt
            .iter()
            .filter(|note| note.value != *value)
            .map(|note| note.last)
            .max();
        Some(match (self.sent(value), other_sent) {
            (Some(sent), Some(other_sent)) if other_sent <= sent => other_sent + LATE,
            _ => Moment::UNIX_EPOCH,
        })
    }
}

impl<T> Note<T> {
    /// Whether the call may take effect after this time.
    fn may_come_after(&self, time: Moment) -> bool {
        time < self.last + LATE
    }

    fn holds(&self, noted_at: Moment) -> bool {
        (self.first..=self.last).contains(&noted_at)
    }

    fn is_only(&self, noted_at: Moment) -> bool {
        self.first == noted_at && self.last == noted_at
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use proptest::prelude::*;

    use super::*;

    const AT_ONCE: Option<Moment> = Some(Moment::UNIX_EPOCH);

    fn at(seconds: i64) -> Moment {
        "2026-02-01T00:00:00Z".parse::<Moment>().unwrap() + seconds.seconds()
    }

    /// Held, with a value that was confirmed at once.
    fn holding(value: u8) -> Held<u8> {
        let mut held = Held::default();
        let own = held.note(&value, at(0));
        held.take_in(&value, at(0), Some(own), at(0));
        assert!(held.is(&value));
        held
    }

    /// An answer that was requested too early, or whose pending call is gone, changes nothing.
    #[test]
    fn stale_answers_change_nothing() {
        let mut held = holding(1);
        held.take_in(&2, at(-1), None, at(101));
        assert!(held.is(&1), "asked before the confirmed answer came");
        held.take_in(&2, at(100), Some(at(100)), at(101));
        assert!(held.is(&1), "its note is gone");
        held.doubt();
        assert!(held.is_in_doubt() && held.is_settled());
        assert_eq!(
            (held.is(&1), held.known(), held.due(&1)),
            (false, Some(&1), AT_ONCE)
        );
    }

    #[test]
    fn a_note_ends_with_its_age_and_speaks_for_its_own_call() {
        let mut held = holding(1);
        held.take_in(&2, at(50), None, at(51));
        assert_eq!((held.since(&2), held.since(&1)), (Some(at(51)), None));
        held.take_in(&2, at(60), None, at(61));
        assert_eq!(
            held.since(&2),
            Some(at(51)),
            "that nothing changed is no news"
        );
        let own = held.note(&2, at(70));
        held.take_in(&2, at(70), Some(own), at(71));
        assert_eq!(held.since(&2), Some(at(71)));
        held.note(&3, at(100));
        held.take_in(&3, at(101), Some(at(99)), at(102));
        assert!(!held.is(&3), "that call's own note is gone");
        held.take_in(&2, at(179), None, at(179));
        assert!(!held.is(&2));
        held.take_in(&2, at(180), None, at(180));
        assert!(held.is(&2));
    }

    #[test]
    fn another_value_on_its_way_is_a_doubt() {
        let mut held = holding(1);
        held.note(&1, at(100));
        assert!(!held.is_in_doubt() && held.is_settled());
        held.note(&2, at(101));
        assert!(held.is_in_doubt() && !held.is_settled());
    }

    #[test]
    fn another_hand_is_seen_once_no_call_may_come() {
        let mut held = holding(1);
        held.note(&2, at(100));
        assert_eq!(
            [179, 180].map(|second| held.is_quiet(at(second))),
            [false, true]
        );
        held.take_in(&2, at(181), None, at(182));
        assert_eq!(
            [261, 262].map(|second| held.is_quiet(at(second))),
            [false, true]
        );
    }

    /// What happens at the provider or comes from it, at an instant.
    #[derive(Debug, Clone)]
    enum ProviderEvent {
        Effect(u8),
        Answer {
            value: u8,
            asked: i64,
            own: Moment,
        },
        /// The listing reads the value here, and its answer comes some seconds later.
        Read {
            asked: i64,
            answered: i64,
        },
        Listed {
            value: u8,
            asked: i64,
        },
    }

    #[derive(Debug, Default)]
    struct World {
        now: i64,
        held: Held<u8>,
        truth: u8,
        events: Vec<(i64, ProviderEvent)>,
    }

    impl World {
        /// Lets time pass, and checks after each event that what counts as certain is so, and stays
        /// so.
        fn pass(&mut self, seconds: i64) {
            let until = self.now + seconds;
            while let Some(next) = (0..self.events.len()).min_by_key(|place| self.events[*place].0)
            {
                if self.events[next].0 > until {
                    break;
                }
                let (now, event) = self.events.remove(next);
                self.now = now;
                match event {
                    ProviderEvent::Effect(value) => self.truth = value,
                    ProviderEvent::Answer { value, asked, own } => {
                        self.held.take_in(&value, at(asked), Some(own), at(now));
                    }
                    ProviderEvent::Read { asked, answered } => {
                        self.events.push((
                            answered,
                            ProviderEvent::Listed {
                                value: self.truth,
                                asked,
                            },
                        ));
                    }
                    ProviderEvent::Listed { value, asked } => {
                        self.held.take_in(&value, at(asked), None, at(now));
                    }
                }
                self.check();
            }
            self.now = until;
        }

        fn check(&self) {
            for value in 0..4 {
                let may_come = |event: &ProviderEvent| matches!(event, ProviderEvent::Effect(other) if *other != value);
                if self.held.is(&value) {
                    assert_eq!(self.truth, value, "at {}: {self:?}", self.now);
                    assert!(
                        !self.events.iter().any(|(_, event)| may_come(event)),
                        "at {}: {self:?}",
                        self.now
                    );
                }
            }
        }

        /// Sends a value, some seconds after its note. Its effect comes up to a minute later or
        /// never; its answer soon, or never.
        fn send(&mut self, value: u8, begins: i64, effect: Option<i64>, answers: bool) {
            let own = self.held.note(&value, at(self.now));
            let asked = self.now + begins;
            let Some(effect) = effect.map(|after| asked + after) else {
                return;
            };
            self.events.push((effect, ProviderEvent::Effect(value)));
            if answers && effect < asked + 10 {
                self.events
                    .push((effect + 1, ProviderEvent::Answer { value, asked, own }));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_certain_is_so(
            steps in prop::collection::vec((0..5_u8, 0..4_u8, 0..5_i64, prop::option::of(0..60_i64), any::<bool>()), 1..40),
        ) {
            let mut world = World::default();
            for (what, value, seconds, effect, answers) in steps {
                match what {
                    0 => world.send(value, seconds, effect, answers),
                    1 => world.send(value, seconds, effect.map(|after| after % 8), true),
                    2 => {
                        let read = world.now + seconds;
                        world.events.push((read, ProviderEvent::Read { asked: world.now, answered: read + seconds }));
                    }
                    _ => world.pass(effect.unwrap_or(seconds)),
                }
                world.check();
            }
            // Whatever happened, a few calls that are answered make it certain.
            for _ in 0..4 {
                let Some(due) = world.held.due(&1) else { break };
                while at(world.now) < due {
                    world.pass(1);
                }
                world.send(1, 0, Some(0), true);
                world.pass(1);
            }
            prop_assert!(world.held.is(&1), "{:?}", world);
        }
    }
}
