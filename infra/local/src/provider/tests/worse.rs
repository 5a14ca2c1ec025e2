//! The provider in its worse positions, one at a time.

use jiff::{SignedDuration, ToSpan};

use super::*;

const MODEL: &str = "openai/gpt-4o-mini";

impl Simulator {
    fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn what_was_used_beyond_a_limit_or_charged_too_late_is_known_and_so_is_what_answers_said() {
    let simulator = Simulator::start().await;
    let key = simulator.key(json!({ "name": "n", "limit": 10 })).await;
    let of = |simulator: &Simulator| simulator.provider.keys().remove(0);
    simulator.spend(&key, "9");
    // The limit falls below the usage; only usage from then on is beyond it.
    let path = format!("/keys/{}", key.hash);
    assert_eq!(simulator.patch(&path, json!({ "limit": 5 })).await.0, 200);
    assert_eq!(of(&simulator).overshot, Nano::ZERO);
    simulator.spend(&key, "1");
    assert_eq!((of(&simulator).overshot, of(&simulator).settled_late), (Nano::usd(1), Nano::ZERO));

    // A change by hand is no request.
    simulator.provider.change_by_hand(&key.hash, &json!({ "limit": 500 })).unwrap();
    simulator.spend(&key, "2");
    assert_eq!((of(&simulator).limit, of(&simulator).asked_limit), (Some(Nano::usd(500)), Some(Nano::usd(5))));
    assert_eq!(of(&simulator).overshot, Nano::usd(3));
    assert_eq!(simulator.patch(&path, json!({ "limit": 20, "disabled": true })).await.0, 200);
    simulator.provider.change_by_hand(&key.hash, &json!({ "disabled": false })).unwrap();
    assert_eq!((of(&simulator).disabled, of(&simulator).asked_disabled), (false, true));
    assert_eq!(of(&simulator).asked_limit, Some(Nano::usd(20)));
    assert!(simulator.provider.change_by_hand(&key.hash, &json!({ "limit": -1 })).is_err());

    // Usage settles for a quarter of an hour; anything charged after that is late, whatever instant it is
    // booked as of.
    simulator.patch(&path, json!({ "disabled": true })).await;
    simulator.pass(900);
    simulator.spend(&key, "1");
    assert_eq!(of(&simulator).settled_late, Nano::ZERO);
    simulator.pass(1);
    simulator.spend(&key, "2");
    simulator.provider.spend(&key.hash, Nano::usd(1), simulator.provider.now() - 2.hours(), MODEL).unwrap();
    assert_eq!((of(&simulator).overshot, of(&simulator).settled_late), (Nano::usd(3), Nano::usd(3)));

    simulator.provider.set_quirks(|quirks| quirks.lag.key = SignedDuration::from_secs(60));
    simulator.spend(&key, "1");
    simulator.read(&key).await;
    let told = simulator.provider.told(&key.hash);
    assert_eq!(told.last().unwrap().1, Nano::usd(12), "a minute ago nothing of the last five was used");
    assert!(told.is_sorted(), "{told:?}");
}
