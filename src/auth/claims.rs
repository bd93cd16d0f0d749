//! [`SessionTokenClaims`]: the claims of Open WebUI's session tokens, checked in the same way as Open WebUI does.

use jsonwebtoken::get_current_timestamp;
use serde::Deserialize;

use super::{AuthenticationError, headers::is_name, token, users::CachedUser};

/// The claims of a session token.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SessionTokenClaims {
    /// The user's id.
    pub id: Option<String>,
    /// The purpose of the token. Absent before Open WebUI 0.12.
    pub typ: Option<String>,
    /// Must equal the user's stamp in the database.
    session_stamp: Option<String>,
    /// How they signed in.
    auth_method: Option<String>,
    /// Whether the user presented a second factor.
    mfa_verified: Option<bool>,
    /// The token's ID.
    pub(super) jti: Option<String>,
    /// When it was issued, seconds since 1970.
    pub(super) iat: Option<f64>,
    /// When the token expires, in seconds since 1970.
    pub exp: Option<f64>,
}

impl SessionTokenClaims {
    /// Checks the claims on their own and returns the user's ID.
    pub(super) fn check(&self) -> Result<&str, AuthenticationError> {
        token::check_issued(self.iat)?;
        let kinds = [None, Some("session"), Some("automation"), Some("subagent")];
        if !kinds.contains(&self.typ.as_deref()) {
            return Err(token::flaw("its `typ` is not that of a session"));
        }
        let id = self.id.as_deref().filter(|id| is_name(id));
        id.ok_or_else(|| token::flaw("it names no user"))
    }

    /// Refuses a token that has expired since it was verified.
    pub(super) fn check_end(&self) -> Result<(), AuthenticationError> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "current times in seconds are exact"
        )]
        let now = get_current_timestamp() as f64;
        if self.exp.is_some_and(|end| end <= now) {
            return Err(AuthenticationError::Expired);
        }
        Ok(())
    }

    /// Checks whether the session is active, based on the user's row in the database.
    pub(super) fn check_user(&self, user: &CachedUser) -> Result<(), AuthenticationError> {
        user.check()?;
        let account = &user.account;
        if let Some(stamp) = &account.session_stamp
            && *stamp != self.session_stamp
        {
            return Err(AuthenticationError::SignedOut);
        }
        let is_session = matches!(self.typ.as_deref(), None | Some("session"));
        let method = self.auth_method.as_ref();
        let is_elsewhere = method.is_some_and(|method| account.mfa_bypass.contains(method));
        let is_verified = self.mfa_verified == Some(true) && account.has_mfa;
        if account.wants_mfa && is_session && !is_elsewhere && !is_verified {
            return Err(AuthenticationError::SecondFactor);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::AuthenticationMethod, *};
    use crate::store::DirectoryUser;

    fn account() -> DirectoryUser {
        DirectoryUser {
            id: "u1".to_owned(),
            email: "Ann@Example.org".to_owned(),
            name: "Ann".to_owned(),
            role: "user".to_owned(),
            is_active: true,
            session_stamp: Some(Some("stamp".to_owned())),
            ..DirectoryUser::default()
        }
    }

    fn claims(json: serde_json::Value) -> SessionTokenClaims {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_session_lives_while_the_user_and_its_stamp_do() {
        let stamped = || claims(serde_json::json!({"id": "u1", "session_stamp": "stamp"}));
        let bare = || claims(serde_json::json!({"id": "u1"}));
        let with = |change: fn(&mut DirectoryUser)| {
            let mut account = account();
            change(&mut account);
            account
        };
        let ended = Err(AuthenticationError::SignedOut);
        let cases = [
            (stamped(), account(), Ok(())),
            (bare(), account(), ended.clone()),
            (stamped(), with(|it| it.session_stamp = None), Ok(())),
            (bare(), with(|it| it.session_stamp = None), Ok(())),
            (bare(), with(|it| it.session_stamp = Some(None)), Ok(())),
            (
                stamped(),
                with(|it| it.session_stamp = Some(None)),
                ended.clone(),
            ),
            (stamped(), with(|it| it.is_active = false), ended),
            (stamped(), with(|it| it.role = "admin".to_owned()), Ok(())),
            (
                stamped(),
                with(|it| it.role = "pending".to_owned()),
                Err(AuthenticationError::Pending),
            ),
            (
                stamped(),
                with(|it| it.role = String::new()),
                Err(AuthenticationError::Pending),
            ),
        ];
        for (claims, account, expected) in cases {
            let user = CachedUser::new(account, AuthenticationMethod::Session);
            assert_eq!(claims.check_user(&user), expected, "{claims:?} {user:?}");
        }
    }

    #[test]
    fn the_second_factor_is_asked_as_open_webui_does() {
        let mut account = account();
        account.wants_mfa = true;
        account.has_mfa = true;
        account.mfa_bypass = vec!["oauth".to_owned()];
        account.session_stamp = None;
        let user = CachedUser::new(account.clone(), AuthenticationMethod::Session);
        account.has_mfa = false;
        let without = CachedUser::new(account, AuthenticationMethod::Session);
        assert_eq!(
            claims(serde_json::json!({"mfa_verified": true})).check_user(&without),
            Err(AuthenticationError::SecondFactor)
        );
        let missing = Err(AuthenticationError::SecondFactor);
        let cases = [
            (r#"{"typ": "session"}"#, missing.clone()),
            ("{}", missing.clone()),
            (r#"{"mfa_verified": false}"#, missing.clone()),
            (r#"{"auth_method": "password"}"#, missing.clone()),
            (r#"{"auth_method": "trusted_header"}"#, missing),
            (r#"{"mfa_verified": true}"#, Ok(())),
            (r#"{"auth_method": "oauth"}"#, Ok(())),
            (r#"{"typ": "automation"}"#, Ok(())),
            (r#"{"typ": "subagent"}"#, Ok(())),
        ];
        for (json, expected) in cases {
            let claims: SessionTokenClaims = serde_json::from_str(json).unwrap();
            assert_eq!(claims.check_user(&user), expected, "{json}");
        }
    }
}
