//! Rosters: a file is shown before it is applied, and applied once.

use std::collections::BTreeSet;
use std::fmt::Write;

use bursar_core::domain::audit::{Act, AuditEntry};
use bursar_core::domain::grant::{Grant, HoldKind, ShownState};
use bursar_core::domain::mail::failure::NO_ADDRESS;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{HourlyUses, MailState, OutboxRow, QueuedMail};
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::seeds::sized;
use bursar_tests::visitor::{Page, Visitor};
use serde_json::json;

use super::*;

pub(crate) const APPLY: &str = "/console/programmes/cs-pilot/roster/apply";
const PEOPLE: &str = "/console/programmes/cs-pilot/people";

pub(crate) async fn preview(browser: &Visitor, mode: &str, file: impl AsRef<[u8]>) -> Page {
    browser
        .upload(
            &browser.get(ROSTER).await,
            ROSTER,
            &[("mode", mode)],
            "roster.csv",
            file.as_ref(),
        )
        .await
}

/// Applies a file, and returns what was shown before.
pub(crate) async fn applied(browser: &Visitor, mode: &str, file: impl AsRef<[u8]>) -> Page {
    let shown = preview(browser, mode, file).await.expect(200);
    let dropped = shown.text("dropped").unwrap();
    browser
        .submit(&shown, APPLY, &[("confirm_dropped", &dropped)])
        .await
        .expect(303);
    shown
}

/// The people of the roster, as `name name-in-full group`, with a mark for those who were dropped.
async fn people(campus: &Campus) -> Vec<String> {
    let grants = campus.table.grants(&campus.programme).await.unwrap();
    let mut people: Vec<String> = grants
        .iter()
        .map(|grant| {
            let (name, group) = (
                grant.person.name.as_deref().unwrap_or("-"),
                grant.group.as_deref().unwrap_or("-"),
            );
            let address = &grant.person.address;
            let short = if address.is_none() {
                "no-address"
            } else {
                address.as_written()
            }
            .trim_end_matches("@example.edu");
            format!(
                "{short} {name} {group}{}",
                if grant.holds.dropped.is_some() {
                    " dropped"
                } else {
                    ""
                }
            )
        })
        .collect();
    people.sort();
    people
}

fn counts(page: &Page) -> [u32; 6] {
    [
        "added", "changed", "moved", "dropped", "returned", "refused",
    ]
    .map(|hook| page.text(hook).unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_roster_is_shown_and_then_applied_once() {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    let admin = campus.admin().await;
    let file = "\u{FEFF}Name;EMAIL;group;id;year\r\nAda;ada@example.edu;A;1;3\r\nBob;bob@example.edu;A;2;3\r\nZoe;not an address;;;\r\nAda again;ADA@example.edu;B;;\r\n";
    campus.budget(30).await;
    let shown = preview(&admin, "add", file).await.expect(200);
    insta::assert_snapshot!(shown.text("need").unwrap(), @"If everybody claims, $40.00 will be promised to students, $10.00 more than the budget of $30.00. Of the 2 who have no key yet, 1 gets none until the budget is raised.");
    assert_eq!(counts(&shown), [2, 0, 0, 0, 0, 2]);
    assert_eq!(shown.attributes("refused-row", "data-line"), ["4", "5"]);
    assert_eq!(shown.attributes("row", "data-line"), ["2", "3"]);
    let refused = &shown.all("refused-row")[0].text;
    assert!(
        refused.starts_with("4Refused: ") && refused.ends_with("not an addressZoe"),
        "what cannot be read is shown: {refused}"
    );
    let path = "/console/programmes/cs-pilot/settings#budget_usd";
    assert!(
        shown.readable().contains("Apply, although 1 gets no key") && shown.body.contains(path),
        "{}",
        shown.readable()
    );
    assert_eq!(shown.text("new-groups").as_deref(), Some("New groups: A."));
    assert!(
        shown.all("unusual-domains").is_empty()
            && shown.readable().contains("2 people get an invitation")
    );
    assert!(shown.one("ignored-columns").text.contains("year"));
    assert!(people(&campus).await.is_empty(), "nothing happened yet");
    assert_eq!(
        admin
            .submit(&shown, APPLY, &[])
            .await
            .expect(303)
            .location(),
        Some(ROSTER)
    );
    let (roster, overview) = (admin.get(ROSTER).await, admin.get(ID).await);
    insta::assert_snapshot!(roster.text("notice").unwrap(), @"The roster is applied: 2 people added, 2 refused. Invitations go out within minutes. If everybody claims, the budget is $10 short.");
    assert_eq!(overview.attributes("job", "data-state"), ["done"]);
    assert_eq!(
        overview.text("claimed").as_deref(),
        Some("0 of 2 have claimed"),
        "no sync has counted them"
    );
    assert!(
        roster.body.contains("“Your API key for CS pilot” from "),
        "what the course page says of the invitation"
    );
    assert_eq!(people(&campus).await, ["ada Ada A", "bob Bob A"]);
    let before = campus.gate.calls().len();
    admin.submit(&shown, APPLY, &[]).await.expect(303);
    assert!(
        !campus.gate.calls()[before..]
            .iter()
            .any(|made| made.name.has_effect()),
        "the same again"
    );

    let file = "email,name,group,id\nada@example.edu,Ada Lovelace,A,1\nrobert@example.edu,Bob,B,2\ncid@example.edu,,,\n";
    campus.minutes(1);
    let shown = preview(&admin, "add", file).await;
    assert_eq!(counts(&shown), [1, 2, 1, 0, 0, 0]);
    let csv = async |of: &str| {
        admin
            .get(&format!("{of}.csv"))
            .await
            .expect(200)
            .body
            .replace('\r', "")
    };
    let listed = csv(&format!(
        "{ROSTER}/{}",
        shown.form(APPLY).value("import").unwrap()
    ))
    .await;
    insta::assert_snapshot!(listed, @r#"
    line,change,email,name,group,id,reason
    2,changed,"ada@example.edu","Ada Lovelace","A","1","before: name Ada"
    3,changed moved,"robert@example.edu","Bob","B","2","before: address bob@example.edu, group A"
    4,added,"cid@example.edu",,,,
    "#);
    admin.submit(&shown, APPLY, &[]).await.expect(303);
    let page = admin.get(ROSTER).await;
    let applied = page
        .body
        .split('"')
        .find(|text| text.starts_with(&format!("{ROSTER}/0")))
        .unwrap();
    let changed = admin.get(applied).await.expect(200);
    assert_eq!(
        (csv(applied).await, counts(&changed)),
        (listed, counts(&shown)),
        "as it was applied"
    );
    let all = ["ada Ada Lovelace A", "cid - -", "robert Bob B"];
    assert_eq!(people(&campus).await, all);
    let nothing = preview(&admin, "add", file).await;
    assert_eq!((counts(&nothing), nothing.offers(APPLY)), ([0; 6], false));

    for (fields, status) in [
        (&[("email", "dan@example.edu"), ("group", "B")][..], 303),
        (&[("email", "dan@example.edu"), ("group", "B")], 303),
        (
            &[
                ("email", "DAN@example.edu"),
                ("name", "Daniel"),
                ("group", "B"),
            ],
            422,
        ),
        (&[("email", "eve@example.edu"), ("id", "4711")], 303),
        (&[("email", "fay@example.edu"), ("id", "4711")], 303),
        (&[("email", "dan"), ("name", "Dan")], 422),
        (&[("email", "ada@example.edu"), ("id", "3")], 303),
    ] {
        let page = admin.fill(ROSTER, PEOPLE, fields).await.expect(status);
        assert!(
            status == 303 || page.alerts().len() == 1,
            "{:?}",
            page.alerts()
        );
        assert!(
            status == 303
                || fields
                    .iter()
                    .all(|(name, typed)| page.form(PEOPLE).value(name) == Some(typed))
        );
    }
    let former = "no-address Ada Lovelace A";
    assert_eq!(
        people(&campus).await,
        ["ada - -", all[1], "dan - B", "fay - -", former, all[2]],
        "3 has the address of 1"
    );
    campus.finish().await;
}

/// An address passes from one id to another. Whoever has it reaches their own grant alone; the
/// older one stays as it is for staff.
#[tokio::test]
async fn an_address_under_two_ids_is_the_newest_ones() {
    let campus = Campus::with_keys(&["ada", "bob"]).await;
    let (admin, old) = (campus.admin().await, campus.id("ada").clone());
    let apply = async |rows: &str| applied(&admin, "add", format!("email,id\n{rows}\n")).await;
    let seen = async || {
        let ada = campus.student("ada").await;
        let (my, data) = (
            ada.get("/my").await.expect(200),
            ada.get("/my/data").await.expect(200),
        );
        (
            my.attributes("grant", "data-state"),
            data.body.contains(old.as_str()),
        )
    };
    apply("ada@example.edu,s1\nbob@example.edu,s2").await;
    assert_eq!(seen().await, (vec!["live".to_owned()], true));
    let former = campus.student("ada").await;
    assert!(
        apply("ada@example.edu,s9")
            .await
            .body
            .contains("the address was s1")
    );
    // Whoever had the address is signed out by the step that takes it.
    former.get("/my").await.expect(303);
    campus.minutes(2);
    assert_eq!(seen().await, (vec!["invited".to_owned()], false));
    campus.reveal(&campus.student("ada").await).await;
    let keys = campus.provider().keys();
    assert_eq!(
        (
            campus.enabled(),
            keys.iter().filter(|key| !key.disabled).count()
        ),
        (vec!["ada", "bob"], 3)
    );

    let at = campus.console(&format!("/grants/{old}"));
    let page = admin.get(&at).await;
    assert_eq!(
        (
            page.one("grant").get("data-state"),
            page.offers(&format!("{at}/resend"))
        ),
        ("live", false)
    );
    assert!(
        page.body.contains("This student has no address here"),
        "{}",
        page.readable()
    );
    let csrf = page.csrf();
    admin
        .post(&format!("{at}/resend"), &[("csrf", &csrf)])
        .await
        .expect(409);
    campus.spend("ada", "17");
    campus.minutes(20);
    campus.sync().await;
    campus.delivered().await;
    campus.drain().await;
    let told = campus
        .table
        .mails_of(&campus.programme, &old)
        .await
        .unwrap();
    let told = told
        .iter()
        .find(|row| matches!(row.mail, QueuedMail::CapUsed { .. }))
        .unwrap();
    assert!(
        matches!(&told.state, MailState::Dropped { why, .. } if why == NO_ADDRESS),
        "{told:?}"
    );

    // Two addresses are swapped, and the first comes back to whose it was.
    apply("bob@example.edu,s9\nada@example.edu,s2").await;
    let of = |grants: Vec<Grant>| {
        let mut of: Vec<_> = grants
            .into_iter()
            .map(|of| (of.person.roster_id, of.person.address))
            .collect();
        of.sort_by_key(|(id, _)| id.clone());
        of.into_iter()
            .map(|(_, address)| address)
            .collect::<Vec<_>>()
    };
    let has = async || of(campus.table.grants(&campus.programme).await.unwrap());
    let none = EmailAddress::none_of;
    assert_eq!(has().await, [none(&old), address("ada"), address("bob")]);
    apply("ada@example.edu,s1").await;
    assert_eq!(
        has().await,
        [address("ada"), none(campus.id("bob")), address("bob")]
    );
    campus.minutes(2);
    assert_eq!(seen().await, (vec!["live".to_owned()], true));

    let at = campus.console(&format!("/grants/{}", campus.id("bob")));
    let correct = format!("{at}/address");
    admin
        .fill(&at, &correct, &[("email", "robert@example.edu")])
        .await
        .expect(303);
    assert_eq!(has().await[1], address("robert"));
    campus.settle().await;
    assert_eq!(campus.all_mails().pop().unwrap().to, "robert@example.edu");
    campus.finish().await;
}

/// An address at a domain of its own is asked about, as that of a file is; a drop tells how many
/// keys stop.
#[tokio::test]
async fn what_a_press_does_is_said_before_it() {
    let campus = Campus::with_keys(&["ada", "bob"]).await;
    let admin = campus.admin().await;
    let typed = [("email", "new.person@exmaple.edu"), ("group", "A")];
    let asked = admin.fill(ROSTER, PEOPLE, &typed).await.expect(422);
    assert!(
        asked
            .readable()
            .contains("Is this address right? Nobody on the roster has one at exmaple.edu.")
    );
    assert_eq!(people(&campus).await.len(), 2);
    admin
        .submit(&asked, PEOPLE, &[("email", "new.person@exmaple.eud")])
        .await
        .expect(422);
    admin.submit(&asked, PEOPLE, &[]).await.expect(303);
    assert_eq!(people(&campus).await.len(), 3);
    let at = campus.console(&format!("/grants/{}", campus.id("ada")));
    let asked = admin
        .fill(
            &at,
            &format!("{at}/address"),
            &[("email", "ada@exmaple.com")],
        )
        .await;
    assert!(
        asked
            .expect(422)
            .readable()
            .contains("Nobody on the roster has one at exmaple.com.")
    );

    let shown = preview(&admin, "replace", "email,group\nada@example.edu,Lab Z\n")
        .await
        .expect(200);
    assert_eq!(
        shown.text("new-groups").as_deref(),
        Some("New groups: Lab Z.")
    );
    assert!(
        shown
            .readable()
            .contains("1 of those who are dropped has a working key"),
        "{}",
        shown.readable()
    );
    campus.finish().await;
}

/// A move for which the budget has no room is refused alone: nobody has lost or gained an address
/// by it.
#[tokio::test]
async fn a_move_without_room_carries_no_address() {
    let campus = Campus::with_keys(&["ada", "bob"]).await;
    let admin = campus.admin().await;
    let apply = async |rows: &str| {
        applied(&admin, "add", format!("email,id,group\n{rows}\n")).await;
    };
    apply("ada@example.edu,s1,A\nbob@example.edu,s2,A").await;
    campus
        .set(|settings| {
            settings
                .allowance
                .group_caps
                .extend([("B".to_owned(), Usd::from_dollars(500))]);
        })
        .await;
    campus.budget(100).await;
    let fields = [("email", "ada@example.edu"), ("id", "s2"), ("group", "B")];
    let refused = admin.fill(ROSTER, PEOPLE, &fields).await.expect(409);
    assert!(
        refused.alert().unwrap().contains("no room"),
        "{:?}",
        refused.alerts()
    );
    assert_eq!(people(&campus).await, ["ada - A", "bob - A"]);
    apply("ada@example.edu,s2,B").await;
    assert_eq!(
        people(&campus).await,
        ["ada - A", "no-address - A"],
        "the address is who somebody is, the group is refused"
    );
    let page = admin.get(ID).await.readable();
    assert!(page.contains("1 of these changes could not be made"));
    campus.finish().await;
}

/// The files of `tests/rosters`, each as the system exports it, with what is read from it.
#[tokio::test]
async fn what_other_systems_export_is_understood() {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    let admin = campus.admin().await;
    let mut read = String::new();
    for name in [
        "canvas-gradebook",
        "canvas-users",
        "moodle",
        "moodle-utf16",
        "german-windows-1252",
    ] {
        let path = format!("{}/rosters/{name}.csv", env!("CARGO_MANIFEST_DIR"));
        let shown = applied(&admin, "replace", std::fs::read(path).unwrap()).await;
        let [added, _, _, dropped, ..] = counts(&shown);
        let refused = shown.attributes("refused-row", "data-line");
        let encoding = shown.text("encoding");
        writeln!(
            read,
            "{name}: {added} added, {dropped} dropped, refused {refused:?}, {encoding:?}"
        )
        .unwrap();
        let grants = campus.table.grants(&campus.programme).await.unwrap();
        let there = grants.iter().filter(|grant| grant.holds.dropped.is_none());
        let mut people: Vec<String> = there
            .map(|grant| {
                let fields = [&grant.person.name, &grant.group, &grant.person.roster_id];
                let fields = fields
                    .map(|field| field.as_deref().unwrap_or("-"))
                    .join(" | ");
                format!("  {} | {fields}\n", grant.person.address.as_written())
            })
            .collect();
        people.sort();
        read.extend(people);
    }
    insta::assert_snapshot!(read, @r#"
    canvas-gradebook: 2 added, 0 dropped, refused ["6"], Some("Read as UTF-8: Jörg Müller")
      ada@example.edu | Ada Lovelace | CS 101-01 | s1001
      joerg@example.edu | Jörg Müller | CS 101-01 and CS 101-02 | s1002
    canvas-users: 2 added, 2 dropped, refused ["4"], None
      edsger@example.edu | Edsger Dijkstra | - | s1012
      grace@example.edu | Grace Brewster Hopper | - | s1011
    moodle: 3 added, 2 dropped, refused [], Some("Read as UTF-8: Juan Pablo Pérez")
      barbara@example.edu | Barbara Liskov | Tutorial A, Tutorial B | s1021
      don@example.edu | =HYPERLINK(1) Knuth | Tutorial A | s1023
      juan@example.edu | Juan Pablo Pérez | - | -
    moodle-utf16: 2 added, 3 dropped, refused ["4"], Some("Read as UTF-16LE: Søren Kierkegaard, Łucja Żak")
      lucja@example.edu | Łucja Żak | Tutorial B | s1032
      soeren@example.edu | Søren Kierkegaard | Tutorial A | s1031
    german-windows-1252: 2 added, 2 dropped, refused [], Some("Read as windows-1252: Jürgen Groß, Slavoj Žižek")
      juergen@example.edu | Jürgen Groß | Übung 1 | s1041
      slavoj@example.edu | Slavoj Žižek | Übung 2 | s1042
    "#);
    campus.finish().await;
}

#[tokio::test]
async fn of_two_imports_that_compared_the_same_roster_one_is_applied() {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    let admin = campus.admin().await;
    let (shown, other) = (
        preview(&admin, "add", "email\nada@example.edu\n").await,
        preview(&admin, "replace", "email\neve@example.edu\n").await,
    );
    // The first has compared, and the other is applied before it begins.
    let held = campus
        .gate
        .hold(Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console));
    let (refused, applied) = tokio::join!(admin.submit(&shown, APPLY, &[]), async {
        held.arrived().await;
        let applied = admin.submit(&other, APPLY, &[]).await;
        drop(held);
        applied
    });
    assert_eq!((refused.status, applied.status), (409, 303));
    assert_eq!(people(&campus).await, ["eve - -"]);
    campus.finish().await;
}

/// A roster, in `long` that of a large university, whose import is killed at a call of several of
/// its invocations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_applied_once_however_often_the_import_is_killed() {
    const WRITES: &str = "dynamodb:TransactWriteItems";
    let count = sized(1_000, 50_000);
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    let admin = campus.admin().await;
    let rows: String = (0..count)
        .map(|number| format!("s{number}@example.edu,{}\n", number % 200))
        .collect();
    let shown = preview(&admin, "add", format!("email,group\n{rows}"))
        .await
        .expect(200);
    let other = preview(&admin, "add", "email\neve@example.edu\n").await;
    let dies = |call, nth| {
        campus.gate.at(
            Matcher::call(call).of(FunctionName::Console).nth(nth),
            Fault::KillAfter,
        );
    };
    // First while the steps are kept, then again and again in the job, which the request begins.
    for (call, nth) in [("dynamodb:PutItem", 2), (WRITES, 4)] {
        dies(call, nth);
        assert!(admin.submit(&shown, APPLY, &[]).await.status >= 500);
    }
    admin.submit(&other, APPLY, &[]).await.expect(409);
    for nth in sized(vec![1, 5, 14], vec![1, 5, 14, 140, 500, 800]) {
        campus.minutes(2);
        dies(WRITES, nth);
        campus
            .run(FunctionName::Console, json!({"task": "work"}))
            .await
            .unwrap_err();
    }
    while admin.get(ID).await.attributes("job", "data-state") == ["running"] {
        campus.minutes(2);
        campus.work().await;
    }
    let seen = campus.judged().await;
    let grants: BTreeSet<_> = seen
        .grants
        .values()
        .map(|grant| grant.person.address.as_written().to_owned())
        .collect();
    assert_eq!((seen.grants.len(), grants.len()), (count, count));
    let invited = seen
        .all::<AuditEntry>()
        .filter(|entry| entry.what.act == Act::Invited);
    let invited: usize = invited
        .map(|entry| entry.what.note.map_or(0, |note| note.split(' ').count()))
        .sum();
    let mails = seen
        .all::<OutboxRow>()
        .filter(|row| matches!(row.mail, QueuedMail::Roster { .. }))
        .count();
    assert_eq!((invited, mails), (count, count));
    campus.finish_unjudged().await;
}

/// One file after the other, each applied to what the one before left. Two forms of one letter are
/// one.
#[tokio::test]
async fn each_file_changes_what_it_says() {
    let campus = Campus::with_keys(&["ada", "bob"]).await;
    let admin = campus.admin().await;
    let shown = preview(&admin, "replace", "email\neve@example.edu\n").await;
    assert!(shown.readable().contains("Apply: drop 2 people"));
    for (confirm, alert) in [("", "2"), ("3", "2")] {
        let unconfirmed = admin
            .submit(&shown, APPLY, &[("confirm_dropped", confirm)])
            .await
            .expect(422);
        assert!(
            unconfirmed.alert().unwrap().contains(alert),
            "{:?}",
            unconfirmed.alerts()
        );
    }
    for (mode, file, counted, expected, enabled) in [
        (
            "replace",
            "email\neve@\n",
            [1, 0, 0, 2, 0, 0],
            "ada - - dropped, bob - - dropped, eve - -",
            "",
        ),
        // The right file after the wrong one.
        (
            "replace",
            "email,group,name\nada@,,\neve@,\u{dc}bung,\u{c9}va\n",
            [0, 1, 1, 0, 1, 0],
            "ada - -, bob - - dropped, eve \u{c9}va \u{dc}bung",
            "ada",
        ),
        (
            "add",
            "email,group,name\neve@,U\u{308}bung,E\u{301}va\n",
            [0; 6],
            "ada - -, bob - - dropped, eve \u{c9}va \u{dc}bung",
            "ada",
        ),
    ] {
        let file = file.replace('@', "@example.edu");
        let shown = preview(&admin, mode, &file).await;
        assert_eq!(
            (counts(&shown), shown.offers(APPLY)),
            (counted, counted != [0; 6]),
            "{file}"
        );
        if shown.offers(APPLY) {
            applied(&admin, mode, &file).await;
        }
        campus.work().await;
        assert_eq!(
            (
                people(&campus).await.join(", ").as_str(),
                campus.enabled().join(" ").as_str()
            ),
            (expected, enabled)
        );
    }
    for _ in 0..2 {
        let fields = [
            ("email", "bob@example.edu"),
            ("name", "N"),
            ("group", "U\u{308}bung"),
        ];
        admin.fill(ROSTER, PEOPLE, &fields).await.expect(303);
    }
    campus.work().await;
    assert_eq!(
        (people(&campus).await[1].as_str(), campus.enabled().len()),
        ("bob N \u{dc}bung", 2)
    );
    let found = admin.get(&format!("{GRANTS}?group=U%CC%88bung")).await;
    assert_eq!(
        found.attributes("grant", "data-email"),
        ["bob@example.edu", "eve@example.edu"]
    );
    campus.finish().await;
}

/// After more than a week off the roster, a reservation is given back; who comes back then takes
/// another with the next key, and has what is left of the cap.
#[tokio::test]
async fn who_returns_late_takes_another_reservation() {
    let mut campus = Campus::with_keys(&["ada"]).await;
    campus.students(&["bob"]).await;
    campus.spend("ada", "5");
    for name in ["ada", "bob"] {
        campus.hold(name, HoldKind::Dropped).await;
    }
    campus.work().await;
    campus.minutes(8 * 24 * 60);
    campus.sync().await;
    assert_eq!(
        campus.reserved().await,
        Usd::from_dollars(5),
        "what was spent"
    );
    campus.budget(10).await;
    let admin = campus.admin().await;
    let shown = applied(&admin, "add", "email\nada@example.edu\nbob@example.edu\n").await;
    assert_eq!(counts(&shown), [0, 0, 0, 0, 2, 0]);
    let now = campus.clock.now();
    let states = [campus.grant("ada").await, campus.grant("bob").await]
        .map(|grant| grant.display_state(now));
    assert_eq!(states, [ShownState::Stopped, ShownState::Invited]);
    assert!(campus.enabled().is_empty());
    let ada = campus.student("ada").await;
    let replace = campus.my("replace");
    assert!(
        !ada.get("/my").await.offers(&replace),
        "there is no room for the rest of her cap"
    );
    campus.budget(100).await;
    ada.fill("/my", &replace, &[]).await.expect(200);
    let key = campus
        .provider()
        .keys()
        .into_iter()
        .find(|key| !key.disabled)
        .unwrap();
    assert_eq!(key.limit, Some(Nano::usd(15)), "what is left of the cap");
    campus.finish().await;
}

#[tokio::test]
async fn the_drops_of_an_import_are_undone_within_a_week() {
    const UNDO: &str = "/console/programmes/cs-pilot/roster/undo";
    let campus = Campus::with_keys(&["ada", "bob"]).await;
    let admin = campus.admin().await;
    // Both are dropped, one returns, and is dropped once more.
    for (mode, file) in [("replace", "eve"), ("add", "ada"), ("replace", "eve")] {
        applied(&admin, mode, format!("email\n{file}@example.edu\n")).await;
        campus.work().await;
    }
    let page = admin.get(ROSTER).await;
    let undo: Vec<String> = page
        .forms()
        .into_iter()
        .filter(|form| form.action == UNDO)
        .map(|form| form.value("import").unwrap().to_owned())
        .collect();
    let [newer, older] = &undo[..] else {
        panic!("{undo:?}")
    };
    // The newer list does not name either of them, until its drops are undone.
    admin
        .submit(&page, UNDO, &[("import", older)])
        .await
        .expect(422);
    for (import, expected, keys) in [
        (newer, ["ada - -", "bob - - dropped"], vec!["ada"]),
        (older, ["ada - -", "bob - -"], vec!["ada", "bob"]),
    ] {
        for says in ["1 person is back on the roster", "That was so already"] {
            admin
                .submit(&page, UNDO, &[("import", import)])
                .await
                .expect(303);
            let said = admin.get(ROSTER).await.text("notice").unwrap();
            assert!(said.starts_with(says), "{said}");
        }
        campus.work().await;
        assert_eq!(
            (&people(&campus).await[..2], campus.enabled()),
            (&expected.map(str::to_owned)[..], keys)
        );
    }
    assert!(!admin.get(ROSTER).await.offers(UNDO), "both are undone");
    applied(
        &admin,
        "replace",
        "email\neve@example.edu\nada@example.edu\n",
    )
    .await;
    let page = admin.get(ROSTER).await;
    campus.minutes(7 * 24 * 60);
    let admin = campus.admin().await;
    let csrf = admin.get(ID).await.csrf();
    for import in [page.form(UNDO).value("import").unwrap(), "x"] {
        admin
            .post(UNDO, &[("csrf", &csrf), ("import", import)])
            .await
            .expect(422);
    }
    campus.finish().await;
}

#[tokio::test]
async fn a_refused_file_changes_nothing() {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    let admin = campus.admin().await;
    let groups = |count: usize| {
        let rows = (0..count).map(|row| format!("s{row}@uni.edu,g{row}\n"));
        format!("email,group\n{}", rows.collect::<String>()).into_bytes()
    };
    for (file, status, why) in [
        (b"name\nAda\n".to_vec(), 422, ""),
        (b"PK\x03\x04\x14\0\x06\0".to_vec(), 422, "save it as CSV"),
        (groups(501), 422, "would have 501 groups"),
        (
            format!("email\n{}", "a@example.edu\n".repeat(50_001)).into_bytes(),
            413,
            "",
        ),
        (vec![b'a'; (4 << 20) + 1], 413, ""),
    ] {
        let is_read = file.len() <= 4 << 20;
        let refused = preview(&admin, "add", file).await.expect(status);
        assert!(
            refused.alerts().len() == 1 && refused.body.contains(why),
            "{:?}",
            refused.alerts()
        );
        assert_eq!(
            refused.offers(ROSTER),
            is_read,
            "the form again: {}",
            refused.readable()
        );
    }
    let typed = preview(
        &admin,
        "add",
        "email\nada@example.edu\nbob@example.edu\ncid@exmaple.edu\n",
    )
    .await;
    assert!(
        typed
            .one("unusual-domains")
            .text
            .contains("exmaple.edu (1)"),
        "{}",
        typed.readable()
    );
    preview(&admin, "add", groups(500)).await.expect(200);
    preview(&admin, "merge", "email\n").await.expect(422);
    admin.post(ROSTER, &[("mode", "add")]).await.expect(415);

    // A hundred files are shown in any hour.
    let uses = vec![campus.clock.now(); 98];
    campus
        .raw()
        .keep(&HourlyUses {
            uses,
            version: 1,
            ..HourlyUses::none("previews", &campus.programme)
        })
        .await;
    campus.minutes(59);
    let admin = campus.admin().await;
    let file = "email\nada@example.edu\n";
    preview(&admin, "add", file).await.expect(200);
    preview(&admin, "add", "email\nnobody\n").await.expect(200);
    let refused = preview(&admin, "add", file).await.expect(429);
    assert_eq!(
        (refused.header("retry-after"), refused.alerts().len()),
        (Some("60"), 1),
        "{}",
        refused.readable()
    );
    campus.minutes(1);
    preview(&admin, "add", file).await.expect(200);
    assert!(people(&campus).await.is_empty());

    // Under a heading that nobody knows: the person says so, and chooses the file again. It holds
    // until the file is applied.
    let file = b"Login,Who\nada@example.edu,Ada\n";
    let refused = preview(&admin, "replace", file).await.expect(422);
    assert!(
        refused.alert().unwrap().contains("Login, Who"),
        "{:?}",
        refused.alerts()
    );
    assert_eq!(refused.form(ROSTER).value("mode"), Some("replace"));
    let chosen = async |column| {
        admin
            .upload(&refused, ROSTER, &[("email_column", column)], "r.csv", file)
            .await
    };
    assert!(chosen("Email").await.expect(422).offers(ROSTER));
    admin
        .submit(&chosen(" LOGIN ").await.expect(200), APPLY, &[])
        .await
        .expect(303);
    assert_eq!(people(&campus).await, ["ada - -"]);
    campus.finish().await;
}
