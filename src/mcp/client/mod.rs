//! medtainer as a client of MCP servers somewhere else.

pub mod bridge;
mod events;
mod headers;
mod link;
pub mod login;
mod message;
pub mod oauth;
mod old;
pub mod probe;
pub mod remote;
pub mod shelf;
