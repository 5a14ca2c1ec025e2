//! Which mails a person wants: everybody who is signed in has the form, and it changes only what it
//! has fields for.

use bursar_core::store::{Undeliverable, UnreachableReason};
use serde_json::Value;

use super::*;

const MAILS: &str = "/my/mails";

/// Whether a person wants digests and reminders, as their own page says.
async fn wanted(who: &Visitor) -> (bool, bool) {
    let data: Value = serde_json::from_str(&who.get("/my/data").await.expect(200).body).unwrap();
    (
        data["wants_digests"].as_bool().unwrap(),
        data["wants_reminders"].as_bool().unwrap(),
    )
}

#[tokio::test]
async fn each_chooses_their_own_mails() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let (staff, nobody) = (campus.admin().await, campus.student("nobody").await);
    for who in [&ada, &staff, &nobody] {
        let my = who.get("/my").await.expect(200);
        assert!(my.offers(MAILS), "{}", my.readable());
        let csrf = my.form(MAILS).value("csrf").unwrap().to_owned();
        assert_eq!(wanted(who).await, (true, true));
        let post = async |fields: &[(&str, &str)], status| {
            let fields = [&[("csrf", csrf.as_str())], fields].concat();
            who.post(MAILS, &fields).await.expect(status)
        };
        for _ in 0..2 {
            assert_eq!(
                post(&[("digest", "off")], 303).await.location(),
                Some("/my")
            );
            assert_eq!(wanted(who).await, (false, true));
        }
        post(&[("reminders", "off")], 303).await;
        assert_eq!(wanted(who).await, (false, false));
        post(&[], 303).await;
        // A refused form changes nothing, even if half of it is valid.
        for wrong in [
            [("digest", "on"), ("reminders", "yes")],
            [("digest", ""), ("reminders", "on")],
        ] {
            assert!(post(&wrong, 422).await.alert().is_some());
        }
        assert_eq!(wanted(who).await, (false, false));
        post(&[("digest", "on"), ("reminders", "off")], 303).await;
        assert_eq!(wanted(who).await, (true, false));
        who.post(MAILS, &[("digest", "off")]).await.expect(403);
        assert_eq!(who.get(MAILS).await.expect(303).location(), Some("/my"));
    }
    campus
        .browser()
        .post(MAILS, &[("digest", "off")])
        .await
        .expect(401);
    campus.browser().get(MAILS).await.expect(303);
    campus.judged().await;
    campus.finish().await;
}

#[tokio::test]
async fn whom_mail_does_not_reach_reads_why() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let address = address("ada");
    for (why, says) in [
        (UnreachableReason::Bounced, "has come back since"),
        (UnreachableReason::Complained, "was reported as unwanted"),
    ] {
        let now = campus.clock.now();
        let mark = Undeliverable {
            address: address.matched().clone(),
            why,
            marked_at: now,
        };
        campus
            .table
            .end_mail_to(&[mark], now, soon())
            .await
            .unwrap();
        let my = ada.get("/my").await.expect(200).readable();
        assert!(
            my.contains(says) && my.contains(&now.strftime("%-d %b %Y").to_string()),
            "{my}"
        );
    }
    campus.finish().await;
}
