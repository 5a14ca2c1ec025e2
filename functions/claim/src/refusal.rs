//! The reasons of the domain for which a student is refused: each with its status and one plain
//! sentence.

use bursar_core::clock::Moment;
use bursar_core::domain::grant::{
    BeginRefused, ChangeRefused, HoldKind, MoreRefused, RecordRefused,
};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::format::time_in;
use bursar_core::domain::values::term::Term;
use bursar_core::provider::{FailureKind, ProviderError};
use bursar_core::web::AppError;

/// What the student may do about a refusal that passes.
pub(crate) const AGAIN: &str = "Press again in a moment.";
const ALL_PROMISED: &str = "The programme's budget has no room for your key now. Its faculty get a mail about that. \
                            Look here again tomorrow, or ask {people}.";

/// A sentence with the names of those whom its reader may ask.
fn name_people(sentence: &str, settings: &Settings) -> String {
    sentence.replace("{people}", &settings.people_to_ask())
}

/// The refusal of a claim: to be retried where the cause passes within moments, and a conflict with
/// the present state elsewhere.
pub(crate) fn begin(refused: &BeginRefused, settings: &Settings, now: Moment) -> AppError {
    let sentence = explain_refusal(refused, settings);
    let until = match refused {
        BeginRefused::EnableUnderWay { until } | BeginRefused::KeyMissing { until } => *until,
        BeginRefused::FailedOften { until } => *until,
        BeginRefused::ManyKeys { until } => {
            let sentence = format!(
                "{sentence} If you keep losing keys, ask {}.",
                settings.people_to_ask()
            );
            return AppError::too_fast(sentence, until.duration_since(now))
                .because(reason(refused));
        }
        BeginRefused::Revoked
        | BeginRefused::Over
        | BeginRefused::Held(_)
        | BeginRefused::AlreadyShown
        | BeginRefused::NothingToReplace
        | BeginRefused::BeingMade { .. }
        | BeginRefused::StalePage
        | BeginRefused::NotOpenYet { .. }
        | BeginRefused::WindowClosed
        | BeginRefused::ReplacementsUsedUp
        | BeginRefused::NothingLeft { .. }
        | BeginRefused::BudgetExhausted
        | BeginRefused::TermsNotAccepted => {
            return AppError::conflict(sentence).because(reason(refused));
        }
    };
    AppError::later(sentence)
        .after(until.duration_since(now).try_into().unwrap_or_default())
        .because(reason(refused))
}

/// What the log calls a reason: its name, without the times in it.
pub(crate) fn reason(refused: &BeginRefused) -> String {
    let named = format!("{refused:?}");
    named
        .split([' ', '('])
        .next()
        .unwrap_or_default()
        .to_owned()
}

pub(crate) fn record(refused: RecordRefused, settings: &Settings) -> AppError {
    let meanwhile = match refused {
        RecordRefused::Held(HoldKind::Paused) => {
            "The people who run this programme paused your access"
        }
        RecordRefused::Held(HoldKind::Dropped) => "You were taken off the roster of this programme",
        RecordRefused::Held(HoldKind::Unused) => {
            "Your key was switched off because it was not used"
        }
        RecordRefused::Revoked => "You were removed from this programme",
        RecordRefused::Over => "This programme ended",
        RecordRefused::Lost => "Your key was changed by another request",
        RecordRefused::BudgetExhausted => {
            let sentence = "The cap was lowered while the key was being made, and the budget has no room for this key any more; \
                            nothing was spent. Press again for a key with the new cap.";
            return AppError::conflict(sentence).because(refused.to_string());
        }
    };
    let ask = match refused {
        RecordRefused::Lost => "Open your credit again.",
        RecordRefused::Held(_)
        | RecordRefused::Revoked
        | RecordRefused::Over
        | RecordRefused::BudgetExhausted => "Ask {people}.",
    };
    let sentence = format!(
        "{meanwhile} while the key was being made, so it is not shown and cannot be used. Nothing was spent. {ask}"
    );
    AppError::conflict(name_people(&sentence, settings)).because(refused.to_string())
}

/// The refusal of a request for a larger cap.
pub(crate) fn more(refused: MoreRefused, now: Moment) -> AppError {
    match refused {
        MoreRefused::NoKey => {
            AppError::conflict("You have no key in this programme, so you cannot ask for more.")
        }
        MoreRefused::Asked { until } => {
            let sentence = "You have asked for more already. You can ask again a week after that.";
            AppError::too_fast(sentence, until.duration_since(now))
        }
    }
}

/// The refusal of a claim for a failed call to the provider, with what to do about it.
pub(crate) fn provider(error: &ProviderError, what: &str) -> AppError {
    let minutes = error.after.map_or(0, |wait| wait.as_secs().div_ceil(60));
    let in_minutes = format!("Press again in {minutes} minutes.");
    let advice = match error.kind {
        FailureKind::Later | FailureKind::Unknown(_) if minutes > 1 => &in_minutes,
        FailureKind::Later | FailureKind::Unknown(_) => AGAIN,
        FailureKind::Refused => {
            "Try again later; if that does not help, tell the people who run this programme."
        }
        FailureKind::AnotherAccount(_) => {
            "Bursar's access to OpenRouter is being changed. Try again later; if that does not help, tell the people who run this programme."
        }
        FailureKind::ManagementKey => {
            "OpenRouter is refusing Bursar itself at the moment: tell the people who run this programme, and try again later."
        }
    };
    AppError::provider(error, format!("{what} {advice}"))
}

/// The reason why a key that was off for disuse is not enabled again.
pub(crate) fn explain_not_resumed(refused: &ChangeRefused, settings: &Settings) -> String {
    let sentence = match refused {
        ChangeRefused::Unchanged
        | ChangeRefused::NoKey
        | ChangeRefused::AddressTaken
        | ChangeRefused::AddressChanged
        | ChangeRefused::ChangedSince
        | ChangeRefused::NotMailed => {
            "Your key was not switched off for being unused, so there is nothing to resume."
        }
        ChangeRefused::Over => "This programme has ended for you.",
        ChangeRefused::PausedByAnother => "The people who run this programme paused your access.",
        ChangeRefused::BudgetExhausted => ALL_PROMISED,
    };
    name_people(sentence, settings)
}

/// The reason why no key can be made now, in the student's words.
pub(crate) fn explain_refusal(refused: &BeginRefused, settings: &Settings) -> String {
    name_people(&explain_no_key(refused, &settings.term), settings)
}

fn explain_no_key(refused: &BeginRefused, term: &Term) -> String {
    let format_time = |time| time_in(time, term.zone());
    match refused {
        BeginRefused::Revoked => "You were removed from this programme. If that is a mistake, ask {people}.".to_owned(),
        BeginRefused::Over => "This programme has ended, and so have its keys.".to_owned(),
        BeginRefused::Held(HoldKind::Paused) => {
            "The people who run this programme have paused your access: no key is made, and requests with a key are refused. Ask {people} about it; nothing is lost.".to_owned()
        }
        BeginRefused::Held(HoldKind::Dropped) => {
            "You are no longer on the roster of this programme. If that is a mistake, ask {people}."
                .to_owned()
        }
        BeginRefused::Held(HoldKind::Unused) => {
            "Your key was switched off because it was not used. Press “Resume my key”, and it works again.".to_owned()
        }
        BeginRefused::AlreadyShown => {
            "Your key was shown and is not shown again. Lost it? Replace it.".to_owned()
        }
        BeginRefused::NothingToReplace => "You have no key yet, so there is nothing to replace. Reveal it first.".to_owned(),
        BeginRefused::BeingMade { .. } => {
            "Your key is being made. If no page has shown it to you after a minute, reload this page and press the button again."
                .to_owned()
        }
        BeginRefused::StalePage => {
            "Something has changed since you opened that page, so nothing was done. Open your credit again.".to_owned()
        }
        BeginRefused::EnableUnderWay { .. } => {
            "Your old key was just being switched on, and OpenRouter has not confirmed that. Press again in a minute and a half.".to_owned()
        }
        BeginRefused::KeyMissing { until } => format!(
            "OpenRouter says that it does not know your old key. That may be a mistake, so Bursar asks again before it makes a new \
             one. No money was lost. You can try again from {}.",
            format_time(*until)
        ),
        BeginRefused::FailedOften { until } => {
            format!("The last attempts to make your key failed. You can try again from {}.", format_time(*until))
        }
        BeginRefused::NotOpenYet { opens } => format!("Keys can be claimed from {}.", format_time(*opens)),
        BeginRefused::WindowClosed => {
            "The time to claim a key in this programme is over. Ask {people}.".to_owned()
        }
        BeginRefused::ReplacementsUsedUp => {
            "You have replaced your key as often as this programme allows. Ask {people} to allow one more."
                .to_owned()
        }
        BeginRefused::ManyKeys { until } => {
            format!("You were shown five keys within a day. The next can be made from {}.", format_time(*until))
        }
        BeginRefused::NothingLeft { resets_at: Some(resets) } if *resets < term.ends_at() => {
            format!("Your cap is used up. It resets on {}.", format_time(*resets))
        }
        BeginRefused::NothingLeft { resets_at: Some(_) } => {
            "Your cap is used up, and it does not reset before the term ends.".to_owned()
        }
        BeginRefused::NothingLeft { resets_at: None } => {
            "Your cap for the whole term is used up.".to_owned()
        }
        BeginRefused::BudgetExhausted => {
            ALL_PROMISED.to_owned()
        }
        BeginRefused::TermsNotAccepted => "Accept the terms of the programme first.".to_owned(),
    }
}
