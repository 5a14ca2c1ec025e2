//! The mails about the account's credit, as admins read them.

use bursar_core::domain::credit::balance::{BalanceNeed, Basis};
use bursar_core::domain::credit::purchase::Purchase;
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::values::money::Usd;
use jiff::SignedDuration;
use jiff::civil::date;

use super::PostOffice;

#[tokio::test]
async fn what_to_buy_is_said_with_the_day_and_how_both_are_reckoned() {
    let mut office = PostOffice::open().await;
    let now = office.stack.clock.now();
    let dollars = Usd::from_dollars;
    let purchase = Purchase {
        amount: dollars(300),
        balance: dollars(1_200),
        to_come: dollars(1_000),
        foreign: dollars(140),
        foreign_to_come: dollars(455),
        pace: dollars(560),
        is_partial: false,
        gone_on: Some(date(2027, 1, 19)),
        buy_by: Some(date(2026, 12, 20)),
    };
    let need = BalanceNeed { amount: dollars(280), basis: Basis::TwoWeeks };
    let told =
        |seconds, purchase| Cause::Balance { need, purchase, alerted_at: now - SignedDuration::from_secs(seconds) };
    insta::assert_snapshot!(office.told(told(1, purchase)).await, @r#"
    Buy $300 of credit by 20 December 2026

    Buy $300 of credit by 20 December 2026

    Balance at the provider: $1,200
    Programmes can still cost: $1,000
    Other keys may use: $455 until the last programme ends, after $140 in the last 28 days
    To be bought, in whole hundreds: $300
    Balance gone at the present pace: 19 January 2027
    Begin to buy by: 20 December 2026
    Found: 20 November 2026, 10:00 (UTC)

    What programmes can still cost, with what other keys may use, is more than the balance; credit is bought in whole hundreds. The day is the one on which the balance is gone at the pace of the last 28 days, $560 in all, less the 30 days that a purchase may take. When the balance is gone every key of the account is refused, for free models too. Buy credit at the provider; if it is bought by itself as it is used, look whether that still works and is enough. If nobody can buy more, lower budgets and caps. You hear of it again when the day for buying moves by a week, when the balance does not last two weeks, and when that is worse by a tenth.

    See the account:
    [origin]/console/account
    "#);
    let late = Purchase { buy_by: Some(date(2026, 11, 20)), is_partial: true, ..purchase };
    let late = office.told(told(2, late)).await;
    assert!(late.starts_with("Buy $300 of credit now\n") && late.contains("Not all of these"), "{late}");
    let unused = Purchase { gone_on: None, buy_by: None, pace: Usd::ZERO, foreign: Usd::ZERO, ..purchase };
    let unused = office.told(told(3, unused)).await;
    assert!(unused.starts_with("Buy $300 of credit\n") && unused.contains("No day can be named"), "{unused}");
    assert!(!unused.contains("Other keys"), "{unused}");
    office.finish().await;
}
