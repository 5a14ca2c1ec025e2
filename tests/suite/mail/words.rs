//! What each mail says, as text, and what stands in its headers.

use std::collections::BTreeMap;

use bursar_core::domain::audit::{Act, Actor, What};
use bursar_core::domain::crossing::{Crossing, Scope};
use bursar_core::domain::days::Days;
use bursar_core::domain::grant::{Minted, Press, PressKind, Reading, Stopped};
use bursar_core::domain::id::{Epoch, GrantId, PersonId};
use bursar_core::domain::money::Usd;
use bursar_core::domain::reading::Used;
use bursar_core::domain::window::{Window, utc_date};
use bursar_core::store::items::Totals;
use bursar_core::store::{At, By, Outcome};
use bursar_local::inbox::Contents;
use bursar_local::ses::Fault;
use bursar_tests::office::reading;
use jiff::ToSpan;

use super::{PostOffice, address, soon};

/// The text with what differs from run to run named.
pub(super) fn redacted(office: &PostOffice, contents: &Contents) -> String {
    let text = contents.text.clone().unwrap().replace(&office.stack.ready.web, "[origin]");
    let line = |line: &str| match (line.split_once("/c/"), line.strip_prefix("Code: ")) {
        (Some((before, token)), _) if token.len() == 43 => format!("{before}/c/[token]"),
        (_, Some(code)) if code.len() == 14 => "Code: [code]".to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<_> = text.lines().map(line).collect();
    format!("{}\n\n{}", contents.subject, lines.join("\n"))
}

/// The HTML says what the text says.
pub(super) fn html_says(contents: &Contents, what: &[&str]) {
    let html = contents.html.as_deref().unwrap();
    for part in what {
        assert!(html.contains(part), "{part:?} is not in {html}");
    }
}

#[tokio::test]
async fn a_link_mail() {
    let mut office = PostOffice::open().await;
    office.ask("admin@example.edu").await;
    office.settle().await;
    let Contents { headers, .. } = &office.unread()[0].contents;
    let wanted = ["From", "To", "Reply-To", "Date", "X-Bursar-Mail", "Auto-Submitted", "MIME-Version"];
    let shown: BTreeMap<_, _> = wanted.iter().map(|name| (*name, headers.get(*name))).collect();
    insta::assert_debug_snapshot!(shown, @r#"
    {
        "Auto-Submitted": Some(
            "auto-generated",
        ),
        "Date": Some(
            "Fri, 20 Nov 2026 10:00:00 +0000",
        ),
        "From": Some(
            "\"Example University\" <bursar@example.edu>",
        ),
        "MIME-Version": Some(
            "1.0",
        ),
        "Reply-To": Some(
            "bursar-help@example.edu",
        ),
        "To": Some(
            "admin@example.edu",
        ),
        "X-Bursar-Mail": Some(
            "link",
        ),
    }
    "#);
    assert_eq!(headers["Message-ID"], format!("<{}@example.edu>", headers["X-Bursar-Row"]));
    let contents = Contents::of(&office.stack.ses.mails()[0].raw);
    insta::assert_snapshot!(redacted(&office, &contents), @r#"
    Your link to sign in to Bursar

    Sign in to Bursar

    This link signs you in. It works once, within 30 minutes. In another browser than the one where you asked for it, you type your university address as well.

    Sign in:
    [origin]/c/[token]

    Or type this code on the page where you asked for the link:

    Code: [code]

    Whoever has the link or the code can sign in as you. Give them to nobody. If you did not ask, do nothing.

    -- 
    You get this mail because this address was entered at [origin].
    Example University
    Help: bursar-help@example.edu
    Privacy: https://example.edu/privacy
    "#);
    html_says(&contents, &["Sign in", "/c/", "Example University", "bursar-help@example.edu", "signs you in"]);
    office.finish().await;
}

#[tokio::test]
async fn a_roster_mail() {
    let mut office = PostOffice::open().await;
    office.invite("ada@example.edu").await;
    office.settle().await;
    let mail = office.the_mail();
    assert_eq!(mail.contents.kind.as_deref(), Some("roster"));
    insta::assert_snapshot!(redacted(&office, &mail.contents), @r#"
    CS pilot: your LLM credit

    You have LLM credit

    You are on the roster of CS pilot at Example University, which has a key for you. With it, your programs and your editor can use large language models (LLMs), such as those behind ChatGPT, Claude and Gemini. What that costs is paid from your credit, and not by you.

    Programme: CS pilot
    Credit: $20 for the whole term
    Term: 12 October 2026 to 6 February 2027
    Run by: Frida.Faculty@example.edu

    To get your key, open this page, enter your university address, and follow the link that comes by mail. It takes less than a minute. This mail has no password and asks for none.

    Get my key:
    [origin]/

    -- 
    You get this mail because Example University put you on the roster of CS pilot.
    Example University
    Help: bursar-help@example.edu
    Privacy: https://example.edu/privacy
    "#);
    html_says(&mail.contents, &["CS pilot", "$20 for the whole term", "Get my key"]);
    office.finish().await;
}

#[tokio::test]
async fn notices_of_a_key_that_was_shown_or_reported() {
    let mut office = PostOffice::open().await;
    let grant = office.enrol("ada@example.edu").await;
    office.claim(&grant).await;
    let shown = office.the_mail();
    assert_eq!(shown.contents.kind.as_deref(), Some("key-shown"));
    insta::assert_snapshot!(redacted(&office, &shown.contents), @r#"
    CS pilot: you took a new key

    You took a new key

    You (or somebody signed in as you) took a new key for CS pilot on 20 November 2026, 11:00 (Europe/Berlin).

    If it was you, there is nothing to do. If it was not, report the key as leaked on your page: it is switched off, usually within a minute, and you can get another.

    Look at my keys:
    [origin]/my

    -- 
    You get this mail each time a key of yours is shown.
    Example University
    Help: bursar-help@example.edu
    Privacy: https://example.edu/privacy
    "#);
    let at = At { programme: &office.programme, grant: &grant, now: office.stack.clock.now(), deadline: soon() };
    office.table.stop(at, Stopped::Leaked, &Actor::Student).await.unwrap();
    // The key is made up, so its disable stays owed: only the stream and the drain run.
    office.stack.pump.drained().await.unwrap();
    let leaked = office.the_mail();
    assert_eq!(leaked.contents.kind.as_deref(), Some("key-leaked"));
    insta::assert_snapshot!(redacted(&office, &leaked.contents), @r#"
    CS pilot: your key was reported leaked

    Your key was reported leaked

    You (or somebody signed in as you) reported your key for CS pilot as leaked on 20 November 2026, 11:00 (Europe/Berlin). It is switched off at once. Until the provider has done that, usually within a minute, it can still be spent on.

    Your page says whether it is off, and what was spent by then. The rest of your credit is yours: get a new key there.

    Look at my keys:
    [origin]/my

    -- 
    You get this mail because a key of yours was reported leaked.
    Example University
    Help: bursar-help@example.edu
    Privacy: https://example.edu/privacy
    "#);
    office.finish().await;
}

#[tokio::test]
async fn who_reports_a_key_reads_what_it_had_used_by_the_last_reading() {
    let mut office = PostOffice::open().await;
    let grant = office.enrol("ada@example.edu").await;
    office.claim(&grant).await;
    office.the_mail();
    let read_at = office.stack.clock.now();
    office.pass(60).await;
    let used = Used::on_one(utc_date(read_at), Usd::from_micros(3_099_001));
    office.table.note_reading(&reading(&office.programme, &grant, used, read_at), soon()).await.unwrap();
    let at = At { programme: &office.programme, grant: &grant, now: office.stack.clock.now(), deadline: soon() };
    office.table.stop(at, Stopped::Leaked, &Actor::Student).await.unwrap();
    office.stack.pump.drained().await.unwrap();
    let text = office.the_mail().contents.text.unwrap();
    let says = "it can still be spent on. By the last reading, of 20 November 2026, 11:00 (Europe/Berlin), it had used $3.10.\n";
    assert!(text.contains(says), "{text}");
    office.finish().await;
}

impl PostOffice {
    /// A key that was made up is shown.
    pub(super) async fn claim(&mut self, grant: &GrantId) {
        let at = At { programme: &self.programme, grant, now: self.stack.clock.now(), deadline: soon() };
        let press = Press { kind: PressKind::Reveal, epoch: Epoch::BEFORE_THE_FIRST, terms: None };
        let Outcome::Done(begun) = self.table.begin(at, press).await.unwrap() else { panic!("not begun") };
        let minted = Minted { key: grant.as_str().repeat(4).parse().unwrap(), limit: Usd::from_dollars(20) };
        self.table.record(at, &begun, &minted).await.unwrap();
        self.settle().await;
    }

    /// As much on each of so many days up to now.
    pub(super) fn steadily(&self, days: i64, each: i64) -> Days {
        let (mut spent, today) = (Days::default(), utc_date(self.stack.clock.now()));
        for ago in 0..days {
            spent.add(&Days::on_one(today.checked_sub(ago.days()).unwrap(), Usd::from_micros(each)));
        }
        spent
    }

    /// Somebody spends more than anybody may, and a crossing of it is told.
    async fn cross(&mut self, threshold: u8, days: Days) {
        let faculty = self.table.person_of(&address("Frida.Faculty@example.edu"), soon()).await.unwrap();
        self.cross_to(threshold, days, &[faculty]).await;
    }

    pub(super) async fn cross_to(&mut self, threshold: u8, days: Days, recipients: &[PersonId]) {
        // The student would hear of it as well.
        self.set(|settings| settings.student_mails = false).await;
        let grant = self.enrol(&format!("ada.{threshold}@example.edu")).await;
        self.claim(&grant).await;
        assert_eq!(self.unread().len(), 1);
        let (as_of, spent, of_all) = (self.stack.clock.now(), days.total(), Used { credits: days, ..Used::default() });
        let reading = reading(&self.programme, &grant, of_all.clone(), as_of);
        self.table.note_reading(&reading, soon()).await.unwrap();
        let (programme, now) = (self.programme.clone(), self.stack.clock.now());
        let totals = Totals {
            programme: programme.clone(),
            as_of: now,
            used: of_all,
            by_group: BTreeMap::new(),
            implied: Usd::from_dollars(4000),
            grants: 200,
            claimed: 161,
        };
        self.table.note_totals(&totals, soon()).await.unwrap();
        let (scope, window, limit) = (Scope::Pot, Window::WHOLE_TERM, Usd::from_dollars(4000));
        let crossing = Crossing {
            programme,
            scope,
            window,
            limit,
            threshold,
            spent,
            found_at: now,
            told: true,
            mails: Vec::new(),
        };
        assert!(self.table.record_crossings(&[crossing], recipients, now, soon()).await.unwrap());
    }
}

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

    -- 
    You get this mail because you are among those who hear about the money of CS pilot.
    Example University
    Help: bursar-help@example.edu
    Privacy: https://example.edu/privacy
    "#);
    html_says(&mail.contents, &["CS pilot has used 83% of $4,000", "$3,360", "/console/programmes/cs-pilot"]);
    office.finish().await;
}

#[tokio::test]
async fn an_alert_of_a_pot_that_is_another_by_now_says_what_was_found_and_that_nobody_else_gets_a_key() {
    let mut office = PostOffice::open().await;
    office.cross(80, office.steadily(1, 3_359_999_001)).await;
    let by = By { actor: &Actor::Rule, now: office.stack.clock.now(), deadline: soon() };
    office.table.set_pot(&office.programme, Usd::from_dollars(30), by).await.unwrap();
    let totals = office.table.totals(&office.programme).await.unwrap().unwrap();
    let more = Used { credits: office.steadily(2, 1_950_000_000), ..Used::default() };
    let grant = office.table.grants(&office.programme).await.unwrap().pop().unwrap();
    let reading = office.table.view(&office.programme, &grant.id).await.unwrap().unwrap().readings.pop().unwrap();
    office.table.note_reading(&Reading { used: more.clone(), ..reading }, soon()).await.unwrap();
    office.table.note_totals(&Totals { used: more, ..totals }, soon()).await.unwrap();
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
    let by = By { actor: &Actor::Rule, now: office.stack.clock.now(), deadline: soon() };
    office.table.set_pot(&office.programme, Usd::from_dollars(30), by).await.unwrap();
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

    -- 
    You get this mail because you are among those who hear about the money of CS pilot.
    Example University
    Help: bursar-help@example.edu
    Privacy: https://example.edu/privacy
    "#);
    office.finish().await;
}

#[tokio::test]
async fn an_alert_of_a_budget_that_is_promised_says_how_many_wait_and_what_it_takes() {
    let mut office = PostOffice::open().await;
    let ada = office.enrol("ada@example.edu").await;
    office.claim(&ada).await;
    let (programme, now) = (office.programme.clone(), office.stack.clock.now());
    let used = Used { credits: office.steadily(1, 5_000_000), ..Used::default() };
    let reading = reading(&programme, &ada, used.clone(), now);
    office.table.note_reading(&reading, soon()).await.unwrap();
    let (by_group, implied) = (BTreeMap::new(), Usd::from_dollars(60));
    let totals = Totals { programme, as_of: now, used, by_group, implied, grants: 3, claimed: 1 };
    office.table.note_totals(&totals, soon()).await.unwrap();
    let by = By { actor: &Actor::Rule, now, deadline: soon() };
    office.table.set_pot(&office.programme, Usd::from_dollars(25), by).await.unwrap();
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
    office.stack.ses.fail_next(Fault::Throttle, 100, Some("Frida.Faculty@example.edu"));
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

    -- 
    You get this mail because you are among those who hear about the money of CS pilot.
    Example University
    Help: bursar-help@example.edu
    Privacy: https://example.edu/privacy
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
    // The inbox shows it in the mail, where its policy allows pictures that are in the page.
    assert!(contents.html_with_pictures().unwrap().contains("src=\"data:image/png;base64,iVBOR"));
    let source = String::from_utf8(office.stack.ses.mails().pop().unwrap().raw.to_vec()).unwrap();
    let place = |part: &str| source.find(part).unwrap_or_else(|| panic!("no {part}"));
    let order = ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"].map(place);
    assert!(order.is_sorted(), "{order:?}");
    office.finish().await;
}

#[tokio::test]
async fn no_name_adds_a_header_or_markup() {
    let mut office = PostOffice::open().await;
    let programme = office.table.programme(&office.programme).await.unwrap().unwrap();
    let mut settings = programme.settings.clone();
    settings.name = "CS\r\nBcc: eve@example.edu\r\n\r\n<b>Größe</b>".to_owned();
    let admin = Actor::Person(PersonId::random());
    let by = By { actor: &admin, now: office.stack.clock.now(), deadline: soon() };
    let what = What::new(Act::Edited);
    office.table.save_settings(&office.programme, settings, programme.edits, what, by).await.unwrap();
    office.invite("ada@example.edu").await;
    office.settle().await;
    let mail = office.the_mail();
    assert_eq!(mail.to, "ada@example.edu");
    assert!(mail.contents.subject.starts_with("CS  Bcc: eve@example.edu <b>Größe</b>"), "{}", mail.contents.subject);
    assert!(!mail.contents.headers.contains_key("Bcc"));
    html_says(&mail.contents, &["&#60;b&#62;Größe&#60;/b&#62;"]);
    assert!(mail.contents.text.unwrap().contains("<b>Größe</b>"));
    office.finish().await;
}
