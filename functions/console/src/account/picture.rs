//! The balance of the last days, and where the present pace leads, as a programme's spending is drawn.

use bursar_core::domain::credit::{Purchase, WhyGone};
use bursar_core::domain::usage::burn::{BurnLabels, BurnScene};
use bursar_core::domain::values::format::short_date;
use jiff::ToSpan;

use super::page::DRAWN;
use crate::prelude::*;
use crate::spending::drawing::Drawing;

/// The drawing of the account's days, the newest first, and of its balance as it was read last; `None` on the first day.
pub(super) fn of(days: &[AccountDay], (balance, read_at): (Usd, Moment), purchase: &Purchase) -> Option<Drawing> {
    let today = utc_date(read_at);
    let shown = today.saturating_sub(DRAWN.days())..today;
    let shown: Vec<_> = days.iter().rev().filter(|day| shown.contains(&day.day)).collect();
    let first = shown.first()?.day;
    let number = |day: Date| first.until(day).map_or(0, |span| span.get_days());
    let mut line: Vec<(i32, Usd)> = shown.iter().map(|day| (number(day.day), day.bought - day.spent)).collect();
    line.push((number(today), balance));

    let horizon = today.saturating_add(DRAWN.days());
    let last = purchase.until.map_or(horizon, |until| until.clamp(today, horizon));
    let needed = purchase.to_come + purchase.foreign_to_come;
    let used = purchase.a_week.times(u32::try_from(number(last) - number(today)).unwrap_or(0)).micros() / 7;
    let used = Usd::from_micros(used).min(needed);
    let (end, left) = match purchase.gone {
        Some(gone) if gone.why == WhyGone::Pace && gone.day <= last => (gone.day, Usd::ZERO),
        _ => (last, (balance - used).or_zero()),
    };
    let scene = BurnScene {
        days: number(last).max(1),
        term_ends: number(last),
        top: line.iter().map(|(_, balance)| *balance).fold(needed.max(Usd::CENT), Usd::max),
        line,
        ahead: (used > Usd::ZERO).then(|| (number(end), left)),
        is_short: purchase.gone.is_some(),
        limit: needed,
        thresholds: Vec::new(),
        words: BurnLabels {
            spent: String::new(),
            budget: format!("{} can still be spent", needed.to_dollars()),
            ahead: Some(format!("about {} on {}", left.to_the(Usd::DOLLAR).to_dollars(), short_date(end))),
            first: short_date(first),
            today: short_date(today),
            last: short_date(last),
        },
    };
    let [from, to] = [first, today].map(long_date);
    let words = format!("A line of the balance from {from} to {to}: {} are left.", balance.whole_cents().to_dollars());
    Some(Drawing::of(&scene, words, "balance"))
}
