//! Pauses by the clock: from one instant until another no key of a programme is wanted on, or of a group, as for an exam. No hold is written.
//! Whoever is added or moved meanwhile is in the pause, and whoever moves to a group without times is not.
//!
//! The work of each minute marks grants as due at both instants.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::grant::LEASE;
use crate::domain::values::format::column_time;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::partition::overview_key;
use crate::schema::{ItemKey, Queue, overview, stored};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseTimes {
    pub from: Moment,
    pub until: Moment,
}

impl PauseTimes {
    pub fn in_words(self, zone: &TimeZone) -> String {
        format!("from {} until {}", column_time(self.from, zone), column_time(self.until, zone))
    }
}

/// The pauses of a programme and of its groups. Who is in a group is in both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockPauses {
    pub all: Option<PauseTimes>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, PauseTimes>,
}

impl ClockPauses {
    /// When the pause is over in which the members of this group are.
    pub fn until(&self, group: Option<&str>, now: Moment) -> Option<Moment> {
        let in_force = self.of_group(group).filter(|times| times.from <= now && now < times.until);
        in_force.map(|times| times.until).max()
    }

    /// The pauses of whoever is in this group.
    pub fn of_group(&self, group: Option<&str>) -> impl Iterator<Item = PauseTimes> {
        self.all.into_iter().chain(group.and_then(|group| self.groups.get(group).copied()))
    }

    fn turns(&self) -> impl Iterator<Item = Moment> {
        self.all.iter().chain(self.groups.values()).flat_map(|times| [times.from, times.until])
    }
}

/// When the keys of a programme are compared with its pauses next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PauseWatch {
    pub programme: ProgrammeId,
    pub edited_at: Moment,
    pub due_at: Option<Moment>,
}

stored! {
    PauseWatch |watch| (programme: &ProgrammeId = &watch.programme) => overview_key(programme, "PAUSE");
    waits watch.due_at.map(|due_at| (Queue::JOB, due_at))
}

impl PauseWatch {
    /// The programme of the watch of this key, if it is one's.
    pub fn named(key: &ItemKey) -> Option<ProgrammeId> {
        key.pk.strip_prefix("P#").filter(|_| key.sk == overview("PAUSE"))?.parse().ok()
    }

    pub fn edited(programme: &ProgrammeId, now: Moment) -> PauseWatch {
        PauseWatch { programme: programme.clone(), edited_at: now, due_at: Some(now) }
    }

    /// The watch after all keys were compared, beginning at this instant. Each turn is looked at twice, the second time when no request is
    /// left that began before it and may have written something since.
    #[must_use]
    pub fn compared(self, pauses: &ClockPauses, begun_at: Moment) -> PauseWatch {
        let turns = pauses.turns().chain([self.edited_at]).flat_map(|turn| [turn, turn + LEASE]);
        let due_at = turns.filter(|turn| *turn > begun_at).min();
        PauseWatch { due_at, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::{a_programme, at};

    #[test]
    fn a_group_is_in_both_pauses() {
        let times = |from: &str, until: &str| PauseTimes { from: at(from), until: at(until) };
        let all = Some(times("2026-02-01T09:00:00Z", "2026-02-01T11:00:00Z"));
        let late = times("2026-02-01T10:00:00Z", "2026-02-01T12:00:00Z");
        let pauses = ClockPauses { all, groups: [("A".to_owned(), late)].into() };
        let until = |group, now: &str| pauses.until(group, at(now)).map(|until| until.to_string());
        let noon = Some("2026-02-01T12:00:00Z".to_owned());
        let eleven = Some("2026-02-01T11:00:00Z".to_owned());
        for (now, nobody, group) in [
            ("2026-02-01T08:59:59Z", None, None),
            ("2026-02-01T09:00:00Z", eleven.clone(), eleven.clone()),
            ("2026-02-01T10:00:00Z", eleven, noon.clone()),
            ("2026-02-01T11:00:00Z", None, noon),
            ("2026-02-01T12:00:00Z", None, None),
        ] {
            assert_eq!((until(Some("B"), now), until(Some("A"), now)), (nobody, group), "{now}");
        }
    }

    #[test]
    fn each_turn_is_looked_at_twice() {
        let times = PauseTimes { from: at("2026-02-01T09:00:00Z"), until: at("2026-02-01T11:00:00Z") };
        let pauses = ClockPauses { all: Some(times), ..ClockPauses::default() };
        let mut watch = PauseWatch::edited(&a_programme().id, at("2026-02-01T08:00:30Z"));
        let mut looks = Vec::new();
        while let Some(due_at) = watch.due_at {
            looks.push(due_at.to_string());
            watch = watch.compared(&pauses, due_at);
        }
        let expected = ["08:00:30", "08:01:30", "09:00:00", "09:01:00", "11:00:00", "11:01:00"];
        assert_eq!(looks, expected.map(|time| format!("2026-02-01T{time}Z")));
    }
}
