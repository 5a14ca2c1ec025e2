//! An admin limits or disables a key that nobody here made: once, on record, and whatever the
//! provider answers.

use bursar_core::domain::audit::{Act, Actor};
use bursar_core::domain::ledger::foreign::{ForeignAct, ForeignActState};
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{KeySnapshot, Nano};
use bursar_tests::campus::ADMIN;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::soon;
use bursar_tests::visitor::{Page, Visitor};
use serde_json::json;

use super::*;

const HOSTILE: &str = "<script>alert('labs')</script>\"><b";
const DISABLE: [(&str, &str); 2] = [("act", "disable"), ("name", "labs")];

fn path(hash: &str) -> String {
    format!("/console/account/keys/{hash}")
}

fn limit(usd: &'static str) -> [(&'static str, &'static str); 3] {
    [("act", "limit"), ("limit_usd", usd), ("name", "labs")]
}

fn key(campus: &Campus, hash: &str) -> KeySnapshot {
    campus
        .provider()
        .keys()
        .into_iter()
        .find(|key| key.hash == hash)
        .unwrap()
}

async fn acts(visitor: &Visitor, hash: &str, fields: &[(&str, &str)]) -> Page {
    visitor
        .submit(&visitor.get(ACCOUNT).await.expect(200), &path(hash), fields)
        .await
}

fn patches() -> Matcher {
    Matcher::call("provider:PATCH /keys/{hash}").of(FunctionName::Console)
}

fn count(campus: &Campus, call: &str) -> usize {
    campus
        .gate
        .calls()
        .iter()
        .filter(|made| made.to_string().contains(call))
        .count()
}

/// The entries of what was begun, and of all.
async fn entries(campus: &Campus) -> (usize, usize) {
    let entries = &campus.judged().await.account_entries;
    (
        entries
            .iter()
            .filter(|entry| entry.what.act == Act::ForeignActBegun)
            .count(),
        entries.len(),
    )
}

#[tokio::test]
async fn a_foreign_key_is_changed_once_and_on_record() {
    let campus = Campus::open().await;
    let (labs, other) = (campus.foreign(HOSTILE), campus.foreign("not  this   one"));
    campus.sync().await;
    campus.minutes(1);
    let admin = campus.admin().await;
    // A page shows every run of white space as one blank.
    for (hash, fields) in [
        (
            &labs,
            &[("act", "limit"), ("limit_usd", "$2.50"), ("name", HOSTILE)][..],
        ),
        (&other, &[("act", "disable"), ("name", " not this one")]),
    ] {
        for _ in 0..2 {
            assert_eq!(
                acts(&admin, hash, fields).await.expect(303).location(),
                Some(ACCOUNT)
            );
        }
    }
    assert_eq!(
        (key(&campus, &labs).limit, key(&campus, &labs).disabled),
        (Some(Nano::micros(2_500_000)), false)
    );
    assert_eq!(
        (key(&campus, &other).limit, key(&campus, &other).disabled),
        (None, true)
    );
    assert_eq!(
        (count(&campus, "PATCH /keys/{hash}"), entries(&campus).await),
        (2, (2, 4)),
        "repeating does nothing"
    );
    let by = Actor::Person(
        campus
            .table
            .person_of(&address(ADMIN), soon())
            .await
            .unwrap(),
    );
    let seen = campus.judged().await;
    let note = Some(format!("{labs} {HOSTILE}"));
    let of_labs = seen
        .account_entries
        .iter()
        .filter(|entry| entry.what.note == note && entry.actor == by);
    let of_labs = of_labs.map(|entry| {
        (
            entry.what.act,
            entry.what.old_value.as_deref(),
            entry.what.new_value.as_deref(),
        )
    });
    let mut of_labs: Vec<_> = of_labs.collect();
    of_labs.sort_by_key(|(act, ..)| *act != Act::ForeignActBegun);
    assert_eq!(
        of_labs,
        [
            (
                Act::ForeignActBegun,
                Some("enabled, no limit"),
                Some("limit 2.500000")
            ),
            (
                Act::ForeignActConcluded,
                Some("limit 2.500000"),
                Some("enabled, limit 2.500000")
            ),
        ]
    );
    let row = |page: &Page, hash: &str| {
        page.all("unowned-key")
            .into_iter()
            .find(|row| row.get("data-hash") == hash)
            .unwrap()
            .text
    };
    let page = admin.get(ACCOUNT).await;
    assert!(
        !page.body.contains("<script>alert") && page.body.contains("&#60;script&#62;alert"),
        "names are text"
    );
    let told = page.texts("foreign-act").join("\n");
    assert!(
        told.contains(
            "At 10 Nov 2026, 09:31 UTC admin@example.edu asked OpenRouter to limit it to $2.50, and OpenRouter did so"
        ),
        "{told}"
    );
    assert!(
        row(&page, &labs).contains("$2.50") && row(&page, &other).contains("disabled"),
        "before the next sync"
    );

    // Somebody enables it at the provider, and the next sync tells so.
    campus
        .provider()
        .change_by_hand(&other, &json!({ "disabled": false }))
        .unwrap();
    campus.minutes(12 * 60);
    campus.sync().await;
    let admin = campus.admin().await;
    assert!(row(&admin.get(ACCOUNT).await, &other).contains("enabled"));
    acts(
        &admin,
        &other,
        &[("act", "disable"), ("name", "not this one")],
    )
    .await
    .expect(303);
    assert!(key(&campus, &other).disabled);
    assert_eq!(entries(&campus).await, (3, 6));
    campus.finish().await;
}

#[tokio::test]
async fn other_keys_are_not_touched() {
    let campus = Campus::with_keys(&["ada"]).await;
    let (ours, labs) = (campus.key("ada").hash, campus.foreign("labs"));
    let elsewhere = campus.foreign("bursar/other/maths/0123456789abcdef/1-0123456789abcdef");
    campus.sync().await;
    let unseen = campus.foreign("made today");
    let admin = campus.admin().await;
    for (act, name, usd, sentence) in [
        (
            "disable",
            "Labs",
            "",
            "This is not the key’s name, which is “labs” at OpenRouter now",
        ),
        ("disable", "", "", "This is not the key’s name"),
        ("limit", "labs", "0.009999", "A limit is one cent or more"),
        ("limit", "labs", "-1", "The limit: "),
        ("limit", "labs", "", "The limit: "),
        ("delete", "labs", "", "Press one of the two"),
        ("", "labs", "", "Press one of the two"),
    ] {
        let refused = acts(
            &admin,
            &labs,
            &[("act", act), ("name", name), ("limit_usd", usd)],
        )
        .await
        .expect(422);
        let form = refused.form(&path(&labs));
        assert_eq!(
            (form.value("name"), form.value("limit_usd")),
            (Some(name), Some(usd)),
            "what was typed stays"
        );
        let why = refused.alerts().join(" ").replace('\'', "’");
        assert!(why.contains(sentence), "{sentence}: {why}");
    }
    let page = admin.get(ACCOUNT).await;
    let form = page.form(&path(&labs));
    assert!(!page.offers(&path(&elsewhere)) && page.body.contains(&elsewhere));
    let disables = async |hash: &str, name: &str| {
        let sent = [
            ("csrf", form.value("csrf").unwrap()),
            ("act", "disable"),
            ("name", name),
        ];
        admin.post(&path(hash), &sent).await.status
    };
    for (hash, name, status, what) in [
        (&*ours, &*key(&campus, &ours).name, 409, "a key of a grant"),
        (
            &elsewhere,
            &key(&campus, &elsewhere).name,
            409,
            "a key of another deployment",
        ),
        (
            &"0".repeat(64),
            "labs",
            404,
            "a key that the provider does not have",
        ),
        ("labs", "labs", 404, "no hash"),
        (
            &unseen,
            "made today",
            404,
            "no sync has said that it is nobody's",
        ),
    ] {
        assert_eq!(disables(hash, name).await, status, "{what}");
    }
    for (hash, name) in [(&ours, "labs"), (&labs, "lab-keys")] {
        campus
            .provider()
            .change_by_hand(hash, &json!({ "name": name }))
            .unwrap();
    }
    assert_eq!(
        disables(&ours, "labs").await,
        404,
        "a key of a grant that somebody renamed is no foreign one"
    );
    let refused = acts(&admin, &labs, &DISABLE).await.expect(422);
    assert!(
        refused
            .body
            .contains("which is “lab-keys” at OpenRouter now")
    );
    assert_eq!(
        (count(&campus, "PATCH"), entries(&campus).await),
        (0, (0, 0))
    );
    campus.finish_faulted().await;
}

#[tokio::test]
async fn what_became_of_a_change_is_known() {
    let campus = Campus::open().await;
    let labs = campus.foreign("labs");
    campus.sync().await;
    let admin = campus.admin().await;
    let state = async || {
        campus
            .table
            .get(ForeignAct::key_of(&labs.parse().unwrap()))
            .await
            .unwrap()
            .map(|act| act.state)
    };
    let told = async || admin.get(ACCOUNT).await.text("foreign-act").unwrap();
    let reads = Matcher::call("provider:GET /keys/{hash}").of(FunctionName::Console);

    let rule = campus.gate.at(reads.clone().every(), Fault::Status(400));
    let refused = acts(&admin, &labs, &DISABLE).await.expect(502);
    assert!(
        refused.readable().contains("OpenRouter did not confirm it"),
        "{}",
        refused.readable()
    );
    campus.gate.lift(rule);
    assert_eq!(
        state().await,
        None,
        "it could not be read, so nothing was begun"
    );

    let rule = campus.gate.at(patches().every(), Fault::Status(400));
    acts(&admin, &labs, &DISABLE).await.expect(502);
    campus.gate.lift(rule);
    assert_eq!(state().await, Some(ForeignActState::Refused));
    assert!(told().await.contains("and OpenRouter refused"));

    // A lost answer is made up for by reading the key.
    campus.gate.at(patches().next(1), Fault::LoseAnswer);
    acts(&admin, &labs, &limit("3")).await.expect(303);
    assert_eq!(
        (key(&campus, &labs).limit, state().await),
        (Some(Nano::usd(3)), Some(ForeignActState::Confirmed))
    );

    // No answer comes at all, and the key cannot be read: it may have been changed.
    let rules = [
        campus.gate.at(patches().every(), Fault::LoseAnswer),
        campus.gate.at(reads.after(1), Fault::Status(400)),
    ];
    let refused = acts(&admin, &labs, &DISABLE).await.expect(502);
    assert!(
        refused
            .readable()
            .contains("not known whether the key was changed"),
        "{}",
        refused.readable()
    );
    rules.into_iter().for_each(|rule| campus.gate.lift(rule));
    assert_eq!(
        (key(&campus, &labs).disabled, state().await),
        (true, Some(ForeignActState::Open))
    );
    assert!(told().await.contains("no answer came"));
    // Another change waits, and the same one finds that it has taken effect.
    acts(&admin, &labs, &limit("4")).await.expect(409);
    acts(&admin, &labs, &DISABLE).await.expect(303);
    assert_eq!(
        (state().await, entries(&campus).await.0),
        (Some(ForeignActState::Confirmed), 3)
    );

    // The console dies right after the provider was asked.
    campus.gate.at(patches().next(1), Fault::KillAfter);
    assert!(acts(&admin, &labs, &limit("5")).await.status >= 500);
    assert_eq!(
        (key(&campus, &labs).limit, state().await),
        (Some(Nano::usd(5)), Some(ForeignActState::Open))
    );
    acts(&admin, &labs, &limit("5")).await.expect(303);
    assert_eq!(
        (state().await, entries(&campus).await.0),
        (Some(ForeignActState::Confirmed), 4)
    );
    campus.finish_faulted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_changes_at_once_another_waits() {
    let campus = Campus::open().await;
    let labs = campus.foreign("labs");
    campus.sync().await;
    let (one, other) = (campus.admin().await, campus.admin().await);
    // Both have read the key before either asks for the change.
    let held = campus.gate.hold(patches().every());
    let both = async { tokio::join!(acts(&one, &labs, &DISABLE), acts(&other, &labs, &DISABLE)) };
    let third = async {
        held.arrived().await;
        held.arrived().await;
        let waits = acts(&other, &labs, &limit("1")).await;
        drop(held);
        waits
    };
    let ((first, second), waits) = tokio::join!(both, third);
    assert_eq!((first.status, second.status, waits.status), (303, 303, 409));
    assert!(key(&campus, &labs).disabled && key(&campus, &labs).limit.is_none());
    acts(&other, &labs, &limit("1")).await.expect(303);
    assert_eq!(key(&campus, &labs).limit, Some(Nano::usd(1)));
    campus.finish().await;
}
