//! Dead letters by cause: how many of each kind, and the form that sends them again once the cause is
//! mended.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Redirect};
use bursar_core::domain::mail::failure::FailureText;
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::OutboxRow;
use bursar_core::store::{DeadMails, SentAgain};
use bursar_core::web::{Answer, AppError};
use jiff::Timestamp;

use crate::access::{Admins, Form};
use crate::paths;
use crate::show::utc;

/// The dead letters of one cause.
pub(super) struct GivenUpMail {
    pub(super) code: String,
    pub(super) why: FailureText,
    /// The number of mails of each kind.
    pub(super) kinds: Vec<(&'static str, usize)>,
    /// The programmes that the mails are about.
    pub(super) programmes: Vec<ProgrammeId>,
    pub(super) newest: String,
}

/// The dead letters grouped by cause, newest cause first.
pub(super) fn by_cause(dead: &DeadMails) -> Vec<GivenUpMail> {
    let mut causes: Vec<(&str, Timestamp, Vec<&OutboxRow>)> = Vec::new();
    for row in &dead.newest {
        let (why, at) = row.given_up();
        match causes.iter_mut().find(|(code, ..)| *code == why) {
            Some((.., rows)) => rows.push(row),
            None => causes.push((why, at, vec![row])),
        }
    }
    causes.into_iter().map(|(code, newest, rows)| GivenUpMail::of(code, newest, &rows)).collect()
}

impl GivenUpMail {
    fn of(code: &str, newest: Timestamp, rows: &[&OutboxRow]) -> GivenUpMail {
        let mut kinds: BTreeMap<MailKind, usize> = BTreeMap::new();
        rows.iter().for_each(|row| *kinds.entry(row.mail.kind()).or_default() += 1);
        let mut programmes: Vec<ProgrammeId> = rows.iter().filter_map(|row| row.mail.programme().cloned()).collect();
        programmes.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        programmes.dedup();
        GivenUpMail {
            code: code.to_owned(),
            why: FailureText::of(code),
            kinds: kinds.into_iter().map(|(kind, mails)| (kind.in_words(), mails)).collect(),
            programmes,
            newest: utc(newest),
        }
    }
}

/// Queues all dead letters of one cause again.
pub(crate) async fn send_again(form: Form<Admins>) -> Answer {
    let Form { site, fields, person, now, deadline, .. } = &form;
    let sentence = "The form did not say which mail is to be sent again. Open the page of the account again.";
    let cause = fields.filled("cause").ok_or_else(|| AppError::unprocessable(sentence))?;
    match site.table.send_again(cause, person, *now, *deadline).await? {
        SentAgain::Owed(_) | SentAgain::Nothing => {
            Ok(Redirect::to(&format!("{}#mail", paths::ACCOUNT)).into_response())
        }
        SentAgain::NotAll(owed) => {
            let sentence = format!("{owed} mails are sent again, and there was no time for the rest. Press again.");
            Err(AppError::later(sentence))
        }
    }
}
