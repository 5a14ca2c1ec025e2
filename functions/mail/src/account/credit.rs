//! The words about the account's credit: what must be bought and by when, and a balance that falls short.

use bursar_core::domain::credit::balance::{BalanceNeed, Basis};
use bursar_core::domain::credit::purchase::{DAYS_TO_BUY, PACE_DAYS, Purchase};

use crate::account::{AccountPlace, AlarmText};
use crate::prelude::*;

/// The alarm about the balance, found on a day.
pub(super) fn balance(need: BalanceNeed, purchase: &Purchase, found_on: Date) -> AlarmText {
    let short = need.beyond(purchase.balance).map(Usd::to_dollars_up);
    let (than, needed) = match need.basis {
        Basis::TwoWeeks => ("short of what two weeks use", "Used in two weeks at the recent pace"),
        Basis::Promised => ("below what keys may still spend", "What keys may still spend"),
    };
    let amount = purchase.amount.to_dollars_up();
    let subject = match (&short, purchase.buy_by) {
        (Some(short), _) => format!("The balance is {short} {than}"),
        (None, Some(day)) if found_on < day => format!("Buy {amount} of credit by {}", long_date(day)),
        (None, Some(_)) => format!("Buy {amount} of credit now"),
        (None, None) => format!("Buy {amount} of credit"),
    };
    let mut facts = vec![("Balance at the provider", purchase.balance.to_dollars_down())];
    facts.extend(short.is_some().then(|| (needed, need.amount.to_dollars_up())));
    facts.extend(purchase.is_due().then(|| figures(purchase)).into_iter().flatten());
    let reckoned = match purchase.is_due() {
        true => format!("{} ", how_it_is_reckoned(purchase)),
        false => String::new(),
    };
    let next = format!(
        "{reckoned}When the balance is gone every key of the account is refused, for free models too. Buy credit at the provider; if it \
         is bought by itself as it is used, look whether that still works and is enough. If nobody can buy more, lower budgets and \
         caps. You hear of it again when the day for buying moves by a week, when the balance does not last two weeks, and when that \
         is worse by a tenth."
    );
    AlarmText { subject, facts, next, leads_to: AccountPlace::Account }
}

/// The numbers of a purchase.
fn figures(purchase: &Purchase) -> Vec<(&'static str, String)> {
    let mut figures = vec![("Programmes can still cost", purchase.to_come.to_dollars_up())];
    if purchase.foreign > Usd::ZERO {
        let (so_far, to_come) = (purchase.foreign.to_dollars_up(), purchase.foreign_to_come.to_dollars_up());
        let both = format!("{to_come} until the last programme ends, after {so_far} in the last {PACE_DAYS} days");
        figures.push(("Other keys may use", both));
    }
    figures.push(("To be bought, in whole hundreds", purchase.amount.to_dollars_up()));
    if let Some((gone_on, buy_by)) = purchase.gone_on.zip(purchase.buy_by) {
        figures.push(("Balance gone at the present pace", long_date(gone_on)));
        figures.push(("Begin to buy by", long_date(buy_by)));
    }
    figures
}

fn how_it_is_reckoned(purchase: &Purchase) -> String {
    let others = if purchase.foreign > Usd::ZERO { ", with what other keys may use," } else { "" };
    let amount =
        format!("What programmes can still cost{others} is more than the balance; credit is bought in whole hundreds.");
    let pace = purchase.pace.to_dollars_up();
    let day = match purchase.buy_by {
        Some(_) => format!(
            "The day is the one on which the balance is gone at the pace of the last {PACE_DAYS} days, {pace} in all, less the \
             {DAYS_TO_BUY} days that a purchase may take."
        ),
        None => format!("No day can be named, since no key used anything in the last {PACE_DAYS} days."),
    };
    let partly =
        if purchase.is_partial { " Not all of these days were synced, so the pace may be larger." } else { "" };
    format!("{amount} {day}{partly}")
}
