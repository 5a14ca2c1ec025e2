//! The sentence that the page after a form says once: what happened, and what comes next. It
//! travels in a cookie as a kind with its values and never as text, so that nobody's link puts
//! words into a page.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::domain::values::address::EmailAddress;
use crate::domain::values::format::{Joined, counted};
use crate::domain::values::money::Usd;

/// Each notice beside its sentence, with the values that this names.
macro_rules! notices {
    ($($notice:ident $({ $($value:ident: $of:ty),* })? => $sentence:expr;)*) => {
        /// What a form did. A handler of a form ends in one of these
        /// ([`Site::done`](super::Site::done)).
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        pub enum Flash {
            $($notice $({ $($value: $of),* })?,)*
        }

        impl Flash {
            pub fn to_words(&self) -> String {
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
        "You are signed in. You stay signed in for 8 hours, but no longer than an hour without use."
    } else {
        "You are signed in. You stay signed in for 30 minutes."
    };
    SignedInForAnHour => "You are signed in for one hour at most, since admins sign on here. All admins get a mail that you came in by a mailed link.";
    SignedOut { everywhere: bool } => if *everywhere {
        "You are signed out here and in every other browser."
    } else {
        "You are signed out."
    };
    MailsChosen => "Saved: from now on you get the mails that you chose.";
    KeyLeaked => "Your key is reported as leaked and is being switched off. Below you see how to go on.";
    KeyHandedBack => "You handed your key back: it stops working, and others may get what you did not spend. Below you see what a new key would have, as long as the budget has room.";
    KeyRead => "What your key has used was checked just now.";
    KeyReadBefore { seconds: u64 } => format!("Checked {} ago.", counted(*seconds, "second", "seconds"));
    KeyResumed => "Your key works again.";
    MoreAsked => "You asked for more. The people who run the programme have your request by mail; you get a mail when they have decided.";

    ProgrammeMade { has_roster: bool } => if *has_roster {
        "The programme is made. Next, put people on its roster."
    } else {
        "The cost centre is made. Next, give it keys on the account page."
    };
    RosterTakenAlong => "The programme is made. The people of the other roster are being added and get their invitations.";
    Saved => "Saved.";
    Several { notices: Vec<Flash> } => notices.iter().map(Flash::to_words).joined(" ");
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

    AdminsAsked => "The admins get a mail that you ask for this, and can answer you. Nothing changes until one of them does it.";
    Closed => "The programme is closed. Every key is being switched off; the line below shows how far that is.";
    KeysFollow => "Keys that exist get their new limits and models within minutes.";
    GroupsSaved => format!("The groups are saved. {}", Flash::KeysFollow.to_words());
    TierSaved { is_removed: bool } => if *is_removed {
        "The model list is removed."
    } else {
        "The model list is saved. Keys that use it can call its models within minutes."
    };

    PersonAdded => "This person is on the roster, and gets an invitation within minutes.";
    PersonChanged => "This person's details are changed.";
    RosterApplied { added: u64, dropped: u64, changed: u64, refused: u64, undone: u32, short: Usd } => {
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
        if *undone > 0 {
            said += &format!(" {undone} of these changes could not be made, as this page says.");
        }
        if *short > Usd::ZERO {
            said += &format!(" If everybody claims, the budget is {} short.", short.up_to_the_cent().to_dollars());
        }
        said
    };
    FilePutAway => "The registrar's file is put away. It changed nothing; the next file is checked when it comes.";
    DropsUndone { people: u64 } => format!(
        "{} back on the roster, and a key that worked before works again within minutes.",
        counted(*people, "person is", "people are")
    );
    TokenEnded => "The registrar's token has ended: no more files are accepted with it.";

    Paused => "Paused: the key does not work until it is resumed.";
    Resumed => "Resumed: the key works again.";
    InvitationSent => "The invitation is sent again, within minutes.";
    MailTriedAgain => "Mail goes to this address again. If it comes back, this page says so.";
    Revoked { had_key: bool } => if *had_key {
        "Removed for good: the key stops working now, and the student gets a mail."
    } else {
        "Removed for good: this student gets no key in this programme."
    };
    TakenOffRoster { had_key: bool } => if *had_key {
        "Taken off the roster: the key does not work any more. Add this person again on the roster's page, and it works again."
    } else {
        "Taken off the roster. If that was a mistake, add this person again on the roster's page."
    };
    LeakEnded => "The key is being switched off for good. The student gets a mail, and can get another key, which does not count as a replacement.";
    ReplacementAllowed => "This student may replace the key once more.";
    CapSet { cap: Usd } => format!(
        "The cap is {} now, and what was spent counts against it. The student gets a mail.",
        cap.to_dollars()
    );
    MoreDeclined => "Declined. The cap stays as it is, and the student gets your reason by mail.";
    AddressCorrected => "The address is corrected. The invitation goes to the new address, and a notice to the old one.";
    PersonTold { is_anothers: bool } => if *is_anothers {
        "Noted: this key is another person's. Whoever reads this mailbox is not shown it any more, and gets no mail about it."
    } else {
        "Noted: this key belongs to the person who reads this mailbox, who is shown it again."
    };
    ManyBegun { students: u64 } => format!(
        "Begun for {}. The overview shows how far it is.",
        counted(*students, "student", "students")
    );

    AlertSentAgain => "The alert is sent again, within minutes.";
    TestAlertSent => "A test alert is on its way to you. Nobody else gets it.";

    SignOnUnbound => "The sign-on is disconnected from this address, and whoever was signed in with it is signed out.";
    AdminAdded => "This person is an admin now. All admins get a mail.";
    AdminRemoved => "This person is no longer an admin, and is signed out. All admins get a mail.";
    SignInAgain => "Nobody was added: you signed in more than ten minutes ago. Sign in again, and then add the admin again.";
    KeyDisabled => "OpenRouter has disabled the key.";
    KeyLimited { limit: Usd } => format!("The key has a limit of {} now.", limit.to_dollars());
    Released => "The next check does what the safety limit held back.";
    AccountConfirmed => "Confirmed: the management key belongs to this account.";
    MailSentAgain { mails: u64 } => format!("{} sent again, within minutes.", counted(*mails, "mail is", "mails are"));
    KeysGiven { keys: u64 } => format!("{} counted in that programme from now on.", counted(*keys, "key is", "keys are"));
    KeysTakenBack { keys: u64 } => format!("{} no owner now.", counted(*keys, "key has", "keys have"));
    RetentionChanged { is_held: bool } => if *is_held {
        "Kept: neither time nor a press erases this person until an admin lets go."
    } else {
        "Let go: this person may be erased again."
    };
    ErasureBegun => "The erasure has begun. This page shows how far it is, and becomes the receipt.";
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
        for notice in [
            Flash::Saved,
            Flash::DropsUndone { people: 1 },
            Flash::ManyBegun { students: 2 },
        ] {
            assert_eq!(Flash::from_cookie(&notice.to_cookie()), Some(notice));
        }
        for other in ["", "Saved", "e30"] {
            assert_eq!(Flash::from_cookie(other), None, "{other}");
        }
        for text in [r#""You won""#, r#"{"UnknownDomain":{"address":"You won"}}"#] {
            assert_eq!(
                Flash::from_cookie(&BASE64URL_NOPAD.encode(text.as_bytes())),
                None,
                "{text}"
            );
        }
    }
}
