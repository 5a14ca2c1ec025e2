//! The one call that must not be sent twice, and the one answer that must not be lost.

use super::*;
use crate::scripted::answer;

#[tokio::test]
async fn the_plaintext_is_the_top_level_key_and_the_hash_is_in_the_data() {
    let (server, provider, _) = scripted(|_, _| answer(201, &created_json())).await;
    let created = provider.create_key(&new_key(), soon()).await.unwrap();
    assert_eq!((created.plaintext.reveal(), created.hash), (PLAINTEXT, hash(1)));
    let sent = &server.seen()[0];
    assert_eq!(sent.line(), "POST /api/v1/keys");
    assert_eq!(sent.header("authorization"), Some("Bearer sk-or-v1-management"));
    assert_eq!(sent.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_key_that_was_made_is_not_lost_over_the_shape_of_its_answer() {
    for (shape, body) in [
        ("only what is needed", json!({"key": PLAINTEXT, "data": {"hash": hash(1)}})),
        ("the key inside the data", json!({"data": {"hash": hash(1), "key": PLAINTEXT}})),
        ("an empty key outside", json!({"key": "", "data": {"hash": hash(1), "key": PLAINTEXT}})),
        ("a null key outside", json!({"key": null, "data": {"hash": hash(1), "key": PLAINTEXT}})),
        (
            "other fields of other types",
            json!({"key": PLAINTEXT, "data": {"hash": hash(1), "usage": "none", "disabled": 0}}),
        ),
        (
            "fields nobody knows",
            json!({"key": PLAINTEXT, "novel": [1], "data": key_json_with(1, &json!({"novel": {}}))}),
        ),
        ("status 200", json!({"key": PLAINTEXT, "data": key_json(1)})),
    ] {
        let status = if shape == "status 200" { 200 } else { 201 };
        let (_server, provider, _) = scripted(move |_, _| answer(status, &body.to_string())).await;
        let created = provider.create_key(&new_key(), soon()).await;
        assert_eq!(
            created.map(|created| created.plaintext.reveal().to_owned()).ok().as_deref(),
            Some(PLAINTEXT),
            "{shape}"
        );
    }
}

#[tokio::test]
async fn a_key_without_its_plaintext_is_a_loud_error_that_names_it_for_disabling() {
    for body in [
        json!({"data": key_json(1)}),
        json!({"key": 7, "data": key_json(1)}),
        json!({"key": "two words", "data": key_json(1)}),
        json!({"key": "", "data": {"hash": hash(1), "key": ["x"]}}),
    ] {
        let (server, provider, _) = scripted(move |_, _| answer(201, &body.to_string())).await;
        let error = provider.create_key(&new_key(), soon()).await.unwrap_err();
        assert!(matches!(&error, ProviderError::Unknown { made: Some(made), .. } if *made == hash(1)), "{error}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_key_without_the_limit_that_was_asked_for_is_never_shown() {
    for listed in [json!(null), json!(20.01), json!(1e300), json!("20")] {
        let body = json!({"key": PLAINTEXT, "data": key_json_with(1, &json!({"limit": listed}))}).to_string();
        let (_server, provider, _) = scripted(move |_, _| answer(201, &body)).await;
        let error = provider.create_key(&new_key(), soon()).await.unwrap_err();
        assert!(matches!(&error, ProviderError::Unknown { made: Some(_), .. }), "{listed}: {error}");
    }
    for listed in [json!(20), json!(20.0), json!(19.99), json!(20.000_000_000_000_4)] {
        let body = json!({"key": PLAINTEXT, "data": key_json_with(1, &json!({"limit": listed}))}).to_string();
        let (_server, provider, _) = scripted(move |_, _| answer(201, &body)).await;
        assert_eq!(ending(&provider.create_key(&new_key(), soon()).await), "done", "{listed}");
    }
}

#[tokio::test]
async fn an_answer_that_names_no_hash_leaves_the_outcome_unknown() {
    for body in [
        json!({"key": PLAINTEXT}),
        json!({"key": PLAINTEXT, "data": {"hash": "nonsense"}}),
        json!({"key": PLAINTEXT, "data": null}),
        json!({"key": PLAINTEXT, "data": []}),
        json!({}),
        json!([]),
    ] {
        let (_server, provider, _) = scripted(move |_, _| answer(201, &body.to_string())).await;
        let error = provider.create_key(&new_key(), soon()).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unknown { made: None, .. }), "{error}");
    }
}

#[tokio::test]
async fn however_it_ends_a_creation_is_sent_once_and_its_ending_tells_whether_there_may_be_a_key() {
    type Fault = (&'static str, fn() -> ScriptedAct);
    let faults: [Fault; 17] = [
        ("unknown", || ScriptedAct::Drop),
        ("unknown", || answer(201, &created_json()).cut_after(40).into()),
        ("unknown", || answer(201, "<html>busy</html>").with("content-type", "text/html").into()),
        ("unknown", || answer(200, "").into()),
        ("unknown", || answer(500, &error_json(500, "oops")).into()),
        ("unknown", || answer(502, "<html>busy</html>").into()),
        ("unknown", || answer(503, &error_json(503, "busy")).with("retry-after", "3").into()),
        ("unknown", || answer(524, "").into()),
        ("unknown", || answer(408, "").into()),
        ("unknown", || answer(307, "").with("location", "/api/v1/elsewhere").into()),
        ("later", || answer(429, &error_json(429, "slow down")).with("retry-after", "3").into()),
        ("later", || answer(409, &error_json(409, "conflict")).into()),
        ("refused", || answer(400, &error_json(400, "bad name")).into()),
        ("refused", || answer(402, &error_json(402, "pay first")).into()),
        ("refused", || answer(422, "<html>no</html>").into()),
        ("management key", || answer(401, &error_json(401, "User not found.")).into()),
        ("management key", || answer(403, &error_json(403, "Only management keys can perform this operation")).into()),
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
async fn a_creation_is_not_begun_without_its_whole_time() {
    let (server, provider, _) = scripted(|_, _| answer(201, &created_json())).await;
    let ended = provider.create_key(&new_key(), Deadline::after(Duration::from_millis(9_900))).await;
    assert_eq!(ending(&ended), "later");
    assert!(ended.unwrap_err().changed_nothing());
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn no_limit_below_one_cent_leaves_this_machine() {
    let (server, provider, _) = scripted(|_, _| answer(201, &created_json())).await;
    for limit in [Usd::ZERO, Usd::from_micros(9_999), Usd::from_dollars(-1)] {
        let key = NewKey { limit, ..new_key() };
        assert_eq!(ending(&provider.create_key(&key, soon()).await), "refused");
        let patch = super::super::keys::KeyPatch::limit(Some(limit));
        assert_eq!(ending(&provider.patch_key(&hash(1), patch, soon()).await), "refused");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_was_not_asked() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (provider, _) = impatient(&format!("http://{free}"));
    let ended = provider.create_key(&new_key(), soon()).await;
    assert_eq!(ending(&ended), "later", "{ended:?}");
}
