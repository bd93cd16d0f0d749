//! Bearer tokens of OpenID issuers such as Entra, Keycloak and Google (RFC 9068, OpenID Connect
//! Core 1.0 §2).

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jsonwebtoken::{AlgorithmFamily, Validation};
use serde_json::{Map, Value};

use super::{
    AuthenticationError,
    caller::{AuthenticationMethod, Caller},
    headers::{is_name, unique},
    issuer_keys::{IssuerKeySet, names},
    token,
};
use crate::config::{IssuerSettings, is_email};

/// Claims that earlier versions used as e-mail addresses if `email` was missing.
const NAME_CLAIMS: [&str; 3] = ["preferred_username", "upn", "unique_name"];

/// An issuer whose tokens are accepted.
#[derive(Debug)]
pub struct OidcAuth {
    config: IssuerSettings,
    keys: Arc<IssuerKeySet>,
    /// One for each family of algorithms, so that a key is never used with another family.
    validations: [(AlgorithmFamily, Validation); 3],
    /// Whether the log already says that a token left out groups.
    is_told: AtomicBool,
}

/// What a token says about the user's e-mail address.
#[derive(Debug)]
enum EmailClaim<'a> {
    /// The address is proven.
    Proven(&'a str),
    /// The token has no address.
    Absent,
    /// The token has an address but does not prove it.
    Refused(AuthenticationError),
}

/// The claims of a token.
type Claims = Map<String, Value>;

impl OidcAuth {
    /// An issuer from the configuration, and its keys.
    pub fn new(config: IssuerSettings, keys: Arc<IssuerKeySet>) -> Self {
        let validation = |family| {
            let mut validation = Validation::new_for_family(family);
            validation.leeway = token::LEEWAY;
            validation.validate_nbf = true;
            validation.set_audience(&config.audiences);
            validation.set_issuer(&names(&config.issuer));
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            (family, validation)
        };
        Self {
            validations: [
                validation(AlgorithmFamily::Rsa),
                validation(AlgorithmFamily::Ec),
                validation(AlgorithmFamily::Ed),
            ],
            config,
            keys,
            is_told: AtomicBool::new(false),
        }
    }

    /// Whether tokens with this `iss` belong to this issuer.
    pub fn is_issuer(&self, issuer: &str) -> bool {
        names(&self.config.issuer).contains(&issuer)
    }

    /// The user of a token.
    pub async fn caller(&self, sent: &str) -> Result<Caller, AuthenticationError> {
        let header = token::header(sent)?;
        let family = header.alg.family();
        let found = self.validations.iter().find(|(own, _)| *own == family);
        let (_, validation) =
            found.ok_or_else(|| token::flaw("it is not signed with a public key"))?;
        let is_kind = header.typ.as_deref().is_none_or(|typ| {
            let typ = typ.to_ascii_lowercase();
            matches!(typ.trim_start_matches("application/"), "jwt" | "at+jwt")
        });
        if !is_kind {
            return Err(token::flaw("its `typ` is not that of an access token"));
        }
        let keys = self.keys.keys_for(&header).await?;
        let mut refusal = AuthenticationError::Token;
        for key in keys.matching(&header) {
            match token::verify::<Claims>(sent, key, validation) {
                Ok(claims) => return self.read(&claims),
                // For any other error the signature is already proven right, so report it.
                Err(other) if other != AuthenticationError::Token => return Err(other),
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }

    fn read(&self, claims: &Claims) -> Result<Caller, AuthenticationError> {
        token::check_issued(claims.get("iat").and_then(Value::as_f64))?;
        let groups = self.groups(claims);
        let email = match self.email(claims)? {
            EmailClaim::Proven(email) => Some(email),
            EmailClaim::Absent => None,
            // If the token names groups, they decide without the e-mail address. Otherwise the
            // address would be needed.
            EmailClaim::Refused(_) if groups.is_some() => None,
            EmailClaim::Refused(refusal) => return Err(refusal),
        };
        let id = claims.get("sub").and_then(Value::as_str);
        let id = id.filter(|id| is_name(id));
        if email.is_none() && id.is_none() {
            return Err(token::flaw("it names no user"));
        }
        // A subject that looks like an e-mail address is not one.
        let id = id.map(|id| {
            if id.contains('@') {
                format!("{}:{id}", self.config.name)
            } else {
                id.to_owned()
            }
        });
        let mut caller = Caller::user(id.as_deref(), email, AuthenticationMethod::Oidc);
        caller.groups = groups;
        let workspace = claims.get(&self.config.workspace_claim);
        if let Some(workspace) = workspace.and_then(Value::as_str).filter(|it| is_name(it)) {
            caller.workspace = workspace.into();
        }
        Ok(caller)
    }

    /// The e-mail address from the first claim that has a value. If that claim does not prove it,
    /// the search ends: weaker claims are not tried. The claim `email` requires `email_verified`
    /// (OpenID Connect Core 1.0 §5.1, §5.7). Other claims are used only because the operator
    /// configured them as e-mail claims.
    fn email<'a>(&self, claims: &'a Claims) -> Result<EmailClaim<'a>, AuthenticationError> {
        for claim in &self.config.email_claims {
            let text = match claims.get(claim) {
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) => text.trim(),
                Some(_) => return Err(token::flaw("its e-mail is not a text")),
            };
            let is_standard = claim == "email";
            // Other claims may contain names that are not e-mail addresses.
            if text.is_empty() || (!is_standard && !text.contains('@')) {
                continue;
            }
            if !is_email(text) || !is_name(text) {
                return Err(token::flaw("its e-mail is malformed"));
            }
            return Ok(if !is_standard || self.is_verified(claims) {
                EmailClaim::Proven(text)
            } else {
                EmailClaim::Refused(AuthenticationError::EmailUnverified)
            });
        }
        let is_default = *self.config.email_claims == ["email"];
        let mut names = NAME_CLAIMS.iter().copied().filter(|_| is_default);
        let is_like_email = |name: &&str| {
            let text = claims.get(*name).and_then(Value::as_str);
            text.is_some_and(|text| text.contains('@'))
        };
        Ok(match names.find(is_like_email) {
            Some(name) => EmailClaim::Refused(AuthenticationError::EmailUnproven(name)),
            None => EmailClaim::Absent,
        })
    }

    /// Whether the issuer has verified the e-mail address. Some issuers write `email_verified` as a
    /// text. If the claim is missing, the operator may have vouched for all tokens of the issuer.
    fn is_verified(&self, claims: &Claims) -> bool {
        match claims.get("email_verified") {
            None | Some(Value::Null) => self.config.emails_verified,
            Some(Value::Bool(is_verified)) => *is_verified,
            Some(Value::String(text)) => text == "true",
            Some(_) => false,
        }
    }

    /// The groups from all configured claims; `None` if the token does not contain any of these
    /// claims.
    fn groups(&self, claims: &Claims) -> Option<Arc<[Arc<str>]>> {
        if self.is_overage(claims) {
            if !self.is_told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "tokens of the issuer `{}` leave out the groups of users who have too many; the bridge uses its own tables for these users; configure the issuer to send only groups that are assigned to the application",
                    self.config.name
                );
            }
            return None;
        }
        let found = self.config.groups_claims.iter();
        let texts = found
            .filter_map(|claim| claims.get(claim))
            .flat_map(|value| match value {
                Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
                Value::String(text) => vec![text.as_str()],
                _ => Vec::new(),
            })
            .map(str::trim)
            .filter(|group| !group.contains(char::is_control));
        let groups = unique(texts);
        (!groups.is_empty()).then(|| groups.into())
    }

    /// Whether groups are missing because there are too many (Microsoft's "groups overage claim").
    fn is_overage(&self, claims: &Claims) -> bool {
        let elsewhere = claims.get("_claim_names").and_then(Value::as_object);
        let has = |claim: &String| elsewhere.is_some_and(|names| names.contains_key(claim));
        self.config.groups_claims.iter().any(has)
            || claims.get("hasgroups") == Some(&Value::Bool(true))
    }
}
