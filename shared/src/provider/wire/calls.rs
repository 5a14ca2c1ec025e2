//! The provider's calls: the time-out of each, and whether it may be sent again when its answer did
//! not come. [`send`](super::send) acts on it; nothing else decides about repeating.
//!
//! Only what reads is. An answer to the second of two equal requests would hide that the first may
//! still take effect, after what somebody else sends by then; so what changes something is sent
//! once, and repeated by whoever noted it.

use std::time::Duration;

use http::Method;
use serde::Serialize;

use crate::provider::wire::error::Result;
use crate::provider::wire::send::refuse_here;

#[derive(Debug)]
pub(crate) struct Call {
    pub name: &'static str,
    pub method: Method,
    /// The path as the provider's documents write it.
    pub path: &'static str,
    /// The time-out of one try, from the first byte sent to the last byte read.
    pub time_out: Duration,
    pub retry: Again,
    /// Whether it is sent although the provider asked for a wait.
    pub passes_waits: bool,
}

/// Whether a request with an unknown outcome may be sent again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Again {
    /// It only reads.
    Reads,
    /// It names the state to reach, and is sent once for each time that this is noted.
    Once,
    /// A second request could make a second thing.
    Never,
}

use Again::{Never, Once, Reads};

pub(crate) static CREATE_KEY: Call = call("create key", Method::POST, "/keys", 10, Never);
pub(crate) static LIST_KEYS: Call = call("list keys", Method::GET, "/keys", 20, Reads);
pub(crate) static GET_KEY: Call = call("get key", Method::GET, "/keys/{}", 5, Reads);
pub(crate) static PATCH_KEY: Call = call("patch key", Method::PATCH, "/keys/{}", 5, Once);
// Whoever has a key that is to be off spends on meanwhile.
pub(crate) static DISABLE_KEY: Call = Call {
    name: "disable key",
    method: Method::PATCH,
    path: "/keys/{}",
    time_out: Duration::from_secs(5),
    retry: Once,
    passes_waits: true,
};
// What is gone already answers 404, which counts as deleted.
pub(crate) static DELETE_KEY: Call = call("delete key", Method::DELETE, "/keys/{}", 5, Once);
pub(crate) static OWN_KEY: Call = call("own key", Method::GET, "/key", 5, Reads);
pub(crate) static CREDITS: Call = call("credits", Method::GET, "/credits", 5, Reads);
pub(crate) static LIST_MODELS: Call = call("list models", Method::GET, "/models", 10, Reads);
pub(crate) static LIST_PROVIDERS: Call =
    call("list providers", Method::GET, "/providers", 10, Reads);
pub(crate) static LIST_WORKSPACES: Call =
    call("list workspaces", Method::GET, "/workspaces", 10, Reads);
// Whose answer did not come is looked for by its name.
pub(crate) static CREATE_GUARDRAIL: Call =
    call("create guardrail", Method::POST, "/guardrails", 3, Never);
pub(crate) static LIST_GUARDRAILS: Call =
    call("list guardrails", Method::GET, "/guardrails", 10, Reads);
pub(crate) static PATCH_GUARDRAIL: Call =
    call("patch guardrail", Method::PATCH, "/guardrails/{}", 5, Once);
pub(crate) static ASSIGN_KEYS: Call = call(
    "assign keys",
    Method::POST,
    "/guardrails/{}/assignments/keys",
    5,
    Once,
);
pub(crate) static LIST_ASSIGNED: Call = call(
    "list assignments",
    Method::GET,
    "/guardrails/{}/assignments/keys",
    20,
    Reads,
);
// The question does not fit into a URL.
pub(crate) static QUERY_ANALYTICS: Call = call(
    "query analytics",
    Method::POST,
    "/analytics/query",
    20,
    Reads,
);

const fn call(
    name: &'static str,
    method: Method,
    path: &'static str,
    seconds: u64,
    retry: Again,
) -> Call {
    Call {
        name,
        method,
        path,
        time_out: Duration::from_secs(seconds),
        retry,
        passes_waits: false,
    }
}

pub(crate) struct CallRequest<'a> {
    pub call: &'static Call,
    /// What stands in the path for `{}`.
    pub id: &'a str,
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<String>,
}

impl Call {
    pub(crate) fn request(&'static self) -> CallRequest<'static> {
        self.about("")
    }

    pub(crate) fn about<'a>(&'static self, id: &'a str) -> CallRequest<'a> {
        CallRequest {
            call: self,
            id,
            query: &[],
            body: None,
        }
    }
}

impl<'a> CallRequest<'a> {
    pub(crate) fn json(self, body: &impl Serialize) -> Result<CallRequest<'a>> {
        let body = serde_json::to_string(body);
        let body = body.map_err(|_| refuse_here(self.call, "the request cannot be written"))?;
        Ok(CallRequest {
            body: Some(body),
            ..self
        })
    }
}
