//! The words of a programme's digest, by reader.

use bursar_core::domain::programme::Byok;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::window::Reset;

use super::*;
use crate::letter::LetterPart;

#[tokio::test]
async fn faculty_read_who_and_what() {
    let (text, letter, config) =
        of_programme(&a_full_digest(), DigestReader::Faculty(names())).await;
    insta::assert_snapshot!(text, @"
    CS pilot: most keys used up by 19 Dec, seven weeks before the term ends (41% of $4,000 used)

    CS pilot: last week

    At $329 a week, most students will have used up their caps around 19 Dec, seven weeks before the term ends. What is free is needed for students without a key. Ask the admins for a larger budget in the settings. The caps of those who need more can be raised after that.

    CS pilot spent $312.40 last week, and $280.10 the week before. 6 things need your attention.

    Spent in all: $705 by 26 Oct, $1,034 by 2 Nov, $1,363 by 9 Nov, $1,645 by 16 Nov, of a budget of $4,000.

    == What needs your attention ==

    Spent far more than is usual for them: 1 (Ada Lovelace $11.20); a student's usual week is $1.12. Ask whether they meant to: a program may be running by mistake, or another person may have the key.
    Used up their cap: 3 (Student 26, Student 27, Student 28). Faculty can raise the cap of those who need more, on the student's page.
    Paused: 1 (Student 29). Resume the key on the student's page when the reason is gone.
    Never used their key: 2 (Björn Borg, Chloé <b>Dubois</b>). Faculty can remind them on the programme's page, to which the link below leads.
    Not claimed yet: 39 (Student 06, Student 07, Student 08, Student 09, Student 10, Student 11, Student 12, Student 13, Student 14, Student 15, Student 16, Student 17, Student 18, Student 19, Student 20, Student 21, Student 22, Student 23, Student 24, Student 25, and 19 more). Faculty can remind them on the programme's page, to which the link below leads.
    Mail does not reach them: 1 (Student 07). Their mail comes back, so nothing is sent to them, not even a link to sign in. Ask for an address that works, or have this one tried again on the student's page.

    == In numbers ==

    Spent last week: $312.40 (9–15 Nov 2026, days in UTC)
    Spent the week before: $280.10
    Spent so far: $1,645.00 of the budget of $4,000, 41%
    Promised, not spent yet: $1,575
    Students: 161 of 200 have claimed; 120 of them spent something last week
    Last checked at OpenRouter: 16 Nov 2026, 01:20 (Europe/Berlin)

    == By group ==

    Lab A: last week $200.00, the week before $100.00
    Lab B: last week $110.00, the week before $180.00
    without a group: last week $2.40, the week before $0.10

    == By model ==

    anthropic/claude-sonnet-4.5: last week $200.00, requests 3,125, per request $0.0640
    openai/gpt-4o-mini: last week $100.00, requests 33,334, per request $0.0030
    deepseek/deepseek-r1-0528: last week $10.00, requests 477, per request $0.0210
    not attributed to a model: last week $2.40

    Requests to anthropic/claude-sonnet-4.5 cost most, $0.0640 each on average; openai/gpt-4o-mini cost $0.0030, deepseek/deepseek-r1-0528 cost $0.0210. If a cheaper model will do, tell the class.

    For 14–15 Nov 2026 it is not known which models were used. Bursar asks OpenRouter again in the coming nights.

    == Who spent most ==

    Ada Lovelace: last week $11.20, cap used $20.20 of $20
    Alan Turing: last week $6.40, cap used $15.40 of $20
    barbara.liskov@example.edu: last week $6.40, cap used $15.40 of $20

    Spending much is not a fault. A student's page shows what was spent day by day, and faculty can change the cap there.

    Open the programme:
    https://bursar.example.edu/console/programmes/cs-pilot

    -- 
    You get this mail on Mondays because of your role in CS pilot: faculty. Its faculty can choose another day, or none.
    Example University
    ");
    let html = letter.html(&config).unwrap();
    for part in [
        "the line is the budget",
        "Chloé &#60;b&#62;Dubois&#60;/b&#62;",
        "<th ",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert_eq!(html.matches("<a ").count(), 1, "one link");
    assert!(
        !html.contains("display:flex") && !html.contains("grid"),
        "Outlook knows tables only"
    );
}

#[test]
fn who_was_erased_has_no_name() {
    let mut grant = crate::tests::with_key().grant;
    assert_eq!(
        super::super::name_of(&grant).as_deref(),
        Some("ada@example.edu")
    );
    grant.person.address = EmailAddress::erased(&grant.id);
    assert_eq!(super::super::name_of(&grant), None);
}

#[tokio::test]
async fn assistants_read_counts_and_no_name() {
    let (text, letter, config) = of_programme(&a_full_digest(), DigestReader::Assistant).await;
    let heads: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("== "))
        .collect();
    assert_eq!(
        heads,
        ["== What needs your attention ==", "== In numbers =="]
    );
    assert!(
        text.contains(
            "because of your role in CS pilot: assistant. Its faculty can choose another day"
        ),
        "{text}"
    );
    assert!(
        text.contains("\nUsed up their cap: 3. Faculty can raise the cap of those who need more"),
        "{text}"
    );
    let html = letter.html(&config).unwrap();
    for name in names().values() {
        assert!(
            !text.contains(name.as_str()) && !html.contains(name.as_str()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_quiet_week_is_told_as_one() {
    let mut digest = Digest {
        people: Some(nobody()),
        standing_out: StandingOut::default(),
        ..a_full_digest()
    };
    digest.money.this_week = exactly(0);
    digest.money.spent = Days::on_one(date(2026, 10, 20), usd(28_010));
    let (text, ..) = of_programme(&digest, DigestReader::Faculty(names())).await;
    assert!(
        text.starts_with("CS pilot: nothing spent last week, 7% of the budget used\n"),
        "{text}"
    );
    let students = "\nStudents: 161 of 200 have claimed; 0 of them spent something last week\n";
    assert!(
        text.contains(students)
            && text.contains(
                "used up.\n\nCS pilot spent nothing last week, and $280.10 the week before. Nothing"
            ),
        "{text}"
    );
    assert!(
        !text.contains("What needs your attention")
            && text.contains("Nothing needs your attention.")
            && !text.contains("Who spent most"),
        "{text}"
    );
}

/// The digest does not say that nothing needs attention when a forecast falls short.
#[tokio::test]
async fn short_forecasts_need_a_look() {
    let digest = Digest {
        people: Some(nobody()),
        standing_out: StandingOut::default(),
        ..a_full_digest()
    };
    let (text, ..) = of_programme(&digest, DigestReader::Assistant).await;
    insta::assert_snapshot!(text.lines().take(8).joined("\n"), @"
    CS pilot: most keys used up by 19 Dec, seven weeks before the term ends (41% of $4,000 used)

    CS pilot: last week

    At $329 a week, most students will have used up their caps around 19 Dec, seven weeks before the term ends. What is free is needed for students without a key. Faculty can ask the admins for more. The caps of those who need more can be raised after that.

    CS pilot spent $312.40 last week, and $280.10 the week before.
    ");
}

#[tokio::test]
async fn the_first_week_before_anybody_has_looked() {
    let partly = Sum {
        spent: Usd::ZERO,
        accuracy: Accuracy::Partly,
    };
    let mut digest = Digest {
        money: DigestMoney {
            this_week: partly,
            week_before: partly,
            spent: Days::default(),
            ..a_full_digest().money
        },
        standing_out: StandingOut::default(),
        people: None,
        listed_at: None,
        ..a_full_digest()
    };
    digest.money.budget.claimed = true;
    let (text, letter, _) = of_programme(&digest, DigestReader::Faculty(names())).await;
    assert!(
        !letter
            .parts
            .iter()
            .any(|part| matches!(part, LetterPart::Burn(_)))
    );
    assert!(
        text.starts_with("CS pilot: what was spent last week is not known\n"),
        "{text}"
    );
    for said in [
        "Spent last week: not known (9–15 Nov 2026, days in UTC)\nSpent the week before: not known\n",
        "Spent so far: not known, of the budget of $4,000\n",
        "There is too little data to say when the budget will be used up.\n\nIt is not known yet what CS pilot spent last week.\n",
        "Last checked at OpenRouter: not yet\n",
        "The keys have not been checked at OpenRouter yet, so it is not known what was spent. They are checked each night.\n",
    ] {
        assert!(text.contains(said), "{said:?} is not in {text}");
    }
    // Of people nothing is known, so nothing is said.
    assert!(
        !text.contains("a look") && !text.contains("Students"),
        "{text}"
    );
}

#[tokio::test]
async fn a_missed_night_and_a_sync_that_is_behind_are_said_in_words() {
    let sum = |accuracy| Sum {
        spent: usd(31_240),
        accuracy,
    };
    let mut digest = a_full_digest();
    digest.money.this_week = sum(Accuracy::Partly);
    digest.money.week_before = sum(Accuracy::Estimated);
    (digest.money.budget.limit, digest.money.budget.reserved) = (usd(4_000_000), usd(4_000_000));
    let (text, ..) = of_programme(&digest, DigestReader::Assistant).await;
    assert!(
        text.contains("Some of these days were before Bursar"),
        "they were checked since: {text}"
    );
    digest.listed_at = Some(at("2026-11-15T00:20:00Z"));
    let (text, ..) = of_programme(&digest, DigestReader::Assistant).await;
    for said in [
        "CS pilot: at least $312.40 last week, 4% of the budget used",
        "Spent the week before: about $312.40",
        "the keys were last checked at OpenRouter on 15 Nov 2026, 01:20 (Europe/Berlin)",
        "one night's check was missed",
    ] {
        assert!(text.contains(said), "{said:?} is not in {text}");
    }
    digest.groups[1].this_week = Usd::ZERO;
    let (text, ..) = of_programme(&digest, DigestReader::Faculty(names())).await;
    assert!(
        text.contains("Lab A: last week at least $200.00, the week before about $100.00"),
        "{text}"
    );
    assert!(
        text.contains("Lab B: last week not known, the week before about $180.00"),
        "{text}"
    );
}

#[tokio::test]
async fn a_programme_that_is_over_leads_nowhere() {
    let mut closed = programme();
    closed.closed_at = Some(at("2026-11-13T12:00:00Z"));
    let digest = a_full_digest();
    let (text, letter, _) =
        written(|words| words.digest(&closed, &digest, &DigestReader::Assistant, digest.found_at))
            .await;
    assert!(
        text.contains("\nThe programme was closed on 13 Nov 2026, 13:00 (Europe/Berlin).\n"),
        "{text}"
    );
    assert!(
        !letter
            .parts
            .iter()
            .any(|part| matches!(part, LetterPart::Burn(_)))
    );
    let later = at("2027-02-08T06:00:00Z");
    let (text, ..) =
        written(|words| words.digest(&programme(), &digest, &DigestReader::Assistant, later)).await;
    assert!(text.contains("\nThe term ended on 6 Feb 2027.\n"), "{text}");
    for advice in [
        "Remind them",
        "needs your attention",
        "What needs your attention",
        "At $",
    ] {
        assert!(!text.contains(advice), "{advice}: {text}");
    }
}

#[tokio::test]
async fn the_largest_digest_there_can_be_is_a_small_mail() {
    let mut digest = a_full_digest();
    digest.groups[0].subject = LineSubject::Group(
        "A group with a name that somebody made as long as they could".to_owned(),
    );
    digest.groups = vec![digest.groups[0].clone(); 14];
    digest.models = vec![model(&"m/odel".repeat(16), 20_000, 3_125); 14];
    let people = digest.people.as_mut().unwrap();
    people.spenders = vec![people.spenders[0].clone(); 10];
    digest.standing_out.most = vec![(grant(1), usd(1_120)); 10];
    let needs = [
        Need::UsedUp,
        Need::Paused,
        Need::Unused,
        Need::Leaked,
        Need::TooOld,
        Need::TermEnded,
        Need::Replacing,
        Need::NeverUsed,
    ];
    people.needs = needs.map(|need| (need, few(4_000, 1..21))).to_vec();
    let long: DigestNames = (1..30)
        .map(|number| (grant(number), "Maximiliana Hildegard ".repeat(4)))
        .collect();
    let (_, letter, config) = of_programme(&digest, DigestReader::Faculty(long)).await;
    let html = letter.html(&config).unwrap();
    assert!(html.len() < 100_000, "{}", html.len());
}

/// A budget promised in full is shown with who goes without a key and what can be done.
#[tokio::test]
async fn a_full_budget_is_explained() {
    let mut digest = a_full_digest();
    digest.money.budget.reserved = usd(398_001);
    let (text, ..) = of_programme(&digest, DigestReader::Assistant).await;
    insta::assert_snapshot!(text.lines().find(|line| line.contains("Too little of the budget")).unwrap(), @"39 students on the roster have no key and cannot get one now. Too little of the budget is left for a key of $20.00: $3,980.01 of $4,000.00 is spent or promised to students. Faculty can ask the admins for a budget of $4,760.01. A lower cap makes room as well, and so does removing students who need no key.");
    assert!(
        text.contains(
            "Not claimed yet: 39. The budget has no room for all of their keys: remind them once the budget is raised."
        ),
        "{text}"
    );
    digest.money.budget.reserved = usd(398_000);
    let (text, ..) = of_programme(&digest, DigestReader::Assistant).await;
    assert!(
        !text.contains("Too little of the budget"),
        "one more cap fits: {text}"
    );
}

/// Caps that reset, use of own keys and days that are no calendar week are named as what they are.
#[tokio::test]
async fn resets_and_own_keys_are_named() {
    let mut weekly = programme();
    (weekly.settings.basis.reset, weekly.settings.basis.byok) = (Reset::Weekly, Byok::Outside);
    let mut digest = a_full_digest();
    digest.days = (date(2026, 11, 11), date(2026, 11, 17));
    digest.people.as_mut().unwrap().days = digest.days;
    digest.models[1].used.byok = usd(4_000);
    let reader = DigestReader::Faculty(names());
    let (text, ..) =
        written(|words| words.digest(&weekly, &digest, &reader, digest.found_at)).await;
    let told = [
        "CS pilot: $",
        "Spent in",
        "openai",
        "What students",
        "Ada",
        "Used up",
    ];
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| told.iter().any(|begin| line.starts_with(begin)))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    CS pilot: $312.40 in the last 7 days, 41% of the budget used
    Spent in all: $705 by 26 Oct, $1,034 by 2 Nov, $1,363 by 9 Nov, $1,645 by 16 Nov, of a budget of $4,000.
    Used up their cap: 3 (Student 26, Student 27, Student 28), in the week from Monday 16 Nov. It resets by itself. Faculty can raise the cap of those who need more, on the student's page.
    Spent in the last 7 days: $312.40 (11–17 Nov 2026, days in UTC)
    openai/gpt-4o-mini: last 7 days $100.00, besides on own keys $40.00, requests 33,334, per request $0.0042
    What students pay with keys of their own at a model's provider is not part of the budget. The cost of a request is shown no matter who paid for it.
    Ada Lovelace: last 7 days $11.20, cap used in the week from Monday 16 Nov $20.20 of $20
    ");
    // The last whole run was a night before the one that knew all of these days.
    digest.people.as_mut().unwrap().days = (date(2026, 11, 10), date(2026, 11, 16));
    let (text, ..) =
        written(|words| words.digest(&weekly, &digest, &reader, digest.found_at)).await;
    assert!(
        text.contains("Ada Lovelace: 10–16 Nov 2026 $11.20,") && !text.contains("spent something"),
        "{text}"
    );
}
