//! Bad weather between the sync and every service that it calls, drawn from a seed. The verdict on a call
//! follows from the seed, the call's name, its number and the quarter of an hour. The order in which calls
//! arrive therefore plays no part.

use bursar_local::gate::{Call, Matcher, Service, Verdict};
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_tests::stack::Stack;
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Verdicts on a read of the provider; a repeated one is drawn more often. The longer delay exceeds the
/// time-out of most calls.
const READS: [&str; 17] = [
    "status-429",
    "status-429-retry-2",
    "status-429-retry-900",
    "status-500",
    "status-502",
    "status-503",
    "status-503-retry-5",
    "truncated",
    "truncated",
    "html-200",
    "html-404",
    "html-502",
    "fail-before",
    "lose-answer",
    "lose-answer",
    "delay-20ms",
    "delay-300ms",
];
/// Further verdicts on a write at the provider.
const WRITES: [&str; 8] = [
    "status-500-after",
    "html-200-after",
    "html-502-after",
    "late-lost+60s",
    "late-502+60s",
    "late-lost+1000s",
    "late-502+4000s",
    "twice",
];
const TABLE: [&str; 14] = [
    "throttle",
    "throttle",
    "throttle-rate",
    "throttle-item",
    "throttle-item",
    "conflict",
    "conflict",
    "condition-read-back",
    "status-500",
    "status-503",
    "truncated",
    "fail-before",
    "lose-answer",
    "delay-5ms",
];
const KILLS: [&str; 2] = ["kill-before", "kill-after"];
/// Verdicts on a single call, which prove nothing about the management key.
const ODD: [&str; 4] = ["html-401", "html-403", "status-401", "status-403"];
/// One fault in this number is a kill.
const ONE_KILL_IN: usize = 40;
/// The length of a burst: this many calls of one name in a row, of which most fail.
const BURST: u64 = 6;
const PER_CENT_IN_A_BURST: usize = 80;

pub(super) struct Weather {
    seed: u64,
    begins: Timestamp,
    pub(super) clears: Timestamp,
    per_cent: usize,
    one_burst_in: usize,
    /// The number of the read at the provider that gets one of `ODD`.
    odd: u64,
}

impl Weather {
    /// Weather that is bad from then on, for half an hour to five hours.
    pub(super) fn drawn(seed: u64, begins: Timestamp) -> Weather {
        let mut dice = Rng::with_seed(seed ^ 0x77ea);
        let minutes = 30 + dice.usize(..270);
        Weather {
            seed,
            begins,
            clears: begins + SignedDuration::from_mins(minutes.try_into().unwrap()),
            per_cent: 2 + dice.usize(..29),
            one_burst_in: 5 + dice.usize(..40),
            odd: 2 + dice.usize(..30) as u64,
        }
    }

    /// An invocation of the sync in this weather.
    pub(super) async fn through(&self, stack: &Stack, event: Value) -> Result<Value, InvokeError> {
        let held = stack.gate.hold(Matcher::call("*").of(FunctionName::UsageSync).every());
        let blowing = async {
            loop {
                let call = held.arrived().await;
                // A call whose function has just closed the connection is released all the same.
                let _ = held.release_call(call.number, self.verdict(&call, stack.clock.now()));
            }
        };
        tokio::select! {
            outcome = stack.invoke.invoke(FunctionName::UsageSync, event) => outcome,
            () = blowing => unreachable!("it blows until the invocation is over"),
        }
    }

    fn verdict(&self, call: &Call, now: Timestamp) -> Verdict {
        if now >= self.clears {
            return Verdict::Pass;
        }
        let name = call.name.to_string();
        let dice = |number: u64| Rng::with_seed(mixed(self.seed, &name, number));
        if name == "provider:GET /keys/{hash}" && call.nth_of_function == self.odd {
            return ODD[dice(0).usize(..ODD.len())].parse().unwrap();
        }
        let bursts = dice(u64::MAX - call.nth_of_function / BURST).usize(..self.one_burst_in) == 0;
        let is_down = call.name.service == Service::Provider && self.is_down(now);
        let per_cent = match (is_down, bursts) {
            (true, _) => 100,
            (_, true) => PER_CENT_IN_A_BURST,
            _ => self.per_cent,
        };
        let mut dice = dice(call.nth_of_function);
        if dice.usize(..100) >= per_cent {
            return Verdict::Pass;
        }
        let verdicts: Vec<Verdict> = faults_of(call).into_iter().map(|text| text.parse().unwrap()).collect();
        let verdicts: Vec<Verdict> =
            verdicts.into_iter().filter(|verdict| verdict.fits(&call.name, &call.shape)).collect();
        match dice.usize(..ONE_KILL_IN) {
            0 => KILLS[dice.usize(..KILLS.len())].parse().unwrap(),
            _ => verdicts[dice.usize(..verdicts.len())].clone(),
        }
    }

    /// Whether the provider is unreachable, which it is for one quarter of an hour in eight.
    fn is_down(&self, now: Timestamp) -> bool {
        let quarter = now.duration_since(self.begins).as_mins() / 15;
        Rng::with_seed(mixed(self.seed, "down", quarter.unsigned_abs())).usize(..8) == 0
    }
}

fn faults_of(call: &Call) -> Vec<&'static str> {
    match call.name.service {
        Service::Provider if call.name.has_effect() => READS.into_iter().chain(WRITES).collect(),
        Service::Provider => READS.to_vec(),
        Service::DynamoDb => TABLE.to_vec(),
        // The clients of these services really wait seconds before a retry, so they get no faults.
        Service::SecretsManager | Service::Ses => vec!["pass"],
    }
}

/// The FNV-1a hash of all three.
fn mixed(seed: u64, name: &str, number: u64) -> u64 {
    let bytes = seed.to_be_bytes().into_iter().chain(name.bytes()).chain(number.to_be_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
