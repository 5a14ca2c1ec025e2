//! The words of each alarm: the number in the subject, the known facts, their meaning, and what to
//! do.

use bursar_core::clock::Moment;
use bursar_core::domain::credit::{DAYS_TO_BUY, Purchase, WhyGone};
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::failure::FailureText;
use bursar_core::domain::values::format::{counted, long_date, utc};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{days_between, utc_date};
use jiff::civil::Date;

use crate::account::{AlarmText, NamedAccount};

impl AlarmText {
    /// What each cause comes to, in words.
    pub(super) fn new(alarm: &Alarm, named: &NamedAccount) -> AlarmText {
        let Alarm {
            day,
            found_at,
            cause,
            ..
        } = alarm.clone();
        match cause {
            Cause::HeldBack {
                sweeps,
                recoveries,
                stops,
                bound,
                keys,
            } => switched_off([sweeps, recoveries, stops], bound, &keys),
            Cause::Residual {
                residual: amount,
                news,
                tolerance,
            } => residual(amount, news, tolerance, day),
            Cause::AdminChanged { is_admin, .. } => admin_changed(is_admin, &named.admins),
            Cause::AdminByLink { .. } => alarm_text(
                "An admin signed in by a mailed link",
                vec![("Who", named.admins.0.clone())],
                "Admins have to sign on here. This one is named in the deployment's settings, and so may come in by a mailed link all the \
                       same, for one hour. Where the sign-on was down, nothing is to do. If it was not them, another person reads their \
                       mailbox: take the address out of the deployment's admins, and read the audit.",
            ),
            Cause::ManagementKey => alarm_text(
                "The management key does not work",
                vec![("Day", long_date(day))],
                "OpenRouter refuses it. Until it works again nobody gets a new key, no key can be switched off, and nobody knows what is \
                       spent; the keys that students have keep working. Make another management key at OpenRouter, and put it into the \
                       secret: Bursar uses it within minutes.",
            ),
            Cause::AnotherAccount { management_key } => alarm_text(
                "The management key is of another account, or its keys are gone",
                vec![
                    ("Day", long_date(day)),
                    (
                        "Fingerprint of the management key",
                        management_key.short().to_owned(),
                    ),
                ],
                "It is of another account, or all keys of the account were deleted. Nothing is made, changed or recorded with it, and \
                       students are asked to come back later; keys that are still there keep working. If the account is wrong, put the \
                       management key of the right one into the secret: Bursar uses it within minutes. If it was changed on purpose, or \
                       its keys were, confirm it with the button on the account page.",
            ),
            Cause::Incomplete { problems, first } => {
                let problems = counted(u64::from(problems), "problem", "problems");
                alarm_text(
                    format!(
                        "The check of {} is not complete: {problems}",
                        long_date(day)
                    ),
                    vec![("First problem", first)],
                    "Bursar could not read all that it checks at OpenRouter each night. What it could read is recorded; for the rest the last \
                       figures stand. Bursar tries again by itself. If the next check is not complete either, the account page lists the \
                       problems of each.",
                )
            }
            Cause::UnknownKeys { keys, first, .. } => {
                let keys = counted(u64::from(keys), "working key", "working keys");
                alarm_text(
                    format!("{keys} with Bursar's names and without a student"),
                    vec![("First key", first)],
                    "OpenRouter lists these keys, but Bursar's table does not know them. Most likely the table was restored from an earlier \
                       moment. Bursar leaves the keys as they are, and anybody who has one can spend with it. The account page names them: \
                       find out whose they are, and disable at OpenRouter those that nobody needs.",
                )
            }
            Cause::Silent { last } => alarm_text(
                match last {
                    Some(last) => {
                        format!(
                            "No complete check at OpenRouter for {} hours",
                            found_at.duration_since(last).as_hours()
                        )
                    }
                    None => "No complete check at OpenRouter yet".to_owned(),
                },
                vec![("Last complete check", last.map_or("never".to_owned(), utc))],
                "Nobody knows what was spent since then, alerts wait, and keys made elsewhere are not noticed. Check the log of \
                       the function usage-sync: does it run each night, does it fail, does the management key work?",
            ),
            Cause::Balance { purchase, .. } => balance(&purchase, utc_date(found_at)),
            Cause::MailRefused { code, since } => {
                let why = FailureText::from_code(&code);
                let facts = vec![
                    ("Since", utc(since)),
                    ("Why", format!("{} ({code})", why.what)),
                ];
                alarm_text(format!("Mail waits: {}", why.what), facts, why.to_do)
            }
            Cause::MailWaits {
                urgent,
                mails,
                since,
            } => waits(urgent, mails, since),
            Cause::NothingHeard { sent_on, sent } => {
                let facts = vec![(
                    "Mails looked at",
                    format!("the first {sent} that were sent on {}", long_date(sent_on)),
                )];
                let next = "SES should report for each mail whether it was delivered, came back or was complained about. It has reported \
                        nothing about these mails. Until it does, nobody hears of addresses that do not exist. Check that the stack's \
                        configuration set still sends its events to the stack's topic, and that the function mail is still subscribed to \
                        the topic; deploying the stack again restores both.";
                alarm_text(
                    format!("SES has reported nothing about {sent} mails"),
                    facts,
                    next,
                )
            }
            Cause::BulkStopped { figures } => {
                let facts = vec![
                    (
                        "Day",
                        format!(
                            "{}, in UTC, as the mail server counts its mails",
                            long_date(utc_date(figures.as_of))
                        ),
                    ),
                    ("Sent", figures.sent.to_string()),
                    ("Came back for good", figures.bounced.to_string()),
                    ("Complained about", figures.complained.to_string()),
                ];
                let next = "Invitations, digests, statements and notices about caps and rules wait until midnight UTC, and then go on by themselves. \
                        Links, alerts and what is sent by hand go on. Mail servers stop taking any from where too much comes back; SES does at \
                        more than a tenth, or one in two hundred that is complained about. The programmes' pages say whose mail came back: an old roster is the usual \
                        reason.";
                let subject =
                    "So much mail came back that invitations and digests wait until tomorrow"
                        .to_owned();
                alarm_text(subject, facts, next)
            }
            Cause::Unsent { code, .. } => named.unsent.text(&code),
            Cause::RulesRefused {
                group,
                tier,
                since,
                why,
                ..
            } => rules_refused(
                group.as_deref(),
                tier.as_deref(),
                since,
                why,
                &named.programme,
            ),
            Cause::Stuck { since, .. } => alarm_text(
                format!("Changes to {} are stuck", named.programme),
                vec![
                    ("Programme", named.programme.clone()),
                    ("Nothing was done since", utc(since)),
                ],
                "A roster, new caps, new models or the close of the programme is only partly done; the programme's page shows how far. If \
                       OpenRouter cannot be reached, the change goes on by itself later. Otherwise check the log of the function console, \
                       which tries each minute and says what fails.",
            ),
            Cause::ErasureStuck { since } => alarm_text(
                "An erasure is stuck",
                vec![("Nothing was erased since", utc(since))],
                "An erasure waits until the person's keys are off and checked at OpenRouter for the last time, and until a roster that is \
                       being applied is done. If OpenRouter cannot be reached, the erasure goes on by itself later. Otherwise check the \
                       log of the function console, which tries each minute and says what fails.",
            ),
            Cause::OffUnconfirmed { grants, since, .. } => alarm_text(
                "OpenRouter has not switched off keys that should be off",
                vec![
                    ("Students, as far as they were counted", grants.to_string()),
                    ("The first should be off since", utc(since)),
                ],
                "Until OpenRouter confirms it, anybody who has such a key can go on spending, up to the key's limit. Bursar tries again by \
                       itself. The student's page says what is not confirmed, and the log of the function console says why. If that cannot \
                       wait, switch the key off at OpenRouter by hand: its name has the id that is in the address of the student's page.",
            ),
            Cause::BalanceUnread { since } => alarm_text(
                "Nobody knows what is left of the balance",
                vec![("Not read since", utc(since))],
                "Bursar asks OpenRouter for the balance each quarter of an hour, so that you hear in time when it runs out. Now it gets no \
                       answer. Check the log of the function usage-sync: what does OpenRouter say?",
            ),
            Cause::SiteDown { why } => alarm_text(
                "The pages cannot be reached",
                vec![("Why", why)],
                "Bursar asked for its own first page, twice, as a browser would. Keys keep working, but nobody can sign in, claim, or \
                       report a key as leaked. Check the name in DNS, its certificate, and what stands in front of the pages; then the log \
                       of the function claim.",
            ),
            Cause::Machine { sentence, .. } => alarm_text(
                sentence.trim_end_matches('.'),
                Vec::new(),
                "The machine on which Bursar runs says so. What lasts stands in the answer to /health there; the log of the service says \
                       what fails.",
            ),
        }
    }
}

fn alarm_text(
    subject: impl Into<String>,
    facts: Vec<(&'static str, String)>,
    next: impl Into<String>,
) -> AlarmText {
    AlarmText {
        subject: subject.into(),
        facts,
        next: next.into(),
    }
}

/// The alarm of a sync that found more keys to disable than it may on its own judgement.
fn switched_off([sweeps, recoveries, stops]: [u32; 3], bound: u32, keys: &[String]) -> AlarmText {
    let count = sweeps.saturating_add(recoveries).saturating_add(stops);
    let counts = [
        ("Keys that nobody was shown", sweeps),
        ("Second keys of students who have another", recoveries),
        (
            "Keys of students, missing or switched off at OpenRouter",
            stops,
        ),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let counts = counts.chain([("Most that Bursar switches off by itself in a day", bound)]);
    let mut facts: Vec<_> = counts
        .map(|(name, count)| (name, count.to_string()))
        .collect();
    if !keys.is_empty() {
        let unnamed = (count as usize).saturating_sub(keys.len());
        let rest = if unnamed > 0 {
            format!(" and {unnamed} more")
        } else {
            String::new()
        };
        facts.push(("Which", format!("{}{rest}", keys.join(", "))));
    }
    let why = match stops {
        0 => "that the table was restored from an earlier moment",
        _ => {
            "that keys were deleted or switched off at OpenRouter, or that the table was restored from an earlier moment"
        }
    };
    alarm_text(
        format!(
            "{} would have been switched off, but Bursar waits for you",
            counted(u64::from(count), "key", "keys")
        ),
        facts,
        format!(
            "None of them was switched off, since so many at once can mean {why}. The account page names the keys. Find out the \
             reason. If they should be off, press the button there, and the next check switches them off. Until then nothing \
             happens to them."
        ),
    )
}

fn residual(residual: Usd, news: Usd, tolerance: Usd, day: Date) -> AlarmText {
    // What is new of it, or all that is left of it if it shrank.
    let has_grown = (news < Usd::ZERO) == (residual < Usd::ZERO);
    let amount = if has_grown {
        news.abs().min(residual.abs())
    } else {
        residual.abs()
    }
    .to_dollars();
    let less = if has_grown { "" } else { ", less than before" };
    let mut where_to_look = " The account page shows the amount day by day, and OpenRouter's activity page shows which models were called.";
    let subject;
    let what;
    if residual.abs() <= tolerance {
        subject = "All spending is explained again".to_owned();
        what = "The account and all keys together have spent the same again. The usual reason is that OpenRouter counted something late.";
        where_to_look = "";
    } else if residual < Usd::ZERO {
        subject = format!("Keys spent {amount} more than the account did{less}");
        what = "All keys together spent more than the account. The usual reason is a refund.";
    } else {
        subject = format!("No key explains {amount} that the account spent{less}");
        what = "The account spent more than all keys together. Usual reasons are a key that was made and deleted between two \
                checks, and OpenRouter's own chat page. Another is a management key in the wrong hands.";
    }
    let facts = vec![
        ("Day", long_date(day)),
        ("New", exact(news)),
        ("Not explained in all", exact(residual)),
        ("Rounding may be up to", exact(tolerance)),
    ];
    let next = format!("{what}{where_to_look} You get another mail only when the amount changes.");
    alarm_text(subject, facts, next)
}

fn admin_changed(is_admin: bool, (who, actor): &(String, String)) -> AlarmText {
    let what;
    let next;
    if is_admin {
        what = "is an admin of Bursar";
        next = "An admin can do everything with every programme and with the account. If this is not right, remove them";
    } else {
        what = "is no longer an admin of Bursar";
        next = "They were signed out everywhere. If this is not right, add them again";
    }
    alarm_text(
        format!("{who} {what}"),
        vec![("By", actor.clone())],
        format!("{next} on the account page."),
    )
}

fn rules_refused(
    group: Option<&str>,
    tier: Option<&str>,
    since: Moment,
    why: String,
    programme: &str,
) -> AlarmText {
    let whose;
    let fix;
    match (tier, group) {
        (Some(tier), _) => {
            whose = format!("The model list {tier}");
            fix = "open the model lists, correct this one, and save. If its models are right, check the data policy, providers and regions of the programme";
        }
        (None, None) => {
            whose = "Everybody without models of their own".to_owned();
            fix = "open the programme's settings, correct the models, the data policy, the providers or the regions, and save";
        }
        (None, Some(group)) => {
            whose = format!("The group {group}");
            fix = "open the groups, correct its models, and save. If those are right, check the data policy, providers and regions of the programme";
        }
    }
    alarm_text(
        format!("OpenRouter refuses the allowed models of {programme}"),
        vec![
            ("Programme", programme.to_owned()),
            ("For", whose),
            ("Refused since", utc(since)),
            ("OpenRouter says", why),
        ],
        format!(
            "Keys keep the models that OpenRouter confirmed last, and new keys are still made; where it never confirmed anything, \
             nobody gets a key until it does. The usual reason is a model that is misspelled or was withdrawn: {fix}."
        ),
    )
}

/// The amount to the micro-dollar, since a tolerance is less than a cent.
fn exact(amount: Usd) -> String {
    if amount < Usd::ZERO {
        format!("-${}", Usd::ZERO - amount)
    } else {
        format!("${amount}")
    }
}

fn waits(urgent: bool, mails: u64, since: Moment) -> AlarmText {
    let what;
    let next;
    if urgent {
        what = "links, alerts and notices";
        next = "Such mail usually leaves within seconds. Check the log of the function mail: does it run each minute, does it fail, \
                does the mail server answer?";
    } else {
        what = "invitations, digests, statements and notices about caps and rules";
        next = "The section \"Mail\" of the account page says what the mail server's quota leaves for today. If it is used up, mail goes \
                on by itself as it frees up; ask for a higher one if it is too small. If it is not, the log of the function mail says what \
                is in the way.";
    }
    let facts = vec![
        ("Waiting", format!("{mails}: {what}")),
        ("The oldest since", utc(since)),
    ];
    let wait = if mails == 1 {
        "waits and is"
    } else {
        "wait and are"
    };
    let subject = format!("{} {wait} not sent", counted(mails, "mail", "mails"));
    alarm_text(subject, facts, next)
}

/// The alarm about the balance, found on a day.
fn balance(purchase: &Purchase, found_on: Date) -> AlarmText {
    let amount = purchase.amount.to_dollars();
    let when = purchase.when(found_on).unwrap_or_default();
    let lasts = purchase
        .gone
        .map(|gone| (gone.why, days_between(found_on, gone.day)));
    let subject = match lasts {
        Some((WhyGone::Today, _)) => {
            format!("The balance does not last a day: buy {amount} of credit {when}")
        }
        Some((WhyGone::Pace, days @ ..=14)) => {
            let days = counted(u64::try_from(days).unwrap_or(0), "day", "days");
            format!("The balance lasts {days}: buy {amount} of credit {when}")
        }
        Some((WhyGone::Pace | WhyGone::Claims, _)) | None => {
            format!("Buy {amount} of credit {when}")
        }
    };
    let mut facts = vec![
        (
            "Balance at OpenRouter",
            purchase.balance.whole_cents().to_dollars(),
        ),
        (
            "Programmes can still cost",
            format!(
                "{} if everybody on the rosters claims",
                purchase.to_come.to_dollars()
            ),
        ),
    ];
    if let Some(until) = purchase
        .until
        .filter(|_| purchase.foreign_to_come > Usd::ZERO)
    {
        let foreign = format!(
            "{} until {}",
            purchase.foreign_to_come.to_dollars(),
            long_date(until)
        );
        facts.push(("Keys made elsewhere may use", foreign));
    }
    if purchase.a_week > Usd::ZERO {
        facts.push((
            "All keys use in a week",
            format!("about {}", purchase.a_week.to_dollars()),
        ));
    }
    if purchase.spent_since > Usd::ZERO {
        facts.push((
            "Spent since the last check",
            purchase.spent_since.to_dollars(),
        ));
    }
    facts.push((
        "To be bought, in whole hundreds",
        purchase.amount.to_dollars(),
    ));
    let next = format!(
        "{} A purchase may take {DAYS_TO_BUY} days. When the balance is gone, every key of the account is refused, for free models \
         too. Buy credit at OpenRouter; if it is bought automatically, check that this still works and buys enough. If nobody can \
         buy more, lower budgets and caps. You get another mail when the balance lasts half as long (14, 7, 3 days, one day), or \
         when rosters are added that double what programmes can cost.",
        purchase.to_words(found_on)
    );
    alarm_text(subject, facts, next)
}
