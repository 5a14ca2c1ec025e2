//! The judge bites: a correct world is broken by hand in one place, and the watch must name the invariant and the place.

#![expect(clippy::semicolon_if_nothing_returned, reason = "how a row breaks its world is one expression")]

use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::clock::Clock;
use bursar_core::domain::audit::{Act, AuditDetail, Entry};
use bursar_core::domain::grant::{AttemptState, Grant, GrantState, KeyGuardrail, SwitchState};
use bursar_core::domain::ledger::cut::{AccountCut, AccountSpending};
use bursar_core::domain::ledger::foreign::KeyOwner;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::kind::{MailCounts, MailDay, MailKind};
use bursar_core::domain::programme::Budget;
use bursar_core::domain::programme::guardrail::{ConfirmedRules, Guardrail, GuardrailOwner};
use bursar_core::domain::programme::rules::Tier;
use bursar_core::domain::sign_in::{LINK_LASTS, SignIn};
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::id::{Epoch, GrantId, KeyName, PersonId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::token::{Code, LinkToken};
use bursar_core::domain::values::window::{Window, utc_date};
use bursar_core::store::items::Stored;
use bursar_core::store::keys::ItemKey;
use bursar_core::store::{
    AssignedUse, Enrolment, KeptTotals, Link, MailState, Meta, OutboxRow, QueuedMail, RosterMails, RulesDue,
    RulesSource, Totals,
};
use bursar_local::invoke::{Between, FunctionName};
use bursar_local::provider::{MadeKey, Nano, Provider};
use bursar_local::ses::Ses;
use bursar_local::state_file::StateFile;
use bursar_tests::aws;
use bursar_tests::faults::{Fault, Gate};
use bursar_tests::invariants::{Answers, Places, Snapshot, Watch};
use data_encoding::BASE64;
use jiff::SignedDuration;
use serde_json::{Value, json};
use ulid::Ulid;

use crate::store::Bench;
use crate::store::acts::{Start, faculty, now, programme, reading};

const MANAGEMENT: &str = "sk-or-v1-management";
const DEPLOYMENT: &str = "de00000000";

/// A stack that was judged once, without a violation. The keys of the first person's grant are at the provider.
struct Scene {
    provider: Provider,
    answers: Answers,
    logs: Arc<Mutex<Vec<String>>>,
    mail_server: String,
    /// The seconds since `now`.
    passed: Arc<AtomicI64>,
    watch: Watch,
    gate: Gate,
    console: String,
    ada: GrantId,
    bench: Bench,
}

impl Scene {
    async fn at(start: Start) -> Scene {
        let (bench, seen) = Bench::at(start).await;
        let passed = Arc::new(AtomicI64::new(0));
        let told = passed.clone();
        let clock = Clock::reading(move || now() + SignedDuration::from_secs(told.load(Ordering::SeqCst)));
        let (deployment, table) = (DEPLOYMENT.parse().unwrap(), "bursar".to_owned());
        bench.raw.keep(&Meta { deployment, table, born: now(), account: None }).await;
        let (answers, logs, gate) = (Answers::default(), Arc::<Mutex<Vec<String>>>::default(), bench.gate.clone());
        let provider = Provider::new(StateFile::in_memory().unwrap(), clock.clone(), MANAGEMENT).unwrap();
        let ses = Ses::new(StateFile::in_memory().unwrap(), clock.clone()).unwrap();
        let mail_server = aws::serve(ses.router()).await;
        let console =
            format!("{}/{}/1/api/v1", aws::serve(gate.before(provider.router())).await, FunctionName::Console);
        let lines = logs.clone();
        let watch = Watch::over(Places {
            table: bench.raw.clone(),
            clock,
            provider: provider.clone(),
            gate: gate.clone(),
            ses,
            engine: bench.engine.clone(),
            answers: answers.clone(),
            logs: Box::new(move || lines.lock().unwrap().clone()),
        });
        let ada = seen.grant.id.clone();
        let mut scene = Scene { provider, answers, logs, mail_server, passed, watch, gate, console, ada, bench };
        let mut grant = seen.grant;
        for number in 0..grant.attempts.len() {
            if let Some(old) = grant.attempts[number].key.clone() {
                let hash: KeyHash = scene.make_key(&grant, number).hash.parse().unwrap();
                if grant.live().is_some_and(|live| live.key.as_ref() == Some(&old)) {
                    grant.state = GrantState::Live { key: hash.clone() };
                }
                grant.attempts[number].key = Some(hash);
            }
        }
        scene.keep(&grant).await;
        scene.watch.check().await;
        scene
    }

    fn seen(&self) -> Arc<Snapshot> {
        self.watch.seen()
    }

    fn grant(&self) -> Grant {
        self.seen().grants.values().find(|grant| grant.id == self.ada).unwrap().clone()
    }

    /// The key of an attempt, and another if there is one already.
    fn make_key(&self, grant: &Grant, number: usize) -> MadeKey {
        let attempt = &grant.attempts[number];
        let (deployment, programme, grant) = (DEPLOYMENT.parse().unwrap(), grant.programme.clone(), grant.id.clone());
        let name = KeyName { deployment, programme, grant, epoch: attempt.epoch, nonce: attempt.nonce.clone() };
        self.provider.add_foreign_key(&name.to_string(), Some(Nano::usd(20)), now()).unwrap()
    }

    fn second_key(&self) -> MadeKey {
        self.make_key(&self.grant(), 0)
    }

    async fn keep<T: Stored>(&self, value: &T) {
        self.bench.raw.keep(value).await;
    }

    async fn edit(&self, change: impl FnOnce(&mut Grant)) {
        let mut grant = self.grant();
        change(&mut grant);
        self.keep(&grant).await;
    }

    async fn budget(&self, change: impl FnOnce(&mut Budget)) {
        let mut budget = self.seen().budgets[&programme()].clone();
        change(&mut budget);
        self.keep(&budget).await;
    }

    async fn set(&self, ItemKey { pk, sk }: ItemKey, name: &str, value: AttributeValue) {
        let mut item = self.seen().items[&(pk, sk)].clone();
        item.insert(name.to_owned(), value);
        self.bench.raw.put(item).await;
    }

    async fn remove(&self, ItemKey { pk, sk }: ItemKey) {
        self.bench.raw.delete(&pk, &sk).await;
    }

    async fn tell(&self, of_grant: bool, what: AuditDetail) {
        let (entry, grant) = (Ulid::from_parts(1, 1), of_grant.then(|| self.ada.clone()));
        self.keep(&Entry { programme: Some(programme()), grant, entry, at: now(), by: faculty(), what }).await;
    }

    /// Restricts the models of the programme, and tells nobody.
    async fn restrict(&self) {
        let mut restricted = self.seen().programmes[&programme()].clone();
        restricted.settings.rules.all.models = vec!["openai/gpt-4o-mini".to_owned()];
        self.keep(&restricted).await;
    }

    /// Sends a change of a key as the product does.
    async fn patch(&self, key: &str, body: Value) {
        let url = format!("{}/keys/{key}", self.console);
        // The answer may be late.
        aws::http().patch(url).bearer_auth(MANAGEMENT).json(&body).send().await.ok();
    }

    fn answer(&self, key: &MadeKey) {
        self.answers.note(key.plaintext.clone());
    }

    async fn mail(&self, kind: &str, row: &str, body: &str) {
        let headers = format!("X-Bursar-Mail: {kind}\r\nX-Bursar-Row: {row}\r\nSubject: hello");
        let raw = format!("From: bursar@uni.edu\r\nTo: ada@uni.edu\r\n{headers}\r\n\r\n{body}\r\n");
        let raw = BASE64.encode(raw.as_bytes()).replace('+', "%2B");
        let to = "Source=bursar@uni.edu&Destinations.member.1=ada@uni.edu";
        let post = aws::http().post(&self.mail_server).body(format!("Action=SendRawEmail&{to}&RawMessage.Data={raw}"));
        let sent = post.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert!(sent.status().is_success(), "{}", sent.text().await.unwrap());
    }

    /// Writes what the sync writes when it finds that so many dollars were spent.
    async fn counted(&self, dollars: i32) {
        let (by_group, people, standing_out) = Default::default();
        self.keep(&KeptTotals {
            groups_apart: false,
            totals: Totals {
                programme: programme(),
                as_of: now(),
                used: used(dollars),
                by_group,
                claimed: 1,
                people,
                standing_out,
            },
        })
        .await;
    }

    /// Takes the present moment as correct.
    async fn accept(&mut self) {
        self.watch.violations(false).await;
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn used(dollars: i32) -> DailyUse {
    DailyUse::on_one(utc_date(now()), Usd::from_dollars(dollars))
}

fn link_and_code(token: &LinkToken) -> String {
    format!("https://bursar.uni.edu/c/{}\r\nCode: {}", token.reveal(), Code::generate().reveal())
}

fn crossing() -> Crossing {
    let (limit, spent, (scope, window)) =
        (Usd::from_dollars(5), Usd::from_dollars(5), (Scope::Budget, Window::WHOLE_TERM));
    let (programme, found_at) = (programme(), now());
    Crossing { programme, scope, window, limit, threshold: 80, spent, found_at, is_mailed: false }
}

fn alert(number: u128, recipient: &PersonId) -> OutboxRow {
    let (programme, scope, recipient) = (programme(), Scope::Budget, recipient.clone());
    let mail = QueuedMail::Alert { programme, scope, threshold: 80, of_limit: Usd::from_dollars(5), recipient };
    OutboxRow::queued(Ulid::from_parts(1, number), mail, now())
}

fn sent_alert() -> OutboxRow {
    let state = MailState::Sent { message: "1".to_owned(), at: now() };
    OutboxRow { tries: 1, state, ..alert(1, &PersonId::random()) }
}

/// A cut of an account in which 18 micro-dollars were spent.
fn cut(spent: i64) -> AccountCut {
    let usd = Usd::from_micros;
    let spent = AccountSpending { before: usd(spent), after: usd(spent) };
    let (bought, foreign, opening, residual, unsettled) = (usd(900), usd(16), usd(3), usd(-2), usd(1));
    AccountCut { as_of: now(), bought, spent, programmes: Vec::new(), foreign, opening, residual, unsettled }
}

type Break = for<'a> fn(&'a mut Scene) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Each row: where it begins, whether a complete sync has just run, the invariant, words of what is said, and the break.
macro_rules! rows {
    ($($begins:ident $(after $synced:ident)?, $invariant:literal, $words:literal, |$scene:ident| $broken:expr;)*) => {
        [$((
            Start::$begins,
            !stringify!($($synced)?).is_empty(),
            $invariant,
            $words,
            (|$scene| Box::pin(async move { $broken; })) as Break,
        )),*]
    };
}

#[tokio::test]
async fn each_check_finds_what_is_broken() {
    let rows = rows! {
        Live, "table", "it is of no known kind", |scene| scene.set(Grant::key_of(&programme(), &scene.ada).item, "kind", text("balloon")).await;
        Live, "table", "{\"colour\"}", |scene| scene.set(Grant::key_of(&programme(), &scene.ada).item, "colour", text("red")).await;
        Live, "table", "of ada@uni.edu is not found by the address", |scene| {
            scene.remove(Enrolment::key_of(scene.grant().person.address.matched(), &programme()).item).await
        };
        Live, "table", "is not under its rules", |scene| scene.restrict().await;
        Live, "table", "the guardrail of cs-pilot is not right, and nobody is to tell it", |scene| {
            let of = GuardrailOwner { programme: programme(), group: None };
            scene.keep(&Guardrail { version: 1, ..Guardrail::new(of) }).await;
            scene.remove(RulesDue::key_of(&RulesSource::Programme(programme())).item).await
        };
        Live after sync, "table", "is not under its guardrail at the provider", |scene| {
            scene.restrict().await;
            scene.accept().await;
            let rules = scene.seen().programmes[&programme()].settings.rules.of(None);
            let (id, answered) = ("another".to_owned(), String::new());
            let under = KeyGuardrail { group: None, id: id.clone() };
            scene.edit(|grant| grant.attempts[0].guardrail = Some(under)).await;
            let of = GuardrailOwner { programme: programme(), group: None };
            let confirmed = Some(ConfirmedRules { id, rules, answered, at: now() });
            scene.keep(&Guardrail { confirmed, version: 1, ..Guardrail::new(of) }).await
        };
        Live, "people", "has the address ada@uni.edu", |scene| {
            scene.tell(false, AuditDetail::new(Act::Edited).noting("at the request of Ada@uni.edu")).await
        };
        Live, "people", "has the address bob@uni.edu", |scene| {
            scene.set(Budget::key_of(&programme()).item, "of", text("bob@uni.edu")).await
        };

        // An answer held this key, whatever the table says.
        Live, "I1", "2 shown keys are enabled", |scene| scene.answer(&scene.second_key());
        Replacing, "I1", "2 shown keys are enabled", |scene| {
            let made = scene.make_key(&scene.grant(), 1);
            scene.edit(|grant| {
                (grant.attempts[1].key, grant.attempts[1].state) = (Some(made.hash.parse().unwrap()), AttemptState::Shown)
            }).await
        };
        Live, "I3", "no attempt was written down before it was made", |scene| {
            let mut grant = scene.grant();
            grant.attempts[0].epoch = Epoch::new(2);
            scene.make_key(&grant, 0)
        };
        Leaked, "I3", "it is not live, and nobody owes its disable", |scene| {
            scene.edit(|grant| grant.attempts[0].switch = SwitchState::On).await
        };
        Live after sync, "I3", "its attempt has another key", |scene| {
            scene.second_key();
            scene.passed.store(7_200, Ordering::SeqCst)
        };
        Minting after sync, "I3", "older than the grace", |scene| {
            scene.second_key();
            scene.passed.store(7_200, Ordering::SeqCst)
        };
        Live, "I6", "is not live with that key any more", |scene| scene.edit(|grant| grant.state = GrantState::Ended).await;
        Live after sync, "I6", "which is disabled, and a complete sync left it so", |scene| {
            let GrantState::Live { key } = scene.grant().state else { panic!() };
            scene.provider.disable(key.as_str()).unwrap()
        };
        Minting, "I7", "which no attempt records as shown", |scene| scene.answer(&scene.second_key());
        Live, "I7", "which no attempt records as shown", |scene| scene.answer(&scene.second_key());
        Revoked, "I11", "was revoked", |scene| scene.edit(|grant| grant.state = GrantState::Ended).await;
        Revoked after sync, "I11", "has the enabled key", |_scene| {};

        Live, "I4", "the key … was made holds a key", |scene| {
            let made = scene.second_key();
            scene.answer(&made);
            scene.logs.lock().unwrap().push(format!("the key {} was made", made.plaintext))
        };
        Live, "I4", " holds what looks like a key", |scene| {
            scene.edit(|grant| grant.group = Some(format!("sk-or-v1-{}", "ab".repeat(32)))).await
        };
        Live, "I4", "a key is in 2 answers, and may be in 1", |scene| {
            let made = scene.second_key();
            scene.answer(&made);
            scene.answer(&made)
        };
        Live, "I4", "a mailed link is not known by its hash", |scene| {
            let ada = EmailAddress::parse("ada@uni.edu").unwrap();
            scene.keep(&SignIn::none(ada.matched().clone())).await;
            scene.mail("link", "", &link_and_code(&LinkToken::generate())).await
        };
        Live, "I4", "went to another address than its link's", |scene| {
            let (token, eve) = (LinkToken::generate(), EmailAddress::parse("eve@uni.edu").unwrap());
            scene.mail("link", "", &link_and_code(&token)).await;
            let (link, address, ends_at) = (token.hash(), eve.matched().clone(), now() + LINK_LASTS);
            scene.keep(&Link { link, address, ends_at }).await
        };
        Live, "I4", "kind Some(\"roster\") has not the links and codes of one", |scene| {
            scene.mail("roster", "", &link_and_code(&LinkToken::generate())).await
        };

        Live, "I5", "is not reached by 3.000000", |scene| {
            scene.keep(&Crossing { spent: Usd::from_dollars(3), ..crossing() }).await
        };
        Live, "I5", "is owed 1 times, and 0 is on record", |scene| scene.keep(&alert(1, &PersonId::random())).await;
        Live, "I5", "is owed 2 times, and 1 is on record", |scene| {
            let recipient = PersonId::random();
            scene.keep(&Crossing { is_mailed: true, ..crossing() }).await;
            scene.keep(&alert(1, &recipient)).await;
            scene.keep(&alert(2, &recipient)).await
        };
        Live, "I5", "is owed 0 times, and 1 is on record", |scene| {
            let alarm = Alarm::now(Cause::ManagementKey, now());
            scene.keep(&Alarm { recipients: vec![PersonId::random()], queued: 1, ..alarm }).await
        };
        Live, "I5", "is said to be sent, and no mail was accepted", |scene| scene.keep(&sent_alert()).await;
        Live, "I5", "was tried 1 times and accepted 2 times", |scene| {
            let row = sent_alert();
            scene.keep(&row).await;
            scene.mail("alert", &row.row.to_string(), "hello").await;
            scene.mail("alert", &row.row.to_string(), "hello").await
        };
        Live, "I13", "the mail of the days is counted as {}", |scene| {
            scene.keep(&OutboxRow { counted_on: Some(utc_date(now())), ..sent_alert() }).await
        };
        Live, "I13", "Link): MailCounts { sent: 2", |scene| {
            let none = MailDay::none_on(utc_date(now()), MailKind::Link);
            scene.keep(&MailDay { counts: MailCounts { sent: 2, ..none.counts }, ..none }).await
        };
        Live, "I13", "the mails of rosters are counted as {", |scene| {
            let programme = scene.grant().programme;
            scene.keep(&RosterMails { programme, owed: 1, counts: MailCounts { sent: 2, ..MailCounts::default() } }).await
        };

        Live, "I2", "reserved for the keys of cs-pilot is 19.999999", |scene| scene.budget(|budget| budget.reserved = Usd::from_micros(19_999_999)).await;
        Live, "I2", "the keys of cs-pilot cost more than 100", |scene| {
            let GrantState::Live { key } = scene.grant().state else { panic!() };
            scene.gate.at("provider:PATCH /keys/{hash}", Fault::Late);
            scene.patch(key.as_str(), json!({ "limit": 150 })).await
        };
        Live, "I2", "nothing bounds what it can use", |scene| {
            let GrantState::Live { key } = scene.grant().state else { panic!() };
            let counted = json!({"limit_reset": "daily", "include_byok_in_limit": true});
            scene.provider.change_by_hand(key.as_str(), &counted).unwrap()
        };
        Live, "table", "of the kind \"budget\"", |scene| {
            scene.set(Budget::key_of(&programme()).item, "reserved", AttributeValue::N("20000000.5".to_owned())).await
        };
        Live, "I15", "the account had spent 0.000019", |scene| scene.keep(&cut(19)).await;
        Live, "I15", "and one of them is not there", |scene| {
            let (key, owner) = ("ab".repeat(32).parse().unwrap(), programme());
            scene.keep(&KeyOwner { key, owner, from: utc_date(now()), at: now(), by: faculty() }).await
        };
        Live, "I15", "used 0.000000, 1.000000 counts, and its budget has 0.000000", |scene| {
            scene.keep(&AssignedUse { programme: programme(), used: used(1), keys: 0, version: 1 }).await
        };

        Live, "I10", "is gone or fell from 5.000000", |scene| scene.keep(&reading(&scene.ada, Epoch::new(1), 4, now())).await;
        Live, "I10", "is gone or forgot a key", |scene| scene.edit(|grant| grant.attempts[0].key = None).await;
        Live, "I10", "is gone or is not what it was", |scene| {
            scene.keep(&cut(18)).await;
            scene.accept().await;
            scene.remove(AccountCut::key_of(now()).item).await
        };
        Live, "I10", "spent 6.000000 by its totals, 5.000000 by its readings", |scene| scene.counted(6).await;
        Live after sync, "I10", "spent 4.000000 by its totals, 5.000000 by its readings", |scene| scene.counted(4).await;
        Live, "I10", "the totals of cs-pilot are gone or fell", |scene| {
            scene.counted(5).await;
            scene.accept().await;
            scene.counted(4).await
        };
        Live, "I16", "from version 3 to 3, and has 0 new entries", |scene| scene.edit(|grant| grant.allowed = 1).await;
        Live, "I16", "from version 3 to 4, and has 0 new entries", |scene| {
            scene.edit(|grant| (grant.allowed, grant.version) = (1, grant.version + 1)).await
        };
        Live, "I16", "from version 3 to 3, and has 1 new entries", |scene| scene.tell(true, AuditDetail::new(Act::CapChanged)).await;
        Live, "I16", "are new, and entries tell that {\"cs-pilot/eve\"} were invited", |scene| {
            scene.tell(false, AuditDetail::new(Act::Invited).noting("eve")).await
        };
        Live, "I16", "programme cs-pilot went from version 1 to 1, and was edited 0 times", |scene| scene.restrict().await;
        Live, "I16", "went from 100.000000 to 300.000000, and no entry tells of it", |scene| {
            scene.budget(|budget| budget.limit = Usd::from_dollars(300)).await
        };
        Live, "I16", "1 changes are [TierEdited], and 0 account entries say so", |scene| {
            scene.keep(&Tier { name: "small".to_owned(), models: Vec::new(), version: 1 }).await
        };
        Live, "I16", "1 changes are [KeysAssigned, KeysTakenBack], and 0 account entries say so", |scene| {
            let (key, owner) = ("ab".repeat(32).parse().unwrap(), programme());
            scene.keep(&KeyOwner { key, owner, from: utc_date(now()), at: now(), by: faculty() }).await
        };
        Live, "I16", "was sent {\"disabled\":true}, which no admin pressed", |scene| {
            let made = scene.provider.add_foreign_key("My key", None, now()).unwrap();
            scene.patch(&made.hash, json!({ "disabled": true })).await
        };
        Live, "I16", "was sent {\"name\":\"Mine\"}, which no admin pressed", |scene| {
            let made = scene.provider.add_foreign_key("My key", None, now()).unwrap();
            scene.patch(&made.hash, json!({ "name": "Mine" })).await
        };
    };
    let mut unnamed = Vec::new();
    for (begins, is_synced, invariant, words, broken) in rows {
        let mut scene = Scene::at(begins).await;
        broken(&mut scene).await;
        let found = scene.watch.violations(is_synced).await;
        let is_it =
            |found: &String| found.split_once(": ").is_some_and(|(of, what)| of == invariant && what.contains(words));
        if !found.iter().any(is_it) {
            unnamed.push(format!("{invariant} {words:?} is not in {found:?}"));
        }
    }
    assert!(unnamed.is_empty(), "{}", unnamed.join("\n"));
}
