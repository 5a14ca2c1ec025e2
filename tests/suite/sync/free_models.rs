//! The account's free models: what each sync keeps of them, who hears that they are used up, and where students
//! read it.

use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::credit::free::FreeRequests;
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::programme::Settings;
use bursar_core::store::Author;
use bursar_local::invoke::FunctionName;
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::soon;
use serde_json::json;

use super::{ADMIN, hours, in_the_morning, invite, mint, provider, rich, signed_in, sync, watch};

const ACCOUNT: &str = "/console/account";

#[tokio::test]
async fn a_day_whose_free_models_are_used_up_is_told_to_admins_and_to_those_who_may_call_them_until_midnight() {
    let stack = in_the_morning().await;
    let [open, listed, free] = [rich(&stack).await, rich(&stack).await, rich(&stack).await];
    for (office, model) in [(&listed, "openai/gpt-4o-mini"), (&free, "meta-llama/llama-3.3-70b-instruct:free")] {
        let programme = office.table.programme(&office.programme).await.unwrap().unwrap();
        let settings = Settings { models: vec![model.to_owned()], ..programme.settings };
        let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
        let what = AuditDetail::new(Act::Edited);
        office.table.save_settings(&office.programme, settings, programme.version, what, by).await.unwrap();
    }
    // What keys may call is known once the provider has confirmed it.
    stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    for (office, name) in [(&open, "ada"), (&listed, "ben"), (&free, "cat")] {
        let grant = invite(&stack, office, name, None).await;
        mint(&stack, office, &grant).await;
    }
    let mut watch = watch(&stack);
    let told = async |name: &str| {
        let page = signed_in(&stack, &format!("{name}@x.edu")).await.get("/my").await.expect(200);
        page.texts("no-free-models")
    };
    let nothing = Vec::<String>::new();
    provider(&stack).set_free_requests(999, 1_000);
    sync(&stack).await;
    assert_eq!(told("ada").await, nothing);
    let kept = open.table.free_allowance().await.unwrap().unwrap();
    assert_eq!(kept.requests, FreeRequests { used: Some(999), limit: Some(1_000), remaining: Some(1) });
    assert_eq!(kept.as_of, stack.clock.now());

    stack.clock.advance(hours(1)).unwrap();
    provider(&stack).set_free_requests(1_000, 1_000);
    for _ in 0..2 {
        sync(&stack).await;
    }
    watch.check().await;
    let alarms = open.table.alarms(20).await.unwrap();
    let used_up = alarms.iter().filter(|alarm| matches!(alarm.cause, Cause::FreeModelsUsedUp { .. }));
    assert_eq!(used_up.count(), 1, "once a day: {alarms:?}");
    let [ada, ben, cat] = [told("ada").await, told("ben").await, told("cat").await];
    assert!(ada.len() == 1 && ada[0].contains("used up for today") && ada[0].ends_with("Models that cost money work."));
    assert!(ada[0].contains("00:00 (UTC)"), "{ada:?}");
    assert_eq!(ben, nothing, "those may not call them");
    assert!(cat.len() == 1 && !cat[0].contains("cost money"), "{cat:?}");
    let page = signed_in(&stack, ADMIN).await.get(ACCOUNT).await.expect(200);
    assert_eq!(page.attributes("free-models", "data-used"), ["1000"]);
    assert_eq!(page.attributes("free-models", "data-limit"), ["1000"]);
    assert!(page.texts("free-models")[0].contains("none is left until"), "{:?}", page.texts("free-models"));

    // Midnight has passed, and no sync has asked since.
    stack.clock.advance(hours(24)).unwrap();
    assert_eq!(told("ada").await, nothing);
    let page = signed_in(&stack, ADMIN).await.get(ACCOUNT).await.expect(200);
    assert!(page.texts("free-models")[0].contains("nothing is known of today"), "{:?}", page.texts("free-models"));
    stack.finish().await;
}

#[tokio::test]
async fn an_account_that_says_nothing_of_free_models_is_synced_like_any_other() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let page = admin.get(ACCOUNT).await.expect(200);
    assert!(page.texts("free-models")[0].contains("no sync has asked"), "{:?}", page.texts("free-models"));
    provider(&stack).set_free_requests(50, 50);
    provider(&stack).set_quirks(|quirks| quirks.absent_fields = vec!["free_model_daily_requests"]);
    assert_eq!(sync(&stack).await["complete"], json!(true));
    assert_eq!(office.table.free_allowance().await.unwrap().unwrap().requests, FreeRequests::default());
    assert_eq!(office.table.alarms(20).await.unwrap(), []);
    let page = admin.get(ACCOUNT).await;
    assert!(page.texts("free-models")[0].contains("the provider did not say it"), "{:?}", page.texts("free-models"));
    stack.finish().await;
}
