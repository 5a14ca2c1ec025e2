//! The request for a report: its days, its columns and its programmes. A range that is none is refused with
//! a sentence, and what was typed stays in the form.

use bursar_core::domain::usage::report::Grouping;
use bursar_core::domain::values::term::{FIRST_DAY, LAST_DAY};

use crate::prelude::*;

/// The columns by which a report can be grouped.
const COLUMNS: [&str; 4] = ["day", "group", "model", "person"];

/// The parameters of a report as they were sent.
#[derive(Debug)]
pub(crate) struct ReportQuery {
    pub(super) from: String,
    pub(super) to: String,
    by: Vec<String>,
    /// The ids of the chosen programmes; none for all.
    pub(crate) programmes: Vec<String>,
    /// The number of lines before the first on the page.
    pub(crate) skip: usize,
}

impl ReportQuery {
    pub(crate) fn of(query: &str) -> ReportQuery {
        let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let all = |name: &str| {
            let values = query.iter().filter(|(known, value)| known == name && !value.trim().is_empty());
            values.map(|(_, value)| value.trim().to_owned()).collect::<Vec<_>>()
        };
        let one = |name: &str| all(name).into_iter().next().unwrap_or_default();
        ReportQuery {
            from: one("from"),
            to: one("to"),
            by: all("by"),
            programmes: all("programme"),
            skip: one("skip").parse().unwrap_or(0),
        }
    }

    /// The first and the last day that are asked for, both included, or the sentence that refuses the report. A day that is not
    /// given is that of `usual`.
    pub(super) fn range(&self, usual: (Date, Date)) -> Result<(Date, Date), String> {
        if self.by.iter().any(|column| !COLUMNS.contains(&column.as_str())) {
            return Err("A report is grouped by day, group, model or person. Choose among these.".to_owned());
        }
        let (from, to) = (day("first", &self.from)?, day("last", &self.to)?);
        let from = from.unwrap_or_else(|| to.map_or(usual.0, |to| usual.0.min(to)));
        let to = to.unwrap_or_else(|| usual.1.max(from));
        if to < from {
            return Err(format!("The last day, {to}, is before the first, {from}. Swap them."));
        }
        Ok((from, to))
    }

    /// The columns that were chosen, as far as they are known.
    pub(super) fn grouping(&self) -> Grouping {
        let [day, group, model, person] = COLUMNS.map(|name| self.by.iter().any(|by| by == name));
        Grouping { day, group, model, person }
    }

    /// The URL of this report over these days; `skip` lines are before the first.
    pub(super) fn address(&self, path: &str, (from, to): (Date, Date), skip: usize) -> String {
        let (from, to, skip) = (from.to_string(), to.to_string(), skip.to_string());
        let mut query = vec![("from", from.as_str()), ("to", to.as_str())];
        query.extend(self.by.iter().map(|column| ("by", column.as_str())));
        query.extend(self.programmes.iter().map(|id| ("programme", id.as_str())));
        query.extend((skip != "0").then_some(("skip", skip.as_str())));
        show::address(path, &query)
    }
}

fn day(which: &str, text: &str) -> Result<Option<Date>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let day: Option<Date> = if text.len() == 10 { text.parse().ok() } else { None };
    match day.filter(|day| FIRST_DAY <= *day && *day <= LAST_DAY) {
        Some(day) => Ok(Some(day)),
        None => Err(format!("The {which} day is none between 2000 and 2199. Write it like 2026-10-12.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: (Date, Date) = (Date::constant(2026, 11, 1), Date::constant(2026, 11, 20));

    fn asked(query: &[(&str, &str)]) -> Result<(Date, Date), String> {
        ReportQuery::of(show::address("", query).trim_start_matches('?')).range(USUAL)
    }

    #[test]
    fn a_day_that_is_left_out_is_the_usual_one_unless_it_would_turn_the_range_around() {
        let range = |query: &[(&str, &str)]| asked(query).unwrap();
        assert_eq!(range(&[]), USUAL);
        assert_eq!(range(&[("from", ""), ("to", "2026-11-05")]), (USUAL.0, Date::constant(2026, 11, 5)));
        assert_eq!(range(&[("from", "2026-12-01")]), (Date::constant(2026, 12, 1), Date::constant(2026, 12, 1)));
        assert_eq!(range(&[("to", "2026-10-01")]), (Date::constant(2026, 10, 1), Date::constant(2026, 10, 1)));
    }

    #[test]
    fn what_is_no_range_and_no_column_is_refused_with_what_to_do() {
        for (query, sentence) in [
            (&[("from", "2026-11-31")][..], "The first day is none"),
            (&[("from", "20261101")], "The first day is none"),
            (&[("from", "2026-1-1")], "The first day is none"),
            (&[("to", "1999-12-31")], "The last day is none"),
            (&[("from", "2026-11-02"), ("to", "2026-11-01")], "is before the first, 2026-11-02. Swap them."),
            (&[("by", "day"), ("by", "name")], "Choose among these."),
        ] {
            let refused = asked(query).unwrap_err();
            assert!(refused.contains(sentence), "{refused}");
        }
    }

    #[test]
    fn the_address_of_a_report_asks_for_the_same_report() {
        let query = "by=person&by=day&to=2026-11-09&programme=cs-pilot";
        let first = ReportQuery::of(query);
        let range = first.range(USUAL).unwrap();
        let address = first.address("/console/report", range, 200);
        let again = ReportQuery::of(address.split_once('?').unwrap().1);
        assert_eq!((again.range(USUAL), again.grouping(), again.skip), (Ok(range), first.grouping(), 200));
        assert!(again.grouping().person && !again.grouping().model);
        assert_eq!(again.programmes, ["cs-pilot"]);
    }
}
