//! Where money goes: spending, reports, the close-out, statements, the account, and keys made
//! elsewhere.

pub(crate) mod account;
pub(crate) mod closeout;
pub(crate) mod owners;
pub(crate) mod report;
pub(crate) mod spending;
pub(crate) mod statement;
