//! The breaker for bulk mail: when too much of a kind comes back, that kind stops, admins are notified, and all
//! other mail goes on. The next day it goes on.

use bursar_core::domain::grant::Notice;
use bursar_core::domain::mail::class::MailClass;
use bursar_core::domain::mail::day::{MailCounts, MailDay};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::id::Epoch;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{BulkStop, MailState, OutboxRow, QueuedMail, Resend};
use bursar_local::invoke::FunctionName;
use bursar_tests::aws;
use bursar_tests::faults::{Fault, Matcher};
use ulid::Ulid;

use super::{PostOffice, soon};

impl PostOffice {
    /// Sets today's counts of roster mails. They have no rows, so the invariants are not checked here.
    async fn fared(&self, sent: u64, bounced: u64) {
        let counts = MailCounts { sent, bounced, ..MailCounts::default() };
        let day = utc_date(self.stack.clock.now());
        self.raw.keep(&MailDay { day, mail: MailKind::Roster, counts }).await.unwrap();
    }

    async fn drained(&self) -> serde_json::Value {
        let task = serde_json::json!({"task": "drain"});
        self.stack.invoke.invoke(FunctionName::Mail, task).await.unwrap()
    }

    async fn stop_of(&self) -> Option<BulkStop> {
        self.table.bulk_stop(MailKind::Roster).await.unwrap()
    }
}

#[tokio::test]
async fn roster_mail_stops_when_the_tenth_of_a_hundred_comes_back_and_other_mail_goes_on() {
    let office = PostOffice::open().await;
    office.fared(99, 9).await;
    let (ada, bob) = (office.invite("ada@example.edu").await, office.invite("bob@example.edu").await);
    // One mail is sent and bounces.
    office.stack.ses.set_quota(bursar_local::ses::Quota { per_day: 2, per_second: 1_000 });
    office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    let sent = office.the_mail();
    let event = serde_json::json!({"mail": sent.id, "type": "bounce", "permanent": true});
    let events = format!("{}/events", office.stack.ready.inbox);
    for _ in 0..2 {
        assert_eq!(aws::http().post(&events).json(&event).send().await.unwrap().status(), 200);
    }
    let stop = office.stop_of().await.unwrap();
    assert_eq!((stop.of.counts.sent, stop.of.counts.bounced, stop.version), (100, 10, 1));

    office.stack.ses.set_quota(bursar_local::ses::Quota::PRODUCTION);
    office.ask("admin@example.edu").await;
    office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    let mut subjects: Vec<_> = office.unread().into_iter().map(|mail| mail.contents.subject).collect();
    subjects.sort();
    assert_eq!(subjects, ["So much came back that roster mails are stopped", "Your link to sign in to Bursar"]);
    assert_eq!(office.drained().await["stopped"], serde_json::json!(["roster"]));
    let waits = [&ada, &bob].map(|grant| office.table.mails_of(&office.programme, grant));
    let waits = futures_util::future::try_join_all(waits).await.unwrap().concat();
    assert_eq!(waits.iter().filter(|row| matches!(row.state, MailState::Waiting { .. })).count(), 1);
    office.finish_unjudged().await;
}

#[tokio::test]
async fn a_kind_of_which_nothing_came_back_and_what_is_asked_for_by_hand_go_on_while_another_is_stopped() {
    let office = PostOffice::open().await;
    office.fared(100, 50).await;
    let ada = office.invite("ada@example.edu").await;
    office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    assert_eq!(office.the_mail().contents.kind.as_deref(), Some("account"));
    let notice = QueuedMail::Notice {
        programme: office.programme.clone(),
        grant: ada.clone(),
        epoch: Epoch::new(1),
        notice: Notice::UnusedSoon,
    };
    let now = office.stack.clock.now();
    let row = OutboxRow::queued(Ulid::from_parts(now.as_millisecond().unsigned_abs(), 1), notice, now);
    office.raw.keep(&row).await.unwrap();
    assert_eq!(office.table.resend_roster_mail(&office.programme, &ada, now, soon()).await.unwrap(), Resend::Done);
    office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    // The notice is obsolete by now, so the drain dropped it.
    assert!(matches!(office.table.mail(row.row).await.unwrap().unwrap().state, MailState::Dropped { .. }));
    assert_eq!(office.the_mail().contents.kind.as_deref(), Some("roster"), "the one asked for by hand");
    let waiting = office.table.waiting().await.unwrap();
    let waiting: Vec<_> = waiting.into_iter().filter(|of| of.mails > 0).map(|of| (of.class, of.mails)).collect();
    assert_eq!(waiting, [(MailClass::Roster, 1)]);
    office.finish_unjudged().await;
}

#[tokio::test]
async fn what_is_stopped_goes_on_the_next_day() {
    let office = PostOffice::open().await;
    office.fared(100, 50).await;
    office.invite("ada@example.edu").await;
    office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    assert_eq!(office.the_mail().contents.kind.as_deref(), Some("account"));
    for hours in [13, 2] {
        assert_eq!(office.unread().len(), 0, "{hours}");
        office.stack.schedules.advance(jiff::SignedDuration::from_hours(hours)).await.unwrap();
    }
    office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    assert_eq!(office.the_mail().contents.subject, "CS pilot: your LLM credit");
    office.finish_unjudged().await;
}

#[tokio::test]
async fn whoever_dies_between_telling_and_stopping_is_followed_by_one_who_does_both() {
    for call in ["dynamodb:TransactWriteItems", "dynamodb:PutItem"] {
        for verdict in [Fault::KillBefore, Fault::KillAfter] {
            let office = PostOffice::open().await;
            office.fared(100, 50).await;
            office.admin().await;
            office.drained().await;
            office.invite("ada@example.edu").await;
            let write = Matcher::call(call).of(FunctionName::Mail);
            // The first put stores the mail server's quota.
            let write = if call.ends_with("PutItem") { write.nth(2) } else { write };
            office.stack.gate.at(write, verdict);
            office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
            // The function that died may have been the one to send the alarm, so its lease must expire.
            for minutes in [3, 10] {
                office.stack.schedules.advance(jiff::SignedDuration::from_mins(minutes)).await.unwrap();
                office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
            }
            assert!(office.stop_of().await.is_some(), "{call} {verdict:?}");
            let mails = office.unread();
            assert_eq!(mails.len(), 1, "{call} {verdict:?}");
            assert_eq!(mails[0].contents.kind.as_deref(), Some("account"));
            office.finish_unjudged().await;
        }
    }
}
