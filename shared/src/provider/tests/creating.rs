//! The one call that must not be sent twice, and the one answer that must not be lost.

use super::*;

#[tokio::test]
async fn a_key_that_was_made_is_not_lost_over_the_shape_of_its_answer() {
    for (status, body) in [
        (201, json!({"key": PLAINTEXT, "data": key_json(1)})),
        (200, json!({"key": PLAINTEXT, "data": {"hash": hash(1)}})),
        (201, json!({"key": "", "data": {"hash": hash(1), "key": PLAINTEXT}})),
        (201, json!({"key": null, "data": {"hash": hash(1), "key": PLAINTEXT}})),
        (201, json!({"key": PLAINTEXT, "data": {"hash": hash(1), "usage": "none", "disabled": 0}})),
        (201, json!({"key": PLAINTEXT, "novel": [1], "data": key_json_with(1, &json!({"novel": {}}))})),
    ] {
        let (server, provider) = answering(status, &body).await;
        let created = provider.create_key(&new_key(), soon()).await.unwrap();
        assert_eq!((created.plaintext.reveal(), created.hash), (PLAINTEXT, hash(1)), "{body}");
        let sent = &server.seen()[0];
        assert_eq!(sent.line(), "POST /api/v1/keys");
        assert_eq!(sent.header("authorization"), Some("Bearer sk-or-v1-management"));
        assert_eq!(sent.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_shown_is_a_loud_error_that_names_it_for_disabling() {
    for (body, made) in [
        (json!({"data": key_json(1)}), Some(hash(1))),
        (json!({"key": "two words", "data": key_json(1)}), Some(hash(1))),
        (json!({"key": "", "data": {"hash": hash(1), "key": ["x"]}}), Some(hash(1))),
        (json!({"key": PLAINTEXT}), None),
        (json!({"key": PLAINTEXT, "data": {"hash": "nonsense"}}), None),
        (json!({"key": PLAINTEXT, "data": null}), None),
        (json!([]), None),
    ] {
        let (server, provider) = answering(201, &body).await;
        let error = provider.create_key(&new_key(), soon()).await.unwrap_err();
        assert!(matches!(&error, ProviderError::Unknown { made: told, .. } if *told == made), "{body}: {error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_key_without_the_limit_that_was_asked_for_is_never_shown() {
    for (listed, expected) in [
        (json!(null), "unknown"),
        (json!(20.01), "unknown"),
        (json!(1e300), "unknown"),
        (json!("20"), "unknown"),
        (json!(20), "done"),
        (json!(19.99), "done"),
        (json!(20.000_000_000_000_4), "done"),
    ] {
        let body = json!({"key": PLAINTEXT, "data": key_json_with(1, &json!({"limit": listed}))});
        let (_server, provider) = answering(201, body).await;
        assert_eq!(ending(&provider.create_key(&new_key(), soon()).await), expected, "{listed}");
    }
}

#[tokio::test]
async fn however_it_ends_a_creation_is_sent_once_and_its_ending_tells_whether_there_may_be_a_key() {
    type Fault = (&'static str, fn() -> ScriptedAct);
    let faults: [Fault; 15] = [
        ("unknown", || ScriptedAct::Drop),
        ("unknown", || answer(201, &created_json()).cut_after(40)),
        ("unknown", || answer(201, "<html>busy</html>").with("content-type", "text/html")),
        ("unknown", || answer(200, "")),
        ("unknown", || answer(500, &error_json(500, "oops"))),
        ("unknown", || answer(503, &error_json(503, "busy")).with("retry-after", "3")),
        ("unknown", || answer(524, "")),
        ("unknown", || answer(408, "")),
        ("unknown", || answer(307, "").with("location", "/api/v1/elsewhere")),
        ("later", || answer(429, &error_json(429, "slow down")).with("retry-after", "3")),
        ("later", || answer(409, &error_json(409, "conflict"))),
        ("refused", || answer(402, &error_json(402, "pay first"))),
        ("refused", || answer(422, "<html>no</html>")),
        ("management key", || answer(401, &error_json(401, "User not found."))),
        ("management key", || answer(403, &error_json(403, "Only management keys can perform this operation"))),
    ];
    for (number, (expected, fault)) in faults.into_iter().enumerate() {
        let (server, provider, waits) = scripted(move |_, _| fault()).await;
        let ended = provider.create_key(&new_key(), soon()).await;
        assert_eq!(ending(&ended), expected, "fault {number}: {ended:?}");
        assert_eq!(server.seen().iter().filter(|seen| seen.method == "POST").count(), 1, "fault {number}");
        assert!(waits.lock().unwrap().is_empty(), "fault {number}");
    }
}

#[tokio::test]
async fn a_creation_that_is_not_answered_ends_after_ten_seconds_as_unknown() {
    let (server, provider, _) = scripted(|_, _| ScriptedAct::Hang).await;
    let asked = tokio::spawn(async move { provider.create_key(&new_key(), soon()).await });
    server.arrived(1).await;
    let begun = tokio::time::Instant::now();
    // From here only timers are awaited, so the paused clock runs to the next of them.
    tokio::time::pause();
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error, ProviderError::Unknown { made: None, .. }), "{error}");
    let waited = begun.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(11)).contains(&waited), "{waited:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_creation_never_uses_a_connection_that_was_used_before() {
    let (server, provider, _) = scripted(|request, _| match request.method.as_str() {
        "POST" => answer(201, &created_json()),
        _ => answer(200, &json!({"data": key_json(1)}).to_string()),
    })
    .await;
    for _ in 0..2 {
        provider.get_key(&hash(1), soon()).await.unwrap();
        provider.create_key(&new_key(), soon()).await.unwrap();
    }
    let connections: Vec<usize> = server.seen().iter().map(|seen| seen.connection).collect();
    let [get, create, get_again, create_again] = connections[..] else { panic!("{connections:?}") };
    assert_eq!(get, get_again, "a read may use one again");
    assert!(create != get && create_again != get && create != create_again, "{connections:?}");
}

#[tokio::test]
async fn what_is_out_of_time_or_below_a_cent_or_cannot_be_sent_changed_nothing() {
    let (server, provider) = answering(201, created_json()).await;
    let late = provider.create_key(&new_key(), Deadline::after(Duration::from_millis(9_900))).await;
    assert_eq!(ending(&late), "later", "it is not begun without its whole time");
    assert!(late.unwrap_err().changed_nothing());
    for limit in [Usd::ZERO, Usd::from_micros(9_999), Usd::from_dollars(-1)] {
        let key = NewKey { limit, ..new_key() };
        assert_eq!(ending(&provider.create_key(&key, soon()).await), "refused");
        let patch = super::super::keys::KeyPatch::limit(Some(limit));
        assert_eq!(ending(&provider.patch_key(&hash(1), patch, soon()).await), "refused");
    }
    assert!(server.seen().is_empty());

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (provider, _) = impatient(&format!("http://{free}"));
    assert_eq!(ending(&provider.create_key(&new_key(), soon()).await), "later");
}
