//! The student's words for each state and each hold.

mod story;

use std::sync::Arc;

use bursar_core::domain::grant::{Answered, NextGuardrail, Stopped};
use bursar_core::domain::held::Held;
use bursar_core::domain::values::window::Reset;
use jiff::ToSpan;

use self::story::Story;

use super::*;
use crate::tests::{at, settings_mut};

/// The words and buttons of each, a line each.
fn briefs<const N: usize>(stories: [Story; N]) -> String {
    stories.map(|story| story.brief()).join("\n")
}

#[test]
fn before_the_claim_window_in_it_and_after_it() {
    let window = |view: &mut View| {
        settings_mut(view).claims.claim_opens_at = Some(at("2026-11-21T08:00:00Z"));
        settings_mut(view).claims.claim_closes_at = Some(at("2026-11-30T23:00:00Z"));
        settings_mut(view).texts.contact = Some("Room 12".to_owned());
    };
    let late = Story::new().set(window).after(480.hours());
    assert!(
        late.reads().ends_with("Questions: Room 12") && late.money().is_empty(),
        "{}",
        late.reads()
    );
    let stories = [
        Story::new().set(window),
        Story::new().set(window).after(48.hours()),
        late,
    ];
    insta::assert_snapshot!(briefs(stories), @"
    no key yet: Keys can be claimed from 21 Nov 2026, 09:00 (Europe/Berlin).
    no key yet: Your key is made when you press the button, and shown to you once. You can do that until the end of 30 Nov 2026. [Reveal my key]
    no key yet: The time to claim a key in this programme is over. Ask Room 12.
    ");
    insta::assert_snapshot!(Story::new().reads(), @"
    CS pilot
    no key yet
    Your key is made when you press the button, and shown to you once.
    Left: $20
    Used: $0
    Cap: $20 for the whole term, until the end of 6 Feb 2027
    Times are in Europe/Berlin.
    [Reveal my key]
    Your key is shown only once. Have your password manager ready.
    ");
}

#[test]
fn terms_in_a_sentence_in_a_link_and_at_length() {
    let terms = |text: &str| {
        let text = text.to_owned();
        Story::new()
            .set(|view| settings_mut(view).texts.terms = Some(text))
            .reads()
    };
    assert!(terms("Be kind.").contains("\nI accept the terms: Be kind.\n[Reveal my key]\n"));
    assert!(
        terms("https://uni.example/terms")
            .contains("I accept the terms: https://uni.example/terms")
    );
    assert!(
        terms("Be kind.\nBe brief.")
            .contains("Be kind. Be brief.\nI accept the terms\n[Reveal my key]")
    );
}

#[test]
fn while_another_is_making_the_key_and_once_its_time_is_over() {
    let minting = || Story::new().begun(KeyRequestKind::Reveal).0;
    let stories = [minting().after(5.seconds()), minting().after(2.minutes())];
    insta::assert_snapshot!(briefs(stories), @"
    being made: Your key is being made. If no page has shown it to you after a minute, reload this page and press the button again.
    no key yet: The last attempt to make your key was interrupted. Nothing was spent; press again. [Reveal my key]
    ");
}

/// A working key is shown before anything was read, after a reading, and with a cap that resets.
#[test]
fn a_working_key_shows_its_money() {
    insta::assert_snapshot!(Story::new().shown().reads(), @"
    CS pilot
    working
    Your key works. It was shown on 20 Nov 2026, 14:05, and nobody can show it again.
    Left: $20
    Used: $0; not checked at OpenRouter yet
    Cap: $20 for the whole term, until the end of 6 Feb 2027
    Replacements left: 3
    Times are in Europe/Berlin.
    [Check what I have used]
    I need more than this
    What you need more for
    At most 500 characters. The people who run the programme read this and decide. You can ask once a week.
    The cap that you need, in dollars
    Your cap is $20 for the whole term, what you have used included. Leave this empty if you do not know.
    [Ask for more]
    I do not need my key any more
    Your key ends, and what is left of your credit goes back to the programme. You can get a new key later, as long as the budget has room.
    [Hand my key back]
    My key is lost, old or leaked
    You get a new key with what is left of your cap. The old key stops working first.
    [Replace my key]
    Could anybody else have your key? End it at once. You can get a new key afterwards, which does not count as a replacement.
    [My key has leaked: end it]
    ");
    let spent = Story::new().shown().after(1.hour()).used(4_990_001);
    let weekly = || {
        Story::new()
            .set(|view| settings_mut(view).basis.reset = Reset::Weekly)
            .shown()
            .used(12_000_000)
    };
    let allowance = |story: Story| words::allowance(&story.view, Usd::from_dollars(8), story.now);
    let lines = [
        spent.brief(),
        spent.money(),
        weekly().money(),
        allowance(weekly()),
        allowance(Story::new()),
    ];
    insta::assert_snapshot!(lines.join("\n"), @"
    working: Your key works. It was shown on 20 Nov 2026, 14:05, and nobody can show it again. [Check what I have used] [Ask for more] [Hand my key back] [Replace my key] [My key has leaked: end it]
    Left: $15.01 Used: $4.99, as of 20 Nov 2026, 15:05 Cap: $20 for the whole term, until the end of 6 Feb 2027
    Left: $8 Used: $12, as of 20 Nov 2026, 14:05 Cap: $20 a week; resets on 23 Nov 2026, 01:00
    $8 until 23 Nov 2026, 01:00 (Europe/Berlin), then $20 again
    $8 until the end of 6 Feb 2027
    ");
    let no_more = weekly()
        .set(|view| settings_mut(view).claims.replacements = 0)
        .after(20.minutes());
    assert!(
        no_more
            .reads()
            .contains("Your key cannot be replaced now. You have replaced your key as often as")
    );
}

#[test]
fn a_figure_is_as_of_the_last_listing_that_found_it_unchanged() {
    let as_of = |story: Story, listed: &str| {
        let text = Story {
            listed_at: Some(at(listed)),
            ..story
        }
        .money();
        text.split("as of ")
            .nth(1)
            .and_then(|rest| rest.split(" Cap:").next())
            .unwrap_or("not read")
            .to_owned()
    };
    let used = || Story::new().shown().used(5_000_000);
    assert_eq!(as_of(used(), "2026-11-23T00:20:00Z"), "23 Nov 2026, 01:20");
    assert_eq!(
        as_of(used(), "2026-11-20T00:20:00Z"),
        "20 Nov 2026, 14:05",
        "the reading is newer"
    );
    assert_eq!(
        as_of(Story::new().shown(), "2026-11-23T00:20:00Z"),
        "23 Nov 2026, 01:20",
        "nothing was used yet"
    );
    assert_eq!(
        as_of(Story::new().shown(), "2026-11-20T00:20:00Z"),
        "not read",
        "the key is younger"
    );
    let missing =
        used().set(|view| view.readings[0].unchanged_until = Some(at("2026-11-21T00:20:00Z")));
    assert_eq!(
        as_of(missing, "2026-11-23T00:20:00Z"),
        "21 Nov 2026, 01:20",
        "a later listing did not find it"
    );
}

#[test]
fn a_key_that_has_used_up_its_cap() {
    let full = Story::new().shown().used(20_050_000);
    let daily = || Story::new().set(|view| settings_mut(view).basis.reset = Reset::Daily);
    let resets = daily().shown().used(19_995_000);
    let last_day = daily().after((78 * 24).hours()).shown().used(20_000_000);
    let fold = full.reads();
    let (_, fold) = fold.split_once("leaked\n").unwrap();
    insta::assert_snapshot!([&full.money(), &full.brief(), fold, &resets.words(), &last_day.words()].join("\n"), @"
    Left: $0 Used: $20.05, as of 20 Nov 2026, 14:05 Cap: $20 for the whole term, until the end of 6 Feb 2027
    used up: Your cap for the whole term is used up. Requests with your key are refused. If you need more, ask below. [Check what I have used] [Ask for more] [Hand my key back] [My key has leaked: end it]
    Your key cannot be replaced now. Your cap for the whole term is used up. Once there is something left of it, you can get a new key here.
    Could anybody else have your key? End it at once, also now that your cap is used up.
    [My key has leaked: end it]
    Your cap is used up. It resets on 21 Nov 2026, 01:00 (Europe/Berlin). Requests with your key are refused. If you need more, ask below.
    Your cap is used up, and it does not reset before the term ends. Requests with your key are refused. If you need more, ask below.
    ");
}

#[test]
fn what_became_of_a_request_for_more() {
    let asked = || {
        let story = Story::new().shown();
        let change = story.view.ask_for_more(
            "the last exercise",
            Some(Usd::from_dollars(35)),
            &[],
            story.now,
        );
        story.apply(&change.unwrap())
    };
    let told = |story: Story| {
        let text = story.reads();
        let offers = text.contains("[Ask for more]");
        format!(
            "{} {offers}",
            text.lines()
                .find(|line| line.starts_with("You asked for a cap"))
                .unwrap()
        )
    };
    let larger = asked().set(|view| view.grant.own_cap = Some(Usd::from_dollars(30)));
    let raised_after_a_decline = larger
        .set(|view| view.grant.more_request.as_mut().unwrap().declined = Some("No.".to_owned()));
    let stories = [
        asked(),
        asked().after((7 * 24).hours()),
        raised_after_a_decline,
    ];
    insta::assert_snapshot!(stories.map(told).join("\n"), @"
    You asked for a cap of $35 on 20 Nov 2026, 14:05. The people who run this programme have your reason and will decide. false
    You asked for a cap of $35 on 20 Nov 2026, 14:05. Nobody decided within a week. You can ask again. true
    You asked for a cap of $35 on 20 Nov 2026, 14:05. Your cap has been changed since: it is $30 now. You can ask again from 27 Nov 2026, 14:05. false
    ");
}

#[test]
fn each_reason_for_which_there_is_no_key_now() {
    let stopped = |why| Story::new().shown().stopped(why);
    let paid = |story: Story| {
        let call = story.view.calls(story.now).remove(0);
        let now = story.now;
        let change = story.view.with_note(&call, now).unwrap();
        let story = story.apply(&change);
        let change = story
            .view
            .answered(
                &call,
                Answered {
                    noted: now,
                    sent: now,
                    is_read: true,
                },
                now,
            )
            .unwrap();
        story.apply(&change)
    };
    let no_more = stopped(Stopped::Replacing)
        .set(|view| settings_mut(view).claims.replacements = 0)
        .after(1.hour());
    let stories = [
        stopped(Stopped::Leaked),
        paid(stopped(Stopped::Leaked)),
        stopped(Stopped::Leaked).used(20_000_000),
        stopped(Stopped::TooOld),
        stopped(Stopped::GoneAtProvider),
        paid(stopped(Stopped::Replacing)),
        stopped(Stopped::Replacing),
        stopped(Stopped::Returned),
        no_more,
    ];
    insta::assert_snapshot!(briefs(stories), @"
    no key now: Your key was reported as leaked. OpenRouter has not confirmed yet that the key is off; Bursar tries again every minute. Get a new one: it has what is left of your cap. [Get a new key] [Ask for more]
    no key now: Your key was reported as leaked, and it was ended. Get a new one: it has what is left of your cap. [Get a new key] [Ask for more]
    no key now: Your key was reported as leaked. OpenRouter has not confirmed yet that the key is off; Bursar tries again every minute. Your cap for the whole term is used up. Once there is something left of it, you can get a new key here. [Ask for more]
    no key now: Your key was ended, because it had become too old. Get a new one: it has what is left of your cap. [Get a new key] [Ask for more] [My key has leaked: end it]
    no key now: Your key no longer works: it was ended at OpenRouter, not here. Get a new one: it has what is left of your cap. [Get a new key] [Ask for more] [My key has leaked: end it]
    no key now: Your old key was ended, and the last attempt to make a new one failed. No money was lost. Get a new one: it has what is left of your cap. [Get a new key] [Ask for more]
    no key now: Your old key must end before you get a new one, and OpenRouter has not confirmed yet that the old key is off. No money was lost. Get a new one: it has what is left of your cap. [Get a new key] [Ask for more] [My key has leaked: end it]
    no key now: You handed your key back. OpenRouter has not confirmed yet that the key is off; Bursar tries again. Get a new one: it has what is left of your cap. [Get a new key] [Ask for more] [My key has leaked: end it]
    no key now: Your old key must end before you get a new one, and OpenRouter has not confirmed yet that the old key is off. No money was lost. You have replaced your key as often as this programme allows. Ask the people who run the programme to allow one more. [Ask for more] [My key has leaked: end it]
    ");
}

#[test]
fn a_claim_that_came_to_nothing_leaves_everything_as_before() {
    let (story, begun) = Story::new().begun(KeyRequestKind::Reveal);
    let change = story.view.give_up(&begun, None, "no answer", story.now);
    assert_eq!(story.apply(&change.unwrap()).reads(), Story::new().reads());
}

#[test]
fn each_hold() {
    let unused = || Story::new().shown().held(HoldKind::Unused);
    let without_room = unused().set(|view| {
        // The key is off; the sync has read it and recounted the budget.
        view.grant.keys[0].enabled = Held::confirmed(false, view.grant.keys[0].made_at);
        Arc::make_mut(&mut view.budget).reserved = view.budget.limit;
    });
    assert!(
        !Card::new(
            &without_room.view,
            &without_room.rules,
            None,
            None,
            without_room.now
        )
        .offers
        .resume
    );
    let twice = Card::new(
        &unused().held(HoldKind::Paused).view,
        &StudentRules::default(),
        None,
        None,
        unused().now,
    )
    .offers;
    assert!(!twice.resume, "it would stay paused");
    let paused = Story::new().shown().held(HoldKind::Paused);
    let dropped = Story::new().held(HoldKind::Dropped);
    insta::assert_snapshot!(briefs([paused, dropped, unused(), without_room]), @"
    paused: The people who run this programme have paused your access: no key is made, and requests with a key are refused. Ask the people who run the programme about it; nothing is lost. [Check what I have used] [Ask for more] [My key has leaked: end it]
    off the roster: You are no longer on the roster of this programme. If that is a mistake, ask the people who run the programme.
    switched off: Your key was switched off because it was not used. Press “Resume my key”, and it works again. [Resume my key] [Check what I have used] [My key has leaked: end it]
    switched off: Your key was switched off on 20 Nov 2026, 14:05 because it was not used. The programme's budget has no room for your key now. Its faculty get a mail about that. Look here again tomorrow, or ask the people who run the programme. [Check what I have used] [My key has leaked: end it]
    ");
}

#[test]
fn what_is_over() {
    let revoked = Story::new().shown().used(4_000_000);
    let change = revoked.view.revoke(&Actor::Rule, None);
    let revoked = revoked.apply(&change.unwrap());
    assert_eq!(revoked.money(), "Used: $4 in all");
    let ended = Story::new()
        .shown()
        .used(4_000_000)
        .after((90 * 24).hours());
    let end = |story: Story| {
        let change = story.view.end(&Actor::Rule, story.now);
        story.apply(&change.unwrap())
    };
    let about_to_end = || Story::new().shown().after((90 * 24).hours());
    let close = |view: &mut View| {
        Arc::make_mut(&mut view.programme).closed_at = Some(at("2026-12-01T23:30:00Z"));
    };
    let closed = || about_to_end().set(close);
    let never_claimed = Story::new().after((90 * 24).hours());
    insta::assert_snapshot!(briefs([revoked, end(ended), about_to_end(), closed(), end(closed()), never_claimed]), @"
    removed: You were removed from this programme. If that is a mistake, ask the people who run the programme.
    ended: This programme has ended, and so have its keys.
    ended: This programme has ended, and your key ends with it. [Check what I have used] [My key has leaked: end it]
    ended: This programme was closed on 2 Dec 2026, and your key ends with it. [Check what I have used] [My key has leaked: end it]
    ended: This programme was closed on 2 Dec 2026, and so its keys have ended.
    ended: This programme has ended, and so have its keys.
    ");
}

/// A programme whose budget is fully promised, or that is still being set up, offers nothing.
#[test]
fn what_is_unready_offers_nothing() {
    let promised =
        Story::new().set(|view| Arc::make_mut(&mut view.budget).reserved = view.budget.limit);
    let mut story = Story::new();
    story.rules.next = NextGuardrail::NotConfirmed;
    insta::assert_snapshot!(briefs([promised, story]), @"
    no key yet: The programme's budget has no room for your key now. Its faculty get a mail about that. Look here again tomorrow, or ask the people who run the programme.
    no key yet: This programme is still being set up at OpenRouter. Reload this page in a few minutes.
    ");
}
