//! Changes of the configuration while it runs.
