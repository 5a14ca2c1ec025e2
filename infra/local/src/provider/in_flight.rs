//! The budget for requests in flight: what requests may cost is held against the account while they
//! run and until they have settled, and what does not fit beside it is refused. The provider
//! publishes neither share, ceiling nor time: these are guesses.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::windows::Nano;
use super::{Refusal, refuse};

/// The most that is held at once, whatever the balance.
const CEILING: Nano = Nano::usd(5);
const SETTLES_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// What is held, and until when. Each request is answered at once, so the time runs from its
/// arrival.
#[derive(Default)]
pub(super) struct InFlight(Vec<(Timestamp, Nano)>);

impl InFlight {
    /// Holds what a request may cost, unless it does not fit beside what is held.
    pub(super) fn hold(
        &mut self,
        estimate: Nano,
        balance: Nano,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let budget = balance.tenth().min(CEILING);
        if estimate > budget {
            let why = "This request's maximum cost exceeds your available credits. Add credits, or lower max_tokens or prompt size.";
            let hint = "Lower max_tokens or the prompt size, or add credits at https://openrouter.ai/settings/credits.";
            return Err(refuse(402, why).with(json!({
                "reason": "weight_exceeds_budget", "limit_source": "openrouter_credits", "remedy_hint": hint,
            })));
        }
        self.0.retain(|(until, _)| now < *until);
        let held: Nano = self.0.iter().map(|(_, held)| *held).sum();
        if held + estimate > budget {
            let why = "This request would exceed your available credits given your current in-flight requests. Retry after \
                       in-flight requests settle, or add credits.";
            let hint = "Retry after your in-flight requests settle (see the Retry-After header). Adding credits at \
                        https://openrouter.ai/settings/credits raises your in-flight budget, up to a capped ceiling.";
            let metadata = json!({
                "reason": "in_flight_budget_exhausted", "limit_source": "openrouter_in_flight_budget", "remedy_hint": hint,
            });
            return Err(refuse(402, why)
                .with(metadata)
                .retry_after(SETTLES_AFTER.as_secs().unsigned_abs()));
        }
        self.0.push((now + SETTLES_AFTER, estimate));
        Ok(())
    }
}
