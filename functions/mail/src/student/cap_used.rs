//! The mail to a student who has used much or all of their cap. It gives the number, the next window, the
//! error that their program sees, and whom to ask. Whether it is still due is decided when it is sent.

use bursar_core::domain::grant::{CapUse, GrantState, HoldKind, Stopped};
use bursar_core::domain::usage::crossing::{Crossing, Scope, is_used_up};
use bursar_core::domain::values::window::Window;

use crate::letter::words::people;
use crate::prelude::*;

/// The sentence about the provider's error, which `/my` explains.
const REFUSED: &str = "Your program sees the error 403, “Key limit exceeded”, which your page explains.";
const HELP: &str = "#refused";

/// The figures of the mail: the newest on record, and at least those of the crossing.
struct CapUseFacts {
    spent: Usd,
    limit: Usd,
    /// The present cap, if it was changed since the crossing.
    cap_since: Option<Usd>,
    starts_anew: Option<Moment>,
    as_of: Moment,
    /// The reason why the key does not work, other than the cap.
    stopped: Option<&'static str>,
}

impl App {
    pub(crate) async fn cap_used(
        &self,
        (programme, grant): (&ProgrammeId, &GrantId),
        window: Window,
        threshold: u8,
        limit: Usd,
        now: Moment,
    ) -> Result<ComposedRow, StoreError> {
        let Some(view) = self.table.view(programme, grant).await? else { return Ok(GONE) };
        let Some(used) = CapUse::of(&view.programme, &view.grant, &view.readings, now) else {
            return Ok(ComposedRow::Nothing("the programme mails its students nothing, or this one's grant is over"));
        };
        if used.window != window {
            return Ok(ComposedRow::Nothing("the cap has started anew since"));
        }
        let crossings =
            self.table.list(Crossing::of_limit(programme, &Scope::Cap(grant.clone()), window, limit)).await?;
        let Some(crossing) = crossings.into_iter().find(|crossing| crossing.threshold == threshold) else {
            return Ok(ComposedRow::Unsendable("NoSuchCrossing"));
        };
        let settings = &view.programme.settings;
        let starts_anew = settings.basis.reset.resets_at(now).filter(|at| *at < settings.term.ends_at());
        let told = CapUseFacts { stopped: stopped(&view.grant), ..CapUseFacts::of(&crossing, used, starts_anew) };
        Ok(self.to(&view.grant.person.address, |words| words.cap_used(&view.programme, &told)))
    }
}

impl CapUseFacts {
    fn of(crossing: &Crossing, now: CapUse, starts_anew: Option<Moment>) -> CapUseFacts {
        CapUseFacts {
            spent: now.spent.max(crossing.spent),
            limit: crossing.limit,
            cap_since: Some(now.cap).filter(|cap| *cap != crossing.limit),
            starts_anew,
            as_of: now.as_of.filter(|_| now.spent >= crossing.spent).unwrap_or(crossing.found_at),
            stopped: None,
        }
    }
}

impl Words<'_> {
    fn cap_used(self, programme: &Programme, used: &CapUseFacts) -> Letter {
        let settings = &programme.settings;
        let (name, is_used_up) = (&settings.name, is_used_up(used.limit, used.spent));
        let share = per_cent(used.spent, used.limit).max(if is_used_up { 100 } else { 0 });
        let mut facts = vec![
            ("Used", used.spent.to_dollars_up()),
            ("Cap", format!("{} {}", used.limit.to_dollars_down(), of_this_window(settings.basis.reset))),
            ("Left", (used.limit - used.spent).or_zero().to_dollars_down()),
        ];
        facts.extend(used.cap_since.map(|cap| ("Cap since then", cap.to_dollars_down())));
        facts.extend(used.starts_anew.map(|at| ("Starts anew", time_in(at, settings.term.zone()))));
        facts.push(("As of", time_in(used.as_of, settings.term.zone())));
        let is_refused = is_used_up && used.cap_since.is_none() && used.stopped.is_none();
        let sentences = [Some(what_next(is_used_up, used)), is_refused.then_some(REFUSED), never_anew(settings, used)];
        let sentences: Vec<&str> = sentences.into_iter().flatten().collect();
        let explained = if is_refused { HELP } else { "" };
        Letter {
            subject: format!("{name}: you have used {share}% of your {}", used.limit.to_dollars_down()),
            heading: format!("You have used {share}% of your {}", used.limit.to_dollars_down()),
            parts: vec![
                LetterPart::facts(facts),
                LetterPart::Sentences(format!("{} If you need more, ask {}.", sentences.join(" "), people(settings))),
                self.page("Look at my keys", &format!("/my{explained}")),
            ],
            why: format!("You get this mail because you have a key for {name}."),
            to: self.to.clone(),
        }
    }
}

/// The words for the current window of the cap.
pub(crate) fn of_this_window(reset: Reset) -> &'static str {
    match reset {
        Reset::None => "for the whole term",
        Reset::Daily => "for this day",
        Reset::Weekly => "for this week",
        Reset::Monthly => "for this month",
    }
}

fn what_next(is_used_up: bool, used: &CapUseFacts) -> &'static str {
    match (used.stopped, is_used_up, used.starts_anew) {
        (Some(stopped), ..) => stopped,
        _ if used.cap_since.is_some() => "Your cap has been changed since: your page says what is left of it.",
        (None, true, Some(_)) => "Requests with your key are refused until the cap starts anew.",
        (None, true, None) => "Requests with your key are refused from now on.",
        (None, false, Some(_)) => {
            "Your key works until the cap is used up; then requests are refused until it starts anew."
        }
        (None, false, None) => "Your key works until the cap is used up; then requests are refused.",
    }
}

fn never_anew(settings: &Settings, used: &CapUseFacts) -> Option<&'static str> {
    let never = match settings.basis.reset {
        Reset::None => "This is for the whole term; it does not start anew.",
        Reset::Daily | Reset::Weekly | Reset::Monthly => "It does not start anew before the term ends.",
    };
    used.starts_anew.is_none().then_some(never)
}

/// The reason why a key does not work, other than its cap: the mail must not contradict it.
fn stopped(grant: &Grant) -> Option<&'static str> {
    match (grant.holds.first(), &grant.state) {
        (Some(HoldKind::Paused), _) => {
            Some("Your key is switched off because the people who run the programme paused it.")
        }
        (Some(HoldKind::Unused), _) => {
            Some("Your key is switched off because it was not used. You can switch it on again on your page.")
        }
        (None, GrantState::Live { .. }) => None,
        (None, GrantState::Stopped { why: Stopped::Leaked }) => {
            Some("Your key is switched off because it was reported leaked. Your page says how to go on.")
        }
        _ => Some("You have no key that works now. Your page says why, and how to go on."),
    }
}

#[cfg(test)]
mod tests;
