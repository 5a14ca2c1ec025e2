//! People: who somebody is, how they sign in, and which mails they want.

pub(super) mod identity;
pub(super) mod mail_choice;
pub(super) mod rate_counts;
pub(super) mod sign_in;
