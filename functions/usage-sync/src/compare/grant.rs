//! The scan of one grant: the use of its listed keys, and findings about them. It reads and writes nothing;
//! each act decides again on the grant as it is by then.

use bursar_core::domain::grant::{Attempt, AttemptState, GRACE, GrantState, KeyCall, RecoveredKey, Tell};
use bursar_core::domain::usage::reading::{Reading, Shortfall, UnusableReport};

use crate::guardrails::RestrictedKey;
use crate::prelude::*;
use crate::runner::Baseline;

/// The context in which a grant is scanned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScanContext<'a> {
    /// The listed keys that bear its name, each once.
    pub(crate) rows: &'a [KeyRow],
    /// All keys that were listed under other names than those of a known grant.
    pub(crate) elsewhere: &'a HashSet<[u8; 32]>,
    /// Whether a key that is not in the listing may be gone.
    pub(crate) shows_absence: bool,
    /// Listed keys of which nothing but their hash could be read.
    pub(crate) unreadable: &'a HashSet<KeyHash>,
    pub(crate) baseline: &'a Baseline,
    /// Whether this table is a restored copy that was not recovered yet.
    pub(crate) is_copy: bool,
    pub(crate) now: Moment,
}

/// The result of a grant's scan.
#[derive(Debug, Default)]
pub(crate) struct ScanResult {
    /// Readings that are larger than the recorded ones.
    pub(crate) news: Vec<Reading>,
    pub(crate) kinds: Vec<FindingKind>,
    /// Keys that bear its name and are not its own: no attempt made them, or one beside the key that it records.
    pub(crate) foreign: Vec<KeyRow>,
    pub(crate) problems: Vec<String>,
    /// The problems of the unread ones.
    pub(crate) doubtful: Vec<String>,
    /// Recorded keys that are listed without what they used, and such as are not listed.
    pub(crate) unread: Vec<Epoch>,
    pub(crate) unlisted: Vec<Epoch>,
    /// Its live key with the id of the guardrail that it is to be under.
    pub(crate) restricted: Option<(String, RestrictedKey)>,
}

/// The relation of a listed key to the grant whose name it bears.
enum Match<'a> {
    /// This attempt made it.
    Its(&'a Attempt),
    /// This attempt has no recorded key, so it may have made this one.
    Perhaps(&'a Attempt),
    /// Its attempt is not recorded, or counts as shown since the table was restored.
    Unrecorded,
    /// This attempt records another key, so this is a second one of the same name.
    Second(&'a Attempt),
    /// Its attempt came to nothing and was forgotten: nobody was shown it.
    Forgotten,
    /// It only bears the name.
    NotOurs,
}

impl ScanResult {
    /// Scans a grant. Its readings in `view` are then as they will be once the new ones are written.
    pub(crate) fn of(view: &mut View, context: ScanContext<'_>) -> ScanResult {
        let mut result = ScanResult::default();
        let renamed = result.under_their_own_names(view, context.rows);
        let context = ScanContext { rows: renamed.as_deref().unwrap_or(context.rows), ..context };
        for row in context.rows {
            if let Match::Its(attempt) = match_of(view, context, row) {
                match read(view, context.baseline.listed_at, attempt, row) {
                    Ok((news, doubt)) => {
                        result.problems.extend(doubt.map(|doubt| format!("of the key {} {doubt}", row.key())));
                        news.into_iter().for_each(|news| result.take_in(view, news));
                    }
                    Err(doubtful) => {
                        result.unread.push(attempt.epoch);
                        result.doubtful.push(format!("of the key {} nothing is recorded: {doubtful}", row.key()));
                    }
                }
            }
        }
        let (mut unread, mut perhaps) = (Vec::new(), HashSet::new());
        for row in context.rows {
            let of = match match_of(view, context, row) {
                // An attempt makes one key, so of two enabled ones one is too many.
                Match::Perhaps(attempt) if row.state.enabled && !perhaps.insert(attempt.epoch) => {
                    Match::Second(attempt)
                }
                of => of,
            };
            match of {
                Match::Its(attempt) => {
                    let is_read = row.state.report.is_some() && !result.unread.contains(&attempt.epoch);
                    result.kinds.extend(about_its(view, context, attempt, row, is_read));
                }
                Match::Perhaps(attempt) => result.kinds.extend(orphan(context, attempt, row)),
                Match::Second(attempt) => {
                    result.kinds.extend(second(context, attempt, row));
                    result.foreign.push(row.clone());
                }
                Match::Unrecorded => unread.push(row.epoch()),
                Match::Forgotten if row.state.enabled => result.kinds.extend(forgotten(context, row)),
                Match::Forgotten | Match::NotOurs => {
                    result.problems.push(format!("the key {} bears a name of ours, and no attempt made it", row.key()));
                    result.foreign.push(row.clone());
                }
            }
        }
        if !unread.is_empty() && context.shows_absence {
            // The key that seems to be the live one is an older one.
            result.kinds.retain(|kind| !matches!(kind, FindingKind::LiveIsDisabled { .. }));
            let found: Vec<RecoveredKey> = context.rows.iter().map(KeyRow::found).collect();
            let ends =
                view.ended_by_recovery(&found, context.is_copy).into_iter().map(|found| found.key.clone()).collect();
            result.kinds.push(FindingKind::Recover { rows: context.rows.to_vec(), ends, unread });
        }
        let is_listed = |attempt: &Attempt| context.rows.iter().any(|row| attempt.key == Some(row.key()));
        let should_be = |attempt: &&Attempt| {
            attempt.key.is_some() && attempt.gone.is_none() && attempt.begun_at < context.baseline.began_at
        };
        let unlisted = view.grant.attempts.iter().filter(should_be).filter(|attempt| !is_listed(attempt));
        result.unlisted.extend(unlisted.map(|attempt| attempt.epoch));
        result.kinds.extend(not_listed(view, context));
        result.kinds.extend(of_the_grant(view, context));
        let live = view.grant.live().filter(|_| view.grant.holds.is_empty() && !view.programme.is_over(context.now));
        if let Some(row) = live.and_then(|live| context.rows.iter().find(|row| row.epoch() == live.epoch)) {
            result.restricted = restricted(view, row);
        }
        // Each repair settles the grant.
        if result.kinds.len() > 1 {
            result.kinds.retain(|kind| *kind != FindingKind::Due);
        }
        result
    }

    /// The grant's keys found by their hashes, whatever their names are. `None` where each has its own name.
    fn under_their_own_names(&mut self, view: &View, rows: &[KeyRow]) -> Option<Vec<KeyRow>> {
        let own = |row: &KeyRow| {
            let is_it = |attempt: &&Attempt| attempt.key.as_ref().is_some_and(|key| row.is(key));
            let named = view.grant.attempt(row.epoch()).filter(is_it);
            match named {
                Some(_) => None,
                None => view.grant.attempts.iter().find(is_it).map(|attempt| (attempt.epoch, attempt.nonce.clone())),
            }
        };
        if rows.iter().all(|row| own(row).is_none()) {
            return None;
        }
        let named = rows.iter().map(|row| match own(row) {
            Some((epoch, nonce)) => {
                self.problems.push(format!("the key {} of ours has another name at the provider", row.key()));
                row.named(epoch, &nonce)
            }
            None => row.clone(),
        });
        Some(named.collect())
    }

    fn take_in(&mut self, view: &mut View, news: Reading) {
        match view.readings.iter_mut().find(|reading| reading.epoch == news.epoch) {
            Some(reading) => reading.clone_from(&news),
            None => view.readings.push(news.clone()),
        }
        self.news.push(news);
    }
}

fn match_of<'v>(view: &'v View, context: ScanContext<'_>, row: &KeyRow) -> Match<'v> {
    let Some(attempt) = view.grant.attempt(row.epoch()) else {
        // Attempts are written ahead, so a key of a later epoch means that the table was restored. Attempts
        // that came to nothing are forgotten.
        return if row.epoch() > view.grant.epoch { Match::Unrecorded } else { Match::Forgotten };
    };
    match &attempt.key {
        _ if attempt.nonce != row.nonce() => Match::NotOurs,
        Some(key) if *key == row.key() => Match::Its(attempt),
        Some(_) => Match::Second(attempt),
        None if context.is_copy && attempt.state == AttemptState::Open => Match::Unrecorded,
        None => Match::Perhaps(attempt),
    }
}

/// The reading of a listed key, if it changed, and the doubt about it, if there is one.
pub(crate) fn read(
    view: &View,
    listed_at: Option<Moment>,
    attempt: &Attempt,
    row: &KeyRow,
) -> Result<(Option<Reading>, Option<Shortfall>), UnusableReport> {
    let before = view.reading(attempt.epoch);
    let told = row.state.report.as_ref().ok_or(UnusableReport::Silent)?;
    let (after, doubt) = view.reading_after(attempt, told, row.state.asked, listed_at)?;
    Ok((Some(after).filter(|after| before.is_none_or(|before| after.differs_from(before))), doubt))
}

fn about_its(
    view: &View,
    context: ScanContext<'_>,
    attempt: &Attempt,
    row: &KeyRow,
    is_read: bool,
) -> Option<FindingKind> {
    let (epoch, key, seen) = (attempt.epoch, row.key(), row.state.seen(is_read));
    if !seen.enabled && view.found_disabled(view.grant.version, epoch, &key, seen.asked, context.now).is_ok() {
        return Some(FindingKind::LiveIsDisabled { epoch, nonce: attempt.nonce.clone(), key });
    }
    view.seen(epoch, &key, &seen, context.now).is_ok().then_some(FindingKind::Seen { epoch, key, seen })
}

/// The live key, if it is on record as under a guardrail, with the id of that.
fn restricted(view: &View, row: &KeyRow) -> Option<(String, RestrictedKey)> {
    let live = view.grant.live()?;
    let under = live.guardrail.known().filter(|under| live.guardrail.is(under))?;
    let (grant, epoch, key) = (*row.grant_bytes(), row.epoch(), row.key().to_bytes());
    Some((under.id.clone(), RestrictedKey { grant, epoch, key }))
}

/// An enabled key of a forgotten attempt, created so late that no sync had listed it before.
fn forgotten(context: ScanContext<'_>, row: &KeyRow) -> Option<FindingKind> {
    let is_old = row.state.created_at.is_some_and(|made_at| context.now >= made_at + GRACE);
    is_old.then(|| FindingKind::Sweep { row: row.clone() })
}

/// An enabled key that nobody was shown, of an attempt too old to be under way.
fn orphan(context: ScanContext<'_>, attempt: &Attempt, row: &KeyRow) -> Option<FindingKind> {
    let is_old = context.now >= attempt.begun_at + GRACE;
    let is_orphan = row.state.enabled && attempt.state != AttemptState::Shown && is_old;
    is_orphan.then(|| FindingKind::Sweep { row: row.clone() })
}

/// A second key of an attempt too old to be under way, which is enabled and must be disabled.
fn second(context: ScanContext<'_>, attempt: &Attempt, row: &KeyRow) -> Option<FindingKind> {
    let is_old = context.now >= attempt.begun_at + GRACE;
    (context.shows_absence && row.state.enabled && is_old).then(|| FindingKind::Second { row: row.clone() })
}

/// Recorded keys that are not in the listing, or under other grants' names. A key made since the listing
/// began cannot be in it.
fn not_listed(view: &View, context: ScanContext<'_>) -> Vec<FindingKind> {
    let missing = view.grant.attempts.iter().filter_map(|attempt| {
        let key = attempt.key.clone()?;
        let is_elsewhere = context.elsewhere.contains(&key.to_bytes());
        let may_be_missing =
            context.shows_absence && attempt.gone.is_none() && attempt.begun_at < context.baseline.began_at;
        if !(is_elsewhere || may_be_missing) || context.rows.iter().any(|row| row.key() == key) {
            return None;
        }
        let is_live = view.grant.live().is_some_and(|live| live.epoch == attempt.epoch);
        let is_held = context.unreadable.contains(&key);
        let stops = is_live && view.grant.holds.is_empty() && !is_elsewhere && !is_held;
        let (epoch, nonce) = (attempt.epoch, attempt.nonce.clone());
        Some(FindingKind::NotListed { epoch, nonce, key, stops, is_held })
    });
    missing.collect()
}

fn of_the_grant(view: &View, context: ScanContext<'_>) -> Vec<FindingKind> {
    let (grant, now) = (&view.grant, context.now);
    let is_over = grant.is_over();
    if view.programme.is_over(now) && !is_over {
        return vec![FindingKind::End];
    }
    let mut kinds = Vec::new();
    if view.calls(now).iter().any(|call| call.due <= now && is_told(call)) {
        kinds.push(FindingKind::Due);
    }
    let is_listed = |attempt: &Attempt| context.rows.iter().any(|row| row.epoch() == attempt.epoch);
    let is_forsaken = |attempt: &Attempt| {
        let is_old = context.baseline.began_at >= attempt.begun_at + GRACE;
        attempt.state == AttemptState::Open && attempt.key.is_none() && is_old && !is_listed(attempt)
    };
    if context.shows_absence
        && matches!(grant.state, GrantState::Minting { .. })
        && grant.attempts.iter().any(is_forsaken)
    {
        kinds.push(FindingKind::Forsaken);
    }
    let is_matched = |since: Moment| context.baseline.matched_at.is_some_and(|matched| since < matched);
    if grant.attempts.iter().filter_map(|attempt| attempt.rest_promised_since).any(is_matched) {
        kinds.push(FindingKind::GiveBackRest);
    }
    if view.give_back_reservation(now).is_ok() {
        kinds.push(FindingKind::GiveBack);
    }
    let live = grant.live().and_then(|live| context.rows.iter().find(|row| row.epoch() == live.epoch));
    let last_used_at = live.and_then(|row| row.state.report.as_ref()?.last_used_at);
    if live.is_some_and(|live| live.state.enabled) && view.lifecycle(last_used_at, now).is_some() {
        kinds.push(FindingKind::Rule { last_used_at });
    }
    let is_read = |attempt: &Attempt| {
        let row = context.rows.iter().find(|row| Some(row.key()) == attempt.key);
        row.is_some_and(|row| row.state.report.is_some())
    };
    let may_go = grant.attempts.iter().filter(|attempt| {
        is_over && is_read(attempt) && view.may_purge(attempt.epoch, context.baseline.restored_at, now)
    });
    kinds.extend(
        may_go.filter_map(|attempt| Some(FindingKind::Purge { epoch: attempt.epoch, key: attempt.key.clone()? })),
    );
    kinds
}

/// Whether the run tells a call: what a listed key used it knows, and a guardrail that is not made has a sender of its own.
pub(crate) fn is_told(call: &KeyCall) -> bool {
    !matches!(call.tell, Tell::Read | Tell::Guardrail(None))
}
