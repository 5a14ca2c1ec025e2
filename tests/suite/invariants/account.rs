//! Alarms for too many or too few people, and releases without their entry: I5 and I16 of the account.

use bursar_core::domain::audit::{AccountEntry, Act, Actor, AuditDetail};
use bursar_core::domain::credit::balance::{BalanceNeed, Basis};
use bursar_core::domain::credit::purchase::PurchaseTerms;
use bursar_core::domain::ledger::cut::{AccountCut, LifetimeUse, ProgrammeCut};
use bursar_core::domain::ledger::foreign_act::{ForeignAct, ForeignActState, ForeignChange};
use bursar_core::domain::ledger::mailed::{MailedRow, MailedStatement};
use bursar_core::domain::ledger::statement::{RowKind, StatementRow};
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::digest::{AccountDigest, Health};
use bursar_core::domain::usage::days::{Accuracy, Sum};
use bursar_core::domain::usage::reconciliation::{AccountSpending, KnownResidual};
use bursar_core::domain::values::id::PersonId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::secrets::ManagementKey;
use bursar_core::store::{HeldBack, KnownAccount, Meta, OutboxRow, QueuedMail, SyncState, keys};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use ulid::Ulid;

use super::{DEPLOYMENT, Scene};
use crate::acts::settings::Setting;

#[tokio::test]
async fn an_alarm_that_is_owed_twice_to_nobody_or_without_being_there_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let (one, other) = (PersonId::random(), PersonId::random());
    let recipients = vec![one.clone(), other.clone()];
    let alarm = Alarm { recipients, queued: 2, ..Alarm::now(Cause::ManagementKey, scene.now) };
    let row = |number: u128, recipient: &PersonId| {
        let mail = QueuedMail::Account { day: alarm.day, alarm: alarm.name(), recipient: recipient.clone() };
        OutboxRow::queued(Ulid::from_parts(1, number), mail, scene.now)
    };
    let rows = [row(1, &one), row(2, &other), row(3, &other)];
    scene.keep(&rows[0]).await;
    scene.bites("I5", "which is not there").await;
    scene.keep(&alarm).await;
    scene.bites("I5", "is owed to 1, and 2 are to be told").await;
    scene.keep(&rows[1]).await;
    scene.bears("I5").await;
    scene.keep(&rows[2]).await;
    scene.bites("I5", "is owed to 3, and 2 are to be told").await;
}

#[tokio::test]
async fn a_digest_that_is_owed_twice_or_without_being_there_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let (one, week) = (PersonId::random(), utc_date(scene.now));
    let digest = a_digest(vec![one.clone()], week, scene.now);
    let row = |number: u128| {
        let mail = QueuedMail::AccountDigest { week, recipient: one.clone() };
        OutboxRow::queued(Ulid::from_parts(1, number), mail, scene.now)
    };
    let rows = [row(1), row(2)];
    scene.keep(&rows[0]).await;
    scene.bites("I5", "which is not there").await;
    scene.keep(&digest).await;
    scene.bears("I5").await;
    scene.keep(&rows[1]).await;
    scene.bites("I5", "is owed to 2, and 1 are to be told").await;
}

fn a_digest(recipients: Vec<PersonId>, week: Date, found_at: Timestamp) -> AccountDigest {
    let nothing = Sum { spent: Usd::ZERO, known: Accuracy::Exactly };
    AccountDigest {
        week,
        found_at,
        days: (week, week),
        balance: None,
        reserved: Usd::ZERO,
        to_come: Usd::ZERO,
        need: BalanceNeed { amount: Usd::ZERO, basis: Basis::Promised },
        this_week: nothing,
        week_before: nothing,
        new_keys: 0,
        first_new_keys: Vec::new(),
        programmes: Vec::new(),
        further: 0,
        held_back: 0,
        residual: None,
        residual_grew: None,
        models: Vec::new(),
        health: Health::default(),
        queued: 1,
        recipients,
    }
}

#[tokio::test]
async fn a_confirmed_account_without_its_entry_and_an_entry_without_one_are_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let (person, at) = (PersonId::random(), scene.now);
    let meta =
        |account| Meta { deployment: DEPLOYMENT.parse().unwrap(), table: "bursar".to_owned(), born: at, account };
    let management_key = ManagementKey::parse("sk-or-v1-other").unwrap().fingerprint(&DEPLOYMENT.parse().unwrap());
    let confirmed = meta(Some(KnownAccount { management_key, witnesses: Vec::new() }));
    let what = AuditDetail::new(Act::AccountConfirmed).changing("one", "other");
    let by = Actor::Person(person);
    let entry = |number| AccountEntry { entry: Ulid::from_parts(number, 1), at, by: by.clone(), what: what.clone() };
    scene.keep(&confirmed).await;
    scene.bites("I16", "and 0 account entries say so").await;
    scene.keep(&meta(None)).await;
    scene.bears("I16").await;
    scene.keep(&confirmed).await;
    scene.keep(&entry(1)).await;
    scene.bears("I16").await;
    scene.keep(&entry(2)).await;
    scene.bites("I16", "and 1 account entries say so").await;
}

#[tokio::test]
async fn a_cut_that_does_not_add_up_one_that_changes_and_one_that_shrinks_are_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let (usd, now) = (Usd::from_micros, scene.now);
    let cut = |minute: i64, keys: i64, after: i64| AccountCut {
        as_of: now + SignedDuration::from_mins(minute),
        bought: usd(900),
        spent: AccountSpending { before: usd(after - 1), after: usd(after) },
        programmes: vec![ProgrammeCut {
            programme: "cs-pilot".parse().unwrap(),
            used: LifetimeUse { credits: usd(keys), byok: usd(0) },
        }],
        foreign: usd(11),
        opening: usd(3),
        residual: usd(-2),
        unsettled: usd(1),
    };
    let (first, second, smaller, wrong) = (cut(0, 5, 18), cut(1, 6, 19), cut(2, 4, 17), cut(0, 5, 19));
    scene.keep(&first).await;
    scene.keep(&second).await;
    scene.bears("I15").await;
    scene.keep(&wrong).await;
    scene.bites("I15", "the account had spent 0.000019").await;
    scene.keep(&first).await;
    scene.keep(&smaller).await;
    scene.bites("I15", "cs-pilot had spent more by the cut of").await;
    scene.remove(keys::cut(second.as_of)).await;
    scene.bites("I15", "is gone or is not what it was").await;
    let later =
        AccountCut { foreign: usd(12), spent: AccountSpending { before: usd(20), after: usd(20) }, ..cut(3, 6, 20) };
    scene.keep(&AccountCut { residual: usd(-3), ..later.clone() }).await;
    scene.bites("I15", "the foreign keys of the cut of").await;
}

#[tokio::test]
async fn a_mailed_statement_that_does_not_add_up_that_changes_or_that_is_owed_twice_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let (recipient, month) = (PersonId::random(), utc_date(scene.now).first_of_month());
    let row = StatementRow { programme: None, cost_code: None, kind: RowKind::Unowned, spent: Usd::CENT };
    let statement = MailedStatement {
        month,
        mailed_at: scene.now,
        from: scene.now,
        to: scene.now,
        change: Usd::CENT,
        bought: Usd::ZERO,
        is_the_first: false,
        rows: vec![MailedRow { row, name: None }],
        recipients: vec![recipient.clone()],
        queued: 0,
    };
    scene.keep(&statement).await;
    scene.bears("I15").await;
    for (number, owed) in [(1, "is owed to 1, and 0 are to be told"), (2, "is owed to 2, and 0 are to be told")] {
        let mail = QueuedMail::Statement { month, recipient: recipient.clone() };
        scene.keep(&OutboxRow::queued(Ulid::from_parts(1, number), mail, scene.now)).await;
        scene.bites("I5", owed).await;
    }
    scene.keep(&MailedStatement { queued: 1, ..statement.clone() }).await;
    scene.bears("I15").await;
    scene.keep(&MailedStatement { bought: Usd::CENT, ..statement.clone() }).await;
    scene.bites("I15", "is gone or is not what it was").await;
    scene.keep(&MailedStatement { change: Usd::ZERO, ..statement }).await;
    scene.bites("I15", "does not add up to 0.000000").await;
}

#[tokio::test]
async fn a_residual_that_is_explained_without_its_entry_and_an_entry_without_that_are_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let residual = KnownResidual { explained: Usd::CENT, alerted: Usd::CENT };
    let explained = SyncState { residual, version: 1, ..SyncState::default() };
    let (at, by) = (scene.now, Actor::Person(PersonId::random()));
    let what = AuditDetail::new(Act::ResidualExplained).changing(Usd::ZERO, Usd::CENT).noting("a refund");
    let entry = |number| AccountEntry { entry: Ulid::from_parts(number, 1), at, by: by.clone(), what: what.clone() };
    scene.keep(&explained).await;
    scene.bites("I16", "and 0 account entries say so").await;
    scene.remove(keys::sync_state()).await;
    scene.keep(&entry(1)).await;
    scene.bears("I16").await;
    scene.keep(&entry(2)).await;
    scene.bites("I16", "and 1 account entries say so").await;
}

#[tokio::test]
async fn a_foreign_key_that_is_changed_without_a_press_of_that_change_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let made = scene.provider.add_foreign_key("My key", None, scene.now).unwrap();
    let (key, pressed_by) = (made.hash.parse().unwrap(), PersonId::random());
    let act = ForeignAct {
        key,
        name: "My key".to_owned(),
        change: ForeignChange::Limit(Usd::from_dollars(5)),
        pressed_at: scene.now,
        pressed_by: pressed_by.clone(),
        state: ForeignActState::Open,
        answered: None,
        version: 1,
    };
    let (at, by) = (scene.now, Actor::Person(pressed_by));
    let what = AuditDetail::new(Act::ForeignActBegun).changing("enabled, no limit", act.change);
    let what = what.noting(format!("{} My key", made.hash));
    scene.keep(&act).await;
    scene.bites("I16", "went 1 steps, and 0 account entries say so").await;
    scene.keep(&AccountEntry { entry: Ulid::from_parts(1, 1), at, by, what }).await;
    scene.bites("I16", "went 0 steps, and 1 account entries say so").await;
    scene.patch(&made, "pass", json!({ "limit": 5 })).await;
    scene.bears("I16").await;
    scene.patch(&made, "pass", json!({ "limit": 6 })).await;
    scene.bites("I16", r#"was sent {"limit":6}, which no admin pressed"#).await;
    let other = scene.provider.add_foreign_key("Another", None, scene.now).unwrap();
    scene.patch(&other, "pass", json!({ "disabled": true })).await;
    scene.bites("I16", &format!("the foreign key {} was sent", other.hash)).await;
}

#[tokio::test]
async fn terms_of_purchases_that_are_set_without_their_entry_and_an_entry_without_that_are_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let (at, by) = (scene.now, Actor::Person(PersonId::random()));
    let terms = |version| PurchaseTerms { version, ..PurchaseTerms::default() };
    let what = AuditDetail::new(Act::PurchasesSet).changing(terms(0), terms(1));
    let entry = |number| AccountEntry { entry: Ulid::from_parts(number, 1), at, by: by.clone(), what: what.clone() };
    scene.keep(&terms(1)).await;
    scene.bites("I16", "were set 1 times, and 0 account entries say so").await;
    scene.keep(&terms(2)).await;
    scene.keep(&entry(1)).await;
    scene.bears("I16").await;
    scene.keep(&entry(2)).await;
    scene.bites("I16", "were set 0 times, and 1 account entries say so").await;
}

#[tokio::test]
async fn a_release_without_its_one_entry_and_an_entry_without_a_release_are_named() {
    let mut scene = Scene::at(Setting::Live).await;
    let (person, at) = (PersonId::random(), scene.now);
    let released_by = Some(person.clone());
    let held = HeldBack {
        at,
        sweeps: 30,
        recoveries: 0,
        stops: 0,
        bound: 5,
        keys: Vec::new(),
        marks: Ulid::nil(),
        released_by,
    };
    let released = SyncState { held_back: Some(held), version: 1, ..SyncState::default() };
    let what = AuditDetail::new(Act::GuardReleased).changing(at, "released");
    let entry = |number, by| AccountEntry { entry: Ulid::from_parts(number, 1), at, by, what: what.clone() };
    let right = entry(1, Actor::Person(person));
    scene.keep(&released).await;
    scene.bites("I16", "was released with 0 entries").await;
    scene.remove(keys::sync_state()).await;
    scene.bears("I16").await;
    scene.keep(&released).await;
    scene.keep(&entry(2, Actor::Sync)).await;
    scene.bites("I16", "was released with 1 entries, not its own one").await;
    scene.keep(&right).await;
    scene.bites("I16", "1 account entries are of no change").await;
    scene.remove(keys::account_audit(right.entry)).await;
    scene.bites("I16", "is gone or is not what it was").await;
}
