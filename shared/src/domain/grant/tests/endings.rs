//! What keeps a grant from its key for a while or for good: holds, leaks, the end, caps and places; and keys that nobody was shown.

use super::*;
use crate::domain::programme::role::Role;
use crate::domain::values::term::Term;

/// A hold or a revocation while the key is being made keeps it from being shown.
#[test]
fn a_hold_keeps_a_key_unseen() {
    type EndingAct = fn(&mut Story) -> &mut Story;
    let acts: [(EndingAct, RecordRefused, &str); 2] = [
        (|story| story.held(HoldKind::Paused), RecordRefused::Held(HoldKind::Paused), "invited, paused"),
        (Story::revoked, RecordRefused::Revoked, "revoked"),
    ];
    for (act, refused, left) in acts {
        let mut story = Story::new();
        let begun = story.begin(KeyRequestKind::Reveal);
        act(&mut story);
        assert_eq!(story.view.record(&begun, &minted('a'), story.now), Err(refused));
        let given_up = |story: &Story| story.view.give_up(&begun, Some(&minted('a')), left, story.now);
        story.apply(given_up(&story).unwrap());
        assert_eq!((story.view.grant.to_string().as_str(), key(&story, 1).shown_at), (left, None));
        assert_eq!(story.due(1), [Tell::Off]);
        assert_eq!(given_up(&story), Err(Unchanged), "giving up twice changes nothing");
        assert!(story.disabled(1).view.grant.keys.is_empty(), "nothing is left of it");
    }
}

#[test]
fn the_key_is_enabled_when_the_last_hold_comes_off() {
    let mut story = Story::live();
    for kind in [HoldKind::Paused, HoldKind::Dropped] {
        story.held(kind);
        assert_eq!(story.view.hold(kind, &faculty(), None, story.now), Err(ChangeRefused::Unchanged));
    }
    story.disabled(1).released(HoldKind::Paused);
    assert_eq!(story.due(1), [], "it is held still");
    story.released(HoldKind::Dropped);
    assert_eq!(story.due(1), [Tell::On]);
    let again = story.view.release(HoldKind::Dropped, &faculty(), story.now).unwrap_err();
    assert_eq!(again, ChangeRefused::Unchanged);
    story.enabled(1);
    assert_eq!((story.due(1), key(&story, 1).enabled.is(&true)), (Vec::new(), true));
}

/// Extending the term lets people whose grants had ended claim again, and their earlier keys stay ended.
#[test]
fn a_longer_term_reopens_claims() {
    let mut shown = Story::live();
    let mut never = Story::new();
    for story in [&mut shown, &mut never] {
        let term = story.view.programme.settings.term.clone();
        story.now = term.ends_at();
        assert_eq!(story.view.go_on(&faculty(), story.now), Err(Unchanged), "it is over");
        story.apply(story.view.end(&Actor::Rule, story.now).unwrap());
        let longer = term.ends_on().checked_add(30.days()).unwrap();
        story.view.settings_mut().term = Term::new(term.starts_on(), longer, term.timezone()).unwrap();
        let mut erased = story.clone();
        erased.view.grant.person.address = EmailAddress::erased(&erased.view.grant.id);
        assert_eq!(erased.view.go_on(&faculty(), erased.now), Err(Unchanged));
        story.apply(story.view.go_on(&faculty(), story.now).unwrap());
        assert!(!story.view.grant.has_reservation, "the next claim takes it");
    }
    assert_eq!([&shown, &never].map(|story| story.view.grant.to_string()), ["stopped", "invited"]);
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
    assert_eq!(live.view.grant.state, GrantState::Stopped { why: Stopped::TermEnded });
}

#[test]
fn revoked_is_terminal() {
    let mut story = Story::live();
    story.reading(1, 1_000_000);
    story.apply(story.view.revoke(&faculty(), Some("left the university")).unwrap());
    assert_eq!(story.view.budget.reserved, Usd::from_dollars(20), "nobody knows yet what it spent");
    assert_eq!(story.due(1), [Tell::Off]);
    story.disabled(1).read_at_last(1, 18_000_000);
    assert_eq!(story.cost(), Usd::from_dollars(18));
    let view = &story.view;
    let now = story.now;
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::Revoked);
    assert!(view.revoke(&faculty(), None).is_err() && view.end(&Actor::Rule, now).is_err());
    assert!(view.allow(&faculty()).is_err() && view.stop(Stopped::Leaked, &Actor::Student).is_err());
    assert_eq!(view.hold(HoldKind::Paused, &faculty(), None, now), Err(ChangeRefused::Over));
    assert_eq!(view.release(HoldKind::Paused, &faculty(), now), Err(ChangeRefused::Over));
    assert_eq!(view.set_cap(Some(Usd::CENT), &faculty(), None, now), Err(ChangeRefused::Over));
}

/// A grant's personal data is erased once its keys are disabled and read.
#[test]
fn erasure_waits_for_a_reading() {
    let mut story = Story::live();
    let erase = |story: &Story| story.view.erase(&faculty(), story.now);
    assert_eq!(erase(&story), Err(Unchanged), "it goes on");
    story.apply(story.view.end_for_erasure(&faculty()).unwrap());
    assert_eq!(story.view.end_for_erasure(&faculty()), Err(Unchanged), "that is done");
    story.disabled(1);
    assert_eq!(erase(&story), Err(Unchanged), "what it used last is not read");
    story.read_at_last(1, 3_000_000);
    assert_eq!(story.view.end_for_erasure(&faculty()), Err(Unchanged));
    let reserved = story.view.budget.reserved;
    let id = story.view.grant.id.clone();
    story.apply(erase(&story).unwrap());
    let Grant { person, more_request: more, .. } = &story.view.grant;
    assert_eq!((person.address.as_written(), &person.roster_id, more), (&*format!("erased-{id}"), &None, &None));
    assert!(person.name.as_ref().is_none_or(|name| *name == format!("erased-{id}")));
    assert_eq!((story.view.budget.reserved, erase(&story)), (reserved, Err(Unchanged)));
}

/// Whoever was paused alone stays so, though many are paused after that.
#[test]
fn a_single_pause_stays_single() {
    let pause = |role, with_many| Hold::Paused { role, with_many };
    for (pauses, is_single) in [
        (&[pause(Role::Assistant, false)][..], true),
        (&[pause(Role::Faculty, true)], false),
        (&[pause(Role::Assistant, false), pause(Role::Faculty, true)], true),
    ] {
        let mut story = Story::live();
        for hold in pauses {
            story.apply(story.view.hold(*hold, &faculty(), None, story.now).unwrap());
        }
        assert_eq!(story.view.grant.holds.is_paused_singly(), is_single, "{pauses:?}");
    }
}

/// A key reported leaked is to be disabled, and a page from before a replacement ends no newer key.
#[test]
fn a_leaked_key_is_disabled() {
    let mut story = Story::live();
    let change = story.view.stop(Stopped::Leaked, &Actor::Student).unwrap();
    assert_eq!(change.notice, Some(StudentNotice::KeyLeaked));
    story.apply(change);
    assert_eq!(story.due(1), [Tell::Off]);
    assert_eq!(story.view.stop(Stopped::Leaked, &Actor::Student), Err(Unchanged));
    assert_eq!(story.refused(KeyRequestKind::Reveal), BeginRefused::AlreadyShown);
    story.after(1.hour()).shown(KeyRequestKind::Replace, 'b');
    let report = |story: &Story, epoch, actor| story.view.report_leaked(Epoch::new(epoch), &actor);
    assert_eq!(report(&story, 1, Actor::Student), Err(LeakRefused::Replaced));
    // Staff end it by the same transition, in their own name.
    let staff = faculty();
    let change = report(&story, 2, staff.clone()).unwrap();
    assert_eq!((&change.actor, change.notice), (&staff, Some(StudentNotice::KeyLeaked)));
    story.apply(change);
    assert_eq!(story.view.grant.state, GrantState::Stopped { why: Stopped::Leaked });
    assert_eq!(report(&story, 2, Actor::Student), Err(LeakRefused::Reported), "nothing is left to end");
    assert!(!story.view.next_key_counts(story.now), "another is no replacement");
    assert_eq!(report(&Story::new(), 0, faculty()), Err(LeakRefused::NoKey));
}

/// A key that has not been disabled yet can still be reported as leaked.
#[test]
fn an_enabled_key_can_be_reported() {
    let live = Story::live();
    let returned = live.view.hand_back(Epoch::new(1)).unwrap();
    let mut replacing = Story::live();
    let mut handed_back = Story::live();
    replacing.begin(KeyRequestKind::Replace);
    handed_back.apply(returned);
    for mut story in [replacing, handed_back] {
        story.apply(story.view.put_off(story.now).unwrap());
        assert_eq!(story.view.grant.urgency(), Urgency::Disable);
        let mut off = story.clone();
        off.disabled(1);
        assert!(off.view.report_leaked(Epoch::new(1), &Actor::Student).is_err(), "it is off");
        story.apply(story.view.report_leaked(Epoch::new(1), &Actor::Student).unwrap());
        assert_eq!((story.view.grant.urgency(), story.due(1)), (Urgency::Leak, vec![Tell::Off]), "at once");
    }
}

#[test]
fn a_cap_of_ones_own_moves_the_reservation_within_the_budget() {
    let mut story = Story::live();
    story.apply(story.view.set_cap(Some(Usd::from_dollars(100)), &faculty(), None, story.now).unwrap());
    assert_eq!(story.view.budget.reserved, Usd::from_dollars(100));
    let above = story.view.set_cap(Some(Usd::from_micros(100_000_001)), &faculty(), None, story.now);
    assert_eq!(above, Err(ChangeRefused::BudgetExhausted));
    let lower = story.view.set_cap(None, &faculty(), None, story.now).unwrap();
    assert_eq!(lower.notice, Some(StudentNotice::CapChanged));
    story.apply(lower);
    assert_eq!((story.cost(), story.view.budget.reserved), (Usd::from_dollars(20), Usd::from_dollars(100)));
    let same = story.view.set_cap(Some(Usd::from_dollars(20)), &faculty(), None, story.now).unwrap();
    assert_eq!(same.notice, None, "the cap was that before");
    assert_eq!(story.view.set_cap(None, &faculty(), None, story.now), Err(ChangeRefused::Unchanged));
}

/// A reservation that was never used is freed once the claim window has closed.
#[test]
fn unused_reservations_end() {
    let mut story = Story::new();
    let begun = story.begin(KeyRequestKind::Reveal);
    story.apply(story.view.give_up(&begun, None, "no answer", story.now).unwrap());
    assert_eq!(story.view.give_back_reservation(story.now), Err(Unchanged));
    story.now = story.view.programme.settings.claim_closes_at();
    let mut pressed = Story { now: story.now - 1.second(), ..story.clone() };
    pressed.begin(KeyRequestKind::Reveal);
    assert_eq!(pressed.view.give_back_reservation(story.now), Err(Unchanged), "its key may be shown yet");
    story.apply(story.view.give_back_reservation(story.now).unwrap());
    assert_eq!(story.cost(), Usd::ZERO);
    assert_eq!(story.view.give_back_reservation(story.now), Err(Unchanged));
}

/// A key that no claim recorded is an orphan after an hour and leaves nothing once it is disabled.
#[test]
fn unrecorded_keys_are_orphans() {
    let made_at = Story::new().now;
    assert_eq!(Story::new().after(GRACE).orphan(1, 'a', made_at), Err(Unchanged), "no claim of this number is known");
    let mut shown = Story::live();
    assert_eq!(shown.after(GRACE).orphan(1, 'a', made_at), Err(Unchanged), "it was shown");
    for is_given_up in [false, true] {
        let mut story = Story::new();
        let begun = story.begin(KeyRequestKind::Reveal);
        if is_given_up {
            story.apply(story.view.give_up(&begun, None, "no answer", story.now).unwrap());
        }
        story.now = story.now + GRACE - 1.second();
        assert_eq!(story.orphan(1, 'a', made_at), Err(Unchanged));
        story.now += 1.second();
        story.apply(story.orphan(1, 'a', made_at).unwrap());
        assert_eq!((&story.view.grant.state, story.due(1)), (&GrantState::Invited, vec![Tell::Off]));
        assert_eq!(story.orphan(1, 'a', made_at), Err(Unchanged));
        assert_eq!(story.view.record(&begun, &minted('a'), story.now), Err(RecordRefused::Lost));
        assert!(story.disabled(1).view.grant.keys.is_empty());
        assert!(story.orphan(1, 'a', made_at).is_ok(), "somebody enabled it again");
    }
    // A claim that was doubled makes two keys of one number, of which one is shown.
    let mut doubled = Story::live();
    doubled.after(GRACE);
    doubled.apply(doubled.orphan(1, 'b', made_at).unwrap());
    assert_eq!(doubled.view.grant.live().map(|live| &live.hash), Some(&hash('a')));
    assert_eq!(doubled.cost(), Usd::from_dollars(20));
    let ends = doubled.call(1, |tell| *tell == Tell::Off);
    assert_eq!(ends.key, hash('b'));
    assert_eq!(doubled.disabled(1).view.grant.keys.len(), 1);
}

/// A file is compared with a timeline of two entries; an act on many asks alone whether it was done.
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
        let job = mark.map(|(job, entries)| JobMark { job: Ulid(job), entries });
        let mut grant = Grant { entries, job, ..a_view().grant };
        let [of, many] = [Some(2), None].map(|compared| OfJob { job: Ulid(1), compared });
        assert_eq!((grant.lets_act(of), grant.lets_act(many)), (of_file, of_many), "{entries} {mark:?}");
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
