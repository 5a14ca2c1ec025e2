//! The account's spending up to each day, by owner: the sums, with the growth of each since the previous
//! day on record.

use bursar_core::domain::values::money::Usd;
use bursar_core::store::AccountDay;
use jiff::civil::Date;

/// One day on the page.
pub(super) struct Day {
    pub(super) day: Date,
    /// The number of days over which the sums grew, if more than one.
    pub(super) nights: Option<i32>,
    /// The sums: the account; keys of grants; foreign keys; deleted keys of grants; deleted foreign keys;
    /// and the residual.
    pub(super) cells: [Cell; 6],
}

pub(super) struct Cell {
    pub(super) sum: String,
    /// The growth since the previous day on record, if there is one.
    pub(super) grew: Option<String>,
}

/// The `most` newest days on record, newest first. `days` holds one more, from which the last one's growth
/// is taken.
pub(super) fn of(days: &[AccountDay], most: usize) -> Vec<Day> {
    let before = days.iter().skip(1).map(Some).chain([None]);
    days.iter().zip(before).take(most).map(|(day, before)| Day::of(day, before)).collect()
}

impl Day {
    fn of(day: &AccountDay, before: Option<&AccountDay>) -> Day {
        let cell = |of: fn(&AccountDay) -> Usd| Cell {
            sum: of(day).to_cents_up(),
            grew: before.map(|before| of(day) - of(before)).filter(|grew| *grew != Usd::ZERO).map(signed),
        };
        let nights = before.and_then(|before| before.day.until(day.day).ok()).map(|span| span.get_days());
        Day {
            day: day.day,
            nights: nights.filter(|nights| *nights != 1),
            cells: [
                cell(|day| day.spent),
                cell(|day| day.ours),
                cell(|day| day.foreign),
                cell(|day| day.ours_gone),
                cell(|day| day.foreign_gone),
                cell(|day| day.residual),
            ],
        }
    }
}

fn signed(amount: Usd) -> String {
    if amount < Usd::ZERO { amount.to_cents_up() } else { format!("+{}", amount.to_cents_up()) }
}
