//! By what the account is known again: some of the keys that a run listed, remembered when it was complete. And whether all that a run
//! was told is of one account.

use std::collections::BTreeSet;

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::key::KeyHash;
use bursar_core::store::items::KnownAccount;
use serde::{Deserialize, Serialize};

use crate::progress::Progress;
use crate::run::Run;

/// So many are remembered: some of them may be deleted before they are asked for.
const MOST: usize = 10;

/// Which of the listed keys may be remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Witnesses {
    /// Those that are remembered already.
    known: BTreeSet<KeyHash>,
    /// Of the others the first in the order of their hashes, so that the same keys are chosen again.
    others: BTreeSet<KeyHash>,
}

impl Run<'_> {
    /// Whether the management key is still the one that the run began with, where no witness can tell whose a new one is.
    pub(crate) async fn is_of_one_account(&self, progress: &mut Progress) -> bool {
        // Where the secret cannot be read, nothing is asked either.
        let Some(key) = self.provider.management_keys().current().await.ok().filter(|_| !self.has_witnesses()) else {
            return true;
        };
        let key = key.fingerprint(&self.deployment);
        let is_same = *progress.management_key.get_or_insert_with(|| key.clone()) == key;
        if !is_same {
            progress.report.complete = false;
            progress.report.problem(
                "the management key was exchanged before any sync was complete, so nothing tells whether both are of one account: \
                 this run ends, and the next begins with the new one",
            );
        }
        is_same
    }

    /// Whether there is anything by which another account is told apart.
    pub(crate) fn has_witnesses(&self) -> bool {
        self.account.as_ref().is_some_and(|account| !account.witnesses.is_empty())
    }

    /// Remembers by what the account is known, once a run was complete.
    pub(crate) async fn remember_account(&self, progress: &Progress, deadline: Deadline) -> Result<()> {
        let witnesses = progress.witnesses.chosen();
        if witnesses.is_empty() {
            // This run deleted the last of them: from now on nothing tells this account from another.
            if self.has_witnesses() {
                self.ensure_written(self.under(deadline).forget_account().await?)?;
            }
            return Ok(());
        }
        let management_key = self.provider.management_keys().current().await?.fingerprint(&self.deployment);
        let account = KnownAccount { management_key, witnesses };
        if self.account.as_ref() != Some(&account) {
            self.ensure_written(self.under(deadline).know_account(&account).await?)?;
        }
        Ok(())
    }

    /// Notes a key that was listed.
    pub(crate) fn note_witness(&self, progress: &mut Progress, key: &KeyHash) {
        let is_known = self.account.as_ref().is_some_and(|account| account.witnesses.contains(key));
        progress.witnesses.add(key, is_known);
    }
}

impl Witnesses {
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

    /// A key that is not there any more.
    pub(crate) fn forget(&mut self, key: &KeyHash) {
        self.known.remove(key);
        self.others.remove(key);
    }

    fn chosen(&self) -> Vec<KeyHash> {
        let mut chosen: Vec<KeyHash> = self.known.iter().chain(&self.others).take(MOST).cloned().collect();
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
        let chosen = first.chosen();
        assert_eq!(chosen, (5..15).map(key).collect::<Vec<_>>());
        let mut second = Witnesses::default();
        (0..50).for_each(|number| second.add(&key(number), chosen.contains(&key(number))));
        assert_eq!(second.chosen(), chosen, "younger keys do not take the place of those that are there");
        second.forget(&key(7));
        assert_eq!(second.chosen().len(), MOST);
        assert!(!second.chosen().contains(&key(7)) && second.chosen().contains(&key(0)));
    }
}
