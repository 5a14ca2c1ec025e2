//! Mails to students. They only say where to look, and the pages require a sign-in.

mod cap_used;
mod notice;
mod roster;
