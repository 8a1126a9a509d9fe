//! medtainer through its front door.

mod database;
mod provider_path;
mod store;
mod vault;
