//! Admins whom an admin adds: with every right from the next request on, and out of their sessions
//! with the press that removes them.

use bursar_core::domain::audit::{Act, AuditEntry};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::token::RegistrarToken;
use bursar_core::store::RosterToken;
use bursar_tests::campus::ADMIN;
use bursar_tests::visitor::{Page, Visitor};

use super::*;

const ADMINS: &str = "/console/admins";

async fn change(admin: &Visitor, act: &str, email: &str) -> Page {
    let csrf = admin.get("/my").await.csrf();
    admin
        .post(ADMINS, &[("csrf", &csrf), ("act", act), ("email", email)])
        .await
}

fn shown(account: &Page) -> Vec<(String, String)> {
    let of = |name| {
        account
            .all("admin")
            .iter()
            .map(|admin| admin.get(name).to_owned())
            .collect::<Vec<_>>()
    };
    of("data-email").into_iter().zip(of("data-from")).collect()
}

/// Who got which mail about an admin since the last call.
async fn told(campus: &Campus) -> Vec<(String, String)> {
    campus.settle().await;
    campus
        .mails("account")
        .into_iter()
        .map(|mail| (mail.to, mail.contents.subject))
        .collect()
}

#[tokio::test]
async fn an_admin_is_added_and_removed_at_once() {
    let mut campus = staffed().await;
    campus.students(&["eve"]).await;
    let (admin, faye, eve) = (
        campus.admin().await,
        campus.student("faye").await,
        campus.student("eve").await,
    );
    eve.get(ACCOUNT).await.expect(404);
    campus.settle().await;
    campus.all_mails();

    // Two presses are one change. The session from before has the right too, and its person is
    // named in the audit.
    for _ in 0..2 {
        assert_eq!(
            change(&admin, "add", " eve@example.edu ")
                .await
                .expect(303)
                .location(),
            Some("/console/account")
        );
    }
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    let account = eve.get(ACCOUNT).await.expect(200);
    assert_eq!(
        shown(&account),
        [pair(ADMIN, "environment"), pair("eve@example.edu", "table")]
    );
    let subject = "eve@example.edu is an admin of Bursar";
    assert_eq!(
        told(&campus).await,
        [pair(ADMIN, subject), pair("eve@example.edu", subject)]
    );
    change(&eve, "add", "faye@example.edu").await.expect(303);
    faye.get(ACCOUNT).await.expect(200);
    campus.settle().await;
    let [to_admin, _, _] = &campus.mails("account")[..] else {
        panic!("three are told")
    };
    let text = to_admin.contents.text.as_deref().unwrap();
    let lines: Vec<_> = text
        .lines()
        .take_while(|line| *line != "Open the list of admins:")
        .collect();
    let lines = lines.into_iter().filter(|line| !line.starts_with("When: "));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n").trim(), @"
    faye@example.edu is an admin of Bursar

    By: eve@example.edu

    An admin can do everything with every programme and with the account. If this is not right, remove them on the account page.
    ");

    // One who signs in as an admin has the longer session.
    campus.minutes(40);
    let again = campus.student("eve").await;
    campus.minutes(40);
    change(&again, "remove", ADMIN).await.expect(409);
    // More registrar's tokens of hers than fit one transaction.
    let by = campus
        .table
        .person_of(&address("eve"), campus.by().deadline)
        .await
        .unwrap();
    for number in 0..105 {
        let programme = campus.programme(&format!("P{number}"), |_| {}).await;
        let hash = RegistrarToken::generate().hash();
        let (made_by, made_at) = (by.clone(), campus.clock.now());
        let token = RosterToken {
            programme,
            hash,
            made_by,
            made_at,
            last_used_at: None,
        };
        campus
            .table
            .set_roster_token(&token, campus.by())
            .await
            .unwrap();
    }
    for _ in 0..2 {
        change(&campus.admin().await, "remove", "Eve@example.edu")
            .await
            .expect(303);
    }
    assert_eq!(
        again.get("/console").await.expect(303).location(),
        Some("/")
    );
    let subject = "eve@example.edu is no longer an admin of Bursar";
    let [one, two, three] = &told(&campus).await[..] else {
        panic!("three are told")
    };
    assert!([one, two, three].iter().all(|mail| mail.1 == subject));
    campus.student("eve").await.get(ACCOUNT).await.expect(404);
    for programme in campus.table.list(Programme::all()).await.unwrap() {
        assert_eq!(
            campus
                .table
                .get(RosterToken::key_of(&programme.id))
                .await
                .unwrap(),
            None,
            "{}",
            programme.id
        );
    }
    campus.student("faye").await.get(ACCOUNT).await.expect(200);

    let entries = campus.table.list(AuditEntry::of_account()).await.unwrap();
    let acts: Vec<_> = entries.into_iter().map(|entry| entry.what.act).collect();
    assert_eq!(acts, [Act::AdminAdded, Act::AdminAdded, Act::AdminRemoved]);
    campus.finish().await;
}

/// An admin is added by somebody who signed in just now, and with an address that mail reaches.
#[tokio::test]
async fn only_fresh_sign_ins_add_admins() {
    let campus = staffed().await;
    campus.unreachable("gone").await;
    let (admin, faye) = (campus.admin().await, campus.student("faye").await);
    for wrong in ["", "eve", "gone@example.edu"] {
        let page = change(&admin, "add", wrong).await.expect(422);
        assert_eq!(
            page.form(ADMINS).value("email"),
            Some(wrong),
            "{}",
            page.readable()
        );
        assert!(page.readable().contains("address"), "{}", page.readable());
    }
    change(&admin, "", "eve@example.edu").await.expect(422);
    change(&faye, "add", "faye@example.edu").await.expect(404);
    campus.minutes(10);
    assert_eq!(
        change(&admin, "add", "eve@example.edu")
            .await
            .expect(303)
            .location(),
        Some("/")
    );
    change(&admin, "add", ADMIN).await.expect(303);
    let account = campus.admin().await.get(ACCOUNT).await.expect(200);
    assert_eq!(
        shown(&account),
        [(ADMIN.to_owned(), "environment".to_owned())]
    );
    change(&campus.admin().await, "add", "eve@example.edu")
        .await
        .expect(303);
    assert_eq!(shown(&admin.get(ACCOUNT).await).len(), 2);
    campus.finish().await;
}
