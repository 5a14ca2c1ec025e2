//! The text of each mail, and its headers.

use std::collections::BTreeMap;

use bursar_core::domain::audit::{Act, Actor, AuditDetail};
use bursar_core::domain::grant::{MintedKey, Press, PressKind, Stopped};
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::{Epoch, GrantId, Nonce, PersonId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Window, utc_date};
use bursar_core::store::{ActContext, ActOutcome, Author, Totals};
use bursar_local::inbox::Contents;
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{as_sync, reading};
use jiff::ToSpan;

use super::footers::without_footer;
use super::{PostOffice, address, soon};

/// Subject and text above the footer, with placeholders for what differs from run to run.
pub(super) fn redacted(office: &PostOffice, contents: &Contents) -> String {
    let text = without_footer(contents.text.as_deref().unwrap()).replace(&office.stack.ready.web, "[origin]");
    let line = |line: &str| match (line.split_once("/c/"), line.strip_prefix("Code: ")) {
        (Some((before, token)), _) if token.len() == 43 => format!("{before}/c/[token]"),
        (_, Some(code)) if code.len() == 14 => "Code: [code]".to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<_> = text.lines().map(line).collect();
    format!("{}\n\n{}", contents.subject, lines.join("\n"))
}

/// Asserts that the HTML contains each of these parts.
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
    "#);
    let at =
        ActContext { programme: &office.programme, grant: &grant, now: office.stack.clock.now(), deadline: soon() };
    office.table.act(at, |view, now| view.stop(Stopped::Leaked, &Actor::Student, now)).await.unwrap();
    // The key is made up, so the order to disable it stays open: only the stream and the drain run.
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
    let used = DailyUse::on_one(utc_date(read_at), Usd::from_micros(3_099_001));
    office.table.note_reading(&reading(&office.programme, &grant, used, read_at), soon()).await.unwrap();
    let at =
        ActContext { programme: &office.programme, grant: &grant, now: office.stack.clock.now(), deadline: soon() };
    office.table.act(at, |view, now| view.stop(Stopped::Leaked, &Actor::Student, now)).await.unwrap();
    office.stack.pump.drained().await.unwrap();
    let text = office.the_mail().contents.text.unwrap();
    let says = "it can still be spent on. By the last reading, of 20 November 2026, 11:00 (Europe/Berlin), it had used $3.10.\n";
    assert!(text.contains(says), "{text}");
    office.finish().await;
}

impl PostOffice {
    /// Shows a made-up key to the student of a grant.
    pub(super) async fn claim(&mut self, grant: &GrantId) {
        let at = ActContext { programme: &self.programme, grant, now: self.stack.clock.now(), deadline: soon() };
        let press = Press { kind: PressKind::Reveal, epoch: Epoch::BEFORE_THE_FIRST, terms: None };
        let ActOutcome::Done(begun) =
            self.table.act(at, |view, now| view.begin(press, Nonce::random(), now)).await.unwrap()
        else {
            panic!("not begun")
        };
        let minted =
            MintedKey { key: grant.as_str().repeat(4).parse().unwrap(), limit: Usd::from_dollars(20), rule_set: None };
        self.table.act(at, |view, now| view.record(&begun, &minted, now)).await.unwrap();
        self.settle().await;
    }

    /// An equal amount on each of the last days, today included.
    pub(super) fn steadily(&self, days: i64, each: i64) -> Days {
        let (mut spent, today) = (Days::default(), utc_date(self.stack.clock.now()));
        for ago in 0..days {
            spent.add(&Days::on_one(today.checked_sub(ago.days()).unwrap(), Usd::from_micros(each)));
        }
        spent
    }

    /// Records spending of these days, and a crossing of this threshold with its alert to faculty.
    pub(super) async fn cross(&mut self, threshold: u8, days: Days) {
        let faculty = self.table.person_of(&address("Frida.Faculty@example.edu"), soon()).await.unwrap();
        self.cross_to(threshold, days, &[faculty]).await;
    }

    pub(super) async fn cross_to(&mut self, threshold: u8, days: Days, recipients: &[PersonId]) {
        let grant = self.claimed_by(&format!("ada.{threshold}@example.edu")).await;
        self.cross_with(&grant, threshold, days, recipients).await;
    }

    /// The grant of somebody new, who has claimed and read that mail.
    pub(super) async fn claimed_by(&mut self, email: &str) -> GrantId {
        // Otherwise the student would be mailed as well.
        self.set(|settings| settings.student_mails = false).await;
        let grant = self.enrol(email).await;
        self.claim(&grant).await;
        assert_eq!(self.unread().len(), 1);
        grant
    }

    pub(super) async fn cross_with(&mut self, grant: &GrantId, threshold: u8, days: Days, recipients: &[PersonId]) {
        let (as_of, spent, of_all) =
            (self.stack.clock.now(), days.total(), DailyUse { credits: days, ..DailyUse::default() });
        let reading = reading(&self.programme, grant, of_all.clone(), as_of);
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
        assert!(as_sync(&self.table, async |sync| sync.note_totals(&totals).await).await);
        let (scope, window, limit) = (Scope::Pot, Window::WHOLE_TERM, Usd::from_dollars(4000));
        let crossing = Crossing {
            programme,
            scope,
            window,
            limit,
            threshold,
            spent,
            found_at: now,
            is_mailed: true,
            mails: Vec::new(),
        };
        assert!(self.table.record_crossings(&[crossing], recipients, now, soon()).await.unwrap());
    }
}

#[tokio::test]
async fn no_name_adds_a_header_or_markup() {
    let mut office = PostOffice::open().await;
    let programme = office.table.programme(&office.programme).await.unwrap().unwrap();
    let mut settings = programme.settings.clone();
    settings.name = "CS\r\nBcc: eve@example.edu\r\n\r\n<b>Größe</b>".to_owned();
    let admin = Actor::Person(PersonId::random());
    let by = Author { actor: &admin, now: office.stack.clock.now(), deadline: soon() };
    let what = AuditDetail::new(Act::Edited);
    office.table.save_settings(&office.programme, settings, programme.version, what, by).await.unwrap();
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
