//! Bad weather between the sync and every service that it calls, drawn from a seed. The verdict on a call
//! follows from the seed, the call's name, its number and the quarter of an hour. The order in which calls
//! arrive therefore plays no part.

use bursar_core::clock::Moment;
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Call, Fault, Matcher, Service};
use fastrand::Rng;
use jiff::SignedDuration;
use serde_json::Value;

/// Faults of a read of the provider; a repeated one is drawn more often.
const READS: [Fault; 9] = [
    Fault::Status(429),
    Fault::RetryAfter(429, 2),
    Fault::RetryAfter(429, 900),
    Fault::Status(500),
    Fault::Status(502),
    Fault::RetryAfter(503, 5),
    Fault::Before,
    Fault::LoseAnswer,
    Fault::LoseAnswer,
];
/// Further faults of a write at the provider.
const WRITES: [Fault; 4] = [Fault::StatusAfter(500), Fault::StatusAfter(502), Fault::Late, Fault::Late];
const TABLE: [Fault; 8] = [
    Fault::Throttle,
    Fault::Throttle,
    Fault::Conflict,
    Fault::Conflict,
    Fault::Status(500),
    Fault::Status(503),
    Fault::Before,
    Fault::LoseAnswer,
];
const KILLS: [Fault; 2] = [Fault::KillBefore, Fault::KillAfter];
/// One fault in this number is a kill.
const ONE_KILL_IN: usize = 40;
/// The length of a burst: this many calls of one name in a row, of which most fail.
const BURST: u64 = 6;
const PER_CENT_IN_A_BURST: usize = 80;

pub(super) struct Weather {
    seed: u64,
    begins: Moment,
    clears: Moment,
    per_cent: usize,
    one_burst_in: usize,
}

impl Weather {
    /// Weather that is bad from then on, for half an hour to five hours.
    pub(super) fn drawn(seed: u64, begins: Moment) -> Weather {
        let mut dice = Rng::with_seed(seed ^ 0x77ea);
        let minutes = 30 + dice.usize(..270);
        Weather {
            seed,
            begins,
            clears: begins + SignedDuration::from_mins(minutes.try_into().unwrap()),
            per_cent: 2 + dice.usize(..29),
            one_burst_in: 5 + dice.usize(..40),
        }
    }

    /// An invocation of the sync in this weather.
    pub(super) async fn through(&self, campus: &Campus, event: Value) -> Result<Value, InvokeError> {
        let held = campus.gate.hold(Matcher::call("*").of(FunctionName::UsageSync).every());
        let blowing = async {
            loop {
                let call = held.arrived().await;
                // A call whose function has just closed the connection is released all the same.
                let _ = held.release_this(&call, self.verdict(&call, campus.clock.now()));
            }
        };
        tokio::select! {
            outcome = campus.run(FunctionName::UsageSync, event) => outcome,
            () = blowing => unreachable!("it blows until the invocation is over"),
        }
    }

    fn verdict(&self, call: &Call, now: Moment) -> Option<Fault> {
        if now >= self.clears {
            return None;
        }
        let name = call.name.to_string();
        let dice = |number: u64| Rng::with_seed(mixed(self.seed, &name, number));
        let bursts = dice(u64::MAX - call.nth_of_function / BURST).usize(..self.one_burst_in) == 0;
        let is_down = call.name.service == Service::Provider && self.is_down(now);
        let per_cent = match (is_down, bursts) {
            (true, _) => 100,
            (_, true) => PER_CENT_IN_A_BURST,
            _ => self.per_cent,
        };
        let mut dice = dice(call.nth_of_function);
        if dice.usize(..100) >= per_cent {
            return None;
        }
        let faults: Vec<Fault> = faults_of(call).into_iter().filter(|fault| fault.fits(&call.name)).collect();
        match dice.usize(..ONE_KILL_IN) {
            0 => Some(KILLS[dice.usize(..KILLS.len())]),
            _ if faults.is_empty() => None,
            _ => Some(faults[dice.usize(..faults.len())]),
        }
    }

    /// Whether the provider is unreachable, which it is for one quarter of an hour in eight.
    fn is_down(&self, now: Moment) -> bool {
        let quarter = now.duration_since(self.begins).as_mins() / 15;
        Rng::with_seed(mixed(self.seed, "down", quarter.unsigned_abs())).usize(..8) == 0
    }
}

fn faults_of(call: &Call) -> Vec<Fault> {
    match call.name.service {
        Service::Provider if call.name.has_effect() => READS.into_iter().chain(WRITES).collect(),
        Service::Provider => READS.to_vec(),
        Service::DynamoDb => TABLE.to_vec(),
        // The clients of these services really wait seconds before a retry, so they get no faults.
        Service::SecretsManager | Service::Ses => Vec::new(),
    }
}

/// The FNV-1a hash of all three.
fn mixed(seed: u64, name: &str, number: u64) -> u64 {
    let bytes = seed.to_be_bytes().into_iter().chain(name.bytes()).chain(number.to_be_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
