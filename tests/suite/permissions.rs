//! Least privilege: what a stack holds at its end, and the item that any function may have to make.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::store::keys;
use bursar_local::invoke::FunctionName;
use bursar_tests::invariants::RawTable;
use bursar_tests::office::{Office, session_cookie};
use bursar_tests::permissions::{On, Used, used};
use bursar_tests::stack::{self};
use bursar_tests::visitor::Visitor;
use serde_json::json;

#[tokio::test]
async fn whichever_function_is_the_first_in_a_table_makes_the_item_of_the_deployment() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let grant = office.invite("ada@example.edu").await;
    let (ada, cookie) = (Visitor::new(&stack.ready.web), session_cookie(&stack, "ada@example.edu").await);
    let (name, value) = cookie.split_once('=').unwrap();
    ada.set_cookie(name, value);
    let (raw, meta) = (RawTable::at(&stack.ready.dynamodb, &stack.ready.table), keys::meta());
    for first in [FunctionName::Mail, FunctionName::ThresholdAlerts, FunctionName::UsageSync, FunctionName::Claim] {
        let delete = raw.client().delete_item().table_name(raw.name());
        let text = |text: &str| AttributeValue::S(text.to_owned());
        delete.key("pk", text(&meta.pk)).key("sk", text(&meta.sk)).send().await.unwrap();
        match first {
            FunctionName::Mail => drop(stack.invoke.invoke(first, json!({"task": "drain"})).await.unwrap()),
            FunctionName::ThresholdAlerts => drop(stack.invoke.invoke(first, json!({"task": "watch"})).await.unwrap()),
            FunctionName::UsageSync => drop(stack.invoke.invoke(first, json!({})).await.unwrap()),
            FunctionName::Claim | FunctionName::Console => {
                let reveal = ada.get("/my").await.form(&format!("/my/{}/reveal", office.at(&grant).programme));
                ada.send_form(&reveal).await.expect(200);
            }
        }
        assert!(office.table.known_meta().await.unwrap().is_some(), "{first}");
        // What the end of each stack is held by is seen: the calls of each function, by their parts.
        let put = Used { function: first, action: "dynamodb:PutItem".to_owned(), on: On::Partition("META".to_owned()) };
        assert!(used(&stack).contains(&put), "{put}");
    }
    stack.finish().await;
}
