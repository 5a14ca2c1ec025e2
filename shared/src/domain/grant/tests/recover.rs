//! Recovery after a restore: keys are recorded as found, and the newest enabled one becomes live.

use proptest::prelude::*;

use super::*;
use crate::domain::audit::Act;

fn found(epoch: u32, enabled: bool) -> RecoveredKey {
    RecoveredKey {
        epoch: Epoch::new(epoch),
        hash: key_of(epoch),
        label: None,
        enabled,
        limit: Some(Usd::from_dollars(20)),
        made_at: "2026-01-01T02:00:00Z".parse().unwrap(),
    }
}

fn key_of(epoch: u32) -> KeyHash {
    format!("{epoch:064x}").parse().unwrap()
}

impl Story {
    fn recover(&mut self, found: &[RecoveredKey]) -> &mut Story {
        let change = self.view.recover(found, self.now).unwrap();
        assert_eq!(change.audit().unwrap().act, Act::Recovered);
        let is_another =
            change.grant.live().is_some_and(|live| Some(live.epoch) != self.view.grant.live().map(|live| live.epoch));
        assert_eq!(
            change.notice,
            is_another.then_some(StudentNotice::KeyShown),
            "who has another key by now hears of it"
        );
        self.apply(change);
        assert_eq!(self.view.recover(found, self.now), Err(Unchanged), "once is enough");
        self
    }
}

/// The newest working key becomes live and takes a reservation, even when the budget has no room.
#[test]
fn the_newest_key_becomes_live() {
    let mut story = Story::new();
    story.view.budget_mut().reserved = Usd::from_dollars(95);
    let listed = [found(1, false), found(2, true), found(3, true)];
    assert_eq!(story.view.ended_by_recovery(&listed).len(), 1);
    story.recover(&listed);
    assert_eq!(story.view.grant.state, GrantState::Live { key: key_of(3) });
    assert_eq!((story.view.grant.epoch, story.view.grant.stage.has_claimed()), (Epoch::new(3), true));
    assert_eq!(story.view.budget.reserved, Usd::from_dollars(115), "what can be spent is counted");
    assert_eq!([1, 2, 3].map(|epoch| story.due(epoch)), [vec![], vec![Tell::Off], vec![]]);
}

#[test]
fn keys_that_do_not_work_are_recorded_and_the_live_one_stays() {
    let mut story = Story::live();
    story.recover(&[found(2, false)]);
    assert_eq!(story.view.grant.state, GrantState::Live { key: hash('a') });
    assert_eq!(story.due(1), []);
    assert!(
        story.view.report_leaked(story.view.grant.epoch, &Actor::Student).is_ok(),
        "the page's epoch is the newer one"
    );
    let begun = story.begin(KeyRequestKind::Replace);
    assert_eq!(begun.epoch, Epoch::new(3), "no number is used twice");

    let old = RecoveredKey { hash: hash('a'), ..found(1, true) };
    let mut replaced = Story::live();
    replaced.recover(&[old, found(2, false)]);
    assert_eq!(replaced.view.grant.to_string(), "live", "whatever ended the newer key, this one works");
}

/// A grant whose last key was ended since the backup is paused until somebody has reviewed it.
#[test]
fn an_end_since_backup_pauses() {
    let mut invited = Story::new();
    invited.recover(&[found(1, false)]);
    assert_eq!(invited.view.grant.to_string(), "stopped, paused");
    assert!(!invited.view.grant.has_reservation);
    invited.released(HoldKind::Paused).shown(KeyRequestKind::Replace, 'b');

    let mut live = Story::live();
    let ended = RecoveredKey { hash: hash('a'), ..found(1, false) };
    live.recover(&[ended, found(2, false)]);
    assert_eq!(live.view.grant.to_string(), "stopped, paused");
}

/// A key of a claim that is still open in a restored copy counts as shown.
#[test]
fn open_claim_keys_are_shown() {
    let mut story = Story::new();
    let begun = story.begin(KeyRequestKind::Reveal);
    let listed = [found(1, true)];
    story.recover(&listed);
    assert_eq!(story.view.grant.state, GrantState::Live { key: key_of(1) });
    assert_eq!(story.view.budget.reserved, Usd::from_dollars(20));
    assert_eq!(story.view.record(&begun, &minted('b'), story.now), Err(RecordRefused::Lost));
}

/// A key of a claim before the last one is recorded and does not become live.
#[test]
fn old_claim_keys_are_not_live() {
    let mut story = Story::new();
    for _ in 0..2 {
        let begun = story.begin(KeyRequestKind::Reveal);
        story.apply(story.view.give_up(&begun, None, "no answer", story.now).unwrap());
    }
    story.recover(&[found(1, true)]);
    assert_eq!(story.view.grant.state, GrantState::Stopped { why: Stopped::GoneAtProvider });
    assert_eq!(story.due(1), [Tell::Off]);
}

/// No key becomes live when the grant is over, and the key of a held grant is to be disabled.
#[test]
fn an_ended_grant_stays_ended() {
    let mut revoked = Story::new();
    revoked.revoked();
    assert_eq!(revoked.view.ended_by_recovery(&[found(1, true)]).len(), 0, "a person ended it");
    revoked.recover(&[found(1, true)]);
    assert_eq!(revoked.view.grant.state, GrantState::Revoked);
    assert!(!revoked.view.grant.has_reservation, "its cap is promised to nobody");
    assert_eq!(revoked.view.budget.reserved, Usd::from_dollars(20), "and what it can spend until it is off is counted");
    assert_eq!(revoked.due(1), [Tell::Off]);

    let mut held = Story::new();
    held.held(HoldKind::Paused).recover(&[found(1, true)]);
    assert_eq!(held.view.grant.to_string(), "live, paused");
    assert_eq!(held.due(1), [Tell::Off]);
    assert_eq!(held.disabled(1).released(HoldKind::Paused).due(1), [Tell::On]);
}

/// What a student ends in a copy of the table that does not know their newest key ends that key too, whichever it is. A key that was made
/// after the student ended another works on.
#[test]
fn a_key_that_its_student_ended_stays_ended() {
    for why in [Stopped::Leaked, Stopped::Returned] {
        let mut story = Story::live();
        story.after(1.hour());
        let change = story.view.stop(why, &Actor::Student).unwrap();
        story.apply(change);
        let since = story.view.grant.state_since.unwrap();
        let before = RecoveredKey { made_at: since - SignedDuration::from_secs(1), ..found(2, true) };
        let after = RecoveredKey { made_at: since + SignedDuration::from_secs(1), ..found(2, true) };
        assert_eq!(story.view.ended_by_recovery(std::slice::from_ref(&before)).len(), 0, "the student ended it");
        let mut replaced = Story { view: story.view.clone(), now: story.now };
        story.recover(&[before]);
        assert_eq!(story.view.grant.to_string(), "stopped", "nobody has to look at it first: {why:?}");
        assert_eq!(story.due(2), [Tell::Off]);
        replaced.recover(&[after]);
        assert_eq!(replaced.view.grant.state, GrantState::Live { key: key_of(2) });
    }
}

#[test]
fn what_the_table_knows_is_not_recovered() {
    let mut story = Story::live();
    story.after(1.hour()).shown(KeyRequestKind::Replace, 'b');
    let recovered = |listed: &[RecoveredKey]| story.view.recover(listed, story.now);
    let known = RecoveredKey { hash: hash('b'), ..found(2, true) };
    assert_eq!([recovered(&[known]), recovered(&[])], [Err(Unchanged), Err(Unchanged)]);
    let second = [found(1, true), found(2, true)];
    assert_eq!(recovered(&second), Err(Unchanged), "another key of its claim was shown");
}

proptest! {
    /// Whatever is found, at most one key stays enabled, and it is the newest.
    #[test]
    fn only_the_newest_key_is_on(
        listed in prop::collection::btree_map(1_u32..8, any::<bool>(), 1..6),
        claimed in any::<bool>(), held in any::<bool>(), over in any::<bool>(),
    ) {
        let mut story = Story::new();
        if claimed {
            story.shown(KeyRequestKind::Reveal, 'a');
        }
        if held {
            story.held(HoldKind::Paused);
        }
        if over {
            story.revoked();
        }
        let was_live = story.view.grant.live().map(|live| live.epoch).filter(|_| !held);
        let listed: Vec<RecoveredKey> = listed.into_iter().map(|(epoch, enabled)| found(epoch, enabled)).collect();
        let ends = story.view.ended_by_recovery(&listed).len();
        let Ok(change) = story.view.recover(&listed, story.now) else { return Ok(()) };
        story.apply(change);
        let grant = &story.view.grant;
        let enabled: Vec<Epoch> =
            grant.usable().into_iter().filter(|live| live.enabled.is(&true)).map(|live| live.epoch).collect();
        let to_end = grant.keys.iter().filter(|of| of.enabled.is(&true) && Some(*of) != grant.usable());
        prop_assert!(to_end.into_iter().all(|of| story.due(of.epoch.number()) == [Tell::Off]));
        let newer = listed.iter().filter(|found| found.enabled && (!claimed || found.epoch > Epoch::new(1)));
        let newest = newer.clone().map(|found| found.epoch).max().or(was_live);
        let expected: Vec<Epoch> = newest.into_iter().filter(|_| !held && !over).collect();
        prop_assert_eq!(&enabled, &expected);
        prop_assert_eq!(ends, if held || over { 0 } else { newer.count().saturating_sub(1) });
        prop_assert!(grant.keys.is_sorted_by(|one, next| one.epoch < next.epoch));
        prop_assert_eq!(grant.keys.last().map(|last| last.epoch), Some(grant.epoch));
        prop_assert_eq!(grant.state == GrantState::Revoked, over);
        prop_assert_eq!(grant.has_reservation, !over && (claimed || newest.is_some() || listed.iter().any(|found| found.enabled)));
    }
}
