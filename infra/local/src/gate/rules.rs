//! The rules in force: the calls of each, how many it has seen, and its verdict.

use std::fmt;

use super::call::Call;
use super::history::Step;
use super::matcher::Matcher;
use super::verdict::Verdict;

#[derive(Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    /// What was lifted before any call met it.
    lifted_unmet: Vec<String>,
    last_id: u64,
}

struct Rule {
    id: u64,
    wanted: Wanted,
    verdict: Verdict,
    seen: u64,
    fired: bool,
}

enum Wanted {
    Calls(Matcher),
    One(Step),
}

impl Rules {
    pub(super) fn add(&mut self, matcher: Matcher, verdict: Verdict) -> u64 {
        self.push_rule(Wanted::Calls(matcher), verdict)
    }

    pub(super) fn add_step(&mut self, step: Step) -> u64 {
        let verdict = step.verdict.clone();
        self.push_rule(Wanted::One(step), verdict)
    }

    pub(super) fn remove(&mut self, id: u64) {
        let lifted = self.rules.extract_if(.., |rule| rule.id == id);
        self.lifted_unmet.extend(lifted.filter(|rule| !rule.fired).map(|rule| rule.to_string()));
    }

    pub(super) fn unfired(&self) -> Vec<String> {
        let unfired = self.rules.iter().filter(|rule| !rule.fired).map(Rule::to_string);
        self.lifted_unmet.iter().cloned().chain(unfired).collect()
    }

    fn push_rule(&mut self, wanted: Wanted, verdict: Verdict) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        self.rules.push(Rule { id, wanted, verdict, seen: 0, fired: false });
        id
    }

    /// The verdict on a call: every rule counts it, and the first one whose turn it is decides.
    pub(super) fn decide(&mut self, call: &Call) -> Option<Verdict> {
        let mut verdict = None;
        for rule in &mut self.rules {
            if rule.counts(call) && verdict.is_none() {
                rule.fired = true;
                verdict = Some(rule.verdict.clone());
            }
        }
        self.rules.retain(|rule| !(rule.fired && rule.is_over()));
        verdict
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wanted {
            Wanted::Calls(matcher) => write!(f, "{matcher} -> {}", self.verdict),
            Wanted::One(step) => step.fmt(f),
        }
    }
}

impl Rule {
    /// Counts the call if the rule is about it, and returns whether it is its turn. A call that the verdict
    /// does not fit is not counted.
    fn counts(&mut self, call: &Call) -> bool {
        if !self.verdict.fits(&call.name, &call.shape) {
            return false;
        }
        match &self.wanted {
            Wanted::Calls(matcher) => {
                if !matcher.is_about(call) {
                    return false;
                }
                self.seen += 1;
                matcher.is_turn(self.seen)
            }
            Wanted::One(step) => {
                let of = step.is_of(call);
                self.seen += u64::from(of);
                of
            }
        }
    }

    fn is_over(&self) -> bool {
        match &self.wanted {
            Wanted::Calls(matcher) => matcher.is_over(self.seen),
            Wanted::One(step) => self.seen >= step.times,
        }
    }
}
