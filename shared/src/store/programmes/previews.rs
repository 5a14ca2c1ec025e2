//! Roster files, for as long as they may be applied: those that were uploaded, and those of the
//! registrar that wait for a person; and the token with which the registrar's tools put them. What
//! a file would change is not kept: it is computed from the file and the roster each time that
//! somebody looks. What an import did change is kept as long as its drops may be undone.

use futures_util::stream;
use futures_util::stream::{StreamExt, TryStreamExt};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, AuditDetail, AuditEntry};
use crate::domain::programme::role::{Role, is_among};
use crate::domain::programme::{Programme, Settings};
use crate::domain::values::address::EmailAddress;
use crate::domain::values::id::{PersonId, ProgrammeId};
use crate::domain::values::partition::{overview_key, overview_range};
use crate::domain::values::token::RegistrarTokenHash;
use crate::schema::{Queue, SHARDS, Stored, begin, key, stored};
use crate::store::items::MOST_IN_A_PART;
use crate::store::programmes::imports::IMPORT_KEPT;
use crate::store::table::write::{Transaction, Unaudited, Writes, instant, text};
use crate::store::{Author, OutboxRow, QueuedMail, Result, StaffPerson, Table};

/// How long a file that was uploaded may be applied.
pub const PREVIEW_LASTS: SignedDuration = SignedDuration::from_hours(24);
/// How long a registrar's file waits for a person.
pub const WAITS_FOR: SignedDuration = SignedDuration::from_hours(10 * 24);
const SIDE_BY_SIDE: usize = 8;

#[derive(Debug, Serialize, Deserialize)]
pub struct RosterPreview {
    /// The id of the import that would come of it.
    pub import: Ulid,
    pub programme: ProgrammeId,
    /// Until when it may be applied.
    pub until: Moment,
    /// Whether people whom the file does not name are dropped.
    pub replaces: bool,
    /// Under which heading the addresses stand, where its person said so.
    #[serde(default)]
    pub email_column: Option<String>,
    /// The version of the roster with which the file was compared.
    pub roster: String,
    /// The hash of all its rows with what each would change.
    pub rows: String,
    /// Why a registrar's file waits for a person; nothing where a person uploaded it.
    pub why: Vec<String>,
}

stored! {
    RosterPreview |preview| (programme: &ProgrammeId, import: Ulid = preview.import) => overview_key(programme, &format!("PREVIEW#{import}"));
    list of_programme(programme: &ProgrammeId) => overview_range(programme, "PREVIEW#");
    expires |preview| preview.until;
    waits |preview| if preview.waits() { Some((Queue::DECISION, preview.until - WAITS_FOR)) } else { None }
}

/// What lies in parts, each of which an item can hold.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    /// A roster file that may be applied.
    File,
    /// The file that an import applies.
    Applied,
    /// The rows that an import changes.
    Rows,
    /// What was confirmed: the grants of an action, or the places where a roster changes something.
    People,
}

/// A part of a roster file or of an import. They lie apart from what needs them, so that an erasure
/// finds also those of a request that died.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportPart {
    pub import: Ulid,
    pub programme: ProgrammeId,
    pub kept: Kept,
    pub part: u32,
    pub until: Moment,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

stored! {
    ImportPart |import_part| (import: Ulid = import_part.import, kept: Kept = import_part.kept, part: u32 = import_part.part) => key(parts_of(shard(import)), format!("{import}#{kept:?}#{part:05}"));
    list of_import(import: Ulid, kept: Kept) => begin(parts_of(shard(import)), &format!("{import}#{kept:?}#"));
    list in_shard(shard: char) => begin(parts_of(shard), "");
    expires |import_part| import_part.until
}

fn parts_of(shard: char) -> String {
    format!("IMPORTS#{shard}")
}

fn shard(import: Ulid) -> char {
    let digit = (import.0 % 16) as usize;
    SHARDS.get(digit).copied().unwrap_or('0')
}

impl ImportPart {
    /// Texts and numbers can always be written.
    pub fn bytes_of<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
        serde_json::to_vec(value).unwrap_or_default()
    }

    /// Whether the request that keeps it may still be under way, and begins a job then.
    pub(crate) fn is_of_a_request(&self, now: Moment) -> bool {
        self.until + SignedDuration::from_mins(1) > now + IMPORT_KEPT
    }
}

/// The token of the registrar's tools for one programme. It is good as long as the programme goes
/// on and its maker might make another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RosterToken {
    pub programme: ProgrammeId,
    pub hash: RegistrarTokenHash,
    pub made_by: PersonId,
    pub made_at: Moment,
    pub last_used_at: Option<Moment>,
}

stored! {
    RosterToken (programme: &ProgrammeId) => overview_key(programme, "ROSTER-TOKEN")
}

/// How many rows of a roster file change what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RosterChanges {
    pub added: usize,
    pub changed: usize,
    pub moved: usize,
    pub returned: usize,
    pub dropped: usize,
    pub refused: usize,
}

impl RosterToken {
    /// The audit entry that tells of its end.
    pub(crate) fn ended(&self, author: Author<'_>) -> AuditEntry {
        author.entry_on(&self.programme, AuditDetail::new(Act::RosterTokenEnded))
    }
}

impl Transaction {
    /// Takes a token away, on condition that no other was made meanwhile.
    pub(crate) fn ending(self, token: &RosterToken) -> Result<Transaction> {
        self.remove(
            &token.key(),
            "#hash = :hash",
            &[(":hash", text(token.hash.as_str()))],
        )
    }
}

impl RosterPreview {
    /// Whether it is a registrar's file.
    pub fn waits(&self) -> bool {
        !self.why.is_empty()
    }
}

impl Table {
    /// Keeps a file with its preview, which comes last, together with the mails that tell of it:
    /// once that is there, all of the file is.
    pub async fn keep_preview(
        &self,
        preview: &RosterPreview,
        file: &[u8],
        mails: &[OutboxRow],
        deadline: Deadline,
    ) -> Result<()> {
        let import = preview.import;
        let programme = preview.programme.clone();
        let until = preview.until;
        let part = ImportPart {
            import,
            programme,
            kept: Kept::File,
            part: 0,
            until,
            bytes: Vec::new(),
        };
        self.keep_bytes(&part, file, deadline).await?;
        let kept = self.transaction().create(preview)?.owe_all(mails)?;
        self.commit_once(kept.skip_audit(Unaudited::Notification), deadline)
            .await
            .map(drop)
    }

    /// Keeps bytes in parts that are like this one, some side by side, in place of those of a
    /// request that died.
    pub(crate) async fn keep_bytes(
        &self,
        template: &ImportPart,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<()> {
        let parts = bytes.chunks(MOST_IN_A_PART).zip(0..);
        let parts = parts.map(|(bytes, part)| ImportPart {
            part,
            bytes: bytes.to_vec(),
            ..template.clone()
        });
        let puts: Vec<_> = parts
            .map(|part| async move { self.set(&part, deadline).await })
            .collect();
        let mut puts = stream::iter(puts).buffer_unordered(SIDE_BY_SIDE);
        while puts.try_next().await?.is_some() {}
        Ok(())
    }

    /// The whole of what is kept, which is empty where there is nothing.
    pub async fn read_kept(&self, import: Ulid, kept: Kept) -> Result<Vec<u8>> {
        let parts = self.list(ImportPart::of_import(import, kept)).await?;
        Ok(parts.into_iter().flat_map(|part| part.bytes).collect())
    }

    /// A preview of this programme that may still be applied, with its file.
    pub async fn preview(
        &self,
        programme: &ProgrammeId,
        import: Ulid,
        now: Moment,
    ) -> Result<Option<(RosterPreview, Vec<u8>)>> {
        let kept = self.get(RosterPreview::key_of(programme, import)).await?;
        let Some(kept) = kept.filter(|kept| now < kept.until) else {
            return Ok(None);
        };
        let file = self.read_kept(import, Kept::File).await?;
        // An erasure may have taken it away.
        Ok((!file.is_empty()).then_some((kept, file)))
    }

    /// Takes away the registrar's files that wait and are no newer than this one, and itself unless
    /// it waits on.
    pub async fn remove_waiting_files(
        &self,
        newest: &RosterPreview,
        waits_on: bool,
        deadline: Deadline,
    ) -> Result<()> {
        for preview in self
            .list(RosterPreview::of_programme(&newest.programme))
            .await?
        {
            let is_former = preview.waits() && preview.until <= newest.until;
            if !is_former || waits_on && preview.import == newest.import {
                continue;
            }
            self.delete(&preview.key(), deadline).await?;
            for part in self
                .list(ImportPart::of_import(preview.import, Kept::File))
                .await?
            {
                self.delete(&part.key(), deadline).await?;
            }
        }
        Ok(())
    }

    /// The mails about a registrar's file to those in charge of its programme.
    pub async fn mails_about_import(
        &self,
        programme: &Programme,
        import: Option<Ulid>,
        changes: RosterChanges,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Vec<OutboxRow>> {
        self.mails_to_those_in_charge(programme, now, deadline, |programme, recipient| {
            QueuedMail::Import {
                programme,
                import,
                changes,
                recipient,
            }
        })
        .await
    }

    /// Makes this the token of the programme in place of the one before.
    pub async fn set_roster_token(&self, token: &RosterToken, author: Author<'_>) -> Result<()> {
        let audit_entry = author.entry_on(&token.programme, AuditDetail::new(Act::RosterTokenMade));
        self.commit_once(
            self.transaction()
                .set(token)?
                .with_entries(&[audit_entry])?,
            author.deadline,
        )
        .await
        .map(drop)
    }

    /// Ends a token, unless another was made meanwhile.
    pub async fn end_roster_token(&self, token: &RosterToken, author: Author<'_>) -> Result<()> {
        let ended = self.transaction().ending(token)?;
        self.commit_once(ended.with_entries(&[token.ended(author)])?, author.deadline)
            .await
            .map(drop)
    }

    /// Whether whoever made a token may make one, by these settings and admins.
    pub async fn is_makers(
        &self,
        token: &RosterToken,
        settings: &Settings,
        admins: &[EmailAddress],
    ) -> Result<bool> {
        let Some(maker) = self.get(StaffPerson::key_of(&token.made_by)).await? else {
            return Ok(false);
        };
        let maker = maker.address.matched();
        Ok(Role::find(maker, settings, is_among(maker, admins)) >= Some(Role::Faculty))
    }

    /// Notes that a token is in use, unless another was made meanwhile.
    pub async fn note_token_use(
        &self,
        token: &RosterToken,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        let values = [(":now", instant(now)), (":hash", text(token.hash.as_str()))];
        self.single()
            .update(
                &token.key(),
                "SET last_used_at = :now",
                "#hash = :hash",
                &values,
            )?
            .write(deadline)
            .await
            .map(drop)
    }
}
