//! The programmes of a report, among those that its reader may see.

use bursar_core::domain::people::role::Role;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::window::utc_date;
use bursar_core::web::{AppError, Site, Visitor};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use crate::access::{self, ProgrammeAccess};
use crate::paths;

/// The days of a report over several programmes, unless others are asked for.
const USUAL_DAYS: i64 = 30;

/// The programmes of a report, each with its reader's role.
pub(crate) struct ReportScope {
    pub(crate) path: String,
    pub(crate) programmes: Vec<(Programme, Role)>,
    /// All programmes that may be chosen with their names, and whether each is; none on a programme's own page.
    pub(crate) choices: Vec<ProgrammeChoice>,
    /// The range of days, unless another is asked for. It ends with the last completed UTC day.
    pub(crate) usual: (Date, Date),
}

pub(crate) struct ProgrammeChoice {
    pub(crate) id: ProgrammeId,
    pub(crate) name: String,
    pub(crate) is_chosen: bool,
}

impl ReportScope {
    pub(super) fn of_one(access: &ProgrammeAccess, now: Timestamp) -> ReportScope {
        let programme = access.programme.clone();
        let term = &programme.settings.term;
        let last = yesterday(now).min(utc_date(term.ends_at()));
        ReportScope {
            path: paths::report(&programme.id),
            usual: (term.starts_on().min(last), last),
            programmes: vec![(programme, access.role)],
            choices: Vec::new(),
        }
    }

    /// The programmes of these ids, or all that the visitor may see if there are none; refused if the visitor
    /// may not see one of them, or any at all.
    pub(super) async fn of_several(
        site: &Site,
        visitor: &Visitor,
        ids: &[String],
        now: Timestamp,
    ) -> Result<ReportScope, AppError> {
        let seen = site.table.programmes_of(&visitor.session.address, &site.admins).await?;
        let is_unseen = |id: &String| seen.iter().all(|(programme, _)| programme.id.as_str() != id);
        if (seen.is_empty() && !access::is_admin(site, visitor)) || ids.iter().any(is_unseen) {
            return Err(AppError::no_right());
        }
        let is_chosen = |programme: &Programme| ids.is_empty() || ids.iter().any(|id| id == programme.id.as_str());
        let choice = |(programme, _): &(Programme, Role)| ProgrammeChoice {
            id: programme.id.clone(),
            name: programme.settings.name.clone(),
            is_chosen: is_chosen(programme),
        };
        let last = yesterday(now);
        Ok(ReportScope {
            path: paths::REPORT.to_owned(),
            choices: seen.iter().map(choice).collect(),
            usual: (last.saturating_sub((USUAL_DAYS - 1).days()), last),
            programmes: seen.into_iter().filter(|(programme, _)| is_chosen(programme)).collect(),
        })
    }

    /// The ids in the address of this report.
    pub(super) fn chosen(&self) -> Vec<String> {
        if self.choices.iter().all(|choice| choice.is_chosen) {
            return Vec::new();
        }
        self.programmes.iter().map(|(programme, _)| programme.id.to_string()).collect()
    }
}

fn yesterday(now: Timestamp) -> Date {
    let today = utc_date(now);
    today.yesterday().unwrap_or(today)
}
