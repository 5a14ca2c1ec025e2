//! The account's credit on its page: what to buy and by when with how that is reckoned, the lots, and
//! the form of the terms.

mod lots;
mod purchases;

use bursar_core::domain::credit::lots::Lot;
use bursar_core::domain::credit::purchase::{Purchase, PurchaseTerms};
use bursar_core::domain::values::format::long_date;
use bursar_core::domain::values::window::utc_date;
use jiff::Timestamp;

pub(super) use self::lots::Lapse;
use self::lots::LotRow;
pub(super) use self::purchases::PurchasesForm;
pub(crate) use self::purchases::purchases;

/// What the page tells of the account's credit.
pub(super) struct CreditSection {
    pub(super) purchase: Option<CreditToBuy>,
    /// The lots of which something is left, oldest first, and how many are spent.
    pub(super) lots: Vec<LotRow>,
    pub(super) spent_lots: usize,
    pub(super) terms: PurchaseTerms,
    pub(super) form: PurchasesForm,
}

/// The credit to be bought, as the page shows it.
pub(super) struct CreditToBuy {
    pub(super) is: Purchase,
    pub(super) by: Option<String>,
    pub(super) gone_on: Option<String>,
    /// Whether the purchase should have begun.
    pub(super) is_late: bool,
}

/// The facts of the section.
pub(super) struct CreditKnown<'a> {
    pub(super) purchase: Option<Purchase>,
    pub(super) lots: &'a [Lot],
    pub(super) terms: PurchaseTerms,
    pub(super) refused: Option<PurchasesForm>,
}

impl CreditSection {
    pub(super) fn of(known: CreditKnown<'_>, now: Timestamp) -> CreditSection {
        let today = utc_date(now);
        let lots: Vec<LotRow> = known
            .lots
            .iter()
            .filter(|lot| !lot.left.is_zero())
            .map(|lot| LotRow::of(lot, &known.terms, today))
            .collect();
        CreditSection {
            purchase: known.purchase.map(|is| CreditToBuy {
                by: is.buy_by.map(long_date),
                gone_on: is.gone_on.map(long_date),
                is_late: is.buy_by.is_some_and(|day| day <= today),
                is,
            }),
            spent_lots: known.lots.len() - lots.len(),
            lots,
            terms: known.terms,
            form: known.refused.unwrap_or_else(|| PurchasesForm::of(&known.terms)),
        }
    }

    /// The warning that credit must be bought.
    pub(super) fn warning(&self) -> Option<String> {
        let purchase = self.purchase.as_ref().filter(|purchase| purchase.is.is_due())?;
        let amount = purchase.is.amount.to_dollars_up();
        Some(match &purchase.by {
            Some(_) if purchase.is_late => {
                format!(
                    "Buy {amount} of credit now: at the present pace the balance is gone before a purchase begun today is done. “Credit” below says how that is reckoned."
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
