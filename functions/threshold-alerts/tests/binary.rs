//! The binary as Lambda starts it.

use bursar_tests::binary;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_threshold-alerts");

#[tokio::test]
async fn an_event_is_answered_where_the_table_is_empty() {
    let answer = binary::answer(PROGRAM, json!({"task": "watch"})).await;
    assert_eq!((&answer["programmes"], &answer["crossings"]), (&json!(0), &json!(0)), "{answer}");
}
