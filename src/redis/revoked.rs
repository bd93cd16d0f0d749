//! Tokens that Open WebUI has signed out.

use super::{RedisClient, RedisDownError};

impl RedisClient {
    /// Whether Open WebUI revoked a token: by its ID, or together with all older tokens of the
    /// user. A token without an issue time counts as older.
    pub async fn is_revoked(
        &self,
        user: &str,
        token_id: Option<&str>,
        issued_at: Option<i64>,
    ) -> Result<bool, RedisDownError> {
        let prefix = &self.prefix;
        let mut question = redis::cmd("MGET");
        question.arg(format!("{prefix}:auth:user:{user}:revoked_at"));
        if let Some(id) = token_id {
            question.arg(format!("{prefix}:auth:token:{id}:revoked"));
        }
        let found: Vec<Option<String>> = self
            .ask(async |mut connection| question.query_async(&mut connection).await)
            .await?;
        let is_token_revoked = found.get(1).is_some_and(Option::is_some);
        let is_user_revoked = found
            .first()
            .and_then(Option::as_deref)
            .is_some_and(|revoked_at| !is_newer(issued_at, revoked_at));
        Ok(is_token_revoked || is_user_revoked)
    }
}

/// Whether a token was issued after a revocation. Both times are in whole seconds since 1970. A
/// time that cannot be parsed counts as older.
fn is_newer(issued_at: Option<i64>, revoked_at: &str) -> bool {
    let seconds = revoked_at.split('.').next().unwrap_or_default().trim();
    match (issued_at, seconds.parse::<i64>()) {
        (Some(issued_at), Ok(revoked_at)) => issued_at > revoked_at,
        (None, _) | (_, Err(_)) => false,
    }
}
