//! The alert to those who look after a programme's money: it passed a threshold of its budget, or all of
//! that is reserved. It gives the number, the forecast and what happens next, with a picture of the
//! spending.

use bursar_core::domain::audit::{Act, Entry};
use bursar_core::domain::mail::failure::PASSED_OVER;
use bursar_core::domain::programme::counts::Counts;
use bursar_core::domain::programme::role::Role;
use bursar_core::domain::programme::{Budget, RefusedForRoom};
use bursar_core::domain::usage::burn::Burn;
use bursar_core::domain::usage::crossing::{ALL, Crossing, Scope};
use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::forecast::{Forecast, RunsOut, SpendingLimits};
use bursar_core::domain::values::window::Window;
use bursar_core::store::ProgrammeUse;

use crate::letter::burn::Picture;
use crate::prelude::*;

/// The figures of an alert: the newest on record, and at least those of the crossing.
struct AlertSpending {
    limit: Usd,
    spent: Usd,
    as_of: Moment,
    /// Whether somebody lowered the budget below what had been spent.
    was_lowered: bool,
    reader: Role,
    /// The number of students who have had a key, and of all students; `None` without a roster, and where the budget changed.
    students: Option<(i64, i64)>,
    refused: Option<RefusedForRoom>,
    /// Whether keys made elsewhere count.
    owns_keys: bool,
    /// The cost of the programme if everybody on the roster takes a key.
    implied: Option<Usd>,
    /// None after the end.
    forecast: Option<Forecast>,
    picture: Option<Picture>,
}

impl App {
    /// The mail of a crossing, if its recipient still gets the programme's alerts. If not, those are told who do.
    pub(crate) async fn alert(
        &self,
        programme: &ProgrammeId,
        (scope, threshold, limit): (&Scope, u8, Usd),
        recipient: &PersonId,
        now: Moment,
        deadline: Deadline,
    ) -> Result<ComposedRow, StoreError> {
        let Some(programme) = self.table.get(Programme::key_of(programme)).await? else { return Ok(GONE) };
        let crossings = self.table.list(Crossing::of_limit(&programme.id, scope, Window::WHOLE_TERM, limit)).await?;
        let Some(crossing) = crossings.into_iter().find(|crossing| crossing.threshold == threshold) else {
            return Ok(ComposedRow::Unsendable("NoSuchCrossing"));
        };
        let hear = self.table.hear_of_alerts(&programme.settings).await?;
        let person = self.table.get(StaffPerson::key_of(recipient)).await?;
        let Some(person) = person.filter(|person| is_among(person.address.matched(), &hear)) else {
            let hear = self.table.people_of(&hear, deadline).await?;
            self.table.tell_also(&crossing, &hear, now, deadline).await?;
            return Ok(ComposedRow::Nothing(PASSED_OVER));
        };
        let (budget, counts, used, sync) = tokio::try_join!(
            self.table.get(Budget::key_of(&programme.id)),
            self.table.roster_counts(&programme.id),
            self.table.programme_use(&programme.id),
            self.table.sync_state()
        )?;
        let Some(budget) = budget else { return Ok(GONE) };
        let found = (crossing.limit, crossing.spent, crossing.found_at);
        let is_admin = self.table.is_admin(person.address.matched()).await?;
        let reader = Role::of(person.address.matched(), &programme.settings, is_admin).unwrap_or(Role::Assistant);
        let mut spending =
            AlertSpending::of(found, (&programme, reader), (&budget, counts), &used, sync.listed_at, now);
        if crossing.spent > crossing.limit {
            spending.was_lowered =
                was_lowered(&self.table.list_known(Entry::of_programme(&programme.id)).await?, &crossing);
        }
        Ok(self.to(&person.address, |words| match scope {
            Scope::Reserved => words.promised(&programme, &budget, spending, threshold),
            Scope::Budget | Scope::Cap(_) => words.spent(&programme, &budget, spending),
        }))
    }

    /// An alert of what is spent now, though no threshold was crossed, to the person who wants to see one.
    pub(crate) async fn test_alert(
        &self,
        programme: &ProgrammeId,
        recipient: &PersonId,
        now: Moment,
    ) -> Result<ComposedRow, StoreError> {
        let (found, budget, counts, person, used, sync) = tokio::try_join!(
            self.table.get(Programme::key_of(programme)),
            self.table.get(Budget::key_of(programme)),
            self.table.roster_counts(programme),
            self.table.get(StaffPerson::key_of(recipient)),
            self.table.programme_use(programme),
            self.table.sync_state()
        )?;
        let (Some(programme), Some(budget), Some(person)) = (found, budget, person) else { return Ok(GONE) };
        let is_admin = self.table.is_admin(person.address.matched()).await?;
        let Some(reader) = Role::of(person.address.matched(), &programme.settings, is_admin) else {
            return Ok(ComposedRow::Nothing("this person has no role in the programme any more"));
        };
        let as_of = sync.listed_at.unwrap_or(now);
        let spent = used.used().days(programme.settings.basis.byok).total();
        let found = (budget.limit, spent, as_of);
        let spending = AlertSpending::of(found, (&programme, reader), (&budget, counts), &used, sync.listed_at, now);
        Ok(self.to(&person.address, |words| words.test(&programme, &budget, spending)))
    }
}

impl AlertSpending {
    /// The figures for what was found: the limit, what was spent of it, and when. If the budget has changed since, only these are used,
    /// since later spending was never of that budget. `listed_at` is when the last listing of all keys began;
    /// totals are written only when they change.
    fn of(
        (limit, spent_then, found_at): (Usd, Usd, Moment),
        (programme, reader): (&Programme, Role),
        (budget, counts): (&Budget, Counts),
        used: &ProgrammeUse,
        listed_at: Option<Moment>,
        now: Moment,
    ) -> AlertSpending {
        let settings = &programme.settings;
        let limits = SpendingLimits { budget: limit, keys_stop_at: None, lasts: false };
        let then = Days::on_one(utc_date(found_at), spent_then);
        let found = AlertSpending {
            limit,
            spent: spent_then,
            as_of: found_at,
            was_lowered: false,
            reader,
            students: None,
            refused: programme.refused_for_room(budget, now),
            owns_keys: used.owns_keys(),
            implied: None,
            forecast: (!programme.is_over(now)).then(|| Forecast::of(&then, limits, &settings.term, None, now)),
            picture: None,
        };
        let Some(totals) = used.own.as_ref().filter(|_| budget.limit == limit) else { return found };
        let spent = used.used().days(settings.basis.byok);
        let students = settings.roster.then_some((counts.claimed, counts.people()));
        if spent.total() < spent_then {
            return AlertSpending { students, ..found };
        }
        let as_of = listed_at.max(used.assigned_as_of).map_or(totals.as_of, |at| at.max(totals.as_of));
        let burn = Burn::of(programme, budget, &spent, used.owns_keys(), Some(as_of), now);
        let implied = Some(budget.implied(settings, now));
        let (forecast, picture) = (burn.forecast, Picture::of(&burn));
        AlertSpending { spent: spent.total(), as_of, students, implied, forecast, picture, ..found }
    }

    /// The money that live keys can still spend.
    fn left_to_keys(&self, budget: &Budget) -> Usd {
        (budget.reserved - self.spent).or_zero()
    }

    /// The fact of what is reserved, in which what keys made elsewhere spent is reckoned too.
    fn promised(&self, settings: &Settings, budget: &Budget) -> (&'static str, String) {
        let label = promised_label(settings, self.owns_keys);
        (label, format!("{}, including what is spent", budget.reserved.to_dollars()))
    }

    /// The sentence for spending above the budget, where a percentage would say nothing.
    fn passed(&self) -> Option<String> {
        let (spent, limit) = (self.spent.to_dollars(), self.limit.to_dollars());
        match self.was_lowered {
            _ if self.spent <= self.limit => None,
            true => Some(format!("The budget was lowered to {limit} after {spent} had been spent.")),
            false => Some(format!("More was spent than the budget of {limit}.")),
        }
    }
}

impl Words<'_> {
    /// The alert that this share of the budget was spent.
    fn spent(self, programme: &Programme, budget: &Budget, spending: AlertSpending) -> Letter {
        let settings = &programme.settings;
        let used = per_cent(spending.spent, spending.limit);
        let mut facts = vec![
            ("Spent", spending.spent.to_dollars()),
            ("Budget", spending.limit.to_dollars()),
            ("Left", (spending.limit - spending.spent).or_zero().whole_cents().to_dollars()),
        ];
        if budget.limit == spending.limit && spending.left_to_keys(budget) > Usd::ZERO {
            facts.push(spending.promised(settings, budget));
        }
        facts.extend(common_facts(settings, &spending));
        let only_students_spend = settings.roster && !spending.owns_keys;
        // Of another budget by now, nothing is to be done about the former.
        let forecast = spending.forecast.filter(|_| spending.spent > Usd::ZERO && budget.limit == spending.limit);
        let to_do = match spending.refused {
            Some(refused) => Some(format!("{} {}", refused.who(), spending.reader.how_to_raise())),
            None => forecast.and_then(|forecast| forecast.to_do(spending.reader, only_students_spend)),
        };
        let subject = short_subject(settings, spending.forecast, spending.spent, spending.limit);
        let all = || format!("{} has used {used}% of {}", settings.name, spending.limit.to_dollars());
        let subject = subject.unwrap_or_else(all);
        let next = what_next(settings, budget, &spending, used);
        self.about_money(programme, subject, to_do, facts, spending, &next)
    }

    /// The alert of today's figures that somebody asked for.
    fn test(self, programme: &Programme, budget: &Budget, spending: AlertSpending) -> Letter {
        let mut letter = self.spent(programme, budget, spending);
        letter.subject = format!("Test: {}", letter.subject);
        letter.parts.insert(
            0,
            said("This is a test, with today's figures. It is sent whether a threshold was crossed or not."),
        );
        letter.why = "You get this mail because you asked for a test alert. Nobody else got it.".to_owned();
        letter
    }

    /// The alert that all of the budget is reserved, before a student is refused a key.
    fn promised(self, programme: &Programme, budget: &Budget, spending: AlertSpending, threshold: u8) -> Letter {
        let (settings, used) = (&programme.settings, per_cent(spending.spent, spending.limit));
        let limit = spending.limit.to_dollars();
        let (what, again) = if threshold == ALL {
            ("has no room for another key in its", "You will not hear of this again for a budget of this amount.")
        } else {
            ("has no room for some keys in its", "You will hear again when there is room for no key at all.")
        };
        let subject = format!("{} {what} {limit} ({used}% used)", settings.name);
        let mut facts = vec![
            ("Budget", limit),
            ("Spent", spending.spent.to_dollars()),
            spending.promised(settings, budget),
            ("Left for further keys", (budget.limit - budget.reserved).or_zero().whole_cents().to_dollars()),
        ];
        facts.extend(
            spending.refused.map(|refused| ("One more key needs", refused.dearest.up_to_the_cent().to_dollars())),
        );
        facts.extend(common_facts(settings, &spending));
        let mut next: Vec<String> = changed(budget, &spending).into_iter().collect();
        match spending.refused {
            None => next.push("By now nobody is refused a key.".to_owned()),
            Some(_) => {
                next.extend(needed_for_everybody(&spending));
                next.push(format!("Keys that students have go on, each up to its own cap. {again}"));
                next.push(spending.reader.how_to_raise().to_owned());
            }
        }
        let refused = spending.refused;
        let mut letter = self.about_money(programme, subject, None, facts, spending, &next);
        if let Some(refused) = refused {
            letter.heading = format!("{} cannot get a key", counted(refused.students.into(), "student", "students"));
            letter.parts.insert(0, LetterPart::Sentences(format!("{} {}.", refused.who(), letter.subject)));
        }
        letter
    }

    fn about_money(
        self,
        programme: &Programme,
        subject: String,
        to_do: Option<String>,
        facts: Vec<(&'static str, String)>,
        spending: AlertSpending,
        next: &[String],
    ) -> Letter {
        let (settings, forecast) = (&programme.settings, spending.forecast);
        let (name, passed) = (&settings.name, spending.passed());
        let heading = match passed {
            Some(_) => format!("{name} has used more than its budget of {}", spending.limit.to_dollars()),
            None => subject.clone(),
        };
        let is_known = |of: &Forecast| of.runs_out != RunsOut::TooLittleData || spending.spent > Usd::ZERO;
        let outlook = match forecast {
            None if spending.owns_keys => {
                Some(format!("The term is over, and no student's key works any more. {NOT_STOPPED}"))
            }
            None => Some("The term is over, and no key works any more.".to_owned()),
            Some(_) if passed.is_some() => None,
            Some(forecast) => Some(forecast).filter(is_known).map(|of| of.in_words(&settings.term)),
        };
        // What is to do about a forecast leads to who spent most, and all else to the programme.
        let leads_on = forecast.filter(|_| to_do.is_some());
        let first: Vec<String> = passed.into_iter().chain(outlook).chain(to_do).collect();
        let said = |of: &[String]| (!of.is_empty()).then(|| LetterPart::Sentences(of.join(" ")));
        let mut parts: Vec<LetterPart> = said(&first).into_iter().collect();
        parts.push(LetterPart::facts(facts));
        parts.extend(spending.picture.map(LetterPart::Picture));
        parts.extend(said(next));
        parts.push(self.way_on(&programme.id, leads_on));
        Letter {
            heading,
            subject,
            parts,
            why: format!("You get this mail because you are among those who hear about the money of {name}."),
            ..self.letter()
        }
    }

    /// The page on which to go on: where students' caps stop their keys, that on which the most spent stands first.
    pub(crate) fn way_on(&self, programme: &ProgrammeId, forecast: Option<Forecast>) -> LetterPart {
        if forecast.is_some_and(|forecast| forecast.stops_at_caps()) {
            return self.page("See who spent most", &format!("/console/programmes/{programme}/grants"));
        }
        self.page("Open the programme", &format!("/console/programmes/{programme}"))
    }
}

/// The subject of a mail about a programme's money that ends too soon: when, and how much of it is used.
pub(crate) fn short_subject(settings: &Settings, forecast: Option<Forecast>, spent: Usd, limit: Usd) -> Option<String> {
    let news = forecast?.in_short(&settings.term)?;
    let (used, limit) = (per_cent(spent, limit), limit.to_dollars());
    Some(format!("{}: {news} ({used}% of {limit} used)", settings.name))
}

/// The longest time until a lowered budget is found crossed: the stream finds it at once, the hourly look
/// later.
const FOUND_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// Whether the budget was lowered just before the crossing was found, so that the money was spent of a
/// larger one.
fn was_lowered(entries: &[Entry], crossing: &Crossing) -> bool {
    let is_of_budget = |entry: &&Entry| entry.what.act == Act::BudgetChanged && entry.at <= crossing.found_at;
    let Some(last) = entries.iter().rev().find(is_of_budget) else { return false };
    let amount = |text: &Option<String>| Usd::from_form(text.as_deref()?).ok();
    let is_less = amount(&last.what.from).is_some_and(|from| from > crossing.limit);
    is_less && amount(&last.what.to) == Some(crossing.limit) && crossing.found_at <= last.at + FOUND_WITHIN
}

fn common_facts(settings: &Settings, spending: &AlertSpending) -> Vec<(&'static str, String)> {
    let students = spending.students.map(|(had, all)| ("Students", format!("{had} of {all} have had a key")));
    let rest =
        [("Term ends", long_date(settings.term.ends_on())), ("As of", time_in(spending.as_of, settings.term.zone()))];
    students.into_iter().chain(rest).collect()
}

/// The sentence that the budget has changed since the crossing.
fn changed(budget: &Budget, spending: &AlertSpending) -> Option<String> {
    (budget.limit != spending.limit)
        .then(|| format!("The budget was changed since this was found: it is {} now.", budget.limit.to_dollars()))
}

fn needed_for_everybody(spending: &AlertSpending) -> Option<String> {
    let implied = spending.implied.filter(|implied| *implied > spending.limit)?;
    Some(format!(
        "For everybody on the roster the budget has to be {}, which is {} more.",
        implied.up_to_the_cent().to_dollars(),
        (implied - spending.limit).up_to_the_cent().to_dollars()
    ))
}

/// What nothing of a budget stops: keys that were made elsewhere and count for the programme.
const NOT_STOPPED: &str =
    "Bursar does not stop keys made elsewhere; an admin can limit or disable them on the account page.";

pub(crate) fn promised_label(settings: &Settings, owns_keys: bool) -> &'static str {
    if settings.roster && !owns_keys { "Promised to students" } else { "Spent or promised" }
}

fn what_next(settings: &Settings, budget: &Budget, spending: &AlertSpending, used: i64) -> Vec<String> {
    let mut sentences: Vec<String> = changed(budget, spending).into_iter().collect();
    if spending.forecast.is_none() {
        return sentences;
    }
    let is_changed = !sentences.is_empty();
    if settings.roster {
        sentences.push(match spending.refused {
            _ if used >= 100 && !is_changed => match spending.left_to_keys(budget) {
                Usd::ZERO => {
                    "Nobody can get a new key, and the keys that students have can spend nothing more.".to_owned()
                }
                left => format!(
                    "Nobody can get a new key. The keys that students have go on, each up to its own cap: together they can still spend {} \
                     at most.",
                    left.to_dollars()
                ),
            },
            None => "Nothing changes for students now; each key works up to its own cap.".to_owned(),
            Some(_) => "The keys that students have go on, each up to its own cap.".to_owned(),
        });
    }
    if spending.owns_keys {
        sentences.push(NOT_STOPPED.to_owned());
    }
    let next = settings.mails.thresholds.iter().copied().filter(|threshold| i64::from(*threshold) > used).min();
    sentences.extend(next.filter(|_| !is_changed).map(|next| format!("You will hear again at {next}%.")));
    sentences
}

#[cfg(test)]
mod tests;
