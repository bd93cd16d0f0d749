//! [`FileLinks`]: a link in place of each file in a result.

use url::Url;

use crate::{
    auth::Caller,
    bridge::Bridge,
    call::ServiceError,
    config::{Config, Flavor},
    error_code::ErrorCode,
    files::{FILE_BYTES_MAX, FileId, FileStore, owner_of},
    name::BridgeName,
    reply::EmbeddedFile,
    secret::Redactor,
    settings::below,
    store::{FileRow, StoreError},
};

/// The number of files that are kept of one result. Further files are dropped.
const FILES_OF_RESULT_MAX: usize = 10;
/// Makes the links for the files of one result.
#[derive(Debug)]
pub struct FileLinks {
    /// The bridge whose tool was called.
    bridge: BridgeName,
    /// The prefix of the links.
    base: Url,
    /// The files to keep, with the ids in their links.
    files: Vec<(FileId, EmbeddedFile)>,
}

impl FileLinks {
    /// The links for a call of this bridge. `None` if the bridge does not use links.
    pub fn of(bridge: &Bridge, config: &Config) -> Option<Self> {
        let is_on = bridge.config.file_links && config.flavor == Flavor::Native;
        is_on.then(|| Self {
            bridge: bridge.name().clone(),
            base: below(config, "/files/"),
            files: Vec::new(),
        })
    }

    /// The text that replaces a file in the result: its link, or the reason why there is none.
    pub fn place(&mut self, file: EmbeddedFile, redactor: &Redactor) -> String {
        let size = file.content.len();
        let name = redactor.redact(&file.name).into_owned();
        if size > FILE_BYTES_MAX {
            return format!(
                "(The file {name} was not kept: it has {size} bytes, and the limit is {FILE_BYTES_MAX} bytes. Ask the tool for a smaller file.)"
            );
        }
        if self.files.len() >= FILES_OF_RESULT_MAX {
            return format!(
                "(The file {name} was not kept: the limit is {FILES_OF_RESULT_MAX} files in one result. Ask the tool for fewer files at once.)"
            );
        }
        if redactor.finds(&file.content) {
            tracing::warn!(bridge.name = %self.bridge, "a file that a tool made contains a secret of the bridge and was not kept");
            return format!("(The file {name} was not kept: it contains a secret of the bridge.)");
        }
        let id = FileId::random();
        let link = format!("{}{}", self.base, id.as_str());
        self.files.push((id, EmbeddedFile { name, ..file }));
        link
    }

    /// Stores the files for the caller. If this fails, the whole call fails, because a link that
    /// does not work would be worse.
    pub async fn keep(self, files: &FileStore, caller: &Caller) -> Result<(), ServiceError> {
        let owner = owner_of(caller);
        for (id, file) in self.files {
            let row = FileRow {
                bridge: self.bridge.to_string(),
                name: file.name,
                media_type: file.media_type,
                content: file.content.into(),
            };
            files.keep(&id, &owner, row).await.map_err(not_kept)?;
        }
        Ok(())
    }
}

/// The error for a call whose file cannot be stored.
fn not_kept(error: StoreError) -> ServiceError {
    match error {
        StoreError::Full(reason) => ServiceError::new(
            ErrorCode::FilesFull,
            format!("the tool made a file that cannot be kept: {reason}"),
        ),
        error => {
            tracing::warn!(%error, "a file that a tool made could not be stored");
            ServiceError::new(ErrorCode::StoreUnavailable,
                "the tool made a file that cannot be kept: the database does not answer; try again in a moment",
            )
            .retry_after("5")
        }
    }
}
