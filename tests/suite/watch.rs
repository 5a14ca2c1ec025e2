//! The hourly check: what falls silent or fails for good reaches an admin, without depending on what fell
//! silent.

use bursar_tests::office::{Office, as_sync};
mod alone;
mod credit;

use bursar_core::domain::audit::Actor;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::Nonce;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Account, AccountDay, Job, JobState, Pass, SyncState, Work};
use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Fault as MailFault;
use bursar_local::settle::LIMIT;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::invariants::RawTable;
use bursar_tests::stack::{self, Setup, Stack};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use ulid::Ulid;

async fn still() -> Stack {
    let at = "2026-11-20T10:00:00Z".parse().unwrap();
    let stack = stack::of(Setup { at: Some(at), ..Setup::default() }).await.unwrap();
    stack.schedules.stop().await;
    stack
}

/// Runs the hourly check; returns the subjects of the account's mails that it caused.
async fn look(stack: &Stack) -> Vec<String> {
    stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await.unwrap();
    stack.settle.settle(LIMIT).await.unwrap();
    let mails = stack.ses.unread().into_iter().map(|mail| Contents::of(&mail.raw));
    let account = mails.filter(|mail| mail.kind.as_deref() == Some("account"));
    account.map(|mail| mail.subject).collect()
}

#[tokio::test]
async fn a_sync_that_silently_stopped_is_told_within_26_hours_and_once_a_day() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    assert!(office.table.sync_state().await.unwrap().completed_at.is_some(), "it was complete");
    assert_eq!(look(&stack).await, Vec::<String>::new());
    stack.clock.advance(SignedDuration::from_mins(25 * 60 - 5)).unwrap();
    assert_eq!(look(&stack).await, Vec::<String>::new());

    stack.clock.advance(SignedDuration::from_mins(60)).unwrap();
    assert_eq!(look(&stack).await, ["No sync was complete for 25 hours"]);
    stack.clock.advance(SignedDuration::from_mins(1)).unwrap();
    assert_eq!(look(&stack).await, Vec::<String>::new());
    stack.clock.advance(SignedDuration::from_hours(24)).unwrap();
    assert_eq!(look(&stack).await, ["No sync was complete for 49 hours"]);
    stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    stack.clock.advance(SignedDuration::from_hours(24)).unwrap();
    assert_eq!(look(&stack).await, Vec::<String>::new(), "nothing when it is over");
    stack.finish().await;
}

#[tokio::test]
async fn a_balance_below_what_is_promised_and_a_job_that_nobody_carries_on_are_told() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    office.claim(&ada).await;
    let (now, raw) = (stack.clock.now(), RawTable::at(&stack.ready.dynamodb, &stack.ready.table));
    set_up(&office, &raw, now).await;
    // One that has just begun waits for the one that stands still.
    raw.keep(&Job::new(&office.programme, Work::Limits, 1, &Actor::Rule, now)).await.unwrap();
    assert!(
        as_sync(&office.table, async |sync| sync.note_account_day(&bought(Usd::from_dollars(20), now)).await).await
    );
    assert_eq!(look(&stack).await, ["Work on CS pilot stands still"], "it is just enough");
    assert!(
        as_sync(&office.table, async |sync| sync
            .note_account_day(&bought(Usd::from_dollars(20) - Usd::CENT, now))
            .await)
        .await
    );
    // The work that resumed the job found no such import, and ended the job.
    assert_eq!(look(&stack).await, ["The balance is $0.01 below what keys may still spend"]);
    assert_eq!(look(&stack).await, Vec::<String>::new());
    stack.finish().await;
}

#[tokio::test]
async fn a_short_balance_is_told_once_and_again_when_it_is_worse_by_a_tenth_or_was_over() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    office.claim(&ada).await;
    let mut told = Vec::new();
    // Twenty dollars are reserved. These are balances in cents, one a day.
    for cents in [1_000, 1_000, 950, 900, 800, 1_500, 790, 2_000, 1_990, 1_990] {
        let now = stack.clock.now();
        let state = office.table.sync_state().await.unwrap();
        let state = SyncState { completed_at: Some(now), ..state };
        assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
        let day = AccountDay { day: utc_date(now), ..bought(Usd::from_micros(cents * 10_000), now) };
        assert!(as_sync(&office.table, async |sync| sync.note_account_day(&day).await).await);
        let mails = look(&stack).await;
        assert_eq!(look(&stack).await, Vec::<String>::new(), "the same hour again");
        told.extend(mails.into_iter().map(|subject| (cents, subject)));
        stack.clock.advance(SignedDuration::from_hours(24)).unwrap();
    }
    let short = |cents, by: &str| (cents, format!("The balance is {by} below what keys may still spend"));
    assert_eq!(told, [short(1_000, "$10"), short(900, "$11"), short(790, "$12.10"), short(1_990, "$0.10")]);
    stack.finish().await;
}

#[tokio::test]
async fn the_mail_of_a_short_balance_is_not_lost_with_the_look_that_found_it() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    office.claim(&ada).await;
    let now = stack.clock.now();
    let state = SyncState { completed_at: Some(now), ..SyncState::default() };
    assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
    assert!(
        as_sync(&office.table, async |sync| sync.note_account_day(&bought(Usd::from_dollars(10), now)).await).await
    );
    let noted = Matcher::call("dynamodb:PutItem").of(FunctionName::ThresholdAlerts);
    stack.gate.at(noted, Fault::KillAfter);
    assert!(stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await.is_err());
    assert!(office.table.balance_notice().await.unwrap().is_some());
    stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
    assert_eq!(look(&stack).await, ["The balance is $10 below what keys may still spend"]);
    assert_eq!(look(&stack).await, Vec::<String>::new());
    stack.finish_faulted().await;
}

#[tokio::test]
async fn where_credit_is_bought_as_it_is_used_a_balance_for_two_weeks_is_enough() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    office.claim(&ada).await;
    let now = stack.clock.now();
    let state = SyncState { completed_at: Some(now), listed_at: Some(now), ..SyncState::default() };
    assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
    let mut ours = DailyUse::default();
    for ago in 1..=28 {
        let day = utc_date(now).checked_sub(jiff::Span::new().days(ago)).unwrap();
        ours.add(&DailyUse::on_one(day, Usd::from_micros(100_000)));
    }
    assert!(
        as_sync(&office.table, async |sync| sync
            .note_account(&Account { as_of: now, ours, foreign: DailyUse::default() })
            .await)
        .await
    );
    // Ten cents a day: two weeks need $1.40, less than the twenty dollars that are reserved.
    assert!(
        as_sync(&office.table, async |sync| sync.note_account_day(&bought(Usd::from_micros(1_400_000), now)).await)
            .await
    );
    assert_eq!(look(&stack).await, ["Buy $100 of credit now"], "for all that keys may still spend");
    stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
    assert!(
        as_sync(&office.table, async |sync| sync.note_account_day(&bought(Usd::from_micros(1_390_000), now)).await)
            .await
    );
    assert_eq!(look(&stack).await, ["The balance is $0.01 short of what two weeks use"]);
    stack.finish().await;
}

/// A day of an account with this amount bought and nothing spent.
fn bought(bought: Usd, now: Timestamp) -> AccountDay {
    AccountDay {
        day: "2026-11-20".parse().unwrap(),
        as_of: now,
        bought,
        spent: Usd::ZERO,
        ours: Usd::ZERO,
        ours_gone: Usd::ZERO,
        foreign: Usd::ZERO,
        foreign_gone: Usd::ZERO,
        opening: Usd::ZERO,
        residual: Usd::ZERO,
        unsettled: Usd::ZERO,
        tolerance: Usd::ZERO,
    }
}

/// A complete sync, and a job whose lease expired long ago.
async fn set_up(office: &Office<'_>, raw: &RawTable, now: Timestamp) {
    let state = SyncState { completed_at: Some(now), ..SyncState::default() };
    assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
    let job = Job {
        programme: office.programme.clone(),
        job: Ulid::from_parts(1, 1),
        work: Work::Import { import: Ulid::from_parts(1, 2) },
        by: Actor::Rule,
        state: JobState::Running { lease_until: now - SignedDuration::from_mins(30) },
        done: 3,
        all: 200,
        refused: 0,
        pass: Pass { next: 3, ..Pass::default() },
        started_at: now - SignedDuration::from_hours(1),
        advanced_at: now - SignedDuration::from_mins(31),
        writer: Nonce::random(),
    };
    raw.keep(&job).await.unwrap();
}

#[tokio::test]
async fn a_mail_that_is_given_up_is_told_once_a_day_for_each_kind_and_never_of_itself() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let state = SyncState { completed_at: Some(stack.clock.now()), ..SyncState::default() };
    assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
    for address in ["ada@x.edu", "bob@x.edu"] {
        stack.ses.fail_next(MailFault::Reject, 1, Some(address));
        office.invite(address).await;
    }
    let told = look(&stack).await;
    let says =
        |subject: &String| subject.contains("did not arrive") && subject.ends_with("the roster mail of CS pilot");
    assert!(told.len() == 1 && says(&told[0]), "{told:?}");

    // The alarm's own mail cannot be sent either, which raises no further alarm yet.
    stack.clock.advance(SignedDuration::from_hours(24)).unwrap();
    let state = office.table.sync_state().await.unwrap();
    let state = SyncState { completed_at: Some(stack.clock.now()), ..state };
    assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
    stack.ses.fail_next(MailFault::Reject, 100, None);
    office.invite("cleo@x.edu").await;
    assert_eq!(look(&stack).await, Vec::<String>::new());

    // Once mail works again, admins are notified once that a mail did not arrive.
    stack.ses.lift_faults(None);
    let mut told = Vec::new();
    for _ in 0..4 {
        stack.clock.advance(SignedDuration::from_hours(20)).unwrap();
        let state = office.table.sync_state().await.unwrap();
        let state = SyncState { completed_at: Some(stack.clock.now()), ..state };
        assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
        told.push(look(&stack).await.len());
    }
    assert_eq!(told, [1, 0, 0, 0]);
    stack.finish_faulted().await;
}
