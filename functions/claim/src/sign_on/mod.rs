//! Signing on at the campus' OpenID provider, by the code flow, or by a front that vouches for an
//! address; and the binding of whoever signs on there to an address here.
//!
//! # The way there and back
//!
//! 1. `POST /sign-on` writes a row under the hash of this browser's cookie, for ten minutes, and
//!    answers a page that leads to the provider.
//!    State, nonce and verifier are derived from the cookie.
//! 2. The provider leads back to `GET /sign-on/callback`. The row is used up first: what comes
//!    twice, or in another browser, ends there.
//! 3. [`provider`] exchanges the code, and [`id_token`] says whether what comes is meant for us.
//!    Each check has its own reason in the log,
//!    and all failures have one page.
//! 4. Who it is at the provider, issuer and subject, leads to an address once it is bound to one.
//!    No claim about mail is looked at.
//!
//! # Binding
//!
//! By the id on the roster, as long as that proves something
//! ([`is_proved_by_id`](bursar_core::domain::sign_on::is_proved_by_id)): what faculty write later
//! can take such a binding's force away. Else by a code: the form of the page that asks for the
//! address is that of a mailed link, so whoever types any address learns what they would there. A
//! code counts only if this sign-on asked for it.

mod id_token;
mod provider;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use bursar_core::clock::Moment;
use bursar_core::domain::sign_in::SignInMethod;
use bursar_core::domain::sign_on::{BegunSignOn, BindingProof, SignOnBinding};
use bursar_core::domain::values::address::{EmailAddress, MatchedAddress};
use bursar_core::domain::values::token::{BrowserToken, CodeHash};
use bursar_core::store::{StoreError, Whose};
use bursar_core::web::form::FormBounds;
use bursar_core::web::{Answer, AppError, Fields, Frame, Reply, Result, Site};

pub(crate) use self::provider::OpenId;
use self::provider::VouchedFor;
use crate::sign_in::{Browser, TRIES, begin_session};

/// The header in which a front names the address that it vouches for.
const FRONT_USER: &str = "x-bursar-user";
/// How long grants are looked through for an id. Where that is too short, a code decides.
const SEARCH_FOR: Duration = Duration::from_secs(5);

/// Why a sign-on came to nothing, as the log has it.
#[derive(Clone, Copy)]
pub(crate) struct Refused(&'static str);

/// The page that leads to the provider: a redirect would be held against the policy for forms.
#[derive(Template)]
#[template(path = "sign_on.html")]
struct LeadingPage<'a> {
    frame: &'a Frame,
    url: &'a str,
}

/// Asks for the address of somebody whom the provider vouched for.
#[derive(Template)]
#[template(path = "sign_on_address.html")]
struct AddressPage<'a> {
    frame: &'a Frame,
    /// As the provider calls them.
    name: Option<&'a str>,
}

/// The only page for a sign-on that does not sign in.
#[derive(Template)]
#[template(path = "sign_on_refused.html")]
struct SignOnRefusedPage<'a> {
    frame: &'a Frame,
}

type Provider = Extension<Option<Arc<OpenId>>>;

impl Refused {
    pub(crate) fn page(self, site: &Site) -> AppError {
        let page = site.page(&SignOnRefusedPage { frame: &site.frame });
        AppError::page(StatusCode::FORBIDDEN, Ok(page))
            .because(self.0)
            .setting(site.cookies.end_sign_on())
    }
}

/// Another sign-on has this address, or this one has another.
const BOUND_OTHERWISE: Refused = Refused("sign-on: the address is another's");
const NOBODY: Refused = Refused("sign-on: nobody here");

/// Begins a sign-on: the way to the provider, or a session for whom the front vouches.
pub(crate) async fn begin(
    site: Site,
    Extension(provider): Provider,
    browser: Browser,
    _form_of_ours: Fields,
) -> Answer {
    let Some(provider) = provider else {
        let is_by_front = site.sign_on.is_some();
        return if is_by_front {
            take_front(&site, &browser).await
        } else {
            Err(AppError::not_found())
        };
    };
    let token = BrowserToken::generate();
    let now = site.clock.now();
    let url = provider
        .leads_to(&token, now, browser.deadline)
        .await
        .map_err(|why| why.page(&site))?;
    site.table
        .put_new(&BegunSignOn::new(token.hash(), None, now), browser.deadline)
        .await?;
    let page = site.page(&LeadingPage {
        frame: &site.frame,
        url: url.as_str(),
    });
    Ok(page.setting(site.cookies.set_sign_on(&token)))
}

/// Signs in the address that the front vouches for. That it is the front, its secret shows, without
/// which no request comes so far.
async fn take_front(site: &Site, browser: &Browser) -> Answer {
    // Two come as one, with a comma, which is no address.
    let user = browser.headers.get(FRONT_USER);
    let address = user
        .and_then(|user| user.to_str().ok())
        .and_then(|user| EmailAddress::parse(user).ok());
    let address = address.ok_or_else(|| NOBODY.page(site))?;
    sign_in(
        site,
        browser,
        SignInMethod::Front,
        (address.matched(), None),
        site.clock.now(),
    )
    .await
}

/// Where the provider leads back to.
pub(crate) async fn callback(
    site: Site,
    Extension(provider): Provider,
    browser: Browser,
    method: Method,
    uri: Uri,
) -> Answer {
    let provider = provider.ok_or_else(AppError::not_found)?;
    if method == Method::HEAD {
        return Ok(site.page(&SignOnRefusedPage { frame: &site.frame }));
    }
    let query = uri.query().unwrap_or_default().as_bytes();
    let answer = Fields::read(query, FormBounds::ANYBODY)
        .ok_or_else(|| Refused("sign-on: answer").page(&site))?;
    let token = site
        .cookies
        .sign_on(&browser.headers)
        .ok_or_else(|| Refused("sign-on: cookie").page(&site))?;
    if !answer
        .get("state")
        .is_some_and(|state| token.has_derived(provider::STATE, state))
    {
        // Whoever leads a browser here uses up no sign-on of its own.
        return Err(Refused("sign-on: state").page(&site));
    }
    let now = site.clock.now();
    if !site
        .table
        .use_sign_on(&token.hash(), now, browser.deadline)
        .await?
    {
        return Err(Refused("sign-on: used").page(&site));
    }
    let person = provider
        .verify(&token, &answer, now, browser.deadline)
        .await
        .map_err(|why| why.page(&site))?;
    let Some(binding) = address_of(&site, &browser, &person, now).await? else {
        return ask_for_address(&site, &browser, &person, now).await;
    };
    sign_in(
        &site,
        &browser,
        SignInMethod::SignOn,
        (&binding.address, Some(&binding)),
        now,
    )
    .await
}

/// The address of somebody, and how it is known to be theirs: by what is stored, or by the id from
/// now on.
async fn address_of(
    site: &Site,
    browser: &Browser,
    person: &VouchedFor,
    now: Moment,
) -> Result<Option<SignOnBinding>> {
    let binding = site
        .table
        .get(SignOnBinding::key_of(&person.identity))
        .await?;
    let address = match (binding, &person.roster_id) {
        (Some(binding), _) if binding.proof == BindingProof::Code => {
            let is_doubtful = may_have_passed_on(site, &binding, now).await?;
            return Ok(if is_doubtful { None } else { Some(binding) });
        }
        (_, None) => return Ok(None),
        (Some(binding), Some(_)) => Some(binding.address),
        (None, Some(id)) => {
            let search = browser
                .deadline
                .limit_to(SEARCH_FOR)
                .wait_for(site.table.address_of_id(id))
                .await;
            search.unwrap_or(Ok(None))?
        }
    };
    let Some((address, id)) = address.zip(person.roster_id.as_deref()) else {
        return Ok(None);
    };
    let is_proved = site.table.is_proved_by_id(&address, id).await?;
    let identity = person.identity.clone();
    Ok(is_proved.then_some(SignOnBinding {
        identity,
        address,
        proof: BindingProof::RosterId,
        bound_at: now,
    }))
}

/// Whether an address may have passed to somebody else since a code proved it: a newer row names it
/// under another id. Then the mailbox is asked once more. Whoever has a role is not shut out by
/// what others write into their rosters.
async fn may_have_passed_on(site: &Site, binding: &SignOnBinding, now: Moment) -> Result<bool> {
    let by_person = site
        .table
        .enrolments_by_person(&binding.address, now)
        .await?;
    let has_other_ids = by_person.iter().any(|(_, whose)| *whose != Whose::Persons);
    let has_newer = by_person
        .iter()
        .any(|(enrolment, _)| binding.bound_at < enrolment.enrolled_at);
    Ok(has_other_ids && has_newer && !site.table.has_role(&binding.address).await?)
}

/// A session for an address that somebody here has.
async fn sign_in(
    site: &Site,
    browser: &Browser,
    method: SignInMethod,
    (address, binding): (&MatchedAddress, Option<&SignOnBinding>),
    now: Moment,
) -> Answer {
    if site.table.known(address).await?.is_none() {
        return Err(NOBODY.page(site));
    }
    for _ in 0..TRIES {
        let before = site.table.sign_in_of(address).await?;
        let after = before.record_vouching(now);
        let barred = &|| BOUND_OTHERWISE.page(site);
        let begun = begin_session(
            site,
            browser,
            (&before, &after),
            method,
            binding,
            now,
            barred,
        )
        .await?;
        if let Some(reply) = begun {
            return Ok(reply.setting(site.cookies.end_sign_on()));
        }
    }
    Err(StoreError::Contended.into())
}

/// Keeps for whom the provider vouched, and asks which address is theirs.
async fn ask_for_address(
    site: &Site,
    browser: &Browser,
    person: &VouchedFor,
    now: Moment,
) -> Answer {
    let token = BrowserToken::generate();
    let begun = BegunSignOn::new(token.hash(), Some(person.identity.clone()), now);
    site.table.put_new(&begun, browser.deadline).await?;
    let page = site.page(&AddressPage {
        frame: &site.frame,
        name: person.name.as_deref(),
    });
    Ok(page.setting(site.cookies.set_sign_on(&token)))
}

/// Connects the sign-on that waits in this browser to the address of whoever typed its code. `None`
/// for a wrong one.
pub(crate) async fn connect(
    site: &Site,
    browser: &Browser,
    fields: &Fields,
    (address, code): (&MatchedAddress, &CodeHash),
) -> Result<Option<Reply>> {
    let now = site.clock.now();
    for _ in 0..TRIES {
        let Some(begun) = waiting_in(site, &browser.headers, fields).await? else {
            return Ok(None);
        };
        let asker = begun.asker();
        let before = site.table.sign_in_of(address).await?;
        let (Some(after), Some(identity)) = (
            before.type_code_of_sign_on(&asker, code, now),
            asker.sign_on,
        ) else {
            if site
                .table
                .count_wrong_code_of(&begun, browser.deadline)
                .await?
            {
                return Ok(None);
            }
            continue;
        };
        let binding = SignOnBinding {
            identity,
            address: address.clone(),
            proof: BindingProof::Code,
            bound_at: now,
        };
        let method = SignInMethod::SignOn;
        let barred = &|| BOUND_OTHERWISE.page(site);
        let begun = begin_session(
            site,
            browser,
            (&before, &after),
            method,
            Some(&binding),
            now,
            barred,
        )
        .await?;
        if let Some(reply) = begun {
            return Ok(Some(reply.setting(site.cookies.end_sign_on())));
        }
    }
    Err(StoreError::Contended.into())
}

/// This browser's sign-on that waits for an address, where a form says that it is about that.
pub(crate) async fn waiting_in(
    site: &Site,
    headers: &HeaderMap,
    fields: &Fields,
) -> Result<Option<BegunSignOn>> {
    match site
        .cookies
        .sign_on(headers)
        .filter(|_| fields.get("sign_on") == Some("on"))
    {
        Some(token) => Ok(site
            .table
            .find_waiting_sign_on(&token.hash(), site.clock.now())
            .await?),
        None => Ok(None),
    }
}
