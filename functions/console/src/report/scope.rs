//! The request for a report: who asks, for what, and of which programmes among those that they may see.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::ToSpan;

use super::query::ReportQuery;
use crate::access;
use crate::prelude::*;

/// The days of a report over several programmes, unless others are asked for.
const USUAL_DAYS: i64 = 30;

pub(crate) struct ReportScope {
    pub(super) visitor: Visitor,
    pub(super) query: ReportQuery,
    pub(super) path: String,
    /// The programmes, each with its reader's role.
    pub(super) programmes: Vec<(Programme, Role)>,
    /// All programmes that may be chosen with their names, and whether each is; `None` on a programme's own page.
    pub(super) choices: Option<Vec<ProgrammeChoice>>,
    /// The range of days, unless another is asked for. It ends with the last completed UTC day.
    pub(super) usual: (Date, Date),
}

pub(super) struct ProgrammeChoice {
    pub(super) id: ProgrammeId,
    pub(super) name: String,
    pub(super) is_chosen: bool,
}

/// With an id in the path it is a report of that programme, else of the programmes that the query names, or of
/// all that the reader may see.
impl FromRequestParts<Site> for ReportScope {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<ReportScope, AppError> {
        let query = ReportQuery::of(parts.uri.query().unwrap_or_default());
        let today = utc_date(site.clock.now());
        let last = today.yesterday().unwrap_or(today);
        if access::programme_in(parts).await.is_some() {
            let ProgrammeAccess { visitor, programme, role } = ProgrammeAccess::from_request_parts(parts, site).await?;
            let term = &programme.settings.term;
            let last = last.min(utc_date(term.ends_at()));
            let usual = (term.starts_on().min(last), last);
            let path = paths::report(&programme.id);
            return Ok(ReportScope { visitor, query, path, programmes: vec![(programme, role)], choices: None, usual });
        }
        let visitor = Visitor::from_request_parts(parts, site).await?;
        let seen = site.table.programmes_of(&visitor.session.address, &site.admins).await?;
        let ids = &query.programmes;
        let is_unseen = |id: &String| seen.iter().all(|(programme, _)| programme.id.as_str() != id);
        if (seen.is_empty() && !access::is_admin(site, &visitor)) || ids.iter().any(is_unseen) {
            return Err(AppError::no_right());
        }
        let is_chosen = |programme: &Programme| ids.is_empty() || ids.iter().any(|id| id == programme.id.as_str());
        let choice = |(programme, _): &(Programme, Role)| ProgrammeChoice {
            id: programme.id.clone(),
            name: programme.settings.name.clone(),
            is_chosen: is_chosen(programme),
        };
        Ok(ReportScope {
            path: paths::REPORT.to_owned(),
            choices: Some(seen.iter().map(choice).collect()),
            usual: (last.saturating_sub((USUAL_DAYS - 1).days()), last),
            programmes: seen.into_iter().filter(|(programme, _)| is_chosen(programme)).collect(),
            query,
            visitor,
        })
    }
}
