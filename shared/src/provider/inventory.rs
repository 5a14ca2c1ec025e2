//! Every key of the account, page by page: all workspaces, disabled and expired keys too, each key once. Only hashes are kept
//! meanwhile. What the keys mean is for the sync to say.

use std::collections::{HashSet, VecDeque};

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::Provider;
use super::calls::LIST_KEYS;
use super::error::ProviderError;
use super::key::{Key, Listed, UnreadableKey};
use super::pages::{self, Pages, Row};
use super::send::Ask;
use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::domain::key::KeyHash;

/// Both are always said: by default the provider hides such keys.
const EVERY_KEY: [(&str, &str); 2] = [("include_disabled", "true"), ("include_expired", "true")];

/// Keys that were listed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPage {
    pub keys: Vec<Key>,
    /// Listed, so not missing; but nothing else is known of them.
    pub unreadable: Vec<UnreadableKey>,
    /// By the clock of the inventory; it was asked for on the same UTC day.
    pub answered: Timestamp,
}

/// A listing of the whole account under way.
pub struct Inventory {
    provider: Provider,
    clock: Clock,
    deadline: Deadline,
    /// None until the workspaces were asked for.
    workspaces: Option<VecDeque<String>>,
    pages: Option<Pages<Listed>>,
    seen: HashSet<KeyHash>,
}

impl Provider {
    /// Lists every key of the account. Page after page is taken with [`Inventory::next`].
    pub fn inventory(&self, clock: &Clock, deadline: Deadline) -> Inventory {
        Inventory {
            provider: self.clone(),
            clock: clock.clone(),
            deadline,
            workspaces: None,
            pages: None,
            seen: HashSet::new(),
        }
    }

    /// The rows of one page of a workspace's keys, newest first, from a position on; of the default workspace without one.
    pub async fn list_keys(
        &self,
        workspace: Option<&str>,
        offset: usize,
        deadline: Deadline,
    ) -> Result<Vec<Listed>, ProviderError> {
        let offset = offset.to_string();
        let mut query = EVERY_KEY.to_vec();
        query.extend(workspace.map(|id| ("workspace_id", id)));
        query.push(("offset", &offset));
        let ask = Ask { call: &LIST_KEYS, path: &["keys"], query: &query, body: None };
        self.ask(ask, deadline, pages::rows).await
    }
}

impl Inventory {
    /// The next keys, none of them handed over before; `None` only when every workspace was listed to its end. After an error
    /// it may be called again and goes on from there.
    pub async fn next(&mut self) -> Result<Option<KeyPage>, ProviderError> {
        loop {
            let Some(pages) = &mut self.pages else {
                if !self.begin_workspace().await? {
                    return Ok(None);
                }
                continue;
            };
            let Some(page) = pages.next(self.deadline).await? else {
                self.pages = None;
                continue;
            };
            let page = self.unseen(page);
            if !page.keys.is_empty() || !page.unreadable.is_empty() {
                return Ok(Some(page));
            }
        }
    }

    /// How many distinct keys were listed so far.
    pub fn listed(&self) -> usize {
        self.seen.len()
    }

    async fn begin_workspace(&mut self) -> Result<bool, ProviderError> {
        let workspaces = match &mut self.workspaces {
            Some(workspaces) => workspaces,
            None => {
                let all = self.provider.workspaces(self.deadline).await?;
                self.workspaces.insert(all.into_iter().map(|workspace| workspace.id).collect())
            }
        };
        let Some(workspace) = workspaces.pop_front() else {
            return Ok(false);
        };
        let mut query = EVERY_KEY.to_vec();
        query.push(("workspace_id", &workspace));
        self.pages = Some(Pages::new(&self.provider, &LIST_KEYS, &["keys"], &query, self.clock.clone()));
        Ok(true)
    }

    fn unseen(&mut self, page: pages::Page<Listed>) -> KeyPage {
        let mut unseen = KeyPage { keys: Vec::new(), unreadable: Vec::new(), answered: page.answered };
        for row in page.rows {
            if row.hash().is_some_and(|hash| !self.seen.insert(hash.clone())) {
                continue;
            }
            match row {
                Listed::Key(key) => unseen.keys.push(*key),
                Listed::Unreadable(row) => unseen.unreadable.push(row),
            }
        }
        unseen
    }
}

impl Row for Listed {
    const PAGE: usize = 100;
    const PAGE_IS_ASKED: bool = false;

    fn read(row: &RawValue) -> Result<Listed, serde_json::Error> {
        Ok(Listed::of(row))
    }

    fn id(&self) -> Option<&str> {
        self.hash().map(KeyHash::as_str)
    }
}
