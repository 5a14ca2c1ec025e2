//! The words of each notice.

use std::sync::Arc;

use bursar_core::domain::grant::{AnnouncedEnd, MoreRequest};
use jiff::ToSpan;

use super::*;
use crate::tests::{address, at, config, now, read, told, with_key};

async fn tell_rule(view: &View, notice: StudentNotice, now: Moment) -> String {
    told(|words| words.tell_rule(view, notice, now).unwrap()).await
}

/// A key whose end at this moment was announced a week before.
fn announced(notice: StudentNotice, until: Moment) -> View {
    let mut view = with_key();
    let claims = &mut Arc::make_mut(&mut view.programme).settings.claims;
    (claims.unused_after_days, claims.rotate_after_days) = (Some(1), Some(15));
    let end = AnnouncedEnd {
        at: until - (7 * 24).hours(),
        until,
    };
    view.grant.keys[0].announced.insert(notice, end);
    view
}

#[tokio::test]
async fn shown_key() {
    let view = with_key();
    insta::assert_snapshot!(told(|words| words.key_shown(&view, now())).await, @"
    CS pilot: you got a new key
    You got a new key
    You, or someone signed in as you, got a new key for CS pilot on 20 Nov 2026, 11:00 (Europe/Berlin).
    If it was you, there is nothing to do. If it was not, report the key as leaked on your page: it is switched off, usually within a minute, and you can get another.
    Open my page: https://bursar.example.edu/my
    You get this mail each time a key of yours is shown.
    ");
}

#[tokio::test]
async fn leaked_key() {
    let mut view = with_key();
    let reported_at = now() + 1.hour();
    let text = told(|words| words.key_leaked(&view, true, reported_at)).await;
    assert!(
        text.contains("it can still spend.\n"),
        "nothing was read yet: {text}"
    );
    read(&mut view, now(), 3_099_001);
    insta::assert_snapshot!(told(|words| words.key_leaked(&view, true, reported_at)).await, @"
    CS pilot: your key was reported leaked
    Your key was reported leaked
    You, or someone signed in as you, reported your key for CS pilot as leaked on 20 Nov 2026, 12:00 (Europe/Berlin). It is being switched off at OpenRouter, usually within a minute; until then it can still spend. When it was last checked at OpenRouter, on 20 Nov 2026, 11:00 (Europe/Berlin), that key had used $3.10.
    Your page says whether the key is off, what it had spent by then, and how to go on. What is left of your credit is still yours.
    Open my page: https://bursar.example.edu/my
    You get this mail because a key of yours was reported leaked.
    ");
}

#[tokio::test]
async fn what_staff_ended() {
    let view = with_key();
    let leaked = told(|words| words.key_leaked(&view, false, now())).await;
    insta::assert_snapshot!(leaked.lines().nth(2).unwrap(), @"The people who run CS pilot ended your key on 20 Nov 2026, 11:00 (Europe/Berlin), because others may have it. It is being switched off at OpenRouter, usually within a minute; until then it can still spend.");
    assert!(leaked.contains("such as a public repository"), "{leaked}");
    insta::assert_snapshot!(tell_rule(&view, StudentNotice::Removed, now()).await, @"
    CS pilot: your key was switched off
    Your key was switched off
    The people who run CS pilot removed you from it. Your key stops working, usually within a minute, and you cannot get another one there. If you think that this is a mistake, ask them.
    Questions: frida@example.edu
    Open my page: https://bursar.example.edu/my
    You get this mail because you had a key for CS pilot.
    ");
}

#[tokio::test]
async fn changed_cap() {
    let mut view = with_key();
    read(&mut view, now(), 5_100_000);
    view.grant.own_cap = Some(Usd::from_dollars(1));
    insta::assert_snapshot!(told(|words| words.cap_changed(&view, now())).await, @"
    CS pilot: your cap is now $1
    Your cap is now $1
    The people who run CS pilot changed your cap. You have already used more than that, so requests with your key are refused.
    Cap: $1 for the whole term
    Used: $5.10
    Left: $0
    As of: 20 Nov 2026, 11:00 (Europe/Berlin)
    Questions: frida@example.edu
    Open my page: https://bursar.example.edu/my
    You get this mail because you have a key for CS pilot.
    ");
    view.grant.own_cap = Some(Usd::from_dollars(40));
    let higher = told(|words| words.cap_changed(&view, now())).await;
    assert!(
        higher.contains("changed your cap. Your key works.\n") && higher.contains("Left: $34.90\n"),
        "{higher}"
    );
    view.grant.more_request = Some(MoreRequest {
        asked_at: now(),
        reason: "the project".to_owned(),
        cap: Usd::from_dollars(5),
        wanted_cap: None,
        declined: None,
    });
    let answer = told(|words| words.cap_changed(&view, now())).await;
    assert!(
        answer.contains("raised your cap, as you asked. Your key works.\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn rules_of_a_programme() {
    let unused_soon = announced(StudentNotice::UnusedSoon, at("2026-11-27T10:00:00Z"));
    let too_old_soon = announced(StudentNotice::TooOldSoon, at("2026-12-05T10:00:00Z"));
    let mut unused = announced(StudentNotice::UnusedSoon, now());
    let mut too_old = announced(StudentNotice::TooOldSoon, now());
    unused.grant.holds.unused = true;
    too_old.grant.state = GrantState::Stopped {
        why: Stopped::TooOld,
    };
    let mut expired = with_key();
    expired.grant.state = GrantState::Stopped {
        why: Stopped::TermEnded,
    };
    let mut mails = Vec::new();
    for (view, notice) in [
        (&unused_soon, StudentNotice::UnusedSoon),
        (&unused, StudentNotice::Unused),
        (&too_old_soon, StudentNotice::TooOldSoon),
        (&too_old, StudentNotice::KeyEnded),
        (&expired, StudentNotice::KeyEnded),
    ] {
        mails.push(tell_rule(view, notice, now()).await);
    }
    insta::assert_snapshot!(mails.join("\n\n"), @"
    CS pilot: your key stops on 27 Nov 2026 unless you use it
    Your key is not being used
    Your key for CS pilot has not been used for some time. It stops on 27 Nov 2026, 11:00 (Europe/Berlin) unless you use it before then: one request is enough. A key that has stopped can be switched on again on your page, as long as the budget has room.
    Questions: frida@example.edu
    Open my page: https://bursar.example.edu/my
    You get this mail because CS pilot switches off keys that are not used for 1 day.

    CS pilot: your key was switched off because it was not used
    Your key was switched off
    Your key for CS pilot was switched off because it was not used for 1 day. To use it again, press “Resume my key” on your page: the same key works again, usually within a minute. What is left of your credit went back to the programme's budget; you get it back as long as the budget has room.
    Questions: frida@example.edu
    Open my page: https://bursar.example.edu/my
    You get this mail because CS pilot switches off keys that are not used for 1 day.

    CS pilot: replace your key before 5 Dec 2026
    Your key is getting old
    Your key for CS pilot stops on 5 Dec 2026, 11:00 (Europe/Berlin). Press “Replace my key” on your page before then: you keep what is left of your credit, and it does not count as a replacement.
    Questions: frida@example.edu
    Open my page: https://bursar.example.edu/my
    You get this mail because CS pilot wants keys replaced after 15 days.

    CS pilot: your key has stopped, get a new one
    Your key has stopped
    Your key for CS pilot was switched off because it had become too old. None of your credit is lost: press “Get a new key” on your page. The new key has what is left, and does not count as a replacement.
    Questions: frida@example.edu
    Open my page: https://bursar.example.edu/my
    You get this mail because CS pilot wants keys replaced after 15 days.

    CS pilot: your key has stopped, get a new one
    Your key has stopped
    The term of CS pilot was extended, and your key ended on the earlier date. None of your credit is lost: press “Get a new key” on your page. The new key has what is left, and does not count as a replacement.
    Questions: frida@example.edu
    Open my page: https://bursar.example.edu/my
    You get this mail because CS pilot was extended.
    ");
    let late = tell_rule(
        &unused_soon,
        StudentNotice::UnusedSoon,
        at("2026-11-30T10:00:00Z"),
    )
    .await;
    assert!(
        late.contains("It stops on 7 Dec 2026, 11:00"),
        "a week after it leaves: {late}"
    );
}

/// What a key whose term ends has left at this moment, read on the last Sunday of January.
async fn term_end(reset: Reset, now: &str) -> String {
    let mut view = announced(
        StudentNotice::TermEndSoon,
        with_key().programme.settings.term.ends_at(),
    );
    Arc::make_mut(&mut view.programme).settings.basis.reset = reset;
    read(&mut view, at("2027-01-31T00:20:00Z"), 12_799_001);
    tell_rule(&view, StudentNotice::TermEndSoon, at(now)).await
}

#[tokio::test]
async fn term_end_is_announced() {
    insta::assert_snapshot!(term_end(Reset::None, "2027-01-31T00:20:00Z").await, @"
    CS pilot: your key stops on 6 Feb 2027
    Your key stops soon
    You have $7.20 left of your $20 for the whole term, until the end of 6 Feb 2027 (Europe/Berlin). Then your key for CS pilot stops, and what is left cannot be used any more.
    As of: 31 Jan 2027, 01:20 (Europe/Berlin)
    Questions: frida@example.edu
    Open my page: https://bursar.example.edu/my
    You get this mail because you have a key for CS pilot.
    ");
}

#[tokio::test]
async fn notice_that_holds_no_more_is_not_sent() {
    let none = async |view: &View, notice| {
        let config = config().await;
        Words {
            recipient: &address("ada"),
            config: &config,
        }
        .tell_rule(view, notice, now())
        .is_none()
    };
    let mut view = announced(StudentNotice::TermEndSoon, at("2027-01-01T00:00:00Z"));
    assert!(
        none(&view, StudentNotice::TermEndSoon).await,
        "the term goes on"
    );
    assert!(none(&view, StudentNotice::Unused).await && none(&view, StudentNotice::KeyEnded).await);
    view = announced(StudentNotice::UnusedSoon, at("2026-11-27T10:00:00Z"));
    read(&mut view, at("2026-11-28T10:00:00Z"), 1);
    assert!(none(&view, StudentNotice::UnusedSoon).await, "it was used");
    view = announced(StudentNotice::TooOldSoon, at("2026-12-05T10:00:00Z"));
    view.grant.state = GrantState::Stopped {
        why: Stopped::Leaked,
    };
    assert!(
        none(&view, StudentNotice::TooOldSoon).await,
        "it has stopped"
    );
}

#[tokio::test]
async fn term_end_tells_whether_the_cap_starts_anew() {
    let mut told = Vec::new();
    for (reset, now) in [
        (Reset::Daily, "2027-01-31T00:20:00Z"),
        (Reset::Weekly, "2027-01-31T00:20:00Z"),
        (Reset::Monthly, "2027-01-31T00:20:00Z"),
        // It started anew after it was read, and does not once more before the end.
        (Reset::Weekly, "2027-02-01T00:10:00Z"),
    ] {
        let text = term_end(reset, now).await;
        let lines = text
            .lines()
            .filter(|line| line.starts_with("You have") || line.starts_with("As of"));
        told.extend(lines.map(str::to_owned));
    }
    insta::assert_snapshot!(told.join("\n"), @"
    You have $7.20 left of your $20 for this day. On 1 Feb 2027, 01:00 (Europe/Berlin) it resets: you have $20 again, and so each day after that. At the end of 6 Feb 2027 (Europe/Berlin) your key for CS pilot stops, and what is left then cannot be used any more.
    As of: 31 Jan 2027, 01:20 (Europe/Berlin)
    You have $7.20 left of your $20 for this week. On 1 Feb 2027, 01:00 (Europe/Berlin) it resets: you have $20 again. At the end of 6 Feb 2027 (Europe/Berlin) your key for CS pilot stops, and what is left then cannot be used any more.
    As of: 31 Jan 2027, 01:20 (Europe/Berlin)
    You have $7.20 left of your $20 for this month. On 1 Feb 2027, 01:00 (Europe/Berlin) it resets: you have $20 again. At the end of 6 Feb 2027 (Europe/Berlin) your key for CS pilot stops, and what is left then cannot be used any more.
    As of: 31 Jan 2027, 01:20 (Europe/Berlin)
    You have $20 left of your $20 for this week, until the end of 6 Feb 2027 (Europe/Berlin). It does not reset before then. Then your key for CS pilot stops, and what is left cannot be used any more.
    As of: 1 Feb 2027, 01:00 (Europe/Berlin)
    ");
}
