//! What every act is told besides what it is about: who does it, when, and until when it may try.

use jiff::Timestamp;

use crate::deadline::Deadline;
use crate::domain::audit::Actor;
use crate::domain::values::id::{GrantId, ProgrammeId};

/// Which grant, when, and until when: what every act is told.
#[derive(Debug, Clone, Copy)]
pub struct ActContext<'a> {
    pub programme: &'a ProgrammeId,
    pub grant: &'a GrantId,
    pub now: Timestamp,
    pub deadline: Deadline,
}

/// Who acts on a programme, when, and until when.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    pub actor: &'a Actor,
    pub now: Timestamp,
    pub deadline: Deadline,
}
