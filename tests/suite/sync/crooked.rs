//! A provider whose answers a test changes before the sync reads them. The sync that calls it has
//! as little time as the test allows.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bursar_core::config::Config;
use bursar_core::start::Function;
use bursar_local::invoke::FunctionName;
use bursar_tests::aws;
use bursar_tests::stack::Stack;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// An answer on its way from the provider.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

type Bend = Box<dyn FnMut(&str, Told) -> Told + Send>;

/// A sync with a changed provider, besides the stack's own.
pub(crate) struct Crooked {
    app: usage_sync::App,
    bend: Arc<Mutex<Bend>>,
}

struct Way {
    to: String,
    http: reqwest::Client,
    bend: Arc<Mutex<Bend>>,
}

impl Crooked {
    pub(crate) async fn before(stack: &Stack) -> Crooked {
        let bend: Arc<Mutex<Bend>> = Arc::new(Mutex::new(Box::new(|_, told| told)));
        // Its calls are a sync's, so that faults meet them too.
        let to = stack
            .config
            .provider
            .replace("/api/", &format!("/{}/0/api/", FunctionName::UsageSync));
        let way = Way {
            to,
            http: aws::http(),
            bend: bend.clone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::new(way));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = Config {
            provider,
            ..stack.config.clone()
        };
        Crooked {
            app: usage_sync::App::new(config, stack.clock.as_clock()),
            bend,
        }
    }

    /// Changes every answer from now on, by its path and query.
    pub(crate) fn bend(&self, bend: impl FnMut(&str, Told) -> Told + Send + 'static) {
        *self.bend.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(bend);
    }

    pub(crate) fn straighten(&self) {
        self.bend(|_, told| told);
    }

    pub(crate) async fn sync(&self) -> Value {
        self.within(Duration::from_secs(900), json!({}))
            .await
            .unwrap()
    }

    /// An invocation with this much time.
    pub(crate) async fn within(&self, time: Duration, event: Value) -> Result<Value> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut context = Context::default();
        context.request_id = format!("{now:?}");
        context.deadline = u64::try_from((now + time).as_millis()).unwrap();
        self.app.handle(LambdaEvent::new(event, context)).await
    }
}

async fn answer(State(way): State<Arc<Way>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut asked = way
        .http
        .request(parts.method, format!("{}{path}", way.to))
        .body(body);
    for name in ["authorization", "content-type"] {
        if let Some(value) = parts.headers.get(name) {
            asked = asked.header(name, value);
        }
    }
    let straight = asked.send().await.unwrap();
    let status = straight.status().as_u16();
    let after = straight
        .headers()
        .get("retry-after")
        .map(|after| ("retry-after", after.to_str().unwrap().to_owned()));
    let told = Told {
        status,
        headers: after.into_iter().collect(),
        body: straight.text().await.unwrap(),
    };
    let told = (way.bend.lock().unwrap_or_else(PoisonError::into_inner))(&path, told);
    let mut answer = Response::builder()
        .status(told.status)
        .header("content-type", "application/json");
    for (name, value) in told.headers {
        answer = answer.header(name, value);
    }
    answer.body(Body::from(told.body)).unwrap()
}

/// The answer with one row changed, if it is a page of keys.
pub(crate) fn with_row(path: &str, told: Told, key: &str, change: impl Fn(&mut Value)) -> Told {
    if !path.starts_with("/keys?") {
        return told;
    }
    let mut page: Value = serde_json::from_str(&told.body).unwrap();
    for row in page["data"].as_array_mut().unwrap() {
        if row["hash"] == key {
            change(row);
        }
    }
    Told {
        body: page.to_string(),
        ..told
    }
}

/// The answer as if a key did not exist: without its row in a page of keys, and not found by its
/// hash.
pub(crate) fn without(path: &str, told: Told, key: &str) -> Told {
    if path.starts_with(&format!("/keys/{key}")) {
        let body = json!({"error": {"code": 404, "message": "API key not found"}}).to_string();
        return Told {
            status: 404,
            body,
            ..told
        };
    }
    if !path.starts_with("/keys?") {
        return told;
    }
    let mut page: Value = serde_json::from_str(&told.body).unwrap();
    page["data"]
        .as_array_mut()
        .unwrap()
        .retain(|row| row["hash"] != key);
    Told {
        body: page.to_string(),
        ..told
    }
}
