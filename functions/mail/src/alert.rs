//! What those who look after a programme's money are told when it passes a threshold of its pot: the number, where it leads, and what
//! happens next, with the burn as a picture.

use bursar_core::domain::crossing::{Crossing, per_cent};
use bursar_core::domain::forecast::{Budget, Forecast, RunsOut};
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Pot, Programme, Settings};
use bursar_core::domain::window::utc_date;
use bursar_core::store::items::Totals;
use jiff::Timestamp;

use crate::burn::{Burn, Picture};
use crate::letter::{Letter, Part};
use crate::words::{Words, day, moment};

/// What an alert tells of: the newest that is known, and at least what was found.
pub(crate) struct Spending {
    limit: Usd,
    spent: Usd,
    as_of: Timestamp,
    /// Whether another key fits into the pot.
    has_room: bool,
    /// How many have had a key, of how many.
    students: Option<(u32, u32)>,
    forecast: Forecast,
    picture: Option<Picture>,
}

impl Spending {
    /// Of a pot that is another by now, what was found: more may have been spent since, and never of that pot. `looked_at` is when the
    /// last listing of every key began: totals are written only when they changed.
    pub(crate) fn of(
        crossing: &Crossing,
        programme: &Programme,
        pot: &Pot,
        totals: Option<&Totals>,
        looked_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Spending {
        let (settings, limit) = (&programme.settings, crossing.limit);
        let runs_out = if crossing.spent >= limit { RunsOut::Gone } else { RunsOut::TooLittleData };
        let found = Spending {
            limit,
            spent: crossing.spent,
            as_of: crossing.found_at,
            has_room: pot.has_room_for(settings.cap),
            students: None,
            forecast: Forecast {
                runs_out,
                budget: Budget { pot: limit, keys_stop_at: None },
                looked: None,
                pace: None,
            },
            picture: None,
        };
        let Some(totals) = totals.filter(|_| pot.limit == limit) else { return found };
        let (spent, students) = (totals.used.days(settings.byok), Some((totals.claimed, totals.grants)));
        if spent.total() < crossing.spent {
            return Spending { students, ..found };
        }
        let looked_at = totals.as_of.max(looked_at.unwrap_or(totals.as_of));
        let looked = utc_date(looked_at);
        let budget = Budget::of(settings, (limit, pot.reserved), &spent);
        let forecast = Forecast::of(&spent, budget, &settings.term, Some(looked_at), now);
        let (thresholds, term) = (&settings.thresholds[..], &settings.term);
        let picture = Burn { spent: &spent, limit, thresholds, term, looked, forecast }.picture();
        Spending { spent: spent.total(), as_of: totals.as_of, students, forecast, picture, ..found }
    }
}

impl Words<'_> {
    pub(crate) fn alert(self, programme: &Programme, spending: Spending) -> Letter {
        let Spending { limit, spent, as_of, has_room, students, forecast, picture } = spending;
        let (settings, used) = (&programme.settings, per_cent(spent, limit));
        let name = &settings.name;
        let subject = format!("{name} has used {used}% of {}", limit.to_dollars_down());
        let mut facts = vec![
            ("Spent", spent.to_dollars_up()),
            ("Pot", limit.to_dollars_down()),
            ("Left", (limit - spent).or_zero().to_dollars_down()),
        ];
        if let Some((claimed, grants)) = students {
            facts.push(("Students", format!("{claimed} of {grants} have had a key")));
        }
        facts.push(("Term ends", day(settings.term.ends_on())));
        facts.push(("As of", moment(as_of, &settings.term)));
        let mut parts = vec![Part::Facts(facts), Part::Sentences(forecast.in_words())];
        parts.extend(picture.map(Part::Picture));
        parts.push(Part::Sentences(what_next(settings, used, has_room)));
        parts.push(Part::Link {
            label: "See the programme",
            url: format!("{}/console/programmes/{}", self.config.origin.as_str(), programme.id),
        });
        Letter {
            heading: subject.clone(),
            subject,
            parts,
            why: format!("You get this mail because you are among those who hear about the money of {name}."),
            to: self.to.clone(),
        }
    }
}

fn what_next(settings: &Settings, used: i64, has_room: bool) -> String {
    let next = settings.thresholds.iter().copied().filter(|threshold| i64::from(*threshold) > used).min();
    if used >= 100 {
        return "Nobody new gets a key from this pot. Keys that are live go on, each up to its own cap. An admin can raise the pot."
            .to_owned();
    }
    let further = match next {
        Some(next) => format!("You hear again at {next}%."),
        None => "There is no further threshold at which you would hear.".to_owned(),
    };
    let now = match has_room {
        true => "Nothing changes for students now: each key works up to its own cap.",
        false => {
            "The whole pot is promised to those who have a key, so nobody else gets one; keys that are live go on, each up to its own cap."
        }
    };
    format!("{now} {further} An admin can raise the pot.")
}
