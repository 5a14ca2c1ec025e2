//! Who may begin, what a claim and a replacement leave behind, and what of it counts.

use super::*;
use crate::domain::programme::TermsHash;

/// No claim begins while another makes the key, and the first one loses once its lease has run out.
#[test]
fn one_claim_runs_at_a_time() {
    let mut story = Story::new();
    let first = story.begin(KeyRequestKind::Reveal);
    let until = story.now + LEASE;
    assert_eq!(story.refused(KeyRequestKind::Reveal), BeginRefused::BeingMade { until });
    story.now = until;
    let second = story.begin(KeyRequestKind::Reveal);
    assert_eq!(story.view.record(&first, &minted('a'), story.now), Err(RecordRefused::Lost));
    story.apply(story.view.give_up(&first, Some(&minted('a')), "overtaken", story.now).unwrap());
    assert_eq!(story.due(1), [Tell::Off]);
    story.apply(story.view.record(&second, &minted('b'), story.now).unwrap());
    assert_eq!(story.view.grant.state, GrantState::Live { key: hash('b') });
    assert_eq!((story.view.budget.reserved, story.view.grant.replacements), (Usd::from_dollars(20), 0));
    assert_eq!(story.refused(KeyRequestKind::Reveal), BeginRefused::AlreadyShown);
}

/// After the table went back to a backup, two claims of one number may be under way.
#[test]
fn only_the_claim_of_its_own_nonce_is_recorded() {
    let mut before = Story::new();
    let mut after = Story::new();
    let lost = before.begin(KeyRequestKind::Reveal);
    after.begin(KeyRequestKind::Reveal);
    assert_eq!(after.view.record(&lost, &minted('a'), after.now), Err(RecordRefused::Lost));
}

#[test]
fn a_recorded_key_holds_what_it_was_made_with() {
    let mut story = Story::new();
    let begun = story.begin(KeyRequestKind::Reveal);
    let guardrail = Some(under(&GuardrailOwner { programme: story.view.programme.id.clone(), group: None }));
    let made = MintedKey { guardrail, expires_at: Some(story.now + 1.hour()), ..minted('a') };
    story.apply(story.view.record(&begun, &made, story.now).unwrap());
    let key = &story.view.grant.keys[0];
    assert_eq!((key.expires_at, key.guardrail.known()), (made.expires_at, made.guardrail.as_ref()));
}

#[test]
fn who_waits_for_a_key_is_not_held_for_disuse() {
    let mut story = Story::new();
    story.begin(KeyRequestKind::Reveal);
    let refused = story.view.hold(HoldKind::Unused, &Actor::Rule, None, story.now);
    assert_eq!(refused.unwrap_err(), ChangeRefused::NoKey);
}

#[test]
fn a_page_that_is_older_than_the_last_claim_begins_nothing() {
    let mut story = Story::new();
    let begun = story.begin(KeyRequestKind::Reveal);
    story.apply(story.view.give_up(&begun, None, "402", story.now).unwrap());
    assert_eq!(story.view.grant.state, GrantState::Invited);
    let stale = KeyRequest { kind: KeyRequestKind::Reveal, epoch: Epoch::BEFORE_THE_FIRST, terms: None };
    assert_eq!(story.view.begin(stale, Nonce::random(), story.now).unwrap_err(), BeginRefused::StalePage);
    story.begin(KeyRequestKind::Reveal);
}

#[test]
fn a_replacement_needs_the_key_that_it_replaces() {
    let mut story = Story::new();
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::NothingToReplace);
    story.shown(KeyRequestKind::Reveal, 'a');
    let older = KeyRequest { kind: KeyRequestKind::Replace, epoch: Epoch::BEFORE_THE_FIRST, terms: None };
    assert_eq!(story.view.begin(older, Nonce::random(), story.now).unwrap_err(), BeginRefused::AlreadyShown);
    story.now = story.view.programme.settings.term.ends_at();
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::Over);
}

/// The claim window applies only to a grant that was never shown a key.
#[test]
fn first_claims_have_a_window() {
    let mut story = Story::new();
    let opens = story.now + 1.hour();
    let closes = story.now + 2.hours();
    story.view.settings_mut().claims.claim_opens_at = Some(opens);
    story.view.settings_mut().claims.claim_closes_at = Some(closes);
    assert_eq!(story.refused(KeyRequestKind::Reveal), BeginRefused::NotOpenYet { opens });
    story.now = opens;
    story.shown(KeyRequestKind::Reveal, 'a');
    story.now = closes + 1.hour();
    story.shown(KeyRequestKind::Replace, 'b');
    let mut late = Story::new();
    late.view.settings_mut().claims.claim_closes_at = Some(late.now);
    assert_eq!(late.refused(KeyRequestKind::Reveal), BeginRefused::WindowClosed);
}

/// A replacement first disables the old key and gets the remaining amount.
#[test]
fn replacing_ends_the_old_key() {
    let mut story = Story::live();
    story.reading(1, 5_000_000).after(1.hour());
    let begun = story.begin(KeyRequestKind::Replace);
    assert_eq!((story.due(1), story.view.grant.urgency()), (vec![Tell::Off], Urgency::Disable));
    assert_eq!(story.view.next_limit(story.now), Some(Usd::from_dollars(15)));
    story.apply(story.view.give_up(&begun, None, "the old key could not be disabled", story.now).unwrap());
    assert_eq!(story.view.grant.state, GrantState::Stopped { why: Stopped::Replacing });
    story.begin(KeyRequestKind::Replace);
    assert_eq!(story.due(1), [Tell::Off]);
}

/// Replacements are counted when shown, except for one soon after the first key was shown.
#[test]
fn shown_replacements_count() {
    let mut story = Story::new();
    story.view.settings_mut().claims.replacements = 1;
    story.shown(KeyRequestKind::Reveal, 'a').after(14.minutes()).shown(KeyRequestKind::Replace, 'b');
    assert_eq!(story.view.grant.replacements, 0);
    story.after(1.minute()).shown(KeyRequestKind::Replace, 'c');
    assert_eq!(story.view.grant.replacements, 1, "only the first is free");
    story.now += 1.hour();
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::ReplacementsUsedUp);
    story.apply(story.view.allow(&faculty()).unwrap()).shown(KeyRequestKind::Replace, 'd');
    assert_eq!(story.view.grant.replacements, 2);
    let mut late = Story::new();
    late.shown(KeyRequestKind::Reveal, 'a').after(15.minutes()).shown(KeyRequestKind::Replace, 'b');
    assert_eq!(late.view.grant.replacements, 1);
}

/// A replacement that a rule, the provider or a leak made necessary is not counted.
#[test]
fn a_forced_replacement_is_free() {
    let mut story = Story::new();
    story.view.settings_mut().claims.rotate_after_days = Some(30);
    story.view.settings_mut().claims.replacements = 0;
    story.shown(KeyRequestKind::Reveal, 'a').after(SignedDuration::from_hours(29 * 24));
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::ReplacementsUsedUp);
    story.after(SignedDuration::from_hours(24)).shown(KeyRequestKind::Replace, 'b');
    assert_eq!(story.view.grant.replacements, 0);
    story.after(1.hour());
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::ReplacementsUsedUp);
    let stopped = story.view.found_disabled(story.view.grant.version, &hash('b'), story.now, false, story.now);
    story.apply(stopped.unwrap()).shown(KeyRequestKind::Replace, 'c');
    assert_eq!(story.view.grant.replacements, 0, "nor one that the provider made necessary");
    story.after(1.hour()).leaked().shown(KeyRequestKind::Replace, 'd');
    assert_eq!(story.view.grant.replacements, 0, "nor one after a leak");
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::ReplacementsUsedUp, "and none is free then");
    // Another leak, of the key that is to end while the next is made.
    story.view.settings_mut().claims.replacements = 1;
    story.after(1.hour());
    let begun = story.begin(KeyRequestKind::Replace);
    story.leaked().settled(|call| call.tell == Tell::Off);
    story.apply(story.view.record(&begun, &minted('e'), story.now).unwrap());
    assert_eq!(story.view.grant.replacements, 0);
}

#[test]
fn the_sixth_key_of_a_day_waits() {
    let mut story = Story::live();
    let first = story.now;
    for key in ['b', 'c', 'd', 'e'] {
        story.after(1.hour()).leaked().shown(KeyRequestKind::Replace, key);
    }
    let until = first + 24.hours();
    story.leaked();
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::ManyKeys { until });
    story.now = until;
    story.shown(KeyRequestKind::Replace, 'f').leaked();
    let until = first + 25.hours();
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::ManyKeys { until });
}

/// A replacement waits for the window to turn when less than a cent is left.
#[test]
fn less_than_a_cent_waits() {
    let mut story = Story::new();
    story.view.settings_mut().basis.reset = crate::domain::values::window::Reset::Daily;
    story.view.budget_mut().limit = Usd::from_dollars(2000);
    story.shown(KeyRequestKind::Reveal, 'a').reading(1, 19_995_000);
    let resets_at = story.view.programme.settings.basis.reset.resets_at(story.now);
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::NothingLeft { resets_at });
    story.now = resets_at.unwrap();
    story.shown(KeyRequestKind::Replace, 'b');
}

#[test]
fn a_key_that_is_on_record_already_is_not_recorded_again() {
    let mut story = Story::live();
    let begun = story.begin(KeyRequestKind::Replace);
    assert_eq!(story.view.record(&begun, &minted('a'), story.now), Err(RecordRefused::Lost));
    story.apply(story.view.give_up(&begun, Some(&minted('a')), "overtaken", story.now).unwrap());
    assert_eq!((story.view.grant.keys.len(), story.due(1)), (1, vec![Tell::Off]));
}

#[test]
fn the_last_of_the_budget_goes_to_one() {
    let mut story = Story::new();
    story.view.budget_mut().reserved = Usd::from_dollars(80);
    story.press(KeyRequestKind::Reveal).unwrap();
    story.view.budget_mut().reserved += Usd::from_micros(1);
    assert_eq!(story.refused(KeyRequestKind::Reveal), BeginRefused::BudgetExhausted);
}

/// The terms are accepted as they read now with each press until a key has been shown.
#[test]
fn current_terms_are_accepted() {
    let mut story = Story::new();
    let note = |change: &Change| change.audit().unwrap().note.clone().unwrap();
    assert_eq!(note(&story.press(KeyRequestKind::Reveal).unwrap().0), "key 1", "there are none to accept");
    story.view.settings_mut().texts.terms = Some("Be kind.".to_owned());
    let now = TermsHash::digest("Be kind.");
    let epoch = story.view.grant.epoch;
    for terms in [None, Some(TermsHash::digest("Be quick."))] {
        let request = KeyRequest { kind: KeyRequestKind::Reveal, epoch, terms };
        assert_eq!(story.view.begin(request, Nonce::random(), story.now), Err(BeginRefused::TermsNotAccepted));
        // Somebody who could have no key is not asked for them first.
        let mut full = story.view.clone();
        full.budget_mut().reserved = Usd::from_dollars(90);
        assert_eq!(full.begin(request, Nonce::random(), story.now), Err(BeginRefused::BudgetExhausted));
    }
    for number in [1, 2] {
        let (change, begun) = story.press(KeyRequestKind::Reveal).unwrap();
        assert_eq!(note(&change), format!("key {number}; terms accepted, sha256 {now}"));
        story.apply(change);
        let failed = story.view.give_up(&begun, None, "no answer", story.now);
        story.apply(failed.unwrap());
    }
    story.shown(KeyRequestKind::Reveal, 'a');
    story.view.settings_mut().texts.terms = Some("Be kinder.".to_owned());
    let request = KeyRequest { kind: KeyRequestKind::Replace, epoch: story.view.grant.epoch, terms: None };
    let (change, _) = story.view.begin(request, Nonce::random(), story.now).unwrap();
    assert_eq!(note(&change), "key 4", "a replacement asks for nothing more");
}
