//! The errors of the admin API, as its OpenAPI document describes them.

use serde_json::json;
use utoipa::openapi::{
    Content, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, Schema,
    path::{HttpMethod, Operation},
    schema::Type,
};

/// The name of the error's schema in the document.
pub const ERROR: &str = "Error";

/// The description of 404 for routes that need a database and look for nothing else.
pub const NO_DATABASE: &str = "`no_database`: the bridge was started without a database.";

/// An error that many operations can answer.
struct SharedError {
    /// The HTTP status.
    status: &'static str,
    /// The name of the response in the document.
    name: &'static str,
    /// Which operations can answer it.
    scope: ErrorScope,
    /// The codes and their meaning.
    description: &'static str,
}

/// Which operations can answer an error.
enum ErrorScope {
    /// All of them.
    Every,
    /// Those that change something.
    Changes,
    /// Those with a body.
    Bodies,
    /// Those with a body, a query, or a name in the path.
    Inputs,
}

/// The errors that are not described at each operation.
const SHARED: [SharedError; 10] = [
    SharedError {
        status: "400",
        name: "BadRequest",
        scope: ErrorScope::Bodies,
        description: "`invalid_json`: the body is not valid JSON. `body_incomplete`: the body ended early.",
    },
    SharedError {
        status: "401",
        name: "Unauthorized",
        scope: ErrorScope::Every,
        description: "`unauthorized`: the request has no credentials, or they are not valid.",
    },
    SharedError {
        status: "403",
        name: "Forbidden",
        scope: ErrorScope::Every,
        description: "`forbidden`: you are not an administrator, or this is only for administrators of \
            the default workspace. `forbidden_origin`: a web page of another origin sent the request. \
            `forbidden_host`: the bridge has no identity configured and the request names a host that \
            is not this machine.",
    },
    SharedError {
        status: "408",
        name: "RequestTimeout",
        scope: ErrorScope::Bodies,
        description: "`body_timeout`: the body did not arrive in time.",
    },
    SharedError {
        status: "413",
        name: "ContentTooLarge",
        scope: ErrorScope::Bodies,
        description: "`body_too_large`: the body has more than 64 KiB.",
    },
    SharedError {
        status: "415",
        name: "UnsupportedMediaType",
        scope: ErrorScope::Changes,
        description: "`unsupported_media_type`: the header `Content-Type: application/json` is missing. \
            A change needs it even without a body.",
    },
    SharedError {
        status: "422",
        name: "UnprocessableContent",
        scope: ErrorScope::Inputs,
        description: "`invalid_request`: a value is missing, unknown or wrong.",
    },
    SharedError {
        status: "429",
        name: "TooManyRequests",
        scope: ErrorScope::Every,
        description: "`too_many_failures`: too many wrong credentials came from your address.",
    },
    SharedError {
        status: "500",
        name: "InternalError",
        scope: ErrorScope::Every,
        description: "`internal`: a defect of the bridge. Its log has the details under the request ID.",
    },
    SharedError {
        status: "503",
        name: "ServiceUnavailable",
        scope: ErrorScope::Every,
        description: "`busy`: too many requests are in progress. `store_unavailable`: the database does \
            not answer. `identity_unavailable`: a service that has to confirm your identity does not \
            answer.",
    },
];

/// Adds the errors that many operations can answer, and gives every error the error object as body.
/// If an operation describes an error itself, the common meanings of the status are added to it.
pub fn describe(method: &HttpMethod, operation: &mut Operation) {
    let is_change = !matches!(method, HttpMethod::Get);
    let has_body = operation.request_body.is_some();
    let has_input = has_body || operation.parameters.is_some();
    let applies = |error: &&SharedError| match error.scope {
        ErrorScope::Every => true,
        ErrorScope::Changes => is_change,
        ErrorScope::Bodies => has_body,
        ErrorScope::Inputs => has_input,
    };
    let responses = &mut operation.responses.responses;
    for error in SHARED.iter().filter(applies) {
        let own = responses.get_mut(error.status);
        if let Some(RefOr::T(response)) = own {
            response.description.push(' ');
            response.description.push_str(error.description);
        } else {
            let shared = Ref::from_response_name(error.name);
            responses.insert(error.status.to_owned(), shared.into());
        }
    }
    for (status, response) in responses {
        if let (RefOr::T(response), '4' | '5') = (response, first(status)) {
            complete(status, response);
        }
    }
}

/// The errors that many operations can answer, by the name of their response.
pub fn responses() -> impl Iterator<Item = (String, RefOr<Response>)> {
    SHARED.iter().map(|error| {
        let mut response = Response::new(error.description);
        complete(error.status, &mut response);
        (error.name.to_owned(), response.into())
    })
}

/// The first digit of a status.
fn first(status: &str) -> char {
    status.chars().next().unwrap_or_default()
}

/// Adds the body and the headers of an error.
fn complete(status: &str, response: &mut Response) {
    let content = Content::new(Some(Ref::from_schema_name(ERROR)));
    response
        .content
        .insert("application/json".to_owned(), content.into());
    let header = match status {
        "401" => (
            "WWW-Authenticate",
            Type::String,
            "The way to authenticate: `Bearer` (RFC 9110, section 11.6.1).",
        ),
        "429" | "503" => (
            "Retry-After",
            Type::Integer,
            "The number of seconds to wait before you try again. It is absent if waiting does not help.",
        ),
        _ => return,
    };
    let (name, kind, description) = header;
    let header = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .description(Some(description));
    response
        .headers
        .insert(name.to_owned(), header.build().into());
}

/// The schema of an error object.
pub fn schema() -> Schema {
    let text = |description: &str| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(description))
    };
    ObjectBuilder::new()
        .description(Some("An error."))
        .property("detail", text("What is wrong."))
        .property("message", text("What is wrong and what to do, in words for models."))
        .property(
            "retry",
            ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .description(Some("Whether the same request may succeed later.")),
        )
        .property(
            "code",
            text("The word by which programs tell errors apart. `docs/troubleshooting.md` explains each code.")
                .examples([json!("not_found")]),
        )
        .property(
            "request_id",
            text("The ID of the request, which is also in the log and in the header `X-Request-Id`."),
        )
        .required("detail")
        .required("message")
        .required("retry")
        .required("code")
        .required("request_id")
        .into()
}
