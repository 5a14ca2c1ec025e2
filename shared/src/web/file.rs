//! Files that leave. Before the first byte of one that names other people the audit has an entry of
//! it, or it does not leave.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;

use super::{Result, Site, Source, Visitor};
use crate::deadline::Deadline;
use crate::domain::audit::{Act, AuditDetail};
use crate::domain::values::id::{GrantId, ProgrammeId};
use crate::store::AccessEntry;

/// Whom a file names, beside who is given it.
pub enum FileNames {
    Nobody,
    People(Recorded),
}

/// The proof that the audit has the entry of a file: only [`FileRequest::record`] makes it.
pub struct Recorded(());

/// What the entry of a file has to know of its request.
pub struct FileRequest {
    pub source: Source,
    is_head: bool,
    deadline: Deadline,
}

impl FromRequestParts<Site> for FileRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<FileRequest, Infallible> {
        let source = Source::from_request_parts(parts, site).await?;
        let deadline = Deadline::from_request_parts(parts, site).await?;
        Ok(FileRequest {
            source,
            is_head: parts.method == Method::HEAD,
            deadline,
        })
    }
}

impl FileRequest {
    /// Has the audit say that this visitor is given a file of this name, of a programme or of one
    /// of its grants. A HEAD is given nothing, so nothing is written for it.
    pub async fn record(
        &self,
        site: &Site,
        visitor: &Visitor,
        file: &str,
        about: (Option<&ProgrammeId>, Option<&GrantId>),
    ) -> Result<Recorded> {
        if !self.is_head {
            let person = visitor.person()?;
            let what = AuditDetail::new(Act::FileGiven).with_note(file);
            let mut access = AccessEntry::new(&person, self.source.0, site.clock.now(), what);
            access.audit_entry.programme = about.0.cloned();
            access.audit_entry.grant = about.1.cloned();
            site.table.record_access(&access, self.deadline).await?;
            let source = self.source.0.map(tracing::field::display);
            tracing::info!(%person, source, file, "somebody was given a file that names people");
        }
        Ok(Recorded(()))
    }
}
