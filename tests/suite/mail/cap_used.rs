//! Mails to students about their own cap: the words, the time of sending, and those that are dropped since they
//! are obsolete.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{HoldKind, Notice, Reading, Rule, Stopped};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::{GrantId, PersonId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_core::store::{QueuedMail, Undeliverable, UnreachableReason};
use bursar_local::ses::Fault as MailFault;
use bursar_tests::office::reading;

use super::words::{html_says, redacted};
use super::{Got, PostOffice, address, soon, word};

impl PostOffice {
    /// A student whose key has used this amount today, as a sync would record it.
    async fn using(reset: Reset, micros: i64) -> (PostOffice, GrantId) {
        let mut office = PostOffice::open().await;
        office
            .set(|settings| {
                settings.reset = reset;
                settings.contact = Some("the tutors, room 101".to_owned());
            })
            .await;
        let ada = office.enrol("ada@example.edu").await;
        office.claim(&ada).await;
        assert_eq!(office.the_mail().contents.kind.as_deref(), Some("key-shown"));
        office.used(&ada, micros).await;
        (office, ada)
    }

    pub(super) async fn used(&mut self, grant: &GrantId, micros: i64) {
        let (as_of, spent) = (self.stack.clock.now(), Usd::from_micros(micros));
        let reset = self.table.programme(&self.programme).await.unwrap().unwrap().settings.reset;
        let recorded = reading(&self.programme, grant, DailyUse::on_one(utc_date(as_of), spent), as_of);
        let reading = Reading { window: reset.window_at(as_of), last_used_at: Some(as_of), ..recorded };
        self.table.note_reading(&reading, soon()).await.unwrap();
        // The stream triggers `threshold-alerts`, which queues the mail.
        self.stack.pump.drained().await.unwrap();
        self.watch.check().await;
    }

    /// The states of the mails about caps.
    fn of_caps(&self) -> Vec<&'static str> {
        let rows = self.watch.seen().unwrap().outbox.iter();
        rows.filter(|row| matches!(row.mail, QueuedMail::CapUsed { .. })).map(|row| word(&row.state)).collect()
    }
}

#[tokio::test]
async fn a_student_reads_the_number_when_the_cap_starts_anew_and_whom_to_ask() {
    let (mut office, _) = PostOffice::using(Reset::Monthly, 16_799_999).await;
    office.settle().await;
    let mail = office.the_mail();
    assert_eq!((mail.contents.kind.as_deref(), mail.to.as_str()), (Some("student"), "ada@example.edu"));
    insta::assert_snapshot!(redacted(&office, &mail.contents), @r#"
    CS pilot: you have used 83% of your $20

    You have used 83% of your $20

    Used: $16.80
    Cap: $20 for this month
    Left: $3.20
    Starts anew: 1 December 2026, 01:00 (Europe/Berlin)
    As of: 20 November 2026, 11:00 (Europe/Berlin)

    Your key works until the cap is used up; then requests are refused until it starts anew. If you need more, ask the tutors, room 101.

    Look at my keys:
    [origin]/my
    "#);
    html_says(&mail.contents, &["You have used 83% of your $20", "$16.80", "/my", "room 101"]);
    office.finish().await;
}

#[tokio::test]
async fn who_wants_no_reminders_hears_of_their_key_and_of_rules_all_the_same() {
    let (mut office, ada) = PostOffice::using(Reset::None, 17_000_000).await;
    let whose = address("ada@example.edu");
    office.table.choose_mails(whose.matched(), None, Some(false), soon()).await.unwrap();
    office.settle().await;
    assert!(office.unread().is_empty());
    assert_eq!(office.of_caps(), ["dropped"], "and no dead letter");

    office.set(|settings| settings.unused_after_days = Some(1)).await;
    office.pass(24 * 60).await;
    assert_eq!(office.rules(&ada).await, Rule::Announce(Notice::UnusedSoon));
    office.drain().await;
    let mail = office.the_mail();
    assert!(mail.contents.subject.contains("unless you use it"), "{}", mail.contents.subject);
    let header = mail.contents.headers.get("List-Unsubscribe");
    assert!(header.is_none() && !mail.contents.text.unwrap().contains("You can choose"), "of this there is no choice");

    // Once they are wanted again, they are sent again.
    office.table.choose_mails(whose.matched(), None, Some(true), soon()).await.unwrap();
    office.used(&ada, 20_000_000).await;
    office.drain().await;
    let mail = office.the_mail();
    let origin = &office.stack.ready.web;
    assert_eq!(mail.contents.headers["List-Unsubscribe"], format!("<{origin}/my#mails>"));
    office.finish().await;
}

#[tokio::test]
async fn from_forty_to_a_hundred_and_twenty_per_cent_a_student_is_told_once_and_of_a_hundred_and_twenty() {
    let (mut office, ada) = PostOffice::using(Reset::None, 8_000_000).await;
    office.settle().await;
    assert!(office.of_caps().is_empty());
    office.used(&ada, 20_000_000).await;
    // More is used before the mail is sent.
    office.used(&ada, 24_000_000).await;
    office.settle().await;
    let mail = office.the_mail();
    insta::assert_snapshot!(redacted(&office, &mail.contents), @r#"
    CS pilot: you have used 120% of your $20

    You have used 120% of your $20

    Used: $24
    Cap: $20 for the whole term
    Left: $0
    As of: 20 November 2026, 11:00 (Europe/Berlin)

    Requests with your key are refused from now on. Your program sees the error 403, “Key limit exceeded”, which your page explains. This is for the whole term; it does not start anew. If you need more, ask the tutors, room 101.

    Look at my keys:
    [origin]/my#refused
    "#);
    assert_eq!(office.of_caps(), ["sent"]);
    office.finish().await;
}

#[tokio::test]
async fn nobody_is_told_who_has_left_and_nobody_of_a_cap_that_has_started_anew() {
    for what in ["revoked", "dropped", "off", "turned", "address"] {
        let (mut office, ada) = PostOffice::using(Reset::Weekly, 17_000_000).await;
        assert_eq!(office.of_caps(), ["waiting"], "{what}");
        match what {
            "revoked" => {
                drop(
                    office.table.act(office.at(&ada), |view, now| view.revoke(&Actor::Rule, None, now)).await.unwrap(),
                );
            }
            "dropped" => {
                office
                    .table
                    .act(office.at(&ada), |view, now| view.hold(HoldKind::Dropped, &Actor::Rule, None, now))
                    .await
                    .unwrap();
            }
            "off" => office.set(|settings| settings.student_mails = false).await,
            "turned" => {
                // No mail could be sent until the week was over.
                office.stack.clock.stop_at("2026-11-23T00:00:00Z".parse().unwrap()).unwrap();
            }
            _ => {
                let mark = Undeliverable {
                    address: address("ada@example.edu").matched().clone(),
                    why: UnreachableReason::Bounced,
                    at: office.stack.clock.now(),
                };
                office.table.end_mail_to(&[mark], office.stack.clock.now(), soon()).await.unwrap();
            }
        }
        office.drain().await;
        assert_eq!(office.of_caps(), ["dropped"], "{what}");
        // After days without sending there is also an alarm that mail waits.
        let told = office.unread().into_iter().filter(|mail| mail.contents.kind.as_deref() != Some("account"));
        assert_eq!(told.count(), 0, "{what}");
        office.finish().await;
    }
}

#[tokio::test]
async fn who_has_no_key_that_works_is_told_why_and_not_that_it_works() {
    for (what, says) in [
        ("leaked", "Your key is switched off because it was reported leaked."),
        ("paused", "Your key is switched off because the people who run the programme paused it."),
        ("unused", "Your key is switched off because it was not used."),
        ("gone", "You have no key that works now."),
    ] {
        for micros in [17_000_000, 20_000_000] {
            let (mut office, ada) = PostOffice::using(Reset::None, micros).await;
            let faculty = Actor::Person(PersonId::random());
            let hold =
                async |kind| office.table.act(office.at(&ada), |view, now| view.hold(kind, &faculty, None, now)).await;
            match what {
                "paused" => drop(hold(HoldKind::Paused).await.unwrap()),
                "unused" => drop(hold(HoldKind::Unused).await.unwrap()),
                "leaked" => drop(
                    office
                        .table
                        .act(office.at(&ada), |view, now| view.stop(Stopped::Leaked, &Actor::Student, now))
                        .await
                        .unwrap(),
                ),
                _ => drop(
                    office
                        .table
                        .act(office.at(&ada), |view, now| view.stop(Stopped::GoneAtProvider, &Actor::Sync, now))
                        .await
                        .unwrap(),
                ),
            }
            office.drain().await;
            let of_the_cap = |mail: &Got| mail.contents.subject.contains("you have used");
            let mail = office.unread().into_iter().find(of_the_cap).unwrap();
            let text = mail.contents.text.unwrap();
            assert!(
                text.contains(says) && !text.contains("works until") && !text.contains("refused"),
                "{what}: {text}"
            );
            office.finish().await;
        }
    }
}

#[tokio::test]
async fn a_cap_that_was_changed_before_the_mail_left_is_told_too() {
    let (mut office, ada) = PostOffice::using(Reset::None, 17_000_000).await;
    office
        .table
        .act(office.at(&ada), |view, now| view.set_cap(Some(Usd::from_dollars(40)), &Actor::Rule, None, now))
        .await
        .unwrap();
    office.drain().await;
    let mail = office.the_mail();
    let text = mail.contents.text.as_deref().unwrap();
    assert!(text.contains("Cap since then: $40") && text.contains("Your cap has been changed since"), "{text}");
    office.finish().await;
}

#[tokio::test]
async fn a_mail_about_a_cap_that_is_never_taken_is_a_dead_letter_that_reaches_an_admin() {
    let (mut office, _) = PostOffice::using(Reset::None, 17_000_000).await;
    office.stack.ses.fail_next(MailFault::Reject, 1, Some("ada@example.edu"));
    office.settle().await;
    let mail = office.the_mail();
    assert_eq!((mail.contents.kind.as_deref(), mail.to.as_str()), (Some("account"), "admin@example.edu"));
    assert_eq!(office.of_caps(), ["failed"]);
    office.finish_faulted().await;
}
