//! The ID token: whether it is the provider's, for us, of this sign-on and of now. Signed with
//! RS256 and nothing else.

use bursar_core::clock::Moment;
use data_encoding::BASE64URL_NOPAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Refused;

/// By how many seconds two clocks may differ.
const LEEWAY: f64 = 60.0;
/// How many seconds old a token may be. A sign-on takes ten minutes at most, and its token is made
/// at the end of it.
const OLDEST: f64 = 600.0;
/// The longest subject that the standard allows.
const LONGEST_SUBJECT: usize = 255;

const UNREADABLE: Refused = Refused("sign-on: the ID token cannot be read");

#[derive(Clone)]
pub(super) struct PublicKey {
    pub(super) kid: String,
    components: RsaPublicKeyComponents<Vec<u8>>,
}

pub(super) struct IdToken<'a> {
    /// What is signed: the header and the claims, as they were sent.
    signed: &'a str,
    signature: Vec<u8>,
    pub(super) kid: String,
    claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    crit: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Claims {
    iss: String,
    aud: Value,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: Option<String>,
    pub(super) sub: String,
    #[serde(flatten)]
    pub(super) others: Map<String, Value>,
}

pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now: Moment,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    n: String,
    e: String,
}

impl PublicKey {
    /// A key of the provider's list, if it is one for such signatures.
    pub(super) fn read(key: Value) -> Option<PublicKey> {
        let Jwk {
            kty,
            kid,
            purpose,
            alg,
            n,
            e,
        } = serde_json::from_value(key).ok()?;
        if kty != "RSA"
            || purpose.is_some_and(|purpose| purpose != "sig")
            || alg.is_some_and(|alg| alg != "RS256")
        {
            return None;
        }
        let components = RsaPublicKeyComponents {
            n: decode(&n).ok()?,
            e: decode(&e).ok()?,
        };
        Some(PublicKey { kid, components })
    }
}

impl<'a> IdToken<'a> {
    pub(super) fn read(text: &'a str) -> Result<IdToken<'a>, Refused> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(UNREADABLE);
        };
        let Header { alg, kid, crit } = parse(header)?;
        if alg != "RS256" || crit.is_some() {
            return Err(Refused("sign-on: alg"));
        }
        let kid = kid.ok_or(Refused("sign-on: kid"))?;
        let signed = &text[..header.len() + 1 + claims.len()];
        Ok(IdToken {
            signed,
            signature: decode(signature)?,
            kid,
            claims: parse(claims)?,
        })
    }

    /// The claims, if all of it is right.
    pub(super) fn verify(
        self,
        key: &PublicKey,
        expected: &Expected<'_>,
    ) -> Result<Claims, Refused> {
        let verified = key.components.verify(
            &RSA_PKCS1_2048_8192_SHA256,
            self.signed.as_bytes(),
            &self.signature,
        );
        verified.map_err(|_| Refused("sign-on: signature"))?;
        let claims = self.claims;
        if claims.iss != expected.issuer {
            return Err(Refused("sign-on: iss"));
        }
        // Whoever else it is for could bring it here.
        let only_us = [
            Value::from(expected.client_id),
            Value::from(vec![expected.client_id]),
        ];
        if !only_us.contains(&claims.aud)
            || claims
                .azp
                .as_ref()
                .is_some_and(|party| party != expected.client_id)
        {
            return Err(Refused("sign-on: aud"));
        }
        let now = expected.now.as_second() as f64;
        if claims.exp + LEEWAY <= now {
            return Err(Refused("sign-on: exp"));
        }
        if claims.iat > now + LEEWAY || claims.iat < now - OLDEST - LEEWAY {
            return Err(Refused("sign-on: iat"));
        }
        if claims.nbf.is_some_and(|from| from > now + LEEWAY) {
            return Err(Refused("sign-on: nbf"));
        }
        if claims.nonce.as_deref() != Some(expected.nonce) {
            return Err(Refused("sign-on: nonce"));
        }
        if claims.sub.is_empty() || claims.sub.len() > LONGEST_SUBJECT {
            return Err(UNREADABLE);
        }
        Ok(claims)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    BASE64URL_NOPAD
        .decode(part.as_bytes())
        .map_err(|_| UNREADABLE)
}

fn parse<T: DeserializeOwned>(part: &str) -> Result<T, Refused> {
    serde_json::from_slice(&decode(part)?).map_err(|_| UNREADABLE)
}
