//! Mails to students about the rules of their programme, and mails that are dropped since they are obsolete.

use bursar_core::domain::audit::{Act, Actor, AuditDetail};
use bursar_core::domain::grant::{HoldKind, Notice, Rule, Stopped};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::reading::{DailyUse, Reading};
use bursar_core::domain::values::id::{GrantId, PersonId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_core::store::{ActContext, ActOutcome, Author, EditOutcome};
use bursar_local::invoke::FunctionName;
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::reading;
use serde_json::json;

use super::words::{html_says, redacted};
use super::{PostOffice, soon, word};

pub(super) const DAY: i64 = 24 * 60;

impl PostOffice {
    pub(super) async fn set(&self, change: impl FnOnce(&mut Settings)) {
        let programme = self.table.programme(&self.programme).await.unwrap().unwrap();
        let mut settings = programme.settings.clone();
        change(&mut settings);
        let admin = Actor::Person(PersonId::random());
        let by = Author { actor: &admin, now: self.stack.clock.now(), deadline: soon() };
        let saved = self
            .table
            .save_settings(&programme.id, settings, programme.version, AuditDetail::new(Act::Edited), by)
            .await;
        assert_eq!(saved.unwrap(), EditOutcome::Done);
    }

    pub(super) fn at<'a>(&'a self, grant: &'a GrantId) -> ActContext<'a> {
        ActContext { programme: &self.programme, grant, now: self.stack.clock.now(), deadline: soon() }
    }

    /// Moves the end of the term.
    async fn extend(&self) {
        // An edit could not do this while a student has a place.
        let mut programme = self.table.programme(&self.programme).await.unwrap().unwrap();
        let term = &programme.settings.term;
        programme.settings.term = Term::new(term.starts_on(), "2027-03-31".parse().unwrap(), term.timezone()).unwrap();
        self.raw.keep(&programme).await.unwrap();
    }

    /// Applies the rule that is due, which must exist.
    pub(super) async fn rules(&self, grant: &GrantId) -> Rule {
        self.rules_if_any(grant).await.expect("a rule to be followed")
    }

    /// Applies the rule that is due, if there is one.
    pub(super) async fn rules_if_any(&self, grant: &GrantId) -> Option<Rule> {
        match self.table.follow_rules(self.at(grant), None).await.unwrap() {
            ActOutcome::Done((_, rule)) => Some(rule),
            ActOutcome::Refused(_) => None,
            ActOutcome::NoSuchGrant => panic!("no such grant"),
        }
    }

    /// Runs the drain only: the work of each minute would try to disable the made-up key.
    pub(super) async fn drain(&mut self) {
        self.stack.invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
        self.watch.check().await;
    }

    /// A student with a made-up key, in a programme with rules on unused and old keys.
    pub(super) async fn with_rules(unused: u16, rotate: u16) -> (PostOffice, GrantId) {
        let mut office = PostOffice::open().await;
        office
            .set(|settings| {
                settings.unused_after_days = Some(unused);
                settings.rotate_after_days = Some(rotate);
            })
            .await;
        let grant = office.enrol("ada@example.edu").await;
        office.claim(&grant).await;
        office.the_mail();
        (office, grant)
    }
}

#[tokio::test]
async fn a_student_hears_of_each_step_of_the_rules() {
    let (mut office, grant) = PostOffice::with_rules(1, 15).await;
    assert_eq!(office.rules(&grant).await, Rule::Announce(Notice::UnusedSoon));
    office.drain().await;
    let mail = office.the_mail();
    assert_eq!((mail.contents.kind.as_deref(), mail.to.as_str()), (Some("student"), "ada@example.edu"));
    insta::assert_snapshot!(redacted(&office, &mail.contents), @r#"
    CS pilot: your key stops on 27 November 2026 unless you use it

    Your key is not being used

    Your key for CS pilot has not been used for some time. It stops on 27 November 2026, 11:00 (Europe/Berlin), unless you use it before: one request is enough. A key that has stopped can be switched on again on your page, while the programme has money.

    Questions: Frida.Faculty@example.edu

    The link leads to the usual sign-in.

    Look at my keys:
    [origin]/my
    "#);
    html_says(&mail.contents, &["CS pilot", "Look at my keys"]);

    office.pass(8 * DAY).await;
    assert_eq!(office.rules(&grant).await, Rule::Announce(Notice::TooOldSoon));
    office.drain().await;
    let mail = office.the_mail();
    insta::assert_snapshot!(redacted(&office, &mail.contents), @r#"
    CS pilot: replace your key before 5 December 2026

    Your key is getting old

    Your key for CS pilot stops on 5 December 2026, 11:00 (Europe/Berlin). Press “Replace my key” on your page before then: you keep what is left of your credit, and it does not count as a replacement.

    Questions: Frida.Faculty@example.edu

    The link leads to the usual sign-in.

    Look at my keys:
    [origin]/my
    "#);

    assert_eq!(office.rules(&grant).await, Rule::Hold);
    office.drain().await;
    let mail = office.the_mail();
    insta::assert_snapshot!(redacted(&office, &mail.contents), @r#"
    CS pilot: your key was switched off because it was not used

    Your key was switched off

    Your key for CS pilot was switched off because it was not used for 1 day. To use it again, press “Resume my key” on your page: the same key works again, usually within a minute. What is left of your credit went back to the programme's budget. You keep your claim to it while the programme has money.

    Questions: Frida.Faculty@example.edu

    The link leads to the usual sign-in.

    Look at my keys:
    [origin]/my
    "#);

    office
        .table
        .act(office.at(&grant), |view, now| view.release(HoldKind::Unused, &Actor::Student, now))
        .await
        .unwrap();
    office.pass(14 * DAY).await;
    assert_eq!(office.rules(&grant).await, Rule::Stop);
    office.drain().await;
    let mail = office.the_mail();
    assert_eq!(mail.contents.kind.as_deref(), Some("student"));
    insta::assert_snapshot!(redacted(&office, &mail.contents), @r#"
    CS pilot: your key has stopped, get a new one

    Your key has stopped

    Your key for CS pilot was switched off because it had become too old. Nothing of your credit is lost: press “Get a new key” on your page. The new one has what is left, and it does not count as a replacement.

    Questions: Frida.Faculty@example.edu

    The link leads to the usual sign-in.

    Look at my keys:
    [origin]/my
    "#);
    office.finish().await;
}

#[tokio::test]
async fn a_student_hears_a_week_before_the_term_ends_and_nobody_whose_key_has_ended_or_whose_term_goes_on() {
    let mut office = PostOffice::open().await;
    let (ada, ben) = (office.enrol("ada@example.edu").await, office.enrol("ben@example.edu").await);
    for grant in [&ada, &ben] {
        office.claim(grant).await;
        office.the_mail();
    }
    office.stack.clock.stop_at("2027-01-30T23:00:00Z".parse().unwrap()).unwrap();
    let as_of = office.stack.clock.now();
    let used = DailyUse::on_one(utc_date(as_of), Usd::from_micros(12_799_001));
    office.table.note_reading(&reading(&office.programme, &ada, used, as_of), soon()).await.unwrap();
    for grant in [&ada, &ben] {
        assert_eq!(office.rules(grant).await, Rule::Announce(Notice::TermEndSoon));
    }
    office.table.act(office.at(&ben), |view, now| view.stop(Stopped::UsedUp, &Actor::Sync, now)).await.unwrap();
    office.drain().await;
    let mail = office.the_mail();
    assert_eq!((mail.contents.kind.as_deref(), mail.to.as_str()), (Some("student"), "ada@example.edu"));
    insta::assert_snapshot!(redacted(&office, &mail.contents), @r#"
    CS pilot: your key stops on 6 February 2027

    Your key stops soon

    You have $7.20 left of your $20 for the whole term, until 6 February 2027, 24:00 (Europe/Berlin). Then your key for CS pilot stops, and what is left cannot be used any more.

    As of: 31 January 2027, 00:00 (Europe/Berlin)
    Questions: Frida.Faculty@example.edu

    The link leads to the usual sign-in.

    Look at my keys:
    [origin]/my
    "#);
    office.finish().await;

    let (office, grant) = PostOffice::with_rules(300, 300).await;
    office.stack.clock.stop_at("2027-02-01T08:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(office.rules(&grant).await, Rule::Announce(Notice::TermEndSoon));
    office.extend().await;
    office.stack.invoke.invoke(FunctionName::Mail, json!({"task": "drain"})).await.unwrap();
    let rows = office.table.mails_of(&office.programme, &grant).await.unwrap();
    let became = word(&rows.last().unwrap().state);
    assert!(office.unread().is_empty() && became == "dropped", "{became}");
    office.finish().await;
}

#[tokio::test]
async fn what_is_left_before_the_term_ends_is_of_the_window_and_starts_anew_if_it_does() {
    // A Saturday night, a week before the end.
    for (reset, says) in [
        (
            Reset::Daily,
            "You have $7.20 left of your $20 for this day. On 1 February 2027, 01:00 (Europe/Berlin) it starts anew: you have $20 again, and so each day after that. On 6 February 2027, 24:00 (Europe/Berlin) your key for CS pilot stops, and what is left then cannot be used any more.",
        ),
        (
            Reset::Weekly,
            "You have $7.20 left of your $20 for this week. On 1 February 2027, 01:00 (Europe/Berlin) it starts anew: you have $20 again. On 6 February 2027, 24:00 (Europe/Berlin) your key for CS pilot stops, and what is left then cannot be used any more.",
        ),
        (
            Reset::Monthly,
            "You have $7.20 left of your $20 for this month. On 1 February 2027, 01:00 (Europe/Berlin) it starts anew: you have $20 again. On 6 February 2027, 24:00 (Europe/Berlin) your key for CS pilot stops, and what is left then cannot be used any more.",
        ),
        (
            Reset::None,
            "You have $7.20 left of your $20 for the whole term, until 6 February 2027, 24:00 (Europe/Berlin). Then your key for CS pilot stops, and what is left cannot be used any more.",
        ),
    ] {
        let mut office = PostOffice::open().await;
        office.set(|settings| settings.reset = reset).await;
        let ada = office.enrol("ada@example.edu").await;
        office.claim(&ada).await;
        office.the_mail();
        office.stack.clock.stop_at("2027-01-31T00:20:00Z".parse().unwrap()).unwrap();
        let as_of = office.stack.clock.now();
        let used = DailyUse::on_one(utc_date(as_of), Usd::from_micros(12_799_001));
        let reading = Reading { window: reset.window_at(as_of), ..reading(&office.programme, &ada, used, as_of) };
        office.table.note_reading(&reading, soon()).await.unwrap();
        assert_eq!(office.rules(&ada).await, Rule::Announce(Notice::TermEndSoon));
        office.drain().await;
        let text = office.the_mail().contents.text.unwrap();
        assert!(text.contains(says), "{reset:?}: {text}");
        assert!(text.contains("As of: 31 January 2027, 01:20 (Europe/Berlin)"), "{text}");
        office.finish().await;
    }
}

#[tokio::test]
async fn a_cap_that_started_anew_before_the_mail_left_is_told_as_it_is_by_then() {
    let mut office = PostOffice::open().await;
    office.set(|settings| settings.reset = Reset::Weekly).await;
    let ada = office.enrol("ada@example.edu").await;
    office.claim(&ada).await;
    office.the_mail();
    office.stack.clock.stop_at("2027-01-31T00:20:00Z".parse().unwrap()).unwrap();
    let as_of = office.stack.clock.now();
    let used = DailyUse::on_one(utc_date(as_of), Usd::from_micros(12_799_001));
    let reading = Reading { window: Reset::Weekly.window_at(as_of), ..reading(&office.programme, &ada, used, as_of) };
    office.table.note_reading(&reading, soon()).await.unwrap();
    office.stack.clock.stop_at("2027-01-31T23:50:00Z".parse().unwrap()).unwrap();
    assert_eq!(office.rules(&ada).await, Rule::Announce(Notice::TermEndSoon));
    office.stack.clock.stop_at("2027-02-01T00:10:00Z".parse().unwrap()).unwrap();
    office.drain().await;
    let text = office.the_mail().contents.text.unwrap();
    assert!(
        text.contains("You have $20 left of your $20 for this week, until 6 February 2027, 24:00 (Europe/Berlin). It does not start anew before then."),
        "{text}"
    );
    assert!(text.contains("As of: 1 February 2027, 01:00 (Europe/Berlin)"), "{text}");
    office.finish().await;
}

#[tokio::test]
async fn nobody_is_told_what_is_not_so_any_more() {
    let (mut office, grant) = PostOffice::with_rules(1, 60).await;
    assert_eq!(office.rules(&grant).await, Rule::Announce(Notice::UnusedSoon));
    office.table.act(office.at(&grant), |view, now| view.stop(Stopped::UsedUp, &Actor::Sync, now)).await.unwrap();
    office.drain().await;
    assert!(office.unread().is_empty() && office.states().contains(&"dropped"), "{:?}", office.states());
    office.finish().await;
}

#[tokio::test]
async fn where_students_get_no_reminders_they_hear_of_the_rules_all_the_same_and_not_of_the_terms_end() {
    let (mut office, grant) = PostOffice::with_rules(1, 600).await;
    office.set(|settings| settings.student_mails = false).await;
    assert_eq!(office.rules(&grant).await, Rule::Announce(Notice::UnusedSoon));
    office.drain().await;
    assert!(office.the_mail().contents.subject.contains("unless you use it"));
    office.pass(7 * DAY).await;
    assert_eq!(office.rules(&grant).await, Rule::Hold);
    office.drain().await;
    assert!(office.the_mail().contents.subject.contains("was switched off"));
    office.finish().await;

    let (mut office, grant) = PostOffice::with_rules(300, 300).await;
    office.stack.clock.stop_at("2027-02-01T08:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(office.rules(&grant).await, Rule::Announce(Notice::TermEndSoon));
    office.set(|settings| settings.student_mails = false).await;
    office.drain().await;
    assert!(office.unread().is_empty() && office.states().contains(&"dropped"), "{:?}", office.states());
    office.finish().await;
}
