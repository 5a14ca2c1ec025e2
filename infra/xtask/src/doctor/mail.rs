//! Mail: what SES lets this account send, as whom, and whether it reports what became of it.

use serde_json::Value;

use super::check::{Check, Finding, Item, PUT_BACK};
use super::deployment::{Deployment, text};

const RIGHT: &str = "ses:GetAccount";
/// Two links for each student, of which students' links get four tenths of the day's quota.
const DAYS_MAILS_OF_ONE: u32 = 5;
/// The seconds within which a lecture hall should have its links.
const PATIENCE: f64 = 300.0;

pub(super) fn items(deployment: &Deployment, students: Option<u32>) -> Vec<Item> {
    let account = ["sesv2", "get-account"];
    let mut items = vec![
        Item::Ask(Check::new("mail sandbox", RIGHT, &account, sandbox)),
        Item::Ask(Check::new("mail sending", RIGHT, &account, sending)),
        Item::Ask(Check::new("mail quota", RIGHT, &account, move |answer| quota(answer, students))),
    ];
    items.extend(deployment.parameter("MailFrom").and_then(identity).map(Item::Ask));
    let topic = deployment.id("MailOutcomes").unwrap_or_default().to_owned();
    items.push(deployment.about("mail events", "MailEvents", |set| {
        let ask = ["sesv2", "get-configuration-set-event-destinations", "--configuration-set-name", set];
        Check::new("mail events", "ses:GetConfigurationSetEventDestinations", &ask, move |answer| {
            events(answer, &topic)
        })
    }));
    items
}

fn sandbox(answer: &Value) -> Option<Finding> {
    Some(match answer.get("ProductionAccessEnabled")?.as_bool()? {
        true => Finding::fine("SES sends to everybody"),
        false => Finding::mend(
            "SES is in its sandbox and sends to verified addresses only.",
            "Ask AWS for production access, days before claim day: section SES out of the sandbox of infra/RUNBOOK.md.",
        ),
    })
}

fn sending(answer: &Value) -> Option<Finding> {
    let status = text(answer, "EnforcementStatus")?;
    let is_on = answer.get("SendingEnabled")?.as_bool()?;
    Some(match (is_on, status) {
        (true, "HEALTHY") => Finding::fine("sending is on, and AWS has no complaint"),
        (false, _) | (_, "SHUTDOWN") => Finding::mend(
            format!(
                "SES sends nothing for this account: it is {status}, sending is {}.",
                if is_on { "on" } else { "off" }
            ),
            "See why, and answer AWS: section Mail is paused of infra/RUNBOOK.md.",
        ),
        (true, "PROBATION") => Finding::mend(
            "AWS looks at this account, since much mail came back or was complained about.",
            "Read AWS's case, and mend the roster before more is sent: section Mail is paused of infra/RUNBOOK.md.",
        ),
        _ => return None,
    })
}

fn quota(answer: &Value, students: Option<u32>) -> Option<Finding> {
    let quota = answer.get("SendQuota")?;
    let number = |field: &str| quota.get(field)?.as_f64();
    let (day, rate) = (number("Max24HourSend")?, number("MaxSendRate")?);
    let Some(students) = students else {
        return Some(Finding::fine(format!(
            "{day} mails a day, {rate} a second; a claim day needs {DAYS_MAILS_OF_ONE} a student: with --students N it is compared"
        )));
    };
    let ask = "Ask AWS for more: section SES out of the sandbox of infra/RUNBOOK.md.";
    let need = students.saturating_mul(DAYS_MAILS_OF_ONE);
    // A quota below zero is none.
    if day >= 0.0 && day < f64::from(need) {
        return Some(Finding::mend(
            format!("{students} students need {need} mails a day, and {day} are allowed."),
            ask,
        ));
    }
    let takes = f64::from(students) / rate.max(f64::MIN_POSITIVE);
    if takes > PATIENCE {
        return Some(Finding::mend(
            format!("At {rate} mails a second, {students} links take {takes:.0} seconds."),
            ask,
        ));
    }
    Some(Finding::fine(format!("{day} mails a day; {students} links take {takes:.0} seconds")))
}

/// The identity that covers a sender: the address itself, its domain, or a domain above that.
fn identity(sender: &str) -> Option<Check> {
    let (_, domain) = sender.split_once('@')?;
    let mut names = vec![sender];
    let mut rest = Some(domain);
    while let Some(name) = rest.filter(|name| name.contains('.')) {
        names.push(name);
        rest = name.split_once('.').map(|(_, above)| above);
    }
    names.into_iter().rev().fold(None, |next: Option<Check>, name| {
        let ask = ["sesv2", "get-email-identity", "--email-identity", name];
        let check = Check::new("mail identity", "ses:GetEmailIdentity", &ask, {
            let name = name.to_owned();
            move |answer| verified(answer, &name)
        });
        Some(match next {
            Some(next) => check.or_ask(next),
            None => check.or_if_absent(Finding::mend(
                "SES has no identity for MailFrom.",
                "Make one and publish its DNS records: section Before the first student of infra/RUNBOOK.md.",
            )),
        })
    })
}

fn verified(answer: &Value, name: &str) -> Option<Finding> {
    let dkim = answer.get("DkimAttributes")?;
    let records = "Publish its DNS records: section Before the first student of infra/RUNBOOK.md.";
    if !answer.get("VerifiedForSendingStatus")?.as_bool()? {
        return Some(Finding::mend(format!("SES has not verified {name}."), records));
    }
    Some(match (dkim.get("SigningEnabled")?.as_bool()?, text(dkim, "Status")?) {
        (true, "SUCCESS") => Finding::fine(format!("{name} is verified and signs with DKIM")),
        (_, status) => Finding::mend(
            format!("{name} does not sign its mail, and universities may drop it: DKIM is {status}."),
            records,
        ),
    })
}

fn events(answer: &Value, topic: &str) -> Option<Finding> {
    let destinations = answer.get("EventDestinations")?.as_array()?;
    let is_ours = |each: &&Value| each["SnsDestination"]["TopicArn"] == topic;
    let Some(ours) = destinations.iter().find(is_ours) else {
        return Some(Finding::mend("SES does not report what became of mails.", PUT_BACK));
    };
    let types = ours.get("MatchingEventTypes")?.as_array()?;
    if !ours.get("Enabled")?.as_bool()? {
        return Some(Finding::mend("The reports of SES are switched off.", PUT_BACK));
    }
    Some(
        match ["DELIVERY", "BOUNCE", "COMPLAINT"].into_iter().find(|wanted| !types.iter().any(|each| each == wanted)) {
            None => Finding::fine("SES reports deliveries, bounces and complaints"),
            Some(missing) => Finding::mend(format!("SES does not report {missing}."), PUT_BACK),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::super::aws::Answer;
    use super::super::check::recorded::{check, is_fine, is_mend, judged};
    use super::*;

    const RECORDED: &str = include_str!("answers/mail.json");

    fn found(name: &str, students: Option<u32>, answer: &str) -> Finding {
        judged(&check(items(&Deployment::example().unwrap(), students), name), RECORDED, answer)
    }

    #[test]
    fn the_sandbox_and_a_pause_are_told_apart() {
        assert!(is_fine(&found("mail sandbox", None, "fine"), "everybody"));
        assert!(is_mend(&found("mail sandbox", None, "sandbox"), "sandbox"));
        assert!(is_fine(&found("mail sending", None, "fine"), "is on"));
        assert!(is_fine(&found("mail sending", None, "sandbox"), "is on"));
        assert!(is_mend(&found("mail sending", None, "paused"), "sends nothing"));
        assert!(is_mend(&found("mail sending", None, "shut down"), "sends nothing"));
        assert!(is_mend(&found("mail sending", None, "probation"), "looks at this account"));
    }

    #[test]
    fn a_quota_is_held_against_the_students_that_are_named() {
        assert!(is_fine(&found("mail quota", None, "sandbox"), "with --students N"));
        assert!(is_mend(&found("mail quota", Some(41), "sandbox"), "41 students need 205 mails a day, and 200 are"));
        assert!(is_fine(&found("mail quota", Some(40), "sandbox"), "40 links take 40 seconds"));
        assert!(is_fine(&found("mail quota", Some(4_200), "fine"), "50000 mails a day; 4200 links take 300 seconds"));
        assert!(is_mend(&found("mail quota", Some(4_215), "fine"), "4215 links take 301 seconds"));
    }

    #[test]
    fn a_sender_is_covered_by_its_address_or_a_domain_above_it() {
        let check = check(items(&Deployment::example().unwrap(), None), "mail identity");
        let asked: Vec<String> =
            Item::Ask(check).questions().into_iter().filter_map(|words| words.last().cloned()).collect();
        assert_eq!(asked, ["bursar@cs.example.edu", "cs.example.edu", "example.edu"]);
        assert!(is_fine(&found("mail identity", None, "fine"), "signs with DKIM"));
        assert!(is_mend(&found("mail identity", None, "unverified"), "has not verified"));
        assert!(is_mend(&found("mail identity", None, "unsigned"), "DKIM is NOT_STARTED"));
    }

    #[test]
    fn a_sender_without_any_identity_is_to_be_mended() {
        let check = check(items(&Deployment::example().unwrap(), None), "mail identity");
        assert!(is_mend(&check.judged(&Answer::Absent), "no identity for MailFrom"));
    }

    #[test]
    fn reports_are_on_whole_and_ours() {
        assert!(is_fine(&found("mail events", None, "fine"), "deliveries, bounces and complaints"));
        assert!(is_mend(&found("mail events", None, "off"), "switched off"));
        assert!(is_mend(&found("mail events", None, "deaf to complaints"), "COMPLAINT"));
        assert!(is_mend(&found("mail events", None, "another topic"), "does not report what became"));
        assert!(is_mend(&found("mail events", None, "none"), "does not report what became"));
    }
}
