//! Signals, tokens and the task tracker that shutdown waits for.
