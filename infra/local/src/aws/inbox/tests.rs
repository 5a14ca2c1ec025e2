//! The inbox as a browser, a test and another site see it.

use std::sync::Mutex;

use aws_sdk_ses::primitives::Blob;
use aws_sdk_ses::types::RawMessage;
use bursar_core::clock::Clock;
use futures_util::FutureExt;
use http::header::{HOST, ORIGIN};
use reqwest::{Client, RequestBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::aws::ses::tests::client;
use crate::base::guard::guarded;
use crate::base::serve::serve;
use crate::base::state_file::StateFile;

const LINK_MAIL: &str = "From: =?utf-8?Q?Universit=C3=A4t?= <bursar@example.edu>\r\nTo: ada@example.edu\r\n\
    Subject: =?utf-8?B?RGVpbiBMaW5rIOKAkyBncsO8w59l?=\r\nX-Bursar-Mail: link\r\nAuto-Submitted: auto-generated\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    Gr=C3=BC=C3=9Fe\r\nhttp://127.0.0.1:8080/c/abc\r\n<b>\r\n\
    --b\r\nContent-Type: multipart/related; boundary=c\r\n\r\n\
    --c\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello</p><img src=\"cid:burn@bursar\"><script>alert(1)</script>\r\n\
    --c\r\nContent-Type: image/png\r\nContent-ID: <burn@bursar>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0K\r\n\
    --c--\r\n--b--\r\n";

const PLAIN_MAIL: &str = "From: bursar@example.edu\r\nTo: bob@example.edu\r\nSubject: plain\r\n\r\nonly text\r\n";

/// A served inbox, and the events that it emitted.
struct Served {
    origin: String,
    ses: Ses,
    sender: aws_sdk_ses::Client,
    emitted: Arc<Mutex<Vec<Value>>>,
    http: Client,
}

impl Served {
    async fn with(further: Router, emit_fails: bool) -> Served {
        let at: Timestamp = "2026-11-20T09:05:00Z".parse().unwrap();
        let ses = Ses::new(StateFile::in_memory().unwrap(), Clock::reading(move || at)).unwrap();
        let emitted = Arc::new(Mutex::new(Vec::new()));
        let all = emitted.clone();
        let emit: Emit = Arc::new(move |event| {
            all.lock().unwrap().push(event);
            async move { if emit_fails { anyhow::bail!("nobody is there") } else { Ok(()) } }.boxed()
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let grace = KnownLogin { address: "grace@example.edu".to_owned(), as_whom: "faculty of the pilot".to_owned() };
        let inbox =
            Inbox::new(ses.clone(), emit, InboxGuide { web: "http://127.0.0.1:8080".to_owned(), people: vec![grace] });
        let router = guarded(inbox.router().merge(further), &origin);
        tokio::spawn(serve(listener, router, std::future::pending()));
        let sender = client(&ses).await;
        Served { origin, ses, sender, emitted, http: Client::new() }
    }

    async fn new() -> Served {
        Served::with(Router::new(), false).await
    }

    async fn send(&self, raw: &str, set: Option<&str>) -> String {
        let raw = RawMessage::builder().data(Blob::new(raw)).build().unwrap();
        let request = self.sender.send_raw_email().raw_message(raw).set_configuration_set_name(set.map(str::to_owned));
        request.send().await.unwrap().message_id
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.origin))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.origin)).body(body.to_string())
    }

    async fn text(&self, path: &str) -> String {
        let answer = self.get(path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }
}

#[tokio::test]
async fn mails_are_told_oldest_first_with_their_words_decoded() {
    let served = Served::new().await;
    let id = served.send(LINK_MAIL, None).await;
    served.send(PLAIN_MAIL, None).await;
    let mails = served.json("/mails").await;
    assert_eq!(
        mails[0],
        json!({
            "id": id,
            "at": "2026-11-20T09:05:00Z",
            "from": "bursar@example.edu",
            "to": ["ada@example.edu"],
            "subject": "Dein Link – grüße",
            "kind": "link",
            "headers": {
                "From": "Universität <bursar@example.edu>",
                "To": "ada@example.edu",
                "Subject": "Dein Link – grüße",
                "X-Bursar-Mail": "link",
                "Auto-Submitted": "auto-generated",
                "MIME-Version": "1.0",
                "Content-Type": "multipart/alternative; boundary=b",
            },
            "text": "Grüße\nhttp://127.0.0.1:8080/c/abc\n<b>",
            "html": "<p>Hello</p><img src=\"cid:burn@bursar\"><script>alert(1)</script>",
        })
    );
    assert_eq!(mails[1]["text"], "only text\n");
    assert_eq!((&mails[1]["html"], &mails[1]["kind"]), (&Value::Null, &Value::Null));
    assert_eq!(mails.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_source_of_a_mail_is_its_very_bytes() {
    let served = Served::new().await;
    let id = served.send(LINK_MAIL, None).await;
    let answer = served.get(&format!("/mails/{id}")).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "message/rfc822");
    assert_eq!(answer.bytes().await.unwrap(), LINK_MAIL.as_bytes());
    assert_eq!(served.get("/mails/unknown").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_person_reads_the_list_and_each_mail_as_html_text_and_source() {
    let served = Served::new().await;
    assert!(served.text("/").await.contains("No mail yet"));
    let id = served.send(LINK_MAIL, None).await;
    served.send(PLAIN_MAIL, None).await;

    let list = served.text("/").await;
    let (plain, link) = (list.find("bob@example.edu").unwrap(), list.find("Dein Link – grüße").unwrap());
    assert!(plain < link, "the newest is first");
    assert!(list.contains(&format!("href=\"/read/{id}\"")) && list.contains("09:05"));

    let shown = served.text(&format!("/read/{id}")).await;
    assert!(shown.contains(&format!("<iframe src=\"/read/{id}/html\"")) && shown.contains("sandbox=\"allow-popups"));
    assert!(shown.contains("Universität &#60;bursar@example.edu&#62;"), "{shown}");
    let text = served.text(&format!("/read/{id}?as=text")).await;
    assert!(text.contains("Grüße\n<a href=\"http://127.0.0.1:8080/c/abc\""), "{text}");
    assert!(text.contains("&#60;b&#62;") && !text.contains("<b>"));
    let source = served.text(&format!("/read/{id}?as=source")).await;
    assert!(source.contains("=?utf-8?B?RGVpbiBMaW5rIOKAkyBncsO8w59l?="));
    assert_eq!(served.get("/read/unknown").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_html_of_a_mail_is_shown_with_its_pictures_and_can_neither_run_nor_ask_for_anything() {
    let served = Served::new().await;
    let id = served.send(LINK_MAIL, None).await;
    let answer = served.get(&format!("/read/{id}/html")).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("sandbox allow-popups"), "{policy}");
    assert!(!policy.contains("allow-scripts") && !policy.contains("allow-same-origin"), "{policy}");
    assert!(answer.text().await.unwrap().contains("<img src=\"data:image/png;base64,iVBORw0K\">"));

    let picture = served.get(&format!("/read/{id}/attachments/0")).send().await.unwrap();
    assert!(picture.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert_eq!(picture.bytes().await.unwrap(), [0x89, b'P', b'N', b'G', b'\r', b'\n'].as_slice());
}

#[tokio::test]
async fn each_answer_carries_the_security_headers() {
    let further = Router::new().route("/clock", get(|| async { "{}" }));
    let served = Served::with(further, false).await;
    for path in ["/", "/mails", "/nowhere", "/inbox.css", "/clock"] {
        let answer = served.get(path).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert!(!header("content-security-policy").contains("unsafe"), "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
    }
}

#[tokio::test]
async fn only_requests_to_its_own_host_are_answered_whatever_the_route() {
    let further = Router::new().route("/clock", get(|| async { "{}" }));
    let served = Served::with(further, false).await;
    let port = served.origin.rsplit_once(':').unwrap().1.to_owned();
    for host in ["evil.example", "127.0.0.1", &format!("evil.example:{port}"), &format!("localhost:{port}")] {
        for path in ["/", "/mails", "/clock", "/nowhere"] {
            let refused = served.get(path).header(HOST, host).send().await.unwrap();
            assert_eq!(refused.status(), 403, "{host}{path}");
        }
    }
    assert_eq!(served.text("/clock").await, "{}");
}

#[tokio::test]
async fn a_request_that_names_two_hosts_is_refused() {
    let served = Served::new().await;
    let own = served.origin.strip_prefix("http://").unwrap();
    for (request, answered) in [
        (format!("GET /mails HTTP/1.1\r\nHost: {own}\r\n\r\n"), "200"),
        (format!("GET http://{own}/mails HTTP/1.1\r\nHost: {own}\r\n\r\n"), "200"),
        (format!("GET http://evil.example/mails HTTP/1.1\r\nHost: {own}\r\n\r\n"), "403"),
        (format!("GET /mails HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n\r\n"), "403"),
        ("GET /mails HTTP/1.1\r\n\r\n".to_owned(), "403"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(own).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(std::str::from_utf8(&status).unwrap(), format!("HTTP/1.1 {answered}"), "{request}");
    }
}

#[tokio::test]
async fn no_post_from_a_page_of_another_origin_does_anything() {
    let served = Served::new().await;
    let id = served.send(PLAIN_MAIL, None).await;
    let event = json!({"mail": id, "type": "delivery"});
    let fault = json!({"kind": "fail", "times": 1});
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", &served.origin.replace("http", "https")] {
        for (path, body) in [("/events", &event), ("/mails/faults", &fault)] {
            let refused = served.post(path, body).header(ORIGIN, origin).send().await.unwrap();
            assert_eq!(refused.status(), 403, "{origin}");
        }
    }
    assert!(served.emitted.lock().unwrap().is_empty());
    served.send(PLAIN_MAIL, None).await;
    let own = served.post("/events", &event).header(ORIGIN, served.origin.clone()).send().await.unwrap();
    assert_eq!(own.status(), 200);
}

#[tokio::test]
async fn faults_are_set_for_all_or_one_and_lifted() {
    let served = Served::new().await;
    let try_to_send = || async {
        let raw = RawMessage::builder().data(Blob::new(PLAIN_MAIL)).build().unwrap();
        served.sender.send_raw_email().raw_message(raw).send().await.is_ok()
    };
    let ask = |body: Value| async { served.post("/mails/faults", &{ body }).send().await.unwrap().status() };

    assert_eq!(ask(json!({"kind": "throttle", "times": 1})).await, 200);
    assert_eq!((try_to_send().await, try_to_send().await), (false, true));
    ask(json!({"kind": "fail", "times": 9})).await;
    assert!(!try_to_send().await);
    ask(json!({"kind": "fail", "times": 0})).await;
    assert!(try_to_send().await);
    ask(json!({"kind": "reject", "times": 9, "to": "ada@example.edu"})).await;
    assert!(try_to_send().await);
    ask(json!({"kind": "lose", "times": 1, "to": "BOB@example.edu"})).await;
    let before = served.ses.mails().len();
    assert!(!try_to_send().await);
    assert_eq!(served.ses.mails().len(), before + 1);

    assert_eq!(ask(json!({"kind": "burn", "times": 1})).await, 400);
    assert_eq!(ask(json!({"kind": "fail", "times": -1})).await, 400);
}

#[tokio::test]
async fn an_event_reaches_its_reader_as_sns_hands_it_to_lambda() {
    let served = Served::new().await;
    let id = served.send(LINK_MAIL, Some("bursar-events")).await;
    for (asked, name, key) in [
        (json!({"mail": id, "type": "delivery"}), "Delivery", "delivery"),
        (json!({"mail": id, "type": "bounce"}), "Bounce", "bounce"),
        (json!({"mail": id, "type": "bounce", "permanent": false}), "Bounce", "bounce"),
        (json!({"mail": id, "type": "complaint"}), "Complaint", "complaint"),
    ] {
        let answer = served.post("/events", &asked).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "{}"));
        let emitted = served.emitted.lock().unwrap().pop().unwrap();
        let record = &emitted["Records"][0];
        assert_eq!((&record["EventSource"], &record["Sns"]["Type"]), (&json!("aws:sns"), &json!("Notification")));
        assert_eq!(record["Sns"]["Timestamp"], "2026-11-20T09:05:00.000Z");
        let message: Value = serde_json::from_str(record["Sns"]["Message"].as_str().unwrap()).unwrap();
        assert_eq!(message["eventType"], name);
        assert_eq!(message["notificationType"], Value::Null);
        let mail = &message["mail"];
        assert_eq!((&mail["messageId"], &mail["destination"]), (&json!(id), &json!(["ada@example.edu"])));
        assert_eq!(mail["tags"]["ses:configuration-set"], json!(["bursar-events"]));
        let headers = mail["headers"].as_array().unwrap();
        assert!(headers.contains(&json!({"name": "X-Bursar-Mail", "value": "link"})), "{headers:?}");
        assert_eq!(mail["commonHeaders"]["subject"], "Dein Link – grüße");
        let told = &message[key];
        match (name, asked["permanent"] == false) {
            ("Delivery", _) => assert_eq!(told["recipients"], json!(["ada@example.edu"])),
            ("Bounce", transient) => {
                assert_eq!(told["bounceType"], if transient { "Transient" } else { "Permanent" });
                assert_eq!(told["bouncedRecipients"][0]["emailAddress"], "ada@example.edu");
            }
            _ => assert_eq!(told["complainedRecipients"][0]["emailAddress"], "ada@example.edu"),
        }
    }
}

#[tokio::test]
async fn without_a_configuration_set_an_event_is_a_feedback_notification() {
    let served = Served::new().await;
    let id = served.send(PLAIN_MAIL, None).await;
    served.post("/events", &json!({"mail": id, "type": "complaint"})).send().await.unwrap();
    let emitted = served.emitted.lock().unwrap().pop().unwrap();
    let message: Value = serde_json::from_str(emitted["Records"][0]["Sns"]["Message"].as_str().unwrap()).unwrap();
    assert_eq!((&message["notificationType"], &message["eventType"]), (&json!("Complaint"), &Value::Null));
    assert_eq!(message["mail"]["tags"], Value::Null);
}

#[tokio::test]
async fn what_came_back_is_on_the_accounts_list_unless_its_configuration_set_keeps_it_out() {
    let served = Served::new().await;
    let id = served.send(PLAIN_MAIL, Some("bursar-events")).await;
    served.post("/events", &json!({"mail": id, "type": "bounce"})).send().await.unwrap();
    let id = served.send(PLAIN_MAIL, None).await;
    assert_eq!(served.ses.mails().len(), 2);
    served.post("/events", &json!({"mail": id, "type": "bounce"})).send().await.unwrap();
    served.send(PLAIN_MAIL, None).await;
    assert_eq!((served.ses.mails().len(), served.ses.undelivered().len()), (2, 1), "taken, and not delivered");
    served.send(PLAIN_MAIL, Some("bursar-events")).await;
    assert_eq!(served.ses.mails().len(), 3);
}

#[tokio::test]
async fn an_event_of_no_mail_or_no_kind_or_without_a_reader_is_refused() {
    let served = Served::with(Router::new(), true).await;
    let id = served.send(PLAIN_MAIL, None).await;
    for (asked, status) in [
        (json!({"mail": "unknown", "type": "delivery"}), 404),
        (json!({"mail": id, "type": "opened"}), 400),
        (json!({"mail": id, "type": "delivery"}), 502),
    ] {
        assert_eq!(served.post("/events", &asked).send().await.unwrap().status().as_u16(), status, "{asked}");
    }
}

#[tokio::test]
async fn the_list_has_pages_of_a_hundred() {
    let served = Served::new().await;
    for _mail in 0..101 {
        served.send(PLAIN_MAIL, None).await;
    }
    let (first, second) = (served.text("/").await, served.text("/?page=2").await);
    assert_eq!((first.matches("<li>").count(), second.matches("<li>").count()), (100, 1));
    assert!(first.contains("/?page=2") && second.contains("/?page=1"));
    assert!(served.text("/?page=18446744073709551615").await.contains("No mail on this page"));
}

#[test]
fn something_that_is_no_mail_is_read_without_complaint() {
    for raw in [b"".as_slice(), b"\xff\xfe", b"no headers at all", b"Subject: \r\n\r\n"] {
        assert_eq!(Contents::of(raw).subject, "");
    }
}
