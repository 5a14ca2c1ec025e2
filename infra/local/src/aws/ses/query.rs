//! The Query protocol: the action that a form names. The actions themselves are left to the other files.

use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Form, Router};

use super::answer::{Refusal, result};
use super::fields::Fields;
use super::{Mail, Outcome, Ses, submission};
use crate::base::serve::no_answer;

/// The largest form: a message of ten megabytes in base64, with every third character escaped.
const LARGEST_FORM: usize = 64 << 20;

pub(super) fn router(ses: Ses) -> Router {
    Router::new().route("/", post(answer)).layer(DefaultBodyLimit::max(LARGEST_FORM)).with_state(ses)
}

async fn answer(State(ses): State<Ses>, form: Result<Form<Vec<(String, String)>>, FormRejection>) -> Response {
    let fields = match form {
        Ok(Form(fields)) => Fields(fields),
        Err(rejection) => return Refusal::Malformed(rejection.body_text()).into_response(),
    };
    let now = ses.now();
    match fields.get("Action").unwrap_or_default() {
        action @ "SendRawEmail" => send(ses, action, submission::of_raw(&fields, now)).await,
        action @ "GetSendQuota" => quota(&ses, action),
        action @ "GetAccountSendingEnabled" => result(action, &[("Enabled", ses.is_enabled().to_string())]),
        other => Refusal::UnknownAction(other.to_owned()).into_response(),
    }
}

async fn send(ses: Ses, action: &str, submitted: Result<Mail, Refusal>) -> Response {
    let mail = match submitted {
        Ok(mail) => mail,
        Err(refusal) => return refusal.into_response(),
    };
    // A task of its own, so that a client that disconnects cannot cancel it between the relay and the
    // storage.
    let outcome = tokio::spawn(async move { ses.accept(mail).await }).await;
    match outcome {
        Ok(Ok(Outcome::Accepted(id))) => result(action, &[("MessageId", id)]),
        Ok(Ok(Outcome::AnswerLost)) => no_answer(),
        Ok(Ok(Outcome::Refused(refusal))) => refusal.into_response(),
        Ok(Err(error)) => {
            tracing::error!(error = format!("{error:#}"), "a mail could not be kept");
            Refusal::Failed.into_response()
        }
        Err(error) => {
            tracing::error!(%error, "accepting a mail was cut off");
            Refusal::Failed.into_response()
        }
    }
}

fn quota(ses: &Ses, action: &str) -> Response {
    let (quota, sent) = ses.quota();
    result(
        action,
        &[
            ("Max24HourSend", format!("{}.0", quota.per_day)),
            ("MaxSendRate", format!("{}.0", quota.per_second)),
            ("SentLast24Hours", format!("{sent}.0")),
        ],
    )
}
