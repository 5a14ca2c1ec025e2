//! The selection of calls that a rule or a hold is about.

use std::ops::RangeInclusive;

use bursar_local::invoke::FunctionName;

use super::call::Call;

/// A set of calls: by name, optionally by function and instance, and by their turn since the
/// matcher was set. Without a turn it is only the next such call. A text is a matcher too:
/// `"dynamodb:*"` is the next call of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    pattern: String,
    function: Option<FunctionName>,
    instance: Option<u32>,
    /// The beginning of the key of a partition, of which one item is a part of the call.
    partition: Option<&'static str>,
    turns: RangeInclusive<u64>,
}

impl Matcher {
    /// The next call of this name, or of a name that begins so: `provider:*`.
    pub fn call(pattern: &str) -> Matcher {
        Matcher {
            pattern: pattern.to_owned(),
            function: None,
            instance: None,
            partition: None,
            turns: 1..=1,
        }
    }

    /// Restricts it to calls of this function.
    #[must_use]
    pub fn of(mut self, function: FunctionName) -> Matcher {
        self.function = Some(function);
        self
    }

    /// Restricts it to calls of this instance of this function.
    #[must_use]
    pub fn of_instance(mut self, function: FunctionName, instance: u32) -> Matcher {
        self.instance = Some(instance);
        self.of(function)
    }

    /// Restricts it to calls of the table with an item in such a partition: `O#` is a mail that is
    /// queued.
    #[must_use]
    pub fn on(mut self, partition: &'static str) -> Matcher {
        self.partition = Some(partition);
        self
    }

    /// Selects only the n-th such call from now, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Matcher {
        self.turns = n..=n;
        self
    }

    /// Selects the next n such calls. AWS clients retry a failed call, so it takes four to exhaust
    /// the table's.
    #[must_use]
    pub fn next(mut self, n: u64) -> Matcher {
        self.turns = 1..=n;
        self
    }

    /// Selects all such calls after the first n, until the rule is lifted.
    #[must_use]
    pub fn after(mut self, n: u64) -> Matcher {
        self.turns = n + 1..=u64::MAX;
        self
    }

    /// Selects all such calls, until the rule is lifted.
    #[must_use]
    pub fn every(self) -> Matcher {
        self.after(0)
    }

    /// Counts the call if it is such a call, and returns whether it is its turn.
    pub(super) fn takes(&self, call: &Call, seen: &mut u64) -> bool {
        let is_such = self
            .function
            .is_none_or(|function| function == call.function)
            && self
                .instance
                .is_none_or(|instance| instance == call.instance)
            && self
                .partition
                .is_none_or(|partition| call.parts.iter().any(|part| part.partition == partition))
            && self.names(call);
        *seen += u64::from(is_such);
        is_such && self.turns.contains(seen)
    }

    /// A star at the end of the pattern stands for any rest.
    fn names(&self, call: &Call) -> bool {
        let name = call.name.to_string();
        self.pattern
            .strip_suffix('*')
            .map_or(name == self.pattern, |beginning| {
                name.starts_with(beginning)
            })
    }

    /// Whether no call after the `seen`-th can be selected.
    pub(super) fn is_over(&self, seen: u64) -> bool {
        seen >= *self.turns.end()
    }
}

impl From<&str> for Matcher {
    fn from(pattern: &str) -> Matcher {
        Matcher::call(pattern)
    }
}
