//! Keys whose claim was killed: one sync after the grace leaves none of them enabled, and touches no other.

use std::collections::BTreeMap;

use bursar_core::domain::values::id::KeyName;
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher, Service};
use bursar_tests::office::Office;
use bursar_tests::seeds::{LONG, sample};
use bursar_tests::stack::{Left, Stack};
use serde_json::json;

use super::{foreign, invite, is_enabled, mint, minutes, provider, rich, signed_in, still, sync, watch};

/// The calls of a press that have an effect, by name and number.
async fn calls_of(what: &str) -> Vec<(String, u64)> {
    let stack = still().await;
    let office = rich(&stack).await;
    let before = press(&stack, &office, what, "ada", None).await;
    let (mut counts, mut calls) = (BTreeMap::<String, u64>::new(), Vec::new());
    for made in stack.gate.calls().into_iter().skip(before) {
        let name = &made.call.name;
        if made.call.function == FunctionName::Claim && name.service != Service::SecretsManager {
            let nth = counts.entry(name.to_string()).or_default();
            *nth += 1;
            if name.has_effect() {
                calls.push((name.to_string(), *nth));
            }
        }
    }
    stack.finish().await;
    assert!(calls.iter().any(|(name, _)| name == "provider:POST /keys"), "{calls:?}");
    calls
}

/// A press that may be killed at a call, and the number of calls before it.
async fn press(
    stack: &Stack,
    office: &Office<'_>,
    what: &str,
    name: &str,
    killed: Option<(&str, u64, Fault)>,
) -> usize {
    let grant = invite(stack, office, name, None).await;
    if what == "replace" {
        mint(stack, office, &grant).await;
    }
    let student = signed_in(stack, &format!("{name}@x.edu")).await;
    let form = student.get("/my").await.expect(200).form(&format!("/my/{}/{what}", office.programme));
    let before = stack.gate.calls().len();
    if let Some((call, nth, verdict)) = killed {
        stack.gate.at(Matcher::call(call).of(FunctionName::Claim).nth(nth), verdict);
    }
    student.send_form(&form).await;
    before
}

/// The number of enabled keys of this deployment that are no grant's live key.
async fn orphans(stack: &Stack, office: &Office<'_>) -> usize {
    let grants = office.table.grants(&office.programme).await.unwrap();
    let live: Vec<_> = grants.iter().filter_map(|grant| grant.live()?.key.clone()).collect();
    let ours = provider(stack).keys().into_iter().filter(|key| key.name.parse::<KeyName>().is_ok() && !key.disabled);
    ours.filter(|key| !live.iter().any(|live| live.as_str() == key.hash)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_call_a_claim_is_killed_at_one_sync_after_the_grace_leaves_no_orphan_and_touches_nothing_else() {
    let (mut cases, mut found) = (Vec::new(), 0);
    for what in ["reveal", "replace"] {
        for (call, nth) in calls_of(what).await {
            cases.extend([Fault::KillBefore, Fault::KillAfter].map(|verdict| (what, call.clone(), nth, verdict)));
        }
    }
    let cases = sample(cases, 5);
    let stack = still().await;
    stack.schedules.stop().await;
    let office = rich(&stack).await;
    let by_hand = foreign(&stack, "by hand");
    let ada = invite(&stack, &office, "ada", None).await;
    let live = mint(&stack, &office, &ada).await;
    let mut watch = watch(&stack);
    // At most as many at once as one run sweeps on its own judgement.
    for (round, cases) in cases.chunks(5).enumerate() {
        for (number, (what, call, nth, verdict)) in cases.iter().enumerate() {
            let name = format!("s{round}-{number}");
            press(&stack, &office, what, &name, Some((call, *nth, *verdict))).await;
        }
        let left = orphans(&stack, &office).await;
        stack.faults_met(&format!("{cases:?}"));
        let early = sync(&stack).await;
        assert_eq!(early["orphans_disabled"], 0, "within the grace somebody may be at it: {early}");
        stack.clock.advance(minutes(61)).unwrap();
        let owed_by_the_dead = orphans(&stack, &office).await;
        let report = sync(&stack).await;
        assert_eq!(report["complete"], true, "{cases:?}: {report}");
        assert_eq!(orphans(&stack, &office).await, 0, "{cases:?}: {report}");
        assert_eq!(report["orphans_disabled"], owed_by_the_dead, "{left} at first, {cases:?}: {report}");
        assert!(is_enabled(&stack, &live) && is_enabled(&stack, &by_hand));
        watch.check_after_sync().await;
        found += owed_by_the_dead;
    }
    assert!(found >= if LONG { 4 } else { 1 }, "{found} of {} kills left an orphan", cases.len());
    assert_eq!(sync(&stack).await["orphans_disabled"], json!(0));
    stack.finish_leaving(&[Left::Complaints(&[("claim", "the instance is thrown away")])]).await;
}
