//! The selection of calls that a rule or a hold is about.

use std::fmt;

use bursar_local::invoke::FunctionName;

use super::call::Call;

/// A set of calls: by name, optionally by function and instance, and by their turn since the matcher was
/// set.
///
/// `Matcher::call("provider:POST /keys").of(FunctionName::Claim).nth(2)`. Without a turn it is only the
/// next such call. A text is a matcher too: `"dynamodb:*"` is the next call of the table.
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
    /// The next call whose name matches `pattern`, in which `*` stands for any text.
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

    /// Selects the next n such calls. AWS clients retry a failed call, so it takes four to exhaust the
    /// table's.
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
            && name_matches(&self.pattern, call);
        *seen += u64::from(is_such);
        is_such
            && match self.turn {
                Turn::Nth(n) => *seen == n,
                Turn::Next(n) => *seen <= n,
                Turn::After(n) => *seen > n,
                Turn::Every => true,
            }
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

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(function) = self.function {
            write!(f, "{function}")?;
            if let Some(instance) = self.instance {
                write!(f, "/{instance}")?;
            }
            write!(f, " ")?;
        }
        write!(f, "{}", self.pattern)?;
        match self.turn {
            Turn::Nth(1) => write!(f, ", the next"),
            Turn::Nth(n) => write!(f, ", number {n} from then"),
            Turn::Next(n) => write!(f, ", the next {n}"),
            Turn::After(n) => write!(f, ", all after the next {n}"),
            Turn::Every => write!(f, ", every"),
        }
    }
}

/// Compares without building the name, since this runs for every call.
fn name_matches(pattern: &str, call: &Call) -> bool {
    if pattern == "*" {
        return true;
    }
    let Some((service, operation)) = pattern.split_once(':') else {
        return false;
    };
    glob(service, call.name.service.as_str()) && glob(operation, &call.name.operation)
}

fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    loop {
        if glob(rest, text) {
            return true;
        }
        let mut chars = text.chars();
        if chars.next().is_none() {
            return false;
        }
        text = chars.as_str();
    }
}
