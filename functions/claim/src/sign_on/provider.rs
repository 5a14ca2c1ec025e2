//! The OpenID provider: where it is asked what, and what of its answers is believed. Its metadata
//! and keys are kept for an hour. Whoever needs them meanwhile waits for who fetches them, and that
//! it cannot be read is kept for some seconds, so that a press is no call.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use bursar_core::aws::AwsAccess;
use bursar_core::clock::Moment;
use bursar_core::config::{OpenIdProvider, Origin, web_address};
use bursar_core::deadline::Deadline;
use bursar_core::domain::sign_on::Identity;
use bursar_core::domain::values::address::is_invisible;
use bursar_core::domain::values::token::BrowserToken;
use bursar_core::secrets::ClientSecret;
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
use tokio::sync::Mutex;

use super::Refused;
use super::id_token::{Expected, IdToken, PublicKey};

/// What is derived from the cookie, each by its purpose.
pub(super) const STATE: &str = "state";
const NONCE: &str = "nonce";
const VERIFIER: &str = "verifier";

const TIME_OUT: Duration = Duration::from_secs(8);
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);
const BETWEEN_FETCHES: SignedDuration = SignedDuration::from_mins(1);
/// From the request that met it on, which may have waited for most of `TIME_OUT`.
const FAILURE_KEPT_FOR: SignedDuration = SignedDuration::from_secs(15);
/// More than any of its answers has.
const MOST_BYTES: usize = 256 << 10;
/// The longest name that is shown, in characters.
const LONGEST_NAME: usize = 100;

const CLOSED: Refused = Refused("sign-on: the provider does not answer");
const UNREADABLE: Refused = Refused("sign-on: the provider's answer cannot be read");

/// What was answered last, and the time of the request that asked for it.
type LastAnswer<T> = Mutex<Option<(Moment, T)>>;

pub(crate) struct OpenId {
    settings: OpenIdProvider,
    secret: ClientSecret,
    /// Where the provider leads back to.
    callback: String,
    /// It follows no redirect.
    http: Option<reqwest::Client>,
    metadata: LastAnswer<Result<Arc<Metadata>, Refused>>,
    keys: LastAnswer<Vec<PublicKey>>,
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
    fn check(&self, issuer: &str) -> Result<(), Refused> {
        let endpoints = [
            &self.authorization_endpoint,
            &self.token_endpoint,
            &self.userinfo_endpoint,
            &self.jwks_uri,
        ];
        // Nothing is asked, nor told the secret, in the clear.
        let is_open = issuer.starts_with("http://");
        let is_right =
            |url: &String| web_address(url).is_ok() && (is_open || !url.starts_with("http://"));
        let is_ours = self.issuer == issuer && endpoints.into_iter().all(is_right);
        is_ours
            .then_some(())
            .ok_or(Refused("sign-on: the metadata are another issuer's"))
    }

    fn takes(&self, method: &str) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.map_or(method == "client_secret_basic", |methods| {
            methods.iter().any(|taken| taken == method)
        })
    }
}

impl OpenId {
    pub(crate) fn new(settings: &OpenIdProvider, origin: &Origin, aws: &AwsAccess) -> OpenId {
        let http = tls::client_of(&settings.issuer)
            .redirect(redirect::Policy::none())
            .timeout(TIME_OUT);
        OpenId {
            settings: settings.clone(),
            secret: ClientSecret::new(&settings.secret, aws),
            callback: format!("{}/sign-on/callback", origin.as_str()),
            http: http.build().ok(),
            metadata: Mutex::default(),
            keys: Mutex::default(),
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
        if answer.get("error").is_some() {
            return Err(Refused("sign-on: error"));
        }
        let code = answer.get("code").ok_or(Refused("sign-on: no code"))?;
        let tokens = self
            .exchange(&metadata, code, &browser.derive(VERIFIER), deadline)
            .await?;
        let id_token = IdToken::read(&tokens.id_token)?;
        let key = self.key(&metadata, &id_token.kid, now, deadline).await?;
        let nonce = browser.derive(NONCE);
        let OpenIdProvider {
            issuer,
            client_id,
            person_claim,
            ..
        } = &self.settings;
        let claims = id_token.verify(
            &key,
            &Expected {
                issuer,
                client_id,
                nonce: &nonce,
                now,
            },
        )?;
        let request = self.http()?.get(&metadata.userinfo_endpoint);
        let request = request.header(AUTHORIZATION, format!("Bearer {}", tokens.access_token));
        let info: UserInfo = read(request, deadline, Refused("sign-on: UserInfo")).await?;
        if info.sub != claims.sub {
            return Err(Refused("sign-on: sub of UserInfo"));
        }
        let said = [&info.others, &claims.others];
        Ok(VouchedFor {
            identity: Identity::new(issuer, &claims.sub),
            roster_id: person_claim
                .as_ref()
                .and_then(|name| text_in(said, name))
                .filter(|id| !id.is_empty()),
            name: text_in(said, "preferred_username")
                .or_else(|| text_in(said, "name"))
                .map(|name| to_shown(&name)),
        })
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        verifier: &str,
        deadline: Deadline,
    ) -> Result<Tokens, Refused> {
        let secret = deadline
            .wait_for(self.secret.read())
            .await
            .ok()
            .and_then(Result::ok);
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
            form.extend([
                ("client_id", client_id),
                ("client_secret", secret.expose_secret()),
            ]);
        } else {
            return Err(Refused(
                "sign-on: the provider takes the secret in neither way",
            ));
        }
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let tokens: Tokens = read(request, deadline, Refused("sign-on: exchange")).await?;
        if tokens.token_type.eq_ignore_ascii_case("bearer") {
            Ok(tokens)
        } else {
            Err(UNREADABLE)
        }
    }

    async fn metadata(&self, now: Moment, deadline: Deadline) -> Result<Arc<Metadata>, Refused> {
        let mut fetched = deadline
            .wait_for(self.metadata.lock())
            .await
            .map_err(|_| CLOSED)?;
        match &*fetched {
            Some((asked_at, Ok(metadata))) if now < *asked_at + KEPT_FOR => {
                return Ok(metadata.clone());
            }
            Some((asked_at, Err(why))) if now < *asked_at + FAILURE_KEPT_FOR => return Err(*why),
            Some(_) | None => {}
        }
        let answer = self.fetch_metadata(deadline).await.map(Arc::new);
        fetched.insert((now, answer)).1.clone()
    }

    async fn fetch_metadata(&self, deadline: Deadline) -> Result<Metadata, Refused> {
        let issuer = self.settings.issuer.trim_end_matches('/');
        let request = self
            .http()?
            .get(format!("{issuer}/.well-known/openid-configuration"));
        let metadata: Metadata = read(request, deadline, CLOSED).await?;
        metadata.check(&self.settings.issuer)?;
        Ok(metadata)
    }

    /// The key of this name, fetched if it is not known or too old.
    async fn key(
        &self,
        metadata: &Metadata,
        kid: &str,
        now: Moment,
        deadline: Deadline,
    ) -> Result<PublicKey, Refused> {
        const UNKNOWN: Refused = Refused("sign-on: kid");
        let mut fetched = deadline
            .wait_for(self.keys.lock())
            .await
            .map_err(|_| CLOSED)?;
        if let Some((asked_at, keys)) = &*fetched {
            match key_named(kid, keys) {
                Some(key) if now < *asked_at + KEPT_FOR => return Ok(key),
                None if now < *asked_at + BETWEEN_FETCHES => return Err(UNKNOWN),
                Some(_) | None => {}
            }
        }
        let keys: Keys = read(self.http()?.get(&metadata.jwks_uri), deadline, CLOSED).await?;
        // Keys of other kinds are nothing to us.
        let keys = keys.keys.into_iter().filter_map(PublicKey::read).collect();
        key_named(kid, &fetched.insert((now, keys)).1).ok_or(UNKNOWN)
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
    said.into_iter()
        .find_map(|claims| claims.get(name)?.as_str().map(str::to_owned))
}

/// A name as pages show it: not longer than names are, and without what nobody sees.
fn to_shown(name: &str) -> String {
    name.chars()
        .filter(|letter| !is_invisible(*letter))
        .take(LONGEST_NAME)
        .collect()
}

/// The JSON that answers a request. `otherwise` says what an error or no answer is.
async fn read<T: DeserializeOwned>(
    request: RequestBuilder,
    deadline: Deadline,
    otherwise: Refused,
) -> Result<T, Refused> {
    let answer = deadline
        .wait_for(request.send())
        .await
        .ok()
        .and_then(Result::ok);
    let mut answer = answer
        .filter(|answer| answer.status() == 200)
        .ok_or(otherwise)?;
    let mut body = Vec::new();
    while let Some(chunk) = deadline
        .wait_for(answer.chunk())
        .await
        .ok()
        .and_then(Result::ok)
        .ok_or(otherwise)?
    {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(UNREADABLE);
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| UNREADABLE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What an issuer names is asked, and told the secret, behind TLS alone.
    #[test]
    fn endpoints_are_behind_tls() {
        let metadata = |token: &str| {
            let at = |path: &str| format!("https://sso.uni.edu/{path}");
            let metadata = json!({"issuer": "https://sso.uni.edu", "authorization_endpoint": at("authorize"), "token_endpoint": token,
                "userinfo_endpoint": at("me"), "jwks_uri": at("keys")});
            serde_json::from_value::<Metadata>(metadata)
                .unwrap()
                .check("https://sso.uni.edu")
                .map_err(|why| why.0)
        };
        assert_eq!(metadata("https://sso.uni.edu/token"), Ok(()));
        for token in [
            "http://sso.uni.edu/token",
            "http://127.0.0.1/token",
            "/token",
            "ftp://sso.uni.edu/token",
        ] {
            assert_eq!(
                metadata(token),
                Err("sign-on: the metadata are another issuer's"),
                "{token}"
            );
        }
    }
}
