//! `/admin/api`: what administrators see and change (requirements §1.9, whose shapes stay), and the
//! page over it ([`page`]).
//!
//! | route | what |
//! |---|---|
//! | `GET /me` | who asks, and whether grants count |
//! | `GET /users` | users of our tables, their groups |
//! | `POST`, `DELETE /users/groups` | one member of one group |
//! | `GET`, `POST /groups`, `GET`, `PUT`, `DELETE /groups/{name}` | groups, their bridges and members |
//! | `GET`, `POST`, `DELETE /grants` | single grants, narrowed ones too |
//! | `POST`, `DELETE /admins` | administrators by e-mail |
//! | `GET`, `POST`, `DELETE /keys` | API keys; the text is shown once |
//! | `GET`, `POST`, `DELETE /tenant-keys`, `GET /tenant-keys/{group}` | keys of groups for servers; never the values |
//! | `GET`, `POST`, `DELETE /endpoints` | where a group's calls go instead |
//! | `GET /servers`, `GET /bridges`, `POST /bridges/{name}/restart` | bridges and how they stand |
//! | `GET`, `DELETE /accounts` | who is connected at a server by a login, and putting an end to it |
//! | `GET /calls`, `GET /changes` | the audit trail |
//! | `GET /explain` | why a user may or may not |
//! | `GET /plan` | what a reload would change, or what is wrong with the file |
//!
//! Every route asks for an administrator first ([`guard::Admin`]); the store writes the record of a
//! change in the transaction of the change.

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

/// The routes of the Python proxy, which had them below `/admin`: the same handlers at their former
/// paths, behind the same checks.
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

/// All routes, below `/admin/api`. Only for the native flavor: `admin` may name a server of mcpo.
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
