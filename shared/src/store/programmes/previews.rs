//! Roster files, for as long as they may be applied: those that were uploaded, and those of the registrar that wait for a person; and the
//! token with which the registrar's tools put them. What a file would change is not kept: it is computed from the file and the roster
//! each time that somebody looks.

use crate::domain::values::token::RegistrarTokenHash;
use crate::store::items::MOST_IN_A_PART;
use crate::store::prelude::*;

/// How long a file that was uploaded may be applied.
pub const PREVIEW_LASTS: SignedDuration = SignedDuration::from_hours(24);
/// How long a registrar's file waits for a person.
pub const WAITS_FOR: SignedDuration = SignedDuration::from_hours(10 * 24);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterPreview {
    /// The id of the import that would come of it.
    pub import: Ulid,
    pub programme: ProgrammeId,
    /// Until when it may be applied.
    pub until: Moment,
    /// Whether people whom the file does not name are dropped.
    pub replaces: bool,
    /// The version of the roster with which the file was compared.
    pub roster: String,
    /// Why a registrar's file waits for a person; nothing where a person uploaded it.
    pub why: Vec<String>,
}

stored! {
    "roster-preview" RosterPreview |it| (programme: &ProgrammeId = &it.programme, import: Ulid = it.import) => key(programme_partition(programme), overview(&format!("PREVIEW#{import}")));
    list of_programme(programme: &ProgrammeId) => begin(programme_partition(programme), &overview("PREVIEW#"));
    expires it.until
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterFilePart {
    pub import: Ulid,
    pub part: u32,
    pub until: Moment,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

stored! {
    "roster-file" RosterFilePart |it| (import: Ulid = it.import, part: u32 = it.part) => key(format!("I#{import}"), format!("FILE#{part:05}"));
    list of_import(import: Ulid) => begin(format!("I#{import}"), "FILE#");
    expires it.until
}

/// The token of the registrar's tools for one programme. It is good as long as the programme goes on and its maker might make another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterToken {
    pub programme: ProgrammeId,
    pub hash: RegistrarTokenHash,
    pub made_by: PersonId,
    pub made_at: Moment,
    pub last_used_at: Option<Moment>,
}

stored! {
    "roster-token" RosterToken |it| (programme: &ProgrammeId = &it.programme) => key(programme_partition(programme), overview("ROSTER-TOKEN"))
}

/// How many rows of a roster file change what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterChanges {
    pub added: usize,
    pub changed: usize,
    pub moved: usize,
    pub returned: usize,
    pub dropped: usize,
    pub refused: usize,
}

impl RosterPreview {
    /// Whether it is a registrar's file.
    pub fn waits(&self) -> bool {
        !self.why.is_empty()
    }
}

impl Table {
    /// Keeps a file with its preview, which comes last, together with the mails that tell of it: once that is there, all of the file is.
    pub async fn keep_preview(
        &self,
        preview: &RosterPreview,
        file: &[u8],
        mails: &[OutboxRow],
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let (import, until) = (preview.import, preview.until);
        let parts = file.chunks(MOST_IN_A_PART).zip(0..).map(|(bytes, part)| async move {
            self.put_new(&RosterFilePart { import, part, until, bytes: bytes.to_vec() }, deadline).await
        });
        try_join_all(parts).await?;
        let kept = self.transaction().create(preview)?.owing_to_all(mails)?;
        self.commit_once(kept.unaudited(Unaudited::Notification), deadline).await.map(drop)
    }

    /// A preview of this programme that may still be applied, with its file.
    pub async fn preview(
        &self,
        programme: &ProgrammeId,
        import: Ulid,
        now: Moment,
    ) -> Result<Option<(RosterPreview, Vec<u8>)>, StoreError> {
        let kept = self.get(RosterPreview::key_of(programme, import)).await?;
        let Some(kept) = kept.filter(|kept| now < kept.until) else { return Ok(None) };
        let parts = self.list(RosterFilePart::of_import(import)).await?;
        Ok(Some((kept, parts.into_iter().flat_map(|part| part.bytes).collect())))
    }

    /// Takes away the registrar's files that wait, but this one. The preview goes last: as long as it is there, an erasure finds its file.
    pub async fn remove_waiting_files(
        &self,
        programme: &ProgrammeId,
        but: Option<Ulid>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let previews = self.list(RosterPreview::of_programme(programme)).await?.into_iter();
        for preview in previews.filter(|preview| preview.waits() && Some(preview.import) != but) {
            for part in self.list(RosterFilePart::of_import(preview.import)).await? {
                self.delete(&part.key(), deadline).await?;
            }
            self.delete(&preview.key(), deadline).await?;
        }
        Ok(())
    }

    /// The mails about a registrar's file to those in charge of its programme.
    pub async fn mails_about_import(
        &self,
        programme: &Programme,
        import: Ulid,
        changes: RosterChanges,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        let in_charge = self.people_of(&self.in_charge(&programme.settings).await?, deadline).await?;
        let mail = |recipient| QueuedMail::Import { programme: programme.id.clone(), import, changes, recipient };
        let rows = in_charge.into_iter().take(MAILS_AT_ONCE);
        Ok(rows.map(|recipient| OutboxRow::queued(new_ulid(now), mail(recipient), now)).collect())
    }

    /// Makes this the token of the programme in place of the one before, or ends that.
    pub async fn set_roster_token(
        &self,
        programme: &ProgrammeId,
        token: Option<&RosterToken>,
        by: Author<'_>,
    ) -> Result<(), StoreError> {
        let (transaction, act) = match token {
            Some(token) => (self.transaction().set(token)?, Act::RosterTokenMade),
            None => {
                let key = RosterToken::key_of(programme);
                (self.transaction().remove(&key, "attribute_exists(pk)", &[])?, Act::RosterTokenEnded)
            }
        };
        let entry = Entry::on_programme(programme, by.actor, by.now, AuditDetail::new(act));
        // Where there is none, it is ended already.
        self.commit_once(transaction.told_by(&[entry])?, by.deadline).await.map(drop)
    }

    /// Notes that a token is in use, unless another was made meanwhile.
    pub async fn note_token_use(&self, token: &RosterToken, now: Moment, deadline: Deadline) -> Result<(), StoreError> {
        let values = [(":now", instant(now)), (":hash", text(token.hash.as_str()))];
        let used = self.transaction().update(&token.key(), "SET last_used_at = :now", "#hash = :hash", &values)?;
        self.write_alone(used, deadline).await.map(drop)
    }
}
