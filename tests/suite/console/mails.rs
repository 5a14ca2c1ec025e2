//! Mail on a programme's pages: unreachable recipients and the outcome of alerts, each with the press that sends
//! again.

use bursar_core::domain::audit::Act;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{SyncState, Table, Totals};
use bursar_local::settle::LIMIT;
use bursar_tests::aws;
use bursar_tests::invariants::Watch;
use bursar_tests::office::{Office, as_sync, reading, soon};
use bursar_tests::stack::{self, Setup, Stack};
use bursar_tests::visitor::{Page, Visitor};
use jiff::SignedDuration;
use serde_json::json;

use super::{ADMIN, PLAIN, signed_in, watch};

pub(super) const ID: &str = "/console/programmes/cs-pilot";
const GRANTS: &str = "/console/programmes/cs-pilot/grants";
const ALERTS: &str = "/console/programmes/cs-pilot/alerts";

pub(super) async fn at_ten() -> Stack {
    let at = "2026-11-20T10:00:00Z".parse().unwrap();
    stack::of(Setup { at: Some(at), ..Setup::default() }).await.unwrap()
}

/// A programme with one faculty and one assistant.
pub(super) async fn programme(stack: &Stack, admin: &Visitor) {
    let new = admin.get("/console/programmes/new").await;
    let people = [("faculty", "fay@example.edu"), ("assistants", "sam@example.edu")];
    let made = admin.submit(&new, "/console/programmes", &[&PLAIN[..], &people].concat()).await;
    assert_eq!(made.status, 303);
    let state = SyncState { completed_at: Some(stack.clock.now()), ..SyncState::default() };
    assert!(as_sync(&Table::new(&stack.config), async |sync| sync.set_sync_state(&state.next()).await).await);
}

pub(super) async fn settle(stack: &Stack) {
    stack.settle.settle(LIMIT).await.unwrap();
}

/// A hard bounce of this mail, reported by SES.
async fn bounces(stack: &Stack, mail: &str) {
    happens(stack, mail, "bounce").await;
}

async fn happens(stack: &Stack, mail: &str, event: &str) {
    let body = json!({"mail": mail, "type": event, "permanent": true});
    let post = aws::http().post(format!("{}/events", stack.ready.inbox)).json(&body);
    assert_eq!(post.send().await.unwrap().status(), 200);
}

pub(super) fn warns(page: &Page, of: &str) -> bool {
    page.texts("warning").iter().any(|text| text.contains(of))
}

#[tokio::test]
async fn a_student_whose_mail_comes_back_is_named_and_tried_once_by_hand() {
    let stack = at_ten().await;
    let admin = signed_in(&stack, ADMIN).await;
    programme(&stack, &admin).await;
    let office = Office::of(&stack, "cs-pilot");
    let (ada, _bob) = (office.invite("Ada@example.edu").await, office.invite("bob@example.edu").await);
    settle(&stack).await;
    let mut seen = watch(&stack);
    seen.check().await;
    let sent = stack.ses.mails_to("ada@example.edu").remove(0);
    bounces(&stack, &sent.id).await;
    seen.check().await;

    let assistant = signed_in(&stack, "sam@example.edu").await;
    for visitor in [&admin, &assistant] {
        assert!(warns(&visitor.get(ID).await, "Mail to one student comes back"));
        let found = visitor.get(&format!("{GRANTS}?mail=unreachable")).await;
        assert_eq!(found.attributes("grant", "data-email"), ["Ada@example.edu"]);
        assert!(found.body.contains("mail comes back"));
    }
    let at = format!("{GRANTS}/{ada}");
    let page = admin.get(&at).await;
    assert!(warns(&page, "mail to it came back for good") && page.body.contains("it came back for good"));
    assert!(
        !assistant.get(&at).await.forms().iter().any(|form| form.action.ends_with("/resend")),
        "faculty's to decide"
    );
    let csrf = page.form(&format!("{at}/resend")).value("csrf").unwrap().to_owned();
    let of_assistant = assistant.get(&at).await.form(&format!("{at}/pause")).value("csrf").unwrap().to_owned();
    assert_eq!(assistant.post(&format!("{at}/resend"), &[("csrf", &of_assistant)]).await.status, 409);

    for status in [303, 429] {
        assert_eq!(admin.post(&format!("{at}/resend"), &[("csrf", &csrf)]).await.status, status);
    }
    seen.check().await;
    settle(&stack).await;
    let mails = stack.ses.mails_to("ada@example.edu");
    assert_eq!(mails.len(), 2, "once more, although it was pressed twice");
    assert!(!warns(&admin.get(ID).await, "comes back"));
    let entries = office.table.entries_on_grant(&office.programme, &ada).await.unwrap();
    assert_eq!(entries.iter().filter(|entry| entry.what.act == Act::MailAllowed).count(), 1);
    assert!(admin.get(&at).await.body.contains("mail to the address is tried again, by admin@example.edu"));

    // The second mail bounces as well: it can be sent again only after an hour.
    bounces(&stack, &mails[1].id).await;
    seen.check().await;
    assert_eq!(admin.post(&format!("{at}/resend"), &[("csrf", &csrf)]).await.status, 409);
    stack.clock.advance(SignedDuration::from_mins(61)).unwrap();
    assert_eq!(admin.post(&format!("{at}/resend"), &[("csrf", &csrf)]).await.status, 401, "an hour of disuse");
    let admin = signed_in(&stack, ADMIN).await;
    let page = admin.get(&at).await;
    assert_eq!(admin.submit(&page, &format!("{at}/resend"), &[]).await.status, 303);
    seen.check().await;
    stack.finish().await;
}

#[tokio::test]
async fn who_does_not_want_mail_is_told_apart_from_whom_mail_does_not_reach() {
    let stack = at_ten().await;
    let admin = signed_in(&stack, ADMIN).await;
    programme(&stack, &admin).await;
    let office = Office::of(&stack, "cs-pilot");
    let mut grants = Vec::new();
    for (who, event) in [("ada", "bounce"), ("bob", "complaint"), ("cyd", "complaint")] {
        grants.push(office.invite(&format!("{who}@example.edu")).await);
        settle(&stack).await;
        let sent = stack.ses.mails_to(&format!("{who}@example.edu")).remove(0);
        happens(&stack, &sent.id, event).await;
    }
    let overview = admin.get(ID).await;
    assert_eq!(
        overview.texts("warning"),
        [
            "Mail to one student comes back, so nothing is sent to them: no link to sign in either, and without it no key. See who",
            "2 students, or a machine on their behalf, marked a mail as unwanted. They still get links to sign in. They get no roster mail, no reminders, and no word before a rule switches off their key. See who",
        ]
    );
    let of_links = |page: &Page| page.body.matches("?mail=").count();
    assert_eq!(of_links(&overview), 2);
    for (asked, who, badge) in [
        ("unreachable", &["ada@example.edu"][..], "mail comes back"),
        ("unwanted", &["bob@example.edu", "cyd@example.edu"], "wants links only"),
    ] {
        let mut found = admin.get(&format!("{GRANTS}?mail={asked}")).await;
        assert_eq!(found.attributes("grant", "data-email"), who);
        assert_eq!(found.body.matches(badge).count(), who.len(), "{asked}");
        found = admin.get(GRANTS).await;
        assert_eq!(found.body.matches(badge).count(), who.len(), "{asked}");
    }
    let warning = async |grant: usize| {
        let page = admin.get(&format!("{GRANTS}/{}", grants[grant])).await;
        page.texts("warning")
    };
    assert_eq!(
        warning(0).await,
        [
            "Nothing is mailed to this address since 2026-11-20 11:00: mail to it came back for good. So this person gets no link to sign in either. If you know that the mailbox is good, the press below tries once more; should that mail come back, it ends again."
        ]
    );
    assert_eq!(
        warning(1).await,
        [
            "Since 2026-11-20 11:00 this address gets links to sign in and notices of its own key, and no other mail: the recipient, or a machine on their behalf, marked a mail as unwanted. If they tell you that they want mail, the press below sends the roster mail and lets all other mail go there again."
        ]
    );
    stack.finish_faulted().await;
}

/// Spending above 80 per cent of the pot, and the alerts that this queues.
pub(super) async fn crossed(stack: &Stack) -> Watch {
    let mut seen = watch(stack);
    let (table, now) = (Table::new(&stack.config), stack.clock.now());
    let programme = table.programme(&"cs-pilot".parse().unwrap()).await.unwrap().unwrap();
    let spent = Usd::from_dollars(3400);
    let totals = Totals {
        programme: programme.id.clone(),
        as_of: now,
        used: DailyUse::on_one(utc_date(now), spent),
        by_group: std::collections::BTreeMap::new(),
        implied: spent,
        grants: 1,
        claimed: 1,
    };
    let office = Office::of(stack, "cs-pilot");
    let grant = office.invite("ada@example.edu").await;
    office.claim(&grant).await;
    seen.check().await;
    let reading = reading(&programme.id, &grant, totals.used.clone(), now);
    table.note_reading(&reading, soon()).await.unwrap();
    assert!(as_sync(&table, async |sync| sync.note_totals(&totals).await).await);
    stack.pump.drained().await.unwrap();
    seen.check().await;
    seen
}

#[tokio::test]
async fn assistants_that_faculty_add_hear_of_alerts_too() {
    let stack = at_ten().await;
    let admin = signed_in(&stack, ADMIN).await;
    programme(&stack, &admin).await;
    let faculty = signed_in(&stack, "fay@example.edu").await;
    let overview = faculty.get(ID).await;
    let stranger = faculty.submit(&overview, ID, &[("alert_assistants", "eve@example.edu")]).await;
    assert_eq!((stranger.status, !stranger.alerts().is_empty()), (422, true));
    assert_eq!(faculty.submit(&overview, ID, &[("alert_assistants", "Sam@example.edu")]).await.status, 303);
    assert!(faculty.get(ALERTS).await.body.contains("fay@example.edu, Sam@example.edu hear at 50 %"));
    crossed(&stack).await;
    let told = admin.get(ALERTS).await.attributes("alert", "data-recipient");
    assert_eq!(told.len(), 2, "{told:?}");
    // A former assistant is no recipient any more.
    let overview = admin.get(ID).await;
    assert_eq!(
        admin
            .post(
                ID,
                &[
                    ("csrf", overview.form(ID).value("csrf").unwrap()),
                    ("version", overview.form(ID).value("version").unwrap()),
                    ("assistants", "")
                ]
            )
            .await
            .status,
        303
    );
    assert!(admin.get(ALERTS).await.body.contains("fay@example.edu hears at 50 %"));
    stack.finish().await;
}

#[tokio::test]
async fn an_alert_shows_what_became_of_each_mail_and_is_sent_again_by_a_press_once_an_hour() {
    let stack = at_ten().await;
    let admin = signed_in(&stack, ADMIN).await;
    programme(&stack, &admin).await;
    let overview = admin.get(ID).await;
    assert_eq!(admin.submit(&overview, ID, &[("alert_assistants", "sam@example.edu")]).await.status, 303);
    let mut seen = crossed(&stack).await;
    settle(&stack).await;
    bounces(&stack, &stack.ses.mails_to("fay@example.edu")[0].id).await;
    settle(&stack).await;
    let assistant = signed_in(&stack, "sam@example.edu").await;
    let page = assistant.get(ALERTS).await;
    assert_eq!(page.attributes("alert", "data-threshold"), ["80", "80"]);
    let outcomes = |page: &Page| {
        let mut all: Vec<_> = page
            .attributes("alert", "data-recipient")
            .into_iter()
            .zip(page.attributes("alert", "data-outcome"))
            .collect();
        all.sort();
        all.into_iter().map(|(who, outcome)| format!("{who} {outcome}")).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&page), ["fay@example.edu bounced", "sam@example.edu sent"]);
    assert!(page.body.contains("$3,400.00 of the budget of $4,000.00 was spent when it was found"));
    assert!(page.body.contains("it came back for good") && page.body.contains("2026-11-20 11:00"));

    let form = |page: &Page, who: &str| -> Vec<(String, String)> {
        let forms = page.forms();
        let index = page.attributes("alert", "data-recipient").iter().position(|one| one == who).unwrap();
        let all: Vec<_> = forms.iter().filter(|form| form.action == ALERTS).collect();
        let form = if all.len() == 1 { all[0] } else { all[index] };
        ["csrf", "threshold", "limit_usd", "recipient"]
            .iter()
            .map(|name| ((*name).to_owned(), form.value(name).unwrap().to_owned()))
            .collect()
    };
    let post = async |visitor: &Visitor, fields: &[(String, String)]| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        visitor.post(ALERTS, &fields).await.status
    };
    // An assistant may send an alert again that was sent, but not one that bounced.
    let own = form(&page, "sam@example.edu");
    assert_eq!(page.forms().iter().filter(|form| form.action == ALERTS).count(), 1);
    seen.check().await;
    for _ in 0..2 {
        assert_eq!(post(&assistant, &own).await, 303);
    }
    seen.check().await;
    settle(&stack).await;
    seen.check().await;
    assert_eq!(stack.ses.mails_to("sam@example.edu").len(), 2, "the same press twice is one mail");
    let of_admin = admin.get(ALERTS).await;
    let lost = form(&of_admin, "fay@example.edu");
    let mut by_assistant = lost.clone();
    by_assistant[0] = own[0].clone();
    assert_eq!(post(&assistant, &by_assistant).await, 409);
    assert_eq!(post(&admin, &lost).await, 303);
    seen.check().await;
    settle(&stack).await;
    seen.check().await;
    assert_eq!(stack.ses.mails_to("fay@example.edu").len(), 2);
    assert_eq!(outcomes(&admin.get(ALERTS).await), ["fay@example.edu sent", "sam@example.edu sent"]);
    assert!(admin.get(ALERTS).await.body.contains("sent again by hand at"));
    stack.clock.advance(SignedDuration::from_mins(61)).unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    let lost = form(&admin.get(ALERTS).await, "fay@example.edu");
    assert_eq!(post(&admin, &lost).await, 303);
    settle(&stack).await;
    assert_eq!(stack.ses.mails_to("fay@example.edu").len(), 3, "an hour later again");

    for (name, value, status) in
        [("threshold", "95", 404), ("recipient", "0000000000000000", 404), ("limit_usd", "x", 422)]
    {
        let mut wrong = lost.clone();
        wrong.iter_mut().filter(|(field, _)| field == name).for_each(|(_, field)| *field = value.to_owned());
        assert_eq!(post(&admin, &wrong).await, status, "{name}");
    }
    assert_eq!(signed_in(&stack, "stu@example.edu").await.get(ALERTS).await.status, 404);
    stack.clock.advance(SignedDuration::from_mins(61)).unwrap();
    let admin = signed_in(&stack, ADMIN).await;
    let overview = admin.get(ID).await;
    let mut lost = lost;
    overview.form(ID).value("csrf").unwrap().clone_into(&mut lost[0].1);
    assert_eq!(admin.submit(&overview, ID, &[("pot_usd", "8000")]).await.status, 303);
    assert!(!admin.get(ALERTS).await.forms().iter().any(|form| form.action == ALERTS), "it is of another pot");
    assert_eq!(post(&admin, &lost).await, 409);
    stack.finish().await;
}
