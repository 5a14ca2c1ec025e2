//! The audit trail: one entry for each change of state, right, limit, settings or roster, written
//! in the transaction that makes the change. People appear by id only, so an erasure takes nothing
//! out of an entry but a typed reason.

use std::fmt;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::domain::values::id::{GrantId, PersonId, ProgrammeId, new_ulid};
use crate::domain::values::partition::{grant_partition_of, programme_partition};
use crate::schema::{ACCOUNT, AUDIT, begin, key, stored};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    Student,
    /// A person with a role.
    Person(PersonId),
    Sync,
    /// A rule that a person set on the programme.
    Rule,
    /// The registrar's file, which was applied by itself.
    Registrar,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// `None` for a change that belongs to no programme.
    pub programme: Option<ProgrammeId>,
    /// The grant that changed; `None` for a change of the programme itself.
    pub grant: Option<GrantId>,
    pub entry: Ulid,
    pub recorded_at: Moment,
    pub actor: Actor,
    #[serde(flatten)]
    pub what: AuditDetail,
}

stored! {
    AuditEntry |audit_entry| (audit_entry: &AuditEntry = audit_entry) => {
        let AuditEntry { programme, grant, entry: id, .. } = audit_entry;
        match (programme, grant) {
            (Some(programme), Some(grant)) => {
                key(grant_partition_of(programme, grant), format!("{AUDIT}{grant}#{id}"))
            }
            (Some(programme), None) => key(programme_partition(programme), format!("{AUDIT}{id}")),
            (None, _) => key(ACCOUNT, format!("{AUDIT}{id}")),
        }
    };
    list of_grant(programme: &ProgrammeId, grant: &GrantId) => begin(grant_partition_of(programme, grant), &format!("{AUDIT}{grant}#"));
    list of_programme(programme: &ProgrammeId) => begin(programme_partition(programme), AUDIT);
    list of_account() => begin(ACCOUNT, AUDIT)
}

impl AuditEntry {
    pub fn new_on_programme(
        programme: &ProgrammeId,
        actor: &Actor,
        now: Moment,
        what: AuditDetail,
    ) -> AuditEntry {
        AuditEntry {
            programme: Some(programme.clone()),
            ..AuditEntry::new_on_account(actor, now, what)
        }
    }

    pub fn new_on_account(actor: &Actor, now: Moment, what: AuditDetail) -> AuditEntry {
        AuditEntry {
            programme: None,
            grant: None,
            entry: new_ulid(now),
            recorded_at: now,
            actor: actor.clone(),
            what,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct AuditDetail {
    pub act: Act,
    pub old_value: Option<String>,
    pub new_value: Option<String>,
    /// A remark of the act: a key's number, why none was shown.
    pub note: Option<String>,
    /// What a person typed as their reason, which may name somebody. An erasure of the grant's
    /// person takes it away.
    pub reason: Option<String>,
}

/// A setting that an edit changed, with its values as a form has them.
#[derive(Debug, PartialEq)]
pub struct SettingChange {
    pub name: String,
    pub old_value: String,
    pub new_value: String,
}

/// The signs between settings and their values, which a name or a value may have too, and what
/// stands for them then.
const SIGNS: [(&str, &str); 3] = [("%", "%25"), ("=", "%3D"), (";", "%3B")];

/// What is in the place of a reason that went with the person of its grant.
const ERASED_REASON: &str = "a reason was given, and was erased";

crate::named! {
    /// An act in words, as the file has it, and as the page's sentence, with the names of what is
    /// put into it.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Act: to_words, sentence {
        Created = "created", "{who} made the programme";
        Edited = "edited", "{who} changed the settings";
        BudgetChanged = "budget changed", "{who} changed the budget from {old amount} to {new amount}";
        Closed = "closed", "{who} closed the programme";
        Invited = "put on the roster", "{who} put {whom} on the roster";
        Begun = "asked for a key", "{whom} asked for a key";
        Shown = "was shown a key", "{whom} was shown a key";
        NotShown = "no key was shown", "{whom} was shown no key";
        /// An enabled key of ours that nobody was shown, which is switched off.
        OrphanFound = "a key that nobody was shown was found", "{who} found a key for {whom} that nobody was shown, and has it switched off";
        Held = "held", "{who} paused {whom}";
        Released = "a hold was taken off", "{who} let {whom} go on";
        Stopped = "the key was stopped", "The key of {whom} was ended";
        Revoked = "revoked", "{who} removed {whom} for good";
        Ended = "ended", "The credit of {whom} ended";
        /// The term of its programme was extended after it had ended.
        WentOn = "goes on", "The programme goes on for {whom}, who needs a new key";
        CapChanged = "cap changed", "{who} set the cap of {whom} to {new amount} (it was {old amount})";
        ReplacementAllowed = "one more replacement allowed", "{who} allowed {whom} one more replacement";
        ReservationGivenBack = "the reservation in the budget was given back", "What was promised to {whom} went back to the budget";
        /// Another name, address or id on the roster.
        Described = "the roster's line changed", "{who} corrected the {corrected} of {whom}";
        Moved = "moved to another group", "{who} moved {whom} from {old group} to {new group}";
        /// The provider confirmed the rules of a guardrail, or lost it.
        GuardrailSet = "guardrail set", "The rules for keys of {whom} were set at OpenRouter";
        /// An admin changed the models of a tier.
        TierEdited = "tier edited", "{who} changed the model list {list}";
        /// Another limit than ours was found on the live key, which is set again.
        LimitFound = "another limit was found at the provider", "The limit of the key of {whom} was changed at OpenRouter; Bursar set it again";
        /// The live key was found not to be under its guardrail, and is put there again.
        GuardrailLost = "the key was found without its rules at the provider", "The key of {whom} lost its rules at OpenRouter; Bursar set them again";
        /// Keys that the provider had and the table did not were recorded.
        Recovered = "keys that the provider had were recorded again", "A key of {whom} that only OpenRouter knew was recorded again";
        Purged = "a key was deleted at the provider", "An ended key of {whom} was deleted at OpenRouter";
        /// A student asked faculty for a larger cap, which by itself changes nothing.
        MoreAsked = "asked for more", "{whom} asked for a larger cap";
        MoreDeclined = "declined more", "{who} declined a larger cap for {whom}";
        /// An admin let the next sync do what its safety limit had held back.
        SafetyLimitReleased = "what the safety limit held back was released", "{who} released what the safety limit had held back";
        /// An admin gave a programme keys that Bursar did not make, or took them back.
        KeysAssigned = "keys made elsewhere were given to the programme", "{who} gave keys made elsewhere to the programme";
        KeysTakenBack = "keys made elsewhere were taken back from the programme", "{who} took keys made elsewhere back from the programme";
        /// An admin pressed to disable or limit a key that nobody here made; the provider is asked
        /// after this.
        ForeignActBegun = "an admin pressed to change a key that nobody here made", "{who} asked to change a key made elsewhere";
        /// The provider answered what came of that.
        ForeignActConcluded = "the provider answered that", "OpenRouter reported the outcome";
        /// An admin confirmed that another management key is of this deployment's account, although
        /// it finds none of the keys that were listed before.
        AccountConfirmed = "another management key is of the account", "{who} confirmed that another management key belongs to this account";
        MailSentAgain = "mail that was given up was sent again", "{who} sent mail again that was given up";
        Reinvited = "the invitation was sent again", "{who} sent {whom} the invitation again";
        /// Of a key that was never used.
        Reminded = "a reminder of the key was sent", "{who} reminded {whom} of a key that was never used";
        /// Mail to an address with bounces was allowed again.
        MailAllowed = "mail to the address is tried again", "{who} let mail go to {whom} again";
        /// An admin said whose a grant is that bears an older id than the newest under its address.
        AnothersFound = "found to be another person's", "{who} said that {whom} is another person than the one who has the address now";
        SamePersonFound = "found to be the same person's after all", "{who} said that {whom} is the person who has the address now";
        AlertResent = "an alert was sent again", "{who} sent an alert again";
        RosterTokenMade = "the registrar's token was made", "{who} made the registrar's token";
        RosterTokenEnded = "the registrar's token was ended", "{who} ended the registrar's token";
        SignOnBound = "a sign-on was connected to the address", "A sign-on was connected to the address of {whom}";
        SignOnUnbound = "the sign-on of the address was disconnected", "{who} disconnected the sign-on from the address of {whom}";
        AdminAdded = "an admin was added", "{who} made {whom} an admin";
        AdminRemoved = "an admin was removed", "{who} took the rights of an admin from {whom}";
        /// Whose data is kept, whatever retention says.
        RetentionHeld = "kept from being erased", "{who} keeps {whom} from being erased";
        RetentionReleased = "may be erased again", "{who} let {whom} be erased again";
        /// These four are of people with a role, and are kept apart from all others.
        SignedIn = "signed in", "{who} signed in {list}";
        SignedOut = "signed out", "{who} signed out";
        SignOnRefused = "a sign-on was refused", "A sign-in of {who} was refused";
        FileGiven = "a file that names people was downloaded", "{who} downloaded {list}";
        /// Somebody, or everybody of a programme that is long over, is to be forgotten.
        ErasureBegun = "people began to be erased", "{who} began to erase personal data";
        /// Who a grant was for was forgotten.
        Erased = "whose it was is erased", "This was about a person who is erased";
    }
}

impl AuditDetail {
    pub fn new(act: Act) -> AuditDetail {
        AuditDetail {
            act,
            old_value: None,
            new_value: None,
            note: None,
            reason: None,
        }
    }

    pub fn with_change(
        mut self,
        before: impl fmt::Display,
        after: impl fmt::Display,
    ) -> AuditDetail {
        self.old_value = Some(before.to_string());
        self.new_value = Some(after.to_string());
        self
    }

    pub fn with_note(mut self, note: impl fmt::Display) -> AuditDetail {
        self.note = Some(note.to_string());
        self
    }

    /// The change of settings, each with its name, and its values before and after.
    pub fn with_settings_change<'a>(
        self,
        settings: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> AuditDetail {
        let mut before = Vec::new();
        let mut after = Vec::new();
        for (name, old_value, new_value) in settings {
            let name = escape(name);
            before.push(format!("{name}={}", escape(old_value)));
            after.push(format!("{name}={}", escape(new_value)));
        }
        self.with_change(before.join("; "), after.join("; "))
    }

    /// The settings that an edit changed, but those without a value on record.
    pub fn settings(&self) -> Vec<SettingChange> {
        let [before, after] = [&self.old_value, &self.new_value]
            .map(|pairs| pairs.as_deref().unwrap_or_default().split("; "));
        let changes = before.zip(after).filter_map(|(before, after)| {
            let (name, before) = before.split_once('=')?;
            let (_, after) = after.split_once('=')?;
            Some(SettingChange {
                name: unescape(name),
                old_value: unescape(before),
                new_value: unescape(after),
            })
        });
        changes.collect()
    }

    /// The remark, or the reason.
    pub fn words(&self) -> Option<&str> {
        self.note.as_deref().or(self.reason.as_deref())
    }

    /// The same without the reason, if it has one.
    pub fn without_reason(&self) -> Option<AuditDetail> {
        self.reason
            .as_ref()
            .filter(|reason| *reason != ERASED_REASON)?;
        Some(AuditDetail {
            reason: Some(ERASED_REASON.to_owned()),
            ..self.clone()
        })
    }
}

fn escape(text: &str) -> String {
    SIGNS.iter().fold(text.to_owned(), |text, (sign, instead)| {
        text.replace(sign, instead)
    })
}

fn unescape(text: &str) -> String {
    SIGNS
        .iter()
        .rev()
        .fold(text.to_owned(), |text, (sign, instead)| {
            text.replace(instead, sign)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_were_written() {
        let settings = [
            ("cap_usd.=1+1", "", "25"),
            ("models.A; B=c", "50%;x=y", "a/b, c/d"),
            ("name", "", ""),
        ];
        let what = AuditDetail::new(Act::Edited).with_settings_change(settings.into_iter());
        let read = what.settings();
        let read: Vec<_> = read
            .iter()
            .map(|change| (&*change.name, &*change.old_value, &*change.new_value))
            .collect();
        assert_eq!(read, settings);
        assert_eq!(
            AuditDetail::new(Act::Edited).with_change("", "").settings(),
            []
        );
    }
}
