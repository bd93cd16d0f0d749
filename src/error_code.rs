//! [`ErrorCode`]: the word by which programs tell errors apart.

use std::fmt;

use serde::{Serialize, Serializer};

/// Declares the codes, one line each: what it means, its name, the word on the wire, and the HTTP status
/// that usually goes with it (RFC 9110 §15).
macro_rules! error_codes {
    ($($(#[$meaning:meta])* $name:ident = $word:literal, $status:literal;)*) => {
        /// The `code` of every error that the bridge answers. `docs/troubleshooting.md` explains each
        /// of them. Log lines, metric labels, spans and the audit trail use the same words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$meaning])* $name,)*
        }

        impl ErrorCode {
            /// All of them.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// The HTTP status that usually goes with it.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                }
            }
        }
    };
}

error_codes! {
    /// The caller did not prove who they are.
    Unauthorized = "unauthorized", 401;
    /// The caller may not use the bridge, the tool or the page.
    Forbidden = "forbidden", 403;
    /// A web page of another origin sent the request.
    ForbiddenOrigin = "forbidden_origin", 403;
    /// The request names a host that is not this machine, and no key proves the caller.
    ForbiddenHost = "forbidden_host", 403;
    /// A party that has to confirm the identity does not answer.
    IdentityUnavailable = "identity_unavailable", 503;
    /// The database does not answer.
    StoreUnavailable = "store_unavailable", 503;
    /// The files that tools made for all callers use all the space that is reserved for them.
    FilesFull = "files_full", 503;
    /// The call cannot be recorded, and calls without a record are refused.
    AuditUnavailable = "audit_unavailable", 503;
    /// The caller, their group, the bridge or the server allows fewer calls.
    RateLimited = "rate_limited", 429;
    /// Too many wrong credentials came from one address.
    TooManyFailures = "too_many_failures", 429;
    /// All places or slots are taken.
    Busy = "busy", 503;
    /// The bridge, tool, route or row does not exist.
    NotFound = "not_found", 404;
    /// The path does not take this method.
    MethodNotAllowed = "method_not_allowed", 405;
    /// The body cannot be parsed as JSON.
    InvalidJson = "invalid_json", 400;
    /// The arguments do not match the input schema of the tool.
    InvalidArguments = "invalid_arguments", 422;
    /// Checking the arguments exceeds its budget.
    ArgumentsTooCostly = "arguments_too_costly", 422;
    /// The body exceeds its limit.
    BodyTooLarge = "body_too_large", 413;
    /// The body ended early.
    BodyIncomplete = "body_incomplete", 400;
    /// The body did not arrive in time.
    BodyTimeout = "body_timeout", 408;
    /// The bridge is switched off.
    Disabled = "disabled", 503;
    /// The server is not up.
    Unavailable = "unavailable", 503;
    /// An administrator has to log in to the server.
    NeedsLogin = "needs_login", 503;
    /// The caller has to connect their account.
    ConnectRequired = "connect_required", 401;
    /// The bridge has no credential for this caller.
    NoCredential = "no_credential", 403;
    /// The server refuses the credentials of the bridge.
    UpstreamAuth = "upstream_auth", 502;
    /// The tool reports that it failed.
    ToolError = "tool_error", 422;
    /// The server answered with a JSON-RPC error.
    ServerError = "server_error", 500;
    /// The server did not answer in time.
    Timeout = "timeout", 504;
    /// The connection to the server broke during the call.
    UpstreamClosed = "upstream_closed", 502;
    /// The server answered with an HTTP error, or with a message that is not MCP.
    UpstreamError = "upstream_error", 502;
    /// The result exceeds its limit.
    ResultTooLarge = "result_too_large", 502;
    /// The link to connect an account is broken or expired.
    BadLink = "bad_link", 400;
    /// The link to connect an account belongs to another person.
    NotYourLink = "not_your_link", 403;
    /// No login waits for this answer.
    LoginUnknown = "login_unknown", 400;
    /// The login began in another browser.
    OtherBrowser = "other_browser", 400;
    /// The authorization server refused the login.
    LoginRefused = "login_refused", 403;
    /// The bridge has no login.
    NoLoginHere = "no_login_here", 404;
    /// The bridge was started without a database.
    NoDatabase = "no_database", 404;
    /// The key that seals stored credentials is missing or wrong.
    NoSecretKey = "no_secret_key", 503;
    /// The configuration file has errors.
    InvalidConfig = "invalid_config", 409;
    /// A field of an admin request is missing, unknown or wrong.
    InvalidRequest = "invalid_request", 422;
    /// A group cannot have this name.
    InvalidName = "invalid_name", 400;
    /// The address of the group's server cannot be used.
    InvalidEndpoint = "invalid_endpoint", 400;
    /// Groups of administrators cannot be deleted.
    AdminGroup = "admin_group", 400;
    /// A key with this name exists.
    Taken = "taken", 409;
    /// The admin API takes JSON only.
    UnsupportedMediaType = "unsupported_media_type", 415;
    /// A defect of the bridge.
    Internal = "internal", 500;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::ErrorCode;

    /// What explains every code.
    const PAGE: &str = "docs/troubleshooting.md";

    /// The statuses that a code is answered with besides its usual one.
    const OTHER_STATUSES: &[(ErrorCode, &[u16])] = &[
        (ErrorCode::Unauthorized, &[403]),
        (ErrorCode::Disabled, &[409]),
        (ErrorCode::ToolError, &[500]),
        (ErrorCode::ServerError, &[400, 404, 422]),
    ];

    /// What the page says of each code: the line below its heading, where the statuses stand.
    fn explained() -> BTreeMap<String, String> {
        let page = fs::read_to_string(PAGE).unwrap();
        let mut found = BTreeMap::new();
        for section in page.split("\n### `").skip(1) {
            let (code, rest) = section.split_once('`').unwrap();
            let line = rest.trim_start().lines().next().unwrap_or_default();
            let before = found.insert(code.to_owned(), line.to_owned());
            assert!(before.is_none(), "{PAGE} explains `{code}` twice");
        }
        found
    }

    #[test]
    fn the_documentation_explains_every_code_with_its_statuses() {
        let mut explained = explained();
        for code in ErrorCode::ALL {
            let line = explained.remove(code.as_str());
            let line = line.unwrap_or_else(|| panic!("{PAGE} does not explain `{code}`"));
            let others = OTHER_STATUSES.iter().filter(|(it, _)| it == code);
            let others = others.flat_map(|(_, statuses)| statuses.iter().copied());
            for status in others.chain([code.status()]) {
                assert!(
                    line.contains(&status.to_string()),
                    "{PAGE}: `{code}` is answered with {status} too, not only: {line}"
                );
            }
        }
        assert!(
            explained.is_empty(),
            "{PAGE} explains {explained:?}, which the bridge never answers"
        );
    }
}
