//! Credit that must be bought: told in time, once, and again only when there is news.

use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Account, AccountDay, SyncState};
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::{Office, as_sync};
use bursar_tests::stack::Stack;
use jiff::{SignedDuration, ToSpan};
use serde_json::json;

use super::{bought, look, still};

/// A complete sync now, that finds this balance, and that keys used this much on each of the last 28 days.
async fn found(stack: &Stack, office: &Office<'_>, balance: Usd, a_day: Usd) {
    let now = stack.clock.now();
    let state = office.table.sync_state().await.unwrap();
    let state = SyncState { completed_at: Some(now), listed_at: Some(now), ..state };
    assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
    let mut ours = DailyUse::default();
    for ago in 1..=28 {
        ours.add(&DailyUse::on_one(utc_date(now).checked_sub(ago.days()).unwrap(), a_day));
    }
    let account = Account { as_of: now, ours, foreign: DailyUse::default() };
    assert!(as_sync(&office.table, async |sync| sync.note_account(&account).await).await);
    let day = AccountDay { day: utc_date(now), ..bought(balance, now) };
    assert!(as_sync(&office.table, async |sync| sync.note_account_day(&day).await).await);
}

#[tokio::test]
async fn credit_to_buy_is_told_when_it_is_first_due_and_again_when_its_day_moves_by_a_week() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    office.claim(&ada).await;
    let cents = |cents: i64| Usd::from_micros(cents * 10_000);
    let mut told = Vec::new();
    // Twenty dollars can still be spent: the balance, and what a day uses, one look a day.
    let looks = [(2_000, 20), (1_000, 20), (950, 20), (950, 18), (950, 15), (950, 70), (950, 70), (2_000, 20)];
    for (number, (balance, a_day)) in (1..).zip(looks) {
        found(&stack, &office, cents(balance), cents(a_day)).await;
        let mails = look(&stack).await;
        assert_eq!(look(&stack).await, Vec::<String>::new(), "the same hour again");
        told.extend(mails.into_iter().map(|subject| (number, subject)));
        stack.clock.advance(SignedDuration::from_hours(24)).unwrap();
    }
    let expected = [
        // On 21 November $10 last fifty days.
        (2, "Buy $100 of credit by 11 December 2026"),
        // A slower pace moves the day by four days on the 23rd, and by more than a week on the 24th.
        (5, "Buy $100 of credit by 27 December 2026"),
        (6, "The balance is $0.30 short of what two weeks use"),
    ];
    assert_eq!(told, expected.map(|(number, subject)| (number, subject.to_owned())));
    stack.finish().await;
}

#[tokio::test]
async fn the_mail_about_credit_is_not_lost_with_the_look_that_found_it() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    office.claim(&ada).await;
    found(&stack, &office, Usd::from_dollars(10), Usd::from_micros(500_000)).await;
    let noted = Matcher::call("dynamodb:PutItem").of(FunctionName::ThresholdAlerts);
    stack.gate.at(noted, Fault::KillAfter);
    assert!(stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await.is_err());
    stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
    assert_eq!(look(&stack).await, ["Buy $100 of credit now"]);
    assert_eq!(look(&stack).await, Vec::<String>::new());
    stack.finish_faulted().await;
}
