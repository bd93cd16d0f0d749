//! See `mcp_bridge::fuzzing::identity`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_bridge::fuzzing::identity(data));
