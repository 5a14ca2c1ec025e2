//! Mail on the pages: who cannot be reached, what became of alerts and of what was given up, and
//! how each is sent again.

use bursar_core::domain::audit::{Act, AuditEntry};
use bursar_core::domain::grant::HoldKind;
use bursar_local::ses::Fault as MailFault;
use bursar_tests::aws;
use bursar_tests::campus::ADMIN;
use bursar_tests::visitor::{Form, Page};
use serde_json::json;

use super::account::RELEASE;
use super::*;

const ALERTS: &str = "/console/programmes/cs-pilot/alerts";
const BULK: &str = "/console/programmes/cs-pilot/grants/bulk";
const AGAIN: &str = "/console/account/mail";

/// What SES reports of the newest mail to somebody.
async fn reported(campus: &Campus, name: &str, event: &str) {
    campus.settle().await;
    let mail = campus
        .ses
        .mails_to(address(name).as_written())
        .pop()
        .unwrap();
    let body = json!({"mail": mail.id, "type": event, "permanent": true});
    let post = aws::http()
        .post(format!("{}/events", campus.ready.inbox))
        .json(&body);
    assert_eq!(post.send().await.unwrap().status(), 200);
}

fn received(campus: &Campus, name: &str) -> usize {
    campus.ses.mails_to(address(name).as_written()).len()
}

pub(crate) fn warns(page: &Page, of: &str) -> bool {
    page.texts("warning")
        .iter()
        .any(|warning| warning.contains(of))
}

#[tokio::test]
async fn who_is_not_reached_is_named_and_tried_by_hand() {
    let mut campus = staffed().await;
    campus.students(&["ada", "bob", "cyd", "dan"]).await;
    for (name, event) in [
        ("ada", "bounce"),
        ("bob", "complaint"),
        ("cyd", "complaint"),
    ] {
        reported(&campus, name, event).await;
    }
    campus.sync().await;
    let (admin, asta) = (campus.admin().await, campus.student("asta").await);
    let overview = asta.get(ID).await;
    insta::assert_snapshot!(overview.texts("warning").join("\n"), @"
    Mail to one student comes back, so nothing is sent to them, not even the link to sign in that they need to get a key. See who
    2 students, or their mail program, marked a mail as unwanted. They still get links to sign in, but no invitation, no reminders, and no warning before a rule switches off their key. See who
    ");
    for (asked, who, badge) in [
        ("unreachable", &["ada@example.edu"][..], "mail comes back"),
        (
            "unwanted",
            &["bob@example.edu", "cyd@example.edu"],
            "wants links only",
        ),
    ] {
        let found = asta.get(&format!("{GRANTS}?mail={asked}")).await;
        assert_eq!(found.attributes("grant", "data-email"), who);
        assert_eq!(
            admin.get(GRANTS).await.body.matches(badge).count(),
            who.len(),
            "{asked}"
        );
    }
    let [ada, bob] = ["ada", "bob"].map(|name| format!("{GRANTS}/{}", campus.id(name)));
    assert!(warns(
        &admin.get(&ada).await,
        "mail to it came back for good"
    ));
    assert!(warns(
        &admin.get(&bob).await,
        "this address gets links to sign in and notices of its own key"
    ));

    let again = format!("{ada}/resend");
    let page = asta.get(&ada).await;
    assert!(!page.offers(&again), "faculty's to decide");
    let token = page.form("/sign-out");
    asta.post(&again, &[("csrf", token.value("csrf").unwrap())])
        .await
        .expect(409);
    let page = admin.get(&ada).await;
    for status in [303, 429] {
        admin.submit(&page, &again, &[]).await.expect(status);
    }
    campus.settle().await;
    assert_eq!(
        received(&campus, "ada"),
        2,
        "once more, although it was sent twice"
    );
    campus.sync().await;
    assert!(!warns(&admin.get(ID).await, "comes back"));
    let entries = campus
        .table
        .list(AuditEntry::of_grant(&campus.programme, campus.id("ada")))
        .await
        .unwrap();
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry.what.act == Act::MailAllowed)
            .count(),
        1
    );
    assert!(
        admin
            .get(&ada)
            .await
            .readable()
            .contains("admin@example.edu let mail go to ada@example.edu again")
    );

    // The second mail bounces as well: it can be sent again only after an hour.
    reported(&campus, "ada", "bounce").await;
    admin.submit(&page, &again, &[]).await.expect(409);
    campus.minutes(61);
    let admin = campus.admin().await;
    admin.fill(&ada, &again, &[]).await.expect(303);
    // Two complaints about so few mails stop bulk mail, which is an error.
    campus.finish_faulted().await;
}

/// The figures of the roster mails: owed, sent, delivered, bounced; and of how many people how many
/// have claimed.
fn figures(roster: &Page) -> [u32; 6] {
    let mails = [
        "roster-owed",
        "roster-sent",
        "roster-delivered",
        "roster-bounced",
    ];
    let [owed, sent, delivered, bounced] =
        mails.map(|hook| roster.text(hook).unwrap().parse().unwrap());
    let people = roster.one("claimed");
    let [all, claimed] =
        ["data-people", "data-claimed"].map(|name| people.get(name).parse().unwrap());
    [owed, sent, delivered, bounced, all, claimed]
}

#[tokio::test]
async fn who_has_not_claimed_is_reminded_once_a_day() {
    let mut campus = staffed().await;
    campus.students(&["ada", "bob", "cyd", "dan"]).await;
    let (admin, asta) = (campus.admin().await, campus.student("asta").await);
    admin
        .fill(
            ROSTER,
            &format!("{ID}/people"),
            &[("email", "eve@example.edu")],
        )
        .await
        .expect(303);
    assert_eq!(figures(&asta.get(ROSTER).await), [5, 0, 0, 0, 5, 0]);
    reported(&campus, "ada", "delivery").await;
    reported(&campus, "bob", "bounce").await;
    campus.reveal(&campus.student("ada").await).await;
    campus.hold("cyd", HoldKind::Dropped).await;
    assert_eq!(figures(&asta.get(ROSTER).await)[4..], [4, 1]);
    campus.sync().await;
    assert_eq!(figures(&asta.get(ROSTER).await), [5, 5, 1, 1, 4, 1]);

    // Whoever was sent the roster mail again by hand gets no reminder within a day.
    assert!(!asta.get(ROSTER).await.offers(BULK), "faculty's to decide");
    let at = format!("{GRANTS}/{}", campus.id("dan"));
    admin
        .fill(&at, &format!("{at}/resend"), &[])
        .await
        .expect(303);
    let reminds = async |hours: i64| {
        campus.hours(hours);
        let faye = campus.student("faye").await;
        let unclaimed = [("act", "remind"), ("state", "invited")];
        let shown = faye.fill(GRANTS, BULK, &unclaimed).await.expect(200);
        assert_eq!(
            shown.attributes("grant", "data-email"),
            ["dan@example.edu", "eve@example.edu"]
        );
        faye.submit(&shown, BULK, &[]).await.expect(303);
        campus.settle().await;
        ["ada", "bob", "cyd", "dan", "eve"].map(|name| received(&campus, name))
    };
    let before = ["ada", "bob", "cyd"].map(|name| received(&campus, name));
    for (hours, dan, eve) in [(0, 2, 2), (1, 2, 2), (22, 2, 2), (1, 3, 3), (23, 3, 3)] {
        let [ada, bob, cyd, dans, eves] = reminds(hours).await;
        assert_eq!(
            ([ada, bob, cyd], dans, eves),
            (before, dan, eve),
            "after {hours} hours more"
        );
    }
    assert!(
        campus
            .subjects("roster")
            .contains(&"Reminder: your key for CS pilot is not claimed yet".to_owned())
    );
    let asta = campus.student("asta").await;
    assert_eq!(figures(&asta.get(ROSTER).await)[..2], [5, 9]);
    campus.finish().await;
}

/// Ada uses her key, Bob does not, Cyd handed hers back, and Dan has claimed none; Eve gets hers
/// after keys were looked at.
#[tokio::test]
async fn who_never_used_a_key_is_reminded_weekly() {
    let mut campus = staffed().await;
    campus.students_with_keys(&["ada", "bob", "cyd"]).await;
    campus.students(&["dan", "eve"]).await;
    campus
        .press(&campus.student("cyd").await, "return")
        .await
        .expect(303);
    campus.spend("ada", "1");
    campus.minutes(20);
    campus.sync().await;
    campus.reveal(&campus.student("eve").await).await;
    campus.settle().await;
    campus.all_mails();
    let remind = async |stage: &str| {
        let faye = campus.student("faye").await;
        let fields = [("act", "remind"), ("stage", stage)];
        let shown = faye.fill(GRANTS, BULK, &fields).await.expect(200);
        let whom = shown.attributes("grant", "data-email");
        if !whom.is_empty() {
            faye.submit(&shown, BULK, &[]).await.expect(303);
        }
        campus.settle().await;
        let mut subjects = campus.subjects("student");
        subjects.extend(campus.subjects("roster"));
        (whom.join(" "), subjects)
    };
    let unused = "CS pilot: your key has not been used yet";
    let unclaimed = "Reminder: your key for CS pilot is not claimed yet";
    assert_eq!(
        remind("").await,
        (
            "bob@example.edu dan@example.edu".to_owned(),
            [unused, unclaimed].map(str::to_owned).into()
        )
    );
    assert_eq!(remind("used").await, (String::new(), Vec::new()));
    campus.hours(25);
    let (whom, subjects) = remind("").await;
    assert_eq!(
        (&*whom, subjects),
        (
            "bob@example.edu dan@example.edu",
            vec![unclaimed.to_owned()]
        )
    );
    campus.hours(6 * 24);
    assert_eq!(
        remind("claimed").await,
        ("bob@example.edu".to_owned(), vec![unused.to_owned()])
    );
    campus.sync().await;
    assert_eq!(remind("claimed").await.0, "bob@example.edu eve@example.edu");
    let page = campus
        .student("faye")
        .await
        .get(&format!("{GRANTS}/{}", campus.id("bob")))
        .await
        .readable();
    assert!(
        page.contains("faye@example.edu reminded bob@example.edu of a key that was never used"),
        "{page}"
    );
    campus.finish().await;
}

#[tokio::test]
async fn an_alert_says_what_became_of_it_and_is_sent_again() {
    let mut campus = staffed().await;
    campus
        .set(|settings| settings.mails.thresholds = vec![10])
        .await;
    campus.budget(100).await;
    campus.students_with_keys(&["ada"]).await;
    let (admin, faye, asta) = (
        campus.admin().await,
        campus.student("faye").await,
        campus.student("asta").await,
    );
    campus
        .edit(&faye, &[("alert_assistants", "eve@example.edu")])
        .await
        .expect(422);
    campus
        .edit(&faye, &[("alert_assistants", "on")])
        .await
        .expect(303);
    assert!(
        faye.get(ALERTS)
            .await
            .body
            .contains("faye@example.edu, asta@example.edu get a mail when 10%")
    );
    campus.spend("ada", "15");
    campus.sync().await;
    reported(&campus, "faye", "bounce").await;
    assert!(warns(
        &admin.get(ID).await,
        "Mail to faye@example.edu comes back"
    ));
    let outcomes = async || {
        let page = admin.get(ALERTS).await;
        let [who, outcome] =
            ["data-recipient", "data-outcome"].map(|name| page.attributes("alert", name));
        let mut all: Vec<_> = who
            .into_iter()
            .zip(outcome)
            .map(|(who, outcome)| format!("{who} {outcome}"))
            .collect();
        all.sort();
        all.join(", ")
    };
    assert_eq!(
        outcomes().await,
        "asta@example.edu sent, faye@example.edu bounced"
    );
    let of_kind = async |kind: &str| {
        admin
            .get(&format!("{ALERTS}?kind={kind}"))
            .await
            .texts("mail")
            .len()
    };
    assert_eq!([of_kind("all").await, of_kind("test").await], [2, 0]);
    let found = admin
        .get("/console?q=faye@example.edu")
        .await
        .texts("mail")
        .join(", ");
    assert!(
        found.contains("alert of CS pilot") && found.contains("bounced"),
        "{found}"
    );
    let page = asta.get(ALERTS).await;
    assert!(page.body.contains("$15.00, 15%"), "{}", page.readable());

    // An assistant may send an alert again that was sent, but not one that bounced.
    let forms = |page: &Page| {
        page.forms()
            .into_iter()
            .filter(|form| form.action == ALERTS)
            .collect::<Vec<_>>()
    };
    let [own] = &forms(&page)[..] else {
        panic!("{}", page.readable())
    };
    let of_admin = forms(&admin.get(ALERTS).await);
    let lost = of_admin
        .iter()
        .find(|form| form.value("alert") != own.value("alert"))
        .unwrap()
        .clone();
    for _ in 0..2 {
        asta.send_form(own).await.expect(303);
    }
    let by_assistant = lost.clone().filled(&[("csrf", own.value("csrf").unwrap())]);
    asta.send_form(&by_assistant).await.expect(409);
    admin.send_form(&lost).await.expect(303);
    campus.settle().await;
    assert_eq!(
        [received(&campus, "asta"), received(&campus, "faye")],
        [2, 2],
        "the same form twice is one mail"
    );
    assert_eq!(
        outcomes().await,
        "asta@example.edu sent, faye@example.edu sent"
    );
    assert!(admin.get(ALERTS).await.body.contains("sent again by hand"));
    campus.minutes(61);
    let admin = campus.admin().await;
    let with_token = |form: &Form, page: &Page| {
        form.clone()
            .filled(&[("csrf", page.form("/sign-out").value("csrf").unwrap())])
    };
    let lost = with_token(&lost, &admin.get(ALERTS).await);
    admin.send_form(&lost).await.expect(303);
    campus.settle().await;
    assert_eq!(received(&campus, "faye"), 3, "an hour later again");
    for (row, status) in [("01KDVDNA00000000000000001A", 404), ("x", 422)] {
        admin
            .send_form(&lost.clone().filled(&[("alert", row)]))
            .await
            .expect(status);
    }
    campus.minutes(61);
    let admin = campus.admin().await;
    campus
        .edit(&admin, &[("budget_usd", "8000"), ("assistants", "")])
        .await
        .expect(303);
    let page = admin.get(ALERTS).await;
    assert!(
        page.body.contains("faye@example.edu gets a mail when 10%") && forms(&page).is_empty(),
        "it is of another budget"
    );
    admin.send_form(&with_token(&lost, &page)).await.expect(409);

    // An admin has mail to somebody with a role tried again, whatever the mail was.
    reported(&campus, "faye", "bounce").await;
    let form = admin.get(ACCOUNT).await.form(RELEASE);
    assert_eq!(form.value("address"), Some("faye@example.edu"));
    for (form, status) in [
        (&form, 303),
        (&form, 303),
        (&form.clone().filled(&[("address", "eve@example.edu")]), 404),
    ] {
        admin.send_form(form).await.expect(status);
    }
    assert!(admin.get(ACCOUNT).await.texts("unreachable").is_empty());
    campus.settle().await;
    what_was_given_up_is_sent_again_by_its_cause(&mut campus).await;
    campus.finish_faulted().await;
}

/// A roster mail, and an urgent one.
async fn what_was_given_up_is_sent_again_by_its_cause(campus: &mut Campus) {
    for name in ["cyd@example.edu", "faye@example.edu"] {
        campus.ses.fail_next(MailFault::Reject, 1, Some(name));
    }
    let before = received(campus, "faye");
    campus.students(&["cyd"]).await;
    campus.budget(50).await;
    campus.spend("ada", "1");
    campus.minutes(20);
    campus.sync().await;
    campus.settle().await;
    let page = campus.admin().await.get(ACCOUNT).await;
    assert!(
        warns(&page, "given up in the last three days"),
        "{:?}",
        page.texts("warning")
    );
    let [cause] = &page.texts("dead-letter")[..] else {
        panic!("{:?}", page.texts("dead-letter"))
    };
    assert!(
        cause.contains("invitations: 1") && cause.contains("alerts: 1"),
        "{cause}"
    );

    campus.minutes(3 * 60);
    let admin = campus.admin().await;
    let page = admin.get(ACCOUNT).await;
    for (cause, status) in [
        ("", 422),
        ("NotAMail", 303),
        ("MessageRejected", 303),
        ("MessageRejected", 303),
    ] {
        admin
            .submit(&page, AGAIN, &[("cause", cause)])
            .await
            .expect(status);
    }
    campus.settle().await;
    assert_eq!(
        [received(campus, "cyd"), received(campus, "faye")],
        [1, before + 1]
    );
    let entries = &campus.judged().await.account_entries;
    let again = entries
        .iter()
        .filter(|entry| entry.what.act == Act::MailSentAgain);
    let notes: Vec<_> = again.map(|entry| entry.what.note.as_deref()).collect();
    assert_eq!(
        notes,
        [Some("given up: MessageRejected")],
        "the second request found nothing"
    );
    assert!(admin.get(ACCOUNT).await.texts("dead-letter").is_empty());
}

#[tokio::test]
async fn mail_that_waits_is_told_on_the_account() {
    let mut campus = staffed().await;
    let admin = campus.admin().await;
    campus.ses.set_sandbox(&[ADMIN]);
    campus.students(&["ada"]).await;
    campus.settle().await;
    let page = admin.get(ACCOUNT).await;
    assert!(
        warns(&page, "the recipient's address is not verified")
            && page.texts("dead-letter").is_empty()
    );
    assert!(page.body.contains("of 200 in 24 hours, 1 a second"));
    assert_eq!(
        campus.subjects("account"),
        ["Mail waits: the recipient's address is not verified"]
    );
    campus.ses.leave_sandbox();
    campus.ses.set_enabled(false);
    campus.students(&["bob"]).await;
    campus.drain().await;
    let page = admin.get(ACCOUNT).await;
    assert!(
        warns(&page, "sending is paused for the whole SES account")
            && page.body.contains("the oldest for")
    );
    campus.finish_faulted().await;
}
