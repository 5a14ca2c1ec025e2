//! The state of a grant in plain words, in the time zone of its programme, which the card names
//! once. Words for a refused request are left to [`refusal`](crate::refusal).

use bursar_core::clock::Moment;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{
    AnnouncedEnd, BeginRefused, ChangeRefused, GrantState, HoldKind, MORE_REQUEST_LASTS,
    ShownState, Stopped, StudentNotice, View,
};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::format::{column_time, end_time, long_date, time_in};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_core::store::{Undeliverable, UnreachableReason};

use crate::my::Obstacle;
use crate::refusal::{explain_not_resumed, explain_refusal};

/// The label of a used-up cap, which `card` gives a colour of its own.
pub(crate) const USED_UP: &str = "used up";
/// The label of a grant that is over, which `card` gives a colour of its own.
pub(crate) const OVER: &str = "ended";

/// The state in one to three words.
pub(crate) fn label(view: &View, now: Moment) -> &'static str {
    match view.grant.state {
        GrantState::Revoked => "removed",
        GrantState::Ended => OVER,
        _ if view.grant.holds.first() == Some(HoldKind::Unused) => "switched off",
        _ if view.grant.holds.first() == Some(HoldKind::Dropped) => ShownState::OFF_ROSTER,
        _ if view.grant.holds.first().is_some() => "paused",
        _ if view.programme.is_over(now) => OVER,
        _ if view.grant.is_being_made(now) => "being made",
        GrantState::Invited => "no key yet",
        GrantState::Live { .. } if find_used_up(view, now).is_some() => USED_UP,
        GrantState::Live { .. } => "working",
        GrantState::Stopped { .. } => "no key now",
    }
}

/// The state in a sentence or two, with what to do about it.
pub(crate) fn state(view: &View, obstacle: Option<&Obstacle>, now: Moment) -> String {
    let grant = &view.grant;
    let settings = &view.programme.settings;
    let why = obstacle.map(|obstacle| match (obstacle, view.programme.closed_at) {
        (Obstacle::Begin(BeginRefused::Over), Some(closed_at)) => {
            format!(
                "{}, and so its keys have ended.",
                describe_closed(view, closed_at)
            )
        }
        _ => obstacle.to_words(settings),
    });
    if let Some(Obstacle::Begin(BeginRefused::Held(HoldKind::Unused))) = obstacle {
        let next = match view.release(HoldKind::Unused, &Actor::Student, now) {
            Err(refused @ ChangeRefused::BudgetExhausted) => {
                explain_not_resumed(&refused, settings)
            }
            _ => "Press “Resume my key”, and it works again.".to_owned(),
        };
        return format!(
            "Your key was switched off{} because it was not used. {next}",
            off_since(view)
        );
    }
    match &grant.state {
        _ if view.grant.holds.first().is_some() => why.unwrap_or_default(),
        GrantState::Revoked | GrantState::Ended => why.unwrap_or_default(),
        _ if grant.is_being_made(now) => why.unwrap_or_default(),
        GrantState::Invited if grant.lease.is_some() => why.unwrap_or(
            "The last attempt to make your key was interrupted. Nothing was spent; press again."
                .to_owned(),
        ),
        GrantState::Invited => why.unwrap_or_else(|| not_made_yet(view)),
        GrantState::Live { .. } => live(view, now),
        GrantState::Stopped { why: stopped } => {
            let next = obstacle.map(|obstacle| no_new_key(obstacle, settings));
            let next = next.unwrap_or("Get a new one: it has what is left of your cap.".to_owned());
            format!("{} {next}", explain_stop(view, *stopped))
        }
    }
}

/// The window of the cap, and when the next one begins.
pub(crate) fn window(view: &View, now: Moment) -> String {
    let settings = &view.programme.settings;
    let per_window = settings.basis.reset.per_window();
    if settings.basis.reset == Reset::None {
        return format!(
            "{per_window}, until the end of {}",
            long_date(settings.term.ends_on())
        );
    }
    match settings
        .basis
        .reset
        .resets_at(now)
        .filter(|resets| *resets < settings.term.ends_at())
    {
        Some(resets) => format!(
            "{per_window}; resets on {}",
            column_time(resets, settings.term.zone())
        ),
        None => format!("{per_window}; does not reset again before the term ends"),
    }
}

fn not_made_yet(view: &View) -> String {
    let settings = &view.programme.settings;
    let until = settings
        .claims
        .claim_closes_at
        .map(|closes| end_time(closes, settings.term.zone()));
    let until = until.map_or(String::new(), |until| {
        format!(" You can do that until {until}.")
    });
    format!("Your key is made when you press the button, and shown to you once.{until}")
}

fn live(view: &View, now: Moment) -> String {
    let term = &view.programme.settings.term;
    if view.programme.is_over(now) {
        let over = view
            .programme
            .closed_at
            .map(|closed_at| describe_closed(view, closed_at));
        let over = over.unwrap_or("This programme has ended".to_owned());
        return format!("{over}, and your key ends with it.");
    }
    if let Some(used_up) = find_used_up(view, now) {
        let ask = if view.may_ask_for_more(now).is_ok() {
            " If you need more, ask below."
        } else {
            ""
        };
        return format!(
            "{} Requests with your key are refused.{ask}",
            explain_refusal(&used_up, &view.programme.settings)
        );
    }
    if view
        .grant
        .live()
        .is_some_and(|live| !live.enabled.is(&true))
    {
        return "Your key is being switched on again at OpenRouter, which may take a few minutes."
            .to_owned();
    }
    let shown = view
        .grant
        .live()
        .and_then(|live| live.shown_at)
        .map(|shown| column_time(shown, term.zone()));
    let shown = shown.map_or(String::new(), |shown| {
        format!(" It was shown on {shown}, and nobody can show it again.")
    });
    format!("Your key works.{shown}{}", endings(view, now))
}

fn describe_closed(view: &View, closed_at: Moment) -> String {
    let date = long_date(
        closed_at
            .to_zoned(view.programme.settings.term.zone().clone())
            .date(),
    );
    format!("This programme was closed on {date}")
}

/// The announced ends of the key that still stand. An end whose day has passed waits for its mail
/// or for the next sync.
fn endings(view: &View, now: Moment) -> String {
    let term = &view.programme.settings.term;
    let unused = view.end_announced_by(StudentNotice::UnusedSoon).map(|unused| {
        let when = end_in_words(unused, term, now);
        format!(
            " Your key has not been used for some time and will be switched off {when}, unless you use it before then."
        )
    });
    let too_old = view.end_announced_by(StudentNotice::TooOldSoon).map(|old| {
        let when = end_in_words(old, term, now);
        format!(" Your key is getting old and will end {when}. Replace it before then; that does not count as a replacement.")
    });
    unused.into_iter().chain(too_old).collect()
}

fn end_in_words(announced: AnnouncedEnd, term: &Term, now: Moment) -> String {
    if now < announced.until {
        format!("on {}", column_time(announced.until, term.zone()))
    } else {
        "soon".to_owned()
    }
}

/// The time since which the last key is off.
fn off_since(view: &View) -> String {
    let since = view
        .grant
        .newest_shown()
        .and_then(|last| last.enabled.since(&false).or(last.enabled.sent(&false)));
    since.map_or(String::new(), |since| {
        format!(
            " on {}",
            column_time(since, view.programme.settings.term.zone())
        )
    })
}

fn explain_stop(view: &View, stopped: Stopped) -> String {
    let may_be_on = view.grant.has_key_to_end();
    let why = match stopped {
        Stopped::Leaked if may_be_on => {
            "Your key was reported as leaked. OpenRouter has not confirmed yet that the key is off; Bursar tries again every minute."
        }
        Stopped::Leaked => "Your key was reported as leaked, and it was ended.",
        Stopped::TooOld => {
            return format!(
                "Your key was ended{}, because it had become too old.",
                off_since(view)
            );
        }
        Stopped::TermEnded => "The term was extended, and your key ended on the earlier date.",
        Stopped::Replacing if may_be_on => {
            "Your old key must end before you get a new one, and OpenRouter has not confirmed yet that the old key is off. No money was lost."
        }
        Stopped::Replacing => {
            "Your old key was ended, and the last attempt to make a new one failed. No money was lost."
        }
        Stopped::Returned if may_be_on => {
            "You handed your key back. OpenRouter has not confirmed yet that the key is off; Bursar tries again."
        }
        Stopped::Returned => "You handed your key back, and it was ended.",
        Stopped::OffRoster => {
            "You were taken off the roster, so your key was ended. You are on the roster again."
        }
        Stopped::GoneAtProvider => {
            "Your key no longer works: it was ended at OpenRouter, not here."
        }
    };
    why.to_owned()
}

/// The refusal for a window in which less is left than the smallest limit of a key.
fn find_used_up(view: &View, now: Moment) -> Option<BeginRefused> {
    let settings = &view.programme.settings;
    view.next_limit(now)
        .is_none()
        .then(|| BeginRefused::NothingLeft {
            resets_at: settings.basis.reset.resets_at(now),
        })
}

/// The reason why there can be no new key now, and when there can be.
pub(crate) fn no_new_key(obstacle: &Obstacle, settings: &Settings) -> String {
    let why = obstacle.to_words(settings);
    match obstacle {
        Obstacle::Begin(BeginRefused::NothingLeft { .. }) => {
            format!("{why} Once there is something left of it, you can get a new key here.")
        }
        Obstacle::Begin(_) | Obstacle::BeingPrepared => why,
    }
}

/// What a key may spend that is shown now, and until when.
pub(crate) fn allowance(view: &View, limit: Usd, now: Moment) -> String {
    let settings = &view.programme.settings;
    let limit = limit.to_dollars();
    match settings
        .basis
        .reset
        .resets_at(now)
        .filter(|resets| *resets < settings.term.ends_at())
    {
        None => format!(
            "{limit} until the end of {}",
            long_date(settings.term.ends_on())
        ),
        Some(resets) => {
            let cap = view.grant.cap(settings).to_dollars();
            format!(
                "{limit} until {}, then {cap} again",
                time_in(resets, settings.term.zone())
            )
        }
    }
}

/// What became of the last request for more.
pub(crate) fn describe_last_request(view: &View, now: Moment) -> Option<String> {
    let settings = &view.programme.settings;
    let request = view.grant.more_request.as_ref()?;
    if view.grant.is_over() || view.programme.is_over(now) {
        return None;
    }
    let cap = view.grant.cap(settings);
    let outcome = if view.open_request(now).is_some() {
        "The people who run this programme have your reason and will decide.".to_owned()
    } else if request.cap != cap {
        let next_time = column_time(request.asked_at + MORE_REQUEST_LASTS, settings.term.zone());
        format!(
            "Your cap has been changed since: it is {} now. You can ask again from {next_time}.",
            cap.to_dollars()
        )
    } else if let Some(why) = &request.declined {
        let next_time = column_time(request.asked_at + MORE_REQUEST_LASTS, settings.term.zone());
        format!("They declined: “{why}” You can ask again from {next_time}.")
    } else {
        "Nobody decided within a week. You can ask again.".to_owned()
    };
    let what = request.wanted_cap.map_or("more".to_owned(), |cap| {
        format!("a cap of {}", cap.to_dollars())
    });
    Some(format!(
        "You asked for {what} on {}. {outcome}",
        column_time(request.asked_at, settings.term.zone())
    ))
}

/// The notice to a person whom mail does not reach, or who does not want it.
pub(crate) fn not_reached(mark: &Undeliverable) -> String {
    let since = long_date(utc_date(mark.marked_at));
    let ask = "The people who run your programme can have it tried again.";
    match mark.why {
        UnreachableReason::Bounced | UnreachableReason::Suppressed => format!(
            "Mail to {} has come back since {since}, so you get no mail from us: no link to sign in, and no warning before a key \
             is switched off because it is unused or too old. {ask}",
            mark.address.as_str()
        ),
        UnreachableReason::Complained => format!(
            "On {since} a mail to {} was reported as unwanted. You still get links to sign in and notices about your key, but no \
             digests, no reminders, and no warning before a key is switched off because it is unused or too old. {ask}",
            mark.address.as_str()
        ),
    }
}
