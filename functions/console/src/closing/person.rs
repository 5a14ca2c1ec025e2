//! The persons of a programme with what their keys spent, read a shard at a time.

use bursar_core::domain::grant::{Grant, GrantState};
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::web::{AppError, Site};
use futures_util::TryStreamExt;
use jiff::Timestamp;

use crate::access::ProgrammeAccess;
use crate::{grants, show};

/// One person's part in a programme.
pub(super) struct ClosingPerson {
    pub(super) grant: GrantId,
    /// The address and the name; `None` for a reader who is an assistant.
    pub(super) address: Option<String>,
    pub(super) name: Option<String>,
    pub(super) group: Option<String>,
    pub(super) state: &'static str,
    pub(super) cap: Usd,
    /// When a key was first shown; `None` if none ever was.
    pub(super) claimed_at: Option<Timestamp>,
    pub(super) used: DailyUse,
    /// Whether a key may still work, or a claim is under way.
    pub(super) is_open: bool,
}

impl ClosingPerson {
    /// Everybody who is or was on the roster, by group and address. Who was taken off it before they had a
    /// key is left out.
    pub(super) async fn all(site: &Site, access: &ProgrammeAccess) -> Result<Vec<ClosingPerson>, AppError> {
        let Programme { id, settings, .. } = &access.programme;
        let ids = [id.clone()];
        let mut found = Vec::new();
        let mut shards = std::pin::pin!(site.table.shards_of_programmes(&ids));
        while let Some((_, grants)) = shards.try_next().await? {
            let on_roster = grants.into_iter().filter(|(grant, _)| grant.ever_shown || is_expected(grant));
            found.extend(on_roster.map(|(grant, readings)| {
                ClosingPerson::of(grant, grants::used(&readings), settings, access.is_faculty())
            }));
        }
        let place = |person: &ClosingPerson| (person.group.clone(), person.address.clone(), person.grant.clone());
        found.sort_by_cached_key(place);
        Ok(found)
    }

    fn of(grant: Grant, used: DailyUse, settings: &Settings, may_name: bool) -> ClosingPerson {
        ClosingPerson {
            address: may_name.then(|| grant.person.address.as_written().to_owned()),
            name: grant.person.name.clone().filter(|_| may_name),
            state: show::state(&grant),
            cap: grant.cap(settings),
            claimed_at: grant.attempts.iter().filter_map(|attempt| attempt.shown_at).min(),
            is_open: matches!(grant.state, GrantState::Live { .. } | GrantState::Minting { .. }),
            group: grant.group,
            grant: grant.id,
            used,
        }
    }

    /// The account's money that this person's keys spent.
    pub(super) fn spent(&self) -> Usd {
        self.used.credits.total()
    }

    /// The person as this page names them.
    pub(super) fn label(&self) -> &str {
        self.address.as_deref().unwrap_or(self.grant.as_str())
    }
}

fn is_expected(grant: &Grant) -> bool {
    grant.state != GrantState::Revoked && grant.holds.dropped.is_none()
}
