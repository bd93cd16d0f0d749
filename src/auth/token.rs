//! What all signed tokens have in common: their shape, their size limit, and how flaws are
//! reported.

use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation, dangerous::insecure_decode_claims, decode,
    decode_header, errors::ErrorKind, get_current_timestamp,
};
use serde::de::DeserializeOwned;

use super::AuthenticationError;

/// The longest token that is checked, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// The allowed clock difference in seconds, for checks that allow one.
pub const LEEWAY: u64 = 60;

/// Whether a text looks like a JWT in compact form (RFC 7519 §3): a base64-encoded object and two
/// dots.
pub fn is_token(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Refuses tokens that are too long to parse.
pub fn check_length(token: &str) -> Result<(), AuthenticationError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(AuthenticationError::TooLong);
    }
    Ok(())
}

/// Accepts only HS256. The caller sets the checks of time and issuer.
pub fn hs256() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.leeway = 0;
    validation.validate_aud = false;
    validation
}

/// The header of a token. Refuses tokens with critical extensions, because none is supported (RFC
/// 7515 §4.1.11).
pub fn header(token: &str) -> Result<Header, AuthenticationError> {
    let header = decode_header(token).map_err(|error| refusal(error.kind()))?;
    if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
        return Err(flaw("it asks for extensions"));
    }
    Ok(header)
}

/// The claims of a token, without verification. Use them only to find the key or to refuse the
/// token.
pub fn unproven<T: DeserializeOwned>(token: &str) -> Result<T, AuthenticationError> {
    insecure_decode_claims(token).map_err(|error| refusal(error.kind()))
}

/// The claims of a token after its signature and times have been verified.
pub fn verify<T: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    validation: &Validation,
) -> Result<T, AuthenticationError> {
    header(token)?;
    match decode(token, key, validation) {
        Ok(data) => Ok(data.claims),
        Err(error) => Err(refusal(error.kind())),
    }
}

/// Refuses a token that was issued in the future: either the issuer's clock or this server's clock
/// is wrong.
pub fn check_issued(issued_at: Option<f64>) -> Result<(), AuthenticationError> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "current times in seconds are exact"
    )]
    let latest = get_current_timestamp().saturating_add(LEEWAY) as f64;
    if issued_at.is_some_and(|issued_at| issued_at > latest) {
        return Err(AuthenticationError::Immature);
    }
    Ok(())
}

/// Refuses a token. Only the log gets the reason.
pub fn flaw(reason: &str) -> AuthenticationError {
    tracing::debug!("a token was refused: {reason}");
    AuthenticationError::Token
}

/// The refusal for an error. The error's own text may quote the token, so only its kind is used.
fn refusal(kind: &ErrorKind) -> AuthenticationError {
    match kind {
        ErrorKind::ExpiredSignature => AuthenticationError::Expired,
        ErrorKind::ImmatureSignature => AuthenticationError::Immature,
        ErrorKind::InvalidSignature => flaw("its signature is wrong"),
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::InvalidKeyFormat
        | ErrorKind::UnsupportedAlgorithm => flaw("its algorithm is not accepted"),
        ErrorKind::InvalidIssuer => flaw("it has another issuer"),
        ErrorKind::InvalidAudience => flaw("it is meant for another audience"),
        ErrorKind::MissingRequiredClaim(_) => flaw("a claim is missing"),
        ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
            flaw("a claim or the header is malformed")
        }
        _ => flaw("it is malformed"),
    }
}
