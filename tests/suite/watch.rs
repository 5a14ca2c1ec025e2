//! The hourly check: what falls silent, fails for good or costs more than there is reaches an admin
//! once, without depending on what fell silent.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::programme::{Budget, Programme};
use bursar_core::domain::usage::forecast::StandingOut;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::items::Item;
use bursar_core::store::{
    Account, Author, Erasure, Job, JobState, SyncState, Totals, Unmailed, Work,
};
use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_local::provider::Nano;
use bursar_local::ses::Fault as MailFault;
use bursar_tests::campus::{ADMIN, Campus, address, name_people};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::{conclude, soon};
use bursar_tests::permissions::TEMPLATE;
use bursar_tests::stack::Setup;
use jiff::{SignedDuration, ToSpan};
use serde_json::{Value, json};
use ulid::Ulid;

use crate::mail::outcomes::say;

const NOTHING: &[&str] = &[];

/// The subjects of the account's mails that an hourly check causes.
async fn told(campus: &Campus) -> Vec<String> {
    campus.look().await;
    campus.settle().await;
    campus.subjects("account")
}

/// A complete sync now that finds this balance, and what our and foreign keys used on each of the
/// last 28 days: ours all in the campus' programme, in which twenty dollars are promised besides.
pub(crate) async fn found(campus: &Campus, balance: Usd, a_day: [Usd; 2]) {
    let today = utc_date(campus.clock.now());
    let [ours, foreign] = a_day.map(|used| {
        let mut days = DailyUse::default();
        (1..=28).for_each(|ago: i64| {
            days.add(&DailyUse::on_one(today.saturating_sub(ago.days()), used));
        });
        days
    });
    let now = campus.clock.now();
    let state = campus.table.sync_state().await.unwrap();
    let state = SyncState {
        completed_at: Some(now),
        listed_at: Some(now),
        ..state
    };
    let cut = AccountCut {
        as_of: now,
        bought: balance,
        ..AccountCut::default()
    };
    let budget = campus
        .table
        .get(Budget::key_of(&campus.programme))
        .await
        .unwrap()
        .unwrap();
    campus
        .raw()
        .keep(&Budget {
            reserved: Usd::from_dollars(20) + ours.credits.total(),
            ..budget
        })
        .await;
    let totals = Totals {
        programme: campus.programme.clone(),
        as_of: now,
        used: ours.clone(),
        by_group: BTreeMap::new(),
        unmailed: Unmailed::default(),
        standing_out: StandingOut::default(),
        work_day: None,
    };
    campus.table.note_totals(&totals, soon()).await.unwrap();
    let account = Account {
        as_of: now,
        ours,
        foreign,
    };
    campus.table.put_later(&account, now, soon()).await.unwrap();
    campus.raw().keep(&cut).await;
    conclude(&campus.table, state).await;
}

#[tokio::test]
async fn a_silent_sync_is_told_once_a_day() {
    let campus = Campus::with_keys(&[]).await;
    campus.sync().await;
    let hours = |hours: i64| format!("No complete check at OpenRouter for {hours} hours");
    for (minutes, subject) in [
        (0, None),
        (25 * 60 - 5, None),
        (60, Some(hours(25))),
        (1, None),
        (24 * 60, Some(hours(49))),
    ] {
        campus.minutes(minutes);
        assert_eq!(told(&campus).await, Vec::from_iter(subject));
    }
    campus.sync().await;
    campus.minutes(24 * 60);
    assert_eq!(told(&campus).await, NOTHING, "nothing when it is over");

    // Each check leaves the line that the stack's alarms listen for.
    let lines = campus.logs.all();
    let lines = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
    let hours: Vec<Value> = lines
        .filter(|line| line["watched"] == true)
        .map(|line| line["hours_without_sync"].clone())
        .collect();
    assert_eq!(hours, [0, 24, 25, 25, 49, 24]);
    let [filter, alarm, silent] = ["WatchedMetric", "WatchSilent", "HoursWithoutSyncMetric"]
        .map(|name| &TEMPLATE["Resources"][name]["Properties"]);
    assert_eq!(filter["FilterPattern"], "{ $.watched IS TRUE }");
    let metric = &filter["MetricTransformations"][0];
    assert_eq!(
        (&metric["MetricName"], &metric["MetricNamespace"]),
        (&alarm["MetricName"], &alarm["Namespace"])
    );
    assert_eq!(
        silent["MetricTransformations"][0]["MetricValue"],
        "$.hours_without_sync"
    );
    campus.finish().await;
}

/// A balance that is enough for all who have keys, a roster of two hundred that is put up by noon,
/// and a term after that.
#[tokio::test]
async fn what_a_roster_may_claim_is_told_on_its_day() {
    let mut campus = Campus::open().await;
    campus.provider().set_credits(Nano::usd(1_274)).unwrap();
    campus
        .programme("CS 200", |settings| {
            settings.allowance.cap = Usd::from_dollars(30);
        })
        .await;
    campus.budget(5_000).await;
    campus.sync().await;
    assert_eq!(told(&campus).await, NOTHING);
    campus.students(&name_people(0..200)).await;
    campus.minutes(60);
    assert_eq!(
        told(&campus).await,
        ["Buy $3,800 of credit now"],
        "within the budget of $5,000"
    );
    assert!(
        campus.has_logged("\"to_buy_usd\":\"3800.000000\""),
        "for the runbook's checks before claim day"
    );
    let account = async || {
        campus
            .admin()
            .await
            .get("/console/account")
            .await
            .expect(200)
    };
    let page = account().await;
    assert_eq!(
        page.texts("warning")[0],
        "Buy $3,800 of credit now: if everybody on the rosters claims, programmes can still cost $5,000.00, and $1,274 are left."
    );
    assert_eq!(page.one("buy-by").get("data-date"), "now");
    assert_eq!(told(&campus).await, NOTHING);

    let opens_at = campus.clock.now() + (60 * 24).hours();
    campus
        .set(|settings| settings.claims.claim_opens_at = Some(opens_at))
        .await;
    let day = utc_date(opens_at).saturating_sub(30.days());
    assert_eq!(
        account().await.one("buy-by").get("data-date"),
        day.to_string()
    );
    campus.provider().set_credits(Nano::usd(5_000)).unwrap();
    campus.sync().await;
    let page = account().await;
    assert!(
        page.all("buy-by").is_empty()
            && page
                .text("credit")
                .unwrap()
                .starts_with("Nothing to buy: $5,000 are left")
    );
    assert_eq!(told(&campus).await, NOTHING, "nothing when it is over");
    campus.finish().await;
}

/// By noon keys that nothing here bounds have used what was enough for weeks. Then OpenRouter tells
/// no balance any more.
#[tokio::test]
async fn a_balance_that_runs_out_by_noon_is_told_by_then() {
    let campus = Campus::with_keys(&["ada"]).await;
    campus.provider().set_credits(Nano::usd(100)).unwrap();
    campus.sync().await;
    let resume = async || {
        campus
            .run(FunctionName::UsageSync, json!({"task": "resume"}))
            .await
            .unwrap()
    };
    resume().await;
    assert_eq!(told(&campus).await, NOTHING);
    let foreign = campus.foreign("by hand");
    campus.hours(6);
    campus.spend_on(&foreign, "60");
    resume().await;
    // Sixty in half a day, the shortest time that is a pace, are 120 in a day.
    assert_eq!(
        told(&campus).await,
        ["The balance does not last a day: buy $100 of credit now"]
    );
    let page = campus
        .admin()
        .await
        .get("/console/account")
        .await
        .expect(200);
    assert_eq!(page.attributes("balance", "data-usd"), ["40.000000"]);

    campus.gate.at(
        Matcher::call("provider:GET /credits").every(),
        Fault::Status(500),
    );
    resume().await;
    campus.hours(1);
    assert_eq!(told(&campus).await, NOTHING);
    campus.hours(1);
    resume().await;
    assert_eq!(
        told(&campus).await,
        ["Nobody knows what is left of the balance"]
    );
    campus.finish_faulted().await;
}

/// Somebody is removed while OpenRouter takes no change, or asks to come back later.
#[tokio::test]
async fn a_key_that_cannot_be_switched_off_is_told_after_an_hour() {
    for fault in [Fault::Status(503), Fault::RetryAfter(429, 7_200)] {
        let campus = Campus::with_keys(&["ada"]).await;
        campus
            .gate
            .at(Matcher::call("provider:PATCH /keys/{hash}").every(), fault);
        campus.revoke("ada").await;
        campus.minutes(59);
        campus.work().await;
        assert_eq!(
            told(&campus).await,
            ["OpenRouter has not switched off keys that should be off"],
            "{fault:?}"
        );
        assert_eq!(told(&campus).await, NOTHING);
        campus.finish_faulted().await;
    }
}

#[tokio::test]
async fn a_job_that_stands_still_is_told() {
    let campus = Campus::with_keys(&[]).await;
    let now = campus.clock.now();
    campus.sync().await;
    let import = Work::Import;
    let standing = Job {
        job: Ulid::from_parts(1, 1),
        state: JobState::Running {
            lease_until: now - SignedDuration::from_mins(30),
        },
        done: 3,
        next: 3,
        started_at: now - SignedDuration::from_hours(1),
        advanced_at: now - SignedDuration::from_mins(31),
        ..Job::new(&campus.programme, import, 200, &Actor::Rule, now)
    };
    // One that has just begun waits for the one that stands still.
    for job in [
        standing,
        Job::new(&campus.programme, Work::Limits, 1, &Actor::Rule, now),
    ] {
        campus.raw().keep(&job).await;
    }
    assert_eq!(told(&campus).await, ["Changes to CS pilot are stuck"]);
    assert_eq!(told(&campus).await, NOTHING);

    let by = Author {
        now: now - SignedDuration::from_hours(26),
        ..campus.by()
    };
    campus
        .raw()
        .keep(&Erasure::of_person(
            Ulid::from_parts(1, 3),
            Some(address("ada").matched()),
            &[],
            by,
        ))
        .await;
    assert_eq!(told(&campus).await, ["An erasure is stuck"]);
    assert_eq!(told(&campus).await, NOTHING);
    campus.finish().await;
}

/// The marks by which an alarm of the stack rings for mail, by the function whose log has them.
fn rings(campus: &Campus) -> Vec<FunctionName> {
    let lines = campus.logs.all().into_iter();
    lines
        .filter(|line| line.text.contains("\"mail_waits\":true"))
        .map(|line| line.function)
        .collect()
}

/// The mail server fails or throttles all for hours, so that the mail about it waits too. A link
/// that is asked for just after a look is seen to wait by the next one; one that is asked for later
/// is given up before a look finds that it waits for too long.
#[tokio::test]
async fn mail_that_no_mail_can_tell_of_rings() {
    for fault in [MailFault::Fail, MailFault::Throttle] {
        for (asked_at, rung_by) in [(5, FunctionName::ThresholdAlerts), (35, FunctionName::Mail)] {
            let campus = Campus::open().await;
            campus.ses.fail_next(fault, 1_000, None);
            campus.minutes(asked_at);
            campus.ask(ADMIN).await;
            for minutes in (asked_at + 5..=asked_at + 90).step_by(5) {
                campus.minutes(5);
                campus.settle().await;
                if minutes % 60 == 0 {
                    campus.look().await;
                }
                assert!(
                    minutes > asked_at + 30 || rings(&campus).is_empty(),
                    "{fault:?}: too soon"
                );
            }
            assert_eq!(
                rings(&campus).first(),
                Some(&rung_by),
                "{fault:?}, asked {asked_at} minutes after a look"
            );
            let refused = campus
                .logs
                .all()
                .into_iter()
                .find(|line| line.text.contains("a mail was not sent"))
                .unwrap();
            assert!(
                refused.text.contains("\"WARN\"") && refused.text.contains("\"code\""),
                "{}",
                refused.text
            );
            campus.finish_faulted().await;
        }
    }
    for filter in ["SiteDownMetric", "UnsayableMetric"] {
        let filter = &TEMPLATE["Resources"][filter]["Properties"];
        assert!(
            filter["FilterPattern"]
                .as_str()
                .unwrap()
                .contains("|| $.mail_waits IS TRUE }")
        );
        let (metric, alarm) = (
            &filter["MetricTransformations"][0],
            &TEMPLATE["Resources"]["AdminsNotReached"]["Properties"],
        );
        assert_eq!(
            (&metric["MetricName"], &metric["MetricNamespace"]),
            (&alarm["MetricName"], &alarm["Namespace"])
        );
    }
}

/// SES takes all links, and the university's own mail server holds most of them, or delays them.
#[tokio::test]
async fn links_that_do_not_arrive_ring() {
    let names = name_people(0..12);
    for (mail_events, asked, arrived, returned, rung) in [
        (Some("bursar"), 12, 4, 1, 1),
        (Some("bursar"), 12, 5, 1, 0),
        (Some("bursar"), 9, 0, 0, 0),
        (None, 12, 0, 0, 0),
    ] {
        let mut campus = Campus::of(Setup {
            mail_events,
            ..Setup::default()
        })
        .await;
        campus.programme("CS pilot", |_| {}).await;
        campus.students(&names[..asked]).await;
        for name in &names[..asked] {
            campus.ask(name).await;
        }
        campus.settle().await;
        let links = campus.mails("link");
        assert_eq!(links.len(), asked);
        for link in &links[..arrived] {
            campus.report(link, "delivery", false).await;
        }
        for link in &links[arrived..arrived + returned] {
            campus.report(link, "bounce", false).await;
        }
        for link in &links[arrived + returned..] {
            say(&campus, "delayed", link).await.unwrap();
        }
        for _ in 0..3 {
            campus.minutes(50);
            campus.look().await;
        }
        assert_eq!(
            rings(&campus).len(),
            rung,
            "{mail_events:?}: of {asked} {arrived} arrived, {returned} came back"
        );
        campus.finish().await;
    }
}

#[tokio::test]
async fn mail_that_is_given_up_is_told_once_a_day() {
    let mut campus = Campus::with_keys(&[]).await;
    campus.sync().await;
    for name in ["ada", "bob"] {
        campus
            .ses
            .fail_next(MailFault::Reject, 1, Some(&format!("{name}@example.edu")));
        campus.students(&[name]).await;
    }
    let subjects = told(&campus).await;
    let is_right = |subject: &String| {
        subject.contains("did not arrive") && subject.ends_with("the invitation of CS pilot")
    };
    assert!(
        subjects.len() == 1 && is_right(&subjects[0]),
        "{subjects:?}"
    );

    // The alarm's own mail cannot be sent either, which raises no further alarm yet.
    campus.minutes(24 * 60);
    campus.sync().await;
    campus.ses.fail_next(MailFault::Reject, 100, None);
    campus.students(&["cleo"]).await;
    assert_eq!(told(&campus).await, NOTHING);
    campus.ses.lift_faults(None);
    for mails in [1, 0, 0] {
        campus.minutes(20 * 60);
        campus.sync().await;
        assert_eq!(
            told(&campus).await.len(),
            mails,
            "once mail works again, admins hear once"
        );
    }
    campus.finish_faulted().await;
}

/// Items that an edit by hand has spoiled. By Monday no sync was ever complete, which is told all
/// the same.
#[tokio::test]
async fn what_cannot_be_read_keeps_nothing_else_from_being_told() {
    let mut campus = Campus::at("2026-11-20T10:00:00Z").await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students_with_keys(&["ada"]).await;
    campus.settle().await;
    let maths: ProgrammeId = "maths".parse().unwrap();
    for (key, kind) in [
        (Programme::key_of(&maths).item_key, "programme"),
        (Job::key_of(&campus.programme, "import").item_key, "job"),
    ] {
        let item = [("pk", key.pk), ("sk", key.sk), ("kind", kind.to_owned())];
        let item: Item = item
            .into_iter()
            .map(|(name, text)| (name.to_owned(), AttributeValue::S(text)))
            .collect();
        campus.raw().put(item).await;
    }
    campus.minutes(3 * 24 * 60);
    let failed = campus
        .run(FunctionName::ThresholdAlerts, json!({"task": "watch"}))
        .await;
    assert!(matches!(failed, Err(InvokeError::Failed(_))), "{failed:?}");
    let logs = campus.logs.all();
    let why = &logs
        .iter()
        .rev()
        .find(|line| line.text.contains("not looked at: "))
        .unwrap()
        .text;
    for part in ["the programme maths", "the job of cs-pilot", "the balance"] {
        assert!(why.contains(part), "{why}");
    }
    assert!(
        !why.contains("the syncs") && !why.contains("the crossings of"),
        "{why}"
    );
    assert!(campus.has_logged("\"hours_without_sync\":72"));
    campus.settle().await;
    let subjects = campus.subjects("account");
    assert!(
        subjects.contains(&"No complete check at OpenRouter yet".to_owned()),
        "{subjects:?}"
    );
    campus.finish_unjudged().await;
}
