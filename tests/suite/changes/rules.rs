//! What keys may call: for a programme and its groups, edited while people hold keys, at the provider at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use bursar_core::domain::audit::Act;
use bursar_core::domain::programme::Settings;
use bursar_tests::aws;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::seeds::{each_call, sample};
use bursar_tests::stack::Left;

use super::*;

const GROUPS: &str = "/console/programmes/cs-pilot/groups";
const MINI: &str = "openai/gpt-4o-mini";
const SONNET: &str = "anthropic/claude-sonnet-4.5";
const GEMINI: &str = "google/gemini-2.5-flash";
const ASSIGN: &str = "provider:POST /guardrails/{id}/assignments/keys";

impl Class {
    /// A person with a key of their own, claimed on the page.
    pub(super) async fn claims(&self, name: &str) -> String {
        let address = format!("{name}@example.edu");
        self.office().invite(&address).await;
        let student = signed_in(&self.stack, &address).await;
        student.submit(&student.get("/my").await, "/my/cs-pilot/reveal", &[]).await.expect(200).one("key").text
    }

    /// The status of a request for a completion.
    pub(super) async fn asks(&self, key: &str, model: &str) -> u16 {
        let url = format!("{}/chat/completions", self.stack.ready.provider);
        let body = json!({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]});
        aws::http().post(url).bearer_auth(key).json(&body).send().await.unwrap().status().as_u16()
    }

    /// The guardrails of everybody's enabled key at the provider.
    fn guardrails(&self) -> BTreeSet<Option<String>> {
        let keys = self.stack.provider.as_ref().unwrap().keys();
        keys.into_iter().filter(|key| !key.disabled).map(|key| key.guardrail_id).collect()
    }

    /// Judges that every enabled key is under the guardrail of the rules of now.
    async fn has_one_guardrail(&self, why: &str) {
        let guardrail = self.office().guardrail().await.map(|guardrail| guardrail.id);
        assert_eq!(self.guardrails(), BTreeSet::from([guardrail]), "{why}");
    }
}

#[tokio::test]
async fn a_group_with_models_of_its_own_in_a_programme_without_cannot_call_others_and_all_others_can() {
    let class = Class::of(&[]).await;
    let (admin, mut watch) = (class.admin().await, class.watch());
    let (ada, bob) = (class.claims("ada").await, class.claims("bob").await);
    class.judged(&mut watch).await;
    let moves = |file: &'static str| {
        let admin = &admin;
        async move {
            let shown = crate::console::roster::preview(admin, "add", file).await;
            assert_eq!(admin.submit(&shown, "/console/programmes/cs-pilot/roster/apply", &[]).await.status, 303);
        }
    };
    moves("email,group\nada@example.edu,A\nbob@example.edu,B\n").await;
    let page = admin.get(GROUPS).await;
    let refused = admin.submit(&page, GROUPS, &[("models.A", "gpt four"), ("cap_usd.A", "6")]).await;
    assert_eq!((refused.status, refused.form(GROUPS).value("cap_usd.A")), (422, Some("6")), "{:?}", refused.alerts());
    assert!(refused.alerts()[1].contains("gpt names no provider"), "{:?}", refused.alerts());
    assert_eq!(admin.submit(&page, GROUPS, &[("models.A", MINI)]).await.status, 303);
    class.judged(&mut watch).await;
    for (key, model, status) in [(&ada, MINI, 200), (&ada, SONNET, 403), (&bob, MINI, 200), (&bob, SONNET, 200)] {
        assert_eq!(class.asks(key, model).await, status, "{model}");
    }
    assert_eq!(jobs(&admin.get(ID).await), [job("import", "done", 2, 2), job("rules", "done", 2, 2)]);

    // Whoever comes to the group, and whoever makes a key in it, is under its rules; whoever leaves it is not any more.
    moves("email,group\nada@example.edu,B\nbob@example.edu,A\neve@example.edu,A\n").await;
    let eve = signed_in(&class.stack, "eve@example.edu").await;
    let eve = eve.submit(&eve.get("/my").await, "/my/cs-pilot/reveal", &[]).await.expect(200).one("key").text;
    class.judged(&mut watch).await;
    for (key, status) in [(&ada, 200), (&bob, 403), (&eve, 403)] {
        assert_eq!(class.asks(key, SONNET).await, status);
    }
    let stale = admin.submit(&page, GROUPS, &[("models.A", SONNET)]).await;
    assert!(stale.status == 409 && stale.body.contains(&format!("It is now: {MINI}")), "{:?}", stale.alerts());
    assert_eq!(admin.submit(&admin.get(GROUPS).await, GROUPS, &[("models.A", "")]).await.status, 303);
    for key in [&ada, &bob, &eve] {
        assert_eq!(class.asks(key, SONNET).await, 200, "blank means the programme's");
    }
    class.judged(&mut watch).await;
    crate::sync::sync(&class.stack).await;
    watch.check_after_sync().await;
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn providers_and_regions_hold_at_the_provider_and_what_is_none_is_refused_beside_the_field() {
    let class = Class::of(&[]).await;
    let (admin, mut watch) = (class.admin().await, class.watch());
    let ada = class.claims("ada").await;
    let bad = ["Open AI", "-x", "openai opnai"].map(|bad| ("providers", bad));
    for (field, bad) in bad.into_iter().chain([("regions", "asia"), ("regions", "Europe")]) {
        let refused = edits(&admin, &[(field, bad)]).await;
        assert_eq!((refused.status, refused.form(ID).value(field)), (422, Some(bad)), "{:?}", refused.alerts());
    }
    let down = class.stack.gate.at(Matcher::call("provider:GET /providers").every(), Fault::Status(503));
    let later = edits(&admin, &[("providers", "openai")]).await;
    class.stack.gate.lift(down);
    assert_eq!((later.status, later.form(ID).value("providers")), (503, Some("openai")), "{:?}", later.alerts());
    for (fields, mini, gemini) in [
        ([("providers", "google-vertex"), ("regions", "")], 403, 200),
        ([("providers", "openai, anthropic"), ("regions", "us")], 200, 403),
        ([("providers", ""), ("regions", "europe")], 403, 200),
        ([("providers", ""), ("regions", "europe us")], 200, 200),
        ([("providers", ""), ("regions", "")], 200, 200),
    ] {
        assert_eq!(edits(&admin, &fields).await.status, 303, "{fields:?}");
        let asked = (class.asks(&ada, MINI).await, class.asks(&ada, GEMINI).await);
        assert_eq!(asked, (mini, gemini), "{fields:?}");
        class.judged(&mut watch).await;
    }
    let left = Left::PerhapsComplaints(&[("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, left]).await;
}

/// Each call of an edit and its job is killed, before and after it took effect, or is not answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_rules_that_is_killed_at_any_call_is_not_made_or_reaches_every_key() {
    let class = Class::of(&["ada", "bob"]).await;
    let (stack, mut watch) = (&class.stack, class.watch());
    class.judged(&mut watch).await;
    let admin = class.admin().await;
    let page = admin.get(ID).await;
    let before = calls_of_the_console(stack);
    assert_eq!(admin.submit(&page, ID, &[("models", MINI)]).await.status, 303);
    let calls = calls_of_the_console(stack) - before;
    assert!(calls > 40, "{calls} calls");
    let mut round = 0;
    for some in sample(each_call(1..calls, &[Fault::KillBefore, Fault::KillAfter, Fault::LoseAnswer]), 6).chunks(30) {
        class.works().await;
        let admin = class.admin().await;
        // Every edit has a list of its own, so that each makes a guardrail.
        for (nth, verdict) in some {
            let page = admin.get(ID).await;
            round += 1;
            let rule = stack.gate.at(Matcher::call("*").of(FunctionName::Console).nth(*nth), verdict);
            admin.submit(&page, ID, &[("models", &some_of(round))]).await;
            stack.gate.lift(rule);
            class.judged(&mut watch).await;
            for _ in 0..3 {
                class.works().await;
            }
            class.judged(&mut watch).await;
            class.has_one_guardrail(&format!("{verdict:?} of call {nth}")).await;
            assert!(class.job("rules").await.is_none_or(|job| !job.is_running()), "{verdict:?} of call {nth}");
        }
    }
    let left = Left::PerhapsComplaints(&[("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, left, Left::PerhapsUnmetFaults]).await;
}

/// The sync dies while it puts a key back: the work of the next minute does it, whatever became of the call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_dies_while_it_puts_a_key_under_its_guardrail_leaves_that_to_the_work() {
    let class = Class::of(&["ada"]).await;
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    assert_eq!(edits(&admin, &[("models", MINI)]).await.status, 303);
    let provider = stack.provider.as_ref().unwrap();
    for verdict in [Fault::KillBefore, Fault::KillAfter] {
        crate::sync::sync(stack).await;
        watch.check_after_sync().await;
        provider.unassign(&class.people[0].1).unwrap();
        stack.gate.at(Matcher::call(ASSIGN).of(FunctionName::UsageSync), verdict);
        // It is killed, so nothing answers.
        drop(stack.invoke.invoke(FunctionName::UsageSync, json!({})).await);
        class.judged(&mut watch).await;
        class.works().await;
        class.judged(&mut watch).await;
        class.has_one_guardrail(&format!("{verdict:?}")).await;
        stack.clock.advance(SignedDuration::from_mins(20)).unwrap();
    }
    let left = Left::PerhapsComplaints(&[("usage-sync", ""), ("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, left]).await;
}

#[tokio::test]
async fn of_two_edits_of_rules_at_once_one_is_saved_and_every_key_is_under_it() {
    let class = Class::of(&["ada", "bob"]).await;
    let (admin, mut watch) = (Arc::new(class.admin().await), class.watch());
    let (one, of_one, of_other) = (Arc::clone(&admin), admin.get(ID).await, admin.get(ID).await);
    let held = class.stack.gate.hold(Matcher::call(ASSIGN).of(FunctionName::Console));
    let slow = tokio::spawn(async move { one.submit(&of_one, ID, &[("models", MINI)]).await });
    held.arrived().await;
    assert_eq!(admin.submit(&of_other, ID, &[("models", SONNET)]).await.status, 409);
    assert_eq!(edits(&admin, &[("models", SONNET)]).await.status, 303);
    drop(held);
    assert_eq!(slow.await.unwrap().status, 303);
    for _ in 0..2 {
        class.works().await;
        class.judged(&mut watch).await;
    }
    class.has_one_guardrail("the later one").await;
    assert_eq!(jobs(&admin.get(ID).await), [job("rules", "done", 2, 2)]);
    let seen = class.judged(&mut watch).await;
    assert!(seen.entries.iter().filter(|entry| entry.what.act == Act::RulesSent).count() >= 2);
    class
        .stack
        .finish_leaving(&[Left::PerhapsMails, Left::PerhapsComplaints(&[("console", "the provider did not do it")])])
        .await;
}

/// The provider refuses the list of one group; everybody else's keys are under their rules all the same, and saving it again sends it.
#[tokio::test]
async fn a_list_that_the_provider_refuses_keeps_nobody_else_from_theirs_and_is_sent_again_at_once_when_it_is_saved() {
    let class = Class::of(&["ada", "bob"]).await;
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let shown = crate::console::roster::preview(&admin, "add", "email,group\nada@example.edu,A\n").await;
    assert_eq!(admin.submit(&shown, "/console/programmes/cs-pilot/roster/apply", &[]).await.status, 303);
    assert_eq!(edits(&admin, &[("models", MINI)]).await.status, 303);
    let under = |number: usize| class.office().key(&class.people[number].1).guardrail_id;
    let before = under(0);
    assert!(before.is_some() && before == under(1));
    let make = Matcher::call("provider:POST /guardrails");
    let refused = stack.gate.at(make.clone().every(), Fault::Status(400));
    assert_eq!(admin.submit(&admin.get(GROUPS).await, GROUPS, &[("models.A", SONNET)]).await.status, 303);
    stack.gate.lift(refused);
    class.judged(&mut watch).await;
    assert_eq!(under(0), before, "ada waits");
    // The sets are told in the order of their ids: the group's is refused again, and the programme's is not.
    let settings = class.office().table.programme(&class.office().programme).await.unwrap().unwrap().settings;
    let of_group = settings.rules(Some("A")).id();
    let of_programme = Settings { models: vec![GEMINI.to_owned()], ..settings }.rules(None).id();
    stack.gate.at(make.nth(if of_group < of_programme { 1 } else { 2 }), Fault::Status(400));
    assert_eq!(edits(&admin, &[("models", GEMINI)]).await.status, 303);
    class.judged(&mut watch).await;
    assert!(under(0) == before && under(1) != before, "ada waits, and bob does not");
    assert!(jobs(&admin.get(ID).await).contains(&job("rules", "running", 1, 2)));
    // Blank, and the same list again: nobody waits for the pause after the refusal.
    for models in ["", SONNET] {
        assert_eq!(admin.submit(&admin.get(GROUPS).await, GROUPS, &[("models.A", models)]).await.status, 303);
    }
    assert!(under(0).is_some() && under(0) != under(1));
    class.judged(&mut watch).await;
    let left = Left::PerhapsComplaints(&[("console", "the provider did not do it")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, left]).await;
}
