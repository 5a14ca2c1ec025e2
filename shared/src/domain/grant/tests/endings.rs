//! What keeps a grant from its key for a while or for good: holds, leaks, the end, caps and places;
//! and keys that nobody was shown.

use super::*;
use crate::domain::programme::role::Role;
use crate::domain::values::term::Term;

/// A hold or a revocation while the key is being made keeps it from being shown, and nothing is
/// left of it.
#[test]
fn a_hold_keeps_a_key_unseen() {
    let acts: [fn(&mut Story) -> &mut Story; 2] =
        [|story| story.hold(HoldKind::Paused), Story::revoke];
    let notes = acts.map(|act| {
        let mut story = Story::new();
        let begun = story.begin(KeyRequestKind::Reveal);
        act(&mut story).note("meanwhile");
        story.note_refusal(
            "recorded",
            story.view.record(&begun, &minted('a'), story.now),
        );
        let given_up = |story: &Story| {
            story
                .view
                .give_up(&begun, Some(&minted('a')), "held", story.now)
        };
        story.apply(given_up(&story).unwrap()).note("given up");
        assert_eq!(key(&story, 1).shown_at, None);
        story
            .note_refusal("again", given_up(&story))
            .disable(1)
            .note("disabled")
            .notes()
    });
    insta::assert_snapshot!(notes.join("\n\n"), @"
    meanwhile: invited, paused; $20 of $20
    recorded: Held(Paused)
    given up: invited, paused, a on; tell a Off; $20 of $20
    again: Unchanged
    disabled: invited, paused; $20 of $20

    meanwhile: revoked; $0 of $20
    recorded: Revoked
    given up: revoked, a on; tell a Off; $0 of $20
    again: Unchanged
    disabled: revoked; $0 of $20
    ");
}

#[test]
fn the_key_is_enabled_when_the_last_hold_comes_off() {
    let mut story = Story::live();
    for kind in [HoldKind::Paused, HoldKind::Dropped] {
        story.hold(kind);
        story.note_refusal(
            "held again",
            story.view.hold(kind, &faculty(), None, story.now),
        );
    }
    story
        .disable(1)
        .release(HoldKind::Paused)
        .note("one is left")
        .release(HoldKind::Dropped)
        .note("none");
    story.note_refusal(
        "released again",
        story.view.release(HoldKind::Dropped, &faculty(), story.now),
    );
    insta::assert_snapshot!(story.enable(1).note("enabled").notes(), @"
    held again: Unchanged
    held again: Unchanged
    one is left: live, dropped, a off; tell a Read in 15m; $20 of $20
    none: live, a off; tell a On; $20 of $20
    released again: Unchanged
    enabled: live, a on; $20 of $20
    ");
}

/// Extending the term lets people whose grants had ended claim again, and their earlier keys stay
/// ended.
#[test]
fn a_longer_term_reopens_claims() {
    let mut shown = Story::live();
    let mut never = Story::new();
    for story in [&mut shown, &mut never] {
        let term = story.view.programme.settings.term.clone();
        story.now = term.ends_at();
        assert_eq!(
            story.view.go_on(&faculty(), story.now),
            Err(Unchanged),
            "it is over"
        );
        story.apply(story.view.end(&Actor::Rule, story.now).unwrap());
        let longer = term.ends_on().checked_add(30.days()).unwrap();
        story.view.settings_mut().term =
            Term::new(term.starts_on(), longer, term.timezone()).unwrap();
        let mut erased = story.clone();
        erased.view.grant.person.address = EmailAddress::erased(&erased.view.grant.id);
        assert_eq!(erased.view.go_on(&faculty(), erased.now), Err(Unchanged));
        story.apply(story.view.go_on(&faculty(), story.now).unwrap());
        assert!(!story.view.grant.has_reservation, "the next claim takes it");
    }
    assert_eq!(
        [&shown, &never].map(|story| story.view.grant.to_string()),
        ["stopped", "invited"]
    );
    assert!(!shown.view.next_key_counts(shown.now));

    // One that nobody had ended yet.
    let mut live = Story::live();
    let end = live.view.programme.settings.term.ends_at() - 24.hours();
    live.view.grant.keys[0].expires_at = Some(end);
    live.now = end - 1.second();
    assert_eq!(live.view.go_on(&faculty(), live.now), Err(Unchanged));
    assert_ne!(live.view.lifecycle(None, live.now), Some(Rule::Expire));
    live.now = end;
    assert_eq!(live.view.lifecycle(None, end), Some(Rule::Expire));
    live.apply(live.view.go_on(&faculty(), end).unwrap());
    assert_eq!(
        live.view.grant.state,
        GrantState::Stopped {
            why: Stopped::TermEnded
        }
    );
}

#[test]
fn revoked_is_terminal() {
    let mut story = Story::live();
    story.revoke();
    let view = story.view.clone();
    let now = story.now;
    story.press_in_vain(KeyRequestKind::Replace);
    story
        .note_refusal("revoke", view.revoke(&faculty(), None))
        .note_refusal("end", view.end(&Actor::Rule, now));
    story.note_refusal("allow", view.allow(&faculty()));
    story.note_refusal("leak", view.stop(Stopped::Leaked, &Actor::Student));
    story.note_refusal("hold", view.hold(HoldKind::Paused, &faculty(), None, now));
    story.note_refusal("release", view.release(HoldKind::Paused, &faculty(), now));
    story.note_refusal("cap", view.set_cap(Some(Usd::CENT), &faculty(), None, now));
    insta::assert_snapshot!(story.notes(), @"
    Replace: Revoked
    revoke: Unchanged
    end: Unchanged
    allow: Unchanged
    leak: Unchanged
    hold: Over
    release: Over
    cap: Over
    ");
}

/// A grant's personal data is erased once its keys are disabled and read.
#[test]
fn erasure_waits_for_a_reading() {
    let mut story = Story::live();
    let erase = |story: &Story| story.view.erase(&faculty(), story.now);
    story.note_refusal("it goes on", erase(&story));
    story.apply(story.view.end_for_erasure(&faculty()).unwrap());
    story
        .note_refusal("ended again", story.view.end_for_erasure(&faculty()))
        .disable(1);
    story
        .note_refusal("what it used last is not read", erase(&story))
        .read_at_last(1, 3_000_000);
    story
        .note_refusal("ended again", story.view.end_for_erasure(&faculty()))
        .note("read");
    story.apply(erase(&story).unwrap()).note("erased");
    story.note_refusal("again", erase(&story));
    let Grant {
        person,
        more_request: more,
        id,
        ..
    } = &story.view.grant;
    assert_eq!(
        (person.address.as_written(), &person.roster_id, more),
        (&*format!("erased-{id}"), &None, &None)
    );
    assert!(
        person
            .name
            .as_ref()
            .is_none_or(|name| *name == format!("erased-{id}"))
    );
    insta::assert_snapshot!(story.notes(), @"
    it goes on: Unchanged
    ended again: Unchanged
    what it used last is not read: Unchanged
    ended again: Unchanged
    read: ended, a off; $3 of $20
    erased: ended, a off; $3 of $20
    again: Unchanged
    ");
}

/// Whoever was paused alone stays so, though many are paused after that.
#[test]
fn a_single_pause_stays_single() {
    let pause = |role, with_many| Hold::Paused { role, with_many };
    for (pauses, is_single) in [
        (&[pause(Role::Assistant, false)][..], true),
        (&[pause(Role::Faculty, true)], false),
        (
            &[pause(Role::Assistant, false), pause(Role::Faculty, true)],
            true,
        ),
    ] {
        let mut story = Story::live();
        for hold in pauses {
            story.apply(story.view.hold(*hold, &faculty(), None, story.now).unwrap());
        }
        assert_eq!(
            story.view.grant.holds.is_paused_singly(),
            is_single,
            "{pauses:?}"
        );
    }
}

/// A key reported leaked is to be disabled, and a page from before a replacement ends no newer key.
#[test]
fn a_leaked_key_is_disabled() {
    let mut story = Story::live();
    let report = |story: &Story, epoch, actor| story.view.report_leaked(Epoch::new(epoch), &actor);
    story
        .leak()
        .note("leaked")
        .press_in_vain(KeyRequestKind::Reveal);
    story.note_refusal(
        "stopped again",
        story.view.stop(Stopped::Leaked, &Actor::Student),
    );
    story
        .after(1.hour())
        .show(KeyRequestKind::Replace, 'b')
        .note("replaced");
    story.note_refusal("the first again", report(&story, 1, Actor::Student));
    // Staff end it by the same transition, in their own name.
    let staff = faculty();
    let change = report(&story, 2, staff.clone()).unwrap();
    assert_eq!(
        (&change.actor, change.notice),
        (&staff, Some(StudentNotice::KeyLeaked))
    );
    story.apply(change).note("by staff");
    story.note_refusal("nothing is left to end", report(&story, 2, Actor::Student));
    story.note_refusal("without a key", report(&Story::new(), 0, faculty()));
    insta::assert_snapshot!(story.notes(), @"
    leaked: stopped (Leaked), a on; tell a Off; $20 of $20
    Reveal: AlreadyShown
    stopped again: Unchanged
    replaced: live, a off, b on; tell a Read in 15m; $20 of $20
    the first again: Replaced
    by staff: stopped (Leaked), a off, b on; tell b Off; tell a Read in 15m; $20 of $20
    nothing is left to end: Reported
    without a key: NoKey
    ");
    assert!(
        !story.view.next_key_counts(story.now),
        "another is no replacement"
    );
}

/// A key that has not been disabled yet can still be reported as leaked.
#[test]
fn an_enabled_key_can_be_reported() {
    let mut replacing = Story::live();
    let mut handed_back = Story::live();
    replacing.begin(KeyRequestKind::Replace);
    handed_back.give_back();
    for mut story in [replacing, handed_back] {
        story.apply(story.view.put_off(story.now).unwrap());
        assert_eq!(story.view.grant.urgency(), Urgency::Disable);
        let off = story
            .clone()
            .disable(1)
            .view
            .report_leaked(Epoch::new(1), &Actor::Student);
        assert!(off.is_err(), "it is off");
        story.leak();
        assert_eq!(
            (story.view.grant.urgency(), story.due(1)),
            (Urgency::Leak, vec![Tell::Off]),
            "at once"
        );
    }
}

#[test]
fn a_cap_of_ones_own_moves_the_reservation_within_the_budget() {
    let mut story = Story::live();
    let set = |story: &Story, cap| story.view.set_cap(cap, &faculty(), None, story.now);
    story.set_cap(100).note("raised");
    story.note_refusal(
        "above the budget",
        set(&story, Some(Usd::from_micros(100_000_001))),
    );
    let lower = set(&story, None).unwrap();
    assert_eq!(lower.notice, Some(StudentNotice::CapChanged));
    story.apply(lower).note("lowered");
    story.note_refusal("again", set(&story, None));
    insta::assert_snapshot!(story.notes(), @"
    raised: live, a on; tell a Limit($100.000000); $100 of $100
    above the budget: BudgetExhausted
    lowered: live, a on; $20 of $100
    again: Unchanged
    ");
    let same = set(&story, Some(Usd::from_dollars(20))).unwrap();
    assert_eq!(same.notice, None, "the cap was that before");
}

/// A reservation that was never used is freed once the claim window has closed.
#[test]
fn unused_reservations_end() {
    let mut story = Story::new();
    story.fail();
    story.note_refusal("too soon", story.view.give_back_reservation(story.now));
    story.now = story.view.programme.settings.claim_closes_at();
    let mut pressed = Story {
        now: story.now - 1.second(),
        ..story.clone()
    };
    pressed.begin(KeyRequestKind::Reveal);
    story.note_refusal(
        "its key may be shown yet",
        pressed.view.give_back_reservation(story.now),
    );
    story
        .apply(story.view.give_back_reservation(story.now).unwrap())
        .note("given back");
    story.note_refusal("again", story.view.give_back_reservation(story.now));
    insta::assert_snapshot!(story.notes(), @"
    too soon: Unchanged
    its key may be shown yet: Unchanged
    given back: invited; $0 of $20
    again: Unchanged
    ");
}

/// A key that no claim recorded is an orphan after an hour and leaves nothing once it is disabled.
#[test]
fn unrecorded_keys_are_orphans() {
    let made_at = Story::new().now;
    let found = |story: &Story, key| story.orphan(1, key, made_at);
    assert_eq!(
        found(Story::new().after(GRACE), 'a'),
        Err(Unchanged),
        "no claim of this number is known"
    );
    for is_given_up in [false, true] {
        let mut story = Story::new();
        let begun = story.begin(KeyRequestKind::Reveal);
        if is_given_up {
            story.apply(
                story
                    .view
                    .give_up(&begun, None, "no answer", story.now)
                    .unwrap(),
            );
        }
        story.now = made_at + GRACE - 1.second();
        story
            .note_refusal("too young", found(&story, 'a'))
            .after(1.second());
        story.apply(found(&story, 'a').unwrap()).note("found");
        story.note_refusal("again", found(&story, 'a'));
        story
            .note_refusal(
                "recorded",
                story.view.record(&begun, &minted('a'), story.now),
            )
            .disable(1)
            .note("off");
        assert!(found(&story, 'a').is_ok(), "somebody enabled it again");
        insta::allow_duplicates! { insta::assert_snapshot!(story.notes(), @"
        too young: Unchanged
        found: invited, a on; tell a Off; $20 of $20
        again: Unchanged
        recorded: Lost
        off: invited; $20 of $20
        "); }
    }
    // A claim that was doubled makes two keys of one number, of which one is shown.
    let mut doubled = Story::live();
    doubled.after(GRACE);
    doubled.note_refusal("it was shown", found(&doubled, 'a'));
    doubled
        .apply(found(&doubled, 'b').unwrap())
        .note("found")
        .disable(1)
        .note("off");
    insta::assert_snapshot!(doubled.notes(), @"
    it was shown: Unchanged
    found: live, a on, b on; tell b Off; $20 of $20
    off: live, a on; $20 of $20
    ");
}

/// A file is compared with a timeline of two entries; an act on many asks alone whether it was
/// done.
#[test]
fn a_job_leaves_alone_what_was_done_since() {
    let since = Err(ChangeRefused::ChangedSince);
    for (entries, mark, of_file, of_many) in [
        (2, None, Ok(()), Ok(())),
        (3, None, since, Ok(())),
        (3, Some((1, 3)), Ok(()), Err(ChangeRefused::Unchanged)),
        (4, Some((1, 3)), since, Err(ChangeRefused::Unchanged)),
        (3, Some((2, 3)), since, Ok(())),
    ] {
        let job = mark.map(|(job, entries)| JobMark {
            job: Ulid(job),
            entries,
        });
        let mut grant = Grant {
            entries,
            job,
            ..a_view().grant
        };
        let [of, many] = [Some(2), None].map(|compared| OfJob {
            job: Ulid(1),
            compared,
        });
        assert_eq!(
            (grant.lets_act(of), grant.lets_act(many)),
            (of_file, of_many),
            "{entries} {mark:?}"
        );
        assert_eq!(grant.lets_readdress(of), of_file);
        grant.person.address = EmailAddress::none_of(&grant.id);
        let is_its = mark.is_some_and(|(job, _)| job == 1);
        assert_eq!(
            grant.lets_readdress(of).is_ok(),
            is_its || of_file.is_ok(),
            "who lost theirs by the job gets another"
        );
    }
}
