//! The pages that a user sees while they connect an account.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};

use url::Url;

use crate::{
    credential::ConnectTicket,
    http::{error::ApiError, pages::escape},
};

/// The page. `{{root}}` is the path prefix that a reverse proxy adds.
const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// The policy of a page without a form. The page loads no script, and no other page can frame it to
/// intercept clicks.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; form-action 'none'; \
    base-uri 'none'; frame-ancestors 'none'";
/// The policy of the consent page. `form-action` allows every web address, because browsers apply
/// it to the redirects after a form submission too, and the address of the authorization server is
/// known only after the form is sent.
const ASKING: &str = "default-src 'none'; style-src 'self'; img-src data:; \
    form-action 'self' https: http:; base-uri 'none'; frame-ancestors 'none'";

/// The texts of a page.
#[derive(Debug, Clone, Copy)]
pub struct PageText<'a> {
    /// The title bar and the heading.
    pub title: &'a str,
    /// One sentence.
    pub text: &'a str,
}

/// What the consent page shows.
#[derive(Debug, Clone, Copy)]
pub struct ConsentPage<'a> {
    /// The user and the bridge of the link.
    pub ticket: &'a ConnectTicket,
    /// The id of the ticket.
    pub id: &'a str,
    /// The origin of the MCP server.
    pub server: &'a str,
    /// The company that runs the server, if known.
    pub vendor: Option<&'a str>,
}

/// The page that asks for consent and names the user.
pub fn question(root: &str, asked: &ConsentPage<'_>) -> Response {
    let ticket = asked.ticket;
    let name = asked.vendor.unwrap_or(&ticket.bridge);
    let (title, whose, warning) = if ticket.subject.is_empty() {
        (
            format!("Connect {name} for everyone"),
            "everyone who may use it".to_owned(),
            "Everyone who may use this bridge will act there as the account that you log in with. Use an account that is meant to be shared.".to_owned(),
        )
    } else {
        (
            format!("Connect your {name} account"),
            ticket.caller.clone(),
            format!(
                "Everything that {} does with this bridge will use the account that you log in with. If that is not you, close this page: you opened a link that was made for another user.",
                ticket.caller
            ),
        )
    };
    let server = match asked.vendor {
        Some(vendor) => format!("{vendor} ({})", asked.server),
        None => asked.server.to_owned(),
    };
    let body = format!(
        "<dl><dt>Account at</dt><dd>{}</dd><dt>Bridge</dt><dd>{}</dd><dt>For</dt><dd>{}</dd></dl>\
         <form method=\"post\" action=\"{}/oauth/{}/connect\"><input type=\"hidden\" name=\"ticket\" value=\"{}\"><button>Continue to log in</button></form>\
         <p class=\"soft\">{}</p>",
        escape(&server),
        escape(&ticket.bridge),
        escape(&whose),
        escape(root),
        escape(&ticket.bridge),
        escape(asked.id),
        escape(&warning),
    );
    let mut response = page(root, StatusCode::OK, "question", &title, &body);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(ASKING));
    response
}

/// The page for a connected account.
pub fn done(root: &str, words: PageText<'_>) -> Response {
    let body = format!("<p>{}</p>", escape(words.text));
    page(root, StatusCode::OK, "done", words.title, &body)
}

/// The page for a failed login. It gives the reason and a link to Open WebUI.
pub fn problem(
    root: &str,
    status: StatusCode,
    words: PageText<'_>,
    open_webui: Option<&Url>,
) -> Response {
    let mut body = format!("<p>{}</p>", escape(&sentence(words.text)));
    if let Some(url) = open_webui {
        body = format!(
            "{body}<p><a href=\"{}\" rel=\"noreferrer\">Go to Open WebUI</a></p>",
            escape(url.as_str())
        );
    }
    page(root, status, "problem", words.title, &body)
}

/// Turns a clause into a sentence.
fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    let first = letters.next().map(char::to_uppercase);
    let mut text: String = first.into_iter().flatten().chain(letters).collect();
    if !text.ends_with(['.', '!', '?', '…']) {
        text.push('.');
    }
    text
}

/// Shows an error as a page.
pub fn refusal(root: &str, error: &ApiError, open_webui: Option<&Url>) -> Response {
    let text = error
        .detail
        .as_str()
        .map_or_else(|| error.detail.to_string(), str::to_owned);
    let title = match error.status {
        StatusCode::UNAUTHORIZED => "Sign in first",
        StatusCode::FORBIDDEN => "Access denied",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::BAD_REQUEST => "This link is not valid",
        _ => "The account cannot be connected now",
    };
    let words = PageText { title, text: &text };
    problem(root, error.status, words, open_webui)
}

/// `GET /oauth/page.css`
pub async fn style() -> Response {
    let mut response = Response::new(Body::from(STYLE));
    harden(&mut response, "text/css; charset=utf-8");
    response
}

fn page(root: &str, status: StatusCode, kind: &str, title: &str, body: &str) -> Response {
    let html = PAGE
        .replace("{{root}}", &escape(root))
        .replace("{{kind}}", kind)
        .replace("{{title}}", &escape(title))
        .replace("{{body}}", body);
    let mut response = (status, html).into_response();
    harden(&mut response, "text/html; charset=utf-8");
    response
}

/// Sets headers that keep the link in the page's address from leaking and keep the page out of
/// caches.
fn harden(response: &mut Response, kind: &'static str) {
    let fixed: [(HeaderName, &'static str); 5] = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
}
