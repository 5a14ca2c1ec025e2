//! `doctor`: what stands between a deployment and claim day.

use std::fs;
use std::process::{Command, Stdio};

use clap::Args;

use crate::aws::{self, Aws, Deployment, Found, Login, MEND, NOT_CHECKED, OK, Report};
use crate::newer::{self, Releases};
use crate::{VERSION, sign_on};

/// The checks in the order in which an operator would mend.
const CHECKS: &str = include_str!("doctor.txt");

/// Two links for each student, of which students' links get four tenths of the day's quota.
const DAYS_MAILS_OF_ONE: f64 = 5.0;
/// The seconds within which a lecture hall should have its links, and its keys.
const PATIENCE: f64 = 300.0;
/// One copy for so many of those who press within ten seconds: a claim takes about two.
const STUDENTS_OF_A_COPY: u32 = 4;
/// For a hall whose size nobody said.
const COPIES: u32 = 100;
/// Copies for all that runs beside the claims.
const BESIDE: u32 = 20;
/// Of so many students one presses within the first ten seconds, but of all together no more than
/// the most.
const STUDENTS_OF_ONE_AT_ONCE: u32 = 4;
const MOST_AT_ONCE: u32 = 1_000;

const RECORDS: &str =
    "Publish its DNS records: section Before the first student of infra/RUNBOOK.md.";
const COPIES_REMEDY: &str = "Keep more for Claim, or ask AWS for a higher quota: section Concurrency before claim day of infra/RUNBOOK.md.";

#[derive(Args)]
pub struct Arguments {
    /// The name of the deployment's stack
    #[arg(long, value_name = "NAME", required_unless_present_any = ["origin", "machine"])]
    stack: Option<String>,
    /// Only look whether a release is newer than this one, which runs on one machine, and which
    /// advisories concern it
    #[arg(long, conflicts_with_all = ["stack", "origin"])]
    machine: bool,
    /// Who may claim that day
    #[arg(long, value_name = "N")]
    students: Option<u32>,
    /// How many of them press within ten seconds; else it is guessed from the students
    #[arg(long, value_name = "N")]
    at_once: Option<u32>,
    /// So many keys the provider makes in a second, as `provider-check --rate` measures
    #[arg(long, value_name = "N")]
    keys_per_second: Option<f64>,
    /// So many requests the provider takes at once, as `provider-check --in-flight` measures
    #[arg(long, value_name = "N")]
    requests_at_once: Option<u32>,
    #[command(flatten)]
    releases: Releases,
    #[command(flatten)]
    login: Login,
    /// Only look whether a front that vouches for who signs in keeps others out, at the address of
    /// the pages
    #[arg(long, requires = "admin", conflicts_with = "stack")]
    origin: Option<String>,
    /// The address of an admin, which tells whether anybody gets in as one
    #[arg(long, value_name = "ADDRESS", requires = "origin")]
    admin: Option<String>,
}

struct Doctor {
    aws: Aws,
    deployment: Deployment,
    students: Option<u32>,
    at_once: Option<u32>,
    keys_per_second: Option<f64>,
    requests_at_once: Option<u32>,
    releases: Releases,
}

pub(crate) fn doctor(arguments: Arguments) -> anyhow::Result<()> {
    if let (Some(origin), Some(admin)) = (&arguments.origin, &arguments.admin) {
        let mut report = Report::default();
        report.tell("pages", reached(origin, 499))?;
        report.tell("front", sign_on::keeps_out(origin, admin))?;
        return report.end("of these stand between this front and real people");
    }
    if arguments.machine {
        let mut report = Report::default();
        arguments.releases.tell(&mut report, VERSION)?;
        return report.end("of these stand between this machine and what is newer");
    }
    let Arguments {
        stack,
        login,
        students,
        at_once,
        keys_per_second,
        requests_at_once,
        releases,
        ..
    } = arguments;
    let aws = Aws {
        stack: stack.unwrap_or_default(),
        login,
    };
    let guess = |students: u32| students.div_ceil(STUDENTS_OF_ONE_AT_ONCE).min(MOST_AT_ONCE);
    let at_once = at_once.or(students.map(guess));
    let deployment = Deployment::read(&aws)?;
    Doctor {
        aws,
        deployment,
        students,
        at_once,
        keys_per_second,
        requests_at_once,
        releases,
    }
    .look()
}

impl Doctor {
    fn look(&self) -> anyhow::Result<()> {
        let mut report = Report::default();
        let tags = self
            .releases
            .tell(&mut report, self.deployment.value("Version"))?;
        report.tell("version", self.version(&tags))?;
        report.tell(
            "samconfig.toml",
            self.samconfig(&fs::read_to_string("samconfig.toml").unwrap_or_default()),
        )?;
        for (name, verdict) in aws::check(&self.aws, &self.deployment, CHECKS, &|_, mails| {
            self.short_of_mails(mails)
        })? {
            report.tell(&name, verdict)?;
        }
        report.tell("concurrency", self.concurrency()?)?;
        if let Some(verdict) = self.keys_at_once() {
            report.tell("provider's rate", verdict)?;
        }
        if let Some(verdict) = self.requests_at_once() {
            report.tell("requests at once", verdict)?;
        }
        report.tell(
            "mail identity",
            self.identity(self.deployment.value("MailFrom"))?,
        )?;
        // What asks to sign in before the pages answers too.
        report.tell("pages", reached(self.deployment.value("Origin"), 499))?;
        if self.deployment.value("FrontUser") == "on" {
            let admin = self
                .deployment
                .value("Admins")
                .split(',')
                .next()
                .unwrap_or_default();
            report.tell(
                "front",
                sign_on::keeps_out(self.deployment.value("Origin"), admin.trim()),
            )?;
        }
        let issuer = self.deployment.value("SignOnIssuer");
        if !issuer.is_empty() {
            report.tell("sign-on", sign_on::provider(issuer))?;
        }
        let provider = format!("{}/models", self.deployment.value("OpenRouterBaseUrl"));
        report.tell("provider", reached(&provider, 200))?;
        report.end("of these stand between this deployment and claim day")
    }

    fn short_of_mails(&self, mails: &[f64]) -> Option<String> {
        let &[day, rate] = mails else { return None };
        let students = f64::from(self.students.unwrap_or(0));
        let at_once = f64::from(self.at_once.unwrap_or(0));
        let need = students * DAYS_MAILS_OF_ONE;
        let takes = at_once / rate.max(f64::MIN_POSITIVE);
        // A quota below zero is none.
        if day >= 0.0 && day < need {
            let may = (day / DAYS_MAILS_OF_ONE).floor();
            return Some(format!(
                "{students} who may claim in one day need {need} mails a day; this quota does for {may}. \
                 Invite by groups over {} days, and say --students {may}. Or:",
                (students / may).ceil()
            ));
        }
        (takes > PATIENCE)
            .then(|| format!("{at_once} links at once take {takes:.0} seconds, of {PATIENCE}."))
    }

    /// The copies for those who claim at once: Claim's own where some are reserved, or what nobody
    /// else has reserved.
    fn concurrency(&self) -> anyhow::Result<Found> {
        let claims = self
            .at_once
            .map_or(COPIES, |students| students.div_ceil(STUDENTS_OF_A_COPY));
        let claim = [
            "lambda",
            "get-function-concurrency",
            "--function-name",
            self.deployment.resource("Claim"),
        ];
        let (answer, need) = match self.aws.ask(&claim, "ReservedConcurrentExecutions")? {
            Ok(Some(none)) if none.trim().parse::<u32>().is_err() => {
                let query = "AccountLimit.UnreservedConcurrentExecutions";
                (
                    self.aws.ask(&["lambda", "get-account-settings"], query)?,
                    claims + BESIDE,
                )
            }
            // Of what is reserved AWS keeps a hundred for the rest.
            answer => (answer, claims),
        };
        Ok(aws::judged(
            answer,
            &format!("at least {need}"),
            COPIES_REMEDY,
            &|_, _| None,
        ))
    }

    /// Whether the provider makes keys as fast as they are claimed, where somebody measured that.
    fn keys_at_once(&self) -> Option<Found> {
        let rate = self.keys_per_second?;
        let at_once = f64::from(self.at_once?);
        let takes = at_once / rate.max(f64::MIN_POSITIVE);
        let sentence = format!("{at_once} keys at once take {takes:.0} seconds at {rate} a second");
        let remedy = "spread the claims, by groups or over the claim window, or ask the provider for a higher rate";
        Some(if takes <= PATIENCE {
            (OK, sentence)
        } else {
            (MEND, format!("{sentence}, of {PATIENCE}: {remedy}."))
        })
    }

    /// Whether the provider takes a request of each who claims at once: a hall goes on with a
    /// shared exercise.
    fn requests_at_once(&self) -> Option<Found> {
        let at_once = self.at_once?;
        let Some(taken) = self.requests_at_once else {
            let how = "measure how many requests the provider takes at once by provider-check --in-flight, and say so by --requests-at-once";
            return Some((NOT_CHECKED, how.to_owned()));
        };
        if taken >= at_once {
            return Some((
                OK,
                format!("{taken} are taken at once, which {at_once} students may ask"),
            ));
        }
        Some((
            MEND,
            format!(
                "{at_once} students may ask at once, and {taken} requests are taken: the others are refused for seconds. Buy the term's \
                 credit now, which raises it; ask the provider to lift its budget for requests in flight, or for payment by \
                 invoice; and let exercises set a small max_tokens."
            ),
        ))
    }

    /// Whether what is deployed is what this is, as a procedure at night needs it, or one version
    /// away from it.
    fn version(&self, tags: &str) -> Found {
        let deployed = self.deployment.value("Version");
        let skipped = between(tags, deployed, VERSION);
        let why = match deployed {
            "" | "not packaged" => {
                "nobody knows what runs: deploy a release, or what cargo xtask package makes"
            }
            _ if deployed.ends_with(" dirty") => {
                "no commit has the files that it was built from: deploy a commit"
            }
            _ if !skipped.is_empty() => "it is one version after the other",
            _ if deployed != VERSION => {
                "take the bursar-ops of what is deployed, or deploy this version"
            }
            _ => return (OK, VERSION.to_owned()),
        };
        let first = skipped.first().map(|next| {
            format!(
                " Between them: {}. Deploy {next} first, or take the other bursar-ops.",
                skipped.join(", ")
            )
        });
        let first = first.unwrap_or_default();
        (
            MEND,
            format!("Deployed is “{deployed}”, this is “{VERSION}”: {why}.{first}"),
        )
    }

    /// Whether the next `sam deploy` from this folder would change a parameter: a samconfig.toml
    /// wins over the stack.
    fn samconfig(&self, text: &str) -> Found {
        let of_stack = format!("stack_name = \"{}\"", self.aws.stack);
        let sections: String = text
            .split("\n[")
            .filter(|section| section.contains(&of_stack))
            .collect();
        if sections.is_empty() {
            return (
                OK,
                "none in this folder has parameters for this stack".to_owned(),
            );
        }
        let sections = sections.replace("\\\"", "\"");
        let says = |name: &str| {
            let (_, rest) = sections.split_once(&format!("{name}="))?;
            rest.strip_prefix('"').map_or_else(
                || rest.split([' ', '"']).next(),
                |quoted| quoted.split('"').next(),
            )
        };
        let differs = |(name, value): (&String, &String)| {
            // A parameter that AWS shows to nobody is all stars.
            let is_other =
                says(name).is_some_and(|said| said != value && !value.starts_with("****"));
            is_other.then(|| name.clone())
        };
        let other: Vec<String> = self
            .deployment
            .parameters
            .iter()
            .filter_map(differs)
            .collect();
        if other.is_empty() {
            return (OK, "it has the parameters of the stack".to_owned());
        }
        (
            MEND,
            format!(
                "It differs from the stack in {}, and would win: correct it, or take it away.",
                other.join(", ")
            ),
        )
    }

    /// The identity that covers a sender: the address itself, its domain, or a domain above that.
    fn identity(&self, sender: &str) -> anyhow::Result<Found> {
        let mut name = sender;
        loop {
            let question = ["sesv2", "get-email-identity", "--email-identity", name];
            let query =
                "[VerifiedForSendingStatus, DkimAttributes.SigningEnabled, DkimAttributes.Status]";
            match (self.aws.ask(&question, query)?, name.split_once(['@', '.'])) {
                (Ok(None), Some((_, above))) => name = above,
                (answer, _) => {
                    return Ok(aws::judged(
                        answer,
                        "True True SUCCESS",
                        RECORDS,
                        &|_, _| None,
                    ));
                }
            }
        }
    }
}

/// Whether a page answers this machine by a status up to the worst that will do, asked by `curl`,
/// which knows its certificates and proxies.
pub(crate) fn reached(url: &str, worst: u16) -> Found {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--max-time",
        "10",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    ]);
    let Ok(output) = curl.arg(url).stdin(Stdio::null()).output() else {
        let missing = "the command curl is missing: install the package curl, or open the address in a browser";
        return (NOT_CHECKED, missing.to_owned());
    };
    match String::from_utf8_lossy(&output.stdout).trim() {
        status
            if status
                .parse()
                .is_ok_and(|status: u16| (200..=worst).contains(&status)) =>
        {
            (OK, format!("{url} answers this machine"))
        }
        status => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let ask = "Does its name lead where the output ApiOrigin says, or the provider's status page tell of trouble?";
            (
                MEND,
                format!("{url} answers {status} {}. {ask}", stderr.trim()),
            )
        }
    }
}

/// The released versions between two others, in their order from the first, by the tags of the
/// repository.
fn between(tags: &str, first: &str, last: &str) -> Vec<String> {
    let (Some(first), Some(last)) = (newer::number(first), newer::number(last)) else {
        return Vec::new();
    };
    let lower = first.clone().min(last.clone());
    let upper = first.clone().max(last.clone());
    let mut between: Vec<_> = newer::released(tags)
        .filter(|tag| lower < *tag && *tag < upper)
        .collect();
    between.sort_unstable();
    if last < first {
        between.reverse();
    }
    between
        .into_iter()
        .map(|version| format!("v{version}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_between_are_named() {
        let tags = "v0.1.0\nv0.10.0\nv0.2.0\nv0.3.0\nv0.3.0-rc1\nother\n";
        assert_eq!(
            between(tags, "0.1.0", "0.10.0 1a2b3c4d5e6f"),
            ["v0.2.0", "v0.3.0"]
        );
        assert_eq!(between(tags, "0.10.0", "0.1.0"), ["v0.3.0", "v0.2.0"]);
        for (from, to) in [
            ("0.1.0", "0.2.0"),
            ("0.3.0", "0.2.0"),
            ("0.3.0", "0.3.0"),
            ("0.10.0", "0.11.0"),
            ("", "0.3.0"),
        ] {
            assert_eq!(between(tags, from, to), [""; 0], "{from} to {to}");
        }
    }
}
