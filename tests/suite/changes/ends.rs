//! Programmes are closed and copied.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Act;
use bursar_core::store::keys::{self, ItemKey};
use bursar_local::inbox::Contents;
use bursar_local::settle::LIMIT;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::invariants::RawTable;
use bursar_tests::seeds::{each_call, sample};
use bursar_tests::stack::Left;

use super::*;

const CLOSE: &str = "/console/programmes/cs-pilot/close";
const COPY: &str = "/console/programmes/cs-pilot/copy";

#[tokio::test]
async fn closing_ends_every_key_at_once_and_a_second_press_changes_nothing() {
    let class = Class::of(&["ada", "bob", "cid"]).await;
    let (admin, mut watch) = (class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let open = admin.get(ID).await;
    for _ in 0..2 {
        assert_eq!(admin.submit(&open, CLOSE, &[]).await.status, 303);
        let seen = class.judged(&mut watch).await;
        let closed = seen.entries.iter().filter(|entry| entry.what.act == Act::Closed).count();
        let ended = seen.entries.iter().filter(|entry| entry.what.act == Act::Ended).count();
        assert_eq!((closed, ended, class.enabled()), (1, 3, 0));
    }
    let closed = admin.get(ID).await;
    assert_eq!(jobs(&closed), [job("close", "done", 3, 3)]);
    assert!(!closed.offers(CLOSE) && !closed.offers(ID) && closed.offers(COPY));
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

/// A grant's item was spoiled by hand. Everybody else's key is off all the same, and the spoiled one's once it is mended.
#[tokio::test]
async fn a_grant_that_cannot_be_read_keeps_nobody_else_from_the_end() {
    let class = Class::of(&["ada", "bob", "cid"]).await;
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    class.judged(&mut watch).await;
    let (page, raw) = (admin.get(ID).await, RawTable::at(&stack.ready.dynamodb, &stack.ready.table));
    let (office, (ada, _)) = (class.office(), &class.people[0]);
    let grant = office.table.grant(&office.programme, ada).await.unwrap().unwrap();
    let ItemKey { pk, sk } = keys::grant(&office.programme, ada);
    let spoiled = [("pk", pk), ("sk", sk), ("kind", "grant".to_owned())];
    raw.put(spoiled.into_iter().map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).collect())
        .await
        .unwrap();
    assert_eq!(admin.submit(&page, CLOSE, &[]).await.status, 303);
    let job = class.job("close").await.unwrap();
    assert_eq!((class.enabled(), job.state.as_str(), job.done, job.refused), (1, "done", 3, 1));
    raw.keep(&grant).await.unwrap();
    stack.clock.advance(SignedDuration::from_hours(2)).unwrap();
    crate::sync::sync(stack).await;
    assert_eq!(class.enabled(), 0);
    watch.check_after_sync().await;
    let left = Left::PerhapsComplaints(&[("console", "a step of a job cannot be done")]);
    class.stack.finish_leaving(&[Left::PerhapsMails, left]).await;
}

/// A close fails at each of its calls; the work of the next minutes finishes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_that_fails_at_any_call_ends_everything_or_nothing() {
    let calls = {
        let class = Class::of(&["ada", "bob"]).await;
        let (admin, of_console) = (class.admin().await, || calls_of_the_console(&class.stack));
        let page = admin.get(ID).await;
        let before = of_console();
        assert_eq!(admin.submit(&page, CLOSE, &[]).await.status, 303);
        let calls = of_console() - before;
        class.stack.finish_leaving(&[Left::PerhapsMails]).await;
        calls
    };
    assert!(calls > 20, "{calls} calls");
    let verdicts = [Fault::KillBefore, Fault::KillAfter, Fault::LoseAnswer, Fault::Status(503)];
    for (nth, verdict) in sample(each_call(1..calls, &verdicts), 6) {
        let class = Class::of(&["ada", "bob"]).await;
        let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
        class.judged(&mut watch).await;
        let page = admin.get(ID).await;
        let rule = stack.gate.at(Matcher::call("*").of(FunctionName::Console).nth(nth), verdict);
        admin.submit(&page, CLOSE, &[]).await;
        stack.gate.lift(rule);
        let is_closed = class.judged(&mut watch).await.programmes[&class.office().programme].closed_at.is_some();
        for _ in 0..2 {
            class.works().await;
            class.judged(&mut watch).await;
        }
        assert_eq!(class.enabled(), if is_closed { 0 } else { 2 }, "{verdict:?} of call {nth}");
        assert!(class.job("close").await.is_none_or(|job| !job.is_running()), "{verdict:?} of call {nth}");
        let thrown_away = Left::PerhapsComplaints(&[("console", "")]);
        class.stack.finish_leaving(&[Left::PerhapsMails, thrown_away, Left::PerhapsUnmetFaults]).await;
    }
}

#[tokio::test]
async fn faculty_ask_for_a_close_and_a_copy_and_nothing_changes_by_that() {
    let class = Class::of(&["ada"]).await;
    let (admin, mut watch) = (class.admin().await, class.watch());
    assert_eq!(edits(&admin, &[("faculty", "faye@example.edu")]).await.status, 303);
    class.judged(&mut watch).await;
    let faye = signed_in(&class.stack, "faye@example.edu").await;
    class.stack.ses.unread();
    for (path, fields) in [(CLOSE, &[][..]), (COPY, &[("name", "CS next"), ("roster", "on")]), (CLOSE, &[])] {
        assert_eq!(faye.submit(&faye.get(ID).await, path, fields).await.status, 303, "{path}");
    }
    class.stack.settle.settle(LIMIT).await.unwrap();
    let mut mails: Vec<Contents> = class.stack.ses.unread().iter().map(|mail| Contents::of(&mail.raw)).collect();
    mails.sort_by_key(|mail| mail.subject.clone());
    let [copy, close] = &mails[..] else { panic!("one mail for each wish") };
    for (mail, subject, words, anchor) in [
        (copy, "CS pilot: asked for a copy", "with the people of the roster", "#copy"),
        (close, "CS pilot: asked to close it", "press \"Close the programme\"", "#close"),
    ] {
        let text = mail.text.as_deref().unwrap_or_default();
        assert_eq!((mail.kind.as_deref(), mail.subject.as_str()), (Some("request"), subject));
        assert!(text.contains(words) && text.contains(&format!("{ID}{anchor}")), "{text}");
        assert!(admin.get(ID).await.body.contains(&format!("id=\"{}\"", &anchor[1..])), "where the link leads");
    }
    let seen = class.judged(&mut watch).await;
    let asked = seen.entries.iter().filter(|entry| entry.what.act == Act::Asked).count();
    assert_eq!((asked, class.enabled(), seen.programmes.len()), (2, 1, 1));
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn a_copy_has_settings_groups_people_in_charge_and_the_roster_if_wished_and_is_made_once() {
    let class = Class::of(&["ada", "bob"]).await;
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    let opens = admin.get(ID).await.form(ID).value("starts_on").unwrap().to_owned() + "T09:00";
    let set = [("faculty", "faye@example.edu"), ("thresholds", "70"), ("claim_opens_at", &*opens)];
    assert_eq!(edits(&admin, &set).await.status, 303);
    let shown =
        crate::console::roster::preview(&admin, "add", "email,group\nada@example.edu,A\nbob@example.edu,B\n").await;
    assert_eq!(admin.submit(&shown, "/console/programmes/cs-pilot/roster/apply", &[]).await.status, 303);
    let groups = format!("{ID}/groups");
    assert_eq!(admin.submit(&admin.get(&groups).await, &groups, &[("cap_usd.A", "5")]).await.status, 303);
    class.judged(&mut watch).await;

    let page = admin.get(ID).await;
    let bad =
        admin.submit(&page, COPY, &[("starts_on", "2030-03-01"), ("ends_on", "2030-02-01"), ("name", "Next")]).await;
    assert_eq!(
        (bad.status, bad.form(COPY).value("name"), bad.form(COPY).value("ends_on")),
        (422, Some("Next"), Some("2030-02-01"))
    );
    assert_eq!(bad.alerts().len(), 1, "{:?}", bad.alerts());
    let dates = [("starts_on", "2030-02-01"), ("ends_on", "2030-06-30"), ("pot_usd", "250"), ("roster", "on")];
    for _ in 0..2 {
        let copied = admin.submit(&page, COPY, &dates).await;
        assert_eq!((copied.status, copied.location()), (303, Some("/console/programmes/cs-pilot-2")), "made once");
    }
    let seen = class.judged(&mut watch).await;
    let (old, new) = (&seen.programmes[&class.office().programme], &seen.programmes[&"cs-pilot-2".parse().unwrap()]);
    assert_eq!((new.settings.faculty.len(), &new.settings.thresholds), (1, &vec![70]));
    assert_eq!((&new.settings.groups, new.settings.cap), (&old.settings.groups, old.settings.cap));
    assert_eq!(new.settings.term.starts_on().to_string(), "2030-02-01");
    assert_eq!(new.settings.claim_opens_at().to_string(), "2030-02-01T09:00:00Z", "as far into the term as before");
    assert_eq!(seen.pots[&new.id].limit, Usd::from_dollars(250));
    let mut people: Vec<_> = seen.grants.values().filter(|grant| grant.programme == new.id).collect();
    people.sort_by_key(|grant| grant.person.address.as_written().to_owned());
    let people: Vec<_> =
        people.iter().map(|grant| (grant.person.address.as_written(), grant.group.as_deref())).collect();
    assert_eq!(people, [("ada@example.edu", Some("A")), ("bob@example.edu", Some("B"))]);
    assert_eq!(jobs(&admin.get("/console/programmes/cs-pilot-2").await), [job("import", "done", 2, 2)]);

    let alone = admin.submit(&admin.get(ID).await, COPY, &[("name", "Alone")]).await;
    assert_eq!(alone.location(), Some("/console/programmes/alone"));
    let seen = class.judged(&mut watch).await;
    assert!(!seen.grants.values().any(|grant| grant.programme.as_str() == "alone"), "the roster was not wished");
    assert_eq!(stack.provider.as_ref().unwrap().keys().len(), 2);
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}
