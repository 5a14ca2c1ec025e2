//! A lot of credit in the account page's table.

use bursar_core::domain::credit::lots::Lot;
use bursar_core::domain::credit::purchase::PurchaseTerms;
use bursar_core::domain::values::format::{date_range, medium_date};
use bursar_core::domain::values::money::Usd;
use jiff::civil::Date;

/// One lot on the page.
pub(in crate::account) struct LotRow {
    pub(in crate::account) bought: String,
    pub(in crate::account) amount: Usd,
    pub(in crate::account) left: Usd,
    /// The day on which it could lapse; `None` if credit never does.
    pub(in crate::account) lapses_on: Option<Date>,
    /// That day in words.
    pub(in crate::account) lapses: String,
    pub(in crate::account) lapse: Lapse,
}

/// How certain the day of a lapse is, and whether it is past.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::account) enum Lapse {
    Never,
    On,
    /// The day of the purchase is not known: it could lapse earlier.
    AtTheLatest,
    Past,
}

impl LotRow {
    pub(super) fn of(lot: &Lot, terms: &PurchaseTerms, today: Date) -> LotRow {
        let lapses_on = terms.lapse_days.and_then(|days| lot.lapses_on(days));
        LotRow {
            bought: match lot.after {
                Some(after) => date_range((after, lot.seen_on)),
                None => format!("before {}", date_range((lot.seen_on, lot.seen_on))),
            },
            amount: lot.amount,
            left: lot.left,
            lapses_on,
            lapses: lapses_on.map(medium_date).unwrap_or_default(),
            lapse: match lapses_on {
                None => Lapse::Never,
                Some(day) if day <= today => Lapse::Past,
                Some(_) if lot.after.is_none() => Lapse::AtTheLatest,
                Some(_) => Lapse::On,
            },
        }
    }
}
