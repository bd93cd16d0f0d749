//! The groups that anything here knows: what a new name is compared with.

use std::collections::BTreeSet;

use crate::{
    config::Config,
    store::{Store, StoreError, UserDirectory},
};

/// The names of all groups that have a grant, a member or a key, that the configuration names, or that
/// Open WebUI has. Groups that only a gateway or a token names are not known before they come.
pub async fn known_groups(
    config: &Config,
    store: &Store,
    directory: Option<&UserDirectory>,
) -> Result<Vec<String>, StoreError> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    names.extend(store.groups().await?.into_iter().map(|group| group.name));
    names.extend(store.keys().await?.into_iter().flat_map(|key| key.groups));
    let sealed = store.group_key_names().await?;
    names.extend(sealed.into_iter().map(|(name, _)| name.group));
    let access = &config.access;
    names.extend(access.groups.iter().map(|group| group.name.clone()));
    names.extend(access.admin_groups.iter().map(ToString::to_string));
    names.extend(access.default_groups.iter().map(ToString::to_string));
    let keys = config.identity.keys.iter();
    names.extend(keys.flat_map(|key| key.groups.clone()));
    if let Some(directory) = directory {
        match directory.group_names().await {
            Ok(groups) => names.extend(groups),
            Err(error) => tracing::debug!(%error, "Open WebUI's groups are not known now"),
        }
    }
    Ok(names.into_iter().collect())
}
