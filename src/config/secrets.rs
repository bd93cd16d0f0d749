//! [`Config::secrets`], [`Bridge::secrets`]: what must never show.

use super::{Bridge, Config, KeyText, Transport, database};
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
            if let Some(redis) = &kept.redis {
                secrets.extend(database::password_of(&redis.url));
            }
        }
        secrets
    }
}

impl Bridge {
    /// What must never show of this bridge: the values of its headers and of its environment.
    pub fn secrets(&self) -> Vec<Secret> {
        match &self.transport {
            Ok(Transport::Stdio(stdio)) => stdio.env.values().cloned().collect(),
            Ok(Transport::Remote(remote)) => remote
                .headers
                .iter()
                .map(|(_name, value)| value.clone())
                .collect(),
            Err(_) => Vec::new(),
        }
    }
}
