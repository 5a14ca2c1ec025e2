//! The stand-ins for AWS: table and stream, mail with its inbox, secrets, API Gateway, schedules
//! and Lambda. `wiring` says how they are connected.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::Uri;
use tower::ServiceExt;

pub mod dead_letters;
pub mod engine;
pub mod gateway;
pub mod here;
pub mod inbox;
pub mod invoke;
pub mod pump;
pub mod schedules;
pub mod secrets_manager;
pub mod ses;
pub mod tidy;
pub mod wiring;

/// The three services that functions call at AWS, each with its calls at `/`.
#[derive(Clone)]
pub struct Services {
    pub table: Router,
    pub mail: Router,
    pub secrets: Router,
    /// The secrets for callers whose path does not begin with `own_path`.
    pub secrets_of_others: Router,
    /// The first segment of the functions' own paths, which only this process knows.
    pub own_path: String,
}

/// All of AWS at one origin: what is asked tells which service is meant.
pub fn router(services: Services) -> Router {
    Router::new().fallback(call).with_state(services)
}

async fn call(State(services): State<Services>, mut request: Request) -> Response {
    let target = request
        .headers()
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    let service = match target {
        None => services.mail,
        Some(target) if !target.starts_with("secretsmanager.") => services.table,
        Some(_)
            if request
                .uri()
                .path()
                .trim_start_matches('/')
                .starts_with(&services.own_path) =>
        {
            services.secrets
        }
        Some(_) => services.secrets_of_others,
    };
    *request.uri_mut() = Uri::from_static("/");
    service
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {})
}
