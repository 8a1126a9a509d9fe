//! medtainer through its front door.

mod database;
mod ghl_sandbox;
mod mcp;
mod people;
mod postgres;
mod provider_path;
mod store;
mod sync;
mod vault;
