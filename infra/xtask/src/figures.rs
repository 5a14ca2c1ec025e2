//! Figures: a file of each run that was recorded, in `docs/figures`, of which `BENCHMARKS.md` is
//! made. Nothing is asserted of them.

use std::fmt::Write as _;

use anyhow::Context;
use serde_json::{Value, json};
use xshell::{Shell, cmd};

use crate::release::Checkout;

const FOLDER: &str = "docs/figures";
/// Asks for a run to be recorded; the words after it say what was beside it.
pub(crate) const RECORD: &str = "--record";

/// What is measured: the first word of a run, a title, and what to know of it.
const SECTIONS: &str = include_str!("figures.txt");

/// A run that is about to begin.
pub(crate) struct Run {
    /// The words that ask for it.
    pub(crate) words: Vec<String>,
    /// What else runs meanwhile, where it is to be recorded.
    beside: Option<String>,
    begun_at: String,
    checkout: Checkout,
}

impl Run {
    pub(crate) fn begin(shell: &Shell, words: &[String]) -> anyhow::Result<Run> {
        let mut parts = words.splitn(2, |word| word == RECORD);
        let words = parts.next().unwrap_or_default().to_vec();
        let beside = parts.next().map(|beside| beside.join(" "));
        let begun_at = cmd!(shell, "date -u +%Y-%m-%dT%H%M").quiet().read()?;
        Ok(Run {
            words,
            beside,
            begun_at,
            checkout: Checkout::read(shell),
        })
    }

    pub(crate) fn is_recorded(&self) -> bool {
        self.beside.is_some()
    }

    /// Keeps the table and lines that it printed, and makes `BENCHMARKS.md` anew, if that was asked
    /// for.
    pub(crate) fn record(self, shell: &Shell, name: &str, printed: &str) -> anyhow::Result<()> {
        let Some(beside) = &self.beside else {
            return Ok(());
        };
        let (tables, lines): (Vec<&str>, Vec<&str>) = printed
            .lines()
            .filter(|line| !line.is_empty())
            .partition(|line| line.starts_with('|'));
        let rows: Vec<Vec<&str>> = tables
            .iter()
            .filter(|row| !row.starts_with("| ---"))
            .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        let (columns, rows) = rows
            .split_first()
            .map_or((None, &[][..]), |(columns, rows)| (Some(columns), rows));
        let Run {
            begun_at, checkout, ..
        } = &self;
        let figures = json!({"run": name, "date": begun_at, "commit": checkout.commit, "is_dirty": checkout.is_dirty, "beside": beside,
            "lines": lines, "columns": columns, "rows": rows});
        let file = format!(
            "{FOLDER}/{begun_at}-{}-{}.json",
            checkout.commit,
            name.replace([' ', '/'], "-")
        );
        shell.write_file(file, format!("{figures:#}\n"))?;
        write(shell)
    }
}

/// `BENCHMARKS.md`: of each run with these words the newest, by what it measures.
pub(crate) fn write(shell: &Shell) -> anyhow::Result<()> {
    let mut page = "# Figures\n\nRecorded, not asserted, on Debian 12, two cores, 24 GiB, on shared machines: good to about a factor of two. This page \
                    is made of the files in [docs/figures](docs/figures), one a run: by `cargo xtask bench` and `long` with `--record WHAT ELSE RAN`, or by hand. With `--memory MB` \
                    a run was behind TLS, under the share of a processor that Lambda gives this memory, by a quota of control groups or by cpulimit.\n"
        .to_owned();
    let mut runs: Vec<Value> = Vec::new();
    for file in shell.read_dir(FOLDER)? {
        let text = shell.read_file(&file)?;
        runs.push(
            serde_json::from_str(&text)
                .with_context(|| format!("{} is no record of a run", file.display()))?,
        );
    }
    runs.sort_by_key(|run| std::cmp::Reverse(text(run, "date").to_owned()));
    for section in SECTIONS.trim_end().split("\n\n") {
        let (first_word, headed) = section.split_once('\n').context("a section has a title")?;
        let mut newest: Vec<&str> = Vec::new();
        for run in runs
            .iter()
            .filter(|run| text(run, "run").split(' ').next() == Some(first_word))
        {
            if newest.is_empty() {
                write!(page, "\n## {}\n", headed.replacen('\n', "\n\n", 1))?;
            }
            if !newest.contains(&text(run, "run")) {
                newest.push(text(run, "run"));
                write!(page, "\n{}", shown(run))?;
            }
        }
    }
    Ok(shell.write_file("BENCHMARKS.md", page)?)
}

fn shown(run: &Value) -> String {
    let dirty = if run["is_dirty"] == true {
        ", changed"
    } else {
        ""
    };
    let beside = Some(text(run, "beside"))
        .filter(|beside| !beside.is_empty())
        .map(|beside| format!("; {beside}"));
    let mut shown = format!(
        "`{}` on {} ({}{dirty}){}:\n\n",
        text(run, "run"),
        text(run, "date"),
        text(run, "commit"),
        beside.unwrap_or_default()
    );
    let columns = cells(&run["columns"]);
    if !columns.is_empty() {
        let rule = vec!["---"; columns.len()];
        for row in [columns, rule]
            .into_iter()
            .chain(run["rows"].as_array().into_iter().flatten().map(cells))
        {
            shown += &format!("| {} |\n", row.join(" | "));
        }
    }
    let lines = cells(&run["lines"]);
    if !lines.is_empty() {
        shown += &format!("\n{}\n", lines.join("\n"));
    }
    shown
}

fn text<'a>(run: &'a Value, name: &str) -> &'a str {
    run[name].as_str().unwrap_or_default()
}

fn cells(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
