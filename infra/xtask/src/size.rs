//! `size`: every line of the `.rs` files, by folder, beside what they may come to. Unit tests are files named `tests.rs` or in a
//! folder `tests`, and each `#[cfg(test)] mod … { … }` that begins and ends at the margin.

use std::io::Write;

use xshell::{Shell, cmd};

/// What each sum may come to.
const BOUNDS: [(&str, &[&str], usize); 4] = [
    ("functions and shared", &["product", "unit tests"], 61_500),
    ("lab and recipes", &["lab", "recipes"], 18_500),
    ("suite", &["suite"], 35_000),
    ("all", &["product", "unit tests", "lab", "recipes", "suite"], 115_000),
];

pub(crate) fn size(shell: &Shell, words: &[String]) -> anyhow::Result<()> {
    crate::nothing("size", words)?;
    let mut counted: Vec<(&str, usize)> =
        ["product", "unit tests", "lab", "recipes", "suite"].map(|group| (group, 0)).into();
    let mut add = |group: &str, lines: usize| {
        counted.iter_mut().filter(|(name, _)| *name == group).for_each(|(_, sum)| *sum += lines);
    };
    for path in cmd!(shell, "git ls-files --cached --others --exclude-standard -- *.rs").quiet().read()?.lines() {
        // What is deleted and not committed is still listed.
        let Ok(text) = shell.read_file(path) else { continue };
        let all = text.lines().count();
        match path {
            // What starts `bursar` lies where cargo hands it its path.
            _ if path.starts_with("tests/") || path.starts_with("infra/local/tests/") => add("suite", all),
            _ if path.starts_with("infra/local/") => add("lab", all),
            _ if path.starts_with("infra/") => add("recipes", all),
            _ => {
                let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
                let tests = if is_test { all } else { inline_tests(&text) };
                add("unit tests", tests);
                add("product", all - tests);
            }
        }
    }
    let mut out = std::io::stdout().lock();
    for (group, lines) in &counted {
        writeln!(out, "{group:22} {lines:>8}")?;
    }
    writeln!(out, "\n{:22} {:>8} {:>8}", "", "lines", "bound")?;
    for (name, groups, bound) in BOUNDS {
        let lines: usize = counted.iter().filter(|(group, _)| groups.contains(group)).map(|(_, lines)| lines).sum();
        let over = lines.saturating_sub(bound);
        let over = if over > 0 { format!("{over:>8} too many") } else { String::new() };
        writeln!(out, "{name:22} {lines:>8} {bound:>8} {over}")?;
    }
    Ok(())
}

fn inline_tests(text: &str) -> usize {
    let (mut found, mut lines) = (0, text.lines());
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.next().is_some_and(|next| next.contains("mod ") && next.ends_with('{')) {
            found += 3 + lines.by_ref().take_while(|line| *line != "}").count();
        }
    }
    found
}
