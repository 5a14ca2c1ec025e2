//! The binary as Lambda starts it.

use bursar_tests::binary;

const PROGRAM: &str = env!("CARGO_BIN_EXE_claim");

#[tokio::test]
async fn a_start_without_variables_names_them_all() {
    binary::refuses_to_start_without_variables(PROGRAM).await;
}

#[tokio::test]
async fn an_event_is_answered_where_the_table_is_empty() {
    let answer = binary::answer(PROGRAM, binary::page("/")).await;
    assert_eq!(answer["statusCode"], 200);
    assert!(
        answer["body"]
            .as_str()
            .unwrap()
            .contains("action=\"/link\""),
        "{answer}"
    );
}
