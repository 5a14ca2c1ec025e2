//! What a listing says of one grant: what its keys have used now, and what may have to be done about them. Nothing is read or written
//! here; what is found is a suspicion, and each act decides anew on the grant as it is then.

use std::collections::HashSet;

use bursar_core::domain::grant::{Attempt, AttemptState, Disable, Found, GRACE, Listed, State, View};
use bursar_core::domain::id::{Epoch, GrantId, Nonce};
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::money::Usd;
use bursar_core::domain::reading::{Doubtful, Reading, Shortfall};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::row::Row;

/// What a grant is looked at with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight<'a> {
    /// The listed keys that bear its name, each once.
    pub(crate) rows: &'a [Row],
    /// All keys that were listed under names of no grant here.
    pub(crate) elsewhere: &'a HashSet<[u8; 32]>,
    /// Whether the listing reached its end and could be read: only then what is not in it may be gone.
    pub(crate) is_whole: bool,
    /// When this run began, and when the last listing of every key before it did.
    pub(crate) began_at: Timestamp,
    pub(crate) looked_at: Option<Timestamp>,
    /// Whether this table is a copy of an earlier moment that was not recovered yet.
    pub(crate) is_copy: bool,
    pub(crate) restored_at: Option<Timestamp>,
    /// When the last run began that explained all that the account had spent.
    pub(crate) explained_at: Option<Timestamp>,
    /// The keys that are under the programme's guardrail, if it has one and that could be listed.
    pub(crate) assigned: Option<&'a HashSet<KeyHash>>,
    pub(crate) now: Timestamp,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Readings that say more than is on record.
    pub(crate) news: Vec<Reading>,
    pub(crate) whats: Vec<What>,
    /// Keys that only bear its name: no attempt of ours made them.
    pub(crate) not_ours: Vec<Row>,
    /// Keys that were made for an attempt of it beside the one that it records.
    pub(crate) second: Vec<Row>,
    pub(crate) problems: Vec<String>,
    /// Whether some key's use is not known.
    pub(crate) has_gaps: bool,
    /// What was used on keys that the account does not have any more.
    pub(crate) gone: Usd,
}

/// Something to be done about a grant, if it is still so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) programme: u16,
    pub(crate) grant: GrantId,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// An enabled key that nobody was shown.
    Sweep { row: Row },
    /// An enabled key that was made for an attempt beside the one that it records: nobody was shown it.
    Second { row: Row },
    /// Keys of ours that this table does not know, with the others of the grant; these a recovery would end. What the unread used is
    /// in no reading yet.
    Recover { rows: Vec<Row>, ends: Vec<KeyHash>, unread: Vec<Epoch> },
    /// A key that was enabled when it was listed and must not be.
    EnabledAgain { epoch: Epoch, key: KeyHash, seen_at: Timestamp },
    /// A live key that was listed as disabled. So much use of it is in this run's sums.
    LiveIsDisabled { epoch: Epoch, nonce: Nonce, key: KeyHash, stops: bool, summed: Usd },
    /// A recorded key that was not listed under its name. It stops its grant if it is not there; where that is held back, it is only
    /// looked for. So much use of it is in this run's sums.
    NotListed { epoch: Epoch, nonce: Nonce, key: KeyHash, stops: bool, is_held: bool, summed: Usd },
    /// The limit that was sent or listed is not the one that is wanted, it is counted otherwise, or there is nothing left to be wanted.
    Limit { listed: Listed },
    /// A live key that must be under the programme's guardrail and is not.
    NotRestricted { epoch: Epoch, key: KeyHash },
    /// Its programme is over.
    End,
    /// A place in the pot that nobody uses.
    GiveBack,
    /// Orders that are still to be carried out.
    Ordered,
    /// A limit that was never answered, and did not come.
    LimitSeen { epoch: Epoch, listed: Listed, asked: Timestamp },
    /// An attempt that nobody is at any more, and whose grant still says so.
    Forsaken,
    /// The account's sums show by now that nobody used the rest of a key that is gone.
    Explained,
    /// One of the programme's rules is due.
    Rule { last_used_at: Option<Timestamp> },
    /// A key that may be deleted at the provider.
    Purge { epoch: Epoch, key: KeyHash },
}

impl Finding {
    /// Whether it is that a key is not under its programme's guardrail.
    pub(crate) fn is_restriction(&self) -> bool {
        matches!(self.what, What::NotRestricted { .. })
    }

    /// Which key or grant it is about, for the report.
    pub(crate) fn told(&self) -> String {
        let key = match &self.what {
            What::Sweep { row } | What::Second { row } => return format!("the key {}", row.key()),
            What::EnabledAgain { key, .. }
            | What::LiveIsDisabled { key, .. }
            | What::NotListed { key, .. }
            | What::NotRestricted { key, .. }
            | What::Purge { key, .. } => Some(key),
            _ => None,
        };
        key.map_or_else(|| format!("the grant {}", self.grant), |key| format!("the key {key}"))
    }
}

/// What a listed key and the grant whose name it bears are to each other.
enum Match<'a> {
    /// This attempt made it.
    Its(&'a Attempt),
    /// This attempt does not know its key, so it may have made this one.
    Perhaps(&'a Attempt),
    /// An attempt made it that is not on record, or counts as shown since the table went back.
    Unrecorded,
    /// This attempt records another key, so it is a second one of the same name.
    Second(&'a Attempt),
    /// Its attempt came to nothing and was forgotten: nobody was shown it.
    Forgotten,
    /// It only bears the name.
    NotOurs,
}

impl Seen {
    /// Looks at a grant, whose readings are afterwards as they are on record once the news are.
    pub(crate) fn of(view: &mut View, sight: Sight<'_>) -> Seen {
        let mut seen = Seen::default();
        let renamed = seen.under_their_own_names(view, sight.rows);
        let sight = Sight { rows: renamed.as_deref().unwrap_or(sight.rows), ..sight };
        for row in sight.rows {
            if let Match::Its(attempt) = match_of(view, sight, row) {
                match read(view, sight.looked_at, attempt, row) {
                    Ok((news, doubt)) => {
                        seen.problems.extend(doubt.map(|doubt| format!("of the key {} {doubt}", row.key())));
                        news.into_iter().for_each(|news| seen.take_in(view, news));
                    }
                    Err(doubtful) => {
                        seen.has_gaps = true;
                        seen.problems.push(format!("of the key {} nothing is recorded: {doubtful}", row.key()));
                    }
                }
            }
        }
        let (mut unread, mut perhaps) = (Vec::new(), HashSet::new());
        for row in sight.rows {
            let of = match match_of(view, sight, row) {
                // An attempt makes one key, so of two that are enabled one is too many.
                Match::Perhaps(attempt) if row.said.enabled && !perhaps.insert(attempt.epoch) => Match::Second(attempt),
                of => of,
            };
            match of {
                Match::Its(attempt) => seen.whats.extend(about_its(view, sight, attempt, row)),
                Match::Perhaps(attempt) => seen.whats.extend(orphan(sight, attempt, row)),
                Match::Second(attempt) => {
                    seen.whats.extend(second(sight, attempt, row));
                    seen.second.push(row.clone());
                }
                Match::Unrecorded => unread.push(row.epoch()),
                Match::Forgotten if row.said.enabled => seen.whats.extend(forgotten(sight, row)),
                Match::Forgotten | Match::NotOurs => seen.not_ours.push(row.clone()),
            }
        }
        if !unread.is_empty() && sight.is_whole {
            // What seems to be the live key is an older one.
            seen.whats.retain(|what| !matches!(what, What::LiveIsDisabled { .. } | What::Limit { .. }));
            let found: Vec<Found> = sight.rows.iter().map(Row::found).collect();
            let ends =
                view.ended_by_recovery(&found, sight.is_copy).into_iter().map(|found| found.key.clone()).collect();
            seen.whats.push(What::Recover { rows: sight.rows.to_vec(), ends, unread });
        }
        seen.whats.extend(not_listed(view, sight));
        seen.whats.extend(of_the_grant(view, sight));
        // Whatever disables a key that is enabled again carries out all that is ordered of its grant.
        if seen.whats.iter().any(|what| matches!(what, What::EnabledAgain { .. })) {
            seen.whats.retain(|what| *what != What::Ordered);
        }
        let is_listed = |epoch| sight.rows.iter().any(|row| row.epoch() == epoch);
        seen.gone = view.readings.iter().filter(|reading| !is_listed(reading.epoch)).map(Reading::lifetime).sum();
        seen
    }

    /// Keys of this grant are known by their hashes, whatever somebody called them. None where each has its own name.
    fn under_their_own_names(&mut self, view: &View, rows: &[Row]) -> Option<Vec<Row>> {
        let own = |row: &Row| {
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

fn match_of<'v>(view: &'v View, sight: Sight<'_>, row: &Row) -> Match<'v> {
    let Some(attempt) = view.grant.attempt(row.epoch()) else {
        // Attempts are written ahead, so a key of a later one means that the table went back. Those that came to nothing are forgotten.
        return if row.epoch() > view.grant.epoch { Match::Unrecorded } else { Match::Forgotten };
    };
    match &attempt.key {
        _ if attempt.nonce != row.nonce() => Match::NotOurs,
        Some(key) if *key == row.key() => Match::Its(attempt),
        Some(_) => Match::Second(attempt),
        None if sight.is_copy && attempt.state == AttemptState::Open => Match::Unrecorded,
        None => Match::Perhaps(attempt),
    }
}

/// What a key has used, if that is news, and what of it is in doubt.
pub(crate) fn read(
    view: &View,
    looked_at: Option<Timestamp>,
    attempt: &Attempt,
    row: &Row,
) -> Result<(Option<Reading>, Option<Shortfall>), Doubtful> {
    let before = view.reading(attempt.epoch);
    let told = row.said.told.as_ref().ok_or(Doubtful::Silent)?;
    let (after, doubt) = view.reading_after(attempt, told, row.said.asked, looked_at)?;
    Ok((Some(after).filter(|after| before.is_none_or(|before| after.is_news_to(before))), doubt))
}

fn about_its(view: &View, sight: Sight<'_>, attempt: &Attempt, row: &Row) -> Option<What> {
    let (epoch, key) = (attempt.epoch, row.key());
    let is_live = view.grant.live().is_some_and(|live| live.epoch == epoch);
    match (is_live && view.grant.holds.is_empty(), row.said.enabled) {
        (true, true) => {
            let listed = row.said.listed();
            let wanted = view.wanted(listed, sight.now).map(|_| What::Limit { listed });
            let seen = || view.limit_seen(epoch, listed, row.said.asked);
            wanted.or_else(|| seen().map(|_| What::LimitSeen { epoch, listed, asked: row.said.asked }))
        }
        (true, false) => {
            let stops = view.found_disabled(epoch, &key, sight.now).is_some();
            let summed = summed(view, epoch);
            Some(What::LiveIsDisabled { epoch, nonce: attempt.nonce.clone(), key, stops, summed })
        }
        (false, true) => Some(What::EnabledAgain { epoch, key, seen_at: row.said.asked }),
        (false, false) => None,
    }
}

/// What is summed up of a key whose grant is looked at.
fn summed(view: &View, epoch: Epoch) -> Usd {
    view.reading(epoch).map_or(Usd::ZERO, Reading::lifetime)
}

/// An enabled key of an attempt that was forgotten, made so late that no sync had seen it by then.
fn forgotten(sight: Sight<'_>, row: &Row) -> Option<What> {
    let is_old = row.said.created_at.is_some_and(|made_at| sight.now >= made_at + GRACE);
    is_old.then(|| What::Sweep { row: row.clone() })
}

/// An enabled key that nobody was shown, of an attempt that nobody can be at any more.
fn orphan(sight: Sight<'_>, attempt: &Attempt, row: &Row) -> Option<What> {
    let is_old = sight.now >= attempt.begun_at + GRACE;
    let is_orphan = row.said.enabled && attempt.state != AttemptState::Shown && is_old;
    is_orphan.then(|| What::Sweep { row: row.clone() })
}

/// A key that is one too many of its attempt, and is enabled though the attempt is old: it is to be disabled.
fn second(sight: Sight<'_>, attempt: &Attempt, row: &Row) -> Option<What> {
    let is_old = sight.now >= attempt.begun_at + GRACE;
    (sight.is_whole && row.said.enabled && is_old).then(|| What::Second { row: row.clone() })
}

/// Recorded keys that are not in the listing, or under names of others. One that was made since it began cannot be in it.
fn not_listed(view: &View, sight: Sight<'_>) -> Vec<What> {
    let missing = view.grant.attempts.iter().filter_map(|attempt| {
        let key = attempt.key.clone()?;
        let is_elsewhere = sight.elsewhere.contains(&key.to_bytes());
        let may_be_missing = sight.is_whole && attempt.gone.is_none() && attempt.begun_at < sight.began_at;
        if !(is_elsewhere || may_be_missing) || sight.rows.iter().any(|row| row.key() == key) {
            return None;
        }
        let is_live = view.grant.live().is_some_and(|live| live.epoch == attempt.epoch);
        let stops = is_live && view.grant.holds.is_empty() && !is_elsewhere;
        let (epoch, nonce, summed) = (attempt.epoch, attempt.nonce.clone(), summed(view, attempt.epoch));
        Some(What::NotListed { epoch, nonce, key, stops, is_held: false, summed })
    });
    missing.collect()
}

fn of_the_grant(view: &View, sight: Sight<'_>) -> Vec<What> {
    let (grant, now) = (&view.grant, sight.now);
    let is_over = matches!(grant.state, State::Revoked | State::Ended);
    if view.programme.is_over(now) && !is_over {
        return vec![What::End];
    }
    let mut whats = Vec::new();
    if grant.orders_off().next().is_some() {
        whats.push(What::Ordered);
    }
    let is_listed = |attempt: &Attempt| sight.rows.iter().any(|row| row.epoch() == attempt.epoch);
    let is_forsaken = |attempt: &Attempt| {
        let is_old = sight.began_at >= attempt.begun_at + GRACE;
        attempt.state == AttemptState::Open && attempt.key.is_none() && is_old && !is_listed(attempt)
    };
    if sight.is_whole && matches!(grant.state, State::Minting { .. }) && grant.attempts.iter().any(is_forsaken) {
        whats.push(What::Forsaken);
    }
    let is_explained = |since: Timestamp| sight.explained_at.is_some_and(|explained| since < explained);
    if grant.attempts.iter().filter_map(|attempt| attempt.rest_promised_since).any(is_explained) {
        whats.push(What::Explained);
    }
    let never_claimed = grant.state == State::Invited && now >= view.programme.settings.claim_closes_at();
    if grant.has_place && never_claimed {
        whats.push(What::GiveBack);
    }
    let live = grant.live().and_then(|live| sight.rows.iter().find(|row| row.epoch() == live.epoch));
    if let Some((row, assigned)) = live.zip(sight.assigned).filter(|_| grant.holds.is_empty())
        && !assigned.contains(&row.key())
    {
        whats.push(What::NotRestricted { epoch: row.epoch(), key: row.key() });
    }
    let last_used_at = live.and_then(|row| row.said.told.as_ref()?.last_used_at);
    if live.is_some_and(|live| live.said.enabled) && view.lifecycle(last_used_at, now).is_some() {
        whats.push(What::Rule { last_used_at });
    }
    let may_go = grant.attempts.iter().filter(|attempt| matches!(attempt.disable, Disable::Confirmed { .. }));
    let is_read = |attempt: &Attempt| {
        let row = sight.rows.iter().find(|row| Some(row.key()) == attempt.key);
        row.is_some_and(|row| row.said.told.is_some())
    };
    let may_go = may_go.filter(|attempt| {
        is_over && is_read(attempt) && view.may_purge(attempt.epoch, sight.began_at, sight.restored_at, now)
    });
    whats.extend(may_go.filter_map(|attempt| Some(What::Purge { epoch: attempt.epoch, key: attempt.key.clone()? })));
    whats
}
