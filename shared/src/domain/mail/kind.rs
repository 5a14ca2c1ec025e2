//! The kinds of mail, by the names that stand in their header and in the records.

use crate::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailKind {
    Link,
    Roster,
    KeyShown,
    KeyLeaked,
    Alert,
    Account,
    Digest,
    /// Notices to a student about their cap, and about the rules of a programme.
    Student,
    Request,
    /// The statement of a month, to the finance addresses of programmes.
    Statement,
}

impl MailKind {
    pub const ALL: [MailKind; 10] = [
        MailKind::Link,
        MailKind::Roster,
        MailKind::KeyShown,
        MailKind::KeyLeaked,
        MailKind::Alert,
        MailKind::Account,
        MailKind::Digest,
        MailKind::Student,
        MailKind::Request,
        MailKind::Statement,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            MailKind::Link => "link",
            MailKind::Roster => "roster",
            MailKind::KeyShown => "key-shown",
            MailKind::KeyLeaked => "key-leaked",
            MailKind::Alert => "alert",
            MailKind::Account => "account",
            MailKind::Digest => "digest",
            MailKind::Student => "student",
            MailKind::Request => "request",
            MailKind::Statement => "statement",
        }
    }

    /// The kind's name in the plural.
    pub fn in_words(self) -> &'static str {
        match self {
            MailKind::Link => "links to sign in",
            MailKind::Roster => "roster mails",
            MailKind::KeyShown => "notices of a new key",
            MailKind::KeyLeaked => "notices of a leaked key",
            MailKind::Alert => "alerts",
            MailKind::Account => "mails to admins about the account",
            MailKind::Digest => "digests",
            MailKind::Student => "notices to students about caps and rules",
            MailKind::Request => "requests to admins",
            MailKind::Statement => "statements to finance",
        }
    }

    /// Whether the kind is bulk: written to many people at once, and able to wait. Bulk mail is stopped when
    /// too much of it comes back. Mail that somebody waits for, or that tells of money in time, is not.
    pub fn is_bulk(self) -> bool {
        matches!(self, MailKind::Roster | MailKind::Digest | MailKind::Student | MailKind::Statement)
    }
}

impl std::fmt::Display for MailKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_stored_under_the_name_that_its_header_says() {
        for kind in MailKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
