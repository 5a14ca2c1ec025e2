//! Rosters: what a file would change, applying it, and what happens when somebody pulls the plug in the middle.

use bursar_core::domain::id::ProgrammeId;
use bursar_core::store::Table;
use bursar_local::gate::{Matcher, Verdict};
use bursar_local::invoke::FunctionName;
use bursar_local::stack::Stack;
use bursar_tests::office::Office;
use bursar_tests::stack;
use bursar_tests::visitor::{Page, Visitor};
use jiff::SignedDuration;
use serde_json::json;

use super::{ADMIN, signed_in, watch};

const ID: &str = "/console/programmes/cs-pilot";
const ROSTER: &str = "/console/programmes/cs-pilot/roster";
const APPLY: &str = "/console/programmes/cs-pilot/roster/apply";

async fn preview(browser: &Visitor, mode: &str, file: impl AsRef<[u8]>) -> Page {
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
    stack::finish(stack).await.unwrap();
}

#[tokio::test]
async fn an_import_that_was_cut_off_is_gone_on_with_and_nothing_is_doubled() {
    let stack = stack::in_process().await.unwrap();
    Office::open(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let mut watch = watch(&stack);
    watch.check().await;
    let rows: String = (0..100).map(|number| format!("student{number:03}@example.edu\n")).collect();
    let shown = preview(&admin, "add", format!("email\n{rows}")).await;
    assert_eq!(shown.text("added").as_deref(), Some("100"));

    // The first starts the job, the third invites the second two dozen.
    let matcher = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console).nth(3);
    stack.gate.at(matcher, Verdict::KillAfter);
    assert!(admin.submit(&shown, APPLY, &[]).await.status >= 500);
    assert_eq!(people(&stack).await.len(), 48);
    watch.check().await;
    assert_eq!(admin.get(ID).await.attributes("job", "data-state"), ["running"]);

    let other = preview(&admin, "add", "email\nsomebody.else@example.edu\n").await;
    assert_eq!(admin.submit(&other, APPLY, &[]).await.status, 409, "one job at a time");
    assert_eq!(admin.submit(&shown, APPLY, &[]).await.status, 303, "this one is under way");
    let work = || stack.invoke.invoke(FunctionName::Console, json!({"task": "work"}));
    assert_eq!(work().await.unwrap().get("jobs"), None, "it may still be somebody's");
    stack.clock.advance(SignedDuration::from_secs(61)).unwrap();
    assert_eq!(work().await.unwrap()["jobs"], json!({"done": 1}));
    assert_eq!(people(&stack).await.len(), 100);
    assert_eq!(admin.get(ID).await.attributes("job", "data-state"), ["done"]);
    watch.check().await;
    assert_eq!(work().await.unwrap().get("jobs"), None);
    assert_eq!(admin.submit(&other, APPLY, &[]).await.status, 303, "now it is its turn");
    assert_eq!(people(&stack).await.len(), 101);
    watch.check().await;
    stack.stop().await.unwrap();
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
    // The mails about the keys are another test's.
    stack.stop().await.unwrap();
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
    stack::finish(stack).await.unwrap();
}
