//! Mail that falls silent: mails that wait too long, and SES events that never come. Admins are notified once,
//! and not where another alarm explains it.

use bursar_core::domain::mail::failure::NOT_VERIFIED;
use bursar_core::store::MailRefusal;
use bursar_local::ses::Quota;
use jiff::SignedDuration;

use super::{PostOffice, soon};

const ADMIN: &str = "admin@example.edu";

impl PostOffice {
    /// The subjects of the mails to the admin since the last call.
    fn admin_heard(&self) -> Vec<String> {
        let to_admin = self.unread().into_iter().filter(|mail| mail.to == ADMIN);
        to_admin.map(|mail| mail.contents.subject).collect()
    }

    async fn refusal_hours_ago(&self, code: &str, hours: i64) -> MailRefusal {
        let then = self.stack.clock.now() - SignedDuration::from_hours(hours);
        self.table.note_mail_refusal(code, then, soon()).await.unwrap()
    }
}

#[tokio::test]
async fn bulk_mail_that_waits_for_six_hours_is_told_once() {
    let mut office = PostOffice::open().await;
    // The rest of the day's quota is reserved for urgent mail.
    office.stack.ses.set_quota(Quota { per_day: 4, per_second: 14 });
    office.invite("ada@example.edu").await;
    for student in ["bob", "cyd", "dan", "eve"] {
        office.invite(&format!("{student}@example.edu")).await;
    }
    office.pass(5).await;
    assert_eq!(office.unread().len(), 3, "eight tenths of four");
    // A refusal hours ago, in the sandbox, does not explain the mails that wait now.
    office.refusal_hours_ago(NOT_VERIFIED, 3).await;
    office.pass(5 * 60).await;
    assert_eq!(office.admin_heard(), Vec::<String>::new());
    office.pass(2 * 60).await;
    assert_eq!(office.admin_heard(), ["2 mails wait and are not sent"]);
    office.stack.ses.set_quota(Quota::PRODUCTION);
    office.pass(5).await;
    office.pass(60).await;
    assert_eq!(office.admin_heard(), Vec::<String>::new());
    office.finish().await;
}

#[tokio::test]
async fn a_day_of_which_ses_reports_nothing_is_told_once_a_week() {
    let mut office = PostOffice::open().await;
    for number in 0..20 {
        office.invite(&format!("s{number}@example.edu")).await;
    }
    office.pass(5).await;
    assert_eq!(office.unread().len(), 20);
    office.pass(16 * 60).await;
    assert_eq!(office.admin_heard(), ["SES has reported nothing of 20 mails"]);
    office.pass(24 * 60).await;
    assert_eq!(office.admin_heard(), Vec::<String>::new());
    office.finish().await;
}

#[tokio::test]
async fn a_day_of_which_ses_reports_one_mail_is_heard_of() {
    let mut office = PostOffice::open().await;
    for number in 0..20 {
        office.invite(&format!("s{number}@example.edu")).await;
    }
    office.pass(5).await;
    let mails = office.unread();
    office.event(&mails[0].id, "delivery", false).await;
    office.pass(16 * 60).await;
    assert_eq!(office.admin_heard(), Vec::<String>::new());
    office.finish().await;
}
