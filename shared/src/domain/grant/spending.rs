//! The sums behind caps: what the keys of a grant have used, what a live key's limit should be, and what a student has surely
//! used of their cap, as mails report it. What a grant can still cost is [`reservation`], which errs on the other side.

use super::*;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spending {
    pub lifetime: Usd,
    pub in_window: Usd,
    /// The use of the keys that are not live, in this window.
    pub retired_in_window: Usd,
}

impl Spending {
    /// The sums of a grant's readings at `now`. A reading of an earlier window says nothing about this one.
    pub fn of(grant: &Grant, readings: &[Reading], settings: &Settings, now: Moment) -> Spending {
        let window = settings.basis.reset.window_at(now);
        let live = grant.live().map(|attempt| attempt.epoch);
        let mut spending = Spending::default();
        for reading in readings {
            let in_window = if reading.window == window { reading.in_window } else { Usd::ZERO };
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
    /// The moment up to which it is known what the keys have used: that of the newest reading, or the last listing of all keys that
    /// found the newest key as it had been read.
    pub fn as_of(&self, listed_at: Option<Moment>) -> Option<Moment> {
        let newest = self.grant.attempts.iter().rev().find(|attempt| attempt.shown_at.is_some())?;
        let reading = self.readings.iter().find(|reading| reading.epoch == newest.epoch);
        let listed_at = reading.and_then(|reading| reading.unchanged_until).or(listed_at);
        let listed_at = listed_at.filter(|at| newest.shown_at <= Some(*at));
        self.readings.iter().map(|reading| reading.as_of).chain(listed_at).max()
    }
}

/// The wanted limit of a grant's live or next key: the cap less what its other keys used in this window. It is in whole
/// cents, since a provider may keep no more. `None` with less than a cent left: no key gets a smaller limit.
pub fn wanted_limit(cap: Usd, spending: &Spending) -> Option<Usd> {
    let left = cap - spending.retired_in_window;
    (left >= Usd::CENT).then(|| left.whole_cents())
}

/// The time after a window turned for which the provider may still report the numbers of the window before.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_hours(48);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapUse {
    pub window: Window,
    pub cap: Usd,
    pub spent: Usd,
    /// The time of the last reading in it; `None` if nothing was read.
    pub as_of: Option<Moment>,
}

impl CapUse {
    /// The use of a grant's cap. `None` where the student gets no mail of it: the programme mails its
    /// students nothing, or is over. Nor is there any if the cap resets daily, or the grant has ended or is
    /// off the roster. A reading counts only in the window in which it was read.
    pub fn of(programme: &Programme, grant: &Grant, readings: &[Reading], now: Moment) -> Option<CapUse> {
        let settings = &programme.settings;
        let is_told = settings.mails.student_mails && settings.basis.reset != Reset::Daily && !programme.is_over(now);
        let has_ended = grant.is_over() || grant.holds.dropped.is_some();
        if !is_told || has_ended {
            return None;
        }
        let window = settings.basis.reset.window_at(now);
        let of_window = || readings.iter().filter(|reading| reading.window == window);
        Some(CapUse {
            window,
            cap: grant.cap(settings),
            spent: of_window().map(|reading| surely(reading, grant, settings)).sum(),
            as_of: of_window().map(|reading| reading.as_of).max(),
        })
    }
}

/// The part of a reading's count that cannot belong to the window before. A key made since the turn has no
/// earlier window, and a reading long after the turn holds only its own. Before that, a key last used before
/// the turn has used nothing, and any other at most the sum of its days since.
pub(super) fn surely(reading: &Reading, grant: &Grant, settings: &Settings) -> Usd {
    let Some((first, begins)) = reading.window.begins().zip(reading.window.begins_at()) else {
        return reading.in_window;
    };
    let is_new = grant.attempt(reading.epoch).is_some_and(|attempt| attempt.begun_at >= begins);
    if is_new || reading.as_of >= begins + SETTLED_AFTER {
        return reading.in_window;
    }
    if reading.last_used_at.is_some_and(|used| used < begins) {
        return Usd::ZERO;
    }
    let since = reading.used.days(settings.basis.byok).between(first, Date::MAX, None).spent;
    reading.in_window.min(since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::Attempt;
    use crate::domain::testing::{a_grant, a_programme, at};
    use crate::domain::usage::reading::{KeyUseContext, UsageReport};

    #[test]
    fn the_wanted_limit_is_what_the_retired_keys_left_of_the_cap_in_whole_cents_and_never_below_one() {
        let retired = |micros| Spending { retired_in_window: Usd::from_micros(micros), ..Spending::default() };
        let cap = Usd::from_dollars(20);
        assert_eq!(wanted_limit(cap, &retired(0)), Some(cap));
        assert_eq!(wanted_limit(cap, &retired(5_000_001)), Some(Usd::from_micros(14_990_000)));
        assert_eq!(wanted_limit(cap, &retired(19_990_000)), Some(Usd::CENT));
        assert_eq!(wanted_limit(cap, &retired(19_990_001)), None);
        assert_eq!(wanted_limit(cap, &retired(25_000_000)), None);
    }

    fn monthly() -> Programme {
        let mut programme = a_programme();
        programme.settings.basis.reset = Reset::Monthly;
        programme
    }

    /// A grant whose first attempt began then.
    fn since(begun_at: &str) -> Grant {
        let mut grant = a_grant();
        grant.attempts = vec![Attempt::open(Epoch::new(1), "0123456789abcdef".parse().unwrap(), at(begun_at))];
        grant
    }

    /// An answer in dollars (lifetime, today, the window's counter), and when the key was last used.
    type Answer<'a> = (&'a str, [i32; 3], Option<&'a str>);

    /// The sure use after these answers, in dollars.
    fn surely_after(grant: &Grant, answers: &[Answer<'_>]) -> i64 {
        let programme = monthly();
        let (epoch, basis) = (Epoch::new(1), programme.settings.basis);
        let made_at = grant.attempts[0].begun_at;
        let of = KeyUseContext { programme: &programme.id, grant: &grant.id, epoch, basis, made_at };
        let mut reading: Option<Reading> = None;
        for (when, [ever, today, in_window], last_used_at) in answers {
            let dollars = |number| Some(Usd::from_dollars(number));
            let told = UsageReport {
                lifetime: Usd::from_dollars(*ever),
                today: dollars(*today),
                in_window: dollars(*in_window),
                byok: None,
                byok_today: None,
                byok_in_window: None,
                off_the_limit: dollars(*in_window),
                last_used_at: last_used_at.map(at),
            };
            reading = Some(Reading::after(reading.as_ref(), of, &told, at(when), None).unwrap().0);
        }
        let now = at(answers.last().unwrap().0);
        CapUse::of(&programme, grant, reading.as_slice(), now).unwrap().spent.micros() / 1_000_000
    }

    const BEFORE: Answer<'_> = ("2026-01-31T03:00:00Z", [2, 1, 2], Some("2026-01-31T02:00:00Z"));

    #[test]
    fn the_window_before_is_not_taken_for_the_new_one_however_long_its_numbers_are_told() {
        let grant = since("2026-01-10T08:00:00Z");
        // For 36 hours the whole use of the month's last day is reported as if it were the new month's.
        let stale = ("2026-02-02T12:00:00Z", [19, 17, 19], Some("2026-01-31T22:00:00Z"));
        // The provider does not say when a key was used, and its counter of the month is behind.
        let unsaid = ("2026-02-01T03:00:00Z", [20, 1, 20], None);
        // The month has turned, and something was used in it.
        let turned = ("2026-02-01T09:00:00Z", [22, 3, 3], Some("2026-02-01T08:00:00Z"));
        let later = ("2026-02-03T09:00:00Z", [30, 3, 11], Some("2026-02-03T08:00:00Z"));
        for (answers, surely) in [
            (&[BEFORE, stale][..], 0),
            (&[(BEFORE.0, BEFORE.1, None), unsaid], 1),
            (&[BEFORE, turned], 3),
            (&[BEFORE, stale, later], 11),
        ] {
            assert_eq!(surely_after(&grant, answers), surely, "{answers:?}");
        }
        let new = since("2026-02-01T00:00:00Z");
        assert_eq!(
            surely_after(&new, &[("2026-02-01T03:00:00Z", [17, 17, 17], None)]),
            17,
            "it was made in the window"
        );
    }

    #[test]
    fn without_a_reset_all_counts_and_of_a_grant_that_is_over_nobody_is_told() {
        let (programme, grant) = (a_programme(), since("2026-01-10T08:00:00Z"));
        let (now, cap) = (at("2026-02-01T03:00:00Z"), programme.settings.allowance.cap);
        let whole = CapUse { window: Window::WHOLE_TERM, cap, spent: Usd::ZERO, as_of: None };
        assert_eq!(CapUse::of(&programme, &grant, &[], now), Some(whole));
        for over in [GrantState::Revoked, GrantState::Ended] {
            assert_eq!(CapUse::of(&programme, &Grant { state: over, ..grant.clone() }, &[], now), None);
        }
        let mut dropped = grant.clone();
        dropped.holds.dropped = Some(now);
        assert_eq!(CapUse::of(&programme, &dropped, &[], now), None);
        assert_eq!(CapUse::of(&programme, &grant, &[], programme.settings.term.ends_at()), None);
    }
}
