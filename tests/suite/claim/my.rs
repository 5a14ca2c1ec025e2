//! The students' pages besides keys: examples that work as they stand, terms, forged forms, and
//! what every page loads.

use std::process::Command;

use bursar_core::domain::audit::{Act, AuditEntry};
use bursar_tests::aws;
use bursar_tests::faults::Fault;
use bursar_tests::visitor::{Form, Page};
use data_encoding::HEXLOWER;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;

/// The words that a shell makes of a command, with the key in its environment.
fn words_of(command: &str, key: &str) -> Vec<String> {
    let script = format!("curl() {{ printf '%s\\0' \"$@\"; }}\n{command}");
    let ran = Command::new("sh")
        .args(["-euc", &script])
        .env("OPENROUTER_API_KEY", key)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}: {command}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let words = String::from_utf8(ran.stdout).unwrap();
    words
        .trim_end_matches('\0')
        .split('\0')
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn the_example_for_the_shell_works_as_it_stands() {
    let mut campus = class().await;
    campus
        .set(|settings| settings.name = "O'Neil's \"CS\" $HOME `id` \\ – Übung".to_owned())
        .await;
    let ada = enrol(&mut campus, "ada").await;
    let grant = campus.id("ada").clone();
    let shown = campus.press(&ada, "reveal").await.expect(200);
    let key = shown.one("key").text;
    let my = ada.get("/my").await.expect(200);
    for page in [shown, my] {
        let command = page
            .examples()
            .into_iter()
            .find(|text| text.starts_with("curl "))
            .unwrap();
        let ask = words_of(&command, &key);
        let mut request = aws::http().post(&ask[0]);
        for pair in ask[1..].chunks(2) {
            let (name, value) = pair[1].split_once(": ").unwrap_or_default();
            request = match &*pair[0] {
                "-H" => request.header(name, value),
                "-d" => request.body(pair[1].clone()),
                other => panic!("an option {other}"),
            };
        }
        let request = request.build().unwrap();
        assert_eq!(
            request.headers()["x-openrouter-title"],
            "O'Neil's \"CS\" $HOME `id` \\ Ubung"
        );
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
        assert!(
            !request.headers().contains_key("referer")
                && !request.headers().contains_key("http-referer")
        );
        let body: Value =
            serde_json::from_slice(request.body().unwrap().as_bytes().unwrap()).unwrap();
        assert_eq!(body["user"], grant.as_str());
        let answer = aws::http().execute(request).await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    for path in ["/my", "/my/help"] {
        let page = ada.get(path).await.expect(200);
        let command = page
            .examples()
            .into_iter()
            .find(|text| text.contains("/key' -H"))
            .unwrap();
        let what_is_left = words_of(&command, &key);
        assert_eq!(
            what_is_left[1..],
            ["-H".to_owned(), format!("Authorization: Bearer {key}")]
        );
        let left = aws::http()
            .get(&what_is_left[0])
            .bearer_auth(&key)
            .send()
            .await
            .unwrap();
        assert_eq!(left.status(), 200, "{}", left.text().await.unwrap());
    }
    campus.finish().await;
}

#[tokio::test]
async fn each_programme_has_examples_without_the_key() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let explains_refusals =
        |page: &Page| page.body.contains("id=\"refused\"") && page.body.contains("\"/my/help\"");
    // What asks a model, of all that is to be copied.
    let asking = |page: &Page| {
        page.examples()
            .into_iter()
            .filter(|text| text.contains("gpt-4o-mini"))
            .collect::<Vec<String>>()
    };
    let my = ada.get("/my").await;
    assert!(
        my.examples().is_empty() && !explains_refusals(&my),
        "there is no key to use, and none was refused"
    );
    let (grant, key) = (campus.id("ada").clone(), campus.reveal(&ada).await);
    let my = ada.get("/my").await.expect(200);
    assert_eq!((asking(&my).len(), explains_refusals(&my)), (9, true));
    assert!(my.examples().iter().all(|example| !example.contains(&key)));
    for example in asking(&my) {
        for part in ["OPENROUTER_API_KEY", "X-OpenRouter-Title", "CS pilot"] {
            assert!(example.contains(part), "{part} is not in {example}");
        }
        assert!(
            example.contains(grant.as_str())
                || example.contains("16000")
                || example.contains("review_model")
        );
        assert!(!example.to_lowercase().contains("referer"), "{example}");
    }
    let help = ada.get("/my/help").await.expect(200);
    for told in [
        "404 or 403, No endpoints available matching your guardrail restrictions and data policy",
        "403, Key limit exceeded",
        "401, User not found.",
        "fewer max_tokens",
        "Insufficient credits",
        "429, 502, 503",
        "If it was one of these, it is not run in that way: try another of them.",
        "a fixed number of such requests a day, which resets at 00:00 UTC. Take one without",
    ] {
        assert!(help.readable().contains(told), "{told} is not told");
    }

    campus.programme("Seminar", |_| {}).await;
    campus.students(&["ada"]).await;
    campus.press(&ada, "reveal").await.expect(200);
    let my = ada.get("/my").await.expect(200);
    let (read, examples) = (my.readable(), asking(&my));
    assert!(
        read.contains("Use your key for CS pilot") && read.contains("Use your key for Seminar"),
        "{read}"
    );
    let of_seminar = |text: &&String| text.contains("Seminar");
    assert_eq!(
        (examples.len(), examples.iter().filter(of_seminar).count()),
        (18, 9)
    );

    for programme in ["cs-pilot", "seminar"] {
        ada.fill("/my", &format!("/my/{programme}/leaked"), &[])
            .await
            .expect(303);
    }
    let my = ada.get("/my").await.expect(200);
    assert!(
        explains_refusals(&my) && my.examples().is_empty(),
        "of the former keys: {}",
        my.readable()
    );
    campus.finish().await;
}

#[tokio::test]
async fn accepted_terms_are_on_record_and_changed_ones_read() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let grant = campus.id("ada").clone();
    let reveal = campus.my("reveal");
    campus
        .set(|settings| settings.texts.terms = Some("Be kind.".to_owned()))
        .await;
    let old = ada
        .get("/my")
        .await
        .form(&reveal)
        .filled(&[("terms", "on")]);
    campus
        .set(|settings| settings.texts.terms = Some("Be kinder.".to_owned()))
        .await;
    let begun = async |campus: &Campus| {
        let entries = campus
            .table
            .list(AuditEntry::of_grant(&campus.programme, &grant))
            .await
            .unwrap();
        let notes = entries
            .into_iter()
            .filter(|entry: &AuditEntry| entry.what.act == Act::Begun);
        notes
            .map(|entry| entry.what.note.unwrap())
            .collect::<Vec<String>>()
    };

    let page = ada.send_form(&old).await.expect(422);
    assert!(
        page.alert().unwrap().contains("changed meanwhile")
            && page.readable().contains("Be kinder.")
    );
    let bare = Form {
        fields: old
            .fields
            .iter()
            .filter(|(name, _)| name != "terms_sha256")
            .cloned()
            .collect(),
        ..old
    };
    ada.send_form(&bare).await.expect(422);
    let unticked = page.form(&reveal);
    assert_eq!(
        unticked.value("terms"),
        None,
        "nobody accepts by leaving a box as it was"
    );
    for form in [unticked.clone(), unticked.filled(&[("terms", "off")])] {
        ada.send_form(&form).await.expect(422);
    }
    assert_eq!(begun(&campus).await, Vec::<String>::new());

    // A claim that made no key leads to the question again, and the terms may have changed by then.
    campus.gate.at("provider:POST /keys", Fault::Status(402));
    ada.submit(&page, &reveal, &[("terms", "on")])
        .await
        .expect(502);
    let again = ada.get("/my").await.expect(200);
    ada.submit(&again, &reveal, &[]).await.expect(422);
    campus
        .set(|settings| settings.texts.terms = Some("Be kindest.".to_owned()))
        .await;
    let page = ada
        .submit(&again, &reveal, &[("terms", "on")])
        .await
        .expect(422);
    assert!(
        page.alert().unwrap().contains("changed meanwhile")
            && page.readable().contains("Be kindest.")
    );
    campus.judged().await;
    ada.submit(&page, &reveal, &[("terms", "on")])
        .await
        .expect(200);
    campus.judged().await;
    let hash = |terms| HEXLOWER.encode(&Sha256::digest(terms));
    let accepted = |number, terms| format!("key {number}; terms accepted, sha256 {}", hash(terms));
    assert_eq!(
        begun(&campus).await,
        [accepted(1, "Be kinder."), accepted(2, "Be kindest.")]
    );

    // A replacement does not ask for the terms, even if they have changed.
    campus
        .set(|settings| settings.texts.terms = Some("Be kind.".to_owned()))
        .await;
    campus.press(&ada, "replace").await.expect(200);
    assert_eq!(begun(&campus).await[2], "key 3");
    campus.finish().await;
}

#[tokio::test]
async fn every_page_sends_a_form_once() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let shown = campus.press(&ada, "reveal").await.expect(200);
    let admin = campus.admin().await;
    let pages = [
        ada.get("/").await,
        ada.get("/c/x").await,
        ada.get("/my").await,
        shown,
        admin.get("/console").await,
    ];
    for page in pages {
        assert!(
            page.body
                .contains("<script src=\"/forms.js\" defer></script>"),
            "{}",
            page.path
        );
        assert!(
            !page.body.contains(" onclick=") && !page.body.contains(" onsubmit="),
            "{}",
            page.path
        );
    }
    let script = ada.get("/forms.js").await.expect(200);
    assert_eq!(
        script.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert!(script.body.contains("addEventListener(\"submit\""));
    // A member of the staff without a grant is led to the pages of that role.
    let my = admin.get("/my").await.expect(200);
    assert!(my.body.contains("in the <a href=\"/console\">console</a>") && my.alert().is_none());
    campus.finish().await;
}
