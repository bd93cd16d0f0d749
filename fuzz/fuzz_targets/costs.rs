//! See `mcp_bridge::fuzzing::costs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_bridge::fuzzing::costs(data));
