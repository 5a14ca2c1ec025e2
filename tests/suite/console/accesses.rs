//! Who with a role signed in and out, from where, and which files that name people they were given;
//! and what an admin does for one person.

use bursar_core::domain::grant::GrantState;
use bursar_core::store::AccessEntry;
use bursar_local::invoke::FunctionName::Console;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::visitor::Visitor;
use serde_json::Value;

use super::*;

const AUDIT: &str = "/console/account/audit";
const DATA: &str = "/console/people/data";
const RETAIN: &str = "/console/people/retain";
const NAMES_PEOPLE: [&str; 3] = ["grants.csv", "audit.csv", "report.csv?by=person"];

/// Signs in by the link of a mail that this browser asks for.
async fn signs_in(campus: &Campus, browser: &Visitor, name: &str) {
    campus.minutes(1);
    campus.mails("link");
    browser
        .post("/link", &[("address", &*format!("{name}@example.edu"))])
        .await
        .expect(202);
    campus.settle().await;
    let mails = campus.mails("link");
    let line = mails[0]
        .contents
        .text
        .as_deref()
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix(&*campus.ready.web));
    browser.post(line.unwrap(), &[]).await.expect(303);
}

async fn sentences(admin: &Visitor, page: &str) -> Vec<String> {
    let rows = admin.get(page).await.expect(200).texts("audit");
    rows.iter()
        .map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// The day after a mailbox was taken: from where somebody signed in as the admin, what was read and
/// changed, and how long that is known.
#[tokio::test]
async fn a_taken_mailbox_is_told() {
    let mut campus = staffed().await;
    campus.students_with_keys(&["ada", "ben"]).await;
    campus.sync().await;
    let admin = campus.browser();
    signs_in(&campus, &admin, "admin").await;
    let student = campus.browser();
    signs_in(&campus, &student, "ada").await;

    let thief = campus.browser().calling_from("127.0.0.9");
    signs_in(&campus, &thief, "admin").await;
    for file in [
        "grants.csv?q=ada%40example.edu",
        "audit.csv",
        "report.csv?by=person",
        "report.csv?by=day",
    ] {
        campus.minutes(1);
        thief.get(&format!("{ID}/{file}")).await.expect(200);
    }
    thief.get("/console/account/statement.csv").await;
    campus.minutes(1);
    let page = thief.get(&format!("{GRANTS}/{}", campus.id("ada"))).await;
    thief
        .submit(
            &page,
            &format!("{GRANTS}/{}/cap", campus.id("ada")),
            &[("cap_usd", "90")],
        )
        .await
        .expect(303);
    let found = thief.get("/console?q=ben%40example.edu").await;
    let stored = thief.submit(&found, DATA, &[]).await.expect(200);
    let stored: Value = serde_json::from_str(&stored.body).unwrap();
    assert_eq!(stored["grants"][0]["address"], "ben@example.edu");
    campus.minutes(1);
    let home = thief.get("/console").await;
    thief.submit(&home, "/sign-out", &[]).await.expect(303);

    insta::assert_snapshot!(sentences(&admin, AUDIT).await.join("\n"), @"
    10 Nov 2026, 09:39admin@example.edu signed outfrom 127.0.0.9
    10 Nov 2026, 09:38admin@example.edu downloaded all that is stored of ben@example.edufrom 127.0.0.9
    10 Nov 2026, 09:36admin@example.edu downloaded report-cs-pilot-2026-11-09-2026-11-09.csv (0 rows)from 127.0.0.9
    10 Nov 2026, 09:35admin@example.edu downloaded audit-cs-pilot.csv (6 rows) of CS pilotfrom 127.0.0.9
    10 Nov 2026, 09:34admin@example.edu downloaded grants-cs-pilot-as-of-2026-11-10.csv (1 row) of CS pilotfrom 127.0.0.9
    10 Nov 2026, 09:33admin@example.edu signed in by a mailed linkfrom 127.0.0.9
    10 Nov 2026, 09:31admin@example.edu signed in by a mailed linkfrom 127.0.0.1
    ");
    let programme = sentences(&admin, &format!("{ID}/audit")).await;
    assert!(
        programme[0].contains("admin@example.edu set the cap of ada@example.edu to $90"),
        "{programme:#?}"
    );
    let file = admin.get(&format!("{AUDIT}.csv")).await.expect(200);
    let rows: Vec<&str> = file.body.lines().collect();
    assert!(rows[0].ends_with(",note,source"), "{}", rows[0]);
    let thiefs = rows
        .iter()
        .filter(|row| row.ends_with(",127.0.0.9"))
        .count();
    assert_eq!(thiefs, 6, "{rows:#?}");
    let person = campus
        .table
        .address_record(address("admin").matched())
        .await
        .unwrap()
        .person
        .unwrap();
    assert!(
        campus.has_logged(&format!("\"person\":\"{person}\"")) && campus.has_logged("127.0.0.9")
    );

    // What is told of the file before is the last thing that was written.
    campus.hours(24 * 90);
    let admin = campus.browser();
    signs_in(&campus, &admin, "admin").await;
    assert_eq!(sentences(&admin, AUDIT).await.len(), 1);
    campus.finish().await;
}

/// A file that names people does not leave before the audit has its entry, and without the entry it
/// does not leave at all.
#[tokio::test]
async fn no_file_leaves_unrecorded() {
    let mut campus = staffed().await;
    campus.students_with_keys(&["ada"]).await;
    campus.sync().await;
    let faye = campus.student("faye").await;
    let recorded = async || campus.table.list(AccessEntry::all()).await.unwrap().len();
    let shown = super::roster::preview(&faye, "add", "email\neve@example.edu\n").await;
    let import = shown
        .form(&campus.console("/roster/apply"))
        .value("import")
        .unwrap()
        .to_owned();
    let roster = format!("roster/{import}.csv");
    let one_student = format!("report.csv?by=model&person={}", campus.id("ada"));
    for (number, file) in NAMES_PEOPLE
        .into_iter()
        .chain([&*roster, &*one_student])
        .enumerate()
    {
        let path = format!("{ID}/{file}");
        let broken = campus.gate.at(
            Matcher::call("dynamodb:PutItem").of(Console).on("ACCESS"),
            Fault::Status(400),
        );
        let refused = faye.get(&path).await.expect(503);
        assert!(
            !refused.body.contains("@example.edu,") && refused.header("retry-after").is_some(),
            "{file}"
        );
        campus.gate.lift(broken);
        faye.head(&path).await.expect(200);
        assert_eq!(recorded().await, number, "{file}: refused, and a HEAD");
        faye.get(&path).await.expect(200);
        assert_eq!(recorded().await, number + 1, "{file}");
    }
    for file in ["report.csv?by=day", "report.csv?by=group"] {
        faye.get(&format!("{ID}/{file}")).await.expect(200);
    }
    assert_eq!(
        recorded().await,
        NAMES_PEOPLE.len() + 2,
        "these name nobody"
    );
    campus.finish_faulted().await;
}

/// Whom an admin keeps, neither a press nor retention erases, until the admin lets go.
#[tokio::test]
async fn a_hold_keeps_a_person() {
    let mut campus = staffed().await;
    campus.students_with_keys(&["ada", "ben"]).await;
    campus.sync().await;
    let admin = campus.admin().await;
    let page = async |admin: &Visitor| admin.get("/console?q=ada%40example.edu").await.expect(200);
    let hold = [("reason", "Case 12")];
    let found = page(&admin).await;
    for (path, email, status) in [
        (DATA, "zoe@example.edu", 404),
        (RETAIN, "zoe@example.edu", 404),
        (DATA, "-", 422),
    ] {
        admin
            .submit(&found, path, &[("email", email), ("reason", "x")])
            .await
            .expect(status);
    }
    admin
        .submit(&found, RETAIN, &[("reason", " ")])
        .await
        .expect(422);
    for _ in 0..2 {
        admin.submit(&found, RETAIN, &hold).await.expect(303);
    }
    let kept = page(&admin).await;
    assert!(kept.one("retention-hold").text.ends_with("Case 12"));
    let form = admin
        .get("/console/people/erase?email=ada%40example.edu")
        .await;
    super::erase::erased(&admin, &form, "ada@example.edu")
        .await
        .expect(409);
    let entries = sentences(&admin, &format!("{ID}/audit?grant={}", campus.id("ada"))).await;
    assert!(
        entries[0].ends_with("admin@example.edu keeps ada@example.edu from being erased"),
        "{entries:#?}"
    );

    // The programme ends, and everybody else of it is erased in time.
    campus.close(&admin).await;
    campus.settle().await;
    for _ in 0..3 {
        campus.sync().await;
        campus.minutes(16);
        campus.work().await;
    }
    campus.hours(24 * 401);
    let is_named = async |name: &str| campus.grant(name).await.person.address == address(name);
    let time_passes = async || {
        for _ in 0..6 {
            campus.sync().await;
            campus.minutes(16);
            campus.work().await;
        }
    };
    time_passes().await;
    assert!(is_named("ada").await && !is_named("ben").await);
    assert_eq!(campus.grant("ada").await.state, GrantState::Ended);
    let admin = campus.admin().await;
    let kept = page(&admin).await;
    admin.submit(&kept, RETAIN, &[]).await.expect(303);
    time_passes().await;
    assert!(!is_named("ada").await);
    campus.finish().await;
}
