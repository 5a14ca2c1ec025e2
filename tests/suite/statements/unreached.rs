//! Finance addresses that are not reached: the programme warns of them, the admins hear of them, and can try again.

use bursar_local::ses::Fault as MailFault;
use bursar_tests::aws;
use bursar_tests::visitor::Page;

use super::*;

const MATHS: &str = "/console/programmes/maths";
const ACCOUNT: &str = "/console/account";

fn warns(page: &Page, of: &str) -> bool {
    page.texts("warning").iter().any(|warning| warning.contains(of))
}

async fn event(ledger: &Ledger, mail: &str, kind: &str) {
    let body = json!({"mail": mail, "type": kind, "permanent": true});
    let post = aws::http().post(format!("{}/events", ledger.stack.ready.inbox)).json(&body);
    assert_eq!(post.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_address_that_bounces_is_a_warning_an_account_mail_and_no_recipient_until_an_admin_tries_again() {
    let mut ledger = Ledger::open().await;
    let [maths, physics, law] = ledger.november().await;
    ledger.advance(1);
    ledger.look().await.unwrap();
    let admin = ledger.admin().await;
    let mails = ledger.mails(&["statement"]).await;
    assert!(!warns(&admin.get(MATHS).await.expect(200), "fay@uni.edu"));
    let fay = mails.iter().find(|mail| mail.to == "fay@uni.edu").unwrap();
    event(&ledger, &fay.id, "bounce").await;
    let told = ledger.mails(&["account"]).await;
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
    ledger.cut("2027-01-01T00:20:00Z", &[(&maths, 16), (&physics, 27), (&law, 90)]).await;
    ledger.stack.clock.stop_at(at("2027-01-03T00:00:00Z")).unwrap();
    assert_eq!(ledger.look().await.unwrap(), 1);
    let mails = ledger.mails(&["statement", "account"]).await;
    let to: Vec<_> =
        mails.iter().filter(|mail| mail.contents.kind.as_deref() == Some("statement")).map(|mail| &mail.to).collect();
    assert!(to.len() == 1 && to[0].eq_ignore_ascii_case("fin@uni.edu"), "{to:?}");
    let subject = "A mail did not arrive: the statement of December 2026";
    assert!(mails.iter().any(|mail| mail.contents.subject == subject), "a given up mail is told");

    let admin = ledger.admin().await;
    let page = admin.get(ACCOUNT).await.expect(200);
    assert!(page.texts("unreachable").iter().any(|line| line.contains("fay@uni.edu")), "{}", page.readable());
    let again = [("address", "fay@uni.edu")];
    admin.submit(&page, "/console/account/release", &again).await.expect(303);
    let page = admin.get(MATHS).await.expect(200);
    assert!(!warns(&page, "Mail to fay@uni.edu comes back"));
    assert!(warns(&page, "The statement of December 2026 was not sent to fay@uni.edu"), "{:?}", page.texts("warning"));
    let page = admin.get(ACCOUNT).await.expect(200);
    admin.submit(&page, "/console/account/mail", &[]).await.expect(303);
    assert_eq!(ledger.mails(&["statement"]).await.len(), 1);
    assert!(!warns(&admin.get(MATHS).await.expect(200), "fay@uni.edu"));
    ledger.stack.finish_faulted().await;
}

#[tokio::test]
async fn a_complaint_and_a_refusal_are_warnings_too_and_who_is_named_no_more_gets_nothing() {
    let mut ledger = Ledger::open().await;
    let [maths, physics, _] = ledger.november().await;
    ledger.advance(1);
    ledger.look().await.unwrap();
    // Physics names somebody else before the mail leaves.
    ledger.edit(&physics, |settings| settings.finance = vec![address("phil")]).await;
    ledger.stack.ses.fail_next(MailFault::Reject, 1, Some("fay@uni.edu"));
    let mails = ledger.mails(&["statement"]).await;
    let [fin] = &mails[..] else { panic!("{} mails", mails.len()) };
    let text = fin.contents.text.clone().unwrap();
    assert!(text.contains("Maths") && !text.contains("Physics"), "{text}");
    event(&ledger, &fin.id, "complaint").await;
    let told = ledger.mails(&["account"]).await;
    let subjects: Vec<_> = told.iter().map(|mail| mail.contents.subject.as_str()).collect();
    assert!(subjects.contains(&"Somebody complained about the statement of November 2026"), "{subjects:?}");
    let admin = ledger.admin().await;
    let page = admin.get(MATHS).await.expect(200);
    assert!(warns(&page, "marked a mail as unwanted, so no statement is sent there"), "{:?}", page.texts("warning"));
    assert!(warns(&page, "The statement of November 2026 was not sent to fay@uni.edu"), "{:?}", page.texts("warning"));

    // Nobody names fay any more when it is sent again.
    ledger.edit(&maths, |settings| settings.finance = vec![address("fin")]).await;
    let page = admin.get(ACCOUNT).await.expect(200);
    admin.submit(&page, "/console/account/mail", &[]).await.expect(303);
    assert!(ledger.mails(&["statement"]).await.is_empty());
    ledger.stack.finish_faulted().await;
}
