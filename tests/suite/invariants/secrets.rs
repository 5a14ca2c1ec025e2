//! Secrets in places where they must not be: I4.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::store::keys;
use bursar_tests::invariants::Secret;
use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::Scene;
use crate::acts::act::programme;
use crate::acts::settings::{Setting, ada};

const TOKEN: &str = "dGhpcyBpcyBhIHRva2VuIG9mIGEgbGluaw";

#[tokio::test]
async fn a_secret_in_the_table_its_stream_a_log_an_answer_or_a_second_mail_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.watch.guard(Secret::mailed(TOKEN));
    scene.mail(&format!("https://bursar.uni.edu/c/{TOKEN}")).await;
    scene.bears("I4").await;
    scene.mail(&format!("https://bursar.uni.edu/c/{TOKEN}")).await;
    scene.bites("I4", "a link or code is in 2 mails, and may be in 1").await;

    scene.answer(&format!("<a href=\"/c/{TOKEN}\">"));
    scene.bites("I4", "a link or code is in 1 answers, and may be in 0").await;
    scene.logs.lock().unwrap().push(format!("signed in with {TOKEN}"));
    scene.bites("I4", "a log line holds a link or code: signed in with …").await;

    let grant = keys::grant(&programme(), &ada());
    scene.set(grant, "name", AttributeValue::S(TOKEN.to_owned())).await;
    scene.bites("I4", "holds a link or code").await;
    scene.edit(|grant| grant.person.name = None).await;
    scene.bites("I4", "stream record").await;
}

#[tokio::test]
async fn a_key_may_be_in_one_answer_and_nothing_that_looks_like_one_anywhere_else() {
    let mut scene = Scene::at(Setting::Live).await;
    let made = scene.make_recorded_key(1).await;
    scene.answer(&made.plaintext);
    scene.bears("I4").await;
    scene.bears("I7").await;
    scene.answer(&made.plaintext);
    scene.bites("I4", "a key is in 2 answers, and may be in 1").await;

    let mut scene = Scene::at(Setting::Live).await;
    let another = format!("sk-or-v1-{}", "ab".repeat(32));
    scene.logs.lock().unwrap().push("the key sk-or-v1-abc...123 was made".to_owned());
    scene.bears("I4").await;
    scene.logs.lock().unwrap().push(format!("the key {another} was made"));
    scene.bites("I4", "a log line holds what looks like a key").await;
    scene.mail(&another).await;
    scene.bites("I4", "a mail holds what looks like a key").await;
    scene.edit(|grant| grant.group = Some(another)).await;
    scene.bites("I4", "G#cs-pilot#6 / G#6164610000000000 holds what looks like a key").await;
}

#[tokio::test]
async fn the_management_key_may_be_nowhere() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.watch.guard(Secret::management_key("sk-or-v1-management"));
    scene.watch.guard(Secret::session("a-session"));
    scene.answer("a-session");
    scene.bears("I4").await;
    scene.answer("sk-or-v1-management");
    scene.bites("I4", "the management key is in 1 answers, and may be in 0").await;
}

#[tokio::test]
async fn an_encoded_secret_is_found_by_who_looks_through_encodings() {
    let code = "ABCD-EFGH-JKMN";
    for (secret, written) in [
        (TOKEN, HEXLOWER.encode(TOKEN.as_bytes())),
        (TOKEN, HEXUPPER.encode(format!("link {TOKEN}.").as_bytes())),
        (TOKEN, BASE64.encode(TOKEN.as_bytes())),
        (TOKEN, BASE64.encode(format!("/{TOKEN}/").as_bytes())),
        (TOKEN, BASE64URL.encode(format!("{{\"token\":\"{TOKEN}\"}}").as_bytes())),
        (TOKEN, HEXLOWER.encode(&BASE64URL_NOPAD.decode(TOKEN.as_bytes()).unwrap())),
        (code, "abcdefghjkmn".to_owned()),
        (code, BASE64.encode(format!("code={code}").as_bytes())),
    ] {
        let mut scene = Scene::at(Setting::Live).await;
        scene.watch.guard(Secret::mailed(secret));
        scene.logs.lock().unwrap().push(format!("somebody sent {written} just now"));
        scene.bears("I4").await;
        let mut scene = Scene { watch: scene.watch.seeing_through_encodings(), ..scene };
        scene.bites("I4", "a log line holds a link or code").await;
    }
}
