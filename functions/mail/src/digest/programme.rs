//! The digest of a programme: to faculty with names, to assistants with counts.

use bursar_core::clock::Moment;
use bursar_core::domain::mail::digest::{Digest, LineSubject, MOST_LINES, Need, PeopleSample};
use bursar_core::domain::programme::role::Role;
use bursar_core::domain::programme::{Budget, Byok, Programme, Weekday};
use bursar_core::domain::usage::burn::Burn;
use bursar_core::domain::usage::crossing::per_cent;
use bursar_core::domain::usage::days::{Accuracy, Sum};
use bursar_core::domain::usage::forecast::{Forecast, StandingOut};
use bursar_core::domain::usage::models::{ModelUse, cost_in_words};
use bursar_core::domain::values::format::{Joined, counted, date_range, long_date, time_in};
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::{Usd, group_digits, round_to_cents};
use bursar_core::domain::values::window::Reset;
use jiff::tz::TimeZone;

use super::{DigestNames, DigestReader, say};
use crate::alert::{promised, short_subject};
use crate::letter::burn::BurnBars;
use crate::letter::words::{Words, say};
use crate::letter::{Letter, LetterPart, LetterRow, LetterTable, NOT_TOLD};

impl Words<'_> {
    pub(crate) fn digest(
        self,
        programme: &Programme,
        digest: &Digest,
        reader: &DigestReader,
        now: Moment,
    ) -> Letter {
        let settings = &programme.settings;
        let money = &digest.money;
        let name = &settings.name;
        let burn = Burn::new(
            programme,
            &money.budget,
            &money.spent,
            money.owns_keys,
            digest.listed_at,
            now,
        );
        let spent = money.spent.total();
        let limit = money.budget.limit;
        let week = say::describe_week(money.this_week, digest.days);
        let subject = match short_subject(settings, burn.forecast, spent, limit) {
            Some(short) => short,
            None if is_unseen(digest) => format!("{name}: {week}"),
            None => format!(
                "{name}: {week}, {}% of the budget used",
                per_cent(spent, limit)
            ),
        };
        let notes = match reader {
            // Nobody can use a key any more.
            _ if burn.forecast.is_none() => Vec::new(),
            DigestReader::Faculty(names) => list_who_needs_a_look(
                digest,
                programme,
                |sample| say::people(sample, names),
                Some(names),
                now,
            ),
            DigestReader::Assistant => list_who_needs_a_look(
                digest,
                programme,
                |sample| sample.count.to_string(),
                None,
                now,
            ),
        };
        let refused = programme
            .find_room_refusal(&money.budget, now)
            .filter(|_| spent < limit);
        let role = match reader {
            DigestReader::Faculty(_) => Role::Faculty,
            DigestReader::Assistant => Role::Assistant,
        };
        let to_do = burn
            .forecast
            .filter(|_| refused.is_none())
            .filter(Forecast::is_short);
        let to_do =
            to_do.and_then(|forecast| forecast.to_do(role, settings.roster && !money.owns_keys));
        let mut parts = outlook(programme, digest, &burn, to_do, notes.len());
        parts.extend(refused.map(|refused| say(refused.to_words(&money.budget, role))));
        if !notes.is_empty() {
            parts.extend([
                LetterPart::Heading("What needs your attention"),
                LetterPart::Notes(notes),
            ]);
        }
        let zone = settings.term.zone();
        parts.extend([
            LetterPart::Heading("In numbers"),
            LetterPart::facts(figures(digest, zone)),
        ]);
        let weeks = [money.this_week, money.week_before];
        let unknown = say::unknown(digest.listed_at, weeks, digest.days.1, zone);
        parts.extend(unknown.into_iter().map(say));
        if let DigestReader::Faculty(names) = reader {
            parts.extend(groups(digest));
            parts.extend(models(digest, settings.basis.byok));
            parts.extend(spenders(digest, settings.basis.reset, names));
        }
        parts.push(self.overview(&programme.id));
        Letter {
            heading: format!("{name}: {}", say::week(digest.days).name),
            subject,
            parts,
            why: format!(
                "You get this mail {} because of your role in {name}: {}. Its faculty can choose another day, or none.",
                settings.mails.digest.map_or("this week", Weekday::to_words),
                role.as_str()
            ),
            ..self.letter()
        }
    }
}

/// Whether there are keys that no sync has listed yet, so that no figure is known.
fn is_unseen(digest: &Digest) -> bool {
    digest.listed_at.is_none() && digest.money.budget.claimed
}

fn figures(digest: &Digest, zone: &TimeZone) -> Vec<(&'static str, String)> {
    let money = &digest.money;
    let spent = money.spent.total();
    let budget = money.budget.limit;
    let week = say::week(digest.days);
    let of_it = format!("of the budget of {}", budget.to_dollars());
    let so_far = if is_unseen(digest) {
        format!("not known, {of_it}")
    } else {
        format!("{} {of_it}, {}%", spent.to_cents(), per_cent(spent, budget))
    };
    let mut facts = vec![
        (
            week.spent,
            format!(
                "{} ({}, days in UTC)",
                say::figure(money.this_week),
                date_range(digest.days)
            ),
        ),
        ("Spent the week before", say::figure(money.week_before)),
        ("Spent so far", so_far),
    ];
    facts.extend(promised(&money.budget, spent));
    facts.extend(digest.people.as_ref().map(|people| {
        let mut students = format!("{} of {} have claimed", people.claimed, people.students);
        if matches!(
            money.this_week.accuracy,
            Accuracy::Exactly | Accuracy::Estimated
        ) && people.days == digest.days
        {
            students.push_str(&format!(
                "; {} of them spent something {}",
                people.active, week.during
            ));
        }
        ("Students", students)
    }));
    let listed_at = digest
        .listed_at
        .map_or("not yet".to_owned(), |listed_at| time_in(listed_at, zone));
    facts.push(("Last checked at OpenRouter", listed_at));
    facts
}

/// The forecast with what can be done about it, the week, what there is to look at, and the
/// picture. Of what is over, only when it ended.
fn outlook(
    programme: &Programme,
    digest: &Digest,
    burn: &Burn<'_>,
    to_do: Option<String>,
    to_look_at: usize,
) -> Vec<LetterPart> {
    let term = &programme.settings.term;
    let money = &digest.money;
    let Some(forecast) = burn.forecast else {
        let closed = programme
            .closed_at
            .filter(|closed| *closed < term.ends_at());
        return vec![say(match closed {
            Some(closed) => format!(
                "The programme was closed on {}.",
                time_in(closed, term.zone())
            ),
            None => format!("The term ended on {}.", long_date(term.ends_on())),
        })];
    };
    let ahead = std::iter::once(forecast.to_words(term))
        .chain(to_do)
        .joined(" ");
    let name = &programme.settings.name;
    let during = say::week(digest.days).during;
    let before = say::known(money.week_before).map_or_else(String::new, |spent| {
        format!(", and {spent} the week before")
    });
    let week = match say::known(money.this_week) {
        None => format!("It is not known yet what {name} spent {during}."),
        Some(spent) => format!("{name} spent {spent} {during}{before}."),
    };
    let to_look_at = match to_look_at {
        0 if forecast.is_short() || digest.people.is_none() => String::new(),
        0 => " Nothing needs your attention.".to_owned(),
        1 => " One thing needs your attention.".to_owned(),
        count => format!(" {count} things need your attention."),
    };
    let bars = digest
        .listed_at
        .map(|_| LetterPart::Burn(BurnBars::new(burn)));
    let first = [ahead, format!("{week}{to_look_at}")].map(say);
    first.into_iter().chain(bars).collect()
}

fn groups(digest: &Digest) -> Vec<LetterPart> {
    let lines = &digest.groups;
    let money = &digest.money;
    let this_week = round_to_cents(lines.iter().map(|line| line.this_week));
    let week_before = round_to_cents(lines.iter().map(|line| line.week_before));
    if lines.is_empty() {
        return Vec::new();
    }
    // A group's figure is known no better than the total.
    let rows =
        lines
            .iter()
            .zip(this_week)
            .zip(week_before)
            .map(|((line, this_week), week_before)| LetterRow {
                name: match &line.subject {
                    LineSubject::Group(group) => group.clone(),
                    LineSubject::NoGroup => "without a group".to_owned(),
                    LineSubject::Assigned => "keys made elsewhere".to_owned(),
                    LineSubject::Further(count) => {
                        counted((*count).into(), "further group", "further groups")
                    }
                },
                cells: vec![
                    say::figure(Sum {
                        spent: this_week,
                        accuracy: money.this_week.accuracy,
                    }),
                    say::figure(Sum {
                        spent: week_before,
                        accuracy: money.week_before.accuracy,
                    }),
                ],
            });
    let table = LetterTable::new(
        ["Group", say::week(digest.days).name, "the week before"],
        rows.collect(),
    );
    vec![LetterPart::Heading("By group"), LetterPart::Table(table)]
}

fn models(digest: &Digest, byok: Byok) -> Vec<LetterPart> {
    let has_own_keys = digest.models.iter().any(|line| line.used.byok > Usd::ZERO);
    let own_keys = match byok {
        Byok::Inside => "of it on own keys",
        Byok::Outside => "besides on own keys",
    };
    let cents = round_to_cents(digest.models.iter().map(|line| line.used.counted(byok)));
    let rows = digest.models.iter().zip(cents).map(|(line, cents)| {
        let mut cells = vec![
            cents.to_cents(),
            line.requests()
                .map_or_else(|| NOT_TOLD.to_owned(), group_digits),
            line.used
                .per_request()
                .map_or_else(|| NOT_TOLD.to_owned(), cost_in_words),
        ];
        if has_own_keys {
            cells.insert(1, line.used.byok.to_cents());
        }
        LetterRow {
            name: line.label().to_owned(),
            cells,
        }
    });
    let mut parts = Vec::new();
    if !digest.models.is_empty() {
        let head = [
            "Model",
            say::week(digest.days).name,
            "requests",
            "per request",
        ];
        let mut table = LetterTable::new(head, rows.collect());
        if has_own_keys {
            table.head.insert(2, own_keys.to_owned());
        }
        parts.push(LetterPart::Table(table));
    }
    if has_own_keys && byok == Byok::Outside {
        parts.push(say(
            "What students pay with keys of their own at a model's provider is not part of the budget. The cost of a request is shown no matter who paid for it.",
        ));
    }
    parts.extend(dearest(&digest.models).map(say));
    if !digest.models_unknown.is_empty() {
        let days = say::stretches(&digest.models_unknown);
        parts.push(say(format!(
            "For {days} it is not known which models were used. Bursar asks OpenRouter again in the coming nights."
        )));
    }
    if !parts.is_empty() {
        parts.insert(0, LetterPart::Heading("By model"));
    }
    parts
}

/// The model with the highest cost of a request, beside those with the lowest; `None` if all cost
/// alike.
fn dearest(models: &[ModelUse]) -> Option<String> {
    // Beyond these lines is what was put together.
    let named = models
        .iter()
        .take(MOST_LINES)
        .filter(|line| !line.model.is_empty());
    let mut costs: Vec<_> = named
        .filter_map(|line| Some((line.used.per_request()?, line)))
        .collect();
    costs.sort_by_key(|(cost, _)| *cost);
    let (most, dear) = costs.pop()?;
    let cheaper = costs.into_iter().filter(|(cost, _)| *cost < most).take(2);
    let cheaper = cheaper
        .map(|(cost, line)| format!("{} cost {}", line.model, cost_in_words(cost)))
        .joined(", ");
    let model = &dear.model;
    let most = cost_in_words(most);
    (!cheaper.is_empty()).then(|| {
        format!(
            "Requests to {model} cost most, {most} each on average; {cheaper}. If a cheaper model will do, tell the class."
        )
    })
}

fn spenders(digest: &Digest, reset: Reset, names: &DigestNames) -> Vec<LetterPart> {
    let Some(people) = digest
        .people
        .as_ref()
        .filter(|people| !people.spenders.is_empty())
    else {
        return Vec::new();
    };
    let rows = people.spenders.iter().map(|spender| LetterRow {
        name: name(names, &spender.grant),
        cells: vec![
            spender.this_week.to_cents(),
            format!(
                "{} of {}",
                spender.of_cap.to_cents(),
                spender.cap.to_dollars()
            ),
        ],
    });
    let of_cap = format!("cap used {}", say::in_window(reset, people.days.1));
    let days = if people.days.1 == digest.days.1 {
        say::week(people.days).name.to_owned()
    } else {
        date_range(people.days)
    };
    let table = LetterTable::new(["Student", &days, of_cap.trim_end()], rows.collect());
    let to_do = say(
        "Spending much is not a fault. A student's page shows what was spent day by day, and faculty can change the cap there.",
    );
    vec![
        LetterPart::Heading("Who spent most"),
        LetterPart::Table(table),
        to_do,
    ]
}

fn list_who_needs_a_look(
    digest: &Digest,
    programme: &Programme,
    tell: impl Fn(&PeopleSample) -> String,
    names: Option<&DigestNames>,
    now: Moment,
) -> Vec<(&'static str, String)> {
    let reset = programme.settings.basis.reset;
    let mut notes = Vec::new();
    let StandingOut {
        usual_week,
        most,
        unnamed,
    } = &digest.standing_out;
    if !most.is_empty() {
        let count = digest.standing_out.count();
        let named = names.map(|names| {
            let outliers = most
                .iter()
                .map(|(grant, spent)| format!("{} {}", name(names, grant), spent.to_cents()));
            let outliers = outliers.joined(", ");
            let rest = if *unnamed > 0 {
                format!(", and {unnamed} more")
            } else {
                String::new()
            };
            format!(
                "{count} ({outliers}{rest}); a student's usual week is {}",
                usual_week.to_cents()
            )
        });
        let who = named.unwrap_or_else(|| count.to_string());
        notes.push((
            "Spent far more than is usual for them",
            format!("{who}. {MEANT}"),
        ));
    }
    let Some(people) = &digest.people else {
        return notes;
    };
    let unclaimed = about_unclaimed(programme, &digest.money.budget, now);
    for (need, sample) in &people.needs {
        let advice = if *need == Need::Unclaimed {
            &unclaimed
        } else {
            need.advice()
        };
        let mut who = tell(sample);
        if *need == Need::UsedUp && reset != Reset::None {
            who.push_str(&format!(
                ", {}. It resets by itself",
                say::in_window(reset, people.days.1)
            ));
        }
        notes.push((need.label(), format!("{who}. {advice}")));
    }
    notes
}

const MEANT: &str = "Ask whether they meant to: a program may be running by mistake, or another person may have the key.";

/// The advice about students without a key; it is a reminder only while keys can be claimed.
fn about_unclaimed(programme: &Programme, budget: &Budget, now: Moment) -> String {
    let settings = &programme.settings;
    let opens = settings.claim_opens_at();
    let closes = settings.claim_closes_at();
    let term = &settings.term;
    if now < opens {
        return format!("Keys can be claimed from {}.", time_in(opens, term.zone()));
    }
    if programme.find_room_refusal(budget, now).is_some() {
        return "The budget has no room for all of their keys: remind them once the budget is raised.".to_owned();
    }
    if now < closes {
        return Need::Unclaimed.advice().to_owned();
    }
    format!(
        "Keys could be claimed until {}, so no reminder helps. If they should still have one, faculty can set a later time for “Keys can be claimed until” in the programme's settings.",
        time_in(closes, term.zone())
    )
}

fn name(names: &DigestNames, grant: &GrantId) -> String {
    names
        .get(grant)
        .cloned()
        .unwrap_or_else(|| "a person who is gone".to_owned())
}
