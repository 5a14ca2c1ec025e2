//! The test to begin a new one from: a student spends most of a cap, is told so, and gets a new key
//! for the rest.

use bursar_core::domain::values::money::Usd;
use bursar_tests::campus::Campus;

#[tokio::test]
async fn a_student_is_told_of_a_cap_and_replaces_the_key() {
    let mut campus = Campus::open().await;
    campus
        .programme("CS pilot", |settings| {
            settings.allowance.cap = Usd::from_dollars(5);
        })
        .await;
    campus.students_with_keys(&["ada", "bob"]).await;
    campus.spend("ada", "4.50");
    campus.sync().await;
    campus.settle().await;
    let told = campus.mails("student");
    assert_eq!((told.len(), told[0].to.as_str()), (1, "ada@example.edu"));

    let ada = campus.student("ada").await;
    campus.press(&ada, "replace").await.expect(200).one("key");
    assert_eq!(campus.key("ada").limit.unwrap().to_string(), "0.5");
    campus.finish().await;
}
