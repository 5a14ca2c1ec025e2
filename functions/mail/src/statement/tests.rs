//! The words of a statement's mail and its file, by what is on record.

use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::term::Term;
use jiff::civil::date;

use super::*;
use crate::tests::written;

fn programme(name: &str) -> Programme {
    let term = Term::new(date(2026, 10, 12), date(2027, 2, 6), "Europe/Berlin").unwrap();
    Programme::new(
        ProgrammeId::from_name(name),
        Settings::new(name, term, Usd::from_dollars(20)),
    )
}

fn row(name: &str, cost_code: Option<&str>, kind: RowKind, micros: i64) -> StatementRow {
    let programme = Some(ProgrammeId::from_name(name));
    let cost_code = cost_code.map(str::to_owned);
    StatementRow {
        programme,
        name: Some(name.to_owned()),
        cost_code,
        kind,
        spent: Usd::from_micros(micros),
    }
}

fn november(rows: Vec<StatementRow>) -> Statement {
    Statement {
        days: StatementDays::month_before(date(2026, 12, 3)),
        from: "2026-11-01T00:20:00Z".parse().unwrap(),
        to: "2026-12-01T00:20:00Z".parse().unwrap(),
        change: Usd::from_dollars(900),
        bought: Usd::from_dollars(500),
        is_the_first: false,
        rows,
        code_changes: Vec::new(),
    }
}

async fn mailed(
    statement: &Statement,
    named_by: &[Programme],
) -> (String, Letter, bursar_core::config::Config) {
    let named_by: Vec<_> = named_by.iter().collect();
    written(|words| words.statement(statement, &named_by)).await
}

/// Finance reads its programmes' rows and the sums by cost code, and has the rows as a file.
#[tokio::test]
async fn finance_reads_rows_and_sums() {
    let statement = november(vec![
        row("CS pilot", Some("=4711"), RowKind::Keys, 312_400_001),
        row("CS pilot", Some("=4711"), RowKind::Byok, 9_990_000),
        row(
            "Compilers <b>seminar</b>",
            Some("=4711"),
            RowKind::Keys,
            100_000_000,
        ),
        row("Maths, \"advanced\"", Some("12, 34"), RowKind::Keys, 0),
        row("Physics", None, RowKind::Keys, 5_000_000),
    ]);
    let named_by = ["Maths", "CS pilot", "Compilers seminar", "Physics", "Law"].map(programme);
    let (text, letter, config) = mailed(&statement, &named_by).await;
    insta::assert_snapshot!(text, @r#"
    Statement of November 2026: $417.40

    Statement of November 2026

    What the programmes below spent at OpenRouter in November 2026, by cost code. Amounts are US dollars; days are those of UTC.

    Sum: $417.40
    From: 1 Nov 2026, 00:20 UTC
    To: 1 Dec 2026, 00:20 UTC

    CS pilot: cost code =4711, used by keys of students, spent $312.40
    CS pilot: cost code =4711, used by keys of their own, spent $9.99
    Compilers <b>seminar</b>: cost code =4711, used by keys of students, spent $100.00
    Maths, "advanced": cost code 12, 34, used by keys of students, spent $0.00
    Physics: cost code none, used by keys of students, spent $5.00

    What people used with keys of their own at a model's provider is on another bill. The figure is an estimate, and is in no sum here.

    == By cost code ==

    12, 34: spent $0.00
    =4711: spent $412.40
    none: spent $5.00

    The same rows are attached as statement-2026-11-01-2026-11-30.csv.

    -- 
    You get this mail once a month because CS pilot, Compilers seminar, Law and 2 more name you for finance. The admins of Bursar at Example University can change that.
    Example University
    "#);
    let file = String::from_utf8(letter.file().unwrap().bytes.clone());
    insta::assert_snapshot!(file.unwrap().replace("\r\n", "|\n"), @r#"
    cost_code,programme,kind,spent_usd|
    "'=4711",cs-pilot,keys,312.400001|
    "'=4711",cs-pilot,byok,9.990000|
    "'=4711",compilers-b-seminar-b,keys,100.000000|
    "12, 34",maths-advanced,keys,0.000000|
    ,physics,keys,5.000000|
    "#);
    let html = letter.html(&config).unwrap();
    for part in [
        "Compilers &#60;b&#62;seminar&#60;/<wbr>b&#62;",
        "Maths, &#34;advanced&#34;",
        ">$312.40</td>",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
}

/// A statement that begins or ends late says so, and a single programme is named alone.
#[tokio::test]
async fn late_edges_are_explained() {
    let statement = Statement {
        from: "2026-11-04T00:20:00Z".parse().unwrap(),
        to: "2026-12-02T06:20:00Z".parse().unwrap(),
        ..november(vec![row("CS pilot", Some("4711"), RowKind::Keys, 0)])
    };
    let (text, ..) = mailed(&statement, &[programme("CS pilot")]).await;
    insta::assert_snapshot!(text.lines().filter(|line| line.starts_with("No complete")).joined("\n"), @"
    No complete check began on 1 Nov 2026, so this statement begins with the next one, of 4 Nov 2026, 00:20 UTC. What was spent in between is in the statement before.
    No complete check began on the day after 30 Nov 2026, so this statement ends with the next one, of 2 Dec 2026, 06:20 UTC.
    ");
    assert!(
        text.contains("You get this mail once a month because CS pilot names you for finance."),
        "{text}"
    );
}
