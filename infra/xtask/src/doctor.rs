//! `doctor`: what stands between a deployment and claim day, one question to the AWS CLI a line. It reads only, and it never asks
//! for the value of the secret. A query makes a few words of each answer, which are compared with the words that are wanted.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use xshell::Shell;

const USAGE: &str =
    "cargo xtask doctor --stack NAME [--students N] [--at-once N] [--region REGION] [--profile PROFILE]";
/// The checks in the order in which an operator would mend, each in four lines: its name, the question, the answer that is
/// wanted, what to do about any other. `$stack` and `$table` are the deployment's; another name with `$` is a resource's id or a
/// parameter. Of a name that goes on with a list there is a check for each resource of the list, which is `$each`.
const CHECKS: &str = include_str!("doctor.txt");

/// Two links for each student, of which students' links get four tenths of the day's quota.
const DAYS_MAILS_OF_ONE: f64 = 5.0;
/// The seconds within which a lecture hall should have its links.
const PATIENCE: f64 = 300.0;
/// One copy for so many of those who press within ten seconds: a claim takes about two.
const STUDENTS_OF_A_COPY: u32 = 4;
/// Copies for all that runs beside the claims.
const BESIDE: u32 = 20;
/// Of so many students one presses within the first ten seconds, but of all together no more than the most.
const STUDENTS_OF_ONE_AT_ONCE: u32 = 4;
const MOST_AT_ONCE: u32 = 1_000;

const RECORDS: &str = "Publish its DNS records: section Before the first student of infra/RUNBOOK.md.";

struct Options {
    stack: String,
    students: Option<u32>,
    at_once: Option<u32>,
    /// Region and profile, for each call.
    through: Vec<String>,
}

/// The raw text of an answer, `None` if AWS knows no such thing, or why nothing is known.
type Answer = Result<Option<String>, String>;

/// What is found of a check: one of these words, and the text after it.
type Found = (&'static str, String);
const OK: &str = "ok";
const MEND: &str = "MEND";
const NOT_CHECKED: &str = "not checked";

/// The parameters, outputs and resources of the stack, by name.
struct Deployment {
    values: BTreeMap<String, String>,
    resources: BTreeMap<String, String>,
}

pub(crate) fn doctor(_: &Shell, words: &[String]) -> anyhow::Result<()> {
    let options = Options::read(words)?;
    let deployment = Deployment::of(&options)?;
    let mut out = std::io::stdout().lock();
    let mut counts = BTreeMap::<&str, u32>::new();
    let mut tell = |name: &str, (word, text): Found| {
        *counts.entry(word).or_default() += 1;
        writeln!(out, "{word:<12} {name}: {text}")
    };
    for check in CHECKS.split("\n\n") {
        let mut lines = check.lines();
        let mut line = || lines.next().context("a check has four lines");
        let (name, question, wanted, remedy) = (line()?, line()?, line()?, line()?);
        let (of, each) = match name.split_once(' ') {
            Some((of, list)) if question.contains("$each") => (of, list.split(", ").collect()),
            _ => (name, vec![""]),
        };
        for each in each {
            let filled = (deployment.fill(question, &options, each), deployment.fill(wanted, &options, each));
            let found = match filled {
                (Some(question), Some(wanted)) => options.judged(options.ask(&question)?, &wanted, remedy),
                _ if question.contains("$DomainName") || question.contains("$CertificateArn") => continue,
                _ => (MEND, "The stack lacks it. Deploy template.yaml again, of the version that you run.".to_owned()),
            };
            tell(format!("{of} {each}").trim(), found)?;
        }
    }
    tell("mail identity", options.identity(deployment.value("MailFrom"))?)?;
    for (name, url) in [
        ("pages", deployment.value("Origin").to_owned()),
        ("provider", format!("{}/models", deployment.value("OpenRouterBaseUrl"))),
    ] {
        tell(name, reached(&url))?;
    }
    if let Some(unknown) = counts.get(NOT_CHECKED) {
        eprintln!(
            "doctor: {unknown} checks could not be made, and each says why: nothing is known of what they are about"
        );
    }
    match counts.get(MEND) {
        Some(wrong) => bail!("{wrong} of these stand between this deployment and claim day"),
        None => Ok(()),
    }
}

impl Options {
    fn read(words: &[String]) -> anyhow::Result<Options> {
        let (mut stack, mut students, mut at_once, mut through) = (None, None, None, Vec::new());
        for pair in words.chunks(2) {
            let [word, value] = pair else { bail!("{} needs a value: {USAGE}", pair.join(" ")) };
            let number = || value.parse().with_context(|| format!("{word} takes a number, not {value}"));
            match word.as_str() {
                "--stack" => stack = Some(value.clone()),
                "--students" => students = Some(number()?),
                "--at-once" => at_once = Some(number()?),
                "--region" | "--profile" => through.extend([word.clone(), value.clone()]),
                _ => bail!("doctor knows no {word}: {USAGE}"),
            }
        }
        let stack = stack.with_context(|| format!("which stack? {USAGE}"))?;
        // Where nobody said how many press at once, it is guessed from the students.
        let guess = |students: u32| students.div_ceil(STUDENTS_OF_ONE_AT_ONCE).min(MOST_AT_ONCE);
        Ok(Options { stack, students, at_once: at_once.or(students.map(guess)), through })
    }

    /// The answer to `aws WORD… --query QUERY`.
    fn ask(&self, question: &str) -> anyhow::Result<Answer> {
        let (words, query) = question.split_once(" --query ").context("a question has a query")?;
        let mut aws = Command::new("aws");
        aws.args(words.split(' ').skip(1)).args(["--output", "text", "--query", query]).args(&self.through);
        // A pager would wait for a key.
        let output = match aws.env("AWS_PAGER", "").stdin(Stdio::null()).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("doctor asks through the AWS CLI, which is not here: install it from https://aws.amazon.com/cli")
            }
            output => output.context("aws does not start")?,
        };
        if output.status.success() {
            return Ok(Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned())));
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        // `An error occurred (ResourceNotFoundException) when calling …`
        let code =
            stderr.split_once("An error occurred (").and_then(|(_, rest)| rest.split(')').next()).unwrap_or_default();
        if ["NotFound", "NonExistent", "DoesNotExist"].iter().any(|each| code.contains(each))
            || stderr.contains("does not exist")
        {
            return Ok(Ok(None));
        }
        let why = stderr.lines().map(str::trim).find(|line| !line.is_empty());
        Ok(Err(why.unwrap_or("aws failed and said nothing").to_owned()))
    }

    fn judged(&self, answer: Answer, wanted: &str, remedy: &str) -> Found {
        let found = match answer {
            Ok(Some(text)) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Ok(None) => return (MEND, format!("AWS knows no such thing. {remedy}")),
            Err(why) => return (NOT_CHECKED, why),
        };
        let numbers: Vec<f64> = found.split(' ').filter_map(|word| word.parse().ok()).collect();
        let short = match (wanted, numbers.as_slice()) {
            ("enough for the students", [day, rate]) => self.short_of_mails(*day, *rate),
            ("enough for those at once", [free]) => self.short_of_copies(*free),
            _ if wanted.starts_with("enough") => return (NOT_CHECKED, format!("unexpected answer: {found}")),
            _ => (!wanted.split(" | ").any(|one| one == found)).then(|| format!("{wanted} is wanted.")),
        };
        match short {
            Some(why) => (MEND, format!("It is {found}. {why} {remedy}")),
            None => (OK, found),
        }
    }

    fn short_of_mails(&self, day: f64, rate: f64) -> Option<String> {
        let students = f64::from(self.students?);
        let (need, takes) = (students * DAYS_MAILS_OF_ONE, students / rate.max(f64::MIN_POSITIVE));
        // A quota below zero is none.
        if day >= 0.0 && day < need {
            return Some(format!("{students} students need {need} mails a day."));
        }
        (takes > PATIENCE).then(|| format!("{students} links take {takes:.0} seconds."))
    }

    fn short_of_copies(&self, free: f64) -> Option<String> {
        // For a hall whose size nobody said, a hundred copies.
        let need = self.at_once.map_or(100, |students| students.div_ceil(STUDENTS_OF_A_COPY)) + BESIDE;
        (free < f64::from(need)).then(|| format!("Claims of so many at once, and the rest, need {need} copies."))
    }

    /// The identity that covers a sender: the address itself, its domain, or a domain above that.
    fn identity(&self, sender: &str) -> anyhow::Result<Found> {
        let mut name = sender;
        loop {
            let question = format!(
                "aws sesv2 get-email-identity --email-identity {name} \
                 --query [VerifiedForSendingStatus, DkimAttributes.SigningEnabled, DkimAttributes.Status]"
            );
            match (self.ask(&question)?, name.split_once(['@', '.'])) {
                (Ok(None), Some((_, above))) => name = above,
                (answer, _) => return Ok(self.judged(answer, "True True SUCCESS", RECORDS)),
            }
        }
    }
}

impl Deployment {
    fn of(options: &Options) -> anyhow::Result<Deployment> {
        let stack = &options.stack;
        let pairs = |command: &str, query: &str| -> anyhow::Result<BTreeMap<String, String>> {
            match options.ask(&format!("aws cloudformation {command} --stack-name {stack} --query {query}"))? {
                Ok(Some(text)) => {
                    let pair =
                        |line: &str| line.split_once('\t').map(|(name, value)| (name.to_owned(), value.to_owned()));
                    Ok(text.lines().filter_map(pair).collect())
                }
                Err(why) => bail!("the stack {stack} cannot be described: {why}"),
                Ok(None) => bail!(
                    "there is no stack {stack} in this account and region; name another with --region or --profile"
                ),
            }
        };
        Ok(Deployment {
            // An output wins over a parameter of the same name.
            values: pairs(
                "describe-stacks",
                "Stacks[0].[Parameters[].[ParameterKey, ParameterValue], Outputs[].[OutputKey, OutputValue]][]",
            )?,
            resources: pairs(
                "list-stack-resources",
                "StackResourceSummaries[].[LogicalResourceId, PhysicalResourceId]",
            )?,
        })
    }

    fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// The text with what its names stand for; `None` where the stack lacks one of them.
    fn fill(&self, text: &str, options: &Options, each: &str) -> Option<String> {
        let mut parts = text.split('$');
        let mut filled = parts.next()?.to_owned();
        for part in parts {
            let end = part.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            let id = |name: &str| self.resources.get(name).map_or_else(|| self.value(name), String::as_str);
            let value = match name {
                "stack" => &options.stack,
                // The one in use, which after a restore is not the stack's own.
                "table" => self.value("Table"),
                "each" => id(each),
                name => id(name),
            };
            if value.is_empty() {
                return None;
            }
            filled.push_str(value);
            filled.push_str(rest);
        }
        Some(filled)
    }
}

/// Whether a page answers this machine, asked by `curl`, which knows its certificates and proxies.
fn reached(url: &str) -> Found {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "10", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    let Ok(output) = curl.arg(url).stdin(Stdio::null()).output() else {
        let missing = "the command curl is missing: install the package curl, or open the address in a browser";
        return (NOT_CHECKED, missing.to_owned());
    };
    match String::from_utf8_lossy(&output.stdout).trim() {
        "200" => (OK, format!("{url} answers this machine")),
        status => {
            let told = String::from_utf8_lossy(&output.stderr);
            let ask =
                "Does its name lead where the output ApiOrigin says, or the provider's status page tell of trouble?";
            (MEND, format!("{url} answers {status} {}. {ask}", told.trim()))
        }
    }
}
