//! What digests say, from what is on record.

use std::collections::HashMap;

use bursar_core::aws::AwsAccess;
use bursar_core::config::Config;
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::days::{Days, Known, Sum};
use bursar_core::domain::digest::{
    AccountDigest, Block, Digest, Few, Health, Line, ModelLine, Money, NewKey, Of, People, ProgrammeLine, Spender,
};
use bursar_core::domain::forecast::RunsOut;
use bursar_core::domain::id::{GrantId, ProgrammeId};
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::term::Term;
use jiff::civil::{Date, date};
use jiff::{Timestamp, ToSpan};

use super::{Names, Reader};
use crate::letter::{Letter, Part};
use crate::words::Words;

const WEEK: (Date, Date) = (date(2026, 11, 9), date(2026, 11, 15));

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn usd(cents: i64) -> Usd {
    Usd::from_micros(cents * 10_000)
}

fn exactly(cents: i64) -> Sum {
    Sum { spent: usd(cents), known: Known::Exactly }
}

fn grant(number: u64) -> GrantId {
    format!("{number:016x}").parse().unwrap()
}

fn few(count: u32, of: impl Iterator<Item = u64>) -> Few {
    Few { count, first: of.map(grant).collect() }
}

fn programme() -> Programme {
    let term = Term::new(date(2026, 10, 12), date(2027, 2, 6), "Europe/Berlin").unwrap();
    let settings = Settings::new("CS pilot", term, Usd::from_dollars(20));
    Programme::new(ProgrammeId::of_name("CS pilot"), settings)
}

/// As much on each day of the term until yesterday.
fn steadily(cents: i64) -> Days {
    let mut days = Days::default();
    for day in date(2026, 10, 12).series(1.day()).take_while(|day| *day <= WEEK.1) {
        days.add(&Days::on_one(day, usd(cents)));
    }
    days
}

fn model(name: &str, cents: i64, requests: u64, hundredths: i64) -> ModelLine {
    ModelLine {
        model: name.to_owned(),
        spent: usd(cents),
        requests: Some(requests),
        per_request: Some(Usd::from_micros(hundredths * 100)),
    }
}

fn a_full_digest() -> Digest {
    let line = |group: &str, this_week, week_before| Line {
        of: Of::Group(group.to_owned()),
        this_week: usd(this_week),
        week_before: usd(week_before),
    };
    let spender = |number: u64, cents| Spender {
        grant: grant(number),
        this_week: usd(cents),
        in_window: usd(cents + 900),
        cap: Usd::from_dollars(20),
    };
    Digest {
        programme: programme().id,
        week: date(2026, 11, 16),
        found_at: at("2026-11-16T06:00:00Z"),
        days: WEEK,
        money: Money {
            pot: Usd::from_dollars(4000),
            reserved: Usd::from_dollars(3220),
            this_week: exactly(31_240),
            week_before: exactly(28_010),
            spent: steadily(4_700),
        },
        groups: vec![
            line("Lab A", 20_000, 10_000),
            line("Lab B", 11_000, 18_000),
            Line { of: Of::NoGroup, this_week: usd(240), week_before: usd(10) },
        ],
        models: vec![
            model("anthropic/claude-sonnet-4.5", 20_000, 3_125, 640),
            model("openai/gpt-4o-mini", 10_000, 33_334, 30),
            model("deepseek/deepseek-r1-0528", 1_000, 477, 210),
            ModelLine { model: "not told by model".to_owned(), spent: usd(240), requests: None, per_request: None },
        ],
        models_unknown: vec![(date(2026, 11, 14), date(2026, 11, 15))],
        people: People {
            students: 200,
            claimed: 161,
            active: 120,
            spenders: vec![spender(1, 1_120), spender(2, 640), spender(3, 640)],
            stand_out: 1,
            standing_out: vec![(grant(1), usd(1_120))],
            usual_week: usd(112),
            unused: few(2, 4..6),
            unclaimed: few(39, 6..26),
            blocked: vec![(Block::UsedUp, few(3, 26..29)), (Block::Paused, few(1, 29..30))],
        },
        health: Health {
            completed_at: Some(at("2026-11-16T00:20:00Z")),
            looked_at: Some(at("2026-11-16T00:20:00Z")),
            residual: Some(usd(412)),
            residual_grew: Some(usd(12)),
        },
        recipients: Vec::new(),
        told: 0,
    }
}

fn names() -> Names {
    let first = ["Ada Lovelace", "Alan Turing", "barbara.liskov@example.edu", "Björn Borg", "Chloé <b>Dubois</b>"];
    let name = |number: u64| {
        let of = first.get(usize::try_from(number).unwrap() - 1);
        of.map_or_else(|| format!("Student {number:02}"), |name| (*name).to_owned())
    };
    (1..30).map(|number| (grant(number), name(number))).collect()
}

async fn config() -> Config {
    let variable = |name: &str| {
        let value = match name {
            "BURSAR_TABLE" => "bursar",
            "BURSAR_ORIGIN" => "https://bursar.example.edu",
            "BURSAR_MAIL_FROM" => "bursar@example.edu",
            "BURSAR_ADMINS" => "admin@example.edu",
            "BURSAR_MANAGEMENT_KEY_SECRET" => "secret",
            "BURSAR_INSTITUTION" => "Example University",
            _ => return None,
        };
        Some(value.to_owned())
    };
    Config::read(variable, AwsAccess::from_environment().await).unwrap()
}

async fn written(write: impl FnOnce(Words<'_>) -> Letter) -> (String, Letter, Config) {
    let config = config().await;
    let to = EmailAddress::parse("grace@example.edu").unwrap();
    let letter = write(Words { to: &to, config: &config });
    let text = letter.text(&config).unwrap();
    (format!("{}\n\n{text}", letter.subject), letter, config)
}

async fn of_programme(digest: &Digest, reader: Reader) -> (String, Letter, Config) {
    written(|words| words.digest(&programme(), digest, &reader, digest.found_at)).await
}

#[tokio::test]
async fn faculty_read_who_and_what() {
    let (text, letter, config) = of_programme(&a_full_digest(), Reader::Faculty(names())).await;
    insta::assert_snapshot!(text, @r#"
    CS pilot: $312.40 this week, 41% of the pot used

    CS pilot: the week

    Spent this week: $312.40
    The week before: $280.10
    Spent in all: $1,645.00 of $4,000, 41%
    Reserved: $3,220.00
    Students: 161 of 200 have had a key, 120 spent anything this week
    Week: 9 to 15 November 2026 (UTC)

    At the pace of the last weeks, about $329 a week, the pot is empty on 5 January 2027.

    == By group ==

    Lab A: this week $200.00, the week before $100.00
    Lab B: this week $110.00, the week before $180.00
    without a group: this week $2.40, the week before $0.10

    == By model ==

    anthropic/claude-sonnet-4.5: this week $200.00, requests 3,125, each $0.0640
    openai/gpt-4o-mini: this week $100.00, requests 33,334, each $0.0030
    deepseek/deepseek-r1-0528: this week $10.00, requests 477, each $0.0210
    not told by model: this week $2.40

    A request to anthropic/claude-sonnet-4.5 cost most, $0.0640 on average; openai/gpt-4o-mini cost $0.0030, deepseek/deepseek-r1-0528 cost $0.0210.

    Who used which model is not known for 14 to 15 November 2026.

    == Highest spenders ==

    Ada Lovelace: this week $11.20, of the cap $20.20 / $20
    Alan Turing: this week $6.40, of the cap $15.40 / $20
    barbara.liskov@example.edu: this week $6.40, of the cap $15.40 / $20

    == Who may need a look ==

    Far above their usual week: 1 (Ada Lovelace $11.20); a usual week of the class is $1.12
    Cap used up: 3 (Student 26, Student 27, Student 28)
    Paused: 1 (Student 29)
    Never used their key: 2 (Björn Borg, Chloé <b>Dubois</b>)
    No key claimed yet: 39 (Student 06, Student 07, Student 08, Student 09, Student 10, Student 11, Student 12, Student 13, Student 14, Student 15, Student 16, Student 17, Student 18, Student 19, Student 20, Student 21, Student 22, Student 23, Student 24, Student 25, and 19 more)

    == How far this can be relied on ==

    Last complete sync: 16 November 2026, 01:20 (Europe/Berlin)
    Residual of the account: $4.12, +$0.12 this week

    See the programme:
    https://bursar.example.edu/console/programmes/cs-pilot

    -- 
    You get this mail on Mondays because you are faculty of CS pilot. Its faculty can set another day, or none.
    Example University
    "#);
    let html = letter.html(&config, "burn.1@example.edu").unwrap();
    for part in ["src=\"cid:burn.1@example.edu\"", "Chloé &#60;b&#62;Dubois&#60;/b&#62;", "$1,645.00 of $4,000", "<th "]
    {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert_eq!(html.matches("<a ").count(), 1, "one link");
    assert!(!html.contains("display:flex") && !html.contains("grid"), "Outlook knows tables only");
}

#[tokio::test]
async fn assistants_read_counts_and_no_name() {
    let (text, letter, config) = of_programme(&a_full_digest(), Reader::Assistant).await;
    insta::assert_snapshot!(text, @r#"
    CS pilot: $312.40 this week, 41% of the pot used

    CS pilot: the week

    Spent this week: $312.40
    The week before: $280.10
    Spent in all: $1,645.00 of $4,000, 41%
    Reserved: $3,220.00
    Students: 161 of 200 have had a key, 120 spent anything this week
    Week: 9 to 15 November 2026 (UTC)

    At the pace of the last weeks, about $329 a week, the pot is empty on 5 January 2027.

    == Who may need a look ==

    Far above their usual week: 1
    Cap used up: 3
    Paused: 1
    Never used their key: 2
    No key claimed yet: 39

    == How far this can be relied on ==

    Last complete sync: 16 November 2026, 01:20 (Europe/Berlin)
    Residual of the account: $4.12, +$0.12 this week

    See the programme:
    https://bursar.example.edu/console/programmes/cs-pilot

    -- 
    You get this mail on Mondays because you are an assistant of CS pilot. Its faculty can set another day, or none.
    Example University
    "#);
    let html = letter.html(&config, "burn.1@example.edu").unwrap();
    for name in names().values() {
        assert!(!text.contains(name.as_str()) && !html.contains(name.as_str()), "{name}");
    }
}

#[tokio::test]
async fn a_quiet_week_is_told_as_one() {
    let digest = Digest {
        money: Money {
            this_week: exactly(0),
            spent: Days::on_one(date(2026, 10, 20), usd(28_010)),
            ..a_full_digest().money
        },
        groups: Vec::new(),
        models: Vec::new(),
        models_unknown: Vec::new(),
        people: People { students: 200, claimed: 161, ..People::default() },
        health: Health { residual: Some(Usd::ZERO), residual_grew: Some(Usd::ZERO), ..a_full_digest().health },
        ..a_full_digest()
    };
    let (text, ..) = of_programme(&digest, Reader::Faculty(names())).await;
    insta::assert_snapshot!(text, @r#"
    CS pilot: nothing spent this week, 7% of the pot used

    CS pilot: the week

    Spent this week: $0.00
    The week before: $280.10
    Spent in all: $280.10 of $4,000, 7%
    Reserved: $3,220.00
    Students: 161 of 200 have had a key, 0 spent anything this week
    Week: 9 to 15 November 2026 (UTC)

    The pot lasts beyond the end of the term.

    == How far this can be relied on ==

    Last complete sync: 16 November 2026, 01:20 (Europe/Berlin)
    Residual of the account: $0.00

    See the programme:
    https://bursar.example.edu/console/programmes/cs-pilot

    -- 
    You get this mail on Mondays because you are faculty of CS pilot. Its faculty can set another day, or none.
    Example University
    "#);
}

#[tokio::test]
async fn the_first_week_before_anybody_has_looked() {
    let partly = Sum { spent: Usd::ZERO, known: Known::Partly };
    let digest = Digest {
        money: Money { this_week: partly, week_before: partly, spent: Days::default(), ..a_full_digest().money },
        groups: Vec::new(),
        models: Vec::new(),
        models_unknown: vec![WEEK],
        people: People { students: 200, claimed: 3, unclaimed: few(197, 6..26), ..People::default() },
        health: Health::default(),
        ..a_full_digest()
    };
    let (text, letter, _) = of_programme(&digest, Reader::Faculty(names())).await;
    assert!(!letter.parts.iter().any(|part| matches!(part, Part::Picture(_))));
    insta::assert_snapshot!(text, @r#"
    CS pilot: what was spent this week is not known

    CS pilot: the week

    Spent this week: not known
    The week before: not known
    Spent in all: not known, of $4,000
    Reserved: $3,220.00
    Students: 3 of 200 have had a key
    Week: 9 to 15 November 2026 (UTC)

    There is too little data to say when the pot will be empty.

    == By model ==

    Who used which model is not known for 9 to 15 November 2026.

    == Who may need a look ==

    No key claimed yet: 197 (Student 06, Student 07, Student 08, Student 09, Student 10, Student 11, Student 12, Student 13, Student 14, Student 15, Student 16, Student 17, Student 18, Student 19, Student 20, Student 21, Student 22, Student 23, Student 24, Student 25, and 177 more)

    == How far this can be relied on ==

    Last complete sync: none yet

    No sync has looked at the keys yet, so nobody knows what was used.

    See the programme:
    https://bursar.example.edu/console/programmes/cs-pilot

    -- 
    You get this mail on Mondays because you are faculty of CS pilot. Its faculty can set another day, or none.
    Example University
    "#);
}

#[tokio::test]
async fn a_missed_night_and_a_sync_that_is_behind_are_said_in_words() {
    let sum = |known| Sum { spent: usd(31_240), known };
    let mut digest = a_full_digest();
    digest.money.this_week = sum(Known::Partly);
    digest.money.week_before = sum(Known::Estimated);
    let (text, ..) = of_programme(&digest, Reader::Assistant).await;
    for said in [
        "CS pilot: at least $312.40 this week, 41% of the pot used",
        "The week before: about $312.40",
        "every key was last looked at on 16 November 2026, 01:20 (Europe/Berlin)",
        "a night was missed",
    ] {
        assert!(text.contains(said), "{said:?} is not in {text}");
    }
}

#[tokio::test]
async fn a_programme_that_is_over_leads_nowhere() {
    let mut closed = programme();
    closed.closed_at = Some(at("2026-11-13T12:00:00Z"));
    let digest = a_full_digest();
    let (text, letter, _) = written(|words| words.digest(&closed, &digest, &Reader::Assistant, digest.found_at)).await;
    assert!(text.contains("\nThe programme was closed on 13 November 2026, 13:00 (Europe/Berlin).\n"), "{text}");
    assert!(!letter.parts.iter().any(|part| matches!(part, Part::Picture(_))));
    let later = at("2027-02-08T06:00:00Z");
    let (text, ..) = written(|words| words.digest(&programme(), &digest, &Reader::Assistant, later)).await;
    assert!(text.contains("\nThe term ended on 6 February 2027.\n"), "{text}");
}

#[tokio::test]
async fn the_largest_digest_there_can_be_is_a_small_mail() {
    let mut digest = a_full_digest();
    let line = digest.groups[0].clone();
    let group = "A group with a name that somebody made as long as they could";
    digest.groups = vec![Line { of: Of::Group(group.to_owned()), ..line }; 14];
    digest.models = vec![model(&"m/odel".repeat(16), 20_000, 3_125, 640); 14];
    digest.people.spenders = vec![digest.people.spenders[0].clone(); 10];
    digest.people.standing_out = vec![(grant(1), usd(1_120)); 10];
    digest.people.unused = few(4_000, 1..21);
    let blocks = [Block::UsedUp, Block::Paused, Block::Unused, Block::Leaked, Block::TooOld, Block::ReplacementFailed];
    digest.people.blocked = blocks.map(|block| (block, few(4_000, 1..21))).to_vec();
    let long: Names = (1..30).map(|number| (grant(number), "Maximiliana Hildegard ".repeat(4))).collect();
    let (_, letter, config) = of_programme(&digest, Reader::Faculty(long)).await;
    let html = letter.html(&config, "burn.1@example.edu").unwrap();
    assert!(html.len() < 100_000, "{}", html.len());
}

fn an_account_digest() -> AccountDigest {
    let programme = |name: &str, cents, runs_out| ProgrammeLine {
        programme: ProgrammeId::of_name(name),
        this_week: exactly(cents),
        spent: usd(cents * 4),
        pot: Usd::from_dollars(4000),
        runs_out,
    };
    let key = |digits: &str, cents, limit| NewKey { key: digits.repeat(32).parse().unwrap(), spent: usd(cents), limit };
    AccountDigest {
        week: date(2026, 11, 16),
        found_at: at("2026-11-16T06:00:00Z"),
        days: WEEK,
        balance: Some(usd(210_055)),
        reserved: Usd::from_dollars(3220),
        to_come: Usd::from_dollars(2400),
        this_week: exactly(41_240),
        week_before: exactly(30_000),
        new_keys: 3,
        first_new_keys: vec![key("ab", 3_700, None), key("cd", 0, Some(Usd::from_dollars(50)))],
        programmes: vec![
            programme("CS pilot", 31_240, Some(RunsOut::OutOn(date(2026, 12, 8)))),
            programme("Compilers seminar", 10_000, None),
            programme("Gone", 0, Some(RunsOut::TooLittleData)),
        ],
        further: 2,
        held_back: Some("30 keys to be swept".to_owned()),
        health: Health {
            completed_at: Some(at("2026-11-16T00:20:00Z")),
            looked_at: Some(at("2026-11-16T00:20:00Z")),
            residual: Some(Usd::ZERO),
            residual_grew: None,
        },
        recipients: Vec::new(),
        told: 0,
    }
}

#[tokio::test]
async fn admins_read_of_the_account() {
    let names: HashMap<_, _> =
        ["CS pilot", "Compilers seminar"].map(|name| (ProgrammeId::of_name(name), name.to_owned())).into();
    let keys = ["old-chatbot".to_owned(), "prof-laptop".to_owned()];
    let (text, letter, config) = written(|words| words.account_digest(&an_account_digest(), &names, &keys)).await;
    insta::assert_snapshot!(text, @r#"
    The account: $412.40 this week, balance $2,100.55

    The account: the week

    Balance: $2,100.55
    Reserved: $3,220.00 by all programmes
    Of it not spent: $2,400.00
    Spent this week: $412.40
    The week before: $300.00
    Week: 9 to 15 November 2026 (UTC)

    The balance is $299.45 below what is promised. Buy credit, or lower pots and caps.

    The guard of the sync held back 30 keys to be swept. The account page lets the next sync do it, once it is clear why.

    == Programmes ==

    CS pilot: this week $312.40, used 31% of $4,000, forecast empty 8 Dec 2026
    Compilers seminar: this week $100.00, used 10% of $4,000, forecast is over
    gone: this week $0.00, used 0% of $4,000, forecast not known

    And 2 more.

    == Keys without an owner, new this week ==

    old-chatbot: spent in all $37.00, limit unlimited
    prof-laptop: spent in all $0.00, limit $50

    And 1 more.

    == How far this can be relied on ==

    Last complete sync: 16 November 2026, 00:20 (UTC)
    Residual of the account: $0.00

    See the account:
    https://bursar.example.edu/console/account

    -- 
    You get this mail on Mondays because you are an admin of Bursar at Example University.
    Example University
    "#);
    let html = letter.html(&config, "").unwrap();
    assert!(!html.contains("abab") && !text.contains("abab"), "no hash of a key");
}

#[tokio::test]
async fn admins_read_of_an_account_that_nobody_has_looked_at() {
    let partly = Sum { spent: Usd::ZERO, known: Known::Partly };
    let digest = AccountDigest {
        balance: None,
        reserved: Usd::ZERO,
        to_come: Usd::ZERO,
        this_week: partly,
        week_before: partly,
        new_keys: 0,
        first_new_keys: Vec::new(),
        programmes: vec![ProgrammeLine { this_week: partly, ..an_account_digest().programmes[2].clone() }],
        further: 0,
        held_back: None,
        health: Health::default(),
        ..an_account_digest()
    };
    let names = HashMap::from([(ProgrammeId::of_name("Gone"), "CS pilot".to_owned())]);
    let (text, ..) = written(|words| words.account_digest(&digest, &names, &[])).await;
    insta::assert_snapshot!(text, @r#"
    The account: what was spent this week is not known, balance not known

    The account: the week

    Balance: not known
    Reserved: $0.00 by all programmes
    Of it not spent: $0.00
    Spent this week: not known
    The week before: not known
    Week: 9 to 15 November 2026 (UTC)

    == Programmes ==

    CS pilot: this week not known, used 0% of $4,000, forecast not known

    == How far this can be relied on ==

    Last complete sync: none yet

    No sync has looked at the keys yet, so nobody knows what was used.

    See the account:
    https://bursar.example.edu/console/account

    -- 
    You get this mail on Mondays because you are an admin of Bursar at Example University.
    Example University
    "#);
}
