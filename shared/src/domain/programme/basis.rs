//! How a key's limit counts.

use serde::{Deserialize, Serialize};

use crate::domain::values::window::Reset;

/// How a key's limit counts, which is fixed from the first key on: the provider cannot change it in
/// a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Basis {
    pub reset: Reset,
    pub byok: Byok,
}

/// Whether spending with a student's own provider key counts against the cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Byok {
    #[default]
    Inside,
    Outside,
}
