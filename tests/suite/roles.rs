//! Roles by address, found without reading programmes of other people.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::programme::role::Role;
use bursar_core::domain::programme::{Budget, Programme};
use bursar_tests::campus::{Campus, address};
use serde_json::{Value, json};

#[tokio::test]
async fn an_unreadable_programme_keeps_nobody_else_out() {
    let mut campus = Campus::open().await;
    let broken = campus
        .programme("Maths", |settings| {
            settings.people.faculty = vec![address("max")];
        })
        .await;
    let faye = address("Faye@example.edu");
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = vec![faye.clone()];
        })
        .await;
    // What its making caused is over before the item is corrupted by hand; then its budget changes.
    campus.settle().await;
    let (programme, budget) = (Programme::key_of(&broken), Budget::key_of(&broken));
    let text = |text: &str| AttributeValue::S(text.to_owned());
    for mut item in campus.raw().items().await {
        let is_at = |pk: &str, sk: &str| item["pk"] == text(pk) && item["sk"] == text(sk);
        if is_at(&programme.pk, &programme.sk) {
            item.retain(|name, _| ["pk", "sk", "kind"].contains(&name.as_str()));
        } else if is_at(&budget.pk, &budget.sk) {
            item.insert("touched".to_owned(), text("now"));
        } else {
            continue;
        }
        campus.raw().put(item).await;
    }

    let known = campus.table.known(faye.matched()).await.unwrap().unwrap();
    assert_eq!(
        (known.address.as_written(), known.has_role),
        ("Faye@example.edu", true)
    );
    assert_eq!(
        campus
            .table
            .known(address("stranger").matched())
            .await
            .unwrap(),
        None
    );
    let of_faye = campus
        .table
        .programmes_of(faye.matched(), false)
        .await
        .unwrap();
    let of_faye: Vec<_> = of_faye
        .iter()
        .map(|(programme, role)| (programme.id.as_str(), *role))
        .collect();
    assert_eq!(of_faye, [("cs-pilot", Role::Faculty)]);

    let browser = campus.student("faye").await;
    browser.get("/console").await.expect(200);
    let data: Value = serde_json::from_str(&browser.get("/my/data").await.body).unwrap();
    assert_eq!(
        data["roles"],
        json!([{"programme": "cs-pilot", "role": "faculty"}])
    );
    campus.finish_unjudged().await;
}
