//! The mail that a model ends or is gone, which students of a programme may call and did lately, to
//! those who decide which are allowed.

use bursar_core::clock::Moment;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::format::long_date;
use bursar_core::domain::values::id::{PersonId, ProgrammeId};
use bursar_core::domain::values::window::utc_date;
use jiff::civil::Date;

use crate::App;
use crate::compose::NoMail;
use crate::letter::words::{Words, say};
use crate::letter::{Letter, plain};

impl App {
    pub(crate) async fn model_end(
        &self,
        programme: &ProgrammeId,
        model: &str,
        gone_on: Date,
        recipient: &PersonId,
        now: Moment,
    ) -> Result<Letter, NoMail> {
        let programme = self.programme(programme).await?;
        let person = self.decider(recipient, &programme).await?;
        Ok(self.to(&person.address, |words| {
            words.model_end(&programme, model, gone_on, now)
        }))
    }
}

impl Words<'_> {
    fn model_end(self, programme: &Programme, model: &str, gone_on: Date, now: Moment) -> Letter {
        let name = plain(&programme.settings.name);
        let day = long_date(gone_on);
        let what = if gone_on <= utc_date(now) {
            format!("{model} is gone from OpenRouter")
        } else {
            format!("{model} ends on {day}")
        };
        Letter {
            subject: format!("{name}: {what}"),
            heading: what,
            parts: vec![
                say(format!(
                    "OpenRouter does not offer {model} from {day} (UTC) on, and requests for it are refused then. Students of {name} used it \
                     in the last four weeks."
                )),
                say(
                    "If the programme names the models that may be called, put another one in its place in the settings: the keys follow \
                     within minutes. If it allows all, tell the class to choose another one.",
                ),
                self.page(
                    "Open the settings",
                    &format!("/console/programmes/{}/settings#models", programme.id),
                ),
            ],
            why: format!("You get this mail because you decide which models {name} allows."),
            ..self.letter()
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::tests::{now, programme, told};

    #[tokio::test]
    async fn a_model_ends() {
        let write = |words: Words<'_>| {
            words.model_end(&programme(), "openai/gpt-4o", date(2026, 12, 3), now())
        };
        insta::assert_snapshot!(told(write).await, @"
        CS pilot: openai/gpt-4o ends on 3 Dec 2026
        openai/gpt-4o ends on 3 Dec 2026
        OpenRouter does not offer openai/gpt-4o from 3 Dec 2026 (UTC) on, and requests for it are refused then. Students of CS pilot used it in the last four weeks.
        If the programme names the models that may be called, put another one in its place in the settings: the keys follow within minutes. If it allows all, tell the class to choose another one.
        Open the settings: https://bursar.example.edu/console/programmes/cs-pilot/settings#models
        You get this mail because you decide which models CS pilot allows.
        ");
    }

    #[tokio::test]
    async fn a_model_is_gone() {
        let write = |words: Words<'_>| {
            words.model_end(&programme(), "openai/gpt-4o", date(2026, 11, 20), now())
        };
        insta::assert_snapshot!(told(write).await, @"
        CS pilot: openai/gpt-4o is gone from OpenRouter
        openai/gpt-4o is gone from OpenRouter
        OpenRouter does not offer openai/gpt-4o from 20 Nov 2026 (UTC) on, and requests for it are refused then. Students of CS pilot used it in the last four weeks.
        If the programme names the models that may be called, put another one in its place in the settings: the keys follow within minutes. If it allows all, tell the class to choose another one.
        Open the settings: https://bursar.example.edu/console/programmes/cs-pilot/settings#models
        You get this mail because you decide which models CS pilot allows.
        ");
    }
}
