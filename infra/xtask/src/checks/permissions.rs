//! `cargo xtask permissions`: writes `docs/permissions.md` from what the functions did in the whole suite. The recipe `test` compares the
//! two, since a permission that nobody uses any more is seen only when every test has run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use xshell::{Shell, cmd};

/// The record of one run of the suite, as `tests/src/permissions.rs` writes it.
pub(crate) const RECORD: &str = "target/permissions.txt";
const DOCUMENT: &str = "docs/permissions.md";
const FUNCTIONS: [&str; 5] = ["claim", "console", "usage-sync", "threshold-alerts", "mail"];
/// What surrounds the table that is made.
const MARKS: (&str, &str) = ("<!-- made by cargo xtask permissions -->\n", "<!-- end -->\n");

/// Runs the whole suite, and writes the document.
pub(crate) fn permissions(shell: &Shell) -> anyhow::Result<()> {
    // The roles in the template may follow only afterwards, so the test that compares them is left out.
    let suite = cmd!(shell, "cargo test --package bursar-tests -- --skip permissions::each_role");
    recorded(shell, suite)?.run()?;
    let (before, _, after) = document(shell)?;
    shell.write_file(DOCUMENT, format!("{before}{}{}{}{after}", MARKS.0, table(&record(shell)?)?, MARKS.1))?;
    eprintln!("permissions: {DOCUMENT} is written");
    Ok(())
}

/// The command, with an empty record that it adds to.
pub(crate) fn recorded<'a>(shell: &Shell, command: xshell::Cmd<'a>) -> anyhow::Result<xshell::Cmd<'a>> {
    let path = shell.current_dir().join(RECORD);
    shell.remove_path(&path)?;
    Ok(command.env("BURSAR_TEST_PERMISSIONS", path))
}

/// Whether the document lists exactly what the suite recorded.
pub(crate) fn check(shell: &Shell) -> anyhow::Result<()> {
    let (_, listed, _) = document(shell)?;
    let made = table(&record(shell)?)?;
    let lines = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    for line in lines(&listed).difference(&lines(&made)) {
        eprintln!("permissions: {DOCUMENT} lists     {line}");
    }
    for line in lines(&made).difference(&lines(&listed)) {
        eprintln!("permissions: the suite recorded {line}");
    }
    ensure!(
        listed == made,
        "{DOCUMENT} and the suite differ: mend the code, or run cargo xtask permissions and the policies after it"
    );
    Ok(())
}

/// The document before, within and after its marks.
fn document(shell: &Shell) -> anyhow::Result<(String, String, String)> {
    let text = shell.read_file(DOCUMENT)?;
    let (before, rest) = text.split_once(MARKS.0).with_context(|| format!("{DOCUMENT} lacks its first mark"))?;
    let (table, after) = rest.split_once(MARKS.1).with_context(|| format!("{DOCUMENT} lacks its second mark"))?;
    Ok((before.to_owned(), table.to_owned(), after.to_owned()))
}

fn record(shell: &Shell) -> anyhow::Result<String> {
    shell.read_file(Path::new(RECORD)).context("no test recorded a permission")
}

/// The table of a record: a row for each place, a column for each function, the actions in its cells.
fn table(record: &str) -> anyhow::Result<String> {
    let mut places: BTreeMap<String, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for line in record.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(function), Some(action)) = (words.next(), words.next()) else {
            anyhow::bail!("{RECORD}: this line is no permission: {line}");
        };
        let (service, action) = action.split_once(':').with_context(|| format!("{RECORD}: no action: {line}"))?;
        let place = words.next().map_or_else(|| format!("service {service}"), str::to_owned);
        places.entry(place).or_default().entry(function).or_default().insert(action);
    }
    // The partitions first, then the queues, then what is no table.
    let mut places: Vec<_> = places.into_iter().collect();
    places.sort_by_key(|(place, _)| (place.starts_with("service "), place.starts_with("queue "), place.clone()));
    let mut text = format!("| where | {} |\n|{}\n", FUNCTIONS.join(" | "), " --- |".repeat(FUNCTIONS.len() + 1));
    for (place, permissions) in &places {
        let cells = FUNCTIONS.map(|function| match permissions.get(function) {
            Some(actions) => actions.iter().copied().collect::<Vec<_>>().join(", "),
            None => "—".to_owned(),
        });
        writeln!(text, "| `{place}` | {} |", cells.join(" | "))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn each_place_is_a_row_with_what_each_function_does_there() {
        let record = "mail ses:SendRawEmail\nclaim dynamodb:PutItem A#\nmail dynamodb:Query queue bulk\n\
                      claim dynamodb:GetItem A#\nclaim dynamodb:GetItem A#\nmail dynamodb:GetItem META\n";
        let table = table(record).unwrap();
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| `A#` | GetItem, PutItem | — | — | — | — |",
                "| `META` | — | — | — | — | GetItem |",
                "| `queue bulk` | — | — | — | — | Query |",
                "| `service ses` | — | — | — | — | SendRawEmail |",
            ]
        );
        assert!(super::table("claim\n").is_err());
    }
}
