//! The runs of the sync: each is on record with its report, and says when it is to be begun again.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::domain::values::id::new_ulid;
use crate::schema::{begin, key, stored};

/// One run of the sync, on record from its beginning for a year.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub run: Ulid,
    pub began_at: Moment,
    /// The beginning of the night to which it belongs: its own, or that of the run that it repeats.
    pub night: Moment,
    pub begun_by: BegunBy,
    /// `None` while it is under way, and of one that died.
    pub ended_at: Option<Moment>,
    pub complete: bool,
    /// Whether it had no time to judge each cap that students crossed.
    pub left_caps: bool,
    /// The report, as JSON text, once it has ended.
    pub report: String,
}

stored! {
    Run |run| (run: Ulid = run.run) => key("RUNS", run.to_string());
    list all() => begin("RUNS", "");
    expires |run| run.began_at + RUN_KEPT
}

pub(crate) const RUN_KEPT: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Who began a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BegunBy {
    /// The night's schedule.
    Night,
    /// The schedule of each quarter of an hour, since the night is not complete, or an admin let
    /// something be done.
    Quarter,
    Person,
}

/// The quarters of an hour after the beginning of a night at which a run is begun again while the
/// newest is not complete.
const AGAIN_AFTER: [i64; 7] = [1, 2, 4, 8, 16, 32, 64];
/// The time without a run after which one is overdue: a day, and the minutes by which schedules may
/// be late.
const OVERDUE: SignedDuration = SignedDuration::from_mins(24 * 60 + 10);
/// A schedule may come this much early.
const EARLY: SignedDuration = SignedDuration::from_mins(1);

impl Run {
    pub fn begun(now: Moment, night: Moment, begun_by: BegunBy) -> Run {
        let run = new_ulid(now);
        let report = String::new();
        Run {
            run,
            began_at: now,
            night,
            begun_by,
            ended_at: None,
            complete: false,
            left_caps: false,
            report,
        }
    }

    /// The night whose run is to be begun again in this quarter of an hour, this being the newest
    /// run: while that is not complete, seven times, after longer and longer; and where none began
    /// for a day, a night of its own. One that left caps is begun again at once, unless it was
    /// begun again itself.
    pub fn is_due_again(&self, now: Moment) -> Option<Moment> {
        if self.began_at + OVERDUE <= now {
            return Some(now);
        }
        let quarter = self.quarter_of(now);
        let was_begun =
            self.begun_by != BegunBy::Person && self.quarter_of(self.began_at) == quarter;
        let is_due = (self.left_caps || !self.complete) && AGAIN_AFTER.contains(&quarter);
        if was_begun {
            None
        } else if self.left_caps && self.begun_by != BegunBy::Quarter {
            Some(self.night_of_next(now))
        } else {
            is_due.then_some(self.night)
        }
    }

    /// The number of the quarter of an hour since the night began.
    fn quarter_of(&self, moment: Moment) -> i64 {
        moment
            .duration_since(self.night)
            .saturating_add(EARLY)
            .as_mins()
            / 15
    }

    /// The night to which one that is begun now belongs: after a complete one it has tries of its
    /// own.
    pub fn night_of_next(&self, now: Moment) -> Moment {
        if self.complete { now } else { self.night }
    }

    /// When it is begun again next, if it is not complete.
    pub fn again_at(&self, now: Moment) -> Option<Moment> {
        let starts =
            AGAIN_AFTER.map(|quarters| self.night + SignedDuration::from_mins(15 * quarters));
        starts
            .into_iter()
            .find(|start| now < *start)
            .filter(|_| !self.complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_is_begun_again_seven_times_and_a_missing_one_once() {
        let night: Moment = "2026-11-20T02:20:00Z".parse().unwrap();
        let after = |minutes| night + SignedDuration::from_mins(minutes);
        // The schedule's minutes, and the seconds by which it is late or early.
        let mut newest = Run::begun(night, night, BegunBy::Night);
        let mut begun = Vec::new();
        for (quarter, jitter) in (1..=100).zip([0_i64, 20, -20].into_iter().cycle()) {
            let now = after(15 * quarter) + SignedDuration::from_secs(jitter);
            if newest.is_due_again(now) == Some(night) {
                newest = Run::begun(now, night, BegunBy::Quarter);
                begun.push(quarter);
            }
            assert_eq!(
                newest.is_due_again(now + SignedDuration::from_secs(15)),
                None,
                "twice in quarter {quarter}"
            );
        }
        assert_eq!(begun, AGAIN_AFTER);
        // One that a person begins uses up none of them, and a complete one ends them.
        let pressed = Run::begun(after(15), night, BegunBy::Person);
        assert_eq!(pressed.is_due_again(after(16)), Some(night));
        assert_eq!(pressed.again_at(after(16)), Some(after(30)));
        let complete = Run {
            complete: true,
            ..pressed
        };
        // One that left caps in the afternoon is repeated at once, and where that dies, soon after.
        let late = Run {
            left_caps: true,
            ..complete.clone()
        };
        assert_eq!(late.is_due_again(after(20 * 15)), Some(after(20 * 15)));
        let has_left = Run {
            left_caps: true,
            begun_by: BegunBy::Quarter,
            ..complete.clone()
        };
        assert_eq!(
            [28, 30].map(|minutes| has_left.is_due_again(after(minutes))),
            [None, Some(night)]
        );
        assert_eq!(
            (
                complete.is_due_again(after(30)),
                complete.again_at(after(30))
            ),
            (None, None)
        );
        assert_eq!(
            complete.is_due_again(after(15 + 24 * 60 + 10)),
            Some(after(15 + 24 * 60 + 10)),
            "a night of its own"
        );
    }
}
