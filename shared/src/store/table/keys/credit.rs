//! Keys of what is known and told of the account's credit.

use super::account::ACCOUNT;
use super::{ItemKey, key};

/// What the admins were last told of the balance.
pub fn balance_notice() -> ItemKey {
    key(ACCOUNT, "BALANCE-NOTICE")
}
