//! The statement of an account: what it spent between two cuts, by cost code and programme, and
//! what no key explains.
//!
//! Each cut's parts add up to what the account had spent, so their differences add up to what it
//! spent in between. The days in which the first cut lies have, besides, what our own keys had used
//! by then, so that all of it is on one statement. Cost codes are those of today.

use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::cut::{AccountCut, ProgrammeCut};
use crate::clock::Moment;
use crate::domain::audit::{Act, AuditEntry};
use crate::domain::programme::Programme;
use crate::domain::values::format::{long_date, utc};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::{Usd, round_to_cents};
use crate::domain::values::window::{end_of_utc_day, utc_date, utc_midnight};

/// The whole UTC days that a statement is asked for, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StatementDays {
    pub first: Date,
    pub last: Date,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    pub days: StatementDays,
    pub from: Moment,
    pub to: Moment,
    pub rows: Vec<StatementRow>,
    /// What the account spent from the first cut to the second, as the provider reports it, with
    /// what our keys had used before the first of all.
    pub change: Usd,
    pub bought: Usd,
    /// Whether it begins with the first cut of all.
    pub is_the_first: bool,
    /// The store fills them in.
    pub code_changes: Vec<CodeChange>,
}

/// A cost code that was changed after the beginning of a statement, whose rows all stand under the
/// one of today.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodeChange {
    pub programme: ProgrammeId,
    pub before: String,
    pub after: String,
    changed_on: Date,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatementRow {
    /// The programme, its name and its cost code; `None` for what is no programme's.
    pub programme: Option<ProgrammeId>,
    pub name: Option<String>,
    pub cost_code: Option<String>,
    pub kind: RowKind,
    pub spent: Usd,
}

crate::named! {
    #[derive(PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum RowKind: as_str, to_words {
        Keys = "keys", "keys of students";
        /// It is in no sum.
        Byok = "byok", "own provider keys: an estimate of another bill, not in the sum";
        Assigned = "assigned", "keys made elsewhere that the programme owns";
        Unowned = "unowned", "keys made elsewhere without an owner";
        Unsettled = "unsettled", "spent while the keys were being checked";
        Residual = "residual", "not explained by any known key";
        Opening = "opening", "before Bursar";
    }
}

impl StatementDays {
    pub fn new(first: Date, last: Date) -> Option<StatementDays> {
        (first <= last && last < Date::MAX).then_some(StatementDays { first, last })
    }

    pub fn month_before(today: Date) -> StatementDays {
        let last = today.first_of_month().yesterday().unwrap_or(today);
        StatementDays {
            first: last.first_of_month(),
            last,
        }
    }

    /// The cuts between the edges of these days, both included, of all since their beginning,
    /// oldest first. Where there is none at an edge yet, the newest is taken.
    pub fn cuts(self, since_begin: &[AccountCut]) -> &[AccountCut] {
        let last = since_begin.iter().position(|cut| cut.as_of >= self.end());
        &since_begin[..last.map_or(since_begin.len(), |last| last + 1)]
    }

    fn have(self, moment: Moment) -> bool {
        self.begin() <= moment && moment < self.end()
    }

    pub fn begin(self) -> Moment {
        utc_midnight(self.first)
    }

    pub fn end(self) -> Moment {
        end_of_utc_day(self.last)
    }
}

impl RowKind {
    pub fn counts(self) -> bool {
        self != RowKind::Byok
    }
}

impl StatementRow {
    /// The name of its programme; the id where there is none of it any more.
    pub fn named(&self) -> &str {
        let id = self.programme.as_ref().map(ProgrammeId::as_str);
        self.name.as_deref().or(id).unwrap_or("of no programme")
    }
}

impl Statement {
    /// The statement of these days, from the cuts between their edges, both included. `first_cut`
    /// is the first of all. `None` without any cut.
    pub fn from_cuts(
        days: StatementDays,
        cuts: &[AccountCut],
        first_cut: Moment,
        programmes: &[Programme],
    ) -> Option<Statement> {
        let first = cuts.first()?;
        let end = cuts.last()?;
        let has_the_first = days.have(first_cut);
        let start = &if has_the_first {
            first.before_our_keys()
        } else {
            first.clone()
        };
        let mut unowned = end.foreign - start.foreign;
        let mut rows = Vec::new();
        for of_end in &end.programmes {
            let ProgrammeCut {
                programme: id,
                used,
                assigned,
            } = of_end.since(start);
            unowned = unowned - assigned.credits;
            let programme = programmes.iter().find(|programme| programme.id == id);
            // Terms that were over by then, and cost centres, have no row of nothing.
            let is_expected = programme.is_some_and(|programme| {
                programme.settings.roster && programme.over_since() >= start.as_of
            });
            let amounts = [
                (RowKind::Keys, used.credits),
                (RowKind::Byok, used.byok + assigned.byok),
                (RowKind::Assigned, assigned.credits),
            ];
            for (kind, spent) in amounts {
                if spent == Usd::ZERO && !(is_expected && kind == RowKind::Keys) {
                    continue;
                }
                rows.push(StatementRow {
                    programme: Some(id.clone()),
                    name: programme.map(|programme| programme.settings.name.clone()),
                    cost_code: programme
                        .and_then(|programme| programme.settings.texts.cost_code.clone()),
                    kind,
                    spent,
                });
            }
        }
        rows.sort_by_cached_key(|row| {
            (
                row.cost_code.is_none(),
                row.cost_code.clone(),
                row.programme.clone(),
                row.kind,
            )
        });
        let of_nobody = [
            (RowKind::Unowned, unowned),
            (RowKind::Unsettled, end.unsettled - start.unsettled),
            (RowKind::Residual, end.residual - start.residual),
            (RowKind::Opening, end.opening - start.opening),
        ];
        for (kind, spent) in of_nobody {
            rows.push(StatementRow {
                programme: None,
                name: None,
                cost_code: None,
                kind,
                spent,
            });
        }
        let change = end.spent.after - start.spent.after;
        let bought = end.bought - start.bought;
        Some(Statement {
            days,
            from: start.as_of,
            to: end.as_of,
            rows,
            change,
            bought,
            is_the_first: start.as_of == first_cut,
            code_changes: Vec::new(),
        })
    }

    /// The statement that some of its rows make.
    #[must_use]
    pub fn with_rows(&self, rows: &[&StatementRow]) -> Statement {
        let mut code_changes = self.code_changes.clone();
        code_changes.retain(|change| {
            rows.iter()
                .any(|row| row.programme.as_ref() == Some(&change.programme))
        });
        Statement {
            rows: rows.iter().copied().cloned().collect(),
            code_changes,
            ..self.clone()
        }
    }

    /// The sum of all rows but the estimates of other bills.
    pub fn total(&self) -> Usd {
        self.rows
            .iter()
            .filter(|row| row.kind.counts())
            .map(|row| row.spent)
            .sum()
    }

    pub fn of_kind(&self, kind: RowKind) -> Usd {
        self.rows
            .iter()
            .filter(|row| row.kind == kind)
            .map(|row| row.spent)
            .sum()
    }

    /// What was spent by each row in cents, so that those that count add up to the sum.
    pub fn in_cents(&self) -> Vec<Usd> {
        let counted = self
            .rows
            .iter()
            .filter(|row| row.kind.counts())
            .map(|row| row.spent);
        let mut cents = round_to_cents(counted).into_iter();
        let rows = self.rows.iter();
        rows.map(|row| {
            if row.kind.counts() {
                cents.next().unwrap_or_default()
            } else {
                row.spent
            }
        })
        .collect()
    }

    /// What has to be known of its edges and cost codes.
    pub fn to_words(&self) -> Vec<String> {
        let StatementDays { first, last } = self.days;
        let begun = utc(self.from);
        let ended = utc(self.to);
        let [first_day, last_day] = [first, last].map(long_date);
        let mut notes = Vec::new();
        if self.is_the_first && self.days.have(self.from) {
            notes.push(format!("This is the first statement: it begins with the first complete check, of {begun}. Keys of students count from their first use, in these rows and in what the account spent; what other keys had spent by then is in no statement."));
        } else if self.is_the_first && self.from >= end_of_utc_day(first) {
            notes.push(format!("The first complete check began on {begun}, after these days. What keys of students had spent by then is in the statement that has that day."));
        } else if self.from >= end_of_utc_day(first) {
            notes.push(format!("No complete check began on {first_day}, so this statement begins with the next one, of {begun}. What was spent in between is in the statement before."));
        }
        if self.to < self.days.end() {
            notes.push(format!("No complete check has begun since {last_day} was over, so this statement ends with the last one, of {ended}, and will change."));
        } else if self.to >= self.days.end() + 24.hours() && self.to > self.from {
            notes.push(format!(
                "No complete check began on the day after {last_day}, so this statement ends with the next one, of {ended}."
            ));
        }
        let of_rows = self
            .code_changes
            .iter()
            .filter(|change| self.has_spent(&change.programme));
        notes.extend(of_rows.map(|change| change.to_words(self.name_of(&change.programme))));
        notes
    }

    fn has_spent(&self, programme: &ProgrammeId) -> bool {
        self.rows
            .iter()
            .any(|row| row.programme.as_ref() == Some(programme) && row.spent != Usd::ZERO)
    }

    fn name_of<'a>(&'a self, programme: &'a ProgrammeId) -> &'a str {
        let row = self
            .rows
            .iter()
            .find(|row| row.programme.as_ref() == Some(programme));
        row.map_or(programme.as_str(), StatementRow::named)
    }
}

impl CodeChange {
    /// The change from what held at the beginning to what holds now, by the edits in the audit of
    /// the programme: what was only asked for changed nothing.
    pub fn since(
        begin: Moment,
        programme: &ProgrammeId,
        audit: &[AuditEntry],
    ) -> Option<CodeChange> {
        let mut since_begin: Option<CodeChange> = None;
        for edit in audit
            .iter()
            .filter(|edit| edit.recorded_at >= begin && edit.what.act == Act::Edited)
        {
            for change in edit
                .what
                .settings()
                .into_iter()
                .filter(|change| change.name == "cost_code")
            {
                let [before, after] = [change.old_value, change.new_value].map(|code| {
                    if code.is_empty() {
                        "none".to_owned()
                    } else {
                        code
                    }
                });
                let programme = programme.clone();
                let changed_on = utc_date(edit.recorded_at);
                since_begin = Some(match since_begin {
                    Some(earlier) => CodeChange { after, ..earlier },
                    None => CodeChange {
                        programme,
                        before,
                        after,
                        changed_on,
                    },
                });
            }
        }
        since_begin.filter(|change| change.before != change.after)
    }

    fn to_words(&self, name: &str) -> String {
        let CodeChange {
            before,
            after,
            changed_on,
            ..
        } = self;
        let day = long_date(changed_on);
        format!(
            "The cost code of {name} changed on {day}, from {before} to {after}. Its rows here stand under the new one."
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::programme::Settings;

    use super::*;
    use crate::domain::ledger::cut::{AccountSpending, LifetimeUse};
    use crate::domain::values::term::Term;
    use crate::tests::values::{at, micros as usd};

    fn days(from: &str, to: &str) -> StatementDays {
        StatementDays::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
    }

    /// A cut whose parts add up: keys of these programmes, foreign keys, opening, residual and
    /// unsettled.
    fn cut(
        as_of: Moment,
        keys: &[(&str, i64, i64)],
        [foreign, opening, residual, unsettled]: [i64; 4],
    ) -> AccountCut {
        let spent = usd(keys.iter().map(|(_, credits, _)| credits).sum::<i64>()
            + foreign
            + opening
            + residual
            + unsettled);
        let programme = |(id, credits, byok): &(&str, i64, i64)| ProgrammeCut {
            programme: id.parse().unwrap(),
            used: LifetimeUse {
                credits: usd(*credits),
                byok: usd(*byok),
            },
            assigned: LifetimeUse::default(),
        };
        AccountCut {
            as_of,
            bought: usd(1_000),
            spent: AccountSpending {
                before: spent,
                after: spent,
            },
            programmes: keys.iter().map(programme).collect(),
            foreign: usd(foreign),
            opening: usd(opening),
            residual: usd(residual),
            unsettled: usd(unsettled),
            ..AccountCut::default()
        }
    }

    /// The statement of cuts since the beginning of the days.
    fn of_cuts(days: StatementDays, cuts: &[AccountCut]) -> Option<Statement> {
        of_later_cuts(days, cuts, cuts.first()?.as_of)
    }

    fn of_later_cuts(
        days: StatementDays,
        cuts: &[AccountCut],
        first_cut: Moment,
    ) -> Option<Statement> {
        Statement::from_cuts(days, days.cuts(cuts), first_cut, &programmes())
    }

    /// A programme that runs for years, with a cost code but for the seminar; the office is a cost
    /// centre, and the old one is over.
    fn programmes() -> Vec<Programme> {
        let of = |id: &str| {
            let ends_on = if id == "old" {
                "2026-09-01"
            } else {
                "2030-01-01"
            };
            let term = Term::new(
                "2026-01-01".parse().unwrap(),
                ends_on.parse().unwrap(),
                "UTC",
            )
            .unwrap();
            let cost_code = (id != "seminar").then(|| format!("4711-{id}"));
            let mut settings = Settings {
                roster: id != "office",
                ..Settings::new(id, term, usd(1))
            };
            settings.texts.cost_code = cost_code;
            Programme::new(id.parse().unwrap(), settings)
        };
        ["cs", "seminar", "office", "old"].map(of).to_vec()
    }

    /// A statement is the difference of two cuts, by cost code and with the rest last.
    #[test]
    fn a_statement_compares_two_cuts() {
        let last = [
            ("old", 0, 0),
            ("office", 0, 0),
            ("seminar", 7, 0),
            ("cs", 30, 4),
        ];
        let mut cuts = [
            cut(at("2026-10-01T02:00:00Z"), &[("cs", 10, 1)], [5, 3, 0, 1]),
            cut(at("2026-10-20T02:00:00Z"), &[("cs", 11, 1)], [5, 3, 0, 1]),
            cut(at("2026-11-01T02:00:00Z"), &last, [19, 4, 2, 0]),
        ];
        // A key made elsewhere was the programme's before the first of these, and the office has
        // another since.
        cuts[0].programmes[0].assigned.credits = usd(2);
        cuts[2].programmes[1].assigned = LifetimeUse {
            credits: usd(8),
            byok: usd(1),
        };
        cuts[2].programmes[3].assigned.credits = usd(4);
        let october = days("2026-10-01", "2026-10-31");
        let made = of_later_cuts(october, &cuts, at("2026-09-30T02:00:00Z")).unwrap();
        assert_eq!(
            (made.from, made.to, made.to_words()),
            (cuts[0].as_of, cuts[2].as_of, Vec::new())
        );
        let mut rows = Vec::new();
        for row in &made.rows {
            let programme = row
                .programme
                .as_ref()
                .map(ProgrammeId::as_str)
                .unwrap_or_default();
            let cost_code = row.cost_code.as_deref().unwrap_or_default();
            rows.push(format!(
                "{cost_code}, {programme}, {}, {}",
                row.kind.as_str(),
                row.spent.micros()
            ));
        }
        insta::assert_snapshot!(rows.join("\n"), @"
        4711-cs, cs, keys, 20
        4711-cs, cs, byok, 3
        4711-cs, cs, assigned, 2
        4711-office, office, byok, 1
        4711-office, office, assigned, 8
        , seminar, keys, 7
        , , unowned, 4
        , , unsettled, -1
        , , residual, 2
        , , opening, 1
        ");
        assert_eq!((made.total(), made.change), (usd(43), usd(43)));
        // In the first statement of all, what our keys used before counts too.
        let first = of_cuts(october, &cuts).unwrap();
        assert_eq!(
            (first.of_kind(RowKind::Keys), first.of_kind(RowKind::Byok)),
            (usd(37), usd(5))
        );
        assert_eq!((first.total(), first.change), (usd(53), usd(53)));
        assert_eq!(
            of_cuts(days("2026-09-01", "2026-09-30"), &cuts)
                .unwrap()
                .total(),
            usd(0),
            "not in the month before"
        );
    }

    #[test]
    fn without_a_cut_on_the_day_it_is_said_which_one_was_taken() {
        let quiet = |text: &str| cut(at(text), &[], [0; 4]);
        let of = |cuts: &[AccountCut]| of_cuts(days("2026-10-01", "2026-10-31"), cuts).unwrap();
        let first = "2026-10-01T23:59:00Z";
        let late = "2026-10-03T00:00:00Z";
        let next = "2026-11-01T00:00:00Z";
        let end = "2026-11-02T00:00:00Z";
        let between = |cuts: [&str; 2]| of(&cuts.map(quiet));
        let notes = [
            between([first, next]),
            between([late, end]),
            between([first, late]),
            of(&[quiet(end)]),
            // What was before is in the statement before.
            Statement {
                is_the_first: false,
                ..between([late, next])
            },
        ]
        .map(|statement| statement.to_words().join("\n"));
        insta::assert_snapshot!(notes.join("\n\n"), @"
        This is the first statement: it begins with the first complete check, of 1 Oct 2026, 23:59 UTC. Keys of students count from their first use, in these rows and in what the account spent; what other keys had spent by then is in no statement.

        This is the first statement: it begins with the first complete check, of 3 Oct 2026, 00:00 UTC. Keys of students count from their first use, in these rows and in what the account spent; what other keys had spent by then is in no statement.
        No complete check began on the day after 31 Oct 2026, so this statement ends with the next one, of 2 Nov 2026, 00:00 UTC.

        This is the first statement: it begins with the first complete check, of 1 Oct 2026, 23:59 UTC. Keys of students count from their first use, in these rows and in what the account spent; what other keys had spent by then is in no statement.
        No complete check has begun since 31 Oct 2026 was over, so this statement ends with the last one, of 3 Oct 2026, 00:00 UTC, and will change.

        The first complete check began on 2 Nov 2026, 00:00 UTC, after these days. What keys of students had spent by then is in the statement that has that day.

        No complete check began on 1 Oct 2026, so this statement begins with the next one, of 3 Oct 2026, 00:00 UTC. What was spent in between is in the statement before.
        ");
        let one = of(&[quiet(late)]);
        assert_eq!(
            (one.from, one.to, one.total()),
            (at(late), at(late), usd(0))
        );
        assert_eq!(of_cuts(days("2026-10-01", "2026-10-31"), &[]), None);
    }

    /// The month before is a month of the calendar, and days in the wrong order are refused.
    #[test]
    fn months_follow_the_calendar() {
        assert_eq!(
            StatementDays::month_before("2026-03-31".parse().unwrap()),
            days("2026-02-01", "2026-02-28")
        );
        assert_eq!(
            StatementDays::new("2026-02-02".parse().unwrap(), "2026-02-01".parse().unwrap()),
            None
        );
    }
}
