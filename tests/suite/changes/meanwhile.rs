//! Edits that a sync, a claim or another act overtakes at any of its writes, and copies and moves that are killed at any call.

use bursar_tests::seeds::sample;

use super::*;

/// A sync is held while it lists, and before each of its writes, and the cap is edited meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_edited_during_a_sync_is_counted_and_sent() {
    let writes = |campus: &Campus| {
        let is_write = |name: String| name.ends_with(":TransactWriteItems");
        let calls = campus.gate.calls();
        let of_sync = calls.iter().filter(|recorded| recorded.function == FunctionName::UsageSync);
        of_sync.filter(|recorded| is_write(recorded.name.to_string())).count() as u64
    };
    let expected = {
        let campus = class(&["ada", "bob"]).await;
        campus.sync().await;
        let before = writes(&campus);
        campus.minutes(20);
        campus.sync().await;
        let expected = writes(&campus) - before;
        campus.finish().await;
        expected
    };
    assert!(expected > 5, "{expected} writes");
    let writes = (1..=expected).map(|nth| ("dynamodb:TransactWriteItems", nth));
    let reads = [("provider:GET /keys", 1), ("provider:GET /credits", 1), ("provider:GET /keys", 2)];
    for (call, nth) in sample(reads.into_iter().chain(writes), 2) {
        let cap = if nth % 2 == 0 { 8 } else { 30 };
        let campus = class(&["ada", "bob"]).await;
        campus.sync().await;
        campus.judged().await;
        campus.minutes(20);
        let admin = campus.admin().await;
        let held = campus.gate.hold(Matcher::call(call).of(FunctionName::UsageSync).nth(nth));
        let edited = async {
            held.arrived().await;
            assert_eq!(campus.edit(&admin, &[("cap_usd", &cap.to_string())]).await.status, 303, "{call} {nth}");
            campus.judged().await;
            drop(held);
        };
        assert_eq!(tokio::join!(campus.sync(), edited).0["complete"], true, "{call} {nth}");
        campus.judged().await;
        campus.minutes(20);
        assert_eq!(campus.sync().await["complete"], true);
        campus.judged_after_sync().await;
        assert_eq!(campus.limits(), vec![dollars(cap); 2], "{call} {nth}");
        assert_eq!(campus.reserved().await, Usd::from_dollars(i32::try_from(2 * cap).unwrap()), "{call} {nth}");
        campus.finish_faulted().await;
    }
}

/// Somebody has a reservation and no key, so only the settings say what the reservation costs by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_counts_what_an_edit_reserved_meanwhile() {
    let mut campus = class(&[]).await;
    let admin = campus.admin().await;
    campus.students(&["dan"]).await;
    let dan = campus.student("dan").await;
    campus.gate.at(Matcher::call("provider:POST /keys"), Fault::Status(400));
    assert_eq!(dan.submit(&dan.get("/my").await, "/my/cs-pilot/reveal", &[]).await.status, 502);
    assert_eq!(campus.reserved().await, Usd::from_dollars(20));
    campus.judged().await;
    let held = campus.gate.hold(Matcher::call("provider:GET /keys").of(FunctionName::UsageSync));
    let edited = async {
        held.arrived().await;
        assert_eq!(campus.edit(&admin, &[("cap_usd", "30")]).await.status, 303);
        drop(held);
    };
    tokio::join!(campus.sync(), edited);
    campus.judged_after_sync().await;
    assert_eq!(campus.reserved().await, Usd::from_dollars(30));
    campus.finish_faulted().await;
}
