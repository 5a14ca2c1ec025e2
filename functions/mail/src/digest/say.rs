//! How digests say amounts, days and people: what is not known is said in words and never shown as nothing.

use bursar_core::domain::days::{Known, Sum};
use bursar_core::domain::digest::{Block, Few, Health};
use bursar_core::domain::money::Usd;
use bursar_core::domain::window::Reset;
use jiff::Timestamp;
use jiff::civil::Date;

use super::Names;
use crate::words::day;

/// An amount that was spent, with its cents: in a column they stand below each other.
pub(super) fn spent(amount: Usd) -> String {
    let text = amount.to_dollars_up();
    if text.contains('.') { text } else { format!("{text}.00") }
}

/// A sum with how well it is known.
pub(super) fn figure(sum: Sum) -> String {
    match sum.known {
        Known::Exactly => spent(sum.spent),
        Known::Estimated => format!("about {}", spent(sum.spent)),
        Known::Partly if sum.spent == Usd::ZERO => "not known".to_owned(),
        Known::Partly => format!("at least {}", spent(sum.spent)),
    }
}

/// The same in a subject.
pub(super) fn this_week(sum: Sum) -> String {
    match sum.known {
        Known::Partly if sum.spent == Usd::ZERO => "what was spent this week is not known".to_owned(),
        _ if sum.spent == Usd::ZERO => "nothing spent this week".to_owned(),
        _ => format!("{} this week", figure(sum)),
    }
}

/// `9 to 15 November 2026`, and both months where they differ.
pub(super) fn days((from, to): (Date, Date)) -> String {
    let first = match (from.year() == to.year(), from.month() == to.month()) {
        (true, true) => from.strftime("%-d").to_string(),
        (true, false) => from.strftime("%-d %B").to_string(),
        (false, _) => day(from),
    };
    if from == to { day(to) } else { format!("{first} to {}", day(to)) }
}

/// In which window of a cap: that which the last day of the week lies in, and with a cap for each day the fullest.
pub(super) fn in_window(reset: Reset, last: Date) -> String {
    match reset {
        Reset::None => String::new(),
        Reset::Daily => "on the fullest day".to_owned(),
        Reset::Weekly => {
            let monday = reset.days_around(last).map_or(last, |(monday, _)| monday);
            monday.strftime("in the week from Monday %-d %b").to_string()
        }
        Reset::Monthly => last.strftime("in %B").to_string(),
    }
}

/// Stretches of days, in a sentence.
pub(super) fn stretches(stretches: &[(Date, Date)]) -> String {
    let all: Vec<String> = stretches.iter().map(|stretch| days(*stretch)).collect();
    all.join(", ")
}

/// Their names, and how many more there are.
pub(super) fn people(few: &Few, names: &Names) -> String {
    let named: Vec<&str> = few.first.iter().filter_map(|grant| names.get(grant)).map(String::as_str).collect();
    let more = usize::try_from(few.count).unwrap_or(usize::MAX).saturating_sub(named.len());
    match (named.is_empty(), more) {
        (true, _) => few.count.to_string(),
        (false, 0) => format!("{} ({})", few.count, named.join(", ")),
        (false, more) => format!("{} ({}, and {more} more)", few.count, named.join(", ")),
    }
}

pub(super) fn block(block: Block) -> &'static str {
    match block {
        Block::UsedUp => "Cap used up",
        Block::Paused => "Paused",
        Block::Unused => "Set aside unused",
        Block::Leaked => "Reported leaked",
        Block::TooOld => "Key too old",
        Block::ReplacementFailed => "Replacement failed",
        Block::GoneAtProvider => "Gone at the provider",
        Block::TermEnded => "Stopped at the old end",
    }
}

/// How far figures can be relied on: what is known, and in sentences what is not.
pub(super) fn health(
    health: &Health,
    weeks: [Sum; 2],
    moment: impl Fn(Timestamp) -> String,
) -> (Vec<(&'static str, String)>, Vec<String>) {
    let mut facts = vec![("Last complete sync", health.completed_at.map_or("none yet".to_owned(), &moment))];
    if let Some(residual) = health.residual {
        let grew = health.residual_grew.filter(|grew| *grew != Usd::ZERO).map(|grew| {
            let sign = if grew > Usd::ZERO { "+" } else { "" };
            format!(", {sign}{} this week", spent(grew))
        });
        facts.push(("Residual of the account", format!("{}{}", spent(residual), grew.unwrap_or_default())));
    }
    let mut sentences = Vec::new();
    if weeks.iter().any(|week| week.known == Known::Partly) {
        sentences.push(match health.looked_at {
            Some(at) => format!(
                "Not all of these days are known yet: every key was last looked at on {}. What was used since is in no figure here.",
                moment(at)
            ),
            None => "No sync has looked at the keys yet, so nobody knows what was used.".to_owned(),
        });
    }
    if weeks.iter().any(|week| week.known == Known::Estimated) {
        sentences.push(
            "Where it says about, a night was missed: some of the money may belong to a day beside the week."
                .to_owned(),
        );
    }
    (facts, sentences)
}
