//! medtainer through its front door.

mod database;
mod ghl_sandbox;
mod provider_path;
mod store;
mod sync;
