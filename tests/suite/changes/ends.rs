//! Programmes are closed and copied.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Act;
use bursar_core::domain::grant::Grant;
use bursar_core::schema::ItemKey;
use bursar_local::inbox::Contents;
use bursar_local::settle::LIMIT;

use super::*;

const CLOSE: &str = "/console/programmes/cs-pilot/close";
const COPY: &str = "/console/programmes/cs-pilot/copy";

/// A grant's item was spoiled by hand. Everybody else's key is off all the same, and the spoiled one's once it is mended.
#[tokio::test]
async fn a_corrupt_grant_keeps_nobody_else_from_the_end() {
    let campus = class(&["ada", "bob", "cid"]).await;
    let admin = campus.admin().await;
    campus.judged().await;
    let (page, raw) = (admin.get(SETTINGS).await, campus.raw());
    let ada = campus.id("ada");
    let grant = campus.table.get(Grant::key_of(&campus.programme, ada)).await.unwrap().unwrap();
    let ItemKey { pk, sk } = Grant::key_of(&campus.programme, ada).item_key;
    let spoiled = [("pk", pk), ("sk", sk), ("kind", "grant".to_owned())];
    raw.put(spoiled.into_iter().map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).collect()).await;
    for _ in 0..2 {
        assert_eq!(admin.submit(&page, CLOSE, &[("confirm", "CS pilot")]).await.status, 303);
    }
    campus.work().await;
    campus.work().await;
    let job = campus.job("close").await.unwrap();
    assert_eq!((campus.enabled().len(), job.state.as_str(), job.done, job.refused), (1, "done", 3, 1));
    raw.keep(&grant).await;
    campus.hours(2);
    campus.sync().await;
    assert_eq!(campus.enabled().len(), 0);
    let seen = campus.judged_after_sync().await;
    let admin = campus.admin().await;
    let (overview, all) = (admin.get(ID).await.readable(), admin.get("/console").await.readable());
    assert!(overview.contains(" Closed ") && all.contains("closed on "), "{overview} {all}");
    for untrue in ["working", "can be claimed", "can still claim", "If everybody claims"] {
        assert!(!overview.contains(untrue), "{untrue}: {overview}");
    }
    let page = admin.get(SETTINGS).await;
    assert!(!page.offers(CLOSE) && !page.offers(ID) && page.offers(COPY));
    let closed = seen.entries.iter().filter(|entry| entry.what.act == Act::Closed).count();
    assert_eq!(closed, 1, "though it was pressed twice");
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_request_for_a_close_or_a_copy_changes_nothing() {
    let campus = class(&["ada"]).await;
    let admin = campus.admin().await;
    assert_eq!(campus.edit(&admin, &[("faculty", "\"Faye Adams\" <faye@example.edu>")]).await.status, 303);
    campus.judged().await;
    let faye = campus.student("faye").await;
    campus.sync().await;
    let overview = admin.get(ID).await.readable();
    assert!(overview.contains("People 1 of 1 have claimed"), "{overview}");
    campus.ses.unread();
    for (who, words) in [(&faye, "Ask the admins to close it"), (&admin, "Closing cannot be undone")] {
        let press = [("reason", "over"), ("request", "7")];
        let look = who.submit(&who.get(SETTINGS).await, CLOSE, &press).await.expect(200);
        let numbers = ["close-keys", "close-without"].map(|hook| look.one(hook).text);
        assert_eq!((numbers, look.one("close-unspent").get("data-usd")), (["1", "0"].map(str::to_owned), "20.000000"));
        assert!(look.readable().contains(words) && look.readable().contains("as of "), "{}", look.readable());
        let refused = who.submit(&look, CLOSE, &[("confirm", "CS pilots")]).await.expect(422);
        assert!(refused.body.contains("<title>Error: ") && !refused.body.contains("Error: Error"));
        let refused = refused.form(CLOSE);
        let kept = ["confirm", "reason", "request"].map(|name| refused.value(name).unwrap_or_default());
        assert_eq!(kept, ["CS pilots", "over", "7"]);
    }
    let sure = [("confirm", " CS  pilot ")];
    for (path, fields) in [(CLOSE, &sure[..]), (COPY, &[("name", "CS next"), ("roster", "on")]), (CLOSE, &sure)] {
        assert_eq!(faye.submit(&faye.get(SETTINGS).await, path, fields).await.status, 303, "{path}");
    }
    campus.settle.settle(LIMIT).await.unwrap();
    let mut mails: Vec<Contents> = campus.ses.unread().iter().map(|mail| Contents::parse(&mail.raw)).collect();
    mails.sort_by_key(|mail| mail.subject.clone());
    let [copy, close] = &mails[..] else { panic!("one mail for each wish") };
    for (mail, subject, words) in [
        (copy, "Faye Adams asks for a copy of CS pilot", "with the people of the roster"),
        (close, "Faye Adams asks to close CS pilot", "Asked by: faye@example.edu"),
    ] {
        let text = mail.text.as_deref().unwrap_or_default();
        assert_eq!((mail.kind.as_deref(), mail.subject.as_str()), (Some("request"), subject));
        assert!(text.contains(words) && text.contains(&format!("{ID}#request-")), "{text}");
    }
    let seen = campus.judged().await;
    let asked = seen.entries.iter().filter(|entry| entry.what.act == Act::Asked).count();
    assert_eq!((asked, campus.enabled().len(), seen.programmes.len()), (2, 1, 1));
    campus.finish().await;
}

#[tokio::test]
async fn a_copy_has_all_but_money_and_is_made_once() {
    let campus = class(&["ada", "bob"]).await;
    let admin = campus.admin().await;
    let opens = admin.get(SETTINGS).await.form(ID).value("starts_on").unwrap().to_owned() + "T09:00";
    let set = [("faculty", "faye@example.edu"), ("thresholds", "70"), ("claim_opens_at", &*opens)];
    assert_eq!(campus.edit(&admin, &set).await.status, 303);
    applied(&admin, "add", "email,group\nada@example.edu,A\nbob@example.edu,B\n").await;
    let groups = format!("{ID}/groups");
    assert_eq!(admin.submit(&admin.get(&groups).await, &groups, &[("cap_usd.A", "5")]).await.status, 303);
    campus.judged().await;

    let page = admin.get(SETTINGS).await;
    let bad =
        admin.submit(&page, COPY, &[("starts_on", "2030-03-01"), ("ends_on", "2030-02-01"), ("name", "Next")]).await;
    assert_eq!(
        (bad.status, bad.form(COPY).value("name"), bad.form(COPY).value("ends_on")),
        (422, Some("Next"), Some("2030-02-01"))
    );
    assert_eq!(bad.alerts().len(), 1, "{:?}", bad.alerts());
    let dates = [("starts_on", "2030-02-01"), ("ends_on", "2030-06-30"), ("budget_usd", "250"), ("roster", "on")];
    for _ in 0..2 {
        let copied = admin.submit(&page, COPY, &dates).await;
        assert_eq!((copied.status, copied.location()), (303, Some("/console/programmes/cs-pilot-2")), "made once");
    }
    let seen = campus.judged().await;
    let (old, new) = (&seen.programmes[&campus.programme], &seen.programmes[&"cs-pilot-2".parse().unwrap()]);
    assert_eq!((new.settings.people.faculty.len(), &new.settings.mails.thresholds), (1, &vec![70, 100]));
    assert_eq!(new.settings.allowance, old.settings.allowance);
    assert_eq!(new.settings.term.starts_on().to_string(), "2030-02-01");
    assert_eq!(new.settings.claim_opens_at().to_string(), "2030-02-01T09:00:00Z", "as far into the term as before");
    assert_eq!(seen.budgets[&new.id].limit, Usd::from_dollars(250));
    let mut people: Vec<_> = seen.grants.values().filter(|grant| grant.programme == new.id).collect();
    people.sort_by_key(|grant| grant.person.address.as_written().to_owned());
    let people: Vec<_> =
        people.iter().map(|grant| (grant.person.address.as_written(), grant.group.as_deref())).collect();
    assert_eq!(people, [("ada@example.edu", Some("A")), ("bob@example.edu", Some("B"))]);
    assert_eq!(jobs(&admin.get("/console/programmes/cs-pilot-2").await), [job("import", "done", 2, 2)]);

    let alone = admin.submit(&admin.get(SETTINGS).await, COPY, &[("name", "Alone")]).await;
    assert_eq!(alone.location(), Some("/console/programmes/alone"));
    let seen = campus.judged().await;
    assert!(!seen.grants.values().any(|grant| grant.programme.as_str() == "alone"), "the roster was not wished");
    assert_eq!(campus.provider().keys().len(), 2);
    campus.finish().await;
}
