//! The words about a cap.

use bursar_core::domain::audit::{Actor, AuditDetail};

use super::*;
use crate::tests::{at, now, programme, read, told, with_key};

/// Somebody who has used this much of a cap of twenty dollars.
fn used(dollars_and_cents: i64) -> CapUseFacts {
    CapUseFacts {
        spent: Usd::from_micros(dollars_and_cents * 10_000),
        limit: Usd::from_dollars(20),
        cap_since: None,
        resets_at: None,
        as_of: now(),
        may_ask_for_more: true,
        stopped: None,
    }
}

async fn mailed(reset: Reset, used: CapUseFacts) -> String {
    let mut programme = programme();
    (
        programme.settings.basis.reset,
        programme.settings.texts.contact,
    ) = (reset, Some("the tutors, room 101".to_owned()));
    told(|words| words.cap_used(&programme, &used)).await
}

#[tokio::test]
async fn most_of_a_cap_is_used() {
    let used = CapUseFacts {
        resets_at: Some(at("2026-12-01T00:00:00Z")),
        ..used(1_680)
    };
    insta::assert_snapshot!(mailed(Reset::Monthly, used).await, @"
    CS pilot: you have used 84% of your $20
    You have used 84% of your $20
    Used: $16.80
    Cap: $20 for this month
    Left: $3.20
    Resets: 1 Dec 2026, 01:00 (Europe/Berlin)
    As of: 20 Nov 2026, 11:00 (Europe/Berlin)
    Your key works until the cap is used up; then requests are refused until it resets. If you need more, press “I need more than this” on your page: the people who run the programme get it by mail.
    Open my page: https://bursar.example.edu/my
    You get this mail because you have a key for CS pilot.
    ");
}

#[tokio::test]
async fn more_than_a_cap_is_used() {
    let text = mailed(Reset::None, used(2_400)).await;
    assert!(
        text.starts_with("CS pilot: you have used 100% of your $20\n")
            && text.contains("Left: $0\n"),
        "{text}"
    );
    insta::assert_snapshot!(text.lines().find(|line| line.starts_with("Requests")).unwrap(), @"Requests with your key are refused from now on. Your program sees the error 403, “Key limit exceeded”. The cap is for the whole term and does not reset. If you need more, press “I need more than this” on your page: the people who run the programme get it by mail.");
}

#[tokio::test]
async fn who_has_asked_is_not_told_to_ask() {
    let text = mailed(
        Reset::None,
        CapUseFacts {
            may_ask_for_more: false,
            ..used(1_940)
        },
    )
    .await;
    assert!(text.contains("then requests are refused. The cap is for the whole term and does not reset. You asked for more within the last week: your page says how it stands.\n"), "{text}");
}

#[tokio::test]
async fn a_cap_was_changed_since() {
    let used = CapUseFacts {
        cap_since: Some(Usd::from_dollars(40)),
        ..used(1_700)
    };
    let text = mailed(Reset::None, used).await;
    assert!(
        text.contains("Cap since then: $40\n")
            && text.contains("\nYour cap was changed since then"),
        "{text}"
    );
}

#[tokio::test]
async fn a_key_that_is_off_is_not_said_to_work() {
    let mut grant = with_key().grant;
    assert_eq!(stopped(grant.holds.first(), &grant.state), None);
    let mut reasons = Vec::new();
    for why in [Stopped::Leaked, Stopped::GoneAtProvider] {
        grant.state = GrantState::Stopped { why };
        reasons.push(stopped(grant.holds.first(), &grant.state).unwrap());
    }
    grant.holds.unused = true;
    reasons.push(stopped(grant.holds.first(), &grant.state).unwrap());
    insta::assert_snapshot!(reasons.join("\n"), @"
    Your key is switched off because it was reported leaked. Your page says how to go on.
    You have no key that works now. Your page says why, and how to go on.
    Your key is switched off because it was not used. You can switch it on again on your page.
    ");
    for cents in [1_700, 2_000] {
        let text = mailed(
            Reset::None,
            CapUseFacts {
                stopped: Some(reasons[0]),
                ..used(cents)
            },
        )
        .await;
        assert!(text.contains(&format!("\n{} ", reasons[0])), "{text}");
        assert!(
            !text.contains("works until") && !text.contains("refused"),
            "{text}"
        );
    }
}

#[test]
fn what_was_used_before_the_cap_was_lowered_is_not_said_again() {
    let mut view = with_key();
    let crossing = |cents: i64| Crossing {
        programme: view.programme.id.clone(),
        scope: Scope::Cap(view.grant.id.clone()),
        window: Window::WHOLE_TERM,
        limit: Usd::from_dollars(1),
        threshold: 100,
        spent: Usd::from_micros(cents * 10_000),
        found_at: now(),
        is_mailed: true,
    };
    let lowered_below = crossing(510);
    let used_up_since = crossing(101);
    let lowered = AuditDetail::new(Act::CapChanged).with_change("20", "1");
    let entries = [AuditEntry::new_on_programme(
        &view.programme.id,
        &Actor::Rule,
        now(),
        lowered,
    )];
    read(&mut view, now(), 5_100_000);
    assert!(
        was_used_before(&entries, &view, &lowered_below)
            && !was_used_before(&[], &view, &lowered_below)
    );
    read(&mut view, at("2026-11-21T10:00:00Z"), 1_010_000);
    assert!(
        !was_used_before(&entries, &view, &used_up_since),
        "all of it was used on the day after"
    );
}

#[test]
fn newest_reading_is_told_and_no_less_than_was_found() {
    let crossing = Crossing {
        programme: programme().id,
        scope: Scope::Cap(with_key().grant.id),
        window: Window::WHOLE_TERM,
        limit: Usd::from_dollars(20),
        threshold: 80,
        spent: Usd::from_dollars(17),
        found_at: now(),
        is_mailed: true,
    };
    let later = at("2026-11-21T10:00:00Z");
    for (spent, told, as_of) in [(24, 24, later), (16, 17, now())] {
        let cap = Usd::from_dollars(30);
        let spent = Usd::from_dollars(spent);
        let facts = CapUseFacts::new(
            &crossing,
            CapUse {
                window: crossing.window,
                cap,
                spent,
                as_of: Some(later),
            },
            None,
        );
        assert_eq!(
            (facts.spent, facts.as_of, facts.cap_since),
            (Usd::from_dollars(told), as_of, Some(cap))
        );
    }
}
