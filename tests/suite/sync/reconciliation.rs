//! Whether the books agree: the opening, what our and foreign keys used, and the residual.

use bursar_core::domain::values::money::Usd;
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_local::provider::Nano;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, HeldCalls, Matcher};
use serde_json::{Value, json};

use super::{ACCOUNT, complete, quiet};

fn elsewhere(campus: &Campus, dollars: &str) {
    campus.provider().spend_elsewhere(Nano::parse(dollars).unwrap()).unwrap();
}

/// A sync at whose held call these keys spend.
async fn spending(campus: &Campus, held: HeldCalls, uses: [(&str, &str); 2]) -> Value {
    let meanwhile = async {
        held.arrived().await;
        uses.iter().for_each(|(key, dollars)| campus.spend_on(key, dollars));
        drop(held);
    };
    tokio::join!(complete(campus), meanwhile).0
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
    campus.students(&["dan"]).await;
    campus.keys().await;
    campus.spend("dan", "0.50");
    complete(&campus).await;
    campus.provider().delete(&campus.key("dan").hash).unwrap();
    elsewhere(&campus, "0.25");
    let report = campus.sync().await;
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(true), &json!("0.250000")), "{report}");
    let day = campus.table.newest_account_days(1).await.unwrap().pop().unwrap();
    let dollars = [day.opening, day.residual, day.spent, day.ours, day.ours_gone, day.foreign, day.foreign_gone];
    let expected = [7_000_000, 250_000, 13_750_000, 1_000_000, 500_000, 2_000_000, 3_000_000];
    assert_eq!(dollars.map(Usd::micros), expected, "keys that are gone are not forgotten");
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test]
async fn use_during_a_listing_raises_no_alarm() {
    let campus = Campus::with_keys(&["ada"]).await;
    let (key, by_hand) = (campus.key("ada").hash, campus.foreign("by hand"));
    let uses = [(&*key, "1.234567"), (&*by_hand, "7.654321")];
    complete(&campus).await;
    // A key whose name no longer identifies it is read by its hash after everything else.
    let own = campus.key("ada").name;
    campus.provider().change_by_hand(&key, &json!({"name": "another"})).unwrap();
    spending(&campus, campus.gate.hold(Matcher::call("provider:GET /keys/{hash}").of(UsageSync)), uses).await;
    campus.provider().change_by_hand(&key, &json!({ "name": own })).unwrap();
    for call in ["provider:GET /keys", "provider:GET /workspaces"] {
        let matcher = || Matcher::call(call).of(UsageSync);
        spending(&campus, campus.gate.hold(matcher()), uses).await;
        spending(&campus, campus.gate.hold_answers(matcher()), uses).await;
    }
    // Each number is rounded by less than a micro-dollar, so a difference of that much for each key means nothing.
    elsewhere(&campus, "0.000002");
    campus.sync().await;
    campus.settle().await;
    assert_eq!(campus.subjects("account"), Vec::<String>::new());
    elsewhere(&campus, "0.000001");
    for told in [1, 0] {
        assert_eq!(campus.sync().await["residual_usd"], "0.000003");
        campus.settle().await;
        assert_eq!(campus.mails("account").len(), told, "once a day");
    }
    campus.finish().await;
}

#[tokio::test]
async fn each_complete_sync_leaves_a_cut() {
    let campus = quiet(&["ada"]).await;
    let (key, by_hand) = (campus.key("ada").hash, campus.foreign("by hand"));
    elsewhere(&campus, "40");
    let held = campus.gate.hold(Matcher::call("provider:GET /keys").of(UsageSync));
    spending(&campus, held, [(&key, "0.1"), (&by_hand, "0.2")]).await;
    campus.hours(24);
    complete(&campus).await;
    campus.hours(24);
    campus.spend("ada", "1");
    elsewhere(&campus, "0.3");
    campus.gate.at(Matcher::call("provider:GET /credits").of(UsageSync).nth(2), Fault::Status(400));
    assert_eq!(campus.sync().await["complete"], false);
    assert_eq!(campus.sync().await["residual_usd"], "0.300000");
    let cuts = campus.table.cuts().await.unwrap();
    let parts = cuts.iter().map(|cut| {
        let amounts =
            [cut.programmes[0].used.credits, cut.foreign, cut.opening, cut.residual, cut.unsettled, cut.spent.after];
        amounts.map(Usd::micros)
    });
    let expected = [
        [100_000, 200_000, 39_700_000, 0, 300_000, 40_300_000],
        // It was spent while the first one listed.
        [100_000, 200_000, 40_000_000, 0, 0, 40_300_000],
        [1_100_000, 200_000, 40_000_000, 300_000, 0, 41_600_000],
    ];
    assert_eq!(parts.collect::<Vec<_>>(), expected);
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
        all.retain(|subject| subject.starts_with("No key explains") || subject.starts_with("Keys spent"));
        all
    };
    let explains = |dollars: i32| vec![format!("No key explains ${dollars} that the account spent")];
    let none = Vec::<String>::new();
    // What is spent elsewhere, the residual that it makes, and what is mailed of it.
    for (dollars, residual, told) in [
        ("5", "5.000000", explains(5)),
        ("0", "5.000000", none.clone()),
        ("0", "5.000000", none.clone()),
        ("2", "7.000000", explains(2)),
        ("0", "7.000000", none.clone()),
        ("-7", "0.000000", vec!["Keys spent $7 more than the account did".to_owned()]),
    ] {
        campus.hours(24);
        campus.spend("ada", "0.00001");
        elsewhere(&campus, dollars);
        assert_eq!(campus.sync().await["residual_usd"], residual);
        assert_eq!(subjects().await, told, "{dollars}: a refund is news too");
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
