//! Alerts about a programme's money: their words, recipients and picture.

use std::collections::BTreeMap;

use bursar_core::domain::audit::Actor;
use bursar_core::domain::usage::reading::{DailyUse, Reading};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{Author, Totals};
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Fault as MailFault;
use bursar_tests::faults::Matcher;
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{as_sync, reading};

use super::words::{html_says, redacted};
use super::{PostOffice, address, soon};

#[tokio::test]
async fn an_alert_says_the_number() {
    let mut office = PostOffice::open().await;
    office.cross(80, office.steadily(1, 3_359_999_001)).await;
    office.settle().await;
    let mail = office.the_mail();
    assert_eq!((mail.contents.kind.as_deref(), mail.to.as_str()), (Some("alert"), "Frida.Faculty@example.edu"));
    insta::assert_snapshot!(redacted(&office, &mail.contents), @r#"
    CS pilot has used 83% of $4,000

    CS pilot has used 83% of $4,000

    Spent: $3,360
    Budget: $4,000
    Left: $640
    Students: 161 of 200 have had a key
    Term ends: 6 February 2027
    As of: 20 November 2026, 11:00 (Europe/Berlin)

    There is too little data to say when the budget will be used up.

    Nothing changes for students now: each key works up to its own cap. You hear again at 95%. To have the budget raised, save the budget that you need on the programme's page: admins get it as a request.

    See the programme:
    [origin]/console/programmes/cs-pilot
    "#);
    html_says(&mail.contents, &["CS pilot has used 83% of $4,000", "$3,360", "/console/programmes/cs-pilot"]);
    office.finish().await;
}

#[tokio::test]
async fn an_alert_of_a_pot_that_is_another_by_now_says_what_was_found_and_that_nobody_else_gets_a_key() {
    let mut office = PostOffice::open().await;
    let ada = office.claimed_by("ada@example.edu").await;
    let unsent = office.stack.gate.hold(Matcher::call("*").of(FunctionName::Mail).every());
    let faculty = office.table.person_of(&address("Frida.Faculty@example.edu"), soon()).await.unwrap();
    office.cross_with(&ada, 80, office.steadily(1, 3_359_999_001), &[faculty]).await;
    let by = Author { actor: &Actor::Rule, now: office.stack.clock.now(), deadline: soon() };
    office.table.set_pot(&office.programme, Usd::from_dollars(30), by).await;
    let totals = office.table.totals(&office.programme).await.unwrap().unwrap();
    let more = DailyUse { credits: office.steadily(2, 1_950_000_000), ..DailyUse::default() };
    let grant = office.table.grants(&office.programme).await.unwrap().pop().unwrap();
    let reading = office.table.view(&office.programme, &grant.id).await.unwrap().unwrap().readings.pop().unwrap();
    office.table.note_reading(&Reading { used: more.clone(), ..reading }, soon()).await.unwrap();
    assert!(as_sync(&office.table, async |sync| sync.note_totals(&Totals { used: more, ..totals }).await).await);
    drop(unsent);
    office.settle().await;
    let mut unread = office.unread();
    unread.sort_by(|one, other| one.contents.subject.cmp(&other.contents.subject));
    let subjects: Vec<_> = unread.iter().map(|mail| mail.contents.subject.as_str()).collect();
    assert_eq!(subjects, ["CS pilot has used 13000% of $30", "CS pilot has used 83% of $4,000"]);
    let lowered = unread[0].contents.text.clone().unwrap();
    assert!(
        lowered.starts_with(
            "CS pilot has used more than its budget of $30\n\nThe budget was lowered to $30 after $3,900 had been spent.\n\nSpent: $3,900\n"
        ),
        "{lowered}"
    );
    html_says(
        &unread[0].contents,
        &["alt=\"A line from 12 October 2026 to 20 November 2026: $3,900 spent of the budget of $30, which is more."],
    );
    assert!(!lowered.contains("13000") && !unread[0].contents.html.as_ref().unwrap().contains("13000"), "{lowered}");
    let text = unread[1].contents.text.clone().unwrap();
    assert!(text.contains("Spent: $3,360\n") && text.contains("Budget: $4,000\n"), "{text}");
    assert!(
        text.contains("The budget was changed since this was found: it is $30 now. Nobody gets a new key;"),
        "{text}"
    );
    office.finish().await;
}

#[tokio::test]
async fn an_alert_of_a_budget_that_was_overspent_does_not_say_that_somebody_lowered_it() {
    let mut office = PostOffice::open().await;
    office.cross(100, office.steadily(1, 4_060_000_000)).await;
    office.settle().await;
    let mail = office.the_mail();
    assert_eq!(mail.contents.subject, "CS pilot has used 101% of $4,000");
    let text = mail.contents.text.unwrap();
    let says = "CS pilot has used more than its budget of $4,000\n\nMore was spent than the budget of $4,000.\n\nSpent: $4,060\n";
    assert!(text.starts_with(says), "{text}");
    office.finish().await;
}

#[tokio::test]
async fn an_alert_says_that_all_is_promised_before_a_student_is_refused() {
    let mut office = PostOffice::open().await;
    let by = Author { actor: &Actor::Rule, now: office.stack.clock.now(), deadline: soon() };
    office.table.set_pot(&office.programme, Usd::from_dollars(30), by).await;
    let ada = office.enrol("ada@example.edu").await;
    office.claim(&ada).await;
    office.settle().await;
    let mut unread = office.unread();
    unread.retain(|mail| mail.contents.kind.as_deref() == Some("alert"));
    let [mail] = &unread[..] else { panic!("{} alerts", unread.len()) };
    assert_eq!(mail.to, "Frida.Faculty@example.edu");
    insta::assert_snapshot!(redacted(&office, &mail.contents), @r#"
    CS pilot has promised all of $30 (0% used)

    CS pilot has promised all of $30 (0% used)

    Budget: $30
    Spent: $0
    Held for keys: $20, what is spent included
    Left for further keys: $10
    One more key takes: $20
    Term ends: 6 February 2027
    As of: 20 November 2026, 11:00 (Europe/Berlin)

    Whoever asks for a key now gets none. Keys that are out go on, each up to its own cap. You hear of this once for a budget of this amount. To have the budget raised, save the budget that you need on the programme's page: admins get it as a request.

    See the programme:
    [origin]/console/programmes/cs-pilot
    "#);
    office.finish().await;
}

#[tokio::test]
async fn an_alert_of_a_budget_that_is_promised_says_how_many_wait_and_what_it_takes() {
    let mut office = PostOffice::open().await;
    let ada = office.enrol("ada@example.edu").await;
    office.claim(&ada).await;
    let (programme, now) = (office.programme.clone(), office.stack.clock.now());
    let used = DailyUse { credits: office.steadily(1, 5_000_000), ..DailyUse::default() };
    let reading = reading(&programme, &ada, used.clone(), now);
    office.table.note_reading(&reading, soon()).await.unwrap();
    let (by_group, implied) = (BTreeMap::new(), Usd::from_dollars(60));
    let totals = Totals { programme, as_of: now, used, by_group, implied, grants: 3, claimed: 1 };
    assert!(as_sync(&office.table, async |sync| sync.note_totals(&totals).await).await);
    let by = Author { actor: &Actor::Rule, now, deadline: soon() };
    office.table.set_pot(&office.programme, Usd::from_dollars(25), by).await;
    office.settle().await;
    let mut unread = office.unread();
    unread.retain(|mail| mail.contents.kind.as_deref() == Some("alert"));
    assert_eq!(
        unread.iter().map(|mail| &mail.contents.subject).collect::<Vec<_>>(),
        ["CS pilot has promised all of $25 (20% used)"]
    );
    let text = unread[0].contents.text.as_deref().unwrap();
    let says = "Whoever asks for a key now gets none: 2 on the roster have not had theirs. For everybody on the roster the budget has to be $60, which is $35 more.";
    assert!(text.contains(says) && text.contains("Held for keys: $20, what is spent included\n"), "{text}");
    office.finish().await;
}

#[tokio::test]
async fn an_alert_goes_to_nobody_who_lost_the_role_meanwhile() {
    let mut office = PostOffice::open().await;
    office.stack.ses.fail_next(MailFault::Throttle, 100, Some("Frida.Faculty@example.edu"));
    office.cross(80, office.steadily(1, 3_359_999_001)).await;
    office.settle().await;
    office.set(|settings| settings.faculty = vec![address("ben@example.edu")]).await;
    office.stack.ses.lift_faults(None);
    office.pass(10).await;
    assert_eq!(office.unread().len(), 0);
    assert!(office.states().contains(&"dropped"));
    office.finish().await;
}

#[tokio::test]
async fn an_alert_says_to_each_what_they_can_do_about_the_money() {
    let mut office = PostOffice::open().await;
    office
        .set(|settings| {
            settings.assistants = vec![address("sam@example.edu"), address("tom@example.edu")];
            settings.alert_assistants = settings.assistants.clone();
        })
        .await;
    let people = ["Frida.Faculty@example.edu", "sam@example.edu"];
    let mut recipients = Vec::new();
    for one in people {
        recipients.push(office.table.person_of(&address(one), soon()).await.unwrap());
    }
    office.cross_to(80, office.steadily(1, 3_359_999_001), &recipients).await;
    office.settle().await;
    let mut unread = office.unread();
    unread.sort_by(|one, other| one.to.cmp(&other.to));
    let last = |mail: &super::Got| {
        let text = mail.contents.text.clone().unwrap();
        let line = text.lines().find(|line| line.starts_with("Nothing changes")).unwrap().to_owned();
        line.split_once("at 95%. ").unwrap().1.to_owned()
    };
    assert_eq!(unread.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), people);
    assert_eq!(
        unread.iter().map(last).collect::<Vec<_>>(),
        [
            "To have the budget raised, save the budget that you need on the programme's page: admins get it as a request.",
            "If more is needed, tell the faculty, who can ask for it: Frida.Faculty@example.edu.",
        ]
    );
    office.finish().await;
}

#[tokio::test]
async fn an_alert_says_when_the_pot_will_be_empty() {
    let mut office = PostOffice::open().await;
    // A little less than two per cent of the pot each day since the term began.
    office.cross(50, office.steadily(40, 70_000_000)).await;
    office.settle().await;
    let mail = office.the_mail();
    insta::assert_snapshot!(redacted(&office, &mail.contents), @r#"
    CS pilot has used 70% of $4,000

    CS pilot has used 70% of $4,000

    Spent: $2,800
    Budget: $4,000
    Left: $1,200
    Students: 161 of 200 have had a key
    Term ends: 6 February 2027
    As of: 20 November 2026, 11:00 (Europe/Berlin)

    At the pace of the last weeks, about $490 a week, the budget will be used up around 8 December 2026.

    Nothing changes for students now: each key works up to its own cap. You hear again at 80%. To have the budget raised, save the budget that you need on the programme's page: admins get it as a request.

    See the programme:
    [origin]/console/programmes/cs-pilot
    "#);
    office.finish().await;
}

#[tokio::test]
async fn an_alert_says_that_the_pot_lasts_or_that_it_is_empty() {
    for (threshold, days, each, says) in [
        (
            10,
            40,
            10_000_000,
            "At the pace of the last weeks, about $70 a week, the budget lasts beyond the end of the term.\n\nNothing changes",
        ),
        (100, 40, 100_100_000, "The budget is used up.\n\nNobody gets a new key. Keys that are out go on"),
    ] {
        let mut office = PostOffice::open().await;
        office.cross(threshold, office.steadily(days, each)).await;
        office.settle().await;
        let mail = office.the_mail();
        let text = mail.contents.text.as_deref().unwrap();
        assert!(text.contains(says), "{text}");
        assert_eq!(mail.contents.subject, format!("CS pilot has used {threshold}% of $4,000"));
        office.finish().await;
    }
}

#[tokio::test]
async fn an_alert_brings_its_picture_and_the_numbers_in_it() {
    let mut office = PostOffice::open().await;
    office.cross(50, office.steadily(40, 70_000_000)).await;
    office.settle().await;
    let contents = office.the_mail().contents;
    let [picture] = &contents.attachments[..] else { panic!("{} attachments", contents.attachments.len()) };
    assert_eq!(picture.media_type, "image/png");
    assert!(picture.bytes.starts_with(b"\x89PNG") && picture.bytes.len() <= 60_000, "{}", picture.bytes.len());
    html_says(
        &contents,
        &[
            &format!("src=\"cid:{}\"", picture.content_id.as_deref().unwrap()),
            "alt=\"A line from 12 October 2026 to 20 November 2026: $2,800 spent of the budget of $4,000, 70%.",
            "the budget will be used up around",
        ],
    );
    // The inbox shows the picture inline, since its policy allows only pictures in the page.
    assert!(contents.html_with_pictures().unwrap().contains("src=\"data:image/png;base64,iVBOR"));
    let source = String::from_utf8(office.stack.ses.mails().pop().unwrap().raw.to_vec()).unwrap();
    let place = |part: &str| source.find(part).unwrap_or_else(|| panic!("no {part}"));
    let order = ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"].map(place);
    assert!(order.is_sorted(), "{order:?}");
    office.finish().await;
}
