//! The campus' sign-on on one machine: an OpenID provider of one client, which signs on without a
//! question whomever it was told last, and lies as it is told. Its keys are in the repository, so
//! it vouches for nobody elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::extract::{Form, Query, State};
use axum::http::header::{AUTHORIZATION, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bursar_core::clock::Clock;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::{hmac, signature};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::base::lock;

pub const CLIENT_ID: &str = "bursar";
pub const CLIENT_SECRET: &str = "a secret / of the stand-in";
/// The claim that equals the id on a roster.
pub const PERSON_CLAIM: &str = "eduperson_principal_name";

const KEYS: [&[u8]; 2] = [include_bytes!("key-1.der"), include_bytes!("key-2.der")];

/// What it says that is not so, or does that it must not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lie {
    /// The answer to the browser is another issuer's, or nobody's.
    AnswersAs(Option<&'static str>),
    Issuer(&'static str),
    Audience(&'static str),
    /// The token was made for another client, though it is for us too.
    Party(&'static str),
    Nonce,
    /// The ID token ended so many seconds ago.
    Expired(i64),
    /// Nothing is signed.
    Unsigned,
    /// Signed with what everybody knows: the public key.
    SignedWithThePublicKey,
    /// Signed with another key than it says.
    SignedWithAnotherKey,
    /// UserInfo is about somebody else.
    UserInfo,
    /// The metadata are those of another issuer.
    Metadata,
    /// It answers nothing but faults.
    Closed,
    /// It leaves the browser where it is.
    NoAnswer,
}

#[derive(Clone)]
pub struct SignOnProvider(Arc<Mutex<Inner>>);

struct Inner {
    issuer: String,
    clock: Clock,
    /// The claims about who signs on next, `sub` among them.
    person: Value,
    lie: Option<Lie>,
    /// The number of the key that signs.
    key: usize,
    /// Whether it takes its client's secret in the form alone.
    takes_posts: bool,
    /// What was asked for each code and access token, and who signed on.
    codes: BTreeMap<String, (BTreeMap<String, String>, Value)>,
    tokens: BTreeMap<String, Value>,
    /// How often its keys were fetched, and its metadata.
    fetched: usize,
    described: usize,
}

type Fields = BTreeMap<String, String>;

impl SignOnProvider {
    /// The provider at this origin.
    pub fn new(issuer: &str, clock: Clock) -> SignOnProvider {
        let person = json!({ "sub": "nobody" });
        let issuer = issuer.to_owned();
        let inner = Inner {
            issuer,
            clock,
            person,
            lie: None,
            key: 0,
            takes_posts: false,
            codes: BTreeMap::new(),
            tokens: BTreeMap::new(),
            fetched: 0,
            described: 0,
        };
        SignOnProvider(Arc::new(Mutex::new(inner)))
    }

    /// Signs on this person from now on, whose roster id is said if they have one.
    pub fn becomes(&self, sub: &str, id: Option<&str>) {
        lock(&self.0).person = json!({ "sub": sub, PERSON_CLAIM: id });
    }

    pub fn lies(&self, lie: impl Into<Option<Lie>>) {
        lock(&self.0).lie = lie.into();
    }

    pub fn turn_key(&self) {
        let mut inner = lock(&self.0);
        inner.key = 1 - inner.key;
    }

    pub fn take_posts(&self) {
        lock(&self.0).takes_posts = true;
    }

    pub fn keys_fetched(&self) -> usize {
        lock(&self.0).fetched
    }

    pub fn times_described(&self) -> usize {
        lock(&self.0).described
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/me", get(user_info))
            .with_state(self.clone())
    }

    fn lie(&self) -> Option<Lie> {
        lock(&self.0).lie
    }
}

async fn metadata(State(provider): State<SignOnProvider>) -> Response {
    let lie = provider.lie();
    let mut inner = lock(&provider.0);
    inner.described += 1;
    if lie == Some(Lie::Closed) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let issuer = &inner.issuer;
    let named = if lie == Some(Lie::Metadata) {
        "https://elsewhere.example"
    } else {
        issuer
    };
    let method = if inner.takes_posts {
        "client_secret_post"
    } else {
        "client_secret_basic"
    };
    Json(json!({
        "issuer": named,
        "authorization_endpoint": format!("{issuer}/authorize?campus=1"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/me"),
        "jwks_uri": format!("{issuer}/keys"),
        "token_endpoint_auth_methods_supported": [method],
        "authorization_response_iss_parameter_supported": true,
    }))
    .into_response()
}

async fn keys(State(provider): State<SignOnProvider>) -> Result<Response, Refused> {
    let mut inner = lock(&provider.0);
    inner.fetched += 1;
    let PublicKeyComponents { n, e } =
        PublicKeyComponents::<Vec<u8>>::from(pair(inner.key)?.public());
    let [n, e] = [n, e].map(|number| BASE64URL_NOPAD.encode(&number));
    let kid = kid(inner.key);
    // Whoever takes the first one that is there takes a wrong one.
    let keys = json!([{"kty": "EC", "kid": kid, "crv": "P-256"}, {"kty": "RSA", "use": "sig", "kid": kid, "n": n, "e": e}]);
    Ok(Json(json!({ "keys": keys })).into_response())
}

/// Leads the browser back at once, with a code.
async fn authorize(
    State(provider): State<SignOnProvider>,
    Query(query): Query<Fields>,
) -> Result<Response, Refused> {
    let lie = provider.lie();
    if lie == Some(Lie::NoAnswer) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let mut inner = lock(&provider.0);
    let given = |name: &str| query.get(name).map_or("", String::as_str);
    require(
        given("campus") == "1"
            && given("response_type") == "code"
            && given("client_id") == CLIENT_ID,
        "another client",
    )?;
    require(
        given("code_challenge_method") == "S256" && !given("nonce").is_empty(),
        "no challenge, or no nonce",
    )?;
    require(
        given("scope").split(' ').any(|scope| scope == "openid"),
        "no scope",
    )?;
    let code = uuid::Uuid::new_v4().to_string();
    let person = inner.person.clone();
    inner.codes.insert(code.clone(), (query.clone(), person));
    let issuer = match lie {
        Some(Lie::AnswersAs(issuer)) => issuer,
        _ => Some(inner.issuer.as_str()),
    };
    let mut answer = vec![("code", code.as_str()), ("state", given("state"))];
    answer.extend(issuer.map(|issuer| ("iss", issuer)));
    let back = format!(
        "{}?{}",
        given("redirect_uri"),
        serde_urlencoded::to_string(answer)?
    );
    Ok((StatusCode::FOUND, [(LOCATION, back)]).into_response())
}

async fn token(
    State(provider): State<SignOnProvider>,
    headers: HeaderMap,
    Form(form): Form<Fields>,
) -> Result<Response, Refused> {
    let lie = provider.lie();
    let mut inner = lock(&provider.0);
    let given = |name: &str| form.get(name).map_or("", String::as_str);
    let encode = |text: &str| {
        serde_urlencoded::to_string([("", text)])
            .map(|pair| pair.trim_start_matches('=').to_owned())
    };
    let basic = format!("{}:{}", encode(CLIENT_ID)?, encode(CLIENT_SECRET)?);
    let basic = format!("Basic {}", BASE64.encode(basic.as_bytes()));
    let is_basic = headers
        .get(AUTHORIZATION)
        .is_some_and(|sent| sent.as_bytes() == basic.as_bytes());
    let is_post = given("client_id") == CLIENT_ID && given("client_secret") == CLIENT_SECRET;
    require(
        if inner.takes_posts { is_post } else { is_basic },
        "another client",
    )?;
    let (query, person) = inner
        .codes
        .remove(given("code"))
        .ok_or_else(|| anyhow::anyhow!("no code"))?;
    let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(given("code_verifier")));
    require(
        query["code_challenge"] == challenge && query["redirect_uri"] == given("redirect_uri"),
        "another request",
    )?;
    let access = uuid::Uuid::new_v4().to_string();
    inner.tokens.insert(access.clone(), person.clone());
    let now = inner.clock.now().as_second();
    let mut claims = json!({"iss": inner.issuer, "aud": CLIENT_ID, "sub": person["sub"], "nonce": query["nonce"],
        "iat": now, "exp": now + 300});
    match lie {
        Some(Lie::Issuer(issuer)) => claims["iss"] = json!(issuer),
        Some(Lie::Audience(audience)) => claims["aud"] = json!(audience),
        Some(Lie::Party(party)) => claims["azp"] = json!(party),
        Some(Lie::Nonce) => claims["nonce"] = json!("another"),
        Some(Lie::Expired(seconds)) => claims["exp"] = json!(now - seconds),
        _ => {}
    }
    let id_token = signed(inner.key, lie, &claims)?;
    Ok(
        Json(json!({"id_token": id_token, "access_token": access, "token_type": "Bearer"}))
            .into_response(),
    )
}

async fn user_info(
    State(provider): State<SignOnProvider>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let sent = headers
        .get(AUTHORIZATION)
        .and_then(|sent| sent.to_str().ok()?.strip_prefix("Bearer "));
    let inner = lock(&provider.0);
    let Some(person) = sent.and_then(|token| inner.tokens.get(token)) else {
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    };
    let mut claims = person.clone();
    if inner.lie == Some(Lie::UserInfo) {
        claims["sub"] = json!("somebody else");
    }
    Ok(Json(claims).into_response())
}

fn kid(key: usize) -> String {
    format!("key-{key}")
}

fn pair(key: usize) -> Result<KeyPair> {
    KeyPair::from_pkcs8(KEYS[key]).map_err(|error| anyhow::anyhow!("{error}"))
}

fn signed(key: usize, lie: Option<Lie>, claims: &Value) -> Result<String> {
    let alg = match lie {
        Some(Lie::Unsigned) => "none",
        Some(Lie::SignedWithThePublicKey) => "HS256",
        _ => "RS256",
    };
    let header = json!({"alg": alg, "typ": "JWT", "kid": kid(key)});
    let [header, claims] =
        [&header, claims].map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes()));
    let text = format!("{header}.{claims}");
    let public = PublicKeyComponents::<Vec<u8>>::from(pair(key)?.public());
    let signature = match alg {
        "none" => Vec::new(),
        "HS256" => hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &public.n),
            text.as_bytes(),
        )
        .as_ref()
        .to_vec(),
        _ => {
            let pair = pair(if lie == Some(Lie::SignedWithAnotherKey) {
                1 - key
            } else {
                key
            })?;
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(
                &signature::RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .map_err(|error| anyhow::anyhow!("{error}"))?;
            signature
        }
    };
    Ok(format!("{text}.{}", BASE64URL_NOPAD.encode(&signature)))
}

/// What is not as the standards say.
struct Refused(anyhow::Error);

fn require(holds: bool, why: &'static str) -> Result<(), Refused> {
    if holds {
        Ok(())
    } else {
        Err(Refused(anyhow::anyhow!(why)))
    }
}

impl<E: Into<anyhow::Error>> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let why = json!({"error": "invalid_request", "error_description": self.0.to_string()});
        (StatusCode::BAD_REQUEST, Json(why)).into_response()
    }
}
