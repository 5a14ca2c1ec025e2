//! What an admin is told of the account: the mail of each alarm, and whether it is still owed.

use bursar_core::domain::alarm::{Alarm, Cause};
use bursar_core::domain::balance::Basis;
use bursar_core::domain::id::PersonId;
use bursar_core::domain::mail_failure::{COMPLAINED, InWords};
use bursar_core::domain::mail_kind::MailKind;
use bursar_core::domain::money::Usd;
use bursar_core::domain::role::is_among;
use bursar_core::store::StoreError;
use jiff::civil::Date;

use crate::App;
use crate::letter::{Letter, Part};
use crate::owed::{GONE, Owed};
use crate::words::Words;

impl App {
    /// The mail of an alarm, if its recipient is still an admin.
    pub(crate) async fn account(&self, day: Date, alarm: &str, recipient: &PersonId) -> Result<Owed, StoreError> {
        let Some(alarm) = self.table.alarm(day, alarm).await? else { return Ok(GONE) };
        let Some(person) = self.table.person(recipient).await? else { return Ok(Owed::Unsendable("NoSuchPerson")) };
        if !is_among(person.address.matched(), &self.config.admins) {
            return Ok(Owed::Nothing("this person is no longer an admin"));
        }
        self.to_staff(&person.address, |words| words.account(&alarm)).await
    }
}

impl Words<'_> {
    pub(crate) fn account(self, alarm: &Alarm) -> Letter {
        let (subject, mut facts, next) = told(alarm);
        facts.push(("Found", alarm.found_at.strftime("%-d %B %Y, %H:%M (UTC)").to_string()));
        Letter {
            heading: subject.clone(),
            subject,
            parts: vec![
                Part::Facts(facts),
                Part::Sentences(next.to_owned()),
                Part::Link {
                    label: "See the account",
                    url: format!("{}/console/account", self.config.origin.as_str()),
                },
            ],
            why: format!("You get this mail because you are an admin of Bursar at {}.", self.config.institution),
            to: self.to.clone(),
        }
    }
}

/// The subject with the number, what is known, and what happens or is to be done.
fn told(alarm: &Alarm) -> (String, Vec<(&'static str, String)>, &'static str) {
    match &alarm.cause {
        Cause::HeldBack { sweeps, recoveries, stops, bound, keys } => {
            let count = sweeps.saturating_add(*recoveries).saturating_add(*stops);
            let counts = [
                ("Attempts to be swept", sweeps),
                ("Keys to be disabled by a recovery", recoveries),
                ("Live keys missing or disabled at the provider", stops),
            ];
            let some = counts.into_iter().filter(|(_, count)| **count > 0);
            let facts = some.chain([("Most that a sync disables by itself", bound)]);
            let mut facts: Vec<_> = facts.map(|(name, count)| (name, count.to_string())).collect();
            if !keys.is_empty() {
                let more = usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(keys.len());
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                facts.push(("Keys", format!("{}{more}", keys.join(", "))));
            }
            let (what, next) = if *stops > 0 {
                (
                    "disables and stops",
                    "None of them was disabled, and no grant was stopped. So many at once can mean that somebody disabled or deleted keys at the provider, or that the table is a copy of an earlier moment. Look why it is so, at the keys that the account page names; then let the next sync do it, by one press there.",
                )
            } else {
                (
                    "disables",
                    "None of them was disabled. So many at once can mean that the table is a copy of an earlier moment. Look why it is so, at the keys that the account page names; then let the next sync do it, by one press there.",
                )
            };
            (format!("The guard held back {count} {what}"), facts, next)
        }
        Cause::Residual { residual, news, tolerance } => {
            let subject = if *news < Usd::ZERO {
                format!("Keys spent {} more than the account did", news.abs().to_dollars_up())
            } else {
                format!("No key explains {} that the account spent", news.to_dollars_up())
            };
            let facts = vec![
                ("Day", day(alarm.day)),
                ("New", exact(*news)),
                ("Residual in all", exact(*residual)),
                ("Tolerance", exact(*tolerance)),
            ];
            let next = "The sums of all keys and the account's own total do not agree. Keys that were made and deleted between two syncs are one reason, a management key in the wrong hands is another. The account page shows the residual day by day; once you know why it is so, say it there. You hear of it again when it changes.";
            (subject, facts, next)
        }
        Cause::ManagementKey => {
            let next = "The provider refuses the management key. Nobody gets a new key and nothing that was spent is read until it works again; keys that students have go on. Put a working management key into the secret: it is read again within minutes.";
            ("The management key does not work".to_owned(), vec![("Day", day(alarm.day))], next)
        }
        Cause::AnotherAccount { management_key } => {
            let facts = vec![("Day", day(alarm.day)), ("Management key", management_key.short().to_owned())];
            let next = "The management key finds none of the keys that are on record. Nothing is made, changed or recorded with it, and students are asked to come back later; keys that they have go on. Put the management key of the right account into the secret: it is read again within minutes. If the account was changed on purpose, say so by one press on the account page.";
            ("The management key is of another account".to_owned(), facts, next)
        }
        Cause::Incomplete { problems, first } => {
            let problems = if *problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") };
            let subject = format!("The sync of {} is not complete: {problems}", day(alarm.day));
            let next = "What was read is recorded, and nothing is taken for zero that was not read. The next sync tries again. The account page lists the problems of each run.";
            (subject, vec![("First problem", first.clone())], next)
        }
        Cause::Silent { last } => {
            let subject = match last {
                Some(last) => {
                    format!("No sync was complete for {} hours", alarm.found_at.duration_since(*last).as_hours())
                }
                None => "No sync was ever complete".to_owned(),
            };
            let last = last.map_or("never".to_owned(), |last| last.strftime("%-d %B %Y, %H:%M (UTC)").to_string());
            let next = "Nobody knows what was spent since, alerts wait, and keys without an owner live on. Look into the log of usage-sync and at the alarms of the stack: is its schedule on, does it fail, is the management key good?";
            (subject, vec![("Last complete sync", last)], next)
        }
        Cause::Balance { balance, need, .. } => {
            let (than, needed) = match need.basis {
                Basis::TwoWeeks => ("short of what two weeks use", "Two weeks at the recent pace"),
                Basis::Promised => ("below what is promised", "Promised to keys and not spent yet"),
            };
            let short = (need.amount - *balance).to_dollars_up();
            let facts = vec![("Balance", balance.to_dollars_down()), (needed, need.amount.to_dollars_up())];
            let next = "When the balance is gone every key of the account is refused, free models too. Buy credit at the provider; if it is bought by itself as it is used, look whether that still works and is enough. If nobody can buy more, lower budgets and caps. You hear of it again when it is worse by a tenth, or comes back after it was over.";
            (format!("The balance is {short} {than}"), facts, next)
        }
        Cause::MailRefused { code, since } => {
            let why = InWords::of(code);
            let since = since.strftime("%-d %B %Y, %H:%M (UTC)").to_string();
            let facts = vec![("Since", since), ("Reason", format!("{} ({code})", why.what))];
            (format!("Mail waits: {}", why.what), facts, why.to_do)
        }
        Cause::MailWaits { urgent, mails, since } => {
            let (what, next) = match urgent {
                true => (
                    "links, alerts and notices",
                    "Such mail leaves within seconds. Look into the log of mail, and at the alarms of the stack: does the function fail, is its schedule on, does SES answer?",
                ),
                false => (
                    "roster mails, digests and notices about caps and rules",
                    "The section \"Mail\" of the account page says what the quota of SES leaves for today. If it is used up, mail goes on by itself as it frees up; ask AWS for a higher one if it is too small. If it is not, the log of mail says what is in the way.",
                ),
            };
            let since = since.strftime("%-d %B %Y, %H:%M (UTC)").to_string();
            let facts = vec![("Waiting", format!("{mails}: {what}")), ("The oldest since", since)];
            let subject = if *mails == 1 {
                "A mail waits and is not sent".to_owned()
            } else {
                format!("{mails} mails wait and are not sent")
            };
            (subject, facts, next)
        }
        Cause::NothingHeard { of, sent } => {
            let facts = vec![("Mails sent", sent.to_string()), ("On", day(*of))];
            let next = "SES is to say of each mail whether it was delivered, came back or was complained about, and has said nothing. Until it does, nobody hears of addresses that do not exist, and mail is not stopped when too much comes back. Look whether the stack's configuration set still sends its events to the stack's topic, and whether the topic still has the function mail as a subscriber; deploying the stack again makes both anew.";
            (format!("Nothing was heard of {sent} mails"), facts, next)
        }
        Cause::Unsent { mail, code } => {
            let why = InWords::of(code);
            let kind = mail.map_or("mails that cannot be read", MailKind::in_words).to_owned();
            let facts = vec![("Kind", kind), ("Reason", format!("{} ({code})", why.what))];
            let subject = match code.as_str() {
                COMPLAINED => "Somebody complained about a mail".to_owned(),
                _ => format!("Mail did not arrive: {}", why.what),
            };
            (subject, facts, why.to_do)
        }
        Cause::BulkStopped { mail_day, .. } => {
            let (kind, counts) = (mail_day.mail.in_words(), mail_day.counts);
            let facts = vec![
                ("Kind", kind.to_owned()),
                ("Sent on", day(mail_day.day)),
                ("Sent", counts.sent.to_string()),
                ("Came back for good", counts.bounced.to_string()),
                ("Complained about", counts.complained.to_string()),
            ];
            let next = "Mail of this kind waits; all other mail goes on, and so do links and alerts. AWS stops all mail of an account of which more than a tenth comes back, or one in two hundred is complained about. Look which addresses came back: an old roster is the usual reason. Then let the rest of today's go on by one press on the account page; otherwise it goes on at midnight UTC. After the press it stops again, and you hear again, if more than five in a hundred come back.";
            (format!("So much came back that {kind} are stopped"), facts, next)
        }
        Cause::RulesRefused { programme, since, why } => {
            let since = since.strftime("%-d %B %Y, %H:%M (UTC)").to_string();
            let facts = vec![
                ("Programme", programme.to_string()),
                ("Refused since", since),
                ("The provider says", why.clone()),
            ];
            let next = "Until the provider has confirmed them, the rules that it confirmed last stay in force for keys that exist, and nobody gets a key under stricter ones. A model that is misspelled or was withdrawn is the usual reason: look at \"Models\" and \"Data policy\" on the programme's page, and save what the provider has.";
            (format!("The provider refuses the models or the data policy of {programme}"), facts, next)
        }
        Cause::Stuck { programme, since } => {
            let since = since.strftime("%-d %B %Y, %H:%M (UTC)").to_string();
            let facts = vec![("Programme", programme.to_string()), ("Not carried on since", since)];
            let next = "An import of a roster was begun and nobody goes on with it. Look into the log of console: its work runs each minute and says what fails.";
            (format!("A job of {programme} does not go on"), facts, next)
        }
    }
}

/// To the micro-dollar: a tolerance is less than a cent.
fn exact(amount: Usd) -> String {
    if amount < Usd::ZERO { format!("-${}", Usd::ZERO - amount) } else { format!("${amount}") }
}

fn day(date: Date) -> String {
    date.strftime("%-d %B %Y").to_string()
}
