//! Decides, at the moment of sending, what a row of the outbox owes: whom, or nobody. Only here a link and its code are made, so that
//! neither was ever at rest.

use bursar_core::deadline::Deadline;
use bursar_core::domain::address::{EmailAddress, MatchedAddress};
use bursar_core::domain::grant::{Grant, Notice, State};
use bursar_core::domain::id::{Epoch, GrantId, ProgrammeId};
use bursar_core::domain::mail_failure::UNDELIVERABLE;
use bursar_core::domain::mail_kind::MailKind;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::role::is_among;
use bursar_core::domain::sign_in::{ASK_LASTS, LINK_LASTS, LiveLink, Mailed, NotOwed, SignIn};
use bursar_core::domain::token::{AskTokenHash, Code, LinkToken};
use bursar_core::domain::window::utc_date;
use bursar_core::store::items::{MailClass, NOT_WANTED, OutboxRow, OwedMail};
use bursar_core::store::{LinkMade, StoreError};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::App;
use crate::by_rule::ByRule;
use crate::letter::{Letter, choice_at};
use crate::words::Words;

/// What a row comes to.
pub(crate) enum Owed {
    Mail(Box<Letter>),
    /// Nobody is to be told anything, and why.
    Nothing(&'static str),
    NotBefore(Timestamp),
    /// Somebody should be told, and cannot be.
    Unsendable(&'static str),
}

pub(crate) const GONE: Owed = Owed::Nothing("what it is about is gone");
const UNWANTED: Owed = Owed::Nothing(NOT_WANTED);

impl App {
    pub(crate) async fn owed(&self, row: &OutboxRow, now: Timestamp, deadline: Deadline) -> Result<Owed, StoreError> {
        if self.may_have_been_sent(row, now).await? {
            return Ok(Owed::Nothing("the table went back to an earlier moment, and this may have been sent since"));
        }
        let mut owed = self.of(row, now, deadline).await?;
        let Owed::Mail(letter) = &mut owed else { return Ok(owed) };
        // What somebody chose not to get is missed by nobody, whether it would reach them or not.
        if let Some(mail) = row.mail.of_choice() {
            if !self.table.mail_choice(letter.to.matched()).await?.wants(mail) {
                return Ok(Owed::Nothing("this person chose not to get such mails"));
            }
            let choose =
                format!(" You can choose on your page which of these mails you get: {}", choice_at(&self.config));
            letter.why.push_str(&choose);
        }
        Ok(match self.table.undeliverable(letter.to.matched(), now).await? {
            Some(mark) if !mark.keeps_back(row.class) => owed,
            // Whether an admin gets one all the same is decided where it is made.
            Some(_) if matches!(row.mail, OwedMail::Link { .. }) => owed,
            // That one of those who look after programmes and the account is not reached, another has to know.
            Some(_) if row.mail.is_to_staff() => Owed::Unsendable(UNDELIVERABLE),
            Some(_) => UNWANTED,
            None => owed,
        })
    }

    async fn of(&self, row: &OutboxRow, now: Timestamp, deadline: Deadline) -> Result<Owed, StoreError> {
        match &row.mail {
            OwedMail::Link { address, asked_by } => self.link(row, address, asked_by, now, deadline).await,
            OwedMail::Roster { programme, grant } => {
                let Some((programme, grant)) = self.grant(programme, grant).await? else { return Ok(GONE) };
                let is_over = matches!(grant.state, State::Revoked | State::Ended) || programme.is_over(now);
                if is_over || grant.holds.dropped.is_some() {
                    return Ok(Owed::Nothing("this person is no longer on the roster"));
                }
                // What it asks them to do they have done, or cannot do any more. Whoever sends it by hand knows.
                let is_late = grant.ever_shown || now >= programme.settings.claim_closes_at();
                if is_late && row.class != MailClass::ByHand {
                    return Ok(Owed::Nothing("this person has had a key by now, or keys cannot be claimed any more"));
                }
                Ok(self.to(&grant.person.address, |words| words.roster(&programme, &grant, now)))
            }
            OwedMail::KeyShown { programme, grant } => {
                let Some((programme, grant)) = self.grant(programme, grant).await? else { return Ok(GONE) };
                // One that was recovered had been shown before that was on record again.
                let shown_at = grant.live().and_then(|live| live.shown_at).filter(|shown| *shown < row.written_at);
                let shown_at = shown_at.unwrap_or(row.written_at);
                Ok(self.to(&grant.person.address, |words| words.key_shown(&programme, shown_at)))
            }
            OwedMail::KeyLeaked { programme, grant } => {
                let Some(view) = self.table.view(programme, grant).await? else { return Ok(GONE) };
                Ok(self.to(&view.grant.person.address, |words| words.key_leaked(&view, row.written_at)))
            }
            OwedMail::ByRule { programme, grant, epoch, notice } => {
                self.by_rule(programme, grant, *epoch, *notice, now).await
            }
            OwedMail::CapUsed { programme, grant, window, threshold, of_limit } => {
                self.cap_used((programme, grant), *window, *threshold, *of_limit, now).await
            }
            OwedMail::Alert { programme, scope, threshold, of_limit, recipient } => {
                self.alert(programme, (scope, *threshold, *of_limit), recipient, now).await
            }
            OwedMail::Request { programme, day, request, recipient } => {
                self.request(programme, *day, request, recipient).await
            }
            OwedMail::Account { day, alarm, recipient } => self.account(*day, alarm, recipient).await,
            OwedMail::Digest { programme, week, recipient } => {
                Box::pin(self.digest(programme, *week, recipient, now)).await
            }
            OwedMail::AccountDigest { week, recipient } => Box::pin(self.account_digest(*week, recipient)).await,
        }
    }

    /// Whether the table is a copy that was not recovered yet, and the row from before its last run. A table that is no copy never
    /// becomes one while it is the same function's.
    async fn may_have_been_sent(&self, row: &OutboxRow, now: Timestamp) -> Result<bool, StoreError> {
        if self.is_no_copy.initialized() {
            return Ok(false);
        }
        if !self.table.is_copy(&self.table.meta(now).await?) {
            // Whoever was faster said the same.
            let _ = self.is_no_copy.set(());
            return Ok(false);
        }
        let last = self.table.latest_run().await?;
        Ok(last.is_some_and(|last| row.written_at <= last.ended_at))
    }

    /// A link, if the address is somebody's here and has not had its share. It goes to the spelling of the roster.
    async fn link(
        &self,
        row: &OutboxRow,
        address: &MatchedAddress,
        asked_by: &AskTokenHash,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Owed, StoreError> {
        if now >= row.written_at + ASK_LASTS {
            return Ok(Owed::Nothing("it was asked for too long ago"));
        }
        let Some(known) = self.table.known(address, &self.config.admins).await? else {
            return Ok(Owed::Nothing("nobody here has this address"));
        };
        // Before a link is made, since it counts.
        let before = self.table.sign_in_of(address).await?;
        let is_always = self.is_admin_of_this_hour(row, address, &before);
        let is_marked = self.table.undeliverable(address, now).await?.is_some_and(|mark| mark.keeps_back(row.class));
        if is_marked && !is_always {
            return Ok(UNWANTED);
        }
        if !is_always && !before.is_again(row.row) && !self.links_are_left(known.has_role, now).await? {
            tracing::warn!(links_used_up = true, "as many links were sent as the day's quota allows");
            return Ok(Owed::Nothing("as many links as a day's quota allows have been sent"));
        }
        let (token, code) = (LinkToken::generate(), Code::generate());
        let link = LiveLink {
            link: token.hash(),
            code: Some(code.hash(address)),
            asked_by: asked_by.clone(),
            ends_at: now + LINK_LASTS,
        };
        Ok(match self.table.make_link(row.row, address, &link, now, deadline).await? {
            LinkMade::Yes => self.to(&known.address, |words| words.link(&token, &code)),
            LinkMade::Not(NotOwed::TooSoon) => Owed::Nothing("another was sent within the last minute"),
            LinkMade::Not(NotOwed::OneIsGood) => Owed::Nothing("one that was sent before is still good"),
            LinkMade::Not(NotOwed::TooMany) => Owed::Nothing("as many as are sent in an hour have been sent"),
            LinkMade::Later => Owed::NotBefore(next_minute(now)),
        })
    }

    /// Whether this is the first link of the hour to an admin of the deployment: to such an address it is tried even where mail came back,
    /// and whatever is left of the day, since behind it are the presses that mend both.
    fn is_admin_of_this_hour(&self, row: &OutboxRow, address: &MatchedAddress, before: &SignIn) -> bool {
        let is_old = |mailed: &Mailed| mailed.ask == row.row || mailed.at + ASK_LASTS <= row.written_at;
        is_among(address, &self.config.admins) && before.mailed.iter().all(is_old)
    }

    /// Whether links may still use some of the day's quota: half of it, the last fifth of that for people with a role, and for others
    /// nothing of the last tenth of the whole day, which is for alerts. Of yesterday's links as many count as if they had been sent evenly.
    async fn links_are_left(&self, has_role: bool, now: Timestamp) -> Result<bool, StoreError> {
        let Some(server) = self.table.mail_server().await? else { return Ok(true) };
        let Some(per_day) = server.per_day else { return Ok(true) };
        if !has_role && server.sent >= (per_day * 9).div_ceil(10) {
            return Ok(false);
        }
        let most = if has_role { per_day.div_ceil(2) } else { (per_day * 2).div_ceil(5) };
        let day = utc_date(now);
        let sent = async |day: Date| Ok::<_, StoreError>(self.table.mail_day(day, MailKind::Link).await?.counts.sent);
        let (today, yesterday) = (sent(day).await?, sent(day.yesterday().unwrap_or(day)).await?);
        let minutes = u64::try_from(now.as_second().rem_euclid(86_400) / 60).unwrap_or(0);
        Ok(today + yesterday * (24 * 60 - minutes) / (24 * 60) < most)
    }

    /// What a rule of the programme does to a key, if it still does. Whatever a programme mails to its students besides, nobody's key is
    /// switched off by a rule that they were not told of.
    async fn by_rule(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
        epoch: Epoch,
        notice: Notice,
        now: Timestamp,
    ) -> Result<Owed, StoreError> {
        let Some(view) = self.table.view(programme, grant).await? else { return Ok(GONE) };
        if notice == Notice::TermEndSoon && !view.programme.settings.student_mails {
            return Ok(Owed::Nothing("the programme mails no reminders to its students"));
        }
        let Some(rule) = ByRule::of(&view, epoch, notice, now) else {
            return Ok(Owed::Nothing("the key has been used, replaced or ended since, or its end was told again"));
        };
        Ok(self.to(&view.grant.person.address, |words| words.by_rule(&view.programme, rule)))
    }

    async fn grant(&self, programme: &ProgrammeId, grant: &GrantId) -> Result<Option<(Programme, Grant)>, StoreError> {
        let (programme, grant) = (self.table.programme(programme).await?, self.table.grant(programme, grant).await?);
        Ok(programme.zip(grant))
    }

    pub(crate) fn to(&self, address: &EmailAddress, write: impl FnOnce(Words<'_>) -> Letter) -> Owed {
        Owed::Mail(Box::new(write(Words { to: address, config: &self.config })))
    }
}

fn next_minute(now: Timestamp) -> Timestamp {
    const MINUTE: i64 = 60_000;
    now + SignedDuration::from_millis(MINUTE - now.as_millisecond().rem_euclid(MINUTE))
}
