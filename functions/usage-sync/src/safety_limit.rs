//! The bound on what the runs of a day do on their own judgement. All of it is counted before any
//! is touched. Above the bound nothing of it is done, until a person lets exactly the named keys be
//! done.
//!
//! An unseen orphan harms nobody; a live key that is mistaken for one, or for gone, does.

use std::collections::{BTreeSet, HashSet};

use anyhow::Result;
use bursar_core::domain::values::id::{KeyHash, KeyName};
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{HeldAct, HeldBack, HeldKey, MOST_NAMED};

use crate::compare::{Finding, FindingKind, GrantFinding, KeyDoubt, KeyFinding};
use crate::list::{KeyListing, KeyRow};
use crate::runner::{Gaps, RunContext};

/// The keys that a day's runs may always end.
const ALWAYS: usize = 5;
/// One is allowed for so many listed keys, and no more than are counted in one item.
const ONE_IN: usize = 50;
const MOST_A_DAY: usize = 4_000;

/// The findings that are handled, and what was held back of them.
pub(crate) struct Bounded {
    pub(crate) findings: Vec<Finding>,
    pub(crate) held_back: Option<HeldBack>,
}

/// Counts the keys that would be ended, and leaves out those findings that would end too many. Keys
/// that a person released are not counted.
pub(crate) async fn bound(
    runner: &RunContext,
    findings: Vec<Finding>,
    listing: &KeyListing,
    gaps: Gaps,
) -> Result<Bounded> {
    let mut findings = remove_keys_of_other_grants(findings);
    if !listing.is_whole || gaps.has_failed {
        findings = remove_ends(findings, |finding| {
            list_ended_keys(runner, finding).is_empty()
        });
    }
    let bound = (listing.count / ONE_IN).clamp(ALWAYS, MOST_A_DAY);
    let last = runner.table.sync_state().await?.held_back;
    let released = last
        .as_ref()
        .filter(|held| held.release.is_some())
        .map(|held| held.keys.clone())
        .unwrap_or_default();
    let is_let_through = |finding: &Finding| {
        finding.is_certain()
            || list_ended_keys(runner, finding)
                .iter()
                .all(|key| released.contains(key))
    };
    let mut held_keys = BTreeSet::new();
    for finding in findings.iter().filter(|finding| !is_let_through(finding)) {
        held_keys.extend(list_ended_keys(runner, finding));
    }
    // Beside released keys a few more are ended, but none that may be in use.
    let may_be_in_use =
        !released.is_empty() && held_keys.iter().any(|held| held.act == HeldAct::Recovery);
    let hashes = held_keys.iter().map(|held| held.key.clone()).collect();
    let today = utc_date(runner.clock.now());
    if held_keys.is_empty()
        || !may_be_in_use
            && runner
                .table
                .count_own_judgement(today, &hashes, bound, runner.end())
                .await?
    {
        return Ok(Bounded {
            findings,
            held_back: None,
        });
    }
    let count = |act| held_keys.iter().filter(|held| held.act == act).count() as u32;
    let mut held = HeldBack {
        held_at: runner.baseline.began_at,
        sweeps: count(HeldAct::Sweep),
        recoveries: count(HeldAct::Recovery),
        stops: count(HeldAct::Stop),
        bound: bound as u32,
        keys: held_keys.iter().take(MOST_NAMED).cloned().collect(),
        release: None,
    };
    let which = if held_keys.len() == 1 {
        "1 key".to_owned()
    } else {
        format!("{} keys", held_keys.len())
    };
    runner.journal.problem(format!(
        "{which} would have been disabled, or their grants stopped: {}. In one day {bound} such things at most are done on Bursar's own \
         judgement, so none was. An admin can let the next run do it.",
        held.words()
    ));
    // What is unchanged keeps its instant, so that a person on an earlier page can still release
    // it.
    if let Some(last) = last.filter(|last| {
        HeldBack {
            held_at: held.held_at,
            ..last.clone()
        } == held
    }) {
        held.held_at = last.held_at;
    }
    Ok(Bounded {
        findings: remove_ends(findings, is_let_through),
        held_back: Some(held),
    })
}

/// The findings whose repair may end something, and of others only a query for a key that is not
/// listed: once it is released, it has been missing since then.
fn remove_ends(findings: Vec<Finding>, may_end: impl Fn(&Finding) -> bool) -> Vec<Finding> {
    let findings = findings.into_iter().filter_map(|mut finding| {
        if !may_end(&finding) {
            let FindingKind::Key(KeyFinding {
                doubt: KeyDoubt::NotListed { is_held, .. },
                ..
            }) = &mut finding.kind
            else {
                return None;
            };
            *is_held = true;
        }
        Some(finding)
    });
    findings.collect()
}

/// Leaves out findings about a key that another grant misses: a name is not proof, since somebody
/// may have renamed the recorded key of that grant.
fn remove_keys_of_other_grants(mut findings: Vec<Finding>) -> Vec<Finding> {
    let renamed = list_renamed(&findings);
    findings.retain(|finding| {
        !matches!(&finding.kind, FindingKind::Grant(GrantFinding::Orphan { row, .. }) if renamed.contains(&row.key))
    });
    findings
}

/// The recorded keys that may be listed under other names.
pub(crate) fn list_renamed<'f>(
    findings: impl IntoIterator<Item = &'f Finding>,
) -> HashSet<KeyHash> {
    let not_listed = findings
        .into_iter()
        .filter_map(|finding| match &finding.kind {
            FindingKind::Key(KeyFinding {
                key,
                doubt: KeyDoubt::NotListed { .. },
                ..
            }) => Some(key.clone()),
            FindingKind::Key(_) | FindingKind::Grant(_) | FindingKind::Rule { .. } => None,
        });
    not_listed.collect()
}

impl Finding {
    /// Whether what it ends needs no judgement: a key that nobody can have been shown.
    fn is_certain(&self) -> bool {
        matches!(
            self.kind,
            FindingKind::Grant(GrantFinding::Orphan {
                is_outdated: true,
                ..
            })
        )
    }
}

/// The keys that a finding would end, each with the name that Bursar gave it.
fn list_ended_keys(runner: &RunContext, finding: &Finding) -> Vec<HeldKey> {
    let to_held_key = |act, row: &KeyRow| HeldKey {
        act,
        name: row.name(&runner.deployment, &finding.programme).to_string(),
        key: row.key.clone(),
    };
    match &finding.kind {
        FindingKind::Grant(GrantFinding::Orphan { row, .. }) => {
            vec![to_held_key(HeldAct::Sweep, row)]
        }
        FindingKind::Grant(GrantFinding::Recover { rows, ends, .. }) => {
            let ended = rows.iter().filter(|row| ends.contains(&row.key));
            ended
                .map(|row| to_held_key(HeldAct::Recovery, row))
                .collect()
        }
        FindingKind::Key(KeyFinding {
            key,
            epoch,
            doubt: KeyDoubt::IsDisabled | KeyDoubt::NotListed { stops: true, .. },
        }) => {
            let name = KeyName::name_without_nonce(
                &runner.deployment,
                &finding.programme,
                &finding.grant,
                *epoch,
            );
            vec![HeldKey {
                act: HeldAct::Stop,
                name,
                key: key.clone(),
            }]
        }
        FindingKind::Key(KeyFinding {
            doubt:
                KeyDoubt::NotListed { stops: false, .. } | KeyDoubt::LimitIsOther | KeyDoubt::MayGo,
            ..
        })
        | FindingKind::Grant(
            GrantFinding::Seen { .. }
            | GrantFinding::NotUnder { .. }
            | GrantFinding::End
            | GrantFinding::UnusedReservation
            | GrantFinding::Due,
        )
        | FindingKind::Rule { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An item holds 400 kB, and each hash takes 65 bytes of it.
    #[test]
    fn the_keys_of_a_day_fit_one_item() {
        const { assert!(MOST_A_DAY * 65 < 400_000) };
    }
}
