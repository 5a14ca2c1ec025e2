//! The settings of `bursar serve`, in a file and in the environment, which wins. All that is wrong
//! is said at once.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bursar_core::aws::AwsAccess;
use bursar_core::config::Config;
use bursar_core::secrets::ManagementKey;
use jiff::SignedDuration;
use toml::Value;

use crate::aws::ses::Relay;
use crate::command::Refused;
use crate::command::stack::{SECRET, SIGN_ON_SECRET, TABLE};

/// A line as it might be in the file for each setting. In the environment it is called `BURSAR_`
/// and its name in capitals, but for one, which is called as the functions call it.
const SETTINGS: &str = include_str!("settings.txt");
const PROVIDER: [&str; 2] = ["provider", "OPENROUTER_BASE_URL"];
const FRONT_SECRET: &str = "front_secret";
const SIGN_ON: &str = "sign_on_secret";

/// The file that is read where none is named, if it is there.
const USUAL_FILE: &str = "bursar.toml";
/// As in the template, the sync begins twenty minutes past its hour.
const PAST_THE_HOUR: SignedDuration = SignedDuration::from_mins(20);

/// All that `serve` was told, each of it right by itself.
pub(super) struct Settings {
    /// What the functions read. Its access to AWS is still to be made.
    pub(super) config: Config,
    pub(super) management_key: String,
    /// The secret by which the sign-on provider knows this machine.
    pub(super) sign_on_secret: Option<String>,
    pub(super) relay: Relay,
    /// In a minute.
    pub(super) mail_rate: u32,
    /// After midnight in UTC.
    pub(super) sync_at: SignedDuration,
    pub(super) folder: PathBuf,
    pub(super) listen: SocketAddr,
    pub(super) health: SocketAddr,
}

/// What was given under each name, and what is wrong with it.
#[derive(Default)]
struct Given {
    values: BTreeMap<String, String>,
    wrong: Vec<String>,
}

impl Settings {
    pub(super) fn read(file: Option<&Path>, aws: AwsAccess) -> Result<Settings, Refused> {
        let mut given = Given::default();
        let usual = Some(Path::new(USUAL_FILE)).filter(|usual| usual.exists());
        if let Some(file) = file.or(usual) {
            given.read_file(file);
        }
        given.read_environment();
        let variable = |variable: &str| match variable {
            "BURSAR_TABLE" => Some(TABLE.to_owned()),
            "BURSAR_MANAGEMENT_KEY_SECRET" => Some(SECRET.to_owned()),
            "BURSAR_SIGN_ON_SECRET" => given.values.get(SIGN_ON).map(|_| SIGN_ON_SECRET.to_owned()),
            variable => given.values.get(&name_of(variable)?).cloned(),
        };
        let config = match Config::read(variable, aws) {
            Ok(config) => Some(config),
            Err(error) => {
                for (variable, why) in error.into_wrong() {
                    given.complain(&name_of(variable).unwrap_or_default(), &why);
                }
                None
            }
        };
        let management_key = given.checked("management_key_file", None, management_key_in);
        let has_password = given.values.contains_key("smtp_password_file");
        let password = if has_password {
            given.checked("smtp_password_file", None, secret_in)
        } else {
            None
        };
        let host = config
            .as_ref()
            .and_then(|config| config.origin.host().split(':').next());
        // An address says nothing to a mail server.
        let host = host.filter(|host| host.parse::<IpAddr>().is_err());
        let relay = given.checked("smtp", None, |url| Relay::new(url, password, host));
        let mail_rate = given.checked("mail_rate", Some("60"), |rate| number(rate, 1, 600));
        let sync_hour = given.checked("sync_hour", Some("0"), |hour| number(hour, 0, 23));
        let folder = given.checked("data", Some("/var/lib/bursar"), |folder| {
            Ok(PathBuf::from(folder))
        });
        let has_front = given.values.contains_key(FRONT_SECRET);
        let listen = given.checked("listen", Some("127.0.0.1:8080"), |text| {
            place(text, has_front)
        });
        let health = given.checked("health", Some("127.0.0.1:8081"), |text| {
            place(text, has_front)
        });
        let sign_on_secret = given.values.remove(SIGN_ON);
        let complete = || {
            let relay = relay?;
            let config = Config {
                smtp_server: Some(relay.server()),
                ..config?
            };
            let management_key = management_key?;
            let sync_at = SignedDuration::from_hours(sync_hour?.into()) + PAST_THE_HOUR;
            let [listen, health] = [listen?, health?];
            Some(Settings {
                config,
                management_key,
                sign_on_secret,
                relay,
                mail_rate: mail_rate?,
                sync_at,
                folder: folder?,
                listen,
                health,
            })
        };
        complete()
            .filter(|_| given.wrong.is_empty())
            .ok_or(Refused(given.wrong))
    }
}

impl Given {
    fn read_file(&mut self, file: &Path) {
        let shown = file.display();
        let text = fs::read_to_string(file).map_err(|error| error.to_string());
        match text.and_then(|text| {
            text.parse::<toml::Table>()
                .map_err(|error| error.to_string())
        }) {
            Ok(table) => {
                for (name, value) in table {
                    match text_of(&value) {
                        Some(text) if example(&name).is_some() => {
                            drop(self.values.insert(name, text));
                        }
                        _ if example(&name).is_none() => self.unknown(&name, &shown.to_string()),
                        _ => self.complain(&name, "must be a text, a number or a list of texts"),
                    }
                }
            }
            Err(error) => self.wrong.push(format!("{shown} cannot be read: {error}")),
        }
        for secret in [FRONT_SECRET, SIGN_ON] {
            if self.values.contains_key(secret)
                && let Err(why) = only_ours(file)
            {
                self.complain(secret, &format!("is in {shown}, which {why}"));
            }
        }
    }

    fn read_environment(&mut self) {
        for (variable, value) in std::env::vars_os() {
            let Some(name) = variable.to_str().and_then(name_of) else {
                continue;
            };
            if example(&name).is_some() {
                self.values
                    .insert(name, value.to_string_lossy().into_owned());
            // Cargo tells this to what it runs.
            } else if name != "version" {
                self.unknown(&variable.to_string_lossy(), "the environment");
            }
        }
        // As where a unit or a container leaves a variable empty.
        self.values.retain(|_, value| !value.trim().is_empty());
    }

    fn unknown(&mut self, name: &str, place: &str) {
        let names: Vec<&str> = SETTINGS
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        let names = names.join(", ");
        self.wrong.push(format!(
            "{name} in {place} is no setting; known are: {names}"
        ));
    }

    /// Says the first that is wrong with a setting.
    fn complain(&mut self, name: &str, why: &str) {
        if self
            .wrong
            .iter()
            .any(|line| line.starts_with(&format!("{name} ")))
        {
            return;
        }
        let example = example(name).unwrap_or_default();
        let variable = if name == PROVIDER[0] {
            PROVIDER[1].to_owned()
        } else {
            format!("BURSAR_{}", name.to_uppercase())
        };
        self.wrong.push(format!(
            "{name} {why}; for example: {example} (or {variable})"
        ));
    }

    /// What is given, or else usual, if it is right.
    fn checked<T>(
        &mut self,
        name: &str,
        usual: Option<&str>,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given = self.values.get(name).map(|text| text.trim()).or(usual);
        let checked = given.map_or_else(|| Err("is missing".to_owned()), check);
        checked.map_err(|why| self.complain(name, &why)).ok()
    }
}

/// The line of a setting, if there is one of this name.
fn example(name: &str) -> Option<&'static str> {
    SETTINGS
        .lines()
        .find(|line| line.split(' ').next() == Some(name))
}

/// The name in the file of what a variable of ours sets.
fn name_of(variable: &str) -> Option<String> {
    if variable == PROVIDER[1] {
        return Some(PROVIDER[0].to_owned());
    }
    variable.strip_prefix("BURSAR_").map(str::to_lowercase)
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Array(values) => Some(
            values
                .iter()
                .map(Value::as_str)
                .collect::<Option<Vec<_>>>()?
                .join(","),
        ),
        Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be a number from {least} to {most}"))
}

/// An address of this machine to listen at.
fn place(text: &str, has_front: bool) -> Result<SocketAddr, String> {
    let place: SocketAddr = text
        .parse()
        .map_err(|_| "must be an IP address and a port".to_owned())?;
    if place.ip().is_loopback() || has_front {
        return Ok(place);
    }
    Err(
        "is not on loopback, where whoever reaches it needs the front_secret, and there is none"
            .to_owned(),
    )
}

/// The management key, alone in a file.
pub(in crate::command) fn management_key_in(file: &str) -> Result<String, String> {
    let key = secret_in(file)?;
    ManagementKey::parse(&key)
        .map_err(|_| "must name a file that holds the key and nothing else")?;
    Ok(key)
}

/// The text of a file that nobody else may read, without the line's end.
fn secret_in(file: &str) -> Result<String, String> {
    let text = fs::read_to_string(file)
        .map_err(|error| format!("names {file}, which cannot be read: {error}"))?;
    only_ours(Path::new(file)).map_err(|why| format!("names {file}, which {why}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Whether others may read a file. The group of root is no other: systemd gives its credentials to
/// it.
fn only_ours(file: &Path) -> Result<(), String> {
    let metadata = fs::metadata(file).map_err(|error| format!("cannot be read: {error}"))?;
    let forbidden = if metadata.gid() == 0 { 0o007 } else { 0o077 };
    if metadata.permissions().mode() & forbidden == 0 {
        return Ok(());
    }
    Err(format!(
        "other users of this machine may read: chmod 600 {}",
        file.display()
    ))
}
