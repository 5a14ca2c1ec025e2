//! Roles by address, found without reading programmes of other people.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::people::role::Role;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::PersonId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use bursar_core::domain::values::token::AskToken;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::items::Item;
use bursar_core::store::{Author, Table, keys};
use bursar_local::inbox::Contents;
use bursar_tests::invariants::RawTable;
use bursar_tests::office::{Office, session_cookie, soon};
use bursar_tests::stack::{self, Stack};
use bursar_tests::visitor::Visitor;
use jiff::SignedDuration;
use serde_json::Value;

#[tokio::test]
async fn a_programme_that_cannot_be_read_keeps_nobody_else_out() {
    let stack = stack::in_process().await.unwrap();
    let faye = address("Faye@example.edu");
    create(&stack, "CS pilot", |settings| settings.faculty = vec![faye.clone()]).await;
    let broken = create(&stack, "Maths", |settings| settings.faculty = vec![address("max@example.edu")]).await;
    // What its making caused is over before the item is corrupted by hand; then its pot changes.
    stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    let raw = RawTable::at(&stack.ready.dynamodb, &stack.ready.table);
    let key = keys::programme(&broken);
    let item = [("pk", key.pk), ("sk", key.sk), ("kind", "programme".to_owned())];
    let item: Item = item.into_iter().map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).collect();
    raw.put(item).await.unwrap();
    let (pot, text) = (keys::pot(&broken), |text: String| AttributeValue::S(text));
    let touch = raw.client().update_item().table_name(raw.name()).key("pk", text(pot.pk)).key("sk", text(pot.sk));
    let touch =
        touch.update_expression("SET touched = :now").expression_attribute_values(":now", text("now".to_owned()));
    touch.send().await.unwrap();

    let table = Table::new(&stack.config);
    let known = table.known(faye.matched(), &[]).await.unwrap().unwrap();
    assert_eq!((known.address.as_written(), known.has_role), ("Faye@example.edu", true));
    assert_eq!(table.known(address("stranger@example.edu").matched(), &[]).await.unwrap(), None);
    let of_faye = table.programmes_of(faye.matched(), &[]).await.unwrap();
    let of_faye: Vec<_> = of_faye.iter().map(|(programme, role)| (programme.id.as_str(), *role)).collect();
    assert_eq!(of_faye, [("cs-pilot", Role::Faculty)]);

    let browser = signed_in(&stack, "faye@example.edu").await;
    assert_eq!(browser.get("/console").await.status, 200);
    let data: Value = serde_json::from_str(&browser.get("/my/data").await.body).unwrap();
    assert_eq!(data["roles"], serde_json::json!([{"programme": "cs-pilot", "role": "faculty"}]));
    // Links are mailed to admins, faculty and students alike.
    stack.clock.advance(SignedDuration::from_mins(2)).unwrap();
    Office::of(&stack, "cs-pilot").invite("stu@example.edu").await;
    for who in ["admin@example.edu", "faye@example.edu", "stu@example.edu"] {
        table.ask(address(who).matched(), &AskToken::generate().hash(), stack.clock.now(), soon()).await.unwrap();
    }
    stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    for who in ["admin@example.edu", "Faye@example.edu", "stu@example.edu"] {
        let mails = stack.ses.mails_to(who);
        let links = mails.iter().filter(|mail| Contents::of(&mail.raw).kind.as_deref() == Some("link"));
        assert_eq!(links.count(), 1, "{who}");
    }
    stack.finish_unjudged().await;
}

async fn create(
    stack: &Stack,
    name: &str,
    set: impl FnOnce(&mut Settings),
) -> bursar_core::domain::values::id::ProgrammeId {
    let today = utc_date(stack.clock.now());
    let term = Term::new(today, today.saturating_add(jiff::ToSpan::days(90)), "UTC").unwrap();
    let mut settings = Settings::new(name, term, Usd::from_dollars(20));
    set(&mut settings);
    let actor = Actor::Person(PersonId::random());
    let by = Author { actor: &actor, now: stack.clock.now(), deadline: soon() };
    Table::new(&stack.config).create_programme(settings, Usd::from_dollars(100), by).await.unwrap()
}

async fn signed_in(stack: &Stack, address: &str) -> Visitor {
    let (visitor, cookie) = (Visitor::new(&stack.ready.web), session_cookie(stack, address).await);
    let (name, value) = cookie.split_once('=').unwrap();
    visitor.set_cookie(name, value);
    visitor
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}
