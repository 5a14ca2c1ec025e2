//! What both HTTP functions need: an API Gateway event in, a page with its headers out. What the pages are for belongs to the
//! functions.

pub mod fault;
pub mod form;
mod headers;
mod origin;
mod page;
pub mod plain;
pub mod session;
pub mod site;

use std::convert::Infallible;

use anyhow::Context;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, LambdaEvent, Service};
use serde_json::Value;

use crate::config::Config;

pub use fault::Fault;
pub use form::Fields;
pub use page::{Frame, Message, forms_script, signed_out, stylesheet};
pub use session::{Posted, Visitor};
pub use site::{Site, Until};

/// What a handler answers: a page, or a fault that becomes one.
pub type Answer = Result<Response, Fault>;

/// These routes with what every page of ours has: the headers, the refusal of other sites' forms, and a page for every refusal.
pub fn pages(routes: Router, config: &Config) -> Router {
    let routes = routes.layer(from_fn_with_state(Frame::of(config), site::with_page));
    headers::with_headers(origin::guarded(routes, config), config)
}

/// Answers one HTTP event with a router's pages.
pub async fn answer(router: &Router, event: LambdaEvent<Value>) -> anyhow::Result<Value> {
    let request: LambdaRequest = serde_json::from_value(event.payload).context("this is no event of an HTTP API")?;
    let event = LambdaEvent { payload: request, context: event.context };
    // The adapter itself cannot be held over the wait.
    let answered = Adapter::from(router.clone()).call(event);
    let response = match answered.await {
        Ok(response) => response,
        Err(never) => never_fails(never),
    };
    Ok(serde_json::to_value(response)?)
}

fn never_fails<T>(never: Infallible) -> T {
    match never {}
}
