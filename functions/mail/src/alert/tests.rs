//! The words of an alert, and its picture.

use std::collections::BTreeMap;

use bursar_core::domain::audit::{Actor, AuditDetail};
use bursar_core::domain::usage::crossing::SOME;
use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::forecast::StandingOut;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::term::Term;
use bursar_core::store::{Totals, Unmailed};
use jiff::ToSpan;
use jiff::civil::date;
use serde_json::json;

use super::*;
use crate::tests::{now, programme, told, written};

const LIMIT: Usd = Usd::from_dollars(4000);

/// The same amount on each of the last days.
fn steadily(days: i64, cents: i64) -> Days {
    let mut spent = Days::default();
    for ago in 0..days {
        spent.add(&Days::on_one(
            utc_date(now()).checked_sub(ago.days()).unwrap(),
            Usd::from_micros(cents * 10_000),
        ));
    }
    spent
}

/// An alert at this threshold of a budget of four thousand dollars.
struct Found {
    programme: Programme,
    budget: Budget,
    counts: Counts,
    crossing: Crossing,
    used: ProgrammeUse,
    now: Moment,
}

fn found(threshold: u8, days: Days) -> Found {
    let programme = programme();
    let spent = days.total();
    let used = DailyUse {
        credits: days,
        ..DailyUse::default()
    };
    let by_group = BTreeMap::new();
    let id = programme.id.clone();
    let unmailed = Unmailed::default();
    let standing_out = StandingOut::default();
    let totals = Totals {
        programme: id,
        as_of: now(),
        used,
        by_group,
        unmailed,
        standing_out,
        work_day: None,
    };
    let counts = Counts {
        invited: 39,
        claimed: 161,
        ..Counts::default()
    };
    let budget = Budget::new(programme.id.clone(), LIMIT);
    let crossing = Crossing {
        programme: programme.id.clone(),
        scope: Scope::Budget,
        window: Window::WHOLE_TERM,
        limit: LIMIT,
        threshold,
        spent,
        found_at: now(),
        is_mailed: true,
    };
    let used = ProgrammeUse {
        own: Some(totals),
        assigned: DailyUse::default(),
        assigned_keys: 0,
        assigned_as_of: None,
    };
    Found {
        programme,
        budget,
        counts,
        crossing,
        used,
        now: now(),
    }
}

impl Found {
    fn spending(&self) -> AlertSpending {
        let Crossing {
            limit,
            spent,
            found_at: at,
            ..
        } = self.crossing;
        let found = FoundSpending {
            limit,
            spent,
            found_at: at,
        };
        let budget = (&self.budget, self.counts);
        AlertSpending::new(
            found,
            (&self.programme, Role::Assistant),
            budget,
            &self.used,
            None,
            self.now,
        )
    }

    fn letter(&self, words: Words<'_>, was_lowered: bool) -> Letter {
        words.spent(
            &self.programme,
            &self.budget,
            AlertSpending {
                was_lowered,
                ..self.spending()
            },
        )
    }

    async fn told(&self) -> String {
        told(|words| self.letter(words, false)).await
    }

    async fn promised(&self) -> String {
        told(|words| {
            words.promised(
                &self.programme,
                &self.budget,
                self.spending(),
                self.crossing.threshold,
            )
        })
        .await
    }

    async fn html(&self, was_lowered: bool) -> String {
        let (_, letter, config) = written(|words| self.letter(words, was_lowered)).await;
        letter.html(&config).unwrap()
    }
}

#[tokio::test]
async fn test() {
    let found = found(0, Days::default());
    insta::assert_snapshot!(told(|words| words.test(&found.programme, &found.budget, found.spending())).await, @"
    Test: CS pilot has used 0% of $4,000
    CS pilot has used 0% of $4,000
    This is a test with today's figures. It is sent whether or not a threshold was crossed.
    Spent: $0
    Budget: $4,000
    Left: $4,000
    Students: 161 of 200 have claimed
    Term ends: 6 Feb 2027
    As of: 20 Nov 2026, 11:00 (Europe/Berlin)
    Spent in all: $0 by 30 Oct, $0 by 6 Nov, $0 by 13 Nov, $0 by 20 Nov, of a budget of $4,000.
    Nothing changes for students now: each key works up to its own cap. You get the next alert at 50%.
    Open the programme: https://bursar.example.edu/console/programmes/cs-pilot
    You get this mail because you asked for a test alert. Nobody else got it.
    ");
}

#[tokio::test]
async fn alert() {
    insta::assert_snapshot!(found(80, steadily(1, 335_999)).told().await, @"
    CS pilot has used 83% of $4,000
    CS pilot has used 83% of $4,000
    There is too little data to say when the budget will be used up. Faculty can ask the admins for more.
    Spent: $3,359.99
    Budget: $4,000
    Left: $640.01
    Students: 161 of 200 have claimed
    Term ends: 6 Feb 2027
    As of: 20 Nov 2026, 11:00 (Europe/Berlin)
    Spent in all: $0 by 30 Oct, $0 by 6 Nov, $0 by 13 Nov, $3,359.99 by 20 Nov, of a budget of $4,000.
    Nothing changes for students now: each key works up to its own cap. You get the next alert at 95%.
    Open the programme: https://bursar.example.edu/console/programmes/cs-pilot
    You get this mail because of your role in CS pilot: assistant.
    ");
}

#[tokio::test]
async fn alert_forecasts_when_the_budget_is_gone() {
    // A little less than two per cent a day; then much less; then it is gone.
    let mut lines = Vec::new();
    for (threshold, cents) in [(50, 7_000), (10, 1_000), (100, 10_010)] {
        let text = found(threshold, steadily(40, cents)).told().await;
        let line =
            |line: &&str| line.contains("the budget") && !line.contains("To have the budget");
        lines.extend(
            text.lines()
                .filter(|it| line(it) || it.starts_with("Nobody gets"))
                .map(str::to_owned),
        );
    }
    insta::assert_snapshot!(lines.join("\n"), @"
    At $490 a week, the budget will be used up around 8 Dec, two months before the term ends. Faculty can ask the admins for more. The caps of students who need more must be raised as well: each key stops at its own cap.
    At $70 a week, the budget lasts beyond the end of the term.
    More was spent than the budget of $4,000. Faculty can ask the admins for more. The caps of students who need more must be raised as well: each key stops at its own cap.
    ");
}

#[tokio::test]
async fn alert_of_a_budget_that_is_passed_says_whether_it_was_lowered() {
    let mut passed = found(100, steadily(1, 406_000));
    let text = passed.told().await;
    let says = "CS pilot has used 101% of $4,000\nCS pilot has used more than its budget of $4,000\nMore was spent than the budget of \
                $4,000. Faculty can ask the admins for more.";
    assert!(text.starts_with(says), "{text}");

    (passed.crossing.limit, passed.budget.limit) = (Usd::from_dollars(30), Usd::from_dollars(30));
    let html = passed.html(true).await;
    assert!(
        html.contains("The budget was lowered to $30 after $4,060 had been spent."),
        "{html}"
    );
    assert!(
        html.contains("$4,060 by 20 Nov, of a budget of $30.") && !html.contains("13533%"),
        "{html}"
    );

    let lowered = AuditDetail::new(Act::BudgetChanged).with_change("4000", "30");
    let entry =
        |at| AuditEntry::new_on_programme(&passed.programme.id, &Actor::Rule, at, lowered.clone());
    assert!(was_lowered(&[entry(now() - 1.minute())], &passed.crossing));
    assert!(
        !was_lowered(&[entry(now() - 2.hours())], &passed.crossing),
        "it was found at once then"
    );
    assert!(!was_lowered(&[], &passed.crossing));
}

#[tokio::test]
async fn alert_of_a_budget_that_was_changed_tells_what_was_found() {
    let mut changed = found(80, steadily(1, 336_000));
    (changed.budget.limit, changed.budget.reserved) =
        (Usd::from_dollars(30), Usd::from_dollars(20));
    changed.budget.unreserved = serde_json::from_value(json!({"programme": 39})).unwrap();
    let text = changed.told().await;
    assert!(text.contains("Spent: $3,360\nBudget: $4,000\n"), "{text}");
    let says = "39 students on the roster have no key and cannot get one now. Faculty can ask the admins for a budget of $800.";
    assert!(
        text.contains(says) && text.contains("has changed since then: it is $30 now."),
        "{text}"
    );
}

#[tokio::test]
async fn alert_of_a_budget_that_is_promised() {
    let mut found = found(ALL, steadily(1, 500));
    (
        found.crossing.limit,
        found.budget.limit,
        found.budget.reserved,
    ) = (
        Usd::from_dollars(25),
        Usd::from_dollars(25),
        Usd::from_dollars(20),
    );
    (found.counts.invited, found.counts.claimed) = (2, 1);
    found.budget.unreserved = serde_json::from_value(json!({"programme": 2})).unwrap();
    insta::assert_snapshot!(found.promised().await, @"
    CS pilot has no room for another key in its $25 (20% used)
    2 students cannot get a key
    2 students on the roster have no key and cannot get one now. CS pilot has no room for another key in its $25 (20% used).
    There is too little data to say when the budget will be used up.
    Budget: $25
    Spent: $5
    Left for further keys: $5
    Promised, not spent yet: $15
    One more key needs: $20
    Students: 1 of 3 have claimed
    Term ends: 6 Feb 2027
    As of: 20 Nov 2026, 11:00 (Europe/Berlin)
    Spent in all: $0 by 30 Oct, $0 by 6 Nov, $0 by 13 Nov, $5 by 20 Nov, of a budget of $25.
    Keys that students have keep working, each up to its own cap. You get no further mail about this unless the budget changes. Faculty can ask the admins for a budget of $60.
    Open the programme: https://bursar.example.edu/console/programmes/cs-pilot
    You get this mail because of your role in CS pilot: assistant.
    ");
    found.crossing.threshold = SOME;
    let text = found.promised().await;
    assert!(
        text.starts_with("CS pilot has no room for some keys in its $25 (20% used)\n"),
        "{text}"
    );
    assert!(
        text.contains(" You get another mail when there is no room for any key."),
        "{text}"
    );
}

#[tokio::test]
async fn keys_made_elsewhere_are_not_said_to_stop() {
    let mut found = found(100, steadily(1, 406_000));
    (found.budget.reserved, found.used.assigned_keys) = (Usd::from_dollars(4_100), 1);
    let next = |text: String| {
        text.lines()
            .find(|line| line.contains("made elsewhere"))
            .unwrap()
            .to_owned()
    };
    insta::assert_snapshot!(next(found.told().await), @"Nobody can get a new key. The keys that students have keep working, each up to its own cap: together they can still spend $40 at most. Bursar does not stop keys made elsewhere; an admin can limit or disable them on the account page.");
    found.programme.settings.roster = false;
    let text = found.told().await;
    assert!(!text.contains("Students:"), "{text}");
    found.budget.reserved = found.crossing.spent;
    assert!(
        !found.told().await.contains("Promised"),
        "nothing is promised to a student"
    );
    insta::assert_snapshot!(next(text), @"Bursar does not stop keys made elsewhere; an admin can limit or disable them on the account page.");
}

/// A budget of $400 of which $51 go each week, and 26% are gone; the 17 keys that are out may spend
/// $340.
fn short() -> Found {
    let mut found = found(25, steadily(14, 728));
    found.programme.settings.term =
        Term::new(date(2026, 10, 12), date(2027, 2, 23), "Europe/Berlin").unwrap();
    (
        found.crossing.limit,
        found.budget.limit,
        found.budget.reserved,
    ) = (
        Usd::from_dollars(400),
        Usd::from_dollars(400),
        Usd::from_dollars(340),
    );
    found
}

#[tokio::test]
async fn where_caps_stop_keys_a_larger_budget_is_no_advice() {
    insta::assert_snapshot!(short().told().await, @"
    CS pilot: most keys used up by 23 Dec, two months before the term ends (25% of $400 used)
    CS pilot: most keys used up by 23 Dec, two months before the term ends (25% of $400 used)
    At $51 a week, most students will have used up their caps around 23 Dec, two months before the term ends. Faculty can raise the caps of those who need more.
    Spent: $101.92
    Budget: $400
    Left: $298.08
    Promised, not spent yet: $238.08
    Students: 161 of 200 have claimed
    Term ends: 23 Feb 2027
    As of: 20 Nov 2026, 11:00 (Europe/Berlin)
    Spent in all: $0 by 30 Oct, $0 by 6 Nov, $50.96 by 13 Nov, $101.92 by 20 Nov, of a budget of $400.
    Nothing changes for students now: each key works up to its own cap. You get the next alert at 50%.
    See who spent most: https://bursar.example.edu/console/programmes/cs-pilot/grants
    You get this mail because of your role in CS pilot: assistant.
    ");
}

#[tokio::test]
async fn to_do_is_said_to_each_reader() {
    let mut lines = Vec::new();
    for reader in [Role::Admin, Role::Faculty, Role::Assistant] {
        for reserved in [340, 400] {
            let mut found = short();
            found.budget.reserved = Usd::from_dollars(reserved);
            let spending = AlertSpending {
                reader,
                ..found.spending()
            };
            let text = told(|words| words.spent(&found.programme, &found.budget, spending)).await;
            lines.push(text.lines().nth(2).unwrap().to_owned());
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @"
    At $51 a week, most students will have used up their caps around 23 Dec, two months before the term ends. Raise the caps of those who need more.
    At $51 a week, the budget will be used up around 31 Dec, seven weeks before the term ends. Raise the budget in the settings. The caps of students who need more must be raised as well: each key stops at its own cap.
    At $51 a week, most students will have used up their caps around 23 Dec, two months before the term ends. Raise the caps of those who need more.
    At $51 a week, the budget will be used up around 31 Dec, seven weeks before the term ends. Ask the admins for a larger budget in the settings. The caps of students who need more must be raised as well: each key stops at its own cap.
    At $51 a week, most students will have used up their caps around 23 Dec, two months before the term ends. Faculty can raise the caps of those who need more.
    At $51 a week, the budget will be used up around 31 Dec, seven weeks before the term ends. Faculty can ask the admins for more. The caps of students who need more must be raised as well: each key stops at its own cap.
    ");
}

#[tokio::test]
async fn after_the_end_nothing_is_forecast_or_advised() {
    // Auckland's last day is 20 Dec; what was spent in its last hours is found in the night after
    // it.
    let mut found = short();
    found.programme.settings.name = "Auckland".to_owned();
    found.programme.settings.term =
        Term::new(date(2026, 9, 1), date(2026, 12, 20), "Pacific/Auckland").unwrap();
    (
        found.crossing.limit,
        found.budget.limit,
        found.budget.reserved,
    ) = (
        Usd::from_dollars(50),
        Usd::from_dollars(50),
        Usd::from_dollars(30),
    );
    found.programme.settings.mails.thresholds = vec![30, 60, 100];
    found.now = "2026-12-21T00:20:00Z".parse().unwrap();
    let days = Days::on_one(date(2026, 12, 20), Usd::from_micros(15_700_000));
    let own = found.used.own.as_mut().unwrap();
    (found.crossing.spent, own.as_of, own.used.credits) = (days.total(), found.now, days);
    insta::assert_snapshot!(found.told().await, @"
    Auckland has used 31% of $50
    Auckland has used 31% of $50
    The term is over, and no key works any more.
    Spent: $15.70
    Budget: $50
    Left: $34.30
    Promised, not spent yet: $14.30
    Students: 161 of 200 have claimed
    Term ends: 20 Dec 2026
    As of: 21 Dec 2026, 13:20 (Pacific/Auckland)
    Spent in all: $0 by 30 Nov, $0 by 7 Dec, $0 by 14 Dec, $15.70 by 21 Dec, of a budget of $50.
    Open the programme: https://bursar.example.edu/console/programmes/cs-pilot
    You get this mail because of your role in Auckland: assistant.
    ");
    found.used.assigned_keys = 1;
    let text = found.told().await;
    assert!(
        text.contains("no student's key works any more. Bursar does not stop keys made elsewhere"),
        "{text}"
    );
}

#[tokio::test]
async fn a_budget_of_nothing_is_none_yet() {
    let mut found = found(50, Days::default());
    (found.crossing.limit, found.budget.limit) = (Usd::ZERO, Usd::ZERO);
    let forecast = found.spending().forecast.unwrap();
    insta::assert_snapshot!(forecast.to_words(&found.programme.settings.term), @"There is no budget yet.");
}
