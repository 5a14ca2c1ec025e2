//! Grants: acts on them, their readings, their enrolment, and the mails that announce an end.

pub(super) mod act;
pub(super) mod view;
