//! One grant beside its listed keys: rows, packed between the stages, findings, and the outcomes of those.

pub(crate) mod finding;
pub(crate) mod grant;
pub(crate) mod guardrail_keys;
pub(crate) mod outcome;
pub(crate) mod read_ahead;
pub(crate) mod row;
pub(crate) mod rows;
pub(crate) mod safety_limit;
pub(crate) mod shards;
pub(crate) mod write_queue;
