//! What the digest of the account says.

use super::*;

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

    CS pilot: this week $312.40, used 31% of $4,000, budget used up around 8 Dec 2026
    Compilers seminar: this week $100.00, used 10% of $4,000, budget closed, the programme is over
    gone: this week $0.00, used 0% of $4,000, budget without a forecast: too little data

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

    CS pilot: this week not known, used 0% of $4,000, budget without a forecast: too little data

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
