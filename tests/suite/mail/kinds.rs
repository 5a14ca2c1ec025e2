//! Each kind of mail, from its cause to its reader.

use std::collections::BTreeSet;

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::Stopped;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::sign_in::{Session, SignInMethod};
use bursar_core::domain::sign_on::{BindingProof, Identity, SignOnBinding};
use bursar_core::domain::values::token::SessionToken;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{AskedOfAdmins, RosterChanges, RosterPreview, WAITS_FOR};
use bursar_local::invoke::FunctionName;
use bursar_tests::campus::{ADMIN, Campus, address};
use bursar_tests::office::soon;
use serde_json::json;
use ulid::Ulid;

#[tokio::test]
async fn each_kind_of_mail_reaches_its_reader() {
    let mut campus = Campus::at("2026-11-20T10:00:00Z").await;
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = vec![address("frida")];
            settings.people.finance = vec![address("fin")];
        })
        .await;
    campus.students(&["ada"]).await;
    campus.settle().await;
    campus.keys().await;
    campus.sync().await;
    campus.budget(20).await;
    campus.spend("ada", "16.80");
    campus.minutes(20);
    campus.sync().await;
    campus.ask(ADMIN).await;
    let (admin, now) = (
        campus
            .table
            .person_of(&address(ADMIN), soon())
            .await
            .unwrap(),
        campus.clock.now(),
    );
    campus
        .table
        .tell_admins(&Alarm::now(Cause::ManagementKey, now), now, soon())
        .await
        .unwrap();
    let asked = AskedOfAdmins::Close;
    assert!(
        campus
            .table
            .ask_admins(&campus.programme, &admin, &asked, now, soon())
            .await
            .unwrap()
    );
    assert!(
        campus
            .table
            .test_alert(&campus.programme, &admin, now, soon())
            .await
            .unwrap()
    );
    let programme = campus
        .table
        .get(Programme::key_of(&campus.programme))
        .await
        .unwrap()
        .unwrap();
    let waiting = RosterPreview {
        import: Ulid::nil(),
        programme: campus.programme.clone(),
        until: now + WAITS_FOR,
        replaces: true,
        email_column: None,
        roster: String::new(),
        rows: String::new(),
        why: vec!["It changes the address of 1 person.".to_owned()],
    };
    let changes = RosterChanges::default();
    let mails = campus
        .table
        .mails_about_import(&programme, Some(waiting.import), changes, now, soon())
        .await
        .unwrap();
    campus
        .table
        .keep_preview(&waiting, b"email", &mails, soon())
        .await
        .unwrap();
    let bound = address("ada").matched().clone();
    let binding = SignOnBinding {
        identity: Identity::new("https://login.example.edu", "ada"),
        address: bound.clone(),
        proof: BindingProof::Code,
        bound_at: now,
    };
    let before = campus.table.sign_in_of(&bound).await.unwrap();
    let after = before.record_vouching(now);
    let session = Session::new(
        SessionToken::generate().hash(),
        &after,
        SignInMethod::SignOn,
        None,
        now,
    );
    campus
        .table
        .sign_in(&before, &after, &session, (None, Some(&binding)), soon())
        .await
        .unwrap();
    let end = (utc_date(now), false);
    assert!(
        campus
            .table
            .tell_of_model_end(&programme, "a/model", end, now, soon())
            .await
            .unwrap()
    );
    campus.settle().await;
    campus
        .table
        .act(campus.on("ada"), |view, _| {
            view.stop(Stopped::Leaked, &Actor::Student)
        })
        .await
        .unwrap();
    campus.minutes(3 * 24 * 60);
    campus
        .run(FunctionName::ThresholdAlerts, json!({"task": "digest"}))
        .await
        .unwrap();
    campus.sync().await;
    campus.minutes(10 * 24 * 60);
    campus.sync().await;
    campus.look().await;
    campus.settle().await;

    let mails = campus.all_mails();
    let sent: BTreeSet<_> = mails
        .iter()
        .map(|mail| (mail.contents.kind.as_deref().unwrap(), &*mail.to))
        .collect();
    let kinds: BTreeSet<_> = sent.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, MailKind::ALL.map(MailKind::as_str).into());
    insta::assert_snapshot!(sent.iter().map(|(kind, to)| format!("{kind}: {to}")).collect::<Vec<_>>().join("\n"), @"
    account: admin@example.edu
    alert: frida@example.edu
    digest: frida@example.edu
    import: frida@example.edu
    key-leaked: ada@example.edu
    key-shown: ada@example.edu
    link: admin@example.edu
    model: frida@example.edu
    request: admin@example.edu
    roster: ada@example.edu
    sign-on: ada@example.edu
    statement: fin@example.edu
    student: ada@example.edu
    test: admin@example.edu
    ");
    assert!(
        campus
            .ses
            .mails()
            .iter()
            .all(|mail| mail.configuration_set.as_deref() == Some("bursar"))
    );
    campus.finish().await;
}
