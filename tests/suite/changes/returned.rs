//! A student hands a key back, and takes the place anew while the budget has room.

use bursar_tests::stack::Left;

use super::*;

const RETURN: &str = "/my/cs-pilot/return";
const REPLACE: &str = "/my/cs-pilot/replace";

#[tokio::test]
async fn a_key_that_is_handed_back_ends_its_place_goes_back_and_it_is_taken_anew_while_there_is_room() {
    // Two places of twenty dollars.
    let class = Class::with_budget(40, &["ada"]).await;
    let (stack, admin, mut watch) = (&class.stack, class.admin().await, class.watch());
    let ada = signed_in(stack, "ada@example.edu").await;
    class.judged(&mut watch).await;
    assert_eq!(ada.submit(&ada.get("/my").await, RETURN, &[]).await.status, 303);
    let mine = ada.get("/my").await;
    assert_eq!((mine.attributes("grant", "data-state"), class.enabled()), (vec!["stopped".to_owned()], 0));
    let offered = mine;
    assert!(offered.offers(REPLACE) && !offered.offers("/my/cs-pilot/reveal") && !offered.offers(RETURN));
    class.judged(&mut watch).await;
    // The rest goes back once the key was read after the settling time.
    stack.clock.advance(SignedDuration::from_mins(16)).unwrap();
    class.works().await;
    class.judged(&mut watch).await;
    assert_eq!(class.reserved().await, Usd::ZERO);
    for name in ["bob", "cid"] {
        class.claims(name).await;
    }
    class.judged(&mut watch).await;
    let page = ada.get("/my").await;
    assert!(!page.offers(REPLACE) && page.body.contains("budget is held for other keys now"), "{}", page.body);
    let full = ada.submit(&offered, REPLACE, &[]).await;
    assert!(full.status == 409 && full.alerts().concat().contains("budget"), "{:?}", full.alerts());
    assert_eq!(edits(&admin, &[("pot_usd", "60")]).await.status, 303);
    assert_eq!(ada.submit(&ada.get("/my").await, REPLACE, &[]).await.status, 200);
    let grant = class.office().table.grant(&class.office().programme, &class.people[0].0).await.unwrap().unwrap();
    assert_eq!(grant.replacements, 1, "it counts as a replacement");
    assert_eq!(class.reserved().await, Usd::from_dollars(60));
    class.judged(&mut watch).await;
    class.stack.finish_leaving(&[Left::PerhapsMails]).await;
}
