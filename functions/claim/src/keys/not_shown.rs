//! The reasons why a request shows no key: what the student reads, and what the audit entry keeps. Which
//! step failed is decided in `reveal`.

use std::fmt;

use bursar_core::domain::grant::{AttemptFailure, BETWEEN_LOOKS, BeginRefused, RecordRefused};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::key::KeyHash;
use bursar_core::provider::ProviderError;
use bursar_core::store::StoreError;
use jiff::Timestamp;

use crate::refusal::Refusal;

const AGAIN: &str = "Press again in a moment.";

/// The outcome of an attempt that ended without a key to show: why, and the key that it may have left at
/// the provider.
pub(crate) struct FailedAttempt {
    pub(crate) how: AttemptFailure,
    pub(crate) key: Option<KeyHash>,
    pub(crate) why: NotShown,
}

/// The reason why no key is shown.
pub(crate) enum NotShown {
    Begin(BeginRefused),
    NoSuchGrant,
    /// Too little of the request's time is left.
    TooLate,
    /// The provider has not confirmed the rules of the next key yet.
    BeingPrepared,
    /// The old key could not be disabled and may still work.
    NotRetired(ProviderError),
    /// The provider answered that the old key does not exist, which is not believed yet.
    NotFound,
    /// The old key is disabled, but its final usage is unknown. The error is the provider's; `None` if its
    /// answer lacked the figure.
    NotRead(Option<ProviderError>),
    NothingLeft,
    NotMade(ProviderError),
    /// A key was made, but could not be put under the guardrail of its rules.
    NotRestricted(ProviderError),
    Record(RecordRefused),
    Table,
}

impl FailedAttempt {
    /// A failure before any key was made.
    pub(crate) fn nothing(why: NotShown) -> FailedAttempt {
        FailedAttempt { how: AttemptFailure::Refused, key: None, why }
    }
}

impl NotShown {
    pub(crate) fn table(error: &StoreError) -> NotShown {
        tracing::error!(%error, "a claim could not go on");
        NotShown::Table
    }

    pub(crate) fn refusal(&self, settings: &Settings, now: Timestamp) -> Refusal {
        match self {
            NotShown::Begin(refused) => Refusal::begin(refused, &settings.term, now),
            NotShown::NoSuchGrant => {
                Refusal::conflict("Your place in this programme is gone. Ask the people who run it.")
            }
            NotShown::TooLate => Refusal::later("There was too little time to make a key. Nothing was spent.", None),
            NotShown::BeingPrepared => {
                Refusal::later("This programme is still being prepared at the provider. Nothing was spent.", None)
            }
            NotShown::NotRetired(error) => provider_refusal(
                error,
                "Your old key could not be ended at the provider, so no new one was made. No money was lost; the old key is \
                 ended as soon as the provider can be reached.",
            ),
            NotShown::NotFound => Refusal::later(
                "The provider says that it does not know your old key. That may be a mistake, so it is asked again before a new one \
                 is made. No money was lost. Press again in ten minutes.",
                Some(BETWEEN_LOOKS.unsigned_abs()),
            ),
            NotShown::NotRead(error) => {
                let sentence = "Your old key is ended, but the provider did not say what it had used, so no new one was made. \
                                No money was lost.";
                match error {
                    Some(error) => provider_refusal(error, sentence),
                    None => Refusal::later(&format!("{sentence} {AGAIN}"), None),
                }
            }
            NotShown::NothingLeft => Refusal::conflict(
                "Your cap is used up, so no new key can be made before it starts anew. Your old key is ended.",
            ),
            NotShown::NotMade(error @ ProviderError::Unknown { .. }) => provider_refusal(
                error,
                "The provider did not say whether it made a key. If it did, nobody saw it and it cannot be used. Nothing was \
                 spent.",
            ),
            NotShown::NotMade(error) => provider_refusal(error, "The provider did not make a key. Nothing was spent."),
            NotShown::NotRestricted(error) => provider_refusal(
                error,
                "The provider made a key, but did not confirm that the rules of the programme apply to it, so it is not shown \
                 and was ended. Nothing was spent.",
            ),
            NotShown::Record(refused) => Refusal::record(*refused),
            NotShown::Table => Refusal::later(
                "Something did not work on our side. Nothing is lost: open your credit again, and press once more.",
                None,
            ),
        }
    }
}

/// The refusal for a failed call to the provider. Its error decides whether the student is advised to press
/// again.
fn provider_refusal(error: &ProviderError, what: &str) -> Refusal {
    let then = match error {
        ProviderError::Later { .. } | ProviderError::Unknown { .. } => AGAIN,
        ProviderError::Refused { .. } => "Try again later; if it stays so, tell the people who run this programme.",
        ProviderError::AnotherAccount { .. } => {
            "Bursar's own access to the provider is being changed. Try again later; if it stays so, tell the people who run this programme."
        }
        ProviderError::ManagementKey { .. } => {
            "The provider refuses Bursar itself at present: tell the people who run this programme, and try again later."
        }
    };
    Refusal::provider(error, &format!("{what} {then}"))
}

/// The reason in the words of the audit entry.
impl fmt::Display for NotShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotShown::Begin(_) => f.write_str("not begun"),
            NotShown::NoSuchGrant => f.write_str("the grant is gone"),
            NotShown::TooLate => f.write_str("too little time was left"),
            NotShown::BeingPrepared => f.write_str("its rules are not confirmed yet"),
            NotShown::NotRetired(error) => write!(f, "the old key was not retired: {}", error.trouble()),
            NotShown::NotFound => f.write_str("the old key was not found"),
            NotShown::NotRead(Some(error)) => write!(f, "what the old key used was not read: {}", error.trouble()),
            NotShown::NotRead(None) => f.write_str("what the old key used could not be recorded"),
            NotShown::NothingLeft => f.write_str("nothing is left of the cap"),
            NotShown::NotMade(error) | NotShown::NotRestricted(error) => write!(f, "{}", error.trouble()),
            NotShown::Record(RecordRefused::Held(_)) => f.write_str("held while the key was made"),
            NotShown::Record(RecordRefused::Revoked) => f.write_str("revoked while the key was made"),
            NotShown::Record(RecordRefused::Over) => f.write_str("ended while the key was made"),
            NotShown::Record(RecordRefused::LimitLowered) => f.write_str("the cap was lowered while the key was made"),
            NotShown::Record(RecordRefused::Lost) => f.write_str("overtaken while the key was made"),
            NotShown::Table => f.write_str("the table did not answer"),
        }
    }
}
