//! Who may begin, what a claim and a replacement leave behind, and what of it counts.

use super::*;
use crate::domain::programme::TermsHash;
use crate::tests::values::dollars;

impl Story {
    fn replace(&mut self, key: char) -> &mut Story {
        self.show(KeyRequestKind::Replace, key);
        self.note(&format!("{} replacements", self.view.grant.replacements))
    }
}

/// No claim begins while another makes the key, and the first one loses once its lease has run out.
#[test]
fn one_claim_runs_at_a_time() {
    let mut story = Story::new();
    let first = story.begin(KeyRequestKind::Reveal);
    story.press_in_vain(KeyRequestKind::Reveal).after(LEASE);
    let second = story.begin(KeyRequestKind::Reveal);
    story.note_refusal(
        "recorded",
        story.view.record(&first, &minted('a'), story.now),
    );
    story
        .apply(
            story
                .view
                .give_up(&first, Some(&minted('a')), "overtaken", story.now)
                .unwrap(),
        )
        .note("overtaken");
    story
        .apply(story.view.record(&second, &minted('b'), story.now).unwrap())
        .note("the second");
    insta::assert_snapshot!(story.press_in_vain(KeyRequestKind::Reveal).notes(), @"
    Reveal: BeingMade { until: 2026-01-01T01:01:00Z }
    recorded: Lost
    overtaken: invited, a on; tell a Off; $20 of $20
    the second: live, a on, b on; tell a Off; $20 of $20
    Reveal: AlreadyShown
    ");
    assert_eq!(
        (&story.view.grant.state, story.view.grant.replacements),
        (&GrantState::Live { key: hash('b') }, 0)
    );
}

/// After the table went back to a backup, two claims of one number may be under way.
#[test]
fn only_the_claim_of_its_own_nonce_is_recorded() {
    let mut before = Story::new();
    let mut after = Story::new();
    let lost = before.begin(KeyRequestKind::Reveal);
    after.begin(KeyRequestKind::Reveal);
    assert_eq!(
        after.view.record(&lost, &minted('a'), after.now),
        Err(RecordRefused::Lost)
    );
}

#[test]
fn a_recorded_key_holds_what_it_was_made_with() {
    let mut story = Story::new();
    let begun = story.begin(KeyRequestKind::Reveal);
    let guardrail = Some(under(&GuardrailOwner {
        programme: story.view.programme.id.clone(),
        group: None,
    }));
    let made = MintedKey {
        guardrail,
        expires_at: Some(story.now + 1.hour()),
        ..minted('a')
    };
    story.apply(story.view.record(&begun, &made, story.now).unwrap());
    let key = &story.view.grant.keys[0];
    assert_eq!(
        (key.expires_at, key.guardrail.known()),
        (made.expires_at, made.guardrail.as_ref())
    );
}

#[test]
fn who_waits_for_a_key_is_not_held_for_disuse() {
    let mut story = Story::new();
    story.begin(KeyRequestKind::Reveal);
    let refused = story
        .view
        .hold(HoldKind::Unused, &Actor::Rule, None, story.now);
    assert_eq!(refused.unwrap_err(), ChangeRefused::NoKey);
}

#[test]
fn a_page_that_is_older_than_the_last_claim_begins_nothing() {
    let press = |story: &Story, kind| {
        let older = KeyRequest {
            kind,
            epoch: Epoch::BEFORE_THE_FIRST,
            terms: None,
        };
        story
            .view
            .begin(older, Nonce::random(), story.now)
            .unwrap_err()
    };
    let mut story = Story::new();
    assert_eq!(
        press(story.fail(), KeyRequestKind::Reveal),
        BeginRefused::StalePage
    );
    story.show(KeyRequestKind::Reveal, 'a');
    assert_eq!(
        press(&story, KeyRequestKind::Replace),
        BeginRefused::AlreadyShown
    );
}

/// The claim window applies only to a grant that was never shown a key. A replacement needs the key
/// that it replaces, and the term.
#[test]
fn claims_have_their_time() {
    let mut story = Story::new();
    let opens = story.now + 1.hour();
    story.view.settings_mut().claims.claim_opens_at = Some(opens);
    story.view.settings_mut().claims.claim_closes_at = Some(opens + 1.hour());
    story
        .press_in_vain(KeyRequestKind::Replace)
        .press_in_vain(KeyRequestKind::Reveal)
        .after(1.hour());
    let mut late = story.clone();
    story
        .show(KeyRequestKind::Reveal, 'a')
        .after(2.hours())
        .show(KeyRequestKind::Replace, 'b');
    late.after(1.hour())
        .press_in_vain(KeyRequestKind::Reveal)
        .now = late.view.programme.settings.term.ends_at();
    story.now = late.now;
    story.press_in_vain(KeyRequestKind::Replace);
    insta::assert_snapshot!(join_notes(&[late, story]), @"
    Replace: NothingToReplace
    Reveal: NotOpenYet { opens: 2026-01-01T02:00:00Z }
    Reveal: WindowClosed

    Replace: NothingToReplace
    Reveal: NotOpenYet { opens: 2026-01-01T02:00:00Z }
    Replace: Over
    ");
}

/// A replacement first disables the old key and gets the remaining amount.
#[test]
fn replacing_ends_the_old_key() {
    let mut story = Story::live();
    story.read(1, 5_000_000).after(1.hour());
    let begun = story.begin(KeyRequestKind::Replace);
    assert_eq!(
        (story.view.grant.urgency(), story.view.next_limit(story.now)),
        (Urgency::Disable, Some(dollars(15)))
    );
    story.note("begun");
    story
        .apply(
            story
                .view
                .give_up(&begun, None, "no answer", story.now)
                .unwrap(),
        )
        .note("given up");
    story.begin(KeyRequestKind::Replace);
    insta::assert_snapshot!(story.note("begun again").notes(), @"
    begun: stopped (Replacing), a on; tell a Off; $20 of $20
    given up: stopped (Replacing), a on; tell a Off; $20 of $20
    begun again: stopped (Replacing), a on; tell a Off; $20 of $20
    ");
}

/// Replacements are counted when shown, except for one soon after the first key was shown.
#[test]
fn shown_replacements_count() {
    let mut story = Story::new();
    story.view.settings_mut().claims.replacements = 1;
    story
        .show(KeyRequestKind::Reveal, 'a')
        .after(14.minutes())
        .replace('b')
        .after(1.minute())
        .replace('c');
    story.after(1.hour()).press_in_vain(KeyRequestKind::Replace);
    story
        .apply(story.view.allow(&faculty()).unwrap())
        .replace('d');
    let mut late = Story::new();
    late.show(KeyRequestKind::Reveal, 'a')
        .after(15.minutes())
        .replace('b');
    insta::assert_snapshot!(join_notes(&[story, late]), @"
    0 replacements: live, a off, b on; tell a Read in 15m; $20 of $20
    1 replacements: live, a off, b off, c on; tell a Read in 14m; tell b Read in 15m; $20 of $20
    Replace: ReplacementsUsedUp
    2 replacements: live, a off, b off, c off, d on; tell a Read; tell b Read; tell c Read in 15m; $20 of $20

    1 replacements: live, a off, b on; tell a Read in 15m; $20 of $20
    ");
}

/// A replacement that a rule, the provider or a leak made necessary is not counted.
#[test]
fn a_forced_replacement_is_free() {
    let mut story = Story::new();
    story.view.settings_mut().claims.rotate_after_days = Some(30);
    story.view.settings_mut().claims.replacements = 0;
    story
        .show(KeyRequestKind::Reveal, 'a')
        .after(SignedDuration::from_hours(29 * 24));
    story
        .press_in_vain(KeyRequestKind::Replace)
        .after(24.hours())
        .replace('b')
        .after(1.hour());
    let stopped = story.view.record_disabled(
        story.view.grant.version,
        &hash('b'),
        story.now,
        false,
        story.now,
    );
    story
        .press_in_vain(KeyRequestKind::Replace)
        .apply(stopped.unwrap())
        .note("found disabled")
        .replace('c');
    story
        .after(1.hour())
        .leak()
        .note("leaked")
        .replace('d')
        .press_in_vain(KeyRequestKind::Replace);
    // Another leak, of the key that is to end while the next is made.
    story.view.settings_mut().claims.replacements = 1;
    story.after(1.hour());
    let begun = story.begin(KeyRequestKind::Replace);
    story.leak().settle_off();
    story.apply(story.view.record(&begun, &minted('e'), story.now).unwrap());
    assert_eq!(story.view.grant.replacements, 0);
    insta::assert_snapshot!(story.notes(), @"
    Replace: ReplacementsUsedUp
    0 replacements: live, a off, b on; tell a Read in 15m; $20 of $20
    Replace: ReplacementsUsedUp
    found disabled: stopped (GoneAtProvider), a off, b off; tell a Read; tell b Read in 15m; $20 of $20
    0 replacements: live, a off, b off, c on; tell a Read; tell b Read in 15m; $20 of $20
    leaked: stopped (Leaked), a off, b off, c on; tell c Off; tell a Read; tell b Read; $20 of $20
    0 replacements: live, a off, b off, c off, d on; tell a Read; tell b Read; tell c Read in 15m; $20 of $20
    Replace: ReplacementsUsedUp
    ");
}

#[test]
fn the_sixth_key_of_a_day_waits() {
    let mut story = Story::live();
    for key in ['b', 'c', 'd', 'e'] {
        story
            .after(1.hour())
            .leak()
            .show(KeyRequestKind::Replace, key);
    }
    story
        .leak()
        .press_in_vain(KeyRequestKind::Replace)
        .after(20.hours())
        .show(KeyRequestKind::Replace, 'f');
    insta::assert_snapshot!(story.leak().press_in_vain(KeyRequestKind::Replace).notes(), @"
    Replace: ManyKeys { until: 2026-01-02T01:00:00Z }
    Replace: ManyKeys { until: 2026-01-02T02:00:00Z }
    ");
}

/// A replacement waits for the window to turn when less than a cent is left.
#[test]
fn less_than_a_cent_waits() {
    let mut story = Story::new();
    story
        .set_reset(Reset::Daily)
        .show(KeyRequestKind::Reveal, 'a')
        .read(1, 19_995_000);
    let resets_at = story
        .view
        .programme
        .settings
        .basis
        .reset
        .resets_at(story.now);
    assert_eq!(
        story.refused(KeyRequestKind::Replace),
        BeginRefused::NothingLeft { resets_at }
    );
    story.now = resets_at.unwrap();
    story.show(KeyRequestKind::Replace, 'b');
}

#[test]
fn a_key_that_is_on_record_already_is_not_recorded_again() {
    let mut story = Story::live();
    let begun = story.begin(KeyRequestKind::Replace);
    assert_eq!(
        story.view.record(&begun, &minted('a'), story.now),
        Err(RecordRefused::Lost)
    );
    story.apply(
        story
            .view
            .give_up(&begun, Some(&minted('a')), "overtaken", story.now)
            .unwrap(),
    );
    assert_eq!(
        (story.view.grant.keys.len(), story.due(1)),
        (1, vec![Tell::Off])
    );
}

#[test]
fn the_last_of_the_budget_goes_to_one() {
    let mut story = Story::new();
    story.view.budget_mut().reserved = Usd::from_dollars(80);
    story.press(KeyRequestKind::Reveal).unwrap();
    story.view.budget_mut().reserved += Usd::from_micros(1);
    assert_eq!(
        story.refused(KeyRequestKind::Reveal),
        BeginRefused::BudgetExhausted
    );
}

/// The terms are accepted as they read now with each press until a key has been shown.
#[test]
fn current_terms_are_accepted() {
    let mut story = Story::new();
    let note = |change: &Change| change.audit().unwrap().note.clone().unwrap();
    assert_eq!(
        note(&story.press(KeyRequestKind::Reveal).unwrap().0),
        "key 1",
        "there are none to accept"
    );
    story.view.settings_mut().texts.terms = Some("Be kind.".to_owned());
    let now = TermsHash::digest("Be kind.");
    let epoch = story.view.grant.epoch;
    for terms in [None, Some(TermsHash::digest("Be quick."))] {
        let request = KeyRequest {
            kind: KeyRequestKind::Reveal,
            epoch,
            terms,
        };
        assert_eq!(
            story.view.begin(request, Nonce::random(), story.now),
            Err(BeginRefused::TermsNotAccepted)
        );
        // Somebody who could have no key is not asked for them first.
        let mut full = story.view.clone();
        full.budget_mut().reserved = Usd::from_dollars(90);
        assert_eq!(
            full.begin(request, Nonce::random(), story.now),
            Err(BeginRefused::BudgetExhausted)
        );
    }
    for number in [1, 2] {
        let pressed = story.press(KeyRequestKind::Reveal).unwrap();
        assert_eq!(
            note(&pressed.0),
            format!("key {number}; terms accepted, sha256 {now}")
        );
        story.fail();
    }
    story.show(KeyRequestKind::Reveal, 'a');
    story.view.settings_mut().texts.terms = Some("Be kinder.".to_owned());
    let request = KeyRequest {
        kind: KeyRequestKind::Replace,
        epoch: story.view.grant.epoch,
        terms: None,
    };
    let (change, _) = story
        .view
        .begin(request, Nonce::random(), story.now)
        .unwrap();
    assert_eq!(
        note(&change),
        "key 4",
        "a replacement asks for nothing more"
    );
}
