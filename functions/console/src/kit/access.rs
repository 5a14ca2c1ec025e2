//! Authorisation of the console's pages and forms: who the visitor is, for which programme, and in
//! which role. What a visitor may not see gets the answer of a page that does not exist.

use std::future::Future;
use std::ops::Deref;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Multipart, RawPathParams, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::role::Role;
use bursar_core::domain::values::id::PersonId;
use bursar_core::store::Author;
use bursar_core::web::{AppError, Fields, Frame, Posted, Result, Site, Visitor};

/// Whoever reads an admin's mailbox while nobody can sign on makes nobody an admin, and connects no
/// sign-on of their own.
pub(crate) const SIGN_ON_FOR_THIS: &str = "Nothing was done: this needs a sign-on. A person who was let in by a mailed link for an hour cannot do it.";

/// A programme with the visitor's role in it. As an extractor it admits assistants and higher
/// roles.
#[derive(Clone)]
pub(crate) struct ProgrammeAccess {
    pub(crate) visitor: Visitor,
    pub(crate) programme: Programme,
    pub(crate) role: Role,
}

/// What every page of the console has around its own content.
pub(crate) struct PageFrame<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) csrf: &'a str,
    pub(crate) is_admin: bool,
}

impl<'a> PageFrame<'a> {
    pub(crate) fn new(site: &'a Site, visitor: &'a Visitor) -> PageFrame<'a> {
        PageFrame {
            frame: &site.frame,
            csrf: visitor.csrf.reveal(),
            is_admin: visitor.is_admin,
        }
    }
}

impl Deref for PageFrame<'_> {
    type Target = Frame;

    fn deref(&self) -> &Frame {
        self.frame
    }
}

pub(crate) struct AdminAccess {
    pub(crate) visitor: Visitor,
}

/// A form posted from one of our pages, by somebody who may send it.
pub(crate) struct Post<A: Admission> {
    pub(crate) site: Site,
    pub(crate) access: A::Access,
    pub(crate) fields: Fields,
    /// The sender, as an audit entry names them.
    pub(crate) person: PersonId,
    pub(crate) actor: Actor,
    pub(crate) now: Moment,
    pub(crate) deadline: Deadline,
}

pub(crate) trait Admission {
    type Access: Send;

    /// Checks the visitor. `programme` is the id in the path, if the route has one.
    fn admit(
        site: &Site,
        visitor: Visitor,
        programme: Option<&str>,
    ) -> impl Future<Output = Result<Self::Access>> + Send;
}

/// Admission of assistants of the programme in the path, faculty, and admins.
pub(crate) enum Assistants {}
pub(crate) enum Faculty {}
pub(crate) enum Admins {}

impl Admission for Assistants {
    type Access = ProgrammeAccess;
    async fn admit(
        site: &Site,
        visitor: Visitor,
        programme: Option<&str>,
    ) -> Result<ProgrammeAccess> {
        ProgrammeAccess::find(site, visitor, programme, Role::Assistant).await
    }
}

impl Admission for Faculty {
    type Access = ProgrammeAccess;
    async fn admit(
        site: &Site,
        visitor: Visitor,
        programme: Option<&str>,
    ) -> Result<ProgrammeAccess> {
        ProgrammeAccess::find(site, visitor, programme, Role::Faculty).await
    }
}

impl Admission for Admins {
    type Access = AdminAccess;
    async fn admit(_: &Site, visitor: Visitor, _: Option<&str>) -> Result<AdminAccess> {
        if visitor.is_admin {
            Ok(AdminAccess { visitor })
        } else {
            Err(AppError::no_right())
        }
    }
}

impl ProgrammeAccess {
    pub(crate) async fn find(
        site: &Site,
        visitor: Visitor,
        id: Option<&str>,
        least: Role,
    ) -> Result<ProgrammeAccess> {
        let id = id
            .and_then(|id| id.parse().ok())
            .ok_or_else(AppError::not_found)?;
        let programme = site
            .table
            .get(Programme::key_of(&id))
            .await?
            .ok_or_else(AppError::not_found)?;
        let role = Role::find(
            &visitor.session.address,
            &programme.settings,
            visitor.is_admin,
        );
        let role = role
            .filter(|role| *role >= least)
            .ok_or_else(AppError::no_right)?;
        Ok(ProgrammeAccess {
            visitor,
            programme,
            role,
        })
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    pub(crate) fn is_faculty(&self) -> bool {
        self.role >= Role::Faculty
    }
}

/// Refuses a programme that is closed.
pub(crate) fn is_open(programme: &Programme) -> Result<()> {
    match programme.closed_at {
        Some(_) => Err(AppError::conflict("The programme is closed.")),
        None => Ok(()),
    }
}

impl FromRequestParts<Site> for ProgrammeAccess {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<ProgrammeAccess> {
        let visitor = Visitor::from_request_parts(parts, site).await?;
        Assistants::admit(site, visitor, programme_in(parts).await.as_deref()).await
    }
}

impl FromRequestParts<Site> for AdminAccess {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<AdminAccess> {
        let visitor = Visitor::from_request_parts(parts, site).await?;
        Admins::admit(site, visitor, None).await
    }
}

impl<A: Admission> FromRequest<Site> for Post<A> {
    type Rejection = AppError;

    async fn from_request(request: Request, site: &Site) -> Result<Post<A>> {
        let (mut parts, body) = request.into_parts();
        let programme = programme_in(&mut parts).await;
        let Ok(deadline) = Deadline::from_request_parts(&mut parts, site).await;
        let Posted { visitor, fields } =
            Posted::from_request(Request::from_parts(parts, body), site).await?;
        Post::admit(site, visitor, programme.as_deref(), fields, deadline).await
    }
}

impl<A: Admission> Post<A> {
    /// The form of a visitor, if they may send it.
    pub(crate) async fn admit(
        site: &Site,
        visitor: Visitor,
        programme: Option<&str>,
        fields: Fields,
        deadline: Deadline,
    ) -> Result<Post<A>> {
        let sender = visitor.clone();
        let access = A::admit(site, visitor, programme).await?;
        let person = sender.person()?;
        let actor = Actor::Person(person.clone());
        Ok(Post {
            site: site.clone(),
            access,
            fields,
            person,
            actor,
            now: site.clock.now(),
            deadline,
        })
    }

    pub(crate) fn author(&self) -> Author<'_> {
        Author {
            actor: &self.actor,
            now: self.now,
            deadline: self.deadline,
        }
    }
}

/// The value of `{id}` in the path of the request.
pub(crate) async fn programme_in(parts: &mut Parts) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    params
        .iter()
        .find(|(name, _)| *name == "id")
        .map(|(_, id)| id.to_owned())
}

/// The largest roster file.
pub(crate) const MOST_OF_A_FILE: usize = 4 << 20;
/// The largest body: a roster with the form around it.
pub(crate) const MOST_BYTES: usize = MOST_OF_A_FILE + (64 << 10);
/// The most parts of a body, more than any form of ours has.
const MOST_PARTS: usize = 32;

/// A multipart form that faculty posted.
pub(crate) struct Upload {
    pub(crate) form: Post<Faculty>,
    /// The part `file`; `None` when no file was chosen.
    pub(crate) file: Option<Bytes>,
}

impl FromRequest<Site> for Upload {
    type Rejection = AppError;

    async fn from_request(request: Request, site: &Site) -> Result<Upload> {
        let (mut parts, body) = request.into_parts();
        // The session is looked at when the whole body is here, however long that takes.
        let parts_of_form = read_multipart(Request::from_parts(parts.clone(), body), site).await;
        let visitor = Visitor::from_request_parts(&mut parts, site).await?;
        let (fields, file) = parts_of_form?;
        let programme = programme_in(&mut parts).await;
        let Ok(deadline) = Deadline::from_request_parts(&mut parts, site).await;
        let Posted { visitor, fields } = Posted::verify(visitor, fields)?;
        if file
            .as_ref()
            .is_some_and(|file| file.len() > MOST_OF_A_FILE)
        {
            return Err(AppError::status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let form = Post::admit(site, visitor, programme.as_deref(), fields, deadline).await?;
        Ok(Upload {
            form,
            file: file.filter(|file| !file.is_empty()),
        })
    }
}

/// The fields of a multipart form, and its part `file`.
async fn read_multipart(request: Request, site: &Site) -> Result<(Fields, Option<Bytes>)> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .map(|kind| kind.as_bytes().to_ascii_lowercase())
        .unwrap_or_default();
    if !kind.starts_with(b"multipart/form-data") {
        return Err(AppError::status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let mut form = Multipart::from_request(request, site)
        .await
        .map_err(unreadable)?;
    let mut fields = Vec::new();
    let mut file = None;
    while let Some(part) = form.next_field().await.map_err(unreadable)? {
        if fields.len() == MOST_PARTS {
            return Err(AppError::status(StatusCode::BAD_REQUEST));
        }
        let name = part.name().unwrap_or_default().to_owned();
        let bytes = part.bytes().await.map_err(unreadable)?;
        if name == "file" {
            file = Some(bytes);
        } else {
            fields.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    Ok((fields.into_iter().collect(), file))
}

/// The extractor's own errors carry the status: 413 beyond the limit, 400 for a malformed body.
fn unreadable(error: impl IntoResponse) -> AppError {
    AppError::answer(error.into_response())
}
