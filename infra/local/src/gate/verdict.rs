//! The verdicts on a call. A verdict is a value with a text form, so that a history can be printed and
//! replayed; carrying it out is left to `conduct`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::call::{CallName, Service, Shape};

/// A verdict on a call. Its text form is in backticks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// `pass`: the call reaches the service, and the answer comes back.
    Pass,
    /// `fail-before`: the connection is closed before any effect.
    FailBefore,
    /// `lose-answer`: the call takes effect, and the connection is closed without an answer.
    LoseAnswer,
    /// `kill-before`: the invocation that makes the call is killed before the effect.
    KillBefore,
    /// `kill-after`: the invocation is killed after the effect.
    KillAfter,
    /// `delay-250ms`: the call passes after a time.
    Delay(Duration),
    /// `status-503`, `status-429-retry-7`, `status-500-after`: an error in the service's format.
    Status { code: u16, retry_after_s: Option<u32>, when: FaultMoment },
    /// `html-502`, `html-200-after`: an intermediary's page.
    Html { code: u16, when: FaultMoment },
    /// `truncated`: the call takes effect, and the connection closes in the middle of the answer.
    Truncated,
    /// `throttle`, `throttle-rate`, `throttle-item`: refused before the effect because of the rate.
    Throttle(Throttle),
    /// `conflict`: the table refuses the call before the effect, since another transaction has the item.
    Conflict,
    /// `condition-read-back`: the table's conditional write takes effect, and its answer says that the
    /// condition failed. An intermediary that sends a request twice causes that.
    ConditionReadBack,
    /// `twice`: the provider's POST takes effect twice, as when an intermediary repeats it; the second
    /// answer comes back.
    Twice,
    /// `late-lost`, `late-502`: the provider's answer is lost or an error, and the call is executed later,
    /// by `run_late` at the latest. `@provider:GET /keys` executes it before the next call of that name.
    /// `+300s` does so before any call once the product's clock has moved that far.
    Late { answer: LateAnswer, until: DelayedUntil },
}

/// Whether the fault happens before or after the call's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultMoment {
    Before,
    After,
}

/// The forms of a rate refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Throttle {
    /// The table's `ProvisionedThroughputExceededException`.
    Throughput,
    /// `ThrottlingException`; `Throttling` from SES.
    Rate,
    /// A transaction cancelled because one of its items is throttled, which no SDK retries.
    Item,
}

/// The time at which a late call is executed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DelayedUntil {
    Told,
    Before(CallName),
    Seconds(u32),
}

/// The answer to a call that is executed late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LateAnswer {
    Lost,
    /// 502 or 504, as a gateway answers.
    Status(u16),
}

impl Verdict {
    /// Whether a call can get this verdict.
    pub fn fits(&self, name: &CallName, shape: &Shape) -> bool {
        let table = name.service == Service::DynamoDb;
        match self {
            Verdict::Throttle(Throttle::Throughput) => table,
            Verdict::Throttle(Throttle::Rate) => name.service != Service::Provider,
            Verdict::Throttle(Throttle::Item) => table && name.operation.starts_with("Transact"),
            Verdict::Conflict => table && (name.has_effect() || name.operation.starts_with("Transact")),
            Verdict::ConditionReadBack => table && name.has_effect() && shape.is_conditional(),
            Verdict::Twice => {
                name.service == Service::Provider && name.has_effect() && name.operation.starts_with("POST ")
            }
            Verdict::Late { .. } => name.service == Service::Provider && name.has_effect(),
            _ => true,
        }
    }

    /// Whether the verdict is only about the answer to a call that took effect.
    pub fn is_of_an_answer(&self) -> bool {
        match self {
            Verdict::Pass | Verdict::LoseAnswer | Verdict::KillAfter | Verdict::Truncated => true,
            Verdict::Status { when, .. } | Verdict::Html { when, .. } => *when == FaultMoment::After,
            _ => false,
        }
    }

    /// Every fault that fits this call, in a fixed order. None takes time: there are no delays, and a
    /// `Retry-After` is zero.
    pub fn faults_of(name: &CallName, shape: &Shape) -> Vec<Verdict> {
        const FAULTS: [&str; 22] = [
            "fail-before",
            "lose-answer",
            "kill-before",
            "kill-after",
            "status-429",
            "status-429-retry-0",
            "status-500",
            "status-500-after",
            "status-503",
            "status-503-retry-0",
            "html-502",
            "html-502-after",
            "html-200-after",
            "truncated",
            "throttle",
            "throttle-rate",
            "throttle-item",
            "conflict",
            "condition-read-back",
            "twice",
            "late-lost",
            "late-502",
        ];
        FAULTS
            .iter()
            .filter_map(|text| text.parse::<Verdict>().ok())
            .filter(|verdict| verdict.fits(name, shape))
            .collect()
    }

    /// A service's error before the effect.
    pub fn status(code: u16) -> Verdict {
        Verdict::Status { code, retry_after_s: None, when: FaultMoment::Before }
    }

    /// A 429, with or without `Retry-After`.
    pub fn too_many(retry_after_s: Option<u32>) -> Verdict {
        Verdict::Status { code: 429, retry_after_s, when: FaultMoment::Before }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Pass => write!(f, "pass"),
            Verdict::FailBefore => write!(f, "fail-before"),
            Verdict::LoseAnswer => write!(f, "lose-answer"),
            Verdict::KillBefore => write!(f, "kill-before"),
            Verdict::KillAfter => write!(f, "kill-after"),
            Verdict::Delay(time) => write!(f, "delay-{}ms", time.as_millis()),
            Verdict::Status { code, retry_after_s, when } => {
                write!(f, "status-{code}")?;
                if let Some(seconds) = retry_after_s {
                    write!(f, "-retry-{seconds}")?;
                }
                write!(f, "{when}")
            }
            Verdict::Html { code, when } => write!(f, "html-{code}{when}"),
            Verdict::Truncated => write!(f, "truncated"),
            Verdict::Throttle(Throttle::Throughput) => write!(f, "throttle"),
            Verdict::Throttle(Throttle::Rate) => write!(f, "throttle-rate"),
            Verdict::Throttle(Throttle::Item) => write!(f, "throttle-item"),
            Verdict::Conflict => write!(f, "conflict"),
            Verdict::ConditionReadBack => write!(f, "condition-read-back"),
            Verdict::Twice => write!(f, "twice"),
            Verdict::Late { answer, until } => {
                match answer {
                    LateAnswer::Lost => write!(f, "late-lost")?,
                    LateAnswer::Status(code) => write!(f, "late-{code}")?,
                }
                match until {
                    DelayedUntil::Told => Ok(()),
                    DelayedUntil::Before(name) => write!(f, "@{name}"),
                    DelayedUntil::Seconds(seconds) => write!(f, "+{seconds}s"),
                }
            }
        }
    }
}

impl fmt::Display for FaultMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultMoment::Before => "",
            FaultMoment::After => "-after",
        })
    }
}

impl FromStr for Verdict {
    type Err = String;

    fn from_str(text: &str) -> Result<Verdict, String> {
        let plain = match text {
            "pass" => Some(Verdict::Pass),
            "fail-before" => Some(Verdict::FailBefore),
            "lose-answer" => Some(Verdict::LoseAnswer),
            "kill-before" => Some(Verdict::KillBefore),
            "kill-after" => Some(Verdict::KillAfter),
            "truncated" => Some(Verdict::Truncated),
            "throttle" => Some(Verdict::Throttle(Throttle::Throughput)),
            "throttle-rate" => Some(Verdict::Throttle(Throttle::Rate)),
            "throttle-item" => Some(Verdict::Throttle(Throttle::Item)),
            "conflict" => Some(Verdict::Conflict),
            "condition-read-back" => Some(Verdict::ConditionReadBack),
            "twice" => Some(Verdict::Twice),
            _ => None,
        };
        plain.or_else(|| with_parameters(text)).ok_or_else(|| format!("`{text}` is no verdict"))
    }
}

fn with_parameters(text: &str) -> Option<Verdict> {
    if let Some(late) = text.strip_prefix("late-") {
        let (answer, until) = if let Some((answer, name)) = late.split_once('@') {
            (answer, DelayedUntil::Before(name.parse().ok()?))
        } else if let Some((answer, seconds)) = late.split_once('+') {
            (answer, DelayedUntil::Seconds(seconds.strip_suffix('s')?.parse().ok()?))
        } else {
            (late, DelayedUntil::Told)
        };
        let answer = match answer {
            "lost" => LateAnswer::Lost,
            code => LateAnswer::Status(status(code)?),
        };
        return Some(Verdict::Late { answer, until });
    }
    if let Some(time) = text.strip_prefix("delay-") {
        let millis = time.strip_suffix("ms")?.parse().ok()?;
        return Some(Verdict::Delay(Duration::from_millis(millis)));
    }
    let (text, when) =
        text.strip_suffix("-after").map_or((text, FaultMoment::Before), |text| (text, FaultMoment::After));
    if let Some(code) = text.strip_prefix("html-") {
        let code = status(code)?;
        return Some(Verdict::Html { code, when });
    }
    let code = text.strip_prefix("status-")?;
    let (code, retry_after_s) = match code.split_once("-retry-") {
        Some((code, seconds)) => (code, Some(seconds.parse().ok()?)),
        None => (code, None),
    };
    Some(Verdict::Status { code: status(code)?, retry_after_s, when })
}

fn status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|code| (200..600).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_meets_only_the_faults_that_its_service_can_have() {
        let faults = |name: &str, body: &str| {
            let name = name.parse().unwrap();
            let texts: Vec<String> =
                Verdict::faults_of(&name, &Shape::of(&name, body.as_bytes())).iter().map(ToString::to_string).collect();
            texts.join(" ")
        };
        let common = "fail-before lose-answer kill-before kill-after status-429 status-429-retry-0 status-500 \
                      status-500-after status-503 status-503-retry-0 html-502 html-502-after html-200-after truncated";
        assert_eq!(
            faults("dynamodb:PutItem", r#"{"ConditionExpression":"c"}"#),
            format!("{common} throttle throttle-rate conflict condition-read-back")
        );
        assert_eq!(faults("dynamodb:PutItem", "{}"), format!("{common} throttle throttle-rate conflict"));
        assert_eq!(
            faults("dynamodb:TransactWriteItems", r#"{"TransactItems":[{"Put":{}}]}"#),
            format!("{common} throttle throttle-rate throttle-item conflict")
        );
        assert_eq!(faults("dynamodb:Query", "{}"), format!("{common} throttle throttle-rate"));
        assert_eq!(faults("provider:POST /keys", "{}"), format!("{common} twice late-lost late-502"));
        assert_eq!(faults("provider:PATCH /keys/{hash}", "{}"), format!("{common} late-lost late-502"));
        assert_eq!(faults("provider:POST /analytics/query", "{}"), common);
        assert_eq!(faults("provider:GET /keys", ""), common);
        assert_eq!(faults("ses:SendRawEmail", ""), format!("{common} throttle-rate"));
    }
}
