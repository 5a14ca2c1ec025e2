//! The listing as a table for a terminal. Names are the last column, since they have no maximal
//! width.

use bursar_core::clock::Moment;
use bursar_core::domain::values::address::is_invisible;
use bursar_core::domain::values::money::Usd;

use super::{Listed, Listing};

/// The most names that one line of the assessment tells.
const NAMES: usize = 10;

impl Listing {
    pub(super) fn table(&self, now: Moment) -> String {
        let mut head = vec![
            "STATE", "TODAY", "WEEK", "MONTH", "IN ALL", "LIMIT", "LAST USE", "AGE", "NAME",
        ];
        if self.keys.iter().any(|listed| listed.owner.is_some()) {
            head.insert(8, "OWNER");
        }
        let mut lines = vec![head.iter().map(|title| (*title).to_owned()).collect()];
        lines.extend(self.keys.iter().map(|listed| cells(listed, now)));
        let width = |column: usize| {
            lines
                .iter()
                .map(|line: &Vec<String>| line[column].chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..head.len())
            .map(|column| width(column).unwrap_or(0))
            .collect();
        let mut text = String::new();
        for line in &lines {
            let (name, cells) = line.split_last().unwrap_or((&text, &[]));
            let cells = cells
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:>width$}  "));
            let line = cells.collect::<String>() + name;
            text += &format!("{line}\n");
        }
        text += &format!(
            "\n{} keys, {} used in all, balance {}\n{} without a limit, {} unused for 30 days\n",
            self.keys.len(),
            self.usage().to_cents(),
            self.balance.whole_cents().to_cents(),
            self.without_limit().len(),
            self.unused().len()
        );
        if self.is_assessed {
            text + &self.assessment()
        } else {
            text
        }
    }

    fn assessment(&self) -> String {
        let mut text = String::from("\nBy the first part of the name:\n");
        for (prefix, keys, usage) in self.prefixes() {
            let prefix = if prefix.is_empty() {
                "(names of one part)".to_owned()
            } else {
                harmless(prefix) + "*"
            };
            text += &format!("  {prefix:<20}  {keys:>5} keys  {:>10}\n", usage.to_cents());
        }
        text += &format!("\nWithout a limit: {}\n", names(&self.without_limit()));
        text += &format!("Unused for 30 days: {}\n", names(&self.unused()));
        text += &match (self.last_30_days, self.term()) {
            (Some(used), Some(term)) => format!(
                "Used in the last 30 days: {}; at that pace a term of four months costs {}\n",
                used.to_cents(),
                term.to_cents()
            ),
            _ => {
                "Used in the last 30 days: not known, the provider does not report it\n".to_owned()
            }
        };
        text
    }
}

fn names(names: &[&str]) -> String {
    let mut shown: Vec<String> = names
        .iter()
        .take(NAMES)
        .map(|name| harmless(name))
        .collect();
    if names.len() > NAMES {
        shown.push(format!("and {} more", names.len() - NAMES));
    }
    if names.is_empty() {
        "none".to_owned()
    } else {
        format!("{} ({})", names.len(), shown.join(", "))
    }
}

/// A foreign name that cannot move the cursor.
fn harmless(name: &str) -> String {
    name.chars()
        .map(|letter| {
            if is_invisible(letter) {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

fn cells(
    Listed {
        key, state, owner, ..
    }: &Listed,
    now: Moment,
) -> Vec<String> {
    let used = |amount: Option<Usd>| amount.map_or("?".to_owned(), Usd::to_cents);
    let ago = |moment: Moment| match now.duration_since(moment).as_hours().max(0) {
        hours @ ..48 => format!("{hours} h"),
        hours => format!("{} d", hours / 24),
    };
    let mut cells = vec![
        (*state).to_owned(),
        used(key.usage_daily),
        used(key.usage_weekly),
        used(key.usage_monthly),
        used(key.usage),
        key.limit.map_or("unlimited".to_owned(), Usd::to_cents),
        key.last_used_at.map_or("never".to_owned(), ago),
        key.created_at.map_or("?".to_owned(), ago),
    ];
    cells.extend(
        owner
            .as_ref()
            .map(|owner| owner.clone().unwrap_or_else(|| "nobody".to_owned())),
    );
    cells.push(harmless(&key.name));
    cells
}
