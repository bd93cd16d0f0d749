//! What we say of ourselves: logs.
