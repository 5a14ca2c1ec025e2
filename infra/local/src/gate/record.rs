//! The record of calls, each with its verdict. Requests and answers are not kept.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;

use super::call::{Call, CallName};
use super::verdict::Verdict;
use crate::base::function::FunctionName;

/// The number of calls that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    All,
    Last(usize),
}

/// A call with its result.
#[derive(Debug, Clone, PartialEq)]
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
    /// The request units that the table billed it with, if they are counted.
    pub units: Option<f64>,
}

pub(super) struct Records {
    keep: Keep,
    total: u64,
    calls: VecDeque<Recorded>,
    by_name: HashMap<CallName, u64>,
    by_function: HashMap<(FunctionName, CallName), u64>,
}

impl Records {
    pub(super) fn new(keep: Keep) -> Records {
        Records { keep, total: 0, calls: VecDeque::new(), by_name: HashMap::new(), by_function: HashMap::new() }
    }

    /// Numbers the call and records it.
    pub(super) fn arrive(&mut self, call: &mut Call) {
        self.total += 1;
        call.number = self.total;
        call.nth = count(&mut self.by_name, call.name.clone());
        call.nth_of_function = count(&mut self.by_function, (call.function, call.name.clone()));
        self.calls.push_back(Recorded {
            call: call.clone(),
            verdict: None,
            effect: None,
            told: None,
            read: BTreeSet::new(),
            units: None,
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
