//! What is otherwise since a statement was mailed: the page says so, and the statement that was mailed stays.

use super::*;

#[tokio::test]
async fn the_page_says_what_differs_since_the_mail() {
    let mut campus = open().await;
    let [maths, physics, law] = november(&campus).await;
    let admin = campus.admin().await;
    assert!(admin.get(STATEMENT).await.expect(200).all("statement-mailed").is_empty(), "nothing was mailed yet");
    campus.minutes(60);
    look(&campus).await;
    let admin = campus.admin().await;
    let page = admin.get(STATEMENT).await.expect(200);
    let note = page.one("statement-mailed");
    assert_eq!(note.get("data-at"), "2026-12-03T00:00:00Z");
    assert!(
        note.text.contains("to 2 finance addresses") && note.text.contains("Nothing on it differs since"),
        "{note:?}"
    );
    assert!(page.all("statement-difference").is_empty());
    let month = date(2026, 11, 1);
    let mailed = campus.table.mailed_statement(month).await.unwrap();
    assert_eq!(sent(&campus).await.len(), 2);

    campus.minutes(60);
    edit(&mut campus, &maths, |settings| settings.name = "Mathematics".to_owned()).await;
    edit(&mut campus, &physics, |settings| settings.cost_code = None).await;
    let admin = campus.admin().await;
    // A cut of the first of December that came to light later, in place of the one that ended November.
    cut(&campus, "2026-12-01T00:10:00Z", &[(&maths, 15), (&physics, 27), (&law, 80)]).await;
    let page = admin.get(STATEMENT).await.expect(200);
    let lines = page.all("statement-difference");
    let told: Vec<_> = lines.iter().map(|line| (line.get("data-programme"), line.get("data-cell"))).collect();
    assert_eq!(told, [("maths", "programme's name"), ("physics", "cost code"), ("law", "spent")]);
    let text: String = lines.iter().map(|line| format!("{}|", line.text)).collect();
    for says in ["60.000000", "50.000000", "Mathematics", "4712", "none"] {
        assert!(text.contains(says), "{text}");
    }
    assert!(!page.one("statement-mailed").text.contains("Nothing on it differs"));
    assert_eq!(campus.table.mailed_statement(month).await.unwrap(), mailed, "it stays as it was mailed");
    let other = admin.get("/console/account/statement?from=2026-11-01&to=2026-11-29").await.expect(200);
    assert!(other.all("statement-mailed").is_empty(), "other days were not mailed");
    campus.finish().await;
}

#[tokio::test]
async fn a_month_that_nobody_was_mailed_says_so() {
    let mut campus = open().await;
    let law = programme(&campus, "Law", "4713", &[]).await;
    cut(&campus, "2026-11-05T00:20:00Z", &[(&law, 30)]).await;
    cut(&campus, "2026-12-01T00:20:00Z", &[(&law, 90)]).await;
    campus.minutes(60);
    assert_eq!(look(&campus).await, 1, "it is recorded, so that a later finance address does not get old months");
    edit(&mut campus, &law, |settings| settings.finance = vec![address("fin")]).await;
    assert_eq!(look(&campus).await, 0);
    let page = campus.admin().await.get(STATEMENT).await.expect(200);
    assert!(page.text("statement-mailed").unwrap().contains("no programme named anybody for finance"), "{}", page.body);
    campus.finish().await;
}
