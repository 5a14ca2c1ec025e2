//! The journal of a run, to which every stage only adds: problems, and everything that keeps the run from
//! being complete.

use crate::prelude::*;

/// The most problems in a report, which must fit into one item.
const MOST_PROBLEMS: usize = 200;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Journal {
    problems: Vec<String>,
    is_undone: bool,
    is_broken_off: bool,
    key_refused: Option<Cause>,
}

impl Journal {
    /// Adds a problem. Beyond the bound, later ones are dropped.
    pub(crate) fn problem(&mut self, what: impl Into<String>) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(what.into());
        }
    }

    pub(crate) fn problems_of(&mut self, all: impl IntoIterator<Item = String>) {
        all.into_iter().for_each(|problem| self.problem(problem));
    }

    /// Puts a problem before all others.
    pub(crate) fn first_problem(&mut self, what: String) {
        self.problems.insert(0, what);
        self.problems.truncate(MOST_PROBLEMS);
    }

    /// Adds something that was to be done and was not.
    pub(crate) fn undone(&mut self, what: String, error: Option<&ProviderError>) {
        if let Some(error) = error {
            self.note_refusal(error);
        }
        self.is_undone = true;
        self.problem(what);
    }

    /// Adds the reason for which the run ends before its last stage.
    pub(crate) fn break_off(&mut self, why: String) {
        self.is_broken_off = true;
        self.problem(why);
    }

    /// Records an error's problem with the management key, unless one is recorded.
    pub(crate) fn note_refusal(&mut self, error: &ProviderError) {
        self.key_refused = self.key_refused.take().or_else(|| error.refusal());
    }

    /// Records a problem with the management key.
    pub(crate) fn refuse(&mut self, cause: Cause) {
        self.key_refused = Some(cause);
    }

    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Whether something that was to be done was not.
    pub(crate) fn is_undone(&self) -> bool {
        self.is_undone
    }

    pub(crate) fn is_broken_off(&self) -> bool {
        self.is_broken_off
    }

    /// The problem with the management key.
    pub(crate) fn key_refused(&self) -> Option<&Cause> {
        self.key_refused.as_ref()
    }
}
