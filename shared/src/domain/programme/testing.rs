//! The programme that the tests of the rules begin with.

use super::*;
use crate::domain::values::term::Term;

pub(crate) fn a_programme() -> Programme {
    let term = Term::new("2026-01-01".parse().unwrap(), "2026-04-10".parse().unwrap(), "UTC").unwrap();
    let settings = Settings::new("CS pilot", term, Usd::from_dollars(20));
    Programme::new(ProgrammeId::of_name("CS pilot"), settings)
}
