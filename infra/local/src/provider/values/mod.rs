//! What the simulator's calls are made of: amounts, windows, identifiers, models, and requests and refusals as they travel.

pub(crate) mod asked;
pub(crate) mod ids;
pub(crate) mod models;
pub(crate) mod money;
pub(crate) mod refusal;
pub(crate) mod windows;

/// The only person of the account.
pub(crate) const USER_ID: &str = "user_2simulated0000000000000000";
