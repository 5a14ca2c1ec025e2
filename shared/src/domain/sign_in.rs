//! Signing in: which links and codes are valid for one address, what uses them up, and how many are
//! mailed; and the session that follows, how long it lasts, and its early end by disuse for a
//! person with a role. The page that asks keeps to itself whether an address is known.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::domain::sign_on::Identity;
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::{Nonce, PersonId};
use crate::domain::values::token::{BrowserTokenHash, CodeHash, LinkTokenHash, SessionTokenHash};
use crate::schema::{key, stored};

pub const LINK_LASTS: SignedDuration = SignedDuration::from_mins(30);
/// The time within which a request for a link may still be answered.
pub const LOGIN_REQUEST_LASTS: SignedDuration = SignedDuration::from_hours(1);
const MOST_LINKS: usize = 5;
/// The sessions of an address that are good at once. The oldest gives way.
const MOST_SESSIONS: usize = 20;
const MOST_MAILS_AN_HOUR: usize = 5;
/// The mails an hour with codes of sign-ons: for whoever signed on, and for all who type one
/// address.
const MOST_OF_A_SIGN_ON: usize = 3;
const MOST_OF_SIGN_ONS: usize = 20;
/// The number of mails that are sent as soon as they are asked for. After that, or after as many
/// unused links, a new one is sent only when none is valid any more. So a flood of requests causes
/// one mail each half hour, and the owner still has a valid link at any time.
const AT_ONCE: usize = 3;
const BETWEEN_MAILS: SignedDuration = SignedDuration::from_mins(1);
/// The time after the last mail for which unused links are remembered.
const UNFOLLOWED_KNOWN: SignedDuration = SignedDuration::from_hours(24);
/// The time after its last write for which the state is kept, so that a request that read it before
/// never finds none to write over.
const KEPT_AFTER_WRITE: SignedDuration = SignedDuration::from_hours(1);
/// The wrong codes after which no code is accepted. A code of sixty bits cannot be guessed in so
/// few tries, and a stranger who uses them up ends codes only, never links.
pub(super) const WRONG_CODES: u32 = 5;

crate::named! {
    /// How a session begins.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum SignInMethod: as_str, to_words {
        Link = "link", "by a mailed link";
        Code = "code", "by a mailed code";
        SignOn = "sign-on", "by the campus' sign-on";
        /// Something in front of the pages vouched for the address.
        Front = "front", "by what stands in front";
    }
}

/// The state of signing in for one address: its valid links and codes, the recent mails, and the
/// wrong codes. Every address that is typed in has one, known or not. Every write of it rests on
/// the generation and the version that it read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignIn {
    pub address: MatchedAddress,
    /// A random value that each of its sessions carries. Whoever replaces it ends all sessions that
    /// there are.
    pub generation: Nonce,
    pub links: Vec<LiveLink>,
    /// Every link that was made, used or not, until it expires: with these and the sessions all
    /// items of the address are found.
    pub issued_links: Vec<MadeLink>,
    pub mailed: Vec<Mailed>,
    pub unfollowed: usize,
    pub last_mailed_at: Option<Moment>,
    /// The wrong codes since the last mail; beyond the limit no code is accepted.
    pub wrong_codes: u32,
    pub written_at: Moment,
    /// Sessions until they expire, the oldest first. They may have been signed out since.
    pub sessions: Vec<BegunSession>,
    /// The version, which every change increases; 0 before the first.
    pub version: u64,
}

stored! {
    // Beside the links, whose partitions are for those alone who sign people in: whoever writes
    // this one signs in as anybody.
    SignIn (address: &MatchedAddress) => key(format!("L#{}", address.as_str()), "SIGN-IN");
    expires |sign_in| sign_in.ends_at()
}

/// A link and its code. Both come in one mail, and the first that is used ends every other of this
/// address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveLink {
    pub link: LinkTokenHash,
    pub code: Option<CodeHash>,
    #[serde(flatten)]
    pub asker: Asker,
    pub ends_at: Moment,
}

/// Who asked for a link: a browser, and whoever has signed on in it and waits for a code. Such have
/// limits of their own, and their codes work there alone, so that whoever else types the address
/// keeps nobody from connecting it; it would take seven who sign on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asker {
    #[serde(rename = "asked_by")]
    pub browser: BrowserTokenHash,
    pub sign_on: Option<Identity>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeLink {
    pub link: LinkTokenHash,
    pub ends_at: Moment,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mailed {
    pub login_request: Ulid,
    pub sign_on: Option<Identity>,
    pub at: Moment,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BegunSession {
    pub session: SessionTokenHash,
    pub ends_at: Moment,
}

crate::named! {
    pub enum LinkRefused: why {
        TooSoon = "another was sent within the last minute",
        TooMany = "as many as are sent in an hour have been sent",
        /// Enough mails were sent, or enough of them went unused, and one of their links is still
        /// valid.
        OneIsGood = "one that was sent before is still good",
        /// The deployment's share of this minute is used up; this one waits for the next.
        NextMinute = "as many as are sent in a minute have been sent",
    }
}

/// The proof that a link was opened by its owner and not by a scanner that reads mail.
#[derive(Debug, PartialEq)]
pub enum Proof {
    /// The cookie of the browser that asked for the link.
    Browser(BrowserTokenHash),
    /// The address, typed in by the person.
    Address(MatchedAddress),
}

impl LiveLink {
    fn has_code(&self, code: &CodeHash, now: Moment) -> bool {
        now < self.ends_at && self.code.as_ref() == Some(code)
    }
}

impl SignIn {
    /// The state of an address to which no link was ever mailed.
    pub fn none(address: MatchedAddress) -> SignIn {
        SignIn {
            address,
            generation: Nonce::random(),
            links: Vec::new(),
            issued_links: Vec::new(),
            mailed: Vec::new(),
            unfollowed: 0,
            last_mailed_at: None,
            wrong_codes: 0,
            written_at: Moment::UNIX_EPOCH,
            sessions: Vec::new(),
            version: 0,
        }
    }

    /// Whether this request already led to a link, whose mail may have failed.
    pub fn is_again(&self, login_request: Ulid) -> bool {
        self.mailed
            .iter()
            .any(|mailed| mailed.login_request == login_request)
    }

    pub fn link_refused(
        &self,
        login_request: Ulid,
        sign_on: Option<&Identity>,
        now: Moment,
    ) -> Option<LinkRefused> {
        self.share(login_request, sign_on, now).err()
    }

    /// Adds a valid link for this address because of a request. A request may come again, since its
    /// mail may have failed.
    pub fn with_link(
        &self,
        login_request: Ulid,
        link: LiveLink,
        now: Moment,
    ) -> Result<SignIn, LinkRefused> {
        let is_new = !self.is_again(login_request);
        let mut after = self.share(login_request, link.asker.sign_on.as_ref(), now)?;
        after.mailed.push(Mailed {
            login_request,
            sign_on: link.asker.sign_on.clone(),
            at: now,
        });
        after.issued_links.push(MadeLink {
            link: link.link.clone(),
            ends_at: link.ends_at,
        });
        // The oldest link gives way, since it is the least likely to be used; no sign-on's to
        // another, nor to a link.
        let most = if link.asker.sign_on.is_some() {
            1
        } else {
            MOST_LINKS
        };
        let alike = after
            .links
            .iter()
            .filter(|live| live.asker.sign_on == link.asker.sign_on)
            .count();
        let mut surplus = (alike + 1).saturating_sub(most);
        after.links.retain(|live| {
            let gives_way = surplus > 0 && live.asker.sign_on == link.asker.sign_on;
            surplus -= usize::from(gives_way);
            !gives_way
        });
        if link.asker.sign_on.is_none() {
            (after.unfollowed, after.last_mailed_at) =
                (after.unfollowed + usize::from(is_new), Some(now));
            if after.wrong_codes >= WRONG_CODES {
                after
                    .links
                    .iter_mut()
                    .filter(|live| live.asker.sign_on.is_none())
                    .for_each(|live| live.code = None);
            }
            after.wrong_codes = 0;
        }
        after.links.push(link);
        Ok(after)
    }

    /// The state to which a link of this request is added.
    fn share(
        &self,
        login_request: Ulid,
        sign_on: Option<&Identity>,
        now: Moment,
    ) -> Result<SignIn, LinkRefused> {
        let mut after = self.changed(now);
        after
            .mailed
            .retain(|mailed| mailed.login_request != login_request);
        let alike: Vec<&Mailed> = after
            .mailed
            .iter()
            .filter(|mailed| mailed.sign_on.as_ref() == sign_on)
            .collect();
        if alike.iter().any(|mailed| now < mailed.at + BETWEEN_MAILS) {
            return Err(LinkRefused::TooSoon);
        }
        let of_sign_ons = after
            .mailed
            .iter()
            .filter(|mailed| mailed.sign_on.is_some())
            .count();
        let are_too_many = match sign_on {
            Some(_) => alike.len() >= MOST_OF_A_SIGN_ON || of_sign_ons >= MOST_OF_SIGN_ONS,
            None => alike.len() >= MOST_MAILS_AN_HOUR,
        };
        if are_too_many {
            return Err(LinkRefused::TooMany);
        }
        let is_enough = alike.len() >= AT_ONCE || after.unfollowed >= AT_ONCE;
        let has_one = after.links.iter().any(|live| live.asker.sign_on.is_none());
        if sign_on.is_none() && !self.is_again(login_request) && is_enough && has_one {
            return Err(LinkRefused::OneIsGood);
        }
        Ok(after)
    }

    /// Signs in by a link, which ends every link and code of the address. `None`, and no change, if
    /// the link is not valid or the proof is not its owner's.
    pub fn follow(&self, link: &LinkTokenHash, proof: &Proof, now: Moment) -> Option<SignIn> {
        let live = self
            .links
            .iter()
            .find(|live| live.link == *link && now < live.ends_at)?;
        let is_theirs = match proof {
            Proof::Browser(cookie) => live.asker.browser == *cookie,
            Proof::Address(address) => self.address == *address,
        };
        is_theirs.then(|| self.used(now))
    }

    /// Signs in by a code that was typed together with this address, which ends every link and code
    /// of it. `None` if the code is not valid, or too many were wrong. The caller counts that as a
    /// wrong code, whether or not the address has one.
    pub fn type_code(&self, code: &CodeHash, now: Moment) -> Option<SignIn> {
        let is_good = self.wrong_codes < WRONG_CODES
            && self
                .links
                .iter()
                .any(|live| live.asker.sign_on.is_none() && live.has_code(code, now));
        is_good.then(|| self.used(now))
    }

    /// The same of a code that was asked for in a sign-on, in its browser.
    pub fn type_code_of_sign_on(
        &self,
        asker: &Asker,
        code: &CodeHash,
        now: Moment,
    ) -> Option<SignIn> {
        let is_good = self
            .links
            .iter()
            .any(|live| live.asker == *asker && live.has_code(code, now));
        is_good.then(|| self.used(now))
    }

    /// Signs in whom something else than a mail vouches for. Links and codes of the address stay
    /// good.
    pub fn record_vouching(&self, now: Moment) -> SignIn {
        let mut after = self.changed(now);
        after.sessions.retain(|begun| now < begun.ends_at);
        after
    }

    /// Ends every session, link and code of the address.
    pub fn sign_out_all(&self, now: Moment) -> SignIn {
        SignIn {
            generation: Nonce::random(),
            links: Vec::new(),
            ..self.changed(now)
        }
    }

    pub fn with_wrong_code(&self, now: Moment) -> SignIn {
        let version = self.version.max(1);
        SignIn {
            wrong_codes: self.wrong_codes + 1,
            written_at: now,
            version,
            ..self.clone()
        }
    }

    /// The time from which nothing of this state matters. Links, codes and the counts of mails end
    /// within an hour of their write.
    pub fn ends_at(&self) -> Moment {
        let mut ends_at = self.written_at + KEPT_AFTER_WRITE;
        if let Some(mailed_at) = self.last_mailed_at
            && self.unfollowed >= AT_ONCE
        {
            ends_at = ends_at.max(mailed_at + UNFOLLOWED_KNOWN);
        }
        for session in &self.sessions {
            ends_at = ends_at.max(session.ends_at);
        }
        ends_at
    }

    /// Adds a session of this generation. If there are too many, the oldest gives way.
    pub fn add_session(&mut self, session: &Session) {
        if self.sessions.len() >= MOST_SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push(BegunSession {
            session: session.session.clone(),
            ends_at: session.ends_at,
        });
    }

    fn used(&self, now: Moment) -> SignIn {
        SignIn {
            links: Vec::new(),
            unfollowed: 0,
            wrong_codes: 0,
            ..self.record_vouching(now)
        }
    }

    /// The next version of the state without what has expired, on which a change is built.
    fn changed(&self, now: Moment) -> SignIn {
        let mut after = SignIn {
            version: self.version + 1,
            written_at: now,
            ..self.clone()
        };
        after.links.retain(|live| now < live.ends_at);
        after.issued_links.retain(|link| now < link.ends_at);
        after
            .mailed
            .retain(|mailed| now < mailed.at + LOGIN_REQUEST_LASTS);
        if after
            .last_mailed_at
            .is_none_or(|mailed_at| mailed_at + UNFOLLOWED_KNOWN <= now)
        {
            after.unfollowed = 0;
        }
        after
    }
}

/// The length of a session with a role, and of one without.
const ROLE_SESSION_LASTS: SignedDuration = SignedDuration::from_hours(8);
const SESSION_LASTS: SignedDuration = SignedDuration::from_mins(30);
/// The time without use after which a session with a role ends. Use is noted no more often than
/// `USE_NOTED_EACH`, so the session may end that much early.
const DISUSE_ENDS_AFTER: SignedDuration = SignedDuration::from_hours(1);
const USE_NOTED_EACH: SignedDuration = SignedDuration::from_mins(10);

/// A signed-in session. It lasts from the sign-in and is never extended; with a role it also ends
/// by disuse.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    pub session: SessionTokenHash,
    pub address: MatchedAddress,
    /// That of its address' sign-in. When the address has another, the session is over.
    pub generation: Nonce,
    pub method: SignInMethod,
    /// The id of a person with a role, as audit entries name them. Without one a session never
    /// opens the console.
    pub person: Option<PersonId>,
    pub begun_at: Moment,
    pub used_at: Moment,
    pub ends_at: Moment,
}

stored! {
    Session (session: &SessionTokenHash) => key(format!("S#{}", session.as_str()), "S");
    expires |session| session.ends_at
}

impl Session {
    /// A session that begins now, as long as the role of its person allows.
    pub fn new(
        session: SessionTokenHash,
        sign_in: &SignIn,
        method: SignInMethod,
        person: Option<PersonId>,
        now: Moment,
    ) -> Session {
        let lasts = if person.is_some() {
            ROLE_SESSION_LASTS
        } else {
            SESSION_LASTS
        };
        Session {
            session,
            address: sign_in.address.clone(),
            generation: sign_in.generation.clone(),
            method,
            person,
            begun_at: now,
            used_at: now,
            ends_at: now + lasts,
        }
    }

    /// The same, which lasts no longer than this.
    #[must_use]
    pub fn limit_to(self, lasts: SignedDuration) -> Session {
        Session {
            ends_at: self.ends_at.min(self.begun_at + lasts),
            ..self
        }
    }

    /// Whether somebody with a role was let in for a shorter time than others, since nobody could
    /// sign on.
    pub fn is_shortened(&self) -> bool {
        self.person.is_some() && self.ends_at < self.begun_at + ROLE_SESSION_LASTS
    }

    pub fn is_good(&self, now: Moment) -> bool {
        let is_in_use = self.person.is_none() || now < self.used_at + DISUSE_ENDS_AFTER;
        now < self.ends_at && is_in_use
    }

    pub fn is_to_be_noted(&self, now: Moment) -> bool {
        self.person.is_some() && self.used_at + USE_NOTED_EACH <= now
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::values::address::EmailAddress;

    use super::*;
    use crate::domain::values::token::{BrowserToken, Code, LinkToken, SessionToken};

    struct Mail {
        link: LinkTokenHash,
        code: CodeHash,
        browser: BrowserTokenHash,
    }

    fn ada() -> MatchedAddress {
        EmailAddress::parse("ada@uni.edu")
            .unwrap()
            .matched()
            .clone()
    }

    fn at(minute: i64) -> Moment {
        Moment::from_second(1_767_225_600 + 60 * minute).unwrap()
    }

    fn mailed(before: &SignIn, number: u128, now: Moment) -> Result<(SignIn, Mail), LinkRefused> {
        mailed_to(None, before, number, now)
    }

    /// What is mailed to somebody who has signed on, or to somebody who has not.
    fn mailed_to(
        sign_on: Option<Identity>,
        before: &SignIn,
        number: u128,
        now: Moment,
    ) -> Result<(SignIn, Mail), LinkRefused> {
        let link = LinkToken::generate().hash();
        let code = Code::generate().hash(&ada());
        let browser = BrowserToken::generate().hash();
        let ends_at = now + LINK_LASTS;
        let asker = Asker {
            browser: browser.clone(),
            sign_on,
        };
        let live = LiveLink {
            link: link.clone(),
            code: Some(code.clone()),
            asker,
            ends_at,
        };
        let after = before.with_link(Ulid::from_parts(1, number), live, now)?;
        Ok((
            after,
            Mail {
                link,
                code,
                browser,
            },
        ))
    }

    /// A link signs in once, in the browser that requested it or with the address.
    #[test]
    fn a_link_signs_in_once() {
        let (signs, mail) = mailed(&SignIn::none(ada()), 1, at(0)).unwrap();
        let eve = EmailAddress::parse("eve@uni.edu")
            .unwrap()
            .matched()
            .clone();
        let other = BrowserToken::generate().hash();
        for proof in [Proof::Address(eve), Proof::Browser(other)] {
            assert_eq!(signs.follow(&mail.link, &proof, at(1)), None, "{proof:?}");
        }
        for proof in [Proof::Address(ada()), Proof::Browser(mail.browser.clone())] {
            let after = signs.follow(&mail.link, &proof, at(1)).unwrap();
            assert_eq!(after.follow(&mail.link, &proof, at(1)), None);
        }
        let proof = Proof::Browser(mail.browser);
        assert!(signs.follow(&mail.link, &proof, at(29)).is_some());
        assert_eq!(
            signs.follow(&mail.link, &proof, at(30)),
            None,
            "its time is over"
        );
    }

    #[test]
    fn the_first_sign_in_ends_every_link_and_code_of_the_address() {
        let (first, early) = mailed(&SignIn::none(ada()), 1, at(0)).unwrap();
        let (both, late) = mailed(&first, 2, at(2)).unwrap();
        assert!(
            both.follow(&early.link, &Proof::Address(ada()), at(3))
                .is_some(),
            "a newer link ends no older one"
        );
        let after = both.type_code(&late.code, at(3)).unwrap();
        assert!(
            after
                .follow(&early.link, &Proof::Address(ada()), at(3))
                .is_none()
        );
        assert_eq!(after.type_code(&early.code, at(3)), None);
    }

    #[test]
    fn five_wrong_codes_end_the_codes_and_not_the_links() {
        let (mut signs, mail) = mailed(&SignIn::none(ada()), 1, at(0)).unwrap();
        let wrong = || Code::generate().hash(&ada());
        for _ in 0..4 {
            assert_eq!(signs.type_code(&wrong(), at(1)), None);
            signs = signs.with_wrong_code(at(1));
        }
        assert!(
            signs.type_code(&mail.code, at(1)).is_some(),
            "the fourth leaves one more"
        );
        let after = signs.with_wrong_code(at(1));
        assert_eq!(after.type_code(&mail.code, at(1)), None);
        assert!(
            after
                .follow(&mail.link, &Proof::Address(ada()), at(1))
                .is_some()
        );
        let (after, next) = mailed(&after, 2, at(2)).unwrap();
        assert_eq!(
            after.type_code(&mail.code, at(2)),
            None,
            "another mail brings another code and none back"
        );
        assert!(after.type_code(&next.code, at(2)).is_some());
    }

    /// At most one mail a minute and five an hour are sent, whatever was done with earlier ones.
    #[test]
    fn mails_are_rate_limited() {
        let (mut signs, _) = mailed(&SignIn::none(ada()), 0, at(0)).unwrap();
        assert_eq!(mailed(&signs, 1, at(0)).err(), Some(LinkRefused::TooSoon));
        assert!(
            mailed(&signs, 0, at(0)).is_ok(),
            "the same login request again: its mail may have failed"
        );
        for ask in 1..5 {
            let (after, mail) = mailed(&signs, ask, at(i64::try_from(ask).unwrap() * 2)).unwrap();
            signs = after
                .follow(
                    &mail.link,
                    &Proof::Address(ada()),
                    at(i64::try_from(ask).unwrap() * 2),
                )
                .unwrap();
        }
        assert_eq!(mailed(&signs, 9, at(10)).err(), Some(LinkRefused::TooMany));
        assert!(mailed(&signs, 9, at(61)).is_ok());
    }

    /// Whoever signs on gets a code, whatever others ask for and type, which nobody can use
    /// elsewhere; and no more than five an hour.
    #[test]
    fn a_sign_on_has_its_own_mails() {
        let grace = Identity::new("https://sso.uni.edu", "grace");
        let mut signs = SignIn::none(ada());
        for minute in 0..4 {
            signs = mailed(&signs, minute.try_into().unwrap(), at(minute))
                .map_or(signs, |(after, _)| after);
        }
        assert_eq!(mailed(&signs, 9, at(4)).err(), Some(LinkRefused::OneIsGood));
        let (signs, mail) = mailed_to(Some(grace.clone()), &signs, 10, at(4)).unwrap();
        let signs = (0..5).fold(signs, |signs, _| signs.with_wrong_code(at(5)));
        let asker = Asker {
            browser: mail.browser,
            sign_on: Some(grace.clone()),
        };
        assert!(
            signs
                .type_code_of_sign_on(&asker, &mail.code, at(5))
                .is_some()
        );
        let another = Asker {
            sign_on: Some(Identity::new("https://sso.uni.edu", "eve")),
            ..asker.clone()
        };
        assert_eq!(
            signs.type_code_of_sign_on(&another, &mail.code, at(5)),
            None
        );
        let (mut signs, _) =
            mailed_to(Some(grace.clone()), &SignIn::none(ada()), 20, at(4)).unwrap();
        assert_eq!(
            mailed_to(Some(grace.clone()), &signs, 21, at(4)).err(),
            Some(LinkRefused::TooSoon)
        );
        for minute in [5, 6] {
            (signs, _) = mailed_to(
                Some(grace.clone()),
                &signs,
                20 + u128::try_from(minute).unwrap(),
                at(minute),
            )
            .unwrap();
        }
        assert_eq!(
            mailed_to(Some(grace), &signs, 30, at(9)).err(),
            Some(LinkRefused::TooMany)
        );
    }

    /// However many sign on and type somebody's address, links stay good, and so do each other's
    /// codes; and they get no more than twenty.
    #[test]
    fn sign_ons_take_nothing_from_each_other() {
        let identity = |number: u128| Identity::new("https://sso.uni.edu", &number.to_string());
        let (mut signs, link) = mailed(&SignIn::none(ada()), 1, at(0)).unwrap();
        let mut codes = Vec::new();
        for number in 0..MOST_OF_SIGN_ONS as u128 {
            let (after, mail) =
                mailed_to(Some(identity(number)), &signs, 2 + number, at(0)).unwrap();
            codes.push((
                Asker {
                    browser: mail.browser,
                    sign_on: Some(identity(number)),
                },
                mail.code,
            ));
            signs = after;
        }
        assert_eq!(
            mailed_to(Some(identity(99)), &signs, 99, at(1)).err(),
            Some(LinkRefused::TooMany)
        );
        let (signs, _) = mailed(&signs, 100, at(1)).unwrap();
        assert!(
            signs
                .follow(&link.link, &Proof::Address(ada()), at(2))
                .is_some()
        );
        assert!(
            codes
                .iter()
                .all(|(asker, code)| signs.type_code_of_sign_on(asker, code, at(2)).is_some())
        );
        assert_eq!((signs.links.len(), signs.issued_links.len()), (22, 22));
    }

    /// At most five links are valid at once, and nothing is kept for longer than it matters.
    #[test]
    fn five_links_are_the_most() {
        let mut signs = SignIn::none(ada());
        for ask in 0..5 {
            // A request may need several tries.
            signs = mailed(&signs, ask % 3, at(i64::try_from(ask).unwrap() * 2))
                .unwrap()
                .0;
        }
        assert_eq!(
            (signs.links.len(), signs.mailed.len(), signs.unfollowed),
            (5, 3, 3)
        );
        assert_eq!(signs.ends_at(), at(8 + 24 * 60));
        let (signs, _) = mailed(&signs, 9, at(70)).unwrap();
        assert_eq!((signs.links.len(), signs.mailed.len()), (1, 1));
    }

    /// A link is valid at any time, however many requests come, and a day of requests sends one
    /// mail per half hour.
    #[test]
    fn some_link_is_always_valid() {
        for signs_in in [false, true] {
            let mut signs = SignIn::none(ada());
            let mut mails = Vec::new();
            for minute in 0..24 * 60 {
                if let Ok((after, mail)) = mailed(&signs, minute.try_into().unwrap(), at(minute)) {
                    let follows = signs_in && minute == 2;
                    signs = if follows {
                        after
                            .follow(&mail.link, &Proof::Address(ada()), at(2))
                            .unwrap()
                    } else {
                        after
                    };
                    mails.push(minute);
                }
                let is_kept_out = !(signs_in && minute == 2)
                    && signs.links.iter().all(|live| at(minute) >= live.ends_at);
                assert!(!is_kept_out, "minute {minute}");
            }
            assert!(
                signs_in || mails[..6] == [0, 1, 2, 32, 62, 92] && mails.len() <= 50,
                "{mails:?}"
            );
        }
    }

    /// A session with a role ends after an hour without use, and a student session lasts half an
    /// hour.
    #[test]
    fn sessions_end_after_disuse() {
        let hash = || SessionToken::generate().hash();
        let sign_in = SignIn::none(ada());
        let begin = |person| Session::new(hash(), &sign_in, SignInMethod::Link, person, at(0));
        let student = begin(None);
        assert!(
            student.is_good(at(29)) && !student.is_good(at(30)) && !student.is_to_be_noted(at(29))
        );
        let faculty = begin(Some(PersonId::random()));
        assert!(faculty.is_good(at(59)) && !faculty.is_good(at(60)));
        assert!(!faculty.is_to_be_noted(at(9)) && faculty.is_to_be_noted(at(10)));
        let used = Session {
            used_at: at(450),
            ..faculty
        };
        assert!(
            used.is_good(at(479)) && !used.is_good(at(480)),
            "eight hours are the most"
        );
    }
}
