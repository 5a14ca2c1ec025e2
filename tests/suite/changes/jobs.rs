//! Jobs: killed anywhere and gone on with, with every step done once; their pages while they run; and a whole class whose limits
//! change while the provider is out of reach.

use std::collections::HashMap;

use bursar_core::domain::grant::Grant;
use bursar_core::domain::values::id::KeyHash;
use bursar_tests::faults::Service;
use bursar_tests::seeds::sized;

use super::*;

#[tokio::test]
async fn a_job_waits_for_the_provider() {
    let campus = class(&["ada", "bob"]).await;
    let admin = campus.admin().await;
    campus.judged().await;
    let down = goes_down(&campus, "provider:*");
    assert_eq!(campus.edit(&admin, &[("cap_usd", "7")]).await.status, 303);
    campus.judged().await;
    let overview = admin.get(ID).await;
    assert_eq!(jobs(&overview), [job("limits", "running", 0, 2)]);
    assert!(overview.texts("job")[0].contains("is tried again each minute"), "{:?}", overview.texts("job"));
    assert_eq!(jobs(&admin.get("/console/account").await), [job("limits", "running", 0, 2)]);
    campus.minutes(1);
    // A roster that needs no provider does not wait for it.
    adds(&admin, "email\ndan@example.edu\n").await;
    let states: Vec<_> = jobs(&admin.get(ID).await).into_iter().map(|line| (line.0, line.1)).collect();
    assert_eq!(states, [("limits".to_owned(), "running".to_owned()), ("import".to_owned(), "done".to_owned())]);
    for _ in 0..9 {
        campus.work().await;
        campus.judged().await;
    }
    assert_eq!(
        (jobs(&admin.get(ID).await)[0].clone(), campus.limits()),
        (job("limits", "running", 1, 3), vec![dollars(20); 2])
    );
    comes_up(&campus, down);
    // What failed ever again is due at most an hour later.
    for _ in 0..65 {
        campus.work().await;
        if !campus.job("limits").await.unwrap().is_running() {
            break;
        }
    }
    campus.judged().await;
    assert_eq!(
        (campus.limits(), jobs(&admin.get(ID).await)[0].clone()),
        (vec![dollars(7); 2], job("limits", "done", 3, 3))
    );
    assert!(jobs(&admin.get("/console/account").await).is_empty());
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_close_ends_all_other_work() {
    let campus = class(&["ada", "bob"]).await;
    let admin = campus.admin().await;
    campus.judged().await;
    let down = goes_down(&campus, "provider:*");
    for cap in ["7", "9"] {
        assert_eq!(campus.edit(&admin, &[("cap_usd", cap)]).await.status, 303);
        campus.judged().await;
    }
    comes_up(&campus, down);
    for _ in 0..4 {
        campus.work().await;
    }
    assert_eq!((campus.limits(), jobs(&admin.get(ID).await)), (vec![dollars(9); 2], vec![job("limits", "done", 2, 2)]));
    let down = goes_down(&campus, "provider:*");
    assert_eq!(campus.edit(&admin, &[("cap_usd", "11")]).await.status, 303);
    campus.minutes(1);
    let close = format!("{ID}/close");
    assert_eq!(admin.submit(&admin.get(ID).await, &close, &[]).await.status, 303);
    assert!(!admin.get(ID).await.offers(&close), "it is closed");
    campus.judged().await;
    let states: Vec<_> = jobs(&admin.get(ID).await).into_iter().map(|line| (line.0, line.1)).collect();
    assert_eq!(states, [("limits".to_owned(), "failed".to_owned()), ("close".to_owned(), "running".to_owned())]);
    comes_up(&campus, down);
    for _ in 0..4 {
        campus.work().await;
        campus.judged().await;
    }
    assert_eq!((campus.enabled().len(), campus.job("close").await.unwrap().is_running()), (0, false));
    campus.finish_faulted().await;
}

/// Five hundred keys in `long`; the cap is halved while people replace theirs, and the provider is out of reach for minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_is_halved_while_keys_are_replaced() {
    let (all, some) = sized((6_u32, 4), (500, 40));
    let names: Vec<String> = (0..all).map(|number| format!("s{number:03}")).collect();
    let campus = class_of(sized(200, 10_400), &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    campus.judged().await;
    let mut students = Vec::new();
    for name in names.iter().take(some) {
        let student = campus.student(name).await;
        let mine = student.get("/my").await;
        students.push((student, mine));
    }
    // Half of them have begun when the provider goes; the others press while it is gone.
    let late = students.split_off(some / 2);
    let held = campus.gate.hold(Matcher::call("provider:PATCH /keys/{hash}").of(FunctionName::Claim));
    let press = |(student, mine): (Visitor, Page)| {
        tokio::spawn(async move { student.submit(&mine, "/my/cs-pilot/replace", &[]).await.status })
    };
    let mut presses: Vec<_> = students.into_iter().map(press).collect();
    held.arrived().await;
    let admin = campus.admin().await;
    // Longer than a request waits.
    let down = campus.gate.at(Matcher::call("provider:*").every(), Fault::RetryAfter(503, 600));
    assert_eq!(campus.edit(&admin, &[("cap_usd", "10")]).await.status, 303);
    drop(held);
    presses.extend(late.into_iter().map(press));
    campus.judged().await;
    // What the page says is no more than what the provider has by then. Whoever has no live key has nothing to be told.
    let is_told_rightly = async || {
        let grants = campus.table.grants(&campus.programme).await.unwrap();
        let limits: HashMap<String, Option<Nano>> =
            campus.provider().keys().into_iter().map(|key| (key.hash, key.limit)).collect();
        let limit = |grant: &Grant| grant.live()?.key.as_ref().map(|key| limits[key.as_str()]);
        let right = grants.iter().filter(|grant| limit(grant).is_none_or(|limit| limit == dollars(10))).count();
        let page = admin.get(ID).await;
        let told = (page.attributes("job", "data-state").join(" "), page.attributes("job", "data-done").join(" "));
        assert!(told.1.parse::<usize>().unwrap() <= right, "{told:?}, and {right} have theirs");
        told.0 == "running"
    };
    for minute in 0..sized(2, 10) {
        campus.work().await;
        campus.judged().await;
        assert!(is_told_rightly().await, "minute {minute}");
    }
    let mut ended = Vec::new();
    for press in presses {
        ended.push(press.await.unwrap());
    }
    campus.gate.lift(down);
    campus.minutes(10);
    let mut minutes = 0;
    while is_told_rightly().await {
        campus.work().await;
        campus.judged().await;
        minutes += 1;
        assert!(minutes < 80, "{:?}", campus.job("limits").await);
    }
    let grants = campus.table.grants(&campus.programme).await.unwrap();
    let live: Vec<_> = grants.iter().filter_map(|grant| grant.live()?.key.clone()).collect();
    let keys = campus.provider().keys();
    let is_right = |key: &KeyHash| keys.iter().any(|known| known.hash == key.as_str() && known.limit == dollars(10));
    assert!(live.len() >= names.len() - some && live.iter().all(is_right), "{} keys; {ended:?}", live.len());
    assert_eq!(jobs(&admin.get(ID).await), [job("limits", "done", all, all)]);
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_silent_provider_is_asked_a_few_times_a_round() {
    let names: Vec<String> = (0..18).map(|number| format!("s{number}")).collect();
    let campus = class_of(600, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let admin = campus.admin().await;
    campus.judged().await;
    let down = goes_down(&campus, "provider:*");
    assert_eq!(campus.edit(&admin, &[("cap_usd", "7")]).await.status, 303);
    for _ in 0..3 {
        let before = campus.gate.calls().len();
        let report = campus.work().await;
        let made = campus.gate.calls().split_off(before);
        let asked = made.iter().filter(|recorded| recorded.name.service == Service::Provider).count();
        assert!((1..=16).contains(&asked), "eight in a row, and as many that were under way: {asked}");
        assert_eq!(report["jobs"], serde_json::json!({"running": 1}), "{report}");
        campus.judged().await;
    }
    comes_up(&campus, down);
    for _ in 0..8 {
        campus.work().await;
    }
    campus.judged().await;
    assert_eq!(
        (campus.limits(), jobs(&admin.get(ID).await)),
        (vec![dollars(7); 18], vec![job("limits", "done", 18, 18)])
    );
    campus.finish_faulted().await;
}

/// The new cap is less than what was used: there is no limit to tell, and the key is switched off.
#[tokio::test]
async fn a_key_over_the_new_cap_is_switched_off() {
    let campus = class(&["ada"]).await;
    let admin = campus.admin().await;
    campus.spend("ada", "12");
    campus.sync().await;
    campus.judged().await;
    let student = campus.student("ada").await;
    assert_eq!(student.submit(&student.get("/my").await, "/my/cs-pilot/replace", &[]).await.status, 200);
    campus.judged().await;
    let down = goes_down(&campus, "provider:*");
    assert_eq!(campus.edit(&admin, &[("cap_usd", "5")]).await.status, 303);
    campus.judged().await;
    let enabled = || campus.provider().keys().iter().filter(|key| !key.disabled).count();
    assert_eq!((jobs(&admin.get(ID).await), enabled()), (vec![job("limits", "running", 0, 1)], 1));
    comes_up(&campus, down);
    campus.work().await;
    campus.judged().await;
    assert_eq!((jobs(&admin.get(ID).await), enabled()), (vec![job("limits", "done", 1, 1)], 0));
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_cut_term_can_be_closed_meanwhile() {
    let campus = class(&["ada", "bob"]).await;
    campus.minutes(24 * 60 * 10);
    let admin = campus.admin().await;
    campus.judged().await;
    let down = goes_down(&campus, "provider:*");
    let starts_on = admin.get(ID).await.form(ID).value("starts_on").unwrap().to_owned();
    assert_eq!(campus.edit(&admin, &[("ends_on", &starts_on)]).await.status, 303);
    assert_eq!(jobs(&admin.get(ID).await)[0].1, "running");
    assert_eq!(admin.submit(&admin.get(ID).await, &format!("{ID}/close"), &[]).await.status, 303);
    campus.judged().await;
    comes_up(&campus, down);
    for _ in 0..2 {
        campus.work().await;
    }
    campus.judged().await;
    assert_eq!((campus.enabled().len(), jobs(&admin.get(ID).await)), (0, vec![job("close", "done", 2, 2)]));
    campus.finish_faulted().await;
}
