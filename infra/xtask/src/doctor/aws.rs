//! The `aws` command, which has the account, the region and the rights. Its words and its refusals are read here.

use std::io::ErrorKind;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What became of one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Told(Value),
    /// AWS knows no such thing.
    Absent,
    Denied,
    /// There is no `aws` on this machine.
    NoCommand,
    Failed(String),
}

/// The command with the options that it is given each time.
pub(super) struct Aws {
    through: Vec<String>,
}

impl Aws {
    pub(super) fn new(through: Vec<String>) -> Aws {
        Aws { through }
    }

    pub(super) fn ask(&self, words: &[String]) -> Answer {
        let mut command = Command::new("aws");
        // A pager would wait for a key.
        command.args(words).args(["--output", "json"]).args(&self.through).env("AWS_PAGER", "").stdin(Stdio::null());
        match command.output() {
            Ok(output) => read(&output),
            Err(error) if error.kind() == ErrorKind::NotFound => Answer::NoCommand,
            Err(error) => Answer::Failed(format!("aws does not start: {error}")),
        }
    }
}

fn read(output: &Output) -> Answer {
    if output.status.success() {
        // The command prints nothing where there is nothing to tell.
        if output.stdout.trim_ascii().is_empty() {
            return Answer::Absent;
        }
        let told = serde_json::from_slice(&output.stdout);
        return told.map_or_else(|_| Answer::Failed("aws did not answer JSON".to_owned()), Answer::Told);
    }
    refusal(&String::from_utf8_lossy(&output.stderr))
}

/// What a refusal means. The code stands in brackets: `An error occurred (AccessDenied) when calling …`.
fn refusal(stderr: &str) -> Answer {
    let code =
        stderr.split_once("An error occurred (").and_then(|(_, rest)| rest.split_once(')')).map(|(code, _)| code);
    let is = |parts: &[&str]| code.is_some_and(|code| parts.iter().any(|part| code.contains(part)));
    if is(&["AccessDenied", "AuthorizationError", "NotAuthorized", "UnauthorizedOperation"]) {
        return Answer::Denied;
    }
    let is_stack = is(&["ValidationError"]) && stderr.contains("does not exist");
    if is_stack || is(&["NotFound", "NonExistent", "DoesNotExist"]) {
        return Answer::Absent;
    }
    let line = stderr.lines().map(str::trim).find(|line| !line.is_empty());
    Answer::Failed(line.unwrap_or("aws failed and said nothing").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_an_absence_and_from_trouble() {
        let denied = "\nAn error occurred (AccessDeniedException) when calling the DescribeSecret operation: User: \
                      arn:aws:iam::123456789012:user/a is not authorized to perform: secretsmanager:DescribeSecret";
        assert_eq!(refusal(denied), Answer::Denied);
        let denied = "An error occurred (AuthorizationError) when calling the ListSubscriptionsByTopic operation: no";
        assert_eq!(refusal(denied), Answer::Denied);
        for absent in [
            "An error occurred (ValidationError) when calling the DescribeStacks operation: Stack with id a does not exist",
            "An error occurred (NotFoundException) when calling the GetEmailIdentity operation: a does not exist.",
            "An error occurred (AWS.SimpleQueueService.NonExistentQueue) when calling the GetQueueAttributes operation: no",
        ] {
            assert_eq!(refusal(absent), Answer::Absent, "{absent}");
        }
        let other =
            "An error occurred (ValidationError) when calling the DescribeStacks operation: the name is too long";
        assert!(matches!(refusal(other), Answer::Failed(why) if why.contains("too long")));
        let no_credentials =
            "\nUnable to locate credentials. You can configure credentials by running \"aws configure\".\n";
        assert!(matches!(refusal(no_credentials), Answer::Failed(why) if why.starts_with("Unable to locate")));
        assert!(matches!(refusal(""), Answer::Failed(_)));
    }
}
