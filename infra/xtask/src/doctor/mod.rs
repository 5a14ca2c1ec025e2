//! `doctor`: what stands between a deployment and claim day, one question to AWS a line. It reads only, and it never
//! asks for the value of the secret.

mod alarms;
mod aws;
mod check;
mod curl;
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
    crowd: Crowd,
    aws: Aws,
}

/// Who comes on claim day; `None` where nobody said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Crowd {
    /// The students who may claim that day, each of whom asks for mail.
    students: Option<u32>,
    /// The students who press within ten seconds.
    at_once: Option<u32>,
}

/// Of so many students one presses within the first ten seconds, but of all together no more than the most.
const STUDENTS_OF_ONE_AT_ONCE: u32 = 4;
const MOST_AT_ONCE: u32 = 1_000;

impl Crowd {
    /// Where nobody said how many press at once, it is guessed from the students.
    fn at_once(self) -> Option<u32> {
        let guess = |students: u32| students.div_ceil(STUDENTS_OF_ONE_AT_ONCE).min(MOST_AT_ONCE);
        self.at_once.or(self.students.map(guess))
    }
}

const USAGE: &str =
    "cargo xtask doctor --stack NAME [--students N] [--at-once N] [--region REGION] [--profile PROFILE]";

/// `doctor --stack NAME`, or `doctor --questions`, which prints the questions for the check of their spelling.
pub(crate) fn doctor(words: &[String]) -> anyhow::Result<()> {
    if matches!(words, [word] if word == "--questions") {
        return questions();
    }
    let options = Options::read(words)?;
    let deployment = deployment_of(&options)?;
    let mut out = std::io::stdout().lock();
    let (mut wrong, mut unknown) = (0, 0);
    for item in items(&deployment, options.crowd, Timestamp::now()) {
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
fn items(deployment: &Deployment, crowd: Crowd, now: Timestamp) -> Vec<Item> {
    let mut items = deployment.items();
    items.extend(secret::items(deployment, now));
    items.extend(mail::items(deployment, crowd.students));
    items.extend(functions::items(deployment, crowd.at_once()));
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
        let (mut stack, mut crowd, mut through) = (None, Crowd::default(), Vec::new());
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next().with_context(|| format!("{word} needs a value: {USAGE}"))?;
            match word.as_str() {
                "--stack" => stack = Some(value.clone()),
                "--students" | "--at-once" => {
                    let number = value.parse().with_context(|| format!("{word} takes a number, not {value}"))?;
                    let said = if word == "--students" { &mut crowd.students } else { &mut crowd.at_once };
                    *said = Some(number);
                }
                "--region" | "--profile" => through.extend([word.clone(), value.clone()]),
                _ => bail!("doctor knows no {word}: {USAGE}"),
            }
        }
        let stack = stack.with_context(|| format!("which stack? {USAGE}"))?;
        Ok(Options { stack, crowd, aws: Aws::new(through) })
    }
}

/// Prints each question about an example deployment, one JSON list a line.
fn questions() -> anyhow::Result<()> {
    let example = Deployment::example().context("the example is not a deployment")?;
    let mut out = std::io::stdout().lock();
    for words in [deployment::stack("bursar"), deployment::resources("bursar")] {
        writeln!(out, "{}", serde_json::to_string(&words)?)?;
    }
    for item in items(&example, Crowd::default(), Timestamp::now()) {
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
        items(&Deployment::example().unwrap(), Crowd::default(), Timestamp::from_second(1_770_000_000).unwrap())
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
            "domain's pages",
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
    fn a_rush_is_a_quarter_of_the_students_and_no_more_than_a_thousand() {
        let guessed = |students| Crowd { students: Some(students), at_once: None }.at_once();
        assert_eq!([guessed(200), guessed(201), guessed(50_000)], [Some(50), Some(51), Some(1_000)]);
        assert_eq!(Crowd { students: Some(200), at_once: Some(180) }.at_once(), Some(180));
        assert_eq!(Crowd::default().at_once(), None);
    }

    #[test]
    fn options_are_read_and_others_are_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let read = Options::read(&words("--stack bursar --students 200 --at-once 90 --region eu-central-1")).unwrap();
        assert_eq!((read.stack.as_str(), read.crowd.students, read.crowd.at_once), ("bursar", Some(200), Some(90)));
        for bad in [
            "--students 200",
            "--stack",
            "--stack a --students many",
            "--stack a --at-once all",
            "--stack a --verbose yes",
        ] {
            assert!(Options::read(&words(bad)).is_err(), "{bad}");
        }
    }
}
