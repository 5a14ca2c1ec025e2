//! What the functions of Bursar share. Nothing here listens, schedules or prints: a function's own crate holds its use case,
//! and `infra/local` the stand-ins.

pub mod clock;
pub mod domain;
