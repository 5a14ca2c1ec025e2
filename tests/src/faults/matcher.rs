//! The selection of calls that a rule or a hold is about.

use bursar_local::invoke::FunctionName;

use super::call::Call;

/// A set of calls: by name, optionally by function and instance, and by their turn since the matcher was set. Without a turn it is
/// only the next such call. A text is a matcher too: `"dynamodb:*"` is the next call of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    pattern: String,
    function: Option<FunctionName>,
    instance: Option<u32>,
    turn: Turn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Nth(u64),
    Next(u64),
    After(u64),
    Every,
}

impl Matcher {
    /// The next call of this name, or of a name that begins so: `provider:*`.
    pub fn call(pattern: &str) -> Matcher {
        Matcher { pattern: pattern.to_owned(), function: None, instance: None, turn: Turn::Nth(1) }
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
        self.function = Some(function);
        self.instance = Some(instance);
        self
    }

    /// Selects only the n-th such call from now, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Matcher {
        self.turn = Turn::Nth(n);
        self
    }

    /// Selects the next n such calls. AWS clients retry a failed call, so it takes four to exhaust the table's.
    #[must_use]
    pub fn next(mut self, n: u64) -> Matcher {
        self.turn = Turn::Next(n);
        self
    }

    /// Selects all such calls after the first n, until the rule is lifted.
    #[must_use]
    pub fn after(mut self, n: u64) -> Matcher {
        self.turn = Turn::After(n);
        self
    }

    /// Selects all such calls, until the rule is lifted.
    #[must_use]
    pub fn every(mut self) -> Matcher {
        self.turn = Turn::Every;
        self
    }

    /// Counts the call if it is such a call, and returns whether it is its turn.
    pub(super) fn takes(&self, call: &Call, seen: &mut u64) -> bool {
        let is_such = self.function.is_none_or(|function| function == call.function)
            && self.instance.is_none_or(|instance| instance == call.instance)
            && self.names(call);
        *seen += u64::from(is_such);
        is_such
            && match self.turn {
                Turn::Nth(n) => *seen == n,
                Turn::Next(n) => *seen <= n,
                Turn::After(n) => *seen > n,
                Turn::Every => true,
            }
    }

    /// A star at the end of the pattern stands for any rest.
    fn names(&self, call: &Call) -> bool {
        let name = call.name.to_string();
        self.pattern.strip_suffix('*').map_or(name == self.pattern, |beginning| name.starts_with(beginning))
    }

    /// Whether no call after the `seen`-th can be selected.
    pub(super) fn is_over(&self, seen: u64) -> bool {
        match self.turn {
            Turn::Nth(n) | Turn::Next(n) => seen >= n,
            Turn::After(_) | Turn::Every => false,
        }
    }
}

impl From<&str> for Matcher {
    fn from(pattern: &str) -> Matcher {
        Matcher::call(pattern)
    }
}
