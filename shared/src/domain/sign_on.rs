//! Signing on at the campus' own provider: what a browser has begun there, and to which address of
//! ours somebody there is bound. The only secret is the browser's cookie. Of it the table has the
//! hash, and the provider gets what is derived from it.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::grant::Grant;
use crate::domain::sign_in::{Asker, WRONG_CODES};
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::token::{BrowserTokenHash, sha256_hex};
use crate::schema::{key, stored};

pub const SIGN_ON_LASTS: SignedDuration = SignedDuration::from_mins(10);

/// Who somebody is at a provider: a hash of the issuer and of the subject there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(String);

/// A sign-on under way in one browser.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BegunSignOn {
    pub browser: BrowserTokenHash,
    /// For whom the provider has vouched, where nobody knows the address yet.
    pub identity: Option<Identity>,
    #[serde(default)]
    pub wrong_codes: u32,
    pub ends_at: Moment,
}

stored! {
    // Beside the sessions: whoever writes one, or a binding, signs in as anybody.
    BegunSignOn (browser: &BrowserTokenHash) => key(format!("S#{}", browser.as_str()), "SIGN-ON");
    expires |sign_on| sign_on.ends_at
}

/// The address that somebody at the provider signs on as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignOnBinding {
    pub identity: Identity,
    pub address: MatchedAddress,
    pub proof: BindingProof,
    pub bound_at: Moment,
}

stored! {
    SignOnBinding (identity: &Identity) => key(format!("S#{}", identity.0), "BINDING")
}

crate::named! {
    /// How it was known that the address is theirs.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum BindingProof: as_str, to_words {
        RosterId = "roster-id", "by the id on the roster";
        Code = "code", "by a mailed code";
    }
}

impl Identity {
    pub fn new(issuer: &str, subject: &str) -> Identity {
        Identity(sha256_hex(["identity", issuer, subject]))
    }
}

impl BegunSignOn {
    pub fn new(browser: BrowserTokenHash, identity: Option<Identity>, now: Moment) -> BegunSignOn {
        BegunSignOn {
            browser,
            identity,
            wrong_codes: 0,
            ends_at: now + SIGN_ON_LASTS,
        }
    }

    /// Whether it waits for the address of whom was vouched for.
    pub fn waits(&self, now: Moment) -> bool {
        self.identity.is_some() && self.wrong_codes < WRONG_CODES && now < self.ends_at
    }

    pub fn asker(&self) -> Asker {
        Asker {
            browser: self.browser.clone(),
            sign_on: self.identity.clone(),
        }
    }
}

/// Whether the id by which the provider knows somebody proves that an address with these grants is
/// theirs. Faculty write what they like into a roster, so it proves nothing of an address with a
/// role, or with a grant of anybody else.
pub fn is_proved_by_id(id: &str, grants: &[Grant], has_role: bool) -> bool {
    let bears_it = |grant: &Grant| grant.person.roster_id.as_deref() == Some(id);
    !has_role && !grants.is_empty() && grants.iter().all(bears_it)
}
