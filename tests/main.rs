//! medtainer through its front door.

mod contract;
mod database;
mod ghl_sandbox;
mod mcp;
mod people;
mod postgres;
mod provider_path;
mod registry;
mod store;
mod sync;
mod vault;
