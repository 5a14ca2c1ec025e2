//! The students' pages. So far it shows the form that asks for a link; following one comes with the first journey.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::start::Function;
use bursar_core::web::{self, Frame, Message, Start};
use lambda_runtime::LambdaEvent;
use serde_json::Value;

/// The function with its routes.
pub struct App {
    router: Router,
}

impl Function for App {
    fn new(config: Config, _: Clock) -> App {
        let frame = Arc::new(Frame::of(&config));
        let routes = Router::new()
            .route("/", get(start))
            .route("/bursar.css", get(web::stylesheet))
            .route("/link", post(ask))
            .route("/my", web::signed_out(&frame))
            .route("/my/{*page}", web::signed_out(&frame))
            .fallback(nothing)
            .method_not_allowed_fallback(nothing)
            .with_state(frame);
        App { router: web::pages(routes, &config) }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        web::answer(&self.router, event).await
    }
}

async fn start(State(frame): State<Arc<Frame>>) -> Response {
    Frame::page(StatusCode::OK, &Start { frame: &frame })
}

/// Links are not mailed yet, so nobody is told that one is on its way.
async fn ask(State(frame): State<Arc<Frame>>) -> Response {
    let message = Message {
        frame: &frame,
        heading: "No link can be sent yet",
        sentence: "This version of Bursar does not mail links. Nothing was stored.",
    };
    let an_hour = [(RETRY_AFTER, "3600")];
    (an_hour, Frame::page(StatusCode::SERVICE_UNAVAILABLE, &message)).into_response()
}

async fn nothing(State(frame): State<Arc<Frame>>) -> Response {
    frame.not_found()
}
