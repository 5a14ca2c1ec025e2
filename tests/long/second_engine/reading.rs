//! Reads: pages and their ends, the sparse index `due`, and batches.

use aws_sdk_dynamodb::types::KeysAndAttributes;
use bursar_core::store::items::Item;
use bursar_tests::invariants::RawTable;

use super::{fresh, item, key, s};

/// A query continues where its last page ended, in either direction.
#[tokio::test]
async fn a_query_goes_on_either_way() {
    let table = fresh().await;
    for grant in 0..23 {
        table.put(item("G#p#0", &format!("g{grant:02}"), [])).await;
    }
    table.put(item("G#p#0", "z", [])).await;
    table.put(item("G#p#1", "g99", [])).await;

    for forward in [true, false] {
        let mut expected: Vec<_> = (0..23).map(|grant| format!("g{grant:02}")).collect();
        if !forward {
            expected.reverse();
        }
        let (pages, found) = all_pages(&table, forward, 7).await;
        assert_eq!(found, expected);
        assert!(pages >= 4, "{pages} pages of seven");
    }
}

async fn all_pages(table: &RawTable, forward: bool, limit: i32) -> (usize, Vec<String>) {
    let (mut pages, mut found, mut from) = (0, Vec::new(), None);
    loop {
        let page = table
            .client
            .query()
            .table_name(&table.name)
            .key_condition_expression("pk = :pk AND begins_with(sk, :g)")
            .expression_attribute_values(":pk", s("G#p#0"))
            .expression_attribute_values(":g", s("g"))
            .scan_index_forward(forward)
            .consistent_read(true)
            .limit(limit)
            .set_exclusive_start_key(from)
            .send()
            .await
            .unwrap();
        pages += 1;
        found.extend(
            page.items()
                .iter()
                .map(|item| item["sk"].as_s().unwrap().clone()),
        );
        from = page.last_evaluated_key;
        if from.is_none() {
            return (pages, found);
        }
    }
}

#[tokio::test]
async fn a_page_ends_at_a_megabyte() {
    let table = fresh().await;
    let body = "x".repeat(300 * 1024);
    for chunk in 0..6 {
        table
            .put(item("I#1", &format!("{chunk}"), [("body", s(&body))]))
            .await;
    }
    let query = || {
        table
            .client
            .query()
            .table_name(&table.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", s("I#1"))
    };

    let first = query().send().await.unwrap();
    assert!(
        (3..=4).contains(&first.count),
        "{} of 300 KB on a page",
        first.count
    );
    let second = query()
        .set_exclusive_start_key(first.last_evaluated_key)
        .send()
        .await
        .unwrap();
    assert_eq!(first.count + second.count, 6);
    assert_eq!(second.last_evaluated_key, None);
}

/// The index holds only rows with a due time, in the order of that time, and only their keys.
#[tokio::test]
async fn the_index_holds_what_is_due() {
    let table = fresh().await;
    let row = |id: &str, due: &str| {
        item(
            &format!("O#{id}"),
            "O",
            [("queue", s("bulk")), ("due", s(due)), ("body", s("…"))],
        )
    };
    table.put(row("c", "2026-11-20T08:03:00Z")).await;
    table.put(row("a", "2026-11-20T08:01:00Z")).await;
    table.put(row("b", "2026-11-20T08:02:00Z")).await;
    table.put(row("d", "2026-11-20T09:00:00Z")).await;
    table.put(item("O#e", "O", [("body", s("sent"))])).await;
    table
        .put(item(
            "O#f",
            "O",
            [("queue", s("urgent")), ("due", s("2026-11-20T08:00:00Z"))],
        ))
        .await;

    let (first, from) = due(&table, "2026-11-20T08:03:00Z", 2, None).await;
    assert_eq!(names(&first), ["O#a", "O#b"]);
    assert_eq!(
        first[0],
        item(
            "O#a",
            "O",
            [("queue", s("bulk")), ("due", s("2026-11-20T08:01:00Z"))]
        ),
        "keys, and no more"
    );
    let (second, _) = due(&table, "2026-11-20T08:03:00Z", 2, from).await;
    assert_eq!(names(&second), ["O#c"]);

    // A sent mail: without its queue attribute a row leaves the index.
    table
        .client
        .update_item()
        .table_name(&table.name)
        .set_key(Some(key("O#a", "O")))
        .update_expression("REMOVE #queue, #due")
        .expression_attribute_names("#queue", "queue")
        .expression_attribute_names("#due", "due")
        .send()
        .await
        .unwrap();
    let (left, _) = due(&table, "2026-11-20T08:03:00Z", 10, None).await;
    assert_eq!(names(&left), ["O#b", "O#c"]);
}

async fn due(
    table: &RawTable,
    until: &str,
    limit: i32,
    from: Option<Item>,
) -> (Vec<Item>, Option<Item>) {
    let page = table
        .client
        .query()
        .table_name(&table.name)
        .index_name("due")
        .key_condition_expression("#queue = :queue AND #due <= :until")
        .expression_attribute_names("#queue", "queue")
        .expression_attribute_names("#due", "due")
        .expression_attribute_values(":queue", s("bulk"))
        .expression_attribute_values(":until", s(until))
        .limit(limit)
        .set_exclusive_start_key(from)
        .send()
        .await
        .unwrap();
    (page.items.unwrap_or_default(), page.last_evaluated_key)
}

fn names(items: &[Item]) -> Vec<&str> {
    items
        .iter()
        .map(|item| item["pk"].as_s().unwrap().as_str())
        .collect()
}

/// A batch reads a hundred items and leaves out those that do not exist.
#[tokio::test]
async fn a_batch_skips_missing_items() {
    let table = fresh().await;
    for grant in (0..100).step_by(2) {
        table.put(item("G#p#0", &format!("g{grant:02}"), [])).await;
    }
    let keys: Vec<_> = (0..100)
        .map(|grant| key("G#p#0", &format!("g{grant:02}")))
        .collect();
    let wanted = KeysAndAttributes::builder()
        .set_keys(Some(keys))
        .consistent_read(true)
        .build()
        .unwrap();

    let answer = table
        .client
        .batch_get_item()
        .request_items(&table.name, wanted)
        .send()
        .await
        .unwrap();

    assert_eq!(answer.responses.unwrap()[&table.name].len(), 50);
    assert!(answer.unprocessed_keys.unwrap_or_default().is_empty());
}
