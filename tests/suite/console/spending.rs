//! What was spent, wherever it is told: the overview, the list, reports and the close-out, on the page and in the file.

use bursar_core::domain::programme::Byok;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::UsedNow;
use bursar_local::provider::Nano;
use bursar_tests::visitor::Page;
use jiff::civil::date;

use super::*;

const REPORT: &str = "/console/programmes/cs-pilot/report";
const CLOSEOUT: &str = "/console/programmes/cs-pilot/closeout";
const A_DAY: i64 = 24 * 60;

/// Spending with this key now.
fn spend(campus: &Campus, key: &str, dollars: &str, model: &str) {
    campus.provider().spend(key, Nano::parse(dollars).unwrap(), campus.clock.now(), model).unwrap();
}

async fn nights(campus: &Campus, count: i64) {
    campus.minutes(count * A_DAY);
    assert_eq!(campus.sync().await["complete"], true);
}

/// A text of the campus with names in the place of its random ids.
fn named(campus: &Campus, text: &str) -> String {
    ["ada", "bob", "idle"].into_iter().fold(text.to_owned(), |text, name| text.replace(campus.id(name).as_str(), name))
}

fn models(page: &Page) -> Vec<String> {
    let [models, spent] = ["data-model", "data-spent-usd"].map(|attribute| page.attributes("model", attribute));
    models.into_iter().zip(spent).map(|(model, spent)| format!("{model} {spent}")).collect()
}

/// A sum is the same cent on every page that has it, and so is that of a group; what is less than a cent is called so to everybody.
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
    for (name, dollars) in [("ada", "12.6344"), ("bob", "12.6344"), ("cat", "79.3281"), ("dan", "0.005")] {
        spend(&campus, &campus.key(name).hash, dollars, "a/small");
    }
    nights(&campus, 1).await;
    let admin = campus.admin().await;
    let days = "from=2026-11-01&to=2026-11-03";
    for path in
        ["/console", ID, REPORT, CLOSEOUT, &format!("/console/report?{days}"), &format!("{ACCOUNT}/statement?{days}")]
    {
        let page = admin.get(path).await.expect(200).readable();
        assert!(page.contains("$104.60") && !page.contains("$104.61"), "{path}: {page}");
    }
    for path in [ID, CLOSEOUT] {
        let page = admin.get(path).await.expect(200).readable();
        assert!(page.contains("$25.27") && !page.contains("$25.28"), "{path}: {page}");
    }
    // What is spent and what is left are the cap.
    let list = admin.get(GRANTS).await.readable();
    assert!(list.contains("$12.63 of $100") && list.contains("$87.37") && !list.contains("$87.36"), "{list}");
    let dan = admin.get(&format!("{GRANTS}/{}", campus.id("dan"))).await.readable();
    assert!(dan.contains("Spent in all less than 1 cent") && !dan.contains("$0.01"), "{dan}");
    campus.finish().await;
}

/// Ten nights are missed, so of some days only the sum is known, and of some no model.
#[tokio::test]
async fn every_page_tells_the_same_and_what_is_not_known() {
    let mut campus = Campus::at("2026-11-02T12:00:00Z").await;
    campus.programme("Maths", |settings| settings.people.faculty = vec![address("otto")]).await;
    campus.students_with_keys(&["eve"]).await;
    let eve = campus.key("eve").hash;
    let cost_code = Some("=CS 4711".to_owned());
    campus
        .programme("CS pilot", |settings| {
            staff(settings);
            (settings.texts.cost_code, settings.basis.byok) = (cost_code, Byok::Outside);
        })
        .await;
    campus.budget(100).await;
    let faye = campus.student("faye").await;
    for (path, sentence) in [
        (ID, "By model Not checked at OpenRouter yet."),
        (REPORT, "What keys used was not checked at OpenRouter yet."),
        (CLOSEOUT, "not known yet : nobody has spent anything"),
    ] {
        let page = faye.get(path).await.expect(200).readable();
        assert!(page.contains(sentence), "{page}");
    }
    campus.student_in("ada", Some("A")).await;
    campus.students_with_keys(&["bob"]).await;
    campus.student_in("idle", Some("=B")).await;
    let [ada, bob] = ["ada", "bob"].map(|name| campus.key(name).hash);
    let laptop = campus.provider().add_foreign_key("<prof's laptop>", None, campus.clock.now()).unwrap().hash;
    spend(&campus, &ada, "1.0033", "a/small");
    spend(&campus, &eve, "0.50", "a/small");
    nights(&campus, 1).await;
    spend(&campus, &ada, "2.50", "b/large");
    spend(&campus, &bob, "0.0333", "a/small");
    spend(&campus, &laptop, "0.70", "a/small");
    campus.provider().spend_byok(&bob, Nano::usd(3), campus.clock.now(), "a/small").unwrap();
    nights(&campus, 1).await;
    spend(&campus, &bob, "4", "b/large");
    nights(&campus, 10).await;
    spend(&campus, &ada, "0.50", "a/small");
    nights(&campus, 1).await;

    let (admin, faye, asta) = (campus.admin().await, campus.student("faye").await, campus.student("asta").await);
    let page = faye.get(ID).await;
    assert_eq!(page.text("spent").as_deref(), Some("$8.04"));
    assert!(page.readable().contains("13 Nov 2026 about $4.00"), "{}", page.readable());
    assert!(page.text("estimated").unwrap().starts_with("Estimated days: 4–13 Nov 2026."));
    assert_eq!(models(&page)[..3], ["b/large 2.500000", "a/small 1.536600", "not attributed to a model 4.000000"]);
    let found = admin.get(&format!("{GRANTS}?q=ada%40&state=live&window=7d")).await;
    assert_eq!(found.attributes("grant", "data-spent-usd"), ["0.500000"]);
    let spent = async |query: &str| {
        let file = admin.get(&format!("{GRANTS}.csv?q=ada%40{query}")).await.expect(200);
        file.body.lines().nth(1).unwrap().split(',').nth(6).unwrap().to_owned()
    };
    let in_all = admin.get(&format!("{GRANTS}?q=ada%40&window=all")).await.attributes("grant", "data-spent-usd");
    assert_eq!([spent("&window=7d").await, spent("").await], ["0.500000", &*in_all[0]], "the file follows too");
    assert!(found.body.contains("grants?q=ada%40&#38;state=live&#38;window=30d"), "{}", found.body);
    assert_eq!(found.form(GRANTS).value("window"), Some("7d"), "a search keeps the span");
    let before = campus.gate.calls().len();
    let grant = admin.get(&format!("{GRANTS}/{}", campus.id("bob"))).await;
    // The page of one reads no rows of everybody, neither of models nor of grants.
    let asked = &campus.gate.calls()[before..];
    assert!(asked.len() < 20 && asked.iter().flat_map(|call| &call.parts).all(|part| part.partition != "MODELS#"));
    assert!(grant.readable().contains("$0.00 about $4.00 $4.03 $4.03"));
    assert_eq!(grant.texts("day"), ["13 Nov 2026about $4.00", "3 Nov 2026$0.03"]);
    assert_eq!(admin.get(ACCOUNT).await.texts("model"), ["<prof's laptop>a/small$0.701$0.7000"]);

    let page = faye.get(&format!("{REPORT}?by=model&to=2026-11-15")).await.expect(200);
    assert_eq!(page.one("report-total").get("data-usd"), "8.036600");
    insta::assert_snapshot!(page.texts("report-note").join("\n"), @"
    These days were not checked to their end yet: 15 Nov 2026.
    Estimated days: 4–13 Nov 2026. No check ran on some nights, so what was used on those days is shown on the day before the next check.
    Models and numbers of requests are not known of 4–6 Nov 2026, 15 Nov 2026.
    $3 more was spent with users' own provider keys. That is on another bill, and in no sum here.
    ");
    // Of parameters that are given twice the first counts.
    let file = faye.get(&format!("{REPORT}.csv?by=person&by=day")).await.expect(200);
    assert_eq!(
        file.header("content-disposition"),
        Some("attachment; filename=\"report-cs-pilot-2026-11-02-2026-11-14.csv\"")
    );
    // In the order of the grants' ids, which are drawn.
    let text = named(&campus, &file.body);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    ,cs-pilot,"'=CS 4711",,,ada,,4.003300
    ,cs-pilot,"'=CS 4711",,,bob,,4.033300
    date,programme,cost_code,group,model,person,requests,spent_usd
    "#);

    // One student's use by model, to which the student's page leads; an assistant reads no name.
    let path = format!("{REPORT}?by=model&person={}", campus.id("ada"));
    assert!(faye.get(&format!("{GRANTS}/{}", campus.id("ada"))).await.body.contains(&path.replace('&', "&amp;")));
    let page = faye.get(&path).await.expect(200);
    assert_eq!(page.one("report-total").get("data-usd"), "4.003300");
    assert!(page.readable().contains("ada@example.edu") && page.form(REPORT).value("person").is_some());
    assert!(!asta.get(&path).await.expect(200).body.contains("ada@example.edu"));
    let path = path.replace("/report?", "/report.csv?");
    let file = faye.get(&path).await.expect(200);
    insta::assert_snapshot!(named(&campus, &file.body), @r#"
    date,programme,cost_code,group,model,person,requests,spent_usd
    ,cs-pilot,"'=CS 4711",,"a/small",ada,2,1.503300
    ,cs-pilot,"'=CS 4711",,"b/large",ada,1,2.500000
    "#);
    let of_several = path.replace("/programmes/cs-pilot/", "/");
    let days = "&from=2026-11-02&to=2026-11-14";
    assert_eq!(faye.get(&format!("{of_several}{days}")).await.expect(200).body, file.body);
    let elsewhere = faye.get(&format!("{REPORT}?by=model&person=0123456789abcdef")).await.expect(200);
    assert_eq!(elsewhere.one("report-total").get("data-usd"), "0.000000");
    faye.get(&format!("{REPORT}?by=model&person=ada")).await.expect(404);
    for by in ["group,model", "month"] {
        let refused = faye.get(&format!("{REPORT}?by={by}")).await.expect(422);
        assert!(refused.alert().unwrap().contains("Choose one of these."), "{by}");
    }

    // Faculty read names, assistants ids, and everybody of those programmes only that they have a role in.
    let by_person = |page: &Page| page.attributes("report-row", "data-person").len();
    let page = faye.get("/console/report?by=person").await.expect(200);
    assert!(by_person(&page) == 2 && page.readable().contains("ada@example.edu") && !page.readable().contains("Maths"));
    let page = asta.get("/console/report?by=person").await.expect(200);
    assert!(by_person(&page) == 2 && !page.readable().contains("ada@example.edu"), "{}", page.readable());
    for path in ["/console/report?programme=maths", "/console/report.csv?programme=maths"] {
        faye.get(path).await.expect(404);
    }
    let page = admin.get("/console/report?from=2026-11-02").await.expect(200);
    assert_eq!(page.attributes("report-row", "data-programme"), ["cs-pilot", "maths"]);
    for path in [REPORT, "/console/programmes/cs-pilot/report.csv", "/console/report", "/console/report.csv"] {
        let refused = faye.get(&format!("{path}?from=yesterday")).await.expect(422);
        assert!(refused.alert().unwrap().starts_with("The first day must be between 2000 and 2199."));
        assert_eq!(refused.form(path.trim_end_matches(".csv")).value("from"), Some("yesterday"));
    }

    let page = faye.get(CLOSEOUT).await.expect(200);
    let text = page.readable();
    for words in [
        "These figures are preliminary. The programme is not over yet. Ask to close it in the settings Spent $8.04",
        "Not spent $91.96 Never claimed 1 of 3 whose caps come to $20.00",
        "without a group 1 1 0 $4.04 =B 1 0 1 $0.00 A 1 1 0 $4.00 Together 3 2 1 $8.04",
        "Claimed a key 2 of 3 , 66% of the roster Used it 2 of 3",
        "A week of use In a week in which they used it, a student spent $2.00 on average, over 2 such weeks; weeks with days of 4–13 Nov 2026 are left out",
        "Per student $2.68 for each of the roster, $4.02 for each who used a key.",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // Of Bob's weeks nobody knows in which he spent what, since nights were missed.
    assert_eq!(page.attribute("pilot-cost-per-active-week", "data-usd").as_deref(), Some("2.001650"));
    assert_eq!(page.one("pilot-cost-per-student").get("data-usd"), "2.678867");
    assert_eq!(faye.get(&format!("{CLOSEOUT}?students=many")).await.expect(200).readable(), text);
    let file = format!("{REPORT}.csv?from=2026-11-02&to={}&by=person", utc_date(campus.clock.now()));
    assert!(page.body.contains(&file.replace('&', "&#38;")), "its file is the report by person until now");
    let rows = named(&campus, &faye.get(&file).await.expect(200).body);
    let cells = |row: &str| row.split(',').skip(5).step_by(2).collect::<Vec<_>>().join(" ");
    let mut sums: Vec<String> = rows.lines().skip(1).map(cells).collect();
    sums.sort_unstable();
    assert_eq!(sums, ["ada 4.003300", "bob 4.033300"]);
    let body = asta.get(CLOSEOUT).await.expect(200).body.clone();
    assert!(!body.contains("ada@example.edu"), "{body}");

    // With a cap below what he used, Bob is listed as used up.
    let bob = format!("{GRANTS}/{}", campus.id("bob"));
    admin.submit(&admin.get(&bob).await, &format!("{bob}/cap"), &[("cap_usd", "4")]).await.expect(303);
    let used_up = admin.get(&format!("{GRANTS}?state=used-up")).await;
    assert_eq!(used_up.attributes("grant", "data-email"), ["bob@example.edu"]);

    // The term ends without a sync.
    campus.minutes(92 * A_DAY);
    let page = campus.student("faye").await.get(CLOSEOUT).await.expect(200);
    assert!(page.readable().contains("Some keys have not been ended yet."), "{}", page.readable());
    campus.finish().await;
}

/// Claims open before the term, keys of the users' own count in the budget, and a key that was made elsewhere had used something before
/// anybody saw it.
#[tokio::test]
async fn the_close_out_and_its_file_agree() {
    let mut campus = Campus::at("2026-12-01T12:00:00Z").await;
    campus
        .programme("CS pilot", |settings| {
            staff(settings);
            settings.term = Term::new(date(2026, 12, 13), date(2027, 3, 1), "Pacific/Auckland").unwrap();
            settings.claims.claim_opens_at = Some("2026-12-01T00:00:00Z".parse().unwrap());
        })
        .await;
    campus.budget(100).await;
    let page = campus.student("faye").await.get(CLOSEOUT).await.expect(200);
    assert!(!page.body.contains("report.csv"), "there is no day on record yet");
    campus.students_with_keys(&["ada"]).await;
    let old = campus.foreign("old");
    campus.spend_on(&old, "7");
    nights(&campus, 1).await;
    campus.table.assign_keys(&campus.programme, &[old.parse().unwrap()], &UsedNow::new(), campus.by()).await.unwrap();
    campus.spend("ada", "1.25");
    campus.spend_on(&old, "0.50");
    campus.provider().spend_byok(&campus.key("ada").hash, Nano::usd(3), campus.clock.now(), "a/small").unwrap();
    nights(&campus, 1).await;
    let faye = campus.student("faye").await;
    let page = faye.get(CLOSEOUT).await.expect(200);
    assert_eq!(page.one("closeout-spent").get("data-usd"), "1.750000");
    assert!(page.readable().contains("Not spent $95.25"), "{}", page.readable());
    let link = page.body.split('"').find(|text| text.contains("report.csv")).unwrap().replace("&#38;", "&");
    let rows = faye.get(&link).await.expect(200);
    let spent: Vec<&str> = rows.body.lines().skip(1).map(|row| row.rsplit(',').next().unwrap()).collect();
    assert_eq!(spent, ["0.500000", "1.250000"], "{link}");
    campus.finish().await;
}
