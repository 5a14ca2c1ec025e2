//! The context of an act: who does it, when, and until when it may be tried.

use crate::clock::Moment;

use crate::deadline::Deadline;
use crate::domain::audit::Actor;
use crate::domain::values::id::{GrantId, ProgrammeId};

/// The grant that an act is about, when it happens, and until when it may be tried.
#[derive(Debug, Clone, Copy)]
pub struct ActContext<'a> {
    pub programme: &'a ProgrammeId,
    pub grant: &'a GrantId,
    pub now: Moment,
    pub deadline: Deadline,
}

/// The person who acts on a programme, when, and until when it may be tried.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    pub actor: &'a Actor,
    pub now: Moment,
    pub deadline: Deadline,
}
