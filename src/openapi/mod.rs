//! OpenAPI 3.1 documents of tools; pure, no I/O.
