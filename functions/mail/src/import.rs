//! The mail about a registrar's file, to those in charge of the programme: what it changed, that it
//! waits and why, or that none comes.

use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::format::time_in;
use bursar_core::domain::values::id::{PersonId, ProgrammeId};
use bursar_core::store::{Import, RosterChanges, RosterPreview};
use ulid::Ulid;

use crate::App;
use crate::compose::NoMail;
use crate::letter::words::{Words, say};
use crate::letter::{Letter, LetterPart, plain};

impl App {
    /// The mail about a file as things stand: one that waited may have been applied since, or
    /// another may have come.
    pub(crate) async fn import(
        &self,
        programme: &ProgrammeId,
        import: Option<Ulid>,
        changes: &RosterChanges,
        recipient: &PersonId,
    ) -> Result<Letter, NoMail> {
        let file = import.unwrap_or_default();
        let waiting = self
            .table
            .get(RosterPreview::key_of(programme, file))
            .await?;
        let applied = self.table.get(Import::key_of(programme, file)).await?;
        let programme = self.programme(programme).await?;
        let person = self.decider(recipient, &programme).await?;
        if import.is_none() || applied.is_some_and(|import| import.applied) {
            return Ok(self.to(&person.address, |words| {
                words.about_a_file(&programme, import, changes, None)
            }));
        }
        let waiting = waiting.ok_or(NoMail::NotDue("the file does not wait any more"))?;
        Ok(self.to(&person.address, |words| {
            words.about_a_file(&programme, import, changes, Some(&waiting))
        }))
    }
}

/// What differs between the mails about a file.
struct FileWords {
    subject: &'static str,
    heading: &'static str,
    news: String,
    to_do: String,
    link: &'static str,
}

impl Words<'_> {
    fn about_a_file(
        self,
        programme: &Programme,
        import: Option<Ulid>,
        changes: &RosterChanges,
        waiting: Option<&RosterPreview>,
    ) -> Letter {
        let name = plain(&programme.settings.name);
        let words = match (import, waiting) {
            (None, _) => FileWords {
                subject: "the registrar's file no longer comes",
                heading: "The registrar's file no longer comes",
                news: format!(
                    "The registrar's token for {name} was not used for four days. Until a file comes, students who have joined the \
                     course cannot get a key, and students who have left keep theirs."
                ),
                to_do: "Ask the registrar whether the program that puts the file still runs, and what answer it gets. If no more \
                        files are to come, end the token on the roster page. You get this mail once, and again only after the \
                        token has been used."
                    .to_owned(),
                link: "Open the roster",
            },
            (_, None) => FileWords {
                subject: "the registrar's file changed the roster",
                heading: "The roster has changed",
                news: format!("The registrar's file has changed the roster of {name}."),
                to_do: if changes.dropped > 0 {
                    "Within seven days you can undo the drops on the roster page. The next file must name these people too, or it drops them again.".to_owned()
                } else {
                    "There is nothing for you to do.".to_owned()
                },
                link: "See what changed",
            },
            (_, Some(RosterPreview { why, until, .. })) => FileWords {
                subject: "a registrar's file waits for you",
                heading: "A registrar's file waits for you",
                news: format!(
                    "A registrar's file for {name} waits for you, and changes nothing until you apply it. {}",
                    plain(&why.join(" "))
                ),
                to_do: format!(
                    "Check what the file would change, and apply it if that is right. The file waits until {}, or until the next one comes.",
                    time_in(*until, programme.settings.term.zone())
                ),
                link: "See what it would change",
            },
        };
        let page = import.map_or(String::new(), |import| format!("/{import}"));
        Letter {
            subject: format!("{name}: {}", words.subject),
            heading: words.heading.to_owned(),
            parts: vec![
                say(words.news),
                facts(changes),
                say(words.to_do),
                self.page(
                    words.link,
                    &format!("/console/programmes/{}/roster{page}", programme.id),
                ),
            ],
            why: format!("You get this mail because you decide about the roster of {name}."),
            ..self.letter()
        }
    }
}

/// What the file changes, without what it does not.
fn facts(changes: &RosterChanges) -> LetterPart {
    let RosterChanges {
        added,
        changed,
        moved,
        returned,
        dropped,
        refused,
    } = *changes;
    let counts = [
        ("Added", added),
        ("Name, address or id changed", changed),
        ("Moved to another group", moved),
        ("Returned", returned),
        ("Dropped", dropped),
        ("Rows that were refused", refused),
    ];
    LetterPart::facts(
        counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name, count.to_string())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{at, programme, told};

    #[tokio::test]
    async fn a_file_was_applied() {
        let changes = RosterChanges {
            added: 3,
            moved: 1,
            dropped: 2,
            ..RosterChanges::default()
        };
        insta::assert_snapshot!(told(|words| words.about_a_file(&programme(), Some(Ulid::nil()), &changes, None)).await, @"
        CS pilot: the registrar's file changed the roster
        The roster has changed
        The registrar's file has changed the roster of CS pilot.
        Added: 3
        Moved to another group: 1
        Dropped: 2
        Within seven days you can undo the drops on the roster page. The next file must name these people too, or it drops them again.
        See what changed: https://bursar.example.edu/console/programmes/cs-pilot/roster/00000000000000000000000000
        You get this mail because you decide about the roster of CS pilot.
        ");
    }

    #[tokio::test]
    async fn no_file_comes() {
        let none = RosterChanges::default();
        insta::assert_snapshot!(told(|words| words.about_a_file(&programme(), None, &none, None)).await, @"
        CS pilot: the registrar's file no longer comes
        The registrar's file no longer comes
        The registrar's token for CS pilot was not used for four days. Until a file comes, students who have joined the course cannot get a key, and students who have left keep theirs.
        Ask the registrar whether the program that puts the file still runs, and what answer it gets. If no more files are to come, end the token on the roster page. You get this mail once, and again only after the token has been used.
        Open the roster: https://bursar.example.edu/console/programmes/cs-pilot/roster
        You get this mail because you decide about the roster of CS pilot.
        ");
    }

    #[tokio::test]
    async fn a_file_waits() {
        let changes = RosterChanges {
            added: 12,
            refused: 3,
            ..RosterChanges::default()
        };
        let waiting = RosterPreview {
            import: Ulid::nil(),
            programme: programme().id,
            until: at("2026-11-30T03:00:00Z"),
            replaces: true,
            email_column: None,
            roster: "0123456789ab".to_owned(),
            rows: "0".repeat(64),
            why: [
                "It adds 12 to the 40 people on the roster, more than a fifth.",
                "Of its 50 rows 3 are refused.",
            ]
            .map(str::to_owned)
            .into(),
        };
        insta::assert_snapshot!(told(|words| words.about_a_file(&programme(), Some(Ulid::nil()), &changes, Some(&waiting))).await, @"
        CS pilot: a registrar's file waits for you
        A registrar's file waits for you
        A registrar's file for CS pilot waits for you, and changes nothing until you apply it. It adds 12 to the 40 people on the roster, more than a fifth. Of its 50 rows 3 are refused.
        Added: 12
        Rows that were refused: 3
        Check what the file would change, and apply it if that is right. The file waits until 30 Nov 2026, 04:00 (Europe/Berlin), or until the next one comes.
        See what it would change: https://bursar.example.edu/console/programmes/cs-pilot/roster/00000000000000000000000000
        You get this mail because you decide about the roster of CS pilot.
        ");
    }
}
