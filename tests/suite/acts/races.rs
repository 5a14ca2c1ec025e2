//! Two acts at a time: every act is overtaken by every act, itself included. That happens before its write,
//! between its reads, and before the answer to its write. Whichever commits first, both must come to what the
//! rules say in the order of their commits.
//!
//! A pair is played where both have something to write. Where no setting has that, the fast act is refused or
//! finds its work done. Left out are pairs that cannot interfere:
//! - most steps of the sync, with acts that do not concern keys;
//! - between the reads of an act, another that writes none of what the next read asks for;
//! - in the settings after the first, which differ from it only in the attempts, acts that do not concern keys;
//! - on somebody else's grant, acts that take nothing from the pot, which is all that both share, and most
//!   steps of the sync.

use std::collections::BTreeMap;
use std::pin::pin;

use bursar_local::gate::Matcher;
use bursar_local::invoke::FunctionName;
use bursar_tests::seeds::sample;
use jiff::Timestamp;

use super::act::{Act, Ended};
use super::judge::Ran;
use super::kinds::Kind;
use super::lane::{Lane, each, plenty};
use super::settings::{Setting, bob};
use super::world::World;

const LANES: usize = 12;
/// About how many cases of each kind `cargo test` plays.
const FEW: usize = 14;

/// An act, and the one that overtakes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Race {
    pub(super) setting: Setting,
    pub(super) slow: Kind,
    pub(super) fast: Kind,
    /// Whether the fast act is on another grant of the same programme.
    pub(super) elsewhere: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_another_overtook_before_its_write_comes_to_what_is_right_after_the_other() {
    let races = sample([pairs(), in_lesser_settings(), elsewhere()].concat(), FEW);
    each(LANES, races, |lane, race| async move { race.before(&lane, Matcher::call(race.write())).await.map(drop) })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_another_overtook_between_its_reads_comes_to_what_is_right_after_the_other() {
    let cases = [pairs(), elsewhere()].concat().into_iter().flat_map(|race| {
        let reads = race.slow.reads().iter().filter(move |(name, _)| race.fast.writes_what_is_read_by(race.slow, name));
        reads.map(move |(name, nth)| (race, Matcher::call(name).nth(*nth)))
    });
    each(LANES, sample(cases, FEW), |lane, (race, read)| async move { race.before(&lane, read).await.map(drop) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_another_overtook_before_it_heard_of_its_write_knows_that_it_happened() {
    let races = sample([pairs(), elsewhere()].concat(), FEW);
    each(LANES, races, |lane, race| async move { race.before_the_answer(&lane).await }).await;
}

/// Every pair of acts, once each.
fn pairs() -> Vec<Race> {
    let writes = who_writes_where();
    let pairs = Kind::ALL.into_iter().flat_map(|slow| Kind::ALL.into_iter().map(move |fast| (slow, fast)));
    let pairs = pairs.filter(|(slow, fast)| can_matter(*slow, *fast) && can_matter(*fast, *slow));
    let races = pairs.map(|(slow, fast)| {
        let settings = slow.settings().iter().copied().chain(Setting::ALL);
        let meets = |setting: &Setting| writes[&(slow, *setting)] == Some(true) && writes[&(fast, *setting)].is_some();
        let both_write = |setting: &Setting| meets(setting) && writes[&(fast, *setting)] == Some(true);
        let setting = settings.clone().find(both_write).or_else(|| settings.clone().find(meets));
        let setting = setting.unwrap_or_else(|| panic!("{slow:?} never meets {fast:?}"));
        Race { setting, slow, fast, elsewhere: false }
    });
    races.collect()
}

/// Whether two acts can interfere: most steps of the sync do so only with acts that concern keys, and with
/// themselves.
fn can_matter(one: Kind, other: Kind) -> bool {
    !one.is_of_the_sync() || one == other || other.is_about_keys() || matches!(other, Kind::Resume | Kind::Save)
}

/// Each act with acts that concern keys, in every further setting where both write.
fn in_lesser_settings() -> Vec<Race> {
    let writes = who_writes_where();
    let mut races = Vec::new();
    for slow in Kind::ALL {
        for setting in slow.settings().iter().skip(1) {
            let fast = Kind::ALL.into_iter().filter(|fast| fast.is_about_keys());
            let fast = fast.filter(|fast| writes[&(*fast, *setting)] == Some(true));
            races.extend(fast.map(|fast| Race { setting: *setting, slow, fast, elsewhere: false }));
        }
    }
    races
}

/// Each act with somebody else's claim, in each of its settings.
fn elsewhere() -> Vec<Race> {
    let settings = |slow: Kind| slow.settings().iter().filter(|setting| **setting != Setting::Nothing);
    let shares = |slow: &Kind| !slow.is_of_the_sync() || *slow == Kind::Recover;
    let races = Kind::ALL.into_iter().filter(shares).flat_map(|slow| {
        settings(slow).map(move |setting| Race { setting: *setting, slow, fast: Kind::Reveal, elsewhere: true })
    });
    races.collect()
}

/// Whether each act would write in each setting; `None` where no caller could ask for it.
fn who_writes_where() -> BTreeMap<(Kind, Setting), Option<bool>> {
    let mut writes = BTreeMap::new();
    for setting in Setting::ALL {
        let (world, now) = setting.world();
        for kind in Kind::ALL {
            let act = kind.seeing(&world, now);
            let legal = act.map(|act| act.on(&world, &[&world], now));
            writes.insert((kind, setting), legal.map(|legal| legal.iter().any(|legal| legal.after.is_some())));
        }
    }
    writes
}

impl Race {
    /// Runs the fast act when the slow one has come to this call.
    pub(super) async fn before(self, lane: &Lane, call: Matcher) -> Result<World, String> {
        let (first, now) = self.setting.world();
        let (slow, fast) = (self.slow_act(&first, now), self.fast_act(&first, now));
        let mut case = lane.case(&(first.clone(), now)).await;
        let (mut one, mut other) = (case.actor(), case.actor());

        let held = lane.gate.hold(call.of_instance(FunctionName::Claim, one.number()));
        let overtaking = async {
            held.arrived().await;
            let fast_ended = case.step(&mut other, &fast, plenty(), false).await;
            drop(held);
            fast_ended
        };
        let overtaken = overtaken(one.run(&slow, now, plenty()), overtaking).await;
        let (slow_ended, _) = overtaken.map_err(|why| self.tell("the fast one", &why))?;
        let second = case.world.clone();
        let third = case.look().await.map_err(|why| self.tell("in the end", &why))?;
        let calls = one.calls(lane);
        let ran = Ran { act: &slow, now, ended: &slow_ended, calls: &calls, faulted: false };
        ran.judge(&second, &third, &[&second, &first]).map_err(|why| self.tell("the slow one", &why))?;
        Ok(third)
    }

    /// Runs the fast act after the write of the slow one and before the slow one knows of it. The slow one has
    /// come to the call that finds out, or to its next try.
    async fn before_the_answer(self, lane: &Lane) -> Result<(), String> {
        let (first, now) = self.setting.world();
        let slow = self.slow_act(&first, now);
        let mut case = lane.case(&(first.clone(), now)).await;
        let (mut one, mut other) = (case.actor(), case.actor());

        let of_one = |name| Matcher::call(name).of_instance(FunctionName::Claim, one.number());
        let write = lane.gate.hold(of_one(slow.write()));
        let any = of_one("dynamodb:*");
        let overtaking = async {
            write.arrived().await;
            let next = lane.gate.hold(any);
            write.release(slow.unheard()).unwrap();
            next.arrived().await;
            let second = case.look().await?;
            case.step(&mut other, &self.fast_act(&second, now), plenty(), false).await?;
            Ok(second)
        };
        let overtaken = overtaken(one.run(&slow, now, plenty()), overtaking).await;
        let (slow_ended, second) = overtaken.map_err(|why| self.tell("the fast one", &why))?;
        let third = case.world.clone();
        let fourth = case.look().await.map_err(|why| self.tell("in the end", &why))?;

        let calls = one.calls(lane);
        let written = calls.iter().position(|recorded| recorded.effect.is_some() && recorded.call.name.has_effect());
        let (until_written, since) = calls.split_at(written.map_or(0, |place| place + 1));
        let ran = |calls| Ran { act: &slow, now, ended: &slow_ended, calls, faulted: !slow.is_witnessed() };
        let done_once = match fourth.is_like(&third) {
            true => ran(until_written).judge(&first, &second, &[&first]),
            false => Err(format!("it did something twice:\n{}", third.against(&fourth))),
        };
        // An act that leaves no evidence is done again, after the other.
        match done_once {
            Err(_) if !slow.is_witnessed() => ran(since).judge(&third, &fourth, &[&third]),
            done_once => done_once,
        }
        .map_err(|why| self.tell("the slow one", &why))
    }

    fn slow_act(&self, world: &World, now: Timestamp) -> Act {
        self.slow.seeing(world, now).unwrap()
    }

    fn fast_act(&self, world: &World, now: Timestamp) -> Act {
        match self.elsewhere {
            true => self.fast.on_grant(&bob(), world, now),
            false => self.fast.seeing(world, now).unwrap(),
        }
    }

    fn write(&self) -> &'static str {
        let (world, now) = self.setting.world();
        self.slow_act(&world, now).write()
    }

    fn tell(&self, who: &str, why: &str) -> String {
        let Race { setting, slow, fast, elsewhere } = self;
        let whose = if *elsewhere { " of somebody else" } else { "" };
        format!("  in {setting:?}, {slow:?} overtaken by {fast:?}{whose}; {who}:\n{why}")
    }
}

/// Runs one act while another overtakes it at a call where it is held. An act that ends without that call is an
/// error.
async fn overtaken<T>(
    slow: impl Future<Output = Ended>,
    overtaking: impl Future<Output = Result<T, String>>,
) -> Result<(Ended, T), String> {
    let (mut slow, mut overtaking) = (pin!(slow), pin!(overtaking));
    tokio::select! {
        biased;
        seen = &mut overtaking => Ok((slow.await, seen?)),
        ended = &mut slow => Err(format!("the slow one came to no call where it is overtaken: {ended:?}")),
    }
}
