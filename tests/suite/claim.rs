//! The students' pages, through HTTP and the whole stack: signing in, a key and what is done with it. Every
//! refusal, and each call of a claim failing, are included.

mod asking;
mod bad_input;
mod canary;
mod crowds;
mod data;
mod faults;
mod flood;
mod keys;
mod lapsed;
mod lasting;
mod mails;
mod meanwhile;
mod my;
mod refusals;
mod sign_in;
mod standing;
mod trouble;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bursar_core::deadline::{Deadline, Waits};
use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::people::sign_in::{LINK_LASTS, LiveLink};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::token::{AskToken, Code, LinkToken};
use bursar_core::store::{Author, EditOutcome, LinkOutcome};
use bursar_local::invoke::FunctionName;
use bursar_tests::invariants::{Answers, RawTable, Watch};
use bursar_tests::office::Office;
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::stack::{self, Setup, Stack};
use bursar_tests::visitor::{Page, Visitor};
use serde_json::json;
use ulid::Ulid;

/// A programme with plenty of money, and a watch on everything.
struct Scene<'s> {
    stack: &'s Stack,
    office: Office<'s>,
    answers: Answers,
    watch: Watch,
}

impl Scene<'_> {
    async fn over(stack: &Stack) -> Scene<'_> {
        let office = Office::open(stack).await;
        let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
        office.table.set_pot(&office.programme, Usd::from_dollars(100_000), by).await;
        let (answers, logs) = (Answers::default(), stack.logs.clone());
        let watch = Watch::over(RawTable::at(&stack.ready.dynamodb, &stack.ready.table), stack.clock.as_clock())
            .with_provider(stack.provider.clone().unwrap())
            .with_gate(stack.gate.clone())
            .with_mails(stack.ses.clone())
            .with_answers(answers.clone())
            .with_logs(move || logs.all().into_iter().map(|line| line.text).collect());
        Scene { stack, office, answers, watch }
    }

    fn browser(&self) -> Visitor {
        Visitor::new(&self.stack.ready.web).noting(&self.answers)
    }

    /// The link and the code that a mail to this address would bring, if this browser had asked for it.
    async fn mailed(&self, address: &str, browser: &AskToken) -> (LinkToken, Code) {
        static ASKS: AtomicU64 = AtomicU64::new(0);
        let address = EmailAddress::parse(address).unwrap();
        let (link, code, now) = (LinkToken::generate(), Code::generate(), self.stack.clock.now());
        let ask = Ulid::from_parts(1, u128::from(ASKS.fetch_add(1, Ordering::Relaxed)));
        let live = LiveLink {
            link: link.hash(),
            code: Some(code.hash(address.matched())),
            asked_by: browser.hash(),
            ends_at: now + LINK_LASTS,
        };
        let made = self.office.table.make_link(ask, address.matched(), &live, now, soon()).await.unwrap();
        assert_eq!(made, LinkOutcome::Yes);
        (link, code)
    }

    /// A browser in which this address is signed in.
    async fn signed_in(&self, address: &str) -> Visitor {
        self.signed_in_as(address, "/my").await
    }

    /// A browser in which this address is signed in, and which sign-in led to this page.
    async fn signed_in_as(&self, address: &str, home: &str) -> Visitor {
        let (visitor, asked_by) = (self.browser(), AskToken::generate());
        visitor.set_cookie("bursar-ask", asked_by.reveal());
        let (link, _) = self.mailed(address, &asked_by).await;
        let page = visitor.get(&format!("/c/{}", link.reveal())).await.expect(200);
        let signed_in = visitor.submit(&page, &page.path, &[]).await.expect(303);
        assert_eq!(signed_in.location(), Some(home));
        visitor
    }

    /// A person on the roster, signed in.
    async fn student(&self, address: &str) -> (GrantId, Visitor) {
        let grant = self.office.invite(address).await;
        (grant, self.signed_in(address).await)
    }

    fn path(&self, what: &str) -> String {
        format!("/my/{}/{what}", self.office.programme.as_str())
    }

    /// Opens the student's page and presses the button that it offers.
    async fn press(&self, visitor: &Visitor, what: &str) -> Page {
        let my = visitor.get("/my").await.expect(200);
        visitor.submit(&my, &self.path(what), &[]).await
    }

    async fn reveal(&self, visitor: &Visitor) -> String {
        self.press(visitor, "reveal").await.expect(200).one("key").text
    }

    async fn set(&self, edit: impl FnOnce(&mut Settings)) {
        let programme = self.office.table.programme(&self.office.programme).await.unwrap().unwrap();
        let mut settings = programme.settings;
        edit(&mut settings);
        let by = Author { actor: &self.office.faculty, now: self.stack.clock.now(), deadline: soon() };
        let what = AuditDetail::new(Act::Edited);
        let saved =
            self.office.table.save_settings(&programme.id, settings, programme.version, what, by).await.unwrap();
        assert_eq!(saved, EditOutcome::Done);
    }

    /// Restricts the programme's keys to one model, and returns the guardrail that the provider then has.
    async fn restrict(&self) -> String {
        self.set(|settings| settings.models = vec!["openai/gpt-4o-mini".to_owned()]).await;
        self.stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
        self.office.guardrail().await.unwrap().id
    }

    /// The calls that the students' pages have made so far.
    fn calls(&self) -> Vec<String> {
        let calls = self.stack.gate.calls().into_iter().filter(|made| made.call.function == FunctionName::Claim);
        calls.map(|made| made.call.name.to_string()).collect()
    }
}

/// Checks the invariants when nothing is in progress and all queued mail is sent.
async fn look(stack: &Stack, watch: &mut Watch) {
    stack.pump.drained().await.unwrap();
    watch.check().await;
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(25))
}

/// A stack whose functions wait as long as they say: where the provider asks for a longer wait than a press has, they answer at once.
async fn stack() -> Stack {
    stack::of(Setup { waits: Waits::WHOLE, ..Setup::default() }).await.unwrap()
}

fn minutes(minutes: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_mins(minutes)
}
