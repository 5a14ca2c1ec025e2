//! What was spent, wherever it is told: the overview, the list, reports and the close-out, on the
//! page and in the file.

use bursar_core::domain::programme::Byok;
use bursar_core::domain::values::money::Usd;
use bursar_local::provider::Nano;

use super::*;

const REPORT: &str = "/console/programmes/cs-pilot/report";
const CLOSEOUT: &str = "/console/programmes/cs-pilot/closeout";
const A_DAY: i64 = 24 * 60;

/// Spending with this key now.
fn spend(campus: &Campus, key: &str, dollars: &str, model: &str) {
    campus
        .provider()
        .spend(
            key,
            Nano::parse(dollars).unwrap(),
            campus.clock.now(),
            model,
        )
        .unwrap();
}

async fn nights(campus: &Campus, count: i64) {
    campus.minutes(count * A_DAY);
    assert_eq!(campus.sync().await["complete"], true);
}

/// A sum is the same cent on every page that has it, and so is that of a group; what is less than a
/// cent is called so to everybody.
#[tokio::test]
async fn one_sum_one_cent() {
    let mut campus = Campus::at("2026-11-02T12:00:00Z").await;
    campus
        .programme("CS pilot", |settings| {
            staff(settings);
            settings.allowance.cap = Usd::from_dollars(100);
            settings.texts.cost_code = Some("4711".to_owned());
        })
        .await;
    campus.student_in("ada", Some("Lab A")).await;
    campus.student_in("bob", Some("Lab A")).await;
    campus.students_with_keys(&["cat", "dan"]).await;
    for (name, dollars) in [
        ("ada", "12.6344"),
        ("bob", "12.6344"),
        ("cat", "79.3281"),
        ("dan", "0.005"),
    ] {
        spend(&campus, &campus.key(name).hash, dollars, "a/small");
    }
    nights(&campus, 1).await;
    let admin = campus.admin().await;
    let days = "from=2026-11-01&to=2026-11-03";
    for path in [
        "/console",
        ID,
        REPORT,
        CLOSEOUT,
        &format!("/console/report?{days}"),
        &format!("{ACCOUNT}/statement?{days}"),
    ] {
        let page = admin.get(path).await.expect(200).readable();
        assert!(
            page.contains("$104.60") && !page.contains("$104.61"),
            "{path}: {page}"
        );
    }
    for path in [ID, CLOSEOUT] {
        let page = admin.get(path).await.expect(200).readable();
        assert!(
            page.contains("$25.27") && !page.contains("$25.28"),
            "{path}: {page}"
        );
    }
    // What is spent and what is left are the cap.
    let list = admin.get(GRANTS).await.readable();
    assert!(
        list.contains("$12.63 of $100") && list.contains("$87.37") && !list.contains("$87.36"),
        "{list}"
    );
    let dan = admin
        .get(&format!("{GRANTS}/{}", campus.id("dan")))
        .await
        .readable();
    assert!(
        dan.contains("Spent in all less than 1 cent") && !dan.contains("$0.01"),
        "{dan}"
    );
    campus.finish().await;
}

/// Ten nights are missed, so of some days only the sum is known, and of some no model. Faculty read
/// names, assistants ids, and everybody of those programmes only that they have a role in.
#[tokio::test]
async fn pages_say_what_is_not_known_and_name_nobody_to_assistants() {
    let mut campus = Campus::at("2026-11-02T12:00:00Z").await;
    campus.programme("Maths", |_| {}).await;
    campus
        .programme("CS pilot", |settings| {
            staff(settings);
            settings.basis.byok = Byok::Outside;
        })
        .await;
    campus.budget(100).await;
    campus.student_in("ada", Some("A")).await;
    campus.students_with_keys(&["bob"]).await;
    campus.student_in("idle", Some("B")).await;
    let [ada, bob] = ["ada", "bob"].map(|name| campus.key(name).hash);
    nights(&campus, 1).await;
    spend(&campus, &ada, "3.5033", "b/large");
    spend(&campus, &bob, "0.0333", "a/small");
    campus
        .provider()
        .spend_byok(&bob, Nano::usd(3), campus.clock.now(), "a/small")
        .unwrap();
    nights(&campus, 1).await;
    spend(&campus, &bob, "4", "b/large");
    nights(&campus, 10).await;
    spend(&campus, &ada, "0.50", "a/small");
    nights(&campus, 1).await;

    let (admin, faye, asta) = (
        campus.admin().await,
        campus.student("faye").await,
        campus.student("asta").await,
    );
    let overview = faye.get(ID).await;
    assert!(
        overview.readable().contains("13 Nov 2026 about $4.00"),
        "{}",
        overview.readable()
    );
    assert!(
        overview
            .text("estimated")
            .unwrap()
            .starts_with("Estimated days: 4–13 Nov 2026.")
    );
    let before = campus.gate.calls().len();
    let grant = admin.get(&format!("{GRANTS}/{}", campus.id("bob"))).await;
    // The page of one reads no rows of everybody, neither of models nor of grants.
    let asked = &campus.gate.calls()[before..];
    assert!(
        asked.len() < 20
            && asked
                .iter()
                .flat_map(|call| &call.parts)
                .all(|part| part.partition != "MODELS#")
    );
    assert!(grant.readable().contains("$0.00 about $4.00 $4.03 $4.03"));
    let report = faye
        .get(&format!("{REPORT}?by=model&to=2026-11-15"))
        .await
        .expect(200);
    insta::assert_snapshot!(report.texts("report-note").join("\n"), @"
    These days were not checked to their end yet: 15 Nov 2026.
    Estimated days: 4–13 Nov 2026. No check ran on some nights, so what was used on those days is shown on the day before the next check.
    Models and numbers of requests are not known of 4–6 Nov 2026, 15 Nov 2026.
    $3 more was spent with users' own provider keys. That is on another bill, and in no sum here.
    ");

    let person = format!("{REPORT}?by=model&person={}", campus.id("ada"));
    assert!(
        faye.get(&format!("{GRANTS}/{}", campus.id("ada")))
            .await
            .body
            .contains(&person.replace('&', "&amp;"))
    );
    for path in [&*person, "/console/report?by=person"] {
        for (reader, is_named) in [(&faye, true), (&asta, false)] {
            let page = reader.get(path).await.expect(200);
            assert_eq!(page.body.contains("ada@example.edu"), is_named, "{path}");
            assert!(!page.readable().contains("Maths"), "{path}");
        }
    }
    for path in [
        "/console/report?programme=maths",
        "/console/report.csv?programme=maths",
    ] {
        faye.get(path).await.expect(404);
    }
    faye.get(&format!("{REPORT}?by=model&person=ada"))
        .await
        .expect(404);
    for path in [
        REPORT,
        "/console/programmes/cs-pilot/report.csv",
        "/console/report",
        "/console/report.csv",
    ] {
        let refused = faye
            .get(&format!("{path}?from=yesterday"))
            .await
            .expect(422);
        assert!(
            refused
                .alert()
                .unwrap()
                .starts_with("The first day must be between 2000 and 2199.")
        );
        assert_eq!(
            refused.form(path.trim_end_matches(".csv")).value("from"),
            Some("yesterday")
        );
    }

    let text = faye.get(CLOSEOUT).await.expect(200).readable();
    for words in [
        "These figures are preliminary. The programme is not over yet. Ask to close it in the settings Spent $8.04",
        "Not spent $91.96 Never claimed 1 of 3 whose caps come to $20.00",
        "without a group 1 1 0 $4.04 A 1 1 0 $4.00 B 1 0 1 $0.00 Together 3 2 1 $8.04",
        "Claimed a key 2 of 3 , 66% of the roster Used it 2 of 3",
        "weeks with days of 4–13 Nov 2026 are left out",
        "Per student $2.68 for each of the roster, $4.02 for each who used a key.",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(
        !asta
            .get(CLOSEOUT)
            .await
            .expect(200)
            .body
            .contains("ada@example.edu")
    );
    // The term ends without a sync.
    campus.minutes(92 * A_DAY);
    let page = campus.student("faye").await.get(CLOSEOUT).await.expect(200);
    assert!(
        page.readable()
            .contains("Some keys have not been ended yet."),
        "{}",
        page.readable()
    );
    campus.finish().await;
}
