//! Programmes are closed, and made anew for the next term.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Act;
use bursar_core::domain::grant::Grant;
use bursar_core::schema::ItemKey;
use bursar_tests::seeds::sized;

use super::*;

const CLOSE: &str = "/console/programmes/cs-pilot/close";
const NEW: &str = "/console/programmes/new?from=cs-pilot";
const CREATE: &str = "/console/programmes";

/// A grant's item was spoiled by hand. Everybody else's key is off all the same, and the spoiled
/// one's once it is mended.
#[tokio::test]
async fn a_corrupt_grant_keeps_nobody_else_from_the_end() {
    let campus = class(&["ada", "bob", "cid"]).await;
    let admin = campus.admin().await;
    campus.judged().await;
    let (page, raw) = (admin.get(SETTINGS).await, campus.raw());
    let ada = campus.id("ada");
    let grant = campus
        .table
        .get(Grant::key_of(&campus.programme, ada))
        .await
        .unwrap()
        .unwrap();
    let ItemKey { pk, sk } = Grant::key_of(&campus.programme, ada).item_key;
    let spoiled = [("pk", pk), ("sk", sk), ("kind", "grant".to_owned())];
    raw.put(
        spoiled
            .into_iter()
            .map(|(name, text)| (name.to_owned(), AttributeValue::S(text)))
            .collect(),
    )
    .await;
    for _ in 0..2 {
        assert_eq!(
            admin
                .submit(&page, CLOSE, &[("confirm", "CS pilot")])
                .await
                .status,
            303
        );
    }
    campus.work().await;
    campus.work().await;
    let job = campus.job("close").await.unwrap();
    assert_eq!(
        (
            campus.enabled().len(),
            job.state.as_str(),
            job.done,
            job.refused
        ),
        (1, "done", 3, 1)
    );
    raw.keep(&grant).await;
    campus.hours(2);
    campus.sync().await;
    assert_eq!(campus.enabled().len(), 0);
    let seen = campus.judged_after_sync().await;
    let admin = campus.admin().await;
    let (overview, all) = (
        admin.get(ID).await.readable(),
        admin.get("/console").await.readable(),
    );
    assert!(
        overview.contains(" Closed ") && all.contains("closed on "),
        "{overview} {all}"
    );
    for untrue in [
        "working",
        "can be claimed",
        "can still claim",
        "If everybody claims",
    ] {
        assert!(!overview.contains(untrue), "{untrue}: {overview}");
    }
    let page = admin.get(SETTINGS).await;
    assert!(!page.offers(CLOSE) && !page.offers(ID) && page.body.contains(NEW));
    let closed = seen
        .entries
        .iter()
        .filter(|entry| entry.what.act == Act::Closed)
        .count();
    assert_eq!(closed, 1, "though it was pressed twice");
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_look_before_the_end_changes_nothing() {
    let campus = class(&["ada"]).await;
    let admin = campus.admin().await;
    campus.judged().await;
    campus.sync().await;
    let overview = admin.get(ID).await.readable();
    assert!(
        overview.contains("People 1 of 1 have claimed"),
        "{overview}"
    );
    let look = admin
        .fill(SETTINGS, CLOSE, &[("reason", "over")])
        .await
        .expect(200);
    for look in [&look, &admin.get(CLOSE).await.expect(200)] {
        let numbers = ["close-keys", "close-without"].map(|hook| look.one(hook).text);
        assert_eq!(
            (numbers, look.one("close-unspent").get("data-usd")),
            (["1", "0"].map(str::to_owned), "20.000000")
        );
        let text = look.readable();
        assert!(
            text.contains("Closing cannot be undone") && text.contains("as of "),
            "{text}"
        );
    }
    let refused = admin
        .submit(&look, CLOSE, &[("confirm", "CS pilots")])
        .await
        .expect(422);
    assert!(refused.body.contains("<title>Error: ") && !refused.body.contains("Error: Error"));
    let refused = refused.form(CLOSE);
    let kept = ["confirm", "reason"].map(|name| refused.value(name).unwrap_or_default());
    assert_eq!(kept, ["CS pilots", "over"]);
    assert_eq!(campus.enabled().len(), 1);
    admin
        .submit(&look, CLOSE, &[("confirm", " CS  pilot ")])
        .await
        .expect(303);
    admin.get(CLOSE).await.expect(409);
    campus.finish().await;
}

#[tokio::test]
async fn the_next_term_has_all_but_money_and_is_made_once() {
    let campus = class(&["ada", "bob", "cid"]).await;
    let admin = campus.admin().await;
    let term = admin.get(SETTINGS).await.form(ID);
    let opens = term.value("starts_on").unwrap().to_owned() + "T09:00";
    let set = [
        ("faculty", "faye@example.edu"),
        ("thresholds", "70"),
        ("claim_opens_at", &*opens),
    ];
    assert_eq!(campus.edit(&admin, &set).await.status, 303);
    applied(
        &admin,
        "add",
        "email,group\nada@example.edu,A\nbob@example.edu,B\n",
    )
    .await;
    let groups = format!("{ID}/groups");
    assert_eq!(
        admin
            .fill(&groups, &groups, &[("cap_usd.A", "5")])
            .await
            .status,
        303
    );
    campus.revoke("cid").await;
    campus.judged().await;

    let page = admin.get(NEW).await.expect(200);
    let form = page.form(CREATE);
    let last_day: jiff::civil::Date = term.value("ends_on").unwrap().parse().unwrap();
    let next_day = last_day.tomorrow().unwrap().to_string();
    let filled = [
        "name",
        "from",
        "starts_on",
        "claim_opens_at",
        "claim_closes_at",
        "thresholds",
    ];
    let filled = filled.map(|field| form.value(field).unwrap_or_default());
    assert_eq!(
        filled,
        [
            "CS pilot",
            "cs-pilot",
            &*next_day,
            &format!("{next_day}T09:00"),
            "",
            "70,100"
        ]
    );
    let bad = [
        ("starts_on", "2030-03-01"),
        ("ends_on", "2030-02-01"),
        ("name", "Next"),
        ("with_roster", "on"),
    ];
    let bad = admin.submit(&page, CREATE, &bad).await.expect(422);
    assert_eq!(
        (
            bad.form(CREATE).value("name"),
            bad.form(CREATE).value("from")
        ),
        (Some("Next"), Some("cs-pilot"))
    );
    assert!(
        bad.body.contains("value=\"on\" checked") && bad.alerts().len() == 2,
        "{:?}",
        bad.alerts()
    );
    let dates = [
        ("starts_on", "2030-02-01"),
        ("ends_on", "2030-06-30"),
        ("claim_opens_at", "2030-02-01T09:00"),
    ];
    let fields = [&dates[..], &[("budget_usd", "250"), ("with_roster", "on")]].concat();
    for _ in 0..2 {
        let made = admin.submit(&page, CREATE, &fields).await;
        assert_eq!(
            (made.status, made.location()),
            (303, Some("/console/programmes/cs-pilot-2")),
            "made once"
        );
    }
    let seen = campus.judged().await;
    let (old, new) = (
        &seen.programmes[&campus.programme],
        &seen.programmes[&"cs-pilot-2".parse().unwrap()],
    );
    assert_eq!(
        (
            new.settings.people.faculty.len(),
            &new.settings.mails.thresholds
        ),
        (1, &vec![70, 100])
    );
    assert_eq!(new.settings.allowance, old.settings.allowance);
    assert_eq!(new.settings.term.starts_on().to_string(), "2030-02-01");
    assert_eq!(
        new.settings.claim_opens_at().to_string(),
        "2030-02-01T09:00:00Z"
    );
    assert_eq!(seen.budgets[&new.id].limit, Usd::from_dollars(250));
    let mut people: Vec<_> = seen
        .grants
        .values()
        .filter(|grant| grant.programme == new.id)
        .collect();
    people.sort_by_key(|grant| grant.person.address.as_written().to_owned());
    let people: Vec<_> = people
        .iter()
        .map(|grant| (grant.person.address.as_written(), grant.group.as_deref()))
        .collect();
    assert_eq!(
        people,
        [
            ("ada@example.edu", Some("A")),
            ("bob@example.edu", Some("B"))
        ]
    );
    assert_eq!(
        jobs(&admin.get("/console/programmes/cs-pilot-2").await),
        [job("import", "done", 2, 2)]
    );

    let alone = admin.fill(NEW, CREATE, &[("name", "Alone")]).await;
    assert_eq!(alone.location(), Some("/console/programmes/alone"));
    let seen = campus.judged().await;
    assert!(
        !seen
            .grants
            .values()
            .any(|grant| grant.programme.as_str() == "alone"),
        "the roster was not wished"
    );
    for nobody in ["nobody", "CS%20pilot", "a%2Fb"] {
        admin
            .get(&format!("/console/programmes/new?from={nobody}"))
            .await
            .expect(404);
    }
    admin
        .submit(&page, CREATE, &[("from", "nobody")])
        .await
        .expect(404);
    assert_eq!(campus.provider().keys().len(), 3);
    campus.finish().await;
}

/// A roster, in `long` that of a large university, goes along by a job, and not within the request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_roster_is_taken_along_by_a_job() {
    let count = sized(1_000, 50_000);
    let campus = class(&[]).await;
    let admin = campus.admin().await;
    let rows: String = (0..count)
        .map(|number| format!("s{number}@example.edu,{}\n", number % 200))
        .collect();
    applied(&admin, "add", &format!("email,group\n{rows}")).await;
    campus.finish_work().await;
    let admin = campus.admin().await;
    let fields = [("name", "Next"), ("with_roster", "on")];
    // The request dies while its first people are being added.
    campus.gate.at(
        Matcher::call("dynamodb:TransactWriteItems")
            .of(FunctionName::Console)
            .nth(4),
        Fault::KillAfter,
    );
    assert!(admin.fill(NEW, CREATE, &fields).await.status >= 500);
    while admin
        .get("/console/programmes/next")
        .await
        .attributes("job", "data-state")
        == ["running"]
    {
        campus.minutes(2);
        campus.work().await;
    }
    let next = "next".parse().unwrap();
    let grants = campus.table.grants(&next).await.unwrap();
    let groups: BTreeSet<_> = grants.iter().map(|grant| grant.group.clone()).collect();
    let addresses: BTreeSet<_> = grants
        .iter()
        .map(|grant| grant.person.address.as_written())
        .collect();
    assert_eq!(
        (grants.len(), addresses.len(), groups.len()),
        (count, count, 200)
    );
    campus.finish_unjudged().await;
}
