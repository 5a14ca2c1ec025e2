//! The help desk: people, grants, keys and mails that one field finds, in all programmes for admins
//! and in their own for others with a role, and a field of its own for a key that somebody came
//! across. It knows what is typed in full. Parts are found in the list of a programme.

use std::cmp::Reverse;

use askama::Template;
use axum::http::StatusCode;
use bursar_core::clock::Moment;
use bursar_core::domain::ledger::foreign::ForeignKey;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::role::{Role, Roles};
use bursar_core::domain::sign_in::{LinkRefused, SignIn};
use bursar_core::domain::sign_on::SignOnBinding;
use bursar_core::domain::values::address::{EmailAddress, MatchedAddress};
use bursar_core::domain::values::id::new_ulid;
use bursar_core::domain::values::key::KeyLabel;
use bursar_core::store::{
    Enrolment, FiledMail, GrantLine, KnownAddress, KnownPerson, LoginRequest, MailRefusal,
    MailServer, OutboxRow, RetentionHold, StoreError, Undeliverable, Unreachable,
    UnreachableReason,
};
use bursar_core::web::{Answer, AppError, Flash, Posted, Result, Site, Visitor};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::kit::access::{Admins, PageFrame, Post, SIGN_ON_FOR_THIS};
use crate::kit::listing::{Listing, ON_A_PAGE};
use crate::kit::mails::{MailRow, MailStatus};
use crate::kit::{mails, paths, show};
use crate::people::grants;
use crate::people::grants::{GrantRow, Shows};

const PROGRAMMES_AT_ONCE: usize = 4;
/// Of many login requests only the newest are shown.
const REQUESTS_SHOWN: i32 = 20;
/// Of a programme's mails to staff, so many of the newest are looked through.
const STAFF_MAILS_READ: i32 = 100;

#[derive(Template)]
#[template(path = "help_desk.html")]
struct HelpDesk<'a> {
    site: &'a Site,
    frame: PageFrame<'a>,
    now: Moment,
    /// What is looked for: of a key its label.
    text: &'a str,
    /// Whether it comes from the field for keys, and is shown nowhere again.
    is_key: bool,
    /// Those that the visitor may see.
    programmes: &'a [Programme],
    unreachable: Unreachable,
    people: Vec<(Roles, &'a Programme)>,
    grants: Listing<GrantRow<'a>>,
    /// Newest first.
    mails: Listing<MailRow>,
    keys: Vec<ForeignKey>,
    address: Option<AddressFacts>,
    hold: Option<RetentionHold>,
}

/// Why mail goes or does not go to an address.
struct AddressFacts {
    person: Option<KnownPerson>,
    requests: Vec<LoginRequest>,
    mark: Option<Undeliverable>,
    /// Why another link is not sent now.
    refused: Option<LinkRefused>,
    /// Whether bulk mail waits for tomorrow.
    is_stopped: bool,
    refusals: Vec<MailRefusal>,
    /// The sign-on that signs in as it.
    binding: Option<SignOnBinding>,
}

/// The programmes in which somebody has a role, who has one.
pub(crate) async fn visible(site: &Site, visitor: &Visitor) -> Result<Vec<(Programme, Role)>> {
    let programmes = site
        .table
        .programmes_of(&visitor.session.address, visitor.is_admin)
        .await?;
    if programmes.is_empty() && !visitor.is_admin {
        return Err(AppError::no_right());
    }
    Ok(programmes)
}

/// The page for a key or its label that somebody came across. It comes in a form, so that no
/// address has it.
pub(crate) async fn find_key(site: Site, Posted { visitor, fields }: Posted) -> Answer {
    let label = KeyLabel::parse(fields.get("key").unwrap_or_default());
    let status = if label.is_some() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let text = label.as_ref().map_or("", KeyLabel::as_str);
    Ok(page(&site, &visitor, text, true).await?.with_status(status))
}

/// Disconnects the sign-on of an address, as where the address is somebody else's by now.
pub(crate) async fn unbind(post: Post<Admins>) -> Answer {
    let Post {
        site,
        fields,
        access,
        ..
    } = &post;
    if access.visitor.session.is_shortened() {
        return Err(AppError::conflict(SIGN_ON_FOR_THIS));
    }
    let address = EmailAddress::parse(fields.get("email").unwrap_or_default());
    let address =
        address.map_err(|error| AppError::unprocessable(format!("Nothing was done: {error}.")))?;
    let was_bound = site.table.unbind(address.matched(), post.author()).await?;
    let path = show::address("/console", &[("q", address.as_written())]);
    Ok(site.done(
        &path,
        if was_bound {
            &Flash::SignOnUnbound
        } else {
            &Flash::Already
        },
    ))
}

pub(crate) async fn page(site: &Site, visitor: &Visitor, text: &str, is_key: bool) -> Answer {
    let now = site.clock.now();
    let programmes = visible(site, visitor).await?;
    let programmes: Vec<Programme> = programmes
        .into_iter()
        .map(|(programme, _)| programme)
        .collect();
    let label = KeyLabel::parse(text);
    let mut page = HelpDesk {
        site,
        frame: PageFrame::new(site, visitor),
        now,
        text,
        is_key,
        programmes: &programmes,
        unreachable: site.table.unreachable(now).await?,
        people: Vec::new(),
        grants: Listing::new(
            ("Students", "grant"),
            grants::columns(Shows {
                lifetime: true,
                span: false,
            }),
            [],
            &TimeZone::UTC,
        ),
        mails: mails::listing("mail", Vec::new(), &TimeZone::UTC),
        keys: Vec::new(),
        address: None,
        hold: None,
    };
    page.find().await?;
    let total = page.grants.rows.len();
    page.grants
        .rows
        .sort_by_cached_key(|row| (row.address(), row.programme.id.clone()));
    page.grants.rows.truncate(ON_A_PAGE);
    for row in &mut page.grants.rows {
        let name = row.programme.settings.name.clone();
        row.note = Some(label.as_ref().map_or(name.clone(), |label| {
            format!("{name}: {}", row.key_in_words(label))
        }));
    }
    page.grants.caption = format!("{} of {total}, by address", page.grants.rows.len());
    page.mails.rows.sort_by_key(|mail| Reverse(mail.written_at));
    page.grants.zone = page.zone();
    page.mails.zone = page.grants.zone.clone();
    Ok(site.page(&page))
}

impl<'a> HelpDesk<'a> {
    async fn find(&mut self) -> Result<()> {
        for (programme, line) in grants::named(self.site, self.programmes, self.text).await? {
            self.grants
                .rows
                .push(GrantRow::new(programme, line, &self.unreachable, self.now));
        }
        if let Ok(address) = EmailAddress::parse(self.text) {
            self.find_address(address.matched()).await?;
        }
        // Ids may look like addresses.
        if self.is_empty() && !self.text.is_empty() {
            self.find_in_all().await?;
        }
        Ok(())
    }

    /// The time zone of the programmes in which students were found; UTC where there are several.
    fn zone(&self) -> TimeZone {
        let rows = self.grants.rows.iter();
        let mut zones: Vec<&TimeZone> =
            rows.map(|row| row.programme.settings.term.zone()).collect();
        zones.dedup();
        if let [zone] = zones[..] {
            zone.clone()
        } else {
            TimeZone::UTC
        }
    }

    fn is_empty(&self) -> bool {
        let is_known = self
            .address
            .as_ref()
            .is_some_and(|address| address.person.is_some());
        let is_listed =
            !(self.people.is_empty() && self.grants.rows.is_empty() && self.keys.is_empty());
        !is_known && !is_listed && self.mails.rows.is_empty()
    }

    /// What lies under an address. Of one without a grant or role that the visitor may see only
    /// admins learn anything.
    async fn find_address(&mut self, address: &MatchedAddress) -> Result<()> {
        let table = &self.site.table;
        let now = self.now;
        for programme in self.programmes {
            let mut people = Roles::collect(&programme.id, &programme.settings.people);
            self.people
                .extend(people.remove(address).map(|roles| (roles, programme)));
        }
        if self.is_empty() && !self.frame.is_admin {
            return Ok(());
        }
        for GrantRow {
            programme, line, ..
        } in &self.grants.rows
        {
            let about = (
                paths::grant(&programme.id, &line.id),
                programme.settings.name.clone(),
            );
            for mail in table.mails_of(&programme.id, &line.id).await? {
                self.mails.rows.push(MailRow {
                    about: Some(about.clone()),
                    ..MailRow::new(&mail)
                });
            }
        }
        if let Some(person) = table
            .get(KnownAddress::key_of(address))
            .await?
            .and_then(|known_address| known_address.person)
        {
            for (_, Programme { id, settings, .. }) in &self.people {
                let about = (
                    show::address(&paths::alerts(id), &[("kind", "all")]),
                    settings.name.clone(),
                );
                let filed = table
                    .newest(FiledMail::filed_under(id, None), STAFF_MAILS_READ)
                    .await?;
                for mail in table.mails(filed, usize::MAX).await? {
                    if mail.mail.facts().recipient.staff() == Some(&person) {
                        self.mails.rows.push(MailRow {
                            about: Some(about.clone()),
                            ..MailRow::new(&mail)
                        });
                    }
                }
            }
        }
        let Some(since) = self.learns_since(address).await? else {
            return Ok(());
        };
        let (person, sign_in, mut requests, mark, server, refusals, binding) = tokio::try_join!(
            table.known(address),
            table.sign_in_of(address),
            table.newest(LoginRequest::of_address(address), REQUESTS_SHOWN),
            table.undeliverable(address, now),
            table.get(MailServer::key_of()),
            table.mail_refusals(now),
            table.find_binding(address),
        )?;
        requests.retain(|request| since <= request.asked_at);
        let mark = mark.filter(|mark| since <= mark.marked_at);
        let binding = binding.filter(|binding| since <= binding.bound_at);
        for request in &requests {
            self.mails
                .rows
                .push(match table.get(OutboxRow::key_of(request.id)).await? {
                    Some(row) => MailRow::new(&row),
                    None => no_link(request, &sign_in, person.is_some(), now),
                });
        }
        let refused = sign_in.link_refused(new_ulid(now), None, now);
        if self.frame.is_admin {
            self.hold = table.retention_hold(address).await?;
        }
        let is_stopped = server.is_some_and(|server| server.stopped(now).is_some());
        self.address = Some(AddressFacts {
            person,
            requests,
            mark,
            refused,
            is_stopped,
            refusals,
            binding,
        });
        Ok(())
    }

    /// Since when the visitor learns how somebody signs in and whether mail reaches them. Everybody
    /// writes whom they like into their own roster: so of an address with a role elsewhere admins
    /// alone learn it, and of a student others learn what came after the enrolment.
    async fn learns_since(&self, address: &MatchedAddress) -> Result<Option<Moment>> {
        let table = &self.site.table;
        if self.frame.is_admin {
            return Ok(Some(Moment::MIN));
        }
        let roles = table.programmes_of(address, false).await?;
        let are_here = roles
            .iter()
            .all(|(programme, _)| self.programmes.iter().any(|own| own.id == programme.id));
        if !are_here || table.is_admin(address).await? {
            return Ok(None);
        }
        let mut since = None;
        for GrantRow { programme, .. } in &self.grants.rows {
            let enrolment: Option<Enrolment> =
                table.get(Enrolment::key_of(address, &programme.id)).await?;
            let enrolled_at = enrolment.map(|enrolment| enrolment.enrolled_at);
            since = since.into_iter().chain(enrolled_at).min();
        }
        // Who has a role here alone is nobody else's concern.
        Ok(Some(since.unwrap_or(Moment::MIN)))
    }

    /// The students whose id or full name this is, and the keys whose hash, name or label.
    async fn find_in_all(&mut self) -> Result<()> {
        let text = self.text;
        let label = KeyLabel::parse(text);
        let label = label.as_ref();
        let table = &self.site.table;
        if self.frame.is_admin {
            let mut keys = table.foreign_keys().await?;
            keys.retain(|key| {
                let has_label = label
                    .zip(key.label.as_ref())
                    .is_some_and(|(label, of_key)| label.may_be(of_key));
                has_label || key.name == text || key.key.as_str() == text
            });
            keys.truncate(ON_A_PAGE);
            self.keys = keys;
        }
        let unreachable = &self.unreachable;
        let now = self.now;
        let reads = self
            .programmes
            .iter()
            .map(|programme: &'a Programme| async move {
                let lines = table
                    .grant_lines(&programme.id, Some(GrantLine::KEYS))
                    .await?;
                let rows = lines
                    .into_iter()
                    .map(|line| GrantRow::new(programme, line, unreachable, now));
                Ok::<Vec<_>, StoreError>(rows.filter(|row| row.is_exactly(text, label)).collect())
            });
        let mut reads = iter(reads.collect::<Vec<_>>()).buffer_unordered(PROGRAMMES_AT_ONCE);
        while let Some(rows) = reads.try_next().await? {
            self.grants.rows.extend(rows);
        }
        Ok(())
    }
}

/// What became of a login request that led to no mail. What limited it is known from what was
/// mailed around it.
fn no_link(request: &LoginRequest, sign_in: &SignIn, is_known: bool, now: Moment) -> MailRow {
    let (word, why) =
        match sign_in.link_refused(request.id, request.asker.sign_on.as_ref(), request.asked_at) {
            _ if !is_known => ("not sent", "nobody here has this address"),
            Some(refused) => ("not sent", refused.why()),
            None if now < request.asked_at + SignedDuration::from_mins(1) => {
                ("waiting", "it was asked for just now")
            }
            None => ("not sent", "as many as are sent for a time had been sent"),
        };
    let outcome = MailStatus::new(word, "warning", request.asked_at, Some(why.to_owned()));
    let kind = "link to sign in";
    let written_at = request.asked_at;
    MailRow {
        kind,
        about: None,
        threshold: None,
        recipient: None,
        written_at,
        outcome,
        resend: None,
    }
}
