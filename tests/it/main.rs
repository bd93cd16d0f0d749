//! The program as its users meet it: the real binary, real child processes, HTTP on loopback.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "tests may be blunt"
)]

mod harness;
mod mcpo;

mod access;
mod admin;
mod admin_document;
mod bad_identity;
mod calls;
mod calls_load;
mod catalogue;
mod chat_lines;
mod cli;
mod clients;
mod costly_schemas;
mod dashboard;
mod database_role;
mod decisions;
mod files;
mod floods;
mod former;
mod hostile_callers;
mod identity;
mod isolation;
mod keyring;
mod metrics;
mod mistakes;
mod oauth;
mod oauth_peers;
mod odd_peers;
mod openapi_services;
mod oracle;
mod page;
mod plain_text;
mod rates;
mod reload;
mod remote;
mod remote_calls;
mod remote_openapi;
mod remote_sessions;
mod replicas;
mod routes;
mod safety;
mod secrets;
mod seeds;
mod shutdown;
mod smoke;
mod supervision;
mod tls;
mod traces;
mod trail;
mod who;
mod workspaces;
