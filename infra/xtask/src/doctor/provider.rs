//! Whether the provider answers, asked from this machine through `curl`, which knows the configured proxies. Its list of
//! models is public, so no key is needed.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use super::check::{Finding, Item};
use super::deployment::Deployment;

pub(super) fn item(deployment: &Deployment) -> Item {
    let name = "provider".to_owned();
    match deployment.parameter("OpenRouterBaseUrl").map(str::to_owned) {
        Some(base) => Item::Try(name, Box::new(move || reach(&base))),
        None => Item::Known(name, Finding::NotChecked("the stack does not say where the provider is".to_owned())),
    }
}

fn reach(base: &str) -> Finding {
    let url = format!("{base}/models");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "10", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    match curl.arg(&url).stdin(Stdio::null()).output() {
        Ok(output) => {
            judged(&url, String::from_utf8_lossy(&output.stdout).trim(), &String::from_utf8_lossy(&output.stderr))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Finding::NotChecked("the command curl is missing".to_owned())
        }
        Err(error) => Finding::NotChecked(format!("curl does not start: {error}")),
    }
}

fn judged(url: &str, status: &str, stderr: &str) -> Finding {
    let page = "Look at the provider's status page, at OpenRouterBaseUrl, and at this machine's network.";
    match (status, status.parse::<u16>()) {
        ("200", _) => Finding::fine(format!("{url} answers this machine")),
        ("000", _) => Finding::mend(format!("{url} does not answer this machine: {}.", stderr.trim()), page),
        (_, Ok(status)) => Finding::mend(format!("{url} answers {status}."), page),
        (_, Err(_)) => Finding::NotChecked(super::check::UNEXPECTED.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::recorded::{is_fine, is_mend};
    use super::*;

    #[test]
    fn the_provider_answers_refuses_or_is_not_there() {
        let url = "https://openrouter.ai/api/v1/models";
        assert!(is_fine(&judged(url, "200", ""), "answers this machine"));
        assert!(is_mend(&judged(url, "503", ""), "answers 503"));
        assert!(is_mend(&judged(url, "000", "curl: (6) Could not resolve host\n"), "Could not resolve host"));
        assert!(matches!(judged(url, "", "?"), Finding::NotChecked(_)));
    }

    #[test]
    fn an_address_where_nobody_listens_is_to_be_mended() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let finding = reach(&format!("http://127.0.0.1:{port}"));
        assert!(
            is_mend(&finding, "does not answer")
                || finding == Finding::NotChecked("the command curl is missing".into())
        );
    }
}
