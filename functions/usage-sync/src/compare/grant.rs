//! The scan of one grant: the use of its listed keys, and findings about them. It reads and writes
//! nothing; each act decides again on the grant as it is by then.

use std::collections::HashSet;

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::{GRACE, GrantKey, RecoveredKey, Unchanged, View};
use bursar_core::domain::usage::reading::{Reading, Shortfall, UnusableReport};
use bursar_core::domain::values::id::{Epoch, KeyHash};

use crate::compare::{FindingKind, GrantFinding, KeyDoubt, KeyFinding, RestrictedKey};
use crate::list::{KeyListing, KeyRow};
use crate::runner::{RunContext, is_told};

#[derive(Clone, Copy)]
pub(crate) struct ScanContext<'a> {
    /// The listed keys that bear its name, each once.
    pub(crate) rows: &'a [KeyRow],
    /// All keys that were listed under other names than those of a known grant.
    pub(crate) elsewhere: &'a HashSet<KeyHash>,
    pub(crate) runner: &'a RunContext,
    pub(crate) listing: &'a KeyListing,
    pub(crate) now: Moment,
}

#[derive(Debug, Default)]
pub(crate) struct ScanResult {
    /// Readings that are larger than the recorded ones.
    pub(crate) news: Vec<Reading>,
    pub(crate) kinds: Vec<FindingKind>,
    /// Keys that bear its name, of which none was shown, and that were used all the same.
    pub(crate) foreign: Vec<KeyRow>,
    /// Keys of claims that this table does not know.
    pub(crate) newer: Vec<KeyRow>,
    pub(crate) problems: Vec<String>,
    /// Recorded keys that are listed without what they used, and such as are not listed.
    pub(crate) unread: Vec<Epoch>,
    pub(crate) unlisted: Vec<Epoch>,
    /// Its live key with the id of the guardrail that it is to be under.
    pub(crate) restricted: Option<(String, RestrictedKey)>,
}

/// The relation of a listed key to the grant whose name it bears.
enum Match<'a> {
    /// It is on record.
    Its(&'a GrantKey),
    /// It may have been shown, and the table does not know it, since it is a restored copy.
    Unrecorded,
    /// It is of a claim that the table does not know, and that is no copy: only a person can tell
    /// why.
    Newer,
    /// Nobody was shown it, or it is just being made.
    Orphan,
}

impl ScanResult {
    /// Scans a grant. Its readings in `view` are then as they will be once the new ones are
    /// written.
    pub(crate) fn scan(view: &mut View, context: ScanContext<'_>) -> ScanResult {
        let mut result = ScanResult::default();
        let mut unread = Vec::new();
        for row in context.rows {
            match match_of(view, context, row) {
                Match::Its(key) if key.shown_at.is_some() => {
                    let epoch = key.epoch;
                    let hash = key.hash.clone();
                    if epoch != row.epoch {
                        result.problems.push(format!(
                            "the key {hash} of ours has another name at the provider"
                        ));
                    }
                    match read(view, context.runner.baseline.listed_at, key, row) {
                        Ok((news, doubt)) => {
                            result
                                .problems
                                .extend(doubt.map(|doubt| format!("of the key {hash} {doubt}")));
                            news.into_iter().for_each(|news| result.take_in(view, news));
                        }
                        Err(doubtful) => {
                            result.unread.push(epoch);
                            result
                                .problems
                                .push(format!("of the key {hash} nothing is recorded: {doubtful}"));
                        }
                    }
                }
                Match::Its(_) | Match::Orphan => {
                    result
                        .foreign
                        .extend(Some(row).filter(|row| row.state.is_used()).cloned());
                }
                Match::Unrecorded => unread.push(row.epoch),
                Match::Newer => result.newer.push(row.clone()),
            }
        }
        for row in context.rows {
            match match_of(view, context, row) {
                Match::Its(key) => {
                    let is_read = row.state.report.is_some() && !result.unread.contains(&key.epoch);
                    result
                        .kinds
                        .extend(about_its(view, context, key, row, is_read));
                }
                Match::Orphan => result.kinds.extend(orphan(view, context, row)),
                Match::Unrecorded | Match::Newer => {}
            }
        }
        if !unread.is_empty() && context.listing.is_whole {
            // The key that seems to be the live one is an older one.
            result.kinds.retain(|kind| {
                !matches!(
                    kind,
                    FindingKind::Key(KeyFinding {
                        doubt: KeyDoubt::IsDisabled,
                        ..
                    })
                )
            });
            let keys: Vec<RecoveredKey> = context.rows.iter().map(KeyRow::to_recovered).collect();
            let ends = view
                .find_ended_by_recovery(&keys)
                .into_iter()
                .map(|key| key.hash.clone())
                .collect();
            let rows = context.rows.to_vec();
            result.kinds.push(FindingKind::Grant(GrantFinding::Recover {
                rows,
                ends,
                unread,
            }));
        }
        result.find_not_listed(view, context);
        result.kinds.extend(find_on_grant(view, context));
        let live = view
            .grant
            .usable()
            .filter(|_| !view.programme.is_over(context.now));
        if let Some(row) =
            live.and_then(|live| context.rows.iter().find(|row| row.key == live.hash))
        {
            result.restricted = find_restriction(view, row);
        }
        // Each repair settles the grant.
        if result.kinds.len() > 1 {
            result
                .kinds
                .retain(|kind| *kind != FindingKind::Grant(GrantFinding::Due));
        }
        result
    }

    /// Finds recorded keys that are not in the listing, or under other grants' names. A key made
    /// since the listing began cannot be in it.
    fn find_not_listed(&mut self, view: &View, context: ScanContext<'_>) {
        for key in &view.grant.keys {
            if context.rows.iter().any(|row| row.key == key.hash) {
                continue;
            }
            let is_missing = key.gone.is_none() && key.made_at < context.runner.baseline.began_at;
            let is_elsewhere = context.elsewhere.contains(&key.hash);
            if is_missing && key.shown_at.is_some() {
                self.unlisted.push(key.epoch);
            }
            if is_elsewhere || is_missing && context.listing.shows_absence() {
                let is_live = view.grant.live().is_some_and(|live| live.hash == key.hash);
                let is_held = context.listing.unreadable.contains(&key.hash);
                let stops =
                    is_live && view.grant.holds.first().is_none() && !is_elsewhere && !is_held;
                let doubt = KeyDoubt::NotListed { stops, is_held };
                self.kinds.push(FindingKind::Key(KeyFinding {
                    key: key.hash.clone(),
                    epoch: key.epoch,
                    doubt,
                }));
            }
        }
    }

    fn take_in(&mut self, view: &mut View, news: Reading) {
        match view
            .readings
            .iter_mut()
            .find(|reading| reading.epoch == news.epoch)
        {
            Some(reading) => reading.clone_from(&news),
            None => view.readings.push(news.clone()),
        }
        self.news.push(news);
    }
}

/// A recorded key is known by its hash, whatever its name is now.
fn match_of<'v>(view: &'v View, context: ScanContext<'_>, row: &KeyRow) -> Match<'v> {
    match view.grant.keys.iter().find(|key| row.key == key.hash) {
        Some(key) => Match::Its(key),
        None if context.runner.is_copy && view.can_recover(&row.to_recovered()) => {
            Match::Unrecorded
        }
        None if row.epoch > view.grant.epoch => Match::Newer,
        None => Match::Orphan,
    }
}

/// The reading of a listed key, if it changed, and the doubt about it, if there is one.
fn read(
    view: &View,
    listed_at: Option<Moment>,
    key: &GrantKey,
    row: &KeyRow,
) -> Result<(Option<Reading>, Option<Shortfall>), UnusableReport> {
    let before = view.reading(key.epoch);
    let report = row.state.report.as_ref().ok_or(UnusableReport::Silent)?;
    let (after, doubt) = view.reading_after(key, report, row.state.asked_at, listed_at)?;
    Ok((
        Some(after).filter(|after| before.is_none_or(|before| after.differs_from(before))),
        doubt,
    ))
}

fn about_its(
    view: &View,
    context: ScanContext<'_>,
    key: &GrantKey,
    row: &KeyRow,
    is_read: bool,
) -> Option<FindingKind> {
    let epoch = key.epoch;
    let key = key.hash.clone();
    let seen = row.state.seen(is_read);
    let is_ended = view
        .record_disabled(
            view.grant.version,
            &key,
            seen.asked_at,
            context.runner.is_copy,
            context.now,
        )
        .is_ok();
    if !seen.enabled && is_ended {
        return Some(FindingKind::Key(KeyFinding {
            key,
            epoch,
            doubt: KeyDoubt::IsDisabled,
        }));
    }
    match view.seen(&key, &seen, context.now) {
        Ok(change) if change.audit().is_some() => Some(FindingKind::Key(KeyFinding {
            key,
            epoch,
            doubt: KeyDoubt::LimitIsOther,
        })),
        Ok(_) => Some(FindingKind::Grant(GrantFinding::Seen { key, seen })),
        Err(Unchanged) => None,
    }
}

/// The live key, if it is on record as under a guardrail, with the id of that.
fn find_restriction(view: &View, row: &KeyRow) -> Option<(String, RestrictedKey)> {
    let live = view.grant.live()?;
    let under = live
        .guardrail
        .known()
        .filter(|under| live.guardrail.is(under))?;
    Some((
        under.id.clone(),
        RestrictedKey {
            grant: row.grant.clone(),
            key: row.key.clone(),
        },
    ))
}

/// An enabled key that nobody was shown, so old that it is on record if it ever is.
fn orphan(view: &View, context: ScanContext<'_>, row: &KeyRow) -> Option<FindingKind> {
    let is_old = context.now >= row.made_at(&view.grant) + GRACE;
    let is_outdated = row.epoch < view.grant.last_shown();
    (row.state.enabled && is_old).then(|| {
        FindingKind::Grant(GrantFinding::Orphan {
            row: Box::new(row.clone()),
            is_outdated,
        })
    })
}

fn find_on_grant(view: &View, context: ScanContext<'_>) -> Vec<FindingKind> {
    let grant = &view.grant;
    let now = context.now;
    let is_over = grant.is_over();
    if view.programme.is_over(now) && !is_over {
        return vec![FindingKind::Grant(GrantFinding::End)];
    }
    let mut kinds = Vec::new();
    if view
        .calls(now)
        .iter()
        .any(|call| call.due <= now && is_told(call))
    {
        kinds.push(FindingKind::Grant(GrantFinding::Due));
    }
    if view.give_back_reservation(now).is_ok() {
        kinds.push(FindingKind::Grant(GrantFinding::UnusedReservation));
    }
    let live = grant
        .live()
        .and_then(|live| context.rows.iter().find(|row| row.key == live.hash));
    let last_used_at = live.and_then(|row| row.state.report.as_ref()?.last_used_at);
    if live.is_some_and(|live| live.state.enabled) && view.lifecycle(last_used_at, now).is_some() {
        kinds.push(FindingKind::Rule { last_used_at });
    }
    for key in grant.keys.iter().filter(|_| is_over) {
        let is_read = context
            .rows
            .iter()
            .any(|row| row.key == key.hash && row.state.report.is_some());
        if is_read && view.may_purge(key, context.runner.baseline.restored_at, now) {
            let finding = KeyFinding {
                key: key.hash.clone(),
                epoch: key.epoch,
                doubt: KeyDoubt::MayGo,
            };
            kinds.push(FindingKind::Key(finding));
        }
    }
    kinds
}
