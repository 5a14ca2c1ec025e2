//! A pot that is reserved in full: its recipients are notified before a student is refused, once for each amount
//! of the pot.

use bursar_core::domain::usage::crossing::Scope;
use bursar_core::store::QueuedMail;
use bursar_tests::invariants::Snapshot;
use bursar_tests::office::Office;

use super::super::sync::{still, watch};
use super::{ProgrammeId, batch_of, look_at, record, set_pot};

/// The pot's amounts in the queued alerts about a fully reserved pot, one for each recipient.
fn owed(seen: &Snapshot, programme: &ProgrammeId) -> Vec<String> {
    let of = |mail: &QueuedMail| match mail {
        QueuedMail::Alert { programme: of, scope: Scope::Reserved, of_limit, .. } if of == programme => {
            Some(of_limit.to_dollars_down())
        }
        _ => None,
    };
    let mut owed: Vec<String> = seen.outbox.iter().filter_map(|row| of(&row.mail)).collect();
    owed.sort();
    owed
}

#[tokio::test]
async fn a_pot_that_is_promised_in_full_is_told_before_the_next_is_refused_and_once_for_each_amount() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let programme = &office.programme;
    let mut watch = watch(&stack);
    // A cap is $20, so two places fit and a third does not.
    set_pot(&stack, programme, 59).await;
    let look = async || look_at(&stack, batch_of(vec![record("pot", programme, None)])).await.unwrap();
    let (ada, bob, cyd) = (
        office.invite("ada@example.edu").await,
        office.invite("bob@example.edu").await,
        office.invite("cyd@example.edu").await,
    );
    look().await;
    assert_eq!(owed(watch.check().await, programme), [""; 0], "nobody has a key");
    office.claim(&ada).await;
    look().await;
    assert_eq!(owed(watch.check().await, programme), [""; 0], "there is room for another");
    office.claim(&bob).await;
    for _ in 0..2 {
        look().await;
        assert_eq!(owed(watch.check().await, programme), ["$59"], "$19 are left, and nobody in charge but the admin");
    }
    set_pot(&stack, programme, 60).await;
    look().await;
    assert_eq!(owed(watch.check().await, programme), ["$59"]);
    office.claim(&cyd).await;
    look().await;
    assert_eq!(owed(watch.check().await, programme), ["$59", "$60"]);
    for dollars in [80, 60] {
        set_pot(&stack, programme, dollars).await;
        look().await;
        assert_eq!(owed(watch.check().await, programme), ["$59", "$60"], "$60 was told");
    }
    stack.finish().await;
}
