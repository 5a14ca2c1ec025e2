//! Finds crossings, watches over what fell silent, and puts the digests of the week on record. It is woken by totals and readings
//! that were written, and once an hour.
//!
//! # Crossings
//!
//! A programme is looked at when its totals or its pot changed, and each programme once an hour, which finds what a lost record
//! left. A pot has two crossings: of what was spent, at the programme's thresholds, and of what is promised, when there is no
//! room for one more cap. Alert, digest and overview ask the same `Programme::is_promised_in_full`.
//!
//! The crossings of a limit and the mails they owe are one transaction; who was slower reads and decides again. Who hears is
//! asked once more when the mail is sent. In a batch each programme is looked at once, and one that could not be is handed on
//! again from its first record.
//!
//! A student's cap is looked at when a reading of the grant changed. One look at every cap behind each listing of every key
//! (`caps`) finds what the stream lost, or what a smaller cap left. Nothing else changes what a cap has used, so an hourly look
//! would mostly read what it has read.
//!
//! What is told of a cap is what was surely used in the window: the provider may tell the old window's numbers for two days after
//! it turned. Limits rest on the larger number, since there the safe side is the other one. Mails about caps are bulk, since many
//! students may come to one in a night. What is over by then is not sent.
//!
//! # Alarms
//!
//! An alarm is what an admin must be told. Its name holds the cause and the day, so a night of runs tells it once and the next
//! night again. It is written with the mails that it owes and says who is told. Where those are more than one transaction holds,
//! whoever raises it next goes on from there. Digests are told in the same way.
//!
//! A short balance is told when it no longer lasts for two weeks at the recent pace. It is told again when the shortfall has
//! grown by a tenth, once a day where only more was promised. After it was over it is told anew.
//!
//! What was told and is over is told once (`ended`), by the name of the newest alarm of its matter, for sixty days. That is said
//! of syncs, jobs, the balance, the management key, and SES that reports again. Of mail it is said of refusals, of mail that
//! waited, and of bulk mail that goes on with a new day. Of other causes nobody can say it. What is raised again on its day after
//! that is another alarm; after the third time the next "over" waits for the day's end.
//!
//! That an admin is not reached is told once, and again each day only while nobody was reached by that either (`undelivered`). An
//! alarm of mail that was given up names the first mail, and counts the others when its mail is written.
//!
//! # The hourly watch
//!
//! It tells of mail that waits too long: half an hour, six hours where it is not urgent. Mail that was refused within the last
//! two hours is told by itself. It tells of a day of which SES has reported nothing.
//!
//! Each look stands alone (`failures`): what failed is named at the end of the invocation and keeps no other. A programme that
//! cannot be read is left out of all but sums, which are not made without it. Each watch leaves a line in the log that an alarm
//! of the stack listens for, since the stream wakes the function as well.
//!
//! # Digests
//!
//! A digest is worked out once a calendar week and put on record with the mails that it owes: an item for each programme and one
//! for the account. It is due at seven in the morning of its day where the programme is; that of the account on Mondays, where
//! most programmes are. The watch makes it, in the next hours where one was missed, for two days, and it tells of the same days
//! then.
//!
//! Its sums are those that the sync made. To find who needs a look, every grant is read, a sixteenth of a programme at a time. So
//! it is not worked out for each mail: 50,000 grants are read once, and all recipients read the same figures.
//!
//! The item names grants and keys and no person. Who they are is looked up when a mail is sent, and only if its reader is faculty
//! by then. So assistants are mailed counts, and whoever was erased since is in no digest. A digest tells of the seven completed
//! days before its morning. Of a cap it tells what was used in the window that the last of these days lies in.

mod batch;
mod caps;
mod crossings;
mod digests;
mod ended;
mod failures;
mod lateness;
mod silence;
mod undelivered;

use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::digest::DigestTrigger;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::event::Event;
use bursar_core::start::Function;
use bursar_core::store::Table;
use crossings::Limit;
use digests::Look;
use failures::{Programmes, ScanFailures};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use silence::Watch;

/// The most that one check takes; with less time left it is not begun.
pub(crate) const ENOUGH_FOR_ONE: Duration = Duration::from_secs(10);

/// The function with its dependencies.
pub struct App {
    table: Table,
    clock: Clock,
    admins: Vec<EmailAddress>,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        App { table: Table::new(&config), clock, admins: config.admins }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::of(&event.context);
        match Event::of(event.payload) {
            Event::Stream(records) => Ok(self.changed(&records, deadline).await),
            Event::Task(task) if task == "watch" => self.watch(deadline).await,
            Event::Task(task) if task == "digest" => self.digest(deadline).await,
            _ => bail!("this is no event for the function threshold-alerts"),
        }
    }
}

impl App {
    /// Checks each programme whose totals changed and each grant whose reading did, once. The stream retries
    /// what could not be checked from its first record on.
    async fn changed(&self, records: &[Value], deadline: Deadline) -> Value {
        let batch = batch::read(records);
        let mut failed = batch.unreadable;
        for (programme, first) in batch.programmes {
            if let Err(error) = self.find_crossings(Limit::Pot(&programme), deadline).await {
                tracing::warn!(%programme, error = format!("{error:#}"), "its crossings are looked for again");
                failed.push(first);
            }
        }
        for (programme, grant, first) in batch.grants {
            if let Err(error) = self.find_crossings(Limit::Cap(&programme, &grant), deadline).await {
                tracing::warn!(%programme, %grant, error = format!("{error:#}"), "its cap is looked at again");
                failed.push(first);
            }
        }
        let failures = failed.into_iter().map(|record| json!({"itemIdentifier": record}));
        json!({"batchItemFailures": failures.collect::<Vec<_>>()})
    }

    /// The hourly watch. It checks every programme, for a change that the stream lost and for a pot that was
    /// lowered. It raises alarms for what fell silent, and creates the digests that are due.
    ///
    /// When all keys were listed since the last scan, it scans every cap. A failure in one check does not
    /// block others.
    async fn watch(&self, deadline: Deadline) -> Result<Value> {
        let programmes = Programmes::of(&self.table).await?;
        let mut failures = ScanFailures::default();
        for id in &programmes.unreadable {
            failures.take(format_args!("the programme {id}"), Err::<(), _>(anyhow!("it cannot be read")));
        }
        let mut crossings = 0;
        for Programme { id, .. } in &programmes.read {
            let found = self.find_crossings(Limit::Pot(id), deadline).await;
            crossings += failures.take(format_args!("the crossings of {id}"), found);
        }
        let (table, admins, now) = (&self.table, &self.admins[..], self.clock.now());
        let alarms = Watch { table, programmes: &programmes, admins, now, deadline }.tell(&mut failures).await;
        let digests = Look { table, programmes: &programmes, admins, asked: DigestTrigger::Hourly, now, deadline };
        let digests = digests.at_all().await;
        failures.failed.extend(digests.failed.iter().map(|of| format!("the digest of {of}")));
        // Last, since it may take all the time there is.
        let caps = caps::look(table, &programmes, now, deadline).await;
        crossings += failures.take("the caps", caps);
        // The template counts this line: its absence is the alarm for the watch itself.
        tracing::info!(watched = true, failed = failures.failed.len(), "the watch came to its end");
        ensure!(failures.failed.is_empty(), "not looked at: {}", failures.failed.join(", "));
        let (programmes, digests) = (programmes.read.len(), digests.digests);
        Ok(json!({"programmes": programmes, "crossings": crossings, "alarms": alarms, "digests": digests}))
    }

    /// Creates the digests that are due. The watch does so in the morning; an event of its own does so
    /// sooner.
    async fn digest(&self, deadline: Deadline) -> Result<Value> {
        let programmes = &Programmes::of(&self.table).await?;
        let (table, admins, now) = (&self.table, &self.admins[..], self.clock.now());
        let report = Look { table, programmes, admins, asked: DigestTrigger::ByHand, now, deadline }.at_all().await;
        ensure!(report.failed.is_empty(), "there is no digest of {}", report.failed.join(", "));
        Ok(json!(report))
    }

    async fn find_crossings(&self, limit: Limit<'_>, deadline: Deadline) -> Result<usize> {
        crossings::find(&self.table, limit, &self.admins, self.clock.now(), deadline).await
    }
}
