//! The listing as a table for a terminal. Names are the last column, since they have no maximal width.

use bursar_core::domain::values::address::is_invisible;
use jiff::Timestamp;

use super::assess::Assessment;
use super::{Listing, Row, State};

const HEAD: [&str; 10] = ["STATE", "TODAY", "WEEK", "MONTH", "IN ALL", "LIMIT", "LAST USE", "AGE", "OWNER", "NAME"];
/// The column that is there only where owners are known.
const OWNER: usize = 8;
/// The last column.
const NAME: usize = 9;

pub(super) fn table(listing: &Listing, now: Timestamp) -> String {
    let rows: Vec<[String; 10]> = listing.keys.iter().map(|row| cells(row, now)).collect();
    let has_owners = listing.keys.iter().any(|row| row.owner.is_some());
    let width = |column: usize| rows.iter().map(|row| row[column].len()).chain([HEAD[column].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = line(&HEAD.map(str::to_owned), &widths, has_owners);
    rows.iter().for_each(|row| text.push_str(&line(row, &widths, has_owners)));
    let totals = &listing.totals;
    text.push_str(&format!(
        "\n{} keys, {} used in all, balance {}\n{} without a limit, {} unused for 30 days\n",
        totals.keys,
        dollars(Some(&totals.usage_usd)),
        dollars(Some(&totals.balance_usd)),
        totals.without_limit,
        totals.unused_30_days
    ));
    if let Some(assessment) = &listing.assess {
        text.push_str(&assessed(assessment));
    }
    text
}

/// The most names that one line of the assessment tells.
const NAMES: usize = 10;

fn assessed(assessment: &Assessment) -> String {
    let width = assessment.prefixes.iter().map(|sums| shown_prefix(&sums.prefix).chars().count()).max().unwrap_or(0);
    let mut text = String::from("\nBy the first part of the name:\n");
    for sums in &assessment.prefixes {
        let prefix = shown_prefix(&sums.prefix);
        text.push_str(&format!("  {prefix:<width$}  {:>5} keys  {:>10}\n", sums.keys, dollars(Some(&sums.usage_usd))));
    }
    text.push_str(&format!("\nWithout a limit: {}\n", names(&assessment.names_without_limit)));
    text.push_str(&format!("Unused for 30 days: {}\n", names(&assessment.names_unused)));
    let (month, term) = (&assessment.last_30_days_usd, &assessment.term_usd);
    text.push_str(&match (month, term) {
        (Some(_), Some(_)) => format!(
            "Used in the last 30 days: {}; at that pace a term of four months costs {}\n",
            dollars(month.as_ref()),
            dollars(term.as_ref())
        ),
        _ => "Used in the last 30 days: not known, the provider does not report it\n".to_owned(),
    });
    text
}

fn shown_prefix(prefix: &str) -> String {
    if prefix.is_empty() { "(names of one part)".to_owned() } else { format!("{}*", harmless(prefix)) }
}

fn names(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMES).map(|name| harmless(name)).collect();
    match names.len() {
        0 => "none".to_owned(),
        all @ ..=NAMES => format!("{all} ({})", shown.join(", ")),
        all => format!("{all} ({} and {} more)", shown.join(", "), all - NAMES),
    }
}

/// A foreign name that cannot move the cursor.
fn harmless(name: &str) -> String {
    name.chars().map(|letter| if is_invisible(letter) { '\u{fffd}' } else { letter }).collect()
}

fn cells(row: &Row, now: Timestamp) -> [String; 10] {
    let state = match row.state {
        State::Enabled => "enabled",
        State::Disabled => "disabled",
        State::Expired => "expired",
    };
    let limit = row.limit_usd.as_ref().map_or("unlimited".to_owned(), |limit| dollars(Some(limit)));
    [
        state.to_owned(),
        dollars(row.usage_daily_usd.as_ref()),
        dollars(row.usage_weekly_usd.as_ref()),
        dollars(row.usage_monthly_usd.as_ref()),
        dollars(row.usage_usd.as_ref()),
        limit,
        row.last_used_at.map_or("never".to_owned(), |at| ago(at, now)),
        row.created_at.map_or("?".to_owned(), |at| ago(at, now)),
        row.owner.clone().flatten().unwrap_or_else(|| "nobody".to_owned()),
        harmless(&row.name),
    ]
}

fn line(cells: &[String; 10], widths: &[usize], has_owners: bool) -> String {
    let mut line = String::new();
    for (column, cell) in cells.iter().enumerate() {
        let width = widths[column];
        match column {
            0 => line.push_str(&format!("{cell:<width$}")),
            OWNER if !has_owners => {}
            OWNER => line.push_str(&format!("  {cell:<width$}")),
            NAME => line.push_str(&format!("  {cell}")),
            _ => line.push_str(&format!("  {cell:>width$}")),
        }
    }
    line.push('\n');
    line
}

/// The amount in cents for display; a smaller one is shown as less than a cent.
fn dollars(amount: Option<&String>) -> String {
    let Some(amount) = amount else { return "?".to_owned() };
    let (sign, amount) = amount.strip_prefix('-').map_or(("", amount.as_str()), |rest| ("-", rest));
    let (cents, rest) = amount.split_at(amount.len().saturating_sub(4));
    match (cents, rest) {
        ("0.00", "0000") => "$0".to_owned(),
        ("0.00", _) => format!("{sign}<$0.01"),
        _ => format!("{sign}${cents}"),
    }
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    let hours = now.duration_since(at).as_hours().max(0);
    if hours < 48 { format!("{hours} h") } else { format!("{} d", hours / 24) }
}

#[cfg(test)]
mod tests {
    use super::super::Totals;
    use super::*;

    #[test]
    fn the_table_is_aligned_and_a_name_cannot_move_the_cursor() {
        let row = |name: &str, usage: &str, limit: Option<&str>| Row {
            hash: String::new(),
            name: name.to_owned(),
            state: State::Enabled,
            workspace: None,
            usage_usd: Some(usage.to_owned()),
            usage_daily_usd: Some("0.000000".to_owned()),
            usage_weekly_usd: Some("0.004000".to_owned()),
            usage_monthly_usd: None,
            limit_usd: limit.map(str::to_owned),
            last_used_at: None,
            created_at: Some("2026-10-01T00:00:00Z".parse().unwrap()),
            owner: None,
        };
        let totals = Totals {
            keys: 2,
            usage_usd: "1234.567891".to_owned(),
            balance_usd: "-0.500000".to_owned(),
            without_limit: 1,
            unused_30_days: 0,
        };
        let keys = vec![row("one\u{1b}[2J", "0.004000", Some("20.000000")), row("two", "1234.563891", None)];
        let shown = table(&Listing { keys, totals, assess: None }, "2026-11-20T00:00:00Z".parse().unwrap());
        insta::assert_snapshot!(shown, @r"
        STATE    TODAY    WEEK  MONTH    IN ALL      LIMIT  LAST USE   AGE  NAME
        enabled     $0  <$0.01      ?    <$0.01     $20.00     never  50 d  one�[2J
        enabled     $0  <$0.01      ?  $1234.56  unlimited     never  50 d  two

        2 keys, $1234.56 used in all, balance -$0.50
        1 without a limit, 0 unused for 30 days
        ");
        let owned = Row { owner: Some(Some("office".to_owned())), ..row("one", "1.000000", None) };
        let nobodys = Row { owner: Some(None), ..row("two", "1.000000", None) };
        let listing = Listing { keys: vec![owned, nobodys], totals: Totals::default(), assess: None };
        let shown = table(&listing, "2026-11-20T00:00:00Z".parse().unwrap());
        let lines: Vec<&str> = shown.lines().take(3).map(|line| line.split("AGE").last().unwrap()).collect();
        assert_eq!(lines[0], "  OWNER   NAME");
        assert!(lines[1].ends_with("50 d  office  one") && lines[2].ends_with("50 d  nobody  two"), "{shown}");
    }
}
