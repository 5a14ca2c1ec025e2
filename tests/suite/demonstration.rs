//! The demonstration that the first `cargo run` builds: its contents, the invariants in it, and that it is
//! preserved. That it ends well at any moment is tried beside `bursar`.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::clock::Clock;
use bursar_core::domain::grant::{AttemptState, Grant, GrantState};
use bursar_core::domain::usage::days::Accuracy;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::MailState;
use bursar_local::demo;
use bursar_local::folder::Folder;
use bursar_local::inbox::Contents;
use bursar_local::ses::Mail;
use bursar_tests::aws;
use bursar_tests::stack::{self, Setup, Stack};
use jiff::{SignedDuration, Timestamp};

#[tokio::test]
async fn it_is_a_believable_term_in_which_every_invariant_holds() {
    let data = tempfile::tempdir().unwrap();
    let folder = Folder::open(data.path()).unwrap();
    let admins = [EmailAddress::parse("admin@example.edu").unwrap()];
    let ends: Timestamp = "2026-11-24T20:28:00Z".parse().unwrap();
    demo::build(&folder, "http://127.0.0.1:8080", &admins, &Clock::reading(move || ends), |_| {}).await.unwrap();
    assert!(!folder.is_new());
    drop(folder);

    let stack = stack::of(Setup { data: Some(data.path()), ..Setup::default() }).await.unwrap();
    let off = stack.clock.now().duration_since(ends);
    assert!(off.abs() < SignedDuration::from_secs(60), "it ends {off:?} from its end");
    let mut watch = stack::watch(&stack);
    let seen = watch.check().await;

    let pilot: Vec<_> = seen.grants.values().filter(|grant| grant.programme.as_str() == "cs-pilot").collect();
    assert_eq!(pilot.len(), 32);
    let live = pilot.iter().filter(|grant| matches!(grant.state, GrantState::Live { .. })).count();
    let invited = pilot.iter().filter(|grant| grant.state == GrantState::Invited).count();
    assert!(live > 20 && invited > 1, "{live} live, {invited} invited");
    let groups: std::collections::BTreeSet<_> = pilot.iter().filter_map(|grant| grant.group.clone()).collect();
    assert_eq!(groups.len(), 4);
    let restricted = seen.keys.iter().filter(|key| key.key.guardrail_id.is_some()).count();
    assert!((5..live).contains(&restricted), "{restricted} keys of a group with models of its own");
    let shown = |grant: &&&Grant| grant.attempts.iter().filter(|attempt| attempt.state == AttemptState::Shown).count();
    assert_eq!(pilot.iter().filter(|grant| shown(grant) == 2).count(), 1, "one key was leaked and replaced");
    assert!(seen.outbox.iter().any(|row| matches!(row.state, MailState::Bounced { .. })), "one address bounced");
    assert!(seen.crossings.iter().filter(|crossing| crossing.is_mailed).count() >= 2);
    let totals = seen.totals.iter().find(|totals| totals.programme.as_str() == "cs-pilot").unwrap();
    let days: Vec<_> = totals.used.credits.each().collect();
    assert!(days.len() > 11 && days.iter().all(|(_, _, exact)| *exact), "{days:?}");
    let table = bursar_core::store::Table::new(&stack.config);
    let by_model = table.model_days(&totals.programme, (jiff::civil::Date::MIN, jiff::civil::Date::MAX)).await.unwrap();
    let models: std::collections::BTreeSet<_> =
        by_model.iter().flat_map(|day| &day.by).map(|used| used.model.clone()).collect();
    let told: i64 = by_model.iter().flat_map(|day| &day.by).map(|used| used.spent.micros()).sum();
    let until_yesterday: i64 = days[..days.len() - 1].iter().map(|(_, spent, _)| spent.micros()).sum();
    assert!(
        by_model.len() > 11 && models.len() > 3 && told >= until_yesterday,
        "{told} of {until_yesterday}: {models:?}"
    );
    let digests: Vec<_> = seen.digests.iter().filter(|digest| digest.programme == totals.programme).collect();
    let whole = digests.iter().all(|digest| digest.money.this_week.known == Accuracy::Exactly);
    assert!(digests.len() >= 2 && whole, "a digest of each week, of days that are known: {}", digests.len());
    let brought = seen.mails.iter().flatten().filter(|mail| Contents::of(&mail.raw).kind.as_deref() == Some("digest"));
    assert!(brought.count() >= 8, "to faculty, an assistant and the admin");
    let of_the_account = |mail: &&Mail| Contents::of(&mail.raw).kind.as_deref() == Some("account");
    let told = seen.mails.iter().flatten().filter(of_the_account).map(|mail| Contents::of(&mail.raw).subject);
    assert_eq!(told.collect::<Vec<_>>(), [""; 0], "nothing is the matter");
    let foreign = seen.keys.iter().filter(|key| key.name.is_none()).count();
    assert_eq!(foreign, 3, "keys that are nobody's");
    // Spending is uneven: the top spenders use more than half of it.
    let mut spent: Vec<i64> = pilot
        .iter()
        .map(|grant| seen.readings_of(grant).iter().map(|reading| reading.lifetime().micros()).sum())
        .collect();
    spent.sort_unstable_by(|one, other| other.cmp(one));
    let (few, all) = (spent.iter().take(8).sum::<i64>(), spent.iter().sum::<i64>());
    assert!(few * 2 > all && all > 20_000_000, "{few} of {all}");
    // Expired items are deleted at some time, and everything must hold afterwards as well.
    sweep(&stack).await;
    watch.check().await;
    stack.finish().await;
}

/// Deletes what has run out by the stack's clock, as DynamoDB does by its own.
async fn sweep(stack: &Stack) {
    let table = aws::dynamodb(&stack.ready);
    let now = AttributeValue::N(stack.clock.now().as_second().to_string());
    let expired = table.scan().table_name(&stack.ready.table).filter_expression("#ttl < :now");
    let expired = expired.expression_attribute_names("#ttl", "ttl").expression_attribute_values(":now", now);
    let mut found = expired.into_paginator().items().send();
    let mut swept = 0;
    while let Some(item) = found.try_next().await.unwrap() {
        let key = ["pk", "sk"].map(|part| (part.to_owned(), item[part].clone()));
        table.delete_item().table_name(&stack.ready.table).set_key(Some(key.into())).send().await.unwrap();
        swept += 1;
    }
    assert!(swept > 0, "nothing had run out");
}
