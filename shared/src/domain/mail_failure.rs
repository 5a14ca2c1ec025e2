//! Why a mail was not sent or came back, in words for admins: what it means, and what is to be done. The codes are the mail server's
//! own, and ours where it says too little.

/// The recipient was not verified, and the mail server sends to no other: an account in its sandbox.
pub const NOT_VERIFIED: &str = "NotVerified";
/// The sender was not verified.
pub const SENDER_NOT_VERIFIED: &str = "SenderNotVerified";
/// Mail to the address came back before, or was complained about.
pub const UNDELIVERABLE: &str = "Undeliverable";
pub const BOUNCED: &str = "Bounced";
pub const COMPLAINED: &str = "Complained";
/// It was taken up again and again, and nobody ever said what became of it.
pub const GIVEN_UP: &str = "GivenUp";

/// A code in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InWords {
    /// As the end of a sentence: "the address is not verified".
    pub what: String,
    /// Whole sentences.
    pub to_do: &'static str,
}

impl InWords {
    pub fn of(code: &str) -> InWords {
        let (what, to_do) = known(code);
        let what = if what.is_empty() { format!("the mail server answered {code}") } else { what.to_owned() };
        InWords { what, to_do }
    }
}

fn known(code: &str) -> (&'static str, &'static str) {
    match code {
        NOT_VERIFIED => (
            "the recipient's address is not verified",
            "The SES account is in the sandbox: until AWS lets it out, it sends to addresses only that were verified in SES one by one, 200 mails a day and one a second. Ask for production access in the SES console, under \"Account dashboard\"; it takes a day or so. Then send the mail again by hand.",
        ),
        SENDER_NOT_VERIFIED | "MailFromDomainNotVerifiedException" | "FromEmailAddressNotVerifiedException" => (
            "the sender is not verified",
            "SES does not know the sender as yours, in this region. Verify the domain or the address of BURSAR_MAIL_FROM in the SES console, and look that its records in the DNS are still there.",
        ),
        "AccountSendingPausedException" => (
            "sending is paused for the whole SES account",
            "AWS or one of you paused it, usually because too much mail came back. The SES console says why and what AWS asks for; nothing is sent until it is resumed there.",
        ),
        "ConfigurationSetSendingPausedException" => (
            "sending is paused for the configuration set",
            "Somebody paused it in the SES console; nothing is sent until it is resumed there.",
        ),
        "ConfigurationSetDoesNotExist" | "ConfigurationSetDoesNotExistException" => (
            "the configuration set is not there",
            "The sender's identity in SES names a configuration set that was deleted. Make the one that the stack's outputs name the identity's default.",
        ),
        "MessageRejected" => (
            "the mail server refused the message",
            "It takes this mail from nobody, whatever is tried. The log of mail names the row; the SES console may say more.",
        ),
        "InvalidParameterValue" | "ValidationError" | "NotAMail" => (
            "the address is none that can be mailed",
            "Look at the address on the roster or in the settings, mend it there, and send the mail again by hand.",
        ),
        "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "LimitExceeded"
        | "LimitExceededException" => (
            "the mail server took no more mail for hours",
            "The day's quota or the rate of the SES account was used up, also by others who send from it. Ask AWS for a higher quota in the SES console, and send the mail again by hand.",
        ),
        "AccessDenied" | "AccessDeniedException" => (
            "the function may not send",
            "The role of the function mail does not allow it: is the sender the one that the stack was deployed with?",
        ),
        "TimedOut" | "NoAnswer" | "UnreadableAnswer" | "InternalFailure" | "ServiceUnavailable" => (
            "the mail server did not answer for hours",
            "Look whether SES is disturbed in this region. Some of these mails may have arrived; whoever misses one can be sent it again by hand.",
        ),
        UNDELIVERABLE => (
            "mail to the recipient comes back or is not wanted",
            "Nothing is sent to that address any more but by hand. Ask the person for another one, or try it again from the page that the mail is about.",
        ),
        BOUNCED => (
            "it came back for good",
            "Nothing more is sent to that address but by hand. Ask the person for another one, and put it where the old one stands.",
        ),
        COMPLAINED => (
            "somebody complained about it",
            "The recipient, or a machine on their behalf, marked it as unwanted. Nothing more is sent to that address but by hand: ask first.",
        ),
        "NoSuchPerson" | "NoSuchCrossing" => (
            "what it is about is not in the table",
            "Something that the mail refers to is gone, as after a restore. The log of mail names the row.",
        ),
        "Corrupt" => (
            "what it is about cannot be read",
            "An item of the table is not what it should be. The log of mail names the row and the item.",
        ),
        GIVEN_UP => (
            "whoever sent it died each time",
            "The function mail ended before it could say what became of it: look into its log for this time. The mail may have arrived.",
        ),
        _ => (
            "",
            "The log of mail names the row; the documentation of SES says what the code means. What people have missed can be sent again by hand.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_are_known_are_said_in_words_and_others_are_named() {
        assert_eq!(InWords::of(NOT_VERIFIED).what, "the recipient's address is not verified");
        assert!(InWords::of(NOT_VERIFIED).to_do.contains("sandbox"));
        assert_eq!(InWords::of("Brandnew").what, "the mail server answered Brandnew");
    }
}
