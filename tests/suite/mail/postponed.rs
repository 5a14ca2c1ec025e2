//! Rules that wait for their announcement: no key is switched off before the mail about it has been
//! sent for long enough.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{HoldKind, Rule, StudentNotice};
use bursar_core::domain::held::Held;
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::schema::ItemKey;
use bursar_core::schema::Stored;
use bursar_core::store::{
    ActOutcome, Bounce, MailState, OutboxRow, SentAgain, Undeliverable, UnreachableReason,
};
use bursar_local::ses::PAUSED;
use bursar_tests::campus::{Campus, address};
use bursar_tests::office::soon;
use jiff::ToSpan;

use super::later;

const ANNOUNCED: Option<Rule> = Some(Rule::Announce(StudentNotice::UnusedSoon));
const DAY: i64 = 24 * 60;

/// Follows the rule that is due for somebody, if there is one.
pub(super) async fn follow(campus: &Campus, name: &str) -> Option<Rule> {
    match campus
        .table
        .follow_rules(campus.on(name), None)
        .await
        .unwrap()
    {
        ActOutcome::Done((_, rule)) => Some(rule),
        ActOutcome::Refused(_) => None,
        ActOutcome::NoSuchGrant => panic!("no such grant"),
    }
}

/// The row of the last mail about a rule for somebody.
async fn row(campus: &Campus, name: &str) -> OutboxRow {
    let rows = campus
        .table
        .mails_of(&campus.programme, campus.id(name))
        .await
        .unwrap();
    rows.into_iter()
        .rfind(|row| row.mail.facts().kind == MailKind::Student)
        .unwrap()
}

/// People who do not use their keys, in a programme that holds such keys after a day, to whom this
/// is announced.
async fn announced(names: &[&str]) -> Campus {
    let mut campus = Campus::open().await;
    campus
        .programme("CS pilot", |settings| {
            settings.claims.unused_after_days = Some(1);
        })
        .await;
    campus.students_with_keys(names).await;
    campus.settle().await;
    for name in names {
        assert_eq!(follow(&campus, name).await, ANNOUNCED);
    }
    campus
}

#[tokio::test]
async fn no_key_is_held_while_no_mail_leaves() {
    let campus = announced(&["ada"]).await;
    campus.ses.set_stopped_by_aws(Some(PAUSED));
    later(&campus, 60).await;
    campus.minutes(9 * DAY);
    later(&campus, 60).await;
    assert_eq!(follow(&campus, "ada").await, None);
    campus.ses.set_stopped_by_aws(None);
    later(&campus, 30).await;
    let MailState::Sent { sent_at, .. } = row(&campus, "ada").await.state else {
        panic!("not sent")
    };
    campus
        .clock
        .stop_at(sent_at + (7 * 24).hours() - 1.second())
        .unwrap();
    assert_eq!(follow(&campus, "ada").await, None);
    campus.clock.stop_at(sent_at + (7 * 24).hours()).unwrap();
    assert_eq!(follow(&campus, "ada").await, Some(Rule::Hold));
    campus.finish_faulted().await;
}

#[tokio::test]
async fn an_announcement_counts_by_what_became_of_it() {
    let campus = announced(&[
        "failed",
        "rejected",
        "unreachable",
        "refused",
        "nowhere",
        "bounced",
        "paused",
        "gone",
    ])
    .await;
    let (table, now) = (&campus.table, campus.clock.now());
    let dead = [
        ("failed", "TimedOut"),
        ("rejected", "MessageRejected"),
        ("refused", "InvalidParameterValue"),
    ];
    for (name, why) in dead {
        let dead = MailState::Failed {
            why: why.to_owned(),
            ended_at: now,
        };
        table
            .set_mail(&row(&campus, name).await, dead, soon())
            .await
            .unwrap()
            .unwrap();
    }
    campus.unreachable("unreachable").await;
    let mut lost = campus.grant("nowhere").await;
    lost.person.address = EmailAddress::none_of(&lost.id);
    campus.raw().keep(&lost).await;
    let hold = table.act(campus.on("paused"), |view, now| {
        view.hold(HoldKind::Paused, &Actor::Rule, None, now)
    });
    hold.await.unwrap();
    campus.drain().await;
    for name in ["unreachable", "nowhere", "paused"] {
        assert!(
            matches!(row(&campus, name).await.state, MailState::Dropped { .. }),
            "{name}"
        );
    }
    // A mail server may take three days to give up.
    campus.minutes(3 * DAY);
    let sent = row(&campus, "bounced").await;
    let MailState::Sent { message, sent_at } = sent.state.clone() else {
        panic!("{sent:?}")
    };
    let bounced = MailState::Bounced {
        message,
        event_at: sent_at + 72.hours(),
        bounce: Bounce::Hard,
    };
    let (whose, why) = (
        address("bounced").matched().clone(),
        UnreachableReason::Bounced,
    );
    let mark = Undeliverable {
        address: whose,
        why,
        marked_at: campus.clock.now(),
    };
    table
        .record_delivery(&sent, bounced, &[mark], None, campus.clock.now(), soon())
        .await
        .unwrap()
        .unwrap();
    // Somebody is released again, and a row has expired.
    let mut released = campus.grant("paused").await;
    (released.holds.paused, released.keys[0].enabled) =
        (None, Held::confirmed(true, campus.clock.now()));
    campus.raw().keep(&released).await;
    let ItemKey { pk, sk } = row(&campus, "gone").await.key().item_key;
    campus.raw().delete(&pk, &sk).await;

    campus.minutes(5 * DAY);
    for (name, rule) in [
        ("failed", None),
        ("rejected", Some(Rule::Hold)),
        ("unreachable", Some(Rule::Hold)),
        ("refused", Some(Rule::Hold)),
        ("nowhere", Some(Rule::Hold)),
        ("bounced", Some(Rule::Hold)),
        ("paused", ANNOUNCED),
        ("gone", ANNOUNCED),
    ] {
        assert_eq!(follow(&campus, name).await, rule, "{name}");
    }
    // An admin has the dead letter sent again, and the week begins then.
    let again = table.send_again("TimedOut", campus.by()).await.unwrap();
    assert_eq!(again, SentAgain::Owed(1));
    campus.drain().await;
    campus.minutes(7 * DAY - 1);
    assert_eq!(follow(&campus, "failed").await, None);
    campus.minutes(1);
    assert_eq!(follow(&campus, "failed").await, Some(Rule::Hold));
    campus.finish_unjudged().await;
}
