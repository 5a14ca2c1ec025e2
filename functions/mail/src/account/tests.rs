//! The words of each alarm.

use bursar_core::domain::credit::{BalanceGone, Purchase, WhyGone};
use bursar_core::domain::mail::kind::SendFigures;
use bursar_core::domain::values::money::Usd;
use bursar_core::secrets::ManagementKey;
use jiff::ToSpan;
use jiff::civil::date;

use super::*;
use crate::tests::{now, programme, told};

/// An alarm's subject, which is its heading too, and its text without the reason of the mail.
async fn mailed(cause: Cause) -> String {
    let admins = ("grace@example.edu".to_owned(), String::new());
    let named = NamedAccount {
        programme: "CS pilot".to_owned(),
        admins,
        ..NamedAccount::default()
    };
    let text = told(|words| words.account(&Alarm::now(cause, now()), &named)).await;
    let (subject, rest) = text.split_once('\n').unwrap();
    let why = "\nYou get this mail because you are an admin of Bursar at Example University.";
    format!(
        "{subject}{}",
        rest.strip_prefix(subject)
            .unwrap()
            .strip_suffix(why)
            .unwrap()
    )
}

fn held(sweeps: u32, recoveries: u32, stops: u32) -> Cause {
    Cause::HeldBack {
        sweeps,
        recoveries,
        stops,
        bound: 5,
        keys: Vec::new(),
    }
}

fn refused(tier: Option<&str>, group: Option<&str>) -> Cause {
    Cause::RulesRefused {
        programme: programme().id,
        group: group.map(str::to_owned),
        tier: tier.map(str::to_owned),
        since: now() - 1.hour(),
        why: "no such model: openai/gpt-40".to_owned(),
    }
}

#[tokio::test]
async fn alarms() {
    let residual = Usd::from_micros(6_120_003);
    let news = Usd::from_micros(4_120_003);
    let tolerance = Usd::from_micros(214);
    let management_key = ManagementKey::parse("sk-or-v1-other")
        .unwrap()
        .fingerprint(&"0123456789".parse().unwrap());
    let first = "the keys could not all be listed: status 503".to_owned();
    let figures = SendFigures {
        as_of: now(),
        sent: 400,
        bounced: 12,
        complained: 0,
    };
    let mut mails = Vec::new();
    for cause in [
        held(30, 0, 0),
        Cause::Residual {
            residual,
            news,
            tolerance,
        },
        Cause::AdminByLink {
            person: "fedcba9876543210".parse().unwrap(),
            signed_in_at: now(),
        },
        Cause::ManagementKey,
        Cause::AnotherAccount { management_key },
        Cause::Incomplete { problems: 2, first },
        Cause::UnknownKeys {
            keys: 2,
            first: "bursar/0123456789/p/g/2".to_owned(),
            set: String::new(),
        },
        refused(None, None),
        Cause::Stuck {
            programme: programme().id,
            since: now() - 1.hour(),
        },
        Cause::ErasureStuck {
            since: now() - 6.hours(),
        },
        Cause::OffUnconfirmed {
            grants: 2,
            since: now() - 2.hours(),
            programme: programme().id,
            grant: "0123456789abcdef".parse().unwrap(),
        },
        Cause::BalanceUnread {
            since: now() - 3.hours(),
        },
        Cause::SiteDown {
            why: "no answer within ten seconds".to_owned(),
        },
        Cause::Machine {
            what: "claims-fail".to_owned(),
            sentence: "Within a quarter of an hour three students pressed for a key and got none."
                .to_owned(),
        },
        Cause::BulkStopped { figures },
        Cause::NothingHeard {
            sent_on: date(2026, 11, 19),
            sent: 20,
        },
    ] {
        mails.push(mailed(cause).await);
    }
    insta::assert_snapshot!(mails.join("\n\n"), @"
    30 keys would have been switched off, but Bursar waits for you
    Keys that nobody was shown: 30
    Most that Bursar switches off by itself in a day: 5
    Found: 20 Nov 2026, 10:00 UTC
    None of them was switched off, since so many at once can mean that the table was restored from an earlier moment. The account page names the keys. Find out the reason. If they should be off, press the button there, and the next check switches them off. Until then nothing happens to them.
    Open the account: https://bursar.example.edu/console/account

    No key explains $4.12 that the account spent
    Day: 20 Nov 2026
    New: $4.120003
    Not explained in all: $6.120003
    Rounding may be up to: $0.000214
    Found: 20 Nov 2026, 10:00 UTC
    The account spent more than all keys together. Usual reasons are a key that was made and deleted between two checks, and OpenRouter's own chat page. Another is a management key in the wrong hands. The account page shows the amount day by day, and OpenRouter's activity page shows which models were called. You get another mail only when the amount changes.
    Open the account: https://bursar.example.edu/console/account

    An admin signed in by a mailed link
    Who: grace@example.edu
    Found: 20 Nov 2026, 10:00 UTC
    Admins have to sign on here. This one is named in the deployment's settings, and so may come in by a mailed link all the same, for one hour. Where the sign-on was down, nothing is to do. If it was not them, another person reads their mailbox: take the address out of the deployment's admins, and read the audit.
    Open the audit of the account: https://bursar.example.edu/console/account/audit

    The management key does not work
    Day: 20 Nov 2026
    Found: 20 Nov 2026, 10:00 UTC
    OpenRouter refuses it. Until it works again nobody gets a new key, no key can be switched off, and nobody knows what is spent; the keys that students have keep working. Make another management key at OpenRouter, and put it into the secret: Bursar uses it within minutes.
    Open the account: https://bursar.example.edu/console/account

    The management key is of another account, or its keys are gone
    Day: 20 Nov 2026
    Fingerprint of the management key: dc7225b48acf
    Found: 20 Nov 2026, 10:00 UTC
    It is of another account, or all keys of the account were deleted. Nothing is made, changed or recorded with it, and students are asked to come back later; keys that are still there keep working. If the account is wrong, put the management key of the right one into the secret: Bursar uses it within minutes. If it was changed on purpose, or its keys were, confirm it with the button on the account page.
    Open the account: https://bursar.example.edu/console/account

    The check of 20 Nov 2026 is not complete: 2 problems
    First problem: the keys could not all be listed: status 503
    Found: 20 Nov 2026, 10:00 UTC
    Bursar could not read all that it checks at OpenRouter each night. What it could read is recorded; for the rest the last figures stand. Bursar tries again by itself. If the next check is not complete either, the account page lists the problems of each.
    Open the account: https://bursar.example.edu/console/account

    2 working keys with Bursar's names and without a student
    First key: bursar/0123456789/p/g/2
    Found: 20 Nov 2026, 10:00 UTC
    OpenRouter lists these keys, but Bursar's table does not know them. Most likely the table was restored from an earlier moment. Bursar leaves the keys as they are, and anybody who has one can spend with it. The account page names them: find out whose they are, and disable at OpenRouter those that nobody needs.
    Open the account: https://bursar.example.edu/console/account

    OpenRouter refuses the allowed models of CS pilot
    Programme: CS pilot
    For: Everybody without models of their own
    Refused since: 20 Nov 2026, 09:00 UTC
    OpenRouter says: no such model: openai/gpt-40
    Found: 20 Nov 2026, 10:00 UTC
    Keys keep the models that OpenRouter confirmed last, and new keys are still made; where it never confirmed anything, nobody gets a key until it does. The usual reason is a model that is misspelled or was withdrawn: open the programme's settings, correct the models, the data policy, the providers or the regions, and save.
    Open the settings: https://bursar.example.edu/console/programmes/cs-pilot/settings#edit

    Changes to CS pilot are stuck
    Programme: CS pilot
    Nothing was done since: 20 Nov 2026, 09:00 UTC
    Found: 20 Nov 2026, 10:00 UTC
    A roster, new caps, new models or the close of the programme is only partly done; the programme's page shows how far. If OpenRouter cannot be reached, the change goes on by itself later. Otherwise check the log of the function console, which tries each minute and says what fails.
    Open the programme: https://bursar.example.edu/console/programmes/cs-pilot

    An erasure is stuck
    Nothing was erased since: 20 Nov 2026, 04:00 UTC
    Found: 20 Nov 2026, 10:00 UTC
    An erasure waits until the person's keys are off and checked at OpenRouter for the last time, and until a roster that is being applied is done. If OpenRouter cannot be reached, the erasure goes on by itself later. Otherwise check the log of the function console, which tries each minute and says what fails.
    Open the account: https://bursar.example.edu/console/account

    OpenRouter has not switched off keys that should be off
    Students, as far as they were counted: 2
    The first should be off since: 20 Nov 2026, 08:00 UTC
    Found: 20 Nov 2026, 10:00 UTC
    Until OpenRouter confirms it, anybody who has such a key can go on spending, up to the key's limit. Bursar tries again by itself. The student's page says what is not confirmed, and the log of the function console says why. If that cannot wait, switch the key off at OpenRouter by hand: its name has the id that is in the address of the student's page.
    Open the student's page: https://bursar.example.edu/console/programmes/cs-pilot/grants/0123456789abcdef

    Nobody knows what is left of the balance
    Not read since: 20 Nov 2026, 07:00 UTC
    Found: 20 Nov 2026, 10:00 UTC
    Bursar asks OpenRouter for the balance each quarter of an hour, so that you hear in time when it runs out. Now it gets no answer. Check the log of the function usage-sync: what does OpenRouter say?
    Open the account: https://bursar.example.edu/console/account

    The pages cannot be reached
    Why: no answer within ten seconds
    Found: 20 Nov 2026, 10:00 UTC
    Bursar asked for its own first page, twice, as a browser would. Keys keep working, but nobody can sign in, claim, or report a key as leaked. Check the name in DNS, its certificate, and what stands in front of the pages; then the log of the function claim.
    Open the account: https://bursar.example.edu/console/account

    Within a quarter of an hour three students pressed for a key and got none
    Found: 20 Nov 2026, 10:00 UTC
    The machine on which Bursar runs says so. What lasts stands in the answer to /health there; the log of the service says what fails.
    Open the account: https://bursar.example.edu/console/account

    So much mail came back that invitations and digests wait until tomorrow
    Day: 20 Nov 2026, in UTC, as the mail server counts its mails
    Sent: 400
    Came back for good: 12
    Complained about: 0
    Found: 20 Nov 2026, 10:00 UTC
    Invitations, digests, statements and notices about caps and rules wait until midnight UTC, and then go on by themselves. Links, alerts and what is sent by hand go on. Mail servers stop taking any from where too much comes back; SES does at more than a tenth, or one in two hundred that is complained about. The programmes' pages say whose mail came back: an old roster is the usual reason.
    Open the account's mail: https://bursar.example.edu/console/account#mail

    SES has reported nothing about 20 mails
    Mails looked at: the first 20 that were sent on 19 Nov 2026
    Found: 20 Nov 2026, 10:00 UTC
    SES should report for each mail whether it was delivered, came back or was complained about. It has reported nothing about these mails. Until it does, nobody hears of addresses that do not exist. Check that the stack's configuration set still sends its events to the stack's topic, and that the function mail is still subscribed to the topic; deploying the stack again restores both.
    Open the account's mail: https://bursar.example.edu/console/account#mail
    ");
}

#[tokio::test]
async fn alarms_tell_what_and_whose() {
    let stops = mailed(held(0, 2, 30)).await;
    let counts = "Second keys of students who have another: 2\nKeys of students, missing or switched off at OpenRouter: 30\n";
    assert!(
        stops.contains(counts) && stops.contains("keys were deleted or switched off at OpenRouter"),
        "{stops}"
    );
    for (cause, whose, place) in [
        (
            refused(Some("basic"), Some("A")),
            "For: The model list basic\n",
            "/console/tiers",
        ),
        (
            refused(None, Some("A")),
            "For: The group A\n",
            "/console/programmes/cs-pilot/groups",
        ),
    ] {
        let text = mailed(cause).await;
        assert!(text.contains(whose) && text.ends_with(place), "{text}");
    }
}

fn purchase() -> Purchase {
    let dollars = Usd::from_dollars;
    Purchase {
        balance: dollars(1_200),
        to_come: dollars(1_000),
        foreign_to_come: dollars(455),
        until: Some(date(2027, 2, 19)),
        a_week: dollars(140),
        spent_since: Usd::ZERO,
        amount: dollars(300),
        gone: Some(BalanceGone {
            day: date(2027, 1, 19),
            why: WhyGone::Pace,
        }),
    }
}

async fn balance(purchase: Purchase) -> String {
    mailed(Cause::Balance {
        purchase,
        alerted_at: now(),
    })
    .await
}

#[tokio::test]
async fn credit_is_to_be_bought() {
    insta::assert_snapshot!(balance(purchase()).await, @"
    Buy $300 of credit by 20 Dec 2026
    Balance at OpenRouter: $1,200
    Programmes can still cost: $1,000 if everybody on the rosters claims
    Keys made elsewhere may use: $455 until 19 Feb 2027
    All keys use in a week: about $140
    To be bought, in whole hundreds: $300
    Found: 20 Nov 2026, 10:00 UTC
    Buy $300 of credit by 20 Dec 2026: at this pace the $1,200 left will be gone on 19 Jan 2027. A purchase may take 30 days. When the balance is gone, every key of the account is refused, for free models too. Buy credit at OpenRouter; if it is bought automatically, check that this still works and buys enough. If nobody can buy more, lower budgets and caps. You get another mail when the balance lasts half as long (14, 7, 3 days, one day), or when rosters are added that double what programmes can cost.
    Open the account: https://bursar.example.edu/console/account
    ");
    let gone = |why, day| Purchase {
        gone: Some(BalanceGone { day, why }),
        ..purchase()
    };
    for (why, day, subject) in [
        (
            WhyGone::Pace,
            date(2026, 12, 20),
            "Buy $300 of credit now\n",
        ),
        (
            WhyGone::Pace,
            date(2026, 12, 4),
            "The balance lasts 14 days: buy $300 of credit now\n",
        ),
        (
            WhyGone::Pace,
            date(2026, 11, 21),
            "The balance lasts 1 day: buy $300 of credit now\n",
        ),
        (
            WhyGone::Claims,
            date(2026, 11, 20),
            "Buy $300 of credit now\n",
        ),
        (
            WhyGone::Today,
            date(2026, 11, 21),
            "The balance does not last a day: buy $300 of credit now\n",
        ),
    ] {
        let text = balance(gone(why, day)).await;
        assert!(text.starts_with(subject), "{text}");
    }
}
