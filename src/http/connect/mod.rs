//! `/oauth`: people connect accounts at servers, in a browser or for a program that shows them a link.
//!
//! | route | what |
//! |---|---|
//! | `GET /oauth` | the bridges that somebody logs in to, and how that stands for the caller |
//! | `POST /oauth/{bridge}/connect` with JSON | a link for the caller, good for some minutes |
//! | `GET /c/{id}` | the page behind the link: it asks, and names who it is for |
//! | `GET /oauth/{bridge}/connect` | the same page for the person who is signed in |
//! | `POST` from that page | on to the authorization server |
//! | `GET /oauth/callback` | back from there |
//! | `DELETE /oauth/{bridge}/connect` | forgets the caller's account |
//! | `GET /oauth/client-metadata.json` | us as a client (OAuth client id metadata document) |
//!
//! An account of a caller is connected by that caller; one for everybody by an administrator. A link
//! carries the id of a stored [`Ticket`](crate::credential::Ticket), which says for whom it is; whoever opens it and
//! proves to be somebody else is refused, and whoever proves nothing sees the name before they go on
//! (MCP security best practices, session hijacking).

mod callback;
mod cookie;
mod link;
mod page;
mod routes;
mod short;
mod vendor;

pub use link::{below, public_url, with_link, without_link};
pub use page::refusal;
pub use routes::{bridge, forget, root_of, routes};
