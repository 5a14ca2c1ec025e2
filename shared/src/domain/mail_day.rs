//! How the mail of one UTC day fared, and when so much of it came back that mail without hurry has to stop before the mail server
//! stops all of it.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The mails that the mail server took on one UTC day. Each is counted once, by the worst that is known of it, so that the order in
/// which that was reported leaves the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailDay {
    pub day: Date,
    /// All of them.
    pub sent: u64,
    pub delivered: u64,
    /// Came back for now: a full mailbox, an answer by a machine.
    pub returned: u64,
    /// Came back for good.
    pub bounced: u64,
    pub complained: u64,
}

/// As what a mail is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fared {
    Sent,
    Delivered,
    Returned,
    Bounced,
    Complained,
}

/// Out of so many mails one more than this many may not come back for good, and out of so many be complained about: two per cent, and
/// five in ten thousand.
const BOUNCED_OF: (u64, u64) = (2, 100);
const COMPLAINED_OF: (u64, u64) = (5, 10_000);
/// Fewer stop nothing, whatever their share: some mistyped addresses of one class are no reason to leave all others unmailed, and the
/// mail server does not judge so few either.
const LEAST_BOUNCED: u64 = 10;
/// One complaint of a small day is above its share by itself, and may be a slip of somebody's finger. Two are two people.
const LEAST_COMPLAINED: u64 = 2;

impl MailDay {
    /// A day without mail.
    pub fn none_on(day: Date) -> MailDay {
        MailDay { day, sent: 0, delivered: 0, returned: 0, bounced: 0, complained: 0 }
    }

    /// Whether more came back, or was complained about, than may.
    pub fn is_too_much(&self) -> bool {
        let is_above = |count: u64, least: u64, (share, of): (u64, u64)| {
            count >= least && u128::from(count) * u128::from(of) > u128::from(self.sent) * u128::from(share)
        };
        is_above(self.bounced, LEAST_BOUNCED, BOUNCED_OF) || is_above(self.complained, LEAST_COMPLAINED, COMPLAINED_OF)
    }

    /// What has come since it was as it was then.
    #[must_use]
    pub fn since(&self, then: &MailDay) -> MailDay {
        MailDay {
            day: self.day,
            sent: self.sent.saturating_sub(then.sent),
            delivered: self.delivered.saturating_sub(then.delivered),
            returned: self.returned.saturating_sub(then.returned),
            bounced: self.bounced.saturating_sub(then.bounced),
            complained: self.complained.saturating_sub(then.complained),
        }
    }

    /// Counts a mail in, as it fared.
    pub fn count(&mut self, fared: Fared) {
        self.sent += 1;
        match fared {
            Fared::Sent => {}
            Fared::Delivered => self.delivered += 1,
            Fared::Returned => self.returned += 1,
            Fared::Bounced => self.bounced += 1,
            Fared::Complained => self.complained += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sent: u64, bounced: u64, complained: u64) -> MailDay {
        MailDay { sent, bounced, complained, ..MailDay::none_on(Date::constant(2026, 11, 20)) }
    }

    #[test]
    fn more_than_two_per_cent_that_come_back_are_too_much_unless_they_are_few() {
        assert!(!of(10, 1, 0).is_too_much() && !of(10, 9, 0).is_too_much(), "a class with mistyped addresses");
        assert!(of(100, 10, 0).is_too_much());
        assert!(!of(500, 10, 0).is_too_much(), "two per cent and no more");
        assert!(of(499, 10, 0).is_too_much());
        assert!(!of(5_000, 100, 0).is_too_much() && of(5_000, 101, 0).is_too_much());
    }

    #[test]
    fn more_than_one_complaint_in_two_thousand_is_too_much_unless_it_is_the_only_one() {
        assert!(!of(10, 0, 1).is_too_much() && of(10, 0, 2).is_too_much());
        assert!(!of(4_000, 0, 2).is_too_much() && of(3_999, 0, 2).is_too_much());
        assert!(!of(20_000, 0, 10).is_too_much() && of(20_000, 0, 11).is_too_much());
    }

    #[test]
    fn what_came_since_is_judged_by_itself() {
        let (then, now) = (of(500, 11, 0), of(600, 20, 1));
        assert_eq!(now.since(&then), of(100, 9, 1));
        assert!(now.is_too_much() && !now.since(&then).is_too_much());
    }
}
