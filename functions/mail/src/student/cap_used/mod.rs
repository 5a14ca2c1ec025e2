//! The mail to a student who has used much or all of their cap. It gives the number, when it
//! resets, the error that their program sees, and where to ask for more. Whether it is still due is
//! decided when it is sent.

use bursar_core::clock::Moment;
use bursar_core::domain::audit::{Act, AuditEntry};
use bursar_core::domain::grant::{CapUse, GrantState, HoldKind, Stopped, View};
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::usage::crossing::{Crossing, Scope, is_used_up, per_cent};
use bursar_core::domain::values::format::{Joined, time_in};
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Reset, Window, utc_date};
use jiff::civil::Date;

use crate::App;
use crate::compose::{GONE, NO_SUCH_CROSSING, NoMail};
use crate::letter::words::{Words, say};
use crate::letter::{Letter, LetterPart};

const REFUSED: &str = "Your program sees the error 403, “Key limit exceeded”.";
const MORE: &str = "If you need more, press “I need more than this” on your page: the people who run the programme get it by mail.";

const ASKED: &str = "You asked for more within the last week: your page says how it stands.";

/// The figures of the mail: the newest on record, and at least those of the crossing.
struct CapUseFacts {
    spent: Usd,
    limit: Usd,
    /// The present cap, if it was changed since the crossing.
    cap_since: Option<Usd>,
    resets_at: Option<Moment>,
    as_of: Moment,
    may_ask_for_more: bool,
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
    ) -> Result<Letter, NoMail> {
        let view = self.table.view(programme, grant).await?.ok_or(GONE)?;
        let used = CapUse::compute(&view.programme, &view.grant, &view.readings, now);
        let used = used.ok_or(NoMail::NotDue(
            "the programme mails its students nothing, or this one has no access any more",
        ))?;
        if used.window != window {
            return Err(NoMail::NotDue("the cap was reset since"));
        }
        let crossing = Crossing::key_of(
            programme,
            &Scope::Cap(grant.clone()),
            window,
            limit,
            threshold,
        );
        let crossing = self.table.get(crossing).await?.ok_or(NO_SUCH_CROSSING)?;
        if crossing.spent > crossing.limit {
            let entries = self
                .table
                .list_known(AuditEntry::of_grant(programme, grant))
                .await?;
            if was_used_before(&entries, &view, &crossing) {
                return Err(NoMail::NotDue(
                    "the mail about the lower cap said that it is used up",
                ));
            }
        }
        let settings = &view.programme.settings;
        let resets_at = settings
            .basis
            .reset
            .resets_at(now)
            .filter(|resets_at| *resets_at < settings.term.ends_at());
        let facts = CapUseFacts {
            stopped: stopped(view.grant.holds.first(), &view.grant.state),
            may_ask_for_more: view.may_ask_for_more(now).is_ok(),
            ..CapUseFacts::new(&crossing, used, resets_at)
        };
        Ok(self.to(&view.grant.person.address, |words| {
            words.cap_used(&view.programme, &facts)
        }))
    }
}

/// Whether more than the cap was used by the day on which somebody lowered it: the mail about that
/// said so.
fn was_used_before(entries: &[AuditEntry], view: &View, crossing: &Crossing) -> bool {
    let changed = entries
        .iter()
        .rev()
        .find(|audit_entry| audit_entry.what.act == Act::CapChanged);
    let Some(next) =
        changed.and_then(|audit_entry| utc_date(audit_entry.recorded_at).tomorrow().ok())
    else {
        return false;
    };
    let byok = view.programme.settings.basis.byok;
    let since = view
        .readings
        .iter()
        .map(|reading| reading.used.days(byok).between(next, Date::MAX, None).spent);
    crossing.spent - since.sum() > crossing.limit
}

impl CapUseFacts {
    fn new(crossing: &Crossing, now: CapUse, resets_at: Option<Moment>) -> CapUseFacts {
        CapUseFacts {
            spent: now.spent.max(crossing.spent),
            limit: crossing.limit,
            cap_since: Some(now.cap).filter(|cap| *cap != crossing.limit),
            resets_at,
            as_of: now
                .as_of
                .filter(|_| now.spent >= crossing.spent)
                .unwrap_or(crossing.found_at),
            may_ask_for_more: true,
            stopped: None,
        }
    }
}

impl Words<'_> {
    fn cap_used(self, programme: &Programme, used: &CapUseFacts) -> Letter {
        let settings = &programme.settings;
        let name = &settings.name;
        let is_used_up = is_used_up(used.limit, used.spent);
        let share = if is_used_up {
            100
        } else {
            per_cent(used.spent, used.limit)
        };
        let mut facts = vec![
            ("Used", used.spent.to_dollars()),
            (
                "Cap",
                format!(
                    "{} {}",
                    used.limit.to_dollars(),
                    describe_window(settings.basis.reset)
                ),
            ),
            ("Left", used.limit.subtract_spent(used.spent).to_dollars()),
        ];
        facts.extend(
            used.cap_since
                .map(|cap| ("Cap since then", cap.to_dollars())),
        );
        facts.extend(
            used.resets_at
                .map(|resets_at| ("Resets", time_in(resets_at, settings.term.zone()))),
        );
        facts.push(("As of", time_in(used.as_of, settings.term.zone())));
        let is_refused = is_used_up && used.cap_since.is_none() && used.stopped.is_none();
        let to_do = match used.stopped {
            None if used.may_ask_for_more => MORE.to_owned(),
            None => ASKED.to_owned(),
            Some(_) => format!("If you have a question, ask {}.", settings.people_to_ask()),
        };
        let sentences = [
            Some(advise(is_used_up, used)),
            is_refused.then_some(REFUSED),
            no_reset(settings, used),
        ];
        let sentences = sentences
            .into_iter()
            .flatten()
            .chain([to_do.as_str()])
            .joined(" ");
        Letter {
            subject: format!(
                "{name}: you have used {share}% of your {}",
                used.limit.to_dollars()
            ),
            heading: format!("You have used {share}% of your {}", used.limit.to_dollars()),
            parts: vec![LetterPart::facts(facts), say(sentences), self.own_page()],
            why: format!("You get this mail because you have a key for {name}."),
            ..self.letter()
        }
    }
}

/// The words for the current window of the cap.
pub(crate) fn describe_window(reset: Reset) -> &'static str {
    match reset {
        Reset::None => "for the whole term",
        Reset::Daily => "for this day",
        Reset::Weekly => "for this week",
        Reset::Monthly => "for this month",
    }
}

fn advise(is_used_up: bool, used: &CapUseFacts) -> &'static str {
    match (used.stopped, is_used_up, used.resets_at) {
        (Some(stopped), ..) => stopped,
        _ if used.cap_since.is_some() => {
            "Your cap was changed since then: your page says what is left of it."
        }
        (None, true, Some(_)) => "Requests with your key are refused until the cap resets.",
        (None, true, None) => "Requests with your key are refused from now on.",
        (None, false, Some(_)) => {
            "Your key works until the cap is used up; then requests are refused until it resets."
        }
        (None, false, None) => {
            "Your key works until the cap is used up; then requests are refused."
        }
    }
}

/// Of a key that does not work for another reason, nothing of its cap is said.
fn no_reset(settings: &Settings, used: &CapUseFacts) -> Option<&'static str> {
    let never = match settings.basis.reset {
        Reset::None => "The cap is for the whole term and does not reset.",
        Reset::Daily | Reset::Weekly | Reset::Monthly => {
            "The cap does not reset before the term ends."
        }
    };
    (used.resets_at.is_none() && used.stopped.is_none()).then_some(never)
}

/// The reason why a key does not work, other than its cap: the mail must not contradict it.
pub(super) fn stopped(hold: Option<HoldKind>, state: &GrantState) -> Option<&'static str> {
    match (hold, state) {
        (Some(HoldKind::Paused), _) => Some(
            "The people who run the programme paused your key. Your page has a button to ask them about it.",
        ),
        (Some(HoldKind::Unused), _) => Some(
            "Your key is switched off because it was not used. You can switch it on again on your page.",
        ),
        (None, GrantState::Live { .. }) => None,
        (
            None,
            GrantState::Stopped {
                why: Stopped::Leaked,
            },
        ) => Some(
            "Your key is switched off because it was reported leaked. Your page says how to go on.",
        ),
        _ => Some("You have no key that works now. Your page says why, and how to go on."),
    }
}

#[cfg(test)]
mod tests;
