//! Guardrails: what keys may call, made and changed, and keys put under them. A key holds one
//! guardrail at most, and a guardrail has no effect before a key is assigned to it.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Provider;
use crate::deadline::Deadline;
use crate::domain::programme::rules::{DataPolicy, Rules};
use crate::domain::values::id::KeyHash;
use crate::provider::keys::or_gone;
use crate::provider::wire::calls::{
    ASSIGN_KEYS, CREATE_GUARDRAIL, CallRequest, LIST_ASSIGNED, LIST_GUARDRAILS, PATCH_GUARDRAIL,
};
use crate::provider::wire::error::{FailureKind, ProviderError, Result};
use crate::provider::wire::json;
use crate::provider::wire::pages::{ListRow, PageReader};
use crate::provider::wire::send::unknown;

/// The provider's fields for what the providers of models may do with prompts: whether they may
/// train on them or publish them, and whether they must not keep them. Without a value, the
/// account's setting holds.
const TRAINING: [&str; 3] = [
    "enable_free_model_training",
    "enable_paid_model_training",
    "enable_free_model_publication",
];
const NO_RETENTION: [&str; 5] = [
    "enforce_zdr_anthropic",
    "enforce_zdr_openai",
    "enforce_zdr_google",
    "enforce_zdr_xai",
    "enforce_zdr_other",
];

/// The rules of a guardrail that Bursar sets, as a whole: sending them replaces what was there.
#[derive(Debug, Clone)]
pub struct GuardrailRules {
    /// It identifies the guardrail later.
    pub name: String,
    pub rules: Rules,
}

/// A guardrail as the provider keeps it. The provider respells models, so its models are not
/// compared with ours as texts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ProviderGuardrail {
    pub id: String,
    #[serde(default, deserialize_with = "json::or_default")]
    pub name: String,
    pub allowed_models: Option<Vec<String>>,
    pub allowed_providers: Option<Vec<String>>,
    #[serde(default)]
    pub allowed_data_regions: Option<Vec<String>>,
    #[serde(flatten)]
    other_fields: BTreeMap<String, Value>,
}

impl ProviderGuardrail {
    /// What Bursar sets of it, as the provider spells it. The provider respells models, so its
    /// state is compared with its earlier answer, not with what was sent.
    pub fn spelled(&self) -> String {
        let lists = [
            &self.allowed_models,
            &self.allowed_providers,
            &self.allowed_data_regions,
        ]
        .map(|list| {
            let mut list: Vec<&String> = list.iter().flatten().collect();
            list.sort_unstable();
            list
        });
        let switches = TRAINING.iter().chain(&NO_RETENTION);
        let permissions: Vec<_> = switches.map(|field| self.allows(field)).collect();
        // Texts and booleans are never without a form as JSON.
        serde_json::to_string(&(&self.name, lists, permissions)).unwrap_or_default()
    }

    fn follows(&self, GuardrailRules { rules, .. }: &GuardrailRules) -> bool {
        allows_all(&self.allowed_models) == rules.models.is_empty()
            && allows_all(&self.allowed_providers) == rules.providers.is_empty()
            && allows_all(&self.allowed_data_regions) == rules.regions.is_empty()
            && data_rules(rules.data_policy)
                .into_iter()
                .all(|(field, rule)| rule.is_none() || rule == self.allows(field))
    }

    fn allows(&self, field: &str) -> Option<bool> {
        self.other_fields.get(field).and_then(Value::as_bool)
    }
}

fn allows_all(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

impl Provider {
    /// Makes a guardrail in the default workspace. It is sent once; after an unknown outcome, look
    /// for its name.
    pub async fn create_guardrail(
        &self,
        rules: &GuardrailRules,
        deadline: Deadline,
    ) -> Result<ProviderGuardrail> {
        self.send_rules(CREATE_GUARDRAIL.request(), rules, deadline)
            .await
    }

    /// Replaces the rules of a guardrail; `None` if the provider has none of this id.
    pub async fn patch_guardrail(
        &self,
        id: &str,
        rules: &GuardrailRules,
        deadline: Deadline,
    ) -> Result<Option<ProviderGuardrail>> {
        or_gone(
            self.send_rules(PATCH_GUARDRAIL.about(id), rules, deadline)
                .await,
        )
    }

    pub async fn guardrails(&self, deadline: Deadline) -> Result<Vec<ProviderGuardrail>> {
        PageReader::new(self, &LIST_GUARDRAILS, "", &[])
            .all(|| deadline)
            .await
    }

    /// Puts a key under a guardrail, in place of the one it had. It succeeds only when the provider
    /// confirms that, by its count or in its list. Repeating it is harmless.
    pub async fn assign_key(&self, id: &str, key: &KeyHash, deadline: Deadline) -> Result<()> {
        #[derive(Deserialize)]
        struct AssignAnswer {
            #[serde(default, deserialize_with = "json::count")]
            assigned_count: Option<u64>,
        }
        let request = ASSIGN_KEYS.about(id).json(&json!({"key_hashes": [key]}))?;
        let answer = self
            .ask(request, deadline, json::read::<AssignAnswer>)
            .await?;
        // The count may leave out a key that had this guardrail already.
        if answer.assigned_count == Some(1) {
            return Ok(());
        }
        let mut pages = self.list_assigned(id);
        while let Some(page) = pages.next(deadline).await? {
            if page.rows.iter().any(|row| row.key_hash == *key) {
                return Ok(());
            }
        }
        Err(unknown(
            &ASSIGN_KEYS,
            format!("the key {key} is not under the guardrail"),
        ))
    }

    /// The keys under a guardrail. Each answer has a deadline of its own.
    pub async fn keys_under(
        &self,
        id: &str,
        deadline: impl Fn() -> Deadline,
    ) -> Result<HashSet<KeyHash>> {
        Ok(self
            .list_assigned(id)
            .all(deadline)
            .await?
            .into_iter()
            .map(|row| row.key_hash)
            .collect())
    }

    fn list_assigned(&self, id: &str) -> PageReader<Assignment> {
        PageReader::new(self, &LIST_ASSIGNED, id, &[])
    }

    async fn send_rules(
        &self,
        request: CallRequest<'_>,
        rules: &GuardrailRules,
        deadline: Deadline,
    ) -> Result<ProviderGuardrail> {
        let call = request.call;
        let request = request.json(&body_of(rules))?;
        let guardrail = self
            .ask(request, deadline, json::data::<ProviderGuardrail>)
            .await?;
        if guardrail.follows(rules) {
            return Ok(guardrail);
        }
        Err(ProviderError::unsent(
            FailureKind::Refused,
            call,
            "its answer does not follow these rules",
        ))
    }
}

/// The body that sends the rules. `null` clears what an earlier rule set, and an empty list would
/// be refused.
fn body_of(GuardrailRules { name, rules }: &GuardrailRules) -> Value {
    fn given<T: Serialize>(list: &[T]) -> Option<&[T]> {
        Some(list).filter(|list| !list.is_empty())
    }
    let mut body = json!({
        "name": name,
        "allowed_models": given(&rules.models),
        "allowed_providers": given(&rules.providers),
        "allowed_data_regions": given(&rules.regions),
    });
    for (field, rule) in data_rules(rules.data_policy) {
        body[field] = rule.into();
    }
    body
}

fn data_rules(policy: DataPolicy) -> BTreeMap<&'static str, Option<bool>> {
    let training = (policy != DataPolicy::Account).then_some(false);
    let no_retention = (policy == DataPolicy::ZeroRetention).then_some(true);
    let training = TRAINING.map(|field| (field, training));
    training
        .into_iter()
        .chain(NO_RETENTION.map(|field| (field, no_retention)))
        .collect()
}

/// That a key is under a guardrail.
#[derive(Deserialize)]
struct Assignment {
    key_hash: KeyHash,
}

impl ListRow for Assignment {
    fn id(&self) -> Option<&str> {
        Some(self.key_hash.as_str())
    }
}

impl ListRow for ProviderGuardrail {
    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}
