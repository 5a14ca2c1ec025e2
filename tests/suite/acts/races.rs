//! Two at a time: each act overtaken by each other act and by itself, between what it read and what it writes, and between its
//! write and the answer to it. Whoever commits first, both must come to what the rules say in the order of their commits.

use bursar_local::gate::{Matcher, Verdict};
use bursar_local::invoke::FunctionName;
use jiff::Timestamp;

use super::act::Act;
use super::judge::Ran;
use super::kinds::Kind;
use super::lane::{Lane, each, plenty};
use super::settings::{Setting, bob};
use super::world::World;

const LANES: usize = 12;

/// An act, and the one that overtakes it.
#[derive(Debug, Clone, Copy)]
struct Race {
    setting: Setting,
    slow: Kind,
    fast: Kind,
    /// Whether the fast act is on another grant of the same programme.
    elsewhere: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_another_overtook_before_its_write_comes_to_what_is_right_after_the_other() {
    let mut races = Vec::new();
    for slow in Kind::ALL {
        for (place, setting) in slow.settings().iter().enumerate() {
            let race = |fast, elsewhere| Race { setting: *setting, slow, fast, elsewhere };
            // One of each kind is enough to be overtaken by, and in the lesser settings what they are about.
            let fast = Kind::ALL.into_iter().filter(|fast| !fast.is_twin() && fast.meets(slow));
            races.extend(fast.filter(|fast| place == 0 || fast.is_about_keys()).map(|fast| race(fast, false)));
            races.push(race(Kind::Reveal, true));
        }
    }
    races.retain(Race::is_one);
    assert!(races.len() > 400, "{}", races.len());
    each(LANES, races, |lane, race| async move { race.before(&lane, race.slow_write()).await.map(drop) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_another_overtook_between_its_reads_comes_to_what_is_right_after_the_other() {
    let mut races = Vec::new();
    for slow in Kind::ALL.into_iter().filter(|slow| slow.moves_the_pot() && !slow.is_twin()) {
        let race = |fast, elsewhere| Race { setting: slow.settings()[0], slow, fast, elsewhere };
        let fast = [Kind::Revoke, Kind::Save, Kind::Close, Kind::Note, Kind::LowerPot];
        races.extend(fast.map(|fast| race(fast, false)));
        races.push(race(Kind::Reveal, true));
    }
    races.retain(Race::is_one);
    // All four are asked for at once: the held one is read after the other act, whichever it is.
    let reads = [("dynamodb:GetItem", 1), ("dynamodb:GetItem", 2), ("dynamodb:GetItem", 3), ("dynamodb:Query", 1)];
    let cases = races.iter().flat_map(|race| reads.map(|read| (*race, read))).collect();
    each(LANES, cases, |lane, (race, (name, nth))| async move {
        race.before(&lane, Matcher::call(name).nth(nth)).await.map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_that_another_overtook_before_it_heard_of_its_write_knows_that_it_happened() {
    let mut races = Vec::new();
    for slow in Kind::ALL {
        for fast in [slow, Kind::Allow, Kind::Revoke, Kind::Save, Kind::RaisePot] {
            races.push(Race { setting: slow.settings()[0], slow, fast, elsewhere: false });
        }
    }
    each(LANES, races, |lane, race| async move { race.before_the_answer(&lane).await }).await;
}

impl Race {
    /// Runs the fast one when the slow one has come to that call of its own.
    pub(super) async fn before(self, lane: &Lane, call: Matcher) -> Result<World, String> {
        let (world, now) = self.setting.world();
        let (slow, fast) = self.acts(&world, now).ok_or("there is no such race")?;
        let mut case = lane.case(&(world, now)).await;
        let first = case.world.clone();
        let (mut one, mut other) = (case.actor(), case.actor());

        let held = lane.gate.hold(call.of_instance(FunctionName::Claim, one.number()));
        let overtaking = async {
            held.arrived().await;
            let fast_ended = case.step(&mut other, &fast, plenty(), false).await;
            drop(held);
            fast_ended
        };
        let (slow_ended, fast_ended) = tokio::join!(one.run(&slow, now, plenty()), overtaking);
        fast_ended.map_err(|why| self.tell("the fast one", &why))?;
        let second = case.world.clone();
        let third = case.look().await.map_err(|why| self.tell("in the end", &why))?;
        let calls = one.calls(lane);
        let ran = Ran { act: &slow, now, ended: &slow_ended, calls: &calls, faulted: false };
        ran.judge(&second, &third, &[&second, &first]).map_err(|why| self.tell("the slow one", &why))?;
        Ok(third)
    }

    async fn before_the_answer(self, lane: &Lane) -> Result<(), String> {
        let (first, now) = self.setting.world();
        let Some((slow, fast)) = self.acts(&first, now).filter(|(slow, _)| slow.is_witnessed()) else { return Ok(()) };
        let mut case = lane.case(&(first.clone(), now)).await;
        let (mut one, mut other) = (case.actor(), case.actor());

        let of_one = |name| Matcher::call(name).of_instance(FunctionName::Claim, one.number());
        let write = lane.gate.hold(of_one(slow.write()));
        let asks = of_one("dynamodb:GetItem");
        let overtaking = async {
            write.arrived().await;
            let asking = lane.gate.hold(asks);
            // The table takes it, and tells that its condition had failed.
            write.release(Verdict::ConditionReadBack).unwrap();
            asking.arrived().await;
            let second = case.look().await?;
            case.step(&mut other, &fast, plenty(), false).await?;
            Ok(second)
        };
        let (slow_ended, overtaken) = tokio::join!(one.run(&slow, now, plenty()), overtaking);
        let second = overtaken.map_err(|why: String| self.tell("the fast one", &why))?;
        let calls = one.calls(lane);
        let ran = Ran { act: &slow, now, ended: &slow_ended, calls: &calls, faulted: false };
        ran.judge(&first, &second, &[&first]).map_err(|why| self.tell("the slow one", &why))?;
        let third = case.world.clone();
        let fourth = case.look().await.map_err(|why| self.tell("in the end", &why))?;
        if !fourth.is_like(&third) {
            return Err(self.tell("the slow one did something twice", &third.against(&fourth)));
        }
        Ok(())
    }

    /// Whether there is anything to race for: both would write.
    fn is_one(&self) -> bool {
        let (world, now) = self.setting.world();
        let writes = |act: &Act| act.on(&world, &[&world], now).iter().any(|legal| legal.after.is_some());
        self.acts(&world, now).is_some_and(|(slow, fast)| writes(&slow) && writes(&fast))
    }

    fn slow_write(&self) -> Matcher {
        let (world, now) = self.setting.world();
        Matcher::call(self.acts(&world, now).map_or("", |(slow, _)| slow.write()))
    }

    fn acts(&self, world: &World, now: Timestamp) -> Option<(Act, Act)> {
        let slow = self.slow.seeing(world, now)?;
        let fast = match self.elsewhere {
            true => self.fast.on_grant(&bob(), world, now),
            false => self.fast.seeing(world, now)?,
        };
        Some((slow, fast))
    }

    fn tell(&self, who: &str, why: &str) -> String {
        let Race { setting, slow, fast, elsewhere } = self;
        let whose = if *elsewhere { " of somebody else" } else { "" };
        format!("  in {setting:?}, {slow:?} overtaken by {fast:?}{whose}; {who}:\n{why}")
    }
}
