//! Grants: acts on them, their readings, their enrolment, and the mails that announce an end.

pub(super) mod act;
pub(super) mod announcements;
pub(super) mod enrolment;
pub(super) mod readings;
pub(super) mod view;
