//! The OpenID provider: where it is asked what, and what of its answers is believed. Its metadata and keys are kept for an hour, and keys
//! are fetched anew for one that is not known, once a minute at most.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use bursar_core::aws::AwsAccess;
use bursar_core::clock::Moment;
use bursar_core::config::{OpenIdProvider, Origin, web_address};
use bursar_core::deadline::Deadline;
use bursar_core::domain::sign_on::Identity;
use bursar_core::domain::values::token::BrowserToken;
use bursar_core::secrets::ClientSecret;
use bursar_core::start::locked;
use bursar_core::tls;
use bursar_core::web::Fields;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jiff::SignedDuration;
use reqwest::header::CONTENT_TYPE;
use reqwest::{RequestBuilder, Url, redirect};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Refused;
use super::id_token::{Expected, IdToken, PublicKey};

/// What is derived from the cookie, each by its purpose.
pub(super) const STATE: &str = "state";
const NONCE: &str = "nonce";
const VERIFIER: &str = "verifier";

const TIME_OUT: Duration = Duration::from_secs(8);
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);
const BETWEEN_FETCHES: SignedDuration = SignedDuration::from_mins(1);
/// More than any of its answers has.
const MOST_BYTES: usize = 256 << 10;

const CLOSED: Refused = Refused("sign-on: the provider does not answer");
const UNREADABLE: Refused = Refused("sign-on: the provider's answer cannot be read");

pub(crate) struct OpenId {
    settings: OpenIdProvider,
    secret: ClientSecret,
    /// Where the provider leads back to.
    callback: String,
    /// It follows no redirect.
    http: Option<reqwest::Client>,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    metadata: Option<(Moment, Arc<Metadata>)>,
    keys: Option<(Moment, Arc<[PublicKey]>)>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: String,
    jwks_uri: String,
    /// Without them it takes the secret as `client_secret_basic`.
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: String,
    token_type: String,
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// For whom the provider vouches.
pub(super) struct VouchedFor {
    pub(super) identity: Identity,
    pub(super) roster_id: Option<String>,
    pub(super) name: Option<String>,
}

impl Metadata {
    fn takes(&self, method: &str) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.map_or(method == "client_secret_basic", |methods| methods.iter().any(|taken| taken == method))
    }
}

impl OpenId {
    pub(crate) fn new(settings: &OpenIdProvider, origin: &Origin, aws: &AwsAccess) -> OpenId {
        let http = tls::client_of(&settings.issuer).redirect(redirect::Policy::none()).timeout(TIME_OUT);
        OpenId {
            settings: settings.clone(),
            secret: ClientSecret::new(&settings.secret, aws),
            callback: format!("{}/sign-on/callback", origin.as_str()),
            http: http.build().ok(),
            cache: Mutex::default(),
        }
    }

    /// The provider's page for a sign-on of this browser.
    pub(super) async fn leads_to(
        &self,
        browser: &BrowserToken,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Url, Refused> {
        let metadata = self.metadata(now, deadline).await?;
        let mut url = Url::parse(&metadata.authorization_endpoint).map_err(|_| UNREADABLE)?;
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(browser.derive(VERIFIER)));
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", &self.callback),
            ("scope", "openid profile"),
            ("state", &browser.derive(STATE)),
            ("nonce", &browser.derive(NONCE)),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok(url)
    }

    /// Whom the answer in the browser stands for.
    pub(super) async fn verify(
        &self,
        browser: &BrowserToken,
        answer: &Fields,
        now: Moment,
        deadline: Deadline,
    ) -> Result<VouchedFor, Refused> {
        let metadata = self.metadata(now, deadline).await?;
        match answer.get("iss") {
            Some(issuer) if issuer == self.settings.issuer => {}
            None if !metadata.authorization_response_iss_parameter_supported => {}
            Some(_) | None => return Err(Refused("sign-on: iss of the answer")),
        }
        let code = answer.get("code").ok_or(Refused("sign-on: no code"))?;
        let tokens = self.exchange(&metadata, code, &browser.derive(VERIFIER), deadline).await?;
        let id_token = IdToken::read(&tokens.id_token)?;
        let key = self.key(&metadata, &id_token.kid, now, deadline).await?;
        let nonce = browser.derive(NONCE);
        let OpenIdProvider { issuer, client_id, person_claim, .. } = &self.settings;
        let claims = id_token.verify(&key, &Expected { issuer, client_id, nonce: &nonce, now })?;
        let request = self.http()?.get(&metadata.userinfo_endpoint);
        let request = request.header(AUTHORIZATION, format!("Bearer {}", tokens.access_token));
        let info: UserInfo = read(request, deadline, Refused("sign-on: UserInfo")).await?;
        if info.sub != claims.sub {
            return Err(Refused("sign-on: sub of UserInfo"));
        }
        let said = [&info.others, &claims.others];
        Ok(VouchedFor {
            identity: Identity::new(issuer, &claims.sub),
            roster_id: person_claim.as_ref().and_then(|name| text_in(said, name)).filter(|id| !id.is_empty()),
            name: text_in(said, "preferred_username").or_else(|| text_in(said, "name")),
        })
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        verifier: &str,
        deadline: Deadline,
    ) -> Result<Tokens, Refused> {
        let secret = deadline.wait_for(self.secret.read()).await.ok().and_then(Result::ok);
        let secret = secret.ok_or(Refused("sign-on: the secret cannot be read"))?;
        let client_id = self.settings.client_id.as_str();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.callback),
            ("code_verifier", verifier),
        ];
        let mut request = self.http()?.post(&metadata.token_endpoint);
        if metadata.takes("client_secret_basic") {
            let [id, secret] = [client_id, secret.expose_secret()].map(encode);
            let basic = BASE64.encode(format!("{id}:{secret}").as_bytes());
            request = request.header(AUTHORIZATION, format!("Basic {basic}"));
        } else if metadata.takes("client_secret_post") {
            form.extend([("client_id", client_id), ("client_secret", secret.expose_secret())]);
        } else {
            return Err(Refused("sign-on: the provider takes the secret in neither way"));
        }
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let tokens: Tokens = read(request, deadline, Refused("sign-on: exchange")).await?;
        if tokens.token_type.eq_ignore_ascii_case("bearer") { Ok(tokens) } else { Err(UNREADABLE) }
    }

    async fn metadata(&self, now: Moment, deadline: Deadline) -> Result<Arc<Metadata>, Refused> {
        if let Some((fetched_at, metadata)) = &self.cache().metadata
            && now < *fetched_at + KEPT_FOR
        {
            return Ok(metadata.clone());
        }
        let issuer = self.settings.issuer.trim_end_matches('/');
        let request = self.http()?.get(format!("{issuer}/.well-known/openid-configuration"));
        let metadata: Metadata = read(request, deadline, CLOSED).await?;
        let Metadata { authorization_endpoint, token_endpoint, userinfo_endpoint, jwks_uri, .. } = &metadata;
        let endpoints = [authorization_endpoint, token_endpoint, userinfo_endpoint, jwks_uri];
        // Nothing is asked, nor told the secret, in the clear.
        let is_open = self.settings.issuer.starts_with("http://");
        let is_wrong = |url: &String| web_address(url).is_err() || (!is_open && url.starts_with("http://"));
        if metadata.issuer != self.settings.issuer || endpoints.into_iter().any(is_wrong) {
            return Err(Refused("sign-on: the metadata are another issuer's"));
        }
        let metadata = Arc::new(metadata);
        self.cache().metadata = Some((now, metadata.clone()));
        Ok(metadata)
    }

    /// The key of this name, fetched if it is not known or too old.
    async fn key(&self, metadata: &Metadata, kid: &str, now: Moment, deadline: Deadline) -> Result<PublicKey, Refused> {
        const UNKNOWN: Refused = Refused("sign-on: kid");
        if let Some((fetched_at, keys)) = &self.cache().keys {
            match key_named(kid, keys) {
                Some(key) if now < *fetched_at + KEPT_FOR => return Ok(key),
                None if now < *fetched_at + BETWEEN_FETCHES => return Err(UNKNOWN),
                Some(_) | None => {}
            }
        }
        let keys: Keys = read(self.http()?.get(&metadata.jwks_uri), deadline, CLOSED).await?;
        // Keys of other kinds are nothing to us.
        let keys: Arc<[PublicKey]> = keys.keys.into_iter().filter_map(PublicKey::read).collect();
        let key = key_named(kid, &keys);
        self.cache().keys = Some((now, keys));
        key.ok_or(UNKNOWN)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        locked(&self.cache)
    }

    fn http(&self) -> Result<&reqwest::Client, Refused> {
        self.http.as_ref().ok_or(CLOSED)
    }
}

/// A value of the form `application/x-www-form-urlencoded`, as the secret is sent.
fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn key_named(kid: &str, keys: &[PublicKey]) -> Option<PublicKey> {
    keys.iter().find(|key| key.kid == kid).cloned()
}

/// A text that UserInfo says, or else the ID token.
fn text_in(said: [&Map<String, Value>; 2], name: &str) -> Option<String> {
    said.into_iter().find_map(|claims| claims.get(name)?.as_str().map(str::to_owned))
}

/// The JSON that answers a request. `otherwise` says what an error or no answer is.
async fn read<T: DeserializeOwned>(
    request: RequestBuilder,
    deadline: Deadline,
    otherwise: Refused,
) -> Result<T, Refused> {
    let answer = deadline.wait_for(request.send()).await.ok().and_then(Result::ok);
    let mut answer = answer.filter(|answer| answer.status() == 200).ok_or(otherwise)?;
    let mut body = Vec::new();
    while let Some(chunk) = deadline.wait_for(answer.chunk()).await.ok().and_then(Result::ok).ok_or(otherwise)? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(UNREADABLE);
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| UNREADABLE)
}
