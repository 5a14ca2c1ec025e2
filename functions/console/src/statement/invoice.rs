//! The form that records the provider's invoice for the days of a statement.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::domain::ledger::invoice::Invoice;
use bursar_core::domain::values::money::Usd;
use bursar_core::web::{Answer, RequestDeadline, Site};

use super::days_of;
use super::page::{self, InvoiceForm};
use crate::access::{self, AdminAccess, Admins, Form};

/// The longest number, in characters.
const LONGEST_NUMBER: usize = 100;

pub(crate) async fn note(
    State(site): State<Site>,
    RequestDeadline(deadline): RequestDeadline,
    Form { access: AdminAccess { visitor }, fields }: Form<Admins>,
) -> Answer {
    let text = |name: &str| fields.filled(name).unwrap_or_default().trim().to_owned();
    let days = match days_of(&text("from"), &text("to")) {
        Ok(days) => days,
        Err(why) => return Ok(site.refuse(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was recorded", why)),
    };
    let (number, typed) = (text("number"), text("amount_usd"));
    let refused = match (number.chars().count(), Usd::from_form(&typed)) {
        (0, _) => Err("Type the number that is on the invoice.".to_owned()),
        (long, _) if long > LONGEST_NUMBER => {
            Err(format!("At most {LONGEST_NUMBER} characters for the number, please."))
        }
        (_, Err(error)) => Err(format!("The amount: {error}.")),
        (_, Ok(amount)) => Ok(amount),
    };
    let amount = match refused {
        Ok(amount) => amount,
        Err(why) => {
            let typed = InvoiceForm { number, amount: typed, refused: Some(why) };
            return page::show(&site, &visitor, days, Some(typed)).await;
        }
    };
    let noted_by = access::person(&site, &visitor, deadline).await?;
    let (from, to, noted_at) = (days.from, days.to, site.clock.now());
    let invoice = Invoice { from, to, number, amount, noted_at, noted_by, version: 0 };
    site.table.note_invoice(&invoice, deadline).await?;
    Ok(Redirect::to(&format!("/console/account/statement?from={from}&to={to}")).into_response())
}
