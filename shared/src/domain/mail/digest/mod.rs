//! The weekly digest: what a programme's people learn of the money and of who needs a look. It
//! names grants, groups and models and never a person; people are looked up when it is sent. The
//! mail function has its words.

use std::cmp::Reverse;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::mail::kind::OUTBOX_KEPT;
use crate::domain::programme::{Budget, Byok};
use crate::domain::usage::days::{Accuracy, Days, Sum};
use crate::domain::usage::forecast::StandingOut;
use crate::domain::usage::models::ModelUse;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::id::{GrantId, PersonId, ProgrammeId};
use crate::domain::values::money::Usd;
use crate::domain::values::partition::programme_partition;
use crate::schema::{begin, key, stored};

mod class;
mod due;

pub use class::Class;
pub use due::{DigestTrigger, Due, of_programme};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Digest {
    pub programme: ProgrammeId,
    /// The Monday of the digest's calendar week, by which it is identified.
    pub week: Date,
    pub found_at: Moment,
    /// The first and the last of the completed UTC days that it covers.
    pub days: (Date, Date),
    pub money: DigestMoney,
    pub groups: Vec<DigestLine>,
    /// The use by model, in the money that the programme counted, the largest first.
    pub models: Vec<ModelUse>,
    /// The ranges of days for which the use by model is not known.
    pub models_unknown: Vec<(Date, Date)>,
    pub standing_out: StandingOut,
    /// `None` where no run was whole in these days, or since the programme was made.
    pub people: Option<DigestPeople>,
    /// The beginning of the last whole listing, up to which figures can be relied on.
    pub listed_at: Option<Moment>,
    /// The recipients; the store fills them in, together with how many of them have a mail queued.
    pub recipients: Vec<PersonId>,
    pub queued: u32,
}

stored! {
    // The digest of a programme for one calendar week, by its Monday. There is one key, so there is
    // one digest.
    Digest |digest| (programme: &ProgrammeId, week: Date = digest.week) => key(programme_partition(programme), format!("DIGEST#{week}"));
    list of_programme(programme: &ProgrammeId) => begin(programme_partition(programme), "DIGEST#");
    expires |digest| digest.found_at + OUTBOX_KEPT
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DigestMoney {
    pub budget: Budget,
    /// Whether keys made elsewhere count that are in use.
    pub owns_keys: bool,
    pub this_week: Sum,
    pub week_before: Sum,
    pub spent: Days,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestLine {
    pub subject: LineSubject,
    pub this_week: Usd,
    pub week_before: Usd,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineSubject {
    Group(String),
    NoGroup,
    /// Keys that the programme owns and Bursar did not make.
    Assigned,
    /// The remaining parts, put together: how many they are.
    Further(u32),
}

/// The people of a programme who need a look, as the sync's last whole run of a day found them. A
/// digest has those of its own days, also where its morning is after the next night.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptPeople {
    pub programme: ProgrammeId,
    pub as_of: Moment,
    pub people: DigestPeople,
}

stored! {
    // By the last day that they were looked at for.
    KeptPeople |kept| (programme: &ProgrammeId, last: Date = kept.people.days.1) => key(programme_partition(programme), format!("PEOPLE#{last}"));
    list of_programme(programme: &ProgrammeId) => begin(programme_partition(programme), "PEOPLE#");
    expires |kept| kept.as_of + OUTBOX_KEPT
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DigestPeople {
    /// The completed UTC days of the week that they were looked at for.
    pub days: (Date, Date),
    /// Students on the roster: all grants but the revoked and the dropped ones; those of them who
    /// have had a key; and those who spent anything in the week as well.
    pub students: u32,
    pub claimed: u32,
    pub active: u32,
    /// The highest spenders of the week, some of whose grants may be revoked or dropped.
    pub spenders: Vec<Spender>,
    /// People who need a look, by the reason.
    pub needs: Vec<(Need, PeopleSample)>,
}

impl DigestPeople {
    /// The grants that are named.
    pub fn grants(&self) -> impl Iterator<Item = &GrantId> {
        let in_need = self.needs.iter().flat_map(|(_, sample)| &sample.first);
        self.spenders
            .iter()
            .map(|spender| &spender.grant)
            .chain(in_need)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spender {
    pub grant: GrantId,
    pub this_week: Usd,
    /// The count against the cap, in the window of the week's last day; with a daily cap, on the
    /// day with the highest count.
    pub of_cap: Usd,
    pub cap: Usd,
}

/// A group of people: how many they are, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PeopleSample {
    pub count: u32,
    pub first: Vec<GrantId>,
}

/// What who has no key can do about it.
const TAKE_A_NEW_ONE: &str = "Remind them: they can get a new key on their own page.";
const REMIND: &str =
    "Faculty can remind them on the programme's page, to which the link below leads.";

crate::named! {
    /// Why somebody needs a look, in the order in which a digest has them, and what to do about it:
    /// they cannot use a key now, or used their cap up in a window of the week; or something else
    /// keeps them from using one.
    #[derive(PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Need: label, advice {
        UsedUp = "Used up their cap", "Faculty can raise the cap of those who need more, on the student's page.";
        Paused = "Paused", "Resume the key on the student's page when the reason is gone.";
        Unused = "Switched off because the key was not used",
            "They can switch it on again with one button on their own page, while the budget has room.";
        Leaked = "Switched off because the key was reported leaked", TAKE_A_NEW_ONE;
        TooOld = "Switched off because the key was too old", TAKE_A_NEW_ONE;
        TermEnded = "Ended with the term as it was before it was extended", TAKE_A_NEW_ONE;
        Replacing = "Without a key because a new one could not be made", TAKE_A_NEW_ONE;
        GoneAtProvider = "Switched off or deleted at OpenRouter",
            "Ask an admin why. They can get a new key on their own page.";
        NeverUsed = "Never used their key", REMIND;
        /// While keys can be claimed and the budget has room.
        Unclaimed = "Not claimed yet", REMIND;
        Unreached = "Mail does not reach them",
            "Their mail comes back, so nothing is sent to them, not even a link to sign in. Ask for an address that works, or have this one tried again on the student's page.";
        /// They get links alone.
        Complained = "Marked a mail as unwanted",
            "They still get links to sign in, but no invitation, no reminders, and no warning before a rule switches off their key. If they want mail after all, have it tried again on the student's page.";
    }
}

impl DigestMoney {
    /// The money of a programme that has totals on record or, where no key was ever shown,
    /// certainly spent nothing.
    pub fn new(
        spent: Days,
        budget: Budget,
        owns_keys: bool,
        weeks: [(Date, Date); 2],
        listing: LastListing,
    ) -> DigestMoney {
        let [this_week, week_before] = weeks.map(|week| listing.sum(&spent, week));
        DigestMoney {
            budget,
            owns_keys,
            this_week,
            week_before,
            spent,
        }
    }
}

/// The extent of what is known about a programme's keys.
#[derive(Debug, Clone, Copy)]
pub enum LastListing {
    /// No key was ever shown, so no listing is needed.
    NoNeed,
    Never,
    On(Date),
}

impl LastListing {
    pub fn sum(self, days: &Days, (first_day, last_day): (Date, Date)) -> Sum {
        match self {
            LastListing::NoNeed => Sum {
                accuracy: Accuracy::Exactly,
                ..days.between(first_day, last_day, Some(last_day))
            },
            LastListing::Never => days.between(first_day, last_day, None),
            LastListing::On(day) => {
                let complete = day.yesterday().ok();
                let sum = days.between(first_day, last_day, complete);
                let before = complete
                    .filter(|_| day == last_day)
                    .map(|last| days.between(first_day, last, complete).accuracy);
                let is_known = before == Some(Accuracy::Exactly);
                Sum {
                    accuracy: if is_known {
                        Accuracy::Until(day)
                    } else {
                        sum.accuracy
                    },
                    ..sum
                }
            }
        }
    }
}

/// More lines than these are put together into one.
pub const MOST_LINES: usize = 12;

/// The spending by group, in this week and the one before. People without a group make up the
/// difference to all of the programme but its foreign keys; a programme without groups has no
/// lines.
pub fn groups<'a>(
    by_group: impl IntoIterator<Item = (&'a String, &'a DailyUse)>,
    assigned: &DailyUse,
    byok: Byok,
    weeks: [(Date, Date); 2],
    totals: [Sum; 2],
) -> Vec<DigestLine> {
    let of_groups = by_group
        .into_iter()
        .map(|(group, used)| DigestLine::new(LineSubject::Group(group.clone()), used, byok, weeks));
    let mut lines: Vec<DigestLine> = of_groups.collect();
    if lines.is_empty() {
        return lines;
    }
    // The sort is stable, so equal ones stay in the order of their names.
    lines.sort_by_key(|line| (Reverse(line.this_week), Reverse(line.week_before)));
    let [this_week, week_before] = sum_weeks(&lines);
    let assigned = DigestLine::new(LineSubject::Assigned, assigned, byok, weeks);
    let [this_week, week_before] = [
        totals[0].spent - assigned.this_week - this_week,
        totals[1].spent - assigned.week_before - week_before,
    ];
    let further = lines.split_off(lines.len().min(MOST_LINES));
    if !further.is_empty() {
        let [this_week, week_before] = sum_weeks(&further);
        let count = further.len() as u32;
        lines.push(DigestLine {
            subject: LineSubject::Further(count),
            this_week,
            week_before,
        });
    }
    if this_week > Usd::ZERO || week_before > Usd::ZERO {
        lines.push(DigestLine {
            subject: LineSubject::NoGroup,
            this_week,
            week_before,
        });
    }
    if assigned.this_week > Usd::ZERO || assigned.week_before > Usd::ZERO {
        lines.push(assigned);
    }
    lines
}

impl DigestLine {
    fn new(
        subject: LineSubject,
        used: &DailyUse,
        byok: Byok,
        weeks: [(Date, Date); 2],
    ) -> DigestLine {
        let days = used.days(byok);
        let [this_week, week_before] =
            weeks.map(|(first, last)| days.between(first, last, None).spent);
        DigestLine {
            subject,
            this_week,
            week_before,
        }
    }
}

/// What these lines come to, in this week and the one before.
fn sum_weeks(lines: &[DigestLine]) -> [Usd; 2] {
    [
        lines.iter().map(|line| line.this_week).sum(),
        lines.iter().map(|line| line.week_before).sum(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::usage::days::Accuracy;
    use crate::tests::values::dollars as usd;

    const WEEKS: [(Date, Date); 2] = [
        (Date::constant(2026, 11, 9), Date::constant(2026, 11, 15)),
        (Date::constant(2026, 11, 2), Date::constant(2026, 11, 8)),
    ];

    fn exactly(dollars: i32) -> Sum {
        Sum {
            spent: usd(dollars),
            accuracy: Accuracy::Exactly,
        }
    }

    fn spent(this_week: i32, week_before: i32) -> DailyUse {
        let mut used = DailyUse::on_one(WEEKS[0].1, usd(this_week));
        used.add(&DailyUse::on_one(WEEKS[1].0, usd(week_before)));
        used
    }

    /// Groups are listed largest first, then use outside any group, and foreign keys last.
    #[test]
    fn groups_are_the_largest_first() {
        let by_group = [
            ("A".to_owned(), spent(1, 9)),
            ("B".to_owned(), spent(5, 0)),
            ("C".to_owned(), spent(1, 9)),
        ];
        let by_group = by_group.iter().map(|(name, used)| (name, used));
        let lines = groups(
            by_group,
            &spent(4, 2),
            Byok::Inside,
            WEEKS,
            [exactly(14), exactly(20)],
        );
        let shown: Vec<_> = lines
            .iter()
            .map(|line| (line.subject.clone(), line.this_week, line.week_before))
            .collect();
        let group = |name: &str| LineSubject::Group(name.to_owned());
        let expected = [
            (group("B"), usd(5), usd(0)),
            (group("A"), usd(1), usd(9)),
            (group("C"), usd(1), usd(9)),
            (LineSubject::NoGroup, usd(3), usd(0)),
            (LineSubject::Assigned, usd(4), usd(2)),
        ];
        assert_eq!(shown, expected);
        assert_eq!(
            groups(
                [],
                &spent(4, 2),
                Byok::Inside,
                WEEKS,
                [exactly(10), exactly(18)]
            ),
            []
        );
    }

    #[test]
    fn of_very_many_groups_the_smallest_are_put_together() {
        let by_group: Vec<_> = (1..=14)
            .map(|number| (format!("{number:02}"), spent(number, 0)))
            .collect();
        let by_group = by_group.iter().map(|(name, used)| (name, used));
        let lines = groups(
            by_group,
            &DailyUse::default(),
            Byok::Inside,
            WEEKS,
            [exactly(105), exactly(0)],
        );
        assert_eq!(lines.len(), MOST_LINES + 1);
        assert_eq!(
            (&lines[MOST_LINES].subject, lines[MOST_LINES].this_week),
            (&LineSubject::Further(2), usd(3))
        );
    }
}
