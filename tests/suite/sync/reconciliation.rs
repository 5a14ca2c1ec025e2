//! Whether the books agree: the opening, what our and foreign keys used, and the residual.

use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::values::money::Usd;
use bursar_local::provider::Nano;
use bursar_tests::campus::{Campus, reports};
use serde_json::json;

use super::{ACCOUNT, complete, quiet};

fn elsewhere(campus: &Campus, dollars: &str) {
    campus
        .provider()
        .spend_elsewhere(Nano::parse(dollars).unwrap())
        .unwrap();
}

#[tokio::test]
async fn every_dollar_is_the_openings_a_keys_or_the_residual() {
    let mut campus = quiet(&["ada"]).await;
    let [by_hand, deleted] = ["by hand", "deleted"].map(|name| campus.foreign(name));
    elsewhere(&campus, "7");
    campus.spend("ada", "1");
    campus.spend_on(&by_hand, "2");
    campus.spend_on(&deleted, "3");
    assert_eq!(complete(&campus).await["account_balance_usd"], "987.000000");
    campus.judged_after_sync().await;

    campus.hours(24);
    campus.provider().delete(&deleted).unwrap();
    campus.students_with_keys(&["dan"]).await;
    campus.spend("dan", "0.50");
    complete(&campus).await;
    campus.provider().delete(&campus.key("dan").hash).unwrap();
    campus.minutes(1);
    elsewhere(&campus, "0.25");
    let report = campus.sync().await;
    reports(
        &report,
        &json!({"complete": true, "residual_usd": "0.250000"}),
    );
    let cut = campus
        .table
        .newest(AccountCut::all(), 1)
        .await
        .unwrap()
        .pop()
        .unwrap();
    let dollars = [
        cut.opening,
        cut.residual,
        cut.spent.after,
        cut.ours(),
        cut.ours_gone,
        cut.foreign,
        cut.foreign_gone,
    ];
    let expected = [
        7_000_000, 250_000, 13_750_000, 1_500_000, 500_000, 5_000_000, 3_000_000,
    ];
    assert_eq!(
        dollars.map(Usd::micros),
        expected,
        "keys that are gone are not forgotten"
    );
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test]
async fn admins_hear_of_what_is_new_of_a_residual() {
    let campus = Campus::with_keys(&["ada"]).await;
    complete(&campus).await;
    let subjects = async || {
        campus.settle().await;
        let mut all = campus.subjects("account");
        all.retain(|subject| subject.contains("explain") || subject.starts_with("Keys spent"));
        all
    };
    let explains =
        |dollars: i32| vec![format!("No key explains ${dollars} that the account spent")];
    let none = Vec::<String>::new();
    // What is spent elsewhere, the residual that it makes, and what is mailed of it.
    for (dollars, residual, told) in [
        ("5", "5.000000", explains(5)),
        ("0", "5.000000", none.clone()),
        ("2", "7.000000", explains(2)),
        (
            "-3",
            "4.000000",
            vec!["No key explains $4 that the account spent, less than before".to_owned()],
        ),
        (
            "-4",
            "0.000000",
            vec!["All spending is explained again".to_owned()],
        ),
        (
            "-2",
            "-2.000000",
            vec!["Keys spent $2 more than the account did".to_owned()],
        ),
        (
            "1",
            "-1.000000",
            vec!["Keys spent $1 more than the account did, less than before".to_owned()],
        ),
        (
            "1",
            "0.000000",
            vec!["All spending is explained again".to_owned()],
        ),
    ] {
        campus.hours(24);
        campus.spend("ada", "0.00001");
        elsewhere(&campus, dollars);
        assert_eq!(campus.sync().await["residual_usd"], residual);
        assert_eq!(subjects().await, told, "{dollars}");
    }
    // More of it on the same day is mailed on the next.
    elsewhere(&campus, "1");
    assert_eq!(campus.sync().await["residual_usd"], "1.000000");
    assert_eq!(subjects().await, none);
    campus.hours(24);
    campus.sync().await;
    assert_eq!(subjects().await, explains(1));
    let page = campus.admin().await.get(ACCOUNT).await.expect(200);
    assert_eq!(page.attributes("residual", "data-usd"), ["1.000000"]);
    campus.finish().await;
}
