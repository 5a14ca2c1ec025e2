//! What `doctor` and `status` share: their words, questions to the AWS CLI, the stack that these
//! are about, how an answer is judged and told. All of it reads only, and never the value of the
//! secret. A query makes a few words of each answer, which are compared with the words that are
//! wanted.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::io::{self, ErrorKind, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use clap::Args;

/// The raw text of an answer, `None` if AWS knows no such thing, or why nothing is known.
pub(crate) type Answer = Result<Option<String>, String>;

/// What is found of a check: one of these words, and the text after it.
pub(crate) type Found = (&'static str, String);
pub(crate) const OK: &str = "ok";
pub(crate) const MEND: &str = "MEND";
pub(crate) const NOT_CHECKED: &str = "not checked";

/// Something could not be looked at, so that nothing is known of it. The command ends with 2.
#[derive(Debug)]
pub struct NotLooked(pub(crate) String);

impl Display for NotLooked {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotLooked {}

/// So far back in seconds a check looks for what goes on, and for what happens each hour.
pub(crate) const LATELY: u64 = 30 * 60;
const EARLIER: u64 = 3 * 60 * 60;
/// So many questions run side by side.
const AT_ONCE: usize = 8;

/// Where the AWS CLI looks, for each call.
#[derive(Args)]
pub(crate) struct Login {
    /// Another region than the shell's
    #[arg(long)]
    region: Option<String>,
    /// Another profile than the shell's
    #[arg(long)]
    profile: Option<String>,
}

/// The AWS CLI, asked about one stack.
pub(crate) struct Aws {
    pub(crate) stack: String,
    pub(crate) login: Login,
}

impl Aws {
    /// The answer to `aws WORD… --query QUERY`.
    pub(crate) fn ask(&self, words: &[&str], query: &str) -> anyhow::Result<Answer> {
        let mut aws = Command::new("aws");
        aws.args(words).args(["--output", "text", "--query", query]);
        for (option, value) in [
            ("--region", &self.login.region),
            ("--profile", &self.login.profile),
        ] {
            aws.args(value.iter().flat_map(|value| [option, value]));
        }
        // A pager would wait for a key.
        let output = match aws.env("AWS_PAGER", "").stdin(Stdio::null()).output() {
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(NotLooked(
                "AWS is asked through its CLI, which is not here: install it from https://aws.amazon.com/cli"
                    .to_owned()
            )),
            output => output.context("aws does not start")?,
        };
        if output.status.success() {
            return Ok(Ok(Some(
                String::from_utf8_lossy(&output.stdout).into_owned(),
            )));
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        // `An error occurred (ResourceNotFoundException) when calling …`
        let code = stderr
            .split_once("An error occurred (")
            .and_then(|(_, rest)| rest.split(')').next())
            .unwrap_or_default();
        if ["NotFound", "NonExistent", "DoesNotExist"]
            .iter()
            .any(|phrase| code.contains(phrase))
            || stderr.contains("does not exist")
        {
            return Ok(Ok(None));
        }
        let why = stderr.lines().map(str::trim).find(|line| !line.is_empty());
        Ok(Err(why.unwrap_or("aws failed and said nothing").to_owned()))
    }
}

/// The parameters, outputs and resources of the stack, by name.
pub(crate) struct Deployment {
    stack: String,
    pub(crate) parameters: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
    resources: BTreeMap<String, String>,
}

impl Deployment {
    pub(crate) fn read(aws: &Aws) -> anyhow::Result<Deployment> {
        let stack = &aws.stack;
        let pairs = |command: &str, query: &str| -> anyhow::Result<BTreeMap<String, String>> {
            match aws.ask(&["cloudformation", command, "--stack-name", stack], query)? {
                Ok(Some(text)) => {
                    let pair = |line: &str| {
                        line.split_once('\t')
                            .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    };
                    Ok(text.lines().filter_map(pair).collect())
                }
                Err(why) => bail!(NotLooked(format!(
                    "the stack {stack} cannot be described: {why}. Sign in, as by aws sso login, or name another login by \
                     --profile; a refused right that the message names is given by whoever runs the account"
                ))),
                Ok(None) => bail!(NotLooked(format!(
                    "there is no stack {stack} in this account and region; name another with --region or --profile"
                ))),
            }
        };
        Ok(Deployment {
            stack: stack.clone(),
            parameters: pairs(
                "describe-stacks",
                "Stacks[0].Parameters[].[ParameterKey, ParameterValue]",
            )?,
            outputs: pairs(
                "describe-stacks",
                "Stacks[0].Outputs[].[OutputKey, OutputValue]",
            )?,
            resources: pairs(
                "list-stack-resources",
                "StackResourceSummaries[].[LogicalResourceId, PhysicalResourceId]",
            )?,
        })
    }

    /// An output, or else a parameter.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.outputs
            .get(name)
            .or_else(|| self.parameters.get(name))
            .map_or("", String::as_str)
    }

    /// What AWS calls a resource of the stack; empty where it has none of this name.
    pub(crate) fn resource(&self, name: &str) -> &str {
        self.resources.get(name).map_or("", String::as_str)
    }

    /// The text with what its names stand for; `None` where the stack lacks one of them.
    pub(crate) fn fill(&self, text: &str, member: &str) -> Option<String> {
        let mut parts = text.split('$');
        let mut filled = parts.next()?.to_owned();
        for part in parts {
            let end = part
                .find(|letter: char| !letter.is_ascii_alphanumeric())
                .unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            let id = |name: &str| match self.resource(name) {
                "" => self.value(name).to_owned(),
                id => id.to_owned(),
            };
            let value = match name {
                "stack" => self.stack.clone(),
                // The one in use, which after a restore is not the stack's own.
                "table" => self.value("Table").to_owned(),
                "now" => seconds_ago(0).to_string(),
                "earlier" => seconds_ago(EARLIER).to_string(),
                "lately" => seconds_ago(LATELY).to_string(),
                // Logs count thousandths.
                "earlierms" => (seconds_ago(EARLIER) * 1_000).to_string(),
                "latelyms" => (seconds_ago(LATELY) * 1_000).to_string(),
                "each" => id(member),
                name => id(name),
            };
            if value.is_empty() {
                return None;
            }
            filled.push_str(&value);
            filled.push_str(rest);
        }
        Some(filled)
    }
}

/// A time in the past, in the seconds that the AWS CLI takes.
pub(crate) fn seconds_ago(seconds: u64) -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
        .saturating_sub(seconds)
}

/// What a command says of numbers of which enough for something is wanted: `None` if they are.
pub(crate) type Enough<'a> = &'a (dyn Fn(&str, &[f64]) -> Option<String> + Sync);

/// Makes checks, each four lines of a text: its name, the question, the answer that is wanted, what
/// to do about any other. `$stack` and `$table` are the deployment's, `$now`, `$lately` and
/// `$earlier` times; another name with `$` is a resource's id or a parameter. Of a name that goes
/// on with a list there is a check for each resource of the list, which is `$each`.
pub(crate) fn check(
    aws: &Aws,
    stack: &Deployment,
    text: &str,
    enough: Enough,
) -> anyhow::Result<Vec<(String, Found)>> {
    let mut checks = Vec::new();
    for check in text.trim_end().split("\n\n") {
        let lines: Vec<&str> = check.lines().collect();
        let [name, question, expected, remedy] = lines[..] else {
            bail!("a check has four lines: {check}")
        };
        let (label, members) = match name.split_once(' ') {
            Some((label, list)) if question.contains("$each") => {
                (label, list.split(", ").collect())
            }
            _ => (name, vec![""]),
        };
        let with = |member: &&str| {
            let name = format!("{label} {member}").trim().to_owned();
            (
                name,
                stack
                    .fill(question, member)
                    .zip(stack.fill(expected, member)),
                question,
                remedy,
            )
        };
        checks.extend(members.iter().map(with));
    }
    // With no domain of its own there is none to look at.
    checks.retain(|(_, filled, question, _)| {
        filled.is_some()
            || !(question.contains("$DomainName") || question.contains("$CertificateArn"))
    });
    at_once(&checks, |(name, filled, _, remedy)| {
        let Some((question, expected)) = filled else {
            let lacks = "The stack lacks it. Deploy again, of the version that you run.";
            return Ok((name.clone(), (MEND, lacks.to_owned())));
        };
        let (words, query) = question
            .split_once(" --query ")
            .context("a question has a query")?;
        let answer = aws.ask(&words.split(' ').skip(1).collect::<Vec<_>>(), query)?;
        Ok((name.clone(), judged(answer, expected, remedy, enough)))
    })
}

/// Does all side by side, since most of the time of a question is that of the AWS CLI's start.
pub(crate) fn at_once<T: Sync, U: Send>(
    what: &[T],
    done: impl Fn(&T) -> anyhow::Result<U> + Sync,
) -> anyhow::Result<Vec<U>> {
    let mut results = Vec::new();
    for some in what.chunks(AT_ONCE) {
        let ended: Vec<_> = thread::scope(|scope| {
            let begun: Vec<_> = some.iter().map(|task| scope.spawn(|| done(task))).collect();
            begun
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect()
        });
        for outcome in ended {
            results.push(outcome.map_err(|_| anyhow!("a question ended in a panic"))??);
        }
    }
    Ok(results)
}

pub(crate) fn judged(answer: Answer, expected: &str, remedy: &str, enough: Enough) -> Found {
    let text = match answer {
        Ok(Some(text)) => text,
        Ok(None) => return (MEND, format!("AWS knows no such thing. {remedy}")),
        Err(why) => return (NOT_CHECKED, why),
    };
    // Each page of a long answer has a line.
    let mut lines: Vec<&str> = text.lines().collect();
    lines.dedup();
    let mut value = lines
        .iter()
        .flat_map(|line| line.split_whitespace())
        .collect::<Vec<_>>()
        .join(" ");
    // Of a log's line that has an amount only that is of interest.
    for amount in ["\"balance_usd\":\"", "\"to_buy_usd\":\""] {
        if let Some((_, rest)) = value.rsplit_once(amount) {
            value = rest.split('"').next().unwrap_or_default().to_owned();
        }
    }
    let numbers: Vec<f64> = value
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let is_wanted = |choice: &str| match (choice.rsplit_once(' '), numbers.as_slice()) {
        (Some(("at most", bound)), [number]) => {
            bound.parse().is_ok_and(|bound: f64| *number <= bound)
        }
        (Some(("at least", bound)), [number]) => {
            bound.parse().is_ok_and(|bound: f64| *number >= bound)
        }
        _ => choice == value,
    };
    let why = if !expected.starts_with("enough") {
        (!expected.split(" | ").any(is_wanted)).then(|| format!("{expected} is wanted."))
    } else if numbers.len() == 2 {
        enough(expected, &numbers)
    } else {
        return (NOT_CHECKED, format!("unexpected answer: {value}"));
    };
    match why {
        Some(why) => (MEND, format!("It is {value}. {why} {remedy}")),
        None => (OK, value),
    }
}

/// Tells what is found, one line each, and how it was in all.
#[derive(Default)]
pub(crate) struct Report(BTreeMap<&'static str, u32>);

impl Report {
    pub(crate) fn tell(&mut self, name: &str, (word, text): Found) -> io::Result<()> {
        *self.0.entry(word).or_default() += 1;
        writeln!(io::stdout().lock(), "{word:<12} {name}: {text}")
    }

    /// Fails with 1 if there is something to mend, else with 2 if something was not looked at.
    pub(crate) fn end(self, wrong: &str) -> anyhow::Result<()> {
        let count = |word| self.0.get(word).copied().unwrap_or_default();
        let mend = count(MEND);
        let unknown = count(NOT_CHECKED);
        let not_looked = format!(
            "{unknown} could not be looked at, and each says why: nothing is known of these"
        );
        match (mend, unknown) {
            (0, 0) => Ok(()),
            (0, _) => bail!(NotLooked(not_looked)),
            (_, 0) => bail!("{mend} {wrong}"),
            _ => bail!("{mend} {wrong}; {not_looked}"),
        }
    }
}
