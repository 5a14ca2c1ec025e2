//! The account as a whole: its money and its workspaces.

use serde_json::value::RawValue;

use super::Provider;
use crate::domain::values::money::{promised, spent};
use crate::prelude::*;
use crate::provider::wire::calls::{CREDITS, LIST_WORKSPACES};
use crate::provider::wire::error::ProviderError;
use crate::provider::wire::json::{self, Envelope, Unreadable};
use crate::provider::wire::pages::{ListRow, PageReader};

/// The lifetime credits of the account: bought and used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credits {
    pub bought: Usd,
    pub used: Usd,
}

/// A workspace that the management key can see. Every key lies in one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Workspace {
    pub id: String,
    #[serde(default, deserialize_with = "json::or_default")]
    pub name: String,
    pub default_guardrail_id: Option<String>,
}

#[derive(Deserialize)]
struct CreditsAnswer {
    #[serde(default, deserialize_with = "promised")]
    total_credits: Option<Usd>,
    #[serde(default, deserialize_with = "spent")]
    total_usage: Option<Usd>,
}

impl Credits {
    /// The credits that are left; they may be negative.
    pub fn balance(self) -> Usd {
        self.bought - self.used
    }
}

impl Provider {
    /// Reads the account's credits. An ordinary key may be answered with zeros, so the key is checked before
    /// the answer is trusted (`check_management_key`).
    pub async fn credits(&self, deadline: Deadline) -> Result<Credits, ProviderError> {
        let request = CREDITS.request();
        let both = |body: &str| {
            let Envelope { data } = json::read::<Envelope<CreditsAnswer>>(body)?;
            match (data.total_credits, data.total_usage) {
                (Some(bought), Some(used)) => Ok(Credits { bought, used }),
                _ => Err(Unreadable("the answer lacks what was bought or used".to_owned())),
            }
        };
        self.ask(request, deadline, both).await
    }

    /// Lists every workspace that the management key can see.
    pub async fn workspaces(&self, deadline: Deadline) -> Result<Vec<Workspace>, ProviderError> {
        let mut pages = PageReader::<Workspace>::new(self, &LIST_WORKSPACES, "", &[], Clock::system());
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        while let Some(page) = pages.next(deadline).await? {
            all.extend(page.rows.into_iter().filter(|workspace| seen.insert(workspace.id.clone())));
        }
        Ok(all)
    }
}

impl ListRow for Workspace {
    const PAGE: usize = 100;
    const PAGE_IS_ASKED: bool = true;

    fn read(row: &RawValue) -> Result<Workspace, serde_json::Error> {
        serde_json::from_str(row.get())
    }

    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }
}
