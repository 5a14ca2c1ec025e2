//! The balance of the last days, and where the present pace leads, as a programme's spending is
//! drawn.

use bursar_core::clock::Moment;
use bursar_core::domain::credit::{Purchase, WhyGone};
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::usage::burn::BurnScene;
use bursar_core::domain::values::format::short_date;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{days_between, utc_date};
use jiff::ToSpan;
use jiff::civil::Date;

use crate::kit::show::long_date;
use crate::money::spending::drawing::Drawing;

/// The days whose balance is drawn, and as many to come.
pub(super) const DRAWN: i32 = 90;

/// The drawing of the account's cuts, one a day and the newest first, and of its balance as it was
/// read last; `None` on the first day.
pub(super) fn draw(
    days: &[AccountCut],
    (balance, read_at): (Usd, Moment),
    purchase: &Purchase,
) -> Option<Drawing> {
    let today = utc_date(read_at);
    let shown = days
        .iter()
        .rev()
        .filter(|day| day.day() < today && days_between(day.day(), today) <= DRAWN);
    let mut balances: Vec<(Date, Usd)> = shown.map(|day| (day.day(), day.balance())).collect();
    let first = balances.first()?.0;
    balances.push((today, balance));
    let line: Vec<(i32, Usd)> = balances
        .into_iter()
        .map(|(day, balance)| (days_between(first, day), balance))
        .collect();

    let horizon = today.saturating_add(DRAWN.days());
    let last = purchase
        .until
        .map_or(horizon, |until| until.clamp(today, horizon));
    let needed = purchase.to_come + purchase.foreign_to_come;
    let used = purchase
        .a_week
        .times(days_between(today, last).unsigned_abs())
        .micros()
        / 7;
    let used = Usd::from_micros(used).min(needed);
    let gone = purchase
        .gone
        .filter(|gone| gone.why == WhyGone::Pace && gone.day <= last);
    let end = gone.map_or(last, |gone| gone.day);
    let amount_left = if gone.is_some() {
        Usd::ZERO
    } else {
        (balance - used).or_zero()
    };
    let led_to = format!(
        "about {} on {}",
        amount_left.to_the(Usd::DOLLAR).to_dollars(),
        short_date(end)
    );
    let scene = BurnScene {
        days: days_between(first, last).max(1),
        term_ends: days_between(first, last),
        top: line
            .iter()
            .map(|(_, balance)| *balance)
            .fold(needed.max(Usd::CENT), Usd::max),
        line,
        ahead: (used > Usd::ZERO).then(|| (days_between(first, end), amount_left, led_to)),
        is_short: purchase.gone.is_some(),
        limit: needed,
        levels: Vec::new(),
        budget: format!("{} can still be spent", needed.to_dollars()),
        first: short_date(first),
        today: short_date(today),
        last: short_date(last),
    };
    let [first_day, last_day] = [first, today].map(long_date);
    let words = format!(
        "A line of the balance from {first_day} to {last_day}: {} are left.",
        balance.whole_cents().to_dollars()
    );
    Some(Drawing::new(scene, words, "balance"))
}

#[cfg(test)]
mod tests {
    use bursar_core::domain::credit::BalanceGone;
    use jiff::SignedDuration;
    use jiff::tz::TimeZone;

    use super::*;

    /// A balance of $1,000 before a purchase and after two hundred days, and $70 a week.
    #[test]
    fn ninety_days_are_drawn_and_ninety_ahead() {
        let today = Date::constant(2026, 11, 20);
        let usd = Usd::from_dollars;
        let now: Moment = today.to_zoned(TimeZone::UTC).unwrap().timestamp().into();
        let cut = |ago: i64| AccountCut {
            as_of: now - SignedDuration::from_hours(24 * ago),
            bought: usd(1_000),
            ..AccountCut::default()
        };
        let purchase = |gone: Option<Date>| Purchase {
            balance: usd(1_000),
            to_come: usd(5_000),
            foreign_to_come: Usd::ZERO,
            until: Some(Date::constant(2027, 11, 20)),
            a_week: usd(70),
            spent_since: Usd::ZERO,
            amount: usd(4_000),
            gone: gone.map(|day| BalanceGone {
                day,
                why: WhyGone::Pace,
            }),
        };
        let days: Vec<AccountCut> = (0..200).map(cut).collect();
        let drawn = |purchase: &Purchase| draw(&days, (usd(1_000), now), purchase).unwrap();
        let lasting = drawn(&purchase(None));
        assert_eq!([lasting.first, lasting.last], ["22 Aug", "18 Feb"]);
        assert_eq!(
            (lasting.today.0, lasting.ahead.unwrap().2),
            (500, "about $100 on 18 Feb".to_owned())
        );
        let short = drawn(&purchase(Some(Date::constant(2027, 1, 4))));
        assert_eq!(
            short.ahead,
            Some((750, 1_000, "about $0 on 4 Jan".to_owned()))
        );
        assert!(draw(&days[..1], (usd(1_000), now), &purchase(None)).is_none());
    }
}
