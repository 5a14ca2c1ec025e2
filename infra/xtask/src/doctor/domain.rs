//! The domain and its certificate, where a deployment has a domain of its own.

use jiff::Timestamp;
use serde_json::Value;

use super::check::{Check, Finding, Item, PUT_BACK};
use super::curl::{self, Reached};
use super::deployment::{Deployment, text};

/// ACM renews sixty days before the end; at thirty something keeps it from that.
const DAYS_LEFT: i64 = 30;

pub(super) fn items(deployment: &Deployment, now: Timestamp) -> Vec<Item> {
    let (domain, certificate) = (deployment.parameter("DomainName"), deployment.parameter("CertificateArn"));
    let origin = deployment.output("Origin").unwrap_or("the address of the API");
    let (Some(domain), Some(certificate)) = (domain, certificate) else {
        let none = format!("there is none of its own; pages answer at {origin}");
        return vec![Item::Known("domain".to_owned(), Finding::Fine(none))];
    };
    let api = deployment.id("Api").unwrap_or_default().to_owned();
    let (pages, target) = (origin.to_owned(), deployment.output("ApiOrigin").unwrap_or_default().to_owned());
    vec![
        Item::Ask(Check::new(
            "certificate",
            "acm:DescribeCertificate",
            &["acm", "describe-certificate", "--certificate-arn", certificate],
            move |answer| certified(answer, now),
        )),
        Item::Ask(Check::new(
            "domain",
            "apigateway:GET",
            &["apigatewayv2", "get-domain-name", "--domain-name", domain],
            answers,
        )),
        Item::Ask(Check::new(
            "domain's API",
            "apigateway:GET",
            &["apigatewayv2", "get-api-mappings", "--domain-name", domain],
            move |answer| leads(answer, &api),
        )),
        Item::Try("domain's pages".to_owned(), Box::new(move || reached(&pages, &target, curl::status(&pages)))),
    ]
}

fn certified(answer: &Value, now: Timestamp) -> Option<Finding> {
    let certificate = answer.get("Certificate")?;
    let status = text(certificate, "Status")?;
    if status != "ISSUED" {
        return Some(Finding::mend(
            format!("It is {status}."),
            "Publish its validation record in DNS: aws acm describe-certificate shows it.",
        ));
    }
    let days = (time(certificate.get("NotAfter")?)?.as_second() - now.as_second()).div_euclid(24 * 60 * 60);
    Some(match days {
        DAYS_LEFT.. => Finding::fine(format!("it is issued, and good for {days} days")),
        _ => Finding::mend(
            format!("It ends in {days} days."),
            "ACM could not renew it: is its validation record still in DNS? An imported one is imported again.",
        ),
    })
}

/// A time as the command writes it: text, or in its first major version seconds.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(seconds) => Timestamp::from_second(seconds.as_f64().map(|seconds| seconds as i64)?).ok(),
        _ => None,
    }
}

fn answers(answer: &Value) -> Option<Finding> {
    let [configuration, ..] = answer.get("DomainNameConfigurations")?.as_array()?.as_slice() else { return None };
    let target = text(configuration, "ApiGatewayDomainName")?;
    Some(match text(configuration, "DomainNameStatus")? {
        "AVAILABLE" => Finding::fine(format!("it is there; its CNAME record must lead to {target}")),
        status => {
            Finding::mend(format!("It is {status}."), "Wait some minutes; if it stays so, look at its certificate.")
        }
    })
}

fn leads(answer: &Value, api: &str) -> Option<Finding> {
    let mappings = answer.get("Items")?.as_array()?;
    Some(match mappings.iter().any(|each| each["ApiId"] == api) {
        true => Finding::fine("the domain leads to this stack's API"),
        false => Finding::mend("The domain does not lead to this stack's API.", PUT_BACK),
    })
}

/// Whether a browser on this machine would find the pages; without a CNAME record none does.
fn reached(origin: &str, target: &str, reached: Reached) -> Finding {
    let record = format!("Does the domain's CNAME record lead to {target}? See it by dig, from outside too.");
    match reached {
        Reached::Status(200) => Finding::fine(format!("{origin} answers this machine")),
        Reached::Status(status) => Finding::mend(format!("{origin} answers {status}."), record),
        Reached::Nobody(why) => Finding::mend(format!("{origin} does not answer this machine: {why}."), record),
        Reached::NotAsked(why) => Finding::NotChecked(why),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::recorded::{check, is_fine, is_mend, judged};
    use super::*;

    const RECORDED: &str = include_str!("answers/domain.json");

    fn found(name: &str, answer: &str) -> Finding {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        judged(&check(items(&Deployment::example().unwrap(), now), name), RECORDED, answer)
    }

    #[test]
    fn a_certificate_is_issued_and_lasts() {
        assert!(is_fine(&found("certificate", "fine"), "good for 30 days"));
        assert!(is_fine(&found("certificate", "in seconds"), "good for 30 days"));
        assert!(is_mend(&found("certificate", "ending"), "It ends in 29 days"));
        assert!(is_mend(&found("certificate", "pending"), "PENDING_VALIDATION"));
    }

    #[test]
    fn a_domain_is_there_and_leads_to_the_api() {
        assert!(is_fine(&found("domain", "fine"), "d-abcdef1234.execute-api"));
        assert!(is_mend(&found("domain", "updating"), "UPDATING"));
        assert!(is_fine(&found("domain's API", "fine"), "leads to this"));
        assert!(is_mend(&found("domain's API", "another"), "does not lead"));
        assert!(is_mend(&found("domain's API", "none"), "does not lead"));
    }

    #[test]
    fn a_domain_without_its_record_is_to_be_mended() {
        let found = |answer| reached("https://credit.example.edu", "d-abc.example", answer);
        assert!(is_fine(&found(Reached::Status(200)), "answers this machine"));
        assert!(is_mend(&found(Reached::Status(404)), "answers 404"));
        let unknown = found(Reached::Nobody("curl: (6) Could not resolve host".to_owned()));
        assert!(is_mend(&unknown, "Could not resolve host"));
        assert!(unknown.to_string().contains("lead to d-abc.example"), "{unknown}");
        assert!(matches!(found(Reached::NotAsked(String::new())), Finding::NotChecked(_)));
    }
}
