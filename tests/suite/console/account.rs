//! The account's page: its money against what is promised, keys without an owner, the last syncs,
//! and what waits for an admin.

use std::collections::BTreeSet;

use bursar_core::clock::Moment;
use bursar_core::domain::audit::{Act, Actor};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{BalanceReading, HeldBack, SyncState};
use bursar_local::invoke::FunctionName;
use bursar_local::provider::Nano;
use bursar_tests::campus::ADMIN;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::{conclude, soon};
use bursar_tests::visitor::Visitor;
use jiff::SignedDuration;

use super::*;
use crate::watch::found;

const A_DAY: i64 = 24 * 60;
pub(crate) const RELEASE: &str = "/console/account/release";

#[tokio::test]
async fn the_account_shows_what_syncs_found() {
    let campus = Campus::with_keys(&["ada"]).await;
    let provider = campus.provider();
    let admin = campus.admin().await;
    let before = admin.get(ACCOUNT).await.expect(200);
    assert!(
        before.body.contains("has not been checked yet") && before.all("balance").is_empty(),
        "{}",
        before.readable()
    );
    assert_eq!(
        (
            before.text("spent").as_deref(),
            before.attribute("spent", "data-usd")
        ),
        (Some("not known"), None)
    );
    assert_eq!(before.one("reserved").get("data-usd"), "20.000000");

    let spend = |hash: &str, dollars| {
        provider
            .spend(hash, Nano::usd(dollars), campus.clock.now(), "a/model")
            .unwrap();
    };
    let foreign = |name: &str, limit, dollars| {
        let hash = provider
            .add_foreign_key(name, limit, campus.clock.now())
            .unwrap()
            .hash;
        spend(&hash, dollars);
        hash
    };
    provider.set_credits(Nano::usd(1000)).unwrap();
    provider.spend_elsewhere(Nano::usd(3)).unwrap();
    let capped = foreign("capped <i>", Some(Nano::usd(10)), 9);
    let (open, old) = (foreign("open", None, 50), foreign("old", None, 90));
    let off = foreign("off", None, 0);
    let elsewhere = foreign(
        "bursar/fedcba9876/maths/0123456789abcdef/1-0123456789abcdef",
        Some(Nano::usd(1)),
        0,
    );
    let lost = format!(
        "bursar/{}/cs-pilot/0123456789abcdef/1-0123456789abcdef",
        campus.ready.deployment
    );
    let nobodys = foreign(&lost, None, 0);
    provider.disable(&off).unwrap();
    campus.sync().await;
    spend(&capped, 1);
    provider.delete(&old).unwrap();
    campus.spend("ada", "2");
    campus.minutes(A_DAY);
    campus.sync().await;
    campus.spend("ada", "1");
    provider.spend_elsewhere(Nano::usd(4)).unwrap();
    campus.minutes(2 * A_DAY);
    campus.sync().await;

    let admin = campus.admin().await;
    let page = admin.get(ACCOUNT).await;
    for (hook, usd) in [
        ("balance", "840.000000"),
        ("residual", "4.000000"),
        ("spent", "153.000000"),
        ("reserved", "20.000000"),
    ] {
        assert_eq!(page.one(hook).get("data-usd"), usd, "{hook}");
    }
    let rows: Vec<String> = page.attributes("unowned-key", "data-hash");
    assert_eq!(
        rows,
        [open.as_str(), &nobodys, &off, &capped, &elsewhere, &old]
    );
    let text = page.readable();
    for words in [
        "Before Bursar $3.00",
        "Usual reasons for money that is not explained",
        "2 of them are enabled and have no limit",
        "6 of them were first seen in the last seven days",
        "gone $90.00 no limit",
        "13 Nov 2026 2 days $160.00 +$5.00 $3.00 +$1.00 $60.00 $0.00 $90.00 $4.00 +$4.00",
        "11 Nov 2026 $155.00 +$3.00 $2.00 +$2.00 $60.00 -$89.00 $0.00 $90.00 +$90.00 $0.00",
        "6 1 0 0 $4.00 $840.00 yes 1 problem",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(page.body.contains("capped &#60;i&#62;"), "names are text");
    assert!(
        text.contains(&format!("{lost} enabled {nobodys}")),
        "{text}"
    );
    foreign("new", Some(Nano::usd(1)), 0);
    campus.minutes(5 * A_DAY);
    campus.sync().await;
    let page = campus.admin().await.get(ACCOUNT).await.readable();
    assert!(
        page.contains("One of them was first seen in the last seven days"),
        "{page}"
    );
    provider.delete(&nobodys).unwrap();
    campus.finish().await;
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_one_warning() {
    let campus = Campus::with_keys(&["ada"]).await;
    let warnings = async || {
        let page = campus.admin().await.get(ACCOUNT).await.expect(200);
        page.texts("warning")
            .into_iter()
            .filter(|text| !text.starts_with("There is one admin only"))
            .collect::<Vec<_>>()
    };
    campus.settle().await;
    campus.sync().await;
    assert_eq!(warnings().await, Vec::<String>::new());
    campus.minutes(26 * 60);
    assert_eq!(
        warnings().await,
        Vec::<String>::new(),
        "26 hours to the second"
    );
    campus.minutes(1);
    assert!(
        warnings().await[0]
            .starts_with("No check at OpenRouter has been complete for more than 26 hours")
    );
    campus.gate.at(
        Matcher::call("provider:GET /credits")
            .of(FunctionName::UsageSync)
            .every(),
        Fault::Status(400),
    );
    assert_eq!(campus.sync().await["complete"], false);
    insta::assert_snapshot!(warnings().await.join("\n"), @"
    No check at OpenRouter has been complete for more than 26 hours. The last complete check began at 10 Nov 2026, 09:30 UTC. The table of the last checks below says why.
    The last check was not complete: the sums could not be held against the account. The check begins again by itself at about 11 Nov 2026, 11:46 UTC.
    ");
    campus.finish_faulted().await;
}

#[tokio::test]
async fn the_page_says_what_to_buy_by_when() {
    let campus = Campus::with_keys(&["ada"]).await;
    let admin = campus.admin().await;
    let page = admin.get(ACCOUNT).await;
    assert!(
        page.all("credit-to-buy").is_empty()
            && page
                .readable()
                .contains("nothing shows how much credit to buy")
    );
    let dollars = Usd::from_dollars;
    // The programme ends in 91 days: $182 of other keys, $20 of its own, which are used in twenty
    // days. Two dollars a day leave the rest.
    for (balance, buys, by, says) in [
        (
            120,
            "100.000000",
            "2026-11-29",
            "Buy $100 of credit by 29 Nov 2026: at this pace the $120 left will be gone on",
        ),
        (
            80,
            "200.000000",
            "now",
            "Buy $200 of credit now: at this pace the $80 left will be gone on 9 Dec 2026.",
        ),
        (
            10,
            "200.000000",
            "now",
            "Buy $200 of credit now: at this pace the $10 left will be gone on 13 Nov 2026.",
        ),
    ] {
        found(&campus, dollars(balance), [dollars(1), dollars(2)]).await;
        let page = admin.get(ACCOUNT).await;
        assert_eq!(page.one("credit-to-buy").get("data-usd"), buys);
        assert_eq!(page.one("buy-by").get("data-date"), by);
        assert!(
            page.texts("warning")[0].starts_with(says),
            "{:?}",
            page.texts("warning")
        );
    }
    let page = admin.get(ACCOUNT).await.readable();
    for sentence in [
        "Programmes can still cost $20.00 if everybody on the rosters claims",
        "Keys made elsewhere may use $182.00 until 8 Feb 2027 (the end of the last programme, but at most a year ahead) if they are used as in",
        "if all keys are used as in the last weeks, about $21 a week; a purchase may take 30 days",
    ] {
        assert!(page.contains(sentence), "{sentence}: {page}");
    }
    campus.finish_unjudged().await;
}

/// The account's days of two weeks, of which the last is read once more by noon.
#[tokio::test]
async fn the_balance_is_drawn_and_the_newest_is_what_counts() {
    let campus = Campus::with_keys(&["ada"]).await;
    found(&campus, Usd::from_dollars(60), [Usd::from_dollars(1); 2]).await;
    let admin = campus.admin().await;
    assert!(
        !admin.get(ACCOUNT).await.body.contains("Balance over time"),
        "a day is no line"
    );
    campus.hours(14 * 24);
    found(&campus, Usd::from_dollars(25), [Usd::from_dollars(1); 2]).await;
    let admin = campus.admin().await;
    let page = admin.get(ACCOUNT).await;
    for words in [
        "A line of the balance from 10 Nov 2026 to 24 Nov 2026: $25 are left.",
        ">about $0 on 6 Dec<",
        "balance until 24 Nov",
    ] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    campus
        .set(|settings| settings.people.faculty = vec![address("faye")])
        .await;
    let faye = campus.student("faye").await;
    let warnings = async |reader: &Visitor| reader.get(ID).await.texts("warning").join(" ");
    assert!(!warnings(&admin).await.contains("could still cost"));
    let reading = BalanceReading {
        as_of: campus.clock.now() + SignedDuration::from_hours(1),
        bought: Usd::from_dollars(25),
        spent: Usd::from_dollars(12),
        failing_since: None,
    };
    campus.table.set(&reading, soon()).await.unwrap();
    assert!(
        warnings(&admin)
            .await
            .contains("could still cost $20.00, and the account's balance is $13.00")
    );
    assert!(
        !warnings(&faye).await.contains("could still cost"),
        "only admins see the account"
    );
    campus.finish_unjudged().await;
}

/// A sync's state with thirty keys that the safety limit held back at this moment.
pub(crate) async fn held_back(campus: &Campus, at: Option<Moment>) {
    let held = |at| HeldBack {
        held_at: at,
        sweeps: 30,
        recoveries: 0,
        stops: 0,
        bound: 5,
        keys: BTreeSet::new(),
        release: None,
    };
    let state = SyncState {
        held_back: at.map(held),
        ..campus.table.sync_state().await.unwrap()
    };
    conclude(&campus.table, state).await;
}

#[tokio::test]
async fn an_admin_releases_what_the_page_showed() {
    let campus = Campus::open().await;
    let admin = campus.admin().await;
    let now = campus.clock.now();
    held_back(&campus, Some(now - SignedDuration::from_hours(6))).await;
    let stale = admin.get(ACCOUNT).await;
    let warnings = stale.texts("warning").join(" ");
    assert!(
        warnings.contains("the safety limit held back 30 keys that nobody was shown"),
        "{warnings}"
    );
    // By now the safety limit has held back something else.
    held_back(&campus, Some(now)).await;
    let page = admin.get(ACCOUNT).await;
    let form = page.form(RELEASE);
    let with = |held| form.clone().filled(&[("held", held)]);
    let forms = [
        (stale.form(RELEASE), 409),
        (with(""), 422),
        (with("soon"), 422),
        (form.clone(), 303),
        (form.clone(), 303),
    ];
    for (form, status) in &forms {
        admin.send_form(form).await.expect(*status);
    }
    let seen = campus.judged().await;
    let person = campus
        .table
        .person_of(&address(ADMIN), soon())
        .await
        .unwrap();
    let [entry] = &seen.account_entries[..] else {
        panic!("{:?}", seen.account_entries)
    };
    assert_eq!(
        (entry.what.act, &entry.actor),
        (Act::SafetyLimitReleased, &Actor::Person(person.clone()))
    );
    assert_eq!(
        campus
            .table
            .sync_state()
            .await
            .unwrap()
            .held_back
            .unwrap()
            .release
            .unwrap()
            .actor,
        person
    );
    assert!(
        admin
            .get(ACCOUNT)
            .await
            .body
            .contains("admin@example.edu released what the safety limit held back")
    );
    // The next sync has done it, and the form is sent again.
    held_back(&campus, None).await;
    for (form, status) in [&forms[4], &forms[0]] {
        admin.send_form(form).await.expect(*status);
    }
    assert_eq!(campus.judged().await.account_entries.len(), 1);
    campus.finish().await;
}
