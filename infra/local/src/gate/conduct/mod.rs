//! Carries out a verdict: whether the service is called, and what the function gets. Choosing the verdict
//! is left to `rules`.

mod answer;
mod read_back;
mod units;
pub(crate) mod upstream;

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::Response;

use self::read_back::read_back;
use self::upstream::UpstreamRequest;
use super::Inner;
use super::call::{Call, Service, kinds_read};
use super::state::{Decision, Due, Late};
use super::verdict::{FaultMoment, LateAnswer, Verdict};

/// The answer that the function gets.
pub(super) enum Reply {
    Answer(Response<Bytes>),
    /// The connection closes in the middle of this answer.
    Cut(Response<Bytes>),
    /// The connection closes without an answer.
    Nothing,
    /// The connection stays open without an answer.
    Never,
}

/// The result of a call: the service's status, if it was called and answered, and the function's reply.
struct Outcome {
    effect: Option<u16>,
    reply: Reply,
}

/// Handles a call to its end, even after the function has disconnected, as the service would.
pub(super) async fn conduct(gate: &Inner, call: &Call, decision: Decision, asked: UpstreamRequest) -> Reply {
    let (verdict, Outcome { effect, reply }) = match decision {
        Decision::Now(verdict) => {
            let outcome = execute(gate, call, &verdict, asked).await;
            (Some(verdict), outcome)
        }
        Decision::Parked(verdict) => match verdict.await {
            Ok(verdict) => {
                let outcome = execute(gate, call, &verdict, asked).await;
                (Some(verdict), outcome)
            }
            Err(_) => (None, without_effect(Reply::Nothing)),
        },
        Decision::Answered(verdict) => {
            execute_due(gate, call).await;
            let answered = ask(gate, call, asked).await;
            gate.change(|state| state.park(call.number));
            match verdict.await {
                Ok(verdict) => {
                    let outcome = tell(gate, call, &verdict, answered);
                    (Some(verdict), outcome)
                }
                Err(_) => (None, answered.told(Reply::Nothing)),
            }
        }
    };
    let told = match &reply {
        Reply::Answer(response) => Some(response.status().as_u16()),
        Reply::Cut(_) | Reply::Nothing | Reply::Never => None,
    };
    gate.change(|state| state.finish(call.number, verdict, effect, told));
    reply
}

async fn execute(gate: &Inner, call: &Call, verdict: &Verdict, asked: UpstreamRequest) -> Outcome {
    execute_due(gate, call).await;
    carry_out(gate, call, verdict, asked).await
}

/// Executes the late calls that are due before a call of this name, or by this time.
async fn execute_due(gate: &Inner, call: &Call) {
    let now = gate.clock.now();
    let due = gate.state().take_late(now, Some(&call.name));
    for late in due {
        execute_late(gate, late).await;
    }
}

/// Executes a late call, whose answer was given before, and returns the service's status.
pub(super) async fn execute_late(gate: &Inner, late: Late) -> (Call, Option<u16>) {
    let effect = gate.way.send(late.asked).await.map(|response| response.status().as_u16());
    if let Some(record) = gate.state().records.of(late.call.number) {
        record.effect = effect;
    }
    (late.call, effect)
}

async fn carry_out(gate: &Inner, call: &Call, verdict: &Verdict, asked: UpstreamRequest) -> Outcome {
    match verdict {
        Verdict::Pass => ask(gate, call, asked).await.answered(),
        Verdict::Delay(time) => {
            tokio::time::sleep(*time).await;
            ask(gate, call, asked).await.answered()
        }
        Verdict::FailBefore => without_effect(Reply::Nothing),
        Verdict::LoseAnswer => ask(gate, call, asked).await.told(Reply::Nothing),
        Verdict::KillBefore => without_effect(kill(gate, call)),
        Verdict::KillAfter => {
            let asked = ask(gate, call, asked).await;
            asked.told(kill(gate, call))
        }
        Verdict::Status { code, retry_after_s, when } => {
            let reply = Reply::Answer(answer::status(call, *code, *retry_after_s));
            instead(gate, call, asked, *when, reply).await
        }
        Verdict::Html { code, when } => {
            instead(gate, call, asked, *when, Reply::Answer(answer::html(call, *code))).await
        }
        Verdict::Truncated => ask(gate, call, asked).await.cut(),
        Verdict::Throttle(how) => without_effect(Reply::Answer(answer::throttle(call, *how))),
        Verdict::Conflict => without_effect(Reply::Answer(answer::conflict(call))),
        Verdict::ConditionReadBack => {
            let answered = ask(gate, call, asked.clone()).await;
            match &answered.0 {
                Some(response) if response.status().is_success() => match read_back(gate, call, &asked).await {
                    Some(failed) => answered.told(Reply::Answer(failed)),
                    None => answered.answered(),
                },
                _ => answered.answered(),
            }
        }
        Verdict::Twice => {
            ask(gate, call, asked.clone()).await;
            ask(gate, call, asked).await.answered()
        }
        Verdict::Late { answer: told, until } => {
            let call = call.clone();
            let reply = match told {
                LateAnswer::Lost => Reply::Nothing,
                LateAnswer::Status(code) => Reply::Answer(answer::html(&call, *code)),
            };
            let due = Due::of(until, gate.clock.now());
            gate.state().late.push(Late { call, asked, due });
            without_effect(reply)
        }
    }
}

/// The reply to a call that took effect. A verdict that no longer fits was refused at the release.
fn tell(gate: &Inner, call: &Call, verdict: &Verdict, answered: ServiceAnswer) -> Outcome {
    match verdict {
        Verdict::LoseAnswer => answered.told(Reply::Nothing),
        Verdict::KillAfter => answered.told(kill(gate, call)),
        Verdict::Truncated => answered.cut(),
        Verdict::Status { code, retry_after_s, .. } => {
            answered.told(Reply::Answer(answer::status(call, *code, *retry_after_s)))
        }
        Verdict::Html { code, .. } => answered.told(Reply::Answer(answer::html(call, *code))),
        _ => answered.answered(),
    }
}

/// The service's answer to a request.
struct ServiceAnswer(Option<Response<Bytes>>);

impl ServiceAnswer {
    fn answered(self) -> Outcome {
        let effect = self.status();
        let reply = self.0.map_or(Reply::Nothing, Reply::Answer);
        Outcome { effect, reply }
    }

    fn cut(self) -> Outcome {
        let effect = self.status();
        let reply = self.0.map_or(Reply::Nothing, Reply::Cut);
        Outcome { effect, reply }
    }

    fn told(self, reply: Reply) -> Outcome {
        let effect = self.status();
        Outcome { effect, reply }
    }

    fn status(&self) -> Option<u16> {
        self.0.as_ref().map(|response| response.status().as_u16())
    }
}

async fn ask(gate: &Inner, call: &Call, asked: UpstreamRequest) -> ServiceAnswer {
    let counts_units = call.name.service == Service::DynamoDb && gate.counts_units.load(Ordering::Relaxed);
    let asked = if counts_units { units::asked_for(asked) } else { asked };
    let response = gate.way.send(asked).await;
    let read = response.as_ref().map(|response| kinds_read(&call.name, response.body())).unwrap_or_default();
    let units = response.as_ref().filter(|_| counts_units).and_then(|response| units::billed(response.body()));
    if let Some(record) = gate.state().records.of(call.number) {
        (record.read, record.units) = (read, units);
    }
    ServiceAnswer(response)
}

async fn instead(gate: &Inner, call: &Call, asked: UpstreamRequest, when: FaultMoment, reply: Reply) -> Outcome {
    match when {
        FaultMoment::Before => without_effect(reply),
        FaultMoment::After => ask(gate, call, asked).await.told(reply),
    }
}

fn without_effect(reply: Reply) -> Outcome {
    Outcome { effect: None, reply }
}

/// Kills the invocation that made the call. A call of no running invocation loses its answer.
fn kill(gate: &Inner, call: &Call) -> Reply {
    if gate.state().kill(call) {
        Reply::Never
    } else {
        tracing::warn!(%call, "a kill, but no invocation is under way there");
        Reply::Nothing
    }
}
