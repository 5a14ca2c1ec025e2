//! The words of the account's digest.

use bursar_core::domain::credit::{BalanceNeed, Basis};

use super::*;

fn an_account_digest() -> AccountDigest {
    let programme = |name: &str, cents, runs_out| ProgrammeLine {
        programme: ProgrammeId::of_name(name),
        this_week: exactly(cents),
        spent: usd(cents * 4),
        budget: Usd::from_dollars(4000),
        runs_out,
    };
    let key =
        |digits: &str, cents, limit| UnownedKey { key: digits.repeat(32).parse().unwrap(), spent: usd(cents), limit };
    AccountDigest {
        week: date(2026, 11, 16),
        found_at: at("2026-11-16T06:00:00Z"),
        days: WEEK,
        balance: Some(usd(210_055)),
        reserved: Usd::from_dollars(3220),
        to_come: Usd::from_dollars(2400),
        need: BalanceNeed { amount: Usd::from_dollars(2400), basis: Basis::Promised },
        this_week: exactly(41_240),
        week_before: exactly(30_000),
        new_keys: 3,
        first_new_keys: vec![key("ab", 3_700, None), key("cd", 0, Some(Usd::from_dollars(50)))],
        old_keys: 37,
        unlimited_keys: 1,
        programmes: vec![
            programme("CS pilot", 31_240, Some(RunsOut::OutOn(date(2026, 12, 8)))),
            programme("Compilers seminar", 10_000, None),
            programme("Gone", 0, Some(RunsOut::TooLittleData)),
        ],
        further: 2,
        held_back: 30,
        residual: Some(usd(412)),
        residual_grew: usd(12),
        health: Health { completed_at: Some(at("2026-11-16T00:20:00Z")), listed_at: Some(at("2026-11-16T00:20:00Z")) },
        recipients: Vec::new(),
        queued: 0,
    }
}

#[tokio::test]
async fn admins_read_of_the_account() {
    let names: HashMap<_, _> =
        ["CS pilot", "Compilers seminar"].map(|name| (ProgrammeId::of_name(name), name.to_owned())).into();
    let keys = ["old-chatbot".to_owned(), "prof-laptop".to_owned()];
    let (text, letter, config) = written(|words| words.account_digest(&an_account_digest(), &names, &keys, 1)).await;
    insta::assert_snapshot!(text, @"
    The OpenRouter account of Example University: $412.40 last week, balance $2,100.55

    The OpenRouter account of Example University, last week

    The balance is $299.45 below what keys may still spend. Buy credit, or lower budgets and caps.

    30 keys would have been switched off in the night. Bursar did not do it, since so many may be a mistake. The account page names them: find out why, and if it is right, one button there lets it happen.

    1 key made elsewhere works without a limit. An admin can limit it on the account page.

    You are the only admin. Add another on the account page, for when you are away.

    Balance: $2,100.55
    Promised to students: $3,220.00 in all programmes, $2,400.00 of it not spent yet
    Spent last week: $412.40 (all keys of the account, 9–15 Nov 2026, days in UTC)
    Spent the week before: $300.00

    == Programmes ==

    CS pilot: spent last week $312.40, used so far 31% of $4,000, budget used up around 8 Dec 2026
    Compilers seminar: spent last week $100.00, used so far 10% of $4,000, budget closed, the programme is over
    gone: spent last week $0.00, used so far 0% of $4,000, budget without a forecast: too little data

    And 2 more, which spent less.

    == New keys made elsewhere ==

    old-chatbot: spent so far $37.00, limit none
    prof-laptop: spent so far $0.00, limit $50

    And 1 more. Nobody made these keys through Bursar. Find out who did; the account page lists all of them.

    == Keys from before Bursar ==

    There are 37 keys without an owner that are older than Bursar. Give them owners on the account page.

    == How sure these figures are ==

    Last checked at OpenRouter: 16 Nov 2026, 00:20 UTC
    Not explained: $4.12 in all, $0.12 of it new. The account page shows it day by day; once you know what it was, say so there.

    Open the account:
    https://bursar.example.edu/console/account

    -- 
    You get this mail on Mondays because you are an admin of Bursar at Example University.
    Example University
    ");
    let html = letter.html(&config, "").unwrap();
    assert!(!html.contains("abab") && !text.contains("abab"), "no hash of a key");
}

#[tokio::test]
async fn admins_read_of_an_account_that_nobody_has_looked_at() {
    let partly = Sum { spent: Usd::ZERO, known: Accuracy::Partly };
    let digest = AccountDigest {
        balance: None,
        this_week: partly,
        week_before: partly,
        new_keys: 0,
        old_keys: 0,
        programmes: vec![ProgrammeLine { this_week: partly, ..an_account_digest().programmes[2].clone() }],
        residual: None,
        health: Health::default(),
        ..an_account_digest()
    };
    let names = HashMap::from([(ProgrammeId::of_name("Gone"), "CS pilot".to_owned())]);
    let (text, ..) = written(|words| words.account_digest(&digest, &names, &[], 2)).await;
    assert!(
        text.starts_with(
            "The OpenRouter account of Example University: what was spent last week is not known, balance not known\n"
        ),
        "{text}"
    );
    for said in [
        "Balance: not known\n",
        "Spent last week: not known (all keys of the account, 9–15 Nov 2026, days in UTC)\n",
        "Spent the week before: not known\n",
        "CS pilot: spent last week not known, used so far 0% of $4,000, budget without a forecast: too little data\n",
        "Last checked at OpenRouter: not yet\n",
        "Not explained: not known yet\n",
    ] {
        assert!(text.contains(said), "{said:?} is not in {text}");
    }
    assert!(
        !text.contains("New keys") && !text.contains("before Bursar") && !text.contains("the only admin"),
        "{text}"
    );
}
