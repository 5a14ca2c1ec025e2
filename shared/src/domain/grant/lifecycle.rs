//! What a programme's rules do to keys that nobody uses and to keys that have become old, and what
//! the end of its term does. Ending and holding themselves are acts like a person's.
//!
//! Each end is announced, and a rule brings it no sooner than was announced. The mark on the key
//! holds the promised moment. A rule that was changed or a key that was used since is announced
//! anew.
//!
//! The promise counts from the sending of the mail and not from the writing. When its day has come,
//! the mail's row is read (`store/grants/act.rs`); mark and row are of one instant, so only grants
//! due that night cost a read.
//!
//! - Accepted a week before: it ends.
//! - Waiting, or given up for a reason that is not the address's: not yet. An admin may have it
//!   sent again.
//! - Given up or dropped because the address takes no mail, or there is none: it ends, since
//!   nothing more would come of waiting.
//! - Dropped for another reason, or its row gone after ninety days: it is announced again.
//!
//! These mails are sent whatever the programme says of mails to students. The end of the term is
//! announced in the same way, and comes whether it was announced or not: a key that expired with it
//! stays over if the term is extended afterwards.

use super::*;
use crate::domain::audit::Actor;
use crate::domain::values::window::end_of_utc_day;

const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// An announced end of a key, and the time until which the key was promised to work.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AnnouncedEnd {
    pub at: Moment,
    pub until: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NoticeDelivery {
    /// The mail server had accepted the mail by then, or no mail was sent because the address takes
    /// none. Nothing further will happen to it.
    SentBy(Moment),
    Waiting,
    Void,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    Announce(StudentNotice),
    /// The key was unused for as long as the programme allows, and this was announced.
    Hold,
    Stop,
    /// The key has expired, and its programme goes on.
    Expire,
}

impl View {
    /// The step that the programme's rules ask for, once every announcement that they rest on was
    /// sent. `last_used_at` is the provider's latest answer and may be newer than the reading,
    /// since a free request moves only that.
    pub fn lifecycle(&self, last_used_at: Option<Moment>, now: Moment) -> Option<Rule> {
        self.rules(last_used_at, now).next()
    }

    /// The announcements whose mails must have been sent before the rules are followed further.
    pub fn rests_on(
        &self,
        last_used_at: Option<Moment>,
        now: Moment,
    ) -> Vec<(StudentNotice, AnnouncedEnd)> {
        let ending = self.rules(last_used_at, now).filter_map(Rule::rests_on);
        ending
            .filter_map(|notice| Some((notice, self.end_announced_by(notice)?)))
            .collect()
    }

    /// Follows the rules one step. Returns `Unchanged` if they ask for nothing, or an announcement
    /// is still to be sent.
    pub fn follow_rules(
        &self,
        last_used_at: Option<Moment>,
        mails: &[(AnnouncedEnd, NoticeDelivery)],
        now: Moment,
    ) -> Result<(Change, Rule), Unchanged> {
        let rule = self.rule_due(last_used_at, mails, now).ok_or(Unchanged)?;
        let change = match rule {
            Rule::Announce(notice) => self.announce(notice, last_used_at, now).ok_or(Unchanged)?,
            Rule::Hold => self
                .hold(HoldKind::Unused, &Actor::Rule, None, now)
                .map_err(|_| Unchanged)?,
            Rule::Stop => self.stop(Stopped::TooOld, &Actor::Rule)?,
            Rule::Expire => self.stop(Stopped::TermEnded, &Actor::Rule)?,
        };
        Ok((change, rule))
    }

    /// The first rule whose mails were sent. An end whose mail was never sent is announced again.
    fn rule_due(
        &self,
        last_used_at: Option<Moment>,
        mails: &[(AnnouncedEnd, NoticeDelivery)],
        now: Moment,
    ) -> Option<Rule> {
        self.rules(last_used_at, now).find_map(|rule| {
            let Some(notice) = rule.rests_on() else {
                return Some(rule);
            };
            let said = self.end_announced_by(notice)?;
            match mails.iter().find(|(end, _)| *end == said)?.1 {
                NoticeDelivery::SentBy(sent_at) => {
                    (now >= notice.ends_at(said, sent_at)).then_some(rule)
                }
                NoticeDelivery::Waiting => None,
                NoticeDelivery::Void => (!self.outlives_the_term(now + notice.ahead()))
                    .then_some(Rule::Announce(notice)),
            }
        })
    }

    fn rules(&self, last_used_at: Option<Moment>, now: Moment) -> impl Iterator<Item = Rule> {
        let live = self.grant.usable().filter(|_| !self.programme.is_over(now));
        let rules = live.map(|live| {
            let [stop, hold] = [Rule::Stop, Rule::Hold]
                .map(|rule| self.find_announced_rule(live, rule, last_used_at, now));
            let expired = live.has_expired(now).then_some(Rule::Expire);
            [expired, stop, hold, self.term_rule(now)]
        });
        rules.into_iter().flatten().flatten()
    }

    /// The announced end of the live key for this notice, if it still stands; other announcements
    /// do not matter.
    pub fn end_announced_by(&self, notice: StudentNotice) -> Option<AnnouncedEnd> {
        let live = self.grant.usable()?;
        if notice == StudentNotice::TermEndSoon {
            self.announced_term_end()
        } else {
            self.announced(live, notice, None)
        }
    }

    /// When the key ends by what this notice announces, whether it was announced or not.
    fn end_at(
        &self,
        live: &GrantKey,
        notice: StudentNotice,
        last_used_at: Option<Moment>,
    ) -> Option<Moment> {
        match notice {
            StudentNotice::UnusedSoon => self.out_of_use_at(live, last_used_at),
            StudentNotice::TooOldSoon => self.too_old_at(live),
            StudentNotice::TermEndSoon => Some(self.programme.settings.term.ends_at()),
            StudentNotice::KeyShown
            | StudentNotice::KeyLeaked
            | StudentNotice::CapChanged
            | StudentNotice::MoreDeclined
            | StudentNotice::NeverUsed
            | StudentNotice::Removed
            | StudentNotice::Unused
            | StudentNotice::KeyEnded => None,
        }
    }

    /// The time at which a key becomes too old by the programme's rule.
    pub fn too_old_at(&self, key: &GrantKey) -> Option<Moment> {
        let days = self.programme.settings.claims.rotate_after_days?;
        Some(key.shown_at? + days_to_duration(days))
    }

    /// The change that notes an announcement on the key and causes its mail. The key is promised to
    /// work until the announced end.
    fn announce(
        &self,
        notice: StudentNotice,
        last_used_at: Option<Moment>,
        now: Moment,
    ) -> Option<Change> {
        let live = self.grant.usable()?;
        let ends_at = self.end_at(live, notice, last_used_at)?;
        let end = AnnouncedEnd {
            at: now,
            until: ends_at.max(now + notice.ahead()),
        };
        let mut change = self.change(&Actor::Rule, DependsOn::GrantAlone);
        change.key_mut(&live.hash)?.announced.insert(notice, end);
        change.notice = Some(notice);
        Some(change.marked())
    }

    /// A rule that is followed once its announcement has run out; before, the announcement, a week
    /// ahead.
    fn find_announced_rule(
        &self,
        live: &GrantKey,
        rule: Rule,
        last_used_at: Option<Moment>,
        now: Moment,
    ) -> Option<Rule> {
        let notice = rule.rests_on()?;
        let ends_at = self.end_at(live, notice, last_used_at)?;
        if let Some(announced) = self.announced(live, notice, last_used_at) {
            return (now >= announced.until).then_some(rule);
        }
        let is_time = now >= ends_at - WEEK && !self.outlives_the_term(ends_at.max(now + WEEK));
        is_time.then_some(Rule::Announce(notice))
    }

    /// The announcement of the term's end. It has no effect but its mail, so it is not made where
    /// students get none.
    fn term_rule(&self, now: Moment) -> Option<Rule> {
        let settings = &self.programme.settings;
        let is_time = settings.mails.student_mails && now >= settings.term.ends_at() - WEEK;
        (is_time && self.announced_term_end().is_none())
            .then_some(Rule::Announce(StudentNotice::TermEndSoon))
    }

    /// The announced end of the term, on whichever key it was noted. Once the end is moved the
    /// announcement no longer holds, and the new end is announced; a replaced key needs no second
    /// announcement.
    fn announced_term_end(&self) -> Option<AnnouncedEnd> {
        let ends_at = self.programme.settings.term.ends_at();
        let mut said = self
            .grant
            .keys
            .iter()
            .filter_map(|key| key.announced.get(&StudentNotice::TermEndSoon))
            .copied();
        said.find(|announced| announced.until == ends_at)
    }

    /// The announcement of the key's end, if it still holds. One that promised less than the rule
    /// now allows does not, and is made again.
    fn announced(
        &self,
        live: &GrantKey,
        notice: StudentNotice,
        last_used_at: Option<Moment>,
    ) -> Option<AnnouncedEnd> {
        let ends_at = self.end_at(live, notice, last_used_at)?;
        live.announced
            .get(&notice)
            .copied()
            .filter(|announced| announced.until >= ends_at)
    }

    /// Whether the programme is over by then anyhow, so that such an end need not be announced.
    fn outlives_the_term(&self, end: Moment) -> bool {
        end >= self.programme.settings.term.ends_at()
    }

    /// The time at which a key will have been unused for as long as the programme allows, if it is
    /// not used before.
    fn out_of_use_at(&self, live: &GrantKey, last_used_at: Option<Moment>) -> Option<Moment> {
        let days = self.programme.settings.claims.unused_after_days?;
        let reading = self
            .readings
            .iter()
            .find(|reading| reading.epoch == live.epoch);
        let used = [
            last_used_at,
            reading.and_then(|reading| reading.last_used_at),
            reading.and_then(find_last_use),
        ];
        let since = used
            .into_iter()
            .chain([live.shown_at, live.resumed_at])
            .flatten()
            .max()?;
        Some(since + days_to_duration(days))
    }
}

impl StudentNotice {
    /// The time of an announced end if its mail was sent at `sent_at`: no earlier than promised,
    /// and never without its week of warning.
    pub fn ends_at(self, end: AnnouncedEnd, sent_at: Moment) -> Moment {
        end.until.max(sent_at + self.ahead())
    }

    fn ahead(self) -> SignedDuration {
        match self {
            StudentNotice::UnusedSoon | StudentNotice::TooOldSoon => WEEK,
            // The term ends whether it was announced or not, and the other notices announce no end.
            StudentNotice::TermEndSoon
            | StudentNotice::KeyShown
            | StudentNotice::KeyLeaked
            | StudentNotice::CapChanged
            | StudentNotice::MoreDeclined
            | StudentNotice::NeverUsed
            | StudentNotice::Removed
            | StudentNotice::Unused
            | StudentNotice::KeyEnded => SignedDuration::ZERO,
        }
    }
}

impl Rule {
    /// The announcement that this rule needs before it is followed.
    fn rests_on(self) -> Option<StudentNotice> {
        match self {
            Rule::Announce(_) | Rule::Expire => None,
            Rule::Hold => Some(StudentNotice::UnusedSoon),
            Rule::Stop => Some(StudentNotice::TooOldSoon),
        }
    }
}

/// The latest instant at which the use in a reading can have happened.
fn find_last_use(reading: &Reading) -> Option<Moment> {
    let days = reading.used.credits.each().chain(reading.used.byok.each());
    let day = days
        .filter(|(_, spent, _)| *spent > Usd::ZERO)
        .map(|(day, ..)| day)
        .max()?;
    Some(end_of_utc_day(day).min(reading.as_of))
}

fn days_to_duration(days: u16) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}
