//! `/oauth`: users connect their accounts at servers, in a browser or through a client that shows
//! them a link.
//!
//! | route | what it does |
//! |---|---|
//! | `GET /oauth` | lists the bridges that need a login, and whether the caller is connected |
//! | `POST /oauth/{bridge}/connect` with JSON | returns a link for the caller that is valid for a few minutes |
//! | `GET /c/{id}` | shows the page behind the link, which asks for consent and names the user of the link |
//! | `GET /oauth/{bridge}/connect` | shows the same page to the signed-in user |
//! | `POST` from that page | redirects to the authorization server |
//! | `GET /oauth/callback` | receives the authorization response |
//! | `DELETE /oauth/{bridge}/connect` | forgets the caller's account |
//! | `GET /oauth/client-metadata.json` | describes the bridge as a client (OAuth client ID metadata document) |
//!
//! Callers connect their own accounts. Only an administrator connects a shared account. A link
//! carries the id of a stored [`ConnectTicket`](crate::credential::ConnectTicket), which names its user. A user
//! who is identified as another user is refused. A browser without credentials sees the name of the
//! link's user before it continues (MCP security best practices, session hijacking).

mod callback;
mod consent;
mod cookie;
mod link;
mod page;
mod parts;
mod routes;
mod short;
mod vendor;

pub use link::without_link;
pub use page::refusal;
pub use parts::{bridge, root_of};
pub use routes::{forget, routes};
