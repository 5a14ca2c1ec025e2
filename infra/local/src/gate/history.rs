//! A history: the fault at each call of a run. It is a value that can be enumerated over a recorded run, drawn from a seed,
//! printed, read back and played again over the real handlers.

use std::fmt;
use std::str::FromStr;

use super::call::{Call, CallName};
use super::record::Recorded;
use super::verdict::Verdict;
use crate::invoke::FunctionName;

/// What becomes of one call, which is named so that another run of the same handlers finds it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub function: FunctionName,
    pub instance: u32,
    pub name: CallName,
    /// Among the calls of this name by this instance, from 1.
    pub nth: u64,
    /// How many such calls in a row come to this. A client that tries again makes more than one.
    pub times: u64,
    pub verdict: Verdict,
}

/// Steps in their order. Calls that no step names pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(pub Vec<Step>);

impl Step {
    pub fn new(call: &Call, verdict: Verdict) -> Step {
        Step {
            function: call.function,
            instance: call.instance,
            name: call.name.clone(),
            nth: call.nth_of_instance,
            times: 1,
            verdict,
        }
    }

    /// Whether this is the step of that call.
    pub fn is_of(&self, call: &Call) -> bool {
        self.function == call.function
            && self.instance == call.instance
            && self.name == call.name
            && (self.nth..self.nth.saturating_add(self.times)).contains(&call.nth_of_instance)
    }
}

impl History {
    /// Every history with one fault, over the calls of a run that went well.
    pub fn single_faults(run: &[Recorded]) -> Vec<History> {
        run.iter()
            .flat_map(|recorded| {
                let Call { name, shape, .. } = &recorded.call;
                Verdict::faults_of(name, shape)
                    .into_iter()
                    .map(|verdict| History(vec![Step::new(&recorded.call, verdict)]))
            })
            .collect()
    }

    /// A history with some faults at calls of that run, always the same for the same seed. What comes after a fault may
    /// differ from the run, so that a later step may find no call.
    pub fn random(seed: u64, run: &[Recorded], faults: usize) -> History {
        let mut dice = Dice::new(seed);
        let mut places: Vec<usize> = (0..run.len()).collect();
        while places.len() > faults {
            places.remove(dice.below(places.len()));
        }
        let steps = places.into_iter().filter_map(|place| {
            let call = &run.get(place)?.call;
            let mut faults = Verdict::faults_of(&call.name, &call.shape);
            let fault = faults.swap_remove(dice.below(faults.len()));
            Some(Step::new(call, fault))
        });
        History(steps.collect())
    }

    /// The same history with each fault at so many calls in a row: four outlast the retries of the table's client.
    #[must_use]
    pub fn persisting(mut self, times: u64) -> History {
        for step in &mut self.0 {
            step.times = times;
        }
        self
    }
}

/// Small and always the same for the same seed (splitmix64); not for secrets.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % (n.max(1) as u64)).unwrap_or_default()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}#{}", self.function, self.instance, self.name, self.nth)?;
        if self.times != 1 {
            write!(f, "x{}", self.times)?;
        }
        write!(f, " -> {}", self.verdict)
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Step, String> {
        let parse = || {
            let (call, verdict) = text.split_once(" -> ")?;
            let (who, call) = call.split_once(' ')?;
            let (function, instance) = who.split_once('/')?;
            let (name, nth) = call.rsplit_once('#')?;
            let (nth, times) = nth.split_once('x').unwrap_or((nth, "1"));
            Some(Step {
                function: function.parse().ok()?,
                instance: instance.parse().ok()?,
                name: name.parse().ok()?,
                nth: nth.parse().ok()?,
                times: times.parse().ok()?,
                verdict: verdict.parse().ok()?,
            })
        };
        parse()
            .ok_or_else(|| format!("`{text}` is no step, which is like: claim/1 provider:POST /keys#1 -> lose-answer"))
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            let between = if place == 0 { "" } else { "; " };
            write!(f, "{between}{step}")?;
        }
        Ok(())
    }
}

impl FromStr for History {
    type Err = String;

    /// Steps are separated by semicolons or lines.
    fn from_str(text: &str) -> Result<History, String> {
        let steps = text.split([';', '\n']).map(str::trim).filter(|step| !step.is_empty());
        steps.map(Step::from_str).collect::<Result<_, _>>().map(History)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::call::Shape;

    fn recorded(names: &[&str]) -> Vec<Recorded> {
        let call = |(place, name): (usize, &&str)| Call {
            number: place as u64 + 1,
            function: FunctionName::Claim,
            instance: 1,
            name: name.parse().unwrap(),
            nth: 1,
            nth_of_function: 1,
            nth_of_instance: 1,
            shape: Shape::default(),
        };
        let record = |call| Recorded { call, verdict: Some(Verdict::Pass), effect: Some(200), told: Some(200) };
        names.iter().enumerate().map(call).map(record).collect()
    }

    #[test]
    fn a_history_is_read_back_from_what_was_printed() {
        let text = "claim/1 dynamodb:TransactWriteItems#2x4 -> status-500; console/12 provider:POST /keys#1 -> \
                    late-lost@provider:GET /keys";
        let history: History = text.parse().unwrap();
        assert_eq!(history.to_string(), text);
        assert_eq!(text.replace("; ", "\n").parse(), Ok(history));
        for text in ["claim provider:POST /keys#1 -> pass", "claim/1 x#1 -> pass", "claim/1 ses:A#1 pass"] {
            assert!(text.parse::<History>().is_err(), "{text}");
        }
    }

    #[test]
    fn single_faults_are_every_fault_of_every_call_once() {
        let run = recorded(&["dynamodb:Query", "provider:POST /keys"]);
        let histories = History::single_faults(&run);
        let expected: usize =
            run.iter().map(|recorded| Verdict::faults_of(&recorded.call.name, &recorded.call.shape).len()).sum();
        assert_eq!(histories.len(), expected);
        let mut texts: Vec<String> = histories.iter().map(ToString::to_string).collect();
        texts.dedup();
        assert_eq!(texts.len(), expected);
        assert!(texts.contains(&"claim/1 provider:POST /keys#1 -> late-lost".to_owned()));
    }

    #[test]
    fn a_seed_draws_the_same_history_again_and_another_seed_another() {
        let run = recorded(&["dynamodb:GetItem", "dynamodb:Query", "provider:POST /keys", "ses:SendRawEmail"]);
        let drawn: Vec<String> = (0..50).map(|seed| History::random(seed, &run, 2).to_string()).collect();
        let again: Vec<String> = (0..50).map(|seed| History::random(seed, &run, 2).to_string()).collect();
        assert_eq!(drawn, again);
        assert!(drawn.iter().all(|text| text.parse::<History>().unwrap().0.len() == 2));
        let different: std::collections::BTreeSet<&String> = drawn.iter().collect();
        assert!(different.len() > 40, "{}", different.len());
        assert_eq!(History::random(1, &[], 2), History::default());
    }
}
