//! Spending over the spans that an address can request: on the overview, by group, in the list of grants and on
//! a grant's page.

use std::collections::BTreeMap;

use bursar_core::domain::usage::days::{Days, KeyCounters};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{SyncState, Totals};
use bursar_tests::office::{Office, as_sync, reading, soon};
use bursar_tests::stack::{self, Stack};
use bursar_tests::visitor::{Page, Visitor};
use jiff::{Timestamp, ToSpan};

use super::{ADMIN, signed_in};

const ID: &str = "/console/programmes/cs-pilot";
const GRANTS: &str = "/console/programmes/cs-pilot/grants";
const SPANS: [&str; 6] = ["1d", "7d", "30d", "window", "term", "all"];

/// Three dollars yesterday, four six days ago and five twenty days ago, each multiplied by `times`.
fn spent(now: Timestamp, times: u32) -> Days {
    let mut days = Days::default();
    for (ago, dollars) in [(1_i64, 3), (6, 4), (20, 5)] {
        days.add(&Days::on_one(
            utc_date(now).checked_sub(ago.days()).unwrap(),
            Usd::from_dollars(dollars).times(times),
        ));
    }
    days
}

/// Records a reading of a grant, as a sync does.
pub(super) async fn used(office: &Office<'_>, grant: &GrantId, days: Days, now: Timestamp) {
    let reading = reading(&office.programme, grant, DailyUse { credits: days, ..DailyUse::default() }, now);
    office.table.note_reading(&reading, soon()).await.unwrap();
}

pub(super) async fn looked(office: &Office<'_>, at: Timestamp) {
    let state = office.table.sync_state().await.unwrap();
    let state = SyncState { listed_at: Some(at), completed_at: Some(at), ..state };
    assert!(as_sync(&office.table, async |sync| sync.set_sync_state(&state.next()).await).await);
}

pub(super) async fn summed_up(office: &Office<'_>, credits: Days, by_group: &[(&str, Days)], now: Timestamp) {
    let used = |credits: &Days| DailyUse { credits: credits.clone(), ..DailyUse::default() };
    let by_group: BTreeMap<_, _> = by_group.iter().map(|(group, days)| ((*group).to_owned(), used(days))).collect();
    let totals = Totals {
        programme: office.programme.clone(),
        as_of: now,
        used: used(&credits),
        by_group,
        implied: Usd::ZERO,
        grants: 2,
        claimed: 1,
    };
    assert!(as_sync(&office.table, async |sync| sync.note_totals(&totals).await).await);
}

async fn each(visitor: &Visitor, path: &str) -> Vec<Page> {
    let mut pages = Vec::new();
    for span in SPANS {
        pages.push(visitor.get(&format!("{path}?window={span}")).await.expect(200));
    }
    pages
}

async fn office_with_spending(stack: &Stack) -> (Office<'_>, GrantId, Timestamp) {
    let office = Office::open(stack).await;
    let (ada, _) = (office.invite("ada@x.edu").await, office.invite("bob@x.edu").await);
    office.claim(&ada).await;
    let now = stack.clock.now();
    used(&office, &ada, spent(now, 1), now).await;
    summed_up(&office, spent(now, 3), &[("A", spent(now, 1)), ("B & C", Days::default())], now).await;
    (office, ada, now)
}

#[tokio::test]
async fn spending_follows_the_span_that_is_asked_for_on_the_overview_by_group_and_for_each_grant() {
    let stack = stack::in_process().await.unwrap();
    let (office, ada, now) = office_with_spending(&stack).await;
    looked(&office, now).await;
    let admin = signed_in(&stack, ADMIN).await;
    // The programme's term begins today, so it has no past spending.
    let dollars = |times: i32| [3, 7, 12, 12, 0, 12].map(|dollars| format!("{}.000000", dollars * times));
    let overviews = each(&admin, ID).await;
    let sums: Vec<_> = overviews.iter().map(|page| page.attribute("spent", "data-usd").unwrap()).collect();
    assert_eq!(sums, dollars(3));
    assert_eq!(
        admin.get(ID).await.attribute("spent", "data-usd").as_deref(),
        Some("36.000000"),
        "in all, if not asked"
    );
    let text = overviews[1].readable();
    assert!(text.contains("Spent in the last 7 completed days $21.00 as of"), "{text}");
    assert!(text.contains("A $3.00 $7.00 $12.00 $12.00 $0.00 $12.00"), "{text}");
    assert!(text.contains("without a group $6.00 $14.00"), "{text}");

    let lists = each(&admin, GRANTS).await;
    let sums: Vec<_> = lists.iter().map(|page| page.attributes("grant", "data-spent-usd")).collect();
    assert_eq!(sums, dollars(1).map(|ada| vec![ada, "0.000000".to_owned()]));
    let found = admin.get(&format!("{GRANTS}?q=ada&state=live&window=7d")).await;
    assert_eq!(found.attributes("grant", "data-spent-usd"), ["7.000000"]);
    assert!(found.body.contains("grants?q=ada&#38;state=live&#38;window=30d"), "{}", found.body);
    assert_eq!(found.form(GRANTS).value("window"), Some("7d"), "looking for somebody else keeps the span");
    let nonsense = admin.get(&format!("{GRANTS}?window=2d")).await;
    assert_eq!(nonsense.attributes("grant", "data-spent-usd"), ["12.000000", "0.000000"], "in this window, as without");

    let page = admin.get(&format!("{GRANTS}/{ada}")).await;
    assert!(
        page.readable()
            .contains("1 day 7 days 30 days this window the term in all $3.00 $7.00 $12.00 $12.00 $0.00 $12.00")
    );
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn a_sum_that_is_not_known_is_never_nothing_and_one_that_is_estimated_says_so() {
    let stack = stack::in_process().await.unwrap();
    let (office, ada, now) = office_with_spending(&stack).await;
    let admin = signed_in(&stack, ADMIN).await;
    // The last sync was two days ago.
    looked(&office, now - 48.hours()).await;
    let day = admin.get(&format!("{ID}?window=1d")).await;
    assert_eq!(day.attribute("spent", "data-usd").as_deref(), Some("9.000000"));
    assert!(
        day.readable().contains("at least $9.00 as of")
            && day.readable().contains("not known yet for all of these days")
    );
    summed_up(&office, Days::default(), &[], now).await;
    let day = admin.get(&format!("{ID}?window=1d")).await;
    assert_eq!((day.text("spent").as_deref(), day.attribute("spent", "data-usd")), (Some("not known"), None));
    let list = admin.get(&format!("{GRANTS}?window=1d")).await;
    let text = list.readable();
    assert!(text.contains("at least $3.00") && text.contains("Where it says at least or not known"), "{text}");
    assert_eq!(list.attributes("grant", "data-spent-usd")[1], "0.000000", "who never had a key has used nothing");

    // Two nights were missed, and only the sum of their spending is known.
    let today = utc_date(now);
    let ago = |days: i64| today.checked_sub(days.days()).unwrap();
    let counted = KeyCounters { lifetime: Usd::from_dollars(20), today: Some(Usd::ZERO), on: today };
    let missed = Days::on_one(ago(4), Usd::from_dollars(2)).with(counted, Some(ago(3)));
    looked(&office, now).await;
    summed_up(&office, missed.clone(), &[("A", missed.clone())], now).await;
    used(&office, &ada, missed, now).await;
    let day = admin.get(&format!("{ID}?window=1d")).await;
    assert!(day.readable().contains("about $18.00 as of") && day.readable().contains("a night was missed"));
    assert_eq!(admin.get(&format!("{ID}?window=7d")).await.text("spent").as_deref(), Some("$20.00"));
    let page = admin.get(&format!("{GRANTS}/{ada}")).await.readable();
    assert!(page.contains("about $18.00 $20.00") && page.contains("Where it says about, a night was missed"), "{page}");
    stack.finish().await;
}
