//! A month of a sample, computed from what was counted: thirty days of schedules and nights, and what people do.

use anyhow::{Context, Result, ensure};
use bursar_local::template::Template;
use bursar_local::template::expression::Expression;
use bursar_tests::costs::Sample;
use jiff::SignedDuration;

use crate::counted::{Counts, NAMES};
use crate::world::Counted;

pub(crate) const DAYS: f64 = 30.0;
const WEEKS: f64 = DAYS / 7.0;
/// How far what was counted between two sizes may lie beside the line through them.
const OFF_THE_LINE: f64 = 0.1;
/// What a page, a part of a checkpoint and the like make of a small count.
const STEP: f64 = 40.0;

/// A quantity that grows with the number of students.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) base: Counts,
    pub(crate) of_each: Counts,
}

impl Line {
    /// The line through the smallest and the largest count. Those between must lie on it.
    pub(crate) fn through(what: &str, counted: &[Counted], of: impl Fn(&Counted) -> Counts) -> Result<Line> {
        let (first, last) = (counted.first().context("nothing was counted")?, counted.last().context("nothing")?);
        let of_each = (of(last) - of(first)) * (1.0 / (last.students - first.students));
        let line = Line { base: of(first) - of_each * first.students, of_each };
        for middle in counted {
            let (meant, is) = (line.at(middle.students), of(middle));
            for (place, name) in NAMES.iter().enumerate() {
                let off = (meant.0[place] - is.0[place]).abs();
                ensure!(
                    off <= OFF_THE_LINE * is.0[place].abs() + STEP * OFF_THE_LINE,
                    "{what} with {} students: {:.1} {name}, and the line says {:.1}; so 50,000 cannot be told from a few hundred",
                    middle.students,
                    is.0[place],
                    meant.0[place],
                );
            }
        }
        Ok(line)
    }

    pub(crate) fn at(&self, students: f64) -> Counts {
        self.base + self.of_each * students
    }
}

/// Everything that was counted, as lines where it grows.
pub(crate) struct Acts {
    /// All schedules of a day that find nothing to do.
    pub(crate) idle_day: Counts,
    pub(crate) import: Line,
    pub(crate) claim: Counts,
    pub(crate) look: Counts,
    pub(crate) staff: Line,
    pub(crate) quiet_night: Line,
    pub(crate) busy_night: Line,
    pub(crate) alert: Counts,
    pub(crate) digest: Line,
    pub(crate) delivered: Counts,
}

impl Acts {
    pub(crate) fn of(counted: &[Counted]) -> Result<Acts> {
        let last = counted.last().context("nothing was counted")?;
        Ok(Acts {
            idle_day: idle_day(last)?,
            import: Line::through("an import", counted, |counted| counted.import)?,
            claim: last.claim,
            look: last.look,
            staff: Line::through("a look of staff", counted, |counted| counted.staff)?,
            quiet_night: Line::through("a quiet night", counted, |counted| counted.quiet_night)?,
            busy_night: Line::through("a busy night", counted, |counted| counted.busy_night)?,
            alert: last.alert,
            digest: Line::through("a digest", counted, |counted| counted.digest)?,
            delivered: last.delivered,
        })
    }

    /// A month of schedules and of nights without keys.
    pub(crate) fn month_of_nobody(&self) -> Counts {
        (self.idle_day + self.quiet_night.base) * DAYS
    }

    /// The month of a sample, in parts that are told one by one.
    pub(crate) fn month(&self, sample: &Sample) -> Vec<(&'static str, Counts)> {
        let in_one = sample.students / sample.programmes;
        // What a night costs beside its keys is taken once for each programme, which is more than it is.
        let night = |line: &Line| line.base * sample.programmes + line.of_each * sample.students;
        let (quiet, busy) = (night(&self.quiet_night), night(&self.busy_night));
        let mut parts = vec![
            ("schedules that find nothing", self.idle_day * DAYS),
            ("nights", (quiet + (busy - quiet) * sample.keys_used_on_a_day) * DAYS),
            ("rosters", self.import.at(in_one) * sample.programmes),
            ("claims", self.claim * sample.claimed_in_the_month),
            ("looks of students", self.look * (sample.visits_of_a_student * sample.students)),
            ("looks of staff", self.staff.at(in_one) * sample.visits_of_staff),
            ("alerts", self.alert * sample.alerts),
            ("digests", self.digest.at(in_one) * (sample.programmes * WEEKS)),
        ];
        let mails: f64 = parts.iter().map(|(_, counts)| counts.mails()).sum();
        parts.push(("what became of mails", self.delivered * mails));
        parts
    }
}

fn idle_day(counted: &Counted) -> Result<Counts> {
    let mut day = Counts::default();
    for schedule in Template::bundled()?.schedules {
        let Some((_, _, once)) =
            counted.idle.iter().find(|(function, input, _)| (function, input) == (&schedule.function, &schedule.input))
        else {
            continue;
        };
        let times = match schedule.expression {
            Expression::Rate(period) => SignedDuration::from_hours(24).as_secs_f64() / period.as_secs_f64(),
            Expression::Daily(_) => 1.0,
        };
        day = day + *once * times;
    }
    Ok(day)
}
