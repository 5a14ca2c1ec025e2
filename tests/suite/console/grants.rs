//! Grants in the console: searched, shown and acted on, and what the provider is asked to do.

use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::Office;
use bursar_tests::stack::{self};
use bursar_tests::visitor::{Page, Visitor};
use serde_json::json;

use super::{ADMIN, PLAIN, signed_in, watch};

const GRANTS: &str = "/console/programmes/cs-pilot/grants";

#[tokio::test]
async fn grants_are_listed_by_spending_and_found_by_text_and_state() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    for (name, micros) in [("ada", 1_000_000), ("bob", 3_500_000), ("cid", 0)] {
        let grant = office.invite(&format!("{name}@example.edu")).await;
        if micros > 0 {
            let hash = office.claim(&grant).await;
            let provider = stack.provider.as_ref().unwrap();
            provider.spend(&hash, Nano::micros(micros), stack.clock.now(), "a/model").unwrap();
        }
    }
    stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    let all = admin.get(GRANTS).await;
    let emails = |page: &Page| page.attributes("grant", "data-email").join(" ");
    assert_eq!(emails(&all), "bob@example.edu ada@example.edu cid@example.edu");
    assert_eq!(all.attributes("grant", "data-spent-usd"), ["3.500000", "1.000000", "0.000000"]);
    assert_eq!(all.attributes("grant", "data-cap-usd"), ["20.000000"; 3]);
    assert_eq!(all.attributes("grant", "data-state"), ["live", "live", "invited"]);
    for (query, found) in [
        ("?q=ADA", "ada@example.edu"),
        ("?state=invited", "cid@example.edu"),
        ("?q=nobody", ""),
        ("?from=2", "cid@example.edu"),
        ("?from=99", ""),
        ("?q=%3Cscript%3E", ""),
    ] {
        assert_eq!(emails(&admin.get(&format!("{GRANTS}{query}")).await), found, "{query}");
    }
    assert_eq!(signed_in(&stack, "stu@example.edu").await.get(GRANTS).await.status, 404);
    stack.finish().await;
}

#[tokio::test]
async fn a_grant_is_paused_resumed_capped_and_revoked_and_its_key_follows() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let grant = office.invite("ada@example.edu").await;
    let hash = office.claim(&grant).await;
    let mut watch = watch(&stack);
    watch.check().await;
    let admin = signed_in(&stack, ADMIN).await;
    let at = format!("{GRANTS}/{grant}");
    let press = async |act: &str, fields: &[(&str, &str)]| {
        let page = admin.get(&at).await;
        admin.submit(&page, &format!("{at}/{act}"), fields).await
    };
    let state = async || admin.get(&at).await.attributes("grant", "data-state").join("");

    assert_eq!(press("pause", &[("reason", "exam")]).await.status, 303);
    assert!(office.key(&hash).disabled);
    assert_eq!(state().await, "paused");
    watch.check().await;
    assert!(admin.get(&at).await.body.contains("by admin@example.edu"), "the timeline names people");

    let rule = stack.gate.at(Matcher::call("provider:PATCH /keys/{hash}").every(), Fault::Before);
    let resume = admin.get(&at).await;
    assert_eq!(admin.submit(&resume, &format!("{at}/resume"), &[]).await.status, 502);
    stack.gate.lift(rule);
    assert_eq!(admin.submit(&resume, &format!("{at}/resume"), &[]).await.status, 303, "pressed again");
    assert!(!office.key(&hash).disabled);
    watch.check().await;

    assert_eq!(press("cap", &[("cap_usd", "12.50"), ("reason", "heavy use")]).await.status, 303);
    assert_eq!(admin.get(&at).await.attributes("grant", "data-cap-usd"), ["12.500000"]);
    let limit = || office.key(&hash).limit.map(|limit| limit.to_string());
    assert_eq!(limit(), Some("12.5".to_owned()));
    watch.check().await;
    assert_eq!(press("cap", &[("cap_usd", " ")]).await.status, 303);
    assert_eq!(
        (limit(), admin.get(&at).await.attributes("grant", "data-cap-usd")),
        (Some("20".to_owned()), vec!["20.000000".to_owned()]),
        "blank means the programme's"
    );
    watch.check().await;
    let refused = press("cap", &[("cap_usd", "much")]).await;
    assert_eq!((refused.status, refused.alerts().len()), (422, 1));
    assert_eq!(press("cap", &[("cap_usd", "0.001")]).await.status, 422);
    let too_high = press("cap", &[("cap_usd", "101"), ("reason", "a thesis")]).await;
    assert_eq!(too_high.status, 409, "more than the pot");
    assert!(too_high.alerts()[0].contains("Of the budget of $100.00, $"), "{:?}", too_high.alerts());
    let form = too_high.form(&format!("{at}/cap"));
    assert_eq!((form.value("cap_usd"), form.value("reason")), (Some("101"), Some("a thesis")), "what was typed stays");
    let page = admin.get(&at).await;
    for resent in [303, 429] {
        assert_eq!(admin.submit(&page, &format!("{at}/allow"), &[]).await.status, 303);
        assert_eq!(admin.submit(&page, &format!("{at}/resend"), &[]).await.status, resent);
    }
    assert!(admin.get(&at).await.body.contains("0 of 4"), "one replacement more, not two");
    watch.check().await;

    assert_eq!(press("revoke", &[("reason", "left")]).await.status, 303);
    assert!(office.key(&hash).disabled);
    assert_eq!(state().await, "revoked");
    assert!(!admin.get(&at).await.forms().iter().any(|form| form.action.ends_with("/pause")));
    for (act, status) in [("pause", 409), ("cap", 409), ("allow", 409), ("revoke", 303), ("dance", 404)] {
        let form = page.form(&format!("{at}/revoke"));
        let sent = [("csrf", form.value("csrf").unwrap()), ("cap_usd", "1")];
        assert_eq!(admin.post(&format!("{at}/{act}"), &sent).await.status, status, "{act}");
    }
    assert_eq!(admin.get(&format!("{GRANTS}/0000000000000000")).await.status, 404);
    watch.check().await;
    stack.finish().await;
}

#[tokio::test]
async fn what_faculty_paused_no_assistant_resumes_whoever_paused_it_first_and_whoever_has_left() {
    let stack = stack::in_process().await.unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    let new = admin.get("/console/programmes/new").await;
    let people = [("faculty", "fay@example.edu"), ("assistants", "sam@example.edu")];
    assert_eq!(admin.submit(&new, "/console/programmes", &[&PLAIN[..], &people].concat()).await.status, 303);
    let office = Office::of(&stack, "cs-pilot");
    let grant = office.invite("ada@example.edu").await;
    let hash = office.claim(&grant).await;
    let at = format!("{GRANTS}/{grant}");
    let (sam, fay) = (signed_in(&stack, "sam@example.edu").await, signed_in(&stack, "fay@example.edu").await);
    let press = async |who: &Visitor, act: &str| {
        let page = who.get(&at).await;
        let csrf = page.form("/sign-out").value("csrf").unwrap().to_owned();
        who.post(&format!("{at}/{act}"), &[("csrf", &csrf)]).await.status
    };
    // A pause by the assistant.
    assert_eq!((press(&sam, "pause").await, press(&sam, "resume").await), (303, 303));
    assert!(!office.key(&hash).disabled);
    // A pause by the assistant that faculty take over.
    assert_eq!((press(&sam, "pause").await, press(&fay, "pause").await), (303, 303));
    assert_eq!(press(&sam, "resume").await, 409);
    // A pause by an admin, which faculty may resume.
    assert_eq!(
        (press(&fay, "resume").await, press(&admin, "pause").await, press(&sam, "resume").await),
        (303, 303, 409)
    );
    assert_eq!((press(&fay, "resume").await, press(&fay, "pause").await), (303, 303));
    // A pause by a person who has no role any more counts as faculty's.
    let overview = admin.get("/console/programmes/cs-pilot").await;
    let left = admin.submit(&overview, "/console/programmes/cs-pilot", &[("faculty", "fern@example.edu")]).await;
    assert_eq!(left.status, 303);
    assert_eq!(press(&sam, "resume").await, 409);
    assert!(office.key(&hash).disabled);
    assert_eq!(press(&signed_in(&stack, "fern@example.edu").await, "resume").await, 303);
    assert!(!office.key(&hash).disabled);
    stack.finish().await;
}
