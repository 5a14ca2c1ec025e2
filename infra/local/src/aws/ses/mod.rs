//! The stand-in for SES: accepts mail over the Query protocol of `aws-sdk-ses`, keeps it, and may relay it
//! to a real mail server. It can be set to fail. Pages and JSON are left to `inbox`.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::Router;
use bursar_core::clock::Clock;
use jiff::{SignedDuration, Timestamp};

use crate::base::state_file::StateFile;

mod answer;
mod fault;
mod fields;
mod mail;
mod query;
mod relay;
mod submission;
#[cfg(test)]
mod tests;

use answer::Refusal;
use fault::Faults;
use relay::Relay;

pub use fault::Fault;
pub use mail::Mail;

const MAILS: &str = "mails";
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Checks the URL of a mail server, as [`Ses::set_relay`] takes it.
pub fn check_relay(url: &str) -> Result<String, String> {
    relay::Relay::to(url).map(|_| url.to_owned()).map_err(|error| error.to_string())
}

/// A handle to the stand-in. Clones share its mails, faults, quota and relay.
#[derive(Clone)]
pub struct Ses(Arc<Inner>);

/// The message of AWS for an account that it has stopped after too many bounces.
pub const PAUSED: &str = "Sending paused for this account. For more information, please check the inbox of the email address \
                          associated with your AWS account.";

/// The answer of `GetSendQuota`: recipients in 24 hours and in a second. The rate is enforced only after
/// `keep_to_rate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub per_day: u32,
    pub per_second: u32,
}

impl Quota {
    /// The quota of a new account in the sandbox.
    pub const SANDBOX: Quota = Quota { per_day: 200, per_second: 1 };
    /// The quota of an account just out of the sandbox.
    pub const PRODUCTION: Quota = Quota { per_day: 50_000, per_second: 14 };
}

struct Inner {
    kept: StateFile,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    mails: Vec<Mail>,
    /// The number of mails that `unread` has returned.
    read: usize,
    faults: Faults,
    quota: Quota,
    /// Whether the customer has sending enabled for the account.
    enabled: bool,
    /// The message for an account that AWS has stopped.
    stopped: Option<String>,
    /// The configuration sets that exist; `None` accepts any.
    sets: Option<BTreeSet<String>>,
    /// Whether the sender is a verified identity.
    sender_verified: bool,
    /// In the sandbox, the addresses and domains that may be mailed.
    verified: Option<Vec<String>>,
    /// The length of a second, and the times of the last ten seconds' mails, if the rate is enforced.
    of_late: Option<(Duration, VecDeque<Instant>)>,
    /// The account's suppression list, in lower case.
    suppressed: BTreeSet<String>,
    /// The mails that were accepted for suppressed addresses, and not delivered.
    undelivered: Vec<Mail>,
    relay: Option<Relay>,
}

/// The outcome of a mail that was submitted and parsed.
enum Outcome {
    Accepted(String),
    /// Accepted and kept, but the client gets no answer.
    AnswerLost,
    Refused(Refusal),
}

impl Ses {
    /// The stand-in with the mails of earlier runs, the quota of production, no faults and no relay.
    pub fn new(kept: StateFile, clock: Clock) -> Result<Ses> {
        let mails = kept.all(MAILS)?.into_iter().map(|(_, mail)| mail).collect();
        let state = State {
            mails,
            read: 0,
            faults: Faults::default(),
            quota: Quota::PRODUCTION,
            enabled: true,
            stopped: None,
            sets: None,
            sender_verified: true,
            verified: None,
            of_late: None,
            suppressed: BTreeSet::new(),
            undelivered: Vec::new(),
            relay: None,
        };
        Ok(Ses(Arc::new(Inner { kept, clock, state: Mutex::new(state) })))
    }

    /// The router at the SDK's endpoint.
    pub fn router(&self) -> Router {
        query::router(self.clone())
    }

    /// Every accepted mail, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.state().mails.clone()
    }

    /// The accepted mails to one address, oldest first.
    pub fn mails_to(&self, address: &str) -> Vec<Mail> {
        let is_to = |mail: &&Mail| mail.to.iter().any(|to| to.eq_ignore_ascii_case(address));
        self.state().mails.iter().filter(is_to).cloned().collect()
    }

    /// The mails since the last call, oldest first.
    pub fn unread(&self) -> Vec<Mail> {
        let mut state = self.state();
        let unread = state.mails[state.read..].to_vec();
        state.read = state.mails.len();
        unread
    }

    /// The mail with this message id.
    pub fn mail(&self, id: &str) -> Option<Mail> {
        self.state().mails.iter().find(|mail| mail.id == id).cloned()
    }

    /// The accepted mails to suppressed addresses, which were not delivered.
    pub fn undelivered(&self) -> Vec<Mail> {
        self.state().undelivered.clone()
    }

    /// Puts the recipients of a mail on the account's suppression list. The stack's configuration set
    /// exempts its mails from that.
    pub fn suppress(&self, mail: &Mail) {
        if mail.configuration_set.is_none() {
            self.state().suppressed.extend(mail.to.iter().map(|to| to.to_lowercase()));
        }
    }

    /// Makes the next `times` sends fail in this way, those to the address `to` if there is one. Earlier
    /// faults of that scope are forgotten. A fault of an address goes before one for all.
    pub fn fail_next(&self, fault: Fault, times: u32, to: Option<&str>) {
        self.state().faults.set(fault, times, to);
    }

    /// Ends the faults of an address, or all of them.
    pub fn lift_faults(&self, to: Option<&str>) {
        self.state().faults.lift(to);
    }

    pub fn set_quota(&self, quota: Quota) {
        self.state().quota = quota;
    }

    /// Enforces the quota's rate from now on: a short burst passes, ten seconds of it do not. `second` is
    /// the length of a second for callers that wait only a part of each pause.
    pub fn keep_to_rate(&self, second: Duration) {
        self.state().of_late = Some((second, VecDeque::new()));
    }

    /// Restricts the configuration sets to these from now on.
    pub fn know_sets(&self, sets: &[&str]) {
        self.state().sets = Some(sets.iter().map(|&set| set.to_owned()).collect());
    }

    /// Puts the account into the sandbox, where only these addresses and domains may be mailed.
    pub fn set_sandbox(&self, verified: &[&str]) {
        let mut state = self.state();
        state.quota = Quota::SANDBOX;
        state.verified = Some(verified.iter().map(|address| address.to_lowercase()).collect());
    }

    /// Sets whether the sender of all mails is a verified identity.
    pub fn set_sender_verified(&self, verified: bool) {
        self.state().sender_verified = verified;
    }

    /// Lets the account out of the sandbox, with the quota of production.
    pub fn leave_sandbox(&self) {
        let mut state = self.state();
        (state.quota, state.verified) = (Quota::PRODUCTION, None);
    }

    /// Pauses or resumes sending for the whole account, as its customer may.
    pub fn set_enabled(&self, enabled: bool) {
        self.state().enabled = enabled;
    }

    /// Stops sending for the whole account with this message, as AWS does, or allows it again. The
    /// account's status still says that sending is enabled.
    pub fn set_stopped_by_aws(&self, words: Option<&str>) {
        self.state().stopped = words.map(str::to_owned);
    }

    fn is_enabled(&self) -> bool {
        self.state().enabled
    }

    /// Relays each accepted mail from now on to the mail server at `smtp://host:port`, before SES answers.
    pub fn set_relay(&self, url: &str) -> Result<()> {
        self.state().relay = Some(Relay::to(url)?);
        Ok(())
    }

    /// The mail server of the relay, as `host:port`.
    pub fn relay(&self) -> Option<String> {
        self.state().relay.as_ref().map(|relay| relay.server.clone())
    }

    /// The time by the clock that dates mails.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn quota(&self) -> (Quota, usize) {
        let (now, state) = (self.now(), self.state());
        (state.quota, state.sent_since(now - DAY))
    }

    async fn accept(&self, mail: Mail) -> Result<Outcome> {
        let fault = self.state().faults.next(&mail.to);
        let refusal = match fault {
            Some(Fault::Throttle) => Some(Refusal::Throttled("Maximum sending rate exceeded.".into())),
            Some(Fault::Reject) => Some(Refusal::Rejected("The message was refused.".into())),
            Some(Fault::Fail) => Some(Refusal::Failed),
            Some(Fault::Lose) | None => self.refusal(&mail),
        };
        if let Some(refusal) = refusal {
            return Ok(Outcome::Refused(refusal));
        }
        let is_suppressed = |state: &State| mail.to.iter().any(|to| state.suppressed.contains(&to.to_lowercase()));
        if mail.configuration_set.is_none() && is_suppressed(&self.state()) {
            let id = mail.id.clone();
            self.state().undelivered.push(mail);
            return Ok(Outcome::Accepted(id));
        }
        let relay = self.state().relay.clone();
        if let Some(relay) = relay
            && let Err(refusal) = relay.hand_on(&mail).await
        {
            return Ok(Outcome::Refused(refusal));
        }
        let id = mail.id.clone();
        self.keep(mail)?;
        Ok(if fault == Some(Fault::Lose) { Outcome::AnswerLost } else { Outcome::Accepted(id) })
    }

    fn refusal(&self, mail: &Mail) -> Option<Refusal> {
        if !self.is_enabled() {
            return Some(Refusal::Paused);
        }
        if let Some(words) = self.state().stopped.clone() {
            return Some(Refusal::Rejected(words));
        }
        let is_known = |set: &String| self.state().sets.as_ref().is_none_or(|sets| sets.contains(set));
        if let Some(set) = mail.configuration_set.as_ref().filter(|set| !is_known(set)) {
            return Some(Refusal::UnknownSet(set.clone()));
        }
        let verified = self.state().verified.clone();
        let is_unknown = |address: &&String| verified.as_ref().is_some_and(|verified| !covers(verified, address));
        let sender = (!self.state().sender_verified).then_some(&mail.from);
        let recipients = mail.to.iter().filter(is_unknown);
        let unknown: Vec<&str> = sender.into_iter().chain(recipients).map(String::as_str).collect();
        if !unknown.is_empty() {
            return Some(Refusal::Rejected(format!(
                "Email address is not verified. The following identities failed the check in region US-EAST-1: {}",
                unknown.join(", ")
            )));
        }
        self.over_quota(mail.to.len()).or_else(|| self.over_rate())
    }

    fn over_rate(&self) -> Option<Refusal> {
        let mut state = self.state();
        let most = 10 * state.quota.per_second as usize;
        let (second, accepted) = state.of_late.as_mut()?;
        accepted.retain(|at| at.elapsed() < *second * 10);
        if accepted.len() >= most {
            return Some(Refusal::Throttled("Maximum sending rate exceeded.".into()));
        }
        accepted.push_back(Instant::now());
        None
    }

    fn over_quota(&self, recipients: usize) -> Option<Refusal> {
        let (quota, sent) = self.quota();
        let over = sent + recipients > quota.per_day as usize;
        over.then(|| Refusal::Throttled("Daily message quota exceeded.".into()))
    }

    fn keep(&self, mail: Mail) -> Result<()> {
        let mut state = self.state();
        // Nothing is ever removed, so the number of mails is a valid order.
        self.0.kept.put(MAILS, &format!("{:012}", state.mails.len()), &mail)?;
        state.mails.push(mail);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one of these identities is the address, or its domain.
fn covers(verified: &[String], address: &str) -> bool {
    let address = address.to_lowercase();
    let domain = address.rsplit_once('@').map(|(_, domain)| domain);
    verified.iter().any(|identity| *identity == address || Some(identity.as_str()) == domain)
}

impl State {
    fn sent_since(&self, since: Timestamp) -> usize {
        self.mails.iter().filter(|mail| mail.at > since).map(|mail| mail.to.len()).sum()
    }
}
