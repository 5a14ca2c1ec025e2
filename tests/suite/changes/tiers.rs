//! Tiers: lists of models that admins keep, and that every key under them follows.

use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::seeds::{each_call, sample};
use bursar_tests::stack::Left;

use super::*;

const TIERS: &str = "/console/tiers";
const MINI: &str = "openai/gpt-4o-mini";
const SONNET: &str = "anthropic/claude-sonnet-4.5";

/// Saves a tier as a form of this version does.
async fn saves(admin: &Visitor, tier: &str, models: &str, version: &str) -> Page {
    let page = admin.get(TIERS).await;
    admin.submit(&page, TIERS, &[("tier", tier), ("models", models), ("version", version)]).await
}

#[tokio::test]
async fn admins_edit_make_and_remove_tiers_and_what_cannot_be_is_said_beside_what_was_typed() {
    let class = Class::of(&[]).await;
    let (admin, mut watch) = (class.admin().await, class.watch());
    let names = async || admin.get(TIERS).await.attributes("tier", "data-name");
    assert_eq!(names().await, ["basic", "free", "pro"]);
    for (tier, models, version, says) in [
        ("basic", "gpt four", "0", "gpt names no provider"),
        ("basic", "pro", "0", "no other tier"),
        ("First Year", MINI, "", "small letters"),
        ("first-year", "", "", "at least one model"),
        ("basic", MINI, "x", "which state"),
    ] {
        let refused = saves(&admin, tier, models, version).await;
        assert_eq!(refused.status, 422, "{tier}: {:?}", refused.alerts());
        assert!(refused.alerts().iter().any(|alert| alert.contains(says)), "{tier}: {:?}", refused.alerts());
        assert!(refused.body.contains(models), "what was typed is kept");
    }
    assert_eq!(saves(&admin, "first-year", MINI, "").await.status, 303);
    assert_eq!(saves(&admin, "first-year", MINI, "").await.status, 303, "a second press changes nothing");
    class.judged(&mut watch).await;
    for (tier, version) in [("first-year", ""), ("basic", ""), ("basic", "7")] {
        let stale = saves(&admin, tier, SONNET, version).await;
        assert!(stale.status == 409 && stale.body.contains("It is now: "), "{tier}: {:?}", stale.alerts());
    }
    // A programme and a group name it, so it stays.
    for models in ["first-year", "last-year"] {
        let saved = edits(&admin, &[("models", models)]).await;
        assert_eq!(saved.status == 303, models == "first-year", "{models}: {:?}", saved.alerts());
    }
    let named = saves(&admin, "first-year", "", "1").await;
    assert!(named.status == 409 && named.alerts().join(" ").contains("CS pilot names it"), "{:?}", named.alerts());
    assert_eq!(edits(&admin, &[("models", "")]).await.status, 303);
    assert_eq!(saves(&admin, "first-year", "", "1").await.status, 303);
    assert_eq!(saves(&admin, "free", "", "0").await.status, 303);
    assert_eq!(names().await, ["basic", "pro"]);
    assert_eq!(saves(&admin, "first-year", SONNET, "").await.status, 303, "it may be made again");
    class.judged(&mut watch).await;
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn a_tier_that_is_edited_is_followed_at_once_by_every_key_of_programmes_and_groups_that_name_it() {
    let class = Class::of(&[]).await;
    let (admin, mut watch) = (class.admin().await, class.watch());
    let (ada, bob) = (class.claims("ada").await, class.claims("bob").await);
    let shown = crate::console::roster::preview(&admin, "add", "email,group\nada@example.edu,A\n").await;
    assert_eq!(admin.submit(&shown, "/console/programmes/cs-pilot/roster/apply", &[]).await.status, 303);
    let groups = "/console/programmes/cs-pilot/groups";
    let unknown = admin.submit(&admin.get(groups).await, groups, &[("models.A", "gold")]).await;
    assert!(unknown.status == 422 && unknown.alerts()[1].contains("basic, free, pro"), "{:?}", unknown.alerts());
    assert_eq!(admin.submit(&admin.get(groups).await, groups, &[("models.A", "basic")]).await.status, 303);
    class.judged(&mut watch).await;
    let asked = async |model| (class.asks(&ada, model).await, class.asks(&bob, model).await);
    assert_eq!((asked(MINI).await, asked(SONNET).await), ((200, 200), (403, 200)));
    class.stack.clock.advance(SignedDuration::from_secs(61)).unwrap();
    let student = signed_in(&class.stack, "ada@example.edu").await;
    assert!(student.get("/my").await.body.contains(MINI), "the models, not the tier's name");
    assert_eq!(saves(&admin, "basic", SONNET, "0").await.status, 303);
    assert_eq!((asked(MINI).await, asked(SONNET).await), ((403, 200), (200, 200)));
    assert!(student.get("/my").await.body.contains(SONNET));
    class.judged(&mut watch).await;
    crate::sync::sync(&class.stack).await;
    watch.check_after_sync().await;
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

/// Each call of a tier's edit is killed, before and after it took effect, or not answered; the work then carries it on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_a_tier_that_is_killed_at_any_call_is_not_made_or_reaches_the_provider() {
    let class = Class::of(&["ada"]).await;
    let (stack, mut watch) = (&class.stack, class.watch());
    let admin = class.admin().await;
    assert_eq!(edits(&admin, &[("models", "basic")]).await.status, 303);
    let before = calls_of_the_console(stack);
    assert_eq!(saves(&admin, "basic", SONNET, "0").await.status, 303);
    let calls = calls_of_the_console(stack) - before;
    assert!(calls > 10, "{calls} calls");
    let table = Table::new(&stack.config);
    let version = async || table.tiers().await.unwrap().get("basic").unwrap().version;
    let mut round = 0_usize;
    for some in sample(each_call(1..calls, &[Fault::KillBefore, Fault::KillAfter, Fault::LoseAnswer]), 6).chunks(30) {
        class.works().await;
        let admin = class.admin().await;
        for (nth, verdict) in some {
            round += 1;
            // Every third edit takes the one before back, so that what was sent and not confirmed must be told again.
            let models = if round.is_multiple_of(3) { SONNET.to_owned() } else { some_of(round) };
            let (page, was) = (admin.get(TIERS).await, version().await.to_string());
            let rule = stack.gate.at(Matcher::call("*").of(FunctionName::Console).nth(*nth), verdict);
            admin.submit(&page, TIERS, &[("tier", "basic"), ("models", &models), ("version", &was)]).await;
            stack.gate.lift(rule);
            class.judged(&mut watch).await;
            for _ in 0..2 {
                class.works().await;
            }
            class.judged(&mut watch).await;
            let tiers = table.tiers().await.unwrap();
            let confirmed = class.office().guardrail().await.unwrap();
            assert_eq!(Some(&confirmed.rules.models[..]), tiers.models("basic"), "{verdict} of call {nth}");
            let allowed = stack.provider.as_ref().unwrap().allowed_models(&confirmed.id);
            assert_eq!(allowed.as_deref(), tiers.models("basic"), "{verdict} of call {nth}");
        }
    }
    let left = Left::PerhapsComplaints(&[("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, left, Left::PerhapsUnmetFaults]).await;
}
