//! Writes of one item: of concurrent conditional writes one succeeds, and numbers are stored to the last digit.

use super::{fresh, get, item, n};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_racing_conditional_puts_exactly_one_wins() {
    let table = fresh().await;
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
    assert_eq!(get(&table, "L#hash", "L").await.unwrap()["racer"], n(winners[0]));
}

#[tokio::test]
async fn numbers_keep_every_digit() {
    let table = fresh().await;
    let exact = "12345678901234567890123456789012345678";
    table.put(item("P#p", "BUDGET", [("reserved", n(exact)), ("owed", n("-4000000000"))])).await;

    let budget = get(&table, "P#p", "BUDGET").await.unwrap();
    assert_eq!(budget["reserved"], n(exact));
    assert_eq!(budget["owed"], n("-4000000000"));
}
