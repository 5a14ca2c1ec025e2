//! What can be done to a grant: each act a pure function from what was read to what is to be written.

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

pub use begin::{BeginRefused, Begun, Press, PressKind};
pub use close::{CapRefused, Swept};
pub use drift::NotAsRead;
pub use enrol::{Line, LineRefused};
pub use hold::{Hold, HoldKind, HoldRefused, Holds, Pause, ReleaseRefused};
pub use lifecycle::{AnnouncedEnd, MailOutcome, Rule};
pub use limits::{Listed, NotSending, Wanted};
pub use order::{BETWEEN_LOOKS, LATE_ENABLE, Order, OrderKind, PutOff, SentLimit, ToldLimit, Urgency};
pub use record::{GaveUp, Minted, RecordRefused};
pub use recover::Found;
