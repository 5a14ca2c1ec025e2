//! What a person with a role does to students: to one on the student's page, or to many at once.

use serde::{Deserialize, Serialize};

use crate::domain::programme::role::Role;
use crate::domain::values::money::Usd;

crate::named! {
    /// As paths, forms and jobs spell it, and as a list of what can be done to many says it.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum GrantAction: as_str, to_words {
        Pause = "pause", "pause";
        Resume = "resume", "resume";
        Revoke = "revoke", "remove, for good";
        Resend = "resend", "send the invitation again";
        Remind = "remind", "remind who has not claimed a key, or never used it";
        Cap = "cap", "set the cap below";
        Allow = "allow", "allow one more replacement";
        Group = "group", "move to the group below";
    }
}

/// An action with what was typed for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GrantAct {
    pub action: GrantAction,
    /// Without one the group's or the programme's holds again.
    pub cap: Option<Usd>,
    pub group: Option<String>,
    pub reason: Option<String>,
}

impl GrantAction {
    pub fn named(text: &str) -> Option<GrantAction> {
        GrantAction::ALL
            .into_iter()
            .find(|action| action.as_str() == text)
    }

    /// The least role that does it to one student; `None` for what is done to many alone, by
    /// faculty as all of that.
    pub fn role_for_one(self) -> Option<Role> {
        match self {
            GrantAction::Pause | GrantAction::Resume | GrantAction::Resend => Some(Role::Assistant),
            GrantAction::Revoke | GrantAction::Cap | GrantAction::Allow => Some(Role::Faculty),
            GrantAction::Remind | GrantAction::Group => None,
        }
    }
}
