//! The values of the simulator's calls: amounts, windows, identifiers, models, and requests and refusals on
//! the wire.

pub(crate) mod asked;
pub(crate) mod ids;
pub(crate) mod models;
pub(crate) mod money;
pub(crate) mod refusal;
pub(crate) mod windows;

/// The only user of the account.
pub(crate) const USER_ID: &str = "user_2simulated0000000000000000";
