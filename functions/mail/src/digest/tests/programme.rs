//! What the digest of a programme says, to whom.

use super::*;

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

    At the pace of the last weeks, about $329 a week, the keys that are out will stop around 19 December 2026: together they may spend $3,220, and then they stand still before the budget of $4,000 is used up.

    == By group ==

    Lab A: this week $200.00, the week before $100.00
    Lab B: this week $110.00, the week before $180.00
    without a group: this week $2.40, the week before $0.10

    == By model ==

    anthropic/claude-sonnet-4.5: this week $200.00, requests 3,125, per request $0.0640
    openai/gpt-4o-mini: this week $100.00, requests 33,334, per request $0.0030
    deepseek/deepseek-r1-0528: this week $10.00, requests 477, per request $0.0210
    not told by model: this week $2.40

    A request to anthropic/claude-sonnet-4.5 cost most, $0.0640 on average; openai/gpt-4o-mini cost $0.0030, deepseek/deepseek-r1-0528 cost $0.0210.

    Who used which model is not known for 14 to 15 November 2026.

    == Highest spenders ==

    Ada Lovelace: this week $11.20, cap used $20.20 of $20
    Alan Turing: this week $6.40, cap used $15.40 of $20
    barbara.liskov@example.edu: this week $6.40, cap used $15.40 of $20

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

    At the pace of the last weeks, about $329 a week, the keys that are out will stop around 19 December 2026: together they may spend $3,220, and then they stand still before the budget of $4,000 is used up.

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

    The budget lasts beyond the end of the term.

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

    There is too little data to say when the budget will be used up.

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
    digest.groups[1].this_week = Usd::ZERO;
    let (text, ..) = of_programme(&digest, Reader::Faculty(names())).await;
    assert!(text.contains("Lab A: this week at least $200.00, the week before about $100.00"), "{text}");
    assert!(text.contains("Lab B: this week not known, the week before about $180.00"), "{text}");
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
