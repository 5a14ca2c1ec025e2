//! The words of a roster mail that comes late, and the people whom it names.

use bursar_core::domain::grant::Person;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;

use super::*;
use crate::digest::tests::written;

const IN_TIME: &str = "2026-11-20T10:00:00Z";
const TOO_LATE: &str = "2026-11-26T10:00:00Z";

async fn roster_mail(change: impl FnOnce(&mut Settings, &mut Grant), now: &str) -> String {
    let term = Term::new("2026-10-12".parse().unwrap(), "2027-02-06".parse().unwrap(), "Europe/Berlin").unwrap();
    let mut settings = Settings::new("CS pilot", term, Usd::from_dollars(20));
    settings.claim_closes_at = Some("2026-11-25T10:00:00Z".parse().unwrap());
    settings.faculty = vec![EmailAddress::parse("frida@example.edu").unwrap()];
    let id = ProgrammeId::of_name("CS pilot");
    let person = Person { address: EmailAddress::parse("ada@example.edu").unwrap(), name: None, roster_id: None };
    let mut grant = Grant::invited(id.clone(), "0123456789abcdef".parse().unwrap(), person, None);
    change(&mut settings, &mut grant);
    let programme = Programme::new(id, settings);
    let (_, letter, config) = written(|words| words.roster(&programme, &grant, now.parse().unwrap())).await;
    letter.text(&config).unwrap()
}

#[tokio::test]
async fn a_roster_mail_names_three_of_those_who_run_the_programme_and_counts_the_others() {
    for (count, says) in [
        (1, "Run by: f1@example.edu\n"),
        (3, "Run by: f1@example.edu, f2@example.edu, f3@example.edu\n"),
        (50, "Run by: f1@example.edu, f2@example.edu, f3@example.edu, and 47 more\n"),
    ] {
        let faculty = (1..=count).map(|number| EmailAddress::parse(&format!("f{number}@example.edu")).unwrap());
        let text = roster_mail(|settings, _| settings.faculty = faculty.collect(), IN_TIME).await;
        assert!(text.contains(says), "{text}");
    }
    let text = roster_mail(|settings, _| settings.faculty.clear(), IN_TIME).await;
    assert!(!text.contains("Run by"), "{text}");
}

#[tokio::test]
async fn a_roster_mail_that_comes_late_promises_no_key_and_says_no_date_as_if_it_were_to_come() {
    let text = roster_mail(|_, _| {}, IN_TIME).await;
    assert!(text.contains("Keys until: 25 November 2026, 11:00") && text.contains("Get my key:"), "{text}");
    let text = roster_mail(|_, _| {}, TOO_LATE).await;
    assert!(!text.contains("Keys until") && !text.contains("Get my key"), "{text}");
    let says =
        "Keys could be had until 25 November 2026, 11:00 (Europe/Berlin). If you need one, ask frida@example.edu.";
    assert!(text.contains(says), "{text}");
}

#[tokio::test]
async fn a_roster_mail_to_somebody_who_has_had_a_key_does_not_ask_to_get_one() {
    for now in [IN_TIME, TOO_LATE] {
        let text = roster_mail(|_, grant| grant.ever_shown = true, now).await;
        assert!(!text.contains("Keys ") && !text.contains("Get my key"), "{text}");
        assert!(text.contains("You have had a key already."), "{text}");
    }
}
