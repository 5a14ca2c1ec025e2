//! What stops a key from spending: the account's balance, guardrails, budgets, its own limit. All are weighed against settled
//! use only, so requests that run side by side overshoot, as they do at the provider.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::errors::Refusal;
use super::guardrail::Guardrail;
use super::key::{Key, instant, money};
use super::memory::Memory;
use super::models::Model;
use super::money::Nano;
use super::quirks::Quirks;
use super::windows::Interval;

/// A completion that somebody asks for.
pub(super) struct Order {
    pub(super) model: &'static Model,
    pub(super) prompt_tokens: u64,
    pub(super) max_tokens: Option<u64>,
    /// Paid to the model's maker with a key of the account's own.
    pub(super) byok: bool,
}

/// One layer that rejects requests once it is used up.
pub(super) struct Budget {
    scope: &'static str,
    guardrail: Option<String>,
    limit: Nano,
    spent: Nano,
    reset: Option<Interval>,
    byok: bool,
}

/// Every layer over a key, in the order in which they are checked.
pub(super) fn budgets(memory: &Memory, key: &Key, now: Timestamp) -> Vec<Budget> {
    let mut budgets: Vec<Budget> =
        guardrails(memory, key).filter_map(|guardrail| budget_of(guardrail, key, now)).collect();
    if let Some(limit) = key.cap(&memory.quirks) {
        let (reset, byok) = (key.reset, key.byok_in_limit);
        budgets.push(Budget { scope: KEY_LIMIT, guardrail: None, limit, spent: key.spent_in_window(now), reset, byok });
    }
    budgets
}

const KEY_LIMIT: &str = "key_limit";

/// The budget that says no first: one that is used up, else the one with the least left.
pub(super) fn effective(budgets: &[Budget]) -> Option<&Budget> {
    let used_up = budgets.iter().find(|budget| budget.remaining() <= Nano::ZERO);
    used_up.or_else(|| budgets.iter().min_by_key(|budget| budget.remaining()))
}

/// The guardrails over a key: its workspace's default, then its own.
pub(super) fn guardrails<'a>(memory: &'a Memory, key: &Key) -> impl Iterator<Item = &'a Guardrail> {
    let default =
        memory.guardrails().iter().find(|guardrail| guardrail.default && guardrail.workspace == key.workspace);
    let own = key.assignment.as_ref().and_then(|assignment| memory.guardrail(&assignment.guardrail));
    default.into_iter().chain(own)
}

/// Whether the request may go to its model now.
pub(super) fn admit(memory: &Memory, key: &Key, order: &Order, now: Timestamp) -> Result<(), Refusal> {
    let balance = memory.account().credits - memory.used();
    let free = order.model.is_free();
    if balance < Nano::ZERO || (balance == Nano::ZERO && !free && !order.byok) {
        return Err(Refusal::payment_required(
            "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
        )
        .with(json!({ "limit_source": "openrouter_credits", "error_type": "payment_required" })));
    }
    let elsewhere = |regions: &Vec<String>| !regions.iter().any(|region| region == "global");
    for guardrail in guardrails(memory, key) {
        if guardrail.regions.as_ref().is_some_and(elsewhere) || !guardrail.allows(order.model) {
            return Err(Refusal::forbidden(
                "No endpoints available matching your guardrail restrictions and data policy. \
                 Configure: https://openrouter.ai/settings/privacy",
            )
            .with(json!({ "error_type": "permission_denied" })));
        }
    }
    if free && !memory.quirks.limit_blocks_free_models {
        return Ok(());
    }
    for budget in budgets(memory, key, now) {
        if budget.remaining() <= Nano::ZERO {
            return Err(budget.exceeded(now, &memory.quirks));
        }
        if budget.scope == KEY_LIMIT && (budget.byok || !order.byok) {
            let place = format!("keys and create a key with a higher {} limit", budget.window());
            affordable(order, budget.remaining(), "openrouter_key_limit", &place, &memory.quirks)?;
        }
    }
    match order.byok {
        true => Ok(()),
        false => affordable(order, balance, "openrouter_credits", "credits and add more credits", &memory.quirks),
    }
}

/// The provider weighs what an answer could cost at most, if the request says how long it may be.
fn affordable(order: &Order, left: Nano, source: &str, place: &str, quirks: &Quirks) -> Result<(), Refusal> {
    let missing = quirks.weigh_missing_max_tokens.then_some(order.model.max_completion);
    let Some(tokens) = order.max_tokens.or(missing) else {
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

fn budget_of(guardrail: &Guardrail, key: &Key, now: Timestamp) -> Option<Budget> {
    Some(Budget {
        scope: if guardrail.default { "workspace_default_key" } else { "api_key" },
        guardrail: Some(guardrail.id.clone()),
        limit: guardrail.limit?,
        spent: key.spent(guardrail.reset, guardrail.byok, now),
        reset: guardrail.reset,
        byok: guardrail.byok,
    })
}

impl Budget {
    pub(super) fn object(&self, now: Timestamp, quirks: &Quirks) -> Value {
        json!({
            "scope": self.scope,
            "limit_usd": self.limit.json(),
            "spend_usd": money(self.spent, quirks),
            "remaining_usd": money(self.remaining(), quirks),
            "reset_interval": self.reset,
            "resets_at": self.resets_at(now, quirks),
            "include_byok": self.byok,
            "guardrail_id": self.guardrail,
            "budget_id": null,
        })
    }

    fn remaining(&self) -> Nano {
        self.limit - self.spent
    }

    fn resets_at(&self, now: Timestamp, quirks: &Quirks) -> Option<String> {
        self.reset.map(|interval| instant(interval.end(now), quirks))
    }

    fn window(&self) -> &'static str {
        self.reset.map_or("total", Interval::name)
    }

    fn exceeded(&self, now: Timestamp, quirks: &Quirks) -> Refusal {
        let used = format!("${} of ${} used", self.spent.cents(), self.limit.cents());
        let resets = self.resets_at(now, quirks).map_or_else(String::new, |at| format!("; resets {at}"));
        if self.scope != KEY_LIMIT {
            return Refusal::forbidden(format!("Guardrail budget exceeded ({} limit). {used}{resets}", self.window()))
                .with(json!({
                    "limit_source": "openrouter_guardrail_budget",
                    "scope": self.scope,
                    "limit_usd": self.limit.json(),
                    "spend_usd": money(self.spent, quirks),
                    "resets_at": self.resets_at(now, quirks),
                }));
        }
        let message = format!(
            "Key limit exceeded ({} limit). Manage it using https://openrouter.ai/settings/keys",
            self.window()
        );
        if quirks.old_limit_errors {
            return Refusal::forbidden(message);
        }
        Refusal::forbidden(format!("{message}. {used}{resets}")).with(json!({ "limit_source": "openrouter_key_limit" }))
    }
}
