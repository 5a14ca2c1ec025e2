//! Least privilege: what a stack holds at its end, and the item that any function may have to make.

use std::collections::BTreeSet;

use bursar_core::domain::sign_in::{Session, SignIn};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::token::{LinkToken, SessionToken};
use bursar_core::store::{Link, Meta};
use bursar_local::invoke::FunctionName::{Claim, Console, Mail, ThresholdAlerts, UsageSync};
use bursar_tests::campus::Campus;
use bursar_tests::permissions::{Used, is_allowed, used};
use serde_json::json;

#[tokio::test]
async fn whichever_function_is_first_makes_the_deployment() {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students(&["ada"]).await;
    let ada = campus.student("ada").await;
    let meta = Meta::key_of();
    for first in [Mail, ThresholdAlerts, UsageSync, Claim] {
        campus.raw().delete(&meta.pk, &meta.sk).await;
        match first {
            Mail => drop(campus.run(first, json!({"task": "drain"})).await.unwrap()),
            ThresholdAlerts => drop(campus.look().await),
            UsageSync => drop(campus.sync().await),
            _ => drop(campus.reveal(&ada).await),
        }
        assert!(
            campus.table.get(Meta::key_of()).await.unwrap().is_some(),
            "{first}"
        );
        // What the end of each stack is held by is seen: the calls of each function, by their
        // parts.
        let put = Used {
            function: first,
            action: "dynamodb:PutItem".to_owned(),
            on: Some(("", "META".to_owned())),
            attributes: BTreeSet::new(),
        };
        assert!(used(&campus).contains(&put), "{put:?}");
    }
    campus.finish().await;
}

/// Whoever may write a session, or the link or code that makes one, can be anybody; and what a
/// programme allows, and who is an admin, is the console's to write.
#[test]
fn who_never_signs_in_forges_none() {
    let address = EmailAddress::parse("ada@example.edu").unwrap();
    let keys = [
        SignIn::key_of(address.matched()).pk.clone(),
        Link::key_of(&LinkToken::generate().hash()).pk.clone(),
        Session::key_of(&SessionToken::generate().hash()).pk.clone(),
    ];
    for (function, may) in [
        (Claim, true),
        (Console, true),
        (UsageSync, false),
        (ThresholdAlerts, false),
    ] {
        for key in &keys {
            let put = Used {
                function,
                action: "dynamodb:PutItem".to_owned(),
                on: Some(("", key.clone())),
                attributes: BTreeSet::new(),
            };
            assert_eq!(is_allowed(&put), may, "{put:?}");
        }
    }
    let alone = [
        (Console, true),
        (UsageSync, false),
        (ThresholdAlerts, false),
        (Mail, false),
        (Claim, false),
    ];
    for (function, may) in alone {
        for key in ["PROGRAMMES", "ADMINS"] {
            let put = Used {
                function,
                action: "dynamodb:PutItem".to_owned(),
                on: Some(("", key.to_owned())),
                attributes: BTreeSet::new(),
            };
            assert_eq!(is_allowed(&put), may, "{put:?}");
        }
    }
}

/// What strangers reach says how far somebody has come, and nothing else of a grant or a programme.
#[test]
fn mail_writes_stages_alone() {
    for (partition, attribute, may) in [
        ("G#", "stage", true),
        ("G#", "state", false),
        ("G#", "own_cap", false),
        ("P#", "asked", true),
        ("P#", "reserved", false),
        ("P#", "stage", false),
        ("PROGRAMMES", "version", false),
    ] {
        let attributes = ["pk", "sk", attribute].map(str::to_owned).into();
        let on = Some(("", partition.to_owned()));
        let update = Used {
            function: Mail,
            action: "dynamodb:UpdateItem".to_owned(),
            on,
            attributes,
        };
        assert_eq!(is_allowed(&update), may, "{update:?}");
        let put = Used {
            action: "dynamodb:PutItem".to_owned(),
            ..update
        };
        assert!(!is_allowed(&put), "{put:?}");
    }
}
