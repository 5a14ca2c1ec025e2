//! Mail to staff and admins. A member of staff who is not reached is an alarm to the admins. Where none of those is reached, the log
//! says so in a field that an alarm of the stack filters for.

use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::kind::MailKind;
use bursar_tests::campus::{ADMIN, Campus, address};
use bursar_tests::office::soon;
use bursar_tests::stack::Setup;

use super::outcomes::say;
use super::{account, states, watched};

#[tokio::test]
async fn admins_hear_of_each_way_in_which_an_alert_is_lost() {
    let mut campus = Campus::open().await;
    campus
        .programme("CS pilot", |settings| settings.people.faculty = ["ann", "ben", "cat", "dan"].map(address).to_vec())
        .await;
    campus.budget(20).await;
    campus.students(&["ada"]).await;
    campus.keys().await;
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
    let lost: Vec<_> =
        told.iter().filter(|mail| mail.contents.subject.ends_with("the alert of CS pilot at 80 %")).collect();
    let lines = |text: &str| {
        text.lines().filter(|line| line.starts_with("To:") || line.starts_with("Why:")).collect::<Vec<_>>().join(", ")
    };
    let mut lost: Vec<_> = lost.iter().map(|mail| lines(mail.contents.text.as_ref().unwrap())).collect();
    lost.sort();
    insta::assert_snapshot!(lost.join("\n"), @"
    To: ann@example.edu, Why: mail to the recipient comes back or is not wanted (Undeliverable)
    To: ben@example.edu, Why: it came back for good (Bounced)
    To: cat@example.edu, Why: it came back (Returned)
    ");
    campus.finish_faulted().await;
}

#[tokio::test]
async fn the_log_tells_when_no_admin_is_reached() {
    let admins = [ADMIN, "ann@example.edu"];
    let campus = Campus::of(Setup { admins: &admins, ..Setup::default() }).await;
    campus.ask(ADMIN).await;
    campus.settle().await;
    campus.report(&campus.mails("link")[0], "bounce", true).await;
    campus.settle().await;
    assert_eq!(account(&campus).len(), 1, "the other hears of a link that came back, since it was to an admin");
    let alarm = Alarm::now(Cause::ManagementKey, campus.clock.now());
    let people = campus.table.people_of(&admins.map(address), soon()).await.unwrap();
    assert!(campus.table.tell(&alarm, &people, campus.clock.now(), soon()).await.unwrap());
    campus.settle().await;
    assert_eq!(campus.mails("account")[0].to, admins[1]);
    assert!(campus.has_logged("\"reaches_nobody\":false") && !campus.has_logged("\"reaches_nobody\":true"));

    campus.unreachable(admins[1]).await;
    watched(&campus, 24).await;
    assert!(campus.has_logged("\"reaches_nobody\":true"));
    assert!(states(&campus, MailKind::Account).await.contains(&"Failed".to_owned()));
    campus.finish_faulted().await;
}
