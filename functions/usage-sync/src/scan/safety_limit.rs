//! The bound on what one run does on its own. Beyond it none of that is done, until a person releases exactly
//! those keys.
//!
//! An unseen orphan harms nobody; a live key that is mistaken for one, or for gone, does.

use bursar_core::domain::values::id::new_ulid;
use bursar_core::store::{HeldAct, HeldKey, HeldMark, SyncState};
use ulid::Ulid;

use super::finding::{Finding, FindingKind, renamed};
use crate::prelude::*;

/// The acts that a run may always do.
const ALWAYS: usize = 5;
/// One act is allowed for so many listed keys.
const ONE_IN: usize = 50;
/// The held back keys that are named: all of them would not fit into an item.
const MOST_NAMED: usize = 100;

/// The acts that a run held back, and those that a person released.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SafetyLimit {
    held_back: Option<HeldBack>,
    /// The marks of acts that a person released and that are not done yet.
    let_through: BTreeSet<HeldMark>,
}

impl SafetyLimit {
    /// Counts the acts before any of them is done, and drops them all where there are too many. Released ones
    /// are not counted.
    pub(crate) async fn of(
        runner: &Runner<'_>,
        findings: &mut VecDeque<Finding>,
        keys_listed: usize,
        is_whole: bool,
        journal: &mut Journal,
    ) -> Result<SafetyLimit> {
        drop_keys_of_other_grants(findings);
        let began_at = runner.baseline.began_at;
        let bound = ALWAYS.max(keys_listed / ONE_IN);
        let state = runner.table.sync_state().await?;
        let released = released(runner, &state).await?;
        let is_released = |marks: &[HeldMark]| marks.iter().all(|mark| released.contains(mark));
        let (mut counted, mut own) = (BTreeSet::new(), BTreeSet::new());
        for finding in findings.iter() {
            let marks = marks_of(&finding.kind);
            if !is_released(&marks) {
                own.extend(marks.iter().cloned());
            }
            counted.extend(marks);
        }
        let let_through = match is_whole {
            // A key that no longer has a finding is no longer released.
            true => released.intersection(&counted).cloned().collect(),
            false => released.clone(),
        };
        // Beside released acts a few more are done, but none on keys that may be in use.
        let may_be_in_use = |mark: &HeldMark| mark.act == HeldAct::Recovery && !released.is_empty();
        if own.len() <= bound && !own.iter().any(may_be_in_use) {
            return Ok(SafetyLimit { held_back: None, let_through });
        }
        let keys = named(runner, findings, &own);
        findings.retain_mut(|finding| {
            let is_held = !is_released(&marks_of(&finding.kind));
            match &mut finding.kind {
                // It is queried all the same: once it is released, it has been missing since then.
                FindingKind::NotListed { is_held: only_looks, .. } if is_held => *only_looks = true,
                _ => return !is_held,
            }
            true
        });
        let count = |act| u32::try_from(own.iter().filter(|mark| mark.act == act).count()).unwrap_or(u32::MAX);
        let mut held = HeldBack {
            at: began_at,
            sweeps: count(HeldAct::Sweep),
            recoveries: count(HeldAct::Recovery),
            stops: count(HeldAct::Stop),
            bound: u32::try_from(bound).unwrap_or(u32::MAX),
            keys,
            marks: new_ulid(began_at),
            released_by: None,
        };
        let which = if own.len() == 1 { "1 key".to_owned() } else { format!("{} keys", own.len()) };
        let problem = format!(
            "{which} would have been disabled, or their grants stopped: {}. One run does {bound} such things at most on its own \
             judgement, so it did none. An admin can let the next run do it.",
            held.words()
        );
        journal.undone(problem, None);
        // An unchanged set keeps its identity, so that a person on an earlier page can still release it.
        if let Some(last) = state.held_back
            && runner.table.marks(last.marks).await? == own
        {
            (held.at, held.marks) = (last.at, last.marks);
        }
        runner.table.keep_marks(held.marks, &own, began_at, runner.deadline).await?;
        Ok(SafetyLimit { held_back: Some(held), let_through })
    }

    /// Records that a finding is handled, if it was released.
    pub(crate) fn settle(&mut self, finding: &Finding) {
        if self.let_through.is_empty() {
            return;
        }
        for mark in marks_of(&finding.kind) {
            self.let_through.remove(&mark);
        }
    }

    /// Saves the released marks that are left, and returns their name.
    pub(crate) async fn keep_let_through(&self, runner: &Runner<'_>) -> Result<Option<Ulid>> {
        if self.let_through.is_empty() {
            return Ok(None);
        }
        let began_at = runner.baseline.began_at;
        let marks = new_ulid(began_at);
        runner.table.keep_marks(marks, &self.let_through, began_at, runner.deadline).await?;
        Ok(Some(marks))
    }

    pub(crate) fn held_back(&self) -> Option<&HeldBack> {
        self.held_back.as_ref()
    }
}

/// Drops findings about a key that another grant misses: a name is not proof, since somebody may have renamed
/// the recorded key of that grant.
fn drop_keys_of_other_grants(findings: &mut VecDeque<Finding>) {
    let renamed = renamed(findings.iter());
    findings.retain(|finding| match &finding.kind {
        FindingKind::Sweep { row } | FindingKind::Second { row } => !renamed.contains(&row.key()),
        _ => true,
    });
}

/// The marks that a person released and that are not done yet.
async fn released(runner: &Runner<'_>, state: &SyncState) -> Result<BTreeSet<HeldMark>> {
    let held = state.held_back.as_ref().filter(|held| held.released_by.is_some()).map(|held| held.marks);
    let mut released = BTreeSet::new();
    for marks in held.into_iter().chain(state.let_through) {
        released.append(&mut runner.table.marks(marks).await?);
    }
    Ok(released)
}

/// The held back keys for a person to look at: those first that may be in use, otherwise in a stable order.
fn named(runner: &Runner<'_>, findings: &VecDeque<Finding>, held: &BTreeSet<HeldMark>) -> Vec<HeldKey> {
    let mut named = BTreeSet::new();
    for finding in findings {
        for (mark, name) in names_of(runner, finding) {
            if held.contains(&mark) {
                named.insert(HeldKey { act: mark.act, name: name.to_string(), key: mark.key });
                if named.len() > MOST_NAMED {
                    named.pop_last();
                }
            }
        }
    }
    named.into_iter().collect()
}

/// The marks of a finding, each with the name that Bursar gave the key.
fn names_of(runner: &Runner<'_>, finding: &Finding) -> Vec<(HeldMark, KeyName)> {
    let Ok(programme) = runner.programme(finding.programme) else { return Vec::new() };
    let marks = marks_of(&finding.kind).into_iter();
    let of_row = |row: &KeyRow| row.name(&runner.deployment, &programme.id);
    let name = |mark: &HeldMark| match &finding.kind {
        FindingKind::Sweep { row } | FindingKind::Second { row } => Some(of_row(row)),
        FindingKind::Recover { rows, .. } => rows.iter().find(|row| row.key() == mark.key).map(of_row),
        FindingKind::LiveIsDisabled { epoch, nonce, .. } | FindingKind::NotListed { epoch, nonce, .. } => {
            Some(KeyName {
                deployment: runner.deployment.clone(),
                programme: programme.id.clone(),
                grant: finding.grant.clone(),
                epoch: *epoch,
                nonce: nonce.clone(),
            })
        }
        _ => None,
    };
    marks.filter_map(|mark| name(&mark).map(|name| (mark, name))).collect()
}

/// The marks by which a finding is counted.
fn marks_of(kind: &FindingKind) -> Vec<HeldMark> {
    let mark = |act, key| vec![HeldMark { act, key }];
    match kind {
        FindingKind::Sweep { row } | FindingKind::Second { row } => mark(HeldAct::Sweep, row.key()),
        FindingKind::Recover { ends, .. } => {
            ends.iter().map(|key| HeldMark { act: HeldAct::Recovery, key: key.clone() }).collect()
        }
        FindingKind::LiveIsDisabled { key, stops: true, .. } | FindingKind::NotListed { key, stops: true, .. } => {
            mark(HeldAct::Stop, key.clone())
        }
        _ => Vec::new(),
    }
}
