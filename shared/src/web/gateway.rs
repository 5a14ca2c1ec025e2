//! The bridge from an event of the HTTP API to its answer. Anything that could keep an event from
//! becoming a request is removed first.

use std::future::ready;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, LambdaEvent, Service};
use serde_json::{Value, json};

use super::Site;
use super::layers::dress;
use crate::deadline::Deadline;

/// API Gateway gives up after thirty seconds, whatever else the function has time for.
const LONGEST: Duration = Duration::from_secs(29);

pub struct Pages {
    routes: Router,
    /// The answer to an event that is no request.
    unreadable: Router,
}

impl Pages {
    pub fn new(routes: Router, site: &Site) -> Pages {
        let unreadable = Router::new().fallback(|| ready(StatusCode::BAD_REQUEST));
        Pages {
            routes: dress(routes, site),
            unreadable: dress(unreadable, site),
        }
    }

    pub async fn answer(&self, mut event: LambdaEvent<Value>) -> anyhow::Result<Value> {
        Deadline::shorten(&mut event.context, LONGEST);
        let deadline = Deadline::from_context(&event.context);
        let is_fit = is_made_fit(&mut event.payload);
        if !is_fit {
            event.payload = strip_request(&event.payload);
        }
        let answer = asked(
            if is_fit {
                &self.routes
            } else {
                &self.unreadable
            },
            event,
        );
        deadline
            .wait_for(answer)
            .await
            .context("no answer was ready in time")?
    }
}

async fn asked(router: &Router, event: LambdaEvent<Value>) -> anyhow::Result<Value> {
    let request: LambdaRequest =
        serde_json::from_value(event.payload).context("this is no event of an HTTP API")?;
    let event = LambdaEvent {
        payload: request,
        context: event.context,
    };
    // The adapter itself cannot be held across the `await`.
    let answered = Adapter::from(router.clone()).call(event);
    let Ok(response) = answered.await;
    Ok(serde_json::to_value(response)?)
}

/// Removes what no handler reads and what cannot become a header. That is the host, and invalid
/// headers and cookies, which other sites of the domain may set. False if even the path and query
/// are invalid.
fn is_made_fit(event: &mut Value) -> bool {
    let [path, query] = ["/rawPath", "/rawQueryString"].map(|pointer| {
        event
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    });
    let query = format!("/?{query}");
    let is_query =
        query.bytes().all(|byte| byte.is_ascii_graphic()) && PathAndQuery::try_from(query).is_ok();
    if !path.starts_with('/') || !is_query {
        return false;
    }
    if let Some(context) = event
        .pointer_mut("/requestContext")
        .and_then(Value::as_object_mut)
    {
        context.remove("domainName");
    }
    if let Some(headers) = event.pointer_mut("/headers").and_then(Value::as_object_mut) {
        // These headers decide whether a form is of another site, so none of them is removed.
        let is_odd = headers.iter().any(|(name, value)| {
            let decides = ["origin", "sec-fetch-site"]
                .iter()
                .any(|header| name.eq_ignore_ascii_case(header));
            decides && !is_header(name, value.as_str().unwrap_or_default())
        });
        if is_odd {
            return false;
        }
        headers.retain(|name, value| is_header(name, value.as_str().unwrap_or_default()));
    }
    if let Some(cookies) = event.pointer_mut("/cookies").and_then(Value::as_array_mut) {
        cookies.retain(|cookie| {
            cookie
                .as_str()
                .is_some_and(|cookie| HeaderValue::from_str(cookie).is_ok())
        });
    }
    true
}

fn is_header(name: &str, value: &str) -> bool {
    let decides_nothing = ["host", "x-forwarded-proto"]
        .iter()
        .any(|header| name.eq_ignore_ascii_case(header));
    !decides_nothing
        && HeaderName::from_bytes(name.as_bytes()).is_ok()
        && HeaderValue::from_str(value).is_ok()
}

/// The event of a request without a path, in the context of another.
fn strip_request(event: &Value) -> Value {
    let mut context = event.get("requestContext").cloned().unwrap_or_default();
    if let Some(http) = context.pointer_mut("/http") {
        http["method"] = json!("GET");
    }
    json!({"version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "", "headers": {},
        "requestContext": context, "isBase64Encoded": false})
}

#[cfg(test)]
mod tests {
    use crate::clock::Clock;

    use axum::routing::get;
    use lambda_http::Context;
    use tracing::Instrument;

    use super::*;
    use crate::config;
    use crate::log::Written;
    use crate::web::{AppError, Source};

    fn a_site() -> Site {
        site_of(&[])
    }

    fn site_of(variables: &[(&str, &str)]) -> Site {
        Site::new(
            &config::of_variables("http://127.0.0.1:1", variables).unwrap(),
            Clock::system(),
        )
    }

    fn event(path: &str, headers: &Value) -> LambdaEvent<Value> {
        let context = json!({"http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}});
        let payload = json!({"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
            "headers": headers, "requestContext": context, "isBase64Encoded": false});
        LambdaEvent::new(payload, Context::default())
    }

    #[tokio::test]
    async fn a_handler_that_panics_ends_its_own_request_with_a_page() {
        let broken: fn() -> std::future::Ready<StatusCode> = || panic!("what nobody may read");
        let routes = Router::new()
            .route("/", get(|| ready(StatusCode::NO_CONTENT)))
            .route("/broken", get(broken));
        let pages = Pages::new(routes, &a_site());
        let answer = pages.answer(event("/broken", &json!({}))).await.unwrap();
        let body = answer["body"].as_str().unwrap();
        assert_eq!(answer["statusCode"], 500);
        assert!(
            body.contains("/bursar.css") && !body.contains("nobody may read"),
            "{body}"
        );
        assert_eq!(
            pages.answer(event("/", &json!({}))).await.unwrap()["statusCode"],
            204
        );
    }

    #[tokio::test]
    async fn a_page_is_shown_only_to_what_comes_through_the_front() {
        let fine: fn() -> std::future::Ready<StatusCode> = || ready(StatusCode::NO_CONTENT);
        let routes = Router::new().route("/", get(fine).put(fine)).fallback(fine);
        let pages = Pages::new(
            routes,
            &site_of(&[("BURSAR_FRONT_SECRET", "0123456789abcdefghij")]),
        );
        let right = json!({"X-Bursar-Front": "0123456789abcdefghij"});
        for (method, path) in [
            ("GET", "/"),
            ("PUT", "/"),
            ("GET", "/bursar.css"),
            ("GET", "no path"),
        ] {
            for headers in [
                json!({}),
                json!({"x-bursar-front": "0123456789abcdefghi"}),
                right.clone(),
            ] {
                let mut event = event(path, &headers);
                event.payload["requestContext"]["http"]["method"] = json!(method);
                let wanted = if path == "no path" || headers != right {
                    403
                } else {
                    204
                };
                assert_eq!(
                    pages.answer(event).await.unwrap()["statusCode"],
                    wanted,
                    "{method} {path} {headers}"
                );
            }
        }
    }

    /// Whoever asks is the peer, but for whom a front with the right secret asks.
    #[tokio::test]
    async fn a_source_is_believed_from_the_front() {
        let said: fn(Source) -> std::future::Ready<String> =
            |source| ready(format!("{:?}", source.0));
        let front = "0123456789abcdefghij";
        for (secret, headers, source) in [
            (
                "",
                json!({"X-Bursar-Source": "198.51.100.1", "X-Bursar-Front": front}),
                "Some(192.0.2.1)",
            ),
            (front, json!({"X-Bursar-Front": front}), "Some(192.0.2.1)"),
            (
                front,
                json!({"X-Bursar-Source": "::ffff:198.51.100.1", "X-Bursar-Front": front}),
                "Some(198.51.100.1)",
            ),
            (
                front,
                json!({"X-Bursar-Source": "198.51.100.1,192.0.2.9", "X-Bursar-Front": front}),
                "Some(192.0.2.1)",
            ),
        ] {
            let site = site_of(&[("BURSAR_FRONT_SECRET", secret)]);
            let pages = Pages::new(
                Router::new().route("/", get(said)).with_state(site.clone()),
                &site,
            );
            let answer = pages.answer(event("/", &headers)).await.unwrap();
            assert_eq!(answer["body"], source, "{headers}");
        }
    }

    /// The numbers that the alarms of the template are made of.
    #[tokio::test]
    async fn each_answer_leaves_a_line_and_an_error_names_the_request() {
        let (written, _guard) = Written::begin();
        let fault: fn() -> std::future::Ready<Result<(), AppError>> =
            || ready(Err(anyhow::anyhow!("broken").into()));
        let later: fn() -> std::future::Ready<Result<(), AppError>> =
            || ready(Err(AppError::later("Come back.")));
        let alike: fn() -> std::future::Ready<StatusCode> = || ready(StatusCode::FORBIDDEN);
        let routes = Router::new()
            .route("/{of}/fault", get(fault))
            .route("/code", get(later));
        let pages = Pages::new(routes.route("/c/{link}", get(alike)), &a_site());
        for (path, named) in [("/ada/fault", true), ("/code", true), ("/c/x", false)] {
            let mut event = event(path, &json!({}));
            event.context.request_id = "5b0c".to_owned();
            let span = tracing::info_span!(
                "invocation",
                request = "5b0c",
                route = tracing::field::Empty
            );
            let answer = pages.answer(event).instrument(span).await.unwrap();
            assert_eq!(
                answer["body"].as_str().unwrap().contains("5b0c"),
                named,
                "{path}"
            );
        }
        let answered = written.lines().filter(|line| line["message"] == "answered");
        let told = answered.map(|line| {
            json!([
                line["span"]["route"],
                line["span"]["request"],
                line["status"],
                line["fault"]
            ])
        });
        let wanted = json!([
            ["GET /{of}/fault", "5b0c", 503, true],
            ["GET /code", "5b0c", 503, false],
            ["GET /c/{link}", "5b0c", 403, false],
        ]);
        assert_eq!(told.collect::<Value>(), wanted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_over_before_the_gateway_gives_up() {
        let pages = Pages::new(
            Router::new().route("/", get(std::future::pending::<StatusCode>)),
            &a_site(),
        );
        let mut event = event("/", &json!({}));
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        event.context.deadline =
            u64::try_from((now + Duration::from_secs(600)).as_millis()).unwrap();
        let begun = tokio::time::Instant::now();
        assert!(pages.answer(event).await.is_err());
        // Less what really passed, on a busy machine, before the clock stood still.
        assert!(
            (25..=29).contains(&begun.elapsed().as_secs()),
            "{:?}",
            begun.elapsed()
        );
    }

    #[tokio::test]
    async fn a_header_that_tells_of_another_site_is_never_left_out() {
        let pages = Pages::new(
            Router::new().route("/", get(|| ready(StatusCode::NO_CONTENT))),
            &a_site(),
        );
        for (name, value, status) in [
            ("Origin", "\u{7f}", 400),
            ("sec-fetch-site", "a\nb", 400),
            ("x-odd", "a\nb", 204),
        ] {
            let answer = pages
                .answer(event("/", &json!({name: value})))
                .await
                .unwrap();
            assert_eq!(answer["statusCode"], status, "{name}");
        }
    }
}
