//! The codes for which a mail is not sent or comes back, in words for admins: what each means, and
//! what to do. They are the mail server's own, or ours where the server's say too little.

use serde::{Deserialize, Serialize};

/// Sending is paused for the whole account, whoever paused it and whatever the message says.
pub const PAUSED: &str = "AccountSendingPausedException";
pub const QUOTA: &str = "DailyQuotaExceeded";
/// The mail server does not report its quota, so only urgent mail is sent.
pub const QUOTA_UNREAD: &str = "QuotaUnread";
/// The recipient was not verified, as an account in the SES sandbox requires.
pub const NOT_VERIFIED: &str = "NotVerified";
pub const SENDER_NOT_VERIFIED: &str = "SenderNotVerified";
/// Mail to the address bounced before, or was complained about.
pub const UNDELIVERABLE: &str = "Undeliverable";
pub const BOUNCED: &str = "Bounced";
/// The mail server did not try, since mail from others to the address bounced before.
pub const SUPPRESSED: &str = "Suppressed";
pub const COMPLAINED: &str = "Complained";
/// A temporary bounce; the next mail may get through.
pub const RETURNED: &str = "Returned";
/// An alert that was returned each time it was tried.
pub const RETURNED_EACH_TIME: &str = "ReturnedEachTime";
/// The row of the outbox, or the item it is about, cannot be read.
pub const CORRUPT: &str = "Corrupt";
/// No message could be made for this row and address.
pub const NOT_A_MAIL: &str = "NotAMail";
/// The reason recorded for an alert whose recipient lost the role while it waited.
pub const PASSED_OVER: &str =
    "this person does not hear of this programme's alerts any more; those who do get it instead";
/// The reason recorded for a mail that is dropped, since mail to the address bounced before or was
/// complained about.
pub const NOT_WANTED: &str = "mail to this address comes back or is not wanted";
/// The reason recorded for a mail about a grant that has lost its address to another person, or
/// whose person was erased.
pub const NO_ADDRESS: &str = "the student has no address any more";
/// The codes with which the mail server, or the code that builds a message, rejects an address; and
/// why none was asked to send.
const OF_THE_ADDRESS: [&str; 5] = [
    "InvalidParameterValue",
    "ValidationError",
    NOT_A_MAIL,
    NOT_WANTED,
    NO_ADDRESS,
];
/// The SMTP server refuses whatever this deployment sends, as where its user or its sender is not
/// allowed.
pub const SMTP_REFUSES: &str = "SmtpRefuses";
/// The SMTP server does not take this one mail for now.
pub const SMTP_LATER: &str = "SmtpLater";
/// The row was taken up again and again, and the outcome of its sending is not known.
pub const GIVEN_UP: &str = "GivenUp";

/// The codes that concern the account, or its sending to a group of recipients, and not a single
/// mail. Mail waits until an admin has solved the cause.
const OF_THE_ACCOUNT: [&str; 17] = [
    PAUSED,
    QUOTA,
    NOT_VERIFIED,
    SENDER_NOT_VERIFIED,
    "MailFromDomainNotVerifiedException",
    "FromEmailAddressNotVerifiedException",
    "ConfigurationSetSendingPausedException",
    "ConfigurationSetDoesNotExist",
    "ConfigurationSetDoesNotExistException",
    "LimitExceeded",
    "LimitExceededException",
    "AccessDenied",
    "AccessDeniedException",
    "InvalidClientTokenId",
    "OptInRequired",
    "SubscriptionRequiredException",
    SMTP_REFUSES,
];
const TOO_FAST: [&str; 3] = [
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

crate::named! {
    /// The reason that no mail is sent to an address; the later variants weigh more.
    #[derive(PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum UnreachableReason: as_str, to_words {
        Suppressed = "suppressed", "SES did not try, because mail to the address came back for another of its customers. SES forgets that after some days.";
        Bounced = "bounced", "mail to it came back for good.";
        Complained = "complained", "the recipient, or their mail program, marked a mail as unwanted.";
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FailureScope {
    /// This mail, however often it is sent.
    Mail,
    /// The sending account, until an admin has solved the cause.
    Account,
    /// The rate at which mails are sent.
    Rate,
    /// This mail for now, and no other.
    MailForNow,
    /// A failure of this moment only, or of an unknown scope.
    Moment,
}

/// Whether every mail to this address would fail alike, since it takes none.
fn is_of_the_address(code: &str) -> bool {
    OF_THE_ADDRESS.contains(&code)
}

impl FailureScope {
    pub fn from_code(code: &str) -> FailureScope {
        match code {
            "MessageRejected" => FailureScope::Mail,
            code if is_of_the_address(code) => FailureScope::Mail,
            code if OF_THE_ACCOUNT.contains(&code) => FailureScope::Account,
            code if TOO_FAST.contains(&code) => FailureScope::Rate,
            SMTP_LATER => FailureScope::MailForNow,
            _ => FailureScope::Moment,
        }
    }
}

#[derive(Debug)]
pub struct FailureText {
    /// The end of a sentence: "the address is not verified".
    pub what: String,
    pub to_do: &'static str,
}

impl FailureText {
    pub fn from_code(code: &str) -> FailureText {
        let (what, to_do) = known(code);
        let what = if what.is_empty() {
            format!("the mail server answered {code}")
        } else {
            what.to_owned()
        };
        FailureText { what, to_do }
    }
}

fn known(code: &str) -> (&'static str, &'static str) {
    match code {
        NOT_VERIFIED => (
            "the recipient's address is not verified",
            "The SES account is in the sandbox: until AWS lets it out, it sends only to addresses and domains that were verified in SES, 200 mails a day and one a second. Ask for production access in the SES console, under \"Account dashboard\"; it takes a day or so. Mail to everybody else waits, and goes out by itself then.",
        ),
        SENDER_NOT_VERIFIED
        | "MailFromDomainNotVerifiedException"
        | "FromEmailAddressNotVerifiedException" => (
            "the sender is not verified",
            "SES does not know the sender as yours, in this region. Verify the domain or the address of BURSAR_MAIL_FROM in the SES console, and check that its DNS records are still there. Mail waits, and goes out by itself then.",
        ),
        PAUSED => (
            "sending is paused for the whole SES account",
            "AWS or one of you paused it, usually because too much mail came back. The SES console says why and what AWS asks for. Until it is resumed there, mail waits; then it goes out by itself.",
        ),
        QUOTA | "LimitExceeded" | "LimitExceededException" => (
            "the day's quota of the SES account is used up",
            "It counts what everybody sends from the account in 24 hours. Mail waits, and goes out by itself as the quota allows; ask AWS for a higher one in the SES console if it is too small.",
        ),
        QUOTA_UNREAD => (
            "SES does not say how much it takes",
            "The role of mail may not ask (ses:GetSendQuota, ses:GetAccountSendingEnabled), or something else in the AWS account asks all the time: SES answers once a second. Links, alerts and notices go on; invitations, digests, and notices to students about caps and rules wait until it says so.",
        ),
        "ConfigurationSetSendingPausedException" => (
            "sending is paused for the configuration set",
            "It was paused in the SES console. Until it is resumed there, mail waits; then it goes out by itself.",
        ),
        "ConfigurationSetDoesNotExist" | "ConfigurationSetDoesNotExistException" => (
            "the configuration set is not there",
            "The configuration set that BURSAR_MAIL_EVENTS names was deleted in SES. Deploy the stack again, which makes it. Mail waits, and goes out by itself then.",
        ),
        "MessageRejected" => (
            "the mail server refused the message",
            "SES would refuse it as often as it is tried. The log of the function mail names the row, and the SES console may say more. Once the reason is fixed, press \"Send again\" in the section \"Mail\" of the account page.",
        ),
        code if is_of_the_address(code) => (
            "mail cannot be sent to such an address",
            "Correct the address on the roster or in the settings. Then press \"Send again\" in the section \"Mail\" of the account page.",
        ),
        "AccessDenied" | "AccessDeniedException" | "InvalidClientTokenId" => (
            "the function mail may not send",
            "The role of the function mail does not allow it: is the sender the one that the stack was deployed with? Mail waits, and goes out by itself once it may.",
        ),
        "OptInRequired" | "SubscriptionRequiredException" => (
            "the AWS account may not use SES",
            "AWS has not enabled SES for the account in this region, or its bill is open. Mail waits, and goes out by itself once it may.",
        ),
        SMTP_REFUSES => (
            "the SMTP server refuses all mail from here",
            "It does not accept the user, the password, the sender or the encryption, or lets this machine send to nobody: the log says what it answered, and `bursar serve --check` tries it. Mail waits, and goes out by itself once it may.",
        ),
        SMTP_LATER => (
            "the SMTP server put it off each time",
            "For hours it answered that it cannot take mail to this address for now. Ask the people who run it. Once the reason is fixed, press \"Send again\" in the section \"Mail\" of the account page.",
        ),
        "TimedOut" | "NoAnswer" | "UnreadableAnswer" | "InternalFailure" | "ServiceUnavailable" => {
            (
                "the mail server did not answer for hours",
                "Check whether the mail server has an outage, such as SES in this region. When it is over, press \"Send again\" in the section \"Mail\" of the account page. Some of these mails may have arrived, and those then arrive twice.",
            )
        }
        UNDELIVERABLE => (
            "mail to the recipient comes back or is not wanted",
            "Ask the person for another address, and put it where the old one stands. If the old one is right, press \"Try again\" beside it, and then \"Send again\", both in the section \"Mail\" of the account page.",
        ),
        BOUNCED => (
            "it came back for good",
            "Nothing more is sent to that address. Ask the person for another one, and put it where the old one stands. If it is right, press \"Try again\" beside it in the section \"Mail\" of the account page.",
        ),
        RETURNED => (
            "it came back",
            "The recipient's server refused it for now: perhaps the mailbox is full, or it rejects the size or the content. Mail to that address goes on, and an alert is sent again for some hours. If more of it comes back, ask the person, and the people who run their mail server.",
        ),
        RETURNED_EACH_TIME => (
            "it came back each time",
            "The recipient's server refused it at each of many tries over hours: perhaps the mailbox is full, or it rejects the size or the content. Tell the person what the programme's alerts page says, and ask them for another address or to make room in the mailbox. Then press \"Send again\" in the section \"Mail\" of the account page.",
        ),
        SUPPRESSED => (
            "SES did not try to deliver it",
            "SES keeps a list of addresses from which mail of any of its customers came back, and forgets each after a few days. Nothing is sent to that address for two weeks. Ask the person whether it is right; if it is, press \"Try again\" beside it in the section \"Mail\" of the account page.",
        ),
        COMPLAINED => (
            "it was complained about",
            "The recipient, or a machine on their behalf, marked it as unwanted. Links, alerts and notices about their keys still go to that address; digests and invitations do not. Ask the person; if they want those too, press \"Try again\" beside the address in the section \"Mail\" of the account page.",
        ),
        "NoSuchPerson" | "NoSuchCrossing" => (
            "what it is about is not in the table",
            "Something that the mail refers to is gone, as after a restore of the table; sending it again would not help. The log of the function mail names the row.",
        ),
        CORRUPT => (
            "what it is about cannot be read",
            "An item of the table has an unknown form, as after going back to an earlier version of Bursar. The log of the function mail names the row and the item. Once it is fixed, press \"Send again\" in the section \"Mail\" of the account page.",
        ),
        GIVEN_UP => (
            "the function mail broke off each time",
            "The function mail ended each time before it could record the outcome: check its log for this time. The mail may have arrived; if it has not, press \"Send again\" in the section \"Mail\" of the account page.",
        ),
        _ => (
            "",
            "The log of the function mail names the row, and the documentation of SES says what the code means. Once the reason is fixed, press \"Send again\" in the section \"Mail\" of the account page.",
        ),
    }
}
