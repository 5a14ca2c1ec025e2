//! The sentence that the page after a form says once: what happened, and what comes next. It travels in a cookie as a kind with its
//! values and never as text, so that nobody's link puts words into a page.

use data_encoding::BASE64URL_NOPAD;

use crate::domain::values::format::counted;
use crate::domain::values::money::Usd;
use crate::prelude::*;

/// What a form did. A handler of a form ends in one of these ([`Site::done`](super::Site::done)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// What was asked for was so before; of forms that are sent twice, the second finds it done.
    Already,

    SignedIn {
        has_role: bool,
    },
    SignedOut {
        everywhere: bool,
    },
    MailsChosen,
    KeyLeaked,
    KeyHandedBack,
    KeyRead,
    KeyResumed,
    MoreAsked,

    ProgrammeMade {
        has_roster: bool,
    },
    CopyMade {
        with_roster: bool,
    },
    Saved,
    /// Wishes for the admins, in words, and whether the rest of the form was saved.
    Asked {
        wishes: Vec<String>,
        is_rest_saved: bool,
    },
    RequestDecided {
        is_approved: bool,
    },
    CloseAsked,
    CopyAsked,
    Closed,
    GroupsSaved,
    TierSaved {
        is_removed: bool,
    },

    PersonAdded,
    PersonChanged,
    RosterApplied {
        added: u64,
        dropped: u64,
        others: u64,
    },
    DropsUndone {
        people: u64,
    },
    TokenEnded,

    Paused,
    Resumed,
    InvitationSent,
    MailTriedAgain,
    Revoked,
    ReplacementAllowed,
    CapSet {
        cap: Usd,
    },
    MoreDeclined,
    AddressCorrected,
    ManyBegun {
        students: u64,
    },
    JobPutAway,

    AlertSentAgain,
    TestAlertSent,

    AdminAdded,
    AdminRemoved,
    SignInAgain,
    KeyDisabled,
    KeyLimited {
        limit: Usd,
    },
    Released,
    AccountConfirmed,
    MailSentAgain {
        mails: u64,
    },
    KeysGiven {
        keys: u64,
    },
    KeysTakenBack {
        keys: u64,
    },
    ErasureBegun,
}

impl Notice {
    pub fn in_words(&self) -> String {
        let sentence = match self {
            Notice::Already => "That was so already, so nothing was changed.",

            Notice::SignedIn { has_role: true } => {
                "You are signed in for 8 hours, or until you have done nothing here for an hour."
            }
            Notice::SignedIn { has_role: false } => "You are signed in for 30 minutes.",
            Notice::SignedOut { everywhere: true } => "You are signed out here and in every other browser.",
            Notice::SignedOut { everywhere: false } => "You are signed out.",
            Notice::MailsChosen => "Saved: from now on you get the mails that you chose.",
            Notice::KeyLeaked => {
                "Your key is reported as leaked and being switched off. You can replace it: a new key has what is left of your credit."
            }
            Notice::KeyHandedBack => {
                "You handed your key back. It stops working, and what you did not spend goes back to the programme."
            }
            Notice::KeyRead => "What your key has used was read just now.",
            Notice::KeyResumed => "Your key works again.",
            Notice::MoreAsked => {
                "You asked for more. Those who run the programme have it by mail; you get a mail when they have decided."
            }

            Notice::ProgrammeMade { has_roster: true } => "The programme is made. Next, put people on its roster.",
            Notice::ProgrammeMade { has_roster: false } => {
                "The cost centre is made. Next, give it keys on the account page."
            }
            Notice::CopyMade { with_roster: true } => {
                "This is the copy. The people of the roster are being put on it and get their invitations."
            }
            Notice::CopyMade { with_roster: false } => "This is the copy. Next, put people on its roster.",
            Notice::Saved => "Saved.",
            Notice::Asked { wishes, is_rest_saved } => {
                let saved = if *is_rest_saved { " The rest is saved." } else { "" };
                let wishes = wishes.join("; ");
                return format!(
                    "Asked the admins for: {wishes}. They have it by mail, and you get a mail when they have decided.{saved}"
                );
            }
            Notice::RequestDecided { is_approved: true } => "Approved and done. Who asked is told by mail.",
            Notice::RequestDecided { is_approved: false } => {
                "Declined. Who asked is told by mail; nothing was changed."
            }
            Notice::CloseAsked => {
                "Asked the admins to close the programme. They have it by mail; until they have decided, all goes on."
            }
            Notice::CopyAsked => "Asked the admins for the copy. They have it by mail.",
            Notice::Closed => {
                "The programme is closed. Every key is being switched off; the line below says how far that is."
            }
            Notice::GroupsSaved => {
                "The groups are saved. Keys that exist get their new limits and models within minutes."
            }
            Notice::TierSaved { is_removed: true } => "The model list is removed.",
            Notice::TierSaved { is_removed: false } => {
                "The model list is saved. Keys under it may call what it names within minutes."
            }

            Notice::PersonAdded => "This person is on the roster, and gets an invitation within minutes.",
            Notice::PersonChanged => "What is known of this person is changed.",
            Notice::RosterApplied { added, dropped, others } => {
                let mut said = format!("The roster is applied: {} added", counted(*added, "person", "people"));
                if *dropped > 0 {
                    said += &format!(", {dropped} dropped");
                }
                if *others > 0 {
                    said += &format!(", {others} changed");
                }
                if *added > 0 {
                    said += ". Whoever was added gets an invitation within minutes";
                }
                return said + ".";
            }
            Notice::DropsUndone { people } => {
                let (who, verb) = (counted(*people, "person", "people"), if *people == 1 { "is" } else { "are" });
                return format!(
                    "{who} {verb} back on the roster, and a key that worked before works again within minutes."
                );
            }
            Notice::TokenEnded => "The registrar's token has ended: no file is taken with it any more.",

            Notice::Paused => "Paused: the key does not work until somebody resumes it.",
            Notice::Resumed => "Resumed: the key works again.",
            Notice::InvitationSent => "The invitation is sent again, within minutes.",
            Notice::MailTriedAgain => "Mail goes to this address again. Should it come back, this page says so.",
            Notice::Revoked => "Removed for good: the key stops working now.",
            Notice::ReplacementAllowed => "This student may replace the key once more.",
            Notice::CapSet { cap } => {
                return format!(
                    "The cap is {} now, and what was spent counts against it. The student is told by mail.",
                    cap.to_dollars_down()
                );
            }
            Notice::MoreDeclined => {
                "Declined. The student is told by mail, with your sentence; the cap stays as it is."
            }
            Notice::AddressCorrected => {
                "The address is corrected. The invitation goes to the new one, and a notice to the former."
            }
            Notice::ManyBegun { students } => {
                return format!(
                    "Begun for {}. The overview says how far it is.",
                    counted(*students, "student", "students")
                );
            }

            Notice::JobPutAway => "Put away: pages tell of it no more.",

            Notice::AlertSentAgain => "The alert is sent again, within minutes.",
            Notice::TestAlertSent => "A test alert is on its way to you. Nobody else gets it.",

            Notice::AdminAdded => "This person is an admin now. All admins are told by mail.",
            Notice::AdminRemoved => "This person is no admin any more, and signed out. All admins are told by mail.",
            Notice::SignInAgain => {
                "Nobody was made an admin: for that, sign in afresh, since you did so more than ten minutes ago. Then add them again."
            }
            Notice::KeyDisabled => "OpenRouter has disabled the key.",
            Notice::KeyLimited { limit } => return format!("The key has a limit of {} now.", limit.to_dollars_down()),
            Notice::Released => "What the safety limit held back is done by the next sync.",
            Notice::AccountConfirmed => "The management key is confirmed as this account's.",
            Notice::MailSentAgain { mails } => {
                return format!("{} sent again, within minutes.", counted(*mails, "mail is", "mails are"));
            }
            Notice::KeysGiven { keys } => {
                return format!("{} counted for that programme from now on.", counted(*keys, "key is", "keys are"));
            }
            Notice::KeysTakenBack { keys } => {
                return format!("{} no owner any more.", counted(*keys, "key has", "keys have"));
            }
            Notice::ErasureBegun => "The erasure has begun. This page says how far it is, and becomes the receipt.",
        };
        sentence.to_owned()
    }

    pub(super) fn to_cookie(&self) -> String {
        BASE64URL_NOPAD.encode(&serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn from_cookie(value: &str) -> Option<Notice> {
        serde_json::from_slice(&BASE64URL_NOPAD.decode(value.as_bytes()).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_brings_a_kind_and_values_and_no_text_of_its_own() {
        let wishes = vec!["Budget: $500 instead of $400".to_owned()];
        for notice in [Notice::Saved, Notice::DropsUndone { people: 1 }, Notice::Asked { wishes, is_rest_saved: true }]
        {
            assert_eq!(Notice::from_cookie(&notice.to_cookie()), Some(notice));
        }
        for other in ["", "Saved", "e30", &BASE64URL_NOPAD.encode(b"\"You won\"")] {
            assert_eq!(Notice::from_cookie(other), None, "{other}");
        }
    }
}
