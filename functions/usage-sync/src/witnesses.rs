//! The witnesses that identify an account: some of the keys that a complete run listed.

use std::collections::BTreeSet;

use anyhow::Result;
use bursar_core::domain::values::key::KeyHash;
use bursar_core::store::KnownAccount;
use serde::{Deserialize, Serialize};

use crate::runner::{Runner, ensure_written};

/// The number of witnesses: several, because some may be deleted before they are needed.
const MOST: usize = 10;

/// The listed keys that may become witnesses.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Witnesses {
    /// Those that are witnesses already.
    known: BTreeSet<KeyHash>,
    /// The first of the others in the order of their hashes, so that the same keys are chosen again.
    others: BTreeSet<KeyHash>,
}

impl Witnesses {
    /// Adds a key that was listed.
    pub(crate) fn note(&mut self, runner: &Runner<'_>, key: &KeyHash) {
        let is_known = runner.account.as_ref().is_some_and(|account| account.witnesses.contains(key));
        self.add(key, is_known);
    }

    /// Records the witnesses of the account after a complete run, without deleted keys.
    pub(crate) async fn remember(&self, runner: &Runner<'_>, deleted: &BTreeSet<KeyHash>) -> Result<()> {
        let witnesses = self.chosen(deleted);
        if witnesses.is_empty() {
            // This run deleted the last of them: from now on nothing identifies the account.
            if runner.has_witnesses() {
                ensure_written(runner.fenced().forget_account().await?)?;
            }
            return Ok(());
        }
        let management_key = runner.provider.management_keys().current().await?.fingerprint(&runner.deployment);
        let account = KnownAccount { management_key, witnesses };
        if runner.account.as_ref() != Some(&account) {
            ensure_written(runner.fenced().know_account(&account).await?)?;
        }
        Ok(())
    }

    fn add(&mut self, key: &KeyHash, is_known: bool) {
        if is_known {
            self.known.insert(key.clone());
        } else if self.others.len() < MOST || self.others.last().is_some_and(|last| key < last) {
            self.others.insert(key.clone());
            if self.others.len() > MOST {
                self.others.pop_last();
            }
        }
    }

    fn chosen(&self, deleted: &BTreeSet<KeyHash>) -> Vec<KeyHash> {
        let left = self.known.iter().chain(&self.others).filter(|key| !deleted.contains(*key));
        let mut chosen: Vec<KeyHash> = left.take(MOST).cloned().collect();
        chosen.sort();
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_keys_are_chosen_again_whatever_the_order_and_whatever_is_new() {
        let key = |number: u32| -> KeyHash { format!("{number:064x}").parse().unwrap() };
        let mut first = Witnesses::default();
        (0..30).rev().for_each(|number| first.add(&key(number + 5), false));
        let chosen = first.chosen(&BTreeSet::new());
        assert_eq!(chosen, (5..15).map(key).collect::<Vec<_>>());
        let mut second = Witnesses::default();
        (0..50).for_each(|number| second.add(&key(number), chosen.contains(&key(number))));
        assert_eq!(second.chosen(&BTreeSet::new()), chosen, "younger keys take nobody's place");
        let left = second.chosen(&BTreeSet::from([key(7)]));
        assert_eq!(left.len(), MOST);
        assert!(!left.contains(&key(7)) && left.contains(&key(0)));
    }
}
