//! What all signed tokens have in common: their shape, their size, and how a flaw is told.

use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation, dangerous::insecure_decode_claims, decode,
    decode_header, errors::ErrorKind, get_current_timestamp,
};
use serde::de::DeserializeOwned;

use super::Refusal;

/// The longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// How far clocks may be apart, seconds, where leeway is given at all.
pub const LEEWAY: u64 = 60;

/// Whether a text has the shape of a JWT in compact form (RFC 7519 §3): an object in base64, and
/// two dots.
pub fn is_token(text: &str) -> bool {
    text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Refuses what is too long to be worth parsing.
pub fn check_length(token: &str) -> Result<(), Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    Ok(())
}

/// HS256 and nothing else; what time and issuer must be is for the caller to set.
pub fn hs256() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.leeway = 0;
    validation.validate_aud = false;
    validation
}

/// The header of a token. Extensions that must be understood are not (RFC 7515 §4.1.11).
pub fn header(token: &str) -> Result<Header, Refusal> {
    let header = decode_header(token).map_err(|error| refusal(error.kind()))?;
    if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
        return Err(flaw("it asks for extensions"));
    }
    Ok(header)
}

/// What a token says of itself, unproven: good for finding the key, or for refusing.
pub fn unproven<T: DeserializeOwned>(token: &str) -> Result<T, Refusal> {
    insecure_decode_claims(token).map_err(|error| refusal(error.kind()))
}

/// The claims of a token whose signature and times are right.
pub fn verify<T: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    validation: &Validation,
) -> Result<T, Refusal> {
    header(token)?;
    match decode(token, key, validation) {
        Ok(data) => Ok(data.claims),
        Err(error) => Err(refusal(error.kind())),
    }
}

/// Refuses a token from the future: its issuer's clock or ours is wrong.
pub fn check_issued(issued_at: Option<f64>) -> Result<(), Refusal> {
    #[expect(clippy::cast_precision_loss, reason = "seconds of today are exact")]
    let latest = get_current_timestamp().saturating_add(LEEWAY) as f64;
    if issued_at.is_some_and(|issued_at| issued_at > latest) {
        return Err(Refusal::Immature);
    }
    Ok(())
}

/// A flaw that is told to the log alone.
pub fn flaw(reason: &str) -> Refusal {
    tracing::debug!("a token was refused: {reason}");
    Refusal::Token
}

/// What is told of an error. Its own text may quote the token, so only its kind is looked at.
fn refusal(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::ExpiredSignature => Refusal::Expired,
        ErrorKind::ImmatureSignature => Refusal::Immature,
        ErrorKind::InvalidSignature => flaw("its signature is wrong"),
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::InvalidKeyFormat
        | ErrorKind::UnsupportedAlgorithm => flaw("its algorithm is not accepted"),
        ErrorKind::InvalidIssuer => flaw("its issuer is another"),
        ErrorKind::InvalidAudience => flaw("it is for another audience"),
        ErrorKind::MissingRequiredClaim(_) => flaw("a claim is missing"),
        ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
            flaw("a claim or the header is malformed")
        }
        _ => flaw("it is malformed"),
    }
}
