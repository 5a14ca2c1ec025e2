//! Statements by mail: each finance address has those of its programmes, once a month, whatever fails and however often the watch
//! runs. What was mailed stays as it was.

mod once;
mod since;
mod unreached;

use bursar_core::domain::audit::{Act, Actor, AuditDetail};
use bursar_core::domain::ledger::cut::{AccountCut, LifetimeUse, ProgrammeCut};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::reconciliation::AccountSpending;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{PersonId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::store::{Author, QueuedMail, Table};
use bursar_local::inbox::Contents;
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_local::ses::Quota;
use bursar_tests::invariants::{RawTable, Watch};
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{session_cookie, soon};
use bursar_tests::stack::{self, Setup, Stack};
use bursar_tests::visitor::Visitor;
use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

const ADMIN: &str = "admin@example.edu";
/// The last hour before the statement of November is due.
const EARLY: &str = "2026-12-02T23:00:00Z";
const STATEMENT: &str = "/console/account/statement?from=2026-11-01&to=2026-11-30";

/// A stack with a stopped clock and without running schedules, of which the cuts are made up.
struct Ledger {
    stack: Stack,
    table: Table,
    raw: RawTable,
    watch: Watch,
}

/// A received mail.
struct Got {
    id: String,
    to: String,
    contents: Contents,
}

impl Ledger {
    async fn open() -> Ledger {
        let early = EARLY.parse().unwrap();
        let stack = stack::of(Setup { at: Some(early), ..Setup::default() }).await.unwrap();
        stack.pump.stop().await;
        stack.schedules.stop().await;
        stack.ses.set_quota(Quota { per_second: 1_000, ..Quota::PRODUCTION });
        let table = Table::new(&stack.config);
        let raw = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
        let watch = Watch::over(raw.clone(), stack.clock.as_clock()).with_mails(stack.ses.clone());
        Ledger { stack, table, raw, watch }
    }

    /// A programme with this cost code, that names these people of `uni.edu` for finance.
    async fn programme(&self, name: &str, cost_code: &str, finance: &[&str]) -> ProgrammeId {
        let term = Term::new(date(2026, 10, 12), date(2027, 8, 6), "UTC").unwrap();
        let mut settings = Settings::new(name, term, Usd::from_dollars(20));
        settings.cost_code = Some(cost_code.to_owned());
        settings.finance = finance.iter().map(|name| address(name)).collect();
        let by = Author { actor: &Actor::Rule, now: at("2026-10-01T08:00:00Z"), deadline: soon() };
        self.table.create_programme(settings, Usd::from_dollars(100), by).await.unwrap()
    }

    async fn edit(&self, programme: &ProgrammeId, change: impl FnOnce(&mut Settings)) {
        let read = self.table.programme(programme).await.unwrap().unwrap();
        let mut settings = read.settings.clone();
        change(&mut settings);
        let by = Author { actor: &Actor::Rule, now: self.stack.clock.now(), deadline: soon() };
        self.table.save_settings(programme, settings, read.version, AuditDetail::new(Act::Edited), by).await.unwrap();
    }

    /// A cut with what programmes' keys have used in all, in dollars, and a residual of one dollar.
    async fn cut(&self, as_of: &str, used: &[(&ProgrammeId, i32)]) {
        let of = |(programme, dollars): &(&ProgrammeId, i32)| ProgrammeCut {
            programme: (*programme).clone(),
            used: LifetimeUse { credits: Usd::from_dollars(*dollars), byok: Usd::ZERO },
        };
        let spent = Usd::from_dollars(1 + used.iter().map(|(_, dollars)| dollars).sum::<i32>());
        let cut = AccountCut {
            as_of: at(as_of),
            bought: Usd::from_dollars(500),
            spent: AccountSpending { before: spent, after: spent },
            programmes: used.iter().map(of).collect(),
            foreign: Usd::ZERO,
            opening: Usd::ZERO,
            residual: Usd::from_dollars(1),
            unsettled: Usd::ZERO,
        };
        self.raw.keep(&cut).await.unwrap();
    }

    /// Two programmes with finance and one without, and the cuts of November; the first of the account is of its fifth day.
    async fn november(&self) -> [ProgrammeId; 3] {
        let maths = self.programme("Maths", "4711", &["fin", "fay"]).await;
        let physics = self.programme("Physics", "4712", &["FIN"]).await;
        let law = self.programme("Law", "4713", &[]).await;
        self.cut("2026-11-05T00:20:00Z", &[(&maths, 10), (&physics, 20), (&law, 30)]).await;
        self.cut("2026-12-01T00:20:00Z", &[(&maths, 15), (&physics, 27), (&law, 90)]).await;
        [maths, physics, law]
    }

    fn advance(&self, hours: i64) {
        self.stack.clock.advance(SignedDuration::from_hours(hours)).unwrap();
    }

    /// Runs the watch, and returns how many statements it recorded.
    async fn look(&self) -> Result<i64, InvokeError> {
        let report = self.stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await?;
        Ok(report["statements"].as_i64().unwrap())
    }

    /// The finance people with a queued statement, one for each row.
    async fn owed(&mut self) -> Vec<String> {
        let seen = self.watch.check().await;
        let recipients = seen.outbox.iter().filter_map(|row| match &row.mail {
            QueuedMail::Statement { recipient, .. } => Some(recipient),
            _ => None,
        });
        let name = |recipient: &PersonId| {
            let person = seen.people.iter().find(|person| person.person == *recipient).unwrap();
            person.address.matched().as_str().split('@').next().unwrap().to_owned()
        };
        let mut owed: Vec<String> = recipients.map(name).collect();
        owed.sort();
        owed
    }

    /// The mails of these kinds since the last call, by recipient, after all that is queued was sent.
    async fn mails(&mut self, kinds: &[&str]) -> Vec<Got> {
        // What the first turn could not send is an alarm, which the second sends.
        for _ in 0..2 {
            self.stack.invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
            self.watch.check().await;
        }
        let got = |mail: bursar_local::ses::Mail| Got {
            to: mail.to.join(", "),
            contents: Contents::of(&mail.raw),
            id: mail.id,
        };
        let mut mails: Vec<Got> = self.stack.ses.unread().into_iter().map(got).collect();
        mails.retain(|mail| mail.contents.kind.as_deref().is_some_and(|kind| kinds.contains(&kind)));
        mails.sort_by(|one, other| one.to.cmp(&other.to));
        mails
    }

    async fn admin(&self) -> Visitor {
        let (visitor, cookie) = (Visitor::new(&self.stack.ready.web), session_cookie(&self.stack, ADMIN).await);
        let (name, value) = cookie.split_once('=').unwrap();
        visitor.set_cookie(name, value);
        visitor
    }
}

fn address(name: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{name}@uni.edu")).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
