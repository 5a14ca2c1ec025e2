//! What the door refused, for the log: which kind, and nothing of whom. Alarms of the stack count the lines.

/// Why somebody was not let do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// A link that is none, or used up, or not shown to be theirs.
    Link,
    /// A code that is none.
    Code,
    /// A form of another site.
    Origin,
    /// A form of another session.
    Form,
    /// What their role does not allow.
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

/// Leaves a line in the log.
pub fn note_refusal(refused: Denial) {
    tracing::info!(refused = refused.as_str(), "somebody was refused");
}
