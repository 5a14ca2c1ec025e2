//! The sums behind caps: what the keys of a grant have used, what a live key's limit should be, and
//! what a student has used of their cap, as mails report it. What a grant can still cost is
//! [`reservation`].

use super::*;
use crate::domain::programme::Programme;
use crate::domain::values::window::{Reset, Window};

#[derive(Debug, Clone, Copy, Default)]
pub struct Spending {
    pub lifetime: Usd,
    pub in_window: Usd,
    /// The use of the keys that are not live, in this window.
    pub retired_in_window: Usd,
}

impl Spending {
    /// The sums of a grant's readings at `now`.
    pub fn sum(grant: &Grant, readings: &[Reading], settings: &Settings, now: Moment) -> Spending {
        let live = grant.live().map(|live| live.epoch);
        let mut spending = Spending::default();
        for reading in readings {
            let in_window = reading.used.in_window(settings.basis, now);
            spending.lifetime += reading.used.counted(settings.basis.byok);
            spending.in_window += in_window;
            if Some(reading.epoch) != live {
                spending.retired_in_window += in_window;
            }
        }
        spending
    }
}

impl View {
    /// The moment up to which it is known what the keys have used: that of the newest reading, or
    /// the last listing of all keys that found the newest key as it had been read.
    pub fn as_of(&self, listed_at: Option<Moment>) -> Option<Moment> {
        let newest = self.grant.newest_shown()?;
        let reading = self
            .readings
            .iter()
            .find(|reading| reading.epoch == newest.epoch);
        let listed_at = reading
            .and_then(|reading| reading.unchanged_until)
            .or(listed_at);
        let listed_at = listed_at.filter(|listed_at| newest.shown_at <= Some(*listed_at));
        self.readings
            .iter()
            .map(|reading| reading.as_of)
            .chain(listed_at)
            .max()
    }
}

/// The wanted limit of a grant's live or next key: the cap less what its other keys used in this
/// window. It is in whole cents, since a provider may keep no more. `None` with less than a cent
/// left: no key gets a smaller limit.
pub fn compute_limit(cap: Usd, spending: &Spending) -> Option<Usd> {
    let limit = cap - spending.retired_in_window;
    (limit >= Usd::CENT).then(|| limit.whole_cents())
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapUse {
    pub window: Window,
    pub cap: Usd,
    pub spent: Usd,
    /// The time of the last reading; `None` if nothing was read.
    pub as_of: Option<Moment>,
}

impl CapUse {
    /// The use of a grant's cap. `None` where the student gets no mail of it: the programme mails
    /// its students nothing, or is over. Nor is there any if the cap resets daily, or the grant has
    /// ended or is off the roster.
    pub fn compute(
        programme: &Programme,
        grant: &Grant,
        readings: &[Reading],
        now: Moment,
    ) -> Option<CapUse> {
        let settings = &programme.settings;
        let is_told = settings.mails.student_mails
            && settings.basis.reset != Reset::Daily
            && !programme.is_over(now);
        let has_ended = grant.is_over() || grant.holds.dropped.is_some();
        if !is_told || has_ended {
            return None;
        }
        Some(CapUse {
            window: settings.basis.reset.window_at(now),
            cap: grant.cap(settings),
            spent: Spending::sum(grant, readings, settings, now).in_window,
            as_of: readings.iter().map(|reading| reading.as_of).max(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::{a_grant, a_programme, at};

    /// The wanted limit is what retired keys left of the cap, in whole cents and never below one.
    #[test]
    fn the_limit_is_what_is_left() {
        let retired = |micros| Spending {
            retired_in_window: Usd::from_micros(micros),
            ..Spending::default()
        };
        let cap = Usd::from_dollars(20);
        assert_eq!(compute_limit(cap, &retired(0)), Some(cap));
        assert_eq!(
            compute_limit(cap, &retired(5_000_001)),
            Some(Usd::from_micros(14_990_000))
        );
        assert_eq!(compute_limit(cap, &retired(19_990_000)), Some(Usd::CENT));
        assert_eq!(compute_limit(cap, &retired(19_990_001)), None);
        assert_eq!(compute_limit(cap, &retired(25_000_000)), None);
    }

    /// All use counts when there is no reset, and nothing is reported for a grant that is over.
    #[test]
    fn all_use_counts_without_reset() {
        let programme = a_programme();
        let grant = a_grant();
        let now = at("2026-02-01T03:00:00Z");
        let cap = programme.settings.allowance.cap;
        let whole = CapUse {
            window: Window::WHOLE_TERM,
            cap,
            spent: Usd::ZERO,
            as_of: None,
        };
        assert_eq!(CapUse::compute(&programme, &grant, &[], now), Some(whole));
        for over in [GrantState::Revoked, GrantState::Ended] {
            assert_eq!(
                CapUse::compute(
                    &programme,
                    &Grant {
                        state: over,
                        ..grant.clone()
                    },
                    &[],
                    now
                ),
                None
            );
        }
        let mut dropped = grant.clone();
        dropped.holds.dropped = Some(now);
        assert_eq!(CapUse::compute(&programme, &dropped, &[], now), None);
        assert_eq!(
            CapUse::compute(&programme, &grant, &[], programme.settings.term.ends_at()),
            None
        );
    }
}
