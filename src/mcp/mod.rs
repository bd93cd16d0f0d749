//! The only code that speaks MCP: sessions and their transports.
