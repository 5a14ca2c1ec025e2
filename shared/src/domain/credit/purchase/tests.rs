//! The amount and the day of a purchase.

use super::*;
use crate::domain::testing::dollars as usd;

const TODAY: Date = Date::constant(2026, 11, 16);

fn midnight(day: Date) -> Moment {
    day.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().into()
}

fn day(ago: i64) -> Date {
    TODAY.checked_sub(ago.days()).unwrap()
}

/// Equal spending on each of the last days before today.
fn steadily(days: i64, micros: i64) -> Days {
    let mut spent = Days::default();
    for ago in 1..=days {
        spent.add(&Days::on_one(day(ago), Usd::from_micros(micros)));
    }
    spent
}

fn purchase(balance: Usd, to_come: Usd, ours: &Days, foreign: &Days, days_left: i64) -> Purchase {
    let listed_at = Some(midnight(TODAY) + 20.minutes());
    let ends_at = Some(midnight(TODAY) + (24 * days_left).hours());
    Purchase::of(&CreditFacts { balance, to_come, ours, foreign, listed_at, ends_at })
}

#[test]
fn the_amount_is_what_is_to_come_and_other_keys_until_the_end_less_the_balance_in_whole_hundreds() {
    let (nothing, foreign) = (Days::default(), steadily(28, 10_000_000));
    let amount = |balance, to_come, foreign: &Days, days_left| {
        purchase(usd(balance), usd(to_come), &nothing, foreign, days_left).amount
    };
    assert_eq!(amount(1000, 1000, &nothing, 70), usd(0));
    assert_eq!(amount(999, 1000, &nothing, 70), usd(100));
    assert_eq!(amount(-1, 1000, &nothing, 70), usd(1100));
    // $280 in 28 days, and ten weeks to go: $700.
    assert_eq!(amount(1000, 1000, &foreign, 70), usd(700));
    // Three days are three sevenths of a week.
    assert_eq!(amount(1029, 1000, &foreign, 3), usd(100));
    assert_eq!(amount(1030, 1000, &foreign, 3), usd(0));
    assert_eq!(amount(1000, 1000, &foreign, -30), usd(0), "the last programme is over");
}

#[test]
fn the_day_is_thirty_days_before_the_balance_is_gone_at_the_pace_of_the_whole_account() {
    let half = steadily(28, 5_000_000);
    let found = purchase(usd(400), usd(1000), &half, &half, 70);
    assert_eq!((found.pace, found.foreign), (usd(280), usd(140)));
    assert_eq!(found.gone_on, Some(day(-40)));
    assert_eq!(found.buy_by, Some(day(-10)));
    assert_eq!(purchase(usd(0), usd(1), &half, &half, 70).gone_on, Some(TODAY));
    assert_eq!(purchase(usd(-5), usd(1), &half, &half, 70).buy_by, Some(day(30)), "it is past");
    let unused = purchase(usd(0), usd(1), &Days::default(), &Days::default(), 70);
    assert_eq!((unused.amount, unused.gone_on, unused.buy_by), (usd(100), None, None));
}

#[test]
fn days_that_are_not_over_or_too_long_ago_are_in_no_pace_and_unknown_ones_are_named() {
    let mut ours = steadily(28, 1_000_000);
    ours.add(&Days::on_one(TODAY, usd(50)));
    ours.add(&Days::on_one(day(29), usd(50)));
    let found = purchase(usd(100), usd(200), &ours, &Days::default(), 7);
    assert_eq!((found.pace, found.is_partial), (usd(28), false));
    let counted = crate::domain::usage::days::KeyCounters { lifetime: usd(30), today: Some(usd(1)), on: day(5) };
    let since_five_days = Days::default().with(counted, None);
    let found = purchase(usd(100), usd(200), &since_five_days, &Days::default(), 7);
    assert_eq!((found.pace, found.is_partial), (usd(1), true));
}
