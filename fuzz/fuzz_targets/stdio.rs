//! See `mcp_bridge::fuzzing::stdio`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_bridge::fuzzing::stdio(data));
