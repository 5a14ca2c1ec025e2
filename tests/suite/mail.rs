//! Mails through the stack: what is sent, to whom and how often, whatever the mail server and the table do. The
//! invariants are checked after each step.

mod account;
mod alerts;
mod asks;
mod breaker;
mod bulk;
mod by_rule;
mod cap_used;
mod copy;
mod credit;
mod crossed;
mod faults;
pub(crate) mod footers;
mod lost;
mod many;
mod outcomes;
mod postponed;
mod quota;
mod refused;
mod silent;
mod staff;
mod words;

use std::time::Duration;

use bursar_core::deadline::{Deadline, Waits};
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::Person;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{GrantId, PersonId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::token::AskToken;
use bursar_core::store::{Author, MailState, NewPerson, OutboxRow, QueuedMail, Table};
use bursar_local::inbox::Contents;
use bursar_local::settle::LIMIT;
use bursar_tests::aws;
use bursar_tests::invariants::{RawTable, Watch};
use bursar_tests::stack::Stack;
use bursar_tests::stack::{self, Setup};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// A stack at a fixed hour with one programme, and the mails that it sends.
struct PostOffice {
    stack: Stack,
    table: Table,
    raw: RawTable,
    watch: Watch,
    programme: ProgrammeId,
}

/// A received mail.
struct Got {
    id: String,
    to: String,
    contents: Contents,
}

impl PostOffice {
    async fn open() -> PostOffice {
        PostOffice::waiting(Waits::shortened(4)).await
    }

    /// An office whose functions wait for only a part of each wait.
    async fn waiting(waits: Waits) -> PostOffice {
        PostOffice::of(Setup { waits, ..Setup::default() }).await
    }

    async fn of(setup: Setup<'_>) -> PostOffice {
        let at = "2026-11-20T10:00:00Z".parse().unwrap();
        let stack = stack::of(Setup { at: Some(at), ..setup }).await.unwrap();
        // They run when `pass` has let the time pass, and not beside it.
        stack.schedules.stop().await;
        let table = Table::new(&stack.config);
        let raw = RawTable::at(&stack.ready.dynamodb, &stack.config.table);
        let term = Term::new("2026-10-12".parse().unwrap(), "2027-02-06".parse().unwrap(), "Europe/Berlin").unwrap();
        let mut settings = Settings::new("CS pilot", term, Usd::from_dollars(20));
        settings.faculty = vec![address("Frida.Faculty@example.edu")];
        let logs = stack.logs.clone();
        let mut watch = Watch::over(raw.clone(), stack.clock.as_clock())
            .with_mails(stack.ses.clone())
            .with_stream(stack.engine.clone())
            .with_logs(move || logs.all().into_iter().map(|line| line.text).collect());
        watch.check().await;
        let admin = Actor::Person(PersonId::random());
        let by = Author { actor: &admin, now: stack.clock.now(), deadline: soon() };
        let programme = table.create_programme(settings, Usd::from_dollars(4000), by).await.unwrap();
        PostOffice { stack, table, raw, watch, programme }
    }

    /// Adds a student to the roster and discards the roster mail.
    async fn enrol(&mut self, written: &str) -> GrantId {
        let grant = self.invite(written).await;
        self.settle().await;
        let told = self.unread();
        assert!(told.iter().all(|mail| mail.contents.kind.as_deref() == Some("roster")));
        grant
    }

    async fn invite(&self, written: &str) -> GrantId {
        let person = Person { address: address(written), name: Some("Ada Lovelace".to_owned()), roster_id: None };
        let admin = Actor::Person(PersonId::random());
        let by = Author { actor: &admin, now: self.stack.clock.now(), deadline: soon() };
        let added = self.table.invite(&self.programme, &[NewPerson { person, group: None }], by).await.unwrap();
        added.into_iter().next().unwrap()
    }

    /// Asks for a link as the page does.
    async fn ask(&self, typed: &str) {
        let now = self.stack.clock.now();
        self.table.ask(address(typed).matched(), &AskToken::generate().hash(), now, soon()).await.unwrap();
    }

    async fn settle(&mut self) {
        self.stack.settle.settle(LIMIT).await.unwrap();
        self.watch.check().await;
    }

    /// Moves the clock, and runs all that falls due meanwhile.
    async fn pass(&mut self, minutes: i64) {
        self.stack.schedules.advance(SignedDuration::from_mins(minutes)).await.unwrap();
        self.settle().await;
    }

    fn unread(&self) -> Vec<Got> {
        let got = |mail: bursar_local::ses::Mail| Got {
            to: mail.to.join(", "),
            contents: Contents::of(&mail.raw),
            id: mail.id,
        };
        let unread = self.stack.ses.unread().into_iter().map(got);
        // No sync runs here, so the alarm of that is left out, and so is the digest of any Monday that passes.
        let is_another = |contents: &Contents| {
            contents.kind.as_deref() == Some("digest") || contents.subject.starts_with("No sync was")
        };
        unread.filter(|mail: &Got| !is_another(&mail.contents)).collect()
    }

    /// The only mail since the last call.
    fn the_mail(&self) -> Got {
        let mut unread = self.unread();
        assert_eq!(
            unread.len(),
            1,
            "there is not just one mail: {:?}",
            unread.iter().map(|mail| &mail.contents.subject).collect::<Vec<_>>()
        );
        unread.remove(0)
    }

    /// The states of all queued mails except roster mails, oldest first, one word each.
    fn states(&self) -> Vec<&'static str> {
        let rows = self.watch.seen().unwrap().outbox.iter();
        rows.filter(|row| !matches!(row.mail, QueuedMail::Roster { .. })).map(|row| word(&row.state)).collect()
    }

    /// Sends an SES event about a mail.
    async fn event(&mut self, mail: &str, kind: &str, permanent: bool) {
        let body = json!({"mail": mail, "type": kind, "permanent": permanent});
        let post = aws::http().post(format!("{}/events", self.stack.ready.inbox)).json(&body);
        assert_eq!(post.send().await.unwrap().status(), 200);
        self.watch.check().await;
    }

    fn said(&self, word: &str) -> bool {
        self.stack.logs.all().iter().any(|line| line.text.contains(word))
    }

    #[track_caller]
    fn finish(self) -> impl Future<Output = ()> {
        self.stack.finish()
    }

    #[track_caller]
    fn finish_faulted(self) -> impl Future<Output = ()> {
        self.stack.finish_faulted()
    }

    #[track_caller]
    fn finish_unjudged(self) -> impl Future<Output = ()> {
        self.stack.finish_unjudged()
    }
}

fn word(state: &MailState) -> &'static str {
    match state {
        MailState::Waiting { .. } => "waiting",
        MailState::Sending { .. } => "sending",
        MailState::Sent { .. } => "sent",
        MailState::Delivered { .. } => "delivered",
        MailState::Bounced { .. } => "bounced",
        MailState::Complained { .. } => "complained",
        MailState::Dropped { .. } => "dropped",
        MailState::Failed { .. } => "failed",
    }
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

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(25))
}
