//! The account's credit on its page: what to buy and by when, with how that is reckoned.

use bursar_core::domain::credit::purchase::{DAYS_TO_BUY, Purchase};
use bursar_core::domain::values::format::long_date;
use bursar_core::domain::values::window::utc_date;
use jiff::Timestamp;

/// What the page tells of the account's credit.
pub(super) struct CreditSection {
    pub(super) purchase: Option<CreditToBuy>,
}

/// The credit to be bought, as the page shows it.
pub(super) struct CreditToBuy {
    pub(super) is: Purchase,
    pub(super) by: Option<String>,
    pub(super) gone_on: Option<String>,
    /// Whether the purchase should have begun.
    pub(super) is_late: bool,
}

impl CreditSection {
    pub(super) fn of(purchase: Option<Purchase>, now: Timestamp) -> CreditSection {
        let today = utc_date(now);
        CreditSection {
            purchase: purchase.map(|is| CreditToBuy {
                by: is.buy_by.map(long_date),
                gone_on: is.gone_on.map(long_date),
                is_late: is.buy_by.is_some_and(|day| day <= today),
                is,
            }),
        }
    }

    /// The warning that credit must be bought.
    pub(super) fn warning(&self) -> Option<String> {
        let purchase = self.purchase.as_ref().filter(|purchase| purchase.is.is_due())?;
        let amount = purchase.is.amount.to_dollars_up();
        Some(match &purchase.by {
            Some(_) if purchase.is_late => {
                format!(
                    "Buy {amount} of credit now: at the present pace the balance is gone within {DAYS_TO_BUY} days. “Credit” below says how that is reckoned."
                )
            }
            Some(day) => {
                format!("Buy {amount} of credit, and begin by {day}. “Credit” below says how that is reckoned.")
            }
            None => format!(
                "Buy {amount} of credit for what programmes can still cost. “Credit” below says how that is reckoned."
            ),
        })
    }
}
