//! The request of a student for a larger cap. It changes nothing: faculty read it, and set the cap
//! or leave it. So a request is answered as soon as another cap holds, whoever changed it and
//! where: for the grant, its group or the programme.

use super::*;
use crate::domain::audit::{Act, Actor, AuditDetail};
use crate::domain::values::id::PersonId;
use crate::domain::values::partition::overview_key;
use crate::schema::Queue;

/// How long a request stands where nobody changes the cap. It may be made again only then, whatever
/// became of it.
pub const MORE_REQUEST_LASTS: SignedDuration = SignedDuration::from_hours(7 * 24);

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct MoreRequest {
    pub asked_at: Moment,
    /// The student's own words, which nothing but this item repeats.
    pub reason: String,
    /// The cap that held when it was made.
    pub cap: Usd,
    /// The cap that is asked for, if the student said one.
    pub wanted_cap: Option<Usd>,
    /// Why it was declined, for the student to read, if it was.
    pub declined: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MoreRefused {
    /// There is no key that a larger cap would be for: none was made yet, the person is off the
    /// roster, it is off for disuse, or all is over.
    NoKey,
    /// There was a request within a week, and there may be another from then on.
    Asked { until: Moment },
}

/// That a student asks for more: what the programme's overview and the queue of decisions show of
/// it, which hold no words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MoreListing {
    pub programme: ProgrammeId,
    pub grant: GrantId,
    pub asked_at: Moment,
}

stored! {
    MoreListing (programme: &ProgrammeId, grant: &GrantId) => overview_key(programme, &format!("MORE#{grant}"));
    expires |listing| listing.asked_at + MORE_REQUEST_LASTS;
    waits |listing| Some((Queue::DECISION, listing.asked_at))
}

impl Grant {
    /// The last request, while nobody has answered it and a week has not passed.
    pub fn open_request(&self, settings: &Settings, now: Moment) -> Option<&MoreRequest> {
        let request = self.more_request.as_ref()?;
        let is_answered = request.declined.is_some() || request.cap != self.cap(settings);
        (now < request.asked_at + MORE_REQUEST_LASTS && !is_answered).then_some(request)
    }
}

impl View {
    pub fn open_request(&self, now: Moment) -> Option<&MoreRequest> {
        self.grant.open_request(&self.programme.settings, now)
    }

    pub fn may_ask_for_more(&self, now: Moment) -> Result<(), MoreRefused> {
        let has_key = matches!(
            self.grant.state,
            GrantState::Live { .. } | GrantState::Stopped { .. }
        );
        // Who is paused may say why more is needed; the other holds have ends of their own.
        let is_off = self.grant.holds.dropped.is_some() || self.grant.holds.unused;
        if !has_key || is_off || self.programme.is_over(now) {
            return Err(MoreRefused::NoKey);
        }
        match self
            .grant
            .more_request
            .as_ref()
            .map(|request| request.asked_at + MORE_REQUEST_LASTS)
        {
            Some(until) if now < until => Err(MoreRefused::Asked { until }),
            _ => Ok(()),
        }
    }

    /// Asks these people for a larger cap. The audit entry only says that it was asked for: the
    /// reason may name people.
    pub fn ask_for_more(
        &self,
        reason: &str,
        wanted_cap: Option<Usd>,
        people: &[PersonId],
        now: Moment,
    ) -> Result<Change, MoreRefused> {
        self.may_ask_for_more(now)?;
        let mut change = self.change(&Actor::Student, DependsOn::Settings);
        let cap = self.grant.cap(&self.programme.settings);
        let reason = reason.to_owned();
        change.grant.more_request = Some(MoreRequest {
            asked_at: now,
            reason,
            cap,
            wanted_cap,
            declined: None,
        });
        change.asks = people.to_vec();
        Ok(change.with_entries(AuditDetail::new(Act::MoreAsked)))
    }

    /// Declines a request, which is mailed to the student with this reason. The audit entry does
    /// not repeat it.
    pub fn decline_more(
        &self,
        reason: &str,
        actor: &Actor,
        now: Moment,
    ) -> Result<Change, Unchanged> {
        self.open_request(now).ok_or(Unchanged)?;
        let mut change = self.change(actor, DependsOn::Settings);
        if let Some(request) = &mut change.grant.more_request {
            request.declined = Some(reason.to_owned());
        }
        change.notice = Some(StudentNotice::MoreDeclined);
        Ok(change.with_entries(AuditDetail::new(Act::MoreDeclined)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::{a_view, at};

    /// A request is made at most once a week and stays open until another cap applies.
    #[test]
    fn one_request_a_week_is_made() {
        let mut view = a_view();
        let now = at("2026-02-02T08:00:00Z");
        let ask = |view: &View, now| {
            view.ask_for_more("for the project", None, &[PersonId::random()], now)
        };
        assert_eq!(
            ask(&view, now),
            Err(MoreRefused::NoKey),
            "no key was made yet"
        );
        view.grant.state = GrantState::Stopped {
            why: Stopped::Leaked,
        };
        let change = ask(&view, now).unwrap();
        assert_eq!((change.asks.len(), change.budget), (1, BudgetChange::None));
        assert!(!format!("{change:?}").contains("project"));
        view.grant = change.grant.clone();

        let week = now + MORE_REQUEST_LASTS;
        let last = week - SignedDuration::from_millis(1);
        assert_eq!(ask(&view, last), Err(MoreRefused::Asked { until: week }));
        assert_eq!(
            (view.open_request(last).is_some(), view.open_request(week)),
            (true, None)
        );
        ask(&view, week).unwrap();
        let mut of_programme = view.clone();
        of_programme.settings_mut().allowance.cap = Usd::CENT;
        let own = view
            .set_cap(Some(Usd::CENT), &Actor::Rule, None, now)
            .unwrap();
        for answered in [
            of_programme,
            View {
                grant: own.grant.clone(),
                ..view.clone()
            },
        ] {
            assert_eq!(answered.open_request(last), None);
            assert_eq!(
                ask(&answered, last),
                Err(MoreRefused::Asked { until: week })
            );
            ask(&answered, week).unwrap();
        }
        view = View {
            grant: view
                .hold(HoldKind::Paused, &Actor::Rule, None, now)
                .unwrap()
                .grant
                .clone(),
            ..view
        };
        ask(&view, week).unwrap();
        view.grant.holds.dropped = Some(now);
        assert_eq!(ask(&view, week), Err(MoreRefused::NoKey));
    }
}
