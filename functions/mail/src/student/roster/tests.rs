//! The words of a roster mail, in time and late, and the people whom it names.

use bursar_core::domain::programme::Settings;

use super::*;
use crate::testing::{address, at, now, programme, told, with_key};

/// The mail to somebody who may claim until the twenty-fifth of November.
async fn mailed(change: impl FnOnce(&mut Settings, &mut Grant), now: Moment) -> String {
    let mut programme = programme();
    programme.settings.claims.claim_closes_at = Some(at("2026-11-25T10:00:00Z"));
    let mut grant = Grant { ever_shown: false, ..with_key().grant };
    change(&mut programme.settings, &mut grant);
    told(|words| words.roster(&programme, &grant, false, now)).await
}

fn too_late() -> Moment {
    at("2026-11-26T10:00:00Z")
}

#[tokio::test]
async fn roster_mail() {
    insta::assert_snapshot!(mailed(|_, _| {}, now()).await, @"
    CS pilot: your LLM credit
    You have LLM credit
    You are on the roster of CS pilot at Example University, which has a key for you. With it, your programs and your editor can use large language models (LLMs), such as those behind ChatGPT, Claude and Gemini. What that costs is paid from your credit, and not by you.
    Programme: CS pilot
    Credit: $20 for the whole term
    Term: 12 Oct 2026 to 6 Feb 2027
    Keys until: 25 Nov 2026, 11:00 (Europe/Berlin)
    Run by: frida@example.edu
    To get your key, open this page, enter your university address, and follow the link that comes by mail. It takes less than a minute. This mail has no password and asks for none.
    Get my key: https://bursar.example.edu/
    You get this mail because Example University put you on the roster of CS pilot.
    ");
}

#[tokio::test]
async fn a_reminder_says_that_it_is_one() {
    let grant = Grant { ever_shown: false, ..with_key().grant };
    let text = told(|words| words.roster(&programme(), &grant, true, now())).await;
    let heading = "CS pilot: your LLM credit waits for you\nA reminder: you have not taken your LLM credit\nYou are on";
    assert!(text.starts_with(heading), "{text}");
}

#[tokio::test]
async fn roster_mail_names_three_and_counts_the_others() {
    for (count, says) in [
        (1, "Run by: f1@example.edu\n"),
        (3, "Run by: f1@example.edu, f2@example.edu, f3@example.edu\n"),
        (50, "Run by: f1@example.edu, f2@example.edu, f3@example.edu, and 47 more\n"),
    ] {
        let faculty = (1..=count).map(|number| address(&format!("f{number}")));
        let text = mailed(|settings, _| settings.people.faculty = faculty.collect(), now()).await;
        assert!(text.contains(says), "{text}");
    }
    let text = mailed(|settings, _| settings.people.faculty.clear(), now()).await;
    assert!(!text.contains("Run by"), "{text}");
}

#[tokio::test]
async fn late_roster_mail_promises_no_key() {
    let text = mailed(|_, _| {}, too_late()).await;
    assert!(!text.contains("Keys until") && !text.contains("Get my key"), "{text}");
    let says = "Keys could be had until 25 Nov 2026, 11:00 (Europe/Berlin). If you need one, ask frida@example.edu.";
    assert!(text.contains(says), "{text}");
}

#[tokio::test]
async fn who_had_a_key_is_not_asked_to_get_one() {
    for now in [now(), too_late()] {
        let text = mailed(|_, grant| grant.ever_shown = true, now).await;
        assert!(!text.contains("Keys ") && !text.contains("Get my key"), "{text}");
        assert!(text.contains("You have had a key already."), "{text}");
    }
}
