//! The settings behind alerts and digests: accepted values, the errors for others, and what is shown afterwards.

use bursar_core::domain::programme::Weekday;
use bursar_core::store::Table;
use bursar_tests::stack;

use super::{ADMIN, PLAIN, signed_in, watch};

const ID: &str = "/console/programmes/cs-pilot";

#[tokio::test]
async fn thresholds_recipients_terms_the_digests_day_and_the_pot_are_edited_and_stand_as_they_were_meant() {
    let stack = stack::in_process().await.unwrap();
    let mut watch = watch(&stack);
    watch.check().await;
    let admin = signed_in(&stack, ADMIN).await;
    admin.submit(&admin.get("/console/programmes/new").await, "/console/programmes", &PLAIN).await;
    watch.check().await;
    let table = Table::new(&stack.config);
    let id = "cs-pilot".parse().unwrap();
    for (field, typed, stands) in [
        ("thresholds", "100 5,80%\n5", "5,80,100"),
        ("thresholds", "", "50,80,95,100"),
        ("faculty", "Faye@Example.edu, fred@example.edu faye@example.edu", "Faye@Example.edu\nfred@example.edu"),
        ("assistants", "asta@example.edu", "asta@example.edu"),
        ("terms", "Be fair.\r\nBe kind.", "Be fair.\nBe kind."),
        ("digest", "friday", "friday"),
        ("digest", "never", "never"),
        ("pot_usd", "$4,000.50", ""),
        ("pot_usd", "$4000.50", "4000.50"),
    ] {
        let edited = admin.submit(&admin.get(ID).await, ID, &[(field, typed)]).await;
        if stands.is_empty() {
            assert_eq!((edited.status, edited.alerts().len()), (422, 2), "{field}={typed}: {:?}", edited.alerts());
            continue;
        }
        assert_eq!(edited.status, 303, "{field}={typed}: {:?}", edited.alerts());
        let kept = admin.get(ID).await.form(ID).value(field).unwrap().replace("\r\n", "\n");
        assert_eq!(kept, stands, "{field}={typed}");
        watch.check().await;
    }
    let programme = table.programme(&id).await.unwrap().unwrap();
    assert_eq!((programme.settings.thresholds.as_slice(), programme.settings.digest), (&[50, 80, 95, 100][..], None));
    assert_eq!(programme.settings.terms.as_deref(), Some("Be fair.\nBe kind."));
    assert_eq!(admin.submit(&admin.get(ID).await, ID, &[("digest", "sunday")]).await.status, 303);
    assert_eq!(table.programme(&id).await.unwrap().unwrap().settings.digest, Some(Weekday::Sunday));
    assert_eq!(table.pot(&id).await.unwrap().unwrap().limit.to_string(), "4000.500000");
    watch.check().await;
    stack.finish().await;
}

#[tokio::test]
async fn what_alerts_cannot_rest_on_is_refused_with_its_reason() {
    let stack = stack::in_process().await.unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    admin.submit(&admin.get("/console/programmes/new").await, "/console/programmes", &PLAIN).await;
    let numbers = |count: u32| (1..=count).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let people: Vec<String> = (0..51).map(|number| format!("p{number}@example.edu")).collect();
    for (field, typed, says) in [
        ("thresholds", "50,101".to_owned(), "101: write whole numbers from 1 to 100"),
        ("thresholds", "0".to_owned(), "0: write whole numbers from 1 to 100"),
        ("thresholds", "80.5".to_owned(), "80.5: write whole numbers"),
        ("thresholds", "-80".to_owned(), "-80: write whole numbers"),
        ("thresholds", numbers(21), "At most 20 thresholds."),
        ("faculty", people.join(" "), "At most 50 people."),
        ("assistants", "asta@".to_owned(), "asta@: "),
        ("digest", "weekly".to_owned(), "Choose one of the list."),
        ("pot_usd", "a lot".to_owned(), "."),
    ] {
        let refused = admin.submit(&admin.get(ID).await, ID, &[(field, typed.as_str())]).await;
        let alerts = refused.alerts();
        assert_eq!(refused.status, 422, "{field}={typed}");
        assert!(alerts.len() == 2 && alerts[1].contains(says), "{field}={typed}: {alerts:?}");
    }
    for most in [21, 20] {
        let assistants = people[..21].join("\n");
        let fields = [("assistants", assistants.as_str()), ("alert_assistants", &people[..most].join("\n"))];
        let edited = admin.submit(&admin.get(ID).await, ID, &fields).await;
        match most {
            20 => assert_eq!(edited.status, 303, "{:?}", edited.alerts()),
            _ => assert!(
                edited.status == 422 && edited.alerts()[1].contains("At most 20 people."),
                "{:?}",
                edited.alerts()
            ),
        }
    }
    let most = admin.submit(&admin.get(ID).await, ID, &[("thresholds", numbers(20).as_str())]).await;
    assert_eq!(most.status, 303);
    stack.finish().await;
}
