//! Drawn histories of a grant whose calls are lost, late, or refused and done all the same, beside a provider that does them: no two shown keys work at once, what
//! they can spend is reserved, and in the end the provider holds what is wanted.

use proptest::prelude::*;

use super::*;

/// A key at the provider.
#[derive(Debug, Clone, Copy)]
struct KeyThere {
    on: bool,
    limit: i64,
    used: i64,
    shown: bool,
}

#[derive(Debug, Clone)]
enum Event {
    /// The provider does a call, and answers it.
    Done(KeyCall, Option<Moment>),
    Answer(KeyCall, Moment, i64),
    Listed(u32, SeenKey, i64),
}

#[derive(Debug, Clone)]
enum Step {
    Pause,
    Resume,
    Drop,
    Return,
    Disuse,
    Leak,
    HandBack,
    Revoke,
    Cap(i32),
    Claim {
        is_heard: bool,
    },
    Spend(i64),
    /// What becomes of each call.
    Settle(Vec<Fate>),
    List(i64),
    Count,
    Pass(i64),
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    /// No answer or an error, which says as little, and nothing is done.
    Lost,
    /// The same, and it is done so late.
    Late(i64),
    Answered(i64),
}

#[derive(Clone)]
struct World {
    story: Story,
    there: BTreeMap<u32, KeyThere>,
    events: Vec<(Moment, Event)>,
}

fn key_of(epoch: u32) -> KeyHash {
    format!("{epoch:064x}").parse().unwrap()
}

impl World {
    fn does<R>(&mut self, change: Result<Change, R>) {
        if let Ok(change) = change {
            self.story.apply(change);
        }
    }

    fn is_read(&mut self, epoch: u32, used: i64) {
        let known = self.story.view.reading(Epoch::new(epoch)).map_or(0, |known| known.lifetime().micros());
        self.story.reading(epoch, used.max(known));
    }

    fn pass(&mut self, seconds: i64) {
        let until = self.story.now + seconds.seconds();
        loop {
            let next =
                (0..self.events.len()).filter(|at| self.events[*at].0 <= until).min_by_key(|at| self.events[*at].0);
            let Some(next) = next else { break };
            let (at, event) = self.events.remove(next);
            self.story.now = at.max(self.story.now);
            self.happens(event);
            self.check();
        }
        self.story.now = until;
    }

    fn happens(&mut self, event: Event) {
        let now = self.story.now;
        match event {
            Event::Done(call, noted) => {
                let key = self.there.get_mut(&call.epoch.number()).unwrap();
                match &call.tell {
                    Tell::Off => key.on = false,
                    Tell::On => key.on = true,
                    Tell::Limit(limit) => key.limit = limit.micros(),
                    Tell::Guardrail(_) | Tell::Read => {}
                }
                let used = key.used;
                let answer = noted.map(|noted| (now + 1.second(), Event::Answer(call, noted, used)));
                self.events.extend(answer);
            }
            Event::Answer(call, noted, used) => {
                self.is_read(call.epoch.number(), used);
                self.does(self.story.view.answered(&call, read_answer(noted), now));
            }
            Event::Listed(epoch, shows, used) => {
                self.is_read(epoch, used);
                let (view, key) = (self.story.view.clone(), key_of(epoch));
                let stopped = view.found_disabled(view.grant.version, &key, shows.asked, false, now);
                assert!(shows.enabled || stopped.is_err(), "a call of ours is taken for another hand's");
                self.does(view.seen(&key, &shows, now));
            }
        }
    }

    /// Makes the calls that are due; each has its fate.
    fn settle(&mut self, fates: &[Fate]) {
        for fate in fates {
            let now = self.story.now;
            let Some(call) = self.story.view.calls(now).into_iter().find(|call| call.due <= now) else { return };
            if call.tell == Tell::Read {
                let used = self.there[&call.epoch.number()].used;
                self.is_read(call.epoch.number(), used);
                self.does(self.story.view.answered(&call, read_answer(now), now));
                continue;
            }
            self.story.apply(self.story.view.noting(&call, now).unwrap());
            match *fate {
                Fate::Lost => {}
                Fate::Late(seconds) => self.events.push((now + seconds.seconds(), Event::Done(call, None))),
                Fate::Answered(seconds) => {
                    self.events.push((now + seconds.seconds(), Event::Done(call, Some(now))));
                    self.pass(seconds + 1);
                }
            }
        }
    }

    /// A claim whose calls are answered; its disables are not, unless it is heard.
    fn claim(&mut self, is_heard: bool) {
        let kind = if self.story.view.grant.ever_shown { KeyRequestKind::Replace } else { KeyRequestKind::Reveal };
        let Ok((change, begun)) = self.story.press(kind) else { return };
        self.story.apply(change);
        self.settle(&[if is_heard { Fate::Answered(0) } else { Fate::Late(50) }; 3]);
        let (now, grant) = (self.story.now, self.story.view.grant.clone());
        let mut older = grant.keys.iter().filter(|of| of.shown_at.is_some());
        if !older.all(|of| of.on.is(&false)) {
            return self.does(self.story.view.give_up(&begun, None, "not retired", now));
        }
        for of in &grant.keys {
            if let Some(used) = self.there.get(&of.epoch.number()).map(|there| there.used) {
                self.is_read(of.epoch.number(), used);
            }
        }
        let (epoch, limit) = (begun.epoch.number(), self.story.view.next_limit(now));
        let Some(limit) = limit else {
            return self.does(self.story.view.give_up(&begun, None, "nothing left", now));
        };
        self.there.insert(epoch, KeyThere { on: true, limit: limit.micros(), used: 0, shown: false });
        self.pass(2);
        let (now, key) = (self.story.now, key_of(epoch));
        let minted = MintedKey { hash: key, limit, guardrail: None, expires_at: None };
        match self.story.view.record(&begun, &minted, now) {
            Ok(change) => {
                self.story.apply(change);
                self.there.get_mut(&epoch).unwrap().shown = true;
            }
            Err(_) => self.does(self.story.view.give_up(&begun, Some(&minted), "held", now)),
        }
    }

    fn takes(&mut self, step: &Step) {
        let (view, now) = (self.story.view.clone(), self.story.now);
        match step {
            Step::Pause => self.does(view.hold(HoldKind::Paused, &faculty(), None, now)),
            Step::Resume => self.does(view.release(HoldKind::Paused, &faculty(), now)),
            Step::Drop => self.does(view.hold(HoldKind::Dropped, &faculty(), None, now)),
            Step::Return => self.does(view.release(HoldKind::Dropped, &faculty(), now)),
            Step::Disuse if view.grant.holds.unused => self.does(view.release(HoldKind::Unused, &Actor::Student, now)),
            Step::Disuse => self.does(view.hold(HoldKind::Unused, &Actor::Rule, None, now)),
            Step::Leak => self.does(view.report_leaked(view.grant.epoch)),
            Step::HandBack => self.does(view.hand_back(view.grant.epoch)),
            Step::Revoke => self.does(view.revoke(&faculty(), None)),
            Step::Cap(cap) => self.does(view.set_cap(Some(Usd::from_dollars(*cap)), &faculty(), None, now)),
            Step::Claim { is_heard } => self.claim(*is_heard),
            Step::Spend(micros) => {
                for key in self.there.values_mut().filter(|key| key.on && key.shown) {
                    key.used = (key.used + micros).min(key.limit.max(key.used));
                }
            }
            Step::Settle(fates) => self.settle(fates),
            Step::List(later) => {
                let recorded = |epoch: &u32| view.grant.key_with(&key_of(*epoch)).is_some();
                for (epoch, there) in self.there.iter().filter(|(epoch, _)| recorded(epoch)) {
                    let limit = ListedLimit::Limit(Usd::from_micros(there.limit));
                    let shows = SeenKey { enabled: there.on, limit, asked: now, is_read: true };
                    self.events.push((now + later.seconds(), Event::Listed(*epoch, shows, there.used)));
                }
            }
            Step::Count => {
                self.story.view.budget_mut().counted_at = Some(now);
                self.story.view.budget_mut().reserved = self.story.cost();
            }
            Step::Pass(seconds) => self.pass(*seconds),
        }
    }

    fn check(&self) {
        let shown = || self.there.values().filter(|key| key.shown);
        assert!(shown().filter(|key| key.on).count() <= 1, "two shown keys work: {:?}", self.there);
        let can_cost: i64 = shown().map(|key| if key.on { key.used.max(key.limit) } else { key.used }).sum();
        let reserved = self.story.view.budget.reserved.micros();
        assert!(can_cost <= reserved, "{can_cost} of {reserved}: {:?} {:?}", self.there, self.story.view.grant);
        if self.story.view.grant.state == GrantState::Revoked {
            assert!(!self.story.view.calls(self.story.now).iter().any(|call| call.tell == Tell::On));
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![
        Just(Fate::Lost),
        Just(Fate::Late(0)),
        (0..60_i64).prop_map(Fate::Late),
        (0..9_i64).prop_map(Fate::Answered),
        (0..2_i64).prop_map(Fate::Answered),
    ];
    let step = prop_oneof![
        2 => Just(Step::Pause),
        3 => Just(Step::Resume),
        1 => Just(Step::Drop),
        2 => Just(Step::Return),
        1 => Just(Step::Disuse),
        1 => Just(Step::Leak),
        1 => Just(Step::HandBack),
        1 => (0..30_u8).prop_map(|drawn| if drawn == 0 { Step::Revoke } else { Step::Spend(3_000_000) }),
        2 => (1..40_i32).prop_map(Step::Cap),
        4 => any::<bool>().prop_map(|is_heard| Step::Claim { is_heard }),
        2 => (1..9_000_000_i64).prop_map(Step::Spend),
        5 => prop::collection::vec(fate, 1..4).prop_map(Step::Settle),
        2 => (0..20_i64).prop_map(Step::List),
        2 => Just(Step::Count),
        4 => (1..100_i64).prop_map(Step::Pass),
        1 => (900..4_000_i64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 5..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_calls_come_to_no_two_keys_work_and_what_they_can_spend_is_reserved(steps in steps()) {
        let mut story = Story::new();
        story.view.budget_mut().limit = Usd::from_dollars(1_000_000);
        let mut world = World { story, there: BTreeMap::new(), events: Vec::new() };
        for step in &steps {
            world.takes(step);
            world.check();
        }
        // Whatever happened, calls that are answered make it what it is to be.
        for _ in 0..6 {
            world.pass(1_000);
            world.settle(&[Fate::Answered(0); 8]);
        }
        world.check();
        let grant = &world.story.view.grant;
        prop_assert_eq!(world.story.view.calls(world.story.now), []);
        for (epoch, there) in &world.there {
            prop_assert_eq!(there.on, grant.usable().is_some_and(|live| live.epoch == Epoch::new(*epoch)));
        }
    }
}
