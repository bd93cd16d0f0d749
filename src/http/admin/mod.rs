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
//! | `GET /openapi.json` | the OpenAPI document of these routes |
//! | `GET /plan` | what a reload would change, or the errors in the configuration |
//!
//! Every route first checks that the caller is an administrator ([`guard::AdminCaller`]). The store
//! writes the record of a change in the same transaction as the change.
//!
//! The routes are registered together with their descriptions (`#[utoipa::path]`), out of which
//! [`document`] builds the OpenAPI document. So a route is never described at another path than it
//! has.

mod accounts;
mod advice;
mod bridges;
mod calls;
mod changes;
mod document;
mod endpoints;
mod errors;
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

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use self::page::routes as page_routes;
use super::AppState;

/// The admin routes of the Python proxy at their old paths below `/admin`. They use the same
/// handlers and the same checks.
pub fn former_routes() -> Router<Arc<AppState>> {
    former_api().into()
}

/// All routes, below `/admin/api`. Only the native flavor has them: under mcpo's rules `admin` may
/// be the name of a server.
pub fn routes() -> Router<Arc<AppState>> {
    api().into()
}

/// The routes that the Python proxy had, with their descriptions.
fn former_api() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(users::list))
        .routes(routes!(users::add_to_group, users::remove_from_group))
        .routes(routes!(groups::list, groups::create))
        .routes(routes!(groups::one, groups::update, groups::delete))
        .routes(routes!(
            tenant_keys::list,
            tenant_keys::set,
            tenant_keys::remove
        ))
        .routes(routes!(tenant_keys::of_group))
        .routes(routes!(endpoints::list, endpoints::set, endpoints::remove))
        .routes(routes!(bridges::servers))
}

/// All routes with their descriptions.
fn api() -> OpenApiRouter<Arc<AppState>> {
    former_api()
        .routes(routes!(me::me))
        .routes(routes!(users::add_admin, users::remove_admin))
        .routes(routes!(grants::list, grants::add, grants::revoke))
        .routes(routes!(keys::list, keys::add, keys::revoke))
        .routes(routes!(accounts::list, accounts::disconnect))
        .routes(routes!(bridges::list))
        .routes(routes!(bridges::restart))
        .routes(routes!(calls::list))
        .routes(routes!(changes::list))
        .routes(routes!(explain::explain))
        .routes(routes!(plan::plan))
        .routes(routes!(document::openapi))
}
