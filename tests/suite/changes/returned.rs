//! A student hands a key back, and takes the reservation anew while the budget has room.

use super::*;

const RETURN: &str = "/my/cs-pilot/return";
const REPLACE: &str = "/my/cs-pilot/replace";

#[tokio::test]
async fn a_key_that_is_handed_back_frees_its_reservation() {
    // Two reservations of twenty dollars.
    let mut campus = class_of(40, &["ada"]).await;
    let admin = campus.admin().await;
    let ada = campus.student("ada").await;
    campus.judged().await;
    assert_eq!(ada.submit(&ada.get("/my").await, RETURN, &[]).await.status, 303);
    let mine = ada.get("/my").await;
    assert_eq!((mine.attributes("grant", "data-state"), campus.enabled().len()), (vec!["stopped".to_owned()], 0));
    let offered = mine;
    assert!(offered.offers(REPLACE) && !offered.offers("/my/cs-pilot/reveal") && !offered.offers(RETURN));
    campus.judged().await;
    // The rest is free tomorrow: no request gives it back, though the key was read after the settling time.
    campus.minutes(16);
    campus.work().await;
    campus.judged().await;
    assert_eq!(campus.reserved().await, Usd::from_dollars(20));
    campus.sync().await;
    assert_eq!(campus.reserved().await, Usd::ZERO);
    for name in ["bob", "cid"] {
        claims(&mut campus, name).await;
    }
    campus.judged().await;
    let page = ada.get("/my").await;
    assert!(!page.offers(REPLACE) && page.body.contains("budget has no room for your key now"), "{}", page.body);
    let full = ada.submit(&offered, REPLACE, &[]).await;
    assert!(full.status == 409 && full.alerts().concat().contains("budget"), "{:?}", full.alerts());
    assert_eq!(campus.edit(&admin, &[("budget_usd", "60")]).await.status, 303);
    assert_eq!(ada.submit(&ada.get("/my").await, REPLACE, &[]).await.status, 200);
    let grant = campus.grant("ada").await;
    assert_eq!(grant.replacements, 1, "it counts as a replacement");
    assert_eq!(campus.reserved().await, Usd::from_dollars(60));
    campus.judged().await;
    campus.finish().await;
}
