//! Waiting between two questions. How a wait passes is handed in, so that a test moves a clock and does not
//! sleep.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

type Pass = dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync;

/// The way in which waits pass.
#[derive(Clone)]
pub struct Waiting(Arc<Pass>);

/// A bounded patience: growing waits between questions until it is used up.
pub(crate) struct Patience {
    waiting: Waiting,
    next: Duration,
    passed: Duration,
    most: Duration,
}

/// The longest wait between two questions.
const LONGEST: Duration = Duration::from_secs(30);

impl Waiting {
    /// Waits that take their time.
    pub fn real() -> Waiting {
        Waiting::by(|wait| Box::pin(tokio::time::sleep(wait)))
    }

    /// Waits that pass in this way.
    pub fn by(pass: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Waiting {
        Waiting(Arc::new(pass))
    }

    pub(crate) async fn pass(&self, wait: Duration) {
        (self.0)(wait).await;
    }

    pub(crate) fn patience(&self, most: Duration) -> Patience {
        Patience { waiting: self.clone(), next: Duration::from_secs(1), passed: Duration::ZERO, most }
    }
}

impl Patience {
    /// Waits before the next question; false when the patience is over.
    pub(crate) async fn goes_on(&mut self) -> bool {
        let wait = self.next.min(self.most.saturating_sub(self.passed));
        if wait.is_zero() {
            return false;
        }
        self.waiting.pass(wait).await;
        self.passed += wait;
        self.next = (self.next * 2).min(LONGEST);
        true
    }

    /// When something was seen, in words.
    pub(crate) fn after(&self) -> String {
        match self.passed.as_secs() {
            0 => "at once".to_owned(),
            seconds => format!("within {seconds} s"),
        }
    }

    /// For how long something was not seen, in words.
    pub(crate) fn in_vain(&self) -> String {
        format!("not within {} s", self.passed.as_secs())
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.passed.is_zero()
    }
}
