//! Reports: each grouping of what keys used adds up to the same sum, on the page and in the file, and what is not known of a
//! day is said.

use std::collections::BTreeMap;

use bursar_core::domain::grant::Person;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::usage::days::{Days, KeyCounters};
use bursar_core::domain::usage::models::rows::GrantUse;
use bursar_core::domain::usage::models::{GroupUse, Sums};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Author, ModelDay, ModelRows, NewPerson, SyncState};
use bursar_tests::office::{Office, as_sync, reading, soon};
use bursar_tests::stack::{self, Stack};
use bursar_tests::visitor::Page;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::{ADMIN, signed_in};

const REPORT: &str = "/console/programmes/cs-pilot/report";
const SMALL: &str = "a/small";
const HEADER: &str = "date,programme,cost_code,group,model,person,requests,spent_usd";

pub(super) fn ago(now: Timestamp, days: i64) -> Date {
    utc_date(now).saturating_sub(days.days())
}

fn sums(micros: i64, requests: u64) -> Sums {
    Sums { spent: Usd::from_micros(micros), byok: Usd::ZERO, requests }
}

/// A programme with a term that has long begun, and with people of its own.
pub(super) async fn programme<'s>(stack: &'s Stack, name: &str, faculty: &str) -> Office<'s> {
    let office = Office::of(stack, "cs-pilot");
    let term = Term::new(ago(stack.clock.now(), 40), ago(stack.clock.now(), -40), "UTC").unwrap();
    let mut settings = Settings::new(name, term, Usd::from_dollars(20));
    settings.faculty = vec![EmailAddress::parse(faculty).unwrap()];
    settings.assistants = vec![EmailAddress::parse("anna@example.edu").unwrap()];
    settings.cost_code = Some("=CS 4711".to_owned());
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    let id = office.table.create_programme(settings, Usd::from_dollars(100), by).await.unwrap();
    Office::of(stack, id.as_str())
}

pub(super) async fn student(stack: &Stack, office: &Office<'_>, address: &str, group: Option<&str>) -> GrantId {
    let person = Person { address: EmailAddress::parse(address).unwrap(), name: None, roster_id: None };
    let by = Author { actor: &office.faculty, now: stack.clock.now(), deadline: soon() };
    let invited = [NewPerson { person, group: group.map(str::to_owned) }];
    office.table.invite(&office.programme, &invited, by).await.unwrap().remove(0)
}

/// Records what a key used on days so long ago, in micro-dollars.
pub(super) async fn used(office: &Office<'_>, grant: &GrantId, now: Timestamp, days: &[(i64, i64)]) {
    let mut credits = Days::default();
    for (before, micros) in days {
        credits.add(&Days::on_one(ago(now, *before), Usd::from_micros(*micros)));
    }
    record(office, grant, now, DailyUse { credits, byok: Days::default() }).await;
}

async fn record(office: &Office<'_>, grant: &GrantId, now: Timestamp, used: DailyUse) {
    office.table.note_reading(&reading(&office.programme, grant, used, now), soon()).await.unwrap();
}

/// Records what a grant of a group used of a model so many days ago, as a sync does.
async fn modelled(office: &Office<'_>, now: Timestamp, before: i64, rows: &[(&GrantId, Option<&str>, Sums)]) {
    let day = ago(now, before);
    let uses: Vec<GrantUse> = rows
        .iter()
        .map(|(grant, _, used)| GrantUse {
            programme: office.programme.clone(),
            grant: (*grant).clone(),
            model: SMALL.to_owned(),
            used: *used,
        })
        .collect();
    let by = rows.iter().map(|(_, group, used)| GroupUse {
        group: group.map(str::to_owned),
        model: SMALL.to_owned(),
        spent: used.spent,
        byok: used.byok,
        requests: used.requests,
    });
    let of_programme = ModelDay { programme: office.programme.clone(), day, as_of: now, by: by.collect() };
    assert!(as_sync(&office.table, async |sync| sync.note_model_day(&of_programme).await).await);
    let parts = ModelRows::of(day, &uses, now, now + (24 * 365).hours());
    assert!(as_sync(&office.table, async |sync| sync.note_model_rows(&parts).await).await);
}

/// The state of the sync after it listed every key now, and knows models of the days from `since` to `until`.
pub(super) async fn looked(office: &Office<'_>, now: Timestamp, since: i64, until: i64) {
    let state = office.table.sync_state().await.unwrap().with_models_of(ago(now, since), ago(now, until));
    let state = SyncState { listed_at: Some(now), completed_at: Some(now), ..state };
    assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
}

/// The rows of a file, each by the names of its columns.
pub(super) fn rows(file: &Page) -> Vec<BTreeMap<String, String>> {
    assert_eq!(file.body.lines().next(), Some(HEADER));
    let mut read = csv::Reader::from_reader(file.body.as_bytes());
    read.deserialize().map(Result::unwrap).collect()
}

fn micros(text: &str) -> i64 {
    let (whole, parts) = text.split_once('.').unwrap();
    assert_eq!(parts.len(), 6, "{text}");
    format!("{whole}{parts}").parse().unwrap()
}

fn total(file: &Page) -> i64 {
    rows(file).iter().map(|row| micros(&row["spent_usd"])).sum()
}

#[tokio::test]
async fn every_grouping_of_a_report_adds_up_to_the_same_sum_and_keeps_what_it_does_not_know() {
    let stack = stack::in_process().await.unwrap();
    let office = programme(&stack, "CS pilot", "faye@example.edu").await;
    let ada = student(&stack, &office, "ada@x.edu", Some("A")).await;
    let bob = student(&stack, &office, "bob@x.edu", None).await;
    let now = stack.clock.now();
    used(&office, &ada, now, &[(6, 1_000_000), (2, 2_500_003), (1, 40)]).await;
    used(&office, &bob, now, &[(6, 30_000), (2, 1)]).await;
    modelled(&office, now, 2, &[(&ada, Some("A"), sums(2_000_000, 7)), (&bob, None, sums(2, 1))]).await;
    looked(&office, now, 3, 1).await;
    let faye = signed_in(&stack, "faye@example.edu").await;
    let all = 3_530_044;
    for bits in 0..16 {
        let columns =
            ["day", "group", "model", "person"].iter().enumerate().filter(|(place, _)| bits & (1 << place) > 0);
        let by: String = columns.map(|(_, name)| format!("&by={name}")).collect();
        let file = faye.get(&format!("{REPORT}.csv?{}", by.trim_start_matches('&'))).await.expect(200);
        assert_eq!(total(&file), all, "{by}");
        let page = faye.get(&format!("{REPORT}?{}", by.trim_start_matches('&'))).await.expect(200);
        assert_eq!(page.attribute("report-total", "data-usd").as_deref(), Some("3.530044"), "{by}");
        let shown: i64 = page.attributes("report-row", "data-usd").iter().map(|usd| micros(usd)).sum();
        assert_eq!(shown, all, "{by}");
    }

    let file = faye.get(&format!("{REPORT}.csv?by=day&by=group&by=model&by=person")).await.expect(200);
    let day = ago(now, 2).to_string();
    let of_day: Vec<_> = rows(&file).into_iter().filter(|row| row["date"] == day).collect();
    let cells = |row: &BTreeMap<String, String>| {
        ["group", "model", "person", "requests", "spent_usd"].map(|column| row[column].clone())
    };
    let (ada, bob) = (ada.as_str(), bob.as_str());
    assert_eq!(
        of_day.iter().map(cells).collect::<Vec<_>>(),
        [
            ["A", SMALL, ada, "7", "2.000000"],
            ["A", "", ada, "0", "0.500003"],
            ["", SMALL, bob, "1", "0.000002"],
            ["", "", bob, "0", "-0.000001"],
        ]
    );
    assert!(rows(&file).iter().all(|row| row["programme"] == "cs-pilot" && row["cost_code"] == "'=CS 4711"));
    let before: Vec<_> = rows(&file).into_iter().filter(|row| row["date"] < ago(now, 3).to_string()).collect();
    assert!(before.len() == 2 && before.iter().all(|row| row["requests"].is_empty()), "{before:?}");
    assert_eq!(
        file.header("content-disposition").unwrap(),
        format!("attachment; filename=\"report-cs-pilot-{}-{}.csv\"", ago(now, 40), ago(now, 1))
    );
    let page = faye.get(&format!("{REPORT}?by=model")).await;
    let notes = page.texts("report-note");
    let missing = format!("Models and numbers of requests are not known of {} to {}.", ago(now, 6), ago(now, 4));
    assert_eq!(notes, [missing]);
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn names_are_for_faculty_and_a_report_over_several_programmes_has_only_those_that_somebody_may_see() {
    let stack = stack::in_process().await.unwrap();
    let first = programme(&stack, "CS pilot", "faye@example.edu").await;
    let second = programme(&stack, "Maths", "otto@example.edu").await;
    let ada = student(&stack, &first, "ada@x.edu", None).await;
    let eve = student(&stack, &second, "eve@x.edu", None).await;
    let now = stack.clock.now();
    used(&first, &ada, now, &[(2, 1_000_000)]).await;
    used(&second, &eve, now, &[(2, 500_000), (35, 7_000_000)]).await;
    looked(&first, now, 9, 1).await;

    let (faye, anna, admin) = (
        signed_in(&stack, "faye@example.edu").await,
        signed_in(&stack, "anna@example.edu").await,
        signed_in(&stack, ADMIN).await,
    );
    let person = "/console/report?by=person";
    let page = faye.get(person).await.expect(200);
    assert_eq!(page.attributes("report-row", "data-person"), [ada.as_str()]);
    assert!(page.readable().contains("ada@x.edu") && !page.readable().contains("Maths"), "{}", page.readable());
    assert_eq!(faye.get("/console/report?programme=maths").await.status, 404);
    assert_eq!(faye.get("/console/report.csv?programme=maths").await.status, 404);

    let page = anna.get(person).await.expect(200);
    assert_eq!(page.attribute("report-total", "data-usd").as_deref(), Some("1.500000"), "of thirty days");
    assert!(!page.readable().contains("ada@x.edu") && page.readable().contains(ada.as_str()), "{}", page.readable());
    let whole = format!("/console/report?from={}&programme=maths", ago(now, 35));
    let page = admin.get(&whole).await.expect(200);
    assert_eq!(page.attributes("report-row", "data-programme"), ["maths"]);
    assert_eq!(page.attribute("report-total", "data-usd").as_deref(), Some("7.500000"));
    let file = admin.get(&format!("/console/report.csv?from={}", ago(now, 35))).await.expect(200);
    let of: Vec<_> = rows(&file).iter().map(|row| (row["programme"].clone(), row["spent_usd"].clone())).collect();
    assert_eq!(of, [("cs-pilot", "1.000000"), ("maths", "7.500000")].map(|(id, usd)| (id.to_owned(), usd.to_owned())));
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn what_is_no_range_is_refused_and_what_is_not_known_of_its_days_is_said() {
    let stack = stack::in_process().await.unwrap();
    let office = programme(&stack, "CS pilot", "faye@example.edu").await;
    let ada = student(&stack, &office, "ada@x.edu", None).await;
    let faye = signed_in(&stack, "faye@example.edu").await;
    let now = stack.clock.now();
    assert!(faye.get(REPORT).await.expect(200).readable().contains("No sync has read yet what keys used."));

    for path in [format!("{REPORT}?"), format!("{REPORT}.csv?"), "/console/report.csv?".to_owned()] {
        for (query, sentence) in [
            ("from=2026-11-02&to=2026-11-01", "is before the first, 2026-11-02. Swap them."),
            ("from=yesterday", "The first day is none between 2000 and 2199."),
            ("by=name", "Choose among these."),
        ] {
            let page = faye.get(&format!("{path}{query}")).await.expect(422);
            assert!(page.alert().is_some_and(|alert| alert.contains(sentence)), "{}", page.readable());
            assert!(
                query.starts_with("by")
                    || page.form(path.trim_end_matches(".csv?").trim_end_matches('?')).value("from").is_some()
            );
        }
    }

    // Two nights were missed, some was spent with own keys, and the last sync was yesterday.
    let counted = KeyCounters { lifetime: Usd::from_dollars(9), today: Some(Usd::ZERO), on: ago(now, 1) };
    let missed = Days::on_one(ago(now, 5), Usd::from_dollars(2)).with(counted, Some(ago(now, 4)));
    let byok = Days::on_one(ago(now, 5), Usd::from_dollars(3));
    record(&office, &ada, now, DailyUse { credits: missed, byok }).await;
    looked(&office, now - 24.hours(), 9, 2).await;
    let page = faye.get(&format!("{REPORT}?to={}&by=day", utc_date(now))).await.expect(200);
    assert_eq!(page.attribute("report-total", "data-usd").as_deref(), Some("9.000000"));
    let notes = page.texts("report-note").join("\n");
    for sentence in [
        format!("No sync has read these days to their end yet: {} to {}.", ago(now, 1), utc_date(now)),
        format!("only the sum is known of {} to {}", ago(now, 4), ago(now, 2)),
        format!("not known of {} to {}.", ago(now, 2), utc_date(now)),
        "$3 more was spent with provider keys of the users' own.".to_owned(),
    ] {
        assert!(notes.contains(&sentence), "{sentence}\n{notes}");
    }
    stack.finish_unjudged().await;
}
