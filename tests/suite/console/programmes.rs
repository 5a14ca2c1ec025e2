//! Programmes: made on a form, edited, and what a form refuses.

use bursar_core::domain::programme::Weekday;
use bursar_core::domain::values::window::Reset;
use bursar_local::provider::Nano;
use bursar_tests::faults::Service;
use bursar_tests::visitor::{Page, Visitor};

use super::*;

const NEW: &str = "/console/programmes/new";
const PROGRAMMES: &str = "/console/programmes";
const GROUPS: &str = "/console/programmes/cs-pilot/groups";
/// The fields that have no default.
const PLAIN: [(&str, &str); 6] = [
    ("name", "CS pilot"),
    ("starts_on", "2026-01-01"),
    ("ends_on", "2035-12-31"),
    ("timezone", "Europe/Berlin"),
    ("cap_usd", "20"),
    ("budget_usd", "$4000.00"),
];

#[tokio::test]
async fn a_form_makes_one_programme() {
    let campus = Campus::open().await;
    let admin = campus.admin().await;
    let (first, second) = (admin.get(NEW).await.expect(200), admin.get(NEW).await);
    let staff = [
        ("faculty", "faye@example.edu, fred@example.edu"),
        ("assistants", "asta@example.edu"),
    ];
    let fields = [&PLAIN[..], &staff, &[("roster", "file")]].concat();
    for (form, made) in [
        (&first, ID),
        (&first, ID),
        (&second, "/console/programmes/cs-pilot-2"),
    ] {
        assert_eq!(
            admin
                .submit(form, PROGRAMMES, &fields)
                .await
                .expect(303)
                .location(),
            Some(made)
        );
    }
    let overview = admin.get(ID).await.expect(200);
    assert_eq!(overview.one("budget").get("data-usd"), "4000.000000");
    assert!(overview.body.contains("1 Jan 2026") && overview.body.contains("Europe/Berlin"));
    assert_eq!(overview.texts("warning"), Vec::<String>::new());
    let dear = PLAIN.map(|(name, value)| match name {
        "name" => (name, "Dear"),
        "cap_usd" => (name, "5000"),
        _ => (name, value),
    });
    admin.fill(NEW, PROGRAMMES, &dear).await.expect(303);
    let says = "The cap of $5,000 is above the budget of $4,000, so nobody can get a key. Raise the budget to $5,000 in the settings. Open the settings";
    let made = admin.get("/console/programmes/dear").await;
    assert_eq!(made.texts("warning"), [says]);
    assert!(
        made.text("notice")
            .unwrap()
            .contains("Please check the faculty: there is none"),
        "{}",
        made.readable()
    );

    let (faye, asta) = (
        campus.student("FAYE@example.edu").await,
        campus.student("asta").await,
    );
    let home = faye.get("/console").await.expect(200);
    assert!(home.body.contains("/console/programmes/cs-pilot-2") && !home.body.contains(NEW));
    for page in [ID, ROSTER, SETTINGS] {
        let page = asta.get(page).await.expect(200);
        assert!(
            page.forms().iter().all(|form| form.action == "/sign-out"),
            "an assistant only reads"
        );
    }
    for path in [
        "/console/programmes/nothing",
        "/console/programmes/No%20Slug",
    ] {
        admin.get(path).await.expect(404);
    }
    campus.finish().await;
}

/// What is allowed and probably a mistake is saved, and said by the save that brought it alone.
#[tokio::test]
async fn a_doubt_is_said_once() {
    let mut campus = staffed().await;
    campus.provider().set_credits(Nano::usd(1000)).unwrap();
    campus.sync().await;
    let admin = campus.admin().await;
    let says = async |campus: &Campus, fields: &[(&str, &str)], doubt: &str| {
        campus.edit(&admin, fields).await.expect(303);
        let says = if doubt.is_empty() {
            "Saved.".to_owned()
        } else {
            format!("Saved. Please check {doubt}")
        };
        assert_eq!(
            admin.get(SETTINGS).await.text("notice"),
            Some(says),
            "{fields:?}"
        );
    };
    for (fields, doubt) in [
        (&[("budget_usd", "900")][..], ""),
        (
            &[("budget_usd", "1500")],
            "the budget: $1,500 of it can still be spent, and the account's balance is $1,000.",
        ),
        (&[("budget_usd", "1400")], ""),
        (&[("budget_usd", "800")], ""),
        (
            &[("faculty", "faye@cs.example.edu, Ada <ada@exmaple.edu>")],
            "ada@exmaple.edu: no admin has an address at that domain.",
        ),
        (&[("faculty", "bob@exmaple.edu")], ""),
        (
            &[("faculty", "")],
            "the faculty: there is none, so invitations name nobody, and alerts go to the admins.",
        ),
        (&[("contact", "room 101")], ""),
    ] {
        says(&campus, fields, doubt).await;
    }
    campus.students_with_keys(&["ada"]).await;
    campus.spend("ada", "5");
    campus.sync().await;
    says(&campus, &[("budget_usd", "1000")], "").await;
    for field in [("cap_usd", "25"), ("data_policy", "no-training")] {
        campus.edit(&admin, &[field]).await.expect(303);
        let next = "Saved. Keys that exist get their new limits and models within minutes.";
        assert_eq!(
            admin.get(SETTINGS).await.text("notice").as_deref(),
            Some(next),
            "{field:?}"
        );
    }
    campus.finish().await;
}

#[tokio::test]
async fn home_shows_the_money_of_each_programme() {
    let mut campus = Campus::with_keys(&["ada"]).await;
    campus.spend("ada", "5");
    campus.sync().await;
    for _ in 1..20 {
        campus.programme("Intro to ML", staff).await;
    }
    campus.budget(30).await;
    campus.students(&["bob", "cid"]).await;
    let admin = campus.admin().await;
    let before = campus.gate.calls().len();
    let home = admin.get("/console").await.expect(200);
    let asked = campus.gate.calls()[before..]
        .iter()
        .filter(|made| made.name.service == Service::DynamoDb)
        .count();
    assert!(asked <= 12 + 20, "one request a programme besides: {asked}");
    let text = home.readable();
    let pilot = "$5.00 spent, $15.00 promised, $99,980.00 free of $100,000";
    for words in [
        "1 of 1 have claimed",
        pilot,
        "intro-to-ml-19 · 0 of 2 have claimed",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(
        text.contains(
            "$0.00 spent, $0.00 promised, $30.00 free of $30 · $10 short if everybody claims"
        ),
        "{text}"
    );
    assert!(
        !text.contains("cs-pilot"),
        "only equal names are told apart: {text}"
    );
    campus.finish().await;
}

/// Each field on a form where all others are right; what was typed stays in it.
#[tokio::test]
async fn a_field_that_cannot_be_read_says_why() {
    let campus = Campus::open().await;
    let admin = campus.admin().await;
    let new = admin.get(NEW).await;
    assert_eq!(
        admin
            .submit(&new, PROGRAMMES, &[])
            .await
            .expect(422)
            .alerts()
            .len(),
        6,
        "the summary, and one for each without a default, the time zone is filled in"
    );
    let numbers = (1..=21)
        .map(|number: u32| number.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let people = (0..51)
        .map(|number| format!("p{number}@example.edu"))
        .collect::<Vec<_>>();
    let (many, more) = (people[..21].join(" "), people.join(" "));
    let mut refused = String::new();
    for (field, typed) in [
        ("name", "\u{202E}evil"),
        ("starts_on", "2026-1-1"),
        ("ends_on", "2025-12-31"),
        ("timezone", "Europe/Bonn"),
        ("cap_usd", "1e3"),
        ("cap_usd", "0.009"),
        ("budget_usd", "-5"),
        ("budget_usd", "1.0000001"),
        ("budget_usd", "$4,000.50"),
        ("reset", "hourly"),
        ("claim_opens_at", "2026-01-01"),
        ("claim_opens_at", "2036-01-01T00:00"),
        ("claim_closes_at", "2025-12-31T12:00"),
        ("faculty", "faye@example.edu; nobody"),
        ("faculty", &more),
        ("alert_assistants", "on"),
        ("thresholds", "50,101"),
        ("thresholds", "80.5"),
        ("thresholds", &numbers),
        ("models", "a/b a/b<c"),
        ("models", "openai/gpt-4o, gpt-4o-mini"),
        ("replacements", "many"),
        ("byok", "maybe"),
        ("data_policy", "some"),
        ("student_mails", "perhaps"),
        ("digest", "weekly"),
        ("unused_after_days", "0"),
        ("roster", "maybe"),
    ] {
        let assistants = [("assistants", many.as_str())];
        let others = PLAIN
            .into_iter()
            .chain(assistants)
            .filter(|(name, _)| *name != field);
        let fields: Vec<_> = others.chain([(field, typed)]).collect();
        let page = admin.submit(&new, PROGRAMMES, &fields).await.expect(422);
        let [_, why] = &page.alerts()[..] else {
            panic!("{field}={typed}: {:?}", page.alerts())
        };
        assert!(page.body.contains("<title>Error: New programme"), "{field}");
        assert!(
            page.body.contains(&format!("<li><a href=\"#{field}\">")),
            "{field}: no link leads to it"
        );
        let form = page.form(PROGRAMMES);
        let is_choice = [
            "reset",
            "byok",
            "data_policy",
            "student_mails",
            "digest",
            "roster",
            "alert_assistants",
        ]
        .contains(&field);
        assert!(
            is_choice || form.value(field) == Some(typed),
            "{field}={typed}: {form:?}"
        );
        let short: String = typed.chars().take(30).collect();
        refused += &format!("{field} {short:?}: {why}\n");
    }
    insta::assert_snapshot!(refused, @r#"
    name "\u{202e}evil": This contains invisible or control characters.
    starts_on "2026-1-1": Write a date like 2026-10-12.
    ends_on "2025-12-31": The last day must not be before the first.
    timezone "Europe/Bonn": Write a time zone such as Europe/Berlin.
    cap_usd "1e3": Write an amount in figures, like 20 or 20.50.
    cap_usd "0.009": No key has a cap below one cent.
    budget_usd "-5": An amount cannot be below zero.
    budget_usd "1.0000001": An amount has at most six decimals.
    budget_usd "$4,000.50": Write thousands without a comma: 4000.50.
    reset "hourly": Choose one of the list.
    claim_opens_at "2026-01-01": Write a date and time like 2026-10-12T08:00.
    claim_opens_at "2036-01-01T00:00": Nobody could claim a key: claiming would begin at 1 Jan 2036, 00:00 and end at the end of 31 Dec 2035.
    claim_closes_at "2025-12-31T12:00": Nobody could claim a key: claiming would begin at 1 Jan 2026, 00:00 and end at 31 Dec 2025, 12:00.
    faculty "faye@example.edu; nobody": nobody: an address looks like name@university.edu.
    faculty "p0@example.edu p1@example.edu ": At most 50 people.
    alert_assistants "on": Alerts go to at most 20 assistants, and there are 21.
    thresholds "50,101": 101: write whole numbers from 1 to 100, such as 50,80,95,100.
    thresholds "80.5": 80.5: write whole numbers from 1 to 100, such as 50,80,95,100.
    thresholds "1,2,3,4,5,6,7,8,9,10,11,12,13,": At most 20 thresholds.
    models "a/b a/b<c": a/b<c is not the name of a model.
    models "openai/gpt-4o, gpt-4o-mini": gpt-4o-mini names no provider. Write each model as OpenRouter's list does, such as openai/gpt-4o-mini.
    replacements "many": Write a whole number from 0 to 1000.
    byok "maybe": Choose one of the list.
    data_policy "some": Choose one of the list.
    student_mails "perhaps": Choose one of the list.
    digest "weekly": Choose one of the list.
    unused_after_days "0": Write a whole number from 1 to 3650.
    roster "maybe": Choose one of the list.
    "#);
    campus.finish().await;
}

/// What forms once had is ignored like any field that there is not.
#[tokio::test]
async fn removed_fields_are_ignored() {
    let mut campus = staffed().await;
    campus.student_in("ada", Some("A")).await;
    let admin = campus.admin().await;
    for (page, action, field, typed) in [
        (SETTINGS, ID, "pause_from", "2026-11-20T08:00"),
        (SETTINGS, ID, "pause_until", "soon"),
        (SETTINGS, ID, "daily_usd", "5"),
        (GROUPS, GROUPS, "pause_from.A", "2026-11-20T08:00"),
        (GROUPS, GROUPS, "pause_until.A", "2026-11-20T07:00"),
    ] {
        let before = campus.settings().await;
        admin
            .fill(page, action, &[(field, typed)])
            .await
            .expect(303);
        assert!(campus.settings().await == before, "{field}");
        assert!(
            admin
                .get(page)
                .await
                .texts("notice")
                .concat()
                .contains("nothing was changed"),
            "{field}"
        );
    }
    campus.finish().await;
}

#[tokio::test]
async fn settings_stand_as_they_were_meant() {
    let mut campus = staffed().await;
    campus.students_with_keys(&["ada"]).await;
    let admin = campus.admin().await;
    for (field, typed, stands) in [
        ("thresholds", "100 5,80%\n5", "5,80,100"),
        // All of it is told in any case.
        ("thresholds", "50", "50,100"),
        ("thresholds", "", "50,80,95,100"),
        (
            "faculty",
            "Faye@Example.edu, fred@example.edu faye@example.edu",
            "Faye@Example.edu\nfred@example.edu",
        ),
        ("terms", "Be fair.\r\nBe kind.", "Be fair.\nBe kind."),
        ("digest", "never", "never"),
        ("digest", "sunday", "sunday"),
        ("claim_opens_at", "2026-11-10T08:00", "2026-11-10T08:00"),
        ("budget_usd", "$4000.50", "4000.50"),
        ("cap_usd", "25", "25"),
    ] {
        let form = admin.get(SETTINGS).await;
        for _ in 0..2 {
            admin.submit(&form, ID, &[(field, typed)]).await.expect(303);
        }
        let kept = admin.get(SETTINGS).await.form(ID);
        assert_eq!(
            kept.value(field).unwrap().replace("\r\n", "\n"),
            stands,
            "{field}={typed}"
        );
    }
    let settings = campus.settings().await;
    assert_eq!(
        (&settings.mails.thresholds[..], settings.mails.digest),
        (&[50, 80, 95, 100][..], Some(Weekday::Sunday))
    );
    assert_eq!(settings.texts.terms.as_deref(), Some("Be fair.\nBe kind."));
    let form = admin.get(SETTINGS).await.form(ID);
    let token = ("csrf", form.value("csrf").unwrap());
    admin.post(ID, &[token, ("contact", "x")]).await.expect(422);
    assert_eq!(
        campus.settings().await.texts.contact,
        None,
        "without the version of what was edited"
    );

    let fixed = campus
        .edit(&admin, &[("reset", "weekly"), ("byok", "outside")])
        .await
        .expect(409);
    let why = |page: &Page| {
        page.alerts()
            .iter()
            .filter(|why| why.contains("OpenRouter cannot change it"))
            .count()
    };
    assert_eq!(
        (why(&fixed), fixed.form(ID).value("reset")),
        (2, Some("weekly")),
        "{:?}",
        fixed.alerts()
    );
    assert_eq!(campus.settings().await.basis.reset, Reset::None);
    campus.finish().await;
}

/// Whatever moves its opening, its closing or the term, and in the form for the next term too.
#[tokio::test]
async fn a_claim_window_can_be_used() {
    let campus = staffed().await;
    let (admin, faye) = (campus.admin().await, campus.student("faye").await);
    let form = admin.get(SETTINGS).await.form(ID);
    let (starts_on, ends_on) = (
        form.value("starts_on").unwrap(),
        form.value("ends_on").unwrap(),
    );
    let [too_late, first, last] = [
        (ends_on, "23:59"),
        (starts_on, "10:00"),
        (starts_on, "11:00"),
    ]
    .map(|(day, time)| format!("{day}T{time}"));
    let after = ends_on
        .parse::<jiff::civil::Date>()
        .unwrap()
        .tomorrow()
        .unwrap()
        .to_string()
        + "T00:00";
    let refused = async |who: &Visitor, fields: &[(&str, &str)]| {
        let page = campus.edit(who, fields).await.expect(422);
        assert!(
            page.alerts().concat().contains("Nobody could claim a key"),
            "{fields:?}: {:?}",
            page.alerts()
        );
    };
    refused(&faye, &[("claim_opens_at", &after)]).await;
    refused(
        &admin,
        &[
            ("claim_opens_at", &after),
            ("claim_closes_at", &format!("2199-{}", &too_late[5..])),
        ],
    )
    .await;
    campus
        .edit(
            &faye,
            &[("claim_opens_at", &first), ("claim_closes_at", &last)],
        )
        .await
        .expect(303);
    refused(&faye, &[("claim_closes_at", &first)]).await;
    refused(&admin, &[("claim_opens_at", &last)]).await;
    campus
        .edit(
            &faye,
            &[("claim_closes_at", ""), ("claim_opens_at", &too_late)],
        )
        .await
        .expect(303);
    let day = ends_on
        .parse::<jiff::civil::Date>()
        .unwrap()
        .yesterday()
        .unwrap()
        .to_string();
    refused(&admin, &[("ends_on", &day)]).await;
    let after = ("claim_opens_at", "2035-01-03T00:00");
    let short = [
        ("name", "Next"),
        ("starts_on", "2035-01-01"),
        ("ends_on", "2035-01-02"),
        after,
    ];
    let page = admin.get("/console/programmes/new?from=cs-pilot").await;
    let why = admin
        .submit(&page, "/console/programmes", &short)
        .await
        .expect(422)
        .alerts()
        .concat();
    assert!(why.contains("Nobody could claim a key"), "{why}");
    campus.finish().await;
}

#[tokio::test]
async fn more_staff_than_one_transaction_takes_two_edits() {
    let campus = Campus::open().await;
    let admin = campus.admin().await;
    let people = |who| {
        (0..50)
            .map(|number| format!("{who}{number}@example.edu"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let (faculty, assistants) = (people("f"), people("a"));
    let (faculty, assistants) = ([("faculty", &*faculty)], [("assistants", &*assistants)]);
    let new = admin.get(NEW).await;
    let refused = admin
        .submit(
            &new,
            PROGRAMMES,
            &[&PLAIN[..], &faculty, &assistants].concat(),
        )
        .await
        .expect(422);
    let why = refused.alerts().join(" ");
    assert!(
        why.contains("too many people") && why.contains("second edit"),
        "{why}"
    );
    admin
        .submit(&new, PROGRAMMES, &[&PLAIN[..], &faculty].concat())
        .await
        .expect(303);
    let edit = async |fields| admin.fill(SETTINGS, ID, fields).await.status;
    let sees = async |who| campus.student(who).await.get("/console").await.status;
    assert_eq!(edit(&assistants).await, 303);
    assert_eq!((sees("f7").await, sees("a49").await), (200, 200));
    // Whoever loses a role is signed out too, which is a write more.
    let few: Vec<String> = (1..8)
        .map(|number| format!("f{number}@example.edu"))
        .collect();
    assert_eq!(edit(&[("faculty", "")]).await, 422);
    assert_eq!(edit(&[("faculty", &few.join(" "))]).await, 303);
    assert_eq!(
        (sees("f7").await, sees("f8").await, sees("a48").await),
        (200, 404, 200)
    );
    campus.finish().await;
}
