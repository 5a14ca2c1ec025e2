//! Finds crossings of budgets, watches for parts that fell silent, and records the weekly digests.
//! The stream wakes it for changed totals and budgets, and a schedule each hour.
//!
//! # Crossings
//!
//! A programme is checked when its totals or its budget changed. The hourly check of every
//! programme finds what a lost stream record left out. A budget has two kinds of crossing: spending
//! past a threshold, and a budget reserved so far that some student's key does not fit. Alert,
//! digest and overview share the test for the latter,
//! [`find_room_refusal`](bursar_core::domain::programme::Programme::find_room_refusal).
//!
//! The crossings of a limit and their mails are written in one transaction; the loser of a race
//! reads and decides again. The recipients are checked once more when the mail is sent. A batch
//! checks each programme once. For a programme whose check failed, the batch returns its first
//! record as failed.
//!
//! The caps of students are judged by the sync.
//!
//! # Alarms
//!
//! An alarm is a message to the admins. Its name holds cause and day, so that the runs of one night
//! raise it once, and the next night raises it again. It is written together with its mails and
//! records its recipients. If they exceed one transaction, the next one to raise the alarm queues
//! the rest. Digests are recorded in the same way.
//!
//! The balance has one notice ([`credit`]). It is reported when credit must be bought: when the
//! balance ends, at the pace of the last weeks or because of what the rosters may claim, before all
//! programmes do, or before a year is over. It is reported again when the time left is half of what
//! was told, which is four weeks at most, and when rosters double what programmes can cost. After
//! its end it can be reported afresh.
//!
//! Nothing is reported when an alarm's cause is over: the account page shows what is wrong now. A
//! cause that returns on the same day is the same alarm.
//!
//! An unreachable admin is reported once, and again on later days only while the report itself
//! reached nobody ([`undelivered`]). An alarm about mails that were given up names the first one.
//!
//! # The hourly watch
//!
//! It reports mail that waits too long: half an hour if urgent, else six hours. Mail that SES
//! refused within the last two hours is reported by its own alarm. Where urgent mail waits, or most
//! of the links that SES took one to two hours ago did not arrive, mail about it would not arrive
//! either: a line of the log says so, for which an alarm of the stack rings, as for pages that
//! cannot be reached. A key that is to be off, and of which OpenRouter has not confirmed that for
//! an hour, is reported; so are a balance that nobody could read for two hours, and pages that do
//! not answer at their public origin. A day for which SES reported nothing is an alarm as well,
//! where mails name a configuration set. Faculty get a mail where the registrar's file no longer
//! comes: one after each last use of the token.
//!
//! The checks are independent ([`failures`]): one that fails is named at the end of the invocation
//! and stops no other. A programme that cannot be read is left out, except from sums, which are
//! then not made. Each watch logs a line that an alarm of the stack expects, since the stream wakes
//! the function too.
//!
//! # Digests
//!
//! A programme's digest is computed once a calendar week and recorded with its mails in one item.
//! It is due at seven in the morning of its day in the programme's zone. The watch makes it. A
//! missed one is made within two days, about the days that it should have covered.
//!
//! Sums are those of the sync's last whole run, and people who need attention those whom the night
//! after the digest's days found, so no grant is read. Where that night found nobody, since it was
//! missed, they are those of the one before, and the mail names their days.
//!
//! The item holds grants and keys and no names. Names are looked up when the mail is sent, and only
//! for a reader who is faculty at that time. So assistants get counts, and an erased person appears
//! in no digest. A digest covers the seven complete days before its morning, or all since the
//! digest before where its weekday was moved; for a cap it shows the use in the window that
//! contains the last of them.
//!
//! # Statements
//!
//! The first watch from the third of a month on (UTC) records the statement of the month before,
//! with a mail to each finance address of a programme in it. The item is kept for ever, as it was
//! mailed. A month whose end no complete sync has passed yet waits for one; the next watch looks
//! again. Months before the first complete sync have no statement.

mod credit;
mod crossings;
mod digests;
mod failures;
mod own_site;
mod silence;
mod statements;
mod undelivered;

use anyhow::{Result, anyhow, bail, ensure};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::digest::DigestTrigger;
use bursar_core::domain::programme::{Budget, Programme};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::event::{Event, StreamRecord, Task};
use bursar_core::schema::Stored;
use bursar_core::start::Function;
use bursar_core::store::{Table, Totals};
use digests::Look;
use failures::{Programmes, ScanFailures};
use lambda_runtime::LambdaEvent;
use own_site::OwnSite;
use serde::Deserialize;
use serde_json::{Value, json};

pub struct App {
    table: Table,
    clock: Clock,
    /// Whether mails name a configuration set, whose events report on them.
    mail_is_reported: bool,
    own_site: OwnSite,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        let table = Table::new(&config);
        let own_site = OwnSite::new(&config);
        App {
            table,
            clock,
            mail_is_reported: config.mail_events.is_some(),
            own_site,
        }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::from_context(&event.context);
        match Event::parse(event.payload)? {
            Event::Stream(records) => Ok(self.changed(&records, deadline).await),
            Event::Task(Task::Watch) => self.watch(deadline).await,
            Event::Task(Task::Digest) => self.digest(deadline).await,
            _ => bail!("this is no event for the function threshold-alerts"),
        }
    }
}

/// The work of a batch, by the sequence numbers of its records.
#[derive(Debug, Default, PartialEq)]
struct Batch {
    /// Each programme once, with the first record that names it.
    programmes: Vec<(ProgrammeId, String)>,
    /// Totals and budgets without a readable programme.
    unreadable: Vec<String>,
}

/// The parsed part of totals and of a budget.
#[derive(Deserialize)]
struct ProgrammeName {
    programme: ProgrammeId,
}

/// Parses the records, without those of other kinds and those of removals.
fn batch_of(records: &[StreamRecord]) -> Batch {
    let mut batch = Batch::default();
    for record in records {
        let number = record.sequence_number().to_owned();
        if let Some(Totals::KIND | Budget::KIND) = record.kind() {
            match record.written_item() {
                Some(ProgrammeName { programme }) => batch.name_programme(programme, number),
                None => batch.unreadable.push(number),
            }
        }
    }
    batch
}

impl Batch {
    fn name_programme(&mut self, programme: ProgrammeId, number: String) {
        if !self.programmes.iter().any(|(id, _)| *id == programme) {
            self.programmes.push((programme, number));
        }
    }
}

impl App {
    /// Checks each programme whose totals changed, once. The stream retries what could not be
    /// checked from its first record on.
    async fn changed(&self, records: &[StreamRecord], deadline: Deadline) -> Value {
        let batch = batch_of(records);
        let mut failed = batch.unreadable;
        for (programme, first) in batch.programmes {
            if let Err(error) = self.find_crossings(&programme, deadline).await {
                tracing::warn!(%programme, error = format!("{error:#}"), "its crossings are looked for again");
                failed.push(first);
            }
        }
        let failures = failed
            .into_iter()
            .map(|record| json!({"itemIdentifier": record}));
        json!({"batchItemFailures": failures.collect::<Vec<_>>()})
    }

    /// The hourly watch. It checks every programme, for a change that the stream lost and for a
    /// budget that was lowered. It raises alarms for what fell silent, and creates the digests that
    /// are due. A failure in one check does not block others.
    async fn watch(&self, deadline: Deadline) -> Result<Value> {
        let programmes = Programmes::load(&self.table).await?;
        let mut failures = ScanFailures::default();
        for id in &programmes.unreadable {
            failures.take(
                format_args!("the programme {id}"),
                Err::<(), _>(anyhow!("it cannot be read")),
            );
        }
        let mut crossings = 0;
        for Programme { id, .. } in &programmes.read {
            let outcome = self.find_crossings(id, deadline).await;
            crossings += failures.take(format_args!("the crossings of {id}"), outcome);
        }
        let table = &self.table;
        let now = self.clock.now();
        let alarms = silence::tell(self, &programmes, now, deadline, &mut failures).await;
        let digests = Look {
            table,
            programmes: &programmes,
            trigger: DigestTrigger::Hourly,
            now,
            deadline,
        };
        let digests = digests.record_all().await;
        failures.failed.extend(
            digests
                .failed
                .iter()
                .map(|programme| format!("the digest of {programme}")),
        );
        let statements = failures.take(
            "the statements",
            statements::mail_due(table, now, deadline).await,
        );
        let unsynced = silence::find_age_of_sync(table, &programmes, now).await;
        let unsynced = failures.take(
            "how long ago a sync was complete",
            unsynced.map(|since| Some(since.as_hours())),
        );
        // The template counts this line: its absence is the alarm for the watch itself, and for
        // syncs.
        let failed = failures.failed.len();
        tracing::info!(
            watched = true,
            hours_without_sync = unsynced,
            failed,
            "the watch came to its end"
        );
        ensure!(
            failures.failed.is_empty(),
            "not looked at: {}",
            failures.failed.join(", ")
        );
        Ok(json!({
            "programmes": programmes.read.len(),
            "crossings": crossings,
            "alarms": alarms,
            "digests": digests.digests,
            "statements": statements,
        }))
    }

    /// Creates the digests that are due. The watch does so in the morning; an event of its own does
    /// so sooner.
    async fn digest(&self, deadline: Deadline) -> Result<Value> {
        let programmes = &Programmes::load(&self.table).await?;
        let table = &self.table;
        let now = self.clock.now();
        let report = Look {
            table,
            programmes,
            trigger: DigestTrigger::ByHand,
            now,
            deadline,
        }
        .record_all()
        .await;
        ensure!(
            report.failed.is_empty(),
            "there is no digest of {}",
            report.failed.join(", ")
        );
        Ok(json!(report))
    }

    async fn find_crossings(&self, programme: &ProgrammeId, deadline: Deadline) -> Result<usize> {
        crossings::find(&self.table, programme, self.clock.now(), deadline).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(number: &str, image: &Value) -> StreamRecord {
        let change = json!({"SequenceNumber": number, "NewImage": image});
        let record =
            json!({"eventSource": "aws:dynamodb", "eventName": "MODIFY", "dynamodb": change});
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn each_programme_is_named_once_by_its_first_record() {
        let totals =
            |programme: &str| json!({"kind": {"S": "totals"}, "programme": {"S": programme}});
        let records = [
            record(
                "1",
                &json!({"kind": {"S": "grant"}, "programme": {"S": "maths"}}),
            ),
            record("2", &totals("cs-pilot")),
            record("3", &json!({"kind": {"S": "totals"}})),
            record(
                "4",
                &json!({"kind": {"S": "budget"}, "programme": {"S": "maths"}}),
            ),
            record("5", &totals("cs-pilot")),
            record("6", &json!(null)),
        ];
        let named = |programme: &str, number: &str| (programme.parse().unwrap(), number.to_owned());
        let expected = Batch {
            programmes: vec![named("cs-pilot", "2"), named("maths", "4")],
            unreadable: vec!["3".to_owned()],
        };
        assert_eq!(batch_of(&records), expected);
    }
}
