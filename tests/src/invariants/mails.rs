//! I4, I5 and I13 as far as mails show them. Links and codes are in link mails alone, each outbox row is
//! accepted once, and the counts agree.

use std::collections::{BTreeMap, BTreeSet};

use bursar_core::domain::mail::day::{Delivery, MailCounts};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::people::sign_in::{ASK_LASTS, LINK_LASTS};
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::token::{Code, LinkToken};
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{MailState, OutboxRow, QueuedMail};
use bursar_local::inbox::Contents;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

use super::secrets::Secret;
use super::{Snapshot, Step};

/// The time for which outbox rows are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A mail, reduced to what these checks compare.
struct Read {
    at: Timestamp,
    to: Vec<String>,
    kind: Option<String>,
    row: Option<String>,
    tokens: Vec<LinkToken>,
    codes: Vec<Code>,
}

/// The links and codes that mails brought, which may be nowhere else.
pub(super) fn secrets_in(now: &Snapshot) -> Vec<Secret> {
    let of_mail = |mail: Read| {
        let tokens = mail.tokens.into_iter().map(|token| Secret::mailed(token.reveal()));
        tokens.chain(mail.codes.into_iter().map(|code| Secret::mailed(&code.reveal()))).collect::<Vec<_>>()
    };
    read(now).into_iter().flat_map(of_mail).collect()
}

/// I4: only a link mail has a link and a code, one of each. While the link is valid, the table has its hash for
/// the address of the mail.
pub(super) fn links_are_in_link_mails_and_known_by_their_hash(step: &Step<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for mail in read(step.now) {
        if mail.kind.as_deref() != Some("link") {
            if !mail.tokens.is_empty() || !mail.codes.is_empty() {
                wrong.push(format!("a mail of the kind {:?} has a link or a code", mail.kind));
            }
            continue;
        }
        let ([token], [_]) = (&mail.tokens[..], &mail.codes[..]) else {
            wrong.push("a link mail has not just one link and one code".to_owned());
            continue;
        };
        let hash = token.hash();
        let known = step.now.links.iter().find(|link| link.link == hash);
        let goes_to = |link: &bursar_core::store::Link| {
            mail.to.iter().all(|to| EmailAddress::parse(to).is_ok_and(|to| *to.matched() == link.address))
        };
        match known {
            Some(link) if !goes_to(link) => {
                wrong.push("a link mail went to another address than its link's".to_owned());
            }
            None if step.now.at < mail.at + LINK_LASTS => {
                wrong.push("a mailed link is not known by its hash".to_owned());
            }
            Some(_) | None => {}
        }
    }
    wrong
}

/// I5: a crossing with notices has one outbox row for each recipient, and a cap's crossing one for its student.
/// Each row has at most one accepted mail; it may have none while it waits, and when it was given up or
/// dropped. It has a second one only if an answer or a record was lost.
pub(super) fn what_is_owed_is_accepted_once(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    for crossing in now.crossings.iter().filter(|crossing| crossing.is_mailed && now.at < crossing.found_at + KEPT) {
        // A mail that somebody sent again by hand is one more.
        let by_hand = |row: &OutboxRow| crossing.mails.iter().any(|told| told.row == row.row && told.by_hand.is_some());
        let of_it = |row: &&OutboxRow| tells_of(row, crossing) && !by_hand(row);
        let recipients: Vec<_> = now.outbox.iter().filter(of_it).filter_map(recipient).collect();
        let named = format!("the crossing of {}% in {}", crossing.threshold, crossing.programme);
        if recipients.is_empty() {
            wrong.push(format!("{named} is told to nobody"));
        }
        if recipients.iter().collect::<BTreeSet<_>>().len() < recipients.len() {
            wrong.push(format!("{named} is owed twice to somebody"));
        }
    }
    let of_crossings = |row: &&OutboxRow| matches!(row.mail, QueuedMail::Alert { .. } | QueuedMail::CapUsed { .. });
    let alerts = now.outbox.iter().filter(of_crossings);
    for row in alerts.filter(|row| !now.crossings.iter().any(|crossing| crossing.is_mailed && tells_of(row, crossing)))
    {
        wrong.push(format!("outbox row {} tells of no crossing", row.row));
    }
    if now.mails.is_none() {
        return wrong;
    }
    let mails = read(now);
    let mut more_than_once = 0;
    for row in &now.outbox {
        let id = row.row.to_string();
        let accepted = mails.iter().filter(|mail| mail.row.as_deref() == Some(&id)).count();
        if accepted > usize::from(row.tries) {
            wrong.push(format!("outbox row {id} was tried {} times and accepted {accepted} times", row.tries));
        }
        if accepted == 0 && is_said_to_be_sent(&row.state) {
            wrong.push(format!("outbox row {id} is said to be sent, and no mail was accepted"));
        }
        more_than_once += accepted.saturating_sub(1);
    }
    if more_than_once > step.lost_mails {
        let lost = step.lost_mails;
        wrong.push(format!("{more_than_once} mails were accepted again, and {lost} answers or records were lost"));
    }
    wrong
}

/// I13, of mail: the counts of each day are those of its rows, in whatever order and however often events come.
/// The row of a link expires after an hour, and then only its mail still shows that it was sent.
pub(super) fn each_mail_is_counted_once_as_it_fared(step: &Step<'_>) -> Vec<String> {
    let now_ms = step.now.at.as_millisecond().unsigned_abs().into();
    let mut counted: BTreeMap<(Date, MailKind), MailCounts> = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in &step.now.outbox {
        let Some(day) = row.counted_on else { continue };
        match row.state.delivery() {
            Some(fared) => counted.entry((day, row.mail.kind())).or_default().count(fared),
            None => wrong.push(format!("outbox row {} is counted in {day}, and no mail server has it", row.row)),
        }
    }
    let rows: BTreeSet<Ulid> = step.now.outbox.iter().map(|row| row.row).collect();
    let of_links = read(step.now).into_iter().filter(|mail| mail.kind.as_deref() == Some("link"));
    let of_links = of_links.filter_map(|mail| Some((mail.row?.parse::<Ulid>().ok()?, utc_date(mail.at))));
    let may_be_gone = |row: Ulid| u128::from(row.timestamp_ms()) + ASK_LASTS.as_millis().unsigned_abs() <= now_ms;
    let gone: BTreeMap<Ulid, Date> = of_links.filter(|(row, _)| !rows.contains(row) && may_be_gone(*row)).collect();
    for day in gone.values() {
        counted.entry((*day, MailKind::Link)).or_default().count(Delivery::Sent);
    }
    let mut kept: BTreeMap<_, _> = step.now.mail_days.iter().map(|of| ((of.day, of.mail), of.counts)).collect();
    // The delivery of mails whose rows have expired is not known any more, so only the number of sent ones is
    // compared.
    for counts in [&mut kept, &mut counted] {
        for day in gone.values() {
            counts
                .entry((*day, MailKind::Link))
                .and_modify(|of| *of = MailCounts { sent: of.sent, ..MailCounts::default() });
        }
    }
    if kept != counted {
        wrong.push(format!("the mail of the days is counted as {kept:?}, and its rows say {counted:?}"));
    }
    wrong
}

fn tells_of(row: &OutboxRow, crossing: &Crossing) -> bool {
    let (programme, threshold, limit) = match (&row.mail, &crossing.scope) {
        (QueuedMail::Alert { programme, scope, threshold, of_limit, .. }, of) if scope == of => {
            (programme, threshold, of_limit)
        }
        (QueuedMail::CapUsed { programme, grant, window, threshold, of_limit }, Scope::Cap(of))
            if grant == of && *window == crossing.window =>
        {
            (programme, threshold, of_limit)
        }
        _ => return false,
    };
    *programme == crossing.programme && *threshold == crossing.threshold && *limit == crossing.limit
}

fn recipient(row: &OutboxRow) -> Option<&str> {
    match &row.mail {
        QueuedMail::Alert { recipient, .. } => Some(recipient.as_str()),
        QueuedMail::CapUsed { grant, .. } => Some(grant.as_str()),
        _ => None,
    }
}

fn is_said_to_be_sent(state: &MailState) -> bool {
    match state {
        MailState::Sent { .. }
        | MailState::Delivered { .. }
        | MailState::Bounced { .. }
        | MailState::Complained { .. } => true,
        MailState::Waiting { .. }
        | MailState::Sending { .. }
        | MailState::Dropped { .. }
        | MailState::Failed { .. } => false,
    }
}

fn read(now: &Snapshot) -> Vec<Read> {
    let mails = now.mails.iter().flatten();
    mails
        .map(|mail| {
            let contents = Contents::of(&mail.raw);
            let header = |name: &str| contents.headers.get(name).cloned();
            let text = contents.text.as_deref().unwrap_or_default();
            let tokens = text.split_whitespace().filter_map(|word| LinkToken::parse(word.rsplit_once("/c/")?.1));
            let codes = text.lines().filter_map(|line| Code::from_form(line.strip_prefix("Code: ")?));
            Read {
                at: mail.at,
                to: mail.to.clone(),
                kind: contents.kind.clone(),
                row: header("X-Bursar-Row"),
                tokens: tokens.collect(),
                codes: codes.collect(),
            }
        })
        .collect()
}
