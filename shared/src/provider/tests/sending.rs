//! Tries, waits, the management key and what reaches the log.

use std::time::Duration;

use super::super::guardrails::GuardrailRules;
use super::super::keys::KeyPatch;
use super::*;
use crate::clock::Clock;
use crate::config;
use crate::deadline::Deadline;
use crate::domain::programme::rules::Rules;
use crate::domain::values::money::Usd;
use crate::log::Written;
use crate::provider::wire::calls;

fn found() -> ScriptedAct {
    answer(200, &json!({"data": key_json(1)}).to_string())
}

#[tokio::test]
async fn reads_are_repeated_and_nothing_else_is() {
    let faults: [fn() -> ScriptedAct; 9] = [
        || ScriptedAct::Drop,
        || answer(500, &error_json(500, "oops")),
        || answer(503, ""),
        || answer(429, &error_json(429, "slow down")),
        || answer(524, "<html></html>"),
        || answer(409, &error_json(409, "concurrent modification")),
        || answer(404, "<html>no such page</html>"),
        || answer(200, "<html>busy</html>"),
        || found().cut_after(100),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let (server, provider, waits) =
            scripted(move |_, before| if before < 2 { fault() } else { found() }).await;
        let read = provider.get_key(&hash(1), soon()).await;
        assert!(matches!(read, Ok(Some(_))), "fault {number}: {read:?}");
        assert_eq!(
            (server.seen().len(), waits.lock().unwrap().len()),
            (3, 2),
            "fault {number}"
        );

        let (server, provider, _) = scripted(move |_, _| fault()).await;
        let rules = GuardrailRules {
            name: "r".to_owned(),
            rules: Rules::default(),
        };
        for patch in [
            KeyPatch::disabled(true),
            KeyPatch::disabled(false),
            KeyPatch::limit(Some(Usd::CENT)),
        ] {
            assert!(provider.patch_key(&hash(1), patch, soon()).await.is_err());
        }
        assert!(
            provider
                .patch_guardrail("g-1", &rules, soon())
                .await
                .is_err()
        );
        assert!(provider.assign_key("g-1", &hash(1), soon()).await.is_err());
        assert!(provider.create_key(&new_key(), soon()).await.is_err());
        assert_eq!(server.seen().len(), 6, "fault {number}");
        _ = provider.delete_key(&hash(1), soon()).await;
        assert_eq!(server.seen().len(), 7, "fault {number}");
    }
}

#[tokio::test]
async fn a_read_that_hangs_is_given_up_after_its_time_and_tried_again() {
    let (server, provider, _) = scripted(|_, before| {
        if before == 0 {
            ScriptedAct::Hang
        } else {
            found()
        }
    })
    .await;
    let asked = tokio::spawn(async move { provider.get_key(&hash(1), soon()).await });
    server.arrived(1).await;
    tokio::time::pause();
    tokio::time::advance(calls::GET_KEY.time_out).await;
    tokio::time::resume();
    assert!(asked.await.unwrap().is_ok());
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn tries_end_and_the_last_fault_is_told() {
    let (server, provider, waits) = scripted(|_, _| answer(500, &error_json(500, "oops"))).await;
    let error = provider.get_key(&hash(1), soon()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the outcome is not known: get key: status 500, oops"
    );
    assert_eq!(server.seen().len(), 6);
    let waits = waits.lock().unwrap();
    assert!(
        waits[0] >= Duration::from_millis(250) && waits.is_sorted(),
        "{waits:?}"
    );
}

#[tokio::test]
async fn a_refusal_is_not_tried_again_and_a_redirect_is_not_followed() {
    let (server, provider) = answering(400, error_json(400, "No update fields provided")).await;
    let error = provider
        .patch_key(&hash(1), KeyPatch::disabled(true), soon())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, &*error.trouble.message),
        (FailureKind::Refused, "No update fields provided")
    );
    assert_eq!(server.seen().len(), 1);

    let (server, provider, _) =
        scripted(|_, _| answer(308, "").with("location", "/elsewhere")).await;
    assert_eq!(
        ending(
            &provider
                .patch_key(&hash(1), KeyPatch::disabled(true), soon())
                .await
        ),
        "unknown"
    );
    assert!(
        server
            .lines()
            .iter()
            .all(|line| line.ends_with(hash(1).as_str())),
        "{:?}",
        server.lines()
    );
}

/// A wait that the provider asks for applies to every caller and uses up no attempt.
#[tokio::test]
async fn asked_waits_cost_no_try() {
    let (server, provider, waits) = scripted(|_, before| match before {
        0..12 => answer(429, "").with("retry-after", "7"),
        _ => found(),
    })
    .await;
    provider
        .get_key(&hash(1), Deadline::after(Duration::from_secs(600)))
        .await
        .unwrap();
    assert_eq!(server.seen().len(), 13);
    provider.clone().get_key(&hash(1), soon()).await.unwrap();
    let waits = waits.lock().unwrap();
    assert_eq!(waits.len(), 13);
    assert!(
        waits
            .iter()
            .all(|wait| (Duration::from_secs(6)..Duration::from_secs(9)).contains(wait)),
        "{waits:?}"
    );
}

#[tokio::test]
async fn a_wait_is_believed_for_minutes_and_a_disable_passes_it() {
    let off = json!({"data": key_json_with(1, &json!({"disabled": true}))}).to_string();
    let (server, provider, waits) = scripted(move |_, before| match before {
        0 => answer(429, "").with("retry-after", "86400"),
        _ => answer(200, &off),
    })
    .await;
    let refused = provider
        .patch_key(&hash(1), KeyPatch::disabled(false), soon())
        .await
        .unwrap_err();
    assert_eq!(refused.after, Some(Duration::from_secs(300)));
    assert!(
        provider
            .patch_key(&hash(1), KeyPatch::limit(Some(Usd::CENT)), soon())
            .await
            .is_err(),
        "not asked"
    );
    assert!(
        provider
            .patch_key(&hash(1), KeyPatch::disabled(true), soon())
            .await
            .is_ok()
    );
    assert_eq!((server.seen().len(), waits.lock().unwrap().len()), (2, 0));
}

/// No request is sent and no wait is begun that does not fit before the deadline.
#[tokio::test]
async fn nothing_passes_a_deadline() {
    let (server, provider, waits) =
        scripted(|_, _| answer(429, "").with("retry-after", "30")).await;
    assert_eq!(
        ending(
            &provider
                .get_key(&hash(1), Deadline::after(Duration::ZERO))
                .await
        ),
        "later"
    );
    assert!(server.seen().is_empty());
    let error = provider
        .get_key(&hash(1), Deadline::after(Duration::from_secs(20)))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.after),
        (FailureKind::Later, Some(Duration::from_secs(30)))
    );
    assert_eq!((server.seen().len(), waits.lock().unwrap().len()), (1, 0));
}

/// A key counts as deleted only when the provider itself says so, and this holds for every call.
#[tokio::test]
async fn only_the_provider_says_gone() {
    let (_server, provider) = answering(404, error_json(404, "not found")).await;
    assert!(matches!(provider.get_key(&hash(1), soon()).await, Ok(None)));
    assert!(matches!(
        provider
            .patch_key(&hash(1), KeyPatch::disabled(true), soon())
            .await,
        Ok(None)
    ));
    assert!(matches!(
        provider.delete_key(&hash(1), soon()).await,
        Ok(false)
    ));

    let (_server, provider) = answering(404, "<html>no such page</html>").await;
    assert_eq!(ending(&provider.get_key(&hash(1), soon()).await), "unknown");
    assert_eq!(
        ending(&provider.delete_key(&hash(1), soon()).await),
        "unknown"
    );
}

/// A deletion is accepted by its status unless the response body contradicts it.
#[tokio::test]
async fn status_confirms_a_deletion() {
    for (body, expected) in [
        (r#"{"deleted":true}"#, "done"),
        ("", "done"),
        (r#"{"deleted":false}"#, "unknown"),
    ] {
        let (server, provider) = answering(200, body).await;
        assert_eq!(
            ending(&provider.delete_key(&hash(1), soon()).await),
            expected,
            "{body}"
        );
        assert!(server.lines()[0].starts_with("DELETE /api/v1/keys/000"));
    }
}

#[tokio::test]
async fn a_disable_that_is_answered_with_an_enabled_key_was_not_done() {
    let (server, provider, _) = scripted(|_, before| {
        let disabled = before > 0;
        answer(
            200,
            &json!({"data": key_json_with(1, &json!({"disabled": disabled}))}).to_string(),
        )
    })
    .await;
    let disable = async || {
        provider
            .patch_key(&hash(1), KeyPatch::disabled(true), soon())
            .await
    };
    assert_eq!(ending(&disable().await), "unknown");
    assert!(matches!(disable().await, Ok(Some(key)) if key.disabled));
    assert_eq!(server.seen()[0].body, r#"{"disabled":true}"#);
}

#[tokio::test]
async fn an_answer_about_another_key_is_not_believed() {
    let (_server, provider, _) = scripted(|_, _| found()).await;
    assert_eq!(ending(&provider.get_key(&hash(2), soon()).await), "unknown");
}

/// A provider that accepts one management key, and a Secrets Manager that answers with each of
/// `secrets` in turn.
async fn deployed(
    taken: &'static str,
    secrets: &'static [&'static str],
) -> (Scripted, Scripted, Provider) {
    let server = Scripted::start(move |request, _| {
        if request.header("authorization") != Some(&format!("Bearer {taken}")) {
            return answer(401, &error_json(401, "User not found."));
        }
        if request.method == "POST" {
            answer(201, &created_json())
        } else {
            found()
        }
    })
    .await;
    let vault = Scripted::start(move |_, before| {
        let text = secrets[before.min(secrets.len() - 1)];
        answer(
            200,
            &json!({"SecretString": text, "VersionId": "v", "Name": "s"}).to_string(),
        )
    })
    .await;
    let config = config::of_variables(
        &vault.origin(),
        &[("OPENROUTER_BASE_URL", &server.origin())],
    )
    .unwrap();
    let provider = Provider::new(&config, &Clock::system());
    (server, vault, provider)
}

/// A refused management key is read again once, and every call is repeated with the new one.
#[tokio::test]
async fn a_refused_key_is_reread_once() {
    let (server, vault, provider) =
        deployed("sk-or-v1-new", &["sk-or-v1-old\n", "sk-or-v1-new\n"]).await;
    assert!(matches!(
        provider.get_key(&hash(1), soon()).await,
        Ok(Some(_))
    ));
    assert_eq!((server.seen().len(), vault.seen().len()), (2, 2));
    provider.get_key(&hash(1), soon()).await.unwrap();
    assert_eq!((server.seen().len(), vault.seen().len()), (3, 2));

    // A creation that was refused for its key did nothing.
    let (server, vault, provider) =
        deployed("sk-or-v1-new", &["sk-or-v1-old", "sk-or-v1-new"]).await;
    assert_eq!(
        ending(&provider.create_key(&new_key(), soon()).await),
        "done"
    );
    assert_eq!((server.seen().len(), vault.seen().len()), (2, 2));
    let (server, _vault, provider) = deployed("sk-or-v1-new", &["sk-or-v1-old"]).await;
    assert_eq!(
        ending(&provider.create_key(&new_key(), soon()).await),
        "management key"
    );
    assert_eq!(
        server.lines(),
        ["POST /keys", "GET /key"],
        "with the same key it is not sent again"
    );

    let (server, _vault, provider) = deployed("sk-or-v1-new", &["two words"]).await;
    assert_eq!(
        ending(&provider.get_key(&hash(1), soon()).await),
        "management key"
    );
    assert!(
        server.seen().is_empty(),
        "a secret without a key asks nothing"
    );
}

#[tokio::test]
async fn a_single_refusal_says_nothing_of_a_management_key_that_works() {
    let odd: [fn() -> ScriptedAct; 3] = [
        || answer(401, &error_json(401, "User not found.")),
        || {
            answer(
                403,
                &error_json(403, "Only management keys can perform this operation"),
            )
        },
        || answer(403, "<html>Attention Required</html>").with("content-type", "text/html"),
    ];
    for odd in odd {
        let own = json!({"data": {"label": "sk-or-v1-0e6...1c96", "is_management_key": true}})
            .to_string();
        let (server, provider, waits) =
            scripted(move |seen, before| match seen.target.ends_with("/key") {
                true => answer(200, &own),
                false if before == 0 || seen.method == "POST" => odd(),
                false => found(),
            })
            .await;
        assert!(matches!(
            provider.get_key(&hash(1), soon()).await,
            Ok(Some(_))
        ));
        assert_eq!((server.seen().len(), waits.lock().unwrap().len()), (3, 1));
        assert_eq!(
            ending(&provider.create_key(&new_key(), soon()).await),
            "later",
            "it is not sent twice"
        );
        assert_eq!(
            server
                .seen()
                .iter()
                .filter(|seen| seen.method == "POST")
                .count(),
            1
        );
    }
}

/// A log line names operation, status and request, and no secret reaches the log or an error.
#[tokio::test]
async fn no_secret_reaches_the_log() {
    let (written, _guard) = Written::begin();
    let leaky = error_json(400, &format!("no key {MANAGEMENT_KEY} or {PLAINTEXT}"));
    let acts = [
        (201, created_json(), ("x-request-id", "req-7")),
        (
            201,
            json!({"key": [PLAINTEXT], "data": {"hash": PLAINTEXT}}).to_string(),
            ("x", "x"),
        ),
        (
            201,
            json!({"key": PLAINTEXT, "data": PLAINTEXT}).to_string(),
            ("x", "x"),
        ),
        (201, PLAINTEXT.to_owned(), ("x", "x")),
        (400, leaky, ("cf-ray", "ray-9")),
        (403, MANAGEMENT_KEY.to_owned(), ("x", "x")),
    ];
    let mut told = String::new();
    let count = acts.len();
    let (_server, provider, _) = scripted(move |_, before| {
        let (status, body, (name, value)) = &acts[before.min(count - 1)];
        answer(*status, body).with(name, value)
    })
    .await;
    for _ in 0..count {
        match provider.create_key(&new_key(), soon()).await {
            Ok(created) => told.push_str(&format!("{created:?}")),
            Err(error) => told.push_str(&format!("{error} {error:?}")),
        }
    }
    let logged = written.text();
    for secret in [MANAGEMENT_KEY, PLAINTEXT, "bursar/d/p/g", "limit_reset"] {
        assert!(!told.contains(secret), "{secret} in {told}");
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
    let (lines, once_a_minute): (Vec<_>, Vec<_>) = written
        .lines()
        .partition(|line| line.get("operation").is_some());
    let [sums] = &once_a_minute[..] else {
        panic!("one line for this minute: {once_a_minute:?}")
    };
    assert_eq!((&sums["calls"], &sums["failed"]), (&json!(1), &json!(0)));
    assert_eq!(
        lines.len(),
        count + 1,
        "a refusal is believed when the key itself is refused"
    );
    assert_eq!(
        (&lines[0]["operation"], &lines[0]["status"]),
        (&json!("create key"), &json!(201))
    );
    assert_eq!(
        (&lines[0]["request_id"], &lines[4]["request_id"]),
        (&json!("req-7"), &json!("ray-9"))
    );
    assert!(told.contains("(request ray-9)"));
}
