//! The stand-in for SES: accepts mail over the Query protocol of `aws-sdk-ses`, keeps it, and may
//! relay it to a real mail server. It can be set to fail. Pages and JSON are left to `inbox`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Result;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Form, Router};
use bursar_core::clock::Clock;
use bursar_core::clock::Moment;
use bytes::Bytes;
use data_encoding::BASE64;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jiff::SignedDuration;
use lettre::Address;
use lettre::address::Envelope;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::base::lock;
use crate::base::serve::no_answer;
use crate::base::state_file::StateFile;

pub mod outgoing;
mod relay;

pub use relay::Relay;

const MAILS: &str = "mails";
const NOT_VERIFIED: &str =
    "Email address is not verified. The following identities failed the check in region US-EAST-1:";
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The seconds of which one data point of the statistics tells.
const QUARTER: i64 = 15 * 60;

/// The message of AWS for an account that it has stopped after too many bounces.
pub const PAUSED: &str = "Sending paused for this account. For more information, please check the inbox of the email address \
                          associated with your AWS account.";

/// A handle to the stand-in. Clones share its mails, faults and account.
#[derive(Clone)]
pub struct Ses {
    kept: StateFile,
    clock: Clock,
    state: Arc<Mutex<Sending>>,
}

#[derive(Default)]
struct Sending {
    mails: Vec<Mail>,
    /// When mails came back for good, and when they were complained about.
    bounces: Vec<Moment>,
    complaints: Vec<Moment>,
    /// By how much the answers of `GetSendStatistics` are behind.
    statistics_lag: SignedDuration,
    /// The number of mails that `unread` has returned.
    read: usize,
    /// The fault of the next sends and their number, for one address in lower case or for all.
    faults: BTreeMap<Option<String>, (Fault, u32)>,
    account: Account,
    relay: Option<Relay>,
}

/// An accepted mail. It may contain a link that signs somebody in, so it has no `Debug`.
#[derive(Clone, Deserialize, Serialize)]
pub struct Mail {
    pub id: String,
    /// The time of acceptance by the product's clock.
    pub at: Moment,
    pub from: String,
    pub to: Vec<String>,
    /// The message (RFC 822), byte for byte. It is stored beside the rest, in base64.
    #[serde(skip)]
    pub raw: Bytes,
    pub configuration_set: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// `Throttling`: to be retried later.
    Throttle,
    /// `MessageRejected`: final.
    Reject,
    /// The mail is accepted and kept, and the answer is lost.
    Lose,
    /// An internal failure: 500.
    Fail,
}

/// The answer of `GetSendQuota`: recipients in 24 hours, which is enforced, and in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub per_day: u32,
    pub per_second: u32,
}

impl Default for Quota {
    fn default() -> Quota {
        Quota::PRODUCTION
    }
}

impl Quota {
    const SANDBOX: Quota = Quota {
        per_day: 200,
        per_second: 1,
    };
    /// The quota of an account just out of the sandbox.
    pub const PRODUCTION: Quota = Quota {
        per_day: 50_000,
        per_second: 14,
    };
}

#[derive(Default)]
struct Account {
    quota: Quota,
    /// Whether its customer has paused sending.
    is_paused: bool,
    /// The message with which AWS has stopped it.
    stopped: Option<String>,
    is_sender_unknown: bool,
    /// In the sandbox, the addresses and domains that may be mailed.
    sandbox: Option<Vec<String>>,
    /// The configuration sets that exist; `None` accepts any.
    sets: Option<Vec<String>>,
}

/// A refusal: the code and the message of SES.
#[derive(Debug)]
struct Refusal(&'static str, String);

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal(code, message.into())
    }

    fn of_unknown(action: &str) -> Refusal {
        Refusal::new(
            "InvalidAction",
            format!("Could not find operation {action} for version 2010-12-01"),
        )
    }
}

impl Ses {
    /// The stand-in with the mails of earlier runs, the quota of production, no faults and no
    /// relay.
    pub fn new(kept: StateFile, clock: Clock) -> Result<Ses> {
        let mails = kept.list::<(Mail, String)>(MAILS)?.into_iter();
        let mails = mails.map(|(_, (mail, raw))| {
            anyhow::Ok(Mail {
                raw: BASE64.decode(raw.as_bytes())?.into(),
                ..mail
            })
        });
        let state = Sending {
            mails: mails.collect::<Result<_>>()?,
            ..Sending::default()
        };
        Ok(Ses {
            kept,
            clock,
            state: Arc::new(Mutex::new(state)),
        })
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/", post(answer))
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.state().mails.clone()
    }

    /// The accepted mails to one address, oldest first.
    pub fn mails_to(&self, address: &str) -> Vec<Mail> {
        self.state()
            .mails
            .iter()
            .filter(|mail| mail.is_to(address))
            .cloned()
            .collect()
    }

    /// The mails since the last call, oldest first.
    pub fn unread(&self) -> Vec<Mail> {
        let mut state = self.state();
        let unread = state.mails[state.read..].to_vec();
        state.read = state.mails.len();
        unread
    }

    pub fn mail(&self, id: &str) -> Option<Mail> {
        self.state()
            .mails
            .iter()
            .find(|mail| mail.id == id)
            .cloned()
    }

    /// Makes the next `times` sends fail in this way, those to the address `recipient` if there is
    /// one. Earlier faults of that scope are forgotten. A fault of an address goes before one for
    /// all.
    pub fn fail_next(&self, fault: Fault, times: u32, recipient: Option<&str>) {
        self.state()
            .faults
            .insert(recipient.map(str::to_lowercase), (fault, times));
    }

    /// Ends the faults of an address, or all of them.
    pub fn lift_faults(&self, recipient: Option<&str>) {
        let recipient = recipient.map(str::to_lowercase);
        self.state()
            .faults
            .retain(|scope, _| recipient.is_some() && *scope != recipient);
    }

    /// Counts a mail that came back for good.
    pub fn count_bounce(&self) {
        let now = self.now();
        self.state().bounces.push(now);
    }

    /// Counts a mail that was complained about.
    pub fn count_complaint(&self) {
        let now = self.now();
        self.state().complaints.push(now);
    }

    /// Leaves what is younger than this out of the statistics, as SES may.
    pub fn set_statistics_lag(&self, lag: SignedDuration) {
        self.state().statistics_lag = lag;
    }

    pub fn set_quota(&self, quota: Quota) {
        self.state().account.quota = quota;
    }

    /// Restricts the configuration sets to these from now on.
    pub fn know_sets(&self, sets: &[&str]) {
        self.state().account.sets = Some(sets.iter().map(|&set| set.to_owned()).collect());
    }

    /// Puts the account into the sandbox, where only these addresses and domains may be mailed.
    pub fn set_sandbox(&self, verified: &[&str]) {
        let account = &mut self.state().account;
        account.quota = Quota::SANDBOX;
        account.sandbox = Some(
            verified
                .iter()
                .map(|identity| identity.to_lowercase())
                .collect(),
        );
    }

    /// Lets the account out of the sandbox, with the quota of production.
    pub fn leave_sandbox(&self) {
        let account = &mut self.state().account;
        account.quota = Quota::PRODUCTION;
        account.sandbox = None;
    }

    pub fn set_sender_verified(&self, verified: bool) {
        self.state().account.is_sender_unknown = !verified;
    }

    /// Pauses or resumes sending for the whole account, as its customer may.
    pub fn set_enabled(&self, enabled: bool) {
        self.state().account.is_paused = !enabled;
    }

    /// Stops sending for the whole account with this message, as AWS does, or allows it again. The
    /// account's status still says that sending is enabled.
    pub fn set_stopped_by_aws(&self, words: Option<&str>) {
        self.state().account.stopped = words.map(str::to_owned);
    }

    /// Relays each accepted mail from now on, before SES answers.
    pub fn set_relay(&self, relay: Relay) {
        self.state().relay = Some(relay);
    }

    pub fn relay(&self) -> Option<String> {
        self.state().relay.as_ref().map(Relay::server)
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Accepts the mail of a form. `None` if it was accepted and the answer is to be lost.
    async fn send(&self, form: &BTreeMap<String, String>) -> Result<Option<String>, Refusal> {
        let Some((mail, envelope)) = mail_in(form, self.now()) else {
            let message = "Source, Destinations or RawMessage.Data is missing or illegal.";
            return Err(Refusal::new("InvalidParameterValue", message));
        };
        let id = mail.id.clone();
        let (fault, relay) = {
            let mut state = self.state();
            let fault = state.next_fault(&mail);
            match fault {
                Some(Fault::Throttle) => {
                    return Err(Refusal::new("Throttling", "Maximum sending rate exceeded."));
                }
                Some(Fault::Reject) => {
                    return Err(Refusal::new("MessageRejected", "The message was refused."));
                }
                Some(Fault::Fail) => {
                    return Err(Refusal::new(
                        "InternalFailure",
                        "An internal failure occurred.",
                    ));
                }
                Some(Fault::Lose) | None => state.check(&mail)?,
            }
            (fault, state.relay.clone())
        };
        if let Some(relay) = relay {
            relay.hand_on(&envelope, &mail.raw).await.map_err(|untaken| {
                tracing::warn!(server = relay.server(), concern = ?untaken.concern, "the mail server did not take a mail");
                let code = if untaken.is_final { "MessageRejected" } else { "Throttling" };
                Refusal::new(code, format!("The mail server did not take the mail: {}", untaken.why))
            })?;
        }
        self.keep(mail).map_err(|error| {
            tracing::error!(error = format!("{error:#}"), "a mail could not be kept");
            Refusal::new("InternalFailure", "The mail could not be kept.")
        })?;
        Ok((fault != Some(Fault::Lose)).then_some(id))
    }

    fn keep(&self, mail: Mail) -> Result<()> {
        let mut state = self.state();
        // Nothing is ever removed, so the number of mails is a valid order.
        let number = format!("{:012}", state.mails.len());
        self.kept
            .put(MAILS, &number, &(&mail, BASE64.encode(&mail.raw)))?;
        state.mails.push(mail);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, Sending> {
        lock(&self.state)
    }
}

impl Sending {
    /// The fault of this send, which the call uses up.
    fn next_fault(&mut self, mail: &Mail) -> Option<Fault> {
        self.faults.retain(|_, (_, times)| *times > 0);
        let concerned =
            |scope: &&Option<String>| scope.as_ref().is_none_or(|address| mail.is_to(address));
        // `None` is the least key, so the fault of an address is the last.
        let scope = self.faults.keys().rfind(concerned)?.clone();
        let (fault, times) = self.faults.get_mut(&scope)?;
        *times -= 1;
        Some(*fault)
    }

    /// Refuses a mail that the account may not send.
    fn check(&self, mail: &Mail) -> Result<(), Refusal> {
        let account = &self.account;
        if account.is_paused {
            let message = "Email sending is disabled for this account.";
            return Err(Refusal::new("AccountSendingPausedException", message));
        }
        if let Some(words) = &account.stopped {
            return Err(Refusal::new("MessageRejected", words));
        }
        if let (Some(set), Some(sets)) = (&mail.configuration_set, &account.sets)
            && !sets.contains(set)
        {
            let message = format!("Configuration set <{set}> does not exist.");
            return Err(Refusal::new("ConfigurationSetDoesNotExist", message));
        }
        let sender = account.is_sender_unknown.then_some(&mail.from);
        let recipients = mail.to.iter().filter(|address| !account.may_mail(address));
        let unknown: Vec<&str> = sender
            .into_iter()
            .chain(recipients)
            .map(String::as_str)
            .collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            return Err(Refusal::new(
                "MessageRejected",
                format!("{NOT_VERIFIED} {unknown}"),
            ));
        }
        if self.sent_in_the_day_to(mail.at) + mail.to.len() > account.quota.per_day as usize {
            return Err(Refusal::new("Throttling", "Daily message quota exceeded."));
        }
        Ok(())
    }

    /// The data points of the last two weeks, one for each quarter of an hour with any, in no
    /// order.
    fn statistics(&self, now: Moment) -> String {
        let mut points: BTreeMap<i64, [usize; 3]> = BTreeMap::new();
        let mut count = |moment: Moment, what: usize| {
            if moment > now - DAY * 14 && moment <= now - self.statistics_lag {
                points.entry(quarter(moment)).or_default()[what] += 1;
            }
        };
        self.mails
            .iter()
            .flat_map(|mail| mail.to.iter().map(|_| mail.at))
            .for_each(|moment| count(moment, 0));
        self.bounces.iter().for_each(|moment| count(*moment, 1));
        self.complaints.iter().for_each(|moment| count(*moment, 2));
        data_points(&points)
    }

    /// The number of recipients in the 24 hours up to `now`.
    fn sent_in_the_day_to(&self, now: Moment) -> usize {
        self.mails
            .iter()
            .filter(|mail| mail.at > now - DAY)
            .map(|mail| mail.to.len())
            .sum()
    }
}

impl Account {
    fn may_mail(&self, address: &str) -> bool {
        let address = address.to_lowercase();
        let domain = address.rsplit_once('@').map(|(_, domain)| domain);
        let covers = |identity: &String| *identity == address || Some(identity.as_str()) == domain;
        self.sandbox
            .as_ref()
            .is_none_or(|verified| verified.iter().any(covers))
    }
}

impl Mail {
    fn is_to(&self, address: &str) -> bool {
        self.to
            .iter()
            .any(|recipient| recipient.eq_ignore_ascii_case(address))
    }
}

/// The number of the quarter of an hour.
fn quarter(moment: Moment) -> i64 {
    moment.as_second().div_euclid(QUARTER)
}

/// What was sent, bounced and complained about by quarter of an hour, as SES says it.
fn data_points(points: &BTreeMap<i64, [usize; 3]>) -> String {
    let points = points.iter().rev().filter_map(|(quarter, [sent, bounced, complained])| {
        let begins = Moment::from_second(quarter * QUARTER).ok()?;
        Some(format!(
            "<member><DeliveryAttempts>{sent}</DeliveryAttempts><Bounces>{bounced}</Bounces><Complaints>{complained}</Complaints>\
             <Rejects>0</Rejects><Timestamp>{begins}</Timestamp></member>"
        ))
    });
    format!(
        "<SendDataPoints>{}</SendDataPoints>",
        points.collect::<String>()
    )
}

/// The mail of a form, and its envelope. Addresses are plain and in ASCII.
fn mail_in(form: &BTreeMap<String, String>, accepted_at: Moment) -> Option<(Mail, Envelope)> {
    let from = form.get("Source")?.clone();
    let recipients =
        (1..).map_while(|number| form.get(&format!("Destinations.member.{number}")).cloned());
    let recipients: Vec<String> = recipients.collect();
    let address = |text: &String| text.parse::<Address>().ok().filter(|_| text.is_ascii());
    let envelope = Envelope::new(
        Some(address(&from)?),
        recipients.iter().map(address).collect::<Option<_>>()?,
    )
    .ok()?;
    let raw = BASE64
        .decode(form.get("RawMessage.Data")?.as_bytes())
        .ok()?
        .into();
    let id = format!(
        "0100{:012x}-{}-000000",
        accepted_at.as_millisecond(),
        Uuid::new_v4()
    );
    let configuration_set = form.get("ConfigurationSetName").cloned();
    Some((
        Mail {
            id,
            at: accepted_at,
            from,
            to: recipients,
            raw,
            configuration_set,
        },
        envelope,
    ))
}

async fn answer(State(ses): State<Ses>, Form(form): Form<BTreeMap<String, String>>) -> Response {
    let action = form.get("Action").map(String::as_str).unwrap_or_default();
    let result = match action {
        "SendRawEmail" => match ses.send(&form).await {
            Ok(Some(id)) => format!("<MessageId>{id}</MessageId>"),
            Ok(None) => return no_answer(),
            Err(refusal) => return refusal.into_response(),
        },
        "GetSendQuota" => {
            let now = ses.now();
            let state = ses.state();
            let Quota {
                per_day,
                per_second,
            } = state.account.quota;
            let sent = state.sent_in_the_day_to(now);
            format!(
                "<Max24HourSend>{per_day}</Max24HourSend><MaxSendRate>{per_second}</MaxSendRate><SentLast24Hours>{sent}</SentLast24Hours>"
            )
        }
        "GetSendStatistics" => ses.state().statistics(ses.now()),
        "GetAccountSendingEnabled" => {
            format!("<Enabled>{}</Enabled>", !ses.state().account.is_paused)
        }
        unknown => return Refusal::of_unknown(unknown).into_response(),
    };
    success(action, &result)
}

fn success(action: &str, result: &str) -> Response {
    xml(
        StatusCode::OK,
        format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"),
    )
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal(code, message) = self;
        let (status, side) = match code {
            "InternalFailure" => (StatusCode::INTERNAL_SERVER_ERROR, "Receiver"),
            _ => (StatusCode::BAD_REQUEST, "Sender"),
        };
        let message = message.replace('&', "&amp;").replace('<', "&lt;");
        xml(
            status,
            format!(
                "<ErrorResponse><Error><Type>{side}</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
            ),
        )
    }
}

fn xml(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "text/xml")], body).into_response()
}
