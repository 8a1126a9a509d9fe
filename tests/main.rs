//! medtainer through its front door.

mod daemon;
mod database;
mod ghl_sandbox;
mod people;
mod postgres;
mod provider_path;
mod store;
mod sync;
mod vault;
