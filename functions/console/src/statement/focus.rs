//! The statement in the columns of FOCUS 1.2, the FinOps Foundation's open format for bills, which cost tools of a
//! university read.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use bursar_core::domain::ledger::statement::{RowKind, Statement, StatementRow};
use bursar_core::domain::programme::Programme;
use bursar_core::web::{Answer, Site};
use jiff::Timestamp;
use serde_json::json;

use super::DaysQuery;
use crate::access::AdminAccess;
use crate::csv_file::{Cell, CsvRequest};

const HEADER: [&str; 26] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ChargeFrequency",
    "SubAccountId",
    "SubAccountName",
    "Tags",
    "x_Kind",
];
const PROVIDER: &str = "OpenRouter";

pub(crate) async fn csv(
    State(site): State<Site>,
    AdminAccess { visitor: _ }: AdminAccess,
    Query(asked): Query<DaysQuery>,
    file: CsvRequest,
) -> Answer {
    let days = asked.days(site.clock.now());
    let days = match days {
        Ok(days) if days.are_whole_months() => days,
        Ok(_) => {
            let why = "A bill is of whole months: begin with the first day of a month and end with the last of one.";
            return Ok(site.refuse(StatusCode::UNPROCESSABLE_ENTITY, "There is no such bill", why));
        }
        Err(why) => return Ok(site.refuse(StatusCode::UNPROCESSABLE_ENTITY, "There is no such bill", why)),
    };
    let account = site.table.meta(site.clock.now()).await?.deployment.to_string();
    let mut rows = Vec::new();
    // A billing period is one month. The statements of months in a row add up to that of all.
    for month in days.months() {
        let (Some(statement), programmes) = site.table.statement(month).await? else {
            return Ok(super::nothing_yet(&site));
        };
        let (account, institution) = (&account, &site.frame.institution);
        let bill = Bill { statement: &statement, programmes: &programmes, account, institution };
        rows.extend(statement.rows.iter().filter(|row| row.kind.counts()).map(|row| bill.cells(row)));
    }
    file.answer(&format!("statement-{}-{}.focus", days.from, days.to), &HEADER, rows)
}

/// What all rows of a bill share.
struct Bill<'a> {
    statement: &'a Statement,
    programmes: &'a [Programme],
    account: &'a str,
    institution: &'a str,
}

impl Bill<'_> {
    /// The cells of a row, in the order of the header.
    fn cells(&self, row: &StatementRow) -> Vec<Cell> {
        let known = self.programmes.iter().find(|one| Some(&one.id) == row.programme.as_ref());
        let name = known.map(|one| one.settings.name.as_str());
        let tags = row.cost_code.as_ref().map(|cost_code| json!({ "cost_code": cost_code }).to_string());
        let (category, what) = described(row.kind);
        let (cost, exact) = (|| Cell::exact(Some(row.spent)), |text: &str| Cell::exact(Some(text)));
        let instant = |at: Timestamp| Cell::exact(Some(at.strftime("%Y-%m-%dT%H:%M:%SZ")));
        let Statement { days, from, to, .. } = self.statement;
        vec![
            cost(),
            exact(self.account),
            Cell::text(Some(self.institution)),
            exact("USD"),
            instant(days.end()),
            instant(days.begin()),
            exact(category),
            Cell::EMPTY,
            exact(what),
            instant(*to),
            instant(*from),
            cost(),
            cost(),
            exact(PROVIDER),
            cost(),
            cost(),
            exact("USD"),
            exact(PROVIDER),
            exact(PROVIDER),
            exact("AI and Machine Learning"),
            exact(PROVIDER),
            exact("Usage-Based"),
            Cell::exact(row.programme.as_ref()),
            Cell::text(name),
            Cell::exact(tags),
            exact(row.kind.as_str()),
        ]
    }
}

/// The category of a charge, and what it is in words.
fn described(kind: RowKind) -> (&'static str, &'static str) {
    match kind {
        RowKind::Keys => ("Usage", "Use of language models with keys of the programme"),
        RowKind::Byok => ("Usage", "Use with keys of other providers, which those bill"),
        RowKind::Assigned => ("Usage", "Use of language models with older keys of the programme"),
        RowKind::Unowned => ("Usage", "Use of language models with keys that nobody owns"),
        RowKind::Unsettled => ("Usage", "Use of language models while the keys were listed"),
        RowKind::Residual => ("Adjustment", "What no known key explains"),
        RowKind::Opening => ("Adjustment", "From before the first complete sync"),
    }
}
