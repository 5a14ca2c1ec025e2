//! People: their identity, their sign-in, and their choice of mails.

pub(super) mod identity;
pub(super) mod mail_choice;
pub(super) mod rate_counts;
pub(super) mod sign_in;
