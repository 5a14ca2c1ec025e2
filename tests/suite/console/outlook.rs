//! What the overview warns of: a budget that will not last, students who stand out, and a budget
//! that is promised in full.

use std::collections::BTreeMap;

use bursar_core::domain::programme::Budget;
use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::forecast::{StandingOut, Weeks};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{SyncState, Totals, Unmailed};
use bursar_tests::office::{conclude, reading, soon};
use jiff::ToSpan;

use super::*;

/// A programme of a hundred dollars, forty days into a term of a hundred, and a key for each of
/// these people.
async fn forty_days_in(names: &[&str]) -> Campus {
    let mut campus = Campus::open().await;
    let today = utc_date(campus.clock.now());
    let shape = |settings: &mut Settings| {
        staff(settings);
        settings.term = Term::new(
            today.saturating_sub(40.days()),
            today.saturating_add(60.days()),
            "UTC",
        )
        .unwrap();
    };
    campus.programme("CS pilot", shape).await;
    campus.budget(100).await;
    campus.students_with_keys(names).await;
    campus
}

/// Records what each key used, in cents on each of the last completed days, as nightly syncs do;
/// the keys were shown so many days ago.
async fn recorded(campus: &Campus, shown: i64, cents: &[(&str, [i64; 28])]) {
    let now = campus.clock.now();
    let (mut all, mut weeks) = (DailyUse::default(), Vec::new());
    for (name, each) in cents {
        let mut days = Days::default();
        for (ago, cents) in (1_i64..).zip(each) {
            days.add(&Days::on_one(
                utc_date(now).saturating_sub(ago.days()),
                Usd::from_micros(cents * 10_000),
            ));
        }
        let used = DailyUse {
            credits: days,
            ..DailyUse::default()
        };
        all.add(&used);
        weeks.push((
            campus.id(name).to_bytes(),
            Weeks::sum(
                &used.credits,
                Some(now - (24 * shown).hours()),
                utc_date(now),
            ),
        ));
        campus
            .table
            .note_reading(
                &reading(&campus.programme, campus.id(name), used, now),
                soon(),
            )
            .await
            .unwrap();
    }
    let (programme, by_group) = (campus.programme.clone(), BTreeMap::new());
    let standing_out = StandingOut::find(&weeks);
    let unmailed = Unmailed::default();
    let totals = Totals {
        programme,
        as_of: now,
        used: all,
        by_group,
        unmailed,
        standing_out,
        work_day: None,
    };
    let state = campus.table.sync_state().await.unwrap();
    let state = SyncState {
        listed_at: Some(now),
        completed_at: Some(now),
        ..state
    };
    campus.table.note_totals(&totals, soon()).await.unwrap();
    conclude(&campus.table, state).await;
}

#[tokio::test]
async fn the_overview_looks_ahead() {
    let campus = forty_days_in(&["ada", "bob", "cid"]).await;
    let (admin, faye) = (campus.admin().await, campus.student("faye").await);
    let said = async || {
        let page = admin.get(ID).await.expect(200);
        (page.text("forecast"), page.texts("warning"))
    };
    let too_little =
        Some("There is too little data to say when the budget will be used up.".to_owned());
    let no_sync = vec![
        "OpenRouter has not been checked yet, so nothing here shows what was spent.".to_owned(),
    ];
    assert_eq!(said().await, (too_little, no_sync));

    let steady = [("ada", [10; 28]), ("cid", [15; 28])];
    recorded(&campus, 20, &[&steady[..], &[("bob", [20; 28])]].concat()).await;
    let lasts = "At $3.15 a week, the budget lasts beyond the end of the term.";
    assert_eq!(said().await, (Some(lasts.to_owned()), Vec::new()));
    assert_eq!(faye.get(ID).await.text("stands-out"), None);

    // Bob begins, with more in his first week than others use in a month.
    let mut first = [0; 28];
    first[0] = 900;
    recorded(&campus, 6, &[&steady[..], &[("bob", first)]].concat()).await;
    assert_eq!(
        faye.get(ID).await.text("stands-out"),
        None,
        "nothing is usual for him yet"
    );
    recorded(&campus, 10, &[&steady[..], &[("bob", first)]].concat()).await;
    let idle = faye.get(ID).await.text("stands-out").unwrap();
    assert!(
        idle.contains("a week): $9.00."),
        "his key was idle for days: {idle}"
    );

    // One of Bob's programs ran over a weekend.
    let mut much = [20; 28];
    much[..2].fill(450);
    recorded(&campus, 20, &[&steady[..], &[("bob", much)]].concat()).await;
    let (named, link) = (faye.get(ID).await, format!("{GRANTS}/{}", campus.id("bob")));
    let text = named.text("stands-out").unwrap();
    assert!(
        text.starts_with("One student used far more") && text.contains("($1.05 a week): $10.00."),
        "{text}"
    );
    assert!(named.body.contains(&link));

    // The three keys may spend $60, and $8.20 of that is left: a larger budget would help nobody.
    recorded(&campus, 20, &[&steady[..], &[("bob", [160; 28])]].concat()).await;
    let short = faye.get(ID).await.texts("warning").remove(0);
    assert!(
        short.starts_with("At $13 a week, most students will have used up their caps around "),
        "{short}"
    );
    let to_do = " before the term ends. Raise the caps of those who need more. See who spent most";
    assert!(
        short.ends_with(to_do)
            && faye
                .get(ID)
                .await
                .body
                .contains(&format!("href=\"{GRANTS}\">See who")),
        "{short}"
    );

    recorded(&campus, 20, &[&steady[..], &[("bob", [400; 28])]].concat()).await;
    let gone = "The budget is used up. Raise the budget in the settings. The caps of students who need more must be raised as well: each key stops at its own cap. Open the settings";
    assert_eq!(said().await.1, [gone]);
    campus.minutes(27 * 60);
    let warnings = campus
        .admin()
        .await
        .get(ID)
        .await
        .texts("warning")
        .join(" ");
    assert!(
        warnings.contains("Some keys have not been checked at OpenRouter for more than 26 hours"),
        "{warnings}"
    );
    campus.finish_unjudged().await;
}

#[tokio::test]
async fn a_budget_without_room_is_told_to_each_reader() {
    let mut campus = forty_days_in(&["ada", "bob"]).await;
    campus.students(&["cid", "dan", "eve", "fay"]).await;
    campus.spend("ada", "5");
    campus.sync().await;
    let (admin, faye, asta) = (
        campus.admin().await,
        campus.student("faye").await,
        campus.student("asta").await,
    );
    let overview = admin.get(ID).await;
    for (hook, usd) in [
        ("spent", "5.000000"),
        ("reserved", "40.000000"),
        ("implied", "120.000000"),
        ("budget", "100.000000"),
    ] {
        assert_eq!(overview.one(hook).get("data-usd"), usd);
    }
    let text = overview.readable();
    for sum in [
        "Promised, not spent yet $35.00",
        "Free $60.00",
        "$20.00 more than the budget",
    ] {
        assert!(text.contains(sum), "{sum}: {text}");
    }
    assert_eq!(overview.texts("warning"), [""; 0], "the bar says so");
    campus.budget(59).await;
    let says = "4 students on the roster have no key and cannot get one now. Too little of the budget is left for a key of $20.00: $40.00 of $59.00 is spent or promised to students.";
    let link = " Open the settings";
    for (visitor, what_to_do, link) in [
        (&admin, "Raise the budget to $120 in the settings.", link),
        (
            &faye,
            "Ask the admins for a budget of $120 in the settings.",
            link,
        ),
        (
            &asta,
            "Faculty can ask the admins for a budget of $120.",
            "",
        ),
    ] {
        let expected = format!(
            "{says} {what_to_do} A lower cap makes room as well, and so does removing students who need no key.{link}"
        );
        assert_eq!(visitor.get(ID).await.texts("warning"), [expected]);
    }
    // Once the claim window is closed, a full budget keeps no student from a key.
    let now = campus.clock.now();
    campus
        .set(|settings| settings.claims.claim_closes_at = Some(now - 1.hour()))
        .await;
    assert!(
        !admin
            .get(ID)
            .await
            .texts("warning")
            .iter()
            .any(|text| text.contains("Too little of the budget"))
    );
    // More than the budget was promised before it was lowered by hand. After the end nobody is told
    // to raise it.
    let budget = campus
        .table
        .get(Budget::key_of(&campus.programme))
        .await
        .unwrap()
        .unwrap();
    campus
        .raw()
        .keep(&Budget {
            reserved: Usd::from_dollars(60),
            ..budget
        })
        .await;
    assert!(
        admin.get(ID).await.texts("warning")[0]
            .starts_with("More is spent or promised than the budget has.")
    );
    campus
        .set(|settings| {
            settings.term =
                Term::new(settings.term.starts_on(), utc_date(now) - 1.day(), "UTC").unwrap();
        })
        .await;
    let over = admin.get(ID).await;
    assert!(
        over.texts("warning").is_empty() && over.text("forecast").is_none(),
        "{:?}",
        over.texts("warning")
    );
    campus.finish_unjudged().await;
}
