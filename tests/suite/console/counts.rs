//! How many have claimed, and what everybody's keys would take: known at any minute, by what each act says of its own grant.

use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::values::money::Usd;
use bursar_tests::visitor::Visitor;

use super::*;

/// What home, overview, roster and the students' page say of the programme.
async fn said(reader: &Visitor) -> Vec<String> {
    let mut said = Vec::new();
    for page in ["/console", ID, ROSTER, GRANTS] {
        said.push(reader.get(page).await.expect(200).text("claimed").unwrap());
    }
    said.dedup();
    said
}

#[tokio::test]
async fn who_has_claimed_is_said_at_once() {
    let mut campus = Campus::at("2026-11-27T20:00:00Z").await;
    campus.programme("CS pilot", staff).await;
    let faye = async || said(&campus.student("faye").await).await;
    assert_eq!(faye().await, ["nobody on the roster yet"]);
    let names: Vec<String> = (1..=20).map(|number| format!("s{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    campus.students(&names[..17]).await;
    campus.keys().await;
    campus.students(&names[17..]).await;
    campus.sync().await;
    assert_eq!(said(&campus.student("faye").await).await, ["17 of 20 have claimed"]);

    // On the evening of the 28th Jamal claims at 21:37, and at 21:50 his lecturer looks.
    campus.minutes(25 * 60 + 37);
    campus.reveal(&campus.student("s18").await).await;
    campus.minutes(13);
    assert_eq!(said(&campus.student("faye").await).await, ["18 of 20 have claimed"]);
    campus.students(&["s21", "s22", "s23", "s24", "s25", "s26"]).await;
    let now = async |campus: &Campus| said(&campus.student("faye").await).await.join(", and ");
    assert_eq!(now(&campus).await, "18 of 26 have claimed");

    // Whoever had a key has claimed, whatever became of it; who is off the roster counts nowhere.
    campus.replace("s1").await;
    campus.press(&campus.student("s2").await, "return").await.expect(303);
    assert_eq!(now(&campus).await, "18 of 26 have claimed");
    campus.revoke("s3").await;
    campus.revoke("s26").await;
    assert_eq!(now(&campus).await, "17 of 24 have claimed");
    for name in ["s4", "s25"] {
        campus.hold(name, HoldKind::Dropped).await;
    }
    assert_eq!(now(&campus).await, "16 of 22 have claimed");
    let by = &bursar_core::domain::audit::Actor::Rule;
    let back = campus.table.act(campus.on("s4"), |view, now| view.release(HoldKind::Dropped, by, now)).await;
    back.unwrap();
    campus.hold("s5", HoldKind::Paused).await;
    assert_eq!(now(&campus).await, "17 of 23 have claimed");
    campus.sync().await;
    assert_eq!(now(&campus).await, "17 of 23 have claimed");
    campus.close(&campus.admin().await).await.expect(303);
    campus.finish_work().await;
    assert_eq!(campus.admin().await.get(ID).await.text("claimed").unwrap(), "17 of 23 have claimed");
    campus.finish().await;
}

/// Two hundred students of $20, of whom 98 in Lab B have $30 and one has $7.01.
#[tokio::test]
async fn a_key_handed_back_counts_once_whatever_job_runs() {
    let mut campus = Campus::at("2026-11-28T08:00:00Z").await;
    let shape = |settings: &mut Settings| {
        staff(settings);
        settings.allowance.group_caps.insert("Lab B".to_owned(), Usd::from_dollars(30));
    };
    campus.programme("CS pilot", shape).await;
    campus.budget(5000).await;
    let names: Vec<String> = (1..=102).map(|number| format!("s{number}")).collect();
    campus.students(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for number in 103..=200 {
        campus.student_in(&format!("s{number}"), Some("Lab B")).await;
    }
    let by = &bursar_core::domain::audit::Actor::Rule;
    let lower = Some(Usd::from_micros(7_010_000));
    campus.table.act(campus.on("s102"), |view, now| view.set_cap(lower, by, None, now)).await.unwrap();
    let implied = async |campus: &Campus| campus.admin().await.get(ID).await.one("implied").get("data-usd").to_owned();
    assert_eq!(implied(&campus).await, "4967.010000");
    campus.reveal(&campus.student("s115").await).await;
    campus.press(&campus.student("s115").await, "return").await.expect(303);
    assert_eq!(implied(&campus).await, "4967.010000");

    // A cap of another student is set by an act on many.
    let (admin, bulk) = (campus.admin().await, format!("{GRANTS}/bulk"));
    let cap = [("act", "cap"), ("cap_usd", "21"), ("addresses", "s7@example.edu")];
    let shown = admin.submit(&admin.get(GRANTS).await, &bulk, &cap).await.expect(200);
    assert!(shown.readable().contains("$4,967.01 now, $4,968.01 afterwards"), "{}", shown.readable());
    admin.submit(&shown, &bulk, &[]).await.expect(303);
    campus.finish_work().await;
    assert_eq!(campus.job("bulk").await.unwrap().state.as_str(), "done");
    assert_eq!(implied(&campus).await, "4968.010000");

    // Pauses of who never had a key, and of who handed one back; the last reading of it; and the night.
    for name in ["s8", "s115"] {
        campus.hold(name, HoldKind::Paused).await;
    }
    assert_eq!(implied(&campus).await, "4948.010000");
    for name in ["s8", "s115"] {
        campus.table.act(campus.on(name), |view, now| view.release(HoldKind::Paused, by, now)).await.unwrap();
    }
    campus.pass_minutes(20).await;
    assert_eq!(implied(&campus).await, "4968.010000");
    campus.hours(15);
    campus.sync().await;
    assert_eq!((implied(&campus).await, campus.reserved().await), ("4968.010000".to_owned(), Usd::ZERO));
    campus.replace("s115").await;
    assert_eq!(implied(&campus).await, "4968.010000");
    campus.finish().await;
}
