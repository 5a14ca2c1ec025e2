//! A restored table: mails that it has queued may have been sent since.

use bursar_core::store::{MailState, Meta, Run};
use bursar_tests::office::as_sync;
use jiff::SignedDuration;

use super::{PostOffice, soon};

impl PostOffice {
    /// Marks the table as a restored one.
    async fn becomes_a_copy(&self) {
        let meta = self.table.meta(self.stack.clock.now()).await.unwrap();
        self.raw.keep(&Meta { table: "the-one-before".to_owned(), ..meta }).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_copy_owes_from_before_its_last_run_is_not_sent_and_what_came_later_is() {
    let mut post = PostOffice::open().await;
    post.invite("ada@example.edu").await;
    let now = post.stack.clock.now();
    assert!(
        as_sync(&post.table, async |sync| sync.record_run(&Run::ended(now, now, true, "{}".to_owned())).await).await
    );
    post.stack.clock.advance(SignedDuration::from_secs(1)).unwrap();
    post.invite("bob@example.edu").await;
    post.becomes_a_copy().await;
    post.settle().await;
    let mailed: Vec<String> = post.unread().into_iter().map(|mail| mail.to).collect();
    assert_eq!(mailed, ["bob@example.edu"]);

    // After the recovery it is a table like any other.
    post.table.adopt(soon()).await.unwrap();
    post.invite("cleo@example.edu").await;
    post.settle().await;
    assert_eq!(post.unread().len(), 1);
    let seen = post.watch.check().await;
    let dropped = seen.outbox.iter().filter(|row| matches!(row.state, MailState::Dropped { .. })).count();
    assert_eq!(dropped, 1);
    post.stack.finish().await;
}
