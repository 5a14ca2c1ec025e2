//! The digest of the account, to admins.

use std::collections::HashMap;

use bursar_core::domain::credit::Basis;
use bursar_core::domain::mail::digest::{AccountDigest, ProgrammeLine, UnownedKey};
use bursar_core::domain::usage::forecast::RunsOut;
use bursar_core::domain::values::format::date_range;

use super::say;
use crate::letter::{LetterRow, LetterTable};
use crate::prelude::*;

impl Words<'_> {
    /// The digest's mail. `names` are the programmes' names, and `keys` those of the new keys.
    pub(crate) fn account_digest(
        self,
        digest: &AccountDigest,
        names: &HashMap<ProgrammeId, String>,
        keys: &[String],
        admins: usize,
    ) -> Letter {
        let balance =
            digest.balance.map_or("balance not known".to_owned(), |left| format!("balance {}", left.to_cents_down()));
        let account = format!("The OpenRouter account of {}", self.config.institution);
        let subject = format!("{account}: {}, {balance}", say::in_week(digest.this_week, digest.days));
        let mut parts: Vec<LetterPart> = what_is_wrong(digest, admins).into_iter().map(LetterPart::Sentences).collect();
        if parts.is_empty() {
            parts.push(said("All is well: there is nothing for you to do."));
        }
        parts.push(LetterPart::facts(figures(digest)));
        parts.extend(programmes(digest, names));
        parts.extend(new_keys(digest, keys));
        parts.extend(old_keys(digest.old_keys));
        parts.extend([LetterPart::Heading("How sure these figures are"), LetterPart::facts(reliance(digest))]);
        let unknown = say::unknown(&digest.health, [digest.this_week, digest.week_before], digest.days.1, utc);
        parts.extend(unknown.into_iter().map(LetterPart::Sentences));
        parts.push(self.page("Open the account", "/console/account"));
        Letter {
            heading: format!("{account}, {}", say::week(digest.days).name),
            subject,
            parts,
            why: format!(
                "You get this mail on Mondays because you are an admin of Bursar at {}.",
                self.config.institution
            ),
            ..self.letter()
        }
    }
}

fn figures(digest: &AccountDigest) -> Vec<(&'static str, String)> {
    let (reserved, to_come) = (digest.reserved.to_cents_up(), digest.to_come.to_cents_up());
    let this_week = say::figure(digest.this_week);
    vec![
        ("Balance", digest.balance.map_or("not known".to_owned(), Usd::to_cents_down)),
        ("Promised to students", format!("{reserved} in all programmes, {to_come} of it not spent yet")),
        (
            say::week(digest.days).spent,
            format!("{this_week} (all keys of the account, {}, days in UTC)", date_range(digest.days)),
        ),
        ("Spent the week before", say::figure(digest.week_before)),
    ]
}

fn what_is_wrong(digest: &AccountDigest, admins: usize) -> Vec<String> {
    let short = digest.balance.and_then(|balance| digest.need.beyond(balance)).map(Usd::to_cents_up);
    let short = short.map(|short| match digest.need.basis {
        Basis::TwoWeeks => format!(
            "The balance is {short} short of what two weeks use at the recent pace. Buy credit, or check that it is still bought automatically."
        ),
        Basis::Today => format!("The balance is {short} short of what a day uses at the pace since the last check. Buy credit."),
        Basis::Promised => format!("The balance is {short} below what keys may still spend. Buy credit, or lower budgets and caps."),
    });
    let held_back = (digest.held_back > 0).then(|| {
        format!(
            "{} would have been switched off in the night. Bursar did not do it, since so many may be a mistake. The account page names them: find out why, and if it is right, one button there lets it happen.",
            counted(digest.held_back.into(), "key", "keys")
        )
    });
    let unlimited = match digest.unlimited_keys {
        0 => None,
        1 => Some("1 key made elsewhere works without a limit. An admin can limit it on the account page.".to_owned()),
        count => Some(format!(
            "{count} keys made elsewhere work without a limit. An admin can limit them on the account page."
        )),
    };
    let alone = (admins < 2)
        .then(|| "You are the only admin. Add another on the account page, for when you are away.".to_owned());
    short.into_iter().chain(held_back).chain(unlimited).chain(alone).collect()
}

/// The facts that say how reliable the figures are.
fn reliance(digest: &AccountDigest) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Last checked at OpenRouter", digest.health.completed_at.map_or("not yet".to_owned(), utc))];
    let unmatched = match (digest.residual, digest.residual_grew) {
        (None, _) => "not known yet".to_owned(),
        (Some(Usd::ZERO), _) => "nothing: all spending was that of known keys".to_owned(),
        (Some(residual), grew) if grew > Usd::ZERO => format!(
            "{} in all, {} of it new. The account page shows it day by day; once you know what it was, say so there.",
            residual.to_cents_up(),
            grew.to_cents_up()
        ),
        (Some(residual), _) => format!("{} in all, nothing of it new", residual.to_cents_up()),
    };
    facts.push(("Not explained", unmatched));
    facts
}

fn programmes(digest: &AccountDigest, names: &HashMap<ProgrammeId, String>) -> Vec<LetterPart> {
    let row = |line: &ProgrammeLine| LetterRow {
        name: names.get(&line.programme).cloned().unwrap_or_else(|| line.programme.to_string()),
        cells: vec![
            say::figure(line.this_week),
            format!("{}% of {}", per_cent(line.spent, line.budget), line.budget.to_dollars_down()),
            match line.runs_out {
                None => "closed, the programme is over".to_owned(),
                Some(RunsOut::OutOn(day)) => format!("used up around {}", long_date(day)),
                Some(RunsOut::KeysStopOn(day)) => {
                    format!("not used up: its keys are used up around {}", long_date(day))
                }
                Some(RunsOut::NotBeforeTheTermEnds) => "lasts to the end of the term".to_owned(),
                Some(RunsOut::TooLittleData) => "without a forecast: too little data".to_owned(),
                Some(RunsOut::PerhapsByNow) => "perhaps used up by now".to_owned(),
                Some(RunsOut::KeysStopped) => "not used up: its keys have stopped".to_owned(),
                Some(RunsOut::Gone) => "used up".to_owned(),
                Some(RunsOut::NoBudget) => "without a budget yet".to_owned(),
            },
        ],
    };
    if digest.programmes.is_empty() {
        return Vec::new();
    }
    let spent = format!("spent {}", say::week(digest.days).during);
    let head = ["Programme", &spent, "used so far", "budget"];
    let rows = digest.programmes.iter().map(row).collect();
    let more =
        (digest.further > 0).then(|| LetterPart::Sentences(format!("And {} more, which spent less.", digest.further)));
    [LetterPart::Heading("Programmes"), LetterPart::Table(LetterTable::new(head, rows))]
        .into_iter()
        .chain(more)
        .collect()
}

fn new_keys(digest: &AccountDigest, names: &[String]) -> Vec<LetterPart> {
    let row = |(key, name): (&UnownedKey, &String)| LetterRow {
        name: name.clone(),
        cells: vec![key.spent.to_cents_up(), key.limit.map_or_else(|| "none".to_owned(), Usd::to_dollars_down)],
    };
    if digest.new_keys == 0 {
        return Vec::new();
    }
    let rows: Vec<LetterRow> = digest.first_new_keys.iter().zip(names).map(row).collect();
    let more = usize::try_from(digest.new_keys).unwrap_or(usize::MAX).saturating_sub(rows.len());
    let more = if more > 0 { format!("And {more} more. ") } else { String::new() };
    let to_do =
        format!("{more}Nobody made these keys through Bursar. Find out who did; the account page lists all of them.");
    let table = LetterTable::new(["Key", "spent so far", "limit"], rows);
    vec![LetterPart::Heading("New keys made elsewhere"), LetterPart::Table(table), LetterPart::Sentences(to_do)]
}

/// The keys that are no news, found by the first syncs.
fn old_keys(count: u32) -> Vec<LetterPart> {
    let to_do = match count {
        0 => return Vec::new(),
        1 => "There is one key without an owner that is older than Bursar. Give it an owner on the account page."
            .to_owned(),
        count => format!(
            "There are {count} keys without an owner that are older than Bursar. Give them owners on the account page."
        ),
    };
    vec![LetterPart::Heading("Keys from before Bursar"), LetterPart::Sentences(to_do)]
}
