//! Files that tools made for their callers. Each ends after a time, and what one caller and all callers
//! may keep is bounded.

use super::{
    Store, StoreError,
    open::{ALL, now},
    pool::{DatabaseTransaction, SqlValue},
    text_rules::fits,
};

const SWEEP: &str = "DELETE FROM bridge_file WHERE expires_at <= $1";
const TOTAL: &str = "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM bridge_file";
const OF_OWNER: &str = "SELECT id, size FROM bridge_file \
    WHERE workspace_id = $1 AND subject = $2 ORDER BY created_at DESC, id";
const REMOVE: &str = "DELETE FROM bridge_file WHERE id = $1";
const SAVE: &str = "INSERT INTO bridge_file (id, workspace_id, subject, bridge, name, media_type, \
    size, content, expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const GET: &str = "SELECT bridge, name, media_type, content FROM bridge_file \
    WHERE id = $1 AND workspace_id = $2 AND subject = $3 AND expires_at > $4";

/// Whose a file is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileOwner {
    /// The workspace of the caller.
    pub workspace: String,
    /// The caller: `user:E-MAIL`, `key:NAME` and the like.
    pub subject: String,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow<B> {
    /// The bridge whose tool made it.
    pub bridge: String,
    /// What it is called.
    pub name: String,
    /// What it is (RFC 9110 §8.3.1).
    pub media_type: String,
    /// Its bytes.
    pub content: B,
}

/// How much may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileBounds {
    /// Files of one caller; beyond it their oldest go.
    pub own_count: usize,
    /// Bytes of one caller; beyond it their oldest go.
    pub own_bytes: usize,
    /// Files of all callers; beyond it nothing more is taken.
    pub all_count: usize,
    /// Bytes of all callers; beyond it nothing more is taken.
    pub all_bytes: usize,
}

impl FileBounds {
    /// How many of a caller's files, the newest first, stay beside a new one of `size` bytes.
    pub fn staying(&self, sizes: impl IntoIterator<Item = usize>, size: usize) -> usize {
        let mut bytes = size;
        let fitting = sizes.into_iter().take_while(|older| {
            bytes = bytes.saturating_add(*older);
            bytes <= self.own_bytes
        });
        fitting.take(self.own_count.saturating_sub(1)).count()
    }

    /// Whether a file of `size` bytes fits beside all others.
    pub fn has_room(&self, count: usize, bytes: usize, size: usize) -> bool {
        count < self.all_count && bytes.saturating_add(size) <= self.all_bytes
    }

    /// The refusal of a file that does not.
    pub fn full() -> StoreError {
        StoreError::Full(
            "the files of all callers take all the room that there is for them; try again when \
             some of them are over, a day after they were made"
                .to_owned(),
        )
    }
}

impl Store {
    /// Keeps a file until `expires_at` (microseconds since 1970). `id` is a hash of what stands in
    /// its link. The oldest files of the same owner make room; when all callers together keep too
    /// much, the file is refused.
    pub async fn save_file(
        &self,
        id: &str,
        owner: &FileOwner,
        file: &FileRow<&[u8]>,
        expires_at: i64,
        bounds: &FileBounds,
    ) -> Result<(), StoreError> {
        fits("the name of the workspace", &owner.workspace)?;
        fits("the name of the caller", &owner.subject)?;
        fits("the name of the file", &file.name)?;
        let size = file.content.len();
        self.bounded(async {
            let now = now();
            let mut tx = self.begin().await?;
            self.scope(&mut tx, ALL).await?;
            tx.execute(SWEEP, &[now.into()]).await?;
            make_room(&mut tx, owner, size, bounds).await?;
            let total: Vec<(i64, i64)> = tx.fetch(TOTAL, &[]).await?;
            let (count, bytes) = total.first().copied().unwrap_or_default();
            if !bounds.has_room(whole(count), whole(bytes), size) {
                return Err(FileBounds::full());
            }
            let values = [
                id.into(),
                (&owner.workspace).into(),
                (&owner.subject).into(),
                (&file.bridge).into(),
                (&file.name).into(),
                (&file.media_type).into(),
                i64::try_from(size).unwrap_or(i64::MAX).into(),
                SqlValue::Bytes(file.content),
                expires_at.into(),
                now.into(),
            ];
            tx.execute(SAVE, &values).await?;
            tx.commit().await
        })
        .await
    }

    /// A file of this owner; `None` for one of others, and for one that is over.
    pub async fn file(
        &self,
        id: &str,
        owner: &FileOwner,
    ) -> Result<Option<FileRow<Vec<u8>>>, StoreError> {
        self.bounded(async {
            let values = [
                id.into(),
                (&owner.workspace).into(),
                (&owner.subject).into(),
                now().into(),
            ];
            let mut tx = self.begin_reading(&owner.workspace).await?;
            let rows: Vec<(String, String, String, Vec<u8>)> = tx.fetch(GET, &values).await?;
            tx.commit().await?;
            let found = rows.into_iter().next();
            Ok(found.map(|(bridge, name, media_type, content)| FileRow {
                bridge,
                name,
                media_type,
                content,
            }))
        })
        .await
    }

    /// Deletes files that are over. Says how many.
    pub async fn sweep_files(&self) -> Result<u64, StoreError> {
        self.bounded(async {
            let mut tx = self.begin().await?;
            self.scope(&mut tx, ALL).await?;
            let gone = tx.execute(SWEEP, &[now().into()]).await?;
            tx.commit().await?;
            Ok(gone)
        })
        .await
    }
}

/// Deletes the oldest files of an owner, until one of `size` bytes fits within their share.
async fn make_room(
    tx: &mut DatabaseTransaction,
    owner: &FileOwner,
    size: usize,
    bounds: &FileBounds,
) -> Result<(), StoreError> {
    let values = [(&owner.workspace).into(), (&owner.subject).into()];
    let own: Vec<(String, i64)> = tx.fetch(OF_OWNER, &values).await?;
    let staying = bounds.staying(own.iter().map(|(_, size)| whole(*size)), size);
    for (id, _) in &own[staying..] {
        tx.execute(REMOVE, &[id.into()]).await?;
    }
    Ok(())
}

/// A number of the database, which has none below zero here.
fn whole(number: i64) -> usize {
    usize::try_from(number).unwrap_or_default()
}
