//! What a browser holds between the question and the answer of a login.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use url::Url;

use crate::secret::Secret;

/// Its name.
const NAME: &str = "mcp_bridge_login";
/// Its random part, in bytes.
const BYTES: usize = 32;
/// How long it is held, in seconds: as long as a login may take.
const MAX_AGE: u64 = 600;

/// What the browser holds, if it looks like ours.
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

/// Something new to hold.
pub fn fresh() -> Secret {
    let random: [u8; BYTES] = rand::random();
    Secret::new(URL_SAFE_NO_PAD.encode(random))
}

/// The header that hands it over. `Lax`, because the answer comes as a navigation from another site.
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
