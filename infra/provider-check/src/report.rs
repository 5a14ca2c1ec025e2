//! A run's findings as an operator reads them: the account, a table of assumptions, a verdict.

use std::fmt::{self, Display, Formatter, Write};

use crate::LEFT;
use crate::assumptions::{ALL, Assumption, Bearing, Source};
use crate::findings::{Finding, Findings};

/// The width of a line.
const WIDTH: usize = 100;
const INDENT: usize = 12;

/// What no short check of one account can show.
const NOT_ASKED: [&str; 5] = [
    "how counters turn at midnight UTC, on Mondays and on the first of a month",
    "whether expired keys are listed, since the key of this check expires in an hour",
    "whether BYOK costs a fee that no key's counter shows",
    "what a limit of zero means: Bursar sends none below a cent",
    "whether a request that makes a key can be carried out twice",
];

impl Display for Findings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "The account")?;
        for (what, is) in &self.account {
            paragraph(f, &format!("  {what:26}"), 28, is)?;
        }
        for (source, heading) in [
            (Source::Unsure, "What the provider's documents leave open"),
            (Source::Suspected, "What Bursar's own reviews suspect"),
            (Source::Documented, "What the provider's documents say"),
        ] {
            writeln!(f, "\n{heading}")?;
            for assumption in ALL.into_iter().filter(|assumption| assumption.source == source) {
                self.row(f, assumption)?;
            }
        }
        writeln!(f, "\nWhat no check like this can show")?;
        for question in NOT_ASKED {
            writeln!(f, "  {question}")?;
        }
        writeln!(f)?;
        self.verdict(f)
    }
}

impl Findings {
    fn row(&self, f: &mut Formatter<'_>, assumption: &Assumption) -> fmt::Result {
        let (verdict, seen) = match self.of(assumption) {
            Finding::Held(seen) => ("held", seen),
            // Only what matters is loud.
            Finding::NotHeld(seen) if assumption.bearing == Bearing::Tolerated => ("not held", seen),
            Finding::NotHeld(seen) => ("NOT HELD", seen),
            Finding::NotSeen(why) => ("not seen", why),
        };
        paragraph(f, &format!("  {verdict:10}"), INDENT, assumption.sentence)?;
        paragraph(f, &" ".repeat(INDENT), INDENT, &format!("{}: {seen}", assumption.id))?;
        if matches!(self.of(assumption), Finding::NotHeld(_)) {
            paragraph(f, &" ".repeat(INDENT), INDENT, &format!("So: {}", assumption.otherwise))?;
        }
        Ok(())
    }

    fn verdict(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = |wanted: fn(&Finding) -> bool| ALL.iter().filter(|of| wanted(&self.of(of))).count();
        let held = count(|finding| matches!(finding, Finding::Held(_)));
        let not_held = count(|finding| matches!(finding, Finding::NotHeld(_)));
        let not_seen = count(|finding| matches!(finding, Finding::NotSeen(_)));
        writeln!(f, "{held} held, {not_held} did not hold, {not_seen} were not seen.")?;
        writeln!(f, "Spent: ${} in {} requests.", self.spent, self.requests)?;
        for what in &self.taken_away {
            writeln!(f, "Taken away: {what}.")?;
        }
        if let Some(why) = &self.ended_early {
            paragraph(f, "", 0, &format!("The check ended early: {why}."))?;
        }
        if let Some(why) = &self.left {
            paragraph(f, "", 0, &format!("Something of the check may be left: {why}. {LEFT}."))?;
        }
        let missing = self.missing();
        if missing.is_empty() {
            return match self.is_well() {
                true => writeln!(f, "All that Bursar cannot do without holds: this account is ready for it."),
                false => Ok(()),
            };
        }
        writeln!(f, "This account is NOT ready for Bursar. What it cannot do without:")?;
        for assumption in missing {
            let how = match (self.of(assumption), assumption.bearing) {
                (Finding::NotHeld(_), Bearing::ToRestrict) => "does not hold, so restrict no programme by it",
                (Finding::NotHeld(_), _) => "does not hold",
                _ => "was not seen",
            };
            writeln!(f, "  {} {how}", assumption.id)?;
        }
        Ok(())
    }
}

/// Writes words after a beginning, broken into lines that are indented alike.
fn paragraph(f: &mut Formatter<'_>, begins: &str, indent: usize, words: &str) -> fmt::Result {
    let mut line = begins.to_owned();
    for word in words.split_whitespace() {
        let is_first = line.len() <= indent || line.ends_with(' ');
        if !is_first && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{line}")?;
            line = " ".repeat(indent);
        }
        let space = if line.is_empty() || line.ends_with(' ') { "" } else { " " };
        write!(line, "{space}{word}")?;
    }
    writeln!(f, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assumptions::{COUNTERS_TOLD, PACE};

    #[test]
    fn an_assumption_is_told_with_what_was_seen_and_with_what_follows_if_it_does_not_hold() {
        let mut findings = Findings::default();
        findings.judge(&COUNTERS_TOLD, true, "all four");
        findings.judge(&PACE, false, "a 429 came");
        findings.judge(&PACE, true, "which a second judgement does not mend");
        let report = findings.to_string();
        for told in [
            "  held      A key tells what it used in its lifetime, today, this week and this month.\n            \
             counters-told: all four\n",
            "  not held  The management API takes forty calls a second.\n            pace: a 429 came\n            \
             So: Bursar halves its pace for a minute after each 429; the sync of a large account\n            \
             takes longer.\n",
            "  not seen  A page of keys holds a hundred.\n            page-of-100: the check ended before it\n",
            "\n1 held, 1 did not hold, 46 were not seen.\n",
            "This account is NOT ready for Bursar.",
        ] {
            assert!(report.contains(told), "{told}\n{report}");
        }
        assert!(report.lines().all(|line| line.chars().count() <= WIDTH), "{report}");
    }
}
