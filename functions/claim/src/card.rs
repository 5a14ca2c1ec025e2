//! A grant as its student reads it: the state in plain words, what is left, what can be pressed. Whether a press would be let
//! through is asked of the domain, so the page never offers what the next request refuses.

use bursar_core::domain::grant::{Announcement, BeginRefused, Press, PressKind, State, Stopped, View};
use bursar_core::domain::id::Nonce;
use bursar_core::domain::money::Usd;
use bursar_core::domain::window::Reset;
use bursar_core::web::Site;
use bursar_core::web::plain::time_in;
use jiff::Timestamp;

use crate::refusal::why_not;

/// When a programme names no model, one that is cheap and known to everybody.
const ANY_MODEL: &str = "openai/gpt-4o-mini";

/// A grant on the page.
pub(crate) struct Card<'a> {
    pub(crate) programme: &'a str,
    pub(crate) name: &'a str,
    /// As hooks and classes spell it.
    pub(crate) state: &'static str,
    pub(crate) words: String,
    pub(crate) cap: Usd,
    pub(crate) spent: Usd,
    pub(crate) left: Usd,
    pub(crate) as_of: Option<String>,
    pub(crate) window: String,
    pub(crate) epoch: u32,
    pub(crate) offers: Offers,
    /// To be accepted before the first key.
    pub(crate) terms: Option<&'a str>,
    pub(crate) contact: Option<&'a str>,
}

/// What can be pressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Offers {
    pub(crate) reveal: bool,
    pub(crate) replace: bool,
    /// Replacing ends a key that works.
    pub(crate) has_key: bool,
    pub(crate) leaked: bool,
    pub(crate) refresh: bool,
    pub(crate) resume: bool,
}

/// How to use a key: never the key itself.
pub(crate) struct Example<'a> {
    pub(crate) url: &'a str,
    pub(crate) model: &'a str,
}

impl Card<'_> {
    pub(crate) fn of(view: &View, now: Timestamp) -> Card<'_> {
        let (grant, settings) = (&view.grant, &view.programme.settings);
        let kind = kind_of_press(view);
        let refused = view.begin(Press { kind, epoch: grant.epoch }, Nonce::random(), now).err();
        let (cap, spending) = (grant.cap(settings), view.spending(now));
        let as_of = view.readings.iter().map(|reading| reading.as_of).max();
        Card {
            programme: view.programme.id.as_str(),
            name: &settings.name,
            state: if grant.holds.is_empty() { grant.state.as_str() } else { "paused" },
            words: words(view, refused.as_ref()),
            cap,
            spent: spending.in_window,
            left: (cap - spending.in_window).or_zero(),
            as_of: as_of.map(|as_of| time_in(as_of, settings.term.timezone())),
            window: window(view, now),
            epoch: grant.epoch.number(),
            offers: offers(view, kind, refused.is_none()),
            terms: settings.terms.as_deref().filter(|_| !grant.ever_shown),
            contact: settings.contact.as_deref(),
        }
    }
}

impl Card<'_> {
    /// Terms that are a link are shown as one.
    pub(crate) fn terms_are_a_link(&self) -> bool {
        self.terms.is_some_and(|terms| terms.starts_with("https://") || terms.starts_with("http://"))
    }
}

impl<'a> Example<'a> {
    pub(crate) fn of(site: &'a Site, view: &'a View) -> Example<'a> {
        let settings = &view.programme.settings;
        let group = view.grant.group.as_deref().and_then(|group| settings.groups.get(group));
        let models = group.map(|group| &group.models).filter(|models| !models.is_empty()).unwrap_or(&settings.models);
        // A tier's name is no model's.
        let model = models.iter().find(|model| model.contains('/')).map_or(ANY_MODEL, String::as_str);
        Example { url: &site.provider_url, model }
    }
}

/// What the student would press next: reveal until a key was shown, replace from then on.
fn kind_of_press(view: &View) -> PressKind {
    match view.grant.state {
        State::Invited => PressKind::Reveal,
        State::Minting { .. } if !view.grant.ever_shown => PressKind::Reveal,
        _ => PressKind::Replace,
    }
}

fn offers(view: &View, kind: PressKind, may_begin: bool) -> Offers {
    let is_live = matches!(view.grant.state, State::Live { .. });
    let is_over = matches!(view.grant.state, State::Revoked | State::Ended);
    Offers {
        reveal: may_begin && kind == PressKind::Reveal,
        replace: may_begin && kind == PressKind::Replace,
        has_key: is_live,
        leaked: is_live,
        refresh: is_live,
        resume: view.grant.holds.unused && !is_over,
    }
}

fn words(view: &View, refused: Option<&BeginRefused>) -> String {
    let (grant, term) = (&view.grant, &view.programme.settings.term);
    let why = || refused.map(|refused| why_not(refused, term));
    let state = match &grant.state {
        _ if !grant.holds.is_empty() => return why().unwrap_or_default(),
        State::Revoked | State::Ended => return why().unwrap_or_default(),
        State::Invited => {
            return why().unwrap_or("Your key has not been made yet. It is made when you press.".to_owned());
        }
        State::Minting { .. } => {
            return why().unwrap_or("The last attempt to make your key came to no end. Press again.".to_owned());
        }
        State::Live { .. } => {
            let shown = grant.live().and_then(|live| live.shown_at).map(|shown| time_in(shown, term.timezone()));
            let shown =
                shown.map_or(String::new(), |shown| format!(" It was shown on {shown}, and nobody can show it again."));
            let ending = ending(view).unwrap_or_default();
            return format!("Your key works.{shown}{ending}");
        }
        State::Stopped { why: Stopped::Leaked } if grant.owed_disables().next().is_some() => {
            "You reported your key leaked. The provider has not confirmed yet that it is ended; this is repeated each minute."
        }
        State::Stopped { why: Stopped::Leaked } => "You reported your key leaked, and it is ended.",
        State::Stopped { why: Stopped::UsedUp } => "Your cap is used up, so your key was ended.",
        State::Stopped { why: Stopped::TooOld } => "Your key had become too old, so it was ended.",
        State::Stopped { why: Stopped::ReplacementFailed } => {
            "Your old key is ended, and the last attempt to make a new one came to nothing. No money was lost."
        }
        State::Stopped { why: Stopped::GoneAtProvider } => "Your key was ended at the provider.",
        State::Stopped { why: Stopped::TermEnded } => "Your key ended with the term, which goes on now.",
    };
    match why() {
        Some(why) => format!("{state} {why}"),
        None => format!("{state} You can have a new one."),
    }
}

/// The end of the key that was announced, if it still stands.
fn ending(view: &View) -> Option<String> {
    let (what, announced) = view.announced()?;
    let until = time_in(announced.until, view.programme.settings.term.timezone());
    Some(match what {
        Announcement::Unused => format!(" Nobody has used it for long: on {until} it is set aside, unless it is used."),
        Announcement::TooOldLater | Announcement::TooOldSoon => {
            format!(" It is getting old and ends on {until}. Replace it before; that does not count as a replacement.")
        }
    })
}

/// For how long the cap is, and when it starts anew.
fn window(view: &View, now: Timestamp) -> String {
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
