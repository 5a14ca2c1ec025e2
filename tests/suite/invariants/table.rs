//! The table of what is broken, what finds it, and in which words.

#![expect(clippy::semicolon_if_nothing_returned, reason = "how a row breaks its world is one expression")]

use std::collections::BTreeMap;
use std::pin::Pin;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::{self, AccountEntry, Actor, AuditDetail, Entry};
use bursar_core::domain::grant::{AttemptState, GRACE, GrantState, Notice, SwitchState};
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::ledger::mailed::{MailedRow, MailedStatement};
use bursar_core::domain::ledger::owner::KeyOwner;
use bursar_core::domain::ledger::statement::{RowKind, StatementRow};
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::day::{MailCounts, MailDay};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::people::sign_in::LINK_LASTS;
use bursar_core::domain::programme::Pot;
use bursar_core::domain::programme::rule_set::{Guardrail, RuleSet};
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::usage::reconciliation::AccountSpending;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{Epoch, PersonId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::token::{Code, LinkToken};
use bursar_core::domain::values::window::{Window, utc_date};
use bursar_core::store::{AssignedUse, Enrolment, Link, MailState, OutboxRow, QueuedMail, Totals, keys};
use serde_json::json;
use ulid::Ulid;

use bursar_tests::faults::Fault;

use super::Scene;
use crate::store::acts::{Start, faculty, programme, reading};

type Break = for<'a> fn(&'a mut Scene) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One break in a correct stack, the invariant that must be named, and words of what is said of it.
struct Row {
    begins: Start,
    invariant: &'static str,
    words: &'static str,
    is_synced: bool,
    broken: Break,
}

/// Rows, each `setting, invariant, words, |scene| break`; with `after sync`, judged as just after a complete one.
macro_rules! rows {
    ($($begins:ident $(after $synced:ident)?, $invariant:literal, $words:literal, |$scene:ident| $broken:expr;)*) => {
        vec![$(Row {
            begins: Start::$begins,
            invariant: $invariant,
            words: $words,
            is_synced: !stringify!($($synced)?).is_empty(),
            broken: |$scene| Box::pin(async move { $broken; }),
        }),*]
    };
}

#[tokio::test]
async fn each_check_finds_what_is_broken_and_names_it() {
    let rows = [table(), keys_and_secrets(), mails(), money(), history(), account()];
    let mut unnamed = Vec::new();
    for Row { begins, invariant, words, is_synced, broken } in rows.into_iter().flatten() {
        let mut scene = Scene::at(begins).await;
        broken(&mut scene).await;
        let found = scene.watch.violations(is_synced).await.unwrap();
        let is_told = found.iter().any(|found| found.invariant == invariant && found.what.contains(words));
        if !is_told {
            unnamed.push(format!("{invariant} {words:?} is not in {found:?}"));
        }
    }
    assert!(unnamed.is_empty(), "{}", unnamed.join("\n"));
}

fn table() -> Vec<Row> {
    rows! {
        Live, "table", "there is no kind \"balloon\"", |scene| scene.set(keys::grant(&programme(), &scene.ada), "kind", text("balloon")).await;
        Live, "table", "[\"colour\"]", |scene| scene.set(keys::grant(&programme(), &scene.ada), "colour", text("red")).await;
        Minting, "table", "is minting without a place", |scene| scene.edit(|grant| grant.has_place = false).await;
        Replacing, "table", "whose epochs do not ascend", |scene| scene.edit(|grant| grant.attempts.reverse()).await;
        Live, "table", "does not say truly when it was shown", |scene| scene.edit(|grant| grant.attempts[0].shown_at = None).await;
        Live, "table", "is found by 0 enrolments", |scene| {
            scene.remove(keys::enrolment(scene.grant().person.address.matched(), &programme())).await
        };
        Live, "table", "is found by 2 enrolments", |scene| {
            let address = EmailAddress::parse("eve@uni.edu").unwrap().matched().clone();
            scene.keep(&Enrolment { address, programme: programme(), grant: scene.ada.clone() }).await
        };
        Live, "table", "programme cs-pilot has no pot", |scene| scene.remove(keys::pot(&programme())).await;
        Replacing, "table", "is recorded by grant", |scene| {
            scene.edit(|grant| grant.attempts[1].key = grant.attempts[0].key.clone()).await
        };
        Live, "table", "programme cs-pilot has rules that nobody tells the provider", |scene| scene.restrict().await;
        Live, "table", "is not under its rules", |scene| scene.restrict().await;
        Live after sync, "table", "is not under its guardrail at the provider", |scene| {
            scene.make_recorded_key(1).await;
            scene.accept().await;
            scene.restrict().await;
            scene.accept().await;
            let rules = scene.seen().programmes[&programme()].settings.rules(None);
            let guardrail = Some(Guardrail { id: "another".to_owned(), rules: rules.clone(), confirmed_at: scene.now });
            scene.edit(|grant| grant.attempts[0].rule_set = Some(rules.id())).await;
            scene.keep(&RuleSet { id: rules.id(), rules, guardrail, order: None, version: 1 }).await
        };
        Live, "people", "has the address ada@uni.edu", |scene| {
            scene.tell(false, AuditDetail::new(audit::Act::Edited).noting("at the request of Ada@uni.edu")).await
        };
        Live, "people", "has the address bob@uni.edu", |scene| {
            scene.set(keys::pot(&programme()), "of", text("bob@uni.edu")).await
        };
    }
}

fn keys_and_secrets() -> Vec<Row> {
    rows! {
        Live, "I1", "2 shown keys are enabled", |scene| {
            scene.make_recorded_key(1).await;
            scene.accept().await;
            let second = scene.make_key(&scene.grant().attempts[0]);
            // An answer held this key, whatever the table says.
            scene.answer(&second.plaintext)
        };
        Replacing, "I1", "2 shown keys are enabled", |scene| {
            scene.make_recorded_key(1).await;
            scene.accept().await;
            scene.make_recorded_key(2).await;
            scene.accept().await;
            scene.edit(|grant| grant.attempts[1].state = AttemptState::Shown).await
        };
        Live, "I3", "no attempt was written down before it was made", |scene| {
            let mut attempt = scene.grant().attempts[0].clone();
            attempt.epoch = Epoch::new(2);
            scene.make_key(&attempt)
        };
        Leaked, "I3", "it is not live, and nobody owes its disable", |scene| {
            scene.make_recorded_key(1).await;
            scene.accept().await;
            scene.edit(|grant| grant.attempts[0].switch = SwitchState::On).await
        };
        Live after sync, "I3", "its attempt has another key", |scene| {
            scene.make_key(&scene.grant().attempts[0]);
            scene.pass(GRACE)
        };
        Minting after sync, "I3", "older than the grace", |scene| {
            scene.make_key(&scene.grant().attempts[0]);
            scene.pass(jiff::SignedDuration::from_hours(2))
        };
        Live, "I6", "is not live any more, and nobody ended it", |scene| scene.edit(|grant| grant.state = GrantState::Ended).await;
        Live, "I6", "has another live key than before", |scene| scene.make_recorded_key(1).await;
        Live after sync, "I6", "which is disabled, and a complete sync left it so", |scene| {
            let key = scene.make_recorded_key(1).await;
            scene.accept().await;
            scene.provider.disable(&key.hash).unwrap()
        };
        Minting, "I7", "which no attempt records as shown", |scene| {
            let made = scene.make_key(&scene.grant().attempts[0]);
            scene.answer(&made.plaintext)
        };
        Live, "I7", "which no attempt records as shown", |scene| {
            scene.make_recorded_key(1).await;
            let made = scene.make_key(&scene.grant().attempts[0]);
            scene.answer(&made.plaintext)
        };
        Live, "I4", "a log line holds what looks like a key", |scene| {
            scene.logs.lock().unwrap().push(format!("the key sk-or-v1-{} was made", "ab".repeat(32)))
        };
        Live, "I4", " holds what looks like a key", |scene| {
            scene.edit(|grant| grant.group = Some(format!("sk-or-v1-{}", "ab".repeat(32)))).await
        };
        Live, "I4", "a key is in 2 answers, and may be in 1", |scene| {
            let made = scene.make_recorded_key(1).await;
            scene.answer(&made.plaintext);
            scene.answer(&made.plaintext)
        };
    }
}

fn mails() -> Vec<Row> {
    rows! {
        Live, "I4", "a mailed link is not known by its hash", |scene| {
            let link = LinkToken::generate();
            let link = format!("https://bursar.uni.edu/c/{}\r\nCode: {}", link.reveal(), Code::generate().reveal());
            scene.mail_with(&[("X-Bursar-Mail", "link")], &link).await
        };
        Live, "I4", "went to another address than its link's", |scene| {
            let (token, eve) = (LinkToken::generate(), EmailAddress::parse("eve@uni.edu").unwrap());
            let link = format!("https://bursar.uni.edu/c/{}\r\nCode: {}", token.reveal(), Code::generate().reveal());
            scene.mail_with(&[("X-Bursar-Mail", "link")], &link).await;
            let ends_at = scene.now + LINK_LASTS;
            scene.keep(&Link { link: token.hash(), address: eve.matched().clone(), ends_at }).await
        };
        Live, "I4", "a mail of the kind Some(\"roster\") has a link or a code", |scene| {
            let link = format!("https://bursar.uni.edu/c/{}", LinkToken::generate().reveal());
            scene.mail_with(&[("X-Bursar-Mail", "roster")], &link).await
        };
        Live, "I5", "80 % of the 5.000000 of cs-pilot is not reached by 5.000000", |scene| scene.keep(&scene.crossing()).await;
        Live, "I5", "the crossing of 80 % of 5.000000 is gone or changed", |scene| {
            scene.counted(5).await;
            scene.keep(&scene.crossing()).await;
            scene.accept().await;
            scene.keep(&Crossing { spent: Usd::from_dollars(4), ..scene.crossing() }).await
        };
        Live, "I5", "tells of no crossing", |scene| scene.keep(&scene.alert(1, &PersonId::random())).await;
        Live, "I5", "is owed twice to somebody", |scene| {
            let person = PersonId::random();
            scene.counted(5).await;
            scene.keep(&Crossing { is_mailed: true, ..scene.crossing() }).await;
            scene.keep(&scene.alert(1, &person)).await;
            scene.keep(&scene.alert(2, &person)).await
        };
        Live, "I5", "is said to be sent, and no mail was accepted", |scene| scene.keep(&scene.sent_alert()).await;
        Live, "I5", "was tried 1 times and accepted 2 times", |scene| {
            let row = scene.sent_alert();
            scene.keep(&row).await;
            for _ in 0..2 {
                scene.mail_with(&[("X-Bursar-Mail", "alert"), ("X-Bursar-Row", &row.row.to_string())], "hello").await;
            }
        };
        Live, "I5", "which is not there", |scene| {
            let (day, recipient) = (utc_date(scene.now), PersonId::random());
            let mail = QueuedMail::AccountDigest { week: day, recipient };
            scene.keep(&OutboxRow::queued(Ulid::from_parts(1, 1), mail, scene.now)).await
        };
        Live, "I5", "is owed to 0, and 1 are to be told", |scene| {
            let alarm = Alarm::now(Cause::ManagementKey, scene.now);
            scene.keep(&Alarm { recipients: vec![PersonId::random()], queued: 1, ..alarm }).await
        };
        Live, "I13", "the mail of the days is counted as {}", |scene| {
            let counted_on = Some(utc_date(scene.now));
            scene.keep(&OutboxRow { counted_on, ..scene.sent_alert() }).await
        };
        Live, "I13", "Link): MailCounts { sent: 2", |scene| {
            let none = MailDay::none_on(utc_date(scene.now), MailKind::Link);
            scene.keep(&MailDay { counts: MailCounts { sent: 2, ..none.counts }, ..none }).await
        };
    }
}

fn money() -> Vec<Row> {
    rows! {
        Live, "I2", "its pot counts 19.999999", |scene| {
            scene.make_recorded_key(1).await;
            scene.accept().await;
            scene.pot(|pot| pot.reserved = Usd::from_micros(19_999_999)).await
        };
        Live, "I2", "can still use 40, of a pot of 20.000000", |scene| {
            scene.make_recorded_key(1).await;
            scene.accept().await;
            scene.pot(|pot| pot.limit = Usd::from_dollars(20)).await;
            scene.accept().await;
            let unseen = scene.make_key(&scene.grant().attempts[0]);
            scene.answer(&unseen.plaintext)
        };
        Live, "I2", "used 0 and can still use 150, of a pot of 100", |scene| {
            let key = scene.make_recorded_key(1).await;
            scene.accept().await;
            scene.patch(&key, Some(Fault::Late), json!({ "limit": 150 })).await
        };
        Live, "I2", "nothing bounds what it can use", |scene| {
            let key = scene.make_recorded_key(1).await;
            scene.accept().await;
            scene.provider.count_limit(&key.hash, Some(bursar_local::provider::Interval::Daily), true, None).unwrap()
        };
        Live, "I2", "is 100.000000 and has reserved 120.000000", |scene| scene.pot(|pot| pot.reserved = Usd::from_dollars(120)).await;
        Live, "I15", "reserved has the number 20000000.5", |scene| {
            scene.set(keys::pot(&programme()), "reserved", AttributeValue::N("20000000.5".to_owned())).await
        };
        Live, "I15", "is -1.000000 in its window", |scene| {
            let mut below = reading(&scene.ada, Epoch::new(1), 6, scene.now());
            below.in_window = Usd::from_dollars(-1);
            scene.keep(&below).await
        };
        Live, "I15", "the account had spent 0.000019", |scene| scene.keep(&scene.cut(19)).await;
        Live, "I15", "is gone or is not what it was", |scene| {
            scene.keep(&scene.cut(18)).await;
            scene.accept().await;
            scene.remove(keys::cut(scene.now)).await
        };
        Live, "I15", "and one of them is not there", |scene| {
            let (key, owner) = ("ab".repeat(32).parse().unwrap(), programme());
            scene.keep(&KeyOwner { key, owner, from: utc_date(scene.now), at: scene.now, by: faculty() }).await
        };
        Live, "I15", "foreign keys used 1.000000, and its pot has 0.000000", |scene| {
            let used = DailyUse::on_one(utc_date(scene.now), Usd::from_dollars(1));
            scene.keep(&AssignedUse { programme: programme(), used, keys: 0, version: 1 }).await
        };
        Live, "I15", "does not add up to 0.000000", |scene| scene.keep(&MailedStatement { change: Usd::ZERO, ..scene.statement() }).await;
        Live, "I15", "is gone or is not what it was", |scene| {
            scene.keep(&scene.statement()).await;
            scene.accept().await;
            scene.keep(&MailedStatement { bought: Usd::CENT, ..scene.statement() }).await
        };
    }
}

fn history() -> Vec<Row> {
    rows! {
        Live, "I10", "fell from 5.000000 to 4.000000", |scene| scene.keep(&reading(&scene.ada, Epoch::new(1), 4, scene.now)).await;
        Live, "I10", "forgot the key of attempt 1", |scene| scene.edit(|grant| grant.attempts[0].key = None).await;
        Live, "I10", "spent 6.000000 by its totals, 5.000000 by its readings", |scene| scene.counted(6).await;
        Live, "I10", "the totals of cs-pilot are gone or fell", |scene| {
            scene.counted(5).await;
            scene.accept().await;
            scene.counted(4).await
        };
        Revoked, "I11", "was revoked", |scene| scene.edit(|grant| grant.state = GrantState::Ended).await;
        Revoked after sync, "I11", "has the enabled key", |scene| {
            scene.make_recorded_key(1).await;
            scene.accept().await
        };
        Live, "I16", "changed from version 3 to 3", |scene| scene.edit(|grant| grant.allowed = 1).await;
        Live, "I16", "had 1 acts of which 0 marked a disable, and 0 audit entries", |scene| scene.edit(|grant| grant.version += 1).await;
        Live, "I16", "went from \"0\" to \"1\", and its entry (ReplacementAllowed) says from Some(\"7\")", |scene| {
            scene.edit(|grant| (grant.allowed, grant.version) = (1, grant.version + 1)).await;
            scene.tell(true, AuditDetail::new(audit::Act::ReplacementAllowed).changing(7, 1)).await
        };
        Live, "I16", "programme cs-pilot changed without a new version", |scene| {
            let mut edited = scene.seen().programmes[&programme()].clone();
            edited.settings.cap = Usd::from_dollars(19);
            scene.keep(&edited).await
        };
        Live, "I16", "went from 100.000000 to 300.000000, and 0 entries tell of it", |scene| {
            scene.pot(|pot| pot.limit = Usd::from_dollars(300)).await
        };
        Live, "I16", "has 0 causes of a mail KeyShown in this step, and 1 such mails owed", |scene| {
            let (programme, grant, epoch) = (programme(), scene.ada.clone(), Epoch::new(1));
            let mail = QueuedMail::Notice { programme, grant, epoch, notice: Notice::KeyShown };
            scene.keep(&OutboxRow::queued(Ulid::from_parts(1, 1), mail, scene.now)).await
        };
    }
}

fn account() -> Vec<Row> {
    rows! {
        Live, "I16", "1 account entries are of no change", |scene| {
            let what = AuditDetail::new(audit::Act::GuardReleased).changing(scene.now, "released");
            let (at, by) = (scene.now, Actor::Person(PersonId::random()));
            scene.keep(&AccountEntry { entry: Ulid::from_parts(1, 1), at, by, what }).await
        };
        Live, "I16", "was sent {\"limit\":6}, which no admin pressed", |scene| {
            let made = scene.provider.add_foreign_key("My key", None, scene.now).unwrap();
            scene.patch(&made, None, json!({ "limit": 6 })).await
        };
        Live, "I16", "was sent {\"disabled\":true}, which no admin pressed", |scene| {
            let made = scene.provider.add_foreign_key("My key", None, scene.now).unwrap();
            scene.patch(&made, None, json!({ "disabled": true })).await
        };
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

impl Scene {
    /// Restricts the models of the programme, and tells nobody.
    async fn restrict(&self) {
        self.set(keys::programme(&programme()), "models", AttributeValue::L(vec![text("openai/gpt-4o-mini")])).await;
    }

    /// Writes an audit entry of the programme, or of the first person's grant.
    async fn tell(&self, of_grant: bool, what: AuditDetail) {
        let (entry, grant) = (Ulid::from_parts(1, 1), of_grant.then(|| self.ada.clone()));
        self.keep(&Entry { programme: programme(), grant, entry, at: self.now, by: faculty(), what }).await;
    }

    async fn pot(&self, change: impl FnOnce(&mut Pot)) {
        let mut pot = self.seen().pots[&programme()].clone();
        change(&mut pot);
        self.keep(&pot).await;
    }

    /// Writes what the sync writes when it finds that so many dollars were spent.
    async fn counted(&self, dollars: i32) {
        let used = DailyUse::on_one(utc_date(self.now), Usd::from_dollars(dollars));
        let (by_group, implied) = (BTreeMap::new(), Usd::from_dollars(20));
        self.keep(&Totals { programme: programme(), as_of: self.now, used, by_group, implied, grants: 2, claimed: 1 })
            .await;
    }

    fn crossing(&self) -> Crossing {
        Crossing {
            programme: programme(),
            scope: Scope::Pot,
            window: Window::WHOLE_TERM,
            limit: Usd::from_dollars(5),
            threshold: 80,
            spent: Usd::from_dollars(5),
            found_at: self.now,
            is_mailed: false,
            mails: Vec::new(),
        }
    }

    fn alert(&self, number: u128, recipient: &PersonId) -> OutboxRow {
        let (threshold, of_limit, recipient) = (80, Usd::from_dollars(5), recipient.clone());
        let mail = QueuedMail::Alert { programme: programme(), scope: Scope::Pot, threshold, of_limit, recipient };
        OutboxRow::queued(Ulid::from_parts(1, number), mail, self.now)
    }

    fn sent_alert(&self) -> OutboxRow {
        let state = MailState::Sent { message: "1".to_owned(), at: self.now };
        OutboxRow { tries: 1, state, ..self.alert(1, &PersonId::random()) }
    }

    /// A cut of an account in which 18 micro-dollars were spent.
    fn cut(&self, spent: i64) -> AccountCut {
        let usd = Usd::from_micros;
        AccountCut {
            as_of: self.now,
            bought: usd(900),
            spent: AccountSpending { before: usd(spent - 1), after: usd(spent) },
            programmes: Vec::new(),
            foreign: usd(16),
            opening: usd(3),
            residual: usd(-2),
            unsettled: usd(1),
        }
    }

    fn statement(&self) -> MailedStatement {
        let row = StatementRow { programme: None, cost_code: None, kind: RowKind::Unowned, spent: Usd::CENT };
        MailedStatement {
            month: utc_date(self.now).first_of_month(),
            mailed_at: self.now,
            from: self.now,
            to: self.now,
            change: Usd::CENT,
            bought: Usd::ZERO,
            is_the_first: false,
            rows: vec![MailedRow { row, name: None }],
            recipients: vec![PersonId::random()],
            queued: 0,
        }
    }
}
