//! The state of a grant in plain words, in the time zone of its programme. What a press that is refused reads is `refusal`'s matter;
//! here it is said before anybody presses.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{
    Announced, Announcement, BeginRefused, Disable, HoldKind, OrderKind, ReleaseRefused, State, Stopped, View,
};
use bursar_core::domain::term::Term;
use bursar_core::domain::window::Reset;
use bursar_core::web::plain::time_in;
use jiff::Timestamp;

use crate::card::Bar;
use crate::refusal::{why_not, why_not_resumed};

/// Two of the labels, which have colours of their own.
pub(crate) const USED_UP: &str = "used up";
pub(crate) const OVER: &str = "over";

/// The state in a word or three.
pub(crate) fn label(view: &View, now: Timestamp) -> &'static str {
    match view.grant.state {
        State::Revoked => "withdrawn",
        State::Ended => OVER,
        _ if view.grant.holds.first() == Some(HoldKind::Unused) => "switched off",
        _ if !view.grant.holds.is_empty() => "paused",
        _ if view.programme.is_over(now) => OVER,
        State::Invited => "no key yet",
        State::Minting { lease_until, .. } if lease_until <= now => "interrupted",
        State::Minting { .. } => "being made",
        State::Live { .. } if used_up(view, now).is_some() => USED_UP,
        State::Live { .. } => "working",
        State::Stopped { .. } => "no key now",
    }
}

/// The state in a sentence or two, and what to do.
pub(crate) fn state(view: &View, bar: Option<&Bar>, now: Timestamp) -> String {
    let (grant, term) = (&view.grant, &view.programme.settings.term);
    let why = || bar.map(|bar| why_barred(bar, term));
    if let Some(Bar::Begin(BeginRefused::Held(HoldKind::Unused))) = bar {
        let next = match view.release(HoldKind::Unused, &Actor::Student, now) {
            Err(refused @ ReleaseRefused::PotExhausted) => why_not_resumed(&refused),
            _ => "Press “Resume my key”, and it works again.",
        };
        return format!("Your key was switched off{} because it was not used. {next}", off_since(view));
    }
    match &grant.state {
        _ if !grant.holds.is_empty() => why().unwrap_or_default(),
        State::Revoked | State::Ended => why().unwrap_or_default(),
        State::Invited => why().unwrap_or_else(|| not_made_yet(view)),
        State::Minting { .. } => why()
            .unwrap_or("The last attempt to make your key was cut short. Nothing was spent; press again.".to_owned()),
        State::Live { .. } => live(view, now),
        State::Stopped { why: Stopped::UsedUp } if used_up(view, now).is_some() => why().unwrap_or_default(),
        State::Stopped { why: stopped } => {
            let is_ordered = grant.orders_off().next().is_some();
            let next = why().unwrap_or("Get a new one: it has what is left of your cap.".to_owned());
            match stopped {
                Stopped::TooOld => {
                    format!("Your key was ended{}, since it had become too old. {next}", off_since(view))
                }
                _ => format!("{} {next}", stopped_because(*stopped, is_ordered)),
            }
        }
    }
}

/// For how long the cap is, and when it starts anew.
pub(crate) fn window(view: &View, now: Timestamp) -> String {
    let settings = &view.programme.settings;
    let each = match settings.reset {
        Reset::None => {
            return format!("for the whole term, until the end of {}", settings.term.ends_on().strftime("%-d %B %Y"));
        }
        Reset::Daily => "a day",
        Reset::Weekly => "a week",
        Reset::Monthly => "a month",
    };
    match settings.reset.resets_at(now).filter(|resets| *resets < settings.term.ends_at()) {
        Some(resets) => format!("{each}; it starts anew on {}", time_in(resets, settings.term.timezone())),
        None => format!("{each}; this is the last one of the term"),
    }
}

pub(crate) fn why_barred(bar: &Bar, term: &Term) -> String {
    match bar {
        Bar::Begin(refused) => why_not(refused, term),
        Bar::BeingPrepared => {
            "This programme is still being prepared at the provider. Open this page again in some minutes.".to_owned()
        }
    }
}

fn not_made_yet(view: &View) -> String {
    let settings = &view.programme.settings;
    let until = settings.claim_closes_at.map(|closes| time_in(closes, settings.term.timezone()));
    let until = until.map_or(String::new(), |until| format!(" You can do that until {until}."));
    format!("Your key is made when you press the button, and shown to you once.{until}")
}

fn live(view: &View, now: Timestamp) -> String {
    let term = &view.programme.settings.term;
    if view.programme.is_over(now) {
        return "This programme is over, and your key ends with it.".to_owned();
    }
    if let Some(used_up) = used_up(view, now) {
        return format!("{} Requests with your key are refused until there is more.", why_not(&used_up, term));
    }
    if view.grant.orders().iter().any(|order| order.kind == OrderKind::On) {
        return "Your key is being switched on again at the provider, which may take some minutes.".to_owned();
    }
    let shown = view.grant.live().and_then(|live| live.shown_at).map(|shown| time_in(shown, term.timezone()));
    let shown = shown.map_or(String::new(), |shown| format!(" It was shown on {shown}, and nobody can show it again."));
    format!("Your key works.{shown}{}", endings(view, now))
}

/// The ends of the key that were announced and still stand. One whose day is past waits for its mail or for the next sync.
fn endings(view: &View, now: Timestamp) -> String {
    let when = |announced: Announced| match announced.until {
        until if now < until => format!("on {}", time_in(until, view.programme.settings.term.timezone())),
        _ => "soon".to_owned(),
    };
    let unused = view.announced_as(Announcement::Unused).map(|unused| {
        let when = when(unused);
        format!(" It has not been used for some time: it is switched off {when}, unless you use it before.")
    });
    let soon = view.announced_as(Announcement::TooOldSoon);
    let of_age = soon.or_else(|| view.announced_as(Announcement::TooOldLater)).map(|old| {
        let when = when(old);
        format!(" It is getting old and ends {when}. Replace it before; that does not count as a replacement.")
    });
    unused.into_iter().chain(of_age).collect()
}

/// Since when the last key is off.
fn off_since(view: &View) -> String {
    let last = view.grant.attempts.iter().rev().find(|attempt| attempt.shown_at.is_some());
    let since = last.and_then(|attempt| match attempt.disable {
        Disable::Ordered { since } => Some(since),
        Disable::Confirmed { at } => Some(at),
        Disable::No | Disable::Lifted { .. } => None,
    });
    since.map_or(String::new(), |since| format!(" on {}", time_in(since, view.programme.settings.term.timezone())))
}

fn stopped_because(stopped: Stopped, is_ordered: bool) -> &'static str {
    match stopped {
        Stopped::Leaked if is_ordered => {
            "You reported your key leaked. The provider has not confirmed yet that it is ended; this is repeated each minute."
        }
        Stopped::Leaked => "You reported your key leaked, and it is ended.",
        Stopped::UsedUp => "Your key was ended because your cap was used up.",
        Stopped::TooOld => "Your key was ended because it had become too old.",
        Stopped::ReplacementFailed => {
            "Your old key is ended, and the last attempt to make a new one failed. No money was lost."
        }
        Stopped::Returned => "You handed your key back, and it is ended.",
        Stopped::TermEnded => "Your key ended with the term, which has been extended since.",
        Stopped::GoneAtProvider => "Your key does not work any more: it was ended at the provider, not here.",
    }
}

/// Whether less is left in this window than a key can be limited to.
fn used_up(view: &View, now: Timestamp) -> Option<BeginRefused> {
    let settings = &view.programme.settings;
    view.next_limit(now).is_none().then(|| BeginRefused::NothingLeft { resets_at: settings.reset.resets_at(now) })
}
