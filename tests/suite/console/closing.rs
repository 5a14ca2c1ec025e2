//! The close-out: its sums add up to the cent, and it says what a pilot showed.

use bursar_tests::stack::{self};
use bursar_tests::visitor::Page;
use jiff::SignedDuration;

use super::report::{looked, programme, rows, student, used};
use super::signed_in;

const ID: &str = "/console/programmes/cs-pilot";

fn cents(page: &Page, hook: &str) -> Vec<i64> {
    let all = page.attributes(hook, "data-usd");
    all.iter().map(|usd| usd.replace('.', "").parse::<i64>().unwrap()).collect()
}

#[tokio::test]
async fn a_close_out_adds_up_to_the_cent_by_person_and_by_group_and_says_what_is_not_final() {
    let stack = stack::in_process().await.unwrap();
    let office = programme(&stack, "CS pilot", "faye@example.edu").await;
    let (ada, bob) = (
        student(&stack, &office, "ada@x.edu", Some("A")).await,
        student(&stack, &office, "bob@x.edu", Some("A")).await,
    );
    let eve = student(&stack, &office, "eve@x.edu", None).await;
    student(&stack, &office, "idle@x.edu", Some("=B")).await;
    for grant in [&ada, &bob, &eve] {
        office.claim(grant).await;
    }
    let now = stack.clock.now();
    for (grant, micros) in [(&ada, 1_003_300), (&bob, 2_003_300), (&eve, 3_003_301)] {
        used(&office, grant, now, &[(2, micros)]).await;
    }
    looked(&office, now, 9, 1).await;
    let (faye, anna) = (signed_in(&stack, "faye@example.edu").await, signed_in(&stack, "anna@example.edu").await);
    let page = faye.get(&format!("{ID}/closeout")).await.expect(200);
    assert_eq!(page.attribute("closeout-spent", "data-usd").as_deref(), Some("6.009901"));
    assert_eq!(page.text("closeout-spent").as_deref(), Some("$6.01"));
    assert_eq!(cents(&page, "closeout-person"), [3_010_000, 0, 1_000_000, 2_000_000]);
    let names: Vec<_> = ["eve@x.edu", "idle@x.edu", "ada@x.edu", "bob@x.edu"].into_iter().collect();
    assert!(names.iter().all(|name| page.readable().contains(name)), "{}", page.readable());
    assert_eq!(cents(&page, "closeout-group").iter().sum::<i64>(), 6_010_000);
    assert_eq!(page.text("closeout-unclaimed").as_deref(), Some("1 of 4"));
    assert_eq!(page.attribute("closeout-unclaimed", "data-usd").as_deref(), Some("20.000000"));
    assert_eq!(page.texts("preliminary"), ["These figures are preliminary. The programme is not over yet."]);
    assert!(page.readable().contains("Cost code =CS 4711") && page.readable().contains("Not spent $93.99"));

    let file = faye.get(&format!("{ID}/closeout.csv")).await.expect(200);
    let mut read = csv::Reader::from_reader(file.body.as_bytes());
    let all: Vec<std::collections::BTreeMap<String, String>> = read.deserialize().map(Result::unwrap).collect();
    let spent: Vec<_> = all.iter().map(|row| (row["email"].as_str(), row["spent_usd"].as_str())).collect();
    let expected =
        [("eve@x.edu", "3.003301"), ("idle@x.edu", "0.000000"), ("ada@x.edu", "1.003300"), ("bob@x.edu", "2.003300")];
    assert_eq!(spent, expected);
    assert!(all[1]["group"] == "'=B" && all[1]["claimed_at"].is_empty() && !all[0]["claimed_at"].is_empty());
    let report = faye.get(&format!("{ID}/report.csv")).await.expect(200);
    assert_eq!(rows(&report)[0]["spent_usd"], "6.009901", "what the report says too");

    let seen = anna.get(&format!("{ID}/closeout")).await.expect(200);
    let file = anna.get(&format!("{ID}/closeout.csv")).await.expect(200);
    assert!(!seen.readable().contains("@x.edu") && seen.readable().contains(ada.as_str()));
    assert!(!file.body.contains("@x.edu") && file.body.contains(ada.as_str()), "{}", file.body);

    // The term ends, and no sync has looked since.
    stack.schedules.stop().await;
    stack.clock.advance(SignedDuration::from_hours(24 * 60)).unwrap();
    let faye = signed_in(&stack, "faye@example.edu").await;
    let page = faye.get(&format!("{ID}/closeout")).await.expect(200);
    assert!(page.readable().contains("Some keys have not been ended yet."), "{}", page.readable());
    stack.finish().await;
}

#[tokio::test]
async fn a_close_out_says_how_many_used_it_what_a_week_cost_and_what_other_students_may_cost() {
    let stack = stack::in_process().await.unwrap();
    let office = programme(&stack, "CS pilot", "faye@example.edu").await;
    let faye = signed_in(&stack, "faye@example.edu").await;
    let empty = faye.get(&format!("{ID}/closeout?students=5")).await.expect(200);
    assert!(empty.readable().contains("Nobody has spent anything yet") && empty.all("pilot-projection").is_empty());
    let now = stack.clock.now();
    for (name, spent) in [("ada", 2_000_000), ("bob", 4_000_000), ("eve", 0)] {
        let grant = student(&stack, &office, &format!("{name}@x.edu"), None).await;
        office.claim(&grant).await;
        // Two weeks of use that lie four weeks apart, whatever today is.
        used(&office, &grant, now, &[(30, spent / 2), (2, spent / 2)]).await;
    }
    student(&stack, &office, "idle@x.edu", None).await;
    looked(&office, now, 9, 1).await;

    let page = faye.get(&format!("{ID}/closeout")).await.expect(200);
    assert_eq!(
        (page.text("pilot-claimed").as_deref(), page.text("pilot-used").as_deref()),
        (Some("3 of 4"), Some("2 of 4"))
    );
    let usd = |page: &Page, hook: &str, name: &str| page.attribute(hook, name).unwrap();
    assert_eq!(usd(&page, "pilot-cost-per-active-week", "data-usd"), "1.500000");
    let projection = |page: &Page| ["data-low-usd", "data-high-usd"].map(|name| usd(page, "pilot-projection", name));
    assert_eq!(projection(&page), ["6.000000", "16.000000"], "of the roster's four");
    let page = faye.get(&format!("{ID}/closeout?students=200")).await.expect(200);
    assert_eq!(projection(&page), ["300.000000", "800.000000"]);
    for wrong in ["0", "-1", "many", "1000001"] {
        let page = faye.get(&format!("{ID}/closeout?students={wrong}")).await.expect(422);
        assert!(page.alert().is_some_and(|alert| alert.contains("from 1 to 1,000,000")), "{}", page.readable());
        assert_eq!(page.form(&format!("{ID}/closeout")).value("students"), Some(wrong));
    }
    stack.finish().await;
}
