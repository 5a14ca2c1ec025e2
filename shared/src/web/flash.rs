//! The sentence that the page after a form says once: what happened, and what comes next. It travels in a cookie as a kind with its
//! values and never as text, so that nobody's link puts words into a page.

use data_encoding::BASE64URL_NOPAD;

use crate::domain::values::format::counted;
use crate::domain::values::money::Usd;
use crate::prelude::*;

/// Each notice beside its sentence, with the values that this names.
macro_rules! notices {
    ($($notice:ident $({ $($value:ident: $of:ty),* })? => $sentence:expr;)*) => {
        /// What a form did. A handler of a form ends in one of these ([`Site::done`](super::Site::done)).
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Flash {
            $($notice $({ $($value: $of),* })?,)*
        }

        impl Flash {
            pub fn in_words(&self) -> String {
                match self {
                    $(Flash::$notice $({ $($value),* })? => $sentence.into(),)*
                }
            }
        }
    };
}

notices! {
    // Of forms that are sent twice, the second finds it done.
    Already => "That was so already, so nothing was changed.";

    SignedIn { has_role: bool } => if *has_role {
        "You are signed in for 8 hours, or until you have done nothing here for an hour."
    } else {
        "You are signed in for 30 minutes."
    };
    SignedOut { everywhere: bool } => if *everywhere {
        "You are signed out here and in every other browser."
    } else {
        "You are signed out."
    };
    MailsChosen => "Saved: from now on you get the mails that you chose.";
    KeyLeaked => "Your key is reported as leaked and being switched off. Below is how to go on.";
    KeyHandedBack => "You handed your key back. It stops working, and what you did not spend goes back to the programme.";
    KeyRead => "What your key has used was checked just now.";
    KeyReadBefore { seconds: u64 } => format!("Checked {} ago.", counted(*seconds, "second", "seconds"));
    KeyResumed => "Your key works again.";
    MoreAsked => "You asked for more. Those who run the programme have it by mail; you get a mail when they have decided.";

    ProgrammeMade { has_roster: bool } => if *has_roster {
        "The programme is made. Next, put people on its roster."
    } else {
        "The cost centre is made. Next, give it keys on the account page."
    };
    CopyMade { with_roster: bool } => if *with_roster {
        "This is the copy. The people of the roster are being put on it and get their invitations."
    } else {
        "This is the copy. Next, put people on its roster."
    };
    Saved => "Saved.";
    Several { notices: Vec<Flash> } => notices.iter().map(Flash::in_words).collect::<Vec<_>>().join(" ");
    // What is saved and perhaps a mistake.
    BudgetAboveBalance { amount_left: Usd, balance: Usd } => format!(
        "Please check the budget: {} of it can still be spent, and the account's balance is {}.",
        amount_left.whole_cents().to_dollars(),
        balance.whole_cents().to_dollars()
    );
    NoFaculty => "Please check the faculty: there is none, so invitations name nobody, and alerts go to the admins.";
    UnknownDomain { address: EmailAddress } => format!(
        "Please check {}: no admin has an address at that domain.",
        address.as_written()
    );

    Asked { is_rest_saved: bool } => if *is_rest_saved {
        "Asked the admins for what only they may change; the overview names it. They have it by mail, and you get a mail when they have decided. The rest is saved."
    } else {
        "Asked the admins for what only they may change; the overview names it. They have it by mail, and you get a mail when they have decided."
    };
    RequestDecided { is_approved: bool } => if *is_approved {
        "Approved and done. The person who asked is told by mail."
    } else {
        "Declined. The person who asked is told by mail; nothing was changed."
    };
    CloseAsked => "Asked the admins to close the programme. They have it by mail; until they have decided, all goes on.";
    CopyAsked => "Asked the admins for the copy. They have it by mail.";
    Closed => "The programme is closed. Every key is being switched off; the line below says how far that is.";
    KeysFollow => "Keys that exist get their new limits and models within minutes.";
    GroupsSaved => format!("The groups are saved. {}", Flash::KeysFollow.in_words());
    TierSaved { is_removed: bool } => if *is_removed {
        "The model list is removed."
    } else {
        "The model list is saved. Keys under it may call what it names within minutes."
    };

    PersonAdded => "This person is on the roster, and gets an invitation within minutes.";
    PersonChanged => "What is known of this person is changed.";
    RosterApplied { added: u64, dropped: u64, changed: u64, refused: u64, short: Usd } => {
        let mut said = format!("The roster is applied: {} added", counted(*added, "person", "people"));
        if *dropped > 0 {
            said += &format!(", {dropped} dropped");
        }
        if *changed > 0 {
            said += &format!(", {changed} changed");
        }
        if *refused > 0 {
            said += &format!(", {refused} refused");
        }
        said += if *added > 0 { ". Invitations go out within minutes." } else { "." };
        if *short > Usd::ZERO {
            said += &format!(" If everybody claims, the budget is {} short.", short.up_to_the_cent().to_dollars());
        }
        said
    };
    FilePutAway => "The registrar's file is put away. It changed nothing; the next one is looked at when it comes.";
    DropsUndone { people: u64 } => format!(
        "{} back on the roster, and a key that worked before works again within minutes.",
        counted(*people, "person is", "people are")
    );
    TokenEnded => "The registrar's token has ended: no file is taken with it any more.";

    Paused => "Paused: the key does not work until it is resumed.";
    Resumed => "Resumed: the key works again.";
    InvitationSent => "The invitation is sent again, within minutes.";
    MailTriedAgain => "Mail goes to this address again. Should it come back, this page says so.";
    Revoked => "Removed for good: the key stops working now.";
    ReplacementAllowed => "This student may replace the key once more.";
    CapSet { cap: Usd } => format!(
        "The cap is {} now, and what was spent counts against it. The student is told by mail.",
        cap.to_dollars()
    );
    MoreDeclined => "Declined. The student is told by mail, with your sentence; the cap stays as it is.";
    AddressCorrected => "The address is corrected. The invitation goes to the new one, and a notice to the former.";
    ManyBegun { students: u64 } => format!(
        "Begun for {}. The overview says how far it is.",
        counted(*students, "student", "students")
    );
    JobPutAway => "Put away: pages tell of it no more.";

    AlertSentAgain => "The alert is sent again, within minutes.";
    TestAlertSent => "A test alert is on its way to you. Nobody else gets it.";

    AdminAdded => "This person is an admin now. All admins are told by mail.";
    AdminRemoved => "This person is no admin any more, and signed out. All admins are told by mail.";
    SignInAgain => "Nobody was made an admin: for that, sign in afresh, since you did so more than ten minutes ago. Then add them again.";
    KeyDisabled => "OpenRouter has disabled the key.";
    KeyLimited { limit: Usd } => format!("The key has a limit of {} now.", limit.to_dollars());
    Released => "What the safety limit held back is done by the next check.";
    AccountConfirmed => "The management key is confirmed as this account's.";
    MailSentAgain { mails: u64 } => format!("{} sent again, within minutes.", counted(*mails, "mail is", "mails are"));
    KeysGiven { keys: u64 } => format!("{} counted for that programme from now on.", counted(*keys, "key is", "keys are"));
    KeysTakenBack { keys: u64 } => format!("{} no owner any more.", counted(*keys, "key has", "keys have"));
    ErasureBegun => "The erasure has begun. This page says how far it is, and becomes the receipt.";
}

impl Flash {
    pub(super) fn to_cookie(&self) -> String {
        BASE64URL_NOPAD.encode(&serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn from_cookie(value: &str) -> Option<Flash> {
        serde_json::from_slice(&BASE64URL_NOPAD.decode(value.as_bytes()).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_brings_a_kind_and_values_and_no_text_of_its_own() {
        for notice in [Flash::Saved, Flash::DropsUndone { people: 1 }, Flash::Asked { is_rest_saved: true }] {
            assert_eq!(Flash::from_cookie(&notice.to_cookie()), Some(notice));
        }
        for other in ["", "Saved", "e30"] {
            assert_eq!(Flash::from_cookie(other), None, "{other}");
        }
        for text in [r#""You won""#, r#"{"UnknownDomain":{"address":"You won"}}"#] {
            assert_eq!(Flash::from_cookie(&BASE64URL_NOPAD.encode(text.as_bytes())), None, "{text}");
        }
    }
}
