//! Values that the tests of the rules begin with.

use super::*;
use crate::domain::programme::Budget;
pub(crate) use crate::domain::programme::testing::a_programme;

pub(crate) fn a_grant() -> Grant {
    let person = Person { address: EmailAddress::parse("ada@uni.edu").unwrap(), name: None, roster_id: None };
    Grant::invited(a_programme().id, "0123456789abcdef".parse().unwrap(), person, None)
}

pub(crate) fn a_view() -> View {
    let programme = a_programme();
    let budget = Budget::new(programme.id.clone(), Usd::from_dollars(100));
    View { programme, budget, grant: a_grant(), readings: Vec::new() }
}
