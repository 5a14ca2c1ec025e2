//! The mail of the account: SES' figures of the day, waiting mail, the mail server's state, which
//! people with a role are not reached, and the dead letters by cause, with the form that sends them
//! again.

use std::collections::{BTreeMap, BTreeSet};

use bursar_core::clock::Moment;
use bursar_core::domain::mail::failure::{FailureText, NOT_VERIFIED};
use bursar_core::domain::mail::kind::{MailKind, SendFigures};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::format::counted;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::{
    DeadMails, GIVEN_UP_SHOWN, MailRefusal, MailServer, OutboxRow, SentAgain, Undeliverable,
    Unreachable,
};
use bursar_core::web::{Answer, AppError, Flash, Result, Site};
use jiff::SignedDuration;

use crate::kit::access::{Admins, Post};
use crate::kit::mails::{list_unreached, refused};
use crate::kit::paths;
use crate::kit::show::utc;

/// The age up to which an admin is asked to look at dead letters. Of more, only the newest are
/// shown.
const RECENT: SignedDuration = SignedDuration::from_hours(3 * 24);
const MOST_SHOWN: usize = 2_000;

pub(super) struct MailSection {
    /// What SES said of this UTC day's mail.
    pub(super) today: Option<SendFigures>,
    /// The number of waiting mails; `waiting_for` is the longest wait.
    pub(super) waiting: u64,
    pub(super) waiting_for: Option<String>,
    /// How many invitations wait until keys can be claimed.
    pub(super) planned: u64,
    pub(super) given_up: Vec<GivenUpMail>,
    pub(super) dead: DeadMails,
    pub(super) server: Option<MailServer>,
    /// Why bulk mail waits for tomorrow, if it does.
    pub(super) stopped: Option<SendFigures>,
    /// People whom not all mail reaches, as they spell their addresses, with the mark.
    pub(super) unreachable: Vec<(EmailAddress, Undeliverable)>,
    pub(super) warnings: Vec<String>,
}

impl MailSection {
    pub(super) fn dead_shown(&self) -> usize {
        self.dead.newest.len() + self.dead.unreadable
    }

    pub(super) async fn read(
        site: &Site,
        programmes: &[Programme],
        admins: &[EmailAddress],
    ) -> Result<MailSection> {
        let table = &site.table;
        let now = site.clock.now();
        let (waiting, planned, dead, server, refusals, unreachable) = tokio::try_join!(
            table.waiting(now),
            table.count_planned(now),
            table.dead_mails(now - GIVEN_UP_SHOWN, MOST_SHOWN),
            table.get(MailServer::key_of()),
            table.mail_refusals(now),
            table.unreachable(now),
        )?;
        let recent = dead
            .newest
            .iter()
            .filter(|row| now - RECENT <= row.given_up().1)
            .count();
        let oldest = waiting.iter().filter_map(|queue| queue.since).min();
        Ok(MailSection {
            today: server.as_ref().and_then(|server| server.today(now)),
            stopped: server.as_ref().and_then(|server| server.stopped(now)),
            waiting: waiting.iter().map(|queue| queue.mails).sum(),
            planned,
            waiting_for: oldest.map(|since| lasting(now.duration_since(since))),
            warnings: warnings(
                server.as_ref(),
                &refusals,
                waiting.iter().any(|queue| queue.is_too_long(now)),
                recent,
            ),
            given_up: group_by_cause(&dead),
            dead,
            server,
            unreachable: lost(site, (programmes, admins), &unreachable, now).await?,
        })
    }
}

fn warnings(
    server: Option<&MailServer>,
    refusals: &[MailRefusal],
    waits_too_long: bool,
    recent: usize,
) -> Vec<String> {
    let refused = refusals.iter().map(refused);
    let is_told = refusals.iter().any(|refusal| refusal.code == NOT_VERIFIED);
    let warnings = [
        server.filter(|server| server.is_sandbox() && !is_told).map(|_| {
            "The SES account has the bounds of the sandbox: 200 mails a day, one a second, and only to addresses and domains that were verified in SES. Everybody else gets no link and no alert. Ask AWS for production access in the SES console, under \"Account dashboard\"; it takes a day or so.".to_owned()
        }),
        waits_too_long.then(|| "Mail waits for longer than it should. The section \"Mail\" below says for how long, and what the quota leaves.".to_owned()),
        (recent > 0).then(|| {
            let mails = counted(recent as u64, "mail was", "mails were");
            format!("{mails} given up in the last three days. The section \"Mail\" below says why, what to do, and has a button that sends again.")
        }),
    ];
    refused.chain(warnings.into_iter().flatten()).collect()
}

/// The unreachable people among the admins, and among faculty, assistants and finance of open
/// programmes.
async fn lost(
    site: &Site,
    (programmes, admins): (&[Programme], &[EmailAddress]),
    unreachable: &Unreachable,
    now: Moment,
) -> Result<Vec<(EmailAddress, Undeliverable)>> {
    let open = programmes
        .iter()
        .filter(|programme| programme.closed_at.is_none());
    let of_programmes = open
        .map(|programme| &programme.settings.people)
        .flat_map(|people| {
            people
                .faculty
                .iter()
                .chain(&people.assistants)
                .chain(&people.finance)
        });
    let staff: BTreeMap<_, &EmailAddress> = admins
        .iter()
        .chain(of_programmes)
        .map(|address| (address.matched(), address))
        .collect();
    let lost = staff
        .into_values()
        .filter(|address| unreachable.contains_key(address.matched()));
    list_unreached(site, lost, now).await
}

/// A span of time in its largest unit.
fn lasting(span: SignedDuration) -> String {
    match span.as_mins().unsigned_abs() {
        0 => "less than a minute".to_owned(),
        minutes if minutes >= 48 * 60 => counted(minutes / (24 * 60), "day", "days"),
        minutes if minutes >= 120 => counted(minutes / 60, "hour", "hours"),
        minutes => counted(minutes, "minute", "minutes"),
    }
}

/// The dead letters of one cause.
pub(super) struct GivenUpMail {
    pub(super) code: String,
    pub(super) why: FailureText,
    /// The number of mails of each kind.
    pub(super) kinds: Vec<(&'static str, usize)>,
    pub(super) programmes: BTreeSet<ProgrammeId>,
    pub(super) newest: String,
}

/// The dead letters grouped by cause, newest cause first.
fn group_by_cause(dead: &DeadMails) -> Vec<GivenUpMail> {
    let mut causes: Vec<(&str, Moment, Vec<&OutboxRow>)> = Vec::new();
    for row in &dead.newest {
        let (why, given_up_at) = row.given_up();
        match causes.iter_mut().find(|(code, ..)| *code == why) {
            Some((.., rows)) => rows.push(row),
            None => causes.push((why, given_up_at, vec![row])),
        }
    }
    causes
        .into_iter()
        .map(|(code, newest, rows)| GivenUpMail::new(code, newest, &rows))
        .collect()
}

impl GivenUpMail {
    fn new(code: &str, newest: Moment, rows: &[&OutboxRow]) -> GivenUpMail {
        let mut kinds: BTreeMap<MailKind, usize> = BTreeMap::new();
        rows.iter()
            .for_each(|row| *kinds.entry(row.mail.facts().kind).or_default() += 1);
        let programmes = rows
            .iter()
            .filter_map(|row| row.mail.facts().recipient.programme().cloned());
        GivenUpMail {
            code: code.to_owned(),
            why: FailureText::from_code(code),
            kinds: kinds
                .into_iter()
                .map(|(kind, mails)| (kind.to_words(), mails))
                .collect(),
            programmes: programmes.collect(),
            newest: utc(newest),
        }
    }
}

/// Queues all dead letters of one cause again.
pub(crate) async fn send_again(form: Post<Admins>) -> Answer {
    let Post { site, fields, .. } = &form;
    let sentence = "The form did not say which mail to send again. Open the account page again.";
    let cause = fields
        .filled("cause")
        .ok_or_else(|| AppError::unprocessable(sentence))?;
    match site.table.send_again(cause, form.author()).await? {
        SentAgain::Owed(mails) => Ok(site.done(
            paths::ACCOUNT,
            &Flash::MailSentAgain {
                mails: mails as u64,
            },
        )),
        SentAgain::Nothing => Ok(site.done(paths::ACCOUNT, &Flash::Already)),
        SentAgain::NotAll(owed) => {
            let sentence = format!(
                "{owed} mails are sent again. There was no time for the rest: press again."
            );
            Err(AppError::later(sentence))
        }
    }
}
