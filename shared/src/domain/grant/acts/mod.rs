//! The acts on a grant, each a pure function from what was read to what is to be written.

mod begin;
mod close;
mod drift;
mod enrol;
mod hold;
mod lifecycle;
mod limits;
mod order;
mod record;
mod recover;
mod rules;

pub use begin::{BeginRefused, KeyRequest, KeyRequestKind, OpenAttempt};
pub use close::{CapRefused, SweepOutcome};
pub use drift::NotAsRead;
pub use enrol::{LineRefused, RosterLine};
pub use hold::{Hold, HoldKind, HoldRefused, Holds, Pause, ReleaseRefused};
pub use lifecycle::{AnnouncedEnd, NoticeDelivery, Rule};
pub use limits::{ListedLimit, NotSending, WantedLimit};
pub use order::{BETWEEN_LOOKS, LATE_ENABLE, LargerLimit, Order, OrderBackoff, OrderKind, SentLimit, Urgency};
pub use record::{AttemptFailure, MintedKey, RecordRefused};
pub use recover::RecoveredKey;
pub use rules::NotMoved;
