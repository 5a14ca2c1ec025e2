//! Finance addresses that are not reached: the programme warns of them, the admins hear of them, and can try again.

use bursar_local::ses::Fault as MailFault;
use bursar_tests::visitor::Page;

use super::*;

const MATHS: &str = "/console/programmes/maths";
const ACCOUNT: &str = "/console/account";

fn warns(page: &Page, of: &str) -> bool {
    page.texts("warning").iter().any(|warning| warning.contains(of))
}

/// What admins are told of mails, after all that is queued was sent.
async fn told(campus: &Campus) -> Vec<Got> {
    assert!(sent(campus).await.is_empty());
    campus.mails("account")
}

#[tokio::test]
async fn an_address_that_bounces_waits_for_an_admin() {
    let campus = open().await;
    let [maths, physics, law] = november(&campus).await;
    campus.minutes(60);
    look(&campus).await;
    let admin = campus.admin().await;
    let mails = sent(&campus).await;
    assert!(!warns(&admin.get(MATHS).await.expect(200), "fay@uni.edu"));
    let fay = mails.iter().find(|mail| mail.to == "fay@uni.edu").unwrap();
    campus.report(fay, "bounce", true).await;
    let told = told(&campus).await;
    let subject = "A mail did not arrive: the statement of November 2026";
    let told = told.iter().find(|mail| mail.contents.subject == subject).expect("the admins hear of it");
    assert!(told.contents.text.as_ref().unwrap().contains("\nTo: fay@uni.edu\n"));
    assert!(warns(
        &admin.get(MATHS).await.expect(200),
        "Mail to fay@uni.edu comes back, so no statement is sent there"
    ));
    let physics_page = admin.get("/console/programmes/physics").await.expect(200);
    assert!(!warns(&physics_page, "uni.edu"), "of another programme's address nothing is said");

    // The next statement is not sent there, and admins hear of that too.
    cut(&campus, "2027-01-01T00:20:00Z", &[(&maths, 16), (&physics, 27), (&law, 90)]).await;
    campus.clock.stop_at(at("2027-01-03T00:00:00Z")).unwrap();
    assert_eq!(look(&campus).await, 1);
    let mails = sent(&campus).await;
    let to: Vec<_> = mails.iter().map(|mail| &mail.to).collect();
    assert!(to.len() == 1 && to[0].eq_ignore_ascii_case("fin@uni.edu"), "{to:?}");
    let subject = "A mail did not arrive: the statement of December 2026";
    assert!(campus.subjects("account").iter().any(|told| told == subject), "a given up mail is told");

    let admin = campus.admin().await;
    let page = admin.get(ACCOUNT).await.expect(200);
    assert!(page.texts("unreachable").iter().any(|line| line.contains("fay@uni.edu")), "{}", page.readable());
    let again = [("address", "fay@uni.edu")];
    admin.submit(&page, "/console/account/release", &again).await.expect(303);
    let page = admin.get(MATHS).await.expect(200);
    assert!(!warns(&page, "Mail to fay@uni.edu comes back"));
    assert!(warns(&page, "The statement of December 2026 was not sent to fay@uni.edu"), "{:?}", page.texts("warning"));
    let page = admin.get(ACCOUNT).await.expect(200);
    admin.submit(&page, "/console/account/mail", &[]).await.expect(303);
    assert_eq!(sent(&campus).await.len(), 1);
    assert!(!warns(&admin.get(MATHS).await.expect(200), "fay@uni.edu"));
    campus.finish_faulted().await;
}

#[tokio::test]
async fn complaints_and_refusals_are_warnings() {
    let mut campus = open().await;
    let [maths, physics, _] = november(&campus).await;
    campus.minutes(60);
    look(&campus).await;
    // Physics names somebody else before the mail leaves.
    edit(&mut campus, &physics, |settings| settings.finance = vec![address("phil")]).await;
    campus.ses.fail_next(MailFault::Reject, 1, Some("fay@uni.edu"));
    let mails = sent(&campus).await;
    let [fin] = &mails[..] else { panic!("{} mails", mails.len()) };
    let text = fin.contents.text.clone().unwrap();
    assert!(text.contains("Maths") && !text.contains("Physics"), "{text}");
    campus.report(fin, "complaint", true).await;
    let told = told(&campus).await;
    let subjects: Vec<_> = told.iter().map(|mail| mail.contents.subject.as_str()).collect();
    assert!(subjects.contains(&"Somebody complained about the statement of November 2026"), "{subjects:?}");
    let admin = campus.admin().await;
    let page = admin.get(MATHS).await.expect(200);
    assert!(warns(&page, "marked a mail as unwanted, so no statement is sent there"), "{:?}", page.texts("warning"));
    assert!(warns(&page, "The statement of November 2026 was not sent to fay@uni.edu"), "{:?}", page.texts("warning"));

    // Nobody names fay any more when it is sent again.
    edit(&mut campus, &maths, |settings| settings.finance = vec![address("fin")]).await;
    let page = admin.get(ACCOUNT).await.expect(200);
    admin.submit(&page, "/console/account/mail", &[]).await.expect(303);
    assert!(sent(&campus).await.is_empty());
    campus.finish_faulted().await;
}
