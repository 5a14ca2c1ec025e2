//! The record of calls: each with its verdict, and the rights that functions used. Requests and answers are
//! not kept.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;

use super::call::{Call, CallName, Service};
use super::verdict::Verdict;
use crate::base::function::FunctionName;

/// The number of calls that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    All,
    Last(usize),
}

/// A call with its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub call: Call,
    /// The verdict; `None` while it is held, or when it was discarded there.
    pub verdict: Option<Verdict>,
    /// The service's status, if it was called and answered. A late call gets it when it is executed.
    pub effect: Option<u16>,
    /// The status that the function got.
    pub told: Option<u16>,
    /// The kinds of the items that the table answered.
    pub read: BTreeSet<String>,
}

/// A right that a function used, as an IAM policy names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Use {
    pub function: FunctionName,
    /// The action: `dynamodb:PutItem`, also within a transaction; `provider:POST /keys` for the provider.
    pub action: String,
    pub index: Option<String>,
}

pub(super) struct Records {
    keep: Keep,
    total: u64,
    calls: VecDeque<Recorded>,
    by_name: HashMap<CallName, u64>,
    by_function: HashMap<(FunctionName, CallName), u64>,
    uses: BTreeSet<Use>,
}

impl Records {
    pub(super) fn new(keep: Keep) -> Records {
        Records {
            keep,
            total: 0,
            calls: VecDeque::new(),
            by_name: HashMap::new(),
            by_function: HashMap::new(),
            uses: BTreeSet::new(),
        }
    }

    /// Numbers the call and records it.
    pub(super) fn arrive(&mut self, call: &mut Call) {
        self.total += 1;
        call.number = self.total;
        call.nth = count(&mut self.by_name, call.name.clone());
        call.nth_of_function = count(&mut self.by_function, (call.function, call.name.clone()));
        if call.nth_of_function == 1 || !call.shape.parts.is_empty() || call.shape.index.is_some() {
            self.note_uses(call);
        }
        self.calls.push_back(Recorded {
            call: call.clone(),
            verdict: None,
            effect: None,
            told: None,
            read: BTreeSet::new(),
        });
        if let Keep::Last(most) = self.keep {
            while self.calls.len() > most {
                self.calls.pop_front();
            }
        }
    }

    /// The record of a call, if it is still kept.
    pub(super) fn of(&mut self, number: u64) -> Option<&mut Recorded> {
        let first = self.calls.front()?.call.number;
        let place = usize::try_from(number.checked_sub(first)?).ok()?;
        self.calls.get_mut(place)
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        self.calls.iter().cloned().collect()
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn uses(&self) -> BTreeSet<Use> {
        self.uses.clone()
    }

    fn note_uses(&mut self, call: &Call) {
        let Call { function, name, shape, .. } = call;
        let mut note = |action: String| {
            self.uses.insert(Use { function: *function, action, index: shape.index.clone() });
        };
        if name.service == Service::DynamoDb && name.operation.starts_with("Transact") {
            for part in &shape.parts {
                note(format!("dynamodb:{}", part.action));
            }
        } else {
            note(name.to_string());
        }
    }
}

fn count<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u64>, key: K) -> u64 {
    let count = counts.entry(key).or_default();
    *count += 1;
    *count
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> ", self.call)?;
        match &self.verdict {
            Some(verdict) => write!(f, "{verdict}")?,
            None => write!(f, "held")?,
        }
        match (self.effect, self.told) {
            (Some(effect), Some(told)) if effect == told => write!(f, " ({effect})"),
            (effect, told) => {
                let text =
                    |status: Option<u16>| status.map_or_else(|| "nothing".to_owned(), |status| status.to_string());
                write!(f, " (the service said {}, the function heard {})", text(effect), text(told))
            }
        }
    }
}
