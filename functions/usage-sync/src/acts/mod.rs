//! The acts on one finding. Each is decided again on the grant as it is by then, so a finding that no longer
//! holds leads to nothing. Each may be done twice.

mod key_check;
mod limit;
pub(crate) mod purge;
pub(crate) mod see_to;
mod sweep;

/// How many findings are handled at once; between batches the lease is checked.
pub(crate) const SIDE_BY_SIDE: usize = 8;
