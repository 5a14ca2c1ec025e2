//! The page of a rehearsal, for an operator's ticket: Markdown that reads as text. It holds no
//! address and nothing secret.

use std::cell::RefCell;
use std::fmt::{self, Display, Formatter, Write};
use std::time::Duration;

use bursar_core::clock::Moment;

use super::Place;
use super::steps::Step;
use crate::VERSION;

pub struct Report {
    origin: String,
    is_of_machine: bool,
    pub(super) begun_at: Moment,
    /// What runs there.
    pub(super) version: String,
    rows: Vec<Row>,
    pub(super) stays: Vec<String>,
    /// The names of alarms, as text.
    pub(super) ringing: String,
    /// The rows of a table.
    figures: RefCell<String>,
}

struct Row {
    step: Step,
    took: Duration,
    outcome: Result<String, String>,
}

impl Report {
    pub(super) fn new(place: &Place, begun_at: Moment) -> Report {
        Report {
            origin: place.origin().to_owned(),
            is_of_machine: place.is_machine(),
            begun_at,
            version: "of an unknown version".to_owned(),
            rows: Vec::new(),
            stays: Vec::new(),
            ringing: String::new(),
            figures: RefCell::default(),
        }
    }

    pub(super) fn note(&mut self, step: Step, took: Duration, outcome: Result<String, String>) {
        self.rows.push(Row {
            step,
            took,
            outcome,
        });
    }

    pub(super) fn figure(&self, name: &str, value: &str) {
        *self.figures.borrow_mut() += &format!("| {name} | {} |\n", cell(value));
    }

    pub fn is_well(&self) -> bool {
        self.failed().is_none() && self.stays.iter().all(|what| !what.starts_with("**"))
    }

    /// The step that failed, and why.
    pub fn failed(&self) -> Option<(Step, &str)> {
        self.rows
            .iter()
            .find_map(|row| Some((row.step, row.outcome.as_ref().err()?.as_str())))
    }
}

/// The pages that help on one machine as they stand, and the one that says of others what to do
/// there.
const AS_ON_A_STACK: [&str; 4] = [
    "night.md#the-provider-is-down",
    "night.md#the-balance-is-gone",
    "night.md#a-students-key-leaked",
    "use.md#end-of-term",
];
const ON_A_MACHINE: &str = "machine.md#the-night-pages-that-apply";

impl Display for Report {
    /// What others say may name people and accounts, which no ticket is to hold.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut page = String::new();
        self.write(&mut page)?;
        for word in page.split_inclusive(char::is_whitespace) {
            let (name, space) = word.split_at(word.trim_end().len());
            let is_private = name.contains('@') || name.contains("arn:");
            write!(f, "{}{space}", if is_private { "…" } else { name })?;
        }
        Ok(())
    }
}

impl Report {
    fn write(&self, f: &mut String) -> fmt::Result {
        let date = self.begun_at.strftime("%Y-%m-%d %H:%M UTC");
        writeln!(
            f,
            "# Rehearsal of {}\n\nOn {date}. Bursar {} runs there; bursar-ops {VERSION}.\n",
            self.origin, self.version
        )?;
        match self.failed() {
            None => writeln!(f, "**All went well.**\n")?,
            Some((step, why)) => {
                let [name, help] = step.facts();
                let help = if self.is_of_machine && !AS_ON_A_STACK.contains(&help) {
                    ON_A_MACHINE
                } else {
                    help
                };
                writeln!(
                    f,
                    "**Failed at: {name}.** {}. See infra/runbook/{help}.\n",
                    why.trim_end_matches('.')
                )?;
            }
        }
        if !self.ringing.is_empty() {
            writeln!(
                f,
                "**Alarms ring**: {}. See infra/runbook/trouble.md#an-alarm-rings.\n",
                self.ringing
            )?;
        }
        writeln!(
            f,
            "| step | seconds | what was seen |\n| --- | ---: | --- |"
        )?;
        for Row {
            step,
            took,
            outcome,
        } in &self.rows
        {
            let [name, _] = step.facts();
            let (Ok(words) | Err(words)) = outcome;
            let failed = if outcome.is_err() { "**failed**: " } else { "" };
            writeln!(
                f,
                "| {name} | {:.1} | {failed}{} |",
                took.as_secs_f64(),
                cell(words)
            )?;
        }
        if !self.stays.is_empty() {
            writeln!(f, "\n## What stays\n\n- {}.", self.stays.join(".\n- "))?;
        }
        let figures = self.figures.borrow();
        if figures.is_empty() {
            Ok(())
        } else {
            write!(
                f,
                "\n## Figures\n\n| figure | value |\n| --- | --- |\n{figures}"
            )
        }
    }
}

/// Text of a table's cell, which is one line.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
