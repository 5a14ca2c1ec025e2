//! Mails that are no longer true or wanted when they would be sent: they are dropped, which is no
//! failure.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{HoldKind, Rule, Stopped, StudentNotice, View};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::window::Reset;
use bursar_core::store::Meta;
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Fault as MailFault;
use bursar_tests::campus::{Campus, address};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::soon;

use serde_json::json;

use super::{became, kinds, later, postponed::follow, state, states};

/// Somebody with a key, of which so much is used that a mail about the cap waits.
async fn spends(campus: &mut Campus, names: &[&str]) {
    campus.students_with_keys(names).await;
    names.iter().for_each(|name| campus.spend(name, "17"));
    campus.minutes(20);
    campus.sync().await;
    campus.delivered().await;
    campus.all_mails();
}

#[tokio::test]
async fn mails_about_a_cap() {
    let names = ["revoked", "dropped", "unreached", "unwilling", "used"];
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    spends(&mut campus, &names).await;
    let table = &campus.table;
    table
        .act(campus.on("revoked"), |view, _| {
            view.revoke(&Actor::Rule, None)
        })
        .await
        .unwrap();
    let drop = async |name| {
        table
            .act(campus.on(name), |view, now| {
                view.hold(HoldKind::Dropped, &Actor::Rule, None, now)
            })
            .await
            .unwrap();
    };
    drop("dropped").await;
    campus.unreachable("unreached").await;
    table
        .choose_mails(address("unwilling").matched(), None, Some(false), soon())
        .await
        .unwrap();
    campus.drain().await;
    for name in &names[1..] {
        let state = if *name == "used" { "Sent" } else { "Dropped" };
        assert_eq!(
            became(&campus, name, MailKind::Student).await,
            state,
            "{name}"
        );
    }
    let of_revoked = campus
        .table
        .mails_of(&campus.programme, campus.id("revoked"))
        .await
        .unwrap();
    assert!(
        of_revoked
            .iter()
            .any(|row| row.mail.facts().kind == MailKind::Student && state(row) == "Dropped")
    );
    let mails = campus.mails("student");
    // Who was removed hears of that.
    let [mail] = &mails
        .iter()
        .filter(|mail| mail.to != "revoked@example.edu")
        .collect::<Vec<_>>()[..]
    else {
        panic!("there is not just one")
    };
    let choice = format!("{}/my#mails", campus.ready.web);
    assert_eq!(
        mail.contents.headers["List-Unsubscribe"],
        format!("<{choice}>")
    );
    assert!(
        mail.contents
            .text
            .as_ref()
            .unwrap()
            .contains(&format!("which of these mails you get: {choice}"))
    );

    campus.programme("Silent", |_| {}).await;
    spends(&mut campus, &["ann"]).await;
    campus
        .set(|settings| settings.mails.student_mails = false)
        .await;
    campus.drain().await;
    assert_eq!(became(&campus, "ann", MailKind::Student).await, "Dropped");
    // No mail can be sent until the week is over.
    campus
        .programme("Weekly", |settings| settings.basis.reset = Reset::Weekly)
        .await;
    spends(&mut campus, &["ben"]).await;
    campus
        .clock
        .stop_at("2026-11-16T00:00:00Z".parse().unwrap())
        .unwrap();
    campus.drain().await;
    assert_eq!(became(&campus, "ben", MailKind::Student).await, "Dropped");
    campus.finish().await;
}

#[tokio::test]
async fn notices() {
    let mut campus = Campus::open().await;
    campus
        .programme("CS pilot", |settings| {
            settings.claims.unused_after_days = Some(1);
        })
        .await;
    campus.students_with_keys(&["ada", "bob"]).await;
    for name in ["ada", "bob"] {
        assert_eq!(
            follow(&campus, name).await,
            Some(Rule::Announce(StudentNotice::UnusedSoon))
        );
    }
    let stopped = |view: &View, _| view.stop(Stopped::GoneAtProvider, &Actor::Sync);
    campus.table.act(campus.on("ada"), stopped).await.unwrap();
    // Of a rule everybody hears who gets no reminders.
    campus
        .set(|settings| settings.mails.student_mails = false)
        .await;
    campus
        .table
        .choose_mails(address("bob").matched(), None, Some(false), soon())
        .await
        .unwrap();
    campus.drain().await;
    assert_eq!(became(&campus, "ada", MailKind::Student).await, "Dropped");
    let [mail] = &campus.mails("student")[..] else {
        panic!("there is not just one")
    };
    assert_eq!(
        (&*mail.to, mail.contents.headers.get("List-Unsubscribe")),
        ("bob@example.edu", None)
    );

    campus.programme("Maths", |_| {}).await;
    campus.students_with_keys(&["cid"]).await;
    campus
        .clock
        .stop_at("2027-02-03T08:00:00Z".parse().unwrap())
        .unwrap();
    assert_eq!(
        follow(&campus, "cid").await,
        Some(Rule::Announce(StudentNotice::TermEndSoon))
    );
    campus
        .set(|settings| settings.mails.student_mails = false)
        .await;
    campus.drain().await;
    assert_eq!(became(&campus, "cid", MailKind::Student).await, "Dropped");
    campus.finish().await;
}

#[tokio::test]
async fn roster_mails_unless_sent_by_hand() {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students(&["ada", "bob", "cid"]).await;
    campus.reveal(&campus.student("ada").await).await;
    let dropped = campus.table.act(campus.on("bob"), |view, now| {
        view.hold(HoldKind::Dropped, &Actor::Sync, None, now)
    });
    dropped.await.unwrap();
    let now = campus.clock.now();
    campus
        .set(|settings| settings.claims.claim_closes_at = Some(now))
        .await;
    campus.settle().await;
    assert_eq!(
        (kinds(&campus), states(&campus, MailKind::Roster).await),
        (vec!["key-shown".to_owned()], vec!["Dropped".to_owned(); 3])
    );
    for name in ["ada", "cid"] {
        campus.resend(name).await;
    }
    campus.settle().await;
    assert_eq!(kinds(&campus), ["roster", "roster"]);
    campus.finish().await;
}

/// The mail server takes nothing while faculty changes, even back; then it does, and who hears now
/// is told once, whatever is repeated or killed.
#[tokio::test]
async fn an_alert_goes_to_who_hears_when_it_is_sent() {
    let mut campus = Campus::open().await;
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = ["frida", "gus"].map(address).to_vec();
            settings.mails.thresholds = vec![25];
        })
        .await;
    campus.budget(60).await;
    campus.students_with_keys(&["ada"]).await;
    campus.spend("ada", "17");
    campus.minutes(20);
    campus.ses.fail_next(MailFault::Throttle, 1_000, None);
    campus.sync().await;
    campus.settle().await;
    let admin = campus.admin().await;
    let alerts = async || {
        let page = admin.get(&campus.console("/alerts")).await;
        let [whom, outcomes] =
            ["data-recipient", "data-outcome"].map(|name| page.attributes("alert", name));
        let mut alerts: Vec<_> = whom
            .iter()
            .zip(outcomes)
            .map(|(to, outcome)| format!("{to} {outcome}"))
            .collect();
        alerts.sort();
        alerts.join(", ").replace("@example.edu", "")
    };
    assert_eq!(alerts().await, "frida waiting, gus waiting");
    for (faculty, expected) in [
        (&["ben"][..], "ben waiting, frida failed, gus failed"),
        (&["frida"], "ben failed, frida waiting, gus failed"),
        (&[], "admin waiting, ben failed, frida failed, gus failed"),
        (
            &["ben", "cat"],
            "admin failed, ben waiting, cat waiting, frida failed, gus failed",
        ),
    ] {
        campus
            .set(|settings| {
                settings.people.faculty = faculty.iter().map(|name| address(name)).collect();
            })
            .await;
        let write = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Mail);
        campus.gate.at(write, Fault::KillAfter);
        campus.minutes(16);
        assert!(
            campus
                .run(FunctionName::Mail, json!({"task": "drain"}))
                .await
                .is_err()
        );
        later(&campus, 16).await;
        assert_eq!(alerts().await, expected);
    }
    campus.ses.lift_faults(None);
    later(&campus, 16).await;
    let to: Vec<_> = campus
        .mails("alert")
        .into_iter()
        .map(|mail| mail.to)
        .collect();
    assert_eq!(to, ["ben@example.edu", "cat@example.edu"]);
    let page = admin.get(&campus.console("/alerts")).await;
    assert!(
        page.body
            .contains("hear of this programme&#39;s alerts any more"),
        "{}",
        page.body
    );
    campus.finish_faulted().await;
}

/// A restored table: what it owes from before its last run may have been sent since.
#[tokio::test]
async fn mails_from_before_a_restore() {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students(&["ada"]).await;
    campus.sync().await;
    campus.minutes(1);
    campus.students(&["bob"]).await;
    let meta = campus.table.meta(campus.clock.now()).await.unwrap();
    campus
        .raw()
        .keep(&Meta {
            table: "the-one-before".to_owned(),
            ..meta
        })
        .await;
    campus.settle().await;
    let to: Vec<_> = campus
        .mails("roster")
        .into_iter()
        .map(|mail| mail.to)
        .collect();
    assert_eq!(to, ["bob@example.edu"]);
    // After the recovery it is a table like any other.
    campus.table.adopt(soon()).await.unwrap();
    campus.students(&["cid"]).await;
    campus.settle().await;
    assert_eq!(kinds(&campus), ["roster"]);
    assert_eq!(became(&campus, "ada", MailKind::Roster).await, "Dropped");
    campus.finish().await;
}
