//! Alarms of the account: one mail for each admin, cause and day.

use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::id::PersonId;
use bursar_core::store::{OutboxRow, QueuedMail};
use bursar_tests::campus::{ADMIN, Campus, address};
use bursar_tests::invariants::Snapshot;
use bursar_tests::office::soon;
use futures_util::future::join_all;
use jiff::ToSpan;

use super::{account, later, states};

fn held(sweeps: u32) -> Cause {
    Cause::HeldBack {
        sweeps,
        recoveries: 0,
        stops: 0,
        bound: 5,
        keys: Vec::new(),
    }
}

async fn raise(campus: &Campus, cause: Cause, name: &str) -> bool {
    let now = campus.clock.now();
    let person = campus
        .table
        .person_of(&address(name), soon())
        .await
        .unwrap();
    campus
        .table
        .tell(&Alarm::now(cause, now), &[person], now, soon())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_cause_is_told_once_a_day() {
    let campus = Campus::open().await;
    assert!(raise(&campus, held(30), ADMIN).await);
    for _ in 0..2 {
        assert!(
            !raise(&campus, held(30), ADMIN).await,
            "the next run finds the same"
        );
        campus.settle().await;
    }
    assert_eq!(
        account(&campus),
        ["30 keys would have been switched off, but Bursar waits for you"]
    );
    assert!(
        raise(&campus, held(31), ADMIN).await,
        "it is something else"
    );
    later(&campus, 24 * 60).await;
    assert!(raise(&campus, held(30), ADMIN).await, "it came back");
    campus.settle().await;
    assert_eq!(account(&campus).len(), 2);
    raise(&campus, held(32), "former").await;
    campus.settle().await;
    let states = states(&campus, MailKind::Account).await;
    assert!(
        states.contains(&"Dropped".to_owned()),
        "who is no admin any more: {states:?}"
    );
    campus.finish().await;
}

/// The people who are told of an alarm, and how many of them its item counts.
fn told(seen: &Snapshot, alarm: &Alarm) -> (Vec<PersonId>, u32) {
    let mut told: Vec<PersonId> = seen
        .outbox
        .iter()
        .filter_map(|row| of(&row.mail, alarm))
        .collect();
    told.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    let known = seen
        .all()
        .find(|known: &Alarm| known.day == alarm.day)
        .unwrap();
    (told, known.queued)
}

fn of(mail: &QueuedMail, alarm: &Alarm) -> Option<PersonId> {
    match mail {
        QueuedMail::Account { day, recipient, .. } if *day == alarm.day => Some(recipient.clone()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_admins_than_fit_one_transaction_are_each_told_once() {
    let campus = Campus::open().await;
    let mut admins: Vec<PersonId> = (0..100).map(|_| PersonId::random()).collect();
    admins.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    let (now, twice) = (campus.clock.now(), [&admins[..], &admins[..1]].concat());
    let alarm = Alarm::now(held(30), now);
    let at_once = (0..2).map(|_| campus.table.tell(&alarm, &twice, now, soon()));
    assert_eq!(
        join_all(at_once)
            .await
            .into_iter()
            .filter(|raised| *raised.as_ref().unwrap())
            .count(),
        1
    );
    assert_eq!(told(&*campus.judged().await, &alarm), (admins.clone(), 100));

    // Yesterday somebody died after ninety of a hundred were told. The admins have changed since;
    // the recipients stay.
    let alarm = Alarm::on(alarm.day.checked_sub(1.day()).unwrap(), held(30), now);
    let half = Alarm {
        recipients: admins.clone(),
        queued: 90,
        ..alarm.clone()
    };
    campus.raw().keep(&half).await;
    for recipient in admins[..90].iter().cloned() {
        let mail = QueuedMail::Account {
            day: half.day,
            alarm: half.name(),
            recipient,
        };
        campus.raw().keep(&OutboxRow::queued(mail, now)).await;
    }
    assert!(
        !campus
            .table
            .tell(&alarm, &[PersonId::random()], now, soon())
            .await
            .unwrap()
    );
    assert_eq!(told(&*campus.judged().await, &alarm), (admins, 100));
    campus.finish_faulted().await;
}
