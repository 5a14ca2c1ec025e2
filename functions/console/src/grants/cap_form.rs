//! The form that gives one grant a cap of its own, for good or for a while.

use bursar_core::domain::grant::Grant;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::money::Usd;
use bursar_core::web::Fields;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use crate::settings;

/// The fields as they are shown or were posted.
#[derive(Debug, Clone, Default)]
pub(crate) struct CapForm {
    pub(crate) cap: String,
    pub(crate) until: String,
    pub(crate) reason: String,
    pub(crate) cap_error: Option<String>,
    pub(crate) until_error: Option<String>,
}

impl CapForm {
    /// The form with the cap of now.
    pub(super) fn now(grant: &Grant, settings: &Settings, now: Timestamp) -> CapForm {
        let passing = grant.passing_cap.filter(|passing| now < passing.until);
        let last_day = |until: Timestamp| {
            let date = until.to_zoned(settings.term.zone().clone()).date();
            date.yesterday().map(|date| date.to_string()).unwrap_or_default()
        };
        let until = passing.map(|passing| last_day(passing.until)).unwrap_or_default();
        CapForm { cap: settings::plain(grant.cap(settings, now)), until, ..CapForm::default() }
    }

    pub(super) fn of(fields: &Fields) -> CapForm {
        let text = |name| fields.get(name).unwrap_or_default().trim().to_owned();
        CapForm { cap: text("cap_usd"), until: text("until"), reason: text("reason"), ..CapForm::default() }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.cap_error.is_some() || self.until_error.is_some()
    }

    /// The cap, and the time until which it holds. Without a cap the group's or programme's holds again.
    pub(super) fn read(
        mut self,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(Option<Usd>, Option<Timestamp>), CapForm> {
        let cap = match self.cap.as_str() {
            "" => return Ok((None, None)),
            typed => match Usd::from_form(typed) {
                Ok(cap) if cap >= Usd::CENT => Some(cap),
                Ok(_) => {
                    self.cap_error = Some("No key has a cap below one cent.".to_owned());
                    None
                }
                Err(error) => {
                    self.cap_error = Some(format!("Refused: {error}."));
                    None
                }
            },
        };
        let until = self.until_end_of_day(settings, now);
        if self.is_refused() { Err(self) } else { Ok((cap, until)) }
    }

    fn until_end_of_day(&mut self, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
        if self.until.is_empty() {
            return None;
        }
        let date: Option<Date> = if self.until.len() == 10 { self.until.parse().ok() } else { None };
        let Some(date) = date else {
            self.until_error = Some("Write a date like 2026-10-12.".to_owned());
            return None;
        };
        let next = date.checked_add(1.day()).ok().and_then(|next| next.to_zoned(settings.term.zone().clone()).ok());
        let until = next.map(|next| next.timestamp()).filter(|until| now < *until);
        if until.is_none() {
            self.until_error = Some("This day is over.".to_owned());
        }
        until
    }
}

/// A grant's cap for a while, in words.
pub(super) fn passing_in_words(grant: &Grant, settings: &Settings, now: Timestamp) -> Option<String> {
    let passing = grant.passing_cap.filter(|passing| now < passing.until)?;
    Some(format!(
        "until {}, then {} again",
        column_time(passing.until, settings.term.zone()),
        grant.lasting_cap(settings).to_cents_down()
    ))
}
