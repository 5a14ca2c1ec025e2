//! The inventory: every key of the account, page by page, in all workspaces, disabled and expired
//! ones too, each key once. Only half of each hash is kept during a listing, so that very many keys
//! fit. The sync decides what the keys mean.

use std::collections::{HashSet, VecDeque};

use super::Provider;
use super::key::{ListedKey, ProviderKey, UnreadableKey};
use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::values::id::KeyHash;
use crate::provider::wire::calls::{LIST_KEYS, LIST_WORKSPACES};
use crate::provider::wire::error::Result;
use crate::provider::wire::pages;
use crate::provider::wire::pages::{ListRow, PageReader};
use crate::provider::wire::send::unknown;

/// Parameters that are always sent, since by default the provider hides such keys.
pub const EVERY_KEY: [(&str, &str); 2] =
    [("include_disabled", "true"), ("include_expired", "true")];

#[derive(Debug, Clone)]
pub struct InventoryPage {
    pub keys: Vec<ProviderKey>,
    /// Keys that are listed, so not missing, but of which nothing else is known.
    pub unreadable: Vec<UnreadableKey>,
    /// The time of the request; the answer came on the same UTC day.
    pub asked_at: Moment,
    pub workspace: String,
    /// Its number in the workspace.
    pub number: usize,
}

pub struct Inventory {
    provider: Provider,
    /// The remaining workspaces; `None` until they were asked for.
    workspaces: Option<VecDeque<String>>,
    pages: Option<(String, PageReader<ListedKey>)>,
    seen: HashSet<Half>,
    closed: Vec<String>,
}

/// A hash folded in half; a collision between two keys of an account is out of the question.
type Half = [u8; 16];

impl Provider {
    /// A listing of every key of the account, read page by page with [`Inventory::next`].
    pub fn inventory(&self) -> Inventory {
        Inventory {
            provider: self.clone(),
            workspaces: None,
            pages: None,
            seen: HashSet::new(),
            closed: Vec::new(),
        }
    }

    async fn workspaces_to_list(&self, deadline: Deadline) -> Result<VecDeque<String>> {
        let workspaces: VecDeque<String> = self
            .workspaces(deadline)
            .await?
            .into_iter()
            .map(|workspace| workspace.id)
            .collect();
        if workspaces.is_empty() {
            return Err(unknown(
                &LIST_WORKSPACES,
                "it names no workspace, and every account has one",
            ));
        }
        Ok(workspaces)
    }
}

impl Inventory {
    /// The next keys, without repetition; `None` only when every workspace that may be opened was
    /// listed to its end. After an error it may be called again and goes on from there. `deadline`
    /// applies to each answer.
    pub async fn next(&mut self, deadline: Deadline) -> Result<Option<InventoryPage>> {
        loop {
            let Some((workspace, pages)) = &mut self.pages else {
                if !self.begin_workspace(deadline).await? {
                    return Ok(None);
                }
                continue;
            };
            let page = match pages.next(deadline).await {
                Ok(Some(page)) => page,
                Ok(None) => {
                    self.pages = None;
                    continue;
                }
                Err(error) if error.is_forbidden() => {
                    self.closed
                        .extend(self.pages.take().map(|(workspace, _)| workspace));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let workspace = workspace.clone();
            let number = pages.page();
            let page = self.unseen(page, workspace, number);
            if !page.keys.is_empty() || !page.unreadable.is_empty() {
                return Ok(Some(page));
            }
        }
    }

    pub fn listed(&self) -> usize {
        self.seen.len()
    }

    /// The workspace that is being listed, with the number of the page whose turn it is.
    pub fn place(&self) -> Option<(&str, usize)> {
        self.pages
            .as_ref()
            .map(|(workspace, pages)| (&**workspace, pages.page() + 1))
    }

    /// The workspaces that the management key may not open.
    pub fn closed(&self) -> &[String] {
        &self.closed
    }

    async fn begin_workspace(&mut self, deadline: Deadline) -> Result<bool> {
        let workspaces = match &mut self.workspaces {
            Some(workspaces) => workspaces,
            None => self
                .workspaces
                .insert(self.provider.workspaces_to_list(deadline).await?),
        };
        let Some(workspace) = workspaces.pop_front() else {
            return Ok(false);
        };
        let mut query = EVERY_KEY.to_vec();
        query.push(("workspace_id", &workspace));
        let pages = PageReader::new(&self.provider, &LIST_KEYS, "", &query);
        self.pages = Some((workspace, pages));
        Ok(true)
    }

    fn unseen(
        &mut self,
        page: pages::ListedPage<ListedKey>,
        workspace: String,
        number: usize,
    ) -> InventoryPage {
        let keys = Vec::new();
        let unreadable = Vec::new();
        let asked_at = page.asked_at;
        let mut unseen = InventoryPage {
            keys,
            unreadable,
            asked_at,
            workspace,
            number,
        };
        for row in page.rows {
            if row
                .hash()
                .is_some_and(|hash| !self.seen.insert(half(&hash.to_bytes())))
            {
                continue;
            }
            match row {
                ListedKey::Key(key) => unseen.keys.push(*key),
                ListedKey::Unreadable(row) => unseen.unreadable.push(row),
            }
        }
        unseen
    }
}

fn half(hash: &[u8; 32]) -> Half {
    std::array::from_fn(|index| hash[index] ^ hash[index + 16])
}

impl ListRow for ListedKey {
    // It cannot be asked for.
    const PAGE_IS_ASKED: bool = false;

    fn id(&self) -> Option<&str> {
        self.hash().map(KeyHash::as_str)
    }
}
