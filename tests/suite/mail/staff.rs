//! Mail to staff and admins. A member of staff who is not reached is an alarm to the admins. Where
//! none of those is reached, the log says so in a field that an alarm of the stack filters for.

use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::kind::MailKind;
use bursar_local::invoke::FunctionName;
use bursar_tests::campus::{ADMIN, Campus, address};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::soon;
use bursar_tests::stack::Setup;

use super::outcomes::say;
use super::{account, later, states, watched};

#[tokio::test]
async fn admins_hear_of_each_way_in_which_an_alert_is_lost() {
    let mut campus = Campus::open().await;
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = ["ann", "ben", "cat", "dan"].map(address).to_vec();
        })
        .await;
    campus.budget(20).await;
    campus.students_with_keys(&["ada"]).await;
    campus.settle().await;
    campus.all_mails();
    campus.unreachable("ann").await;
    campus.spend("ada", "17");
    campus.minutes(20);
    campus.sync().await;
    campus.settle().await;
    let mut alerts = campus.mails("alert");
    alerts.retain(|alert| alert.contents.subject == "CS pilot has used 85% of $20");
    for (alert, event) in alerts.iter().zip(["gone", "full", "delivered"]) {
        for _ in 0..2 {
            say(&campus, event, alert).await.unwrap();
        }
    }
    campus.settle().await;
    let told = campus.mails("account");
    let lost: Vec<_> = told
        .iter()
        .filter(|mail| {
            mail.contents
                .subject
                .ends_with("the alert of CS pilot: 80% of $20")
        })
        .collect();
    let lines = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("To:") || line.starts_with("Why:"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut lost: Vec<_> = lost
        .iter()
        .map(|mail| lines(mail.contents.text.as_ref().unwrap()))
        .collect();
    lost.sort();
    insta::assert_snapshot!(lost.join("\n"), @"
    To: ann@example.edu, Why: mail to the recipient comes back or is not wanted (Undeliverable)
    To: ben@example.edu, Why: it came back for good (Bounced)
    To: cat@example.edu, Why: it came back (Returned)
    ");
    campus.finish_faulted().await;
}

/// Two mailboxes are full: one takes the alert an hour later, the other never does.
#[tokio::test]
async fn a_returned_alert_is_tried_again_until_it_is_given_up() {
    let mut campus = Campus::open().await;
    for (name, faculty) in [("Pone", "pia"), ("Qtwo", "quin")] {
        campus
            .programme(name, |settings| {
                settings.people.faculty = vec![address(faculty)];
                settings.mails.thresholds = vec![25];
            })
            .await;
        campus.budget(60).await;
        campus.students_with_keys(&["ada"]).await;
        campus.spend("ada", "17");
    }
    campus.minutes(20);
    campus.sync().await;
    campus.settle().await;
    let both = campus.mails("alert");
    assert_eq!(both.len(), 2);
    say(&campus, "full", &both[0]).await.unwrap();
    campus.settle().await;
    // What records it is killed, and hears of it again.
    campus.gate.at(
        Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Mail),
        Fault::KillAfter,
    );
    assert!(say(&campus, "full", &both[1]).await.is_err());
    say(&campus, "full", &both[1]).await.unwrap();
    campus.settle().await;
    let not_arrived = ["Pone", "Qtwo"]
        .map(|name| format!("A mail did not arrive: the alert of {name}: 25% of $60"));
    assert_eq!(account(&campus), not_arrived, "each programme's is told");
    let admin = campus.admin().await;
    let page = admin.get(&campus.console("/alerts")).await;
    assert_eq!(page.attributes("alert", "data-outcome"), ["waiting"]);

    // An hour later both are sent again, and one arrives.
    later(&campus, 60).await;
    let mut returned = campus.mails("alert");
    say(&campus, "delivered", &returned.remove(0))
        .await
        .unwrap();
    let mut tries = 2;
    while let Some(alert) = returned.pop() {
        for event in ["full", "full", "delivered"] {
            say(&campus, event, &alert).await.unwrap();
        }
        later(&campus, 80).await;
        campus.look().await;
        campus.settle().await;
        returned = campus.mails("alert");
        tries += returned.len();
    }
    assert_eq!(tries, 16);
    assert_eq!(
        account(&campus),
        [&*not_arrived[1]; 2],
        "once on the next day, and when it is given up"
    );

    let admin = campus.admin().await;
    let page = admin.get("/console/account").await;
    let given_up = page.texts("dead-letter").join(", ");
    assert!(
        given_up.contains("it came back each time") && given_up.contains("qtwo"),
        "{given_up}"
    );
    admin
        .send_form(&page.form("/console/account/mail"))
        .await
        .expect(303);
    campus.settle().await;
    assert_eq!(campus.mails("alert")[0].to, "quin@example.edu");

    // Sent again by hand it comes back once more, and the page tells of the try that arrived.
    campus.hours(2);
    let (admin, alerts) = (campus.admin().await, campus.console("/alerts"));
    admin.fill(&alerts, &alerts, &[]).await.expect(303);
    for event in ["full", "delivered"] {
        campus.settle().await;
        say(&campus, event, &campus.mails("alert")[0])
            .await
            .unwrap();
        later(&campus, 80).await;
    }
    assert_eq!(
        campus
            .admin()
            .await
            .get(&alerts)
            .await
            .attributes("alert", "data-outcome"),
        ["delivered"]
    );
    campus.finish_faulted().await;
}

#[tokio::test]
async fn the_log_tells_when_no_admin_is_reached() {
    let admins = [ADMIN, "ann@example.edu"];
    let campus = Campus::of(Setup {
        admins: &admins,
        ..Setup::default()
    })
    .await;
    campus.ask(ADMIN).await;
    campus.settle().await;
    campus
        .report(&campus.mails("link")[0], "bounce", true)
        .await;
    campus.settle().await;
    assert_eq!(
        account(&campus).len(),
        1,
        "the other hears of a link that came back, since it was to an admin"
    );
    let alarm = Alarm::now(Cause::ManagementKey, campus.clock.now());
    let people = campus
        .table
        .people_of(&admins.map(address), soon())
        .await
        .unwrap();
    assert!(
        campus
            .table
            .tell(&alarm, &people, campus.clock.now(), soon())
            .await
            .unwrap()
    );
    campus.settle().await;
    assert_eq!(campus.mails("account")[0].to, admins[1]);
    assert!(
        campus.has_logged("\"reaches_nobody\":false")
            && !campus.has_logged("\"reaches_nobody\":true")
    );

    campus.unreachable(admins[1]).await;
    watched(&campus, 24).await;
    assert!(campus.has_logged("\"reaches_nobody\":true"));
    assert!(
        states(&campus, MailKind::Account)
            .await
            .contains(&"Failed".to_owned())
    );
    campus.finish_faulted().await;
}
