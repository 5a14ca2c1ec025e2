//! The rules that a person set on a programme: what is announced, when it comes, and what prevents
//! it.

use proptest::prelude::*;

use super::*;
use crate::domain::values::term::Term;

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn sent_at_once(said: AnnouncedEnd) -> NoticeDelivery {
    NoticeDelivery::SentBy(said.at)
}

impl Story {
    fn with_rules(unused: Option<u16>, rotate: Option<u16>) -> Story {
        let mut story = Story::new();
        story.view.settings_mut().claims.unused_after_days = unused;
        story.view.settings_mut().claims.rotate_after_days = rotate;
        story.show(KeyRequestKind::Reveal, 'a');
        story
    }

    /// One night's run of the rules, noted by its time; each of its mails is sent at once.
    fn night(&mut self, last_used_at: Option<Moment>) -> &mut Story {
        let rule = self.follow_rules(last_used_at, sent_at_once);
        self.notes.push(format!("{}: {rule:?}", self.now));
        self
    }

    fn night_at(&mut self, now: Moment, last_used_at: Option<Moment>) -> &mut Story {
        self.now = now;
        self.night(last_used_at)
    }

    fn follow_rules(
        &mut self,
        last_used_at: Option<Moment>,
        mail: impl Fn(AnnouncedEnd) -> NoticeDelivery,
    ) -> Option<Rule> {
        let (change, rule) = self.decided(last_used_at, mail)?;
        self.apply(change);
        Some(rule)
    }

    fn decided(
        &self,
        last_used_at: Option<Moment>,
        mail: impl Fn(AnnouncedEnd) -> NoticeDelivery,
    ) -> Option<(Change, Rule)> {
        let rests_on = self.view.rests_on(last_used_at, self.now);
        let mails: Vec<_> = rests_on
            .into_iter()
            .map(|(_, said)| (said, mail(said)))
            .collect();
        self.view.follow_rules(last_used_at, &mails, self.now).ok()
    }
}

/// An unused key is announced a week ahead, then held, and works again after one press.
#[test]
fn an_unused_key_is_held() {
    let mut story = Story::with_rules(Some(30), None);
    let shown = story.now;
    let decide = |story: &Story| story.decided(None, sent_at_once).unwrap().0;
    story
        .night_at(shown + days(23) - 1.second(), None)
        .after(1.second());
    let soon = decide(&story);
    assert_eq!(
        (soon.notice, soon.audit(), soon.budget),
        (Some(StudentNotice::UnusedSoon), None, BudgetChange::None)
    );
    story
        .night(None)
        .night(None)
        .night_at(shown + days(30) - 1.second(), None)
        .after(1.second());
    assert_eq!(
        key(&story, 1).announced[&StudentNotice::UnusedSoon].until,
        story.now
    );
    let held = decide(&story);
    assert_eq!(
        (held.notice, held.actor),
        (Some(StudentNotice::Unused), Actor::Rule)
    );
    story
        .night(None)
        .disable(1)
        .night(None)
        .release(HoldKind::Unused)
        .enable(1)
        .note("resumed, with all its days");
    insta::assert_snapshot!(story.after(days(22)).night(None).after(days(1)).night(None).notes(), @"
    2026-01-24T00:59:59Z: None
    2026-01-24T01:00:00Z: Some(Announce(UnusedSoon))
    2026-01-24T01:00:00Z: None
    2026-01-31T00:59:59Z: None
    2026-01-31T01:00:00Z: Some(Hold)
    2026-01-31T01:00:00Z: None
    resumed, with all its days: live, a on; $20 of $20
    2026-02-22T01:00:00Z: None
    2026-02-23T01:00:00Z: Some(Announce(UnusedSoon))
    ");
}

#[test]
fn any_use_keeps_a_key_even_one_that_costs_nothing() {
    let mut unused = Story::with_rules(Some(30), None);
    let shown = unused.now;
    let used = Some(shown + days(25));
    unused
        .night_at(shown + days(23), None)
        .night_at(shown + days(30), used)
        .night_at(shown + days(25 + 23), used);
    let mut spent = Story::with_rules(Some(30), None);
    spent.after(days(20)).read(1, 5).after(days(10)).night(None);
    insta::assert_snapshot!(join_notes(&[unused, spent]), @"
    2026-01-24T01:00:00Z: Some(Announce(UnusedSoon))
    2026-01-31T01:00:00Z: None
    2026-02-18T01:00:00Z: Some(Announce(UnusedSoon))

    2026-01-31T01:00:00Z: None
    ");
}

/// An old key is announced a week before it is stopped, and its replacement is free from then on.
#[test]
fn an_old_key_is_stopped() {
    let mut story = Story::with_rules(None, Some(60));
    story.view.settings_mut().claims.replacements = 0;
    let shown = story.now;
    story
        .night_at(shown + days(53) - 1.second(), None)
        .press_in_vain(KeyRequestKind::Replace);
    story
        .after(1.second())
        .night(None)
        .clone()
        .begin(KeyRequestKind::Replace);
    story
        .night_at(shown + days(60) - 1.second(), None)
        .after(1.second())
        .night(None)
        .note("stopped");
    story.show(KeyRequestKind::Replace, 'b').night(None);
    insta::assert_snapshot!(story.notes(), @"
    2026-02-23T00:59:59Z: None
    Replace: ReplacementsUsedUp
    2026-02-23T01:00:00Z: Some(Announce(TooOldSoon))
    2026-03-02T00:59:59Z: None
    2026-03-02T01:00:00Z: Some(Stop)
    stopped: stopped (TooOld), a on; tell a Off; $20 of $20
    2026-03-02T01:00:00Z: None
    ");
    assert_eq!(story.view.grant.replacements, 0);
}

/// A key that is due for rotation within a week is announced at once and keeps its week.
#[test]
fn a_late_rule_gives_a_week() {
    let mut story = Story::with_rules(None, None);
    story.now += days(40);
    story.view.settings_mut().claims.rotate_after_days = Some(3);
    story
        .night(None)
        .after(days(7) - SignedDuration::from_secs(1))
        .night(None)
        .after(1.second())
        .night(None);
    insta::assert_snapshot!(story.notes(), @"
    2026-02-10T01:00:00Z: Some(Announce(TooOldSoon))
    2026-02-17T00:59:59Z: None
    2026-02-17T01:00:00Z: Some(Stop)
    ");
}

/// An end after the term is not announced, and a held or ended grant gets no announcement.
#[test]
fn later_ends_are_not_announced() {
    let mut late = Story::with_rules(Some(99), Some(95));
    let end = late.view.programme.settings.term.ends_at();
    late.night_at(end - 1.second(), None)
        .night(None)
        .after(1.second())
        .night(None);
    let mut held = Story::with_rules(Some(30), None);
    // Nobody could use it meanwhile.
    held.hold(HoldKind::Paused)
        .after(days(40))
        .night(None)
        .release(HoldKind::Paused)
        .night(None);
    insta::assert_snapshot!(join_notes(&[late, held]), @"
    2026-04-10T23:59:59Z: Some(Announce(TermEndSoon))
    2026-04-10T23:59:59Z: None
    2026-04-11T00:00:00Z: None

    2026-02-10T01:00:00Z: None
    2026-02-10T01:00:00Z: None
    ");
}

/// The end of the term is announced once, a week ahead, and again when it was moved.
#[test]
fn a_term_end_is_announced_once() {
    let mut story = Story::with_rules(None, None);
    let term = story.view.programme.settings.term.clone();
    story
        .night_at(term.ends_at() - days(7) - 1.second(), None)
        .view
        .settings_mut()
        .mails
        .student_mails = false;
    story
        .after(1.second())
        .night(None)
        .view
        .settings_mut()
        .mails
        .student_mails = true;
    story
        .hold(HoldKind::Paused)
        .night(None)
        .release(HoldKind::Paused)
        .night(None);
    // Once, and not for each key.
    story.show(KeyRequestKind::Replace, 'b').night(None);
    // The term is extended: the announcement no longer holds, and the new end is announced in its
    // time.
    let longer = term.ends_on().checked_add(30.days()).unwrap();
    story.view.settings_mut().term = Term::new(term.starts_on(), longer, term.timezone()).unwrap();
    assert_eq!(
        story.view.end_announced_by(StudentNotice::TermEndSoon),
        None
    );
    let ends = story.view.programme.settings.term.ends_at();
    insta::assert_snapshot!(story.night(None).night_at(ends - days(7), None).notes(), @"
    2026-04-03T23:59:59Z: None
    2026-04-04T00:00:00Z: None
    2026-04-04T00:00:00Z: None
    2026-04-04T00:00:00Z: Some(Announce(TermEndSoon))
    2026-04-04T00:00:00Z: None
    2026-04-04T00:00:00Z: None
    2026-05-04T00:00:00Z: Some(Announce(TermEndSoon))
    ");
}

/// More days by a changed rule are announced again, and a promise is kept.
#[test]
fn a_changed_rule_is_told_again() {
    let mut story = Story::with_rules(Some(30), None);
    let shown = story.now;
    story
        .night_at(shown + days(25), None)
        .view
        .settings_mut()
        .claims
        .unused_after_days = Some(60);
    story
        .night_at(shown + days(40), None)
        .night_at(shown + days(60), None);
    story.view.settings_mut().claims.unused_after_days = Some(10);
    story
        .night_at(shown + days(67) - 1.second(), None)
        .after(1.second())
        .night(None);
    insta::assert_snapshot!(story.notes(), @"
    2026-01-26T01:00:00Z: Some(Announce(UnusedSoon))
    2026-02-10T01:00:00Z: None
    2026-03-02T01:00:00Z: Some(Announce(UnusedSoon))
    2026-03-09T00:59:59Z: None
    2026-03-09T01:00:00Z: Some(Hold)
    ");
}

#[test]
fn an_end_that_waits_for_its_mail_keeps_no_other_from_coming() {
    let mut story = Story::with_rules(Some(30), Some(60));
    let unused = story
        .after(days(23))
        .night(None)
        .view
        .end_announced_by(StudentNotice::UnusedSoon)
        .unwrap();
    story.now += days(34);
    let only_of_age = |said: AnnouncedEnd| {
        if said == unused {
            NoticeDelivery::Waiting
        } else {
            NoticeDelivery::SentBy(said.at)
        }
    };
    assert_eq!(
        story.follow_rules(None, only_of_age),
        Some(Rule::Announce(StudentNotice::TooOldSoon))
    );
    story.now += days(10);
    let only_of_use = |said: AnnouncedEnd| {
        if said == unused {
            NoticeDelivery::SentBy(said.at)
        } else {
            NoticeDelivery::Waiting
        }
    };
    assert_eq!(story.decided(None, only_of_age).unwrap().1, Rule::Stop);
    assert_eq!(story.decided(None, only_of_use).unwrap().1, Rule::Hold);
}

proptest! {
    /// Nothing ends sooner than it was announced, whichever nightly runs were missed.
    #[test]
    fn nothing_ends_unannounced(
        unused in prop::option::of(1_u16..70), rotate in prop::option::of(1_u16..70),
        nights in prop::collection::vec((1_i64..600, any::<bool>()), 1..40),
    ) {
        let mut story = Story::with_rules(unused, rotate);
        let mut told = Vec::new();
        let mut used = None;
        for (hours, uses) in nights {
            story.now += SignedDuration::from_hours(hours);
            if uses {
                used = Some(story.now - SignedDuration::from_mins(5));
            }
            let before = story.view.grant.live().map(|live| live.announced.clone());
            match story.follow_rules(used, sent_at_once) {
                None => continue,
                Some(Rule::Announce(what)) => {
                    prop_assert!(!told.contains(&(what, used)), "announced twice");
                    told.push((what, used));
                }
                Some(Rule::Hold) => {
                    let announced = before.unwrap()[&StudentNotice::UnusedSoon];
                    prop_assert!(story.now >= announced.at + days(7) && story.now >= announced.until);
                    prop_assert!(used.is_none_or(|used| story.now >= used + days(i64::from(unused.unwrap()))));
                    return Ok(());
                }
                Some(Rule::Stop) => {
                    let announced = before.unwrap()[&StudentNotice::TooOldSoon];
                    prop_assert!(story.now >= announced.at + days(7) && story.now >= announced.until);
                    return Ok(());
                }
                Some(Rule::Expire) => prop_assert!(false, "the term was not extended"),
            }
            prop_assert_eq!(story.decided(used, sent_at_once).map(|(_, rule)| rule).filter(|rule| {
                told.iter().any(|(what, at)| *rule == Rule::Announce(*what) && *at == used)
            }), None);
        }
    }
}
