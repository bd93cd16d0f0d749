//! Headers of a forwarder: the holder of an API key that may act for the user named in the same
//! request. Open WebUI is one; it sends the key of its connection.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, HeaderName};

use super::{
    AuthenticationError,
    api_key::ApiKeyHolder,
    caller::{AuthenticationMethod, Caller},
    headers::{self, EMAIL, GROUP_IDS, GROUPS, USER_EMAIL, USER_ID, USER_JWT, USER_ROLE},
    signed::SignedUser,
};

/// A caller named by a forwarder, and their ID in Open WebUI.
pub type Forwarded = (Caller, Option<String>);

/// The user that a forwarder names; `None` if it acts for itself. With `signs`, Open WebUI may name
/// users only by a signature.
pub fn read(
    holder: &ApiKeyHolder,
    signed: Option<&SignedUser>,
    signs: bool,
    sent: &HeaderMap,
) -> Result<Option<Forwarded>, AuthenticationError> {
    let mut groups = headers::groups(sent, &GROUPS)?;
    groups.extend(headers::groups(sent, &GROUP_IDS)?);
    let (mut caller, id) = match signed {
        Some(user) => {
            headers::check_user(sent, Some(&user.id), user.email.as_deref())?;
            (user.caller(), Some(user.id.clone()))
        }
        None => match plain(sent, signs)? {
            Some(named) => named,
            None if sent.contains_key(&USER_JWT) => return Err(AuthenticationError::Uncheckable),
            // A blank user header names no user. The caller is then not the holder of the key
            // either.
            None if groups.is_empty() && !is_blank(sent) => return Ok(None),
            None => return Err(AuthenticationError::NoUser),
        },
    };
    if !groups.is_empty() {
        let unique = headers::unique(groups.iter().map(AsRef::as_ref));
        caller.groups = Some(unique.into());
    }
    caller.workspace = Arc::clone(&holder.caller.workspace);
    Ok(Some((caller, id)))
}

/// Whether a header that would name a user is present but blank.
fn is_blank(sent: &HeaderMap) -> bool {
    [USER_ID, USER_EMAIL, EMAIL]
        .iter()
        .any(|name| sent.contains_key(name))
}

/// The user of unsigned headers. `X-User-Admin` is accepted only from a gateway and is ignored
/// here.
fn plain(sent: &HeaderMap, signs: bool) -> Result<Option<Forwarded>, AuthenticationError> {
    let named = |header: &HeaderName| headers::name(sent, header);
    let (id, own, templated) = (named(&USER_ID)?, named(&USER_EMAIL)?, named(&EMAIL)?);
    if signs && (id.is_some() || own.is_some()) {
        return Err(AuthenticationError::Unsigned);
    }
    if let (Some(one), Some(other)) = (&own, &templated)
        && !headers::is_same_email(one, other)
    {
        return Err(AuthenticationError::Contradiction);
    }
    let email = own.or(templated);
    if id.is_none() && email.is_none() {
        return Ok(None);
    }
    let role = if signs { None } else { named(&USER_ROLE)? };
    if !matches!(role.as_deref(), None | Some("user" | "admin")) {
        return Err(AuthenticationError::Pending);
    }
    let mut caller = Caller::user(
        id.as_deref(),
        email.as_deref(),
        AuthenticationMethod::ForwardedHeaders,
    );
    caller.is_admin = role.as_deref() == Some("admin");
    Ok(Some((caller, id.map(Cow::into_owned))))
}
