//! A server's answer to `tools/call`, as the body of our response.
