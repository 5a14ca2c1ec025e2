//! A university on one stack: a programme, people with keys and browsers, time, spending and mails.
//! A test says what happens, and `finish` judges what became of it:
//!
//! ```ignore
//! let mut campus = Campus::at("2026-11-16T06:00:00Z").await;
//! campus.programme("CS pilot", |settings| settings.allowance.cap = Usd::from_dollars(5)).await;
//! campus.students(&["ada", "bob"]).await;
//! campus.keys().await;
//! campus.spend("ada", "4.50");
//! campus.sync().await;
//! campus.settle().await;
//! assert_eq!(campus.mails("student")[0].to, "ada@example.edu");
//! campus.finish().await;
//! ```
//!
//! Its programme has a hundred thousand dollars, a cap of 20 and no faculty. A name without an `@`
//! is one at `example.edu`. The clock stands still and no schedule runs, but the stream is
//! delivered: what runs is what the test calls.

use std::collections::BTreeMap;
use std::ops::{Deref, Range};
use std::sync::{Arc, Mutex};

use bursar_core::clock::Moment;
use bursar_core::domain::audit::{Act, Actor, AuditDetail};
use bursar_core::domain::grant::{Grant, HoldKind, Person, Tell, View};
use bursar_core::domain::programme::guardrail::{ConfirmedRules, Guardrail, GuardrailOwner};
use bursar_core::domain::programme::{Budget, Programme, Settings};
use bursar_core::domain::sign_in::Asker;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::token::BrowserToken;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{
    ActContext, Author, EditOutcome, Job, ProgrammeEdit, Table, Undeliverable, UnreachableReason,
};
use bursar_local::inbox::Contents;
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_local::provider::{KeySnapshot, Nano, Provider};
use bursar_local::settle::LIMIT;
use jiff::{SignedDuration, ToSpan};
use serde_json::{Value, json};
use tokio::sync::Mutex as AsyncMutex;

use crate::aws;
use crate::faults::{Fault, Matcher};
use crate::invariants::{RawTable, Snapshot, Watch};
use crate::office::{new_programme, session_cookie, soon};
pub use crate::stack::ADMIN;
use crate::stack::{self, Setup, Stack};
use crate::visitor::{Page, Visitor};

pub struct Campus {
    pub stack: Stack,
    pub table: Table,
    /// The programme that was made last.
    pub programme: ProgrammeId,
    /// The people on its roster, by name.
    people: BTreeMap<String, GrantId>,
    watch: AsyncMutex<Watch>,
    received: Mutex<Vec<Got>>,
    /// What a violation is told with.
    told: Mutex<Vec<String>>,
    /// The newest session of each address, since nobody gets two links in a minute.
    sessions: Mutex<BTreeMap<String, (Moment, String)>>,
}

/// A received mail.
pub struct Got {
    pub id: String,
    pub to: String,
    pub contents: Contents,
}

impl Campus {
    /// A campus without a programme, at the hour at which every stack begins.
    pub async fn open() -> Campus {
        Campus::of(Setup::default()).await
    }

    pub async fn at(instant: &str) -> Campus {
        Campus::of(Setup {
            at: instant.parse().unwrap(),
            ..Setup::default()
        })
        .await
    }

    pub async fn of(setup: Setup<'_>) -> Campus {
        Campus::over(stack::of(setup).await)
    }

    /// The campus of a stack that has a story already.
    pub fn over(stack: Stack) -> Campus {
        Campus {
            table: Table::new(&stack.config),
            programme: ProgrammeId::from_name("none"),
            people: BTreeMap::new(),
            watch: AsyncMutex::new(stack::watch(&stack)),
            received: Mutex::default(),
            told: Mutex::default(),
            sessions: Mutex::default(),
            stack,
        }
    }

    /// Goes on with the same people over another stack, and ends the one before.
    pub async fn move_to(&mut self, stack: Stack) {
        self.table = Table::new(&stack.config);
        self.watch = AsyncMutex::new(stack::watch(&stack));
        std::mem::replace(&mut self.stack, stack).finish().await;
    }

    /// Goes on with a programme that the table has, and the people on its roster.
    pub async fn resume(&mut self, programme: &str) {
        self.programme = programme.parse().unwrap();
        let grants = self
            .table
            .grants(&self.programme)
            .await
            .unwrap()
            .into_iter();
        let named = |grant: Grant| {
            (
                grant
                    .person
                    .address
                    .as_written()
                    .split('@')
                    .next()
                    .unwrap()
                    .to_owned(),
                grant.id,
            )
        };
        self.people = grants.map(named).collect();
    }

    /// A campus with the programme CS pilot, and a key for each of these people.
    pub async fn with_keys(names: &[&str]) -> Campus {
        let mut campus = Campus::open().await;
        campus.programme("CS pilot", |_| {}).await;
        campus.students_with_keys(names).await;
        campus
    }

    /// Makes a programme that begins today and lasts ninety days.
    pub async fn programme(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Settings),
    ) -> ProgrammeId {
        let today = utc_date(self.clock.now());
        let term = Term::new(today, today.saturating_add(90.days()), "UTC").unwrap();
        let mut settings = Settings::new(name, term, Usd::from_dollars(20));
        change(&mut settings);
        let made = self
            .table
            .create(new_programme(settings, 100_000), self.by())
            .await
            .unwrap();
        self.people.clear();
        self.programme = made.clone();
        made
    }

    /// Changes the settings of the programme as an edit does.
    pub async fn set(&self, change: impl FnOnce(&mut Settings)) {
        assert_eq!(self.try_edit(change, None).await, EditOutcome::Done);
    }

    async fn try_edit(
        &self,
        change: impl FnOnce(&mut Settings),
        budget: Option<Usd>,
    ) -> EditOutcome {
        let Programme {
            mut settings,
            version,
            ..
        } = self
            .table
            .get(Programme::key_of(&self.programme))
            .await
            .unwrap()
            .unwrap();
        let limit = self
            .table
            .get(Budget::key_of(&self.programme))
            .await
            .unwrap()
            .unwrap()
            .limit;
        change(&mut settings);
        let edit =
            ProgrammeEdit::new_for_settings(settings, version, AuditDetail::new(Act::Edited));
        let edit = ProgrammeEdit {
            budget: budget.map(|budget| (limit, budget)),
            ..edit
        };
        self.table
            .edit(&self.programme, &edit, self.by())
            .await
            .unwrap()
    }

    /// Restricts the programme's keys to one model, as the provider then does, and returns its
    /// guardrail.
    pub async fn restrict(&self) -> String {
        self.set(|settings| settings.rules.all.models = vec!["openai/gpt-4o-mini".to_owned()])
            .await;
        self.work().await;
        self.guardrail().await.unwrap().id
    }

    /// Does what requests leave to the work of each minute, and judges it.
    pub async fn finish_work(&self) {
        for _ in 0..2 {
            self.minutes(2);
            self.work().await;
            self.judged().await;
        }
    }

    /// What the provider has confirmed of the programme's guardrail.
    pub async fn guardrail(&self) -> Option<ConfirmedRules> {
        let of = GuardrailOwner {
            programme: self.programme.clone(),
            group: None,
        };
        self.table
            .get(Guardrail::key_of(&of))
            .await
            .unwrap()?
            .confirmed()
    }

    /// Sets the budget, to no less than is reserved.
    pub async fn budget(&self, dollars: i32) {
        assert_eq!(self.try_budget(dollars).await, EditOutcome::Done);
    }

    pub async fn try_budget(&self, dollars: i32) -> EditOutcome {
        self.try_edit(|_| {}, Some(Usd::from_dollars(dollars)))
            .await
    }

    pub async fn settings(&self) -> Settings {
        self.table
            .get(Programme::key_of(&self.programme))
            .await
            .unwrap()
            .unwrap()
            .settings
    }

    pub async fn reserved(&self) -> Usd {
        self.table
            .get(Budget::key_of(&self.programme))
            .await
            .unwrap()
            .unwrap()
            .reserved
    }

    /// Puts these people on the roster, unless they are on it.
    pub async fn students(&mut self, names: &[&str]) {
        let new: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| !self.people.contains_key(*name))
            .collect();
        for names in new.chunks(20) {
            self.invite(names, None).await;
        }
    }

    pub async fn student_in(&mut self, name: &str, group: Option<&str>) {
        self.invite(&[name], group).await;
    }

    async fn invite(&mut self, names: &[&str], group: Option<&str>) {
        let new = |name: &&str| {
            let person = Person {
                address: address(name),
                name: None,
                roster_id: None,
            };
            Grant::invited(
                self.programme.clone(),
                GrantId::random(),
                person,
                group.map(str::to_owned),
            )
        };
        let new: Vec<Grant> = names.iter().map(new).collect();
        let made = self
            .table
            .invite(&self.programme, &new, self.by())
            .await
            .unwrap();
        self.table
            .count_roster_mails_owed(&self.programme, self.by().deadline)
            .await
            .unwrap();
        self.people
            .extend(names.iter().map(ToString::to_string).zip(made));
    }

    pub async fn students_with_keys(&mut self, names: &[&str]) {
        self.students(names).await;
        self.keys().await;
    }

    /// Everybody who has no key yet gets one on the page.
    pub async fn keys(&self) {
        for (name, id) in &self.people {
            if !self
                .table
                .get(Grant::key_of(&self.programme, id))
                .await
                .unwrap()
                .unwrap()
                .stage
                .has_claimed()
            {
                self.reveal(&self.student(name).await).await;
            }
        }
        self.delivered().await;
    }

    /// Waits until the stream is delivered, unless the test has stopped it.
    pub async fn delivered(&self) {
        if !self.pump.is_stopped() {
            self.pump.drained().await.unwrap();
        }
    }

    pub fn id(&self, name: &str) -> &GrantId {
        &self.people[name]
    }

    pub async fn view(&self, name: &str) -> View {
        self.table
            .view(&self.programme, self.id(name))
            .await
            .unwrap()
            .unwrap()
    }

    pub async fn grant(&self, name: &str) -> Grant {
        self.table
            .get(Grant::key_of(&self.programme, self.id(name)))
            .await
            .unwrap()
            .unwrap()
    }

    /// The place of an act on somebody's grant, as `table.act` wants it.
    pub fn on(&self, name: &str) -> ActContext<'_> {
        ActContext {
            programme: &self.programme,
            grant: self.id(name),
            now: self.clock.now(),
            deadline: soon(),
        }
    }

    pub fn by(&self) -> Author<'static> {
        Author {
            actor: &Actor::Rule,
            now: self.clock.now(),
            deadline: soon(),
        }
    }

    /// A browser that nobody is signed in with.
    pub fn browser(&self) -> Visitor {
        Visitor::new(&self.ready.web, self.answers.clone())
    }

    /// A browser in which this person is signed in.
    pub async fn student(&self, name: &str) -> Visitor {
        let (visitor, address, now) = (self.browser(), address(name), self.clock.now());
        let known = self
            .sessions
            .lock()
            .unwrap()
            .get(address.as_written())
            .cloned();
        let (since, cookie) = match known {
            Some(young) if now < young.0 + SignedDuration::from_mins(1) => young,
            _ => (now, session_cookie(&self.stack, address.as_written()).await),
        };
        let (name, value) = cookie.split_once('=').unwrap();
        visitor.set_cookie(name, value);
        self.sessions
            .lock()
            .unwrap()
            .insert(address.as_written().to_owned(), (since, cookie));
        visitor
    }

    pub async fn admin(&self) -> Visitor {
        self.student(ADMIN).await
    }

    /// The path of a student's button in the programme: `reveal`, `replace`, `leaked`.
    pub fn my(&self, what: &str) -> String {
        format!("/my/{}/{what}", self.programme)
    }

    /// The path of a page of the programme in the console.
    pub fn console(&self, page: &str) -> String {
        format!("/console/programmes/{}{page}", self.programme)
    }

    /// Opens the student's page and presses the button that it offers.
    pub async fn press(&self, student: &Visitor, what: &str) -> Page {
        let my = student.get("/my").await.expect(200);
        student.submit(&my, &self.my(what), &[]).await
    }

    /// The key that a request shows.
    pub async fn reveal(&self, student: &Visitor) -> String {
        self.press(student, "reveal")
            .await
            .expect(200)
            .one("key")
            .text
    }

    /// A request whose claim comes to this fault where it makes the key.
    pub async fn press_with(&self, name: &str, what: &str, fault: Fault) -> Page {
        self.gate.at(
            Matcher::call("provider:POST /keys").of(FunctionName::Claim),
            fault,
        );
        self.press(&self.student(name).await, what).await
    }

    /// Another key for somebody who has one.
    pub async fn replace(&self, name: &str) {
        self.press(&self.student(name).await, "replace")
            .await
            .expect(200)
            .one("key");
    }

    pub async fn revoke(&self, name: &str) {
        self.table
            .act(self.on(name), |view, _| view.revoke(&Actor::Rule, None))
            .await
            .unwrap();
    }

    /// Sends the roster mail of a student by hand once more.
    pub async fn resend(&self, name: &str) {
        let grant = self.grant(name).await;
        assert!(
            self.table
                .invite_again(self.on(name), &grant, &Actor::Rule, false)
                .await
                .unwrap()
        );
    }

    pub async fn hold(&self, name: &str, kind: HoldKind) {
        self.table
            .act(self.on(name), |view, now| {
                view.hold(kind, &Actor::Rule, None, now)
            })
            .await
            .unwrap();
    }

    /// Edits the programme's settings on its page.
    pub async fn edit(&self, editor: &Visitor, fields: &[(&str, &str)]) -> Page {
        editor
            .submit(
                &editor.get(&self.console("/settings")).await,
                &self.console(""),
                fields,
            )
            .await
    }

    /// Closes the programme on its page.
    pub async fn close(&self, admin: &Visitor) -> Page {
        let name = self.settings().await.name;
        admin
            .submit(
                &admin.get(&self.console("/settings")).await,
                &self.console("/close"),
                &[("confirm", &name)],
            )
            .await
    }

    pub fn provider(&self) -> &Provider {
        self.stack.provider.as_ref().unwrap()
    }

    /// Every key at the provider that was made for this person, oldest first.
    pub fn keys_of(&self, name: &str) -> Vec<KeySnapshot> {
        let of = format!("/{}/", self.id(name));
        self.provider()
            .keys()
            .into_iter()
            .filter(|key| key.name.contains(&of))
            .collect()
    }

    /// The newest key of this person.
    pub fn key(&self, name: &str) -> KeySnapshot {
        self.keys_of(name).pop().unwrap()
    }

    /// The people who have an enabled key, each as often as they have one.
    pub fn enabled(&self) -> Vec<&str> {
        let keys = |name: &String| {
            self.keys_of(name)
                .iter()
                .filter(|key| !key.disabled && !key.deleted)
                .count()
        };
        self.people
            .keys()
            .flat_map(|name| std::iter::repeat_n(name.as_str(), keys(name)))
            .collect()
    }

    /// The limit of each person's newest key.
    pub fn limits(&self) -> Vec<Option<Nano>> {
        self.people
            .keys()
            .map(|name| self.key(name).limit)
            .collect()
    }

    pub fn spend(&self, name: &str, dollars: &str) {
        self.spend_on(&self.key(name).hash, dollars);
    }

    /// Spending of a key that is known by its hash: a foreign one, or one before the newest.
    pub fn spend_on(&self, key: &str, dollars: &str) {
        self.provider()
            .spend(
                key,
                Nano::parse(dollars).unwrap(),
                self.clock.now(),
                "a/model",
            )
            .unwrap();
    }

    /// A key that was made by hand at the provider.
    pub fn foreign(&self, name: &str) -> String {
        self.provider()
            .add_foreign_key(name, None, self.clock.now())
            .unwrap()
            .hash
    }

    /// Checks that each recorded key is at the provider what it is to be, and that this is on
    /// record.
    pub async fn holds_what_is_wanted(&self) {
        let (there, now) = (self.provider().keys(), self.clock.now());
        for grant in self.table.grants(&self.programme).await.unwrap() {
            let view = self
                .table
                .view(&self.programme, &grant.id)
                .await
                .unwrap()
                .unwrap();
            let to_be_told: Vec<_> = view
                .calls(now)
                .into_iter()
                .filter(|call| call.tell != Tell::Read)
                .collect();
            assert_eq!(to_be_told, [], "{grant:?}");
            let usable = view.grant.usable().map(|live| &live.hash);
            for key in there.iter().filter(|key| !key.deleted) {
                let Some(recorded) = grant.keys.iter().find(|of| of.hash.as_str() == key.hash)
                else {
                    continue;
                };
                let is_usable = usable == Some(&recorded.hash);
                assert_eq!(key.disabled, !is_usable, "{key:?} {grant:?}");
                if is_usable {
                    let under = view
                        .guardrail_wanted()
                        .and_then(|of| Some(view.guardrail(&of)?.remote.as_ref()?.id.clone()));
                    let is_so = (key.limit, &key.guardrail_id);
                    assert_eq!(
                        is_so,
                        (Some(Nano::micros(view.limit_wanted(now).micros())), &under),
                        "{grant:?}"
                    );
                }
            }
        }
    }

    /// Whether the key of this hash works.
    pub fn is_on(&self, key: &str) -> bool {
        self.provider()
            .keys()
            .iter()
            .any(|known| known.hash == key && !known.disabled && !known.deleted)
    }

    pub async fn run(&self, function: FunctionName, input: Value) -> Result<Value, InvokeError> {
        self.invoke.invoke(function, input).await
    }

    pub async fn sync(&self) -> Value {
        self.run(FunctionName::UsageSync, json!({})).await.unwrap()
    }

    /// A minute later, the console's work of that minute.
    pub async fn work(&self) -> Value {
        self.clock.advance(SignedDuration::from_secs(61)).unwrap();
        self.run(FunctionName::Console, json!({"task": "work"}))
            .await
            .unwrap()
    }

    /// The hourly check.
    pub async fn look(&self) -> Value {
        self.run(FunctionName::ThresholdAlerts, json!({"task": "watch"}))
            .await
            .unwrap()
    }

    /// Runs the stream, the work and the sending of mail until nothing is due.
    pub async fn settle(&self) {
        self.stack.settle.settle(LIMIT).await.unwrap();
    }

    /// Lets hours pass with all that the schedules run in them.
    pub async fn pass(&self, hours: i64) {
        self.pass_minutes(60 * hours).await;
    }

    pub async fn pass_minutes(&self, minutes: i64) {
        self.schedules
            .advance(SignedDuration::from_mins(minutes))
            .await
            .unwrap();
        self.settle().await;
    }

    /// Asks for a link as the page does.
    pub async fn ask(&self, name: &str) {
        let asker = Asker {
            browser: BrowserToken::generate().hash(),
            sign_on: None,
        };
        self.table
            .request_link(address(name).matched(), asker, self.clock.now(), soon())
            .await
            .unwrap();
    }

    /// Sends the mail that is due.
    pub async fn drain(&self) -> Value {
        self.run(FunctionName::Mail, json!({"task": "drain"}))
            .await
            .unwrap()
    }

    /// Lets SES report what became of a mail: a `delivery`, a `bounce`, a `complaint`.
    pub async fn report(&self, mail: &Got, event: &str, permanent: bool) {
        let body = json!({"mail": mail.id, "type": event, "permanent": permanent});
        let post = aws::http()
            .post(format!("{}/events", self.ready.inbox))
            .json(&body);
        assert_eq!(post.send().await.unwrap().status(), 200);
    }

    /// Notes that mail to somebody comes back.
    pub async fn unreachable(&self, name: &str) {
        let (address, why, at) = (
            address(name).matched().clone(),
            UnreachableReason::Bounced,
            self.clock.now(),
        );
        self.table
            .end_mail_to(
                &[Undeliverable {
                    address,
                    why,
                    marked_at: at,
                }],
                at,
                soon(),
            )
            .await
            .unwrap();
    }

    pub fn minutes(&self, minutes: i64) {
        self.clock
            .advance(SignedDuration::from_mins(minutes))
            .unwrap();
    }

    pub fn hours(&self, hours: i64) {
        self.minutes(60 * hours);
    }

    /// The mails of this kind since the last call, by recipient.
    pub fn mails(&self, kind: &str) -> Vec<Got> {
        self.mails_that(|mail| mail.kind.as_deref() == Some(kind))
    }

    /// All mails since the last call, by recipient.
    pub fn all_mails(&self) -> Vec<Got> {
        self.mails_that(|_| true)
    }

    fn mails_that(&self, are_meant: impl Fn(&Contents) -> bool) -> Vec<Got> {
        let new = self.ses.unread().into_iter();
        let mut received = self.received.lock().unwrap();
        received.extend(new.map(|mail| Got {
            to: mail.to.join(", "),
            contents: Contents::parse(&mail.raw),
            id: mail.id,
        }));
        let (mut meant, rest): (Vec<_>, Vec<_>) = received
            .drain(..)
            .partition(|mail| are_meant(&mail.contents));
        *received = rest;
        meant.sort_by(|one, other| one.to.cmp(&other.to));
        meant
    }

    /// The subjects of the mails of this kind since the last call, by recipient.
    pub fn subjects(&self, kind: &str) -> Vec<String> {
        self.mails(kind)
            .into_iter()
            .map(|mail| mail.contents.subject)
            .collect()
    }

    pub async fn job(&self, kind: &str) -> Option<Job> {
        self.table
            .jobs(&self.programme)
            .await
            .unwrap()
            .into_iter()
            .find(|job| job.work.kind() == kind)
    }

    pub fn raw(&self) -> RawTable {
        RawTable::at(&self.ready.dynamodb, &self.ready.table)
    }

    pub fn has_logged(&self, words: &str) -> bool {
        self.logs.all().iter().any(|line| line.text.contains(words))
    }

    /// Notes a step of a long story, which is told where an invariant does not hold.
    pub fn tell(&self, what: impl Into<String>) {
        self.told.lock().unwrap().push(what.into());
    }

    /// Judges this moment too, and not only the end.
    pub async fn judged(&self) -> Arc<Snapshot> {
        self.look_at(false).await
    }

    /// Judges the moment after a complete sync, which leaves fewer excuses.
    pub async fn judged_after_sync(&self) -> Arc<Snapshot> {
        self.look_at(true).await
    }

    async fn look_at(&self, synced: bool) -> Arc<Snapshot> {
        self.delivered().await;
        let mut watch = self.watch.lock().await;
        let wrong = watch.violations(synced).await;
        let (told, calls) = (self.told.lock().unwrap().join("\n"), self.gate.calls());
        let calls: String = calls.iter().map(|call| format!("\n{call}")).collect();
        assert!(wrong.is_empty(), "{told}\n{}{calls}", wrong.join("\n"));
        watch.seen()
    }

    #[track_caller]
    pub fn finish(self) -> impl Future<Output = ()> {
        self.stack.finish()
    }

    #[track_caller]
    pub fn finish_faulted(self) -> impl Future<Output = ()> {
        self.stack.finish_faulted()
    }

    #[track_caller]
    pub fn finish_unjudged(self) -> impl Future<Output = ()> {
        self.stack.finish_unjudged()
    }
}

impl Deref for Campus {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

/// Asserts what a report says of these.
#[track_caller]
pub fn reports(report: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&report[name], value, "{name} of {report}");
    }
}

/// Names of people with these numbers, such as `s007`.
pub fn name_people(numbers: Range<usize>) -> Vec<&'static str> {
    numbers
        .map(|number| &*format!("s{number:03}").leak())
        .collect()
}

/// The address of a name.
pub fn address(name: &str) -> EmailAddress {
    let text = if name.contains('@') {
        name.to_owned()
    } else {
        format!("{name}@example.edu")
    };
    EmailAddress::parse(&text).unwrap()
}
