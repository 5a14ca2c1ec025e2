//! Mail through the stack: that it is sent, to whom, once and when, and what stops it. Its words
//! are tested in `functions/mail`, and faults at each call of its sending in `sweeps`.

mod alarms;
mod breaker;
mod bulk;
mod faults;
mod kinds;
mod links;
mod obsolete;
pub(crate) mod outcomes;
mod planned;
mod postponed;
mod refused;
mod staff;

use bursar_core::domain::mail::kind::MailKind;
use bursar_core::store::{OutboxRow, QueuedMail};
use bursar_tests::campus::{Campus, Got};
use serde_json::{Value, json};

/// The mails since the last call, by recipient, but those about a sync, which does not run here,
/// and digests.
fn unread(campus: &Campus) -> Vec<Got> {
    let mut mails = campus.all_mails();
    mails.retain(|Got { contents, .. }| {
        contents.kind.as_deref() != Some("digest")
            && !contents.subject.starts_with("No complete check")
    });
    mails
}

/// Lets minutes pass, after which all mail that is due then leaves.
async fn later(campus: &Campus, minutes: i64) {
    campus.minutes(minutes);
    campus.settle().await;
}

/// Lets hours pass, after which the hourly check runs.
async fn watched(campus: &Campus, hours: i64) {
    campus.hours(hours);
    campus.look().await;
    campus.settle().await;
}

/// The kinds of the mails since the last call, in alphabetical order.
fn kinds(campus: &Campus) -> Vec<String> {
    let mut kinds: Vec<_> = unread(campus)
        .into_iter()
        .filter_map(|mail| mail.contents.kind)
        .collect();
    kinds.sort();
    kinds
}

/// The subjects of the account's mails since the last call, in alphabetical order.
fn account(campus: &Campus) -> Vec<String> {
    let mut subjects = campus.subjects("account");
    subjects.retain(|subject| !subject.contains("check at OpenRouter"));
    subjects.sort();
    subjects
}

/// The states of the queued mails of this kind, oldest first.
async fn states(campus: &Campus, kind: MailKind) -> Vec<String> {
    let seen = campus.judged().await;
    seen.outbox
        .iter()
        .filter(|row| row.mail.facts().kind == kind)
        .map(state)
        .collect()
}

/// The state of somebody's last mail of this kind.
async fn became(campus: &Campus, name: &str, kind: MailKind) -> String {
    let rows = campus
        .table
        .mails_of(&campus.programme, campus.id(name))
        .await
        .unwrap();
    state(
        rows.iter()
            .rfind(|row| row.mail.facts().kind == kind)
            .unwrap(),
    )
}

/// The state of a row: `Sent`, `Dropped`.
fn state(row: &OutboxRow) -> String {
    let state = format!("{:?}", row.state);
    state.split_whitespace().next().unwrap().to_owned()
}

/// A queued roster mail, which nobody's invitation is the cause of.
fn roster_mail(campus: &Campus, name: &str) -> OutboxRow {
    let (programme, grant, now) = (
        campus.programme.clone(),
        campus.id(name).clone(),
        campus.clock.now(),
    );
    OutboxRow::queued(
        QueuedMail::Roster {
            programme,
            grant,
            is_reminder: false,
        },
        now,
    )
}

/// The stream record of a row that was just written.
fn told_of(row: &OutboxRow) -> Value {
    let since = row.written_at.as_millisecond().to_string();
    json!({"eventSource": "aws:dynamodb", "eventName": "INSERT", "dynamodb": {
        "SequenceNumber": "1",
        "NewImage": {"kind": {"S": "outbox"}, "class": {"S": "urgent"}, "state": {"S": "waiting"},
            "since": {"N": since}, "row": {"S": row.row.to_string()}},
    }})
}
