//! The limits of spending: the account's balance, a guardrail, the key's limit. They consider settled usage
//! only, so concurrent requests overshoot, as at the real provider.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::provider::memory::Memory;
use crate::provider::memory::key::Key;
use crate::provider::values::models::Model;
use crate::provider::values::money::Nano;
use crate::provider::values::refusal::Refusal;
use crate::provider::values::windows::{Interval, printed};

/// A requested completion.
pub(crate) struct Order {
    pub(crate) model: &'static Model,
    pub(crate) prompt_tokens: u64,
    pub(crate) max_tokens: Option<u64>,
}

/// The limit of a key with its rest, which rejects requests once it is used up.
pub(crate) struct Budget {
    limit: Nano,
    spent: Nano,
    reset: Option<Interval>,
    byok: bool,
}

/// Checks whether the request may go to its model.
pub(crate) fn admit(memory: &Memory, key: &Key, order: &Order, now: Timestamp) -> Result<(), Refusal> {
    let balance = memory.account().credits - memory.used();
    if balance < Nano::ZERO || (balance == Nano::ZERO && !order.model.is_free()) {
        return Err(Refusal::payment_required(
            "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
        )
        .with(json!({ "limit_source": "openrouter_credits", "error_type": "payment_required" })));
    }
    let guardrail = key.assignment.as_ref().and_then(|assignment| memory.guardrail(&assignment.guardrail));
    if guardrail.is_some_and(|guardrail| !guardrail.allows(order.model)) {
        return Err(Refusal::forbidden(
            "No endpoints available matching your guardrail restrictions and data policy. \
             Configure: https://openrouter.ai/settings/privacy",
        )
        .with(json!({ "error_type": "permission_denied" })));
    }
    if let Some(budget) = Budget::of(key, now) {
        if budget.remaining() <= Nano::ZERO {
            return Err(budget.exceeded(now));
        }
        let place = format!("keys and create a key with a higher {} limit", budget.window());
        affordable(order, budget.remaining(), "openrouter_key_limit", &place)?;
    }
    affordable(order, balance, "openrouter_credits", "credits and add more credits")
}

/// Checks the highest possible cost of the answer, as the provider does if the request limits its length.
fn affordable(order: &Order, left: Nano, source: &str, place: &str) -> Result<(), Refusal> {
    let Some(tokens) = order.max_tokens else {
        return Ok(());
    };
    let afforded = (left - order.model.prompt.times(order.prompt_tokens)).affords(order.model.completion);
    if tokens <= afforded {
        return Ok(());
    }
    Err(Refusal::payment_required(format!(
        "This request requires more credits, or fewer max_tokens. You requested up to {tokens} tokens, but can only \
         afford {afforded}. To increase, visit https://openrouter.ai/settings/{place}"
    ))
    .with(json!({ "limit_source": source, "error_type": "payment_required" })))
}

impl Budget {
    pub(crate) fn of(key: &Key, now: Timestamp) -> Option<Budget> {
        let (limit, spent) = (key.limit?, key.spent_in_window(now));
        Some(Budget { limit, spent, reset: key.reset, byok: key.byok_in_limit })
    }

    pub(crate) fn object(&self, now: Timestamp) -> Value {
        json!({
            "scope": "key_limit",
            "limit_usd": self.limit.json(),
            "spend_usd": self.spent.json(),
            "remaining_usd": self.remaining().json(),
            "reset_interval": self.reset,
            "resets_at": self.resets_at(now),
            "include_byok": self.byok,
            "guardrail_id": null,
            "budget_id": null,
        })
    }

    fn remaining(&self) -> Nano {
        self.limit - self.spent
    }

    fn resets_at(&self, now: Timestamp) -> Option<String> {
        self.reset.map(|interval| printed(interval.end(now)))
    }

    fn window(&self) -> &'static str {
        self.reset.map_or("total", Interval::name)
    }

    fn exceeded(&self, now: Timestamp) -> Refusal {
        let resets = self.resets_at(now).map_or_else(String::new, |at| format!("; resets {at}"));
        let message = format!(
            "Key limit exceeded ({} limit). Manage it using https://openrouter.ai/settings/keys. ${} of ${} used{resets}",
            self.window(),
            self.spent.cents(),
            self.limit.cents()
        );
        Refusal::forbidden(message).with(json!({ "limit_source": "openrouter_key_limit" }))
    }
}
