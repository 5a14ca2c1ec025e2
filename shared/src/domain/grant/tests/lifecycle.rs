//! The rules that a person set on a programme: what is announced, when it comes, and what prevents it.

use proptest::prelude::*;

use super::*;
use crate::domain::values::term::Term;

const UNUSED_SOON: Option<Rule> = Some(Rule::Announce(StudentNotice::UnusedSoon));
const TOO_OLD_SOON: Option<Rule> = Some(Rule::Announce(StudentNotice::TooOldSoon));
const TERM_END_SOON: Option<Rule> = Some(Rule::Announce(StudentNotice::TermEndSoon));

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
        story.shown(KeyRequestKind::Reveal, 'a');
        story
    }

    /// One night's run of the rules; each of its mails is sent at once.
    fn night(&mut self, last_used_at: Option<Moment>) -> Option<Rule> {
        self.night_with(last_used_at, sent_at_once)
    }

    fn night_at(&mut self, now: Moment, last_used_at: Option<Moment>) -> Option<Rule> {
        self.now = now;
        self.night(last_used_at)
    }

    fn night_with(
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
        let mails: Vec<_> = rests_on.into_iter().map(|(_, said)| (said, mail(said))).collect();
        self.view.follow_rules(last_used_at, &mails, self.now).ok()
    }
}

/// An unused key is announced a week ahead, then held, and works again after one press.
#[test]
fn an_unused_key_is_held() {
    let mut story = Story::with_rules(Some(30), None);
    let shown = story.now;
    assert_eq!(story.night_at(shown + days(23) - 1.second(), None), None);
    story.now += 1.second();
    let (change, rule) = story.decided(None, sent_at_once).unwrap();
    assert_eq!((rule, change.notice), (Rule::Announce(StudentNotice::UnusedSoon), Some(StudentNotice::UnusedSoon)));
    assert_eq!((change.audit(), change.budget), (None, BudgetChange::None));
    story.apply(change);
    assert_eq!(key(&story, 1).announced[&StudentNotice::UnusedSoon].until, shown + days(30));
    assert_eq!(story.night(None), None, "it is announced once");
    assert_eq!(story.night_at(shown + days(30) - 1.second(), None), None);
    story.now += 1.second();
    let (change, rule) = story.decided(None, sent_at_once).unwrap();
    assert_eq!((rule, change.notice, change.actor.clone()), (Rule::Hold, Some(StudentNotice::Unused), Actor::Rule));
    story.apply(change).disabled(1);
    assert_eq!(story.night(None), None, "it is held already");

    story.apply(story.view.release(HoldKind::Unused, &Actor::Student, story.now).unwrap()).enabled(1);
    assert_eq!(story.after(days(22)).night(None), None, "who resumes has all the days again");
    assert_eq!(story.after(days(1)).night(None), UNUSED_SOON);
}

#[test]
fn any_use_keeps_a_key_even_one_that_costs_nothing() {
    let mut told = Story::with_rules(Some(30), None);
    let shown = told.now;
    assert_eq!(told.night_at(shown + days(23), None), UNUSED_SOON);
    let used = Some(shown + days(25));
    assert_eq!(told.night_at(shown + days(30), used), None, "used since it was announced");
    assert_eq!(told.night_at(shown + days(25 + 23), used), UNUSED_SOON);
    let mut spent = Story::with_rules(Some(30), None);
    spent.after(days(20)).reading(1, 5);
    assert_eq!(spent.after(days(10)).night(None), None, "what it spent says that it was used");
}

/// An old key is announced a week before it is stopped, and its replacement is free from then on.
#[test]
fn an_old_key_is_stopped() {
    let mut story = Story::with_rules(None, Some(60));
    story.view.settings_mut().claims.replacements = 0;
    let shown = story.now;
    assert_eq!(story.night_at(shown + days(53) - 1.second(), None), None);
    assert_eq!(story.refused(KeyRequestKind::Replace), BeginRefused::ReplacementsUsedUp);
    assert_eq!(story.after(1.second()).night(None), TOO_OLD_SOON);
    assert!(story.press(KeyRequestKind::Replace).is_ok(), "who was told to replace it may");
    assert_eq!(story.night_at(shown + days(60) - 1.second(), None), None, "it is announced once");
    assert_eq!(story.after(1.second()).night(None), Some(Rule::Stop));
    assert_eq!(story.view.grant.state, GrantState::Stopped { why: Stopped::TooOld });
    story.shown(KeyRequestKind::Replace, 'b');
    assert_eq!((story.view.grant.replacements, story.night(None)), (0, None));
}

/// A key that is due for rotation within a week is announced at once and keeps its week.
#[test]
fn a_late_rule_gives_a_week() {
    let mut story = Story::with_rules(None, None);
    story.now += days(40);
    story.view.settings_mut().claims.rotate_after_days = Some(3);
    assert_eq!(story.night(None), TOO_OLD_SOON);
    assert_eq!(story.night_at(story.now + days(7) - 1.second(), None), None);
    assert_eq!(story.after(1.second()).night(None), Some(Rule::Stop));
}

/// An end after the term is not announced, and a held or ended grant gets no announcement.
#[test]
fn later_ends_are_not_announced() {
    let mut story = Story::with_rules(Some(99), Some(95));
    assert_eq!(story.night_at(story.view.programme.settings.term.ends_at() - 1.second(), None), TERM_END_SOON);
    assert_eq!(story.night(None), None);
    assert_eq!(story.after(1.second()).night(None), None);
    let mut held = Story::with_rules(Some(30), None);
    held.held(HoldKind::Paused).after(days(40));
    assert_eq!(held.night(None), None);
    held.released(HoldKind::Paused);
    assert_eq!(held.night(None), None, "nobody could use it meanwhile");
}

/// The end of the term is announced once, a week ahead, and again when it was moved.
#[test]
fn a_term_end_is_announced_once() {
    let mut story = Story::with_rules(None, None);
    let term = story.view.programme.settings.term.clone();
    assert_eq!(story.night_at(term.ends_at() - days(7) - 1.second(), None), None);
    story.view.settings_mut().mails.student_mails = false;
    assert_eq!(story.after(1.second()).night(None), None, "no mail may be sent");
    story.view.settings_mut().mails.student_mails = true;
    assert_eq!(story.held(HoldKind::Paused).night(None), None, "the key does not work");
    story.released(HoldKind::Paused);
    assert_eq!(story.night(None), TERM_END_SOON);
    assert_eq!(story.shown(KeyRequestKind::Replace, 'b').night(None), None, "once, and not for each key");

    // The term is extended: the announcement no longer holds, and the new end is announced in its time.
    let longer = term.ends_on().checked_add(30.days()).unwrap();
    story.view.settings_mut().term = Term::new(term.starts_on(), longer, term.timezone()).unwrap();
    assert_eq!((story.view.announced_as(StudentNotice::TermEndSoon), story.night(None)), (None, None));
    assert_eq!(story.night_at(story.view.programme.settings.term.ends_at() - days(7), None), TERM_END_SOON);
}

#[test]
fn who_was_promised_more_days_by_a_changed_rule_is_told_again() {
    let mut story = Story::with_rules(Some(30), None);
    let shown = story.now;
    assert_eq!(story.night_at(shown + days(25), None), UNUSED_SOON);
    story.view.settings_mut().claims.unused_after_days = Some(60);
    assert_eq!(story.night_at(shown + days(40), None), None);
    assert_eq!(story.night_at(shown + days(60), None), UNUSED_SOON);
    story.view.settings_mut().claims.unused_after_days = Some(10);
    assert_eq!(story.night_at(story.now + days(7) - 1.second(), None), None, "a promise is kept");
    assert_eq!(story.after(1.second()).night(None), Some(Rule::Hold));
}

#[test]
fn an_end_that_waits_for_its_mail_keeps_no_other_from_coming() {
    let mut story = Story::with_rules(Some(30), Some(60));
    assert_eq!(story.after(days(23)).night(None), UNUSED_SOON);
    let unused = story.view.announced_as(StudentNotice::UnusedSoon).unwrap();
    story.now += days(34);
    let only_of_age =
        |said: AnnouncedEnd| if said == unused { NoticeDelivery::Waiting } else { NoticeDelivery::SentBy(said.at) };
    assert_eq!(story.night_with(None, only_of_age), TOO_OLD_SOON);
    story.now += days(10);
    let only_of_use =
        |said: AnnouncedEnd| if said == unused { NoticeDelivery::SentBy(said.at) } else { NoticeDelivery::Waiting };
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
            match story.night(used) {
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
