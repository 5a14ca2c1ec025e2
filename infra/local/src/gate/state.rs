//! The state of the gate: rules, holds, calls under way, instances and their invocations. All of it changes
//! under one lock, and nothing here waits.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::oneshot;

use super::call::{Call, CallName, Service};
use super::conduct::upstream::UpstreamRequest;
use super::matcher::Matcher;
use super::record::{Keep, Records};
use super::rules::Rules;
use super::verdict::{DelayedUntil, FaultMoment, Verdict};
use crate::base::function::FunctionName;

pub(super) type InvocationName = (FunctionName, u32);

pub(super) struct State {
    pub(super) records: Records,
    pub(super) late: Vec<Late>,
    pub(super) rules: Rules,
    holds: Vec<Hold>,
    under_way: BTreeMap<u64, UnderWay>,
    instances: BTreeMap<InvocationName, Live>,
    made: HashMap<FunctionName, u32>,
    pub(super) begun: BTreeMap<FunctionName, u64>,
    last_hold: u64,
}

/// A call to be executed later.
pub(super) struct Late {
    pub(super) call: Call,
    pub(super) asked: UpstreamRequest,
    pub(super) due: Due,
}

/// The time of a late call.
pub(super) enum Due {
    WhenTold,
    Before(CallName),
    At(Timestamp),
}

/// A call that can still change something at the provider, because it is late, held or under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    pub call: Call,
    /// The path relative to the service's base URL.
    pub path: String,
    /// The JSON body, or null.
    pub body: Value,
}

/// The decision on a call that arrived.
pub(super) enum Decision {
    Now(Verdict),
    /// Wait for a verdict. If the sender is dropped, the call is not executed.
    Parked(oneshot::Receiver<Verdict>),
    /// Execute now, then wait for a verdict on the answer.
    Answered(oneshot::Receiver<Verdict>),
}

/// The reason why a call is refused.
pub(super) enum Refused {
    /// The instance never existed.
    Unknown,
    /// The instance has ended.
    Ended,
}

struct Hold {
    id: u64,
    matcher: Matcher,
    when: FaultMoment,
    seen: u64,
}

struct UnderWay {
    call: Call,
    /// Whether the function still waits for the answer.
    awaited: bool,
    /// The call's possible effect, until it has had it.
    pending: Option<Pending>,
    parked: Option<(u64, oneshot::Sender<Verdict>)>,
    /// The hold that parks it once it has had its effect.
    to_be_parked: Option<(u64, oneshot::Sender<Verdict>)>,
}

#[derive(Default)]
struct Live {
    counts: HashMap<CallName, u64>,
    /// The sender that kills its invocation, if it runs one.
    kill: Option<oneshot::Sender<()>>,
    active: bool,
    killed: bool,
}

impl State {
    pub(super) fn new(keep: Keep) -> State {
        State {
            records: Records::new(keep),
            late: Vec::new(),
            rules: Rules::default(),
            holds: Vec::new(),
            under_way: BTreeMap::new(),
            instances: BTreeMap::new(),
            made: HashMap::new(),
            begun: BTreeMap::new(),
            last_hold: 0,
        }
    }

    // Instances

    pub(super) fn make_instance(&mut self, function: FunctionName) -> u32 {
        let made = self.made.entry(function).or_default();
        *made += 1;
        let number = *made;
        self.instances.insert((function, number), Live::default());
        number
    }

    pub(super) fn end_instance(&mut self, who: InvocationName) {
        self.instances.remove(&who);
    }

    /// Records that the instance runs an invocation, and returns the receiver of its kill.
    pub(super) fn begin(&mut self, who: InvocationName) -> oneshot::Receiver<()> {
        let (kill, killed) = oneshot::channel();
        *self.begun.entry(who.0).or_default() += 1;
        let live = self.instances.entry(who).or_default();
        live.kill = Some(kill);
        live.active = true;
        killed
    }

    pub(super) fn end(&mut self, who: InvocationName) {
        if let Some(live) = self.instances.get_mut(&who) {
            live.kill = None;
            live.active = false;
        }
    }

    /// Kills the invocation that makes this call. `false` if the call belongs to none.
    pub(super) fn kill(&mut self, call: &Call) -> bool {
        let Some(live) = self.instances.get_mut(&(call.function, call.instance)) else {
            return false;
        };
        let ended = live.kill.take().is_some_and(|kill| kill.send(()).is_ok());
        live.killed |= ended;
        ended
    }

    // Calls

    /// Admits a call: numbers it and decides on it.
    pub(super) fn arrive(&mut self, mut call: Call, asked: &UpstreamRequest) -> Result<(Call, Decision), Refused> {
        let who = (call.function, call.instance);
        let Some(live) = self.instances.get_mut(&who) else {
            let made = self.made.get(&call.function).copied().unwrap_or_default();
            return Err(if (1..=made).contains(&call.instance) { Refused::Ended } else { Refused::Unknown });
        };
        if live.killed {
            return Err(Refused::Ended);
        }
        let count = live.counts.entry(call.name.clone()).or_default();
        *count += 1;
        call.nth_of_instance = *count;
        self.records.arrive(&mut call);

        let pending = Pending::of(&call, asked);
        let mut under_way = UnderWay { call: call.clone(), awaited: true, pending, parked: None, to_be_parked: None };
        let decision = match self.rules.decide(&call) {
            Some(verdict) => Decision::Now(verdict),
            None => match self.holding(&call) {
                Some((hold, when)) => {
                    let (sender, receiver) = oneshot::channel();
                    match when {
                        FaultMoment::Before => {
                            under_way.parked = Some((hold, sender));
                            Decision::Parked(receiver)
                        }
                        FaultMoment::After => {
                            under_way.to_be_parked = Some((hold, sender));
                            Decision::Answered(receiver)
                        }
                    }
                }
                None => Decision::Now(Verdict::Pass),
            },
        };
        self.under_way.insert(call.number, under_way);
        Ok((call, decision))
    }

    pub(super) fn forsake(&mut self, number: u64) {
        if let Some(under_way) = self.under_way.get_mut(&number) {
            under_way.awaited = false;
        }
    }

    /// Parks a call whose answer is held, after its effect.
    pub(super) fn park(&mut self, number: u64) {
        if let Some(under_way) = self.under_way.get_mut(&number) {
            under_way.parked = under_way.to_be_parked.take();
            under_way.pending = None;
        }
    }

    pub(super) fn finish(&mut self, number: u64, verdict: Option<Verdict>, effect: Option<u16>, told: Option<u16>) {
        self.under_way.remove(&number);
        if let Some(record) = self.records.of(number) {
            record.verdict = verdict;
            record.effect = effect;
            record.told = told;
        }
    }

    /// The late calls whose time has come, or that are due before a call of this name.
    pub(super) fn take_late(&mut self, now: Timestamp, name: Option<&CallName>) -> Vec<Late> {
        let is_due = |late: &mut Late| match &late.due {
            Due::WhenTold => false,
            Due::Before(before) => Some(before) == name,
            Due::At(at) => *at <= now,
        };
        self.late.extract_if(.., is_due).collect()
    }

    /// The calls that can still change something at the provider, in the order of their requests.
    pub(super) fn pending(&self) -> Vec<Pending> {
        let late = self.late.iter().filter_map(|late| Pending::of(&late.call, &late.asked));
        let under_way = self.under_way.values().filter_map(|call| call.pending.clone());
        let mut pending: Vec<Pending> = late.chain(under_way).collect();
        pending.sort_by_key(|pending| pending.call.number);
        pending
    }

    // Holds

    pub(super) fn add_hold(&mut self, matcher: Matcher, when: FaultMoment) -> u64 {
        self.last_hold += 1;
        let id = self.last_hold;
        self.holds.push(Hold { id, matcher, when, seen: 0 });
        id
    }

    /// Ends a hold: its awaited calls pass, the others are discarded.
    pub(super) fn lift(&mut self, id: u64) {
        self.holds.retain(|hold| hold.id != id);
        for under_way in self.under_way.values_mut() {
            let UnderWay { parked, to_be_parked, awaited, .. } = under_way;
            let lifted =
                parked.take_if(|(hold, _)| *hold == id).or_else(|| to_be_parked.take_if(|(hold, _)| *hold == id));
            if let Some((_, sender)) = lifted
                && *awaited
            {
                // The receiver can only be gone if the gate stops.
                let _ = sender.send(Verdict::Pass);
            }
        }
    }

    /// The calls that this hold parks, in the order of arrival, and whether their function still waits.
    pub(super) fn parked(&self, id: u64) -> impl Iterator<Item = (&Call, bool)> {
        self.under_way
            .values()
            .filter(move |under_way| under_way.parked.as_ref().is_some_and(|(hold, _)| *hold == id))
            .map(|under_way| (&under_way.call, under_way.awaited))
    }

    /// Releases a parked call to this verdict; without a verdict it is discarded and never executed.
    pub(super) fn release(&mut self, number: u64, verdict: Option<Verdict>) {
        let parked = self.under_way.get_mut(&number).and_then(|call| call.parked.take());
        if let (Some((_, sender)), Some(verdict)) = (parked, verdict) {
            let _ = sender.send(verdict);
        }
    }

    fn holding(&mut self, call: &Call) -> Option<(u64, FaultMoment)> {
        let mut holding = None;
        for hold in &mut self.holds {
            if hold.matcher.is_about(call) {
                hold.seen += 1;
                if hold.matcher.is_turn(hold.seen) && holding.is_none() {
                    holding = Some((hold.id, hold.when));
                }
            }
        }
        holding
    }

    // Quiet

    /// Whether nothing moves: no call is under way, and each invocation is at a held call.
    pub(super) fn is_quiet(&self) -> bool {
        self.under_way.values().all(|call| call.parked.is_some())
            && self.instances.iter().filter(|(_, live)| live.active).all(|(who, _)| self.waits_at_a_hold(*who))
    }

    /// The number of invocations that have begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun.values().sum()
    }

    fn waits_at_a_hold(&self, who: InvocationName) -> bool {
        self.under_way
            .values()
            .any(|under_way| under_way.awaited && (under_way.call.function, under_way.call.instance) == who)
    }
}

impl Due {
    pub(super) fn of(until: &DelayedUntil, now: Timestamp) -> Due {
        match until {
            DelayedUntil::Told => Due::WhenTold,
            DelayedUntil::Before(name) => Due::Before(name.clone()),
            DelayedUntil::Seconds(seconds) => Due::At(now + SignedDuration::from_secs((*seconds).into())),
        }
    }
}

impl Pending {
    fn of(call: &Call, asked: &UpstreamRequest) -> Option<Pending> {
        let changes = asked.service == Service::Provider && call.name.has_effect();
        let body = || serde_json::from_slice(&asked.body).unwrap_or_default();
        changes.then(|| Pending { call: call.clone(), path: asked.rest.clone(), body: body() })
    }
}
