//! What the live key has left of the day, in a programme with a brake. Another key begins the day anew.

use bursar_core::clock::Moment;
use bursar_core::domain::grant::View;
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{end_of_utc_day, utc_date};

use crate::my::rules::StudentRules;

pub(crate) struct Today {
    pub(crate) limit: Usd,
    pub(crate) left: Usd,
    /// When the next day begins, in the programme's time zone.
    pub(crate) until: String,
}

impl Today {
    pub(crate) fn read(view: &View, rules: &StudentRules, now: Moment) -> Option<Today> {
        let daily = rules.confirmed.daily.filter(|_| !view.programme.is_over(now))?;
        let reading = view.reading(view.grant.usable()?.epoch);
        let used = reading.map_or(Usd::ZERO, |reading| reading.used.in_window(daily.basis(), now));
        let until = column_time(end_of_utc_day(utc_date(now)), view.programme.settings.term.zone());
        Some(Today { limit: daily.limit, left: (daily.limit - used).or_zero(), until })
    }

    /// What stops the key, if the day does and not the cap.
    pub(crate) fn stops(&self, left_of_cap: Usd) -> Option<String> {
        (self.left < Usd::CENT && left_of_cap >= Usd::CENT).then(|| {
            format!(
                "Your key has spent what it may spend in a day, {}. Requests are refused until {}; then it works again, with {} left of your cap.",
                self.limit.to_dollars(),
                self.until,
                left_of_cap.to_dollars()
            )
        })
    }
}
