//! Mail to staff and admins. An unreachable member of staff is an alarm to the admins. Where no admin can be
//! reached, the log says so in a field that an alarm of the stack filters for.

use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::store::{Undeliverable, UnreachableReason};
use bursar_tests::stack::Setup;
use jiff::SignedDuration;

use super::{PostOffice, address};

#[tokio::test]
async fn an_alert_whose_recipient_cannot_be_mailed_is_a_dead_letter_that_an_admin_hears_of() {
    let mut office = PostOffice::open().await;
    let (now, frida) = (office.stack.clock.now(), address("frida.faculty@example.edu"));
    let mark = Undeliverable { address: frida.matched().clone(), why: UnreachableReason::Bounced, at: now };
    office.table.end_mail_to(&[mark], now, super::soon()).await.unwrap();
    let person = office.table.person_of(&frida, super::soon()).await.unwrap();
    let people = [person, office.admin().await];
    office.set(|settings| settings.faculty.push(address("admin@example.edu"))).await;
    office.cross_to(80, office.steadily(1, 3_359_999_001), &people).await;
    office.settle().await;
    let unread = office.unread();
    let subjects: Vec<_> = unread.iter().map(|mail| (mail.to.as_str(), mail.contents.subject.as_str())).collect();
    assert_eq!(
        subjects,
        [
            ("admin@example.edu", "CS pilot has used 83% of $4,000"),
            ("admin@example.edu", "A mail did not arrive: the alert of CS pilot at 80 %"),
        ]
    );
    let mut states = office.states();
    states.sort_unstable();
    assert_eq!(states, ["failed", "sent", "sent", "sent"], "the key's notice is one of them");
    office.stack.clock.advance(SignedDuration::from_mins(1)).unwrap();
    let dead = office.table.dead_mails(now - SignedDuration::from_hours(1), 10).await.unwrap();
    assert_eq!((dead.newest.len(), dead.in_all), (1, 1));
    office.finish_faulted().await;
}

#[tokio::test]
async fn an_admin_who_is_not_reached_any_more_is_an_alarm_whatever_the_mail_was() {
    let mut office = PostOffice::open().await;
    office.ask("admin@example.edu").await;
    office.settle().await;
    let link = office.the_mail();
    office.event(&link.id, "bounce", true).await;
    office.settle().await;
    let alarms = office.table.alarms(5).await.unwrap();
    assert!(
        matches!(&alarms[..], [Alarm { cause: Cause::Unsent { mail, .. }, .. }] if *mail == Some(MailKind::Link)),
        "{alarms:?}"
    );
    assert!(office.said("reaches_nobody"), "there is no other admin");
    office.finish_faulted().await;
}

#[tokio::test]
async fn of_two_recipients_one_of_whom_bounces_the_other_is_served_and_an_admin_hears_once() {
    let mut office = PostOffice::open().await;
    let mut people = Vec::new();
    for one in ["frida.faculty@example.edu", "fred@example.edu"] {
        people.push(office.table.person_of(&address(one), super::soon()).await.unwrap());
    }
    office.set(|settings| settings.faculty.push(address("fred@example.edu"))).await;
    office.cross_to(80, office.steadily(1, 3_359_999_001), &people).await;
    office.settle().await;
    let mut unread = office.unread();
    unread.sort_by(|one, other| one.to.cmp(&other.to));
    assert_eq!(unread.len(), 2);
    for _ in 0..2 {
        office.say("gone", &unread[0].id, &unread[0].to).await.unwrap();
        office.say("delivered", &unread[1].id, &unread[1].to).await.unwrap();
    }
    office.settle().await;
    let told = office.the_mail().contents;
    assert_eq!(told.subject, "A mail did not arrive: the alert of CS pilot at 80 %");
    let text = told.text.unwrap();
    assert!(text.contains(&format!("\nTo: {}\nWhy: it came back for good (Bounced)\n", unread[0].to)), "{text}");
    let mut states = office.states();
    states.sort_unstable();
    assert_eq!(states, ["bounced", "delivered", "sent", "sent"], "the key's notice is one of them");
    office.finish().await;
}

#[tokio::test]
async fn an_alert_that_came_back_though_the_next_may_not_reaches_an_admin_too() {
    let mut office = PostOffice::open().await;
    let frida = office.table.person_of(&address("frida.faculty@example.edu"), super::soon()).await.unwrap();
    office.cross_to(80, office.steadily(1, 3_359_999_001), &[frida]).await;
    office.settle().await;
    let alert = office.the_mail();
    for away in ["away", "full", "full"] {
        office.say(away, &alert.id, &alert.to).await.unwrap();
    }
    office.settle().await;
    let told = office.the_mail().contents;
    assert_eq!(told.subject, "A mail did not arrive: the alert of CS pilot at 80 %");
    let text = told.text.unwrap();
    assert!(text.contains("Why: it came back (Returned)"), "{text}");
    assert!(office.mark_of("frida.faculty@example.edu").await.is_none());
    office.finish().await;
}

#[tokio::test]
async fn that_one_of_two_admins_is_not_reached_is_no_alarm_of_the_stack() {
    let admins = ["admin@example.edu", "ann@example.edu"];
    let mut office = PostOffice::of(Setup { admins: &admins, ..Setup::default() }).await;
    let now = office.stack.clock.now();
    let dead =
        |who: &str| Undeliverable { address: address(who).matched().clone(), why: UnreachableReason::Bounced, at: now };
    office.table.end_mail_to(&[dead("admin@example.edu")], now, super::soon()).await.unwrap();
    let alarm = Alarm::now(Cause::ManagementKey, now);
    let people = office.table.people_of(&admins.map(address), super::soon()).await.unwrap();
    assert!(office.table.raise(&alarm, &people, now, super::soon()).await.unwrap());
    office.settle().await;
    assert_eq!(office.the_mail().to, "ann@example.edu");
    assert!(office.said("\"reaches_nobody\":false") && !office.said("\"reaches_nobody\":true"));

    office.table.end_mail_to(&[dead("ann@example.edu")], now, super::soon()).await.unwrap();
    office.stack.schedules.advance(SignedDuration::from_hours(24)).await.unwrap();
    assert!(office.said("\"reaches_nobody\":true"));
    office.unread();
    office.finish_faulted().await;
}
