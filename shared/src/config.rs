//! The configuration of a function. All of it is read and checked once at the start, and all errors
//! are reported together.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use http::Uri;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::aws::AwsAccess;
use crate::deadline::Waits;
use crate::domain::values::address::EmailAddress;
use crate::domain::values::masked;

#[derive(Clone, Debug)]
pub struct Config {
    pub table: String,
    pub origin: Origin,
    pub mail_from: EmailAddress,
    /// The SES configuration set that reports the delivery of each mail.
    pub mail_events: Option<String>,
    pub admins: Vec<EmailAddress>,
    pub management_key_secret: String,
    pub institution: String,
    pub support: Option<String>,
    pub privacy_url: Option<String>,
    /// Whom somebody writes who found a hole, as a `mailto:` or web address.
    pub security_contact: Option<String>,
    /// What something in front of the pages puts into each request, if there is such a thing.
    pub front_secret: Option<FrontSecret>,
    /// How people sign in besides by a mailed link, if they can.
    pub sign_on: Option<SignOn>,
    pub sign_on_required: SignOnRequired,
    /// The provider's API, without a trailing slash.
    pub provider: String,
    /// The days for which a person's identity is kept after a programme's end, and after a day's
    /// use.
    pub retention_days: u16,
    /// The share of each wait and time-out that is really waited: all of it, except in tests.
    pub waits: Waits,
    /// The most calls that the work of each minute makes of the provider in a second.
    pub calls_a_second: Option<NonZeroU32>,
    /// The provider's API as students address it, without a trailing slash. It differs from
    /// `provider` only in the local bundle, whose functions reach everything through the fault
    /// layer.
    pub spend_at: String,
    /// The server, as host and port, that takes all mail where one machine serves it all and there
    /// is no SES.
    pub smtp_server: Option<String>,
    pub aws: AwsAccess,
}

/// The public origin: the only source of links, and the value that browsers must send in `Origin`.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    text: String,
    secure: bool,
}

/// Who says who somebody is, where no mailed link does.
#[derive(Clone, Debug)]
pub enum SignOn {
    /// The campus' OpenID provider.
    Provider(OpenIdProvider),
    /// What stands in front of the pages.
    Front,
}

#[derive(Clone, Debug)]
pub struct OpenIdProvider {
    /// As the provider spells it, byte for byte.
    pub issuer: String,
    pub client_id: String,
    /// The id of the secret by which the provider knows this deployment.
    pub secret: String,
    /// The claim that equals the id on a roster.
    pub person_claim: Option<String>,
}

crate::named! {
    /// Whom a mailed link does not sign in.
    pub enum SignOnRequired: as_str {
        Nobody = "nobody",
        /// People with a role.
        Roles = "roles",
        Everybody = "everybody",
    }
}

/// The value of the header by which a request has come through what is in front of the pages.
#[derive(Clone)]
pub struct FrontSecret(Arc<SecretString>);

/// Everything that is wrong with the environment, one line each.
#[derive(Debug, PartialEq, thiserror::Error)]
pub struct ConfigError(Vec<(&'static str, String)>);

pub const RETENTION_DAYS: u16 = 400;

pub const CALLS_A_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();

pub const OPENROUTER: &str = "https://openrouter.ai/api/v1";

impl Config {
    pub async fn from_environment() -> Result<Config, ConfigError> {
        let aws = AwsAccess::from_environment().await;
        Config::read(|name| std::env::var(name).ok(), aws)
    }

    pub fn read(
        variable: impl Fn(&str) -> Option<String>,
        aws: AwsAccess,
    ) -> Result<Config, ConfigError> {
        let mut variables = Variables {
            variable,
            wrong: Vec::new(),
        };
        let table = variables.required("BURSAR_TABLE");
        variables.required("BURSAR_ORIGIN");
        variables.required("BURSAR_MAIL_FROM");
        let admins = variables.required("BURSAR_ADMINS");
        let management_key_secret = variables.required("BURSAR_MANAGEMENT_KEY_SECRET");
        let institution = variables.required("BURSAR_INSTITUTION");

        let origin = variables.checked("BURSAR_ORIGIN", Origin::parse);
        let mail_from = variables.checked("BURSAR_MAIL_FROM", address);
        let admins = admins
            .split(',')
            .map(str::trim)
            .filter(|admin| !admin.is_empty());
        let admins: Vec<_> = admins
            .filter_map(|admin| variables.right("BURSAR_ADMINS", admin, address))
            .collect();
        if admins.is_empty()
            && !variables
                .wrong
                .iter()
                .any(|(name, _)| *name == "BURSAR_ADMINS")
        {
            variables
                .wrong
                .push(("BURSAR_ADMINS", "names nobody".to_owned()));
        }
        let privacy_url = variables.checked("BURSAR_PRIVACY_URL", web_address);
        let security_contact = variables.checked("BURSAR_SECURITY_CONTACT", contact);
        let front_secret = variables.checked("BURSAR_FRONT_SECRET", FrontSecret::parse);
        let sign_on = variables.sign_on();
        let sign_on_required = variables.sign_on_required();
        let provider = variables
            .given("OPENROUTER_BASE_URL")
            .unwrap_or_else(|| OPENROUTER.to_owned());
        let provider = variables.right("OPENROUTER_BASE_URL", &provider, web_address);
        let retention_days = variables
            .checked("BURSAR_RETENTION_DAYS", retention)
            .unwrap_or(RETENTION_DAYS);
        let mail_events = variables.checked("BURSAR_MAIL_EVENTS", configuration_set);
        let support = variables.given("BURSAR_SUPPORT");
        let wrong = variables.wrong;
        match (origin, mail_from, provider) {
            (Some(origin), Some(mail_from), Some(provider)) if wrong.is_empty() => Ok(Config {
                table,
                origin,
                mail_from,
                mail_events,
                admins,
                management_key_secret,
                institution,
                support,
                privacy_url,
                security_contact,
                front_secret,
                sign_on,
                sign_on_required,
                spend_at: provider.clone(),
                smtp_server: None,
                provider,
                retention_days,
                waits: Waits::WHOLE,
                calls_a_second: Some(CALLS_A_SECOND),
                aws,
            }),
            _ => Err(ConfigError(wrong)),
        }
    }
}

/// The variables of the environment, with what is wrong with them.
struct Variables<V> {
    variable: V,
    wrong: Vec<(&'static str, String)>,
}

impl<V: Fn(&str) -> Option<String>> Variables<V> {
    fn given(&self, name: &str) -> Option<String> {
        (self.variable)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    fn required(&mut self, name: &'static str) -> String {
        self.given(name).unwrap_or_else(|| {
            self.wrong.push((name, "is missing".to_owned()));
            String::new()
        })
    }

    /// What is given, if it is right.
    fn checked<T>(
        &mut self,
        name: &'static str,
        check: fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.given(name)
            .and_then(|text| self.right(name, &text, check))
    }

    fn right<T>(
        &mut self,
        name: &'static str,
        text: &str,
        check: fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        check(text).map_err(|why| self.wrong.push((name, why))).ok()
    }
}

const ISSUER: &str = "BURSAR_SIGN_ON_ISSUER";
const CLIENT_ID: &str = "BURSAR_SIGN_ON_CLIENT_ID";
const SIGN_ON_SECRET: &str = "BURSAR_SIGN_ON_SECRET";
const PERSON_CLAIM: &str = "BURSAR_SIGN_ON_PERSON_CLAIM";
const REQUIRED: &str = "BURSAR_SIGN_ON_REQUIRED";
const FRONT_USER: &str = "BURSAR_FRONT_USER";

impl<V: Fn(&str) -> Option<String>> Variables<V> {
    fn refuse(&mut self, name: &'static str, why: &str) {
        self.wrong.push((name, why.to_owned()));
    }

    fn has_provider(&self) -> bool {
        [ISSUER, CLIENT_ID, SIGN_ON_SECRET]
            .iter()
            .any(|name| self.given(name).is_some())
    }

    fn sign_on(&mut self) -> Option<SignOn> {
        let is_front = self.checked(FRONT_USER, switch) == Some(true);
        if is_front && self.given("BURSAR_FRONT_SECRET").is_none() {
            self.refuse(
                FRONT_USER,
                "needs BURSAR_FRONT_SECRET: else anybody could say who they are",
            );
        }
        if !self.has_provider() {
            if self.given(PERSON_CLAIM).is_some() {
                self.refuse(PERSON_CLAIM, "is of no use without BURSAR_SIGN_ON_ISSUER");
            }
            return is_front.then_some(SignOn::Front);
        }
        if is_front {
            self.refuse(
                FRONT_USER,
                "cannot be on beside BURSAR_SIGN_ON_ISSUER: one of them says who somebody is",
            );
        }
        self.required(ISSUER);
        let issuer = self.checked(ISSUER, issuer).unwrap_or_default();
        let client_id = self.required(CLIENT_ID);
        let secret = self.required(SIGN_ON_SECRET);
        Some(SignOn::Provider(OpenIdProvider {
            issuer,
            client_id,
            secret,
            person_claim: self.given(PERSON_CLAIM),
        }))
    }

    fn sign_on_required(&mut self) -> SignOnRequired {
        let required = self
            .checked(REQUIRED, required)
            .unwrap_or(SignOnRequired::Nobody);
        if required != SignOnRequired::Nobody
            && !self.has_provider()
            && self.given(FRONT_USER).as_deref() != Some("on")
        {
            self.refuse(
                REQUIRED,
                "needs a sign-on, by BURSAR_SIGN_ON_ISSUER or BURSAR_FRONT_USER: else nobody gets in",
            );
        }
        required
    }
}

impl Config {
    /// Where people read what is kept of them.
    pub fn privacy_page(&self) -> String {
        self.privacy_url
            .clone()
            .unwrap_or_else(|| format!("{}/privacy", self.origin.as_str()))
    }
}

/// The name of a configuration set, as SES allows it.
fn configuration_set(text: &str) -> Result<String, String> {
    if text.len() <= 64
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    {
        return Ok(text.to_owned());
    }
    Err("must be the name of a configuration set: up to 64 letters, digits, - and _".to_owned())
}

impl Origin {
    /// Parses `https://host` or `https://host:port`; `http` only on loopback.
    pub fn parse(text: &str) -> Result<Origin, String> {
        let uri = web_uri(text)?;
        if uri
            .path_and_query()
            .is_some_and(|rest| rest.as_str() != "/")
        {
            return Err(
                "must be an origin like https://bursar.university.edu, without a path".to_owned(),
            );
        }
        let text = text.trim_end_matches('/').to_ascii_lowercase();
        Ok(Origin {
            secure: text.starts_with("https:"),
            text,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, and its port, as a reader looks for it in the browser's address bar.
    pub fn host(&self) -> &str {
        self.text.split_once("://").map_or("", |(_, host)| host)
    }

    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl FrontSecret {
    /// Parses what a header can hold and nobody guesses.
    pub fn parse(text: &str) -> Result<FrontSecret, String> {
        if text.len() < 20 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must be 20 or more printable ASCII characters without spaces".to_owned());
        }
        Ok(FrontSecret(Arc::new(SecretString::from(text))))
    }

    /// Whether a request brings this. Hashes are compared, so that the time it takes tells nothing.
    pub fn is(&self, given: &[u8]) -> bool {
        Sha256::digest(given) == Sha256::digest(self.0.expose_secret())
    }
}

masked!(FrontSecret);

fn address(text: &str) -> Result<EmailAddress, String> {
    EmailAddress::parse(text).map_err(|error| format!("is not an address: {error}"))
}

fn contact(text: &str) -> Result<String, String> {
    match EmailAddress::parse(text) {
        Ok(address) => Ok(format!("mailto:{}", address.as_written())),
        Err(_) => web_address(text).map_err(|_| {
            "must be a mail address, or a web address that begins with https://".to_owned()
        }),
    }
}

/// Parses a URL: `https`, or `http` on loopback, without a user and without a trailing slash.
pub fn web_address(text: &str) -> Result<String, String> {
    web_uri(text)?;
    Ok(text.trim_end_matches('/').to_owned())
}

/// Parses the retention, of at least a month and at most ten years.
fn retention(text: &str) -> Result<u16, String> {
    let days = text.parse().ok().filter(|days| (30..=3_650).contains(days));
    days.ok_or_else(|| "must be a number of days from 30 to 3650".to_owned())
}

/// Parses an issuer, which is compared byte for byte. One that stands for many tenants vouches for
/// everybody of any.
fn issuer(text: &str) -> Result<String, String> {
    const MANY_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];
    let uri = web_uri(text)?;
    let mut parts = uri.path().split('/').map(str::to_ascii_lowercase);
    if parts.any(|part| MANY_TENANTS.contains(&part.as_str())) {
        return Err(
            "must name one tenant; common, organizations and consumers vouch for everybody of any"
                .to_owned(),
        );
    }
    if text.contains(['?', '#', '{']) {
        return Err("must be the issuer as the provider spells it, without ?, # and {".to_owned());
    }
    Ok(text.to_owned())
}

fn required(text: &str) -> Result<SignOnRequired, String> {
    let required = SignOnRequired::ALL
        .into_iter()
        .find(|required| required.as_str() == text);
    required.ok_or_else(|| {
        format!(
            "must be one of {}",
            SignOnRequired::ALL.map(SignOnRequired::as_str).join(", ")
        )
    })
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".to_owned()),
    }
}

fn web_uri(text: &str) -> Result<Uri, String> {
    let uri: Uri = text
        .parse()
        .map_err(|_| "is not a web address".to_owned())?;
    let authority = uri
        .authority()
        .filter(|authority| !authority.as_str().contains('@'));
    let host = authority
        .map(http::uri::Authority::host)
        .unwrap_or_default();
    match uri.scheme_str() {
        _ if host.is_empty() => {
            Err("is not a web address like https://bursar.university.edu".to_owned())
        }
        Some("https") => Ok(uri),
        Some("http") if matches!(host, "127.0.0.1" | "localhost" | "[::1]") => Ok(uri),
        Some("http") => Err("must begin with https://; http is for this machine only".to_owned()),
        _ => Err("must begin with https://".to_owned()),
    }
}

impl ConfigError {
    /// Each variable that is wrong, and why.
    pub fn into_wrong(self) -> Vec<(&'static str, String)> {
        self.0
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment is not complete:")?;
        self.0
            .iter()
            .try_for_each(|(name, why)| write!(f, "\n  {name} {why}"))
    }
}

/// The configuration of a deployment whose AWS is under this base, with some variables changed.
#[cfg(test)]
pub(crate) fn of_variables(aws: &str, change: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let base = [
        ("BURSAR_TABLE", "bursar"),
        ("BURSAR_ORIGIN", "https://bursar.uni.edu"),
        ("BURSAR_MAIL_FROM", "bursar@uni.edu"),
        ("BURSAR_ADMINS", "ada@uni.edu, bob@uni.edu"),
        ("BURSAR_MANAGEMENT_KEY_SECRET", "bursar/management-key"),
        ("BURSAR_INSTITUTION", "University of Example"),
    ];
    let variable = |name: &str| {
        let known = change.iter().chain(&base).find(|(known, _)| *known == name);
        known.map(|(_, value)| (*value).to_owned())
    };
    Config::read(
        variable,
        AwsAccess::under(
            aws,
            "eu-central-1",
            aws_smithy_http_client::Builder::new().build_http(),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(change: &[(&str, &str)]) -> Vec<&'static str> {
        let wrong = of_variables("http://127.0.0.1:1", change)
            .err()
            .map(|ConfigError(wrong)| wrong);
        wrong.into_iter().flatten().map(|(name, _)| name).collect()
    }

    /// The required variables are enough, and the default provider is the real one.
    #[test]
    fn required_vars_are_enough() {
        let config = of_variables("http://127.0.0.1:1", &[]).unwrap();
        assert_eq!(
            (config.provider.as_str(), config.admins.len()),
            ("https://openrouter.ai/api/v1", 2)
        );
        assert!(config.origin.is_secure() && config.support.is_none());
    }

    #[test]
    fn everything_that_is_missing_or_wrong_is_named_at_once() {
        let change = [
            ("BURSAR_TABLE", " "),
            ("BURSAR_ORIGIN", "http://bursar.uni.edu"),
            ("BURSAR_ADMINS", "ada@uni.edu,bob"),
            ("BURSAR_INSTITUTION", ""),
            ("BURSAR_PRIVACY_URL", "privacy"),
            ("BURSAR_SECURITY_CONTACT", "the help desk"),
            ("OPENROUTER_BASE_URL", "ftp://provider"),
            ("BURSAR_RETENTION_DAYS", "29"),
            ("BURSAR_FRONT_SECRET", "too short"),
        ];
        let mut complaints_of_all = complaints(&change);
        complaints_of_all.sort_unstable();
        let mut named = change.map(|(name, _)| name);
        named.sort_unstable();
        assert_eq!(complaints_of_all, named);
        assert_eq!(
            complaints(&[("BURSAR_ADMINS", " , ")]),
            ["BURSAR_ADMINS"],
            "it names nobody"
        );
    }

    /// The start names what of a sign-on is missing, contradicts itself, or would let in everybody
    /// or nobody.
    #[test]
    fn a_sign_on_is_whole() {
        const TENANT: &str = "https://login.example.com/0b5b/v2.0/";
        let provider = [
            (ISSUER, TENANT),
            (CLIENT_ID, "bursar"),
            (SIGN_ON_SECRET, "bursar/sign-on"),
        ];
        let front = [
            (FRONT_USER, "on"),
            ("BURSAR_FRONT_SECRET", "0123456789abcdefghij"),
        ];
        let config = of_variables("http://127.0.0.1:1", &provider).unwrap();
        assert!(
            matches!(config.sign_on, Some(SignOn::Provider(provider)) if provider.issuer == TENANT)
        );
        let all = |extra: &[(&'static str, &'static str)]| [&provider[..], extra].concat();
        for (change, named) in [
            (
                all(&[(REQUIRED, "everybody"), (PERSON_CLAIM, "sub")]),
                &[][..],
            ),
            (vec![(FRONT_USER, "off")], &[]),
            ([&front[..], &[(REQUIRED, "roles")]].concat(), &[]),
            (vec![(ISSUER, TENANT)], &[CLIENT_ID, SIGN_ON_SECRET]),
            (vec![(SIGN_ON_SECRET, "x"), (CLIENT_ID, "x")], &[ISSUER]),
            (vec![(PERSON_CLAIM, "sub")], &[PERSON_CLAIM]),
            (vec![(REQUIRED, "roles")], &[REQUIRED]),
            (vec![(FRONT_USER, "off"), (REQUIRED, "roles")], &[REQUIRED]),
            (vec![(REQUIRED, "all")], &[REQUIRED]),
            (vec![front[0]], &[FRONT_USER]),
            (vec![(FRONT_USER, "yes"), front[1]], &[FRONT_USER]),
            (all(&front), &[FRONT_USER]),
        ] {
            assert_eq!(complaints(&change), named, "{change:?}");
        }
        for wrong in [
            "http://login.example.com",
            "login.example.com",
            "https://login.example.com/common/v2.0",
            "https://login.example.com/Organizations",
            "https://login.example.com/consumers/",
            "https://login.example.com/{tenantid}/v2.0",
            "https://login.example.com/?tenant=0b5b",
        ] {
            assert_eq!(
                complaints(&[(ISSUER, wrong), provider[1], provider[2]]),
                [ISSUER],
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_origin_is_https_or_on_loopback_and_has_no_path() {
        for good in [
            "https://a.edu:8443",
            "http://127.0.0.1:8080",
            "http://localhost:8080",
            "http://[::1]:1",
        ] {
            assert_eq!(complaints(&[("BURSAR_ORIGIN", good)]), [""; 0], "{good}");
        }
        for bad in [
            "a.edu",
            "https://",
            "https://a.edu/x",
            "http://a.edu",
            "https://u@a.edu",
            "http://127.0.0.1.a.edu",
        ] {
            assert_eq!(
                complaints(&[("BURSAR_ORIGIN", bad)]),
                ["BURSAR_ORIGIN"],
                "{bad}"
            );
        }
    }
}
