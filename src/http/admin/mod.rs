//! `/admin/api`: the admin API. Its older routes keep the JSON shapes of the Python proxy. [`page`]
//! serves the admin page that uses it.
//!
//! | route | what |
//! |---|---|
//! | `GET /me` | the administrator, and whether access rules are enforced |
//! | `GET /users` | the users in the database and their groups |
//! | `POST`, `DELETE /users/groups` | adds a user to a group, or removes them |
//! | `GET`, `POST /groups`, `GET`, `PUT`, `DELETE /groups/{name}` | groups, their bridges and members |
//! | `GET`, `POST`, `DELETE /grants` | grants for whole bridges and for some tools |
//! | `POST`, `DELETE /admins` | administrators by e-mail |
//! | `GET`, `POST`, `DELETE /keys` | API keys; the text of a key is shown once |
//! | `GET`, `POST`, `DELETE /tenant-keys`, `GET /tenant-keys/{group}` | keys of groups for servers, never their values |
//! | `GET`, `POST`, `DELETE /endpoints` | where the calls of a group go instead of to the configured address |
//! | `GET /servers`, `GET /bridges`, `POST /bridges/{name}/restart` | bridges and their status |
//! | `GET`, `DELETE /accounts` | accounts that are connected at servers |
//! | `GET /calls`, `GET /changes` | the audit trail |
//! | `GET /explain` | whether a user may use a bridge or a tool, and why |
//! | `GET /plan` | what a reload would change, or the errors in the configuration |
//!
//! Every route first checks that the caller is an administrator ([`guard::AdminCaller`]). The store
//! writes the record of a change in the same transaction as the change.

mod accounts;
mod advice;
mod bridges;
mod calls;
mod changes;
mod endpoints;
mod explain;
mod grants;
mod groups;
mod guard;
mod keys;
mod me;
mod page;
mod plan;
mod tenant_keys;
mod users;
mod words;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

pub use self::page::routes as page_routes;
use super::AppState;

/// The admin routes of the Python proxy at their old paths below `/admin`. They use the same
/// handlers and the same checks.
pub fn former_routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/users", get(users::list))
        .route(
            "/users/groups",
            post(users::add_to_group).delete(users::remove_from_group),
        )
        .route("/groups", get(groups::list).post(groups::create))
        .route(
            "/groups/{name}",
            get(groups::one).put(groups::update).delete(groups::delete),
        )
        .route(
            "/tenant-keys",
            get(tenant_keys::list)
                .post(tenant_keys::set)
                .delete(tenant_keys::remove),
        )
        .route("/tenant-keys/{group}", get(tenant_keys::of_group))
        .route(
            "/endpoints",
            get(endpoints::list)
                .post(endpoints::set)
                .delete(endpoints::remove),
        )
        .route("/servers", get(bridges::servers))
}

/// All routes, below `/admin/api`. Only the native flavor has them: under mcpo's rules `admin` may
/// be the name of a server.
pub fn routes() -> Router<Arc<AppState>> {
    former_routes()
        .route("/me", get(me::me))
        .route(
            "/admins",
            post(users::add_admin).delete(users::remove_admin),
        )
        .route(
            "/grants",
            get(grants::list).post(grants::add).delete(grants::revoke),
        )
        .route(
            "/keys",
            get(keys::list).post(keys::add).delete(keys::revoke),
        )
        .route(
            "/accounts",
            get(accounts::list).delete(accounts::disconnect),
        )
        .route("/bridges", get(bridges::list))
        .route("/bridges/{name}/restart", post(bridges::restart))
        .route("/calls", get(calls::list))
        .route("/changes", get(changes::list))
        .route("/explain", get(explain::explain))
        .route("/plan", get(plan::plan))
}
