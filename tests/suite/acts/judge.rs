//! Whether the outcome of an act is one that the rules allow, and happened once.

use std::collections::BTreeSet;

use bursar_local::gate::Recorded;
use jiff::Timestamp;

use super::act::{Act, Ended};
use super::legal::Legal;
use super::world::World;

/// An act that ran, with what is known of it.
pub(super) struct Ran<'a> {
    pub(super) act: &'a Act,
    pub(super) now: Timestamp,
    pub(super) ended: &'a Ended,
    /// The act's own calls.
    pub(super) calls: &'a [Recorded],
    /// Whether the act met a fault, so that it need not know its outcome.
    pub(super) faulted: bool,
}

impl Ran<'_> {
    /// Judges an act between two moments without any other write between them. `seen` are the moments that it
    /// may have read.
    pub(super) fn judge(&self, before: &World, after: &World, seen: &[&World]) -> Result<(), String> {
        let said = match self.ended {
            Ended::Said(said, _) => Some(said),
            Ended::Failed(_) | Ended::Killed if self.faulted => None,
            Ended::Failed(why) => return Err(format!("nothing was done to it, and it failed: {why}")),
            Ended::Killed => return Err("nothing was done to it, and it was killed".to_owned()),
        };
        let mut legal = self.legal(before, seen);
        // The refusal of an act that wrote nothing may have been true at any moment that it may have read.
        let refused = seen.iter().flat_map(|moment| self.act.on(moment, seen, self.now));
        legal.extend(refused.filter(|legal| legal.after.is_none()));
        let unchanged = after.is_like(before);
        let fitting: Vec<&Legal> =
            legal.iter().filter(|legal| legal.after.as_ref().map_or(unchanged, |legal| legal.is_like(after))).collect();
        // With its answers lost, an act that wrote may be killed before it answers, and one that did not may be
        // killed too.
        let undone = unchanged && said.is_none();
        if fitting.is_empty() && !undone {
            let expected = legal.iter().map(|legal| {
                let difference = legal.after.as_ref().unwrap_or(before).against(after);
                format!("    the rules say {:?}, then the table differs:\n{difference}", legal.said)
            });
            let expected: Vec<String> = expected.collect();
            return Err(format!("it ended {:?}\n{}", self.ended, expected.join("\n")));
        }
        if let Some(said) = said {
            let said = after.plainly(said);
            let fits = |legal: &&Legal| legal.after.as_ref().unwrap_or(before).plainly(&legal.said) == said;
            let denies = self.faulted && self.act.may_deny().as_ref() == Some(&said);
            if !fitting.iter().any(fits) && !denies {
                let expected: Vec<&str> = fitting.iter().map(|legal| legal.said.as_str()).collect();
                return Err(format!("it said {said:?}, the rules say {expected:?}"));
            }
        }
        self.agrees_with_the_calls(before, after)
    }

    /// The recorded calls show independently whether the table took the act's write.
    fn agrees_with_the_calls(&self, before: &World, after: &World) -> Result<(), String> {
        let wrote = self.writes() > 0;
        let changed = !after.is_like(before);
        // A renewal to the same moment changes nothing.
        if wrote == changed || (wrote && !self.act.is_witnessed()) {
            return Ok(());
        }
        Err(format!("the table took {} of its writes, and it changed: {changed}", self.writes()))
    }

    /// The number of its writes that the table took.
    fn writes(&self) -> usize {
        let taken = self
            .calls
            .iter()
            .filter(|recorded| recorded.effect == Some(200) && recorded.call.name.to_string() == self.act.write());
        taken.count()
    }

    fn legal(&self, before: &World, seen: &[&World]) -> Vec<Legal> {
        let mut legal = self.act.on(before, seen, self.now);
        // A lease that is acquired again, since the answer was lost, has a higher fence each time.
        if let Act::Acquire(_) = self.act {
            for _ in 1..self.writes() {
                let again =
                    legal.last().and_then(|last| last.after.clone()).map(|last| self.act.on(&last, &[&last], self.now));
                legal = again.unwrap_or(legal);
            }
        }
        legal
    }
}

#[cfg(test)]
mod tests {
    use bursar_core::domain::programme::Pot;
    use bursar_core::domain::values::money::Usd;
    use bursar_local::gate::{Call, Shape, Verdict};
    use bursar_local::invoke::FunctionName;

    use super::*;
    use crate::acts::act::programme;
    use crate::acts::kinds::Kind;
    use crate::acts::settings::{Setting, ada, bob};

    #[test]
    fn whatever_the_rules_do_not_say_is_named() {
        type Lie = fn(&mut World);
        let lies: [(&str, Lie); 8] = [
            ("gives back instead of taking", |world| pot(world).reserved = Usd::from_dollars(-20)),
            ("takes nothing", |world| pot(world).reserved = Usd::ZERO),
            ("takes unseen by who counts", |world| pot(world).version -= 1),
            ("tells nobody", |world| drop(world.entries.pop())),
            ("tells twice", |world| world.tell(world.entries.last().unwrap().clone())),
            ("forgets its attempt", |world| drop(world.grants.get_mut(&ada()).unwrap().attempts.pop())),
            ("leaves the version", |world| world.grants.get_mut(&ada()).unwrap().version -= 1),
            ("touches somebody else", |world| world.grants.get_mut(&bob()).unwrap().allowed += 1),
        ];
        let (before, now) = Setting::Invited.world();
        let act = Kind::Reveal.seeing(&before, now).unwrap();
        let Legal { said, after, begun } = act.on(&before, &[&before], now).remove(0);
        let (after, told) = (after.unwrap(), Ended::Said(said, begun));
        let wrote = [write(&act)];
        let judge = |ended: &Ended, calls: &[Recorded], after: &World| {
            Ran { act: &act, now, ended, calls, faulted: false }.judge(&before, after, &[&before])
        };
        assert_eq!(judge(&told, &wrote, &after), Ok(()));
        for (name, lie) in lies {
            let mut otherwise = after.clone();
            lie(&mut otherwise);
            assert!(judge(&told, &wrote, &otherwise).is_err(), "{name}");
        }
        let refused = Ended::Said("refused: PotExhausted".to_owned(), None);
        assert!(judge(&refused, &wrote, &after).is_err(), "done, and told that it was refused");
        assert!(judge(&told, &[], &before).is_err(), "told that it was done, and nothing was");
        assert!(judge(&told, &[], &after).is_err(), "done by somebody else");
        assert!(judge(&told, &[wrote.clone(), wrote].concat(), &before).is_err(), "undone again");
        assert!(judge(&Ended::Failed("why".to_owned()), &[], &before).is_err(), "failed for no reason");
    }

    fn pot(world: &mut World) -> &mut Pot {
        world.pots.get_mut(&programme()).unwrap()
    }

    fn write(act: &Act) -> Recorded {
        let call = Call {
            number: 1,
            function: FunctionName::Claim,
            instance: 1,
            name: act.write().parse().unwrap(),
            nth: 1,
            nth_of_function: 1,
            nth_of_instance: 1,
            shape: Shape::default(),
        };
        let read = BTreeSet::new();
        Recorded { call, verdict: Some(Verdict::Pass), effect: Some(200), told: Some(200), read, units: None }
    }
}
