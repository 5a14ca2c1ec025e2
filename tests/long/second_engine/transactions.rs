//! Transactions: the idempotency token, and the greatest number of parts.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};
use bursar_tests::invariants::RawTable;

use super::{fresh, get, key, n};

#[tokio::test]
async fn a_token_makes_a_repeated_transaction_take_effect_once() {
    let table = fresh().await;
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
    assert_eq!(get(&table, "T", "T").await.unwrap()["tries"], n(1));

    write(&table, Some("two"), count(1)).await.unwrap();
    assert_eq!(get(&table, "T", "T").await.unwrap()["tries"], n(2));

    let other = write(&table, Some("one"), count(5)).await.unwrap_err();
    assert!(other.is_idempotent_parameter_mismatch_exception(), "{other:?}");
    assert_eq!(get(&table, "T", "T").await.unwrap()["tries"], n(2));
}

#[tokio::test]
async fn a_hundred_parts_go_into_one_transaction() {
    let table = fresh().await;
    let parts: Vec<_> = (0..100).map(|row| put_new(&table, "I#1", &format!("{row:03}"))).collect();
    write(&table, None, parts).await.unwrap();
    assert!(get(&table, "I#1", "099").await.is_some());
}

async fn write(
    table: &RawTable,
    token: Option<&str>,
    parts: impl IntoIterator<Item = TransactWriteItem>,
) -> Result<(), TransactWriteItemsError> {
    // Tokens are shared by the whole account, so the table's name is added.
    let token = token.map(|token| format!("{}-{token}", table.name));
    let request = table
        .client
        .transact_write_items()
        .set_transact_items(Some(parts.into_iter().collect()))
        .set_client_request_token(token);
    request.send().await.map(drop).map_err(SdkError::into_service_error)
}

fn put_new(table: &RawTable, pk: &str, sk: &str) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(&table.name)
        .set_item(Some(key(pk, sk)))
        .condition_expression("attribute_not_exists(pk)");
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}
