//! Changes and look-ups that use a request's terms: a key's change from a body, a workspace, a key by its
//! hash.

use jiff::Timestamp;

use super::Memory;
use super::workspace::Workspace;
use crate::provider::values::asked::{Fields, not_null};
use crate::provider::values::ids;
use crate::provider::values::refusal::Refusal;

const ACCEPTED: [&str; 6] = ["name", "disabled", "limit", "limit_reset", "include_byok_in_limit", "workspace_id"];

impl Memory {
    /// Changes a key as the body of a `PATCH` says.
    pub(crate) fn update_key(&mut self, place: usize, fields: &Fields, now: Timestamp) -> Result<(), Refusal> {
        if !fields.has_any(&ACCEPTED) {
            return Err(Refusal::bad_request("No update fields provided"));
        }
        let name = not_null("name", fields.text("name", 0..=usize::MAX)?)?;
        let disabled = not_null("disabled", fields.flag("disabled")?)?;
        let byok = not_null("include_byok_in_limit", fields.flag("include_byok_in_limit")?)?;
        let (limit, reset) = (fields.money("limit")?, fields.interval("limit_reset")?);
        let limit = limit.map(|limit| self.quirks.kept_limit(limit));
        let workspace = match not_null("workspace_id", fields.text("workspace_id", 1..=100)?)? {
            Some(id) => Some(self.workspace_asked(Some(&id))?.id.clone()),
            None => None,
        };
        self.change_key(place, |key| {
            key.name = name.unwrap_or_else(|| key.name.clone());
            match disabled {
                Some(true) => key.end(now, |key| key.disabled = true),
                Some(false) => (key.disabled, key.ended_at) = (false, None),
                None => {}
            }
            key.byok_in_limit = byok.unwrap_or(key.byok_in_limit);
            key.limit = limit.unwrap_or(key.limit);
            key.reset = reset.unwrap_or(key.reset);
            key.workspace = workspace.unwrap_or_else(|| key.workspace.clone());
            key.updated_at = Some(now);
        })?;
        Ok(())
    }

    /// The key of that hash, unless it is too young to be found.
    pub(crate) fn find_by_now(&self, hash: &str, now: Timestamp) -> Result<usize, Refusal> {
        let place = self.find(hash)?;
        let known_from = self.key(place).created_at + self.quirks.found_after;
        if now < known_from { Err(Refusal::not_found()) } else { Ok(place) }
    }

    /// The workspace with the id of the request; the default without one.
    pub(crate) fn workspace_asked(&self, id: Option<&str>) -> Result<&Workspace, Refusal> {
        if id.is_some_and(|id| !ids::is_uuid(id)) {
            return Err(Refusal::bad_request("Invalid request parameters: workspace_id must be a UUID"));
        }
        let asked = |workspace: &&Workspace| id.map_or(workspace.default, |id| workspace.id == id);
        self.workspaces().iter().find(asked).ok_or_else(Refusal::not_found)
    }
}
