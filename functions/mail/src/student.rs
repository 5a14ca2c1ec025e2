//! What students are told by mail. Such a mail only says where to look, and whoever opens that signs in first.

mod cap_used;
mod notice;
mod roster;
