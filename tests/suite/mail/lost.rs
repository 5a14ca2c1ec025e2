//! Faults in each call of sending a mail. In the end the mail was accepted, and a second time only where the
//! server's answer or our record of it was lost.

use bursar_core::store::{MailState, QueuedMail};
use bursar_local::ses::Fault as MailFault;
use jiff::SignedDuration;

use super::{PostOffice, address, word};

#[tokio::test]
async fn throttled_for_two_hours_across_a_threshold_an_alert_is_sent_afterwards_and_once() {
    let mut office = PostOffice::open().await;
    let people = [office.admin().await];
    office.set(|settings| settings.faculty.push(address("admin@example.edu"))).await;
    office.cross_to(80, office.steadily(1, 3_359_999_001), &people).await;
    office.stack.ses.fail_next(MailFault::Throttle, 1_000, None);
    office.settle().await;
    for _ in 0..12 {
        office.pass(10).await;
        assert_eq!(office.unread().len(), 0);
    }
    let alert = |office: &PostOffice| {
        let rows = office.watch.seen().unwrap().outbox.clone();
        rows.into_iter().find(|row| matches!(row.mail, QueuedMail::Alert { .. })).unwrap()
    };
    assert!(matches!(alert(&office).state, MailState::Waiting { .. }));
    office.stack.ses.lift_faults(None);
    for _ in 0..12 {
        office.pass(10).await;
    }
    let mut subjects: Vec<_> = office.unread().into_iter().map(|mail| mail.contents.subject).collect();
    subjects.sort();
    assert_eq!(subjects, ["1 mail waits and is not sent", "CS pilot has used 83% of $4,000"], "and an admin was told");
    assert_eq!(word(&alert(&office).state), "sent");
    office.stack.schedules.advance(SignedDuration::from_hours(9)).await.unwrap();
    assert_eq!(office.unread().len(), 0);
    office.finish().await;
}
