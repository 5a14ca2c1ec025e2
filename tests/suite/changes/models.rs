//! Models that a form names for the first time are looked for in the provider's public list. What vanishes there later, or doubles
//! its price, is told.

use bursar_local::gate::{Matcher, Verdict};
use bursar_local::inbox::Contents;
use bursar_local::settle::LIMIT;
use bursar_tests::stack::Left;

use super::*;

const NEW: &str = "/console/programmes/new";
const CREATE: &str = "/console/programmes";
const GROUPS: &str = "/console/programmes/cs-pilot/groups";
const TIERS: &str = "/console/tiers";
const LIST: &str = "provider:GET /models";
const MINI: &str = "openai/gpt-4o-mini";

/// A form that names models.
struct ModelsForm {
    page: &'static str,
    path: &'static str,
    field: &'static str,
    /// What else it needs, or may have.
    more: &'static [(&'static str, &'static str)],
}

const FORMS: [ModelsForm; 4] = [
    ModelsForm {
        page: NEW,
        path: CREATE,
        field: "models",
        more: &[
            ("name", "Another"),
            ("starts_on", "2026-01-01"),
            ("ends_on", "2035-12-31"),
            ("timezone", "UTC"),
            ("cap_usd", "20"),
            ("pot_usd", "40"),
        ],
    },
    ModelsForm { page: ID, path: ID, field: "models", more: &[("contact", "room 1")] },
    ModelsForm { page: GROUPS, path: GROUPS, field: "models.A", more: &[("cap_usd.A", "6")] },
    ModelsForm { page: TIERS, path: TIERS, field: "models", more: &[("tier", "first-year"), ("version", "")] },
];

#[tokio::test]
async fn a_model_that_the_provider_does_not_list_is_refused_and_where_the_list_cannot_be_read_nothing_is_lost() {
    let class = Class::impatient(100, &[]).await;
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    let shown = crate::console::roster::preview(&admin, "add", "email,group\nada@example.edu,A\n").await;
    assert_eq!(admin.submit(&shown, "/console/programmes/cs-pilot/roster/apply", &[]).await.status, 303);
    for ModelsForm { page, path, field, more } in FORMS {
        let sends = async |models: &str| {
            let page = admin.get(page).await;
            admin.submit(&page, path, &[more, &[(field, models)]].concat()).await
        };
        let unknown = sends("openai/gpt-4o-mini openai/gpt-4o-mni").await;
        assert_eq!(unknown.status, 422, "{path}: {:?}", unknown.alerts());
        let says = unknown.alerts().join(" ");
        assert!(says.contains("no such model: openai/gpt-4o-mni.") && !says.contains(MINI), "{path}: {says}");
        assert!(unknown.body.contains("gpt-4o-mni") && unknown.body.contains(more[0].1), "{path} keeps what was typed");
        let down = stack.gate.at(Matcher::call(LIST).every(), Verdict::status(503));
        let later = sends(MINI).await;
        stack.gate.lift(down);
        assert_eq!((later.status, later.header("retry-after")), (503, Some("30")), "{path}: {:?}", later.alerts());
        assert!(later.alerts().join(" ").contains("cannot be read now"), "{path}: {:?}", later.alerts());
        assert!(later.body.contains(MINI) && later.body.contains(more[0].1), "{path} keeps what was typed");
        assert_eq!(sends(MINI).await.status, 303, "{path}");
        class.judged(&mut watch).await;
    }
    // A form that is stale as well keeps nothing of what others saved meanwhile from its person.
    let (stale, down) = (admin.get(ID).await, stack.gate.at(Matcher::call(LIST).every(), Verdict::status(503)));
    assert_eq!(edits(&admin, &[("cap_usd", "8")]).await.status, 303);
    let later = admin.submit(&stale, ID, &[("models", "openai/gpt-4o")]).await;
    assert_eq!((later.status, later.form(ID).value("cap_usd")), (503, Some("8")), "{:?}", later.alerts());
    stack.gate.lift(down);
    assert_eq!(admin.submit(&later, ID, &[]).await.status, 303);
    assert_eq!(admin.get(ID).await.form(ID).value("cap_usd"), Some("8"));
    class.judged(&mut watch).await;
    // What was named before is asked for by nobody, so that another field can be saved whatever the provider lists.
    let down = stack.gate.at(Matcher::call(LIST).every(), Verdict::status(503));
    assert_eq!(edits(&admin, &[("contact", "room 2")]).await.status, 303);
    assert_eq!(admin.submit(&admin.get(GROUPS).await, GROUPS, &[("cap_usd.A", "7")]).await.status, 303);
    stack.gate.lift(down);
    class.judged(&mut watch).await;
    let left = Left::PerhapsComplaints(&[
        ("console", "list of models was not read"),
        ("console", "the provider did not do it"),
    ]);
    class.stack.finish_leaving(&[Left::PerhapsMails, left, Left::PerhapsUnmetFaults]).await;
}

#[tokio::test]
async fn what_vanished_from_the_list_or_doubled_its_price_is_on_the_tiers_page_and_in_the_digest_of_monday() {
    let class = Class::of(&[]).await;
    let (stack, mut watch) = (&class.stack, class.watch());
    let provider = stack.provider.clone().unwrap();
    let admin = class.admin().await;
    assert_eq!(edits(&admin, &[("models", &format!("{MINI} openai/gpt-4o"))]).await.status, 303);
    crate::sync::sync(stack).await;
    assert_eq!(admin.get(TIERS).await.texts("warning"), Vec::<String>::new());
    // From 15 and 60 cents a million tokens to 15 cents and $1.20.
    provider.list_model(MINI, Some((Nano::nanos(150), Nano::nanos(1_200)))).unwrap();
    provider.list_model("openai/gpt-4o", None).unwrap();
    for _ in 0..2 {
        class.stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
        let report = crate::sync::sync(stack).await;
        assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    }
    watch.check_after_sync().await;
    let admin = class.admin().await;
    let told = admin.get(TIERS).await.texts("warning");
    assert!(told.len() == 2 && told[0].contains("does not list the model openai/gpt-4o any more"), "{told:?}");
    assert!(told[1].contains("$0.15 in and $1.20 out now, and were $0.15 in and $0.60 out"), "{told:?}");
    let down = stack.gate.at(Matcher::call(LIST).every(), Verdict::status(400));
    let report = crate::sync::sync(stack).await;
    assert!(report["complete"] == true && report["problems"][0].to_string().contains("list of models"), "{report}");
    stack.gate.lift(down);

    // Eight days hold a Monday.
    stack.ses.unread();
    let mut of_models = Vec::new();
    for _ in 0..8 * 24 {
        stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
        stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "digest"})).await.unwrap();
    }
    stack.settle.settle(LIMIT).await.unwrap();
    for mail in stack.ses.unread().into_iter().map(|mail| Contents::of(&mail.raw)) {
        if mail.kind.as_deref() == Some("digest") && mail.subject.starts_with("The account") {
            let text = mail.text.unwrap_or_default();
            of_models.push(text.contains("does not list the model openai/gpt-4o") && text.contains("$1.20 out"));
        }
    }
    assert_eq!(of_models.iter().filter(|has| **has).count(), 1, "in one of the Mondays: {of_models:?}");
    let left = Left::PerhapsComplaints(&[("usage-sync", "the provider did not do it"), ("threshold-alerts", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, left]).await;
}
