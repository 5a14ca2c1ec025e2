//! Guardrails: what keys may call, made and changed, and keys put under them. A key holds one
//! guardrail at most, and a guardrail has no effect before a key is assigned to it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Provider;
use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::domain::programme::rules::{DataPolicy, Region, Rules};
use crate::domain::values::key::KeyHash;
use crate::provider::wire::calls::{
    ASSIGN_KEYS, CREATE_GUARDRAIL, Call, LIST_ASSIGNED, LIST_ASSIGNMENTS, LIST_GUARDRAILS, PATCH_GUARDRAIL, Request,
};
use crate::provider::wire::error::{ProviderError, Trouble};
use crate::provider::wire::json::{self, Envelope};
use crate::provider::wire::pages::{ListRow, PageReader};

/// The number of keys that one request assigns; the provider's own bulk calls take as many.
pub const ASSIGNED_AT_ONCE: usize = 100;

/// The rules of a guardrail that Bursar sets, as a whole: sending them replaces what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardrailRules {
    /// It identifies the guardrail later.
    pub name: String,
    pub rules: Rules,
}

/// A guardrail as the provider keeps it. The provider respells models, so its models are not compared with
/// ours as texts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProviderGuardrail {
    pub id: String,
    #[serde(default, deserialize_with = "json::or_default")]
    pub name: String,
    pub allowed_models: Option<Vec<String>>,
    pub allowed_providers: Option<Vec<String>>,
    #[serde(default)]
    pub allowed_data_regions: Option<Vec<String>>,
    #[serde(flatten)]
    data: DataRules,
    pub workspace_id: Option<String>,
}

/// What the providers of models may do with prompts, by the provider's own fields. A missing field follows
/// the account's setting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct DataRules {
    enable_free_model_training: Option<bool>,
    enable_paid_model_training: Option<bool>,
    enable_free_model_publication: Option<bool>,
    enforce_zdr_anthropic: Option<bool>,
    enforce_zdr_openai: Option<bool>,
    enforce_zdr_google: Option<bool>,
    enforce_zdr_xai: Option<bool>,
    enforce_zdr_other: Option<bool>,
}

/// The assignment of a key to a guardrail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Assignment {
    pub guardrail_id: String,
    pub key_hash: KeyHash,
}

/// A list of assignments that is being read.
pub struct Assignments {
    pages: PageReader<AssignmentRow>,
    seen: HashSet<Assignment>,
}

impl ProviderGuardrail {
    /// What Bursar sets of it, as the provider spells it. The provider respells models, so its state is compared with its earlier
    /// answer, not with what was sent.
    pub fn spelled(&self) -> String {
        let lists = [&self.allowed_models, &self.allowed_providers, &self.allowed_data_regions].map(sorted);
        // Texts and booleans are never without a form as JSON.
        serde_json::to_string(&(&self.name, lists, self.data)).unwrap_or_default()
    }

    /// Whether it restricts what these rules restrict, as far as its fields show.
    fn follows(&self, rules: &GuardrailRules) -> bool {
        let rules = &rules.rules;
        let wanted = DataRules::of(rules.data_policy);
        let allows_all = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
        allows_all(&self.allowed_models) == rules.models.is_empty()
            && allows_all(&self.allowed_providers) == rules.providers.is_empty()
            && allows_all(&self.allowed_data_regions) == rules.regions.is_empty()
            && wanted.is_in(&self.data)
    }
}

fn sorted(list: &Option<Vec<String>>) -> Vec<&str> {
    let mut list: Vec<&str> = list.iter().flatten().map(String::as_str).collect();
    list.sort_unstable();
    list
}

impl Provider {
    /// Makes a guardrail in a workspace, or in the default one. It is sent once; after an unknown outcome,
    /// look for its name.
    pub async fn create_guardrail(
        &self,
        rules: &GuardrailRules,
        workspace: Option<&str>,
        deadline: Deadline,
    ) -> Result<ProviderGuardrail, ProviderError> {
        let made = self.guardrail(CREATE_GUARDRAIL.request(), &RulesBody::of(rules, workspace), deadline).await?;
        if made.follows(rules) { Ok(made) } else { Err(not_followed(&CREATE_GUARDRAIL)) }
    }

    /// Replaces the rules of a guardrail, and checks that it follows them; `None` if the provider has none of
    /// this id.
    pub async fn patch_guardrail(
        &self,
        id: &str,
        rules: &GuardrailRules,
        deadline: Deadline,
    ) -> Result<Option<ProviderGuardrail>, ProviderError> {
        let patched = self.guardrail(PATCH_GUARDRAIL.about(id), &RulesBody::of(rules, None), deadline).await;
        let patched = or_none(patched)?;
        if patched.as_ref().is_some_and(|patched| !patched.follows(rules)) {
            return Err(not_followed(&PATCH_GUARDRAIL));
        }
        Ok(patched)
    }

    /// Lists the guardrails of a workspace, or of the default one.
    pub async fn guardrails(
        &self,
        workspace: Option<&str>,
        deadline: Deadline,
    ) -> Result<Vec<ProviderGuardrail>, ProviderError> {
        let query: Vec<_> = workspace.map(|id| ("workspace_id", id)).into_iter().collect();
        let mut pages = PageReader::<ProviderGuardrail>::new(self, &LIST_GUARDRAILS, "", &query, Clock::system());
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        while let Some(page) = pages.next(deadline).await? {
            all.extend(page.rows.into_iter().filter(|guardrail| seen.insert(guardrail.id.clone())));
        }
        Ok(all)
    }

    /// Puts keys under a guardrail, each replacing the one it had. It succeeds only when the provider
    /// confirms every key, by its count or in its list. An error may leave some of them assigned; repeating
    /// all is harmless.
    pub async fn assign_keys(&self, id: &str, hashes: &[KeyHash], deadline: Deadline) -> Result<(), ProviderError> {
        for chunk in hashes.chunks(ASSIGNED_AT_ONCE) {
            let confirmed = self.assign_chunk(id, chunk, deadline).await?;
            if confirmed != Some(chunk.len() as u64) {
                self.confirm_by_list(id, chunk, deadline).await?;
            }
        }
        Ok(())
    }

    /// The assignments of one guardrail, or of all; [`Assignments::next`] reads them page by page.
    pub fn assignments(&self, guardrail: Option<&str>) -> Assignments {
        let pages = match guardrail {
            Some(id) => PageReader::new(self, &LIST_ASSIGNED, id, &[], Clock::system()),
            None => PageReader::new(self, &LIST_ASSIGNMENTS, "", &[], Clock::system()),
        };
        Assignments { pages, seen: HashSet::new() }
    }

    async fn guardrail(
        &self,
        request: Request<'_>,
        rules: &RulesBody<'_>,
        deadline: Deadline,
    ) -> Result<ProviderGuardrail, ProviderError> {
        let Envelope { data } =
            self.ask(request.json(rules)?, deadline, json::read::<Envelope<ProviderGuardrail>>).await?;
        Ok(data)
    }

    async fn assign_chunk(
        &self,
        id: &str,
        hashes: &[KeyHash],
        deadline: Deadline,
    ) -> Result<Option<u64>, ProviderError> {
        #[derive(Serialize)]
        struct AssignBody<'a> {
            key_hashes: &'a [KeyHash],
        }
        #[derive(Deserialize)]
        struct AssignAnswer {
            #[serde(default, deserialize_with = "json::count")]
            assigned_count: Option<u64>,
        }
        let request = ASSIGN_KEYS.about(id).json(&AssignBody { key_hashes: hashes })?;
        let answer = self.ask(request, deadline, json::read::<AssignAnswer>).await?;
        Ok(answer.assigned_count)
    }

    /// Checks the list for every key. The count may leave out a key that had this guardrail already, and it
    /// is not documented whether a request can succeed in part.
    async fn confirm_by_list(&self, id: &str, hashes: &[KeyHash], deadline: Deadline) -> Result<(), ProviderError> {
        let mut missing: HashSet<&KeyHash> = hashes.iter().collect();
        let mut listed = self.assignments(Some(id));
        while let Some(page) = listed.next(deadline).await? {
            for assignment in &page {
                missing.remove(&assignment.key_hash);
            }
            if missing.is_empty() {
                return Ok(());
            }
        }
        let message = format!("{} of {} keys are not under the guardrail", missing.len(), hashes.len());
        Err(ProviderError::Unknown { trouble: Trouble::unsent(&ASSIGN_KEYS, message), after: None, made: None })
    }
}

impl Assignments {
    /// The next assignments, without repetition; `None` after the last. `deadline` applies to each answer.
    pub async fn next(&mut self, deadline: Deadline) -> Result<Option<Vec<Assignment>>, ProviderError> {
        while let Some(page) = self.pages.next(deadline).await? {
            let rows = page.rows.into_iter().map(|row| row.assignment);
            let unseen: Vec<Assignment> = rows.filter(|row| self.seen.insert(row.clone())).collect();
            if !unseen.is_empty() {
                return Ok(Some(unseen));
            }
        }
        Ok(None)
    }
}

/// The body that sends the rules. `null` clears what an earlier rule set, and an empty list would be refused.
#[derive(Serialize)]
struct RulesBody<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<&'a str>,
    allowed_models: Option<&'a [String]>,
    allowed_providers: Option<&'a [String]>,
    allowed_data_regions: Option<&'a [Region]>,
    #[serde(flatten)]
    data: DataRules,
}

impl<'a> RulesBody<'a> {
    fn of(of: &'a GuardrailRules, workspace_id: Option<&'a str>) -> RulesBody<'a> {
        let GuardrailRules { name, rules } = of;
        RulesBody {
            name,
            workspace_id,
            allowed_models: Some(&*rules.models).filter(|models| !models.is_empty()),
            allowed_providers: Some(&*rules.providers).filter(|providers| !providers.is_empty()),
            allowed_data_regions: Some(&*rules.regions).filter(|regions| !regions.is_empty()),
            data: DataRules::of(rules.data_policy),
        }
    }
}

impl DataRules {
    /// Whether every field that is set here has this value there.
    fn is_in(&self, other: &DataRules) -> bool {
        let each = |rules: &DataRules| {
            [
                rules.enable_free_model_training,
                rules.enable_paid_model_training,
                rules.enable_free_model_publication,
                rules.enforce_zdr_anthropic,
                rules.enforce_zdr_openai,
                rules.enforce_zdr_google,
                rules.enforce_zdr_xai,
                rules.enforce_zdr_other,
            ]
        };
        each(self).into_iter().zip(each(other)).all(|(wanted, is)| wanted.is_none() || wanted == is)
    }

    fn of(policy: DataPolicy) -> DataRules {
        let training = (policy != DataPolicy::Account).then_some(false);
        let retention = (policy == DataPolicy::ZeroRetention).then_some(true);
        DataRules {
            enable_free_model_training: training,
            enable_paid_model_training: training,
            enable_free_model_publication: training,
            enforce_zdr_anthropic: retention,
            enforce_zdr_openai: retention,
            enforce_zdr_google: retention,
            enforce_zdr_xai: retention,
            enforce_zdr_other: retention,
        }
    }
}

/// An assignment and the text that identifies it.
struct AssignmentRow {
    assignment: Assignment,
    id: String,
}

impl ListRow for AssignmentRow {
    const PAGE: usize = 100;
    const PAGE_IS_ASKED: bool = true;

    fn read(row: &RawValue) -> Result<AssignmentRow, serde_json::Error> {
        let assignment: Assignment = serde_json::from_str(row.get())?;
        let id = format!("{}/{}", assignment.guardrail_id, assignment.key_hash);
        Ok(AssignmentRow { assignment, id })
    }

    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}

impl ListRow for ProviderGuardrail {
    const PAGE: usize = 100;
    const PAGE_IS_ASKED: bool = true;

    fn read(row: &RawValue) -> Result<ProviderGuardrail, serde_json::Error> {
        serde_json::from_str(row.get())
    }

    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}

/// A guardrail that the provider answered without some of the rules that were sent.
fn not_followed(call: &'static Call) -> ProviderError {
    let trouble = Trouble::unsent(call, "the guardrail answered does not follow its rules".to_owned());
    ProviderError::Unknown { trouble, after: None, made: None }
}

fn or_none(answer: Result<ProviderGuardrail, ProviderError>) -> Result<Option<ProviderGuardrail>, ProviderError> {
    match answer {
        Ok(guardrail) => Ok(Some(guardrail)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
