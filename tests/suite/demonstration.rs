//! The demonstration that the first `cargo run` builds: what is in it, and the invariants. That it ends well at any moment is tried
//! beside `bursar`.

use std::collections::BTreeSet;

use bursar_core::clock::Clock;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::{AttemptState, Grant, GrantState};
use bursar_core::domain::mail::digest::Digest;
use bursar_core::domain::usage::days::Accuracy;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::{KeptTotals, MailState, ModelDay, Table};
use bursar_local::demo;
use bursar_local::folder::Folder;
use bursar_local::inbox::Contents;
use bursar_local::stack::{Options, listen};
use bursar_tests::invariants::RawTable;
use bursar_tests::stack::{self, Stack};
use jiff::SignedDuration;
use jiff::civil::Date;

#[tokio::test]
async fn it_is_a_believable_term() {
    let data = tempfile::tempdir().unwrap();
    let folder = Folder::open(data.path()).unwrap();
    let admins = [EmailAddress::parse("admin@example.edu").unwrap()];
    let ends: Moment = "2026-11-24T20:28:00Z".parse().unwrap();
    demo::build(&folder, "http://127.0.0.1:8080", &admins, &Clock::reading(move || ends), |_| {}).await.unwrap();
    assert!(!folder.is_new());

    let files = Some(folder.files());
    let stack = Stack::start(Options { files, ..Options::new(listen(0).await.unwrap(), admins.to_vec()) }).await;
    let off = stack.clock.now().duration_since(ends);
    assert!(off.abs() < SignedDuration::from_secs(60), "it ends {off:?} from its end");
    let mut watch = stack::watch(&stack);
    let seen = watch.check().await;

    let pilot: Vec<_> = seen.grants.values().filter(|grant| grant.programme.as_str() == "cs-pilot").collect();
    let counted = |is: fn(&Grant) -> bool| pilot.iter().filter(|grant| is(grant)).count();
    let live = counted(|grant| matches!(grant.state, GrantState::Live { .. }));
    let restricted = seen.keys.iter().filter(|key| key.key.guardrail_id.is_some()).count();
    assert_eq!(pilot.iter().filter_map(|grant| grant.group.as_ref()).collect::<BTreeSet<_>>().len(), 4);
    assert!(pilot.len() == 20 && live > 12 && counted(|grant| grant.state == GrantState::Invited) > 1, "{live} live");
    assert!((3..live).contains(&restricted), "{restricted} keys of a group with models of its own");
    let shown = |grant: &Grant| grant.attempts.iter().filter(|attempt| attempt.state == AttemptState::Shown).count();
    assert_eq!(pilot.iter().filter(|grant| shown(grant) == 2).count(), 1, "one key was leaked and replaced");
    assert!(seen.outbox.iter().any(|row| matches!(row.state, MailState::Bounced { .. })), "one address bounced");
    assert!(seen.crossings.iter().filter(|crossing| crossing.is_mailed).count() >= 2);
    assert_eq!(seen.keys.iter().filter(|key| key.name.is_none()).count(), 3, "keys that are nobody's");

    let mut totals = seen.all::<KeptTotals>().map(|kept| kept.totals);
    let totals = totals.find(|totals| totals.programme.as_str() == "cs-pilot").unwrap();
    let days: Vec<_> = totals.used.credits.each().collect();
    assert!(days.len() > 11 && days.iter().all(|(_, _, exact)| *exact), "{days:?}");
    let by_model = Table::new(&stack.config)
        .list(ModelDay::between(Some(&totals.programme), (Date::MIN, Date::MAX)))
        .await
        .unwrap();
    let used = || by_model.iter().flat_map(|day| &day.by);
    let told: i64 = used().map(|used| used.used.spent.micros()).sum();
    let until_yesterday: i64 = days[..days.len() - 1].iter().map(|(_, spent, _)| spent.micros()).sum();
    assert!(told >= until_yesterday, "{told} of {until_yesterday}");
    assert!(by_model.len() > 11 && used().map(|used| &used.model).collect::<BTreeSet<_>>().len() > 3);
    // Spending is uneven: the top spenders use more than half of it.
    let readings = |grant: &&Grant| seen.readings_of(grant).iter().map(|reading| reading.lifetime().micros()).sum();
    let mut spent: Vec<i64> = pilot.iter().map(readings).collect();
    spent.sort_unstable_by(|one, other| other.cmp(one));
    let (few, all) = (spent.iter().take(5).sum::<i64>(), spent.iter().sum::<i64>());
    assert!(few * 2 > all && all > 20_000_000, "{few} of {all}");

    let digests: Vec<Digest> = seen.all().filter(|digest: &Digest| digest.programme == totals.programme).collect();
    let whole = digests.iter().all(|digest| digest.money.this_week.known == Accuracy::Exactly);
    assert!(digests.len() >= 2 && whole, "a digest of each week, of days that are known: {}", digests.len());
    let mails: Vec<Contents> = stack.ses.mails().iter().map(|mail| Contents::of(&mail.raw)).collect();
    let of_kind = |kind: &str| mails.iter().filter(|mail| mail.kind.as_deref() == Some(kind)).count();
    assert!(of_kind("digest") >= 8, "to faculty, an assistant and the admin");
    assert_eq!(of_kind("account"), 0, "nothing is the matter");

    // DynamoDB deletes what has expired at some time, and everything must hold afterwards as well.
    let (raw, mut swept) = (RawTable::at(&stack.ready.dynamodb, &stack.ready.table), 0);
    for item in raw.items().await {
        let ends = item.get("ttl").and_then(|ttl| ttl.as_n().ok()?.parse::<i64>().ok());
        if ends.is_some_and(|ends| ends < stack.clock.now().as_second()) {
            raw.delete(item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap()).await;
            swept += 1;
        }
    }
    assert!(swept > 0, "nothing had run out");
    watch.check().await;
    stack.finish().await;
}
