//! The form for a token endpoint: rmcp's form with the right `resource`, and the form that is tried if a
//! server refuses a part of it.

use std::borrow::Cow;

use url::form_urlencoded;

use super::error::OAuthRefusal;

/// The resource indicator: which server the token is for (RFC 8707).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceIndicator {
    /// No resource.
    Unsaid,
    /// This resource, whatever the server answers.
    Firm(String),
    /// This resource, or none if the server refuses it.
    Yielding(String),
}

/// The secret fields of a form.
const SECRETS: [&str; 5] = [
    "code",
    "code_verifier",
    "refresh_token",
    "client_secret",
    "client_assertion",
];
/// A shorter text does not count as a secret: redacting it would also remove ordinary words.
const SECRET_BYTES_MIN: usize = 6;

/// A form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenForm(Vec<(String, String)>);

impl TokenForm {
    /// Creates rmcp's form with the bridge's resource indicator.
    pub fn of(body: &[u8], indicator: &ResourceIndicator) -> Self {
        let mut fields: Vec<(String, String)> = form_urlencoded::parse(body)
            .into_owned()
            .filter(|(key, _)| key != "resource")
            .collect();
        if let ResourceIndicator::Firm(resource) | ResourceIndicator::Yielding(resource) = indicator
        {
            fields.push(("resource".to_owned(), resource.clone()));
        }
        Self(fields)
    }

    /// Returns the encoded form.
    pub fn body(&self) -> Vec<u8> {
        let mut written = form_urlencoded::Serializer::new(String::new());
        written.extend_pairs(&self.0);
        written.finish().into_bytes()
    }

    /// Whether the form has a field.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of a field.
    fn value(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let found = fields.find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the form to try after a refusal, without the part that the server refuses. `None` if that is
    /// not safe.
    ///
    /// Without `resource`: the server stated that it does not accept the request, so it issued no token that
    /// a second use of the code or of the refresh token could revoke (RFC 6749 §4.1.2). At worst it spent the
    /// code, and the second answer says so: the login is lost either way. An answer that may hide a success
    /// (a 5xx, or no answer) is never retried. The grant stays bound to the resource: the user approved a
    /// page that named it, or the server does not support resources; a refresh keeps the first grant (RFC
    /// 8707 §2.2). Client credentials have no such page, so their indicator is firm.
    ///
    /// Without `scope`: a refresh without scopes asks for the granted ones (RFC 6749 §6).
    pub fn lighter(&self, indicator: &ResourceIndicator, refusal: &OAuthRefusal) -> Option<Self> {
        if refusal.is_passing() {
            return None;
        }
        let yields = matches!(indicator, ResourceIndicator::Yielding(_));
        let refreshes = self.value("grant_type") == Some("refresh_token");
        match refusal.code.as_deref()? {
            "invalid_target" | "invalid_request" if yields && self.has("resource") => {
                Some(self.without("resource"))
            }
            "invalid_scope" if refreshes && self.has("scope") => Some(self.without("scope")),
            _ => None,
        }
    }

    /// Returns the form without a field.
    fn without(&self, name: &str) -> Self {
        let fields = self.0.iter().filter(|(key, _)| key != name);
        Self(fields.cloned().collect())
    }

    /// Returns a server's text without the secrets of this form.
    pub fn veiled<'a>(&self, words: &'a str) -> Cow<'a, str> {
        let mut veiled = Cow::Borrowed(words);
        for (key, value) in &self.0 {
            let is_secret = SECRETS.contains(&key.as_str()) && value.len() >= SECRET_BYTES_MIN;
            if is_secret && veiled.contains(value.as_str()) {
                veiled = Cow::Owned(veiled.replace(value.as_str(), "***"));
            }
        }
        veiled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "grant_type=authorization_code&code=secret-code&resource=rmcps&scope=a";
    const REFRESH: &str = "grant_type=refresh_token&refresh_token=secret-r&resource=rmcps&scope=a";

    fn refusal(code: &str, status: u16) -> OAuthRefusal {
        OAuthRefusal {
            code: Some(code.to_owned()),
            text: String::new(),
            status,
        }
    }

    #[test]
    fn the_resource_is_ours_and_not_rmcps() {
        let text = |indicator| {
            String::from_utf8(TokenForm::of(CODE.as_bytes(), &indicator).body()).unwrap()
        };
        let rest = "grant_type=authorization_code&code=secret-code&scope=a";
        assert_eq!(text(ResourceIndicator::Unsaid), rest);
        for indicator in [
            ResourceIndicator::Firm("api://x".to_owned()),
            ResourceIndicator::Yielding("api://x".to_owned()),
        ] {
            assert_eq!(text(indicator), format!("{rest}&resource=api%3A%2F%2Fx"));
        }
    }

    #[test]
    fn a_part_that_is_refused_is_left_out_once_where_that_is_safe() {
        let yields = ResourceIndicator::Yielding("x".to_owned());
        let fixed = ResourceIndicator::Firm("x".to_owned());
        for (form, indicator, code, status, left_out) in [
            (CODE, &yields, "invalid_target", 400, Some("resource")),
            (CODE, &yields, "invalid_request", 400, Some("resource")),
            (CODE, &yields, "invalid_target", 200, Some("resource")),
            (REFRESH, &yields, "invalid_target", 400, Some("resource")),
            (REFRESH, &fixed, "invalid_scope", 400, Some("scope")),
            (CODE, &yields, "invalid_scope", 400, None),
            (CODE, &yields, "invalid_grant", 400, None),
            (CODE, &yields, "invalid_target", 503, None),
            (CODE, &yields, "invalid_target", 429, None),
            (CODE, &fixed, "invalid_target", 400, None),
            (
                CODE,
                &ResourceIndicator::Unsaid,
                "invalid_request",
                400,
                None,
            ),
        ] {
            let form = TokenForm::of(form.as_bytes(), indicator);
            let lighter = form.lighter(indicator, &refusal(code, status));
            assert_eq!(
                lighter.is_some(),
                left_out.is_some(),
                "{code} {status} {indicator:?}"
            );
            if let (Some(lighter), Some(left_out)) = (lighter, left_out) {
                assert!(!lighter.has(left_out));
                assert_eq!(lighter.0.len() + 1, form.0.len());
                let again = lighter.lighter(indicator, &refusal(code, status));
                assert_eq!(again, None, "once");
            }
        }
    }

    #[test]
    fn no_secret_of_a_form_is_repeated() {
        let form = TokenForm::of(CODE.as_bytes(), &ResourceIndicator::Unsaid);
        assert_eq!(form.veiled("no secret-code here"), "no *** here");
        let form = TokenForm::of(b"code=c1&client_id=name-of-us", &ResourceIndicator::Unsaid);
        assert_eq!(form.veiled("c1 of name-of-us"), "c1 of name-of-us");
    }
}
