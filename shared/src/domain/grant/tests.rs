//! The acts as rules: who may do what from where, and what each leaves behind.

use jiff::{SignedDuration, ToSpan};

use super::testing::a_view;
use super::*;
use crate::domain::id::PersonId;

/// A view that acts are applied to one after the other, as the store does.
struct Story {
    view: View,
    now: Timestamp,
}

impl Story {
    fn new() -> Story {
        let view = a_view();
        let now = view.programme.settings.term.starts_at() + 1.hour();
        Story { view, now }
    }

    fn apply(&mut self, change: Change) -> &mut Story {
        assert_eq!(change.grant.version, self.view.grant.version + 1, "every act moves the version by one");
        self.view.grant = change.grant;
        match change.pot {
            PotChange::None => {}
            PotChange::Take(amount) => self.view.pot.reserved += amount,
            PotChange::GiveBack(amount) => self.view.pot.reserved = self.view.pot.reserved - amount,
        }
        self
    }

    fn press(&self, kind: PressKind) -> Result<(Change, Begun), BeginRefused> {
        self.view.begin(Press { kind, epoch: self.view.grant.epoch }, Nonce::random(), self.now)
    }

    fn refused(&self, kind: PressKind) -> BeginRefused {
        self.press(kind).unwrap_err()
    }

    fn begin(&mut self, kind: PressKind) -> Begun {
        let (change, begun) = self.press(kind).unwrap();
        self.apply(change);
        begun
    }

    /// The whole claim or replacement, with the key named by one hex digit.
    fn shown(&mut self, kind: PressKind, key: char) -> &mut Story {
        let begun = self.begin(kind);
        for debt in &begun.to_retire {
            self.disabled(debt.epoch);
        }
        let change = self.view.record(&begun, &minted(key), self.now).unwrap();
        self.apply(change)
    }

    /// The provider answers what is owed for this attempt.
    fn disabled(&mut self, epoch: Epoch) {
        let debt = self.view.grant.owed_disables().find(|debt| debt.epoch == epoch).unwrap();
        let change = self.view.disabled(&debt, self.now).unwrap();
        self.apply(change);
    }

    fn reading(&mut self, epoch: u32, micros: i64) -> &mut Story {
        let window = self.view.programme.settings.reset.window_at(self.now);
        let used = Usd::from_micros(micros);
        self.view.readings.retain(|reading| reading.epoch != Epoch::new(epoch));
        self.view.readings.push(Reading {
            programme: self.view.grant.programme.clone(),
            grant: self.view.grant.id.clone(),
            epoch: Epoch::new(epoch),
            lifetime: used,
            window,
            in_window: used,
            as_of: self.now,
        });
        self
    }
}

fn hash(digit: char) -> KeyHash {
    digit.to_string().repeat(64).parse().unwrap()
}

fn minted(digit: char) -> Minted {
    Minted { key: hash(digit), limit: Usd::from_dollars(20) }
}

fn faculty() -> Actor {
    Actor::Person(PersonId::random())
}

fn attempt(story: &Story, epoch: u32) -> &Attempt {
    story.view.grant.attempt(Epoch::new(epoch)).unwrap()
}

#[test]
fn a_claim_takes_its_place_once_and_ends_live() {
    let mut story = Story::new();
    story.shown(PressKind::Reveal, 'a');
    assert_eq!(story.view.grant.state, State::Live { key: hash('a') });
    assert_eq!(story.view.pot.reserved, Usd::from_dollars(20));
    assert_eq!(story.refused(PressKind::Reveal), BeginRefused::AlreadyShown);
    assert_eq!(story.view.grant.replacements, 0);
}

#[test]
fn nobody_begins_while_another_is_making_the_key_and_the_first_loses_once_its_lease_ran_out() {
    let mut story = Story::new();
    let first = story.begin(PressKind::Reveal);
    let until = story.now + LEASE;
    assert_eq!(story.refused(PressKind::Reveal), BeginRefused::BeingMade { until });
    story.now = until;
    let second = story.begin(PressKind::Reveal);
    assert_eq!(attempt(&story, 1).state, AttemptState::Superseded);
    assert_eq!(story.view.record(&first, &minted('a'), story.now), Err(RecordRefused::Lost));
    let change = story.view.give_up(&first, GaveUp::Lost, Some(&hash('a')), "superseded", story.now).unwrap();
    story.apply(change);
    assert_eq!(attempt(&story, 1).disable, Disable::Owed { since: story.now });
    let change = story.view.record(&second, &minted('b'), story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.grant.state, State::Live { key: hash('b') });
    assert_eq!(story.view.pot.reserved, Usd::from_dollars(20));
}

#[test]
fn a_page_that_is_older_than_the_last_attempt_begins_nothing() {
    let mut story = Story::new();
    let begun = story.begin(PressKind::Reveal);
    let change = story.view.give_up(&begun, GaveUp::Refused, None, "402", story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.grant.state, State::Invited);
    let stale = Press { kind: PressKind::Reveal, epoch: Epoch::BEFORE_THE_FIRST };
    assert_eq!(story.view.begin(stale, Nonce::random(), story.now).unwrap_err(), BeginRefused::StalePage);
    story.begin(PressKind::Reveal);
}

#[test]
fn the_claim_window_governs_only_a_grant_that_was_never_shown_a_key() {
    let mut story = Story::new();
    let (opens, closes) = (story.now + 1.hour(), story.now + 2.hours());
    story.view.programme.settings.claim_opens_at = Some(opens);
    story.view.programme.settings.claim_closes_at = Some(closes);
    assert_eq!(story.refused(PressKind::Reveal), BeginRefused::NotOpenYet { opens });
    story.now = opens;
    story.shown(PressKind::Reveal, 'a');
    story.now = closes + 1.hour();
    story.shown(PressKind::Replace, 'b');
    let mut late = Story::new();
    late.view.programme.settings.claim_closes_at = Some(late.now);
    assert_eq!(late.refused(PressKind::Reveal), BeginRefused::WindowClosed);
}

#[test]
fn a_replacement_owes_the_old_keys_disable_before_anything_else_and_has_what_is_left() {
    let mut story = Story::new();
    story.shown(PressKind::Reveal, 'a').reading(1, 5_000_000);
    story.now += 1.hour();
    let begun = story.begin(PressKind::Replace);
    let owed = Debt { epoch: Epoch::new(1), key: hash('a'), since: story.now };
    assert_eq!(begun.to_retire, std::slice::from_ref(&owed));
    assert_eq!(attempt(&story, 1).disable, Disable::Owed { since: story.now });
    let left = crate::domain::limit::wanted_limit(Usd::from_dollars(20), &story.view.spending(story.now));
    assert_eq!(left, Some(Usd::from_dollars(15)));
    let change = story.view.give_up(&begun, GaveUp::Refused, None, "the old key could not be disabled", story.now);
    story.apply(change.unwrap());
    assert_eq!(story.view.grant.state, State::Stopped { why: Stopped::ReplacementFailed });
    assert_eq!(story.begin(PressKind::Replace).to_retire, [owed]);
}

#[test]
fn replacements_are_counted_when_shown_but_for_one_soon_after_a_reveal() {
    let mut story = Story::new();
    story.view.programme.settings.replacements = 1;
    story.shown(PressKind::Reveal, 'a');
    story.now += 14.minutes();
    story.shown(PressKind::Replace, 'b');
    assert_eq!(story.view.grant.replacements, 0);
    story.now += 1.minute();
    story.shown(PressKind::Replace, 'c');
    assert_eq!(story.view.grant.replacements, 1, "only the first is free");
    story.now += 1.hour();
    assert_eq!(story.refused(PressKind::Replace), BeginRefused::ReplacementsUsedUp);
    let change = story.view.allow(&faculty()).unwrap();
    story.apply(change).shown(PressKind::Replace, 'd');
    assert_eq!(story.view.grant.replacements, 2);
}

#[test]
fn an_answer_to_an_older_debt_does_not_pay_a_newer_one() {
    let mut story = Story::new();
    story.shown(PressKind::Reveal, 'a');
    let change = story.view.hold(HoldKind::Paused, &faculty(), None, story.now).unwrap();
    story.apply(change);
    let first_debt = story.view.grant.owed_disables().next().unwrap();
    let (change, _) = story.view.release(HoldKind::Paused, &faculty(), story.now).unwrap();
    story.apply(change);
    story.now += 1.minute();
    let change = story.view.hold(HoldKind::Paused, &faculty(), None, story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.disabled(&first_debt, story.now), None);
    assert_eq!(attempt(&story, 1).disable, Disable::Owed { since: story.now });
}

#[test]
fn a_swept_key_that_is_enabled_again_is_owed_its_disable_again_and_a_namesake_is_not() {
    let mut story = Story::new();
    story.begin(PressKind::Reveal);
    story.now += GRACE;
    let change = story.view.sweep(Epoch::new(1), &hash('a'), story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.sweep(Epoch::new(1), &hash('b'), story.now), Err(Swept::NotItsKey));
    story.disabled(Epoch::new(1));
    story.now += 1.hour();
    let change = story.view.sweep(Epoch::new(1), &hash('a'), story.now).unwrap();
    story.apply(change);
    assert_eq!(attempt(&story, 1).disable, Disable::Owed { since: story.now });
}

#[test]
fn an_attempt_that_was_refused_is_remembered_for_two_days() {
    let mut story = Story::new();
    for remembered in [1, 2] {
        let begun = story.begin(PressKind::Reveal);
        let change = story.view.give_up(&begun, GaveUp::Refused, None, "402", story.now).unwrap();
        story.apply(change);
        assert_eq!(story.view.grant.attempts.len(), remembered);
    }
    story.now += SignedDuration::from_hours(48);
    story.begin(PressKind::Reveal);
    assert_eq!(story.view.grant.attempts.len(), 1);
}

#[test]
fn a_second_replacement_long_after_is_counted() {
    let mut story = Story::new();
    story.view.programme.settings.replacements = 1;
    story.shown(PressKind::Reveal, 'a');
    story.now += 16.minutes();
    story.shown(PressKind::Replace, 'c');
    assert_eq!(story.view.grant.replacements, 1);
    story.now += 1.hour();
    assert_eq!(story.refused(PressKind::Replace), BeginRefused::ReplacementsUsedUp);
    let change = story.view.allow(&faculty()).unwrap();
    story.apply(change).shown(PressKind::Replace, 'd');
    assert_eq!(story.view.grant.replacements, 2);
}

#[test]
fn a_replacement_that_the_programmes_rule_asks_for_is_not_counted() {
    let mut story = Story::new();
    story.view.programme.settings.rotate_after_days = Some(30);
    story.view.programme.settings.replacements = 0;
    story.shown(PressKind::Reveal, 'a');
    story.now += SignedDuration::from_hours(29 * 24);
    assert_eq!(story.refused(PressKind::Replace), BeginRefused::ReplacementsUsedUp);
    story.now += SignedDuration::from_hours(24);
    story.shown(PressKind::Replace, 'b');
    assert_eq!(story.view.grant.replacements, 0);
}

#[test]
fn with_less_than_a_cent_left_a_replacement_waits_for_the_window_to_turn() {
    let mut story = Story::new();
    story.view.programme.settings.reset = crate::domain::window::Reset::Daily;
    story.view.pot.limit = Usd::from_dollars(2000);
    story.shown(PressKind::Reveal, 'a').reading(1, 19_995_000);
    let resets_at = story.view.programme.settings.reset.resets_at(story.now);
    assert_eq!(story.refused(PressKind::Replace), BeginRefused::NothingLeft { resets_at });
    story.now = resets_at.unwrap();
    story.shown(PressKind::Replace, 'b');
}

#[test]
fn the_last_of_the_pot_goes_to_one() {
    let mut story = Story::new();
    story.view.pot.reserved = Usd::from_dollars(80);
    story.press(PressKind::Reveal).unwrap();
    story.view.pot.reserved += Usd::from_micros(1);
    assert_eq!(story.refused(PressKind::Reveal), BeginRefused::PotExhausted);
}

#[test]
fn a_hold_during_minting_keeps_the_key_from_being_shown_and_the_grant_goes_back() {
    let mut story = Story::new();
    let begun = story.begin(PressKind::Reveal);
    let change = story.view.hold(HoldKind::Paused, &faculty(), Some("exam"), story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.record(&begun, &minted('a'), story.now), Err(RecordRefused::Held));
    let change = story.view.give_up(&begun, GaveUp::Lost, Some(&hash('a')), "held", story.now).unwrap();
    story.apply(change);
    assert_eq!(
        (story.view.grant.to_string().as_str(), attempt(&story, 1).state),
        ("invited, paused", AttemptState::Lost)
    );
    assert_eq!(attempt(&story, 1).disable, Disable::Owed { since: story.now });
    assert_eq!(story.refused(PressKind::Reveal), BeginRefused::Held(HoldKind::Paused));
    let again = story.view.give_up(&begun, GaveUp::Lost, Some(&hash('a')), "held", story.now);
    assert_eq!(again, None, "giving up twice changes nothing");
}

#[test]
fn the_key_is_enabled_when_the_last_hold_comes_off_and_pressing_again_names_it_again() {
    let mut story = Story::new();
    story.shown(PressKind::Reveal, 'a');
    for kind in [HoldKind::Paused, HoldKind::Dropped] {
        let change = story.view.hold(kind, &faculty(), None, story.now).unwrap();
        story.apply(change);
        assert_eq!(story.view.hold(kind, &faculty(), None, story.now), Err(HoldRefused::AlreadyHeld));
    }
    story.disabled(Epoch::new(1));
    let (change, enable) = story.view.release(HoldKind::Paused, &faculty(), story.now).unwrap();
    assert_eq!(enable, None);
    story.apply(change);
    let (change, enable) = story.view.release(HoldKind::Dropped, &faculty(), story.now).unwrap();
    assert_eq!(enable, Some(hash('a')));
    story.apply(change);
    assert_eq!(attempt(&story, 1).disable, Disable::No, "work must not disable it again");
    let again = story.view.release(HoldKind::Dropped, &faculty(), story.now).unwrap_err();
    assert_eq!(again, ReleaseRefused::NotHeld { enable: Some(hash('a')) });
}

#[test]
fn disuse_gives_the_place_back_and_the_student_resumes_while_the_pot_allows() {
    let mut story = Story::new();
    story.shown(PressKind::Reveal, 'a').reading(1, 3_000_000);
    let change = story.view.hold(HoldKind::Unused, &Actor::Rule, None, story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.give_back_place(story.now), None, "until it is disabled, the key can spend");
    assert_eq!(story.view.pot.reserved, Usd::from_dollars(20));
    story.disabled(Epoch::new(1));
    let change = story.view.give_back_place(story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.pot.reserved, Usd::from_dollars(3));
    story.view.pot.reserved = Usd::from_micros(83_000_001);
    let refused = story.view.release(HoldKind::Unused, &Actor::Student, story.now).unwrap_err();
    assert_eq!(refused, ReleaseRefused::PotExhausted);
    story.view.pot.reserved = Usd::from_dollars(3);
    let (change, _) = story.view.release(HoldKind::Unused, &Actor::Student, story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.pot.reserved, Usd::from_dollars(20));
}

#[test]
fn revoked_is_terminal() {
    let mut story = Story::new();
    story.shown(PressKind::Reveal, 'a').reading(1, 1_000_000);
    let change = story.view.revoke(&faculty(), Some("left the university"), story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.pot.reserved, Usd::from_dollars(1));
    assert_eq!(attempt(&story, 1).disable, Disable::Owed { since: story.now });
    let (view, now) = (&story.view, story.now);
    assert_eq!(story.refused(PressKind::Replace), BeginRefused::Revoked);
    assert!(view.revoke(&faculty(), None, now).is_none() && view.end(&Actor::Rule, now).is_none());
    assert!(view.allow(&faculty()).is_none() && view.stop(Stopped::Leaked, &Actor::Student, now).is_none());
    assert_eq!(view.hold(HoldKind::Paused, &faculty(), None, now), Err(HoldRefused::Over));
    assert_eq!(view.release(HoldKind::Paused, &faculty(), now), Err(ReleaseRefused::Over));
    assert_eq!(view.set_cap(Some(Usd::CENT), &faculty(), None, now), Err(CapRefused::Over));
}

#[test]
fn revoking_while_the_key_is_made_keeps_it_from_being_shown() {
    let mut story = Story::new();
    let begun = story.begin(PressKind::Reveal);
    let change = story.view.revoke(&faculty(), None, story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.pot.reserved, Usd::ZERO);
    assert_eq!(story.view.record(&begun, &minted('a'), story.now), Err(RecordRefused::Lost));
    let change = story.view.give_up(&begun, GaveUp::Lost, Some(&hash('a')), "revoked", story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.grant.state, State::Revoked);
}

#[test]
fn a_key_reported_leaked_is_owed_its_disable_and_the_student_hears_of_it() {
    let mut story = Story::new();
    story.shown(PressKind::Reveal, 'a');
    let change = story.view.stop(Stopped::Leaked, &Actor::Student, story.now).unwrap();
    assert_eq!(change.notice, Some(Notice::KeyLeaked));
    story.apply(change);
    assert_eq!(attempt(&story, 1).disable, Disable::Owed { since: story.now });
    assert_eq!(story.view.stop(Stopped::Leaked, &Actor::Student, story.now), None);
    assert_eq!(story.refused(PressKind::Reveal), BeginRefused::AlreadyShown);
    story.now += 1.hour();
    story.shown(PressKind::Replace, 'b');
}

#[test]
fn the_sweeper_touches_only_attempts_that_were_not_shown_and_are_older_than_the_grace() {
    let mut story = Story::new();
    let begun = story.begin(PressKind::Reveal);
    assert_eq!(story.view.sweep(Epoch::new(1), &hash('a'), story.now), Err(Swept::TooYoung));
    assert_eq!(story.view.sweep(Epoch::new(2), &hash('b'), story.now), Err(Swept::NoAttempt));
    let mut shown = Story::new();
    shown.shown(PressKind::Reveal, 'a').now += GRACE;
    assert_eq!(shown.view.sweep(Epoch::new(1), &hash('a'), shown.now), Err(Swept::Shown));

    story.now += GRACE;
    let change = story.view.sweep(Epoch::new(1), &hash('a'), story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.grant.state, State::Invited);
    assert_eq!(story.view.sweep(Epoch::new(1), &hash('a'), story.now), Err(Swept::Already));
    assert_eq!(story.view.record(&begun, &minted('a'), story.now), Err(RecordRefused::Lost));
}

#[test]
fn a_cap_of_ones_own_moves_the_place_within_the_pot() {
    let mut story = Story::new();
    story.shown(PressKind::Reveal, 'a');
    let change = story.view.set_cap(Some(Usd::from_dollars(100)), &faculty(), None, story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.pot.reserved, Usd::from_dollars(100));
    let above = story.view.set_cap(Some(Usd::from_micros(100_000_001)), &faculty(), None, story.now);
    assert_eq!(above, Err(CapRefused::PotExhausted));
    let change = story.view.set_cap(None, &faculty(), None, story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.pot.reserved, Usd::from_dollars(20));
    assert_eq!(story.view.set_cap(None, &faculty(), None, story.now), Err(CapRefused::Unchanged));
}

#[test]
fn a_place_that_was_never_used_is_given_back_once_the_claim_window_has_closed() {
    let mut story = Story::new();
    let begun = story.begin(PressKind::Reveal);
    let change = story.view.give_up(&begun, GaveUp::Unknown, None, "no answer", story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.give_back_place(story.now), None);
    story.now = story.view.programme.settings.claim_closes_at();
    let change = story.view.give_back_place(story.now).unwrap();
    story.apply(change);
    assert_eq!(story.view.pot.reserved, Usd::ZERO);
    assert_eq!(story.view.give_back_place(story.now), None);
}
