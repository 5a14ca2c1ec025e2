//! Whether the provider answers, asked from this machine through `curl`, which knows the configured proxies. Its list of
//! models is public, so no key is needed.

use super::check::{Finding, Item};
use super::curl::{self, Reached};
use super::deployment::Deployment;

pub(super) fn item(deployment: &Deployment) -> Item {
    let name = "provider".to_owned();
    match deployment.parameter("OpenRouterBaseUrl").map(|base| format!("{base}/models")) {
        Some(url) => Item::Try(name, Box::new(move || judged(&url, curl::status(&url)))),
        None => Item::Known(name, Finding::NotChecked("the stack does not say where the provider is".to_owned())),
    }
}

fn judged(url: &str, reached: Reached) -> Finding {
    let page = "Look at the provider's status page, at OpenRouterBaseUrl, and at this machine's network.";
    match reached {
        Reached::Status(200) => Finding::fine(format!("{url} answers this machine")),
        Reached::Status(status) => Finding::mend(format!("{url} answers {status}."), page),
        Reached::Nobody(why) => Finding::mend(format!("{url} does not answer this machine: {why}."), page),
        Reached::NotAsked(why) => Finding::NotChecked(why),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::recorded::{is_fine, is_mend};
    use super::*;

    #[test]
    fn the_provider_answers_refuses_or_is_not_there() {
        let url = "https://openrouter.ai/api/v1/models";
        assert!(is_fine(&judged(url, Reached::Status(200)), "answers this machine"));
        assert!(is_mend(&judged(url, Reached::Status(503)), "answers 503"));
        assert!(is_mend(&judged(url, Reached::Nobody("no such host".to_owned())), "no such host"));
        assert!(matches!(judged(url, Reached::NotAsked(String::new())), Finding::NotChecked(_)));
    }

    #[test]
    fn an_address_where_nobody_listens_is_to_be_mended() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let url = format!("http://127.0.0.1:{port}");
        let finding = judged(&url, curl::status(&url));
        assert!(is_mend(&finding, "does not answer") || finding == Finding::NotChecked(curl::MISSING.to_owned()));
    }
}
