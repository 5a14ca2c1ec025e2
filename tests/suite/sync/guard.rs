//! The bound on what one run disables on its own judgement, and the release that lets the next one do it.

use bursar_core::domain::grant::AttemptState;
use bursar_local::inbox::Contents;
use bursar_local::ses::Mail;
use bursar_local::settle::LIMIT;
use bursar_tests::office::Office;
use bursar_tests::stack::{self, Stack};
use serde_json::json;

use super::{
    ADMIN, begin, foreign, hours, invite, is_enabled, make, problems, release, rich, signed_in, still, sync, watch,
};

/// Keys whose claims died before anybody was shown them.
async fn orphans(stack: &Stack, office: &Office<'_>, count: usize) -> Vec<String> {
    let mut keys = Vec::new();
    for number in 0..count {
        let grant = invite(stack, office, &format!("s{number}-{}", stack.clock.now().as_second()), None).await;
        let begun = begin(stack, office, &grant).await;
        keys.push(make(stack, office, &grant, &begun).await);
    }
    stack.clock.advance(hours(2)).unwrap();
    keys
}

async fn swept(office: &Office<'_>) -> usize {
    let grants = office.table.grants(&office.programme).await.unwrap();
    let attempts = grants.iter().flat_map(|grant| &grant.attempts);
    attempts.filter(|attempt| attempt.state == AttemptState::Swept).count()
}

#[tokio::test]
async fn many_orphans_at_once_are_left_alone_until_an_admin_who_was_told_lets_the_next_sync_do_it() {
    let stack = stack::in_process().await.unwrap();
    let office = rich(&stack).await;
    let keys = orphans(&stack, &office, 8).await;
    let mut watch = watch(&stack);
    let admin = signed_in(&stack, ADMIN).await;
    let mut pages = Vec::new();
    for _ in 0..2 {
        let report = sync(&stack).await;
        pages.push(admin.get("/console/account").await.expect(200));
        assert_eq!((&report["complete"], &report["orphans_disabled"]), (&json!(false), &json!(0)), "{report}");
        assert!(problems(&report).contains("8 keys would have been disabled"), "{report}");
        assert!(
            keys.iter().all(|key| is_enabled(&stack, key)) && swept(&office).await == 0,
            "none is touched or marked"
        );
    }
    stack.settle.settle(LIMIT).await.unwrap();
    let mails = stack.ses.unread();
    let is_account = |mail: &&Mail| Contents::of(&mail.raw).kind.as_deref() == Some("account");
    let told: Vec<_> = mails.iter().filter(is_account).collect();
    assert_eq!(told.len(), 1, "an admin is told once");
    let held = office.table.sync_state().await.unwrap().held_back.unwrap().keys;
    let text = Contents::of(&told[0].raw).text.unwrap();
    let names: Vec<String> = held.into_iter().map(|held| held.name).collect();
    assert!(names.iter().take(5).all(|name| text.contains(name.as_str())), "{}", text);
    assert!(text.contains("and 3 more") && !text.contains(&names[5]), "{}", text);

    // What was held back has not changed, so the page of the first run releases it as well.
    let page = &pages[0];
    assert!(page.texts("warning").iter().any(|warning| warning.contains("8 keys")), "{:?}", page.texts("warning"));
    let mut listed = page.attributes("held-key", "data-hash");
    listed.sort();
    let mut held = keys.clone();
    held.sort();
    assert_eq!(listed, held, "each can be looked at before the press");
    assert!(page.texts("held-key").iter().all(|key| key.contains("which nobody was shown")));
    admin.submit(page, "/console/account/release", &[]).await.expect(303);
    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["orphans_disabled"]), (&json!(true), &json!(8)), "{report}");
    assert!(keys.iter().all(|key| !is_enabled(&stack, key)) && swept(&office).await == 8);
    stack.settle.settle(LIMIT).await.unwrap();
    watch.check_after_sync().await;
    // A release is for one run, and not for ever.
    let office = rich(&stack).await;
    orphans(&stack, &office, 6).await;
    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["orphans_disabled"]), (&json!(false), &json!(0)), "{report}");
    stack.finish().await;
}

#[tokio::test]
async fn five_are_always_within_the_bound_and_of_many_keys_two_per_cent() {
    for (others, orphaned, done) in [(0, 5, 5), (0, 6, 0), (294, 6, 6), (293, 7, 0)] {
        let stack = still().await;
        let office = rich(&stack).await;
        for number in 0..others {
            foreign(&stack, &format!("other {number}"));
        }
        orphans(&stack, &office, orphaned).await;
        let report = sync(&stack).await;
        assert_eq!(report["orphans_disabled"], done, "{others} others, {orphaned} orphans: {report}");
        stack.finish().await;
    }
}

#[tokio::test]
async fn what_was_let_through_is_what_somebody_saw_and_a_few_more() {
    for (more, done) in [(5, 17), (6, 12)] {
        let stack = still().await;
        let office = rich(&stack).await;
        orphans(&stack, &office, 12).await;
        sync(&stack).await;
        release(&stack).await;
        orphans(&stack, &office, more).await;
        let report = sync(&stack).await;
        assert_eq!(report["orphans_disabled"], done, "{more} more: {report}");
        stack.finish().await;
    }
}
