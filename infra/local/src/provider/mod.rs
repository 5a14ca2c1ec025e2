//! The provider on one machine: a stateful simulator of the calls that the product makes, with the traps of
//! the real one. It has enough of chat completions to spend money on a key. It knows nothing of Bursar and
//! injects no fault.

mod by_hand;
mod calls;
mod entrance;
mod handle;
mod inference;
mod memory;
mod quirks;
mod snapshot;
#[cfg(test)]
mod tests;
mod values;

use anyhow::Result;
use axum::{Router, middleware};

pub use self::by_hand::MadeKey;
pub use self::handle::Provider;
pub use self::memory::key::{ModelUse, SETTLES_WITHIN};
pub use self::quirks::{Cents, Differ, DrawnQuirks, Lag, Quirks, Rate};
pub use self::snapshot::KeySnapshot;
pub use self::values::ids::sha256 as hash_of;
pub use self::values::money::Nano;
pub use self::values::windows::Interval;

use self::entrance::{accounts, rate};
use self::values::refusal::Refusal;

impl Provider {
    /// The routes under `/api/v1`.
    pub fn router(&self) -> Router {
        let management = calls::routes().layer(middleware::from_fn_with_state(self.clone(), rate::let_in));
        Router::new()
            .nest("/api/v1", management.merge(inference::routes()))
            .fallback(|| async { Refusal::not_found() })
            .method_not_allowed_fallback(|| async { Refusal::method_not_allowed() })
            .layer(middleware::from_fn_with_state(self.clone(), accounts::choose))
            .with_state(self.clone())
    }

    /// Adds an account in memory, to which this management key belongs.
    pub fn another_account(&self, management_key: &str) -> Result<Provider> {
        let other = self.another(management_key)?;
        self.others().push((other.clone(), other.router()));
        Ok(other)
    }
}
