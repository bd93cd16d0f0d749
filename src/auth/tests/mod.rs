//! Whole requests against whole configurations.
