//! Histories drawn from seeds: three or four people and runners at one grant, each with a script of acts. All
//! their calls are held. Which call goes on is drawn, and the verdict on it if it is a write. After each write
//! the table must have changed by that act alone, as the rules say. In the end each caller must have got what
//! was true at some moment of the call.
//!
//! The reads of an act go on together, since their order is chance; `races` has acts overtaken between reads.
//! `BURSAR_TEST_SEED=70 cargo test -p bursar-tests acts::histories` replays one history, `cargo xtask long acts` plays thousands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bursar_local::gate::{Exploration, Step, Verdict};
use bursar_tests::seeds::seeds;
use fastrand::Rng;
use futures_util::future::join_all;
use jiff::{Timestamp, ToSpan};
use tokio::runtime::Handle;

use super::act::{Act, Ended};
use super::lane::{Actor, Case, Lane, each, plenty};
use super::legal::Legal;
use super::scripts::Script;
use super::settings::Setting;
use super::world::World;

const LANES: usize = 6;
const MOST_FAULTS: usize = 3;
/// One write in this number gets a fault, until there were enough.
const ONE_FAULT_IN: usize = 4;
/// The time after which a history counts as hanging. One takes about a second.
const LIMIT: Duration = Duration::from_secs(60);

const FAULTS: [&str; 12] = [
    "fail-before",
    "lose-answer",
    "kill-before",
    "kill-after",
    "status-429",
    "status-500-after",
    "html-200-after",
    "truncated",
    "throttle",
    "throttle-item",
    "conflict",
    "condition-read-back",
];

const SETTINGS: [Setting; 11] = [
    Setting::Invited,
    Setting::Minting,
    Setting::Forsaken,
    Setting::Unshown,
    Setting::Live,
    Setting::Replacing,
    Setting::ForsakenReplacing,
    Setting::Paused,
    Setting::Disused,
    Setting::Leaked,
    Setting::Idle,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_histories_drawn_from_seeds_every_write_is_one_act_as_the_rules_say() {
    each(LANES, seeds(0, 20, 2_000), |lane, seed| async move {
        // The exploration needs all its polls on one thread.
        let runtime = Handle::current();
        let played = tokio::task::spawn_blocking(move || runtime.block_on(play(&lane, seed)));
        played.await.unwrap().map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_gives_the_same_history_again() {
    let (one, other) = (Lane::open().await, Lane::open().await);
    assert_eq!(play(&one, 1000).await, play(&other, 1000).await);
}

/// One history as text, step by step, whether it passed or failed.
async fn play(lane: &Lane, seed: u64) -> Result<String, String> {
    let mut dice = Rng::with_seed(seed);
    let setting = SETTINGS[dice.usize(..SETTINGS.len())];
    let scripts: Vec<Script> = (0..3 + dice.usize(..2)).map(|_| Script::ALL[dice.usize(..Script::ALL.len())]).collect();
    let (world, began) = setting.world();
    let mut case = lane.case(&(world.clone(), began)).await;
    let stage = Stage::of(world, began, format!("  seed {seed}, in {setting:?}: {scripts:?}"));

    let faults = FAULTS.map(|fault| fault.parse().unwrap()).to_vec();
    let exploration = Exploration { actors: scripts.len() as u64, faults, most_faults: MOST_FAULTS };
    let parts = scripts.iter().enumerate().map(|(place, script)| {
        let part = Part { place, stage: &stage, lane, actor: case.actor() };
        script.play(part)
    });
    let parts = join_all(parts.collect::<Vec<_>>());
    let mut director = Director { stage: &stage, dice, reading: None };
    let look = async |step: &Step| {
        if let Err(why) = stage.look(&mut case, step).await {
            stage.state().wrong.get_or_insert(why);
        }
    };
    let explored = lane.gate.explore(&exploration, |steps| director.choose(steps), parts, look);
    let ended = tokio::time::timeout(LIMIT, explored).await;

    let state = stage.state();
    let wrong = match (&state.wrong, ended) {
        (_, Err(_)) => Some(format!("it has not ended after {LIMIT:?}\n{}", lane.gate.transcript())),
        (Some(why), _) => Some(why.clone()),
        (None, Ok(_)) => state.acts.iter().find_map(|asked| asked.was_told_the_truth(&state.seen).err()),
    };
    let plainly = |text: &str| state.seen.last().unwrap().plainly(text);
    match wrong {
        None => Ok(plainly(&state.told)),
        Some(why) => Err(plainly(&format!("{}\n{why}", state.told))),
    }
}

/// The state of a history while it is played.
struct Stage {
    began: Timestamp,
    state: Mutex<Playing>,
}

struct Playing {
    /// Every state of the table, the oldest first.
    seen: Vec<World>,
    acts: Vec<Asked>,
    /// The act that each instance runs, and its place among the parts.
    by: BTreeMap<u32, (usize, usize)>,
    /// The act whose call was released last.
    moving: usize,
    told: String,
    /// The first failure, after which no new act begins.
    wrong: Option<String>,
}

/// An act that a part asked for.
struct Asked {
    act: Act,
    now: Timestamp,
    /// The first moment that it may have read, among those in `seen`, once it has made a call.
    from: Option<usize>,
    to: usize,
    /// What the rules say about it at the moment it took effect, and the moment after that.
    done: Option<(Vec<Legal>, usize)>,
    faulted: bool,
    ended: Option<Ended>,
}

/// A part in a history, with the instance that plays it until it is killed.
pub(super) struct Part<'a> {
    place: usize,
    stage: &'a Stage,
    lane: &'a Lane,
    actor: Actor,
}

/// The choice of the next call.
struct Director<'a> {
    stage: &'a Stage,
    dice: Rng,
    /// The act whose reads are under way, and its instance.
    reading: Option<(usize, u32)>,
}

impl Part<'_> {
    /// The table as last seen.
    pub(super) fn world(&self) -> World {
        self.stage.state().seen.last().unwrap().clone()
    }

    pub(super) fn began(&self) -> Timestamp {
        self.stage.began
    }

    /// Runs an act. `None` when the part cannot go on.
    pub(super) async fn asks(&mut self, act: Act) -> Option<Ended> {
        let (number, now) = self.stage.begin(self.place, self.actor.number(), act.clone())?;
        let ended = self.actor.run(&act, now, plenty()).await;
        let mut state = self.stage.state();
        let asked = &mut state.acts[number];
        asked.ended = Some(ended.clone());
        asked.faulted |= self.actor.hung_up(self.lane);
        (!matches!(ended, Ended::Killed)).then_some(ended)
    }
}

impl Director<'_> {
    fn choose(&mut self, steps: &[Step]) -> usize {
        let read_of =
            |instance: u32| steps.iter().position(|step| step.instance == instance && !step.name.has_effect());
        let reading = self.reading.filter(|(act, instance)| self.stage.act_of(*instance) == *act);
        if let Some(next) = reading.and_then(|(_, instance)| read_of(instance)) {
            return next;
        }
        let here: Vec<u32> = steps.iter().map(|step| step.instance).collect::<BTreeSet<_>>().into_iter().collect();
        let instance = here[self.dice.usize(..here.len())];
        let read = read_of(instance);
        self.reading = read.map(|_| (self.stage.act_of(instance), instance));
        let next = read.unwrap_or_else(|| {
            let ways = || (0..steps.len()).filter(|way| steps[*way].instance == instance);
            let (passing, failing): (Vec<usize>, Vec<usize>) =
                ways().partition(|way| steps[*way].verdict == Verdict::Pass);
            let fails = !failing.is_empty() && self.dice.usize(..ONE_FAULT_IN) == 0;
            let ways = if fails { failing } else { passing };
            ways[self.dice.usize(..ways.len())]
        });
        self.stage.go_on(&steps[next]);
        next
    }
}

impl Stage {
    fn of(world: World, began: Timestamp, told: String) -> Stage {
        let (seen, acts, by) = (vec![world], Vec::new(), BTreeMap::new());
        Stage { began, state: Mutex::new(Playing { seen, acts, by, moving: 0, told, wrong: None }) }
    }

    /// Notes an act that is about to begin.
    fn begin(&self, place: usize, instance: u32, act: Act) -> Option<(usize, Timestamp)> {
        let mut state = self.state();
        if state.wrong.is_some() {
            return None;
        }
        let number = state.acts.len();
        let now = self.began + i64::try_from(number).unwrap().seconds();
        write!(state.told, "\n    {place} asks for {act:?}").unwrap();
        state.acts.push(Asked { act, now, from: None, to: 0, done: None, faulted: false, ended: None });
        state.by.insert(instance, (number, place));
        Some((number, now))
    }

    fn act_of(&self, instance: u32) -> usize {
        self.state().by[&instance].0
    }

    /// Notes the call that goes on.
    fn go_on(&self, step: &Step) {
        let mut state = self.state();
        let (number, place) = state.by[&step.instance];
        let last = state.seen.len() - 1;
        state.moving = number;
        let asked = &mut state.acts[number];
        asked.from.get_or_insert(last);
        asked.faulted |= step.verdict != Verdict::Pass;
        match step.name.has_effect() {
            true => write!(state.told, "\n    {place}: {} -> {}", step.name, step.verdict).unwrap(),
            false => write!(state.told, "\n    {place} reads").unwrap(),
        }
    }

    /// Reads the table after a call. The act of that call may have changed it once, or not at all.
    async fn look(&self, case: &mut Case<'_>, step: &Step) -> Result<(), String> {
        if step.name.has_effect() {
            let before = case.world.clone();
            case.set_now(self.state().acts.iter().map(|asked| asked.now).max().unwrap());
            let after = case.look().await?;
            if !after.is_like(&before) {
                self.state().moves(&before, after)?;
            }
        }
        let mut state = self.state();
        let (moving, last) = (state.moving, state.seen.len() - 1);
        state.acts[moving].to = last;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, Playing> {
        self.state.lock().unwrap()
    }
}

impl Playing {
    fn moves(&mut self, before: &World, after: World) -> Result<(), String> {
        let asked = &self.acts[self.moving];
        if asked.done.is_some() && asked.act.is_witnessed() {
            return Err(format!("{:?} took effect again:\n{}", asked.act, before.against(&after)));
        }
        let read: Vec<&World> = self.seen[asked.from.unwrap_or_default()..].iter().collect();
        let mut legal = asked.act.on(before, &read, asked.now);
        let expected: Vec<String> = legal.iter().map(|legal| legal.said.clone()).collect();
        legal.retain(|legal| legal.after.as_ref().is_some_and(|legal| legal.is_like(&after)));
        if legal.is_empty() {
            let difference = before.against(&after);
            return Err(format!(
                "{:?}: the rules say {expected:?}, and the table changed so:\n{difference}",
                asked.act
            ));
        }
        let done = Some((legal, self.seen.len()));
        self.acts[self.moving].done = done;
        self.seen.push(after);
        Ok(())
    }
}

impl Asked {
    fn was_told_the_truth(&self, seen: &[World]) -> Result<(), String> {
        let Asked { act, now, ended, faulted, .. } = self;
        let said = match ended {
            Some(Ended::Said(said, _)) => said,
            Some(Ended::Failed(_) | Ended::Killed) if *faulted => return Ok(()),
            ended => return Err(format!("nothing was done to {act:?}, and it ended so: {ended:?}")),
        };
        let fits = |legal: &Legal, world: &World| world.plainly(&legal.said) == world.plainly(said);
        let denies = *faulted && act.may_deny().as_ref() == Some(said);
        let is_true = match &self.done {
            Some((legal, moment)) => {
                denies || legal.iter().any(|legal| fits(legal, legal.after.as_ref().unwrap_or(&seen[*moment])))
            }
            None => seen[self.from.unwrap_or_default()..=self.to].iter().any(|world| {
                act.on(world, &[world], *now).iter().any(|legal| legal.after.is_none() && fits(legal, world))
            }),
        };
        if is_true {
            Ok(())
        } else {
            Err(format!(
                "{act:?} was told {said:?}, which was never so {:?} {} {:?} {}",
                self.from,
                self.to,
                self.done.as_ref().map(|d| d.1),
                seen.len()
            ))
        }
    }
}
