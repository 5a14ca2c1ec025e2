//! The end of an alarm is mailed once. A cause that returns on that day is a new alarm.

use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::failure::{NOT_VERIFIED, PAUSED};
use bursar_core::store::{MailServer, Run, SyncState, Table};
use bursar_tests::invariants::RawTable;
use bursar_tests::office::{Office, as_sync, soon};
use bursar_tests::stack::Stack;
use jiff::SignedDuration;

use super::{look, set_up, still};

/// Raises an alarm for this cause now, as a function that meets it.
async fn raise(stack: &Stack, cause: Cause) {
    let (table, now) = (Table::new(&stack.config), stack.clock.now());
    let admins = table.people_of(&stack.config.admins, soon()).await.unwrap();
    table.raise(&Alarm::now(cause, now), &admins, now, soon()).await.unwrap();
}

/// A complete sync at this moment.
async fn complete(office: &Office<'_>, raw: &RawTable, stack: &Stack) {
    let now = stack.clock.now();
    let state = office.table.sync_state().await.unwrap();
    let state = SyncState { completed_at: Some(now), ..state };
    assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
    raw.keep(&Run::ended(now, now, true, "{}".to_owned())).await.unwrap();
}

#[tokio::test]
async fn a_management_key_that_works_again_is_told_once_and_a_refusal_later_that_day_is_heard_again() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let raw = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
    complete(&office, &raw, &stack).await;
    let mut told = Vec::new();
    for _ in 0..2 {
        stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
        // Two presses and a check meet the cause; nothing shows that it has ended.
        raise(&stack, Cause::ManagementKey).await;
        raise(&stack, Cause::ManagementKey).await;
        told.push(look(&stack).await);
        stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
        complete(&office, &raw, &stack).await;
        told.push(look(&stack).await);
        told.push(look(&stack).await);
    }
    let (refused, over) = ("The management key does not work", "It is over: the management key works");
    assert_eq!(told, [vec![refused], vec![over], vec![], vec![refused], vec![over], vec![]]);
    stack.finish().await;
}

#[tokio::test]
async fn what_comes_and_goes_all_day_is_not_told_to_be_over_each_time() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let raw = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
    let mut told = 0;
    for _ in 0..6 {
        complete(&office, &raw, &stack).await;
        stack.clock.advance(SignedDuration::from_mins(10)).unwrap();
        raise(&stack, Cause::ManagementKey).await;
        told += look(&stack).await.len();
        stack.clock.advance(SignedDuration::from_mins(10)).unwrap();
        complete(&office, &raw, &stack).await;
        told += look(&stack).await.len();
    }
    assert_eq!(told, 7, "three times that it is over");
    stack.clock.advance(SignedDuration::from_hours(24)).unwrap();
    complete(&office, &raw, &stack).await;
    assert_eq!(look(&stack).await, ["It is over: the management key works"], "and once more when the day is");
    stack.finish().await;
}

#[tokio::test]
async fn a_job_that_goes_on_and_mail_that_is_taken_again_are_told_and_a_sandbox_only_when_it_is_left() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let raw = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
    let now = stack.clock.now();
    set_up(&office, &raw, now).await;
    assert_eq!(look(&stack).await, ["Work on CS pilot stands still"]);
    for code in [PAUSED, NOT_VERIFIED] {
        let refusal = office.table.note_mail_refusal(code, now, soon()).await.unwrap();
        raise(&stack, Cause::MailRefused { code: code.to_owned(), since: refusal.since }).await;
    }
    // The work resumed the job, and ended it.
    let mut told = look(&stack).await;
    told.sort();
    let over = "It is over: the work on CS pilot does not stand still";
    let waits = ["the recipient's address is not verified", "sending is paused for the whole SES account"];
    assert_eq!(told, [over.to_owned(), format!("Mail waits: {}", waits[1]), format!("Mail waits: {}", waits[0])]);
    let sandbox = MailServer { as_of: now, per_day: Some(200), per_second: 1.0, sent: 0, enabled: true };
    raw.keep(&sandbox).await.unwrap();
    stack.clock.advance(SignedDuration::from_hours(4)).unwrap();
    assert_eq!(look(&stack).await, ["It is over: mail is sent"]);
    stack.clock.advance(SignedDuration::from_hours(8 * 24)).unwrap();
    complete(&office, &raw, &stack).await;
    raw.keep(&MailServer { as_of: stack.clock.now(), ..sandbox.clone() }).await.unwrap();
    assert_eq!(look(&stack).await, Vec::<String>::new(), "perhaps there only was no mail for them");
    raw.keep(&MailServer { as_of: stack.clock.now(), per_day: Some(50_000), ..sandbox }).await.unwrap();
    assert_eq!(look(&stack).await, ["It is over: mail is sent"]);
    stack.finish().await;
}
