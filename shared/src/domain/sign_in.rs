//! Signing in: which links and codes are good for one address, what uses them up, and how many are mailed. That nobody is
//! told whose address is known here is the asking page's matter; the session that follows is kept by the store.

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::address::MatchedAddress;
use super::id::PersonId;
use super::token::{AskTokenHash, CodeHash, LinkTokenHash, SessionTokenHash};

/// How long a link and its code are good.
pub const LINK_LASTS: SignedDuration = SignedDuration::from_mins(30);
/// How long what somebody asked for may still be sent.
pub const ASK_LASTS: SignedDuration = SignedDuration::from_hours(1);
/// A session of somebody with a role, and of everybody else.
pub const ROLE_SESSION_LASTS: SignedDuration = SignedDuration::from_hours(8);
pub const SESSION_LASTS: SignedDuration = SignedDuration::from_mins(30);

const MOST_LINKS: usize = 5;
const MOST_MAILS_AN_HOUR: usize = 5;
const BETWEEN_MAILS: SignedDuration = SignedDuration::from_mins(1);
/// Nobody finds a code of sixty bits in so few tries, and a classmate who uses them up ends codes only, never links.
const WRONG_CODES: u8 = 5;

/// What is good for signing in to one address, and what was mailed to it of late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    pub address: MatchedAddress,
    #[serde(default)]
    pub links: Vec<LiveLink>,
    #[serde(default)]
    pub mailed: Vec<Mailed>,
    pub wrong_codes: u8,
    /// Moves with every change; 0 before the first.
    pub version: u64,
}

/// A link and its code. Both come in one mail, and the first of them that is used ends every other of this address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveLink {
    pub link: LinkTokenHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeHash>,
    /// The browser that asked for it.
    pub asked_by: AskTokenHash,
    #[serde(with = "millisecond::required")]
    pub ends_at: Timestamp,
}

/// That a mail was owed for an ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailed {
    pub ask: Ulid,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// Why no link is mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOwed {
    TooSoon,
    TooMany,
}

/// What shows that somebody who has a link is not a scanner that read the mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The cookie of the browser that asked.
    Browser(AskTokenHash),
    /// The address, typed in.
    Address(MatchedAddress),
}

/// What a typed code came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// It is good: sign in, and every link and code of the address has ended.
    Right(SignIn),
    /// It is not, and that is counted.
    Wrong(SignIn),
    /// There is no code that it could be.
    Nothing,
}

/// Somebody signed in. It lasts from the sign-in and is never extended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub session: SessionTokenHash,
    pub address: MatchedAddress,
    /// The name that audit entries know somebody with a role by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    #[serde(with = "millisecond::required")]
    pub ends_at: Timestamp,
}

impl SignIn {
    /// An address for which nothing was ever mailed.
    pub fn none(address: MatchedAddress) -> SignIn {
        SignIn { address, links: Vec::new(), mailed: Vec::new(), wrong_codes: 0, version: 0 }
    }

    /// Makes a link good for this address because of an ask. The same ask may come again, since its mail may have failed.
    pub fn with_link(&self, ask: Ulid, link: LiveLink, now: Timestamp) -> Result<SignIn, NotOwed> {
        let mut after = self.changed(now);
        after.mailed.retain(|mailed| mailed.ask != ask);
        if after.mailed.iter().any(|mailed| now < mailed.at + BETWEEN_MAILS) {
            return Err(NotOwed::TooSoon);
        }
        if after.mailed.len() >= MOST_MAILS_AN_HOUR {
            return Err(NotOwed::TooMany);
        }
        after.mailed.push(Mailed { ask, at: now });
        // The oldest gives way: it is the one least likely to be still looked for.
        let surplus = (after.links.len() + 1).saturating_sub(MOST_LINKS);
        after.links.drain(..surplus);
        after.links.push(link);
        after.wrong_codes = 0;
        Ok(after)
    }

    /// Signs in by a link, which ends every link and code of the address. None when it is not good, or not shown to be theirs:
    /// then nothing is used up.
    pub fn follow(&self, link: &LinkTokenHash, proof: &Proof, now: Timestamp) -> Option<SignIn> {
        let live = self.links.iter().find(|live| live.link == *link && now < live.ends_at)?;
        let is_theirs = match proof {
            Proof::Browser(cookie) => live.asked_by == *cookie,
            Proof::Address(address) => self.address == *address,
        };
        is_theirs.then(|| self.used(now))
    }

    /// Signs in by a code that was typed together with this address.
    pub fn type_code(&self, code: &CodeHash, now: Timestamp) -> Typed {
        let mut codes =
            self.links.iter().filter(|live| now < live.ends_at).filter_map(|live| live.code.as_ref()).peekable();
        if codes.peek().is_none() {
            return Typed::Nothing;
        }
        if codes.any(|live| live == code) {
            return Typed::Right(self.used(now));
        }
        let mut after = self.changed(now);
        after.wrong_codes += 1;
        if after.wrong_codes >= WRONG_CODES {
            after.links.iter_mut().for_each(|live| live.code = None);
            after.wrong_codes = 0;
        }
        Typed::Wrong(after)
    }

    /// When nothing of it matters any more.
    pub fn ends_at(&self) -> Timestamp {
        let links = self.links.iter().map(|live| live.ends_at);
        let mails = self.mailed.iter().map(|mailed| mailed.at + ASK_LASTS);
        links.chain(mails).max().unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn used(&self, now: Timestamp) -> SignIn {
        SignIn { links: Vec::new(), wrong_codes: 0, ..self.changed(now) }
    }

    /// The same without what has run out, to build a change on.
    fn changed(&self, now: Timestamp) -> SignIn {
        let mut after = SignIn { version: self.version + 1, ..self.clone() };
        after.links.retain(|live| now < live.ends_at);
        after.mailed.retain(|mailed| now < mailed.at + ASK_LASTS);
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address::EmailAddress;
    use crate::domain::token::{AskToken, Code, LinkToken};

    struct Mail {
        link: LinkTokenHash,
        code: CodeHash,
        browser: AskTokenHash,
    }

    fn ada() -> MatchedAddress {
        EmailAddress::parse("ada@uni.edu").unwrap().matched().clone()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + 60 * minute).unwrap()
    }

    fn mailed(before: &SignIn, ask: u128, now: Timestamp) -> Result<(SignIn, Mail), NotOwed> {
        let (link, code, browser) =
            (LinkToken::generate().hash(), Code::generate().hash(&ada()), AskToken::generate().hash());
        let live = LiveLink {
            link: link.clone(),
            code: Some(code.clone()),
            asked_by: browser.clone(),
            ends_at: now + LINK_LASTS,
        };
        let after = before.with_link(Ulid::from_parts(1, ask), live, now)?;
        Ok((after, Mail { link, code, browser }))
    }

    #[test]
    fn a_link_signs_in_once_in_the_browser_that_asked_or_with_the_address() {
        let (signs, mail) = mailed(&SignIn::none(ada()), 1, at(0)).unwrap();
        let eve = EmailAddress::parse("eve@uni.edu").unwrap().matched().clone();
        let other = AskToken::generate().hash();
        for proof in [Proof::Address(eve), Proof::Browser(other)] {
            assert_eq!(signs.follow(&mail.link, &proof, at(1)), None, "{proof:?}");
        }
        for proof in [Proof::Address(ada()), Proof::Browser(mail.browser.clone())] {
            let after = signs.follow(&mail.link, &proof, at(1)).unwrap();
            assert_eq!(after.follow(&mail.link, &proof, at(1)), None);
        }
        let proof = Proof::Browser(mail.browser);
        assert!(signs.follow(&mail.link, &proof, at(29)).is_some());
        assert_eq!(signs.follow(&mail.link, &proof, at(30)), None, "its time is over");
    }

    #[test]
    fn the_first_sign_in_ends_every_link_and_code_of_the_address() {
        let (first, early) = mailed(&SignIn::none(ada()), 1, at(0)).unwrap();
        let (both, late) = mailed(&first, 2, at(2)).unwrap();
        assert!(both.follow(&early.link, &Proof::Address(ada()), at(3)).is_some(), "a newer link ends no older one");
        let Typed::Right(after) = both.type_code(&late.code, at(3)) else { panic!("the code is good") };
        assert!(after.follow(&early.link, &Proof::Address(ada()), at(3)).is_none());
        assert_eq!(after.type_code(&early.code, at(3)), Typed::Nothing);
    }

    #[test]
    fn five_wrong_codes_end_the_codes_and_not_the_links() {
        let (mut signs, mail) = mailed(&SignIn::none(ada()), 1, at(0)).unwrap();
        let wrong = || Code::generate().hash(&ada());
        for _ in 0..4 {
            let Typed::Wrong(after) = signs.type_code(&wrong(), at(1)) else { panic!("it is wrong") };
            signs = after;
        }
        assert!(matches!(signs.type_code(&mail.code, at(1)), Typed::Right(_)), "the fourth leaves one more");
        let Typed::Wrong(after) = signs.type_code(&wrong(), at(1)) else { panic!("it is wrong") };
        assert_eq!(after.type_code(&mail.code, at(1)), Typed::Nothing);
        assert!(after.follow(&mail.link, &Proof::Address(ada()), at(1)).is_some());
    }

    #[test]
    fn one_mail_a_minute_and_five_an_hour_whatever_was_done_with_them() {
        let (mut signs, _) = mailed(&SignIn::none(ada()), 0, at(0)).unwrap();
        assert_eq!(mailed(&signs, 1, at(0)).err(), Some(NotOwed::TooSoon));
        assert!(mailed(&signs, 0, at(0)).is_ok(), "the same ask again: its mail may have failed");
        for ask in 1..5 {
            let (after, mail) = mailed(&signs, ask, at(i64::try_from(ask).unwrap() * 2)).unwrap();
            signs = after.follow(&mail.link, &Proof::Address(ada()), at(i64::try_from(ask).unwrap() * 2)).unwrap();
        }
        assert_eq!(mailed(&signs, 9, at(10)).err(), Some(NotOwed::TooMany));
        assert!(mailed(&signs, 9, at(61)).is_ok());
    }

    #[test]
    fn at_most_five_links_live_and_nothing_is_kept_for_longer_than_it_matters() {
        let mut signs = SignIn::none(ada());
        for ask in 0..5 {
            signs = mailed(&signs, ask, at(i64::try_from(ask).unwrap() * 2)).unwrap().0;
        }
        assert_eq!(signs.links.len(), 5);
        assert_eq!(signs.ends_at(), at(8 + 60));
        let (signs, _) = mailed(&signs, 9, at(70)).unwrap();
        assert_eq!((signs.links.len(), signs.mailed.len()), (1, 1));
    }
}
