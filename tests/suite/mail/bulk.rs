//! Thousands of bulk mails and an urgent one, which never waits for them. A refusal by the mail server uses up
//! the tries of one row and not of all.

use bursar_core::deadline::Waits;
use bursar_core::domain::values::id::{Nonce, new_ulid};
use bursar_core::domain::values::token::AskToken;
use bursar_core::store::items::{self};
use bursar_core::store::{MailState, OutboxRow, QueuedMail, Resend};
use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_local::ses::{Fault as MailFault, Quota};
use bursar_tests::faults::Matcher;
use jiff::SignedDuration;
use serde_json::json;

use super::{PostOffice, address, soon};

/// Mails a second, at which this many are sent side by side.
const RATE: u32 = 8;
const SIDE_BY_SIDE: usize = 4;

impl PostOffice {
    /// Queues this many roster mails, all to one student: the recipient does not matter to the sending.
    async fn owing_roster_mails(&self, count: usize) {
        let grant = self.invite("ada@example.edu").await;
        let now = self.stack.clock.now();
        let mail = QueuedMail::Roster { programme: self.programme.clone(), grant };
        let rows = (1..count).map(|_| OutboxRow::queued(new_ulid(now), mail.clone(), now));
        let rows = rows.map(|row| items::to_item(&row).unwrap()).collect();
        self.stack.engine.fill(rows).await.unwrap();
    }

    /// The kinds of the mails that were sent, in order.
    fn kinds(&self) -> Vec<String> {
        let mails = self.stack.ses.mails();
        mails.iter().map(|mail| Contents::of(&mail.raw).kind.unwrap_or_default()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_asked_for_while_roster_mails_are_under_way_leaves_before_the_next_ten() {
    let office = PostOffice::waiting(Waits::shortened(4)).await;
    office.owing_roster_mails(100).await;
    // Eighty today: eight tenths of the quota.
    office.stack.ses.set_quota(Quota { per_day: 100, per_second: RATE });
    office.stack.pump.drained().await.unwrap();
    // The drain's own sends are held after this number.
    let held = office.stack.gate.hold(Matcher::call("ses:SendRawEmail").of_instance(FunctionName::Mail, 1).after(30));
    let drain = {
        let invoke = office.stack.invoke.clone();
        tokio::spawn(async move { invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await })
    };
    held.arrived().await;
    // Another instance, triggered by the stream, sends the link although the drain is held.
    office.ask("admin@example.edu").await;
    office.stack.pump.drained().await.unwrap();
    let links = |kinds: &[String]| kinds.iter().filter(|kind| *kind == "link").count();
    assert_eq!(links(&office.kinds()), 1);
    assert_eq!(office.kinds().len(), 31);

    // A link whose first sender died, so that no stream record is left: the drain sends it before it goes on.
    let now = office.stack.clock.now();
    let mail = QueuedMail::Link {
        address: address("frida.faculty@example.edu").matched().clone(),
        asked_by: AskToken::generate().hash(),
    };
    let died = MailState::Sending { lease_until: now - SignedDuration::from_secs(1), sender: Nonce::random() };
    let row = OutboxRow::queued(new_ulid(now), mail, now);
    office.raw.keep(&OutboxRow { state: died, tries: 1, ..row }).await.unwrap();
    drop(held);
    let report = drain.await.unwrap().unwrap();
    let kinds = office.kinds();
    let links: Vec<usize> = (0..kinds.len()).filter(|at| kinds[*at] == "link").collect();
    assert!(links[1] <= 31 + 10 + SIDE_BY_SIDE, "the second link is mail number {}", links[1]);
    assert_eq!((links.len(), kinds.len()), (2, 82), "and roster mails leave room for more");
    assert_eq!((report["sent"].as_u64(), report["waiting"].as_u64()), (Some(81), Some(20)));
    office.unread();
    office.finish().await;
}

#[tokio::test]
async fn a_server_that_takes_no_mail_uses_up_no_tries() {
    let office = PostOffice::waiting(Waits::WHOLE).await;
    office.owing_roster_mails(60).await;
    office.stack.ses.set_quota(Quota { per_day: 50_000, per_second: 1_000_000 });
    let drain = async || {
        let report = office.stack.invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
        office.stack.pump.drained().await.unwrap();
        // A new watch, since the roster mails were queued without their invitations.
        let mut watch = bursar_tests::invariants::Watch::over(office.raw.clone(), office.stack.clock.as_clock());
        let tries: u32 = watch.check().await.outbox.iter().map(|row| u32::from(row.tries)).sum();
        (report["sent"].as_u64().unwrap(), tries)
    };
    office.stack.ses.set_enabled(false);
    assert_eq!(drain().await, (0, 0));
    assert!(office.said("mail waits because of the account of the mail server"));
    office.stack.ses.set_enabled(true);
    office.stack.ses.fail_next(MailFault::Throttle, 1_000, None);
    assert_eq!(drain().await, (0, 0));
    office.stack.ses.lift_faults(None);
    office.stack.schedules.advance(SignedDuration::from_mins(20)).await.unwrap();
    office.stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    assert_eq!(office.unread().len(), 61, "an admin was told that it was disabled");
    office.finish_faulted().await;
}

#[tokio::test]
async fn a_roster_mail_that_comes_too_late_is_not_sent_unless_somebody_asked_for_it_by_hand() {
    for (is_claimed, says) in [(true, "You have had a key already."), (false, "Keys could be had until")] {
        let mut office = PostOffice::waiting(Waits::WHOLE).await;
        let ada = office.invite("ada@example.edu").await;
        if is_claimed {
            office.claim(&ada).await;
            assert_eq!(office.the_mail().contents.kind.as_deref(), Some("key-shown"));
        } else {
            let now = office.stack.clock.now();
            office.set(|settings| settings.claim_closes_at = Some(now)).await;
            office.settle().await;
            assert!(office.unread().is_empty());
        }
        let rows = office.table.mails_of(&office.programme, &ada).await.unwrap();
        let roster = rows.iter().find(|row| matches!(row.mail, QueuedMail::Roster { .. })).unwrap();
        assert!(matches!(roster.state, MailState::Dropped { .. }), "{:?}", roster.state);
        let now = office.stack.clock.now();
        assert_eq!(office.table.resend_roster_mail(&office.programme, &ada, now, soon()).await.unwrap(), Resend::Done);
        office.settle().await;
        let text = office.the_mail().contents.text.unwrap();
        assert!(text.contains(says), "{text}");
        office.finish().await;
    }
}
