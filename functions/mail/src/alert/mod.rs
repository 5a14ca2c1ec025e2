//! The alert to those who look after a programme's money: it passed a threshold of its budget, or
//! all of that is reserved. It gives the number, the forecast and what happens next, with a picture
//! of the spending.

use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::{Act, AuditEntry};
use bursar_core::domain::mail::failure::PASSED_OVER;
use bursar_core::domain::programme::counts::Counts;
use bursar_core::domain::programme::role::{Role, is_among};
use bursar_core::domain::programme::{Budget, Programme, RefusedForRoom, Settings};
use bursar_core::domain::usage::burn::Burn;
use bursar_core::domain::usage::crossing::{ALL, Crossing, Scope, per_cent};
use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::forecast::{Forecast, RunsOut};
use bursar_core::domain::values::format::{counted, long_date, time_in};
use bursar_core::domain::values::id::{PersonId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Window, utc_date};
use bursar_core::store::{ProgrammeUse, StaffPerson};
use jiff::SignedDuration;

use crate::App;
use crate::compose::{GONE, NO_SUCH_CROSSING, NoMail};
use crate::letter::burn::BurnBars;
use crate::letter::words::{Words, say};
use crate::letter::{Letter, LetterPart};

/// The figures of an alert: the newest on record, and at least those of the crossing.
struct AlertSpending {
    limit: Usd,
    spent: Usd,
    as_of: Moment,
    /// Whether somebody lowered the budget below what had been spent.
    was_lowered: bool,
    reader: Role,
    /// `None` without a roster, and where the budget changed.
    counts: Option<Counts>,
    refused: Option<RefusedForRoom>,
    /// Whether keys made elsewhere count, and whether any of them is in use.
    owns_keys: bool,
    spends_elsewhere: bool,
    /// None after the end.
    forecast: Option<Forecast>,
    bars: Option<BurnBars>,
}

impl App {
    /// The mail of a crossing, if its recipient still gets the programme's alerts. If not, those
    /// are told who do.
    pub(crate) async fn alert(
        &self,
        programme: &ProgrammeId,
        (scope, threshold, limit): (&Scope, u8, Usd),
        recipient: &PersonId,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Letter, NoMail> {
        let programme = self.programme(programme).await?;
        let crossing = Crossing::key_of(&programme.id, scope, Window::WHOLE_TERM, limit, threshold);
        let crossing = self.table.get(crossing).await?.ok_or(NO_SUCH_CROSSING)?;
        let hear = self.table.hear_of_alerts(&programme.settings).await?;
        let person = self.table.get(StaffPerson::key_of(recipient)).await?;
        let Some(person) = person.filter(|person| is_among(person.address.matched(), &hear)) else {
            let hear = self.table.people_of(&hear, deadline).await?;
            self.table
                .tell_also(&crossing, &hear, now, deadline)
                .await?;
            return Err(NoMail::NotDue(PASSED_OVER));
        };
        self.about_money(&programme, &person, Some(&crossing), now)
            .await
    }

    /// An alert of what is spent now, though no threshold was crossed, to the person who wants to
    /// see one.
    pub(crate) async fn test_alert(
        &self,
        programme: &ProgrammeId,
        recipient: &PersonId,
        now: Moment,
    ) -> Result<Letter, NoMail> {
        let programme = self.programme(programme).await?;
        let person = self
            .table
            .get(StaffPerson::key_of(recipient))
            .await?
            .ok_or(GONE)?;
        self.about_money(&programme, &person, None, now).await
    }

    /// The alert of a crossing, or of today's figures, to a person with a role.
    async fn about_money(
        &self,
        programme: &Programme,
        person: &StaffPerson,
        crossing: Option<&Crossing>,
        now: Moment,
    ) -> Result<Letter, NoMail> {
        let (budget, counts, used, sync, is_admin) = tokio::try_join!(
            self.table.get(Budget::key_of(&programme.id)),
            self.table.roster_counts(&programme.id),
            self.table.programme_use(&programme.id),
            self.table.sync_state(),
            self.table.is_admin(person.address.matched()),
        )?;
        let budget = budget.ok_or(GONE)?;
        let Some(reader) = Role::find(person.address.matched(), &programme.settings, is_admin)
        else {
            return Err(NoMail::NotDue(
                "this person has no role in the programme any more",
            ));
        };
        let finding = match crossing {
            Some(crossing) => FoundSpending {
                limit: crossing.limit,
                spent: crossing.spent,
                found_at: crossing.found_at,
            },
            None => FoundSpending {
                limit: budget.limit,
                spent: used.counted(programme.settings.basis.byok),
                found_at: sync.listed_at.unwrap_or(now),
            },
        };
        let mut spending = AlertSpending::new(
            finding,
            (programme, reader),
            (&budget, counts),
            &used,
            sync.listed_at,
            now,
        );
        if let Some(crossing) = crossing.filter(|crossing| crossing.spent > crossing.limit) {
            let entries = self
                .table
                .list_known(AuditEntry::of_programme(&programme.id))
                .await?;
            spending.was_lowered = was_lowered(&entries, crossing);
        }
        Ok(self.to(&person.address, |words| match crossing {
            None => words.test(programme, &budget, spending),
            Some(Crossing {
                scope: Scope::Reserved,
                threshold,
                ..
            }) => words.promised(programme, &budget, spending, *threshold),
            Some(_) => words.spent(programme, &budget, spending),
        }))
    }
}

/// What was spent of a limit when that was found.
#[derive(Clone, Copy)]
struct FoundSpending {
    limit: Usd,
    spent: Usd,
    found_at: Moment,
}

impl AlertSpending {
    /// The figures for what was found. If the budget has changed since, only these are used, since
    /// later spending was never of that budget. `listed_at` is when the last listing of all keys
    /// began; totals are written only when they change.
    fn new(
        finding: FoundSpending,
        (programme, reader): (&Programme, Role),
        (budget, counts): (&Budget, Counts),
        used: &ProgrammeUse,
        listed_at: Option<Moment>,
        now: Moment,
    ) -> AlertSpending {
        let settings = &programme.settings;
        let is_of_now = budget.limit == finding.limit;
        let mut spent = used.used().days(settings.basis.byok);
        let newest = used
            .own
            .as_ref()
            .filter(|_| is_of_now && finding.spent <= spent.total());
        let read_at = newest.map(|totals| {
            totals
                .as_of
                .max(listed_at.max(used.assigned_as_of).unwrap_or(totals.as_of))
        });
        if read_at.is_none() {
            spent = Days::on_one(utc_date(finding.found_at), finding.spent);
        }
        // Of what was found nothing is known but the sum, so nothing bounds it.
        let spends_elsewhere = used.spends_elsewhere(settings.basis.byok, now);
        let budget_then = Budget {
            limit: finding.limit,
            ..budget.clone()
        };
        let burn = Burn::new(
            programme,
            &budget_then,
            &spent,
            spends_elsewhere || read_at.is_none(),
            read_at,
            now,
        );
        AlertSpending {
            limit: finding.limit,
            spent: spent.total(),
            as_of: read_at.unwrap_or(finding.found_at),
            was_lowered: false,
            reader,
            counts: (settings.roster && is_of_now).then_some(counts),
            refused: programme.find_room_refusal(budget, now),
            owns_keys: used.owns_keys(),
            spends_elsewhere,
            bars: read_at.map(|_| BurnBars::new(&burn)),
            forecast: burn.forecast,
        }
    }

    /// The sentence for spending above the budget, where a percentage would say nothing.
    fn passed(&self) -> Option<String> {
        let spent = self.spent.to_dollars();
        let limit = self.limit.to_dollars();
        match self.was_lowered {
            _ if self.spent <= self.limit => None,
            true => Some(format!(
                "The budget was lowered to {limit} after {spent} had been spent."
            )),
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
            (
                "Left",
                spending.limit.subtract_spent(spending.spent).to_dollars(),
            ),
        ];
        facts.extend(promised(budget, spending.spent).filter(|_| budget.limit == spending.limit));
        facts.extend(common_facts(settings, &spending));
        let only_students_spend = settings.roster && !spending.spends_elsewhere;
        // Of another budget by now, nothing is to be done about the former.
        let forecast = spending
            .forecast
            .filter(|_| spending.spent > Usd::ZERO && budget.limit == spending.limit);
        let to_do = match spending.refused {
            Some(refused) => Some(format!(
                "{} {}",
                refused.who(),
                spending.reader.explain_raise(Some(refused.needed))
            )),
            None => {
                forecast.and_then(|forecast| forecast.to_do(spending.reader, only_students_spend))
            }
        };
        let subject = short_subject(settings, spending.forecast, spending.spent, spending.limit)
            .unwrap_or_else(|| {
                format!(
                    "{} has used {used}% of {}",
                    settings.name,
                    spending.limit.to_dollars()
                )
            });
        let next = advise(settings, budget, &spending, used);
        self.about_money(programme, subject, to_do, facts, spending, &next)
    }

    /// The alert of today's figures that somebody asked for.
    fn test(self, programme: &Programme, budget: &Budget, spending: AlertSpending) -> Letter {
        let mut letter = self.spent(programme, budget, spending);
        letter.subject = format!("Test: {}", letter.subject);
        letter
            .parts
            .insert(0, say("This is a test with today's figures. It is sent whether or not a threshold was crossed."));
        letter.why =
            "You get this mail because you asked for a test alert. Nobody else got it.".to_owned();
        letter
    }

    /// The alert that all of the budget is reserved, before a student is refused a key.
    fn promised(
        self,
        programme: &Programme,
        budget: &Budget,
        spending: AlertSpending,
        threshold: u8,
    ) -> Letter {
        let settings = &programme.settings;
        let used = per_cent(spending.spent, spending.limit);
        let limit = spending.limit.to_dollars();
        let what;
        let follow_up;
        if threshold == ALL {
            what = "has no room for another key in its";
            follow_up = "You get no further mail about this unless the budget changes.";
        } else {
            what = "has no room for some keys in its";
            follow_up = "You get another mail when there is no room for any key.";
        }
        let subject = format!("{} {what} {limit} ({used}% used)", settings.name);
        let mut facts = vec![
            ("Budget", limit),
            ("Spent", spending.spent.to_dollars()),
            (
                "Left for further keys",
                (budget.limit - budget.reserved)
                    .or_zero()
                    .whole_cents()
                    .to_dollars(),
            ),
        ];
        facts.extend(promised(budget, spending.spent));
        facts.extend(spending.refused.map(|refused| {
            (
                "One more key needs",
                refused.dearest.up_to_the_cent().to_dollars(),
            )
        }));
        facts.extend(common_facts(settings, &spending));
        let mut next: Vec<String> = changed(budget, &spending).into_iter().collect();
        match spending.refused {
            None => next.push("Nobody is refused a key any more.".to_owned()),
            Some(refused) => {
                next.push(format!(
                    "Keys that students have keep working, each up to its own cap. {follow_up}"
                ));
                next.push(spending.reader.explain_raise(Some(refused.needed)));
            }
        }
        let refused = spending.refused;
        let mut letter = self.about_money(programme, subject, None, facts, spending, &next);
        if let Some(refused) = refused {
            letter.heading = format!(
                "{} cannot get a key",
                counted(refused.students.into(), "student", "students")
            );
            letter
                .parts
                .insert(0, say(format!("{} {}.", refused.who(), letter.subject)));
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
        let settings = &programme.settings;
        let forecast = spending.forecast;
        let name = &settings.name;
        let role = spending.reader.as_str();
        let passed = spending.passed();
        let heading = match passed {
            Some(_) => format!(
                "{name} has used more than its budget of {}",
                spending.limit.to_dollars()
            ),
            None => subject.clone(),
        };
        let outlook = match forecast {
            None if spending.owns_keys => Some(format!(
                "The term is over, and no student's key works any more. {NOT_STOPPED}"
            )),
            None => Some("The term is over, and no key works any more.".to_owned()),
            Some(_) if passed.is_some() => None,
            Some(forecast)
                if forecast.runs_out == RunsOut::TooLittleData && spending.spent <= Usd::ZERO =>
            {
                None
            }
            Some(forecast) => Some(forecast.to_words(&settings.term)),
        };
        // What is to do about a forecast leads to who spent most, and all else to the programme.
        let leads_on = forecast.filter(|_| to_do.is_some());
        let first: Vec<String> = passed.into_iter().chain(outlook).chain(to_do).collect();
        let mut parts = Vec::new();
        parts.extend(joined(&first));
        parts.push(LetterPart::facts(facts));
        parts.extend(spending.bars.map(LetterPart::Burn));
        parts.extend(joined(next));
        parts.push(self.way_on(&programme.id, leads_on));
        Letter {
            heading,
            subject,
            parts,
            why: format!("You get this mail because of your role in {name}: {role}."),
            ..self.letter()
        }
    }

    /// The page on which to go on: where students' caps stop their keys, that on which the most
    /// spent stands first.
    fn way_on(&self, programme: &ProgrammeId, forecast: Option<Forecast>) -> LetterPart {
        if forecast.is_some_and(|forecast| forecast.stops_at_caps()) {
            return self.page(
                "See who spent most",
                &format!("/console/programmes/{programme}/grants"),
            );
        }
        self.overview(programme)
    }

    pub(crate) fn overview(&self, programme: &ProgrammeId) -> LetterPart {
        self.page(
            "Open the programme",
            &format!("/console/programmes/{programme}"),
        )
    }
}

/// The sentences as one part, if there are any.
fn joined(sentences: &[String]) -> Option<LetterPart> {
    (!sentences.is_empty()).then(|| say(sentences.join(" ")))
}

/// The subject of a mail about a programme's money that ends too soon: when, and how much of it is
/// used.
pub(crate) fn short_subject(
    settings: &Settings,
    forecast: Option<Forecast>,
    spent: Usd,
    limit: Usd,
) -> Option<String> {
    let news = forecast?.shorten_outlook(&settings.term)?;
    let used = per_cent(spent, limit);
    let limit = limit.to_dollars();
    Some(format!(
        "{}: {news} ({used}% of {limit} used)",
        settings.name
    ))
}

/// The longest time until a lowered budget is found crossed: the stream finds it at once, the
/// hourly check later.
const FOUND_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// Whether the budget was lowered just before the crossing was found, so that the money was spent
/// of a larger one.
fn was_lowered(entries: &[AuditEntry], crossing: &Crossing) -> bool {
    let changes = entries
        .iter()
        .filter(|audit_entry| audit_entry.what.act == Act::BudgetChanged);
    let Some(last) = changes
        .rev()
        .find(|change| change.recorded_at <= crossing.found_at)
    else {
        return false;
    };
    let is_less = amount(last.what.old_value.as_deref()).is_some_and(|from| from > crossing.limit);
    is_less
        && amount(last.what.new_value.as_deref()) == Some(crossing.limit)
        && crossing.found_at <= last.recorded_at + FOUND_WITHIN
}

fn amount(text: Option<&str>) -> Option<Usd> {
    Usd::from_form(text?).ok()
}

fn common_facts(settings: &Settings, spending: &AlertSpending) -> Vec<(&'static str, String)> {
    let students = spending
        .counts
        .map(|counts| ("Students", counts.to_words()));
    let rest = [
        ("Term ends", long_date(settings.term.ends_on())),
        ("As of", time_in(spending.as_of, settings.term.zone())),
    ];
    students.into_iter().chain(rest).collect()
}

/// The sentence that the budget has changed since the crossing.
fn changed(budget: &Budget, spending: &AlertSpending) -> Option<String> {
    (budget.limit != spending.limit).then(|| {
        format!(
            "The budget has changed since then: it is {} now.",
            budget.limit.to_dollars()
        )
    })
}

/// What nothing of a budget stops: keys that were made elsewhere and count for the programme.
const NOT_STOPPED: &str = "Bursar does not stop keys made elsewhere; an admin can limit or disable them on the account page.";

/// The fact of what is promised and not spent yet, if anything is.
pub(crate) fn promised(budget: &Budget, spent: Usd) -> Option<(&'static str, String)> {
    let to_come = (budget.reserved - spent).or_zero();
    (to_come > Usd::ZERO).then(|| ("Promised, not spent yet", to_come.to_dollars()))
}

fn advise(
    settings: &Settings,
    budget: &Budget,
    spending: &AlertSpending,
    used: i64,
) -> Vec<String> {
    let mut sentences: Vec<String> = changed(budget, spending).into_iter().collect();
    if spending.forecast.is_none() {
        return sentences;
    }
    let is_changed = !sentences.is_empty();
    if settings.roster {
        sentences.push(match spending.refused {
            _ if used >= 100 && !is_changed => match (budget.reserved - spending.spent).or_zero() {
                Usd::ZERO => {
                    "Nobody can get a new key, and the keys that students have can spend nothing more.".to_owned()
                }
                amount_left => format!(
                    "Nobody can get a new key. The keys that students have keep working, each up to its own cap: together they can \
                     still spend {} at most.",
                    amount_left.to_dollars()
                ),
            },
            None => "Nothing changes for students now: each key works up to its own cap.".to_owned(),
            Some(_) => "The keys that students have keep working, each up to its own cap.".to_owned(),
        });
    }
    if spending.owns_keys {
        sentences.push(NOT_STOPPED.to_owned());
    }
    let next = settings
        .mails
        .thresholds
        .iter()
        .copied()
        .filter(|threshold| i64::from(*threshold) > used)
        .min();
    sentences.extend(
        next.filter(|_| !is_changed)
            .map(|next| format!("You get the next alert at {next}%.")),
    );
    sentences
}

#[cfg(test)]
mod tests;
