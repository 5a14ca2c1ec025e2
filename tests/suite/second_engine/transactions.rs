//! Transactions: all or nothing, reasons in the order of their parts, one winner of a race, and a token that makes a repeat
//! harmless.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::{Table, item, key, n, s};

#[tokio::test]
async fn a_cancelled_transaction_says_in_order_which_parts_failed_and_did_nothing() {
    let table = Table::fresh().await;
    let pot = item("P#p", "POT", [("version", n(8)), ("reserved", n(4_000_000_000_u64))]);
    table.put(pot.clone()).await;
    table.put(item("P#p", "P", [("closed_at", s("2026-11-20"))])).await;

    let cancelled = write(
        &table,
        None,
        [
            put_new(&table, "G#p#0", "g#K#00001"),
            open_programme(&table),
            raise(&table, 7),
            put_new(&table, "P#p", "Z#01"),
        ],
    )
    .await
    .unwrap_err();

    let reasons = reasons(&cancelled);
    assert_eq!(codes(reasons), ["None", "ConditionalCheckFailed", "ConditionalCheckFailed", "None"]);
    assert_eq!(reasons[1].item(), None, "it was not asked for");
    assert_eq!(reasons[2].item(), Some(&pot));
    assert_eq!(table.get("G#p#0", "g#K#00001").await, None);
    assert_eq!(table.get("P#p", "POT").await, Some(pot));
}

#[tokio::test]
async fn a_transaction_writes_updates_checks_and_deletes_together() {
    let table = Table::fresh().await;
    table.put(item("P#p", "P", [])).await;
    table.put(item("P#p", "POT", [("version", n(7)), ("reserved", n(0))])).await;
    table.put(item("Q#01", "Q", [])).await;
    let ask = Delete::builder().table_name(&table.name).set_key(Some(key("Q#01", "Q"))).build().unwrap();

    write(
        &table,
        None,
        [
            put_new(&table, "G#p#0", "g#K#00001"),
            open_programme(&table),
            raise(&table, 7),
            TransactWriteItem::builder().delete(ask).build(),
        ],
    )
    .await
    .unwrap();

    assert!(table.get("G#p#0", "g#K#00001").await.is_some());
    assert_eq!(
        table.get("P#p", "POT").await,
        Some(item("P#p", "POT", [("version", n(8)), ("reserved", n(20_000_000))]))
    );
    assert_eq!(table.get("Q#01", "Q").await, None);
}

#[tokio::test]
async fn a_token_makes_a_repeated_transaction_take_effect_once() {
    let table = Table::fresh().await;
    let count = |by: u32| {
        let update = Update::builder()
            .table_name(&table.name)
            .set_key(Some(key("T", "T")))
            .update_expression("ADD tries :by")
            .expression_attribute_values(":by", n(by));
        [TransactWriteItem::builder().update(update.build().unwrap()).build()]
    };

    for _ in 0..3 {
        write(&table, Some("one"), count(1)).await.unwrap();
    }
    assert_eq!(table.get("T", "T").await.unwrap()["tries"], n(1));

    write(&table, Some("two"), count(1)).await.unwrap();
    assert_eq!(table.get("T", "T").await.unwrap()["tries"], n(2));

    let other = write(&table, Some("one"), count(5)).await.unwrap_err();
    assert!(other.is_idempotent_parameter_mismatch_exception(), "{other:?}");
    assert_eq!(table.get("T", "T").await.unwrap()["tries"], n(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_transactions_that_race_for_one_version_exactly_one_wins() {
    let table = Table::fresh().await;
    table.put(item("P#p", "POT", [("version", n(1)), ("reserved", n(0))])).await;
    let racers: Vec<_> = (0..16)
        .map(|racer| {
            let parts = [put_new(&table, "G#p#0", &format!("g{racer}")), raise(&table, 1)];
            let request = table.client.transact_write_items().set_transact_items(Some(parts.to_vec()));
            tokio::spawn(async move { request.send().await })
        })
        .collect();

    let mut won = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => {
                let error = error.into_service_error();
                let code = codes(reasons(&error))[1];
                assert!(["ConditionalCheckFailed", "TransactionConflict"].contains(&code), "{code}");
            }
        }
    }

    assert_eq!(won, 1);
    let pot = table.get("P#p", "POT").await;
    assert_eq!(pot, Some(item("P#p", "POT", [("version", n(2)), ("reserved", n(20_000_000))])));
    let places = table
        .client
        .query()
        .table_name(&table.name)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", s("G#p#0"))
        .send()
        .await
        .unwrap();
    assert_eq!(places.count, 1, "the losers left nothing behind");
}

#[tokio::test]
async fn a_hundred_parts_go_into_one_transaction() {
    let table = Table::fresh().await;
    let parts: Vec<_> = (0..100).map(|row| put_new(&table, "I#1", &format!("{row:03}"))).collect();
    write(&table, None, parts).await.unwrap();
    assert!(table.get("I#1", "099").await.is_some());
}

async fn write(
    table: &Table,
    token: Option<&str>,
    parts: impl IntoIterator<Item = TransactWriteItem>,
) -> Result<(), TransactWriteItemsError> {
    // A token holds for the whole account.
    let token = token.map(|token| format!("{}-{token}", table.name));
    let request = table
        .client
        .transact_write_items()
        .set_transact_items(Some(parts.into_iter().collect()))
        .set_client_request_token(token);
    request.send().await.map(drop).map_err(SdkError::into_service_error)
}

fn put_new(table: &Table, pk: &str, sk: &str) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(&table.name)
        .set_item(Some(key(pk, sk)))
        .condition_expression("attribute_not_exists(pk)");
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

fn open_programme(table: &Table) -> TransactWriteItem {
    let check = ConditionCheck::builder()
        .table_name(&table.name)
        .set_key(Some(key("P#p", "P")))
        .condition_expression("attribute_exists(pk) AND attribute_not_exists(closed_at)");
    TransactWriteItem::builder().condition_check(check.build().unwrap()).build()
}

fn raise(table: &Table, version: u32) -> TransactWriteItem {
    let update = Update::builder()
        .table_name(&table.name)
        .set_key(Some(key("P#p", "POT")))
        .update_expression("SET version = version + :one, reserved = reserved + :cap")
        .condition_expression("version = :version")
        .expression_attribute_values(":one", n(1))
        .expression_attribute_values(":cap", n(20_000_000))
        .expression_attribute_values(":version", n(version))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    TransactWriteItem::builder().update(update.build().unwrap()).build()
}

fn reasons(error: &TransactWriteItemsError) -> &[CancellationReason] {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => cancelled.cancellation_reasons(),
        other => panic!("{other:?}"),
    }
}

fn codes(reasons: &[CancellationReason]) -> Vec<&str> {
    reasons.iter().map(|reason| reason.code().unwrap()).collect()
}
