//! The people of a programme who need a look, found in one walk over its grants and readings. The walk keeps
//! no more than the digest may show.

use std::cmp::Reverse;

use super::{Block, People, PeopleSample, Spender};
use crate::domain::grant::{Reading, Spending, Stopped};
use crate::domain::mail::failure::UnreachableReason;
use crate::domain::usage::days::{Accuracy, Sum};
use crate::domain::usage::forecast::{Weeks, usual_week};
use crate::prelude::*;

/// The most people in a list: the highest spenders, and those who stand out.
const LISTED: usize = 10;
/// The most people who are named in one sentence.
const NAMED: usize = 20;

/// A walk over a programme's grants that is under way.
pub struct Class<'a> {
    settings: &'a Settings,
    /// The first and the last day of the week.
    week: (Date, Date),
    listed_at: Option<Moment>,
    now: Moment,
    people: People,
    spenders: Vec<Spender>,
    /// The last weeks of each person who used anything in them.
    weeks: Vec<(GrantId, Weeks)>,
    unused: FirstByName,
    unclaimed: FirstByName,
    unreached: FirstByName,
    complained: FirstByName,
    blocked: BTreeMap<Block, FirstByName>,
}

/// The first people by name, and the number of all.
#[derive(Default)]
struct FirstByName {
    count: u32,
    named: BTreeSet<(String, GrantId)>,
}

impl<'a> Class<'a> {
    pub fn new(settings: &'a Settings, week: (Date, Date), listed_at: Option<Moment>, now: Moment) -> Class<'a> {
        Class {
            settings,
            week,
            listed_at,
            now,
            people: People::default(),
            spenders: Vec::new(),
            weeks: Vec::new(),
            unused: FirstByName::default(),
            unclaimed: FirstByName::default(),
            unreached: FirstByName::default(),
            complained: FirstByName::default(),
            blocked: BTreeMap::new(),
        }
    }

    /// Counts a grant in. `not_mailed` is the reason that not all mail is sent to its person.
    pub fn add(&mut self, grant: &Grant, readings: &[Reading], not_mailed: Option<UnreachableReason>) {
        let spending = Spending::of(grant, readings, self.settings, self.now);
        let mut days = Days::default();
        readings.iter().for_each(|reading| days.add(&reading.used.days(self.settings.basis.byok)));
        let of_cap = self.of_cap(&days, &spending);
        let has_spent = self.add_spending(grant, &days, of_cap.spent);
        if grant.state == GrantState::Revoked || grant.holds.dropped.is_some() {
            return;
        }
        self.people.students += 1;
        self.people.claimed += u32::from(grant.ever_shown);
        self.people.active += u32::from(grant.ever_shown && has_spent);
        if grant.state == GrantState::Ended {
            return;
        }
        match not_mailed {
            Some(UnreachableReason::Bounced | UnreachableReason::Suppressed) => self.unreached.add(grant),
            Some(UnreachableReason::Complained) => self.complained.add(grant),
            None => {}
        }
        if let Some(block) = self.block(grant, of_cap) {
            self.blocked.entry(block).or_default().add(grant);
        } else if !grant.ever_shown {
            self.unclaimed.add(grant);
        } else if self.was_never_used(grant, readings) {
            self.unused.add(grant);
        }
    }

    /// The result of the walk. Ids break ties, so it does not depend on the order of the grants.
    pub fn people(mut self) -> People {
        self.keep_the_highest();
        let usual_week = usual_week(self.weeks.iter().map(|(_, weeks)| weeks));
        let out = |(grant, weeks): &(GrantId, Weeks)| Some((weeks.stands_out(usual_week)?, grant.clone()));
        let mut standing_out: Vec<(Usd, GrantId)> = self.weeks.iter().filter_map(out).collect();
        standing_out.sort_by(|(most, first), (less, second)| less.cmp(most).then_with(|| first.cmp(second)));
        People {
            spenders: self.spenders,
            stand_out: u32::try_from(standing_out.len()).unwrap_or(u32::MAX),
            standing_out: standing_out.into_iter().take(LISTED).map(|(spent, grant)| (grant, spent)).collect(),
            usual_week,
            unused: self.unused.few(),
            unclaimed: self.unclaimed.few(),
            unreached: self.unreached.few(),
            complained: self.complained.few(),
            blocked: self.blocked.into_iter().map(|(block, first)| (block, first.few())).collect(),
            ..self.people
        }
    }

    /// The count against the cap in the digest's week, never of a window that began later. The days give the
    /// sum for a window that is over. For a daily cap, only what surely belongs to the day counts.
    fn of_cap(&self, days: &Days, spending: &Spending) -> Sum {
        let ((from, to), reset) = (self.week, self.settings.basis.reset);
        let exactly = |spent| Sum { spent, known: Accuracy::Exactly };
        match reset.days_around(to) {
            Some(_) if reset == Reset::Daily => {
                let of_week = days.each().filter(|(day, _, is_exact)| *is_exact && from <= *day && *day <= to);
                exactly(of_week.map(|(_, spent, _)| spent).max().unwrap_or_default())
            }
            Some((first, last)) if last < utc_date(self.now) => days.between(first, last, Some(last)),
            _ => exactly(spending.in_window),
        }
    }

    /// Counts the week's spending in; true if there was any.
    fn add_spending(&mut self, grant: &Grant, days: &Days, of_cap: Usd) -> bool {
        let this_week = days.between(self.week.0, self.week.1, None).spent;
        if this_week > Usd::ZERO {
            let cap = grant.cap(self.settings);
            self.spenders.push(Spender { grant: grant.id.clone(), this_week, of_cap, cap });
            if self.spenders.len() > 8 * LISTED {
                self.keep_the_highest();
            }
        }
        let weeks = self.listed_at.map(|at| Weeks::of(days, utc_date(at))).filter(|weeks| !weeks.are_idle());
        self.weeks.extend(weeks.map(|weeks| (grant.id.clone(), weeks)));
        this_week > Usd::ZERO
    }

    fn keep_the_highest(&mut self) {
        self.spenders.sort_by_cached_key(|spender| (Reverse(spender.this_week), spender.grant.clone()));
        self.spenders.truncate(LISTED);
    }

    /// The reason that the grant's person has no key to use. A cap may be used up before a sync has ended the
    /// key, and is free again when its window is over.
    fn block(&self, grant: &Grant, of_cap: Sum) -> Option<Block> {
        let is_used_up = of_cap.known == Accuracy::Exactly && grant.cap(self.settings) - of_cap.spent < Usd::CENT;
        match grant.state {
            _ if grant.holds.paused.is_some() => Some(Block::Paused),
            _ if grant.holds.unused => Some(Block::Unused),
            GrantState::Live { .. } => is_used_up.then_some(Block::UsedUp),
            GrantState::Stopped { why } => Some(match why {
                Stopped::UsedUp => Block::UsedUp,
                Stopped::Leaked => Block::Leaked,
                Stopped::TooOld => Block::TooOld,
                Stopped::ReplacementFailed => Block::ReplacementFailed,
                Stopped::GoneAtProvider => Block::GoneAtProvider,
                // The student handed the key back by choice, which is no trouble.
                Stopped::Returned => return None,
            }),
            GrantState::Invited | GrantState::Minting { .. } | GrantState::Revoked | GrantState::Ended => None,
        }
    }

    /// Whether a key was shown before the last listing, and was unused at that time.
    fn was_never_used(&self, grant: &Grant, readings: &[Reading]) -> bool {
        let is_used = |reading: &Reading| {
            reading.last_used_at.is_some() || reading.used.credits.total() + reading.used.byok.total() > Usd::ZERO
        };
        let shown_at = grant.attempts.iter().filter_map(|attempt| attempt.shown_at).min();
        let was_looked_at = shown_at.zip(self.listed_at).is_some_and(|(shown, looked)| shown < looked);
        was_looked_at && !readings.iter().any(is_used)
    }
}

impl FirstByName {
    fn add(&mut self, grant: &Grant) {
        self.count += 1;
        let person = &grant.person;
        let name = person.name.as_deref().unwrap_or(person.address.as_written()).to_lowercase();
        self.named.insert((name, grant.id.clone()));
        if self.named.len() > NAMED {
            self.named.pop_last();
        }
    }

    fn few(self) -> PeopleSample {
        PeopleSample { count: self.count, first: self.named.into_iter().map(|(_, grant)| grant).collect() }
    }
}

#[cfg(test)]
mod tests;
