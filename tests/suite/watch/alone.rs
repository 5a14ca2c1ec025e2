//! Independence of the checks: an item that cannot be read is named, and stops no other check or alarm.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::items::Item;
use bursar_core::store::{ListedProgramme, Meta, keys};
use bursar_local::inbox::Contents;
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_tests::invariants::RawTable;
use bursar_tests::office::Office;
use bursar_tests::permissions::TEMPLATE;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{look, still};

/// Replaces an item with one that cannot be parsed, as an edit by hand could.
async fn spoil(raw: &RawTable, key: keys::ItemKey, kind: &str) {
    let item = [("pk", key.pk), ("sk", key.sk), ("kind", kind.to_owned())];
    let item: Item = item.into_iter().map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).collect();
    raw.put(item).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_keeps_nothing_else_from_being_told() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let raw = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
    // The table was created by the real clock, which is days ahead of the stopped clock of this stack.
    let meta = office.table.meta(stack.clock.now()).await.unwrap();
    raw.keep(&Meta { born: stack.clock.now(), ..meta }).await.unwrap();
    office.claim(&office.invite("ada@x.edu").await).await;
    stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    let broken: ProgrammeId = "maths".parse().unwrap();
    raw.keep(&ListedProgramme { programme: broken.clone() }).await.unwrap();
    spoil(&raw, keys::programme(&broken), "programme").await;
    spoil(&raw, keys::job(&office.programme, "import"), "job").await;
    // By Monday no sync was ever complete, which is an alarm. The account's digest cannot be made without the
    // corrupt programme.
    stack.clock.advance(SignedDuration::from_hours(3 * 24)).unwrap();
    let failed = stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await;
    assert!(matches!(failed, Err(InvokeError::Failed(_))), "{failed:?}");
    let logs = stack.logs.all();
    let why = logs.iter().rev().find(|line| line.text.contains("not looked at: ")).unwrap().text.clone();
    for part in
        ["the programme maths", &format!("the job of {}", office.programme), "the balance", "the digest of account"]
    {
        assert!(why.contains(part), "{why}");
    }
    assert!(!why.contains("the syncs") && !why.contains("the crossings of"), "{why}");
    let watched = logs
        .iter()
        .rev()
        .find_map(|line| serde_json::from_str::<Value>(&line.text).ok().filter(|line| line["watched"] == true));
    assert_eq!(watched.unwrap()["hours_without_sync"], 72, "three days");
    stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    let subjects: Vec<_> = stack.ses.unread().iter().map(|mail| Contents::of(&mail.raw).subject).collect();
    assert!(subjects.contains(&"No sync was ever complete".to_owned()), "{subjects:?}");
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn each_watch_leaves_the_line_that_the_stack_listens_for() {
    let stack = still().await;
    look(&stack).await;
    let lines: Vec<Value> = stack.logs.all().iter().filter_map(|line| serde_json::from_str(&line.text).ok()).collect();
    let watched: Vec<&Value> = lines.iter().filter(|line| line["watched"] == true).collect();
    assert_eq!(watched.len(), 1);
    assert_eq!(watched[0]["hours_without_sync"], 0, "there is nothing to sync");
    let [filter, alarm] = ["WatchedMetric", "WatchSilent"].map(|name| &TEMPLATE["Resources"][name]["Properties"]);
    assert_eq!(filter["FilterPattern"], "{ $.watched IS TRUE }");
    let metric = &filter["MetricTransformations"][0];
    assert_eq!((&metric["MetricName"], &metric["MetricNamespace"]), (&alarm["MetricName"], &alarm["Namespace"]));
    let filter = &TEMPLATE["Resources"]["HoursWithoutSyncMetric"]["Properties"];
    assert_eq!(filter["MetricTransformations"][0]["MetricValue"], "$.hours_without_sync");
    stack.finish().await;
}
