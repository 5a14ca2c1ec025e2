//! What faculty ask of the admins, and the request that an admin's form answers.

use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::programme::request::{ProgrammeRequest, Wish};
use bursar_core::web::{AppError, Result};

use crate::kit::access::{Faculty, Post};

/// A day's equal wishes are one request.
pub(crate) const DECIDED_TODAY: &str = "Nothing was done: an admin decided the same request today, and told you by mail. Talk to them, or ask again tomorrow.";

/// Asks the admins for what only they may do, once a day for the same.
pub(crate) async fn ask(post: &Post<Faculty>, what: &str, label: &str, words: String, new_value: String) -> Result<()> {
    let wish = Wish { setting: what.to_owned(), label: label.to_owned(), words, old_value: String::new(), new_value };
    let request = ProgrammeRequest::new(post.access.programme.id.clone(), post.person.clone(), vec![wish], post.now);
    let what = AuditDetail::new(Act::Asked).noting(what);
    if !post.site.table.ask_admins(&request, what, post.author()).await? {
        let before = post.site.table.get(ProgrammeRequest::key_of(&request.programme, request.request)).await?;
        if before.is_some_and(|before| before.decision.is_some()) {
            return Err(AppError::conflict(DECIDED_TODAY));
        }
    }
    Ok(())
}

/// The request that an admin's close or copy answers, approved, where the form names one.
pub(crate) async fn approved(post: &Post<Faculty>, what: &str) -> Result<Option<ProgrammeRequest>> {
    let Some(id) = post.fields.filled("request") else { return Ok(None) };
    let mut request = None;
    if let Ok(id) = id.parse() {
        request = post.site.table.get(ProgrammeRequest::key_of(&post.access.programme.id, id)).await?;
    }
    match request.filter(|request| request.is_for(what)) {
        Some(request) => Ok(Some(request.decided(true, None))),
        None => Err(AppError::unprocessable(
            "Nothing was done: no such request waits any more. Begin again on the settings page.",
        )),
    }
}
