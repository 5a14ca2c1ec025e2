//! Jobs and the work of each minute: alone by its lease, beside whatever persons do, and while the
//! provider is out of reach.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{Grant, HoldKind};
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::window::Reset;
use bursar_core::store::{ActContext, Enrolment, Job, Work, items};
use bursar_tests::campus::{address, name_people, reports};
use bursar_tests::faults::Service;
use jiff::SignedDuration;

use super::*;
use crate::claim::faults::DISABLE;
use crate::console::roster::{APPLY, preview};

/// Such a transaction of the console: before what a job writes there are its start, or the lease of
/// the work, and its taking.
fn write_of_console(nth: u64) -> Matcher {
    Matcher::call("dynamodb:TransactWriteItems")
        .of(FunctionName::Console)
        .nth(nth)
}

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
    assert!(
        overview.texts("job")[0].contains(" 2 wait for OpenRouter"),
        "{:?}",
        overview.texts("job")
    );
    assert_eq!(
        jobs(&admin.get("/console/account").await),
        [job("limits", "running", 0, 2)]
    );
    campus.minutes(1);
    // A roster that needs no provider does not wait for it.
    applied(&admin, "add", "email\ndan@example.edu\n").await;
    let states: Vec<_> = jobs(&admin.get(ID).await)
        .into_iter()
        .map(|line| (line.0, line.1))
        .collect();
    assert_eq!(
        states,
        [
            ("limits".to_owned(), "running".to_owned()),
            ("import".to_owned(), "done".to_owned())
        ]
    );
    for _ in 0..9 {
        campus.work().await;
        campus.judged().await;
    }
    assert_eq!(
        (jobs(&admin.get(ID).await)[0].clone(), campus.limits()),
        (job("limits", "running", 0, 2), vec![dollars(20); 2])
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
        (vec![dollars(7); 2], job("limits", "done", 2, 2))
    );
    assert!(jobs(&admin.get("/console/account").await).is_empty());
    campus.finish_faulted().await;
}

/// Nor a job from its end.
#[tokio::test]
async fn grants_that_cannot_be_read_keep_no_other_waiting() {
    const UNDO: &str = "/console/programmes/cs-pilot/roster/undo";
    let campus = class(&["ada"]).await;
    let admin = campus.admin().await;
    applied(&admin, "replace", "email\neve@example.edu\n").await;
    let page = admin.get(&format!("{ID}/roster")).await;
    let grant = campus.grant("ada").await;
    // A newer version wrote them, and they were due before.
    for number in 0..30 {
        let due_at = grant.due_at.map(|due| due - SignedDuration::from_mins(1));
        let newer = Grant {
            id: GrantId::of_bytes(&[number; 8]),
            due_at,
            ..grant.clone()
        };
        let mut item = items::to_item(&newer).unwrap();
        item.insert(
            "state".to_owned(),
            AttributeValue::S("of-a-newer-version".to_owned()),
        );
        campus.raw().put(item).await;
    }
    campus.work().await;
    assert!(!campus.is_on(&campus.key("ada").hash));
    admin.submit(&page, UNDO, &[]).await.expect(303);
    for _ in 0..2 {
        campus.work().await;
    }
    assert_eq!(
        (
            campus.enabled().len(),
            campus.job("import").await.unwrap().state.as_str()
        ),
        (1, "done")
    );
    campus.finish_unjudged().await;
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
    assert_eq!(
        (campus.limits(), jobs(&admin.get(ID).await)),
        (vec![dollars(9); 2], vec![job("limits", "done", 2, 2)])
    );
    let down = goes_down(&campus, "provider:*");
    assert_eq!(campus.edit(&admin, &[("cap_usd", "11")]).await.status, 303);
    campus.minutes(1);
    let close = format!("{ID}/close");
    campus.close(&admin).await.expect(303);
    assert!(!admin.get(SETTINGS).await.offers(&close), "it is closed");
    campus.judged().await;
    let states: Vec<_> = jobs(&admin.get(ID).await)
        .into_iter()
        .map(|line| (line.0, line.1))
        .collect();
    assert_eq!(
        states,
        [
            ("limits".to_owned(), "failed".to_owned()),
            ("close".to_owned(), "running".to_owned())
        ]
    );
    comes_up(&campus, down);
    for _ in 0..4 {
        campus.work().await;
        campus.judged().await;
    }
    assert_eq!(
        (
            campus.enabled().len(),
            campus.job("close").await.unwrap().is_running()
        ),
        (0, false)
    );
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_silent_provider_is_asked_a_few_times_a_round() {
    let campus = class_of(600, &name_people(0..18)).await;
    let admin = campus.admin().await;
    campus.judged().await;
    let down = goes_down(&campus, "provider:*");
    assert_eq!(campus.edit(&admin, &[("cap_usd", "7")]).await.status, 303);
    for _ in 0..3 {
        let before = campus.gate.calls().len();
        let report = campus.work().await;
        let made = campus.gate.calls().split_off(before);
        let asked = made
            .iter()
            .filter(|recorded| recorded.name.service == Service::Provider)
            .count();
        assert!(
            (1..=16).contains(&asked),
            "eight in a row, and as many that were under way: {asked}"
        );
        assert_eq!(
            report["jobs"],
            serde_json::json!({"running": 1}),
            "{report}"
        );
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

/// The second meets the lease of the first, which is held at a call, and ends. Killed, the first
/// costs a minute.
#[tokio::test]
async fn a_second_worker_does_nothing() {
    let campus = class(&["ada", "bob"]).await;
    let work = async || {
        campus
            .run(FunctionName::Console, json!({"task": "work"}))
            .await
            .unwrap()
    };
    campus.hold("ada", HoldKind::Paused).await;
    let held = campus
        .gate
        .hold(Matcher::call("provider:PATCH /keys/{hash}").of(FunctionName::Console));
    let second = async {
        held.arrived().await;
        campus.hold("bob", HoldKind::Paused).await;
        let report = work().await;
        drop(held);
        report
    };
    let (first, second) = tokio::join!(work(), second);
    reports(&second, &json!({"skipped": "running", "settled": 0}));
    assert_eq!(
        (&first["settled"], campus.enabled().len()),
        (&json!(2), 0),
        "it goes on while something is due"
    );

    for name in ["ada", "bob"] {
        campus
            .table
            .act(campus.on(name), |view, now| {
                view.release(HoldKind::Paused, &Actor::Rule, now)
            })
            .await
            .unwrap();
    }
    campus.gate.at(
        Matcher::call("provider:PATCH /keys/{hash}").of(FunctionName::Console),
        Fault::KillBefore,
    );
    assert!(
        campus
            .run(FunctionName::Console, json!({"task": "work"}))
            .await
            .is_err()
    );
    assert_eq!(work().await["skipped"], json!("running"));
    campus.work().await;
    // What was noted may still come.
    campus.work().await;
    assert_eq!(campus.enabled().len(), 2);
    campus.finish_faulted().await;
}

/// Between the note of a call and the call six seconds pass, or midnight.
#[tokio::test]
async fn a_call_that_begins_late_is_noted_again() {
    let mut campus = Campus::open().await;
    campus
        .programme("CS pilot", |settings| settings.basis.reset = Reset::Daily)
        .await;
    campus.students_with_keys(&["ada", "bob"]).await;
    for (name, at, seconds) in [
        ("ada", "2026-11-11T12:00:00Z", 6),
        ("bob", "2026-11-11T23:59:58Z", 3),
    ] {
        campus.clock.stop_at(at.parse().unwrap()).unwrap();
        campus.hold(name, HoldKind::Paused).await;
        // The first takes the lease.
        let note = write_of_console(2);
        let held = campus.gate.hold_answers(note);
        let later = async {
            held.arrived().await;
            campus
                .clock
                .advance(SignedDuration::from_secs(seconds))
                .unwrap();
            drop(held);
        };
        tokio::join!(
            campus.run(FunctionName::Console, json!({"task": "work"})),
            later
        )
        .0
        .unwrap();
        assert!(campus.is_on(&campus.key(name).hash), "{name}");
        campus.work().await;
        assert!(!campus.is_on(&campus.key(name).hash), "{name}");
    }
    campus.finish().await;
}

/// That a live key is gone is for the sync to judge, within its safety limit.
#[tokio::test]
async fn the_work_ends_no_live_key() {
    let campus = class(&["ada", "bob"]).await;
    campus.provider().delete(&campus.key("ada").hash).unwrap();
    campus
        .set(|settings| settings.allowance.cap = Usd::from_dollars(7))
        .await;
    for _ in 0..3 {
        campus.work().await;
        campus.hours(2);
    }
    assert!(campus.grant("ada").await.live().is_some());
    campus.finish().await;
}

/// What a key used under its old limit is read before the new one counts.
#[tokio::test]
async fn a_limit_is_confirmed_together_with_the_use() {
    let campus = class(&["ada"]).await;
    campus
        .provider()
        .set_quirks(|quirks| quirks.absent_fields = vec!["usage"]);
    campus
        .set(|settings| settings.allowance.cap = Usd::from_dollars(7))
        .await;
    campus.work().await;
    assert_eq!(campus.limits(), [dollars(7)]);
    assert!(
        !campus.grant("ada").await.keys[0]
            .limit
            .is(&Usd::from_dollars(7))
    );
    campus.finish().await;
}

/// It keeps its place before the jobs that were begun later, is tried again each minute, and after
/// three failures goes on without her.
#[tokio::test]
async fn a_grant_that_cannot_be_written_is_passed_over() {
    let campus = class(&["ada"]).await;
    // Nothing else is due then.
    campus.finish_work().await;
    let (admin, bulk) = (campus.admin().await, format!("{ID}/grants/bulk"));
    let page = admin.get(&format!("{ID}/grants")).await;
    let shown = admin
        .submit(&page, &bulk, &[("act", "allow")])
        .await
        .expect(200);
    let fails = || campus.gate.at(write_of_console(3), Fault::Status(400));
    let states = async || {
        let lines = jobs(&admin.get(ID).await).into_iter();
        lines
            .map(|(kind, state, ..)| kind + " " + &state)
            .collect::<Vec<_>>()
    };
    fails();
    admin.submit(&shown, &bulk, &[]).await.expect(303);
    campus.clock.advance(SignedDuration::from_secs(1)).unwrap();
    applied(&admin, "add", "email\ndan@example.edu\n").await;
    for _ in 0..2 {
        assert_eq!(states().await, ["bulk running", "import running"]);
        fails();
        campus.work().await;
    }
    assert_eq!(states().await, ["bulk done", "import done"]);
    let told = admin.get(ID).await.texts("job").join(" ");
    assert!(
        told.contains("ada@example.edu: it could not be saved in three tries"),
        "{told}"
    );
    assert_eq!(campus.grant("ada").await.allowed, 0);
    campus.finish_faulted().await;
}

/// A file is applied in two rounds. Who was paused between them is left as they are, and so is who
/// came; each is named.
#[tokio::test]
async fn a_file_undoes_nothing_that_was_done_meanwhile() {
    let mut campus = class(&["ada", "bob"]).await;
    let admin = campus.admin().await;
    let file = "email,group\nada@example.edu,A\nbob@example.edu,A\neve@example.edu,A\n";
    let shown = preview(&admin, "replace", file).await;
    // The job is made and taken, one is added, and it is killed where that is noted.
    campus.gate.at(write_of_console(4), Fault::KillBefore);
    admin.submit(&shown, APPLY, &[]).await;
    campus.minutes(1);
    campus.hold("ada", HoldKind::Paused).await;
    campus.students(&["fay"]).await;
    campus.work().await;
    let mut groups: Vec<_> = campus.table.grants(&campus.programme).await.unwrap();
    groups.sort_by_key(|grant| grant.person.address.as_written().to_owned());
    let groups: Vec<_> = groups
        .iter()
        .map(|grant| (grant.group.as_deref(), grant.holds.dropped.is_some()))
        .collect();
    assert_eq!(
        groups,
        [
            (None, false),
            (Some("A"), false),
            (Some("A"), false),
            (None, false)
        ]
    );
    let told = admin.get(ID).await.texts("job").join(" ");
    assert!(told.contains("2 could not be done"), "{told}");
    assert!(
        ["ada", "fay"]
            .iter()
            .all(|name| told.contains(&format!("{name}@example.edu: left as it is"))),
        "{told}"
    );
    assert!(
        admin
            .get(&format!("{ID}/roster"))
            .await
            .readable()
            .contains("of all its changes 2 could not be made")
    );
    campus.finish_faulted().await;
}

/// A row that was refused adds nobody once the file is planned anew, nor does one whose person was
/// given another address meanwhile.
#[tokio::test]
async fn a_file_does_no_more_than_was_confirmed() {
    let campus = class(&["ada"]).await;
    let admin = campus.admin().await;
    applied(&admin, "add", "email,id\nada@example.edu,s1\n").await;
    let shown = preview(
        &admin,
        "replace",
        "email,id\nlove@example.edu,s1\nada@example.edu,\neve@example.edu,s2\n",
    )
    .await;
    // The job is made and taken, or the work has its lease; eve is added, then ada described, and
    // each time it is killed where that is noted.
    let dies = || campus.gate.at(write_of_console(4), Fault::KillBefore);
    dies();
    admin.submit(&shown, APPLY, &[]).await;
    let people = async || {
        let grants = campus
            .table
            .grants(&campus.programme)
            .await
            .unwrap()
            .into_iter();
        let mut people: Vec<_> = grants
            .map(|grant| grant.person.address.as_written().to_owned())
            .collect();
        people.sort();
        people
    };
    assert_eq!(people().await, ["ada@example.edu", "eve@example.edu"]);
    let eve = campus
        .table
        .grants(&campus.programme)
        .await
        .unwrap()
        .into_iter()
        .find(|of| of.id != *campus.id("ada"));
    let at = ActContext {
        grant: &eve.unwrap().id,
        ..campus.on("ada")
    };
    campus
        .table
        .act(at, |view, _| {
            view.correct_address(&address("eva"), &Actor::Rule)
        })
        .await
        .unwrap();
    campus.minutes(1);
    dies();
    assert!(
        campus
            .run(FunctionName::Console, json!({"task": "work"}))
            .await
            .is_err()
    );
    campus.work().await;
    campus.work().await;
    assert_eq!(people().await, ["eva@example.edu", "love@example.edu"]);
    assert_eq!(campus.job("import").await.unwrap().state.as_str(), "done");
    campus.finish_faulted().await;
}

/// Two addresses are swapped by a job that is killed before it begins, or after both were taken
/// away, and one of the two is paused then.
#[tokio::test]
async fn a_swap_leaves_nobody_without_address() {
    for (call, expected) in [(2, ["ada", "bob"]), (5, ["bob", "ada"])] {
        let campus = class(&["ada", "bob"]).await;
        let admin = campus.admin().await;
        applied(
            &admin,
            "add",
            "email,id\nada@example.edu,s1\nbob@example.edu,s2\n",
        )
        .await;
        let shown = preview(
            &admin,
            "add",
            "email,id\nbob@example.edu,s1\nada@example.edu,s2\n",
        )
        .await;
        campus.gate.at(write_of_console(call), Fault::KillBefore);
        admin.submit(&shown, APPLY, &[]).await;
        campus.hold("bob", HoldKind::Paused).await;
        campus.work().await;
        let has = [campus.grant("ada").await, campus.grant("bob").await]
            .map(|grant| grant.person.address);
        assert_eq!(has, expected.map(address), "{call}");
        campus.work().await;
        let refused = campus.job("import").await.unwrap().refused;
        assert_eq!(refused > 0, call == 2, "{refused} are named");
        campus.finish_faulted().await;
    }
}

/// Of two who are added together neither can be, then one of them by himself; a third was put on
/// the roster since.
#[tokio::test]
async fn who_cannot_be_added_is_named_by_the_line() {
    let mut campus = class(&[]).await;
    let admin = campus.admin().await;
    let file = "email\nada@example.edu\nbob@example.edu\nfay@example.edu\n";
    let shown = preview(&admin, "add", file).await;
    let fails = |campus: &Campus| campus.gate.at(write_of_console(3), Fault::Status(400));
    fails(&campus);
    admin.submit(&shown, APPLY, &[]).await.expect(303);
    campus.students(&["fay"]).await;
    for _ in 0..3 {
        fails(&campus);
        campus.work().await;
    }
    let told = admin.get(ID).await.texts("job").join(" ");
    assert!(told.contains("1 of 3. 2 could not be done"), "{told}");
    assert!(
        told.contains("line 4: left as it is")
            && told.contains(": it could not be saved in three tries"),
        "{told}"
    );
    assert_eq!(
        campus.table.grants(&campus.programme).await.unwrap().len(),
        2
    );
    campus.finish_faulted().await;
}

/// What lies under the address of one who is to be added cannot be read. The others of the file are
/// added all the same.
#[tokio::test]
async fn an_unreadable_enrolment_keeps_nobody_else() {
    let campus = class(&[]).await;
    let admin = campus.admin().await;
    let shown = preview(
        &admin,
        "add",
        "email\nada@example.edu\nbob@example.edu\nfay@example.edu\n",
    )
    .await;
    let (address, programme) = (address("bob").matched().clone(), campus.programme.clone());
    let enrolled_at = campus.clock.now();
    let enrolment = Enrolment {
        address,
        programme,
        grant: GrantId::random(),
        enrolled_at,
        is_anothers: false,
    };
    let mut item = items::to_item(&enrolment).unwrap();
    item.insert(
        "enrolled_at".to_owned(),
        AttributeValue::S("of-a-newer-version".to_owned()),
    );
    campus.raw().put(item).await;
    admin.submit(&shown, APPLY, &[]).await.expect(303);
    for _ in 0..4 {
        campus.work().await;
    }
    assert_eq!(
        campus.table.grants(&campus.programme).await.unwrap().len(),
        2
    );
    let told = admin.get(ID).await.texts("job").join(" ");
    assert!(
        told.contains("2 of 3. 1 could not be done") && told.contains("line 3"),
        "{told}"
    );
    campus.finish_unjudged().await;
}

/// A job that somebody began before, and that was committed later, does not come between the rounds
/// of another.
#[tokio::test]
async fn what_is_half_written_comes_first() {
    let campus = class(&[]).await;
    let now = campus.clock.now();
    let half = Job {
        version: 3,
        ..Job::new(&campus.programme, Work::Bulk, 20, &Actor::Rule, now)
    };
    let older = Job::new(
        &campus.programme,
        Work::Limits,
        20,
        &Actor::Rule,
        now - SignedDuration::from_secs(5),
    );
    for job in [&half, &older] {
        campus.raw().keep(job).await;
    }
    let taken = campus
        .table
        .take_job(&campus.programme, now, campus.by().deadline)
        .await
        .unwrap();
    assert_eq!(taken.unwrap().job, half.job);
    campus.finish_unjudged().await;
}

/// A file adds people while somebody closes the programme.
#[tokio::test]
async fn nobody_joins_a_closed_programme() {
    let campus = class(&["ada"]).await;
    let admin = campus.admin().await;
    let shown = preview(&admin, "add", "email\neve@example.edu\n").await;
    let held = campus.gate.hold(write_of_console(3));
    tokio::join!(admin.submit(&shown, APPLY, &[]), async {
        held.arrived().await;
        campus.close(&admin).await.expect(303);
        drop(held);
    });
    assert_eq!(
        campus.table.grants(&campus.programme).await.unwrap().len(),
        1
    );
    campus.finish_work().await;
    campus.finish().await;
}

/// A disable passes the wait that the provider asks for, so it has waits of its own.
#[tokio::test]
async fn a_disable_is_put_off_longer_each_time() {
    let campus = class(&["ada"]).await;
    campus.hold("ada", HoldKind::Paused).await;
    goes_down(&campus, "provider:*");
    let before = campus.gate.calls().len();
    for _ in 0..14 {
        campus.work().await;
    }
    let calls = campus.gate.calls().split_off(before);
    assert_eq!(
        calls
            .iter()
            .filter(|made| made.name.to_string() == DISABLE)
            .count(),
        4
    );
    campus.finish_faulted().await;
}

/// Ada is resumed with many, then somebody pauses her, and the batch is done once more since nobody
/// noted its end.
#[tokio::test]
async fn a_batch_done_twice_undoes_nothing() {
    let campus = class(&["ada", "bob"]).await;
    let (admin, grants) = (campus.admin().await, format!("{ID}/grants"));
    let bulk = format!("{grants}/bulk");
    let ticks = ["ada", "bob"].map(|name| format!("tick.{}", campus.id(name)));
    let resume = async || {
        let fields = [("act", "resume"), (&*ticks[0], "on"), (&*ticks[1], "on")];
        let shown = admin.fill(&grants, &bulk, &fields).await.expect(200);
        admin.submit(&shown, &bulk, &[]).await
    };
    let is_paused = async |name: &str| campus.grant(name).await.holds.has(HoldKind::Paused);
    for name in ["ada", "bob"] {
        campus.hold(name, HoldKind::Paused).await;
    }
    campus.work().await;
    // The job is made and taken, two grants are written, and it is killed where that is noted.
    campus.gate.at(write_of_console(5), Fault::KillBefore);
    resume().await;
    assert!(
        !is_paused("ada").await
            && !is_paused("bob").await
            && campus.job("bulk").await.unwrap().next == 0
    );
    campus.hold("ada", HoldKind::Paused).await;
    for _ in 0..3 {
        campus.work().await;
        campus.judged().await;
    }
    assert_eq!(
        (
            campus.enabled(),
            campus.job("bulk").await.unwrap().state.as_str()
        ),
        (vec!["bob"], "done")
    );
    assert!(
        is_paused("ada").await,
        "whoever paused her did so after the job"
    );
    assert_eq!(resume().await.status, 303);
    campus.work().await;
    assert_eq!(campus.enabled().len(), 2, "another job is another act");

    // A mail that was sent is not told as one that may not be.
    campus.finish_work().await;
    let shown = admin
        .fill(&grants, &bulk, &[("act", "resend")])
        .await
        .expect(200);
    campus.gate.at(write_of_console(5), Fault::KillBefore);
    admin.submit(&shown, &bulk, &[]).await;
    campus.finish_work().await;
    let job = campus.job("bulk").await.unwrap();
    assert_eq!((job.state.as_str(), job.done, job.refused), ("done", 2, 0));
    campus.finish_faulted().await;
}
