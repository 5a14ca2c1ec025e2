//! The words of each alarm: the number in the subject, the known facts, their meaning, and what to do.

use crate::account::{AccountPlace, AlarmText, NamedAccount, credit, mail, moment};
use crate::letter::words::some;
use crate::prelude::*;

impl AlarmText {
    pub(super) fn of(alarm: &Alarm, named: &NamedAccount) -> AlarmText {
        match &alarm.cause {
            Cause::HeldBack { sweeps, recoveries, stops, bound, keys } => {
                switched_off([*sweeps, *recoveries, *stops], *bound, keys)
            }
            Cause::Residual { residual, news, tolerance } => {
                let (subject, what) = if *news < Usd::ZERO {
                    (
                        format!("Keys spent {} more than the account did", news.abs().to_dollars_up()),
                        "All keys together spent more than the account. A refund is the usual reason.",
                    )
                } else {
                    (
                        format!("No key explains {} that the account spent", news.to_dollars_up()),
                        "The account spent more than all keys together. A key that somebody made and deleted between two syncs and \
                         the provider's own chat page are usual reasons; a management key in the wrong hands is another.",
                    )
                };
                let facts = vec![
                    ("Day", long_date(alarm.day)),
                    ("New", exact(*news)),
                    ("Spending not matched to a key, in all", exact(*residual)),
                    ("Rounding may come to", exact(*tolerance)),
                ];
                let next = format!(
                    "{what} The account page shows it day by day, and the provider's activity page what was called. You hear of \
                     it again only when it changes."
                );
                AlarmText { subject, facts, next, leads_to: AccountPlace::Account }
            }
            Cause::ManagementKey => AlarmText {
                subject: "The management key does not work".to_owned(),
                facts: vec![("Day", long_date(alarm.day))],
                next: "The provider refuses it. Nobody gets a new key, no key can be switched off, and nothing that is spent is read, \
                       until it works again; keys that students have go on. Make another management key at the provider, and put it \
                       into the secret: it is read again within minutes."
                    .to_owned(),
                leads_to: AccountPlace::Account,
            },
            Cause::AnotherAccount { management_key } => AlarmText {
                subject: "The management key is of another account".to_owned(),
                facts: vec![
                    ("Day", long_date(alarm.day)),
                    ("Fingerprint of the management key", management_key.short().to_owned()),
                ],
                next: "It finds none of the keys that are on record. Nothing is made, changed or recorded with it, and students are \
                       asked to come back later; keys that they have go on. Put the management key of the right account into the \
                       secret: it is read again within minutes. If the account was changed on purpose, say so by one press on the \
                       account page."
                    .to_owned(),
                leads_to: AccountPlace::Account,
            },
            Cause::Incomplete { problems, first } => {
                let problems = some(u64::from(*problems), "problem");
                AlarmText {
                    subject: format!("The sync of {} is not complete: {problems}", long_date(alarm.day)),
                    facts: vec![("First problem", first.clone())],
                    next: "What it could read is recorded; of the rest the last figures stand. The next sync tries again by itself. \
                           If that is not complete either, the account page lists the problems of each under \"The last syncs\"."
                        .to_owned(),
                    leads_to: AccountPlace::Account,
                }
            }
            Cause::Silent { last } => AlarmText {
                subject: match last {
                    Some(last) => {
                        format!("No sync was complete for {} hours", alarm.found_at.duration_since(*last).as_hours())
                    }
                    None => "No sync was ever complete".to_owned(),
                },
                facts: vec![("Last complete sync", last.map_or("never".to_owned(), moment))],
                next: "Nobody knows what was spent since, alerts wait, and keys that nobody owns are not noticed. Look into the log of \
                       usage-sync and at the alarms of the stack: is its schedule on, does it fail, does the management key work?"
                    .to_owned(),
                leads_to: AccountPlace::Account,
            },
            Cause::Balance { need, purchase, .. } => credit::balance(*need, purchase, utc_date(alarm.found_at)),
            Cause::MailRefused { code, since } => mail::refused(code, *since),
            Cause::MailWaits { urgent, mails, since } => mail::waits(*urgent, *mails, *since),
            Cause::NothingHeard { of, sent } => mail::no_events(*of, *sent),
            Cause::BulkStopped { mail_day } => mail::stopped(mail_day),
            Cause::Unsent { code, .. } => named.unsent.text(code),
            Cause::RulesRefused { programme, group, tier, since, why } => {
                let (whose, mend, leads_to) = match (tier, group) {
                    (Some(tier), _) => (
                        format!("The tier {tier}"),
                        "open the tiers' page, mend the tier, and save. If its models are right, look at the data policy, providers and regions of the programme".to_owned(),
                        AccountPlace::Tiers,
                    ),
                    (None, None) => (
                        "Everybody without models of their own".to_owned(),
                        "open the programme's settings, mend the models, the data policy, the providers or the regions, and save".to_owned(),
                        AccountPlace::Settings(programme.clone()),
                    ),
                    (None, Some(group)) => (
                        format!("The group {group}"),
                        "open the page of the groups, mend its models, and save. If those are right, look at the data policy, providers and regions of the programme".to_owned(),
                        AccountPlace::Groups(programme.clone()),
                    ),
                };
                AlarmText {
                    subject: format!("The provider refuses rules of {}", named.programme),
                    facts: vec![
                        ("Programme", named.programme.clone()),
                        ("For", whose),
                        ("Refused since", moment(*since)),
                        ("The provider says", why.clone()),
                    ],
                    next: format!(
                        "Keys may use what the provider confirmed last, and go on being made; where it never confirmed any, nobody gets \
                         a key until it does. A model that is misspelled or was withdrawn is the usual reason: {mend}."
                    ),
                    leads_to,
                }
            }
            Cause::Stuck { programme, since } => AlarmText {
                subject: format!("Work on {} stands still", named.programme),
                facts: vec![("Programme", named.programme.clone()), ("Nothing was done since", moment(*since))],
                next: "Somebody began it: a roster, other limits, other models, the close of the programme. Part of it is done, and its \
                       page says which. If the provider is out of reach, it goes on by itself. Otherwise look into the log of the function \
                       console: its work runs each minute, and says what fails."
                    .to_owned(),
                leads_to: AccountPlace::Programme(programme.clone()),
            },
        }
    }
}

/// The alarm of a sync that found more keys to disable than it may on its own judgement.
fn switched_off([sweeps, recoveries, stops]: [u32; 3], bound: u32, keys: &[String]) -> AlarmText {
    let count = sweeps.saturating_add(recoveries).saturating_add(stops);
    let counts = [
        ("Keys that nobody was shown", sweeps),
        ("Second keys of students who have another", recoveries),
        ("Keys of students, missing or switched off at the provider", stops),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let counts = counts.chain([("Most that a sync switches off by itself", bound)]);
    let mut facts: Vec<_> = counts.map(|(name, count)| (name, count.to_string())).collect();
    if !keys.is_empty() {
        let more = usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(keys.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        facts.push(("Which", format!("{}{more}", keys.join(", "))));
    }
    let why = match stops {
        0 => "that the table was restored from an earlier moment",
        _ => {
            "that somebody deleted keys or switched them off at the provider, or that the table was restored from an earlier moment"
        }
    };
    AlarmText {
        subject: format!("{} would have been switched off; we did not", some(u64::from(count), "key")),
        facts,
        next: format!(
            "The sync left all of them as they are: so many at once can mean {why}. The account page names the keys. Find out why it is \
             so. If it is right, press there to let the next sync do it; as long as nobody presses, nothing happens to them."
        ),
        leads_to: AccountPlace::Account,
    }
}

/// The amount to the micro-dollar, since a tolerance is less than a cent.
fn exact(amount: Usd) -> String {
    if amount < Usd::ZERO { format!("-${}", Usd::ZERO - amount) } else { format!("${amount}") }
}
