//! The listing: every key of every workspace that the management key may open, in memory, by the
//! programme and the grant whose name it bears. What cannot be read is never taken for nothing.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::{GRACE, Grant, ListedLimit, RecoveredKey, SeenKey};
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::programme::Basis;
use bursar_core::domain::usage::reading::UsageReport;
use bursar_core::domain::values::id::{
    DeploymentId, Epoch, GrantId, KeyHash, KeyName, Nonce, ProgrammeId,
};
use bursar_core::domain::values::key::KeyLabel;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::partition::shard_of;
use bursar_core::domain::values::window::Reset;
use bursar_core::provider::inventory::InventoryPage;
use bursar_core::provider::key::ProviderKey;

use crate::runner::{Gaps, RunContext};

/// The number of listed keys by which the account may be known from now on: more than are needed,
/// since the run may delete some.
const FIRST: usize = 10;

/// A key whose name is a grant's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyRow {
    pub(crate) key: KeyHash,
    pub(crate) grant: GrantId,
    nonce: Nonce,
    pub(crate) epoch: Epoch,
    pub(crate) state: KeyState,
}

/// A key whose name is not a grant's.
#[derive(Debug, Clone)]
pub(crate) struct ForeignRow {
    pub(crate) key: KeyHash,
    pub(crate) name: String,
    pub(crate) state: KeyState,
}

/// The state of a key when it was listed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyState {
    pub(crate) label: Option<KeyLabel>,
    pub(crate) enabled: bool,
    pub(crate) limit: Option<Usd>,
    /// Whether the limit is counted on its programme's basis.
    counts: bool,
    /// The reported use; `None` when the provider reports none.
    pub(crate) report: Option<UsageReport>,
    pub(crate) created_at: Option<Moment>,
    pub(crate) asked_at: Moment,
}

impl KeyRow {
    pub(crate) fn new(key: &ProviderKey, name: &KeyName, basis: Basis, asked_at: Moment) -> KeyRow {
        KeyRow {
            key: key.hash.clone(),
            grant: name.grant.clone(),
            nonce: name.nonce.clone(),
            epoch: name.epoch,
            state: KeyState::new(
                key,
                basis.reset,
                key.limit_on(basis) != ListedLimit::CountedOtherwise,
                asked_at,
            ),
        }
    }

    /// The name that Bursar gave the key.
    pub(crate) fn name(&self, deployment: &DeploymentId, programme: &ProgrammeId) -> KeyName {
        KeyName {
            deployment: deployment.clone(),
            programme: programme.clone(),
            grant: self.grant.clone(),
            epoch: self.epoch,
            nonce: self.nonce.clone(),
        }
    }

    /// When it was made, by the provider's own time; where it does not say so, not before the last
    /// claim that its grant began.
    pub(crate) fn made_at(&self, grant: &Grant) -> Moment {
        self.state
            .created_at
            .or(grant.begun_at)
            .unwrap_or(self.state.asked_at)
    }

    /// The row of a key that only bears a grant's name.
    pub(crate) fn to_foreign(
        &self,
        deployment: &DeploymentId,
        programme: &ProgrammeId,
    ) -> ForeignRow {
        let name = self.name(deployment, programme).to_string();
        ForeignRow {
            key: self.key.clone(),
            name,
            state: self.state.clone(),
        }
    }

    /// The key as a recovery records it.
    pub(crate) fn to_recovered(&self) -> RecoveredKey {
        RecoveredKey {
            epoch: self.epoch,
            hash: self.key.clone(),
            label: self.state.label.clone(),
            enabled: self.state.enabled,
            limit: self.state.limit,
            made_at: self.state.created_at.unwrap_or(self.state.asked_at),
        }
    }
}

impl ForeignRow {
    pub(crate) fn new(key: &ProviderKey, asked_at: Moment) -> ForeignRow {
        ForeignRow {
            key: key.hash.clone(),
            name: key.name.clone(),
            state: KeyState::new(key, Reset::None, true, asked_at),
        }
    }
}

impl KeyState {
    fn new(key: &ProviderKey, reset: Reset, counts: bool, asked_at: Moment) -> KeyState {
        KeyState {
            label: KeyLabel::parse(&key.label),
            enabled: !key.disabled,
            limit: key.limit,
            counts,
            report: key.usage_report(reset),
            created_at: key.created_at,
            asked_at,
        }
    }

    /// Whether it was used, as far as it says.
    pub(crate) fn is_used(&self) -> bool {
        self.report
            .as_ref()
            .is_none_or(|report| report.lifetime + report.byok.unwrap_or_default() > Usd::ZERO)
    }

    pub(crate) fn seen(&self, is_read: bool) -> SeenKey {
        let limit = match self.limit {
            _ if !self.counts => ListedLimit::CountedOtherwise,
            limit => limit.map_or(ListedLimit::Unlimited, ListedLimit::Limit),
        };
        SeenKey {
            enabled: self.enabled,
            limit,
            asked_at: self.asked_at,
            is_read,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct KeyListing {
    /// Keys with the name of a known programme's grant, in the order of their grants.
    ours: HashMap<ProgrammeId, Vec<KeyRow>>,
    /// Keys without a grant's name.
    pub(crate) foreign: Vec<ForeignRow>,
    /// Keys with the name of an unknown programme's grant. Their programme may be as young as the
    /// run.
    pub(crate) unknown: Vec<ForeignRow>,
    /// Whether every page of each workspace that the management key may open was read.
    pub(crate) is_whole: bool,
    /// The workspaces that it may not open. Nothing is known of their keys, and nothing is taken
    /// for gone.
    pub(crate) closed: Vec<String>,
    /// Whether some rows do not even say of which key they are.
    pub(crate) has_nameless: bool,
    /// Listed keys of which nothing but their hash could be read.
    pub(crate) unreadable: HashSet<KeyHash>,
    pub(crate) count: usize,
    /// The first of the listed keys in the order of their hashes, so that the same are chosen
    /// again.
    pub(crate) first: BTreeSet<KeyHash>,
    /// An enabled key of each workspace.
    pub(crate) of_each_workspace: BTreeMap<String, KeyHash>,
}

/// Lists all keys. A page that does not come ends the listing, and not the run: what was read is
/// recorded.
pub(crate) async fn list_everything(runner: &RunContext) -> Result<KeyListing> {
    let journal = &runner.journal;
    let bases: HashMap<&ProgrammeId, Basis> = runner
        .programmes
        .iter()
        .map(|programme| (&programme.id, programme.settings.basis))
        .collect();
    let mut listing = KeyListing::default();
    let mut inventory = runner.provider.inventory();
    // What was listed is recorded in the time that is left.
    let end = runner.end().earlier_by(runner.end().left() / 4);
    listing.is_whole = loop {
        match inventory.next(end.limit_to(runner.until().left())).await {
            Ok(Some(page)) => listing.take_in(runner, page, &bases),
            Ok(None) => break true,
            Err(error) => {
                let place = inventory.place();
                let place = place.map(|(workspace, page)| {
                    format!(" from page {page} of the workspace {workspace} on")
                });
                let place = place.unwrap_or_default();
                journal.answered(
                    format!("the keys could not all be listed{place}: {error}"),
                    &error,
                );
                break false;
            }
        }
    };
    listing.count = inventory.listed();
    listing.closed = inventory.closed().to_vec();
    listing.find_hidden_workspaces(runner).await;
    journal.report(|report| report.keys_listed = listing.count);
    if !listing.closed.is_empty() {
        let closed = listing.closed.join(", ");
        journal.problem(format!(
            "the management key may not open these workspaces, whose keys keep their readings: {closed}"
        ));
        listing.is_whole &= listing.count > 0;
    }
    if listing.count == 0 && listing.is_whole && listing.closed.is_empty() {
        listing.reject_if_empty(runner).await?;
    }
    for rows in listing.ours.values_mut() {
        rows.sort_by(|first, second| first.grant.cmp(&second.grant));
        rows.shrink_to_fit();
    }
    Ok(listing)
}

impl KeyListing {
    fn take_in(
        &mut self,
        runner: &RunContext,
        page: InventoryPage,
        bases: &HashMap<&ProgrammeId, Basis>,
    ) {
        for row in page.unreadable {
            let which = row
                .hash
                .as_ref()
                .map_or("without a hash".to_owned(), KeyHash::to_string);
            runner.journal.problem(format!(
                "the key {which} on page {} could not be read: {}",
                page.number, row.why
            ));
            self.has_nameless |= row.hash.is_none();
            self.unreadable.extend(row.hash);
        }
        let enabled = page
            .keys
            .iter()
            .filter(|key| !key.disabled)
            .map(|key| &key.hash)
            .min();
        if let Some(key) = enabled {
            let chosen_key = self
                .of_each_workspace
                .entry(page.workspace)
                .or_insert_with(|| key.clone());
            *chosen_key = (&*chosen_key).min(key).clone();
        }
        for key in &page.keys {
            self.first.insert(key.hash.clone());
            if self.first.len() > FIRST {
                self.first.pop_last();
            }
            let name = key
                .name
                .parse::<KeyName>()
                .ok()
                .filter(|name| name.deployment == runner.deployment);
            let Some(name) = name else {
                self.foreign.push(ForeignRow::new(key, page.asked_at));
                continue;
            };
            match bases.get(&name.programme) {
                Some(basis) => {
                    let row = KeyRow::new(key, &name, *basis, page.asked_at);
                    self.ours.entry(name.programme).or_default().push(row);
                }
                None => self.unknown.push(ForeignRow::new(key, page.asked_at)),
            }
        }
    }

    /// Looks for workspaces that the account had and that were not even named: a management key for
    /// one workspace knows no other.
    async fn find_hidden_workspaces(&mut self, runner: &RunContext) {
        let workspaces = runner
            .account
            .iter()
            .flat_map(|account| &account.of_each_workspace);
        for (workspace, key) in workspaces {
            if self.closed.contains(workspace) || self.of_each_workspace.contains_key(workspace) {
                continue;
            }
            match runner.provider.get_key(key, runner.until()).await {
                // Its keys are off or deleted by now, which the listing has shown.
                Ok(_) => {}
                Err(error) if error.is_forbidden() => self.closed.push(workspace.clone()),
                Err(error) => {
                    self.is_whole = false;
                    runner.journal.answered(
                        format!("whether a workspace is still there was not told: {error}"),
                        &error,
                    );
                }
            }
        }
    }

    /// Rejects an empty listing of an account that had keys: it is another account, or the answer
    /// is wrong. No key counts as gone because of it.
    async fn reject_if_empty(&mut self, runner: &RunContext) -> Result<()> {
        let expected = match &runner.account {
            Some(account) => account.listed.len(),
            None => count_recorded(runner, runner.baseline.began_at - GRACE).await?,
        };
        if expected == 0 {
            return Ok(());
        }
        self.is_whole = false;
        runner.journal.problem(format!(
            "the account lists no key at all, and {expected} or more are on record: nothing is taken for gone. If they were all deleted on \
             purpose, or the account was changed, an admin says so on the account page"
        ));
        let management_key = runner.management_key().await?;
        runner
            .journal
            .refuse(Some(Cause::AnotherAccount { management_key }));
        Ok(())
    }

    pub(crate) fn gaps(&self) -> Gaps {
        let has_unread =
            self.has_nameless || !(self.unreadable.is_empty() && self.closed.is_empty());
        Gaps {
            has_unread,
            ..Gaps::default()
        }
    }

    /// Whether a recorded key that is not listed may be missing.
    pub(crate) fn shows_absence(&self) -> bool {
        self.is_whole && self.closed.is_empty()
    }

    /// The listed keys with the name of a programme's grant.
    pub(crate) fn of_grant(&self, programme: &ProgrammeId, grant: &GrantId) -> &[KeyRow] {
        self.part(programme, |row| row.grant.cmp(grant))
    }

    /// The listed keys of a programme's grants in one shard, a slice for each grant.
    pub(crate) fn of_shard(
        &self,
        programme: &ProgrammeId,
        shard: char,
    ) -> impl Iterator<Item = &[KeyRow]> {
        self.part(programme, |row| shard_of(&row.grant).cmp(&shard))
            .chunk_by(|row, next| row.grant == next.grant)
    }

    /// The listed keys of a programme's grants that are neither before nor after a place in their
    /// order.
    fn part(&self, programme: &ProgrammeId, place: impl Fn(&KeyRow) -> Ordering) -> &[KeyRow] {
        let rows = self.ours.get(programme).map_or(&[][..], Vec::as_slice);
        let from = rows.partition_point(|row| place(row).is_lt());
        let count = rows[from..].partition_point(|row| place(row).is_eq());
        &rows[from..from + count]
    }

    /// The keys that were listed under other names than those of a known programme's grant.
    pub(crate) fn elsewhere(&self) -> HashSet<KeyHash> {
        self.foreign
            .iter()
            .chain(&self.unknown)
            .map(|row| row.key.clone())
            .collect()
    }
}

/// The number of recorded keys that were made by this time and should still exist.
async fn count_recorded(runner: &RunContext, made_by: Moment) -> Result<usize> {
    let mut recorded = 0;
    for programme in runner
        .programmes
        .iter()
        .filter(|programme| made_by < programme.settings.keys_expire_at())
    {
        let grants = runner.table.grants(&programme.id).await?;
        let keys = grants.iter().flat_map(|grant| &grant.keys);
        recorded += keys
            .filter(|key| key.gone.is_none() && key.made_at < made_by)
            .count();
    }
    Ok(recorded)
}
