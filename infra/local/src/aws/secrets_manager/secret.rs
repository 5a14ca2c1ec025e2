//! A secret with its versions, and the stage labels after each operation. The protocol and the storage are
//! left to the files beside this one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::refusal::Refusal;

pub(super) const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";
/// The number of versions without a label that are kept.
const MOST_UNLABELLED: usize = 100;

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) created: Timestamp,
    pub(super) changed: Timestamp,
    pub(super) versions: BTreeMap<String, Version>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Version {
    pub(super) value: Value,
    pub(super) stages: BTreeSet<String>,
    pub(super) created: Timestamp,
}

/// The value of a version, masked in debug output.
#[derive(Clone, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Value(pub(super) String);

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(…)")
    }
}

impl Secret {
    /// A secret without a version.
    pub(super) fn named(name: &str, now: Timestamp) -> Secret {
        let end = Uuid::new_v4().simple().to_string();
        let arn = format!("arn:aws:secretsmanager:us-east-1:000000000000:secret:{name}-{}", &end[..6]);
        Secret { name: name.to_owned(), arn, created: now, changed: now, versions: BTreeMap::new() }
    }

    pub(super) fn arn_without_end(&self) -> &str {
        self.arn.rsplit_once('-').map_or(&self.arn, |(start, _)| start)
    }

    /// The version with this label.
    pub(super) fn version_at(&self, stage: &str) -> Option<(&String, &Version)> {
        self.versions.iter().find(|(_, version)| version.stages.contains(stage))
    }

    /// Adds a version with these labels, or as the current one if there are none. Repeating a version with
    /// its value changes nothing; with another value it is refused, since a version never changes.
    pub(super) fn add(&mut self, id: &str, value: Value, stages: &[String], now: Timestamp) -> Result<(), Refusal> {
        if let Some(version) = self.versions.get(id) {
            return if version.value == value {
                Ok(())
            } else {
                Err(Refusal::exists(&format!(
                    "You can't use ClientRequestToken {id} because that value is already in use for a version of secret {}.",
                    self.arn
                )))
            };
        }
        let first = self.version_at(CURRENT).is_none();
        self.versions.insert(id.to_owned(), Version { value, stages: BTreeSet::new(), created: now });
        for stage in stages {
            self.attach(stage, id);
        }
        if first || stages.is_empty() {
            self.attach(CURRENT, id);
        }
        self.changed = now;
        self.forget_the_oldest();
        Ok(())
    }

    /// Moves a label between versions, or takes it off one. The caller must name the version that has it.
    pub(super) fn move_stage(
        &mut self,
        stage: &str,
        from: Option<&str>,
        to: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        for id in [from, to].into_iter().flatten() {
            if !self.versions.contains_key(id) {
                return Err(Refusal::not_found(&format!(
                    "Secrets Manager can't find the specified secret value for VersionId: {id}"
                )));
            }
        }
        let at = self.version_at(stage).map(|(id, _)| id.clone());
        match (from, to, at.as_deref()) {
            (None, None, _) => {
                return Err(Refusal::parameter("You must say where the staging label goes or comes from."));
            }
            (_, Some(to), Some(at)) if to == at => return Ok(()),
            (Some(_), None, _) if stage == CURRENT => {
                return Err(Refusal::parameter(
                    "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
                ));
            }
            (from, _, at) if from != at => {
                let at = at.unwrap_or("no version");
                return Err(Refusal::parameter(&format!(
                    "Staging label {stage} is currently attached to {at}, so you must name that in RemoveFromVersionId."
                )));
            }
            (_, Some(to), _) => self.attach(stage, to),
            (_, None, _) => self.detach(stage),
        }
        self.changed = now;
        Ok(())
    }

    fn attach(&mut self, stage: &str, id: &str) {
        let before = self.version_at(stage).map(|(id, _)| id.clone());
        self.detach(stage);
        if let Some(version) = self.versions.get_mut(id) {
            version.stages.insert(stage.to_owned());
        }
        if let Some(before) = before.filter(|before| stage == CURRENT && before != id) {
            self.attach(PREVIOUS, &before);
        }
    }

    fn detach(&mut self, stage: &str) {
        for version in self.versions.values_mut() {
            version.stages.remove(stage);
        }
    }

    fn forget_the_oldest(&mut self) {
        let unlabelled = self.versions.iter().filter(|(_, version)| version.stages.is_empty());
        let mut unlabelled: Vec<(Timestamp, String)> =
            unlabelled.map(|(id, version)| (version.created, id.clone())).collect();
        unlabelled.sort();
        let surplus = unlabelled.len().saturating_sub(MOST_UNLABELLED);
        for (_, id) in unlabelled.into_iter().take(surplus) {
            self.versions.remove(&id);
        }
    }
}
