//! Credit that must be bought, and lots that could lapse: told in time, once, and again only when there is news.

use bursar_core::domain::credit::purchase::PurchaseTerms;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::PersonId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Account, AccountDay, SyncState, TermsOutcome};
use bursar_local::gate::{Matcher, Verdict};
use bursar_local::invoke::FunctionName;
use bursar_tests::office::{Office, as_sync, soon};
use bursar_tests::stack::{Left, Stack};
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

async fn set_terms(stack: &Stack, office: &Office<'_>, lead_days: u16, lapse_days: Option<u16>) {
    let terms = PurchaseTerms { lead_days, lapse_days, version: 0 };
    let set = office.table.set_purchase_terms(terms, None, &PersonId::random(), stack.clock.now(), soon()).await;
    assert_eq!(set.unwrap(), TermsOutcome::Set);
}

#[tokio::test]
async fn credit_to_buy_is_told_when_it_is_first_due_and_again_when_its_day_moves_by_a_week() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    office.claim(&ada).await;
    set_terms(&stack, &office, 7, Some(365)).await;
    let cents = |cents: i64| Usd::from_micros(cents * 10_000);
    let mut told = Vec::new();
    // Twenty dollars can still be spent: the balance, and what a day uses, one look a day.
    let looks = [(2_000, 50), (1_000, 50), (950, 50), (950, 40), (950, 30), (950, 70), (950, 70), (2_000, 50)];
    for (number, (balance, a_day)) in (1..).zip(looks) {
        found(&stack, &office, cents(balance), cents(a_day)).await;
        let mails = look(&stack).await;
        assert_eq!(look(&stack).await, Vec::<String>::new(), "the same hour again");
        told.extend(mails.into_iter().map(|subject| (number, subject)));
        stack.clock.advance(SignedDuration::from_hours(24)).unwrap();
    }
    let expected = [
        // On 21 November $10 last twenty days.
        (2, "Buy $100 of credit by 4 December 2026"),
        // A slower pace moves the day by five days on the 23rd, and by more than a week on the 24th.
        (5, "Buy $100 of credit by 18 December 2026"),
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
    stack.gate.at(noted, "kill-after".parse::<Verdict>().unwrap());
    assert!(stack.invoke.invoke(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await.is_err());
    stack.clock.advance(SignedDuration::from_hours(1)).unwrap();
    assert_eq!(look(&stack).await, ["Buy $100 of credit now"]);
    assert_eq!(look(&stack).await, Vec::<String>::new());
    stack.finish_leaving(&[Left::Complaints(&[("threshold-alerts", "the instance is thrown away")])]).await;
}

#[tokio::test]
async fn a_lot_is_told_ninety_and_thirty_days_before_it_could_lapse_and_never_where_credit_does_not() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let day = |day: &str, dollars, spent| AccountDay {
        day: day.parse().unwrap(),
        spent: Usd::from_dollars(spent),
        ..bought(Usd::from_dollars(dollars), stack.clock.now())
    };
    for day in [
        day("2026-01-10", 1_000, 0),
        day("2026-03-01", 1_000, 100),
        day("2026-03-02", 1_500, 100),
        day("2026-11-19", 1_500, 900),
    ] {
        assert!(as_sync(&office.table, async |sync| sync.note_account_day(&day).await).await);
    }
    let complete = async || {
        let state = office.table.sync_state().await.unwrap();
        let state = SyncState { completed_at: Some(stack.clock.now()), ..state };
        assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
    };
    complete().await;
    set_terms(&stack, &office, 30, None).await;
    assert_eq!(look(&stack).await, Vec::<String>::new(), "credit never lapses");
    set_terms(&stack, &office, 30, Some(365)).await;
    assert_eq!(look(&stack).await, ["$100 of credit could lapse on 10 January 2027"]);
    assert_eq!(look(&stack).await, Vec::<String>::new());
    // From 30 November to 1 December, and to the 11th.
    let mut told = Vec::new();
    for days in [10, 1, 9, 1, 1] {
        stack.clock.advance(SignedDuration::from_hours(24 * days)).unwrap();
        complete().await;
        told.extend(look(&stack).await.into_iter().map(|subject| (utc_date(stack.clock.now()).to_string(), subject)));
    }
    let (old, new) = ("$100 of credit could lapse on 10 January 2027", "$500 of credit could lapse on 1 March 2027");
    let expected = [("2026-12-01", new), ("2026-12-11", old)];
    assert_eq!(told, expected.map(|(day, subject)| (day.to_owned(), subject.to_owned())));
    // What is spent by then is told no more.
    let spent = AccountDay { as_of: stack.clock.now(), ..day("2026-12-12", 1_500, 1_500) };
    assert!(as_sync(&office.table, async |sync| sync.note_account_day(&spent).await).await);
    stack.clock.advance(SignedDuration::from_hours(24 * 51)).unwrap();
    complete().await;
    assert_eq!(look(&stack).await, Vec::<String>::new());
    stack.finish().await;
}
