//! The weekly digests through the stack: one for each recipient and week, on the programme's own day, whatever
//! fails and however often it runs. Only faculty get names, and no digest has a key.

use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{as_sync, reading, soon};
mod once;
mod readers;

use std::collections::BTreeMap;

use bursar_core::domain::audit::{Act, Actor, AuditDetail};
use bursar_core::domain::grant::{Grant, Reading};
use bursar_core::domain::programme::{Settings, Weekday};
use bursar_core::domain::usage::models::GroupUse;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{Epoch, GrantId, Nonce, PersonId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::store::{
    ActContext, ActOutcome, Author, Meta, ModelDay, NewPerson, QueuedMail, SyncState, Table, Totals,
};
use bursar_local::inbox::Contents;
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_local::ses::Quota;
use bursar_tests::invariants::{RawTable, Watch};
use bursar_tests::stack::{self, Setup, Stack};
use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};

/// A Monday, an hour before digests are due.
const EARLY: &str = "2026-11-16T06:00:00Z";

/// A stack with a stopped clock and without running schedules.
struct Monday {
    stack: Stack,
    table: Table,
    watch: Watch,
}

/// A received mail.
struct Got {
    to: String,
    contents: Contents,
}

impl Monday {
    async fn early() -> Monday {
        let early = EARLY.parse().unwrap();
        let stack = stack::of(Setup { at: Some(early), ..Setup::default() }).await.unwrap();
        stack.pump.stop().await;
        stack.schedules.stop().await;
        let table = Table::new(&stack.config);
        stack.ses.set_quota(Quota { per_second: 1_000, ..Quota::PRODUCTION });
        // The table was created when the test began; it must be as old as the programmes.
        let raw = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
        let meta = table.meta(stack.clock.now()).await.unwrap();
        raw.keep(&Meta { born: at("2026-10-01T00:00:00Z"), ..meta }).await.unwrap();
        table.person_of(&stack.config.admins[0], soon()).await.unwrap();
        let watch = Watch::over(raw, stack.clock.as_clock()).with_mails(stack.ses.clone());
        Monday { stack, table, watch }
    }

    fn now(&self) -> Timestamp {
        self.stack.clock.now()
    }

    fn advance(&self, hours: i64) {
        self.stack.clock.advance(SignedDuration::from_hours(hours)).unwrap();
    }

    /// A programme that was created weeks ago, with two faculty and an assistant; no programme shares them.
    async fn programme(&self, name: &str, change: impl FnOnce(&mut Settings)) -> ProgrammeId {
        let term = Term::new(date(2026, 10, 12), date(2027, 2, 6), "UTC").unwrap();
        let mut settings = Settings::new(name, term, Usd::from_dollars(20));
        let address = |who: &str| EmailAddress::parse(&format!("{who}@{}.edu", ProgrammeId::of_name(name))).unwrap();
        settings.faculty = vec![address("ann"), address("ben"), address("ann")];
        settings.assistants = vec![address("tom"), address("ben")];
        change(&mut settings);
        let by = Author { actor: &Actor::Rule, now: at("2026-10-01T08:00:00Z"), deadline: soon() };
        self.table.create_programme(settings, Usd::from_dollars(100), by).await.unwrap()
    }

    async fn edit(&self, programme: &ProgrammeId, change: impl FnOnce(&mut Settings)) {
        let read = self.table.programme(programme).await.unwrap().unwrap();
        let mut settings = read.settings.clone();
        change(&mut settings);
        let by = Author { actor: &Actor::Rule, now: self.now(), deadline: soon() };
        self.table.save_settings(programme, settings, read.version, AuditDetail::new(Act::Edited), by).await.unwrap();
    }

    async fn student(&self, programme: &ProgrammeId, name: &str, group: Option<&str>) -> GrantId {
        let address = EmailAddress::parse(&format!("{}@students.edu", name.to_lowercase().replace(' ', "."))).unwrap();
        let person = bursar_core::domain::grant::Person { address, name: Some(name.to_owned()), roster_id: None };
        let by = Author { actor: &Actor::Rule, now: self.now(), deadline: soon() };
        let new = NewPerson { person, group: group.map(str::to_owned) };
        self.table.invite(programme, &[new], by).await.unwrap().remove(0)
    }

    /// A made-up key that was shown to a student weeks ago.
    async fn claim(&self, programme: &ProgrammeId, grant: &GrantId) {
        use bursar_core::domain::grant::{MintedKey, Press, PressKind};
        let at = ActContext { programme, grant, now: at("2026-10-20T08:00:00Z"), deadline: soon() };
        let press = Press { kind: PressKind::Reveal, epoch: Epoch::BEFORE_THE_FIRST, terms: None };
        let ActOutcome::Done(begun) =
            self.table.act(at, |view, now| view.begin(press, Nonce::random(), now)).await.unwrap()
        else {
            panic!("not begun")
        };
        let minted =
            MintedKey { key: grant.as_str().repeat(4).parse().unwrap(), limit: Usd::from_dollars(20), rule_set: None };
        self.table.act(at, |view, now| view.record(&begun, &minted, now)).await.unwrap();
    }

    /// A student's spending as pairs of days ago and amount.
    async fn used(&self, programme: &ProgrammeId, grant: &GrantId, days: &[(i64, i64)]) -> DailyUse {
        let mut used = DailyUse::default();
        for (ago, cents) in days {
            let day = date(2026, 11, 16).checked_sub(ago.days()).unwrap();
            used.add(&DailyUse::on_one(day, Usd::from_micros(cents * 10_000)));
        }
        let recorded = reading(programme, grant, used.clone(), self.now());
        let reading = Reading { last_used_at: Some(self.now()), ..recorded };
        self.table.note_reading(&reading, soon()).await.unwrap();
        used
    }

    /// The programme's totals, as tonight's sync would record them.
    async fn summed_up(&self, programme: &ProgrammeId, grants: &[(Option<&str>, &DailyUse)]) {
        let (mut used, mut by_group) = (DailyUse::default(), BTreeMap::<String, DailyUse>::new());
        for (group, of_one) in grants {
            used.add(of_one);
            if let Some(group) = group {
                by_group.entry((*group).to_owned()).or_default().add(of_one);
            }
        }
        let claimed = u32::try_from(grants.len()).unwrap();
        let totals = Totals {
            programme: programme.clone(),
            as_of: self.now(),
            used,
            by_group,
            implied: Usd::from_dollars(60),
            grants: claimed,
            claimed,
        };
        assert!(as_sync(&self.table, async |sync| sync.note_totals(&totals).await).await);
    }

    async fn looked(&self) {
        let state = self.table.sync_state().await.unwrap();
        let now = self.now();
        let state = SyncState { listed_at: Some(now), completed_at: Some(now), ..state };
        let state = state.with_models_of(date(2026, 10, 12), date(2026, 11, 15));
        assert!(as_sync(&self.table, async |sync| sync.set_sync_state(&state.next()).await).await);
    }

    async fn model_day(&self, programme: &ProgrammeId, day: Date, uses: &[(&str, i64, u64)]) {
        let used = |(model, cents, requests): &(&str, i64, u64)| GroupUse {
            group: None,
            model: (*model).to_owned(),
            spent: Usd::from_micros(cents * 10_000),
            byok: Usd::ZERO,
            requests: *requests,
        };
        let by = uses.iter().map(used).collect();
        let day = ModelDay { programme: programme.clone(), day, as_of: self.now(), by };
        RawTable::at(&self.stack.ready.dynamodb, &self.stack.ready.table).keep(&day).await.unwrap();
    }

    async fn run(&self, task: &str) -> Result<Value, InvokeError> {
        self.stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": task})).await
    }

    /// The recipients' addresses of the queued digests of a programme, or of the account, one for each row.
    async fn owed(&mut self, of: Option<&ProgrammeId>) -> Vec<String> {
        let seen = self.watch.check().await;
        let recipients = seen.outbox.iter().filter_map(|row| match (&row.mail, of) {
            (QueuedMail::Digest { programme, recipient, .. }, Some(of)) if programme == of => Some(recipient),
            (QueuedMail::AccountDigest { recipient, .. }, None) => Some(recipient),
            _ => None,
        });
        let address = |recipient: &PersonId| {
            let known = seen.people.iter().find(|person| person.person == *recipient).unwrap();
            known.address.as_written().split('@').next().unwrap().to_owned()
        };
        let mut owed: Vec<String> = recipients.map(address).collect();
        owed.sort();
        owed
    }

    /// The digests that were received, by recipient; other mails are left out.
    async fn mails(&mut self) -> Vec<Got> {
        self.drain().await;
        let got = |mail: bursar_local::ses::Mail| Got { to: mail.to.join(", "), contents: Contents::of(&mail.raw) };
        let mut mails: Vec<Got> = self.stack.ses.unread().into_iter().map(got).collect();
        mails.retain(|mail| mail.contents.kind.as_deref() == Some("digest"));
        mails.sort_by(|one, other| one.to.cmp(&other.to));
        mails
    }

    /// Sends all queued mail.
    async fn drain(&mut self) {
        self.stack.invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
        self.watch.check().await;
    }

    async fn grant(&self, programme: &ProgrammeId, grant: &GrantId) -> Grant {
        self.table.grant(programme, grant).await.unwrap().unwrap()
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn sundays(settings: &mut Settings) {
    settings.digest = Some(Weekday::Sunday);
}
