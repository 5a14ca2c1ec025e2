//! Forecasts on the overview: the day on which the pot will be empty, and students who spend far more than is
//! usual.

use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::programme::Pot;
use bursar_core::domain::usage::days::Days;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::Author;
use bursar_tests::invariants::RawTable;
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::office::{Office, soon};
use bursar_tests::stack::{self, Stack};
use jiff::{Timestamp, ToSpan};

use super::spans::{looked, summed_up, used};
use super::{ADMIN, signed_in};

const ID: &str = "/console/programmes/cs-pilot";

/// A programme with a hundred dollars, forty days into a term of a hundred.
async fn forty_days_in(stack: &Stack) -> (Office<'_>, Timestamp) {
    let (office, now) = (Office::open(stack).await, stack.clock.now());
    let programme = office.table.programme(&office.programme).await.unwrap().unwrap();
    let (today, mut settings) = (utc_date(now), programme.settings.clone());
    let (from, to) = (today.checked_sub(40.days()).unwrap(), today.checked_add(60.days()).unwrap());
    settings.term = Term::new(from, to, "UTC").unwrap();
    settings.faculty = vec![EmailAddress::parse("faye@example.edu").unwrap()];
    settings.assistants = vec![EmailAddress::parse("asta@example.edu").unwrap()];
    let by = Author { actor: &office.faculty, now, deadline: soon() };
    let what = AuditDetail::new(Act::Edited);
    office.table.save_settings(&office.programme, settings, programme.version, what, by).await.unwrap();
    (office, now)
}

/// An amount in cents for each of the last completed days.
fn cents(now: Timestamp, each: &[i64]) -> Days {
    let mut days = Days::default();
    for (ago, cents) in (1_i64..).zip(each) {
        let day = utc_date(now).checked_sub(ago.days()).unwrap();
        days.add(&Days::on_one(day, Usd::from_micros(cents * 10_000)));
    }
    days
}

#[tokio::test]
async fn the_overview_says_when_the_pot_is_empty_and_warns_if_that_is_before_the_term_ends() {
    let stack = stack::in_process().await.unwrap();
    let (office, now) = forty_days_in(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let said = async || {
        let page = admin.get(ID).await.expect(200);
        (page.text("forecast"), page.texts("warning"))
    };
    let too_little = Some("There is too little data to say when the budget will be used up.".to_owned());
    assert_eq!(said().await.0, too_little, "nobody has looked");
    looked(&office, now).await;
    summed_up(&office, cents(now, &[300; 3]), &[], now).await;
    assert_eq!(said().await, (too_little, Vec::new()));

    summed_up(&office, cents(now, &[50; 20]), &[], now).await;
    let lasts = "At the pace of the last weeks, about $3.50 a week, the budget lasts beyond the end of the term.";
    assert_eq!(said().await, (Some(lasts.to_owned()), Vec::new()));

    // Forty dollars are left, which last twenty days from today.
    summed_up(&office, cents(now, &[200; 30]), &[], now).await;
    let last = utc_date(now).checked_add(19.days()).unwrap().strftime("%-d %B %Y");
    let empty = format!("At the pace of the last weeks, about $14 a week, the budget will be used up around {last}.");
    assert_eq!(said().await, (None, vec![empty]));

    // Keys that were made may spend ten dollars more, which last five days.
    let raw = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
    let pot = office.table.pot(&office.programme).await.unwrap().unwrap();
    raw.keep(&Pot { reserved: Usd::from_dollars(70), ..pot }).await.unwrap();
    let last = utc_date(now).checked_add(4.days()).unwrap().strftime("%-d %B %Y");
    let stop = format!(
        "At the pace of the last weeks, about $14 a week, the keys that are out will stop around {last}: together they may spend $70, and then they stand still before the budget of $100 is used up."
    );
    assert_eq!(said().await, (None, vec![stop]));

    summed_up(&office, cents(now, &[400; 30]), &[], now).await;
    assert_eq!(said().await, (None, vec!["The budget is used up.".to_owned()]));
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn who_stands_out_is_named_to_faculty_and_counted_for_assistants() {
    let stack = stack::in_process().await.unwrap();
    let (office, now) = forty_days_in(&stack).await;
    looked(&office, now).await;
    let mut grants = Vec::new();
    for (name, days) in [("ada", [10; 28]), ("bob", [20; 28]), ("cid", [15; 28])] {
        let grant = office.invite(&format!("{name}@example.edu")).await;
        office.claim(&grant).await;
        used(&office, &grant, cents(now, &days), now).await;
        grants.push(grant);
    }
    let faculty = signed_in(&stack, "faye@example.edu").await;
    assert_eq!(faculty.get(ID).await.text("stands-out"), None);

    // One of Bob's programs ran over a weekend.
    let mut much = [20; 28];
    much[..2].fill(450);
    used(&office, &grants[1], cents(now, &much), now).await;
    let (named, link) = (faculty.get(ID).await, format!("{ID}/grants/{}", grants[1]));
    let text = named.text("stands-out").unwrap();
    assert!(text.contains("bob@example.edu $10.00.") && text.contains("($1.05)"), "{text}");
    assert!(named.body.contains(&link) && !text.contains("ada"));
    let counted = signed_in(&stack, "asta@example.edu").await.get(ID).await;
    let text = counted.text("stands-out").unwrap();
    assert!(text.starts_with("One student used far more") && !counted.body.contains("bob@"), "{text}");
    assert!(counted.body.contains(&format!("{ID}/grants?window=7d")) && !counted.body.contains(&link));
    stack.finish().await;
}

#[tokio::test]
async fn the_overview_warns_each_by_what_they_can_do_when_no_further_key_fits_into_the_budget() {
    let stack = stack::in_process().await.unwrap();
    let (office, _) = forty_days_in(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    let faculty = signed_in(&stack, "faye@example.edu").await;
    let assistant = signed_in(&stack, "asta@example.edu").await;
    for who in ["ada", "bob", "cyd"] {
        office.invite(&format!("{who}@example.edu")).await;
    }
    let raw = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
    let keep = async |reserved: i32| {
        let pot = office.table.pot(&office.programme).await.unwrap().unwrap();
        raw.keep(&Pot { reserved: Usd::from_dollars(reserved), limit: Usd::from_dollars(70), ..pot }).await.unwrap();
    };
    keep(50).await;
    assert_eq!(admin.get(ID).await.texts("warning"), Vec::<String>::new(), "one more fits");
    keep(51).await;
    let says = "The budget is promised in full: $51.00 of $70.00 is held for keys, what is spent included, so there is no room for one more key of $20.00. 3 people on the roster have had none, and get none now.";
    for (visitor, what_to_do) in [
        (&admin, "Raise the budget below."),
        (&faculty, "Save the budget that you need below: the admins get it as a request."),
        (&assistant, "Faculty can ask the admins for more."),
    ] {
        assert_eq!(
            visitor.get(ID).await.texts("warning"),
            [format!("{says} {what_to_do} A lower cap, or keys taken back that nobody needs, make room as well.")]
        );
    }
    // Once the claim window is closed, a full pot keeps no student from a key, so there is no warning.
    let programme = office.table.programme(&office.programme).await.unwrap().unwrap();
    let mut settings = programme.settings.clone();
    settings.claim_closes_at = Some(stack.clock.now() - 1.hour());
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    let what = AuditDetail::new(Act::Edited);
    office.table.save_settings(&office.programme, settings, programme.version, what, by).await.unwrap();
    assert_eq!(admin.get(ID).await.texts("warning"), Vec::<String>::new());
    stack.finish().await;
}
