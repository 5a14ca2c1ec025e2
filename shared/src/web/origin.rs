//! The guard against other sites' forms: a request that changes something must come from our own pages, as
//! far as the browser says.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};

use super::{Answer, AppError, Site};
use crate::config::Origin;

/// Refuses requests from other sites before a route sees them.
pub(super) fn guarded(router: Router, site: &Site) -> Router {
    router.layer(from_fn_with_state(site.origin.clone(), guard))
}

async fn guard(State(origin): State<Origin>, request: Request, next: Next) -> Answer {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if reads || is_ours(request.headers(), &origin) {
        return Ok(next.run(request).await);
    }
    let sentence = "This form was sent from another site. Open the page here and try again.";
    Err(AppError::refused(StatusCode::FORBIDDEN, sentence).because("origin"))
}

/// Whether a request is from our own pages. A missing header is no objection, since old browsers send
/// neither.
fn is_ours(headers: &HeaderMap, origin: &Origin) -> bool {
    let same = headers.get_all(ORIGIN).iter().all(|given| given.as_bytes() == origin.as_str().as_bytes());
    let site = headers.get_all("sec-fetch-site").iter().all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    same && site
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_taken_from_our_own_origin_and_from_browsers_that_name_none() {
        let origin = Origin::parse("https://bursar.uni.edu").unwrap();
        let judged = |headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            is_ours(&headers.collect(), &origin)
        };
        assert!(judged(&[]));
        assert!(judged(&[("origin", "https://bursar.uni.edu"), ("sec-fetch-site", "same-origin")]));
        assert!(judged(&[("sec-fetch-site", "none")]));
        for foreign in
            ["null", "https://bursar.uni.edu.evil.org", "http://bursar.uni.edu", "https://bursar.uni.edu:8443", ""]
        {
            assert!(!judged(&[("origin", foreign)]), "{foreign}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(!judged(&[("origin", "https://bursar.uni.edu"), ("sec-fetch-site", site)]), "{site}");
        }
        assert!(!judged(&[("origin", "https://bursar.uni.edu"), ("origin", "null")]));
    }
}
