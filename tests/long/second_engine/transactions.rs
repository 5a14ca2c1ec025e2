//! Transactions: the idempotency token.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{TransactWriteItem, Update};

use super::{fresh, get, key, n};

#[tokio::test]
async fn a_token_makes_a_repeated_transaction_take_effect_once() {
    let table = fresh().await;
    let adds = async |token: &str, by: u32| {
        let update = Update::builder()
            .table_name(&table.name)
            .set_key(Some(key("T", "T")))
            .update_expression("ADD tries :by")
            .expression_attribute_values(":by", n(by));
        let part = TransactWriteItem::builder()
            .update(update.build().unwrap())
            .build();
        // Tokens are shared by the whole account, so the table's name is added.
        let token = format!("{}-{token}", table.name);
        let request = table
            .client
            .transact_write_items()
            .transact_items(part)
            .client_request_token(token);
        request.send().await.map_err(SdkError::into_service_error)
    };

    for _ in 0..3 {
        adds("one", 1).await.unwrap();
    }
    assert_eq!(get(&table, "T", "T").await.unwrap()["tries"], n(1));

    adds("two", 1).await.unwrap();
    assert_eq!(get(&table, "T", "T").await.unwrap()["tries"], n(2));

    let other = adds("one", 5).await.unwrap_err();
    assert!(
        other.is_idempotent_parameter_mismatch_exception(),
        "{other:?}"
    );
    assert_eq!(get(&table, "T", "T").await.unwrap()["tries"], n(2));
}
