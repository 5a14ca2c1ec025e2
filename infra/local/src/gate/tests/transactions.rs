//! The results of failing transactions for the real AWS client, and the rights that are recorded for a
//! function.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::table::{Table, item, key, text};
use super::*;

fn codes(reasons: &[CancellationReason]) -> Vec<&str> {
    reasons.iter().filter_map(CancellationReason::code).collect()
}

async fn transact(table: &Table) -> Result<(), TransactWriteItemsError> {
    let all_old = ReturnValuesOnConditionCheckFailure::AllOld;
    let put = Put::builder().table_name("bursar").set_item(Some(item("plain", "new")));
    let update = Update::builder()
        .table_name("bursar")
        .set_key(Some(key("grant")))
        .update_expression("SET #state = :new")
        .condition_expression("#state = :old")
        .expression_attribute_names("#state", "state")
        .expression_attribute_values(":new", text("minting"))
        .expression_attribute_values(":old", text("invited"))
        .return_values_on_condition_check_failure(all_old);
    let check = ConditionCheck::builder()
        .table_name("bursar")
        .set_key(Some(key("programme")))
        .condition_expression("attribute_exists(pk)");
    let delete =
        Delete::builder().table_name("bursar").set_key(Some(key("ask"))).condition_expression("attribute_exists(pk)");
    let items = [
        TransactWriteItem::builder().put(put.build().unwrap()).build(),
        TransactWriteItem::builder().update(update.build().unwrap()).build(),
        TransactWriteItem::builder().condition_check(check.build().unwrap()).build(),
        TransactWriteItem::builder().delete(delete.build().unwrap()).build(),
    ];
    let sent = table.client.transact_write_items().set_transact_items(Some(items.into()));
    sent.send().await.map(|_| ()).map_err(SdkError::into_service_error)
}

async fn cancelled(table: &Table) -> Vec<CancellationReason> {
    match transact(table).await {
        Err(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            cancelled.cancellation_reasons().to_vec()
        }
        other => panic!("{other:?}"),
    }
}

async fn with_rows() -> Table {
    let table = Table::new().await;
    for (sk, state) in [("grant", "invited"), ("programme", "open"), ("ask", "new")] {
        let put = table.direct.put_item().table_name("bursar").set_item(Some(item(sk, state)));
        put.send().await.unwrap();
    }
    table
}

#[tokio::test]
async fn a_transaction_is_cancelled_with_a_reason_for_each_item_and_not_tried_again() {
    for (text, code) in [("conflict", "TransactionConflict"), ("throttle-item", "ThrottlingError")] {
        let table = with_rows().await;
        table.gate.at("dynamodb:TransactWriteItems", verdict(text));
        let reasons = cancelled(&table).await;
        assert_eq!(codes(&reasons), ["None", "None", "None", code]);
        assert_eq!(table.gate.count(), 1);
        assert!(!table.has("plain").await && table.has("ask").await);
        transact(&table).await.unwrap();
    }
}
