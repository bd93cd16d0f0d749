//! [`Config::secrets`], [`Bridge::secrets`]: what must never show.

use super::{Bridge, Config, KeyText, Transport, credentials::password_of_basic, database};
use crate::secret::Secret;

impl Config {
    /// Every secret of the configuration, those of bridges included, for redacting texts
    /// from elsewhere. Of a URL it is the password.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets: Vec<Secret> = self.bridges.iter().flat_map(Bridge::secrets).collect();
        let identity = &self.identity;
        for key in &identity.keys {
            match &key.key {
                KeyText::Plain(text) => secrets.push(text.clone()),
                KeyText::Sha256(_) => {}
            }
        }
        secrets.extend(identity.open_webui.secret_key.clone());
        secrets.extend(identity.open_webui.jwt_secret.clone());
        secrets.extend(
            identity
                .gateway
                .as_ref()
                .and_then(|gateway| gateway.secret.clone()),
        );
        if let Some(kept) = &self.database {
            let urls = [Some(&kept.url), kept.open_webui.as_ref()];
            for password in urls.into_iter().flatten().filter_map(database::password) {
                secrets.push(password);
            }
            secrets.extend(kept.secret_key.iter().cloned());
            secrets.extend(kept.secret_keys_old.iter().cloned());
            if let Some(redis) = &kept.redis {
                secrets.extend(database::password_of(&redis.url));
            }
        }
        secrets
    }
}

impl Bridge {
    /// What must never show of this bridge: the values of its headers and of its environment, the
    /// password within a header of Basic, the secret of its OAuth client.
    pub fn secrets(&self) -> Vec<Secret> {
        match &self.transport {
            Ok(Transport::Stdio(stdio)) => stdio.env.values().cloned().collect(),
            Ok(Transport::Remote(remote)) => {
                let values = remote.headers.iter().map(|(_name, value)| value);
                let passwords = values.clone().filter_map(password_of_basic);
                let client = remote.oauth.iter();
                let client = client.filter_map(|oauth| oauth.client_secret.clone());
                values.cloned().chain(passwords).chain(client).collect()
            }
            Err(_) => Vec::new(),
        }
    }
}
