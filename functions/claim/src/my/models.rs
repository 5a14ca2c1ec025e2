//! A student's own use by model: the sums of the last weeks for the page, and the days that are not known.

use bursar_core::domain::grant::View;
use bursar_core::domain::usage::models::{Sums, cost_in_words, named};
use bursar_core::domain::usage::span::stretches;
use bursar_core::domain::values::format::date_range;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{GrantModelUse, SyncState};
use bursar_core::web::{Fault, Site};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeMap;

/// The completed UTC days that the page looks back on.
const DAYS: i64 = 30;
/// The most models of the list; the rest are put together.
const MOST_MODELS: usize = 20;

/// What somebody used by model in the last weeks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OwnModels {
    pub(crate) rows: Vec<OwnModel>,
    /// The days in words.
    pub(crate) days: String,
    /// The days of these that nothing is known of, in words.
    pub(crate) missing: Option<String>,
    /// Whether any of it was spent with a provider key of the student's own.
    pub(crate) has_byok: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OwnModel {
    pub(crate) model: String,
    pub(crate) spent: Usd,
    pub(crate) byok: Usd,
    pub(crate) requests: u64,
    pub(crate) per_request: Option<String>,
}

/// The use by model of whoever ever had a key, since the key was made; `None` as long as no day is known.
pub(super) async fn of(site: &Site, view: &View, sync: &SyncState, now: Timestamp) -> Result<Option<OwnModels>, Fault> {
    let Some(days) = days_of(view, now).filter(|_| sync.models_until.is_some()) else { return Ok(None) };
    let uses = site.table.models_of_grant(&view.grant.id, days, now).await?;
    Ok(Some(OwnModels::of(&uses, days, |day| sync.knows_models_of(day))))
}

/// The completed days of the last weeks on which the grant had a key.
fn days_of(view: &View, now: Timestamp) -> Option<(Date, Date)> {
    let first = view.grant.attempts.iter().filter_map(|attempt| attempt.shown_at).map(utc_date).min()?;
    let today = utc_date(now);
    let days = (first.max(today.saturating_sub(DAYS.days())), today.yesterday().ok()?);
    (days.0 <= days.1).then_some(days)
}

impl OwnModels {
    fn of(uses: &[GrantModelUse], days: (Date, Date), is_known: impl Fn(Date) -> bool) -> OwnModels {
        let mut models: BTreeMap<&str, Sums> = BTreeMap::new();
        for of in uses {
            *models.entry(named(&of.model)).or_default() += of.used;
        }
        let mut models: Vec<(&str, Sums)> = models.into_iter().collect();
        // The sort is stable, so equal ones stay in the order of their names.
        models.sort_by_key(|(_, used)| std::cmp::Reverse(used.in_all()));
        let rest = models.split_off(models.len().min(MOST_MODELS));
        if !rest.is_empty() {
            models.push(("all others", Sums::of_all(rest.iter().map(|(_, used)| used))));
        }
        let missing: Vec<String> = stretches(days, |day| !is_known(day)).into_iter().map(date_range).collect();
        OwnModels {
            has_byok: models.iter().any(|(_, used)| used.byok > Usd::ZERO),
            rows: models.into_iter().map(OwnModel::of).collect(),
            days: date_range(days),
            missing: (!missing.is_empty()).then(|| missing.join(", ")),
        }
    }
}

impl OwnModel {
    fn of((model, used): (&str, Sums)) -> OwnModel {
        OwnModel {
            model: model.to_owned(),
            spent: used.spent,
            byok: used.byok,
            requests: used.requests,
            per_request: used.per_request().map(cost_in_words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(day: i8, model: &str, micros: i64) -> GrantModelUse {
        let used = Sums { spent: Usd::from_micros(micros), byok: Usd::ZERO, requests: 2 };
        GrantModelUse { day: Date::constant(2026, 11, day), model: model.to_owned(), used }
    }

    #[test]
    fn models_are_summed_over_the_days_and_days_that_are_not_known_are_named() {
        let days = (Date::constant(2026, 11, 1), Date::constant(2026, 11, 9));
        let uses = [used(1, "a/small", 5), used(2, "b/large", 9_000), used(9, "a/small", 6), used(9, "", 1)];
        let own = OwnModels::of(&uses, days, |day| !(3..=4).contains(&day.day()) && day.day() != 8);
        let rows: Vec<_> = own.rows.iter().map(|row| (row.model.as_str(), row.spent.micros(), row.requests)).collect();
        assert_eq!(rows, [("b/large", 9_000, 2), ("a/small", 11, 4), ("models that are not told apart", 1, 2)]);
        assert_eq!((own.days.as_str(), own.missing.as_deref()), ("1–9 Nov 2026", Some("3–4 Nov 2026, 8 Nov 2026")));
        assert_eq!(OwnModels::of(&uses, days, |_| true).missing, None);
        let many: Vec<_> = (1..=25).map(|number| used(1, &format!("a/{number}"), number)).collect();
        let own = OwnModels::of(&many, days, |_| true);
        let last = own.rows.last().unwrap();
        assert_eq!((own.rows.len(), last.model.as_str()), (MOST_MODELS + 1, "all others"));
        assert_eq!((last.spent.micros(), last.requests), (15, 10), "the smallest are put together");
    }
}
