//! Sends the mails of the outbox and records their delivery. [`compose`] decides what a row
//! becomes; each kind of mail has a room with its loader and its words, on top of [`letter`];
//! [`sending`] is how mail leaves.
//!
//! # From a cause to a mail
//!
//! 1. The writer of a cause adds a row of the outbox to the same transaction. The row names no
//!    address, except a login request's, and
//!    the one that a grant had before. A row about a grant is also filed under that grant, for `/my/data`.
//! 2. The stream delivers urgent rows at once. Each minute the drain queries the index `due` for
//!    rows that are due.
//! 3. A lease on the row is taken first. Only then [`compose`] decides the recipient and the
//!    content, and [`link`] makes a link.
//! 4. Some rows end without a mail, which is no failure. These are digests and reminders that the
//!    recipient has turned off, and
//!    roster mails to a person who had a key or can no longer claim one, unless somebody asked for the mail by hand.
//! 5. An invitation is planned until keys can be claimed. The drain looks at it once a day, and
//!    each hour of the last day, so it
//!    notices an opening that was moved. Planned rows have a queue of their own, so that a drain reads none before its time.
//! 6. The answer of the mail server is recorded. When a sender dies, its lease runs out and another
//!    takes over. So a mail may be
//!    accepted twice, but only if the answer or its record was lost.
//!
//! Digests and reminders carry `List-Unsubscribe`, which leads through sign-in to the form on
//! `/my`. There is no `List-Unsubscribe-Post`, since it would act without a sign-in, and no mail
//! carries a right. Notices about a person's own key are sent whatever that person has turned off.
//!
//! # Answers of the mail server
//!
//! - Accepted: the row is sent.
//! - Refused for good: a dead letter. So is a row that cannot be read.
//! - Refused because of the account (paused, sandbox, sender, quota): the mail waits and no try is
//!   counted. An admin is alerted
//!   once while this lasts. It is over when a mail of that kind is accepted, or three hours after the last refusal.
//! - Anything else: the mail is tried again, with growing pauses. Where an SMTP server puts off one
//!   mail, the others go on.
//!
//! Each mail names the configuration set of the stack, so that SES reports its delivery. A report
//! finds its row by the message id, or by the header `X-Bursar-Row` if the record of the id was
//! lost. A report can only worsen the outcome of a row. The same transaction updates the counts of
//! a roster's mails, and the mark on an address that gets no more mail. Each row counts once, by
//! its worst outcome, so reports may arrive twice, late and in any order.
//!
//! # Rates
//!
//! The drain reads the send rate and the quota from SES. It sends bulk mail in parallel, within
//! nine tenths of the rate and eight tenths of the day's quota, and checks for urgent mail before
//! each ten. When SES accepts none, the rest waits for the next minute. A drain starts mails for 57
//! seconds, so that two consecutive drains do not add up to twice the rate. Each drain logs a line
//! that an alarm of the stack expects.
//!
//! The classes of mail are served in this order: mail asked for by hand, digests, notices to
//! students, roster mails. In the sandbox, ten recipients to whom SES does not send end a drain.
//!
//! Links get half of the day's quota, the last fifth of that half only for people with a role.
//! Students' links get nothing of the day's last tenth, which is kept for alerts. An address of
//! `BURSAR_ADMINS` gets one link an hour even if mail to it bounced or the share is used up, since
//! an admin has to repair either. Sixteen asks are handled in parallel, after the urgent rows of
//! the same batch.
//!
//! # Stops
//!
//! Bulk mail waits to the end of the UTC day when SES says that too much of the day's mail failed.
//! The drain asks for SES' own figures, at most each quarter of an hour. The bound for bounces is
//! two per cent and at least ten mails, for complaints one in a thousand and at least two mails.
//! The next day is judged by itself. A stop raises an alarm. Urgent mail and mail asked for by hand
//! are never stopped. Without figures, or with old ones, mail goes on.
//!
//! A mail to a person with a role that fails or bounces, a full mailbox included, is reported to
//! the admins. There is one alarm a day for each kind and reason, and of alerts for each programme.
//! An alert that came back for now is sent again by another row, and is a dead letter in the end.
//! Where its recipient lost the role, those who hear now get it. A failed mail to an admin is
//! logged, and when it reaches none of them, an alarm of the stack finds the mark `reaches_nobody`
//! in the log.
//!
//! Mails that were given up, and addresses that get no more mail, have queues of their own in the
//! index `due`, so pages list them without a scan. Bounced addresses and complaints have separate
//! queues, since the latter still get links. Only a person takes a mark off an address, with an
//! audit entry; the next bounce sets it again.
//!
//! Events that the function failed on stay in a queue of SQS for four days, which an erasure does
//! not reach. Lambda stores the whole event there, with the address and subject that SES reported,
//! and cannot redact it.

#![warn(clippy::wildcard_enum_match_arm)]

mod account;
mod alert;
mod compose;
mod digest;
mod import;
mod letter;
mod link;
mod model_end;
mod request;
mod sending;
mod statement;
mod student;
#[cfg(test)]
mod tests;

use anyhow::{Result, bail};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::event::{Event, Task};
use bursar_core::start::Function;
use bursar_core::store::Table;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::sending::ses::Ses;

pub struct App {
    config: Config,
    clock: Clock,
    table: Table,
    ses: Ses,
    /// Set once the table is known to be no restored copy.
    is_no_copy: OnceCell<()>,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        let table = Table::new(&config);
        let ses = Ses::new(&config);
        App {
            table,
            ses,
            config,
            clock,
            is_no_copy: OnceCell::new(),
        }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::from_context(&event.context).with_waits(self.config.waits);
        match Event::parse(event.payload)? {
            Event::Stream(records) => Ok(self.batch(&records, deadline).await),
            Event::Task(Task::Drain) => Ok(json!(self.drain(deadline).await?)),
            Event::Notifications(messages) => {
                for message in messages {
                    self.record_event(&message, deadline).await?;
                }
                Ok(Value::Null)
            }
            Event::Http(_) | Event::Task(_) | Event::Scheduled | Event::Empty => {
                bail!("this is no event for the function mail")
            }
        }
    }
}
