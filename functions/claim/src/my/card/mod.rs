//! A grant as its student reads it: what is left, and which buttons there are. Buttons follow from
//! the domain's rules, so the page never offers what the next request refuses. The state in words
//! is left to [`words`].

use bursar_core::clock::Moment;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{
    BeginRefused, GrantState, HoldKind, KeyRequestKind, Spending, View,
};
use bursar_core::domain::programme::TermsHash;
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::money::Usd;

use crate::my::rules::StudentRules;
use crate::my::{Obstacle, kind_of_request, words};

pub(crate) struct Card<'a> {
    pub(crate) view: &'a View,
    /// The grant's state as test hooks and CSS classes spell it.
    pub(crate) state: &'static str,
    pub(crate) label: &'static str,
    /// The colour of the state's label, as the stylesheet names it.
    pub(crate) tone: &'static str,
    pub(crate) words: String,
    pub(crate) cap: Usd,
    pub(crate) spending: Spending,
    pub(crate) amount_left: Usd,
    pub(crate) as_of: Option<String>,
    pub(crate) window: String,
    /// Whether there is money to spend, now or in a later window.
    pub(crate) can_spend: bool,
    pub(crate) offers: Offers,
    /// The reason why a working key cannot be replaced, where the state does not say so.
    pub(crate) no_replacement: Option<String>,
    /// Whether there is a new key once a leak was reported: that it would be one replacement too
    /// many is no obstacle then.
    pub(crate) new_after_leak: bool,
    pub(crate) terms: Option<TermsOfUse<'a>>,
    pub(crate) nothing_left: bool,
    /// With which model too little is left for a coding agent.
    pub(crate) too_dear: Option<String>,
    /// What became of the last request for more.
    pub(crate) last_request: Option<String>,
    /// The form of a request for more, where one can be made.
    pub(crate) more_form: Option<MoreForm>,
}

/// The form of a request for more, as it is shown or was posted.
#[derive(Default)]
pub(crate) struct MoreForm {
    pub(crate) reason: String,
    pub(crate) error: Option<String>,
    pub(crate) cap: String,
    pub(crate) cap_error: Option<String>,
}

pub(crate) struct TermsOfUse<'a> {
    pub(crate) text: &'a str,
    pub(crate) hash: TermsHash,
}

pub(crate) struct Offers {
    pub(crate) reveal: bool,
    pub(crate) replace: bool,
    /// Whether a key works that a replacement would end.
    pub(crate) has_key: bool,
    pub(crate) leaked: bool,
    pub(crate) refresh: bool,
    pub(crate) resume: bool,
    pub(crate) hand_back: bool,
}

impl Card<'_> {
    /// `listed_at` is when a sync listed all keys last.
    pub(crate) fn new<'a>(
        view: &'a View,
        rules: &StudentRules,
        listed_at: Option<Moment>,
        typed: Option<MoreForm>,
        now: Moment,
    ) -> Card<'a> {
        let grant = &view.grant;
        let settings = &view.programme.settings;
        let kind = kind_of_request(view);
        let obstacle = Obstacle::find(view, rules, now);
        let cap = grant.cap(settings);
        let spending = view.spending(now);
        let amount_left = (cap - spending.in_window).or_zero();
        let nothing_left = view.next_limit(now).is_none();
        let offers = offers(view, kind, obstacle.is_none(), now);
        let not_replaced = obstacle
            .as_ref()
            .filter(|obstacle| offers.has_key && obstacle.stops_replacing_only());
        let state = grant.display_state(now).as_str();
        let label = words::label(view, now);
        let terms = settings.texts.terms.as_deref().zip(view.terms_to_accept());
        Card {
            view,
            state,
            label,
            tone: match label {
                words::USED_UP => "warning",
                words::OVER => "ended",
                _ => state,
            },
            words: words::state(view, obstacle.as_ref(), now),
            cap,
            spending,
            amount_left,
            as_of: view
                .as_of(listed_at)
                .map(|as_of| column_time(as_of, settings.term.zone())),
            window: words::window(view, now),
            can_spend: can_spend(view, obstacle.as_ref(), now),
            offers,
            no_replacement: not_replaced.map(|obstacle| words::no_new_key(obstacle, settings)),
            new_after_leak: matches!(
                obstacle,
                None | Some(Obstacle::Begin(BeginRefused::ReplacementsUsedUp))
            ),
            terms: terms.map(|(text, hash)| TermsOfUse { text, hash }),
            nothing_left,
            too_dear: if nothing_left {
                None
            } else {
                rules.long_answers.too_dear(amount_left)
            },
            last_request: words::describe_last_request(view, now),
            more_form: view
                .may_ask_for_more(now)
                .is_ok()
                .then(|| typed.unwrap_or_default()),
        }
    }
}

impl TermsOfUse<'_> {
    /// Whether the terms are a single URL, which is shown as a link.
    pub(crate) fn are_a_link(&self) -> bool {
        let is_link = self.text.starts_with("https://") || self.text.starts_with("http://");
        is_link && !self.text.contains(char::is_whitespace)
    }

    /// Whether the terms are too long to stand beside the box, and get a place of their own.
    pub(crate) fn are_long(&self) -> bool {
        self.text.len() > 200 || self.text.contains('\n')
    }
}

fn can_spend(view: &View, obstacle: Option<&Obstacle>, now: Moment) -> bool {
    let is_over = view.grant.is_over() || view.programme.is_over(now);
    let never = matches!(
        obstacle,
        Some(Obstacle::Begin(
            BeginRefused::WindowClosed
                | BeginRefused::BudgetExhausted
                | BeginRefused::Held(HoldKind::Dropped)
        ))
    );
    !is_over && (view.grant.stage.has_claimed() || !never)
}

fn offers(view: &View, kind: KeyRequestKind, may_begin: bool, now: Moment) -> Offers {
    let is_live = matches!(view.grant.state, GrantState::Live { .. });
    let hold = view.grant.holds.first();
    Offers {
        reveal: may_begin && kind == KeyRequestKind::Reveal,
        replace: may_begin && kind == KeyRequestKind::Replace,
        has_key: is_live,
        leaked: view
            .report_leaked(view.grant.epoch, &Actor::Student)
            .is_ok(),
        refresh: view.grant.live().is_some(),
        hand_back: is_live && hold.is_none() && !view.programme.is_over(now),
        // With another hold in force, ending the one for disuse would change nothing for the
        // student.
        resume: hold == Some(HoldKind::Unused)
            && view.release(HoldKind::Unused, &Actor::Student, now).is_ok(),
    }
}

#[cfg(test)]
mod tests;
