//! The words of a roster mail, in time and late, and the people whom it names.

use bursar_core::domain::programme::counts::Stage;

use super::*;
use crate::tests::{address, at, now, programme, told, with_key};

/// The mail to somebody who may claim until the twenty-fifth of November.
async fn mailed(change: impl FnOnce(&mut Settings, &mut Grant), now: Moment) -> String {
    let mut programme = programme();
    programme.settings.claims.claim_closes_at = Some(at("2026-11-25T10:00:00Z"));
    let mut grant = Grant {
        stage: Stage::Invited,
        ..with_key().grant
    };
    change(&mut programme.settings, &mut grant);
    let write = |words: Words<'_>| {
        let letter = words.roster(&programme, &grant, false, now);
        let from = programme
            .settings
            .people
            .teacher()
            .map_or("CS pilot".to_owned(), |it| format!("{it} via CS pilot"));
        assert_eq!(letter.from, Some(from));
        letter
    };
    told(write).await
}

fn too_late() -> Moment {
    at("2026-11-26T10:00:00Z")
}

#[tokio::test]
async fn roster_mail() {
    let named = |settings: &mut Settings, grant: &mut Grant| {
        let grace = EmailAddress::parse_named("Grace Hopper <grace@example.edu>").unwrap();
        let list = vec![(None, address("frida")), grace];
        settings.people.put(|people| &mut people.faculty, list);
        grant.person.name = Some("Amina Yusuf".to_owned());
    };
    insta::assert_snapshot!(mailed(named, now()).await, @"
    Your API key for CS pilot
    Your API key for CS pilot
    Hello Amina Yusuf,
    You are on the roster of CS pilot, and Example University has an API key for you. With it, your programs and your editor can use large language models (LLMs), such as those behind ChatGPT, Claude and Gemini. What that costs is paid from your credit, and not by you.
    Programme: CS pilot
    Credit: $20 for the whole term
    Term: 12 Oct 2026 to 6 Feb 2027
    Keys can be claimed until: 25 Nov 2026, 11:00 (Europe/Berlin)
    Run by: frida@example.edu, Grace Hopper <grace@example.edu>
    To get your key, open the page below, enter your university address, and follow the link that comes by mail. It takes less than a minute.
    Get my key: https://bursar.example.edu/
    Is this mail real? It comes on behalf of Grace Hopper, and its button leads to bursar.example.edu, which you can also type into your browser. Neither asks for a password. If in doubt, ask frida@example.edu, Grace Hopper <grace@example.edu>.
    You get this mail because Example University put you on the roster of CS pilot.
    ");
}

#[tokio::test]
async fn a_reminder_says_that_it_is_one() {
    let grant = Grant {
        stage: Stage::Invited,
        ..with_key().grant
    };
    let text = told(|words| words.roster(&programme(), &grant, true, now())).await;
    let heading = "Reminder: your key for CS pilot is not claimed yet\nYour key for CS pilot is not claimed yet\nHello,\nYou are on";
    assert!(text.starts_with(heading), "{text}");
}

#[tokio::test]
async fn roster_mail_names_three_and_counts_the_others() {
    for (count, says) in [
        (1, "Run by: f1@example.edu\n"),
        (
            3,
            "Run by: f1@example.edu, f2@example.edu, f3@example.edu\n",
        ),
        (
            50,
            "Run by: f1@example.edu, f2@example.edu, f3@example.edu, and 47 more\n",
        ),
    ] {
        let faculty = (1..=count).map(|number| address(&format!("f{number}")));
        let text = mailed(
            |settings, _| settings.people.faculty = faculty.collect(),
            now(),
        )
        .await;
        assert!(text.contains(says), "{text}");
    }
    let text = mailed(|settings, _| settings.people.faculty.clear(), now()).await;
    assert!(!text.contains("Run by"), "{text}");
}

#[tokio::test]
async fn late_roster_mail_promises_no_key() {
    let text = mailed(|_, _| {}, too_late()).await;
    assert!(
        !text.contains("Keys can") && !text.contains("Get my key"),
        "{text}"
    );
    let says = "Keys could be claimed until 25 Nov 2026, 11:00 (Europe/Berlin). If you need one, ask frida@example.edu.";
    assert!(text.contains(says), "{text}");
}

#[tokio::test]
async fn who_had_a_key_is_not_asked_to_get_one() {
    for now in [now(), too_late()] {
        let text = mailed(|_, grant| grant.stage = Stage::Claimed, now).await;
        assert!(
            !text.contains("Keys ") && !text.contains("Get my key"),
            "{text}"
        );
        assert!(text.contains("You have had a key already."), "{text}");
    }
}
