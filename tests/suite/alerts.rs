//! Alerts: crossings of a pot's thresholds found in totals, and of a cap's in readings. Each recipient is
//! notified once, whatever fails and however often the function runs.

use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{Office, as_sync, reading};
mod caps;
mod kills;
mod promised;
mod turns;

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{MintedKey, Person, Press, PressKind};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::crossing::Scope;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{Epoch, GrantId, Nonce, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{ActContext, ActOutcome, Author, NewPerson, QueuedMail, Table, Totals};
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_local::provider::Nano;
use bursar_tests::invariants::{RawTable, Snapshot, Watch};
use bursar_tests::stack::Stack;
use jiff::ToSpan;
use serde_json::{Value, json};

use super::sync::{office_deadline, still, sync, watch};

/// A programme with two faculty and a pot of a hundred dollars.
async fn programme(stack: &Stack, name: &str) -> ProgrammeId {
    let today = utc_date(stack.clock.now());
    let term = Term::new(today, today.saturating_add(90.days()), "UTC").unwrap();
    let mut settings = Settings::new(name, term, Usd::from_dollars(100));
    let address = |who: &str| EmailAddress::parse(&format!("{who}@{name}.edu")).unwrap();
    settings.faculty = vec![address("ann"), address("ben"), address("ann")];
    let by = Author { actor: &Actor::Rule, now: stack.clock.now(), deadline: office_deadline() };
    Table::new(&stack.config).create_programme(settings, Usd::from_dollars(100), by).await.unwrap()
}

/// Ada's reading of this amount, and the programme's totals as a sync would record them.
async fn spent(stack: &Stack, programme: &ProgrammeId, dollars: i32) -> GrantId {
    let (now, table) = (stack.clock.now(), Table::new(&stack.config));
    let id = match table.grants(programme).await.unwrap().pop() {
        Some(grant) => grant.id,
        None => claimed(stack, programme).await,
    };
    let spent = Usd::from_dollars(dollars);
    let of_all = DailyUse::on_one(utc_date(now), spent);
    let reading = reading(programme, &id, of_all.clone(), now);
    table.note_reading(&reading, office_deadline()).await.unwrap();
    let totals = Totals {
        programme: reading.programme.clone(),
        as_of: now,
        used: of_all,
        by_group: std::collections::BTreeMap::default(),
        implied: spent,
        grants: 1,
        claimed: 0,
    };
    assert!(as_sync(&table, async |sync| sync.note_totals(&totals).await).await);
    id
}

/// Ada's grant in the programme, with a made-up key.
async fn claimed(stack: &Stack, programme: &ProgrammeId) -> GrantId {
    let (now, deadline, table) = (stack.clock.now(), office_deadline(), Table::new(&stack.config));
    let address = EmailAddress::parse(&format!("ada@{programme}.edu")).unwrap();
    let person = NewPerson { person: Person { address, name: None, roster_id: None }, group: None };
    let by = Author { actor: &Actor::Rule, now, deadline };
    let grant = table.invite(programme, &[person], by).await.unwrap().remove(0);
    let press = Press { kind: PressKind::Reveal, epoch: Epoch::BEFORE_THE_FIRST, terms: None };
    let begun = table
        .act(ActContext { programme, grant: &grant, now, deadline }, |view, now| {
            view.begin(press, Nonce::random(), now)
        })
        .await
        .unwrap();
    let ActOutcome::Done(begun) = begun else { panic!("not begun") };
    let minted =
        MintedKey { key: grant.as_str().repeat(4).parse().unwrap(), limit: Usd::from_dollars(100), rule_set: None };
    table
        .act(ActContext { programme, grant: &grant, now, deadline }, |view, now| view.record(&begun, &minted, now))
        .await
        .unwrap();
    grant
}

/// A stream record of an item of this kind that was written for a programme, or for a grant in it.
fn record(kind: &str, programme: &ProgrammeId, grant: Option<&GrantId>) -> Value {
    let mut image = json!({"kind": {"S": kind}, "programme": {"S": programme.as_str()}});
    if let Some(grant) = grant {
        image["grant"] = json!({"S": grant.as_str()});
    }
    json!({"eventSource": "aws:dynamodb", "eventName": "MODIFY", "dynamodb": {"NewImage": image}})
}

/// A batch of these records, numbered in order.
fn batch_of(mut records: Vec<Value>) -> Value {
    for (number, record) in records.iter_mut().enumerate() {
        record["dynamodb"]["SequenceNumber"] = format!("1000000000000000000{number:02}").into();
    }
    json!({"Records": records})
}

async fn look(stack: &Stack, programme: &ProgrammeId) -> Result<Value, InvokeError> {
    look_at(stack, batch_of(vec![record("totals", programme, None)])).await
}

async fn look_at(stack: &Stack, batch: Value) -> Result<Value, InvokeError> {
    stack.invoke.invoke(FunctionName::ThresholdAlerts, batch).await
}

async fn set_pot(stack: &Stack, programme: &ProgrammeId, dollars: i32) {
    let by = Author { actor: &Actor::Rule, now: stack.clock.now(), deadline: office_deadline() };
    Table::new(&stack.config).set_pot(programme, Usd::from_dollars(dollars), by).await;
}

/// A watch over the table alone, without the provider: the keys of these programmes are made up.
fn table_of(stack: &Stack) -> Watch {
    Watch::over(RawTable::at(&stack.ready.dynamodb, &stack.ready.table), stack.clock.as_clock())
}

/// The queued alerts about a programme's spending: threshold and limit in dollars, one line for each recipient.
fn owed(seen: &Snapshot, programme: &ProgrammeId) -> Vec<String> {
    let alert = |mail: &QueuedMail| match mail {
        QueuedMail::Alert { programme: of, scope: Scope::Pot, threshold, of_limit, .. } if of == programme => {
            Some(format!("{threshold} of {of_limit}"))
        }
        _ => None,
    };
    seen.outbox.iter().filter_map(|row| alert(&row.mail)).collect()
}

#[tokio::test]
async fn from_forty_per_cent_to_a_hundred_and_twenty_in_one_night_is_one_alert_that_says_a_hundred() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let grant = office.invite("ada@example.edu").await;
    let key = office.claim(&grant).await;
    let spend = |dollars: i64| {
        let provider = stack.provider.as_ref().unwrap();
        provider.spend(&key, Nano::micros(dollars * 1_000_000), stack.clock.now(), "a/model").unwrap();
    };
    let mut watch = watch(&stack);
    for (dollars, expected) in [(40, vec![]), (80, vec!["100 of 100.000000"])] {
        spend(dollars);
        sync(&stack).await;
        let answer = look(&stack, &office.programme).await.unwrap();
        assert_eq!(answer, json!({"batchItemFailures": []}));
        // The programme has no faculty, so the admin is the recipient.
        assert_eq!(owed(watch.check_after_sync().await, &office.programme), expected);
    }
    let seen = watch.seen().unwrap();
    let found: Vec<_> = seen.crossings.iter().map(|crossing| (crossing.threshold, crossing.is_mailed)).collect();
    assert_eq!(found, [(50, false), (80, false), (95, false), (100, true)]);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_batch_ten_times_and_at_once_tells_each_recipient_once() {
    let stack = still().await;
    let programme = programme(&stack, "maths").await;
    spent(&stack, &programme, 83).await;
    let at_once = futures_util::future::join_all((0..10).map(|_| look(&stack, &programme))).await;
    assert!(at_once.iter().all(|answer| *answer == Ok(json!({"batchItemFailures": []}))), "{at_once:?}");
    let mut watch = table_of(&stack);
    assert_eq!(owed(watch.check().await, &programme), ["80 of 100.000000"; 2]);
    look(&stack, &programme).await.unwrap();
    assert_eq!(owed(watch.check().await, &programme).len(), 2);
    stack.finish().await;
}

#[tokio::test]
async fn a_pot_that_is_raised_and_lowered_again_returns_to_what_was_told() {
    let stack = still().await;
    let programme = programme(&stack, "maths").await;
    spent(&stack, &programme, 96).await;
    let mut watch = table_of(&stack);
    let (first, then) = (["95 of 100.000000"; 2], ["95 of 100.000000", "80 of 120.000000"]);
    for (pot, alerts) in [(100, first.len()), (500, 2), (100, 2), (120, 2 * then.len()), (100, 4), (120, 4)] {
        set_pot(&stack, &programme, pot).await;
        // No totals changed, so the hourly check finds the crossing.
        let report = stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await.unwrap();
        assert_eq!(report["programmes"], 1, "{report}");
        let owed = owed(watch.check().await, &programme);
        assert_eq!(owed.len(), alerts, "at {pot}: {owed:?}");
        assert!(owed.iter().all(|alert| then.contains(&alert.as_str())), "{owed:?}");
    }
    stack.finish().await;
}
