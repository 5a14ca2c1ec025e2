//! What a student is told who has used much or all of their own cap: the number, when it starts anew, and whom to ask. Whether there is
//! still somebody to tell is decided when it is sent.

use bursar_core::domain::crossing::{Crossing, Scope, per_cent};
use bursar_core::domain::grant::CapUse;
use bursar_core::domain::id::{GrantId, ProgrammeId};
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::window::{Reset, Window};
use bursar_core::store::StoreError;
use jiff::Timestamp;

use crate::App;
use crate::letter::{Letter, Part};
use crate::owed::{GONE, Owed};
use crate::words::{Words, day, moment};

/// What is told: the newest that is known, and at least what was found.
struct Used {
    spent: Usd,
    limit: Usd,
    /// The cap as it is now, where somebody has changed it since.
    cap_since: Option<Usd>,
    starts_anew: Option<Timestamp>,
    as_of: Timestamp,
}

impl App {
    pub(crate) async fn cap_used(
        &self,
        (programme, grant): (&ProgrammeId, &GrantId),
        window: Window,
        threshold: u8,
        limit: Usd,
        now: Timestamp,
    ) -> Result<Owed, StoreError> {
        let Some(view) = self.table.view(programme, grant).await? else { return Ok(GONE) };
        let Some(used) = CapUse::of(&view.programme, &view.grant, &view.readings, now) else {
            return Ok(Owed::Nothing("the programme mails its students nothing, or this one's grant is over"));
        };
        if used.window != window {
            return Ok(Owed::Nothing("the cap has started anew since"));
        }
        let crossings = self.table.crossings_of(programme, &Scope::Cap(grant.clone()), window, limit).await?;
        let Some(crossing) = crossings.into_iter().find(|crossing| crossing.threshold == threshold) else {
            return Ok(Owed::Unsendable("NoSuchCrossing"));
        };
        let settings = &view.programme.settings;
        let starts_anew = settings.reset.resets_at(now).filter(|at| *at < settings.term.ends_at());
        let told = Used::of(&crossing, used, starts_anew);
        self.to(&view.grant.person.address, |words| words.cap_used(&view.programme, &told)).await
    }
}

impl Used {
    fn of(crossing: &Crossing, now: CapUse, starts_anew: Option<Timestamp>) -> Used {
        Used {
            spent: now.spent.max(crossing.spent),
            limit: crossing.limit,
            cap_since: Some(now.cap).filter(|cap| *cap != crossing.limit),
            starts_anew,
            as_of: now.as_of.filter(|_| now.spent >= crossing.spent).unwrap_or(crossing.found_at),
        }
    }
}

impl Words<'_> {
    fn cap_used(self, programme: &Programme, used: &Used) -> Letter {
        let (settings, share) = (&programme.settings, per_cent(used.spent, used.limit));
        let name = &settings.name;
        let subject = format!("{name}: you have used {share}% of your {}", used.limit.to_dollars_down());
        let mut facts = vec![
            ("Used", used.spent.to_dollars_up()),
            ("Cap", format!("{} {}", used.limit.to_dollars_down(), per_window(settings.reset))),
            ("Left", (used.limit - used.spent).or_zero().to_dollars_down()),
        ];
        facts.extend(used.cap_since.map(|cap| ("Cap since then", cap.to_dollars_down())));
        facts.push(("Starts anew", starts_anew(settings, used.starts_anew)));
        facts.push(("As of", moment(used.as_of, &settings.term)));
        Letter {
            heading: format!("You have used {share}% of your {}", used.limit.to_dollars_down()),
            subject,
            parts: vec![
                Part::Facts(facts),
                Part::Sentences(format!("{} {}", what_next(share, used), whom_to_ask(settings))),
                self.own_page(),
            ],
            why: format!("You get this mail because you have a key for {name}."),
            to: self.to.clone(),
        }
    }
}

fn per_window(reset: Reset) -> &'static str {
    match reset {
        Reset::None => "for the whole term",
        Reset::Daily => "for this day",
        Reset::Weekly => "for this week",
        Reset::Monthly => "for this month",
    }
}

fn starts_anew(settings: &Settings, at: Option<Timestamp>) -> String {
    match at {
        Some(at) => moment(at, &settings.term),
        None => format!("not before the term ends on {}", day(settings.term.ends_on())),
    }
}

fn what_next(share: i64, used: &Used) -> &'static str {
    match (share >= 100, used.starts_anew) {
        _ if used.cap_since.is_some() => "Your cap has been changed since: your page says what is left of it.",
        (true, Some(_)) => "Requests with your key are refused until the cap starts anew.",
        (true, None) => "Requests with your key are refused from now on.",
        (false, Some(_)) => "Your key works until the cap is used up; then requests are refused until it starts anew.",
        (false, None) => "Your key works until the cap is used up; then requests are refused.",
    }
}

fn whom_to_ask(settings: &Settings) -> String {
    match &settings.contact {
        Some(contact) => format!("If you need more, ask {contact}."),
        None => "If you need more, ask the people who run the programme.".to_owned(),
    }
}
