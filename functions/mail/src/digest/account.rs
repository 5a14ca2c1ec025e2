//! The digest of the account, to admins.

use std::collections::HashMap;

use bursar_core::domain::crossing::per_cent;
use bursar_core::domain::digest::{AccountDigest, NewKey, ProgrammeLine};
use bursar_core::domain::forecast::RunsOut;
use bursar_core::domain::id::ProgrammeId;
use bursar_core::domain::money::Usd;
use jiff::Timestamp;

use super::say;
use crate::letter::{Letter, Part, Row, Table};
use crate::words::Words;

impl Words<'_> {
    /// `names` are the programmes' and `keys` what the new keys are called.
    pub(crate) fn account_digest(
        self,
        digest: &AccountDigest,
        names: &HashMap<ProgrammeId, String>,
        keys: &[String],
    ) -> Letter {
        let balance = digest.balance.map_or("balance not known".to_owned(), |left| format!("balance {}", exact(left)));
        let subject = format!("The account: {}, {balance}", say::this_week(digest.this_week));
        let mut parts = vec![Part::Facts(figures(digest))];
        parts.extend(what_is_wrong(digest).into_iter().map(Part::Sentences));
        parts.extend(programmes(digest, names));
        parts.extend(new_keys(digest, keys));
        let weeks = [digest.this_week, digest.week_before];
        let (facts, sentences) = say::health(&digest.health, weeks, utc);
        parts.extend([Part::Heading("How far this can be relied on"), Part::Facts(facts)]);
        parts.extend(sentences.into_iter().map(Part::Sentences));
        parts.push(Part::Link {
            label: "See the account",
            url: format!("{}/console/account", self.config.origin.as_str()),
        });
        Letter {
            heading: "The account: the week".to_owned(),
            subject,
            parts,
            why: format!(
                "You get this mail on Mondays because you are an admin of Bursar at {}.",
                self.config.institution
            ),
            to: self.to.clone(),
        }
    }
}

fn figures(digest: &AccountDigest) -> Vec<(&'static str, String)> {
    vec![
        ("Balance", digest.balance.map_or("not known".to_owned(), exact)),
        ("Reserved", format!("{} by all programmes", say::spent(digest.reserved))),
        ("Of it not spent", say::spent(digest.to_come)),
        ("Spent this week", say::figure(digest.this_week)),
        ("The week before", say::figure(digest.week_before)),
        ("Week", format!("{} (UTC)", say::days(digest.days))),
    ]
}

fn what_is_wrong(digest: &AccountDigest) -> Vec<String> {
    let short = digest.balance.filter(|balance| *balance < digest.to_come).map(|balance| {
        let short = say::spent(digest.to_come - balance);
        format!("The balance is {short} below what is promised. Buy credit, or lower pots and caps.")
    });
    let held_back = digest.held_back.as_ref().map(|words| {
        format!(
            "The guard of the sync held back {words}. The account page lets the next sync do it, once it is clear why."
        )
    });
    short.into_iter().chain(held_back).collect()
}

fn programmes(digest: &AccountDigest, names: &HashMap<ProgrammeId, String>) -> Vec<Part> {
    let row = |line: &ProgrammeLine| Row {
        name: names.get(&line.programme).cloned().unwrap_or_else(|| line.programme.to_string()),
        cells: vec![
            say::figure(line.this_week),
            format!("{}% of {}", per_cent(line.spent, line.pot), line.pot.to_dollars_down()),
            match line.runs_out {
                None => "closed, the programme is over".to_owned(),
                Some(RunsOut::OutOn(day)) => day.strftime("used up around %-d %b %Y").to_string(),
                Some(RunsOut::KeysStopOn(day)) => {
                    day.strftime("not used up: its keys stop around %-d %b %Y").to_string()
                }
                Some(RunsOut::NotBeforeTheTermEnds) => "lasts to the end of the term".to_owned(),
                Some(RunsOut::TooLittleData) => "without a forecast: too little data".to_owned(),
                Some(RunsOut::PerhapsByNow) => "perhaps used up by now".to_owned(),
                Some(RunsOut::KeysStopped) => "not used up: its keys have stopped".to_owned(),
                Some(RunsOut::Gone) => "used up".to_owned(),
            },
        ],
    };
    if digest.programmes.is_empty() {
        return Vec::new();
    }
    let head = ["Programme", "this week", "used", "budget"];
    let rows = digest.programmes.iter().map(row).collect();
    let more = (digest.further > 0).then(|| Part::Sentences(format!("And {} more.", digest.further)));
    [Part::Heading("Programmes"), Part::Table(Table::new(head, rows))].into_iter().chain(more).collect()
}

fn new_keys(digest: &AccountDigest, names: &[String]) -> Vec<Part> {
    let row = |(key, name): (&NewKey, &String)| Row {
        name: name.clone(),
        cells: vec![say::spent(key.spent), key.limit.map_or_else(|| "unlimited".to_owned(), Usd::to_dollars_down)],
    };
    if digest.new_keys == 0 {
        return Vec::new();
    }
    let rows: Vec<Row> = digest.first_new_keys.iter().zip(names).map(row).collect();
    let more = usize::try_from(digest.new_keys).unwrap_or(usize::MAX).saturating_sub(rows.len());
    let more = (more > 0).then(|| Part::Sentences(format!("And {more} more.")));
    let table = Table::new(["Key", "spent in all", "limit"], rows);
    [Part::Heading("Keys without an owner, new this week"), Part::Table(table)].into_iter().chain(more).collect()
}

/// A balance is what is left, and may be less than nothing.
fn exact(amount: Usd) -> String {
    let text = amount.to_dollars_down();
    if text.contains('.') { text } else { format!("{text}.00") }
}

fn utc(at: Timestamp) -> String {
    at.strftime("%-d %B %Y, %H:%M (UTC)").to_string()
}
