//! Conditional writes of one item: who wins, what the loser is told, what an expression may ask.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::{Item, Table, item, key, n, s};

#[tokio::test]
async fn a_conditional_put_takes_effect_once_and_then_hands_back_the_item_that_is_there() {
    let table = Table::fresh().await;
    let put = |nonce: &str| {
        table
            .client
            .put_item()
            .table_name(&table.name)
            .set_item(Some(item("G#p#0", "g", [("nonce", s(nonce))])))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
    };

    put("first").await.unwrap();
    let refused = put("second").await.unwrap_err().into_service_error();

    let PutItemError::ConditionalCheckFailedException(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.item(), Some(&item("G#p#0", "g", [("nonce", s("first"))])));
    assert_eq!(table.get("G#p#0", "g").await.as_ref(), refused.item());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_racing_conditional_puts_exactly_one_wins() {
    let table = Table::fresh().await;
    let racers: Vec<_> = (0..32)
        .map(|racer| {
            let put = table
                .client
                .put_item()
                .table_name(&table.name)
                .set_item(Some(item("L#hash", "L", [("racer", n(racer))])))
                .condition_expression("attribute_not_exists(pk)");
            tokio::spawn(async move { (racer, put.send().await) })
        })
        .collect();

    let mut winners = Vec::new();
    for racer in racers {
        match racer.await.unwrap() {
            (racer, Ok(_)) => winners.push(racer),
            (_, Err(error)) => assert!(error.into_service_error().is_conditional_check_failed_exception()),
        }
    }

    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(table.get("L#hash", "L").await.unwrap()["racer"], n(winners[0]));
}

#[tokio::test]
async fn an_update_tells_the_new_item_when_it_wins_and_the_old_one_when_it_loses() {
    let table = Table::fresh().await;
    table.put(item("G#p#0", "g", [("epoch", n(3)), ("state", s("minting"))])).await;

    let won = update(&table, "SET #state = :live", "epoch = :epoch AND #state = :minting", 3).await.unwrap();
    assert_eq!(won, item("G#p#0", "g", [("epoch", n(3)), ("state", s("live"))]));

    let UpdateItemError::ConditionalCheckFailedException(lost) =
        update(&table, "SET #state = :live", "epoch = :epoch AND #state = :minting", 3).await.unwrap_err()
    else {
        panic!("a second time the condition does not hold");
    };
    assert_eq!(lost.item(), Some(&won));
}

async fn update(table: &Table, expression: &str, condition: &str, epoch: u32) -> Result<Item, UpdateItemError> {
    let answer = table
        .client
        .update_item()
        .table_name(&table.name)
        .set_key(Some(key("G#p#0", "g")))
        .update_expression(expression)
        .condition_expression(condition)
        .expression_attribute_names("#state", "state")
        .expression_attribute_values(":epoch", n(epoch))
        .expression_attribute_values(":minting", s("minting"))
        .expression_attribute_values(":live", s("live"))
        .return_values(ReturnValue::AllNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await;
    answer.map(|answer| answer.attributes.unwrap()).map_err(SdkError::into_service_error)
}

#[tokio::test]
async fn a_reading_is_written_by_maximum_and_makes_its_item_the_first_time() {
    let table = Table::fresh().await;
    for (usage, effect) in [("1999999", true), ("1999999", false), ("20", false), ("20050000", true)] {
        let written = table
            .client
            .update_item()
            .table_name(&table.name)
            .set_key(Some(key("G#p#0", "g#K#00001")))
            .update_expression("SET #usage = :usage")
            .condition_expression("attribute_not_exists(#usage) OR #usage < :usage")
            .expression_attribute_names("#usage", "usage")
            .expression_attribute_values(":usage", n(usage))
            .send()
            .await;
        assert_eq!(written.is_ok(), effect, "{usage}: numbers compare as numbers");
    }
    assert_eq!(table.get("G#p#0", "g#K#00001").await.unwrap()["usage"], n(20_050_000));
}

#[tokio::test]
async fn a_limit_is_a_conditional_add_that_counts_to_its_end_and_not_beyond() {
    let table = Table::fresh().await;
    let mut counted = 0;
    for _ in 0..8 {
        let asked = table
            .client
            .update_item()
            .table_name(&table.name)
            .set_key(Some(key("LIM#who#hour", "LIM")))
            .update_expression("ADD asked :one SET #ttl = if_not_exists(#ttl, :ttl)")
            .condition_expression("attribute_not_exists(asked) OR asked < :five")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":five", n(5))
            .expression_attribute_values(":ttl", n(1_795_000_000 + counted))
            .send()
            .await;
        counted += i64::from(asked.is_ok());
    }
    assert_eq!(counted, 5);
    let expected = item("LIM#who#hour", "LIM", [("asked", n(5)), ("ttl", n(1_795_000_000))]);
    assert_eq!(table.get("LIM#who#hour", "LIM").await, Some(expected));
}

#[tokio::test]
async fn a_map_has_a_size_and_entries_that_come_and_go_by_name() {
    let table = Table::fresh().await;
    table.put(item("A#a", "ME", [("links", AttributeValue::M(HashMap::new()))])).await;
    let change = |expression: &'static str, condition: &'static str, link: &str| {
        let request = table
            .client
            .update_item()
            .table_name(&table.name)
            .set_key(Some(key("A#a", "ME")))
            .update_expression(expression)
            .condition_expression(condition)
            .expression_attribute_names("#link", link);
        if expression.starts_with("SET") {
            let request = request.expression_attribute_values(":until", n(7));
            request.expression_attribute_values(":five", n(5)).send()
        } else {
            request.send()
        }
    };
    let add = |link| change("SET links.#link = :until", "size(links) < :five", link);

    for link in ["l1", "l2", "l3", "l4", "l5"] {
        add(link).await.unwrap();
    }
    let full = add("l6").await.unwrap_err().into_service_error();
    assert!(full.is_conditional_check_failed_exception(), "{full:?}");

    change("REMOVE links.#link", "attribute_exists(links.#link)", "l2").await.unwrap();
    let gone = change("REMOVE links.#link", "attribute_exists(links.#link)", "l2").await.unwrap_err();
    assert!(gone.into_service_error().is_conditional_check_failed_exception());

    add("l6").await.unwrap();
    let links = table.get("A#a", "ME").await.unwrap()["links"].as_m().unwrap().clone();
    let mut names: Vec<_> = links.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["l1", "l3", "l4", "l5", "l6"]);
}

#[tokio::test]
async fn a_delete_may_have_a_condition_and_without_one_deletes_what_is_not_there() {
    let table = Table::fresh().await;
    table.put(item("LEASE", "sync", [("fence", n(2))])).await;
    let release = |fence: u32| {
        table
            .client
            .delete_item()
            .table_name(&table.name)
            .set_key(Some(key("LEASE", "sync")))
            .condition_expression("fence = :fence")
            .expression_attribute_values(":fence", n(fence))
            .send()
    };

    let stale = release(1).await.unwrap_err().into_service_error();
    assert!(stale.is_conditional_check_failed_exception());
    release(2).await.unwrap();
    assert_eq!(table.get("LEASE", "sync").await, None);
    assert!(release(2).await.is_err(), "there is no fence to be equal to");

    table.client.delete_item().table_name(&table.name).set_key(Some(key("LEASE", "sync"))).send().await.unwrap();
}

#[tokio::test]
async fn numbers_keep_every_digit() {
    let table = Table::fresh().await;
    let exact = "12345678901234567890123456789012345678";
    table.put(item("P#p", "POT", [("reserved", n(exact)), ("owed", n("-4000000000"))])).await;

    let pot = table.get("P#p", "POT").await.unwrap();
    assert_eq!(pot["reserved"], n(exact));
    assert_eq!(pot["owed"], n("-4000000000"));
}
