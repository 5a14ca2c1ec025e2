//! What both HTTP functions need: an API Gateway event in, a page with its headers out. What the pages are for belongs to the
//! functions.

mod cookies;
pub mod fault;
pub mod form;
mod gateway;
mod headers;
mod origin;
mod page;
mod refused;
pub mod session;
pub mod site;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;

use crate::config::Config;

pub use fault::Fault;
pub use form::Fields;
pub use gateway::Pages;
pub use page::{Frame, Message, forms_script, signed_out, stylesheet};
pub use refused::{Denial, note_refusal};
pub use session::{Posted, Visitor};
pub use site::{RequestDeadline, Site};

/// What a handler answers: a page, or a fault that becomes one.
pub type Answer = Result<Response, Fault>;

/// These routes with what every page of ours has: the headers, the refusal of other sites' forms, and a page for every refusal.
fn dressed(routes: Router, config: &Config) -> Router {
    let routes = routes.layer(from_fn_with_state(Frame::of(config), site::with_page));
    headers::with_headers(origin::guarded(routes, config), config)
}
