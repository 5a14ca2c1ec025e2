//! The session of a signed-in person: how long it lasts, and its early end by disuse for a person with a
//! role.

use crate::domain::values::token::SessionTokenHash;
use crate::prelude::*;

/// The length of a session with a role, and of one without.
const ROLE_SESSION_LASTS: SignedDuration = SignedDuration::from_hours(8);
const SESSION_LASTS: SignedDuration = SignedDuration::from_mins(30);
/// The time without use after which a session with a role ends. Use is noted no more often than
/// `USE_NOTED_EACH`, so the session may end that much early.
const DISUSE_ENDS_AFTER: SignedDuration = SignedDuration::from_hours(1);
const USE_NOTED_EACH: SignedDuration = SignedDuration::from_mins(10);

/// A signed-in session. It lasts from the sign-in and is never extended; with a role it also ends by disuse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub session: SessionTokenHash,
    pub address: MatchedAddress,
    /// The id of a person with a role, as audit entries name them.
    pub person: Option<PersonId>,
    pub begun_at: Moment,
    pub used_at: Moment,
    pub ends_at: Moment,
}

stored! {
    "session" Session |it| (session: &SessionTokenHash = &it.session) => key(format!("S#{}", session.as_str()), "S");
    expires it.ends_at
}

impl Session {
    /// A session that begins now, as long as the role of its person allows.
    pub fn begun(session: SessionTokenHash, address: MatchedAddress, person: Option<PersonId>, now: Moment) -> Session {
        let lasts = if person.is_some() { ROLE_SESSION_LASTS } else { SESSION_LASTS };
        Session { session, address, person, begun_at: now, used_at: now, ends_at: now + lasts }
    }

    pub fn is_good(&self, now: Moment) -> bool {
        let is_in_use = self.person.is_none() || now < self.used_at + DISUSE_ENDS_AFTER;
        now < self.ends_at && is_in_use
    }

    /// Whether it is time to note the session's use.
    pub fn is_to_be_noted(&self, now: Moment) -> bool {
        self.person.is_some() && self.used_at + USE_NOTED_EACH <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::values::token::SessionToken;

    fn ada() -> MatchedAddress {
        EmailAddress::parse("ada@uni.edu").unwrap().matched().clone()
    }

    fn at(minute: i64) -> Moment {
        Moment::from_second(1_767_225_600 + 60 * minute).unwrap()
    }

    #[test]
    fn a_role_ends_with_its_session_after_an_hour_of_disuse_and_a_student_stays_for_half_an_hour() {
        let hash = || SessionToken::generate().hash();
        let student = Session::begun(hash(), ada(), None, at(0));
        assert!(student.is_good(at(29)) && !student.is_good(at(30)) && !student.is_to_be_noted(at(29)));
        let faculty = Session::begun(hash(), ada(), Some(PersonId::random()), at(0));
        assert!(faculty.is_good(at(59)) && !faculty.is_good(at(60)));
        assert!(!faculty.is_to_be_noted(at(9)) && faculty.is_to_be_noted(at(10)));
        let used = Session { used_at: at(450), ..faculty };
        assert!(used.is_good(at(479)) && !used.is_good(at(480)), "eight hours are the most");
    }
}
