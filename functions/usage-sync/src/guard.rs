//! The bound on what one run does on its own judgement. Beyond it none of that is done: an orphan that nobody saw harms nobody, a live
//! key that is taken for one, or for gone, does. A person looks, and lets the next runs do it: to those keys and to no others.

use std::collections::BTreeSet;

use anyhow::Result;
use bursar_core::domain::id::KeyName;
use bursar_core::store::{HeldAct, HeldBack, HeldKey, HeldMark, SyncState, new_ulid};
use ulid::Ulid;

use crate::look::{Finding, What};
use crate::progress::Progress;
use crate::row::Row;
use crate::run::Run;

/// A run may always do so many.
const ALWAYS: usize = 5;
/// Of so many listed keys it may do it to one.
const ONE_IN: usize = 50;
/// So many of the keys that are held back are named: all of them would not fit into an item.
const MOST_NAMED: usize = 100;

impl Run<'_> {
    /// Counts what would be done before any of it is marked, and drops all of that where it is too much. What a person let through is
    /// not counted.
    pub(crate) async fn hold_back(&self, progress: &mut Progress) -> Result<()> {
        progress.leave_what_another_grant_has();
        let bound = ALWAYS.max(progress.report.keys_listed / ONE_IN);
        let state = self.table.sync_state().await?;
        let released = self.released(&state).await?;
        let is_released = |marks: &[HeldMark]| marks.iter().all(|mark| released.contains(mark));
        let (mut counted, mut own) = (BTreeSet::new(), BTreeSet::new());
        for finding in &progress.findings {
            let marks = marks_of(&finding.what);
            if !is_released(&marks) {
                own.extend(marks.iter().cloned());
            }
            counted.extend(marks);
        }
        progress.let_through = match progress.is_whole() {
            // A key that is as it should be again is not let through any more.
            true => released.intersection(&counted).cloned().collect(),
            false => released.clone(),
        };
        // Beside what was let through a few more are done, but none of them may be in use.
        let may_be_in_use = |mark: &HeldMark| mark.act == HeldAct::Recovery && !released.is_empty();
        if own.len() <= bound && !own.iter().any(may_be_in_use) {
            return Ok(());
        }
        let keys = self.named(progress, &own);
        progress.findings.retain_mut(|finding| {
            let is_held = !is_released(&marks_of(&finding.what));
            match &mut finding.what {
                // It is asked for all the same: when it is let through, it was missing since then.
                What::NotListed { is_held: only_looks, .. } if is_held => *only_looks = true,
                _ => return !is_held,
            }
            true
        });
        let count = |act| u32::try_from(own.iter().filter(|mark| mark.act == act).count()).unwrap_or(u32::MAX);
        let mut held = HeldBack {
            at: progress.began_at,
            sweeps: count(HeldAct::Sweep),
            recoveries: count(HeldAct::Recovery),
            stops: count(HeldAct::Stop),
            bound: u32::try_from(bound).unwrap_or(u32::MAX),
            keys,
            marks: new_ulid(progress.began_at),
            released_by: None,
        };
        progress.is_undone = true;
        progress.report.problem(format!(
            "{} would have been disabled, or their grants stopped: {}. One run does {bound} such things at most on its own \
             judgement, so it did none. An admin can let the next run do it.",
            if own.len() == 1 { "1 key".to_owned() } else { format!("{} keys", own.len()) },
            held.words()
        ));
        // While it is the same, whoever looks at the page of an earlier run may still let it through.
        if let Some(last) = state.held_back
            && self.table.marks(last.marks).await? == own
        {
            (held.at, held.marks) = (last.at, last.marks);
        }
        self.table.keep_marks(held.marks, &own, progress.began_at, self.deadline).await?;
        progress.held_back = Some(held);
        Ok(())
    }

    /// Keeps what was let through and is not seen to yet, and says where.
    pub(crate) async fn keep_let_through(&self, progress: &Progress) -> Result<Option<Ulid>> {
        if progress.let_through.is_empty() {
            return Ok(None);
        }
        let marks = new_ulid(progress.began_at);
        self.table.keep_marks(marks, &progress.let_through, progress.began_at, self.deadline).await?;
        Ok(Some(marks))
    }

    /// All that a person let through and that is not seen to yet.
    async fn released(&self, state: &SyncState) -> Result<BTreeSet<HeldMark>> {
        let held = state.held_back.as_ref().filter(|held| held.released_by.is_some()).map(|held| held.marks);
        let mut released = BTreeSet::new();
        for marks in held.into_iter().chain(state.let_through) {
            released.append(&mut self.table.marks(marks).await?);
        }
        Ok(released)
    }

    /// The keys that are held back, so that a person can look at them: those first that may be in use, and in an order, so that the same
    /// are the same again.
    fn named(&self, progress: &Progress, held: &BTreeSet<HeldMark>) -> Vec<HeldKey> {
        let mut named = BTreeSet::new();
        for finding in &progress.findings {
            for (mark, name) in self.names_of(finding) {
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

    /// What is counted of a finding, each with the name that its key got from us.
    fn names_of(&self, finding: &Finding) -> Vec<(HeldMark, KeyName)> {
        let Some(programme) = self.programmes.get(usize::from(finding.programme)) else { return Vec::new() };
        let marks = marks_of(&finding.what).into_iter();
        let of_row = |row: &Row| self.name(programme, row);
        let name = |mark: &HeldMark| match &finding.what {
            What::Sweep { row } | What::Second { row } => Some(of_row(row)),
            What::Recover { rows, .. } => rows.iter().find(|row| row.key() == mark.key).map(of_row),
            What::LiveIsDisabled { epoch, nonce, .. } | What::NotListed { epoch, nonce, .. } => Some(KeyName {
                deployment: self.deployment.clone(),
                programme: programme.id.clone(),
                grant: finding.grant.clone(),
                epoch: *epoch,
                nonce: nonce.clone(),
            }),
            _ => None,
        };
        marks.filter_map(|mark| name(&mark).map(|name| (mark, name))).collect()
    }
}

impl Progress {
    /// A key that bears the name of an attempt may be the recorded key of another, whose name somebody changed: that one misses it.
    fn leave_what_another_grant_has(&mut self) {
        self.note_what_is_not_listed();
        let renamed = &self.renamed;
        self.findings.retain(|finding| match &finding.what {
            What::Sweep { row } | What::Second { row } => !renamed.contains(&row.key()),
            _ => true,
        });
    }

    /// Notes that what was found is seen to, if it was let through.
    pub(crate) fn settle(&mut self, finding: &Finding) {
        if self.let_through.is_empty() {
            return;
        }
        for mark in marks_of(&finding.what) {
            self.let_through.remove(&mark);
        }
    }
}

/// What of a finding is counted.
fn marks_of(what: &What) -> Vec<HeldMark> {
    let mark = |act, key| vec![HeldMark { act, key }];
    match what {
        What::Sweep { row } | What::Second { row } => mark(HeldAct::Sweep, row.key()),
        What::Recover { ends, .. } => {
            ends.iter().map(|key| HeldMark { act: HeldAct::Recovery, key: key.clone() }).collect()
        }
        What::LiveIsDisabled { key, stops: true, .. } | What::NotListed { key, stops: true, .. } => {
            mark(HeldAct::Stop, key.clone())
        }
        _ => Vec::new(),
    }
}
