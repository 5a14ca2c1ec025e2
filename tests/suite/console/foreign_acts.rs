//! An admin's own act on a key that nobody here made: its statuses, its record, and what becomes of it when the
//! provider refuses, an answer is lost, or two press at once.

use bursar_core::domain::audit::{Act, Actor};
use bursar_core::domain::ledger::foreign_act::ForeignActState;
use bursar_core::store::Table;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{KeySnapshot, MadeKey, Nano};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::{Office, soon};
use bursar_tests::stack::Stack;
use bursar_tests::visitor::{Page, Visitor};
use jiff::SignedDuration;
use serde_json::json;

use super::account::{PATH, admin, at_noon};
use super::{signed_in, watch};

const HOSTILE: &str = "<script>alert('labs')</script>\"><b";
const DEPUTY: &str = "deputy@example.edu";
fn path(hash: &str) -> String {
    format!("/console/account/keys/{hash}")
}

fn foreign(stack: &Stack, name: &str) -> String {
    let MadeKey { hash, .. } = stack.provider.as_ref().unwrap().add_foreign_key(name, None, stack.clock.now()).unwrap();
    hash
}

fn key(stack: &Stack, hash: &str) -> KeySnapshot {
    let keys = stack.provider.as_ref().unwrap().keys();
    keys.into_iter().find(|key| key.hash == hash).unwrap()
}

async fn sync(stack: &Stack) {
    let report = stack.invoke.invoke(FunctionName::UsageSync, json!({})).await.unwrap();
    assert_eq!(report["complete"], true, "{report}");
}

async fn press(visitor: &Visitor, hash: &str, fields: &[(&str, &str)]) -> Page {
    let page = visitor.get(PATH).await.expect(200);
    visitor.submit(&page, &path(hash), fields).await
}

fn patches() -> Matcher {
    Matcher::call("provider:PATCH /keys/{hash}").of(FunctionName::Console)
}

fn count_of(stack: &Stack, call: &str) -> usize {
    stack.gate.calls().iter().filter(|made| made.call.to_string().contains(call)).count()
}

#[tokio::test]
async fn an_admin_disables_and_limits_a_key_by_its_name_once_on_record_and_sees_it_before_the_next_sync() {
    let stack = at_noon().await;
    let table = Table::new(&stack.config);
    let (labs, other) = (foreign(&stack, HOSTILE), foreign(&stack, "not  this   one"));
    sync(&stack).await;
    let mut watch = watch(&stack);
    watch.check().await;
    let visitor = admin(&stack).await;
    stack.clock.advance(SignedDuration::from_mins(1)).unwrap();
    for _ in 0..2 {
        let fields = [("act", "limit"), ("limit_usd", "$2.50"), ("name", HOSTILE)];
        let pressed = press(&visitor, &labs, &fields).await;
        assert_eq!((pressed.status, pressed.location()), (303, Some(PATH)));
        watch.check().await;
    }
    assert_eq!(key(&stack, &labs).limit, Some(Nano::micros(2_500_000)));
    assert!(!key(&stack, &labs).disabled);
    for _ in 0..2 {
        // A page shows every run of white space as one blank.
        let fields = [("act", "disable"), ("name", " not this one")];
        assert_eq!(press(&visitor, &other, &fields).await.status, 303);
        watch.check().await;
    }
    let disabled = key(&stack, &other);
    assert!(disabled.disabled && disabled.limit.is_none());
    assert_eq!(count_of(&stack, "PATCH /keys/{hash}"), 2, "repeating asks for nothing");

    let seen = watch.check().await;
    let person = table.person_of(&stack.config.admins[0], soon()).await.unwrap();
    let of_labs = Some(format!("{labs} {HOSTILE}"));
    let told = |act: Act| {
        let entries = seen.account_entries.iter().filter(|entry| entry.what.act == act && entry.what.note == of_labs);
        let told: Vec<_> =
            entries.map(|entry| (&entry.by, entry.what.from.as_deref(), entry.what.to.as_deref())).collect();
        let [told] = told[..] else { panic!("{told:?}") };
        told
    };
    let by = &Actor::Person(person);
    assert_eq!(told(Act::ForeignActBegun), (by, Some("enabled, no limit"), Some("limit 2.500000")));
    assert_eq!(told(Act::ForeignActConcluded), (by, Some("limit 2.500000"), Some("enabled, limit 2.500000")));
    assert_eq!(seen.account_entries.len(), 4, "two for each act, whatever was repeated");

    let page = visitor.get(PATH).await;
    assert!(!page.body.contains("<script>alert") && page.body.contains("&#60;script&#62;alert"), "names are text");
    let text = page.readable();
    assert!(
        text.contains("admin@example.edu pressed to limit it to $2.50 at 2026-11-20 12:01 UTC, and the provider did"),
        "{text}"
    );
    assert_eq!(page.texts("foreign-act").len(), 2);
    let row = |page: &Page, hash: &str| {
        let rows = page.all("unowned-key");
        rows.into_iter().find(|row| row.get("data-hash") == hash).unwrap().text
    };
    assert!(row(&page, &labs).contains("$2.50") && row(&page, &other).contains("disabled"), "{}", page.body);
    // Somebody enables it at the provider, and the next sync tells so.
    stack.provider.as_ref().unwrap().change_by_hand(&other, &json!({ "disabled": false })).unwrap();
    stack.clock.advance(SignedDuration::from_hours(12)).unwrap();
    sync(&stack).await;
    watch.check_after_sync().await;
    let visitor = signed_in(&stack, DEPUTY).await;
    assert!(row(&visitor.get(PATH).await, &other).contains("enabled"));
    assert_eq!(press(&visitor, &other, &[("act", "disable"), ("name", "not this one")]).await.status, 303);
    assert!(key(&stack, &other).disabled);
    assert_eq!(watch.check().await.account_entries.len(), 6, "it is an act of its own");
    stack.finish().await;
}

#[tokio::test]
async fn what_is_wrong_in_the_form_is_said_beside_it_and_other_keys_are_not_touched() {
    let stack = at_noon().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@example.edu").await;
    let ours = office.claim(&ada).await;
    let labs = foreign(&stack, "labs");
    let elsewhere = foreign(&stack, "bursar/fedcba9876/maths/0123456789abcdef/1-0123456789abcdef");
    sync(&stack).await;
    let unseen = foreign(&stack, "made today");
    let mut watch = watch(&stack);
    watch.check().await;
    let visitor = admin(&stack).await;
    for (fields, sentence) in [
        (
            vec![("act", "disable"), ("name", "Labs")],
            "This is not the key&#39;s name, which is “labs” at the provider now",
        ),
        (vec![("act", "disable"), ("name", "")], "This is not the key&#39;s name"),
        (vec![("act", "limit"), ("name", "labs"), ("limit_usd", "0.009999")], "A limit is one cent or more"),
        (vec![("act", "limit"), ("name", "labs"), ("limit_usd", "-1")], "The limit: "),
        (vec![("act", "limit"), ("name", "labs"), ("limit_usd", "")], "The limit: "),
        (vec![("act", "delete"), ("name", "labs")], "Press one of the two"),
        (vec![("name", "labs")], "Press one of the two"),
    ] {
        let refused = press(&visitor, &labs, &fields).await.expect(422);
        let form = refused.form(&path(&labs));
        for (name, typed) in fields.iter().filter(|(name, _)| *name != "act") {
            assert_eq!(form.value(name), Some(*typed), "what was typed stays");
        }
        assert!(refused.body.contains(sentence), "{sentence}: {}", refused.body);
        assert!(refused.body.contains(r#"role="alert""#));
    }
    let page = visitor.get(PATH).await;
    let csrf = page.form(&path(&labs)).value("csrf").unwrap().to_owned();
    let pressed = async |hash: &str, name: &str| {
        visitor.post(&path(hash), &[("csrf", &csrf), ("act", "disable"), ("name", name)]).await.status
    };
    assert_eq!(pressed(&ours, &key(&stack, &ours).name).await, 409, "a key of a grant");
    assert_eq!(pressed(&elsewhere, &key(&stack, &elsewhere).name).await, 409, "a key of another deployment");
    assert_eq!(pressed(&"0".repeat(64), "labs").await, 404, "a key that the provider does not have");
    assert_eq!(pressed("labs", "labs").await, 404, "no hash");
    assert_eq!(pressed(&unseen, "made today").await, 404, "no sync has said that it is nobody's");
    assert_eq!(visitor.post(&path(&labs), &[("act", "disable"), ("name", "labs")]).await.status, 403, "without csrf");
    // A key of a grant that somebody renamed is in no record of foreign keys.
    stack.provider.as_ref().unwrap().change_by_hand(&ours, &json!({ "name": "labs" })).unwrap();
    assert_eq!(pressed(&ours, "labs").await, 404);
    // The page names what the last sync saw; another name must be typed anew.
    stack.provider.as_ref().unwrap().change_by_hand(&labs, &json!({ "name": "lab-keys" })).unwrap();
    let refused = press(&visitor, &labs, &[("act", "disable"), ("name", "labs")]).await.expect(422);
    assert!(refused.body.contains("which is “lab-keys” at the provider now"));
    assert!(watch.check().await.account_entries.is_empty());
    assert_eq!(count_of(&stack, "PATCH"), 0, "nothing was asked of the provider");
    stack.finish_faulted().await;
}

#[tokio::test]
async fn what_the_provider_refuses_or_does_not_answer_is_told_and_the_record_outlives_a_crash() {
    let stack = at_noon().await;
    let table = Table::new(&stack.config);
    let labs = foreign(&stack, "labs");
    sync(&stack).await;
    let mut watch = watch(&stack);
    let visitor = admin(&stack).await;
    let (disable, limit) =
        ([("act", "disable"), ("name", "labs")], [("act", "limit"), ("limit_usd", "3"), ("name", "labs")]);
    let state = async || table.foreign_act(&labs.parse().unwrap()).await.unwrap().map(|act| act.state);

    // It cannot be read, so nothing is pressed.
    let unread = Matcher::call("provider:GET /keys/{hash}").of(FunctionName::Console).every();
    let rule = stack.gate.at(unread, Fault::Status(400));
    let refused = press(&visitor, &labs, &disable).await.expect(502);
    assert!(refused.readable().contains("The provider did not confirm it"), "{}", refused.readable());
    assert_eq!(state().await, None);
    stack.gate.lift(rule);

    // It is refused, which the page says.
    let rule = stack.gate.at(patches().every(), Fault::Status(400));
    press(&visitor, &labs, &disable).await.expect(502);
    stack.gate.lift(rule);
    assert_eq!(state().await, Some(ForeignActState::Refused));
    assert!(visitor.get(PATH).await.texts("foreign-act")[0].contains("and the provider refused"));
    watch.check().await;

    // A lost answer is made up for by a look at the key.
    stack.gate.at(patches().next(1), Fault::LoseAnswer);
    assert_eq!(press(&visitor, &labs, &limit).await.status, 303);
    assert_eq!((key(&stack, &labs).limit, state().await), (Some(Nano::usd(3)), Some(ForeignActState::Confirmed)));
    watch.check().await;

    // No answer comes at all, and the key cannot be read: it may have been changed, which is on record.
    let answers = stack.gate.at(patches().every(), Fault::LoseAnswer);
    let reads = Matcher::call("provider:GET /keys/{hash}").of(FunctionName::Console).after(1);
    let reads = stack.gate.at(reads, Fault::Status(400));
    let refused = press(&visitor, &labs, &disable).await.expect(502);
    assert!(refused.readable().contains("not known whether the key was changed"), "{}", refused.readable());
    stack.gate.lift(answers);
    stack.gate.lift(reads);
    assert_eq!((key(&stack, &labs).disabled, state().await), (true, Some(ForeignActState::Open)));
    assert!(visitor.get(PATH).await.texts("foreign-act")[0].contains("no answer came"));
    watch.check().await;
    // Another change waits, and the same one finds that it has taken effect.
    press(&visitor, &labs, &[("act", "limit"), ("limit_usd", "4"), ("name", "labs")]).await.expect(409);
    assert_eq!(press(&visitor, &labs, &disable).await.status, 303);
    assert_eq!(state().await, Some(ForeignActState::Confirmed));
    let begun = |entries: &[bursar_core::domain::audit::AccountEntry]| {
        entries.iter().filter(|entry| entry.what.act == Act::ForeignActBegun).count()
    };
    assert_eq!(begun(&watch.check().await.account_entries), 3);

    // The console dies right after the provider was asked: the press is on record, and pressing again ends it.
    stack.gate.at(patches().next(1), Fault::KillAfter);
    let died = press(&visitor, &labs, &[("act", "limit"), ("limit_usd", "5"), ("name", "labs")]).await;
    assert!(died.status >= 500, "{}", died.status);
    assert_eq!((key(&stack, &labs).limit, state().await), (Some(Nano::usd(5)), Some(ForeignActState::Open)));
    assert_eq!(begun(&watch.check().await.account_entries), 4);
    assert_eq!(press(&visitor, &labs, &[("act", "limit"), ("limit_usd", "5"), ("name", "labs")]).await.status, 303);
    assert_eq!(state().await, Some(ForeignActState::Confirmed));
    assert_eq!(begun(&watch.check().await.account_entries), 4);
    stack.finish_faulted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_presses_at_once_equal_ones_do_one_thing_and_another_change_waits() {
    let stack = at_noon().await;
    let labs = foreign(&stack, "labs");
    sync(&stack).await;
    let mut watch = watch(&stack);
    let (one, other) = (admin(&stack).await, signed_in(&stack, DEPUTY).await);
    let disable = [("act", "disable"), ("name", "labs")];
    let limit = [("act", "limit"), ("limit_usd", "1"), ("name", "labs")];
    // Both have read the key before either asks for the change.
    let held = stack.gate.hold(patches().every());
    let pressing = async { tokio::join!(press(&one, &labs, &disable), press(&other, &labs, &disable)) };
    let releasing = async {
        held.arrived().await;
        held.arrived().await;
        let waits = press(&other, &labs, &limit).await;
        drop(held);
        waits
    };
    let ((first, second), waits) = tokio::join!(pressing, releasing);
    assert_eq!((first.status, second.status, waits.status), (303, 303, 409));
    assert!(key(&stack, &labs).disabled && key(&stack, &labs).limit.is_none());
    assert_eq!(watch.check().await.account_entries.len(), 3, "the press of each, and what came of it");
    assert_eq!(press(&other, &labs, &limit).await.status, 303, "it is over");
    assert_eq!(key(&stack, &labs).limit, Some(Nano::usd(1)));
    watch.check().await;
    stack.finish().await;
}
