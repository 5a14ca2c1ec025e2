//! Rules that wait for their announcement: no key is switched off before the mail about it has been sent for
//! long enough.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{HoldKind, Notice, Rule, SwitchState};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::id::{GrantId, PersonId};
use bursar_core::store::items::Stored;
use bursar_core::store::keys::ItemKey;
use bursar_core::store::{Bounce, MailState, OutboxRow, SentAgain, Undeliverable, UnreachableReason};
use bursar_local::ses::PAUSED;
use jiff::{SignedDuration, ToSpan};

use super::by_rule::DAY;
use super::{PostOffice, soon, word};

impl PostOffice {
    /// The last row of a mail about a rule for a grant.
    async fn last_row(&self, grant: &GrantId) -> OutboxRow {
        let mut rows = self.table.mails_of(&self.programme, grant).await.unwrap();
        rows.retain(|row| row.mail.kind() == MailKind::Student);
        rows.pop().unwrap()
    }

    /// Moves the clock without a check, after a change of the table by hand.
    async fn pass_unwatched(&self, minutes: i64) {
        let until = self.stack.clock.now() + SignedDuration::from_mins(minutes);
        self.stack.clock.stop_at(until).unwrap();
    }
}

#[tokio::test]
async fn while_no_mail_leaves_no_rule_switches_a_key_off_and_a_week_after_it_left_it_does() {
    let (mut office, grant) = PostOffice::with_rules(1, 600).await;
    office.stack.ses.set_stopped_by_aws(Some(PAUSED));
    assert_eq!(office.rules(&grant).await, Rule::Announce(Notice::UnusedSoon));
    for _ in 0..5 {
        office.pass(2 * DAY).await;
        assert_eq!(office.rules_if_any(&grant).await, None);
    }
    office.stack.ses.set_stopped_by_aws(None);
    office.pass(30).await;
    let student = |mail: &super::Got| mail.contents.kind.as_deref() == Some("student");
    let mail = office.unread().into_iter().find(student).unwrap();
    let text = mail.contents.text.unwrap();
    // The promised time is counted from the day on which the mail is sent.
    assert!(text.contains("It stops on 7 December 2026"), "{text}");
    let MailState::Sent { at: sent_at, .. } = office.last_row(&grant).await.state else { panic!("not sent") };
    office.stack.clock.stop_at(sent_at + (7 * 24).hours() - 1.second()).unwrap();
    assert_eq!(office.rules_if_any(&grant).await, None);
    office.stack.clock.stop_at(sent_at + (7 * 24).hours()).unwrap();
    assert_eq!(office.rules(&grant).await, Rule::Hold);
    office.finish_faulted().await;
}

#[tokio::test]
async fn a_dead_letter_postpones_the_hold_until_an_admin_has_had_it_sent_again() {
    let (mut office, grant) = PostOffice::with_rules(1, 600).await;
    assert_eq!(office.rules(&grant).await, Rule::Announce(Notice::UnusedSoon));
    let row = office.last_row(&grant).await;
    let dead = MailState::Failed { why: "TimedOut".to_owned(), at: office.stack.clock.now() };
    office.table.set_mail(&row, dead, soon()).await.unwrap().unwrap();
    office.pass(9 * DAY).await;
    assert_eq!(office.rules_if_any(&grant).await, None);
    let (admin, now) = (PersonId::random(), office.stack.clock.now());
    let again = office.table.send_again("TimedOut", &admin, now, soon()).await.unwrap();
    assert_eq!(again, SentAgain::Owed(1));
    office.drain().await;
    assert!(office.unread().iter().any(|mail| mail.contents.subject.contains("unless you use it")));
    office.pass(7 * DAY - 1).await;
    assert_eq!(office.rules_if_any(&grant).await, None);
    office.pass(1).await;
    assert_eq!(office.rules(&grant).await, Rule::Hold);
    office.finish().await;
}

#[tokio::test]
async fn an_address_that_takes_no_mail_postpones_nothing() {
    for is_marked in [true, false] {
        let (mut office, grant) = PostOffice::with_rules(1, 600).await;
        let ada = super::address("ada@example.edu");
        let mark = Undeliverable {
            address: ada.matched().clone(),
            why: UnreachableReason::Bounced,
            at: office.stack.clock.now(),
        };
        if is_marked {
            office.raw.keep(&mark).await.unwrap();
        }
        assert_eq!(office.rules(&grant).await, Rule::Announce(Notice::UnusedSoon));
        office.drain().await;
        let row = office.last_row(&grant).await;
        if is_marked {
            assert_eq!(word(&row.state), "dropped");
        } else {
            let MailState::Sent { message, at } = row.state.clone() else { panic!("{row:?}") };
            // A mail server may take three days to give up.
            let bounced = MailState::Bounced { message, at: at + 72.hours(), bounce: Bounce::Hard };
            office.pass(3 * DAY).await;
            office
                .table
                .record_delivery(&row, bounced, &[mark], office.stack.clock.now(), soon())
                .await
                .unwrap()
                .unwrap();
            office.pass(DAY).await;
        }
        office.pass(if is_marked { 7 * DAY } else { 4 * DAY }).await;
        assert_eq!(office.rules(&grant).await, Rule::Hold, "marked: {is_marked}");
        office.finish().await;
    }
}

#[tokio::test]
async fn an_announcement_that_was_dropped_or_whose_row_is_gone_is_announced_anew() {
    for is_gone in [true, false] {
        let (mut office, grant) = PostOffice::with_rules(1, 600).await;
        assert_eq!(office.rules(&grant).await, Rule::Announce(Notice::UnusedSoon));
        let row = office.last_row(&grant).await;
        if is_gone {
            let ItemKey { pk, sk } = row.key();
            let gone = office.raw.client().delete_item().table_name(office.raw.name());
            gone.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S(sk)).send().await.unwrap();
        } else {
            // A pause when the mail was to be sent, and a release afterwards.
            let faculty = Actor::Person(PersonId::random());
            office
                .table
                .act(office.at(&grant), |view, now| view.hold(HoldKind::Paused, &faculty, None, now))
                .await
                .unwrap();
            office.drain().await;
            assert_eq!(word(&office.last_row(&grant).await.state), "dropped");
            let mut paused = office.table.grant(&office.programme, &grant).await.unwrap().unwrap();
            paused.holds.paused = None;
            paused.attempts[0].switch = SwitchState::On;
            office.raw.keep(&paused).await.unwrap();
        }
        office.pass_unwatched(8 * DAY).await;
        assert_eq!(office.rules(&grant).await, Rule::Announce(Notice::UnusedSoon), "gone: {is_gone}");
        assert_ne!(office.last_row(&grant).await.row, row.row);
        office.finish().await;
    }
}
