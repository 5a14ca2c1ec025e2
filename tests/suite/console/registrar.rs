//! The registrar's file: put by a program, and applied by itself or kept for a person.

use std::ops::Range;

use bursar_local::invoke::FunctionName::Console;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::sweep::{KILLS, Sweep, sweep};
use bursar_tests::visitor::{Page, Visitor};
use serde_json::{Value, json};

use super::roster::APPLY;
use super::*;

const TOKEN: &str = "/console/programmes/cs-pilot/roster/token";
const BYTES: &str = "application/octet-stream";

fn file(people: Range<u8>) -> String {
    people.fold("email,id\n".to_owned(), |file, number| {
        format!("{file}p{number}@example.edu,{number}\n")
    })
}

async fn make(browser: &Visitor) -> String {
    let page = browser
        .fill(ROSTER, TOKEN, &[("act", "make")])
        .await
        .expect(200);
    page.text("token").unwrap()
}

fn said(page: &Page) -> Value {
    serde_json::from_str(&page.body).unwrap()
}

/// The answer to a file, without the id of its import.
async fn put(campus: &Campus, token: &str, people: Range<u8>) -> String {
    let page = campus
        .browser()
        .put(ROSTER, token, BYTES, file(people))
        .await;
    let mut said = said(&page);
    said.as_object_mut().unwrap().remove("import");
    format!("{} {said}", page.status)
}

async fn standing(campus: &Campus) -> usize {
    let grants = campus.table.grants(&campus.programme).await.unwrap();
    grants
        .iter()
        .filter(|grant| grant.holds.dropped.is_none())
        .count()
}

fn warns(page: &Page) -> bool {
    page.texts("warning")
        .iter()
        .any(|warning| warning.starts_with("A registrar's file waits"))
}

#[tokio::test]
async fn a_roster_keeps_itself() {
    let campus = staffed().await;
    let (faye, asta) = (campus.student("faye").await, campus.student("asta").await);
    assert!(!asta.get(ROSTER).await.offers(TOKEN));
    let page = faye
        .fill(ROSTER, TOKEN, &[("act", "make")])
        .await
        .expect(200);
    let token = page.text("token").unwrap();
    let line = format!(
        "curl --fail-with-body -T roster.csv -H @roster-token.txt -H \"Content-Type: {BYTES}\" \"{}{ROSTER}\"",
        campus.ready.web
    );
    let file_of_token = format!("Authorization: Bearer {token}");
    assert!(token.starts_with("bursar-roster-"));
    assert!(
        page.examples().contains(&line) && page.examples().contains(&file_of_token),
        "{:?}",
        page.examples()
    );

    let first = campus
        .browser()
        .put(ROSTER, &token, BYTES, file(0..20))
        .await
        .expect(202);
    let import = said(&first)["import"].as_str().unwrap().to_owned();
    assert_eq!(
        said(&first),
        json!({"state": "waiting", "import": import, "added": 20, "changed": 0, "moved": 0, "returned": 0, "dropped": 0,
            "refused": 0, "why": ["It adds 20 to the 0 people on the roster, more than a fifth."]})
    );
    assert_eq!(
        campus
            .browser()
            .put(ROSTER, &token, BYTES, file(0..20))
            .await
            .expect(202)
            .body,
        first.body,
        "the same"
    );
    campus.settle().await;
    let mails = campus.mails("import");
    assert_eq!(
        mails.iter().map(|mail| &*mail.to).collect::<Vec<_>>(),
        ["faye@example.edu"]
    );
    assert!(
        mails[0].contents.subject.ends_with("waits for you"),
        "{}",
        mails[0].contents.subject
    );
    let (overview, kept) = (faye.get(ID).await, format!("{ROSTER}/{import}"));
    assert!(
        mails[0]
            .contents
            .text
            .as_deref()
            .unwrap()
            .contains(&format!("{kept}\n")),
        "where the button leads"
    );
    assert!(
        warns(&overview) && overview.body.contains(&format!("href=\"{kept}\"")),
        "{}",
        overview.readable()
    );
    let home = faye.get("/console").await;
    assert_eq!(home.attributes("waiting", "data-kind"), ["import"]);
    assert!(
        home.body.contains(&format!("href=\"{kept}\""))
            && asta.get("/console").await.all("waiting").is_empty()
    );
    asta.get(&kept).await.expect(404);
    let shown = faye.get(&kept).await.expect(200);
    assert!(
        shown.body.contains("It adds 20 to the 0 people")
            && shown.text("added").as_deref() == Some("20")
    );

    // The roster changes meanwhile, and the file waits on.
    let people = "/console/programmes/cs-pilot/people";
    faye.fill(ROSTER, people, &[("email", "p0@example.edu"), ("id", "0")])
        .await
        .expect(303);
    faye.submit(&shown, APPLY, &[]).await.expect(409);
    assert!(warns(&faye.get(ID).await));
    campus.minutes(9 * 24 * 60);
    let faye = campus.student("faye").await;
    let shown = faye.get(&kept).await.expect(200);
    assert_eq!(shown.text("added").as_deref(), Some("19"));
    // The first press dies when it has begun, and the second still ends the waiting.
    campus.gate.at(
        Matcher::call("dynamodb:DeleteItem").of(Console),
        Fault::KillBefore,
    );
    assert!(faye.submit(&shown, APPLY, &[]).await.status >= 500);
    faye.submit(&shown, APPLY, &[]).await.expect(303);
    assert!(standing(&campus).await == 20 && !warns(&faye.get(ID).await));

    // Each night, in which little changes.
    assert_eq!(
        put(&campus, &token, 0..21).await,
        r#"202 {"added":1,"changed":0,"dropped":0,"moved":0,"refused":0,"returned":0,"state":"applying","why":[]}"#
    );
    assert_eq!(standing(&campus).await, 21);
    campus.settle().await;
    let told = campus.mails("import").pop().unwrap();
    assert_eq!(
        told.contents.subject,
        "CS pilot: the registrar's file changed the roster"
    );
    let (_, changed) = told
        .contents
        .text
        .as_deref()
        .unwrap()
        .split_once(&campus.ready.web)
        .unwrap();
    let changed = faye
        .get(changed.split_whitespace().next().unwrap())
        .await
        .expect(200);
    assert!(
        changed.one("row").text.contains("p20@example.edu"),
        "{}",
        changed.readable()
    );
    assert!(
        faye.get(&campus.console("/audit"))
            .await
            .readable()
            .contains("The registrar's file put")
    );
    assert_eq!(
        put(&campus, &token, 0..21).await,
        r#"200 {"state":"unchanged"}"#
    );
    let waits = put(&campus, &token, 0..10).await;
    assert!(
        waits.contains(r#""dropped":11"#) && waits.contains("of the 21 people"),
        "{waits}"
    );
    assert!(standing(&campus).await == 21 && warns(&faye.get(ID).await));
    let (overview, kept) = (faye.get(ID).await, format!("{ROSTER}/"));
    let shown = faye
        .get(
            overview
                .body
                .split('"')
                .find(|text| text.starts_with(&kept))
                .unwrap(),
        )
        .await
        .expect(200);
    assert_eq!(shown.text("working").as_deref(), Some("0"));
    faye.submit(&shown, APPLY, &[("act", "put-away")])
        .await
        .expect(303);
    assert!(
        standing(&campus).await == 21 && !warns(&faye.get(ID).await),
        "it is put away"
    );
    put(&campus, &token, 0..10).await;
    assert!(warns(&faye.get(ID).await));
    // The next file takes its place, also one that changes nothing.
    assert_eq!(
        put(&campus, &token, 0..21).await,
        r#"200 {"state":"unchanged"}"#
    );
    assert!(!warns(&faye.get(ID).await));
    campus.settle().await;
    assert_eq!(
        campus.subjects("import"),
        ["CS pilot: a registrar's file waits for you"; 2],
        "and again, since it was put away"
    );
    let add = format!("{ROSTER}?mode=add");
    campus
        .browser()
        .put(&add, &token, "text/csv; charset=utf-8", file(0..3))
        .await
        .expect(200);
    campus.finish_faulted().await;
}

/// A token is valid for its programme, and for as long as its maker would be allowed to make it.
#[tokio::test]
async fn a_token_ends_with_its_maker() {
    let campus = staffed().await;
    let (faye, program) = (campus.student("faye").await, campus.browser());
    let token = make(&faye).await;
    let mut refused = Vec::new();
    for (path, token) in [
        (ROSTER, "bursar-roster-x"),
        (ROSTER, &token[14..]),
        (ROSTER, &format!("bursar-roster-{}", "A".repeat(43))),
        ("/console/programmes/maths/roster", &token),
        ("/console/programmes/NO/roster", &token),
    ] {
        // Not even the kind of the body is looked at.
        let page = program.put(path, token, "text/html", "").await.expect(401);
        assert_eq!(
            (page.header("www-authenticate"), page.header("content-type")),
            (Some("Bearer"), Some("application/json"))
        );
        refused.push(page.body.clone());
    }
    refused.dedup();
    assert_eq!(refused.len(), 1, "{refused:?}");
    for (path, kind, body, status) in [
        ("", "", "email\n", 415),
        ("", "text/html", "email\n", 415),
        ("", "text/csv", "email,name\np@example.edu,J\u{f6}rg\n", 422),
        ("?mode=merge", BYTES, "email\np@example.edu\n", 422),
        ("", BYTES, "name\nAda\n", 422),
        ("", BYTES, &*"x".repeat((4 << 20) + 1), 413),
    ] {
        // As windows-1252 writes it.
        let body: Vec<u8> = body
            .chars()
            .map(|letter| u8::try_from(u32::from(letter)).unwrap())
            .collect();
        let page = program
            .put(&format!("{ROSTER}{path}"), &token, kind, body)
            .await
            .expect(status);
        assert!(
            said(&page)["error"]
                .as_str()
                .is_some_and(|why| !why.is_empty()),
            "{}",
            page.body
        );
    }
    assert!(
        faye.get(ROSTER)
            .await
            .one("roster-token")
            .text
            .contains("made by faye@example.edu")
    );
    // Twelve in any hour: the six above, and six more half an hour later.
    campus.minutes(29);
    for _ in 0..6 {
        put(&campus, &token, 0..3).await;
    }
    for (minutes, after) in [(0, "1860"), (30, "60")] {
        campus.minutes(minutes);
        let page = program
            .put(ROSTER, &token, BYTES, file(0..3))
            .await
            .expect(429);
        assert_eq!(page.header("retry-after"), Some(after));
        assert!(
            said(&page)["error"]
                .as_str()
                .is_some_and(|why| !why.is_empty()),
            "{}",
            page.body
        );
    }
    campus.minutes(1);
    for _ in 0..6 {
        assert!(!put(&campus, &token, 0..3).await.starts_with("429"));
    }
    program
        .put(ROSTER, &token, BYTES, file(0..3))
        .await
        .expect(429);

    // A token ends in the edit that takes its maker's role, or with the admin.
    campus
        .set(|settings| settings.people.faculty = vec![address("finn")])
        .await;
    let admin = campus.admin().await;
    assert!(admin.get(ROSTER).await.all("roster-token").is_empty());
    assert!(
        admin
            .get(&campus.console("/audit"))
            .await
            .readable()
            .contains("token")
    );
    program
        .put(ROSTER, &token, BYTES, file(0..3))
        .await
        .expect(401);
    campus
        .set(|settings| settings.people.faculty = vec![address("faye")])
        .await;
    program
        .put(ROSTER, &token, BYTES, file(0..3))
        .await
        .expect(401);
    let newer = make(&admin).await;
    program
        .put(ROSTER, &token, BYTES, file(0..3))
        .await
        .expect(401);
    program
        .put(ROSTER, &newer, BYTES, file(0..3))
        .await
        .expect(429);
    let page = admin.get(ROSTER).await;
    for _ in 0..2 {
        admin
            .submit(&page, TOKEN, &[("act", "end")])
            .await
            .expect(303);
    }
    program
        .put(ROSTER, &newer, BYTES, file(0..3))
        .await
        .expect(401);
    let last = make(&admin).await;
    campus.minutes(100 * 24 * 60);
    program
        .put(ROSTER, &last, BYTES, file(0..3))
        .await
        .expect(401);
    campus.finish().await;
}

/// Two weeks of nights, in which up to four people come and up to four go, need nobody. A second
/// file of a day that changes somebody waits, and the first of the next day is applied.
#[tokio::test]
async fn two_weeks_of_nights_need_no_press() {
    let mut campus = staffed().await;
    let mut programmes = Vec::new();
    for name in ["Maths", "Physics"] {
        let programme = campus
            .programme(name, |settings| {
                settings.people.faculty = vec![address("faye")];
            })
            .await;
        let faye = campus.student("faye").await;
        let roster = format!("/console/programmes/{programme}/roster");
        let token = format!("{roster}/token");
        let page = faye
            .fill(&roster, &token, &[("act", "make")])
            .await
            .expect(200);
        let token = page.text("token").unwrap();
        let first = campus
            .browser()
            .put(&roster, &token, BYTES, file(0..20))
            .await
            .expect(202);
        let kept = format!("{roster}/{}", said(&first)["import"].as_str().unwrap());
        faye.fill(&kept, &format!("{roster}/apply"), &[])
            .await
            .expect(303);
        programmes.push((programme, roster, token));
    }
    campus.settle().await;
    campus.all_mails();
    let [mut first, mut last] = [0, 20];
    for night in 0..14 {
        campus.hours(24);
        (first, last) = (first + 1 + night % 4, last + 1 + (night + 2) % 4);
        for (_, roster, token) in &programmes {
            let page = campus
                .browser()
                .put(roster, token, BYTES, file(first..last))
                .await
                .expect(202);
            assert_eq!(
                (&said(&page)["state"], &said(&page)["why"]),
                (&json!("applying"), &json!([])),
                "night {night}"
            );
        }
        campus.settle().await;
    }
    for (programme, ..) in &programmes {
        let grants = campus.table.grants(programme).await.unwrap();
        let standing = grants
            .iter()
            .filter(|grant| grant.holds.dropped.is_none())
            .count();
        assert_eq!(
            (standing, grants.len()),
            (usize::from(last - first), usize::from(last))
        );
    }
    let told = campus.subjects("import");
    assert!(
        told.len() == 28
            && told
                .iter()
                .all(|subject| subject.ends_with("changed the roster")),
        "{told:?}"
    );

    let (_, roster, token) = &programmes[1];
    let put = async |people: Range<u8>| {
        let page = campus
            .browser()
            .put(roster, token, BYTES, file(people))
            .await
            .expect(202);
        format!("{} {}", said(&page)["state"], said(&page)["why"])
    };
    let second = r#""waiting" ["Another file of the registrar was applied today, by UTC."]"#;
    assert_eq!(put(first..last + 1).await, second);
    campus.hours(24);
    assert_eq!(put(first..last + 1).await, r#""applying" []"#);
    campus.finish().await;
}

/// The nightly program at the registrar's stops, goes on, and stops again.
#[tokio::test]
async fn a_file_that_no_longer_comes_is_told() {
    let campus = staffed().await;
    let faye = campus.student("faye").await;
    let token = make(&faye).await;
    let first = campus
        .browser()
        .put(ROSTER, &token, BYTES, file(0..20))
        .await
        .expect(202);
    let told = async |hours: i64| {
        campus.hours(hours);
        campus.look().await;
        campus.settle().await;
        campus
            .mails("import")
            .into_iter()
            .map(|mail| format!("{}: {}", mail.to, mail.contents.subject))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told(1).await,
        ["faye@example.edu: CS pilot: a registrar's file waits for you"]
    );
    let kept = format!("{ROSTER}/{}", said(&first)["import"].as_str().unwrap());
    let faye = campus.student("faye").await;
    faye.fill(&kept, APPLY, &[]).await.expect(303);
    let silent = ["faye@example.edu: CS pilot: the registrar's file no longer comes"];
    for _ in 0..2 {
        put(&campus, &token, 0..20).await;
        assert_eq!(told(4 * 24 - 1).await, [""; 0]);
        assert_eq!(told(1).await, silent);
        assert_eq!(
            [told(1).await, told(9 * 24).await],
            [Vec::<String>::new(), Vec::new()]
        );
    }
    put(&campus, &token, 0..20).await;
    campus.hours(80 * 24);
    assert_eq!(told(1).await, [""; 0], "the term is over");
    campus.finish().await;
}

/// Puts that are killed, and made again by the registrar's tool: a file is applied once, one that
/// waits waits once, and each is told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_put_is_made_again() {
    sweep(Sweep {
        name: "registrar",
        scene: async || {
            let campus = staffed().await;
            let faye = campus.student("faye").await;
            let token = make(&faye).await;
            let first = campus
                .browser()
                .put(ROSTER, &token, BYTES, file(0..20))
                .await
                .expect(202);
            let kept = format!("{ROSTER}/{}", said(&first)["import"].as_str().unwrap());
            faye.fill(&kept, APPLY, &[]).await.expect(303);
            campus.settle().await;
            campus.subjects("import");
            (campus, token)
        },
        act: async |campus: &Campus, token: &String| {
            let applied = campus
                .browser()
                .put(ROSTER, token, BYTES, file(1..22))
                .await
                .status
                == 202;
            applied
                && (campus
                    .browser()
                    .put(ROSTER, token, BYTES, file(0..40))
                    .await
                    .status
                    == 202)
        },
        mend: async |campus: &Campus, token: &String| {
            campus
                .browser()
                .put(ROSTER, token, BYTES, file(1..22))
                .await;
            campus.minutes(2);
            campus.work().await;
            assert_eq!(
                put(campus, token, 1..22).await,
                r#"200 {"state":"unchanged"}"#
            );
            assert!(put(campus, token, 0..40).await.contains("waiting"));
            campus.settle().await;
        },
        left: async |campus: &Campus, _: &_| (standing(campus).await, campus.subjects("import")),
        of: Console,
        verdicts: KILLS,
    })
    .await;
}
