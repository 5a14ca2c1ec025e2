//! I4, I5 and I13 as far as mails show them. Links and codes are in link mails alone, each outbox
//! row is accepted once, and the counts agree.

use std::collections::BTreeMap;

use bursar_core::clock::Moment;
use bursar_core::domain::ledger::mailed::MailedStatement;
use bursar_core::domain::mail::alarm::Alarm;
use bursar_core::domain::mail::digest::Digest;
use bursar_core::domain::mail::kind::{MailCounts, MailKind, OUTBOX_KEPT};
use bursar_core::domain::sign_in::{LINK_LASTS, SignIn};
use bursar_core::domain::usage::crossing::Scope;
use bursar_core::domain::values::address::{EmailAddress, MatchedAddress};
use bursar_core::domain::values::id::{PersonId, ProgrammeId};
use bursar_core::domain::values::token::{Code, LinkToken};
use bursar_core::store::{Bounce, Link, MailState, OutboxRow, QueuedMail, RosterMails};
use bursar_local::inbox::Contents;
use bursar_local::ses::Mail;
use ulid::Ulid;

use super::Step;
use super::secrets::Secret;

/// A mail, reduced to what these checks compare.
pub(super) struct ReadMail {
    at: Moment,
    to: Vec<String>,
    kind: Option<String>,
    row: Option<Ulid>,
    tokens: Vec<LinkToken>,
    codes: Vec<Code>,
    /// All of it, decoded and raw.
    pub(super) legible: String,
}

impl ReadMail {
    pub(super) fn of(mail: &Mail) -> ReadMail {
        let contents = Contents::parse(&mail.raw);
        let text = contents.text.as_deref().unwrap_or_default();
        let tokens = text
            .split_whitespace()
            .filter_map(|word| LinkToken::parse(word.rsplit_once("/c/")?.1));
        let codes = text
            .lines()
            .filter_map(|line| Code::from_form(line.strip_prefix("Code: ")?));
        let mut parts: Vec<_> = contents
            .headers
            .values()
            .map(std::string::String::as_bytes)
            .collect();
        parts.extend([text, contents.html.as_deref().unwrap_or_default()].map(str::as_bytes));
        parts.extend(
            contents
                .attachments
                .iter()
                .map(|attached| &attached.bytes[..])
                .chain([&mail.raw[..]]),
        );
        ReadMail {
            at: mail.at,
            to: mail.to.clone(),
            row: contents
                .headers
                .get("X-Bursar-Row")
                .and_then(|row| row.parse().ok()),
            tokens: tokens.collect(),
            codes: codes.collect(),
            legible: parts
                .into_iter()
                .map(String::from_utf8_lossy)
                .collect::<Vec<_>>()
                .join("\n"),
            kind: contents.kind,
        }
    }
}

/// The links and codes that a mail brought, which may be nowhere else.
pub(super) fn secrets_in(mail: &ReadMail) -> impl Iterator<Item = Secret> {
    let (tokens, codes) = (
        mail.tokens.iter().map(LinkToken::reveal),
        mail.codes.iter().map(Code::reveal),
    );
    tokens.map(str::to_owned).chain(codes).map(Secret::mailed)
}

/// I4: only a link mail has a link and a code, one of each. While the link is valid, the table has
/// its hash for the address of the mail, unless that was corrected or erased.
pub(super) fn links_are_in_link_mails_and_known_by_their_hash(
    step: &Step<'_>,
    wrong: &mut Vec<String>,
) {
    let links: Vec<Link> = step.now.all().collect();
    let signs: Vec<MatchedAddress> = step.now.all().map(|of: SignIn| of.address).collect();
    let goes_to = |mail: &ReadMail, address: &MatchedAddress| {
        mail.to
            .iter()
            .all(|to| EmailAddress::parse(to).is_ok_and(|to| to.matched() == address))
    };
    for mail in &step.now.mails {
        let is_link = mail.kind.as_deref() == Some("link");
        if (mail.tokens.len(), mail.codes.len()) != if is_link { (1, 1) } else { (0, 0) } {
            wrong.push(format!(
                "a mail of the kind {:?} has not the links and codes of one",
                mail.kind
            ));
            continue;
        }
        let Some(hash) = mail.tokens.first().map(LinkToken::hash) else {
            continue;
        };
        match links.iter().find(|link| link.link == hash) {
            Some(link) if !goes_to(mail, &link.address) => {
                wrong.push("a link mail went to another address than its link's".to_owned());
            }
            None if step.now.at < mail.at + LINK_LASTS
                && signs.iter().any(|address| goes_to(mail, address)) =>
            {
                wrong.push("a mailed link is not known by its hash".to_owned());
            }
            Some(_) | None => {}
        }
    }
}

/// I5: a crossing, an alarm, a digest and a statement have one outbox row for each of their
/// recipients so far, and no such row is of anything else. Rows expire ninety days after their mail
/// has left, so one that is older than that may still be there.
pub(super) fn each_is_told_once(step: &Step<'_>, wrong: &mut Vec<String>) {
    let now = step.now;
    // For each mail whether it is on record, and its rows.
    let mut owed: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut expect = |since: Moment, mail: QueuedMail| {
        if now.at < since + OUTBOX_KEPT {
            owed.entry(format!("{mail:?}")).or_default().0 = 1;
        }
    };
    // An alert may be sent again, by a person or because it was returned, as another row.
    let is_again = |row: &OutboxRow| {
        let is_returned = |state: &MailState| match state {
            MailState::Bounced { bounce, .. } => *bounce == Bounce::Soft,
            MailState::Waiting { .. }
            | MailState::Planned { .. }
            | MailState::Sending { .. }
            | MailState::Sent { .. }
            | MailState::Delivered { .. }
            | MailState::Complained { .. }
            | MailState::Dropped { .. }
            | MailState::Failed { .. } => false,
        };
        row.mail.facts().kind == MailKind::Alert
            && (row.again_at.is_some() || is_returned(&row.state))
    };
    let told = |of: Vec<PersonId>, queued: u32| of.into_iter().take(queued as usize);
    for of in now.crossings.iter().filter(|of| of.is_mailed) {
        let (programme, threshold, of_limit) = (&of.programme, of.threshold, of.limit);
        if let Scope::Cap(grant) = &of.scope {
            let (programme, grant, window) = (programme.clone(), grant.clone(), of.window);
            expect(
                of.found_at,
                QueuedMail::CapUsed {
                    programme,
                    grant,
                    window,
                    threshold,
                    of_limit,
                },
            );
            continue;
        }
        let is_of_it = |row: &&OutboxRow| {
            let QueuedMail::Alert {
                programme: told,
                scope,
                threshold: at,
                of_limit: limit,
                ..
            } = &row.mail
            else {
                return false;
            };
            (told, scope, *at, *limit) == (programme, &of.scope, threshold, of_limit)
        };
        let alerts: Vec<_> = now.outbox.iter().filter(is_of_it).collect();
        if alerts.is_empty() && now.at < of.found_at + OUTBOX_KEPT {
            wrong.push(format!(
                "the crossing of {threshold} % of {of_limit} is told to nobody"
            ));
        }
        alerts
            .into_iter()
            .filter(|row| !is_again(row))
            .for_each(|row| expect(of.found_at, row.mail.clone()));
    }
    for of in now.all::<Alarm>() {
        let (day, alarm) = (of.day, of.name());
        for recipient in told(of.recipients, of.queued) {
            expect(
                of.found_at,
                QueuedMail::Account {
                    day,
                    alarm: alarm.clone(),
                    recipient,
                },
            );
        }
    }
    for Digest {
        programme,
        week,
        found_at,
        recipients,
        queued,
        ..
    } in now.all()
    {
        for recipient in told(recipients, queued) {
            expect(
                found_at,
                QueuedMail::Digest {
                    programme: programme.clone(),
                    week,
                    recipient,
                },
            );
        }
    }
    for MailedStatement {
        statement,
        mailed_at,
        recipients,
        queued,
    } in now.all()
    {
        let month = statement.days.first;
        told(recipients, queued).for_each(|to| {
            expect(
                mailed_at,
                QueuedMail::Statement {
                    month,
                    recipient: to,
                },
            );
        });
    }
    let is_judged = |row: &OutboxRow| {
        now.at < row.written_at + OUTBOX_KEPT && !is_again(row) && is_owed(&row.mail)
    };
    for row in now.outbox.iter().filter(|row| is_judged(row)) {
        owed.entry(format!("{:?}", row.mail)).or_default().1 += 1;
    }
    for (mail, (on_record, rows)) in owed
        .into_iter()
        .filter(|(_, (on_record, rows))| on_record != rows)
    {
        wrong.push(format!(
            "{mail} is owed {rows} times, and {on_record} is on record"
        ));
    }
}

/// Whether it is a mail of what was found, with an item of its own on record, and not of what a
/// person did.
fn is_owed(mail: &QueuedMail) -> bool {
    match mail {
        QueuedMail::CapUsed { .. }
        | QueuedMail::Alert { .. }
        | QueuedMail::Account { .. }
        | QueuedMail::Digest { .. }
        | QueuedMail::Statement { .. } => true,
        QueuedMail::Link { .. }
        | QueuedMail::Roster { .. }
        | QueuedMail::FormerAddress { .. }
        | QueuedMail::Notice { .. }
        | QueuedMail::TestAlert { .. }
        | QueuedMail::Request { .. }
        | QueuedMail::More { .. }
        | QueuedMail::Import { .. }
        | QueuedMail::StudentSignOn { .. }
        | QueuedMail::StaffSignOn { .. }
        | QueuedMail::ModelEnd { .. } => false,
    }
}

/// I5: each row has at most one accepted mail; it has a second one only if an answer or a record
/// was lost.
pub(super) fn what_is_owed_is_accepted_once(step: &Step<'_>, wrong: &mut Vec<String>) {
    let mut more_than_once = 0;
    for row in &step.now.outbox {
        let accepted = step
            .now
            .mails
            .iter()
            .filter(|mail| mail.row == Some(row.row))
            .count();
        if accepted > usize::from(row.tries) {
            wrong.push(format!(
                "outbox row {} was tried {} times and accepted {accepted} times",
                row.row, row.tries
            ));
        }
        if accepted == 0 && row.state.delivery().is_some() {
            wrong.push(format!(
                "outbox row {} is said to be sent, and no mail was accepted",
                row.row
            ));
        }
        more_than_once += accepted.saturating_sub(1);
    }
    let lost = step.now.lost_mails;
    if more_than_once > lost {
        wrong.push(format!(
            "{more_than_once} mails were accepted again, and {lost} answers or records were lost"
        ));
    }
}

/// I13, of mail: the counts of each roster's mails are those of its rows, in whatever order and
/// however often events come.
pub(super) fn each_mail_is_counted_once(step: &Step<'_>, wrong: &mut Vec<String>) {
    let mut counted: BTreeMap<ProgrammeId, MailCounts> = BTreeMap::new();
    for row in &step.now.outbox {
        match (row.sent_on, row.state.delivery(), &row.mail) {
            (Some(_), None, _) => wrong.push(format!(
                "outbox row {} is counted, and no mail server has it",
                row.row
            )),
            (Some(_), Some(fared), QueuedMail::Roster { programme, .. }) => {
                counted.entry(programme.clone()).or_default().count(fared);
            }
            (Some(_), Some(_), _) | (None, ..) => {}
        }
    }
    let rosters = step
        .now
        .all()
        .filter(|of: &RosterMails| of.counts != MailCounts::default());
    let rosters: BTreeMap<_, _> = rosters.map(|of| (of.programme, of.counts)).collect();
    if rosters != counted {
        wrong.push(format!(
            "the mails of rosters are counted as {rosters:?}, and their rows say {counted:?}"
        ));
    }
}
