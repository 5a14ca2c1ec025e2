//! From every state that acts lead to, a few requests, syncs or turns of a window lead to a key
//! that is shown. The states are found by walking from an invitation.

use std::collections::VecDeque;
use std::sync::Arc;

use super::*;

const DEPTH: usize = 4;
/// The most steps that a way out may take.
const MOST_STEPS: usize = 4;

/// An enum, and all of its values.
macro_rules! each {
    ($(#[$doc:meta])* $name:ident $all:ident: $($value:ident)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum $name { $($value),* }

        const $all: &[$name] = &[$($name::$value),*];
    };
}

each! {
    Happens HAPPENS: Claimed HandlerDied Refused NotRetired Paused Dropped Disused Leaked TooOld HandedBack SpentAll CapLowered
    DisabledThere NotFound Gone HalfResumed RestrictedReplacements RestrictedModels Synced
}

each! {
    Step STEPS: Press Resume FacultyResumes NamedAgain Allow RaiseCap Sync WindowTurns
}

fn kind(story: &Story) -> KeyRequestKind {
    if story.view.grant.stage.has_claimed() {
        KeyRequestKind::Replace
    } else {
        KeyRequestKind::Reveal
    }
}

/// The key of the next claim.
fn next_key(story: &Story) -> char {
    char::from_digit((story.view.grant.epoch.number() + 1) % 16, 16).unwrap()
}

impl Story {
    fn done<R>(&mut self, change: Result<Change, R>) -> Option<()> {
        self.apply(change.ok()?);
        Some(())
    }

    fn happens(&mut self, what: Happens) -> Option<()> {
        self.now += 1.hour();
        let view = self.view.clone();
        let now = self.now;
        let live = view
            .grant
            .live()
            .map(|live| (live.epoch, live.hash.clone()));
        match what {
            Happens::Claimed => self.press_whole().then_some(()),
            Happens::HandlerDied => {
                let change = self.press(kind(self)).map(|(change, _)| change);
                self.done(change)
            }
            Happens::Refused | Happens::NotRetired => {
                let (change, begun) = self.press(kind(self)).ok()?;
                self.apply(change);
                if what != Happens::NotRetired {
                    self.settle_off();
                }
                self.done(self.view.give_up(&begun, None, "failed", now))
            }
            Happens::Paused => self.done(view.hold(HoldKind::Paused, &faculty(), None, now)),
            Happens::Dropped => self.done(view.hold(HoldKind::Dropped, &faculty(), None, now)),
            Happens::Disused => self.done(view.hold(HoldKind::Unused, &Actor::Rule, None, now)),
            Happens::Leaked => self.done(view.stop(Stopped::Leaked, &Actor::Student)),
            Happens::TooOld => self.done(view.stop(Stopped::TooOld, &Actor::Rule)),
            Happens::HandedBack => self.done(view.hand_back(view.grant.epoch)),
            Happens::SpentAll => {
                let (epoch, _) = live?;
                let left = view.grant.cap(&view.programme.settings) - view.spending(now).in_window;
                let basis = view.programme.settings.basis;
                let used = view
                    .reading(epoch)
                    .map_or(Usd::ZERO, |reading| reading.used.in_window(basis, now));
                let used = used + left.or_zero();
                self.read(epoch.number(), used.micros());
                Some(())
            }
            Happens::CapLowered => self.done(view.set_cap(Some(Usd::CENT), &faculty(), None, now)),
            Happens::DisabledThere => {
                let (_, key) = live?;
                self.done(view.record_disabled(view.grant.version, &key, now, false, now))
            }
            Happens::NotFound => {
                let (_, key) = live?;
                self.done(view.not_found(&key, now))
            }
            Happens::Gone => {
                let (_, key) = live?;
                self.done(view.not_found(&key, now))?;
                self.now += 2.hours();
                self.done(self.view.record_gone(&key, self.now))
            }
            Happens::HalfResumed => {
                self.done(view.hold(HoldKind::Paused, &faculty(), None, now))?;
                self.done(self.view.release(HoldKind::Paused, &faculty(), now))?;
                self.done(
                    self.view
                        .with_note(&self.view.calls(now).into_iter().next()?, now),
                )
            }
            Happens::RestrictedReplacements => {
                let is_news = view.programme.settings.claims.replacements > 0;
                self.view.settings_mut().claims.replacements = 0;
                is_news.then_some(())
            }
            Happens::RestrictedModels => {
                let is_news = view.programme.settings.rules.all.models.is_empty();
                self.view.settings_mut().rules.all.models = vec!["openai/gpt-4o-mini".to_owned()];
                let wanted = self.view.guardrail_wanted();
                Arc::make_mut(&mut self.view.guardrails).extend(wanted.map(|of| made(&of)));
                is_news.then_some(())
            }
            Happens::Synced => {
                self.sync();
                Some(())
            }
        }
    }

    /// One step of a way out; true if it shows a key.
    fn step(&mut self, step: Step) -> bool {
        self.now += 15.minutes();
        let view = self.view.clone();
        let now = self.now;
        match step {
            Step::Press => return self.press_whole(),
            Step::Resume => drop(self.done(view.release(HoldKind::Unused, &Actor::Student, now))),
            Step::FacultyResumes => {
                self.done(view.release(HoldKind::Paused, &faculty(), now));
            }
            Step::NamedAgain => drop(self.done(view.release(HoldKind::Dropped, &faculty(), now))),
            Step::Allow => drop(self.done(view.allow(&faculty()))),
            Step::RaiseCap => {
                let more = view.grant.cap(&view.programme.settings) + Usd::from_dollars(30);
                self.done(view.set_cap(Some(more), &faculty(), None, now));
            }
            Step::Sync => self.sync(),
            Step::WindowTurns => {
                self.now = view
                    .programme
                    .settings
                    .basis
                    .reset
                    .resets_at(now)
                    .unwrap_or(now);
            }
        }
        self.settle(|_| true);
        false
    }

    /// A request without obstacles: begun, retired, made, recorded, shown.
    fn press_whole(&mut self) -> bool {
        let Ok((change, begun)) = self.press(kind(self)) else {
            return false;
        };
        let before = self.clone();
        self.apply(change);
        // A second answer that a key is not known is believed.
        let missing: Vec<KeyHash> = self
            .view
            .grant
            .keys
            .iter()
            .filter(|of| of.is_missing())
            .map(|of| of.hash.clone())
            .collect();
        for key in missing {
            if self.done(self.view.record_gone(&key, self.now)).is_none() {
                *self = before;
                return false;
            }
        }
        self.settle_off();
        let Some(limit) = self.view.next_limit(self.now) else {
            return false;
        };
        let minted = MintedKey {
            limit,
            guardrail: self.guardrail(),
            ..minted(next_key(&before))
        };
        match self.view.record(&begun, &minted, self.now) {
            Ok(change) => {
                self.apply(change);
            }
            Err(_) => return false,
        }
        true
    }

    fn sync(&mut self) {
        self.now += 24.hours();
        self.settle(|_| true);
        self.done(self.view.give_back_reservation(self.now));
        self.view.budget_mut().counted_at = Some(self.now);
        self.view.budget_mut().reserved = self.view.reservation().cost(self.now);
    }

    /// The parts by which states differ: all but ids, times and amounts.
    fn shape(&self) -> String {
        let grant = &self.view.grant;
        let keys = grant.keys.iter().rev().take(2).map(|key| {
            let on = [true, false].map(|on| key.enabled.may_be(&on));
            let read = key.final_reading.is_some();
            format!(
                "{} {on:?} {read} {} {:?}",
                key.shown_at.is_some(),
                key.is_missing(),
                key.gone
            )
        });
        let keys: Vec<String> = keys.collect();
        let left = self.view.next_limit(self.now).is_some();
        let all = (
            grant.replacements.min(1),
            grant.has_reservation,
            self.view.programme.settings.claims.replacements,
            left,
        );
        let lease = grant.is_being_made(self.now);
        format!(
            "{grant} {lease} {keys:?} {all:?} {}",
            grant.keys.len().min(3)
        )
    }

    fn has_way_out(&self) -> bool {
        let mut ways = VecDeque::from([(self.clone(), 1)]);
        while let Some((story, steps)) = ways.pop_front() {
            for step in STEPS {
                let mut next = story.clone();
                if next.step(*step) {
                    return true;
                }
                if steps < MOST_STEPS {
                    ways.push_back((next, steps + 1));
                }
            }
        }
        false
    }
}

/// Every state that acts lead to allows a key to be shown after a few presses, syncs or window
/// turns.
#[test]
fn every_state_leads_to_a_key() {
    let mut count = 0;
    for reset in [Reset::None, Reset::Daily] {
        let mut first = Story::new();
        first.view.settings_mut().basis.reset = reset;
        first.view.budget_mut().limit = Usd::from_dollars(100_000);
        let mut seen = BTreeSet::from([first.shape()]);
        let mut states = VecDeque::from([(first, Vec::new())]);
        while let Some((story, came)) = states.pop_front() {
            assert!(
                story.has_way_out(),
                "{reset:?}: no way out of {came:?}: {}",
                story.shape()
            );
            count += 1;
            for happens in HAPPENS.iter().copied().filter(|_| came.len() < DEPTH) {
                let mut next = story.clone();
                if next.happens(happens).is_some() && seen.insert(next.shape()) {
                    let came: Vec<Happens> = came.iter().copied().chain([happens]).collect();
                    states.push_back((next, came));
                }
            }
        }
    }
    assert!(count > 200, "{count} states");
}
