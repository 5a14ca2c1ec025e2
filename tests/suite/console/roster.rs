//! Rosters: the preview of a file, its import, and an import that is killed in the middle.

use bursar_core::domain::grant::{Grant, HoldKind};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::RateCount;
use bursar_core::store::{ActOutcome, Author, Table};
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::invariants::RawTable;
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{Office, soon};
use bursar_tests::stack::{self, Stack};
use bursar_tests::visitor::{Page, Visitor};
use jiff::SignedDuration;
use serde_json::json;

use super::{ADMIN, signed_in, watch};

const ID: &str = "/console/programmes/cs-pilot";
const ROSTER: &str = "/console/programmes/cs-pilot/roster";
const APPLY: &str = "/console/programmes/cs-pilot/roster/apply";

pub(crate) async fn preview(browser: &Visitor, mode: &str, file: impl AsRef<[u8]>) -> Page {
    upload(browser, &browser.get(ID).await, mode, file.as_ref()).await
}

async fn upload(browser: &Visitor, overview: &Page, mode: &str, file: &[u8]) -> Page {
    browser.upload(overview, ROSTER, &[("mode", mode)], "roster.csv", file).await
}

/// The people of the roster, as `address name group`.
async fn people(stack: &Stack) -> Vec<String> {
    let id: ProgrammeId = "cs-pilot".parse().unwrap();
    let grants = Table::new(&stack.config).grants(&id).await.unwrap();
    let mut people: Vec<String> = grants
        .iter()
        .map(|grant| {
            let (person, group) = (&grant.person, grant.group.as_deref().unwrap_or("-"));
            format!("{} {} {group}", person.address.as_written(), person.name.as_deref().unwrap_or("-"))
        })
        .collect();
    people.sort();
    people
}

fn counts(page: &Page) -> [u32; 5] {
    ["added", "changed", "moved", "dropped", "refused"].map(|hook| page.text(hook).unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_roster_is_shown_first_and_then_applied_once() {
    let stack = stack::in_process().await.unwrap();
    Office::open(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let mut watch = watch(&stack);
    watch.check().await;
    let file = "\u{FEFF}Name;EMAIL;group;id;year\r\nAda;ada@example.edu;A;1;3\r\nBob;bob@example.edu;A;2;3\r\n;not an address;;;\r\nAda again;ADA@example.edu;B;;\r\n";
    let shown = preview(&admin, "add", file).await;
    assert_eq!((shown.status, counts(&shown)), (200, [2, 0, 0, 0, 2]));
    assert_eq!(shown.attributes("refused-row", "data-line"), ["4", "5"]);
    assert!(shown.texts("ignored-columns")[0].contains("year"));
    assert!(people(&stack).await.is_empty(), "nothing happened yet");
    watch.check().await;

    let applied = admin.submit(&shown, APPLY, &[]).await;
    assert_eq!((applied.status, applied.location()), (303, Some(ID)));
    assert_eq!(admin.get(ID).await.attributes("job", "data-state"), ["done"]);
    assert_eq!(people(&stack).await, ["ada@example.edu Ada A", "bob@example.edu Bob A"]);
    watch.check().await;
    let count = stack.gate.count();
    assert_eq!(admin.submit(&shown, APPLY, &[]).await.status, 303, "the same again");
    assert!(stack.gate.calls().iter().skip(count as usize).all(|recorded| !recorded.call.name.has_effect()));

    let second =
        "email,name,group,id\nada@example.edu,Ada Lovelace,A,1\nrobert@example.edu,Bob,B,2\ncid@example.edu,,,\n";
    let shown = preview(&admin, "add", second).await;
    assert_eq!(counts(&shown), [1, 2, 1, 0, 0]);
    admin.submit(&shown, APPLY, &[]).await;
    assert_eq!(
        people(&stack).await,
        ["ada@example.edu Ada Lovelace A", "cid@example.edu - -", "robert@example.edu Bob B"]
    );
    watch.check().await;
    let nothing = preview(&admin, "add", second).await;
    assert_eq!(counts(&nothing), [0; 5]);
    assert!(!nothing.offers(APPLY), "nothing to apply");

    let (overview, dan) = (admin.get(ID).await, [("email", "dan@example.edu"), ("group", "B")]);
    assert_eq!(admin.submit(&overview, &format!("{ID}/people"), &dan).await.status, 303);
    assert_eq!(admin.submit(&overview, &format!("{ID}/people"), &dan).await.status, 303, "pressed twice");
    for (email, status) in [("eve@example.edu", 303), ("fay@example.edu", 422)] {
        let with_id = [("email", email), ("id", "4711")];
        assert_eq!(
            admin.submit(&overview, &format!("{ID}/people"), &with_id).await.status,
            status,
            "one id, one person"
        );
    }
    let renamed = [("email", "DAN@example.edu"), ("name", "Daniel"), ("group", "B")];
    assert_eq!(
        admin.submit(&overview, &format!("{ID}/people"), &renamed).await.status,
        422,
        "nothing is done silently"
    );
    let wrong = admin.submit(&admin.get(ID).await, &format!("{ID}/people"), &[("email", "dan"), ("name", "Dan")]).await;
    assert_eq!((wrong.status, wrong.alerts().len()), (422, 1));
    assert_eq!(wrong.form(&format!("{ID}/people")).value("name"), Some("Dan"));
    assert_eq!(people(&stack).await.len(), 5);
    watch.check().await;
    stack.finish().await;
}

#[tokio::test]
async fn an_import_that_was_cut_off_is_gone_on_with_and_nothing_is_doubled() {
    let stack = stack::in_process().await.unwrap();
    Office::open(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let mut watch = watch(&stack);
    watch.check().await;
    let rows: String = (0..300).map(|number| format!("student{number:03}@example.edu\n")).collect();
    let shown = preview(&admin, "add", format!("email\n{rows}")).await;
    assert_eq!(shown.text("added").as_deref(), Some("300"));

    // The first transaction starts the job; each other one invites two dozen, eight of them side by side before a checkpoint.
    let matcher = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console).nth(3);
    stack.gate.at(matcher, Fault::KillAfter);
    assert!(admin.submit(&shown, APPLY, &[]).await.status >= 500);
    let invited = people(&stack).await.len();
    assert!((24..=8 * 24).contains(&invited), "{invited}");
    watch.check().await;
    assert_eq!(admin.get(ID).await.attributes("job", "data-state"), ["running"]);

    let other = preview(&admin, "add", "email\nsomebody.else@example.edu\n").await;
    assert_eq!(admin.submit(&other, APPLY, &[]).await.status, 409, "one job at a time");
    assert_eq!(admin.submit(&shown, APPLY, &[]).await.status, 303, "this one is under way");
    let work = || stack.invoke.invoke(FunctionName::Console, json!({"task": "work"}));
    assert_eq!(work().await.unwrap().get("jobs"), None, "it may still be somebody's");
    stack.clock.advance(SignedDuration::from_secs(61)).unwrap();
    assert_eq!(work().await.unwrap()["jobs"], json!({"done": 1}));
    assert_eq!(people(&stack).await.len(), 300);
    assert_eq!(admin.get(ID).await.attributes("job", "data-state"), ["done"]);
    watch.check().await;
    assert_eq!(work().await.unwrap().get("jobs"), None);
    assert_eq!(admin.submit(&other, APPLY, &[]).await.status, 303, "now it is its turn");
    assert_eq!(people(&stack).await.len(), 301);
    watch.check().await;
    // Roster mails leave over some minutes.
    stack.finish_faulted().await;
}

#[tokio::test]
async fn replacing_a_roster_drops_whom_it_does_not_name_when_the_number_is_confirmed() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let mut hashes = Vec::new();
    for name in ["ada", "bob", "cid"] {
        let grant = office.invite(&format!("{name}@example.edu")).await;
        hashes.push(office.claim(&grant).await);
    }
    let mut watch = watch(&stack);
    watch.check().await;
    let shown = preview(&admin, "replace", "email\nada@example.edu\ndan@example.edu\n").await;
    assert_eq!(counts(&shown), [1, 0, 0, 2, 0]);
    let unconfirmed = admin.submit(&shown, APPLY, &[]).await;
    assert_eq!(unconfirmed.status, 422);
    assert!(unconfirmed.alerts()[0].contains('2'));
    assert_eq!(admin.submit(&unconfirmed, APPLY, &[("confirm_dropped", "3")]).await.status, 422);
    watch.check().await;
    assert_eq!(admin.submit(&unconfirmed, APPLY, &[("confirm_dropped", "2")]).await.status, 303);
    assert_eq!(hashes.iter().map(|hash| office.key(hash).disabled).collect::<Vec<_>>(), [false, true, true]);
    let grants = admin.get(&format!("{ID}/grants?state=paused")).await;
    assert_eq!(grants.attributes("grant", "data-email").len(), 2);
    watch.check().await;
    // Mails about the keys are covered elsewhere.
    stack.finish().await;
}

#[tokio::test]
async fn a_file_that_is_no_roster_or_too_large_changes_nothing() {
    let stack = stack::in_process().await.unwrap();
    Office::open(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    for (file, status) in [
        (b"name\nAda\n".to_vec(), 422),
        (b"".to_vec(), 422),
        (b"email,name\nada@example.edu,Andr\xE9\n".to_vec(), 422),
        (format!("email\n{}", "a@example.edu\n".repeat(50_001)).into_bytes(), 413),
        (vec![b'a'; (4 << 20) + 1], 413),
    ] {
        let refused = preview(&admin, "add", file).await;
        assert_eq!((refused.status, refused.alerts().len()), (status, 1));
    }
    assert_eq!(preview(&admin, "merge", "email\n").await.status, 422);
    assert_eq!(admin.post(ROSTER, &[("mode", "add")]).await.status, 415);
    let overview = admin.get(ID).await;
    let stranger = signed_in(&stack, "stu@example.edu").await;
    assert_eq!(upload(&stranger, &overview, "add", b"email\n").await.status, 403, "another session's form");
    assert_eq!(admin.submit(&overview, ID, &[]).await.status, 303);
    let nobody = Visitor::new(&stack.ready.web);
    assert_eq!(upload(&nobody, &overview, "add", b"email\n").await.status, 401);
    stack.finish().await;
}

/// The grant of the person with this name in their address.
async fn grant_of(office: &Office<'_>, name: &str) -> Grant {
    let grants = office.table.grants(&office.programme).await.unwrap();
    grants.into_iter().find(|grant| grant.person.address.as_written() == format!("{name}@example.edu")).unwrap()
}

#[tokio::test]
async fn who_was_dropped_and_is_named_again_by_a_file_or_the_form_returns() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    for name in ["ada", "bob", "cid", "dan"] {
        let grant = office.invite(&format!("{name}@example.edu")).await;
        if ["ada", "cid"].contains(&name) {
            office.claim(&grant).await;
        }
    }
    let mut watch = watch(&stack);
    watch.check().await;
    let dropped = preview(&admin, "replace", "email\neve@example.edu\n").await;
    assert_eq!(admin.submit(&dropped, APPLY, &[("confirm_dropped", "4")]).await.status, 303);
    let is_dropped = async |name: &str| grant_of(&office, name).await.holds.dropped.is_some();
    for name in ["ada", "bob", "cid", "dan"] {
        assert!(is_dropped(name).await, "{name}");
    }
    watch.check().await;

    // The right file after the wrong one; one of the returning people has a new name and group in it.
    let file = "email,group,name\nada@example.edu,,\nbob@example.edu,B,Robert\neve@example.edu,,\n";
    let shown = preview(&admin, "replace", file).await;
    assert_eq!((counts(&shown), shown.text("returned").as_deref()), ([0, 1, 1, 0, 0], Some("2")));
    assert!(is_dropped("ada").await, "nothing happened yet");
    assert_eq!(admin.submit(&shown, APPLY, &[]).await.status, 303);
    assert_eq!(admin.get(ID).await.attributes("job", "data-state"), ["done"]);
    let still = [is_dropped("ada").await, is_dropped("bob").await, is_dropped("cid").await, is_dropped("dan").await];
    assert_eq!(still, [false, false, true, true]);
    assert!(people(&stack).await.contains(&"bob@example.edu Robert B".to_owned()));
    let none_owed = async || {
        let grants = office.table.grants(&office.programme).await.unwrap();
        grants.iter().all(|grant| grant.orders().is_empty())
    };
    assert!(none_owed().await, "the provider was told at once");
    watch.check().await;
    let nothing = preview(&admin, "replace", file).await;
    assert_eq!((nothing.text("returned").as_deref(), nothing.offers(APPLY)), (Some("0"), false));

    for name in ["cid", "dan"] {
        for _ in 0..2 {
            let page = admin.get(ID).await;
            let email = format!("{name}@example.edu");
            assert_eq!(
                admin.submit(&page, &format!("{ID}/people"), &[("email", &email), ("name", "N")]).await.status,
                303
            );
            assert!(!is_dropped(name).await, "{name}");
            watch.check().await;
        }
    }
    assert!(none_owed().await);
    assert_eq!(people(&stack).await.len(), 5);
    stack.finish().await;
}

#[tokio::test]
async fn nobody_returns_for_whom_the_pot_has_no_room_by_then() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@example.edu").await;
    office.claim(&ada).await;
    // After more than a week off the roster, her place is given back.
    let held = office
        .table
        .act(office.at(&ada), |view, now| view.hold(HoldKind::Dropped, &office.faculty, None, now))
        .await
        .unwrap();
    assert!(matches!(held, ActOutcome::Done(_)), "{held:?}");
    stack.invoke.invoke(FunctionName::Console, json!({"task": "work"})).await.unwrap();
    stack.clock.advance(SignedDuration::from_hours(8 * 24)).unwrap();
    stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    assert_eq!(office.table.pot(&office.programme).await.unwrap().unwrap().reserved, Usd::ZERO);
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    office.table.set_pot(&office.programme, Usd::from_dollars(5), by).await;
    let mut watch = watch(&stack);
    watch.check().await;

    let shown = preview(&admin, "add", "email\nada@example.edu\n").await;
    assert_eq!(shown.text("returned").as_deref(), Some("1"));
    assert_eq!(admin.submit(&shown, APPLY, &[]).await.status, 303);
    let overview = admin.get(ID).await;
    assert!(overview.body.contains("1 could not be done"), "{}", overview.body);
    let refused = admin.submit(&overview, &format!("{ID}/people"), &[("email", "ada@example.edu")]).await;
    assert_eq!((refused.status, refused.alerts().len()), (409, 1));
    assert!(grant_of(&office, "ada").await.holds.dropped.is_some());
    watch.check().await;

    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    office.table.set_pot(&office.programme, Usd::from_dollars(100), by).await;
    let shown = preview(&admin, "add", "email\nada@example.edu\n").await;
    assert_eq!(admin.submit(&shown, APPLY, &[]).await.status, 303);
    assert!(grant_of(&office, "ada").await.holds.dropped.is_none());
    watch.check().await;
    stack.finish().await;
}

#[tokio::test]
async fn an_address_that_belonged_to_somebody_with_another_id_brings_nobody_their_grant() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let mut watch = watch(&stack);
    let first = preview(&admin, "add", "email,id\nada@example.edu,s1\nbob@example.edu,\n").await;
    admin.submit(&first, APPLY, &[]).await;
    watch.check().await;
    let file = "email,id\nada@example.edu,s2\nbob@example.edu,s3\n";
    let shown = preview(&admin, "replace", file).await;
    assert_eq!((counts(&shown), shown.attributes("refused-row", "data-line")), ([0, 1, 0, 0, 1], vec!["2".to_owned()]));
    assert!(shown.texts("refused-row")[0].contains("this address belonged to somebody with another id"));
    admin.submit(&shown, APPLY, &[]).await;
    let ids = async |name| grant_of(&office, name).await.person.roster_id;
    assert_eq!((ids("ada").await.as_deref(), ids("bob").await.as_deref()), (Some("s1"), Some("s3")));
    let typed = [("email", "ada@example.edu"), ("id", "s2")];
    let page = admin.submit(&admin.get(ID).await, &format!("{ID}/people"), &typed).await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("this address belonged to somebody with another id"), "{}", page.body);
    assert_eq!(preview(&admin, "add", "email\nada@example.edu\n").await.text("refused").as_deref(), Some("0"));
    watch.check().await;
    stack.finish().await;
}

#[tokio::test]
async fn a_file_with_more_groups_than_a_programme_can_have_is_refused_with_a_word_about_the_column() {
    let stack = stack::in_process().await.unwrap();
    Office::open(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let file = |groups: usize| {
        let rows = (0..groups).map(|row| format!("s{row}@uni.edu,g{row}\n"));
        format!("email,group\n{}", rows.collect::<String>())
    };
    let page = preview(&admin, "add", &file(501)).await.expect(422);
    assert!(page.body.contains("would have 501 groups") && page.body.contains("student number"), "{}", page.body);
    preview(&admin, "add", &file(500)).await.expect(200);
    stack.finish().await;
}

#[tokio::test]
async fn so_many_files_are_looked_at_in_an_hour_and_no_more() {
    let stack = stack::in_process().await.unwrap();
    Office::open(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let file = "email\nada@example.edu\n";
    let hour = RateCount { count: 99, ..RateCount::of_previews(&"cs-pilot".parse().unwrap(), stack.clock.now()) };
    RawTable::at(&stack.ready.dynamodb, &stack.ready.table).keep(&hour).await.unwrap();
    assert_eq!(preview(&admin, "add", file).await.status, 200);
    assert_eq!(preview(&admin, "add", "email\nnobody\n").await.status, 200, "nothing of it is kept");
    let refused = preview(&admin, "add", file).await;
    assert_eq!(refused.status, 429);
    let after: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3600).contains(&after) && refused.alerts().len() == 1, "{after}: {}", refused.readable());
    // Another link is not made within a minute.
    stack.clock.advance(SignedDuration::from_secs(i64::from(after).max(61))).unwrap();
    assert_eq!(preview(&signed_in(&stack, ADMIN).await, "add", file).await.status, 200);
    stack.finish().await;
}
