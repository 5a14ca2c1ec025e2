//! Roster files that were uploaded, for as long as they may be applied. What one would change is not kept: it is computed from the file
//! and the roster each time that somebody looks.

use futures_util::future::try_join_all;

use crate::prelude::*;
use crate::store::items::MOST_IN_A_PART;

/// How long a file may be applied.
const PREVIEW_LASTS: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterPreview {
    /// The id of the import that would come of it.
    pub import: Ulid,
    pub programme: ProgrammeId,
    pub made_at: Moment,
    /// Whether people whom the file does not name are dropped.
    pub replaces: bool,
    /// The version of the roster with which the file was compared.
    pub roster: String,
}

stored! {
    "roster-preview" RosterPreview |it| (programme: &ProgrammeId = &it.programme, import: Ulid = it.import) => key(programme_partition(programme), format!("PREVIEW#{import}"));
    list of_programme(programme: &ProgrammeId) => begin(programme_partition(programme), "PREVIEW#");
    expires it.made_at + PREVIEW_LASTS
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterFilePart {
    pub import: Ulid,
    pub part: u32,
    pub made_at: Moment,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

stored! {
    "roster-file" RosterFilePart |it| (import: Ulid = it.import, part: u32 = it.part) => key(format!("I#{import}"), format!("FILE#{part:05}"));
    list of_import(import: Ulid) => begin(format!("I#{import}"), "FILE#");
    expires it.made_at + PREVIEW_LASTS
}

impl Table {
    /// Keeps a file with its preview, which comes last: once that is there, all of the file is.
    pub async fn keep_preview(
        &self,
        preview: &RosterPreview,
        file: &[u8],
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let (import, made_at) = (preview.import, preview.made_at);
        let parts = file.chunks(MOST_IN_A_PART).zip(0..).map(|(bytes, part)| async move {
            self.put_new(&RosterFilePart { import, part, made_at, bytes: bytes.to_vec() }, deadline).await
        });
        try_join_all(parts).await?;
        self.put_new(preview, deadline).await.map(drop)
    }

    /// A preview of this programme that may still be applied, with its file.
    pub async fn preview(
        &self,
        programme: &ProgrammeId,
        import: Ulid,
        now: Moment,
    ) -> Result<Option<(RosterPreview, Vec<u8>)>, StoreError> {
        let kept = self.get(RosterPreview::key_of(programme, import)).await?;
        let Some(kept) = kept.filter(|kept| now < kept.made_at + PREVIEW_LASTS) else { return Ok(None) };
        let parts = self.list(RosterFilePart::of_import(import)).await?;
        Ok(Some((kept, parts.into_iter().flat_map(|part| part.bytes).collect())))
    }
}
