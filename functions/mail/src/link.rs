//! A link to sign in: whether one is due, and its mail. Links and codes are made only here, so that
//! neither is ever at rest.

use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::sign_in::{Asker, LINK_LASTS, LOGIN_REQUEST_LASTS, LinkRefused, LiveLink};
use bursar_core::domain::values::address::{EmailAddress, MatchedAddress};
use bursar_core::domain::values::format::utc;
use bursar_core::domain::values::token::{Code, LinkToken};
use bursar_core::store::{MailServer, OutboxRow, StoreError};
use jiff::SignedDuration;

use crate::App;
use crate::compose::{NoMail, UNWANTED};
use crate::letter::words::{Words, say};
use crate::letter::{Letter, LetterPart};

impl App {
    /// The mail with a link, if the address is known and has not had its share of links. It goes to
    /// the roster's spelling of the address.
    pub(crate) async fn link(
        &self,
        row: &OutboxRow,
        address: &MatchedAddress,
        asker: &Asker,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Letter, NoMail> {
        if now >= row.written_at + LOGIN_REQUEST_LASTS {
            // The hourly watch may not have seen it wait: an alarm of the stack counts this line.
            tracing::warn!(mail_waits = true, "a link was not sent within an hour");
            return Err(NoMail::NotDue("it was asked for too long ago"));
        }
        let person = self
            .table
            .known(address)
            .await?
            .ok_or(NoMail::NotDue("nobody here has this address"))?;
        // These checks come before a link is made, since every link made is counted.
        let before = self.table.sign_in_of(address).await?;
        let is_first_of_hour = before.mailed.iter().all(|mailed| {
            mailed.login_request == row.row
                || mailed.sign_on.is_some()
                || mailed.at + LOGIN_REQUEST_LASTS <= row.written_at
        });
        // The hour's first link to an admin is sent in spite of returned mail and a used-up quota,
        // since its reader can mend both.
        let is_always = self.table.is_admin(address).await? && is_first_of_hour;
        let is_marked = self
            .table
            .undeliverable(address, now)
            .await?
            .is_some_and(|mark| mark.keeps_back(row.class));
        if is_marked && !is_always {
            return Err(UNWANTED);
        }
        if !is_always
            && !before.is_again(row.row)
            && !self.links_are_left(person.has_role, now).await?
        {
            tracing::warn!(
                links_used_up = true,
                "as many links were sent as the day's quota allows"
            );
            return Err(NoMail::NotDue(
                "as many links as a day's quota allows have been sent",
            ));
        }
        let token = LinkToken::generate();
        let code = Code::generate();
        let link = LiveLink {
            link: token.hash(),
            code: Some(code.hash(address)),
            asker: asker.clone(),
            ends_at: now + LINK_LASTS,
        };
        match self
            .table
            .make_link(row.row, address, &link, now, deadline)
            .await?
        {
            Ok(()) => Ok(self.to(&person.address, |words| match asker.sign_on {
                Some(_) => words.code_of_sign_on(&token, &code, row.written_at),
                None => words.link(&token, &code, row.written_at),
            })),
            Err(LinkRefused::NextMinute) => Err(NoMail::NotBefore(next_minute(now))),
            Err(refused) => Err(NoMail::NotDue(refused.why())),
        }
    }

    /// Whether links may still use some of the day's quota. They get half of it, the last fifth of
    /// that only for people with a role. Others get nothing of the day's last tenth, which is for
    /// alerts.
    async fn links_are_left(&self, has_role: bool, now: Moment) -> Result<bool, StoreError> {
        let Some(server) = self.table.get(MailServer::key_of()).await? else {
            return Ok(true);
        };
        let Some(per_day) = server.per_day else {
            return Ok(true);
        };
        if !has_role && server.sent >= (per_day * 9).div_ceil(10) {
            return Ok(false);
        }
        let most = if has_role {
            per_day.div_ceil(2)
        } else {
            (per_day * 2).div_ceil(5)
        };
        let minutes = self
            .table
            .links_between(now - SignedDuration::from_hours(24), now)
            .await?;
        Ok(minutes
            .iter()
            .map(|minute| u64::from(minute.count))
            .sum::<u64>()
            < most)
    }
}

impl App {
    pub(crate) fn sign_on(&self, address: &EmailAddress) -> Letter {
        Words {
            recipient: address,
            config: &self.config,
        }
        .sign_on()
    }
}

impl Words<'_> {
    fn link(self, token: &LinkToken, code: &Code, asked_at: Moment) -> Letter {
        let origin = self.config.origin.as_str();
        Letter {
            subject: "Your link to sign in to Bursar".to_owned(),
            heading: "Sign in to Bursar".to_owned(),
            parts: vec![
                say(format!(
                    "This link signs you in as {}. It was requested on {} and works once, within 30 minutes of this mail. If you \
                     open it in another browser than the one in which you asked for it, type that address there.",
                    self.recipient.as_written(),
                    utc(asked_at)
                )),
                self.page("Sign in", &format!("/c/{}", token.reveal())),
                say("Or type this code on the page where you asked for the link:"),
                LetterPart::Code(code.reveal()),
                say(
                    "Anybody who has the link or the code can sign in as you, so give them to nobody. If you did not ask for them, ignore this mail.",
                ),
            ],
            why: format!("You get this mail because this address was entered at {origin}."),
            ..self.letter()
        }
    }

    /// To an address that was typed in a sign-on.
    fn code_of_sign_on(self, token: &LinkToken, code: &Code, asked_at: Moment) -> Letter {
        let origin = self.config.origin.as_str();
        Letter {
            subject: "Your code to connect your sign-on to Bursar".to_owned(),
            heading: "Connect your sign-on".to_owned(),
            parts: vec![
                say(format!(
                    "On {}, a person signed on at {} and typed {} as their address. If that was you, type this code on that page, within \
                     ten minutes of signing on. From then on that sign-on opens Bursar as you:",
                    utc(asked_at),
                    self.config.institution,
                    self.recipient.as_written()
                )),
                LetterPart::Code(code.reveal()),
                say(
                    "Where a mail may sign you in, this link does, within 30 minutes, and connects nothing:",
                ),
                self.page("Sign in", &format!("/c/{}", token.reveal())),
                say(
                    "Anybody who has the code can become you, so give it to nobody. If you did not sign on, ignore this mail.",
                ),
            ],
            why: format!("You get this mail because this address was entered at {origin}."),
            ..self.letter()
        }
    }

    /// To an address to which a sign-on was connected.
    fn sign_on(self) -> Letter {
        let origin = self.config.origin.as_str();
        let institution = &self.config.institution;
        let support = self
            .config
            .support
            .as_deref()
            .unwrap_or("the people who run Bursar there");
        Letter {
            subject: "Your sign-on now opens Bursar".to_owned(),
            heading: "A sign-on was connected".to_owned(),
            parts: vec![say(format!(
                "A person signed on at {institution}, and from now on that sign-on signs in to Bursar as {}. If that was you, nothing \
                 is to do. If it was not, ask {support} at once: an admin disconnects it, and that person is signed out.",
                self.recipient.as_written()
            ))],
            why: format!("You get this mail because this address is known at {origin}."),
            ..self.letter()
        }
    }
}

fn next_minute(now: Moment) -> Moment {
    const MINUTE: i64 = 60_000;
    now + SignedDuration::from_millis(MINUTE - now.as_millisecond().rem_euclid(MINUTE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{now, told};

    #[tokio::test]
    async fn link() {
        let token = LinkToken::generate();
        let code = Code::generate();
        let text = told(|words| words.link(&token, &code, now())).await;
        let text = text
            .replace(token.reveal(), "[token]")
            .replace(&code.reveal(), "[code]");
        insta::assert_snapshot!(text, @"
        Your link to sign in to Bursar
        Sign in to Bursar
        This link signs you in as grace@example.edu. It was requested on 20 Nov 2026, 10:00 UTC and works once, within 30 minutes of this mail. If you open it in another browser than the one in which you asked for it, type that address there.
        Sign in: https://bursar.example.edu/c/[token]
        Or type this code on the page where you asked for the link:
        Code: [code]
        Anybody who has the link or the code can sign in as you, so give them to nobody. If you did not ask for them, ignore this mail.
        You get this mail because this address was entered at https://bursar.example.edu.
        ");
    }

    #[tokio::test]
    async fn code_of_sign_on() {
        let token = LinkToken::generate();
        let code = Code::generate();
        let text = told(|words| words.code_of_sign_on(&token, &code, now())).await;
        let text = text
            .replace(token.reveal(), "[token]")
            .replace(&code.reveal(), "[code]");
        insta::assert_snapshot!(text, @"
        Your code to connect your sign-on to Bursar
        Connect your sign-on
        On 20 Nov 2026, 10:00 UTC, a person signed on at Example University and typed grace@example.edu as their address. If that was you, type this code on that page, within ten minutes of signing on. From then on that sign-on opens Bursar as you:
        Code: [code]
        Where a mail may sign you in, this link does, within 30 minutes, and connects nothing:
        Sign in: https://bursar.example.edu/c/[token]
        Anybody who has the code can become you, so give it to nobody. If you did not sign on, ignore this mail.
        You get this mail because this address was entered at https://bursar.example.edu.
        ");
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method alone is of one lifetime"
    )]
    #[tokio::test]
    async fn sign_on() {
        insta::assert_snapshot!(told(|words| words.sign_on()).await, @"
        Your sign-on now opens Bursar
        A sign-on was connected
        A person signed on at Example University, and from now on that sign-on signs in to Bursar as grace@example.edu. If that was you, nothing is to do. If it was not, ask the people who run Bursar there at once: an admin disconnects it, and that person is signed out.
        You get this mail because this address is known at https://bursar.example.edu.
        ");
    }
}
