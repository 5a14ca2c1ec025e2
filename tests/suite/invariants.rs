//! The judge looks everywhere: at the table now and before, the provider's keys, what is under way to it, answers and mails. Each is
//! broken by hand, since a judge that sees nothing there would be silent. That it searches items, logs and the stream for secrets is
//! tried in `claim::canary`.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::grant::Reading;
use bursar_core::domain::ledger::foreign::KeyOwner;
use bursar_core::domain::programme::Budget;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::OutboxRow;
use bursar_core::store::items::to_item;
use bursar_tests::aws;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::invariants::Watch;
use bursar_tests::stack;
use serde_json::json;

/// A second look at what was correct at the first one names this invariant, with these words.
async fn names(watch: &mut Watch, synced: bool, invariant: &str, words: &str) {
    let found = watch.violations(synced).await;
    let is_it = |found: &String| found.starts_with(&format!("{invariant}: ")) && found.contains(words);
    assert!(found.iter().any(is_it), "{invariant}, {words}: not in {found:#?}");
}

/// Two people with a key each, of which a sync has read some use, and a watch that has found nothing wrong.
async fn correct() -> (Campus, Watch) {
    let campus = Campus::with_keys(&["ada", "bob"]).await;
    campus.settle().await;
    campus.pump.stop().await;
    campus.budget(120).await;
    campus.spend("ada", "5");
    campus.minutes(20);
    assert_eq!(campus.sync().await["complete"], true);
    let mut watch = stack::watch(&campus.stack);
    watch.check().await;
    (campus, watch)
}

#[tokio::test]
async fn the_judge_reads_the_table_now_and_before() {
    let (campus, mut watch) = correct().await;
    let raw = campus.raw();
    let mut unknown = to_item(&campus.grant("ada").await).unwrap();
    unknown.insert("sk".to_owned(), AttributeValue::S("BALLOON".to_owned()));
    unknown.insert("kind".to_owned(), AttributeValue::S("balloon".to_owned()));
    raw.put(unknown).await;
    names(&mut watch, false, "table", "it is of no known kind").await;

    let reading = campus.view("ada").await.readings[0].clone();
    let less = Usd::from_dollars(4);
    let used = DailyUse::on_one(utc_date(reading.as_of), less);
    raw.keep(&Reading { used, ..reading }).await;
    names(&mut watch, false, "I10", "is gone or fell from 5.000000").await;
    let mut grant = campus.grant("bob").await;
    grant.allowed += 1;
    raw.keep(&grant).await;
    names(&mut watch, false, "I16", "has 0 new entries").await;
    let (key, owner) = ("ab".repeat(32).parse().unwrap(), campus.programme.clone());
    let (at, by) = (campus.clock.now(), campus.by().actor.clone());
    raw.keep(&KeyOwner { key, owner, from: utc_date(at), at, by }).await;
    names(&mut watch, false, "I15", "and one of them is not there").await;
    let budget = campus.table.get(Budget::key_of(&campus.programme)).await.unwrap().unwrap();
    let mut budget = to_item(&budget).unwrap();
    budget.insert("of".to_owned(), AttributeValue::S("Ada@example.edu".to_owned()));
    raw.put(budget).await;
    names(&mut watch, false, "people", "has the address ada@example.edu").await;
    campus.finish_unjudged().await;
}

#[tokio::test]
async fn the_judge_reads_answers_and_mails() {
    let (campus, mut watch) = correct().await;
    let key = campus.key("ada");
    let second = campus.provider().add_foreign_key(&key.name, key.limit, campus.clock.now()).unwrap();
    campus.answers.note(second.plaintext);
    names(&mut watch, false, "I7", "which is not recorded as shown").await;
    names(&mut watch, false, "I1", "2 shown keys are enabled").await;
    names(&mut watch, false, "I3", "it may not be used, and nobody is to disable it").await;

    let seen = watch.seen();
    let sent = seen.outbox.iter().find(|row| row.state.delivery().is_some()).unwrap();
    campus.raw().keep(&OutboxRow { tries: 0, ..sent.clone() }).await;
    names(&mut watch, false, "I5", "was tried 0 times and accepted 1 times").await;
    campus.finish_unjudged().await;
}

#[tokio::test]
async fn the_judge_reads_the_provider_and_what_is_under_way_to_it() {
    let (campus, mut watch) = correct().await;
    campus.provider().disable(&campus.key("bob").hash).unwrap();
    names(&mut watch, true, "I6", "which is disabled, and a complete sync left it so").await;
    let (foreign, management) = (campus.foreign("by hand"), aws::management_key(&campus.ready).await);
    let url = format!("{}/keys/{foreign}", campus.ready.provider);
    let asked = aws::http().patch(url).bearer_auth(management).json(&json!({"name": "mine"})).send().await.unwrap();
    assert_eq!(asked.status(), 200);
    names(&mut watch, false, "I16", "which no admin pressed").await;

    // Of the larger limit no answer came, and it may still take effect: the budget that covers it goes.
    campus.gate.at(Matcher::call("provider:PATCH /keys/{hash}").every(), Fault::Late);
    campus.set(|settings| settings.allowance.cap = Usd::from_dollars(60)).await;
    campus.work().await;
    let budget = campus.table.get(Budget::key_of(&campus.programme)).await.unwrap().unwrap();
    campus.raw().keep(&Budget { limit: Usd::from_dollars(50), ..budget }).await;
    names(&mut stack::watch(&campus.stack), false, "I2", "cost more than 50").await;
    campus.finish_unjudged().await;
}
