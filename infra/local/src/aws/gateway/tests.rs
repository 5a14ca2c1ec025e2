//! The web origin before a function that returns its event, read as the functions read it.

use std::sync::Mutex;

use futures_util::future::BoxFuture;
use http::Request;
use lambda_http::RequestExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::*;
use crate::base::serve::serve;

/// A function that gives a set answer and remembers the events.
struct Told {
    answer: Result<Value, InvokeError>,
    events: Mutex<Vec<(FunctionName, Value)>>,
}

impl Invoke for Told {
    fn invoke(&self, function: FunctionName, event: Value) -> BoxFuture<'_, Result<Value, InvokeError>> {
        self.events.lock().unwrap().push((function, event));
        Box::pin(std::future::ready(self.answer.clone()))
    }
}

struct Hangs;

impl Invoke for Hangs {
    fn invoke(&self, _: FunctionName, _: Value) -> BoxFuture<'_, Result<Value, InvokeError>> {
        Box::pin(std::future::pending())
    }
}

const ROUTES: [(&str, FunctionName); 3] = [
    ("/console", FunctionName::Console),
    ("/console/{proxy+}", FunctionName::Console),
    ("$default", FunctionName::Claim),
];

fn routed(invoke: Arc<dyn Invoke>) -> Router {
    let origin = Origin::parse("http://127.0.0.1:8080").unwrap();
    let clock = Clock::reading(|| "2026-03-12T19:03:58.5Z".parse().unwrap());
    router(&origin, &ROUTES, invoke, clock).unwrap()
}

async fn answered(answer: Result<Value, InvokeError>, request: Request<Body>) -> (Response, Arc<Told>) {
    let told = Arc::new(Told { answer, events: Mutex::default() });
    let response = routed(told.clone()).oneshot(request).await.unwrap();
    (response, told)
}

/// The event that a request becomes.
async fn event(request: Request<Body>) -> Value {
    let (response, told) = answered(Ok(json!({ "statusCode": 204 })), request).await;
    assert_eq!(response.status(), 204);
    let (_, event) = told.events.lock().unwrap().remove(0);
    event
}

async fn response(answer: Value) -> Response {
    answered(Ok(answer), get("/")).await.0
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "127.0.0.1:8080").body(Body::empty()).unwrap()
}

async fn text(response: Response) -> String {
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_becomes_an_event_that_the_functions_library_reads_as_the_same_request() {
    let request = Request::post("/console/programmes?q=a%20b&q=c&x=")
        .header("host", "127.0.0.1:8080")
        .header("Accept", "text/html")
        .header("accept", "text/plain")
        .header("cookie", "a=1; b=2")
        .header("cookie", "c=3")
        .header("user-agent", "test")
        .header("x-forwarded-proto", "gopher")
        .header("x-forwarded-for", "10.0.0.1")
        .header("content-type", "application/x-www-form-urlencoded")
        .extension(axum::extract::ConnectInfo::<std::net::SocketAddr>("192.0.2.7:5".parse().unwrap()))
        .body(Body::from("name=CS%20pilot"))
        .unwrap();
    let event = event(request).await;
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "ANY /console/{proxy+}");
    assert_eq!(event["pathParameters"], json!({ "proxy": "programmes" }));
    assert_eq!(event["cookies"], json!(["a=1", "b=2", "c=3"]));
    assert_eq!(event["queryStringParameters"], json!({ "q": "a b,c", "x": "" }));
    assert_eq!(event["rawQueryString"], "q=a%20b&q=c&x=");
    assert_eq!(event["headers"]["accept"], "text/html,text/plain");
    assert_eq!(event["headers"]["x-forwarded-proto"], "http");
    assert_eq!(event["headers"]["x-forwarded-for"], "10.0.0.1, 192.0.2.7");
    assert!(event["headers"].get("cookie").is_none());
    assert_eq!(event["isBase64Encoded"], true, "forms come in base64");
    let context = &event["requestContext"];
    let http = json!({ "method": "POST", "path": "/console/programmes", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7",
        "userAgent": "test" });
    assert_eq!(context["http"], http);
    assert_eq!((&context["stage"], &context["time"]), (&json!("$default"), &json!("12/Mar/2026:19:03:58 +0000")));
    assert_eq!(context["timeEpoch"], 1_773_342_238_500_i64);
    assert!(context["requestId"].as_str().unwrap().len() > 10);

    let read = lambda_http::request::from_str(&event.to_string()).unwrap();
    assert_eq!(read.uri(), "http://127.0.0.1:8080/console/programmes?q=a%20b&q=c&x=");
    assert_eq!(read.headers()["cookie"], "a=1; b=2; c=3");
    assert_eq!(read.body().as_ref(), b"name=CS%20pilot");
    assert_eq!(read.raw_http_path(), "/console/programmes");
    assert_eq!(read.query_string_parameters().all("q").unwrap(), ["a b", "c"]);
}

#[tokio::test]
async fn bodies_of_text_come_as_they_are_and_all_others_in_base64() {
    for (kind, body, base64) in [
        ("text/csv; charset=utf-8", "é".as_bytes(), false),
        ("application/json", b"{}", false),
        ("Application/XML", b"<a/>", false),
        ("application/problem+json", b"{}", true),
        ("application/x-www-form-urlencoded", b"a=b", true),
        ("multipart/form-data; boundary=x", b"--x", true),
        ("text/plain", b"\xff\xfe", true),
        ("", b"?", true),
    ] {
        let mut request = Request::post("/").body(Body::from(body.to_vec())).unwrap();
        if !kind.is_empty() {
            request.headers_mut().insert("content-type", kind.parse().unwrap());
        }
        let event = event(request).await;
        assert_eq!(event["isBase64Encoded"], base64, "{kind}");
        let read = lambda_http::request::from_str(&event.to_string()).unwrap();
        assert_eq!(read.body().as_ref(), body, "{kind}");
    }
    let event = event(Request::post("/").body(Body::empty()).unwrap()).await;
    assert!(event.get("body").is_none() && event["isBase64Encoded"] == false);
}

#[tokio::test]
async fn a_path_comes_decoded_as_from_api_gateway() {
    for (path, raw) in [
        ("/c/a%20b%2Fc", "/c/a b/c"),
        ("/c/%C3%A9", "/c/é"),
        ("/c/a%3Fb", "/c/a"),
        ("/c/%", "/c/%"),
        ("/c/%zz%2", "/c/%zz%2"),
    ] {
        let event = event(get(path)).await;
        assert_eq!(event["rawPath"], raw);
        assert!(event.get("queryStringParameters").is_none());
        lambda_http::request::from_str(&event.to_string()).unwrap();
    }
}

#[tokio::test]
async fn paths_go_to_the_functions_that_the_routes_name() {
    for (path, function) in [
        ("/", FunctionName::Claim),
        ("/console", FunctionName::Console),
        ("/console?q=x", FunctionName::Console),
        ("/console/people/erase", FunctionName::Console),
        ("/consoles", FunctionName::Claim),
    ] {
        let (_, told) = answered(Ok(json!({ "statusCode": 200 })), get(path)).await;
        assert_eq!(told.events.lock().unwrap()[0].0, function, "{path}");
    }
}

#[tokio::test]
async fn an_answer_becomes_the_response() {
    let answered = response(json!({
        "statusCode": 201,
        "headers": { "Content-Type": "text/html", "X-Number": 7, "content-length": "999", "connection": "close" },
        "multiValueHeaders": { "content-type": ["text/html"], "x-two": ["a", "b"] },
        "cookies": ["a=1; HttpOnly", "b=2"],
        "body": "PGgxPg==",
        "isBase64Encoded": true,
    }))
    .await;
    assert_eq!(answered.status(), 201);
    let all = |name: &str| -> Vec<String> {
        let values = answered.headers().get_all(name).iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(all("content-type"), ["text/html"]);
    assert_eq!(all("x-number"), ["7"]);
    assert_eq!(all("x-two"), ["a", "b"]);
    assert_eq!(all("set-cookie"), ["a=1; HttpOnly", "b=2"]);
    assert_eq!(all("connection"), [""; 0]);
    assert_eq!(text(answered).await, "<h1>");
}

#[tokio::test]
async fn an_answer_without_a_status_is_the_body_itself() {
    let answered = response(json!({ "hello": 1 })).await;
    assert_eq!(
        (answered.status(), &answered.headers()["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    assert_eq!(text(answered).await, "{\"hello\":1}");
    assert_eq!(text(response(json!("plain")).await).await, "plain");
}

#[tokio::test]
async fn what_api_gateway_would_not_take_is_its_own_500() {
    for answer in [
        json!({ "statusCode": "many" }),
        json!({ "statusCode": 42 }),
        json!({ "statusCode": 200, "headers": { "a b": "c" } }),
        json!({ "statusCode": 200, "headers": { "a": "b\nc" } }),
        json!({ "statusCode": 200, "cookies": ["a\r\nb"] }),
        json!({ "statusCode": 200, "body": "?", "isBase64Encoded": true }),
        json!({ "statusCode": 200, "body": 7 }),
    ] {
        let answered = response(answer.clone()).await;
        assert_eq!(answered.status(), 500, "{answer}");
        assert_eq!(text(answered).await, "{\"message\":\"Internal Server Error\"}");
    }
}

#[tokio::test]
async fn failures_of_the_function_are_api_gateways_own_errors() {
    for (error, status, message) in [
        (InvokeError::Failed("x".to_owned()), 500, "Internal Server Error"),
        (InvokeError::Killed, 500, "Internal Server Error"),
        (InvokeError::TooLarge, 500, "Internal Server Error"),
        (InvokeError::TimedOut, 503, "Service Unavailable"),
    ] {
        let (answered, _) = answered(Err(error), get("/")).await;
        assert_eq!(answered.status(), status);
        assert_eq!(answered.headers()["content-type"], "application/json");
        assert_eq!(text(answered).await, format!("{{\"message\":\"{message}\"}}"));
    }
}

#[tokio::test(start_paused = true)]
async fn after_29_seconds_nobody_waits_any_more() {
    let begun = tokio::time::Instant::now();
    let response = routed(Arc::new(Hangs)).oneshot(get("/")).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(29));
    assert_eq!(response.status(), 503);
    assert_eq!(text(response).await, "{\"message\":\"Service Unavailable\"}");
}

#[tokio::test]
async fn an_event_of_more_than_six_megabytes_is_refused_before_the_function() {
    // Base64 makes a body a third larger.
    for (bytes, status) in [(4 << 20, 200), ((9 << 20) / 2 + 4096, 413), (11 << 20, 413)] {
        let request = Request::post("/").body(Body::from(vec![b'x'; bytes])).unwrap();
        let (answered, told) = answered(Ok(json!({ "statusCode": 200 })), request).await;
        assert_eq!(answered.status(), status, "{bytes}");
        assert_eq!(told.events.lock().unwrap().len(), usize::from(status == 200));
        if status == 413 {
            assert_eq!(text(answered).await, "{\"message\":\"Request Entity Too Large\"}");
        }
    }
}

#[tokio::test]
async fn a_get_for_another_spelling_of_the_origin_is_sent_to_the_origin() {
    let ask = |method: Method, host: &'static str| async move {
        let request = Request::builder().method(method).uri("/c/a?b=%20").header("host", host);
        let (answered, told) = answered(Ok(json!({ "statusCode": 200 })), request.body(Body::empty()).unwrap()).await;
        let location = answered.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        (answered.status().as_u16(), location, told.events.lock().unwrap().len())
    };
    for host in ["localhost:8080", "LOCALHOST:8080", "[::1]:8080", "bursar.localhost:8080", "0.0.0.0:8080"] {
        let origin = "http://127.0.0.1:8080/c/a?b=%20";
        assert_eq!(ask(Method::GET, host).await, (307, Some(origin.to_owned()), 0), "{host}");
        assert_eq!(ask(Method::POST, host).await, (200, None, 1), "{host}");
    }
    for host in ["127.0.0.1:8080", "localhost:8081", "localhost"] {
        assert_eq!(ask(Method::GET, host).await, (200, None, 1), "{host}");
    }
    for method in [Method::GET, Method::POST] {
        assert_eq!(ask(method, "evil.example:8080").await, (403, None, 0), "a name that was made to lead here");
    }
    for host in ["a b", "a:99999", "[::zz]", "a|b"] {
        assert_eq!(ask(Method::GET, host).await, (400, None, 0), "{host}");
    }
}

#[tokio::test]
async fn a_head_is_answered_with_the_head_alone() {
    let answer = json!({ "statusCode": 200, "headers": { "content-type": "text/html" }, "body": "<h1>not sent</h1>" });
    let told = Arc::new(Told { answer: Ok(answer), events: Mutex::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let routes = router(&Origin::parse(&origin).unwrap(), &ROUTES, told.clone(), Clock::system()).unwrap();
    tokio::spawn(serve(listener, routes, std::future::pending()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..2 {
        let response = client.head(format!("{origin}/c/x")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/html");
        assert_eq!(response.headers()["content-length"], "17");
        assert_eq!(response.text().await.unwrap(), "");
    }
    let event = told.events.lock().unwrap()[0].1.clone();
    assert_eq!(event["requestContext"]["http"]["method"], "HEAD");
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
}
