//! The acts on one finding. Each is decided anew on the grant as it is now, so a finding that is not so any more, or was seen
//! to by somebody else, comes to nothing; and each may be done twice.

mod key_check;
mod limit;
pub(crate) mod purge;
pub(crate) mod restrict;
pub(crate) mod see_to;
mod sweep;

/// The findings that are seen to side by side; then this must still be the one runner.
pub(crate) const SIDE_BY_SIDE: usize = 8;
