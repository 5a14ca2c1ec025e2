//! Sends what the outbox owes, and takes in what became of it. `compose` decides what a row comes to; each kind of mail has a
//! room with its loader and its words, on top of `letter`; `sending` is how mail leaves.
//!
//! # From a cause to a mail
//!
//! 1. Whoever has a cause writes a row of the outbox in the same transaction. It names no address, but for an ask. What is about
//!    a grant is filed under it, for `/my/data`.
//! 2. The stream brings urgent rows at once. Each minute the drain finds by the index `due` whatever has come due.
//! 3. A row is taken by a lease. Only then `compose` decides whom it owes what, and `link` makes a link.
//! 4. A mail is dropped, which is no failure, for somebody who chose not to get digests or reminders. A roster mail is, for who
//!    has had a key or comes too late for one, unless it was asked for by hand.
//! 5. What the mail server says is written down. A sender that dies is followed by another when the lease has run out. So a mail
//!    may be accepted twice, and only if an answer or the record of it was lost.
//!
//! Digests and reminders bring `List-Unsubscribe`, which leads to the sign-in and to the form on `/my`. There is no
//! `List-Unsubscribe-Post`: it would act without a sign-in, and no mail carries a right. What happens or will happen to a key is
//! mailed whatever its student chose.
//!
//! # What the mail server says
//!
//! - Accepted: sent.
//! - Refused for good: a dead letter, as is a row that cannot be read.
//! - Refused for a reason of the account's (paused, the sandbox, the sender, the day's quota): the mail waits and no try is used
//!   up. An admin is told once for as long as it lasts. It ends when such mail is taken again, or three hours after the last
//!   refusal.
//! - Anything else: later, with growing pauses.
//!
//! Each mail names the stack's configuration set, so that SES reports what becomes of it. A report leads back by the id under
//! which SES took the mail, or by the header `X-Bursar-Row` where that record was lost. It moves a row only to what is worse. In
//! the same transaction move the count of the day on which the mail was accepted, and the mark of an address that mail ends to. A
//! row is counted once, by the worst that is known of it, so events may come twice, late and in any order.
//!
//! # How much at once
//!
//! The drain asks SES how much it takes. What is not urgent it sends side by side, within nine tenths of the rate and eight
//! tenths of the day. Before each ten of it, it looks at what is urgent. When SES takes none, be it of what is urgent, the rest
//! is left for the next minute. A turn begins mails for 57 seconds, so that two turns are not twice as fast. Each leaves a line
//! in the log that an alarm of the stack listens for.
//!
//! Each class of mail is a line: what was asked for by hand, digests, notices to students, and last the mails of a roster. Of
//! those whom a sandbox does not send to, ten end a turn.
//!
//! Links have half of the mail server's day, the last fifth of it for people with a role. For others they have nothing of the
//! day's last tenth, which is for alerts. An address of `BURSAR_ADMINS` gets one an hour even where mail to it came back or the
//! share is used up: behind it are the presses that mend both. Sixteen asks are looked at side by side, after the urgent rows of
//! the same batch.
//!
//! # What stops
//!
//! Bulk mail stops (`sending::breaker`), each kind by itself, when too much of a day's failed. Too much is more than two in a
//! hundred that came back for good, ten at least. Of complaints it is more than five in ten thousand, two at least. It goes on
//! the next UTC day, whose mail is judged anew, or by an admin's press: then the rest of the day may come back up to five in a
//! hundred. Each stop is an alarm of its own. What is urgent, and what somebody asked for by hand, is not stopped.
//!
//! That a mail to somebody with a role cannot be sent, or comes back, is told to the admins, once a day for each kind and reason.
//! A full mailbox counts. Of mail to the admins themselves the log tells. Where none of them is reached, an alarm of the stack
//! looks there (`reaches_nobody`).
//!
//! Mail that was given up and addresses that mail ends to have queues of their own in the index `due`. So pages find them without
//! looking through the table. Addresses from which mail comes back lie apart from those of who complained, since these still get
//! links. What ended is begun again by hand alone: a press takes the mark off, with an entry, and the next mail that comes back
//! sets it again.
//!
//! What the function gave up on lies for four days in a queue of SQS, outside erasure. Lambda puts the whole event there, of SES
//! with an address and a subject, and it cannot be redacted on the way.

mod account;
mod alert;
mod compose;
mod digest;
mod letter;
mod link;
mod request;
mod sending;
mod student;

use anyhow::{Result, bail};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::event::Event;
use bursar_core::start::Function;
use bursar_core::store::Table;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::sending::ses::Ses;

/// The function with its table and its mail server.
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
        let (table, ses) = (Table::new(&config), Ses::new(&config));
        App { table, ses, config, clock, is_no_copy: OnceCell::new() }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::of(&event.context).with_waits(self.config.waits);
        match Event::of(event.payload) {
            Event::Stream(records) => Ok(self.batch(&records, deadline).await),
            Event::Task(task) if task == "drain" => Ok(json!(self.drain(deadline).await?)),
            Event::Notifications(messages) => {
                for message in messages {
                    self.record_event(&message, deadline).await?;
                }
                Ok(Value::Null)
            }
            _ => bail!("this is no event for the function mail"),
        }
    }
}
