//! The cookie that ties a login to the browser that started it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use url::Url;

use crate::secret::Secret;

/// The name of the cookie.
const NAME: &str = "mcp_bridge_login";
/// The length of its random part, in bytes.
const BYTES: usize = 32;
/// How long the browser keeps the cookie, in seconds. A login may take as long.
const MAX_AGE: u64 = 600;

/// The cookie's value, if the browser sent one in the expected form.
pub fn held(headers: &HeaderMap) -> Option<Secret> {
    let cookies = headers.get_all(COOKIE).iter();
    let texts = cookies.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| {
            *name == NAME
                && URL_SAFE_NO_PAD
                    .decode(value)
                    .is_ok_and(|it| it.len() == BYTES)
        })
        .map(|(_, value)| Secret::new(value))
}

/// A new random value.
pub fn fresh() -> Secret {
    let random: [u8; BYTES] = rand::random();
    Secret::new(URL_SAFE_NO_PAD.encode(random))
}

/// The `Set-Cookie` header. It uses `SameSite=Lax` because the authorization response is a
/// navigation from another site.
pub fn header(held: &Secret, public_url: &Url) -> Option<HeaderValue> {
    let path = public_url.path().trim_end_matches('/');
    let secure = if public_url.scheme() == "https" {
        "; Secure"
    } else {
        ""
    };
    let text = format!(
        "{NAME}={}; Path={path}/oauth; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax{secure}",
        held.expose()
    );
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
