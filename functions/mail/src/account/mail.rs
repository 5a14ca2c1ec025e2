//! The words of alarms about the mail itself: that it waits, is refused, or was stopped.

use bursar_core::domain::mail::day::MailDay;
use bursar_core::domain::mail::failure::FailureText;

use super::{AccountPlace, AlarmText, moment};
use crate::letter::words::some;
use crate::prelude::*;

pub(super) fn refused(code: &str, since: Timestamp) -> AlarmText {
    let why = FailureText::of(code);
    let facts = vec![("Since", moment(since)), ("Why", format!("{} ({code})", why.what))];
    alarm_text(format!("Mail waits: {}", why.what), facts, why.to_do.to_owned())
}

pub(super) fn waits(urgent: bool, mails: u64, since: Timestamp) -> AlarmText {
    let (what, next) = match urgent {
        true => (
            "links, alerts and notices",
            "Such mail leaves within seconds. Look into the log of the function mail, and at the alarms of the stack: does it fail, is \
             its schedule on, does SES answer?",
        ),
        false => (
            "roster mails, digests, statements and notices about caps and rules",
            "The section \"Mail\" of the account page says what the quota of SES leaves for today. If it is used up, mail goes on by \
             itself as it frees up; ask AWS for a higher one if it is too small. If it is not, the log of the function mail says what \
             is in the way.",
        ),
    };
    let facts = vec![("Waiting", format!("{mails}: {what}")), ("The oldest since", moment(since))];
    let wait = if mails == 1 { "waits and is" } else { "wait and are" };
    let subject = format!("{} {wait} not sent", some(mails, "mail"));
    alarm_text(subject, facts, next.to_owned())
}

pub(super) fn no_events(of: Date, sent: u64) -> AlarmText {
    let facts = vec![("Mails sent", sent.to_string()), ("On", long_date(of))];
    let next = "SES should report of each mail whether it was delivered, came back or was complained about, and has reported nothing. \
                Until it does, nobody hears of addresses that do not exist, and mail is not stopped when too much comes back. Look \
                whether the stack's configuration set still sends its events to the stack's topic, and whether the function mail still \
                is a subscriber of the topic; deploying the stack again makes both anew.";
    alarm_text(format!("SES has reported nothing of {sent} mails"), facts, next.to_owned())
}

pub(super) fn stopped(of: &MailDay) -> AlarmText {
    let (kind, counts) = (of.mail.in_words(), of.counts);
    let facts = vec![
        ("Kind", kind.to_owned()),
        ("Sent on", long_date(of.day)),
        ("Sent", counts.sent.to_string()),
        ("Came back for good", counts.bounced.to_string()),
        ("Complained about", counts.complained.to_string()),
    ];
    let next = format!(
        "Only these wait; links, alerts and all other mail go on. AWS stops all mail of an account of which more than a tenth comes back, \
         or one in two hundred is complained about. Look on the programmes' pages whose mail came back: an old roster is the usual reason. \
         The {kind} go on by themselves at midnight UTC."
    );
    alarm_text(format!("So much came back that {kind} are stopped"), facts, next)
}

fn alarm_text(subject: String, facts: Vec<(&'static str, String)>, next: String) -> AlarmText {
    AlarmText { subject, facts, next, leads_to: AccountPlace::Mail }
}
