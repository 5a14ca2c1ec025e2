//! The two times of a pause, as the forms of a programme and of its groups have them.

use bursar_core::clock::Moment;
use bursar_core::domain::programme::pause::PauseTimes;
use bursar_core::domain::values::format::{column_time, counted, long_date};
use bursar_core::domain::values::term::Term;
use jiff::ToSpan;
use jiff::tz::TimeZone;

use super::reader::instant;
use crate::kit::form::{FieldText, FormValue};

/// How many keys the work of a minute tells the provider of.
const A_MINUTE: u64 = 600;

impl<T: FormValue> FieldText<'_, T> {
    /// The two times of a pause, the second in this field. Each that nobody typed stays the stored instant.
    pub(crate) fn pause_times(
        &self,
        stored: Option<PauseTimes>,
        zone: &TimeZone,
    ) -> Result<Option<PauseTimes>, String> {
        let [from, until] =
            [("pause_from", stored.map(|times| times.from)), ("pause_until", stored.map(|times| times.until))].map(
                |(id, stored)| match stored.filter(|_| !self.form.is_typed(id)) {
                    Some(stored) => Ok(Some(stored)),
                    None => instant(self.form.text(id), zone),
                },
            );
        match (from, until?) {
            // It is refused by itself.
            (Err(_), _) | (Ok(None), None) => Ok(None),
            (Ok(Some(from)), Some(until)) if from < until => Ok(Some(PauseTimes { from, until })),
            (Ok(Some(from)), Some(_)) => {
                Err(format!("A pause ends after it begins, which is at {}.", column_time(from, zone)))
            }
            (Ok(_), _) => Err("Write both times of a pause, or none.".to_owned()),
        }
    }
}

/// Refuses new times of a pause that are over, or after the term. A time is typed to the minute, so that of now is not over.
pub(crate) fn impossible_times(
    before: Option<PauseTimes>,
    after: Option<PauseTimes>,
    term: &Term,
    now: Moment,
) -> Option<(&'static str, String)> {
    let PauseTimes { from, until } = after?;
    let it_is = format!("it is {} now.", column_time(now, term.zone()));
    let last_day = long_date(term.ends_on());
    let checks = [
        ("pause_until", until, until <= now, format!("This time is over: {it_is}")),
        ("pause_from", from, from + 1.minute() <= now, format!("A pause cannot begin before it is asked for: {it_is}")),
        (
            "pause_from",
            from,
            term.ends_at() <= from,
            format!("No key works after the term, whose last day is {last_day}."),
        ),
    ];
    let stored = before.map_or([None; 2], |times| [Some(times.from), Some(times.until)]);
    let refused = checks.into_iter().find(|(_, time, is_wrong, _)| *is_wrong && !stored.contains(&Some(*time)));
    refused.map(|(id, _, _, why)| (id, why))
}

/// What the form says of how long so many keys take.
pub(crate) fn how_long(keys: u64) -> String {
    let keys_in_words = counted(keys, "key", "keys");
    let takes = if keys == 1 { "takes" } else { "take" };
    let minutes = counted(keys.div_ceil(A_MINUTE) + 1, "minute", "minutes");
    format!("{keys_in_words} {takes} up to {minutes}, to be off and to be on again. Clear both times to end a pause.")
}
