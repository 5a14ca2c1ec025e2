//! A page asked for by `curl`, which knows this machine's certificates and configured proxies.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reached {
    Status(u16),
    /// No answer came, for this reason.
    Nobody(String),
    /// Nothing was asked, for this reason.
    NotAsked(String),
}

pub(super) const MISSING: &str = "the command curl is missing";

pub(super) fn status(url: &str) -> Reached {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "10", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    match curl.arg(url).stdin(Stdio::null()).output() {
        Ok(output) => read(&String::from_utf8_lossy(&output.stdout), &String::from_utf8_lossy(&output.stderr)),
        Err(error) if error.kind() == ErrorKind::NotFound => Reached::NotAsked(MISSING.to_owned()),
        Err(error) => Reached::NotAsked(format!("curl does not start: {error}")),
    }
}

fn read(status: &str, stderr: &str) -> Reached {
    match status.trim().parse() {
        // What curl prints where there is no answer.
        Ok(0) => Reached::Nobody(stderr.trim().to_owned()),
        Ok(status) => Reached::Status(status),
        Err(_) => Reached::NotAsked(super::check::UNEXPECTED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_none() {
        assert_eq!(read("503", ""), Reached::Status(503));
        let unknown = "curl: (6) Could not resolve host\n";
        assert_eq!(read("000", unknown), Reached::Nobody(unknown.trim().to_owned()));
        assert!(matches!(read("", "?"), Reached::NotAsked(_)));
    }
}
