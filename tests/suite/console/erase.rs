//! Erasure and retention: whose a grant was is forgotten everywhere, and what was spent is not.

use std::fs;

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{Unchanged, View};
use bursar_core::store::{ActOutcome, Erasure, Import, QueuedMail};
use bursar_local::folder::{Folder, Kind};
use bursar_local::invoke::FunctionName;
use bursar_local::tidy::tidy;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::stack::Setup;
use bursar_tests::visitor::{Page, Visitor};

use super::roster::{applied, preview};
use super::*;

pub(crate) const ERASE: &str = "/console/people/erase";
/// In the address, the former one, the name, the id and the reason of the person who is erased.
const CANARY: &str = "canary";

/// What the programme's files say of what was spent.
async fn exports(admin: &Visitor) -> String {
    let [by_group, by_day] = ["group", "day"].map(|by| format!("{ID}/report.csv?by={by}"));
    admin.get(&by_group).await.expect(200).body.clone() + &admin.get(&by_day).await.expect(200).body
}

/// The path of the form for somebody's grant.
fn of(name: &str, campus: &Campus) -> String {
    format!("{ERASE}?of=cs-pilot/{}", campus.id(name))
}

pub(crate) async fn erased(admin: &Visitor, page: &Page, email: &str) -> Page {
    admin.submit(page, ERASE, &[("email", email)]).await
}

/// An erased person is found nowhere afterwards, and every sum is as it was before.
#[tokio::test]
async fn an_erased_person_is_gone() {
    let mut campus = Campus::open().await;
    campus.programme("Maths", staff).await;
    campus.programme("CS pilot", staff).await;
    campus.students_with_keys(&["canary.old", "bob"]).await;
    campus.spend("canary.old", "3.25");
    campus.spend("bob", "1");
    let admin = campus.admin().await;
    let grant = format!("{GRANTS}/{}", campus.id("canary.old"));
    campus.unreachable("canary.old").await;
    let correct = [("email", "canary.mid@example.edu")];
    admin
        .fill(&grant, &format!("{grant}/address"), &correct)
        .await
        .expect(303);
    campus.unreachable("canary.mid").await;
    let file = "email,name,id\ncanary.new@example.edu,Canary Bird,canary-7\n";
    for file in [&file.replace("new", "mid"), file] {
        applied(&admin, "add", file).await;
    }
    // Files that name her are also kept where she has no grant, and of an upload that died.
    let maths = admin.get("/console/programmes/maths/roster").await;
    let upload = async || {
        admin
            .upload(
                &maths,
                "/console/programmes/maths/roster",
                &[],
                "r.csv",
                file.as_bytes(),
            )
            .await
    };
    upload().await.expect(200);
    campus.gate.at(
        Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console),
        Fault::KillBefore,
    );
    assert!(upload().await.status >= 500);
    campus.settle().await;
    campus.ask("canary.new").await;
    campus.settle().await;
    campus.minutes(2);
    let student = campus.student("canary.new").await;
    let my = student.get("/my").await;
    student
        .submit(
            &my,
            &campus.my("more"),
            &[("reason", "The canary needs more.")],
        )
        .await
        .expect(303);
    student
        .submit(&my, "/my/mails", &[("digest", "off")])
        .await
        .expect(303);
    // Two sessions and their links have run out by now, and nothing but an erasure knows of the
    // items.
    campus.minutes(61);
    campus
        .student("canary.new")
        .await
        .get("/my")
        .await
        .expect(200);
    let admin = campus.admin().await;
    campus.sync().await;
    campus.settle().await;
    let used = campus.table.totals(&campus.programme).await.unwrap();
    let told = exports(&admin).await;
    assert!(!campus.judged().await.places_of(&[CANARY]).is_empty());

    // No sync has read this.
    campus.spend("canary.old", "0.75");
    let path = of("canary.old", &campus);
    assert!(
        admin.get(&grant).await.body.contains(&path),
        "her page leads there"
    );
    let page = admin.get(&path).await;
    let csrf = page.form(ERASE).value("csrf").unwrap().to_owned();
    for (whom, status) in [
        ("faye@example.edu", 409),
        ("admin@example.edu", 409),
        ("eve@example.edu", 404),
        ("-", 422),
    ] {
        let refused = admin
            .post(ERASE, &[("csrf", &csrf), ("email", whom)])
            .await
            .expect(status);
        assert_eq!(refused.alerts().len(), 1, "{whom}");
    }
    // Her page erases nobody else, whoever is typed.
    for whom in ["bob@example.edu", "eve@example.edu"] {
        let refused = erased(&admin, &page, whom).await.expect(422);
        let why = refused.alert().unwrap();
        assert!(
            refused.readable().contains("canary.new@example.edu") && refused.offers(ERASE),
            "her page once more"
        );
        assert!(
            why.contains("Nobody was erased") && campus.enabled().len() == 2,
            "{whom}: {why}"
        );
    }
    let receipt = erased(&admin, &page, "Canary.NEW@example.edu")
        .await
        .expect(303)
        .location()
        .unwrap()
        .to_owned();
    assert_eq!(
        erased(&admin, &page, "canary.new@example.edu")
            .await
            .expect(303)
            .location(),
        Some(&*receipt)
    );
    let by_address = "/console/people/erase?email=canary.new%40example.edu";
    assert!(
        admin
            .get("/console?q=canary.new%40example.edu")
            .await
            .body
            .contains(by_address),
        "the help desk leads there"
    );
    let other = admin.get(by_address).await;
    assert_eq!(
        erased(&admin, &other, "canary.new@example.edu")
            .await
            .expect(303)
            .location(),
        Some(&*receipt)
    );
    assert_eq!(campus.enabled(), ["bob"], "the key is off at once");
    for place in [&*receipt, ACCOUNT] {
        let job = admin.get(place).await.one("job");
        let said = ["data-kind", "data-state", "data-done", "data-all"]
            .map(|name| job.get(name).to_owned());
        assert_eq!(said, ["erase", "running", "0", "1"]);
    }
    // Until then a file that is looked at stays.
    let shown = preview(&admin, "add", "email\neve@example.edu\n").await;
    campus.minutes(2);
    campus.work().await;
    let kept = format!(
        "{ID}/roster/{}",
        shown
            .form(&campus.console("/roster/apply"))
            .value("import")
            .unwrap()
    );
    admin.get(&kept).await.expect(200);
    campus.minutes(16);
    campus.work().await;
    campus.work().await;
    campus.minutes(2);
    campus.work().await;
    campus.judged().await;
    admin.get(&kept).await.expect(404);
    let done = admin.get(&receipt).await;
    assert_eq!(done.one("job").get("data-state"), "done");
    let counts = done.attributes("erased", "data-kind").join(" ");
    assert_eq!(
        counts,
        "address enrolment grant import-part link login-request outbox person session sign-in"
    );
    let number = done.one("erased-grant").text;
    assert!(
        number.ends_with(campus.id("canary.old").as_str()) && page.readable().contains(&number),
        "{number}"
    );
    assert!(done.one("backups-until").text.starts_with("15 Dec 2026"));
    assert_eq!(
        campus
            .view("canary.old")
            .await
            .spending(campus.clock.now())
            .lifetime
            .to_string(),
        "4.000000"
    );
    let words = done.readable();
    assert!(
        words.contains("cannot be recalled") && words.contains("invites them again"),
        "{words}"
    );

    assert_eq!(campus.judged().await.places_of(&[CANARY]), [""; 0]);
    for page in [
        "/grants",
        "/grants.csv",
        "/audit.csv",
        "/closeout",
        "/report.csv?by=person",
        "/alerts?kind=all",
    ] {
        let page = admin.get(&campus.console(page)).await.expect(200);
        assert!(!page.body.to_lowercase().contains(CANARY), "{}", page.body);
    }
    assert_eq!(
        admin.get(&grant).await.one("grant").get("data-email"),
        format!("erased-{}", campus.id("canary.old"))
    );
    assert!(
        !admin
            .get(&format!("{ACCOUNT}/audit.csv"))
            .await
            .body
            .contains(CANARY)
    );
    let revoke = |view: &View, _| view.revoke(&Actor::Rule, Some(CANARY));
    let revoked = campus
        .table
        .act(campus.on("canary.old"), revoke)
        .await
        .unwrap();
    assert_eq!(
        revoked,
        ActOutcome::Refused(Unchanged),
        "no reason is written to it any more"
    );
    student.get("/my").await.expect(303);
    assert_eq!(
        erased(&admin, &page, "canary.new@example.edu")
            .await
            .expect(303)
            .location(),
        Some(&*receipt)
    );
    assert_eq!(
        erased(&admin, &other, "canary.new@example.edu")
            .await
            .status,
        422,
        "another form finds nobody"
    );

    // A late answer of the mail server names nobody anew, and a file does.
    let roster = campus
        .all_mails()
        .into_iter()
        .find(|mail| mail.to.contains(CANARY))
        .unwrap();
    campus.report(&roster, "bounce", true).await;
    assert_eq!(campus.judged().await.places_of(&[CANARY]), [""; 0]);
    assert_eq!(campus.table.totals(&campus.programme).await.unwrap(), used);
    assert_eq!(exports(&admin).await, told);
    campus.sync().await;
    applied(&admin, "add", file).await;
    assert_eq!(
        campus.table.grants(&campus.programme).await.unwrap().len(),
        3
    );
    campus.finish_faulted().await;
}

/// Somebody else has her address by now, so her grant is named itself. Who was dropped with that
/// can be taken back all the same.
#[tokio::test]
async fn of_a_grant_without_an_address_its_person_is_forgotten() {
    let campus = Campus::with_keys(&["ada", "bob"]).await;
    let admin = campus.admin().await;
    let undo = campus.console("/roster/undo");
    for (mode, file) in [
        ("add", "email,name,id\nada@example.edu,Canary,s1\n"),
        ("replace", "email,id\nada@example.edu,s2\n"),
    ] {
        applied(&admin, mode, file).await;
    }
    let page = admin.get(&of("ada", &campus)).await;
    assert!(
        !page.body.contains("also."),
        "her address is somebody else's by now"
    );
    admin
        .submit(&page, ERASE, &[("id", "s2")])
        .await
        .expect(422);
    let receipt = admin
        .submit(&page, ERASE, &[("id", "s1")])
        .await
        .expect(303)
        .location()
        .unwrap()
        .to_owned();
    for _ in 0..3 {
        campus.minutes(16);
        campus.work().await;
    }
    assert_eq!(
        admin.get(&receipt).await.one("job").get("data-state"),
        "done"
    );
    assert_eq!(
        admin
            .submit(&page, ERASE, &[("id", "s1")])
            .await
            .expect(303)
            .location(),
        Some(&*receipt)
    );
    assert_eq!(
        campus.judged().await.places_of(&[CANARY, "\"s1\""]),
        [""; 0]
    );
    let emails = admin.get(GRANTS).await.attributes("grant", "data-email");
    assert!(
        emails.contains(&"ada@example.edu".to_owned()),
        "who has the address now is still there: {emails:?}"
    );
    admin.fill(ROSTER, &undo, &[]).await.expect(303);
    campus.work().await;
    assert_eq!(campus.enabled(), ["bob"]);
    campus.finish().await;
}

/// Her address passed to another id, and she has another one elsewhere: both grants are named
/// beside the press, to be ticked or not.
#[tokio::test]
async fn what_may_be_theirs_is_named_and_ticked() {
    let mut campus = Campus::open().await;
    let admin = campus.admin().await;
    for name in ["CS pilot", "Maths", "Law", "Art"] {
        campus.programme(name, |_| {}).await;
    }
    let add = async |programme: &str, email: &str, id: &str, name: &str| {
        let path = format!("/console/programmes/{programme}");
        let fields = [("email", email), ("id", id), ("name", name)];
        admin
            .fill(
                &format!("{path}/roster"),
                &format!("{path}/people"),
                &fields,
            )
            .await
            .expect(303);
    };
    add("cs-pilot", "canary@example.edu", "s1", "Canary Bird").await;
    add("cs-pilot", "canary@example.edu", "s2", "Canary Bird").await;
    add("maths", "canary.b@example.edu", "s2", "Canary B").await;
    add("law", "canary.c@example.edu", "s3", "Caius").await;
    // More addresses than one transaction can take, each with its mail; she has the first of them
    // elsewhere by the time of the press.
    let maths = campus
        .table
        .grants(&"maths".parse().unwrap())
        .await
        .unwrap()[0]
        .id
        .clone();
    let maths = format!("/console/programmes/maths/grants/{maths}");
    let page = admin.get(&maths).await;
    for number in 0..15 {
        let correct = [("email", &*format!("canary.{number}@example.edu"))];
        admin
            .submit(&page, &format!("{maths}/address"), &correct)
            .await
            .expect(303);
    }
    let found = admin
        .get("/console/people/erase?email=canary%40example.edu")
        .await;
    let also: Vec<&str> = found
        .body
        .split('"')
        .filter(|text| text.starts_with("also."))
        .collect();
    let [lost, same] = &also[..] else {
        panic!("{also:?}")
    };
    assert!(
        lost.starts_with("also.cs-pilot/") && same.starts_with("also.maths/"),
        "{also:?}"
    );
    assert!(
        found
            .readable()
            .contains("it lost this address to another id"),
        "{}",
        found.readable()
    );
    let ticked = [
        ("email", "canary@example.edu"),
        (*lost, "on"),
        (*same, "on"),
    ];
    add("art", "canary.0@example.edu", "s2", "Canary B").await;
    let receipt = admin
        .submit(&found, ERASE, &ticked)
        .await
        .expect(303)
        .location()
        .unwrap()
        .to_owned();
    for _ in 0..4 {
        campus.minutes(2);
        campus.work().await;
    }
    let done = admin.get(&receipt).await;
    assert_eq!(
        (
            done.one("job").get("data-state"),
            done.one("job").get("data-all")
        ),
        ("done", "4")
    );
    assert_eq!(
        admin
            .submit(&found, ERASE, &ticked)
            .await
            .expect(303)
            .location(),
        Some(&*receipt)
    );
    assert_eq!(
        admin.submit(&found, ERASE, &ticked[..2]).await.status,
        422,
        "other ticks are another erasure"
    );
    let left = campus.judged().await.places_of(&[CANARY, "\"s2\""]);
    assert!(
        left.len() == 2 && left.iter().all(|place| place.contains("#law")),
        "who was not ticked stays: {left:?}"
    );
    campus.finish().await;
}

/// What faculty asked of the admins by mail, an act on many with its reason, and a reason on the
/// grant itself.
#[tokio::test]
async fn what_names_a_person_in_words_goes() {
    let mut campus = staffed().await;
    campus
        .set(|settings| settings.people.faculty.push(address("finn")))
        .await;
    campus.student_in("canary", Some("A")).await;
    let (faye, admin) = (campus.student("faye").await, campus.admin().await);
    let finn = campus.student("finn").await;
    for (who, field, value) in [
        (
            &faye,
            "assistants",
            "asta@example.edu\nCanary instead of Bob <canary@example.edu>",
        ),
        (&finn, "assistants", "carl@example.edu"),
    ] {
        who.fill(SETTINGS, &campus.console("/ask"), &[(field, value)])
            .await
            .expect(303);
    }
    let grant = format!("{GRANTS}/{}", campus.id("canary"));
    let reason = [("reason", "Canary asked for it")];
    faye.fill(&grant, &format!("{grant}/pause"), &reason)
        .await
        .expect(303);
    let cap = [("cap_usd", "7"), ("reason", "as Canary said")];
    faye.fill(&grant, &format!("{grant}/cap"), &cap)
        .await
        .expect(303);
    campus.settle().await;
    assert!(admin.get(&grant).await.body.contains("as Canary said"));
    // An act on many, whose press died, is pressed again at the moment when its reason goes: what
    // it would do is another then.
    let bulk = campus.console("/grants/bulk");
    let many = [
        ("act", "cap"),
        ("cap_usd", "8"),
        ("reason", "Canary again"),
        ("group", "A"),
    ];
    let shown = faye.fill(GRANTS, &bulk, &many).await.expect(200);
    let start = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console);
    campus.gate.at(start, Fault::KillBefore);
    assert!(faye.submit(&shown, &bulk, &[]).await.status >= 500);
    let found = admin
        .get("/console/people/erase?email=canary%40example.edu")
        .await;
    let held = campus.gate.hold(
        Matcher::call("dynamodb:PutItem")
            .of(FunctionName::Console)
            .nth(3),
    );
    let (pressed, ()) = tokio::join!(erased(&admin, &found, "canary@example.edu"), async {
        held.arrived().await;
        faye.submit(&shown, &bulk, &[]).await.expect(409);
        held.release(None);
    });
    let receipt = pressed.expect(303).location().unwrap().to_owned();
    let imports = campus
        .table
        .list(Import::of_programme(&campus.programme))
        .await
        .unwrap();
    let has_reason = |import: &Import| {
        import
            .act
            .as_ref()
            .is_some_and(|bulk| bulk.reason.is_some())
    };
    assert!(
        !imports
            .iter()
            .any(|import| !import.applied && has_reason(import)),
        "{imports:?}"
    );
    campus.minutes(2);
    campus.work().await;
    campus.work().await;
    assert_eq!(
        admin.get(&receipt).await.one("job").get("data-state"),
        "done"
    );
    assert_eq!(campus.judged().await.places_of(&[CANARY]), [""; 0]);
    let asked = campus
        .judged()
        .await
        .outbox
        .iter()
        .filter(|row| matches!(row.mail, QueuedMail::Request { .. }))
        .count();
    assert_eq!(asked, 1, "the mail that names nobody who was erased");
    let page = admin.get(&grant).await;
    assert_eq!(
        page.body
            .matches("a reason was given, and was erased")
            .count(),
        2,
        "{}",
        page.readable()
    );
    campus.finish_faulted().await;
}

#[tokio::test]
async fn everybody_of_a_programme_is_forgotten_so_long_after_its_end() {
    let mut campus = Campus::with_keys(&["ada", "bob"]).await;
    campus.spend("ada", "2");
    // Somebody else has the address of the first by now.
    let leave = |view: &View, _| view.leave_address(address("ada").matched(), &Actor::Rule);
    campus.table.act(campus.on("ada"), leave).await.unwrap();
    campus.student_in("ada", None).await;
    let admin = campus.admin().await;
    campus.close(&admin).await.expect(303);
    campus.minutes(20);
    campus.sync().await;
    let used = campus.table.totals(&campus.programme).await.unwrap();
    campus.hours(24 * 400 - 2);
    campus.work().await;
    assert!(
        !campus
            .judged()
            .await
            .places_of(&["ada@", "bob@"])
            .is_empty()
    );
    campus.hours(2);
    campus.work().await;
    campus.work().await;
    assert_eq!(campus.judged().await.places_of(&["ada@", "bob@"]), [""; 0]);
    assert_eq!(campus.table.totals(&campus.programme).await.unwrap(), used);
    let receipts = campus.table.list(Erasure::all()).await.unwrap();
    assert_eq!(
        (
            receipts.len(),
            receipts[0].done,
            receipts[0].counts["grant"]
        ),
        (1, 3, 3)
    );
    campus.finish().await;
}

/// Whichever comes first, no key of hers is on and nothing names her.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasure_meets_a_claim_and_sync() {
    let mut campus = staffed().await;
    campus.students(&["ada"]).await;
    let (admin, ada, reveal) = (
        campus.admin().await,
        campus.student("ada").await,
        campus.my("reveal"),
    );
    let (found, my) = (
        admin
            .get("/console/people/erase?email=ada%40example.edu")
            .await,
        ada.get("/my").await,
    );
    let press = erased(&admin, &found, "ada@example.edu");
    let (pressed, _, _) = tokio::join!(press, ada.submit(&my, &reveal, &[]), campus.sync());
    pressed.expect(303);
    for _ in 0..3 {
        campus.minutes(62);
        campus.sync().await;
        campus.work().await;
    }
    assert_eq!(
        (
            campus.judged_after_sync().await.places_of(&["ada@"]),
            campus.enabled()
        ),
        (Vec::new(), Vec::new())
    );
    campus.finish_faulted().await;
}

/// Once the folder was tidied, as it is after an erasure where real people are served, no byte of
/// the table's files names the person.
#[tokio::test]
async fn no_byte_names_an_erased_person() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::open(place.path(), Kind::Demonstration).unwrap();
    let mut campus = Campus::of(Setup {
        files: Some(folder.files()),
        ..Setup::default()
    })
    .await;
    campus.programme("CS pilot", staff).await;
    let names: Vec<String> = (0..40).map(|number| format!("canary{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    campus.students(&names).await;
    campus.students(&["bob"]).await;
    for name in &names[..10] {
        campus.ask(name).await;
    }
    campus.settle().await;
    let bytes = || {
        let files = fs::read_dir(place.path())
            .unwrap()
            .map(|file| file.unwrap().path());
        let files = files
            .filter(|file| file.is_file() && file.file_name().is_some_and(|name| name != "log"));
        files
            .flat_map(|file| fs::read(file).unwrap())
            .map(|byte| byte.to_ascii_lowercase())
            .collect::<Vec<u8>>()
    };
    let places = |word: &str| {
        bytes()
            .windows(word.len())
            .filter(|window| *window == word.as_bytes())
            .count()
    };
    assert!(places(CANARY) > 40 && places("bob@example.edu") > 0);
    let admin = campus.admin().await;
    for name in &names {
        let page = admin.get(&of(name, &campus)).await;
        erased(&admin, &page, &format!("{name}@example.edu"))
            .await
            .expect(303);
    }
    campus.minutes(18);
    for _ in 0..4 {
        campus.work().await;
    }
    tidy(&campus.engine, &campus.pump).await.unwrap();
    assert_eq!(places(CANARY), 0);
    assert!(places("bob@example.edu") > 0, "others stay");
    campus.finish().await;
}
