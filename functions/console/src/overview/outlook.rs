//! The forecast of a programme, and the students whose spending last week stands out. Both are computed in
//! the domain; they inform people and trigger nothing.

use std::cmp::Reverse;

use bursar_core::domain::grant::Reading;
use bursar_core::domain::usage::forecast::{Forecast, SpendingLimits, Weeks, usual_week};

use crate::grants::used;
use crate::prelude::*;

/// The most students who are named; the rest are counted.
const NAMED: usize = 10;

pub(crate) struct Outlook {
    pub(crate) sentence: String,
    /// Whether the money may run out before the term ends.
    pub(crate) is_short: bool,
    /// Students who used far more last week than they and the class usually do, with what they used.
    pub(crate) standing_out: Vec<(Usd, Grant)>,
    /// The number of outliers who are not named.
    pub(crate) more: usize,
    pub(crate) usual_week: String,
}

impl Outlook {
    pub(crate) fn of(
        programme: &Programme,
        budget: &Budget,
        spent: &Days,
        grants: &[(Grant, Vec<Reading>)],
        listed_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Outlook> {
        if programme.is_over(now) {
            return None;
        }
        let settings = &programme.settings;
        let limits = SpendingLimits::of(settings, (budget.limit, budget.reserved), spent);
        let forecast = Forecast::of(spent, limits, &settings.term, listed_at, now);
        let mut outlook = Outlook {
            sentence: forecast.in_words(),
            is_short: forecast.is_short(),
            standing_out: Vec::new(),
            more: 0,
            usual_week: String::new(),
        };
        let Some(looked) = listed_at.map(utc_date) else { return Some(outlook) };
        let weeks = |readings: &[Reading]| Weeks::of(&used(readings).days(settings.basis.byok), looked);
        let each: Vec<(&Grant, Weeks)> = grants.iter().map(|(grant, readings)| (grant, weeks(readings))).collect();
        let usual = usual_week(each.iter().map(|(_, weeks)| weeks));
        let out = |(grant, weeks): &(&Grant, Weeks)| Some((weeks.stands_out(usual)?, (*grant).clone()));
        let mut out: Vec<(Usd, Grant)> = each.iter().filter_map(out).collect();
        out.sort_by_key(|(spent, _)| Reverse(*spent));
        outlook.more = out.len().saturating_sub(NAMED);
        outlook.usual_week = usual.to_cents_up();
        out.truncate(NAMED);
        outlook.standing_out = out;
        Some(outlook)
    }

    pub(crate) fn count(&self) -> usize {
        self.standing_out.len() + self.more
    }
}
