//! The statement in FOCUS, read back as a program does that knows the columns of version 1.2: their types, which may be
//! empty, and which values they allow.

use bursar_local::gate::Matcher;
use bursar_tests::visitor::Page;

use super::statement::{HEADER, micros, rows, statement};
use super::*;

/// The type of a column, as its definition in the specification says.
#[derive(Debug, Clone, Copy)]
enum ColumnType {
    /// A number without exponent, with at most the precision that we keep.
    Decimal,
    /// `YYYY-MM-DDTHH:MM:SSZ`, in UTC.
    DateTime,
    Text,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A JSON object whose values are texts.
    KeyValue,
}
use ColumnType::{DateTime, Decimal, KeyValue, OneOf, Text};

/// Each column with its type, and whether it may be empty. Allowed values are those of version 1.2.
const COLUMNS: [(&str, ColumnType, bool); 26] = [
    ("BilledCost", Decimal, false),
    ("BillingAccountId", Text, false),
    ("BillingAccountName", Text, true),
    ("BillingCurrency", OneOf(&["USD"]), false),
    ("BillingPeriodEnd", DateTime, false),
    ("BillingPeriodStart", DateTime, false),
    ("ChargeCategory", OneOf(&["Adjustment", "Credit", "Purchase", "Tax", "Usage"]), false),
    ("ChargeClass", OneOf(&["Correction"]), true),
    ("ChargeDescription", Text, true),
    ("ChargePeriodEnd", DateTime, false),
    ("ChargePeriodStart", DateTime, false),
    ("ContractedCost", Decimal, false),
    ("EffectiveCost", Decimal, false),
    ("InvoiceIssuerName", Text, false),
    ("ListCost", Decimal, false),
    ("PricingQuantity", Decimal, true),
    ("PricingUnit", Text, true),
    ("ProviderName", Text, false),
    ("PublisherName", Text, false),
    (
        "ServiceCategory",
        OneOf(&[
            "AI and Machine Learning",
            "Analytics",
            "Business Applications",
            "Compute",
            "Databases",
            "Developer Tools",
            "Multicloud",
            "Identity",
            "Integration",
            "Internet of Things",
            "Management and Governance",
            "Media",
            "Migration",
            "Mobile",
            "Networking",
            "Security",
            "Storage",
            "Web",
            "Other",
        ]),
        false,
    ),
    ("ServiceName", Text, false),
    ("ChargeFrequency", OneOf(&["One-Time", "Recurring", "Usage-Based"]), false),
    ("SubAccountId", Text, true),
    ("SubAccountName", Text, true),
    ("Tags", KeyValue, true),
    ("x_Kind", Text, false),
];

type Row = BTreeMap<String, String>;

#[tokio::test]
async fn a_bill_is_read_back_by_the_definitions_of_its_columns_and_says_what_the_statement_says() {
    let stack = in_the_morning().await;
    let first = date(0).first_of_month();
    stack.clock.begin_at(first.to_zoned(TimeZone::UTC).unwrap().timestamp() + minutes(100)).unwrap();
    let office = rich(&stack).await;
    shape(&stack, &office, |settings| {
        settings.cost_code = Some("=47,\"11\"\\ä".to_owned());
        settings.name = "CS, \"pilot\"\nüben".to_owned();
    })
    .await;
    let ada = invite(&stack, &office, "ada", None).await;
    let (key, labs) = (mint(&stack, &office, &ada).await, foreign(&stack, "labs"));
    sync(&stack).await;
    // Every kind of row: keys, own keys, nobody's keys, and what no key explains.
    stack.clock.begin_at(first.to_zoned(TimeZone::UTC).unwrap().timestamp() + hours(50)).unwrap();
    spend(&stack, &key, 1_250_001);
    spend(&stack, &labs, 70_000);
    provider(&stack).spend_byok(&key, Nano::micros(330_000), stack.clock.now(), "a/model").unwrap();
    provider(&stack).spend_elsewhere(Nano::micros(31)).unwrap();
    let held = stack.gate.hold_answers(Matcher::call("provider:GET /keys").of(FunctionName::UsageSync));
    let during = async {
        held.arrived().await;
        spend(&stack, &key, 5);
        drop(held);
    };
    tokio::join!(sync(&stack), during);

    let admin = signed_in(&stack, ADMIN).await;
    let days = (first, first.last_of_month());
    let page = statement(&admin, days).await;
    let file =
        admin.get(&format!("/console/account/statement.focus.csv?from={}&to={}", days.0, days.1)).await.expect(200);
    let read = read_back(&file);
    let expected: BTreeMap<_, _> = rows(&page).into_iter().filter(|((_, kind), _)| kind != "byok").collect();
    let said: BTreeMap<_, _> = read
        .iter()
        .map(|row| ((row["SubAccountId"].clone(), row["x_Kind"].clone()), micros(&row["BilledCost"])))
        .collect();
    assert_eq!(said, expected);
    let kinds: Vec<&str> = said.keys().map(|(_, kind)| kind.as_str()).collect();
    assert!(
        ["keys", "unowned", "unsettled", "residual", "opening"].iter().all(|kind| kinds.contains(kind)),
        "{kinds:?}"
    );

    let of_keys = read.iter().find(|row| row["x_Kind"] == "keys").unwrap();
    assert_eq!(of_keys["SubAccountName"], "CS, \"pilot\"\nüben");
    let tags: Value = serde_json::from_str(&of_keys["Tags"]).unwrap();
    assert_eq!(tags, json!({ "cost_code": "=47,\"11\"\\ä" }));
    let hooks = page.one("statement");
    let cuts = [hooks.get("data-from"), hooks.get("data-to")].map(|at| at.parse::<Timestamp>().unwrap());
    for row in &read {
        is_whole(row);
        let at = |name: &str| row[name].parse::<Timestamp>().unwrap();
        assert_eq!(
            [at("ChargePeriodStart"), at("ChargePeriodEnd")].map(Timestamp::as_second),
            cuts.map(Timestamp::as_second)
        );
        let next_month = days.1.tomorrow().unwrap();
        let month = [days.0, next_month].map(|day| day.to_zoned(TimeZone::UTC).unwrap().timestamp());
        assert_eq!([at("BillingPeriodStart"), at("BillingPeriodEnd")], month);
        let is_usage = !["residual", "opening"].contains(&row["x_Kind"].as_str());
        assert_eq!(row["ChargeCategory"], if is_usage { "Usage" } else { "Adjustment" });
    }
    stack.finish().await;
}

/// The rows of a bill, each cell as its column's definition allows.
fn read_back(file: &Page) -> Vec<Row> {
    assert_eq!(file.body.split("\r\n").next(), Some(HEADER));
    let rows: Vec<Row> = csv::Reader::from_reader(file.body.as_bytes()).deserialize().map(Result::unwrap).collect();
    for row in &rows {
        assert_eq!(row.len(), COLUMNS.len(), "{row:?}");
        for (name, column_type, may_be_empty) in COLUMNS {
            let cell = &row[name];
            if cell.is_empty() {
                assert!(may_be_empty, "{name} is empty: {row:?}");
            } else if let Err(why) = fits(cell, column_type) {
                panic!("{name} is {cell:?}, which is {why}");
            }
        }
    }
    rows
}

fn fits(cell: &str, column_type: ColumnType) -> Result<(), &'static str> {
    let fits = match column_type {
        Decimal => cell.split_once('.').is_some_and(|(whole, parts)| {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits(whole.strip_prefix('-').unwrap_or(whole)) && digits(parts) && parts.len() <= 6
        }),
        DateTime => cell.len() == 20 && cell.ends_with('Z') && cell.parse::<Timestamp>().is_ok(),
        Text => cell.trim() == cell,
        OneOf(allowed) => allowed.contains(&cell),
        KeyValue => serde_json::from_str::<BTreeMap<String, String>>(cell).is_ok_and(|tags| !tags.is_empty()),
    };
    fits.then_some(()).ok_or(match column_type {
        Decimal => "no decimal",
        DateTime => "no instant in UTC with seconds",
        Text => "no text",
        OneOf(_) => "no allowed value",
        KeyValue => "no tags",
    })
}

/// What the definitions say of columns together.
fn is_whole(row: &Row) {
    let cost = micros(&row["BilledCost"]);
    for other in ["ContractedCost", "EffectiveCost", "ListCost"] {
        assert_eq!(micros(&row[other]), cost, "{other}: {row:?}");
    }
    assert_eq!(row["PricingQuantity"].is_empty(), row["PricingUnit"].is_empty(), "a quantity has a unit");
    assert!(row["ChargeCategory"] != "Usage" || !row["PricingQuantity"].is_empty(), "usage has a quantity");
    assert_eq!(row["SubAccountId"].is_empty(), row["SubAccountName"].is_empty(), "a sub-account has a name");
    assert!(row["ChargePeriodStart"] <= row["ChargePeriodEnd"] && row["BillingPeriodStart"] < row["BillingPeriodEnd"]);
}
