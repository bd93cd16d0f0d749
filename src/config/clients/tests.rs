//! Tests over whole files of other clients.
