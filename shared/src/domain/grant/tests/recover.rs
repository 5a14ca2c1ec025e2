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
    hash(char::from_digit(epoch, 16).unwrap())
}

impl Story {
    fn recover(&mut self, found: &[RecoveredKey]) -> &mut Story {
        let change = self.view.recover(found, self.now).unwrap();
        assert_eq!(change.audit().unwrap().act, Act::Recovered);
        let is_another = change
            .grant
            .live()
            .is_some_and(|live| Some(live.epoch) != self.view.grant.live().map(|live| live.epoch));
        assert_eq!(
            change.notice,
            is_another.then_some(StudentNotice::KeyShown),
            "who has another key by now hears of it"
        );
        self.apply(change);
        assert_eq!(
            self.view.recover(found, self.now),
            Err(Unchanged),
            "once is enough"
        );
        self
    }
}

/// Each listing leads to a state, calls and a cost.
#[test]
fn a_listing_is_taken_in() {
    let mut full = Story::new();
    full.view.budget_mut().reserved = Usd::from_dollars(95);
    let mut claiming = Story::new();
    claiming.begin(KeyRequestKind::Reveal);
    let known = |enabled| RecoveredKey {
        hash: hash('a'),
        ..found(1, enabled)
    };
    let cases = [
        (
            "the newest key",
            full,
            vec![found(1, false), found(2, true), found(3, true)],
        ),
        ("a key of an open claim", claiming, vec![found(1, true)]),
        (
            "a key of an older claim",
            Story::new().fail().fail().clone(),
            vec![found(1, true)],
        ),
        (
            "ended since the backup",
            Story::new(),
            vec![found(1, false)],
        ),
        (
            "replaced and ended",
            Story::live(),
            vec![known(false), found(2, false)],
        ),
        (
            "replaced, and works",
            Story::live(),
            vec![known(true), found(2, false)],
        ),
        ("a newer key is off", Story::live(), vec![found(2, false)]),
        (
            "revoked",
            Story::new().revoke().clone(),
            vec![found(1, true)],
        ),
        (
            "held",
            Story::new().hold(HoldKind::Paused).clone(),
            vec![found(1, true)],
        ),
    ];
    let notes = cases.map(|(words, mut story, listed)| {
        let ends = story.view.find_ended_by_recovery(&listed).len();
        let reserves = story.recover(&listed).view.grant.has_reservation;
        let note = story.note(words).notes();
        let Grant { epoch, stage, .. } = &story.view.grant;
        format!(
            "{note}; epoch {}, {stage:?}, reserves: {reserves}, ends {ends}",
            epoch.number()
        )
    });
    insta::assert_snapshot!(notes.join("\n"), @"
    the newest key: live, 1 off, 2 on, 3 on; tell 2 Off; $20 of $115; epoch 3, Claimed, reserves: true, ends 1
    a key of an open claim: live, 1 on; $20 of $20; epoch 1, Claimed, reserves: true, ends 0
    a key of an older claim: stopped (GoneAtProvider), 1 on; tell 1 Off; $20 of $20; epoch 2, Claimed, reserves: true, ends 1
    ended since the backup: stopped, paused (GoneAtProvider), 1 off; $0 of $0; epoch 1, Claimed, reserves: false, ends 0
    replaced and ended: stopped, paused (GoneAtProvider), a on, 2 off; tell a Off; $20 of $20; epoch 2, Claimed, reserves: true, ends 0
    replaced, and works: live, a on, 2 off; $20 of $20; epoch 2, Claimed, reserves: true, ends 0
    a newer key is off: live, a on, 2 off; $20 of $20; epoch 2, Claimed, reserves: true, ends 0
    revoked: revoked, 1 on; tell 1 Off; $20 of $20; epoch 1, Claimed, reserves: false, ends 0
    held: live, paused, 1 on; tell 1 Off; $20 of $20; epoch 1, Claimed, reserves: true, ends 0
    ");
}

/// A recovered grant goes on like any other: no number is used twice, and no claim from before is
/// recorded.
#[test]
fn recovered_grants_go_on() {
    let mut newer = Story::live();
    newer.recover(&[found(2, false)]).clone().leak();
    assert_eq!(newer.begin(KeyRequestKind::Replace).epoch, Epoch::new(3));
    let mut ended = Story::new();
    ended
        .recover(&[found(1, false)])
        .release(HoldKind::Paused)
        .show(KeyRequestKind::Replace, 'b');
    let mut held = Story::new();
    held.hold(HoldKind::Paused)
        .recover(&[found(1, true)])
        .disable(1);
    assert_eq!(held.release(HoldKind::Paused).due(1), [Tell::On]);
    let mut open = Story::new();
    let begun = open.begin(KeyRequestKind::Reveal);
    open.recover(&[found(1, true)]);
    assert_eq!(
        open.view.record(&begun, &minted('b'), open.now),
        Err(RecordRefused::Lost)
    );
}

/// What a student ends in a copy of the table that does not know their newest key ends that key
/// too, whichever it is. A key that was made after the student ended another works on.
#[test]
fn a_key_that_its_student_ended_stays_ended() {
    for why in [Stopped::Leaked, Stopped::Returned] {
        let mut story = Story::live();
        story.after(1.hour());
        let change = story.view.stop(why, &Actor::Student).unwrap();
        story.apply(change);
        let since = story.view.grant.state_since.unwrap();
        let before = RecoveredKey {
            made_at: since - SignedDuration::from_secs(1),
            ..found(2, true)
        };
        let after = RecoveredKey {
            made_at: since + SignedDuration::from_secs(1),
            ..found(2, true)
        };
        assert_eq!(
            story
                .view
                .find_ended_by_recovery(std::slice::from_ref(&before))
                .len(),
            0,
            "the student ended it"
        );
        let mut replaced = story.clone();
        story.recover(&[before]);
        assert_eq!(
            story.view.grant.to_string(),
            "stopped",
            "nobody has to look at it first: {why:?}"
        );
        assert_eq!(story.due(2), [Tell::Off]);
        replaced.recover(&[after]);
        assert_eq!(
            replaced.view.grant.state,
            GrantState::Live { key: key_of(2) }
        );
    }
}

#[test]
fn what_the_table_knows_is_not_recovered() {
    let mut story = Story::live();
    story.after(1.hour()).show(KeyRequestKind::Replace, 'b');
    let recovered = |listed: &[RecoveredKey]| story.view.recover(listed, story.now);
    let known = RecoveredKey {
        hash: hash('b'),
        ..found(2, true)
    };
    assert_eq!(
        [recovered(&[known]), recovered(&[])],
        [Err(Unchanged), Err(Unchanged)]
    );
    let second = [found(1, true), found(2, true)];
    assert_eq!(
        recovered(&second),
        Err(Unchanged),
        "another key of its claim was shown"
    );
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
            story.show(KeyRequestKind::Reveal, 'a');
        }
        if held {
            story.hold(HoldKind::Paused);
        }
        if over {
            story.revoke();
        }
        let was_live = story.view.grant.live().map(|live| live.epoch).filter(|_| !held);
        let listed: Vec<RecoveredKey> = listed.into_iter().map(|(epoch, enabled)| found(epoch, enabled)).collect();
        let ends = story.view.find_ended_by_recovery(&listed).len();
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
