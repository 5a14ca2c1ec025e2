//! The form of how long a purchase of credit takes, and after how many days credit lapses.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::domain::credit::purchase::{MOST_LAPSE_DAYS, MOST_LEAD_DAYS, PurchaseTerms};
use bursar_core::store::TermsOutcome;
use bursar_core::web::{Answer, Fields, RequestDeadline, Site};

use super::super::page::{self, Refused};
use crate::access::{self, AdminAccess, Admins, Form};
use crate::paths;
use crate::spending::spans::SpanQuery;

/// The form's texts, with what is wrong with each.
#[derive(Default)]
pub(crate) struct PurchasesForm {
    pub(in crate::account) lead_days: String,
    pub(in crate::account) lapse_days: String,
    pub(in crate::account) lead_refused: Option<String>,
    pub(in crate::account) lapse_refused: Option<String>,
}

impl PurchasesForm {
    pub(super) fn of(terms: &PurchaseTerms) -> PurchasesForm {
        PurchasesForm {
            lead_days: terms.lead_days.to_string(),
            lapse_days: terms.lapse_days.map(|days| days.to_string()).unwrap_or_default(),
            ..PurchasesForm::default()
        }
    }

    /// The terms that a form says, where a field that it lacks stays as it is; or the form with its refusals.
    fn read(fields: &Fields, known: &PurchaseTerms) -> Result<PurchaseTerms, PurchasesForm> {
        let mut form = PurchasesForm::of(known);
        let mut terms = *known;
        if let Some(typed) = fields.get("lead_days").map(str::trim) {
            typed.clone_into(&mut form.lead_days);
            match number(typed, 0, MOST_LEAD_DAYS) {
                Ok(days) => terms.lead_days = days,
                Err(why) => form.lead_refused = Some(why),
            }
        }
        if let Some(typed) = fields.get("lapse_days").map(str::trim) {
            typed.clone_into(&mut form.lapse_days);
            match number(typed, 1, MOST_LAPSE_DAYS) {
                _ if typed.is_empty() => terms.lapse_days = None,
                Ok(days) => terms.lapse_days = Some(days),
                Err(why) => form.lapse_refused = Some(why),
            }
        }
        if form.lead_refused.is_none() && form.lapse_refused.is_none() { Ok(terms) } else { Err(form) }
    }
}

pub(crate) async fn purchases(
    State(site): State<Site>,
    RequestDeadline(deadline): RequestDeadline,
    Form { access: AdminAccess { visitor }, fields }: Form<Admins>,
) -> Answer {
    let known = site.table.purchase_terms().await?;
    let terms = match PurchasesForm::read(&fields, &known) {
        Ok(terms) => terms,
        Err(form) => {
            let refused = Refused { purchases: Some(form), ..Refused::default() };
            let mut page = page::show(&site, &visitor, &SpanQuery::default(), refused).await?;
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            return Ok(page);
        }
    };
    let shown = fields.filled("version").and_then(|version| version.parse().ok());
    let person = access::person(&site, &visitor, deadline).await?;
    match site.table.set_purchase_terms(terms, shown, &person, site.clock.now(), deadline).await? {
        TermsOutcome::Set | TermsOutcome::Unchanged => Ok(Redirect::to(paths::ACCOUNT).into_response()),
        TermsOutcome::Stale(now) => {
            let sentence = format!(
                "Somebody else changed this while you had the page open. It says now: {now}. You wrote: {terms}. Open the page of the \
                 account again if yours is right."
            );
            Ok(site.refuse(StatusCode::CONFLICT, "Nothing was changed", &sentence))
        }
    }
}

fn number(typed: &str, least: u16, most: u16) -> Result<u16, String> {
    let digits = typed.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { typed.parse().ok() } else { None };
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("Write a whole number of days from {least} to {most}."))
}
