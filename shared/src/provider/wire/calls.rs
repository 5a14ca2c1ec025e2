//! The one table of the provider's calls: each call's time-out, whether it may be sent again when its answer
//! did not come, and why. `send` acts on it; nothing else decides about repeating.
//!
//! "Sent again" means: within the invocation, with jitter, honouring `Retry-After`, when no answer or one that asks
//! for patience came. Whatever was refused for its management key did nothing, and is sent once more if the secret
//! holds another key by then. The sync and the console share one pace each over all their calls (`pace`); `claim`
//! makes a handful of calls, one after another, and has none.

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

/// By `claim`: a claim.
pub const CREATE_KEY: Call = Call {
    name: "create key",
    method: Method::POST,
    path: "/keys",
    time_out: Duration::from_secs(10),
    again: Repeatable::Never("without an idempotency key a second request could make a second key"),
};

/// By `usage-sync`: the listing of a sync.
pub const LIST_KEYS: Call =
    Call { name: "list keys", method: Method::GET, path: "/keys", time_out: Duration::from_secs(20), again: READS };

/// By `claim`, `console`, `usage-sync`: a refresh, a last reading, a witness, a foreign key before an act.
pub const GET_KEY: Call =
    Call { name: "get key", method: Method::GET, path: "/keys/{hash}", time_out: Duration::from_secs(5), again: READS };

/// By `claim`, `console`, `usage-sync`: orders: a disable, an enable, a limit; an admin's act on a foreign key.
pub const PATCH_KEY: Call = Call {
    name: "patch key",
    method: Method::PATCH,
    path: "/keys/{hash}",
    time_out: Duration::from_secs(5),
    again: Repeatable::Safely("it names the state to reach: disabled or not, this limit and no increment"),
};

/// By `usage-sync`: a key of a grant that is long over.
pub const DELETE_KEY: Call = Call {
    name: "delete key",
    method: Method::DELETE,
    path: "/keys/{hash}",
    time_out: Duration::from_secs(5),
    again: Repeatable::Safely("what is already gone answers 404, which counts as deleted"),
};

/// By `console`, `usage-sync`: whether the management key is one, and still good.
pub const OWN_KEY: Call =
    Call { name: "own key", method: Method::GET, path: "/key", time_out: Duration::from_secs(5), again: READS };

/// By `usage-sync`: the account's money, before and after a listing.
pub const CREDITS: Call =
    Call { name: "credits", method: Method::GET, path: "/credits", time_out: Duration::from_secs(5), again: READS };

/// By `console`: models that a form names for the first time.
pub const LIST_MODELS: Call =
    Call { name: "list models", method: Method::GET, path: "/models", time_out: Duration::from_secs(10), again: READS };

/// By `console`: providers that a form names for the first time.
pub const LIST_PROVIDERS: Call = Call {
    name: "list providers",
    method: Method::GET,
    path: "/providers",
    time_out: Duration::from_secs(10),
    again: READS,
};

/// By `usage-sync`: whose keys are listed.
pub const LIST_WORKSPACES: Call = Call {
    name: "list workspaces",
    method: Method::GET,
    path: "/workspaces",
    time_out: Duration::from_secs(10),
    again: READS,
};

/// By `console`, `usage-sync`: rules that no programme had before; a guardrail that somebody deleted.
pub const CREATE_GUARDRAIL: Call = Call {
    name: "create guardrail",
    method: Method::POST,
    path: "/guardrails",
    time_out: Duration::from_secs(3),
    again: Repeatable::Never("a second request makes a second guardrail; look for it by its name instead"),
};

/// By `console`, `usage-sync`: what guardrails say, and one whose making was not answered.
pub const LIST_GUARDRAILS: Call = Call {
    name: "list guardrails",
    method: Method::GET,
    path: "/guardrails",
    time_out: Duration::from_secs(10),
    again: READS,
};

/// By `console`, `usage-sync`: a tier that was edited; rules that somebody changed at the provider.
pub const PATCH_GUARDRAIL: Call = Call {
    name: "patch guardrail",
    method: Method::PATCH,
    path: "/guardrails/{id}",
    time_out: Duration::from_secs(5),
    again: Repeatable::Safely("it names every rule of the guardrail"),
};

/// By `claim`, `console`, `usage-sync`: a claim; other rules, another group; keys that were taken from under it.
pub const ASSIGN_KEYS: Call = Call {
    name: "assign keys",
    method: Method::POST,
    path: "/guardrails/{id}/assignments/keys",
    time_out: Duration::from_secs(5),
    again: Repeatable::Safely("a key holds one guardrail, and assigning the same one again changes nothing"),
};

/// By `claim`, `console`, `usage-sync`: which keys are under a guardrail.
pub const LIST_ASSIGNMENTS: Call = Call {
    name: "list assignments",
    method: Method::GET,
    path: "/guardrails[/{id}]/assignments/keys",
    time_out: Duration::from_secs(20),
    again: READS,
};

/// By `usage-sync`: use by key, model and day.
pub const QUERY_ANALYTICS: Call = Call {
    name: "query analytics",
    method: Method::POST,
    path: "/analytics/query",
    time_out: Duration::from_secs(20),
    again: READS,
};

/// By `usage-sync`: use by model, where the analytics are cut off.
pub const ACTIVITY: Call =
    Call { name: "activity", method: Method::GET, path: "/activity", time_out: Duration::from_secs(20), again: READS };

/// Every call.
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
