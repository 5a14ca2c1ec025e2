//! Why a press shows no key: what its student reads, and what the audit keeps. Which step it was that failed is `reveal`'s matter.

use std::fmt;

use bursar_core::domain::grant::{BeginRefused, GaveUp, RecordRefused};
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::programme::Settings;
use bursar_core::provider::ProviderError;
use bursar_core::store::StoreError;

use crate::refusal::Refusal;

/// How an attempt that began came to nothing, and with which key.
pub(crate) struct Failed {
    pub(crate) how: GaveUp,
    pub(crate) key: Option<KeyHash>,
    pub(crate) why: NotShown,
}

/// Why no key is shown.
pub(crate) enum NotShown {
    Begin(BeginRefused),
    NoSuchGrant,
    /// Too little of the request's time is left.
    TooLate,
    /// The programme's guardrail is not made yet.
    BeingPrepared,
    NotRetired(Option<ProviderError>),
    NothingLeft,
    Provider(ProviderError),
    Record(RecordRefused),
    Table,
}

impl Failed {
    /// Nothing was made.
    pub(crate) fn nothing(why: NotShown) -> Failed {
        Failed { how: GaveUp::Refused, key: None, why }
    }
}

impl NotShown {
    pub(crate) fn table(error: &StoreError) -> NotShown {
        tracing::error!(%error, "a claim could not go on");
        NotShown::Table
    }

    pub(crate) fn refusal(&self, settings: &Settings) -> Refusal {
        match self {
            NotShown::Begin(refused) => Refusal::begin(refused, &settings.term),
            NotShown::NoSuchGrant => {
                Refusal::conflict("Your place in this programme is gone. Ask the people who run it.")
            }
            NotShown::TooLate => Refusal::later("There was too little time to make a key. Nothing was spent.", None),
            NotShown::BeingPrepared => {
                Refusal::later("This programme is still being prepared at the provider. Nothing was spent.", None)
            }
            NotShown::NotRetired(error) => {
                let sentence = "Your old key could not be ended at the provider, so no new one was made. No money was lost; \
                                the old key is ended as soon as the provider can be reached.";
                match error {
                    Some(error) => Refusal::provider(error, sentence),
                    None => Refusal::later(sentence, None),
                }
            }
            NotShown::NothingLeft => Refusal::conflict(
                "Your cap is used up, so no new key can be made in this window. Your old key is ended.",
            ),
            NotShown::Provider(error @ ProviderError::Unknown { .. }) => Refusal::provider(
                error,
                "The provider did not say whether it made a key. If it did, nobody saw it and it is ended. Nothing was spent; \
                 press again.",
            ),
            NotShown::Provider(error) => {
                Refusal::provider(error, "The provider did not make a key. Nothing was spent; try again later.")
            }
            NotShown::Record(refused) => Refusal::record(*refused),
            NotShown::Table => Refusal::later(
                "Something did not work on our side. Nothing is lost: open your credit again, and press once more.",
                None,
            ),
        }
    }
}

/// For the audit.
impl fmt::Display for NotShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotShown::Begin(_) => f.write_str("not begun"),
            NotShown::NoSuchGrant => f.write_str("the grant is gone"),
            NotShown::TooLate => f.write_str("too little time was left"),
            NotShown::BeingPrepared => f.write_str("there is no guardrail yet"),
            NotShown::NotRetired(Some(error)) => write!(f, "the old key was not retired: {}", error.trouble()),
            NotShown::NotRetired(None) => f.write_str("what the old key used could not be recorded"),
            NotShown::NothingLeft => f.write_str("nothing is left of the cap"),
            NotShown::Provider(error) => write!(f, "{}", error.trouble()),
            NotShown::Record(RecordRefused::Held(_)) => f.write_str("held while the key was made"),
            NotShown::Record(RecordRefused::Revoked) => f.write_str("revoked while the key was made"),
            NotShown::Record(RecordRefused::Over) => f.write_str("ended while the key was made"),
            NotShown::Record(RecordRefused::Lost) => f.write_str("overtaken while the key was made"),
            NotShown::Table => f.write_str("the table did not answer"),
        }
    }
}
