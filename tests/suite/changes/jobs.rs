//! Jobs: killed anywhere and gone on with, with every step done once; their pages while they run; and a whole class whose limits
//! change while the provider is out of reach.

use std::collections::HashMap;

use bursar_core::domain::audit::Act;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::values::key::KeyHash;
use bursar_tests::faults::{Fault, Matcher, Service};
use bursar_tests::seeds::{each_call, sample, sized};
use bursar_tests::stack::Left;

use super::*;

/// Each call of an edit and its job is killed, before and after it took effect, until one edit makes fewer calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_is_killed_at_any_call_is_not_made_or_reaches_every_key_once() {
    let class = Class::of(&["ada", "bob", "cid"]).await;
    let (stack, mut watch) = (&class.stack, class.watch());
    class.judged(&mut watch).await;
    let admin = class.admin().await;
    let page = admin.get(ID).await;
    let before = calls_of_the_console(stack);
    assert_eq!(admin.submit(&page, ID, &[("cap_usd", "21")]).await.status, 303);
    let calls = calls_of_the_console(stack) - before;
    assert!(calls > 40, "{calls} calls");
    let mut cap = 21_i64;
    for round in sample(each_call(1..calls, &[Fault::KillBefore, Fault::KillAfter]), 6).chunks(50) {
        // The hours of the work that follows each edit outlast a session.
        class.works().await;
        let admin = class.admin().await;
        for (nth, verdict) in round {
            let page = admin.get(ID).await;
            let wanted = if cap == 20 { 10 } else { 20 };
            let rule = stack.gate.at(Matcher::call("*").of(FunctionName::Console).nth(*nth), verdict);
            admin.submit(&page, ID, &[("cap_usd", &wanted.to_string())]).await;
            stack.gate.lift(rule);
            let seen = class.judged(&mut watch).await;
            let settings = &seen.programmes[&class.office().programme].settings;
            cap = settings.cap.micros() / 1_000_000;
            for _ in 0..2 {
                class.works().await;
            }
            class.judged(&mut watch).await;
            assert_eq!(class.limits(), vec![dollars(cap); 3], "{verdict:?} of call {nth}");
            assert!(class.job("limits").await.is_none_or(|job| !job.is_running()));
        }
    }
    let seen = class.judged(&mut watch).await;
    let sent = seen.entries.iter().filter(|entry| entry.what.act == Act::LimitSent).count();
    let edited = seen.entries.iter().filter(|entry| entry.what.act == Act::Edited).count();
    assert_eq!(sent, 3 * edited, "each step once");
    let thrown_away = Left::PerhapsComplaints(&[("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, thrown_away, Left::PerhapsUnmetFaults]).await;
}

#[tokio::test]
async fn a_job_waits_for_the_provider_without_keeping_others_from_theirs_and_says_so() {
    let class = Class::of(&["ada", "bob"]).await;
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let down = stack.gate.at(Matcher::call("provider:*").every(), Fault::Status(503));
    assert_eq!(edits(&admin, &[("cap_usd", "7")]).await.status, 303);
    class.judged(&mut watch).await;
    let overview = admin.get(ID).await;
    assert_eq!(jobs(&overview), [job("limits", "running", 0, 2)]);
    assert!(overview.texts("job")[0].contains("is tried again each minute"), "{:?}", overview.texts("job"));
    assert_eq!(jobs(&admin.get("/console/account").await), [job("limits", "running", 0, 2)]);
    // A roster that needs no provider does not wait for it.
    let shown = crate::console::roster::preview(&admin, "add", "email\ndan@example.edu\n").await;
    assert_eq!(admin.submit(&shown, "/console/programmes/cs-pilot/roster/apply", &[]).await.status, 303);
    let states: Vec<_> = jobs(&admin.get(ID).await).into_iter().map(|line| (line.0, line.1)).collect();
    assert_eq!(states, [("limits".to_owned(), "running".to_owned()), ("import".to_owned(), "done".to_owned())]);
    for _ in 0..9 {
        class.works().await;
        class.judged(&mut watch).await;
    }
    assert_eq!(
        (jobs(&admin.get(ID).await)[0].clone(), class.limits()),
        (job("limits", "running", 1, 3), vec![dollars(20); 2])
    );
    stack.gate.lift(down);
    // What failed ever again is due at most an hour later.
    for _ in 0..65 {
        class.works().await;
        if !class.job("limits").await.unwrap().is_running() {
            break;
        }
    }
    class.judged(&mut watch).await;
    assert_eq!(
        (class.limits(), jobs(&admin.get(ID).await)[0].clone()),
        (vec![dollars(7); 2], job("limits", "done", 3, 3))
    );
    assert!(jobs(&admin.get("/console/account").await).is_empty());
    let provider = Left::PerhapsComplaints(&[("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, provider]).await;
}

#[tokio::test]
async fn a_second_edit_begins_the_walk_anew_and_a_close_ends_all_other_work() {
    let class = Class::of(&["ada", "bob"]).await;
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let down = stack.gate.at(Matcher::call("provider:*").every(), Fault::Status(503));
    for cap in ["7", "9"] {
        assert_eq!(edits(&admin, &[("cap_usd", cap)]).await.status, 303);
        class.judged(&mut watch).await;
    }
    stack.gate.lift(down);
    for _ in 0..4 {
        class.works().await;
    }
    assert_eq!((class.limits(), jobs(&admin.get(ID).await)), (vec![dollars(9); 2], vec![job("limits", "done", 2, 2)]));
    let down = stack.gate.at(Matcher::call("provider:*").every(), Fault::Status(503));
    assert_eq!(edits(&admin, &[("cap_usd", "11")]).await.status, 303);
    let close = format!("{ID}/close");
    assert_eq!(admin.submit(&admin.get(ID).await, &close, &[]).await.status, 303);
    assert!(!admin.get(ID).await.offers(&close), "it is closed");
    class.judged(&mut watch).await;
    let states: Vec<_> = jobs(&admin.get(ID).await).into_iter().map(|line| (line.0, line.1)).collect();
    assert_eq!(states, [("limits".to_owned(), "failed".to_owned()), ("close".to_owned(), "running".to_owned())]);
    stack.gate.lift(down);
    for _ in 0..4 {
        class.works().await;
        class.judged(&mut watch).await;
    }
    assert_eq!((class.enabled(), class.job("close").await.unwrap().is_running()), (0, false));
    let provider = Left::PerhapsComplaints(&[("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, provider]).await;
}

/// Five hundred keys in `long`; the cap is halved while people replace theirs, and the provider is out of reach for minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_of_many_live_keys_is_halved_while_some_replace_theirs_and_the_provider_is_down() {
    let (all, some) = sized((8_u32, 4), (500, 40));
    let names: Vec<String> = (0..all).map(|number| format!("s{number:03}")).collect();
    let class = Class::with_budget(sized(200, 10_400), &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut watch = class.watch();
    class.judged(&mut watch).await;
    let mut students = Vec::new();
    for name in names.iter().take(some) {
        let student = signed_in(&class.stack, &format!("{name}@example.edu")).await;
        let mine = student.get("/my").await;
        students.push((student, mine));
    }
    // Half of them have begun when the provider goes; the others press while it is gone.
    let late = students.split_off(some / 2);
    let held = class.stack.gate.hold(Matcher::call("provider:PATCH /keys/{hash}").of(FunctionName::Claim));
    let press = |(student, mine): (Visitor, Page)| {
        tokio::spawn(async move { student.submit(&mine, "/my/cs-pilot/replace", &[]).await.status })
    };
    let mut presses: Vec<_> = students.into_iter().map(press).collect();
    held.arrived().await;
    let admin = class.admin().await;
    let down = class.stack.gate.at(Matcher::call("provider:*").every(), Fault::Status(503));
    assert_eq!(edits(&admin, &[("cap_usd", "10")]).await.status, 303);
    drop(held);
    presses.extend(late.into_iter().map(press));
    class.judged(&mut watch).await;
    // What the page says is no more than what the provider has by then. Whoever has no live key has nothing to be told.
    let is_told_rightly = async || {
        let grants = class.office().table.grants(&class.office().programme).await.unwrap();
        let limits: HashMap<String, Option<Nano>> =
            class.stack.provider.as_ref().unwrap().keys().into_iter().map(|key| (key.hash, key.limit)).collect();
        let limit = |grant: &Grant| grant.live()?.key.as_ref().map(|key| limits[key.as_str()]);
        let right = grants.iter().filter(|grant| limit(grant).is_none_or(|limit| limit == dollars(10))).count();
        let page = admin.get(ID).await;
        let told = (page.attributes("job", "data-state").join(" "), page.attributes("job", "data-done").join(" "));
        assert!(told.1.parse::<usize>().unwrap() <= right, "{told:?}, and {right} have theirs");
        told.0 == "running"
    };
    for minute in 0..sized(2, 10) {
        class.works().await;
        class.judged(&mut watch).await;
        assert!(is_told_rightly().await, "minute {minute}");
    }
    let mut ended = Vec::new();
    for press in presses {
        ended.push(press.await.unwrap());
    }
    class.stack.gate.lift(down);
    let mut minutes = 0;
    while is_told_rightly().await {
        class.works().await;
        class.judged(&mut watch).await;
        minutes += 1;
        assert!(minutes < 80, "{:?}", class.job("limits").await);
    }
    let grants = class.office().table.grants(&class.office().programme).await.unwrap();
    let live: Vec<_> = grants.iter().filter_map(|grant| grant.live()?.key.clone()).collect();
    let is_right = |key: &KeyHash| class.office().key(key.as_str()).limit == dollars(10);
    assert!(live.len() >= names.len() - some && live.iter().all(is_right), "{} keys; {ended:?}", live.len());
    assert_eq!(jobs(&admin.get(ID).await), [job("limits", "done", all, all)]);
    let provider = Left::PerhapsComplaints(&[("console", ""), ("claim", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, provider]).await;
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_asked_a_few_times_a_round_and_jobs_begin_all_the_same() {
    let names: Vec<String> = (0..18).map(|number| format!("s{number}")).collect();
    let class = Class::impatient(600, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (admin, mut watch) = (class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let down = class.stack.gate.at(Matcher::call("provider:*").every(), Fault::Status(503));
    assert_eq!(edits(&admin, &[("cap_usd", "7")]).await.status, 303);
    for _ in 0..3 {
        let before = class.stack.gate.calls().len();
        let report = class.works().await;
        let made = class.stack.gate.calls().split_off(before);
        let asked = made.iter().filter(|recorded| recorded.call.name.service == Service::Provider).count();
        assert!((1..=16).contains(&asked), "eight in a row, and as many that were under way: {asked}");
        assert_eq!(report["jobs"], serde_json::json!({"running": 1}), "{report}");
        class.judged(&mut watch).await;
    }
    class.stack.gate.lift(down);
    for _ in 0..8 {
        class.works().await;
    }
    class.judged(&mut watch).await;
    assert_eq!(
        (class.limits(), jobs(&admin.get(ID).await)),
        (vec![dollars(7); 18], vec![job("limits", "done", 18, 18)])
    );
    let provider = Left::PerhapsComplaints(&[("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, provider]).await;
}

/// The new cap is less than what was used: there is no limit to tell, and the key is switched off.
#[tokio::test]
async fn a_key_that_has_used_more_than_the_new_cap_is_off_before_the_job_is_done() {
    let class = Class::of(&["ada"]).await;
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    let provider = stack.provider.as_ref().unwrap();
    provider.spend(&class.people[0].1, Nano::usd(12), stack.clock.now(), "a/model").unwrap();
    crate::sync::sync(stack).await;
    class.judged(&mut watch).await;
    let student = signed_in(stack, "ada@example.edu").await;
    assert_eq!(student.submit(&student.get("/my").await, "/my/cs-pilot/replace", &[]).await.status, 200);
    class.judged(&mut watch).await;
    let down = stack.gate.at(Matcher::call("provider:*").every(), Fault::Status(503));
    assert_eq!(edits(&admin, &[("cap_usd", "5")]).await.status, 303);
    class.judged(&mut watch).await;
    let enabled = || stack.provider.as_ref().unwrap().keys().iter().filter(|key| !key.disabled).count();
    assert_eq!((jobs(&admin.get(ID).await), enabled()), (vec![job("limits", "running", 0, 1)], 1));
    stack.gate.lift(down);
    class.works().await;
    class.judged(&mut watch).await;
    assert_eq!((jobs(&admin.get(ID).await), enabled()), (vec![job("limits", "done", 1, 1)], 0));
    let provider = Left::PerhapsComplaints(&[("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, provider]).await;
}

#[tokio::test]
async fn a_programme_whose_term_was_cut_short_is_closed_while_its_keys_are_still_being_switched_off() {
    let class = Class::of(&["ada", "bob"]).await;
    class.stack.clock.advance(SignedDuration::from_hours(24 * 10)).unwrap();
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let down = stack.gate.at(Matcher::call("provider:*").every(), Fault::Status(503));
    let starts_on = admin.get(ID).await.form(ID).value("starts_on").unwrap().to_owned();
    assert_eq!(edits(&admin, &[("ends_on", &starts_on)]).await.status, 303);
    assert_eq!(jobs(&admin.get(ID).await)[0].1, "running");
    assert_eq!(admin.submit(&admin.get(ID).await, &format!("{ID}/close"), &[]).await.status, 303);
    class.judged(&mut watch).await;
    stack.gate.lift(down);
    for _ in 0..2 {
        class.works().await;
    }
    class.judged(&mut watch).await;
    assert_eq!((class.enabled(), jobs(&admin.get(ID).await)), (0, vec![job("close", "done", 2, 2)]));
    let provider = Left::PerhapsComplaints(&[("console", "")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, provider]).await;
}
