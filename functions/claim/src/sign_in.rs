//! Asking for a link, signing in by it or by a code, and signing out. The domain decides whether a
//! link or code is valid; this file turns requests into that question and a good answer into a
//! session.

use std::convert::Infallible;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use bursar_core::clock::Moment;
use bursar_core::config::SignOnRequired;
use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::{Act, AuditDetail};
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::programme::counts::Stage;
use bursar_core::domain::sign_in::{Asker, Proof, Session, SignIn, SignInMethod};
use bursar_core::domain::sign_on::SignOnBinding;
use bursar_core::domain::values::address::{EmailAddress, MatchedAddress};
use bursar_core::domain::values::token::{BrowserToken, Code, LinkToken, SessionToken};
use bursar_core::store::{AccessEntry, Link, SessionOutcome, StoreError};
use bursar_core::web::{
    Answer, AppError, Destination, Fields, Flash, Frame, Posted, Reply, Result, Site, Source,
    Visitor,
};
use jiff::SignedDuration;

use crate::sign_on;

/// The number of times a decision is repeated because the address's sign-in state changed
/// meanwhile. Each conflict means that another request succeeded.
pub(crate) const TRIES: usize = 20;
/// How long an admin stays signed in who came by a mailed link where admins have to sign on.
const EMERGENCY_LASTS: SignedDuration = SignedDuration::from_hours(1);

/// What a sign-in has to know of the browser that sends it.
pub(crate) struct Browser {
    pub(crate) headers: HeaderMap,
    pub(crate) source: Source,
    pub(crate) deadline: Deadline,
}

impl FromRequestParts<Site> for Browser {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Browser, Infallible> {
        let source = Source::from_request_parts(parts, site).await?;
        let deadline = Deadline::from_request_parts(parts, site).await?;
        Ok(Browser {
            headers: parts.headers.clone(),
            source,
            deadline,
        })
    }
}

/// The page behind every link, valid or not.
#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage<'a> {
    frame: &'a Frame,
    /// Whether this browser asked for some link, so that the button alone signs in.
    has_asked: bool,
}

/// The only page for a link that does not sign in. It has nothing of what was sent.
#[derive(Template)]
#[template(path = "link_refused.html")]
struct LinkRefusedPage<'a> {
    frame: &'a Frame,
    /// Whom a link does not sign in, right or not.
    required: SignOnRequired,
}

/// The only page for a code that does not sign in, with what was typed.
#[derive(Template)]
#[template(path = "code_refused.html")]
struct CodeRefusedPage<'a> {
    frame: &'a Frame,
    address: &'a str,
    code: &'a str,
    /// Whether it was to connect a sign-on.
    is_sign_on: bool,
    required: SignOnRequired,
}

/// The page of a link. It changes nothing and looks nothing up, since mail scanners open links.
pub(crate) async fn link(site: Site, headers: HeaderMap) -> Reply {
    site.page(&LinkPage {
        frame: &site.frame,
        has_asked: site.cookies.asker_cookie(&headers).is_some(),
    })
}

/// Signs in by a link, in the browser that asked or with the address typed in. A failure uses
/// nothing up.
pub(crate) async fn follow(site: Site, browser: Browser, uri: Uri, fields: Fields) -> Answer {
    let refused = || {
        let page = site.page(&LinkRefusedPage {
            frame: &site.frame,
            required: site.sign_on_required,
        });
        AppError::page(StatusCode::FORBIDDEN, Ok(page)).because(SignInMethod::Link.as_str())
    };
    let link = link_in(uri.path()).ok_or_else(refused)?;
    let proof = proof(&site, &browser.headers, &fields).ok_or_else(refused)?;
    let link = link.hash();
    let now = site.clock.now();
    let stored_link = site
        .table
        .get(Link::key_of(&link))
        .await?
        .ok_or_else(refused)?;
    for _ in 0..TRIES {
        let before = site.table.sign_in_of(&stored_link.address).await?;
        let Some(after) = before.follow(&link, &proof, now) else {
            return match proof {
                Proof::Address(typed) if typed != stored_link.address => Err(refused()),
                Proof::Address(_) | Proof::Browser(_) => {
                    answer_again(&site, &browser.headers, &stored_link.address)
                        .await?
                        .ok_or_else(refused)
                }
            };
        };
        let begun = begin_session(
            &site,
            &browser,
            (&before, &after),
            SignInMethod::Link,
            None,
            now,
            &refused,
        )
        .await?;
        if let Some(reply) = begun {
            return Ok(reply);
        }
    }
    Err(StoreError::Contended.into())
}

/// Signs in by the code of the mail, in any browser, because the form asks for the address too.
pub(crate) async fn type_code(site: Site, browser: Browser, fields: Fields) -> Answer {
    let [address, code] = ["address", "code"].map(|name| fields.get(name).unwrap_or_default());
    let is_sign_on = fields.get("sign_on") == Some("on");
    let required = site.sign_on_required;
    let refused = || {
        let page = site.page(&CodeRefusedPage {
            frame: &site.frame,
            address,
            code,
            is_sign_on,
            required,
        });
        AppError::page(StatusCode::FORBIDDEN, Ok(page)).because(SignInMethod::Code.as_str())
    };
    let address = EmailAddress::parse(address).map_err(|_| refused())?;
    let code = Code::from_form(code).ok_or_else(refused)?;
    let code = code.hash(address.matched());
    let now = site.clock.now();
    if is_sign_on {
        return sign_on::connect(&site, &browser, &fields, (address.matched(), &code))
            .await?
            .ok_or_else(refused);
    }
    for _ in 0..TRIES {
        let before = site.table.sign_in_of(address.matched()).await?;
        let Some(after) = before.type_code(&code, now) else {
            if !site
                .table
                .count_wrong_code(&before, now, browser.deadline)
                .await?
            {
                continue;
            }
            return answer_again(&site, &browser.headers, address.matched())
                .await?
                .ok_or_else(refused);
        };
        let begun = begin_session(
            &site,
            &browser,
            (&before, &after),
            SignInMethod::Code,
            None,
            now,
            &refused,
        )
        .await?;
        if let Some(reply) = begun {
            return Ok(reply);
        }
    }
    Err(StoreError::Contended.into())
}

pub(crate) async fn sign_out(
    site: Site,
    deadline: Deadline,
    source: Source,
    posted: Posted,
) -> Answer {
    let session = &posted.visitor.session;
    let now = site.clock.now();
    let everywhere = posted.fields.get("everywhere") == Some("on");
    let mut what = AuditDetail::new(Act::SignedOut);
    if everywhere {
        what = what.with_note("in every browser");
    }
    let access = session
        .person
        .as_ref()
        .map(|person| AccessEntry::new(person, source.0, now, what));
    if everywhere {
        site.table
            .sign_out_everywhere(&session.address, access.as_ref(), now, deadline)
            .await?;
    } else {
        site.table
            .sign_out(session, access.as_ref(), deadline)
            .await?;
    }
    Ok(site
        .done("/", &Flash::SignedOut { everywhere })
        .setting(site.cookies.end_session()))
}

/// The only place where a session begins, with the lifetime of the person's role, and with it the
/// binding of a sign-on. `None` where what it rests on was changed meanwhile; `barred` answers
/// those who may not come in this way: they have to sign on, or somebody else does as this address.
pub(crate) async fn begin_session(
    site: &Site,
    browser: &Browser,
    (before, after): (&SignIn, &SignIn),
    method: SignInMethod,
    binding: Option<&SignOnBinding>,
    now: Moment,
    barred: &(dyn Fn() -> AppError + Sync),
) -> Result<Option<Reply>> {
    let deadline = browser.deadline;
    let known_person = site.table.known(&after.address).await?;
    if known_person.is_none() && binding.is_some() {
        // They were erased meanwhile.
        return Err(barred());
    }
    let person = match known_person.filter(|known_person| known_person.has_role) {
        Some(known_person) => Some(
            site.table
                .person_of(&known_person.address, deadline)
                .await?,
        ),
        None => None,
    };
    let is_barred = match (method, site.sign_on_required) {
        (SignInMethod::SignOn | SignInMethod::Front, _) | (_, SignOnRequired::Nobody) => false,
        (SignInMethod::Link | SignInMethod::Code, SignOnRequired::Roles) => person.is_some(),
        (SignInMethod::Link | SignInMethod::Code, SignOnRequired::Everybody) => true,
    };
    let token = SessionToken::generate();
    let mut session = Session::new(token.hash(), after, method, person, now);
    if is_barred {
        // Where the sign-on is down, somebody must be able to say so.
        let admin = session
            .person
            .clone()
            .filter(|_| site.table.is_admin_of_environment(&after.address));
        let Some(person) = admin else {
            let what = AuditDetail::new(Act::SignOnRefused).with_note("a mail does not sign in");
            record_refusal(site, browser, &session, what, now).await?;
            return Err(barred());
        };
        session = session.limit_to(EMERGENCY_LASTS);
        let alarm = Alarm::now(
            Cause::AdminByLink {
                person,
                signed_in_at: now,
            },
            now,
        );
        site.table.tell_admins(&alarm, now, deadline).await?;
    }
    // Of students it is counted alone.
    let what = AuditDetail::new(Act::SignedIn).with_note(method.to_words());
    let access = session
        .person
        .as_ref()
        .map(|person| AccessEntry::new(person, browser.source.0, now, what));
    match site
        .table
        .sign_in(
            before,
            after,
            &session,
            (access.as_ref(), binding),
            deadline,
        )
        .await?
    {
        SessionOutcome::Begun => {}
        SessionOutcome::Changed => return Ok(None),
        SessionOutcome::BoundOtherwise => {
            record_refusal(
                site,
                browser,
                &session,
                AuditDetail::new(Act::SignOnRefused),
                now,
            )
            .await?;
            return Err(barred());
        }
    }
    site.table
        .note_stage(&after.address, Stage::SignedIn, now, deadline)
        .await;
    let person = session.person.as_ref().map(tracing::field::display);
    let source = access
        .and_then(|access| access.source)
        .map(tracing::field::display);
    tracing::info!(
        signed_in = method.as_str(),
        has_role = session.person.is_some(),
        person,
        source,
        "somebody signed in"
    );
    Ok(Some(
        to_home(site, &browser.headers, &session).setting(site.cookies.set_session(&token)),
    ))
}

/// Records that somebody with a role was not let in.
async fn record_refusal(
    site: &Site,
    browser: &Browser,
    session: &Session,
    what: AuditDetail,
    now: Moment,
) -> Result<()> {
    if let Some(person) = &session.person {
        let refused = AccessEntry::new(person, browser.source.0, now, what);
        site.table.record_access(&refused, browser.deadline).await?;
    }
    Ok(())
}

/// The answer to a used link or code in the browser that used it, which is redirected as before,
/// without a second session.
async fn answer_again(
    site: &Site,
    headers: &HeaderMap,
    address: &MatchedAddress,
) -> Result<Option<Reply>> {
    let visitor = Visitor::read(site, headers)
        .await?
        .filter(|visitor| visitor.session.address == *address);
    Ok(visitor.map(|visitor| to_home(site, headers, &visitor.session)))
}

/// The page that this browser asked for before it was signed in, once, or else the first of those
/// that this person may see.
pub(crate) fn to_home(site: &Site, headers: &HeaderMap, session: &Session) -> Reply {
    let has_role = session.person.is_some();
    let asked_for = site
        .cookies
        .destination(headers)
        .filter(|path| has_role || !path.is_for_staff());
    let home = if has_role { "/console" } else { "/my" };
    let path = asked_for.as_ref().map_or(home, Destination::as_str);
    let notice = if session.is_shortened() {
        Flash::SignedInForAnHour
    } else {
        Flash::SignedIn { has_role }
    };
    site.done(path, &notice)
        .setting(site.cookies.end_destination())
}

/// The token in a link's path, without punctuation that a mail program appended.
fn link_in(path: &str) -> Option<LinkToken> {
    let text = path.strip_prefix("/c/")?;
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    LinkToken::parse(&text[..end.unwrap_or(text.len())])
}

/// The evidence that the request comes from no mail scanner: a typed address, right or wrong, or
/// else the cookie.
fn proof(site: &Site, headers: &HeaderMap, fields: &Fields) -> Option<Proof> {
    match fields.filled("address") {
        Some(typed) => EmailAddress::parse(typed)
            .ok()
            .map(|address| Proof::Address(address.matched().clone())),
        None => site
            .cookies
            .asker_cookie(headers)
            .map(|browser| Proof::Browser(browser.hash())),
    }
}

#[derive(Template)]
#[template(path = "start.html")]
struct StartPage<'a> {
    frame: &'a Frame,
    has_sign_on: bool,
    required: SignOnRequired,
}

/// The page that says that a mail is on its way if the address is known. What was typed is on it as
/// it came, known or not.
#[derive(Template)]
#[template(path = "asked.html")]
struct LinkSentPage<'a> {
    frame: &'a Frame,
    address: &'a str,
    is_sign_on: bool,
}

pub(crate) async fn start(site: Site) -> Reply {
    let required = site.sign_on_required;
    site.page(&StartPage {
        frame: &site.frame,
        has_sign_on: site.sign_on.is_some(),
        required,
    })
}

/// Writes a login request for any valid address. Every answer sets a cookie, since a link only
/// signs in the browser that asked for it.
pub(crate) async fn request_link(
    site: Site,
    deadline: Deadline,
    headers: HeaderMap,
    fields: Fields,
) -> Answer {
    let missing = "Nothing was sent: the field for the address is missing. Open the start page and fill it in.";
    let typed = fields
        .get("address")
        .ok_or_else(|| AppError::unprocessable(missing))?;
    let browser = site
        .cookies
        .asker_cookie(&headers)
        .unwrap_or_else(BrowserToken::generate);
    let waiting = sign_on::waiting_in(&site, &headers, &fields).await?;
    let is_sign_on = waiting.is_some();
    let asker = waiting.map_or_else(
        || Asker {
            browser: browser.hash(),
            sign_on: None,
        },
        |begun| begun.asker(),
    );
    if let Ok(address) = EmailAddress::parse(typed) {
        site.table
            .request_link(address.matched(), asker, site.clock.now(), deadline)
            .await?;
    }
    let page = site.page(&LinkSentPage {
        frame: &site.frame,
        address: typed,
        is_sign_on,
    });
    Ok(page
        .with_status(StatusCode::ACCEPTED)
        .setting(site.cookies.set_asking(&browser)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_link_is_no_part_of_it() {
        let token = LinkToken::generate();
        for after in ["", ".", ")", "%23", "#", "/", ".\"", "%3E,"] {
            let link = link_in(&format!("/c/{}{after}", token.reveal()));
            assert_eq!(link.map(|link| link.hash()), Some(token.hash()), "{after}");
        }
        for path in ["/c/", "/c/.", "/d/x", &format!("/c/x{}", token.reveal())] {
            assert!(link_in(path).is_none(), "{path}");
        }
    }
}
