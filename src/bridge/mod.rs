//! One supervised task for each bridge.
