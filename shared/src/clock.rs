//! The product's clock: the only source of times that are stored or compared with stored ones. Time-outs and
//! the time left in an invocation run on the monotonic clock instead (`deadline.rs`).

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// The clock. Handlers read it once per request and pass the time on as `now`.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Clock {
        Clock(Arc::new(Timestamp::now))
    }

    /// A clock that others move: the local bundle's and the tests'.
    pub fn reading(tell: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(tell))
    }

    /// The current time in the whole milliseconds that are stored.
    pub fn now(&self) -> Timestamp {
        let now = (self.0)();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
