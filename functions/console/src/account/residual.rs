//! The residual, which no key explains, and the part of it that no admin has explained yet.

use bursar_core::domain::values::money::Usd;
use bursar_core::store::{AccountDay, SyncState};

/// The residual as the page shows it.
pub(super) struct Residual {
    /// The residual of the newest complete sync. The form carries it, so that no other amount is explained.
    pub(super) usd: Usd,
    pub(super) until: String,
    /// The part without an explanation.
    pub(super) news: Usd,
    /// Whether keys used more than the account spent.
    pub(super) is_less: bool,
    /// Whether the unexplained part exceeds the tolerance for rounding.
    pub(super) matters: bool,
    pub(super) tolerance: Usd,
    /// The reason that was typed; `refused` says what is wrong with it.
    pub(super) typed: String,
    pub(super) refused: Option<String>,
}

impl Residual {
    pub(super) fn of(day: &AccountDay, state: &SyncState, refused: Option<(String, String)>) -> Residual {
        let (typed, refused) = refused.map_or((String::new(), None), |(typed, why)| (typed, Some(why)));
        Residual {
            usd: day.residual,
            until: day.day.to_string(),
            news: day.residual - state.residual.explained,
            is_less: day.residual < state.residual.explained,
            matters: !state.residual.explains(day.residual, day.tolerance),
            tolerance: day.tolerance,
            typed,
            refused,
        }
    }
}
