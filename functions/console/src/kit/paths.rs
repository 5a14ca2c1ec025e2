//! The paths of pages that other pages link to.

use bursar_core::domain::values::id::{GrantId, ProgrammeId};

pub(crate) const ACCOUNT: &str = "/console/account";

pub(crate) const ACCOUNT_AUDIT: &str = "/console/account/audit";

pub(crate) const STATEMENT: &str = "/console/account/statement";

pub(crate) const TIERS: &str = "/console/tiers";

pub(crate) const REPORT: &str = "/console/report";

pub(crate) fn erased(erasure: ulid::Ulid) -> String {
    format!("/console/people/erased/{erasure}")
}

pub(crate) fn programme(programme: &ProgrammeId) -> String {
    format!("/console/programmes/{programme}")
}

pub(crate) fn roster(programme: &ProgrammeId) -> String {
    format!("/console/programmes/{programme}/roster")
}

pub(crate) fn roster_file(programme: &ProgrammeId, import: ulid::Ulid) -> String {
    format!("/console/programmes/{programme}/roster/{import}")
}

pub(crate) fn settings(programme: &ProgrammeId) -> String {
    format!("/console/programmes/{programme}/settings")
}

pub(crate) fn alerts(programme: &ProgrammeId) -> String {
    format!("/console/programmes/{programme}/alerts")
}

pub(crate) fn groups(programme: &ProgrammeId) -> String {
    format!("/console/programmes/{programme}/groups")
}

pub(crate) fn grants(programme: &ProgrammeId) -> String {
    format!("/console/programmes/{programme}/grants")
}

pub(crate) fn grant(programme: &ProgrammeId, grant: &GrantId) -> String {
    format!("/console/programmes/{programme}/grants/{grant}")
}

pub(crate) fn report(programme: &ProgrammeId) -> String {
    format!("/console/programmes/{programme}/report")
}

pub(crate) fn audit(programme: &ProgrammeId) -> String {
    format!("/console/programmes/{programme}/audit")
}
