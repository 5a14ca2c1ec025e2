//! `doctor`: what stands between a deployment and claim day, one question to AWS a line. It reads only, and it never
//! asks for the value of the secret.

mod alarms;
mod aws;
mod check;
mod deployment;
mod domain;
mod functions;
mod mail;
mod provider;
mod schedules;
mod secret;
mod table;

use std::io::Write;

use anyhow::{Context, bail};
use jiff::Timestamp;

use self::aws::{Answer, Aws};
use self::check::{Finding, Item};
use self::deployment::Deployment;

/// What `doctor` was asked.
struct Options {
    stack: String,
    /// The students who may claim on the first day; `None` where nobody said.
    students: Option<u32>,
    aws: Aws,
}

const USAGE: &str = "cargo xtask doctor --stack NAME [--students N] [--region REGION] [--profile PROFILE]";

/// `doctor --stack NAME`, or `doctor --questions`, which prints the questions for the check of their spelling.
pub(crate) fn doctor(words: &[String]) -> anyhow::Result<()> {
    if matches!(words, [word] if word == "--questions") {
        return questions();
    }
    let options = Options::read(words)?;
    let deployment = deployment_of(&options)?;
    let mut out = std::io::stdout().lock();
    let (mut wrong, mut unknown) = (0, 0);
    for item in items(&deployment, options.students, Timestamp::now()) {
        let (name, finding) = item.settle(&options.aws);
        wrong += usize::from(matches!(finding, Finding::Mend { .. }));
        unknown += usize::from(matches!(finding, Finding::NotChecked(_)));
        writeln!(out, "{:<12} {name}: {finding}", finding.word())?;
        out.flush()?;
    }
    if unknown > 0 {
        eprintln!(
            "doctor: {unknown} checks could not be made, and each says why: nothing is known of what they are about"
        );
    }
    match wrong {
        0 => Ok(()),
        1 => bail!("one thing stands between this deployment and claim day"),
        _ => bail!("{wrong} things stand between this deployment and claim day"),
    }
}

/// Every check of a deployment, in the order in which an operator would mend.
fn items(deployment: &Deployment, students: Option<u32>, now: Timestamp) -> Vec<Item> {
    let mut items = deployment.items();
    items.extend(secret::items(deployment, now));
    items.extend(mail::items(deployment, students));
    items.extend(functions::items(deployment, students));
    items.extend(table::items(deployment));
    items.extend(schedules::items(deployment));
    items.extend(alarms::items(deployment));
    items.extend(domain::items(deployment, now));
    items.push(provider::item(deployment));
    items
}

fn deployment_of(options: &Options) -> anyhow::Result<Deployment> {
    let stack = told(options.aws.ask(&deployment::stack(&options.stack)), &options.stack)?;
    let resources = told(options.aws.ask(&deployment::resources(&options.stack)), &options.stack)?;
    Deployment::read(&stack, &resources).context("AWS described the stack in a form that is not known here")
}

/// Without the stack's description there is nothing to ask about.
fn told(answer: Answer, stack: &str) -> anyhow::Result<serde_json::Value> {
    match answer {
        Answer::Told(value) => Ok(value),
        Answer::Absent => {
            bail!("there is no stack {stack} in this account and region; name another with --region or --profile")
        }
        Answer::Denied => {
            bail!("you lack cloudformation:DescribeStacks or cloudformation:ListStackResources on the stack {stack}")
        }
        Answer::NoCommand => bail!("the command aws is missing; install the AWS CLI and run it again"),
        Answer::Failed(why) => bail!("the stack {stack} cannot be described: {why}"),
    }
}

impl Options {
    fn read(words: &[String]) -> anyhow::Result<Options> {
        let (mut stack, mut students, mut through) = (None, None, Vec::new());
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next().with_context(|| format!("{word} needs a value: {USAGE}"))?;
            match word.as_str() {
                "--stack" => stack = Some(value.clone()),
                "--students" => {
                    students = Some(value.parse().with_context(|| format!("--students takes a number, not {value}"))?);
                }
                "--region" | "--profile" => through.extend([word.clone(), value.clone()]),
                _ => bail!("doctor knows no {word}: {USAGE}"),
            }
        }
        let stack = stack.with_context(|| format!("which stack? {USAGE}"))?;
        Ok(Options { stack, students, aws: Aws::new(through) })
    }
}

/// Prints each question about an example deployment, one JSON list a line.
fn questions() -> anyhow::Result<()> {
    let example = Deployment::example().context("the example is not a deployment")?;
    let mut out = std::io::stdout().lock();
    for words in [deployment::stack("bursar"), deployment::resources("bursar")] {
        writeln!(out, "{}", serde_json::to_string(&words)?)?;
    }
    for item in items(&example, None, Timestamp::now()) {
        for words in item.questions() {
            writeln!(out, "{}", serde_json::to_string(&words)?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn every_item() -> Vec<Item> {
        items(&Deployment::example().unwrap(), Some(200), Timestamp::from_second(1_770_000_000).unwrap())
    }

    #[test]
    fn an_example_deployment_is_asked_about_everything() {
        let names: Vec<String> = every_item().iter().map(|item| item.name().to_owned()).collect();
        for wanted in [
            "stack",
            "stack policy",
            "secret",
            "management key",
            "mail sandbox",
            "mail quota",
            "mail identity",
            "mail events",
            "concurrency",
            "function Claim",
            "table",
            "table recovery",
            "table expiry",
            "stream ThresholdAlertsSpending",
            "stream MailUrgent",
            "schedule UsageSyncNightly",
            "operator's mail",
            "alarms",
            "dead letters",
            "certificate",
            "domain",
            "domain's API",
            "provider",
        ] {
            assert!(names.iter().any(|name| name == wanted), "{wanted} is not among {names:?}");
        }
    }

    #[test]
    fn without_a_right_a_check_names_the_right_and_finds_nothing() {
        for item in every_item() {
            let Item::Ask(check) = item else { continue };
            let Finding::NotChecked(why) = check.judged(&Answer::Denied) else { panic!("{} judges", check.name) };
            let (service, action) = check.right.split_once(':').unwrap();
            assert!(!service.is_empty() && !action.is_empty() && why.contains(check.right), "{why}");
            let Finding::NotChecked(why) = check.judged(&Answer::NoCommand) else { panic!("{} judges", check.name) };
            assert!(why.contains("aws is missing"), "{why}");
        }
    }

    #[test]
    fn an_answer_of_another_form_is_never_fine() {
        for item in every_item() {
            let Item::Ask(check) = item else { continue };
            for other in [json!(null), json!({}), json!([]), json!("text"), json!({"Unknown": [{"Key": 1}]})] {
                let finding = check.judged(&Answer::Told(other.clone()));
                assert!(matches!(&finding, Finding::NotChecked(why) if why == check::UNEXPECTED), "{}", check.name);
            }
        }
    }

    #[test]
    fn options_are_read_and_others_are_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let read = Options::read(&words("--stack bursar --students 200 --region eu-central-1")).unwrap();
        assert_eq!((read.stack.as_str(), read.students), ("bursar", Some(200)));
        for bad in ["--students 200", "--stack", "--stack a --students many", "--stack a --verbose yes"] {
            assert!(Options::read(&words(bad)).is_err(), "{bad}");
        }
    }
}
