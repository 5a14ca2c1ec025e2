//! The binary as Lambda starts it.

use bursar_tests::binary;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_console");

#[tokio::test]
async fn an_event_is_answered_where_the_table_is_empty() {
    let answer = binary::answer(PROGRAM, json!({"task": "work"})).await;
    assert_eq!(answer, json!({"settled": 0, "put_off": 0}));
}
