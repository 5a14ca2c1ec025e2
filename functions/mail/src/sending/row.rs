//! One row of the outbox, from the lease to its new state. One invocation sends it at a time; if
//! that dies, another follows after the lease. So a mail whose answer was lost may be sent twice,
//! and none is lost.

use std::time::Duration;

use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::failure::{
    CORRUPT, FailureScope, GIVEN_UP, NOT_A_MAIL, NOT_VERIFIED, QUOTA_UNREAD, RETURNED_EACH_TIME,
    UNDELIVERABLE,
};
use bursar_core::domain::mail::kind::{MailClass, MailKind};
use bursar_core::domain::programme::counts::Stage;
use bursar_core::domain::values::id::new_ulid;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{MailState, OutboxRow, QueuedMail, StoreError};
use jiff::SignedDuration;
use ulid::Ulid;

use super::ses::SesRefusal;
use crate::App;
use crate::compose::NoMail;

/// The least time left for a mail to begin: the mail server's time-out, and the writes before and
/// after it.
pub(crate) const TIME_FOR_ONE: Duration = Duration::from_secs(20);

/// The minutes that a mail waits after each failed try. After the last it is given up, some eight
/// hours after the first.
const PAUSES: [i64; 5] = [1, 5, 30, 120, 360];
/// The minutes for urgent mail, which must go soon after the server accepts mail again.
const URGENT_PAUSES: [i64; 15] = [1, 2, 5, 10, 15, 15, 30, 30, 30, 60, 60, 60, 60, 60, 60];

/// The shortest pause after an alert came back: a mailbox that is full is not emptied at once.
const LEAST_AFTER_RETURN: SignedDuration = SignedDuration::from_hours(1);

/// The shortest pause after a failure that is not the mail's own.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_mins(1);
/// The longest pause after a failure that is not the mail's own.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(15);

/// How long a mail waits that only another version can read, and for how long it is left alone each
/// time.
const UNREADABLE_WAITS: SignedDuration = SignedDuration::from_hours(1);
const UNREADABLE_FOR: SignedDuration = SignedDuration::from_hours(48);

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RowOutcome {
    Sent,
    /// Waits for its next try.
    PutOff,
    /// Waits, since the mail server accepts no mail now.
    NotNow,
    /// Waits, since the mail server did not answer, or answered that it failed.
    NotAnswered,
    /// Waits, since the account is in the sandbox and the address is not verified.
    NotVerified,
    /// Was not due after all.
    Dropped,
    Failed,
    /// Is leased by another, done, or not due yet.
    NotOurs,
}

impl App {
    /// Sends a mail if it is due. An error is the table's.
    pub(crate) async fn send_row(
        &self,
        row: Ulid,
        now: Moment,
        deadline: Deadline,
    ) -> Result<RowOutcome, StoreError> {
        let row = match self.table.take_mail(row, now, deadline).await {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(RowOutcome::NotOurs),
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%row, %error, "a mail cannot be read");
                return self.unreadable(row, now, deadline).await;
            }
            Err(error) => return Err(error),
        };
        // Every invocation that took this row so far died of it.
        if usize::from(row.tries) > pauses(row.class).len() + 1 {
            return self.record_failure(&row, GIVEN_UP, now, deadline).await;
        }
        let letter = match self.letter_of_row(&row, now, deadline).await {
            Ok(letter) => letter,
            Err(NoMail::NotDue(why)) => {
                self.table
                    .set_mail(
                        &row,
                        MailState::Dropped {
                            why: why.to_owned(),
                            ended_at: now,
                        },
                        deadline,
                    )
                    .await?;
                return Ok(RowOutcome::Dropped);
            }
            Err(NoMail::NotOpenYet { opens }) => {
                let planned = reset_tries(&row).planned(opens, now);
                self.table
                    .set_mail(&planned, planned.state.clone(), deadline)
                    .await?;
                return Ok(RowOutcome::PutOff);
            }
            Err(NoMail::NotBefore(since)) => {
                self.table
                    .set_mail(&reset_tries(&row), MailState::Waiting { since }, deadline)
                    .await?;
                return Ok(RowOutcome::PutOff);
            }
            Err(NoMail::Unsendable(why)) => {
                return self.record_failure(&row, why, now, deadline).await;
            }
            Err(NoMail::Table(error @ StoreError::Corrupt { .. })) => {
                tracing::error!(row = %row.row, %error, "what a mail is about cannot be read");
                if may_be_newer(row.row, now) {
                    let since = now + UNREADABLE_WAITS;
                    self.table
                        .set_mail(&reset_tries(&row), MailState::Waiting { since }, deadline)
                        .await?;
                    return Ok(RowOutcome::PutOff);
                }
                return self.put_off(&row, CORRUPT, now, deadline).await;
            }
            Err(NoMail::Table(error)) => {
                // Nothing was sent, so the next invocation may try at once. If this write fails
                // too, the lease expires.
                let _ = self
                    .table
                    .set_mail(
                        &reset_tries(&row),
                        MailState::Waiting { since: now },
                        deadline,
                    )
                    .await;
                return Err(error);
            }
        };
        let Some(sealed) = letter.seal(&row, now, &self.config) else {
            return self.record_failure(&row, NOT_A_MAIL, now, deadline).await;
        };
        match self.ses.send(sealed).await {
            Ok(message) => {
                self.record(&row, message, now, deadline).await?;
                if let QueuedMail::Link { address, .. } = &row.mail {
                    self.table
                        .note_stage(address, Stage::Asked, now, deadline)
                        .await;
                }
                Ok(RowOutcome::Sent)
            }
            Err(refusal) => self.refused(&row, &refusal, now, deadline).await,
        }
    }

    /// Records that the mail server accepted the mail. If counting fails, the state alone is
    /// written: without it the mail is sent again.
    async fn record(
        &self,
        row: &OutboxRow,
        message: String,
        now: Moment,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        if let Err(error) = self.table.mail_sent(row, &message, now, deadline).await {
            tracing::warn!(row = %row.row, %error, "a mail that was sent is not counted");
            self.table
                .set_mail(
                    row,
                    MailState::Sent {
                        message,
                        sent_at: now,
                    },
                    deadline,
                )
                .await?;
        }
        Ok(())
    }

    async fn refused(
        &self,
        row: &OutboxRow,
        refusal: &SesRefusal,
        now: Moment,
        deadline: Deadline,
    ) -> Result<RowOutcome, StoreError> {
        let SesRefusal { failure, concern } = refusal;
        if *concern != FailureScope::Mail {
            tracing::warn!(row = %row.row, tries = row.tries, %failure, code = failure.code, "a mail was not sent");
        }
        match concern {
            FailureScope::Mail => self.record_failure(row, &failure.code, now, deadline).await,
            FailureScope::Account | FailureScope::Rate => {
                // It uses up no try, and is longer the longer the mail has waited.
                let pause =
                    (now.duration_since(row.written_at) / 4).clamp(SHORTEST_WAIT, LONGEST_WAIT);
                let since = now + with_jitter(pause, row);
                self.table
                    .set_mail(&reset_tries(row), MailState::Waiting { since }, deadline)
                    .await?;
                if *concern == FailureScope::Account {
                    // The notice to the admins may itself be refused.
                    let reaches_nobody =
                        failure.code != NOT_VERIFIED || row.mail.facts().kind == MailKind::Account;
                    self.note_refusal(&failure.code, reaches_nobody, now, deadline)
                        .await?;
                }
                Ok(if failure.code == NOT_VERIFIED {
                    RowOutcome::NotVerified
                } else {
                    RowOutcome::NotNow
                })
            }
            FailureScope::MailForNow => self.put_off(row, &failure.code, now, deadline).await,
            FailureScope::Moment => {
                let became = self.put_off(row, &failure.code, now, deadline).await?;
                Ok(if became == RowOutcome::PutOff {
                    RowOutcome::NotAnswered
                } else {
                    became
                })
            }
        }
    }

    async fn put_off(
        &self,
        row: &OutboxRow,
        code: &str,
        now: Moment,
        deadline: Deadline,
    ) -> Result<RowOutcome, StoreError> {
        match pause_after(row) {
            Some(pause) => {
                self.table
                    .set_mail(row, MailState::Waiting { since: now + pause }, deadline)
                    .await?;
                Ok(RowOutcome::PutOff)
            }
            None => self.record_failure(row, code, now, deadline).await,
        }
    }

    /// Makes the row a dead letter with a code for its reason. The server's own words are left out,
    /// since they may name a person.
    async fn record_failure(
        &self,
        row: &OutboxRow,
        code: &str,
        now: Moment,
        deadline: Deadline,
    ) -> Result<RowOutcome, StoreError> {
        // No mail can report a failure of mail to the admins. The log does, with an alarm of the
        // stack for the case that none of them is reached.
        let is_to_admins = row.mail.facts().kind == MailKind::Account;
        let reaches_nobody =
            is_to_admins && !(code == UNDELIVERABLE && self.an_admin_is_reached(now).await?);
        tracing::error!(row = %row.row, tries = row.tries, code, reaches_nobody, "a mail could not be sent and is given up");
        // The notice comes first: if this invocation dies after it, the next one finds the row
        // unchanged, and the alarm is raised only once.
        if !is_to_admins
            && let Err(error) = self
                .tell_admins(Some(&row.mail), code, row.row, now, deadline)
                .await
        {
            tracing::error!(row = %row.row, %error, reaches_nobody = true, "no admin is told of a mail that was given up");
        }
        self.table
            .set_mail(
                row,
                MailState::Failed {
                    why: code.to_owned(),
                    ended_at: now,
                },
                deadline,
            )
            .await?;
        Ok(RowOutcome::Failed)
    }

    /// Lets an unreadable row wait for the version that wrote it, since functions are deployed one
    /// after the other and a version may be taken back. In the end it is a dead letter, so that an
    /// admin sees it.
    async fn unreadable(
        &self,
        row: Ulid,
        now: Moment,
        deadline: Deadline,
    ) -> Result<RowOutcome, StoreError> {
        if may_be_newer(row, now) {
            self.table
                .put_off_unreadable(row, now + UNREADABLE_WAITS, deadline)
                .await?;
            return Ok(RowOutcome::NotOurs);
        }
        self.tell_admins(None, CORRUPT, row, now, deadline).await?;
        self.table.give_up_unreadable(row, now, deadline).await?;
        Ok(RowOutcome::Failed)
    }

    /// Whether mail to at least one admin is not known to fail.
    async fn an_admin_is_reached(&self, now: Moment) -> Result<bool, StoreError> {
        for admin in self.table.admins().await? {
            let mark = self.table.undeliverable(admin.matched(), now).await?;
            if !mark.is_some_and(|mark| mark.keeps_back(MailClass::Urgent)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Raises the alarm for a dead letter: once a day for each reason and kind of mail, and for
    /// each programme whose alert it is. `mail` is `None` for an unreadable row.
    pub(crate) async fn tell_admins(
        &self,
        mail: Option<&QueuedMail>,
        code: &str,
        first: Ulid,
        now: Moment,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let facts = mail.map(QueuedMail::facts);
        let programme = facts
            .filter(|facts| facts.kind == MailKind::Alert)
            .and_then(|facts| facts.recipient.programme());
        let cause = Cause::Unsent {
            mail: facts.map(|facts| facts.kind),
            programme: programme.cloned(),
            code: code.to_owned(),
            first,
        };
        self.table
            .tell_admins(&Alarm::now(cause, now), now, deadline)
            .await
            .map(drop)
    }
}

/// Whether a newer version may still come that can read what this one cannot.
fn may_be_newer(row: Ulid, now: Moment) -> bool {
    let written_at = i64::try_from(row.timestamp_ms())
        .ok()
        .and_then(|millis| Moment::from_millisecond(millis).ok());
    written_at.is_some_and(|written_at| now < written_at + UNREADABLE_FOR)
}

/// The row without this try, which failed for no reason of its own.
fn reset_tries(row: &OutboxRow) -> OutboxRow {
    OutboxRow {
        tries: row.tries.saturating_sub(1),
        ..row.clone()
    }
}

fn pause_after(row: &OutboxRow) -> Option<SignedDuration> {
    let minutes = pauses(row.class).get(usize::from(row.tries).checked_sub(1)?)?;
    Some(with_jitter(SignedDuration::from_mins(*minutes), row))
}

/// Whether an alert that comes back now is not sent again by itself.
pub(crate) fn is_last_try(row: &OutboxRow) -> bool {
    row.mail.facts().kind == MailKind::Alert && pause_after(row).is_none()
}

/// The row by which a returned alert is sent again: after an hour or more, or by a person once it
/// was tried often enough. The events of each row's mail stay with that row. `None` for other mail.
pub(crate) fn plan_after_return(row: &OutboxRow, now: Moment) -> Option<OutboxRow> {
    let QueuedMail::Alert { .. } = row.mail else {
        return None;
    };
    let due;
    let state;
    if let Some(pause) = pause_after(row) {
        due = now + pause.max(LEAST_AFTER_RETURN);
        state = MailState::Waiting { since: due };
    } else {
        due = now;
        state = MailState::Failed {
            why: RETURNED_EACH_TIME.to_owned(),
            ended_at: now,
        };
    }
    // A row that waits on purpose is as old as it is due.
    Some(OutboxRow {
        row: new_ulid(due),
        tries: row.tries,
        again_at: row.again_at,
        state,
        ..OutboxRow::queued(row.mail.clone(), now)
    })
}

/// The pause, longer by up to a quarter depending on the row, so that rows that failed together do
/// not retry together.
fn with_jitter(pause: SignedDuration, row: &OutboxRow) -> SignedDuration {
    let share = (row.row.random() % 64) as i32;
    pause + pause * share / 256
}

fn pauses(class: MailClass) -> &'static [i64] {
    match class {
        MailClass::Urgent => &URGENT_PAUSES,
        MailClass::ByHand
        | MailClass::Digest
        | MailClass::Statement
        | MailClass::Student
        | MailClass::Roster => &PAUSES,
    }
}

/// The time for which a quota may be unreadable before the admins are notified; most such failures
/// pass within a minute.
const UNREAD_AT_MOST: SignedDuration = SignedDuration::from_hours(1);

impl App {
    /// Records a refusal by the mail server because of the account, for all mail or for some
    /// addresses. The admins are notified once, however long it lasts; mail waits until somebody
    /// mends the cause.
    pub(crate) async fn note_refusal(
        &self,
        code: &str,
        reaches_nobody: bool,
        now: Moment,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let refusal = self.table.note_mail_refusal(code, now, deadline).await?;
        if code == QUOTA_UNREAD && now < refusal.since + UNREAD_AT_MOST {
            return Ok(());
        }
        tracing::error!(code, since = %refusal.since, reaches_nobody, "mail waits because of the account of the mail server");
        let cause = Cause::MailRefused {
            code: refusal.code,
            since: refusal.since,
        };
        let alarm = Alarm::on(utc_date(refusal.since), cause, now);
        self.table
            .tell_admins(&alarm, now, deadline)
            .await
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use bursar_core::domain::values::id::{GrantId, ProgrammeId};

    use super::*;

    /// Pauses grow and end after eight hours, and rows that failed together are retried at
    /// different times.
    #[test]
    fn pauses_grow_to_eight_hours() {
        for class in MailClass::ALL {
            let row = |random: u128, tries| {
                let (programme, grant): (ProgrammeId, GrantId) =
                    ("cs".parse().unwrap(), "0".repeat(16).parse().unwrap());
                let mail = QueuedMail::Roster {
                    programme,
                    grant,
                    is_reminder: false,
                };
                let row = Ulid::from_parts(1, random);
                OutboxRow {
                    row,
                    tries,
                    class,
                    ..OutboxRow::queued(mail, Moment::UNIX_EPOCH)
                }
            };
            let waits = |random| {
                (0..20)
                    .map(|tries| pause_after(&row(random, tries)))
                    .collect::<Vec<_>>()
            };
            let bare = waits(64);
            let all = pauses(class).len();
            assert_eq!(bare[0], None, "it was not tried");
            let waited: Vec<_> = bare[1..=all].iter().map(|wait| wait.unwrap()).collect();
            assert!(waited.is_sorted() && waited[0] == SignedDuration::from_mins(1));
            assert_eq!(bare[all + 1..], vec![None; 19 - all]);
            let in_all: SignedDuration = waited.iter().sum();
            assert_eq!(in_all.as_hours(), 8, "{class:?}");
            assert!(class != MailClass::Urgent || waited.iter().all(|wait| wait.as_mins() <= 60));
            assert!(waits(63)[1] > bare[1] && waits(63)[1] < Some(SignedDuration::from_secs(75)));
        }
    }
}
