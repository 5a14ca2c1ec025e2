//! The one table of the provider's calls: each call's time-out, whether it may be sent again when its answer
//! did not come, and why. `send` acts on it; nothing else decides about repeating.
//!
//! | call | request | time-out | sent again | why |
//! | --- | --- | --- | --- | --- |
//! | create key | `POST /keys` | 10 s | never | without an idempotency key a second request could make a second key |
//! | list keys | `GET /keys` | 20 s | yes | it only reads |
//! | get key | `GET /keys/{hash}` | 5 s | yes | it only reads |
//! | patch key | `PATCH /keys/{hash}` | 5 s | yes | it names the state to reach: disabled or not, this limit and no increment |
//! | delete key | `DELETE /keys/{hash}` | 5 s | yes | what is already gone answers 404, which counts as deleted |
//! | own key | `GET /key` | 5 s | yes | it only reads |
//! | credits | `GET /credits` | 5 s | yes | it only reads |
//! | list models | `GET /models` | 10 s | yes | it only reads |
//! | list providers | `GET /providers` | 10 s | yes | it only reads |
//! | list workspaces | `GET /workspaces` | 10 s | yes | it only reads |
//! | create guardrail | `POST /guardrails` | 3 s | never | a second request makes a second guardrail; look for it by its name instead |
//! | list guardrails | `GET /guardrails` | 10 s | yes | it only reads |
//! | patch guardrail | `PATCH /guardrails/{id}` | 5 s | yes | it names every rule of the guardrail |
//! | assign keys | `POST /guardrails/{id}/assignments/keys` | 5 s | yes | a key holds one guardrail, and assigning the same one again changes nothing |
//! | list assignments | `GET /guardrails[/{id}]/assignments/keys` | 20 s | yes | it only reads |
//! | query analytics | `POST /analytics/query` | 20 s | yes | it only reads |
//! | activity | `GET /activity` | 20 s | yes | it only reads |

use std::time::Duration;

use http::Method;

/// A kind of request to the provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Call {
    /// The name in logs and errors.
    pub name: &'static str,
    pub method: Method,
    /// The path as the provider's documents write it.
    pub path: &'static str,
    /// The time-out of one try, from the first byte sent to the last byte read.
    pub time_out: Duration,
    pub again: Repeatable,
}

/// Whether a request with an unknown outcome may be sent again, with the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeatable {
    Never(&'static str),
    Safely(&'static str),
}

const READS: Repeatable = Repeatable::Safely("it only reads");

pub const CREATE_KEY: Call = Call {
    name: "create key",
    method: Method::POST,
    path: "/keys",
    time_out: Duration::from_secs(10),
    again: Repeatable::Never("without an idempotency key a second request could make a second key"),
};

pub const LIST_KEYS: Call =
    Call { name: "list keys", method: Method::GET, path: "/keys", time_out: Duration::from_secs(20), again: READS };

pub const GET_KEY: Call =
    Call { name: "get key", method: Method::GET, path: "/keys/{hash}", time_out: Duration::from_secs(5), again: READS };

pub const PATCH_KEY: Call = Call {
    name: "patch key",
    method: Method::PATCH,
    path: "/keys/{hash}",
    time_out: Duration::from_secs(5),
    again: Repeatable::Safely("it names the state to reach: disabled or not, this limit and no increment"),
};

pub const DELETE_KEY: Call = Call {
    name: "delete key",
    method: Method::DELETE,
    path: "/keys/{hash}",
    time_out: Duration::from_secs(5),
    again: Repeatable::Safely("what is already gone answers 404, which counts as deleted"),
};

pub const OWN_KEY: Call =
    Call { name: "own key", method: Method::GET, path: "/key", time_out: Duration::from_secs(5), again: READS };

pub const CREDITS: Call =
    Call { name: "credits", method: Method::GET, path: "/credits", time_out: Duration::from_secs(5), again: READS };

pub const LIST_MODELS: Call =
    Call { name: "list models", method: Method::GET, path: "/models", time_out: Duration::from_secs(10), again: READS };

pub const LIST_PROVIDERS: Call = Call {
    name: "list providers",
    method: Method::GET,
    path: "/providers",
    time_out: Duration::from_secs(10),
    again: READS,
};

pub const LIST_WORKSPACES: Call = Call {
    name: "list workspaces",
    method: Method::GET,
    path: "/workspaces",
    time_out: Duration::from_secs(10),
    again: READS,
};

pub const CREATE_GUARDRAIL: Call = Call {
    name: "create guardrail",
    method: Method::POST,
    path: "/guardrails",
    time_out: Duration::from_secs(3),
    again: Repeatable::Never("a second request makes a second guardrail; look for it by its name instead"),
};

pub const LIST_GUARDRAILS: Call = Call {
    name: "list guardrails",
    method: Method::GET,
    path: "/guardrails",
    time_out: Duration::from_secs(10),
    again: READS,
};

pub const PATCH_GUARDRAIL: Call = Call {
    name: "patch guardrail",
    method: Method::PATCH,
    path: "/guardrails/{id}",
    time_out: Duration::from_secs(5),
    again: Repeatable::Safely("it names every rule of the guardrail"),
};

pub const ASSIGN_KEYS: Call = Call {
    name: "assign keys",
    method: Method::POST,
    path: "/guardrails/{id}/assignments/keys",
    time_out: Duration::from_secs(5),
    again: Repeatable::Safely("a key holds one guardrail, and assigning the same one again changes nothing"),
};

pub const LIST_ASSIGNMENTS: Call = Call {
    name: "list assignments",
    method: Method::GET,
    path: "/guardrails[/{id}]/assignments/keys",
    time_out: Duration::from_secs(20),
    again: READS,
};

pub const QUERY_ANALYTICS: Call = Call {
    name: "query analytics",
    method: Method::POST,
    path: "/analytics/query",
    time_out: Duration::from_secs(20),
    again: READS,
};

pub const ACTIVITY: Call =
    Call { name: "activity", method: Method::GET, path: "/activity", time_out: Duration::from_secs(20), again: READS };

/// Every call, in the order of the table above.
pub const ALL: [&Call; 17] = [
    &CREATE_KEY,
    &LIST_KEYS,
    &GET_KEY,
    &PATCH_KEY,
    &DELETE_KEY,
    &OWN_KEY,
    &CREDITS,
    &LIST_MODELS,
    &LIST_PROVIDERS,
    &LIST_WORKSPACES,
    &CREATE_GUARDRAIL,
    &LIST_GUARDRAILS,
    &PATCH_GUARDRAIL,
    &ASSIGN_KEYS,
    &LIST_ASSIGNMENTS,
    &QUERY_ANALYTICS,
    &ACTIVITY,
];

impl Call {
    /// Whether the call changes anything at the provider.
    pub fn writes(&self) -> bool {
        self.again != READS
    }

    pub(in crate::provider) fn is_safe_again(&self) -> bool {
        matches!(self.again, Repeatable::Safely(_))
    }

    /// The call's row in a table of calls.
    pub fn row(&self) -> String {
        let (again, why) = match self.again {
            Repeatable::Safely(why) => ("yes", why),
            Repeatable::Never(why) => ("never", why),
        };
        let seconds = self.time_out.as_secs();
        format!("| {} | `{} {}` | {seconds} s | {again} | {why} |", self.name, self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_above_is_what_the_calls_say() {
        let rows: Vec<String> = ALL.iter().map(|call| call.row()).collect();
        let written: Vec<&str> = include_str!("calls.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! "))
            .filter(|line| line.contains('`') && line.starts_with("| "))
            .collect();
        assert_eq!(written, rows);
    }

    #[test]
    fn only_a_request_that_would_make_a_second_thing_is_never_sent_again() {
        // A POST makes something, except for one that sets a state and one whose question does not fit into a
        // URL.
        let makes_nothing = [ASSIGN_KEYS.path, QUERY_ANALYTICS.path];
        for call in ALL {
            let makes = call.method == Method::POST && !makes_nothing.contains(&call.path);
            assert_eq!(!call.is_safe_again(), makes, "{}", call.name);
        }
    }

    #[test]
    fn every_get_and_the_one_query_only_read_and_everything_else_writes() {
        for call in ALL {
            let reads = call.method == Method::GET || call.path == QUERY_ANALYTICS.path;
            assert_eq!(call.writes(), !reads, "{}", call.name);
        }
    }
}
