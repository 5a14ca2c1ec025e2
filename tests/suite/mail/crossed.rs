//! From totals to the mails of faculty: a night's leap over several thresholds is one mail each, about the
//! highest. Whatever kills the sending, each recipient gets theirs.

use std::collections::BTreeMap;

use bursar_core::domain::grant::Reading;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::Totals;
use bursar_tests::office::{as_sync, reading};
use jiff::SignedDuration;

use super::{PostOffice, address, soon};

impl PostOffice {
    /// A pot of $4,000 with two faculty, and a student with a key whose own mails are switched off.
    async fn with_two_in_charge() -> (PostOffice, GrantId) {
        let mut office = PostOffice::open().await;
        office
            .set(|settings| {
                settings.faculty = ["Frida.Faculty@example.edu", "ben@example.edu"].map(address).to_vec();
                settings.student_mails = false;
            })
            .await;
        let ada = office.enrol("ada@example.edu").await;
        office.claim(&ada).await;
        office.the_mail();
        (office, ada)
    }

    /// A reading of this amount, and the programme's totals as a sync would record them.
    async fn summed_up(&mut self, grant: &GrantId, dollars: i32) {
        let (as_of, spent) = (self.stack.clock.now(), Usd::from_dollars(dollars));
        let used = DailyUse::on_one(utc_date(as_of), spent);
        let recorded = reading(&self.programme, grant, used.clone(), as_of);
        let reading = Reading { last_used_at: Some(as_of), ..recorded };
        self.table.note_reading(&reading, soon()).await.unwrap();
        let (by_group, implied) = (BTreeMap::new(), spent);
        let totals =
            Totals { programme: self.programme.clone(), as_of, used, by_group, implied, grants: 1, claimed: 1 };
        assert!(as_sync(&self.table, async |sync| sync.note_totals(&totals).await).await);
    }

    fn alerts(&self) -> Vec<(String, String)> {
        let alerts = self.unread().into_iter().filter(|mail| mail.contents.kind.as_deref() == Some("alert"));
        let mut alerts: Vec<_> = alerts.map(|mail| (mail.to, mail.contents.subject)).collect();
        alerts.sort();
        alerts
    }
}

fn to_both(per_cent: u32) -> Vec<(String, String)> {
    let subject = format!("CS pilot has used {per_cent}% of $4,000");
    ["Frida.Faculty@example.edu", "ben@example.edu"].map(|to| (to.to_owned(), subject.clone())).to_vec()
}

#[tokio::test]
async fn from_forty_to_a_hundred_and_twenty_per_cent_in_one_night_is_one_mail_each_that_says_a_hundred_and_twenty() {
    let (mut office, ada) = PostOffice::with_two_in_charge().await;
    for (dollars, expected) in [(1_600, Vec::new()), (4_800, to_both(120)), (5_000, Vec::new())] {
        office.stack.clock.advance(SignedDuration::from_secs(1)).unwrap();
        office.summed_up(&ada, dollars).await;
        // Only the stream runs, since the key is made up.
        office.stack.pump.drained().await.unwrap();
        assert_eq!(office.alerts(), expected, "at {dollars}");
    }
    office.finish().await;
}
