//! The account's credit on its page: what to buy and by when, the lots, and the form of the terms.

use bursar_core::domain::audit::{Act, Actor};
use bursar_core::domain::credit::purchase::PurchaseTerms;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Account, AccountDay, Table};
use bursar_local::gate::{Matcher, Verdict};
use bursar_local::invoke::FunctionName;
use bursar_tests::office::{Office, as_sync, soon};
use bursar_tests::stack::Left;
use jiff::{SignedDuration, ToSpan};

use super::account::{LOOKED, PATH, admin, at, at_noon, day, good, set_state, warns};
use super::watch;

const PURCHASES: &str = "/console/account/purchases";

#[tokio::test]
async fn the_page_says_what_to_buy_by_when_and_why_and_what_each_lot_has_left() {
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
    for (of, bought, spent) in
        [("2026-11-01", 100, 10), ("2026-11-10", 100, 50), ("2026-11-12", 300, 60), ("2026-11-20", 300, 180)]
    {
        let of = AccountDay { bought: dollars(bought), residual: Usd::ZERO, ..day(of, spent, 0) };
        assert!(as_sync(&office.table, async |sync| sync.note_account_day(&of).await).await);
    }
    let page = visitor.get(PATH).await;
    // The programme ends in 91 days: $182 of other keys, $20 of its own, and $120 are there.
    assert_eq!(page.attributes("credit-to-buy", "data-usd"), ["100.000000"]);
    // Three dollars a day: forty days, less thirty.
    assert_eq!(page.attributes("credit-to-buy", "data-buy-by"), ["2026-11-30"]);
    let text = page.readable();
    for sentence in [
        "Programmes can still cost $20.00",
        "Foreign keys may use $182.00 until the last programme ends, if they go on like the $56.00 of the last 28 days",
        "the balance is gone on 30 December 2026 if all keys go on like the $84.00 of the last 28 days, and a purchase takes 30 days",
    ] {
        assert!(text.contains(sentence), "{sentence}: {text}");
    }
    assert!(warns(&page, "Buy $100 of credit, and begin by 30 November 2026"), "{:?}", page.texts("warning"));
    // The first hundred is spent, and eighty of the second.
    let lot = ["data-usd", "data-left-usd", "data-lapses-on"].map(|name| page.attributes("lot", name));
    assert_eq!(lot, [["200.000000"], ["120.000000"], ["2027-11-10"]]);
    assert!(text.contains("Credit by purchase, oldest first; 1 more purchase is spent"), "{text}");

    assert_eq!(visitor.submit(&page, PURCHASES, &[("lead_days", "45"), ("lapse_days", "")]).await.status, 303);
    let page = visitor.get(PATH).await;
    assert_eq!(page.attributes("credit-to-buy", "data-buy-by"), ["2026-11-15"]);
    assert!(warns(&page, "Buy $100 of credit now"), "{:?}", page.texts("warning"));
    assert!(page.attribute("lot", "data-lapses-on").is_none() && page.readable().contains("$200.00 $120.00 never"));
    stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn the_terms_are_set_once_on_record_and_never_over_somebody_elses() {
    let stack = at_noon().await;
    let table = Table::new(&stack.config);
    set_state(&stack, good()).await;
    let mut watch = watch(&stack);
    watch.check().await;
    let visitor = admin(&stack).await;
    let page = visitor.get(PATH).await.expect(200);
    let form = page.form(PURCHASES);
    assert_eq!((form.value("lead_days"), form.value("lapse_days")), (Some("30"), Some("365")));
    for (lead, lapse) in
        [("", "365"), ("-1", "365"), ("366", "365"), ("ten", "365"), ("30", "0"), ("30", "3651"), ("1.5", "x")]
    {
        let refused = visitor.submit(&page, PURCHASES, &[("lead_days", lead), ("lapse_days", lapse)]).await.expect(422);
        let form = refused.form(PURCHASES);
        assert_eq!(
            (form.value("lead_days"), form.value("lapse_days")),
            (Some(lead), Some(lapse)),
            "what was typed stays"
        );
        assert!(refused.body.contains("Write a whole number of days from"), "{lead} {lapse}");
    }
    assert_eq!(table.purchase_terms().await.unwrap(), PurchaseTerms::default());
    let lost = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Console);
    stack.gate.at(lost, "lose-answer".parse::<Verdict>().unwrap());
    for _ in 0..2 {
        let pressed = visitor.submit(&page, PURCHASES, &[("lead_days", "14"), ("lapse_days", "")]).await;
        assert_eq!((pressed.status, pressed.location()), (303, Some(PATH)));
    }
    let set = PurchaseTerms { lead_days: 14, lapse_days: None, version: 1 };
    assert_eq!(table.purchase_terms().await.unwrap(), set);
    let stale = visitor.submit(&page, PURCHASES, &[("lead_days", "20"), ("lapse_days", "365")]).await.expect(409);
    let text = stale.readable();
    assert!(text.contains("It says now: a purchase takes 14 days, credit never lapses"), "{text}");
    assert!(text.contains("You wrote: a purchase takes 20 days, credit lapses after 365 days"), "{text}");
    // A form that lacks a field leaves it as it is.
    stack.clock.advance(SignedDuration::from_secs(1)).unwrap();
    let csrf = visitor.get(PATH).await.form(PURCHASES).value("csrf").unwrap().to_owned();
    let only_one = [("csrf", csrf.as_str()), ("version", "1"), ("lapse_days", "400")];
    assert_eq!(visitor.post(PURCHASES, &only_one).await.status, 303);
    assert_eq!(table.purchase_terms().await.unwrap(), PurchaseTerms { lapse_days: Some(400), version: 2, ..set });
    let seen = watch.check().await;
    let person = table.person_of(&stack.config.admins[0], soon()).await.unwrap();
    let of_terms: Vec<_> = seen.account_entries.iter().filter(|entry| entry.what.act == Act::PurchasesSet).collect();
    let [first, second] = &of_terms[..] else { panic!("{of_terms:?}") };
    assert_eq!(first.by, Actor::Person(person));
    assert_eq!(first.what.to.as_deref(), Some("a purchase takes 14 days, credit never lapses"));
    assert_eq!(second.what.from, first.what.to);
    stack.finish().await;
}
