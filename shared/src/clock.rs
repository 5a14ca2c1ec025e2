//! The product's clock: the only source of times that are stored or compared with stored ones.
//! Time-outs and the time left in an invocation run on the monotonic clock instead
//! ([`deadline`](crate::deadline)).

use std::fmt;
use std::ops::{Add, AddAssign, Deref, Sub};
use std::str::FromStr;
use std::sync::Arc;

use jiff::{SignedDuration, Span, Timestamp, TimestampArithmetic};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant in whole milliseconds, stored as their number since 1970. One that was written is
/// read back as it was, and conditions of the table compare it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Timestamp);

impl Moment {
    pub const MIN: Moment = Moment(Timestamp::MIN);
    pub const MAX: Moment = Moment(Timestamp::MAX);
    pub const UNIX_EPOCH: Moment = Moment(Timestamp::UNIX_EPOCH);

    pub fn now() -> Moment {
        Timestamp::now().into()
    }

    /// This second since 1970, where it is known to be one.
    pub const fn constant(second: i64) -> Moment {
        Moment(Timestamp::constant(second, 0))
    }

    pub fn from_second(second: i64) -> Result<Moment, jiff::Error> {
        Timestamp::from_second(second).map(Moment)
    }

    pub fn from_millisecond(millisecond: i64) -> Result<Moment, jiff::Error> {
        Timestamp::from_millisecond(millisecond).map(Moment)
    }

    pub fn checked_add(
        self,
        duration: impl Into<TimestampArithmetic>,
    ) -> Result<Moment, jiff::Error> {
        self.0.checked_add(duration).map(Moment)
    }

    pub fn duration_since(self, earlier: Moment) -> SignedDuration {
        self.0.duration_since(earlier.0)
    }
}

impl From<Timestamp> for Moment {
    fn from(timestamp: Timestamp) -> Moment {
        Moment(Timestamp::from_millisecond(timestamp.as_millisecond()).unwrap_or(timestamp))
    }
}

impl From<Moment> for Timestamp {
    fn from(moment: Moment) -> Timestamp {
        moment.0
    }
}

impl FromStr for Moment {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Moment, jiff::Error> {
        text.parse::<Timestamp>().map(Moment::from)
    }
}

impl Deref for Moment {
    type Target = Timestamp;
    fn deref(&self) -> &Timestamp {
        &self.0
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0.as_millisecond())
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Moment, D::Error> {
        Moment::from_millisecond(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

macro_rules! moves_by {
    ($($by:ty)*) => { $(
        impl Add<$by> for Moment {
            type Output = Moment;
            fn add(self, by: $by) -> Moment {
                Moment(self.0 + by)
            }
        }

        impl Sub<$by> for Moment {
            type Output = Moment;
            fn sub(self, by: $by) -> Moment {
                Moment(self.0 - by)
            }
        }

        impl AddAssign<$by> for Moment {
            fn add_assign(&mut self, by: $by) {
                self.0 += by;
            }
        }
    )* };
}

moves_by!(SignedDuration Span std::time::Duration);

impl Sub for Moment {
    type Output = Span;
    fn sub(self, earlier: Moment) -> Span {
        self.0 - earlier.0
    }
}

/// The clock. Handlers read it once per request and pass the time on as `now`.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Clock {
    pub fn system() -> Clock {
        Clock(Arc::new(Moment::now))
    }

    /// A clock that others move: the local bundle's and the tests'.
    pub fn reading(tell: impl Fn() -> Moment + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(tell))
    }

    pub fn now(&self) -> Moment {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
