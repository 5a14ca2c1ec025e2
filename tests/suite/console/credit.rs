//! The account's credit on its page: what to buy and by when.

use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Account, AccountDay};
use bursar_tests::office::{Office, as_sync};
use jiff::ToSpan;

use super::account::{LOOKED, PATH, admin, at, at_noon, day, good, set_state, warns};

#[tokio::test]
async fn the_page_says_what_to_buy_by_when_and_why() {
    let stack = at_noon().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@example.edu").await;
    office.claim(&ada).await;
    set_state(&stack, good()).await;
    let visitor = admin(&stack).await;
    let page = visitor.get(PATH).await.expect(200);
    assert!(page.all("credit-to-buy").is_empty() && page.readable().contains("nothing can be said of what to buy"));

    let dollars = Usd::from_dollars;
    let (mut ours, mut foreign) = (DailyUse::default(), DailyUse::default());
    for ago in 1..=28 {
        let of = utc_date(at(LOOKED)).checked_sub(ago.days()).unwrap();
        ours.add(&DailyUse::on_one(of, dollars(1)));
        foreign.add(&DailyUse::on_one(of, dollars(2)));
    }
    let account = Account { as_of: at(LOOKED), ours, foreign };
    assert!(as_sync(&office.table, async |sync| sync.note_account(&account).await).await);
    let spends = async |spent| {
        let day = AccountDay { bought: dollars(300), ..day("2026-11-20", spent, 0) };
        assert!(as_sync(&office.table, async |sync| sync.note_account_day(&day).await).await);
    };
    spends(180).await;
    let page = visitor.get(PATH).await;
    // The programme ends in 91 days: $182 of other keys, $20 of its own, and $120 are there.
    assert_eq!(page.attributes("credit-to-buy", "data-usd"), ["100.000000"]);
    // Three dollars a day: forty days, less thirty.
    assert_eq!(page.attributes("credit-to-buy", "data-buy-by"), ["2026-11-30"]);
    let text = page.readable();
    for sentence in [
        "Programmes can still cost $20.00",
        "Foreign keys may use $182.00 until the last programme ends, if they go on like the $56.00 of the last 28 days",
        "the balance is gone on 30 December 2026 if all keys go on like the $84.00 of the last 28 days, and a purchase may take 30 days",
    ] {
        assert!(text.contains(sentence), "{sentence}: {text}");
    }
    assert!(warns(&page, "Buy $100 of credit, and begin by 30 November 2026"), "{:?}", page.texts("warning"));

    // Eighty dollars last 26 days.
    spends(220).await;
    let page = visitor.get(PATH).await;
    assert_eq!(page.attributes("credit-to-buy", "data-buy-by"), ["2026-11-16"]);
    assert!(warns(&page, "Buy $200 of credit now"), "{:?}", page.texts("warning"));
    stack.finish().await;
}
