//! The request for a report: who asks, for what days, grouped by what, and of which programmes or
//! student among those that they may see. A range that is none is refused with a sentence, and what
//! was typed stays in the form.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::role::Role;
use bursar_core::domain::usage::report::Grouping;
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::term::{FIRST_DAY, LAST_DAY};
use bursar_core::domain::values::window::utc_date;
use bursar_core::web::{AppError, Result, Site, Visitor};
use jiff::ToSpan;
use jiff::civil::Date;

use crate::kit::access::ProgrammeAccess;
use crate::kit::show::long_date;
use crate::kit::{access, paths, show};

/// The values of `by`, each with its word in the form.
pub(super) const GROUPINGS: [(&str, &str, Grouping); 5] = [
    ("", "programme", Grouping::Programme),
    ("day", "day", Grouping::Day),
    ("group", "group", Grouping::Group),
    ("model", "model", Grouping::Model),
    ("person", "person", Grouping::Person),
];

pub(crate) struct ReportQuery {
    pub(super) first_day: String,
    pub(super) last_day: String,
    pub(super) by: String,
    /// The one grant that is asked for.
    pub(super) student: Option<GrantId>,
    /// The ids of the chosen programmes; none for all.
    pub(crate) programmes: Vec<String>,
    /// The number of lines before the first on the page.
    pub(crate) skip: usize,
}

impl ReportQuery {
    fn parse(query: &str) -> Result<ReportQuery> {
        let student = values(query, "person")
            .next()
            .map(|id| id.parse())
            .transpose();
        Ok(ReportQuery {
            first_day: values(query, "from").next().unwrap_or_default(),
            last_day: values(query, "to").next().unwrap_or_default(),
            by: values(query, "by").next().unwrap_or_default(),
            student: student.map_err(|_| AppError::not_found())?,
            programmes: values(query, "programme").collect(),
            skip: values(query, "skip")
                .next()
                .and_then(|skip| skip.parse().ok())
                .unwrap_or(0),
        })
    }

    /// The first and the last day that are asked for, both included, or the sentence that refuses
    /// the report. A day that is not given is that of `usual`.
    pub(super) fn range(&self, usual: (Date, Date)) -> Result<(Date, Date), String> {
        let first_day = day("first", &self.first_day)?;
        let last_day = day("last", &self.last_day)?;
        let first_day =
            first_day.unwrap_or_else(|| last_day.map_or(usual.0, |last_day| usual.0.min(last_day)));
        let last_day = last_day.unwrap_or_else(|| usual.1.max(first_day));
        if last_day < first_day {
            return Err(format!(
                "The last day, {}, is before the first, {}. Swap them.",
                long_date(last_day),
                long_date(first_day)
            ));
        }
        Ok((first_day, last_day))
    }

    /// What has a line of its own, or the sentence that refuses the report.
    pub(super) fn grouping(&self) -> Result<Grouping, String> {
        match GROUPINGS.iter().find(|(grouping, ..)| *grouping == self.by) {
            Some((.., grouping)) => Ok(*grouping),
            None => Err(
                "A report is grouped by day, group, model or person. Choose one of these."
                    .to_owned(),
            ),
        }
    }

    /// Whether a programme is among the chosen ones.
    fn chooses(&self, programme: &Programme) -> bool {
        self.programmes.is_empty() || self.programmes.iter().any(|id| id == programme.id.as_str())
    }

    /// The URL of this report over these days; `skip` lines are before the first.
    pub(super) fn address(
        &self,
        path: &str,
        (first_day, last_day): (Date, Date),
        skip: usize,
    ) -> String {
        let first_day = first_day.to_string();
        let last_day = last_day.to_string();
        let skip = skip.to_string();
        let mut query = vec![("from", first_day.as_str()), ("to", last_day.as_str())];
        query.extend((!self.by.is_empty()).then_some(("by", self.by.as_str())));
        query.extend(
            self.student
                .as_ref()
                .map(|student| ("person", student.as_str())),
        );
        query.extend(self.programmes.iter().map(|id| ("programme", id.as_str())));
        query.extend((skip != "0").then_some(("skip", skip.as_str())));
        show::address(path, &query)
    }
}

/// What a query says under this name, where that is not empty.
fn values(query: &str, name: &str) -> impl Iterator<Item = String> {
    let named = form_urlencoded::parse(query.as_bytes()).filter(move |(key, _)| key == name);
    named
        .map(|(_, value)| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

fn day(ordinal: &str, text: &str) -> Result<Option<Date>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let day: Option<Date> = if text.len() == 10 {
        text.parse().ok()
    } else {
        None
    };
    match day.filter(|day| FIRST_DAY <= *day && *day <= LAST_DAY) {
        Some(day) => Ok(Some(day)),
        None => Err(format!(
            "The {ordinal} day must be between 2000 and 2199. Write it like 2026-10-12."
        )),
    }
}

/// The days of a report over several programmes, unless others are asked for.
const USUAL_DAYS: i64 = 30;

pub(crate) struct ReportScope {
    pub(super) visitor: Visitor,
    pub(super) query: ReportQuery,
    pub(super) path: String,
    /// The programmes, each with its reader's role.
    pub(super) programmes: Vec<(Programme, Role)>,
    /// All programmes that may be chosen with their names, and whether each is; `None` on a
    /// programme's own page.
    pub(super) choices: Option<Vec<ProgrammeChoice>>,
    /// The range of days, unless another is asked for. It ends with the last completed UTC day.
    pub(super) usual: (Date, Date),
}

pub(super) struct ProgrammeChoice {
    pub(super) id: ProgrammeId,
    pub(super) name: String,
    pub(super) is_chosen: bool,
}

impl ReportScope {
    /// The programme that a report calls by this number.
    pub(super) fn programme(&self, number: u16) -> &Programme {
        &self.programmes[usize::from(number)].0
    }
}

/// With an id in the path it is a report of that programme, else of the programmes that the query
/// names, or of all that the reader may see.
impl FromRequestParts<Site> for ReportScope {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<ReportScope> {
        let query = ReportQuery::parse(parts.uri.query().unwrap_or_default())?;
        let today = utc_date(site.clock.now());
        let last = today.yesterday().unwrap_or(today);
        if access::programme_in(parts).await.is_some() {
            let ProgrammeAccess {
                visitor,
                programme,
                role,
            } = ProgrammeAccess::from_request_parts(parts, site).await?;
            let term = &programme.settings.term;
            let last = last.min(term.last_utc_day());
            let usual = (term.first_utc_day().min(last), last);
            let path = paths::report(&programme.id);
            return Ok(ReportScope {
                visitor,
                query,
                path,
                programmes: vec![(programme, role)],
                choices: None,
                usual,
            });
        }
        let visitor = Visitor::from_request_parts(parts, site).await?;
        let seen = site
            .table
            .programmes_of(&visitor.session.address, visitor.is_admin)
            .await?;
        let names_unseen = query.programmes.iter().any(|id| {
            seen.iter()
                .all(|(programme, _)| programme.id.as_str() != id)
        });
        if (seen.is_empty() && !visitor.is_admin) || names_unseen {
            return Err(AppError::no_right());
        }
        let choices = seen.iter().map(|(programme, _)| ProgrammeChoice {
            id: programme.id.clone(),
            name: programme.settings.name.clone(),
            is_chosen: query.chooses(programme),
        });
        Ok(ReportScope {
            path: paths::REPORT.to_owned(),
            choices: Some(choices.collect()),
            usual: (last.saturating_sub((USUAL_DAYS - 1).days()), last),
            programmes: seen
                .into_iter()
                .filter(|(programme, _)| query.chooses(programme))
                .collect(),
            query,
            visitor,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: (Date, Date) = (Date::constant(2026, 11, 1), Date::constant(2026, 11, 20));

    fn parse(query: &str) -> ReportQuery {
        let Ok(query) = ReportQuery::parse(query) else {
            panic!("{query} is refused")
        };
        query
    }

    fn asked(query: &[(&str, &str)]) -> Result<(Date, Date), String> {
        parse(show::address("", query).trim_start_matches('?')).range(USUAL)
    }

    /// A day that is left out is the usual one, unless that would reverse the range.
    #[test]
    fn a_missing_day_is_the_usual() {
        let range = |query: &[(&str, &str)]| asked(query).unwrap();
        assert_eq!(range(&[]), USUAL);
        assert_eq!(
            range(&[("from", ""), ("to", "2026-11-05")]),
            (USUAL.0, Date::constant(2026, 11, 5))
        );
        assert_eq!(
            range(&[("from", "2026-12-01")]),
            (Date::constant(2026, 12, 1), Date::constant(2026, 12, 1))
        );
        assert_eq!(
            range(&[("to", "2026-10-01")]),
            (Date::constant(2026, 10, 1), Date::constant(2026, 10, 1))
        );
    }

    #[test]
    fn what_is_no_range_and_no_grouping_is_refused_with_what_to_do() {
        for by in ["name", "group,model", "days"] {
            let refused = parse(&format!("by={by}")).grouping().unwrap_err();
            assert!(refused.contains("Choose one of these."), "{refused}");
        }
        for (query, sentence) in [
            (&[("from", "2026-11-31")][..], "The first day must be"),
            (&[("from", "20261101")], "The first day must be"),
            (&[("from", "2026-1-1")], "The first day must be"),
            (&[("to", "1999-12-31")], "The last day must be"),
            (
                &[("from", "2026-11-02"), ("to", "2026-11-01")],
                "is before the first, 2 Nov 2026. Swap them.",
            ),
        ] {
            let refused = asked(query).unwrap_err();
            assert!(refused.contains(sentence), "{refused}");
        }
    }

    #[test]
    fn the_address_of_a_report_asks_for_the_same_report() {
        // Of parameters that are given twice the first counts.
        let query = "by=model&by=day&to=2026-11-09&programme=cs-pilot&person=0123456789abcdef";
        let first = parse(query);
        let range = first.range(USUAL).unwrap();
        let address = first.address("/console/report", range, 200);
        let again = parse(address.split_once('?').unwrap().1);
        assert_eq!(
            (again.range(USUAL), again.grouping(), again.skip),
            (Ok(range), Ok(Grouping::Model), 200)
        );
        assert_eq!(
            (&again.student, &again.programmes),
            (&first.student, &first.programmes)
        );
        assert!(again.student.is_some() && again.programmes == ["cs-pilot"]);
    }
}
