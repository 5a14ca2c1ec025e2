//! How a type lies in the table: its key, its expiry and its queue, which it says beside its
//! fields. Nothing above is known here: a queue is a name, and the partitions that ids name are
//! with the ids, in `domain/values/partition.rs`.

mod keys;
mod kinds;
mod packed;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::Moment;
pub(crate) use keys::{ACCOUNT, AUDIT, begin, due, key, overview};
pub use keys::{ItemKey, Range, SHARDS, TableKey, foreign_partition};
pub use kinds::{AtErasure, Kind};
pub use packed::NotPacked;
pub(crate) use packed::{packed, unpack};

pub trait Stored: Serialize + DeserializeOwned {
    /// The value of the attribute `kind`, by which the stream's readers and people tell items
    /// apart.
    const KIND: &'static str;

    fn key(&self) -> TableKey<Self>;

    /// When the table may delete it. Readers compare the time too.
    fn expires(&self) -> Option<Moment> {
        None
    }

    fn due(&self) -> Option<(Queue, Moment)> {
        None
    }
}

/// Says how a type lies in the table, beside its fields: its key, by the ids that name it, which
/// are the fields of those names unless it says otherwise; the lists of several of them; and where
/// it has them, its expiry and its queue.
macro_rules! stored {
    (@id $field:expr) => {
        &$field
    };
    (@id $field:expr, $from:expr) => {
        $from
    };
    ($item:ident $(|$it:ident|)? ($($id:ident: $of:ty $(= $from:expr)?),*) => $key:expr
     $(; list $list:ident ($($listed:ident: $by:ty),*) => $range:expr)*
     $(; expires |$expiring:ident| $expires:expr)? $(; waits |$waiting:ident| $waits:expr)?) => {
        impl $item {
            pub fn key_of($($id: $of),*) -> $crate::schema::TableKey<$item> {
                $key.into()
            }

            $(pub fn $list($($listed: $by),*) -> $crate::schema::Range<$item> {
                $range
            })*
        }

        impl $crate::schema::Stored for $item {
            const KIND: &'static str = $crate::schema::Kind::$item.as_str();

            fn key(&self) -> $crate::schema::TableKey<$item> {
                $(let $it = self;)?
                $item::key_of($($crate::schema::stored!(@id self.$id $(, $from)?)),*)
            }

            $(fn expires(&self) -> Option<crate::clock::Moment> {
                let $expiring = self;
                $expires.into()
            })?

            $(fn due(&self) -> Option<($crate::schema::Queue, crate::clock::Moment)> {
                let $waiting = self;
                $waits
            })?
        }
    };
}
pub(crate) use stored;

/// The name of a queue, of which the index holds the items by the time at which they are due. Those
/// of grants and mails are named by their urgency and their class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Queue(pub &'static str);

impl Queue {
    pub const DEAD_MAIL: Queue = Queue("mail-dead");
    /// Invitations that come before keys can be claimed, by when they are looked at again.
    pub const PLANNED_MAIL: Queue = Queue("mail-planned");
    /// Mails that the mail server took at this time, for as long as their rows are kept.
    pub const SENT_MAIL: Queue = Queue("sent");
    pub const UNREACHABLE: Queue = Queue("unreachable");
    pub const UNWANTED: Queue = Queue("unwanted");
    /// Addresses that no mail goes to before this time.
    pub const UNREACHABLE_UNTIL: Queue = Queue("unreachable-until");
    pub const JOB: Queue = Queue("job");
    /// Guardrails, and tiers that they follow.
    pub const GUARDRAIL: Queue = Queue("guardrail");
    /// Programmes whose people are to be forgotten so long after this time.
    pub const RETENTION: Queue = Queue("retention");
    /// What a person must decide, since this time.
    pub const DECISION: Queue = Queue("decision");
}
