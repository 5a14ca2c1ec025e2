//! Every kind of act on the table, with the settings in which it can be done and the arguments it then has.

use bursar_core::domain::grant::{
    AttemptFailure, HoldKind, MintedKey, OpenAttempt, Order, OrderKind, Press, PressKind, SentLimit, Stopped,
};
use bursar_core::domain::values::id::{Epoch, GrantId};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::Lease;
use jiff::Timestamp;

use super::act::{Act, LEASE, programme};
use super::settings::{Setting, ada, found, key_of, person, reading, settings, staff};
use super::world::World;

const GET: &str = "dynamodb:GetItem";
const QUERY: &str = "dynamodb:Query";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Reveal,
    Replace,
    Record,
    Refused,
    Unknown,
    Lost,
    Disabled,
    Enabled,
    Pause,
    Drop,
    Disuse,
    Resume,
    TakeBack,
    Reuse,
    Stop,
    Revoke,
    End,
    Sweep,
    GiveBackPlace,
    DisableAgain,
    FoundDisabled,
    FoundGone,
    Purged,
    LimitConfirmed,
    SendingLimit,
    HandBack,
    TakeEnableBack,
    CloseForsaken,
    ReadAtLast,
    Recover,
    FollowRules,
    Reopen,
    RaiseCap,
    LowerCap,
    Allow,
    Create,
    Save,
    SaveStaff,
    SaveCap,
    SaveLowerCap,
    RaisePot,
    LowerPot,
    Close,
    Invite,
    Meta,
    Acquire,
    Renew,
    ReleaseLease,
    Note,
}

impl Kind {
    pub(super) const ALL: [Kind; 49] = [
        Kind::Reveal,
        Kind::Replace,
        Kind::Record,
        Kind::Refused,
        Kind::Unknown,
        Kind::Lost,
        Kind::Disabled,
        Kind::Enabled,
        Kind::Pause,
        Kind::Drop,
        Kind::Disuse,
        Kind::Resume,
        Kind::TakeBack,
        Kind::Reuse,
        Kind::Stop,
        Kind::Revoke,
        Kind::End,
        Kind::Sweep,
        Kind::GiveBackPlace,
        Kind::DisableAgain,
        Kind::FoundDisabled,
        Kind::FoundGone,
        Kind::Purged,
        Kind::LimitConfirmed,
        Kind::SendingLimit,
        Kind::HandBack,
        Kind::TakeEnableBack,
        Kind::CloseForsaken,
        Kind::ReadAtLast,
        Kind::Recover,
        Kind::FollowRules,
        Kind::Reopen,
        Kind::RaiseCap,
        Kind::LowerCap,
        Kind::Allow,
        Kind::Create,
        Kind::Save,
        Kind::SaveStaff,
        Kind::SaveCap,
        Kind::SaveLowerCap,
        Kind::RaisePot,
        Kind::LowerPot,
        Kind::Close,
        Kind::Invite,
        Kind::Meta,
        Kind::Acquire,
        Kind::Renew,
        Kind::ReleaseLease,
        Kind::Note,
    ];

    /// Whether another kind is the same act with a different argument.
    pub(super) fn is_twin(self) -> bool {
        use Kind::{
            DisableAgain, Drop, FoundDisabled, LimitConfirmed, LowerPot, Purged, Refused, Reopen, TakeBack, Unknown,
        };
        matches!(
            self,
            Refused
                | Unknown
                | Drop
                | TakeBack
                | LowerPot
                | DisableAgain
                | FoundDisabled
                | LimitConfirmed
                | Purged
                | Reopen
        )
    }

    /// Whether it concerns a key that is being made or is live.
    pub(super) fn is_about_keys(self) -> bool {
        matches!(self, Kind::Reveal | Kind::Record | Kind::Lost | Kind::Pause | Kind::Revoke | Kind::Sweep | Kind::Note)
    }

    /// Whether it is a step of the sync, and so only interferes with acts that concern keys.
    pub(super) fn is_of_the_sync(self) -> bool {
        use Kind::{
            CloseForsaken, DisableAgain, FollowRules, FoundDisabled, FoundGone, HandBack, LimitConfirmed, Purged,
            ReadAtLast, Recover, Reopen, SendingLimit, TakeEnableBack,
        };
        matches!(
            self,
            DisableAgain
                | FollowRules
                | FoundDisabled
                | FoundGone
                | LimitConfirmed
                | SendingLimit
                | HandBack
                | TakeEnableBack
                | CloseForsaken
                | ReadAtLast
                | Purged
                | Recover
                | Reopen
        )
    }

    /// The calls by which it reads before it writes, where they are several. An act on a grant asks for
    /// programme, pot, grant and readings at once, and the order of the first three is chance.
    pub(super) fn reads(self) -> &'static [(&'static str, u64)] {
        match self {
            Kind::Create
            | Kind::Save
            | Kind::SaveStaff
            | Kind::SaveCap
            | Kind::SaveLowerCap
            | Kind::RaisePot
            | Kind::LowerPot
            | Kind::Close => &[],
            Kind::Meta | Kind::Acquire | Kind::Renew | Kind::ReleaseLease | Kind::Note => &[],
            // The roster is read for each person, one after the other.
            Kind::Invite => &[(GET, 2), (GET, 3)],
            _ => &[(GET, 1), (GET, 2), (GET, 3), (QUERY, 1)],
        }
    }

    /// Whether it writes the item that this call of the other act reads.
    pub(super) fn writes_what_is_read_by(self, reader: Kind, call: &str) -> bool {
        match self {
            Kind::Create | Kind::Meta | Kind::Acquire | Kind::Renew | Kind::ReleaseLease => false,
            Kind::Invite => reader == Kind::Invite,
            Kind::Note => call == QUERY,
            _ => reader != Kind::Invite && call == GET,
        }
    }

    /// The settings in which it can be done, the simplest first.
    pub(super) fn settings(self) -> &'static [Setting] {
        use Setting::{
            Announced, Closed, ClosedMinting, Disused, Dropped, Extended, Forsaken, ForsakenReplacing, Idle, Invited,
            Leaked, Live, Lowered, Minting, Nothing, OutOfUse, Over, Paused, Raised, Replacing, Resumed, Revoked,
            TooLate, Unshown, Unused,
        };
        match self {
            Kind::Reveal => &[Invited, Forsaken, Unshown],
            Kind::Replace => &[Live, Leaked, ForsakenReplacing],
            Kind::Record => &[Minting, Replacing, Forsaken],
            Kind::Refused | Kind::Unknown | Kind::Lost => &[Minting, Replacing],
            Kind::Disabled => &[Leaked, Replacing, Unshown],
            Kind::Enabled => &[Resumed],
            Kind::Pause | Kind::Drop => &[Live, Minting],
            Kind::Disuse | Kind::Stop => &[Live],
            Kind::Resume => &[Paused],
            Kind::TakeBack => &[Dropped],
            Kind::Reuse => &[Disused, Unused],
            Kind::Revoke => &[Live, Minting, Unshown, OutOfUse],
            Kind::End => &[Closed, ClosedMinting],
            Kind::Sweep => &[Forsaken, ForsakenReplacing],
            Kind::GiveBackPlace => &[TooLate],
            Kind::DisableAgain => &[OutOfUse, Disused],
            Kind::FoundDisabled | Kind::HandBack => &[Live],
            Kind::SendingLimit => &[Raised],
            Kind::LimitConfirmed => &[Lowered],
            Kind::TakeEnableBack => &[Resumed],
            Kind::CloseForsaken => &[Forsaken, ForsakenReplacing],
            Kind::ReadAtLast => &[Revoked],
            Kind::FoundGone => &[Live, Leaked],
            Kind::Purged => &[Over, Leaked],
            Kind::Recover => &[Live, Minting, Invited, Disused],
            Kind::FollowRules => &[Idle, Announced],
            Kind::Reopen => &[Extended],
            Kind::SaveCap => &[Invited, Live, Minting, Unused, Lowered],
            Kind::SaveLowerCap => &[Live, Replacing, Raised],
            Kind::RaiseCap | Kind::LowerCap => &[Live, Minting],
            Kind::Create => &[Live, Nothing],
            Kind::Acquire => &[Live, Nothing],
            Kind::Allow
            | Kind::Save
            | Kind::SaveStaff
            | Kind::RaisePot
            | Kind::LowerPot
            | Kind::Close
            | Kind::Invite
            | Kind::Meta
            | Kind::Renew
            | Kind::ReleaseLease
            | Kind::Note => &[Live],
        }
    }

    /// The act of a caller who has just seen this world, on the first person's grant if it is one on a grant.
    /// `None` where no caller could ask for it.
    pub(super) fn seeing(self, world: &World, now: Timestamp) -> Option<Act> {
        let has_key =
            world.grants.get(&ada()).is_some_and(|grant| grant.attempts.iter().any(|attempt| attempt.key.is_some()));
        match self {
            Kind::Note if !has_key => None,
            Kind::Invite if world.programmes.is_empty() => None,
            _ => Some(self.on_grant(&ada(), world, now)),
        }
    }

    /// The act on this person's grant.
    pub(super) fn on_grant(self, who: &GrantId, world: &World, now: Timestamp) -> Act {
        let grant = world.grants.get(who);
        let epoch = grant.map_or(Epoch::BEFORE_THE_FIRST, |grant| grant.epoch);
        let read = grant.map_or(1, |grant| grant.version);
        let who = who.clone();
        let press = |kind| Act::Begin(who.clone(), Press { kind, epoch, terms: None });
        let last = grant.and_then(|grant| grant.attempts.last());
        let begun = || OpenAttempt {
            epoch,
            nonce: last.map_or_else(|| "fe00000000000000".parse().unwrap(), |attempt| attempt.nonce.clone()),
            to_retire: Vec::new(),
        };
        let order = |kind| {
            let ordered = grant.and_then(|grant| grant.orders().into_iter().find(|order| order.kind == kind));
            ordered.unwrap_or_else(|| Order { epoch, key: key_of(&who, epoch), kind, since: now, due: now })
        };
        let answered = |kind| Act::Confirmed(who.clone(), order(kind));
        let limit = || world.view(&who).and_then(|view| view.next_limit(now)).unwrap_or(Usd::CENT);
        let key = || key_of(&who, epoch);
        let version = world.programmes.get(&programme()).map_or(1, |programme| programme.version);
        let lease = || {
            let nobodys = Lease { lease: "jobs".to_owned(), holder: "one".to_owned(), fence: 1, until: now + LEASE };
            world.leases.get("jobs").cloned().unwrap_or(nobodys)
        };
        match self {
            Kind::Reveal => press(PressKind::Reveal),
            Kind::Replace => press(PressKind::Replace),
            Kind::Record => Act::Record(who.clone(), begun(), MintedKey { key: key(), limit: limit(), rule_set: None }),
            Kind::Refused => Act::GiveUp(who.clone(), begun(), AttemptFailure::Refused, Some(key())),
            Kind::Unknown => Act::GiveUp(who.clone(), begun(), AttemptFailure::Unknown, None),
            Kind::Lost => Act::GiveUp(who.clone(), begun(), AttemptFailure::Lost, Some(key())),
            Kind::Disabled => answered(OrderKind::Off),
            Kind::Enabled => answered(OrderKind::On),
            Kind::Pause => Act::Hold(who, HoldKind::Paused),
            Kind::Drop => Act::Hold(who, HoldKind::Dropped),
            Kind::Disuse => Act::Hold(who, HoldKind::Unused),
            Kind::Resume => Act::Release(who, HoldKind::Paused),
            Kind::TakeBack => Act::Release(who, HoldKind::Dropped),
            Kind::Reuse => Act::Release(who, HoldKind::Unused),
            Kind::Stop => Act::Stop(who, Stopped::Leaked),
            Kind::Revoke => Act::Revoke(who),
            Kind::End => Act::End(who),
            Kind::Sweep => Act::Sweep(who.clone(), epoch, begun().nonce, key()),
            Kind::GiveBackPlace => Act::GiveBackPlace(who),
            Kind::DisableAgain => Act::DisableAgain(who.clone(), epoch, key()),
            Kind::FoundDisabled => Act::FoundDisabled(who.clone(), read, epoch, key()),
            Kind::FoundGone => Act::FoundGone(who.clone(), read, epoch, key()),
            Kind::Purged => Act::Purged(who.clone(), epoch, key()),
            Kind::LimitConfirmed => {
                let sent = SentLimit { limit: Usd::from_dollars(12), at: now, unanswered_before: None };
                let window = settings("CS pilot").reset.window_at(now);
                Act::LimitConfirmed(who.clone(), order(OrderKind::Limit), sent, window)
            }
            Kind::SendingLimit => Act::SendingLimit(who, epoch, Usd::from_dollars(50)),
            Kind::HandBack => Act::HandBack(who, epoch),
            Kind::TakeEnableBack => Act::TakeEnableBack(who),
            Kind::CloseForsaken => Act::Forsaken(who),
            Kind::ReadAtLast => Act::ReadForTheLastTime(who.clone(), reading(&who, epoch, 8, now)),
            Kind::Recover => Act::Recover(who.clone(), found(&who, epoch, last)),
            Kind::FollowRules => Act::FollowRules(who),
            Kind::Reopen => Act::Reopen(who),
            Kind::RaiseCap => Act::SetCap(who, Some(Usd::from_dollars(50))),
            Kind::LowerCap => Act::SetCap(who, Some(Usd::from_dollars(4))),
            Kind::Allow => Act::Allow(who),
            Kind::Create => Act::Create(settings("Maths"), Usd::from_dollars(100)),
            Kind::Save => {
                let mut edited = settings("CS pilot");
                edited.contact = Some("room 101".to_owned());
                Act::save(edited, version)
            }
            Kind::SaveStaff => {
                let mut edited = settings("CS pilot");
                (edited.faculty, edited.assistants) = (staff(&["faye", "fred"]), staff(&["asta", "faye"]));
                Act::save(edited, version)
            }
            Kind::SaveCap => {
                let mut edited = settings("CS pilot");
                edited.cap = Usd::from_dollars(30);
                Act::save(edited, version)
            }
            Kind::SaveLowerCap => {
                let mut edited = settings("CS pilot");
                edited.cap = Usd::from_dollars(8);
                Act::save(edited, version)
            }
            Kind::RaisePot => Act::set_pot(world, Usd::from_dollars(200)),
            Kind::LowerPot => Act::set_pot(world, Usd::from_dollars(30)),
            Kind::Close => Act::Close(programme()),
            Kind::Invite => Act::Invite(programme(), ["bob", "carol", "dan"].map(person).to_vec()),
            Kind::Meta => Act::Meta,
            Kind::Acquire => Act::Acquire("one"),
            Kind::Renew => Act::Renew(lease()),
            Kind::ReleaseLease => Act::ReleaseLease(lease()),
            Kind::Note => {
                let attempts = grant.iter().flat_map(|grant| &grant.attempts);
                let read = attempts.filter(|attempt| attempt.key.is_some()).map(|attempt| attempt.epoch).next_back();
                Act::Note(reading(&who, read.unwrap_or(epoch), 7, now))
            }
        }
    }
}
