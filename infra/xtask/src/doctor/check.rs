//! A check: a question to AWS, and a pure function from its answer to a finding.

use std::fmt;

use serde_json::Value;

use super::aws::{Answer, Aws};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    Fine(String),
    /// What is wrong, and what to do about it: a sentence each.
    Mend {
        what: String,
        how: String,
    },
    /// Why it is not known.
    NotChecked(String),
}

/// What to do about something that was deleted or changed outside of CloudFormation, which a deployment does not see.
pub(super) const PUT_BACK: &str = "Put it back: section Something was changed by hand of infra/RUNBOOK.md.";

pub(super) const UNEXPECTED: &str = "unexpected answer";

type Judge = Box<dyn Fn(&Value) -> Option<Finding>>;

/// One question, and what its answer means.
pub(super) struct Check {
    pub(super) name: String,
    pub(super) ask: Vec<String>,
    /// The right that the question needs.
    pub(super) right: &'static str,
    /// `None` is an answer of another form than AWS documents.
    judge: Judge,
    absent: Absent,
}

/// What it means that AWS knows no such thing.
enum Absent {
    Means(Finding),
    Ask(Box<Check>),
}

/// A check, what is known without asking, or what another command than `aws` tells.
pub(super) enum Item {
    Ask(Check),
    Known(String, Finding),
    Try(String, Box<dyn FnOnce() -> Finding>),
}

impl Finding {
    pub(super) fn fine(text: impl Into<String>) -> Finding {
        Finding::Fine(text.into())
    }

    pub(super) fn mend(what: impl Into<String>, how: impl Into<String>) -> Finding {
        Finding::Mend { what: what.into(), how: how.into() }
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Finding::Fine(_) => "ok",
            Finding::Mend { .. } => "MEND",
            Finding::NotChecked(_) => "not checked",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Fine(text) | Finding::NotChecked(text) => write!(f, "{text}"),
            Finding::Mend { what, how } => write!(f, "{what} {how}"),
        }
    }
}

impl Check {
    pub(super) fn new(
        name: impl Into<String>,
        right: &'static str,
        ask: &[&str],
        judge: impl Fn(&Value) -> Option<Finding> + 'static,
    ) -> Check {
        Check {
            name: name.into(),
            ask: ask.iter().map(|&word| word.to_owned()).collect(),
            right,
            judge: Box::new(judge),
            absent: Absent::Means(Finding::mend("AWS knows no such thing any more.", PUT_BACK)),
        }
    }

    /// The finding where AWS knows no such thing.
    pub(super) fn or_if_absent(self, finding: Finding) -> Check {
        Check { absent: Absent::Means(finding), ..self }
    }

    /// The check to ask next where AWS knows no such thing.
    pub(super) fn or_ask(self, next: Check) -> Check {
        Check { absent: Absent::Ask(Box::new(next)), ..self }
    }

    /// The finding from one answer; an absence that leads to another question is none.
    pub(super) fn judged(&self, answer: &Answer) -> Finding {
        match answer {
            Answer::Told(value) => (self.judge)(value).unwrap_or_else(|| Finding::NotChecked(UNEXPECTED.to_owned())),
            Answer::Absent => match &self.absent {
                Absent::Means(finding) => finding.clone(),
                Absent::Ask(next) => next.judged(&Answer::Absent),
            },
            Answer::Denied => Finding::NotChecked(format!("you lack the right {}", self.right)),
            Answer::NoCommand => Finding::NotChecked("the command aws is missing".to_owned()),
            Answer::Failed(why) => Finding::NotChecked(why.clone()),
        }
    }

    fn settle(&self, aws: &Aws) -> Finding {
        match (aws.ask(&self.ask), &self.absent) {
            (Answer::Absent, Absent::Ask(next)) => next.settle(aws),
            (answer, _) => self.judged(&answer),
        }
    }

    fn questions(&self) -> Vec<Vec<String>> {
        let mut questions = vec![self.ask.clone()];
        if let Absent::Ask(next) = &self.absent {
            questions.extend(next.questions());
        }
        questions
    }
}

impl Item {
    #[cfg(test)]
    pub(super) fn name(&self) -> &str {
        match self {
            Item::Ask(check) => &check.name,
            Item::Known(name, _) | Item::Try(name, _) => name,
        }
    }

    /// Asks what is to be asked.
    pub(super) fn settle(self, aws: &Aws) -> (String, Finding) {
        match self {
            Item::Ask(check) => {
                let finding = check.settle(aws);
                (check.name, finding)
            }
            Item::Known(name, finding) => (name, finding),
            Item::Try(name, other) => (name, other()),
        }
    }

    /// What it would ask, one after the other.
    pub(super) fn questions(&self) -> Vec<Vec<String>> {
        match self {
            Item::Ask(check) => check.questions(),
            Item::Known(..) | Item::Try(..) => Vec::new(),
        }
    }
}

/// The recorded answers of a room, for its tests.
#[cfg(test)]
pub(super) mod recorded {
    use super::{Answer, Check, Finding, Item, Value};

    /// The check with this name.
    pub(crate) fn check(items: Vec<Item>, name: &str) -> Check {
        let mut found = items.into_iter().filter_map(|item| match item {
            Item::Ask(check) if check.name == name => Some(check),
            _ => None,
        });
        found.next().unwrap_or_else(|| panic!("nothing is asked for {name}"))
    }

    /// What a check says of a recorded answer. The file's keys are the command's first two words, and a name.
    pub(crate) fn judged(check: &Check, file: &str, answer: &str) -> Finding {
        check.judged(&Answer::Told(recorded(check, file, answer)))
    }

    pub(crate) fn recorded(check: &Check, file: &str, answer: &str) -> Value {
        let all: Value = serde_json::from_str(file).unwrap();
        let found = &all[check.ask[..2].join(" ")][answer];
        assert!(!found.is_null(), "no answer {answer} of {:?} is recorded", &check.ask[..2]);
        found.clone()
    }

    pub(crate) fn is_fine(finding: &Finding, part: &str) -> bool {
        matches!(finding, Finding::Fine(text) if text.contains(part))
    }

    pub(crate) fn is_mend(finding: &Finding, part: &str) -> bool {
        matches!(finding, Finding::Mend { what, how } if what.contains(part) && !how.is_empty())
    }
}
