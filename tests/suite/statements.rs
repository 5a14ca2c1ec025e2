//! Statements by mail: each finance address has those of its programmes, once a month, whatever
//! fails and however often the watch runs. What was mailed stays as it was.

use bursar_core::clock::Moment;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::ledger::cut::{AccountCut, AccountSpending, LifetimeUse, ProgrammeCut};
use bursar_core::domain::ledger::mailed::MailedStatement;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::store::Author;
use bursar_local::invoke::FunctionName;
use bursar_local::ses::{Fault as MailFault, Quota};
use bursar_tests::campus::{Campus, Got};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::{new_programme, soon};
use futures_util::future::join_all;
use jiff::civil::date;

use crate::console::mails::warns;

const ACCOUNT: &str = "/console/account";
const MATHS: &str = "/console/programmes/maths";
const STATEMENT: &str = "/console/account/statement?from=2026-11-01&to=2026-11-30";

/// The last hour before the statement of November is due. The stream is not delivered, and the cuts
/// are made up.
async fn open() -> Campus {
    let campus = Campus::at("2026-12-02T23:00:00Z").await;
    campus.pump.stop().await;
    campus.ses.set_quota(Quota {
        per_second: 1_000,
        ..Quota::PRODUCTION
    });
    campus
}

/// A programme with this cost code, that names these people of `uni.edu` for finance.
async fn programme(campus: &Campus, name: &str, cost_code: &str, finance: &[&str]) -> ProgrammeId {
    let term = Term::new(date(2026, 10, 12), date(2027, 8, 6), "UTC").unwrap();
    let mut settings = Settings::new(name, term, Usd::from_dollars(20));
    settings.texts.cost_code = Some(cost_code.to_owned());
    settings.people.finance = finance.iter().map(|name| address(name)).collect();
    let by = Author {
        actor: &Actor::Rule,
        now: at("2026-10-01T08:00:00Z"),
        deadline: soon(),
    };
    campus
        .table
        .create(new_programme(settings, 100), by)
        .await
        .unwrap()
}

/// A cut with what programmes' keys have used in all, in dollars, and a residual of one dollar.
async fn cut(campus: &Campus, as_of: &str, used: &[(&ProgrammeId, i32)]) {
    let of = |(programme, dollars): &(&ProgrammeId, i32)| ProgrammeCut {
        programme: (*programme).clone(),
        used: LifetimeUse {
            credits: Usd::from_dollars(*dollars),
            byok: Usd::ZERO,
        },
        assigned: LifetimeUse::default(),
    };
    let spent = Usd::from_dollars(1 + used.iter().map(|(_, dollars)| dollars).sum::<i32>());
    let cut = AccountCut {
        as_of: at(as_of),
        bought: Usd::from_dollars(500),
        spent: AccountSpending {
            before: spent,
            after: spent,
        },
        programmes: used.iter().map(of).collect(),
        residual: Usd::from_dollars(1),
        ..AccountCut::default()
    };
    campus.raw().keep(&cut).await;
}

/// Two programmes with finance and one without, and the cuts of November; the first of the account
/// is of its fifth day.
async fn november(campus: &Campus) -> [ProgrammeId; 3] {
    let maths = programme(campus, "Maths", "4711", &["fin", "fay"]).await;
    let physics = programme(campus, "Physics", "4712", &["FIN"]).await;
    let law = programme(campus, "Law", "4713", &[]).await;
    cut(
        campus,
        "2026-11-05T00:20:00Z",
        &[(&maths, 10), (&physics, 20), (&law, 30)],
    )
    .await;
    cut(
        campus,
        "2026-12-01T00:20:00Z",
        &[(&maths, 15), (&physics, 27), (&law, 90)],
    )
    .await;
    [maths, physics, law]
}

/// Runs the watch, and returns how many statements it recorded.
async fn look(campus: &Campus) -> i64 {
    campus.look().await["statements"].as_i64().unwrap()
}

/// Sends all that is queued, and what is told of mails that could not be sent. Returns the
/// statements.
async fn sent(campus: &Campus) -> Vec<Got> {
    for _ in 0..2 {
        campus.drain().await;
    }
    campus.mails("statement")
}

async fn edit(campus: &mut Campus, programme: &ProgrammeId, change: impl FnOnce(&mut Settings)) {
    campus.programme = programme.clone();
    campus.set(change).await;
}

fn address(name: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{name}@uni.edu")).unwrap()
}

fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_has_the_rows_of_its_programmes_once() {
    let mut campus = open().await;
    let [maths, physics, law] = november(&campus).await;
    assert_eq!(look(&campus).await, 0, "it is not the third yet");
    let page = campus.admin().await.get(STATEMENT).await.expect(200);
    assert!(
        page.all("statement-mailed").is_empty(),
        "nothing was mailed yet"
    );
    campus.minutes(60);
    let at_once = join_all((0..4).map(|_| look(&campus))).await;
    assert_eq!(at_once.into_iter().sum::<i64>(), 1);
    let mails = sent(&campus).await;
    let [fay, fin] = &mails[..] else {
        panic!("{} mails", mails.len())
    };
    assert_eq!(
        (&*fay.to, &*fin.to.to_lowercase()),
        ("fay@uni.edu", "fin@uni.edu")
    );
    let file = |mail: &Got| {
        let [file] = &mail.contents.attachments[..] else {
            panic!("{} files", mail.contents.attachments.len())
        };
        assert_eq!(
            (file.name.as_deref(), &*file.media_type),
            (Some("statement-2026-11-01-2026-11-30.csv"), "text/csv")
        );
        String::from_utf8(file.bytes.clone())
            .unwrap()
            .replace("\r\n", " ")
    };
    assert_eq!(fay.contents.subject, "Statement of November 2026: $15.00");
    assert_eq!(
        file(fay),
        r#"cost_code,programme,kind,spent_usd "4711",maths,keys,15.000000 "#
    );
    assert_eq!(fin.contents.subject, "Statement of November 2026: $42.00");
    assert_eq!(
        file(fin),
        r#"cost_code,programme,kind,spent_usd "4711",maths,keys,15.000000 "4712",physics,keys,27.000000 "#
    );
    let (text, html) = (
        fin.contents.text.clone().unwrap(),
        fin.contents.html.clone().unwrap(),
    );
    for says in [&text, &html] {
        assert!(
            says.contains("begins with the first complete check, of 5 Nov 2026, 00:20 UTC."),
            "{says}"
        );
        assert!(
            !says.contains("Law") && !says.contains("4713") && !says.contains("$90"),
            "{says}"
        );
    }
    assert!(
        text.contains("\nPhysics: cost code 4712, used by keys of students, spent $27.00\n"),
        "{text}"
    );
    the_page_says_what_differs_since_the_mail(&mut campus, [&maths, &physics, &law]).await;
    for hours in [0, 1, 40, 400] {
        campus.hours(hours);
        assert_eq!(look(&campus).await, 0);
    }
    assert!(sent(&campus).await.is_empty());

    // The nights around the end of December are missed, so its statement waits.
    campus.clock.stop_at(at("2027-01-03T00:00:00Z")).unwrap();
    assert_eq!(look(&campus).await, 0);
    cut(
        &campus,
        "2027-01-03T08:20:00Z",
        &[(&maths, 16), (&physics, 27), (&law, 90)],
    )
    .await;
    campus.hours(9);
    assert_eq!(look(&campus).await, 1);
    let mails = sent(&campus).await;
    let subjects: Vec<_> = mails
        .iter()
        .map(|mail| mail.contents.subject.as_str())
        .collect();
    assert_eq!(subjects, ["Statement of December 2026: $1.00"; 2]);
    assert!(
        mails[0]
            .contents
            .text
            .as_ref()
            .unwrap()
            .contains("ends with the next one, of 3 Jan 2027, 08:20 UTC")
    );
    campus.finish().await;
}

async fn the_page_says_what_differs_since_the_mail(
    campus: &mut Campus,
    [maths, physics, law]: [&ProgrammeId; 3],
) {
    let admin = campus.admin().await;
    let page = admin.get(STATEMENT).await.expect(200);
    let note = page.one("statement-mailed");
    assert_eq!(note.get("data-at"), "2026-12-03T00:00:00Z");
    assert!(
        note.text.contains("to 2 finance addresses")
            && note.text.contains("Nothing on it has changed since"),
        "{note:?}"
    );
    assert!(page.all("statement-difference").is_empty());
    let month = date(2026, 11, 1);
    let mailed = campus
        .table
        .get(MailedStatement::key_of(month))
        .await
        .unwrap();

    campus.minutes(60);
    edit(campus, maths, |settings| {
        settings.name = "Mathematics".to_owned();
    })
    .await;
    edit(campus, physics, |settings| settings.texts.cost_code = None).await;
    let admin = campus.admin().await;
    // A cut of the first of December that came to light later, in place of the one that ended
    // November.
    cut(
        campus,
        "2026-12-01T00:10:00Z",
        &[(maths, 15), (physics, 27), (law, 80)],
    )
    .await;
    let page = admin.get(STATEMENT).await.expect(200);
    let lines = page.all("statement-difference");
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line.get("data-programme"), line.get("data-cell")))
        .collect();
    assert_eq!(
        told,
        [
            ("maths", "programme's name"),
            ("physics", "cost code"),
            ("law", "spent")
        ]
    );
    let text: String = lines.iter().map(|line| format!("{}|", line.text)).collect();
    for says in ["90.000000", "80.000000", "Mathematics", "4712", "none"] {
        assert!(text.contains(says), "{text}");
    }
    assert!(
        !page
            .one("statement-mailed")
            .text
            .contains("Nothing on it has changed")
    );
    assert_eq!(
        campus
            .table
            .get(MailedStatement::key_of(month))
            .await
            .unwrap(),
        mailed,
        "it stays as it was mailed"
    );
    let other = admin
        .get("/console/account/statement?from=2026-11-01&to=2026-11-29")
        .await
        .expect(200);
    assert!(
        other.all("statement-mailed").is_empty(),
        "other days were not mailed"
    );
}

#[tokio::test]
async fn a_month_that_nobody_was_mailed_says_so() {
    let mut campus = open().await;
    let law = programme(&campus, "Law", "4713", &[]).await;
    cut(&campus, "2026-11-05T00:20:00Z", &[(&law, 30)]).await;
    cut(&campus, "2026-12-01T00:20:00Z", &[(&law, 90)]).await;
    campus.minutes(60);
    assert_eq!(
        look(&campus).await,
        1,
        "it is recorded, so that a later finance address does not get old months"
    );
    edit(&mut campus, &law, |settings| {
        settings.people.finance = vec![address("fin")];
    })
    .await;
    assert_eq!(look(&campus).await, 0);
    let page = campus.admin().await.get(STATEMENT).await.expect(200);
    assert!(
        page.text("statement-mailed")
            .unwrap()
            .contains("no programme named anybody for finance"),
        "{}",
        page.body
    );
    campus.finish().await;
}

#[tokio::test]
async fn an_address_that_bounces_waits_for_an_admin() {
    let campus = open().await;
    let [maths, physics, law] = november(&campus).await;
    campus.minutes(60);
    look(&campus).await;
    let admin = campus.admin().await;
    let mails = sent(&campus).await;
    assert!(!warns(&admin.get(MATHS).await.expect(200), "fay@uni.edu"));
    let fay = mails.iter().find(|mail| mail.to == "fay@uni.edu").unwrap();
    campus.report(fay, "bounce", true).await;
    assert!(sent(&campus).await.is_empty());
    let told = campus.mails("account");
    let subject = "A mail did not arrive: the statement of November 2026";
    let told = told
        .iter()
        .find(|mail| mail.contents.subject == subject)
        .expect("the admins hear of it");
    assert!(
        told.contents
            .text
            .as_ref()
            .unwrap()
            .contains("\nTo: fay@uni.edu\n")
    );
    assert!(warns(
        &admin.get(MATHS).await.expect(200),
        "Mail to fay@uni.edu comes back, so no statement is sent there"
    ));
    let physics_page = admin.get("/console/programmes/physics").await.expect(200);
    assert!(
        !warns(&physics_page, "uni.edu"),
        "of another programme's address nothing is said"
    );

    // The next statement is not sent there, and admins hear of that too.
    cut(
        &campus,
        "2027-01-01T00:20:00Z",
        &[(&maths, 16), (&physics, 27), (&law, 90)],
    )
    .await;
    campus.clock.stop_at(at("2027-01-03T00:00:00Z")).unwrap();
    assert_eq!(look(&campus).await, 1);
    let mails = sent(&campus).await;
    let to: Vec<_> = mails.iter().map(|mail| &mail.to).collect();
    assert!(
        to.len() == 1 && to[0].eq_ignore_ascii_case("fin@uni.edu"),
        "{to:?}"
    );
    let subject = "A mail did not arrive: the statement of December 2026";
    assert!(
        campus
            .subjects("account")
            .iter()
            .any(|told| told == subject),
        "a given up mail is told"
    );

    let admin = campus.admin().await;
    let page = admin.get(ACCOUNT).await.expect(200);
    assert!(
        page.texts("unreachable")
            .iter()
            .any(|line| line.contains("fay@uni.edu")),
        "{}",
        page.readable()
    );
    let again = [("address", "fay@uni.edu")];
    admin
        .submit(&page, "/console/account/release", &again)
        .await
        .expect(303);
    let page = admin.get(MATHS).await.expect(200);
    assert!(!warns(&page, "Mail to fay@uni.edu comes back"));
    let page = admin.get(ACCOUNT).await.expect(200);
    admin
        .submit(&page, "/console/account/mail", &[])
        .await
        .expect(303);
    assert_eq!(sent(&campus).await.len(), 1);
    campus.finish_faulted().await;
}

#[tokio::test]
async fn complaints_and_refusals_are_warnings() {
    let mut campus = open().await;
    let [maths, physics, _] = november(&campus).await;
    campus.minutes(60);
    look(&campus).await;
    // Physics names somebody else before the mail leaves.
    edit(&mut campus, &physics, |settings| {
        settings.people.finance = vec![address("phil")];
    })
    .await;
    campus
        .ses
        .fail_next(MailFault::Reject, 1, Some("fay@uni.edu"));
    let mails = sent(&campus).await;
    let [fin] = &mails[..] else {
        panic!("{} mails", mails.len())
    };
    let text = fin.contents.text.clone().unwrap();
    assert!(
        text.contains("Maths") && !text.contains("Physics"),
        "{text}"
    );
    campus.report(fin, "complaint", true).await;
    assert!(sent(&campus).await.is_empty());
    let subjects = campus.subjects("account");
    assert!(
        subjects
            .contains(&"A mail was marked as unwanted: the statement of November 2026".to_owned()),
        "{subjects:?}"
    );
    let admin = campus.admin().await;
    let page = admin.get(MATHS).await.expect(200);
    assert!(
        warns(
            &page,
            "marked a mail as unwanted, so no statement is sent there"
        ),
        "{:?}",
        page.texts("warning")
    );

    // Nobody names fay any more when it is sent again.
    edit(&mut campus, &maths, |settings| {
        settings.people.finance = vec![address("fin")];
    })
    .await;
    let page = admin.get(ACCOUNT).await.expect(200);
    admin
        .submit(&page, "/console/account/mail", &[])
        .await
        .expect(303);
    assert!(sent(&campus).await.is_empty());
    campus.finish_faulted().await;
}

/// No sync of the first nights is complete. What students spent in them is on the statement of the
/// first that is, and on no other.
#[tokio::test]
async fn the_first_statement_begins_with_the_first_key() {
    let mut campus = Campus::at("2026-10-28T12:00:00Z").await;
    campus.pump.stop().await;
    let old = campus.foreign("old");
    campus.spend_on(&old, "5");
    campus.programme("CS pilot", |_| {}).await;
    campus.students_with_keys(&["ada"]).await;
    let credits = Matcher::call("provider:GET /credits")
        .of(FunctionName::UsageSync)
        .every();
    let unread = campus.gate.at(credits, Fault::Status(400));
    let nights = [
        ("10-29", "4", "0"),
        ("11-01", "0.000001", "0"),
        ("11-05", "2", "0"),
        ("12-01", "1", "3"),
        ("01-01", "0.5", "0"),
    ];
    for (night, of_ada, of_old) in nights {
        let year = if night == "01-01" { 2027 } else { 2026 };
        campus.spend("ada", of_ada);
        campus.spend_on(&old, of_old);
        campus
            .clock
            .stop_at(at(&format!("{year}-{night}T00:20:00Z")))
            .unwrap();
        if night == "11-05" {
            campus.gate.lift(unread);
        }
        assert_eq!(
            campus.sync().await["complete"],
            !night.starts_with("10") && night != "11-01"
        );
    }
    let admin = campus.admin().await;
    let mut keys = Vec::new();
    for days in [
        "from=2026-10-01&to=2026-10-31",
        "from=2026-11-01&to=2026-11-30",
        "from=2026-12-01&to=2026-12-31",
    ] {
        let page = admin
            .get(&format!("/console/account/statement?{days}"))
            .await
            .expect(200);
        let sums = ["statement-total", "account-change"]
            .map(|hook| page.one(hook).get("data-usd").to_owned());
        assert_eq!(sums[0], sums[1], "{}", page.readable());
        let of_keys = page
            .all("statement-row")
            .into_iter()
            .filter(|row| row.get("data-kind") == "keys");
        keys.push((
            of_keys
                .map(|row| row.get("data-usd").to_owned())
                .collect::<Vec<_>>()
                .join(" "),
            sums[0].clone(),
        ));
        if days.contains("2026-11-01") {
            assert!(
                page.readable()
                    .contains("Keys of students count from their first use"),
                "{}",
                page.readable()
            );
        }
    }
    // All that the account spent since the first key of ours: $7.50 and a millionth of Ada's, and
    // $3 of the old key's.
    let told = [
        ("0.000000", "0.000000"),
        ("7.000001", "10.000001"),
        ("0.500000", "0.500000"),
    ];
    assert_eq!(
        keys.iter()
            .map(|(keys, sum)| (&**keys, &**sum))
            .collect::<Vec<_>>(),
        told
    );
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_cost_code_that_changed_is_said() {
    let mut campus = Campus::at("2026-11-20T10:00:00Z").await;
    campus.pump.stop().await;
    let maths = programme(&campus, "Maths", "4711", &["fin"]).await;
    let physics = programme(&campus, "Physics", "4711", &["fin"]).await;
    cut(&campus, "2026-10-05T00:20:00Z", &[]).await;
    cut(
        &campus,
        "2026-11-01T00:20:00Z",
        &[(&maths, 10), (&physics, 10)],
    )
    .await;
    // Faculty change no cost code.
    for (of, asked) in [(&physics, "4713"), (&maths, "4714")] {
        edit(&mut campus, of, |settings| {
            settings.people.faculty = vec![address("faye")];
        })
        .await;
        campus
            .edit(
                &campus.student("faye@uni.edu").await,
                &[("cost_code", asked)],
            )
            .await
            .expect(422);
    }
    campus
        .edit(&campus.admin().await, &[("cost_code", "4712")])
        .await
        .expect(303);
    campus.clock.stop_at(at("2026-12-03T00:00:00Z")).unwrap();
    cut(
        &campus,
        "2026-12-01T00:20:00Z",
        &[(&maths, 15), (&physics, 15)],
    )
    .await;
    look(&campus).await;
    let says = "The cost code of Maths changed on 20 Nov 2026, from 4711 to 4712. Its rows here stand under the new one.";
    let mails = sent(&campus).await;
    let november = mails
        .iter()
        .find(|mail| mail.contents.subject.contains("November"))
        .unwrap();
    let page = campus.admin().await.get(STATEMENT).await.expect(200);
    for text in [november.contents.text.clone().unwrap(), page.readable()] {
        assert!(
            text.contains(says) && text.matches("The cost code of").count() == 1,
            "{text}"
        );
    }
    campus.finish_faulted().await;
}
