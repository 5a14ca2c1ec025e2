//! Refusals for the log, by their kind and without personal data. Alarms of the stack count the lines.

/// The reason that a person was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// A link that is unknown, used up, or not shown to be theirs.
    Link,
    /// A wrong code.
    Code,
    /// A form of another site.
    Origin,
    /// A form of another session.
    Form,
    /// An action that their role does not allow.
    Right,
}

impl Denial {
    fn as_str(self) -> &'static str {
        match self {
            Denial::Link => "link",
            Denial::Code => "code",
            Denial::Origin => "origin",
            Denial::Form => "form",
            Denial::Right => "right",
        }
    }
}

/// Logs a refusal.
pub fn note_refusal(refused: Denial) {
    tracing::info!(refused = refused.as_str(), "somebody was refused");
}
